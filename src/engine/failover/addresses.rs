//! Which addresses are where, which should be, and what is to be done about it.

use std::collections::{BTreeMap, BTreeSet};

use std::time::Duration;

use crate::config::Config;
use crate::config::model::VirtualAddress;
use crate::net::{
    ADDRESS_PROTOCOL, AddressCommand, AddressKey, AddressSpec, Family, LinkCommand, NetCommand,
    NetPicture, ObservedAddress,
};
use crate::reconcile::{self, Change};
use crate::time::Time;
use crate::vrrp::{self, State};

use super::kernel_view::{KernelView, Shown};
use super::slot::device;
use super::statics;
use super::vip::{address_key, address_spec, differs_in_lifetime_only, same_address};
use super::{Action, Event, Failover, LOOK_AGAIN, NetFailure, RESTORE_AFTER, RETRY};

impl Failover {
    /// A machine became master: what it lacks is set.
    pub(super) fn hold(&mut self, index: usize, now: Time, out: &mut Vec<Action>) {
        let Some(slot) = self.slots.get(index) else {
            return;
        };
        // What is there and has a lease begins it anew.
        let is_due = |key: &AddressKey, spec: &AddressSpec| {
            !self.kernel.has(key) || spec.valid_lifetime.is_some()
        };
        let due = slot
            .keys(&self.kernel)
            .map(|(key, vip)| (key, self.spec_of(slot, &key, vip)))
            .filter(|(key, spec)| is_due(key, spec))
            .map(|(key, spec)| AddressCommand::Add(key, spec))
            .collect();
        self.order(due, out);
        self.begin_lease(index, now);
        self.hold_routing(index, out);
    }

    /// A machine lets its addresses go, all but those that another instance holds.
    pub(super) fn release(&mut self, index: usize, out: &mut Vec<Action>) {
        self.release_some(index, |_| true, out);
    }

    /// As [`Failover::release`], of some of its addresses.
    pub(super) fn release_some(
        &mut self,
        index: usize,
        which: impl Fn(&AddressKey) -> bool,
        out: &mut Vec<Action>,
    ) {
        self.release_routing(index, out);
        let Some(slot) = self.slots.get(index) else {
            return;
        };
        let held_by_another = |key: &AddressKey| {
            self.shared.contains(key)
                && self.slots.iter().enumerate().any(|(other, slot)| {
                    other != index
                        && slot.machine.holds_addresses()
                        && slot.keys(&self.kernel).any(|(k, _)| k == *key)
                })
        };
        let mut there: Vec<AddressKey> = slot
            .keys(&self.kernel)
            .map(|(key, _)| key)
            .filter(|key| which(key) && self.kernel.has(key) && !held_by_another(key))
            .collect();
        // The first of a network last: nothing stands behind it then that goes, too.
        there.sort_by_key(|key| self.kernel.is_first(key));
        let there = there.into_iter().map(AddressCommand::Delete).collect();
        self.order(there, out);
    }

    /// Orders operations and counts them as done. Where an address goes that others of its network
    /// stand behind, whoever set them, `promote_secondaries` is set for that moment: setting them again
    /// afterwards would be too late for the routes through them.
    pub(super) fn order(&mut self, commands: Vec<AddressCommand>, out: &mut Vec<Action>) {
        if commands.is_empty() {
            return;
        }
        let mut promote = BTreeSet::new();
        for command in &commands {
            match command {
                AddressCommand::Add(key, spec) => {
                    let secondary = self.kernel.is_secondary(key);
                    self.kernel.add(ObservedAddress {
                        key: *key,
                        spec: spec.clone(),
                        protocol: ADDRESS_PROTOCOL,
                        secondary,
                    });
                }
                AddressCommand::Delete(key) => {
                    if self.kernel.remove_first(key) {
                        promote.insert(key.interface);
                    }
                }
            }
        }
        promote.retain(|interface| {
            let link = self.kernel.link_of(*interface);
            link.is_some_and(|link| !link.promote_secondaries)
        });
        let set = |on| {
            let promote = promote.iter();
            promote.map(move |&interface| LinkCommand::PromoteSecondaries { interface, on }.into())
        };
        let mut batch: Vec<NetCommand> = set(true).collect();
        batch.extend(commands.into_iter().map(NetCommand::from));
        batch.extend(set(false));
        out.push(Action::Net(batch));
    }

    pub(super) fn on_net_failed(
        &mut self,
        failures: Vec<NetFailure>,
        now: Time,
        out: &mut Vec<Action>,
    ) {
        for failure in failures {
            // What fails again and again is told once.
            if !failure.disagreement && self.refused.insert(failure.error.clone()) {
                out.push(Action::Event(Event::AddressFailed {
                    error: failure.error,
                }));
            }
        }
        // Whatever was refused, the kernel knows better: look, and do what is then missing; less and
        // less often while that fails too.
        self.look_again_soon(now);
    }

    pub(super) fn look_again_soon(&mut self, now: Time) {
        self.look_again_at = self.look_again_at.min(now + self.retry_after);
        self.retry_after = (self.retry_after * 2).min(LOOK_AGAIN);
    }

    pub(super) fn on_address_seen(
        &mut self,
        address: ObservedAddress,
        now: Time,
        out: &mut Vec<Action>,
    ) {
        let (interface, cidr) = (address.key.interface, address.key.cidr);
        let source = self.kernel.source_on(interface, cidr.family());
        // All that an instance wants of an address that is not its own is to speak from it.
        if self.kernel.add(address) {
            if self.is_tracked_source(cidr.addr()) {
                self.refresh_all_standings(now, out);
            } else if self.kernel.source_on(interface, cidr.family()) != source {
                self.refresh_standings_on(interface, now, out);
            }
        }
    }

    pub(super) fn on_address_gone(&mut self, key: AddressKey, now: Time, out: &mut Vec<Action>) {
        let family = key.cidr.family();
        let source = self.kernel.source_on(key.interface, family);
        if !self.kernel.remove(&key) {
            return; // our own order, heard back
        }
        let holder = self.slots.iter().position(|slot| {
            slot.machine.state() == State::Master && slot.keys(&self.kernel).any(|(k, _)| k == key)
        });
        if let Some(slot) = holder.and_then(|index| self.slots.get_mut(index)) {
            slot.note_missing(key);
            if slot.lease.note_gone(now) {
                out.push(Action::Event(Event::LeaseOver {
                    instance: slot.config().name.clone(),
                    cidr: key.cidr,
                }));
            }
            self.restore_at.get_or_insert(now + RESTORE_AFTER);
        } else if !self.stopping && self.is_static(&key) {
            self.on_static_gone(now);
        }
        if self.is_tracked_source(key.cidr.addr()) {
            self.refresh_all_standings(now, out);
        } else if self.kernel.source_on(key.interface, family) != source {
            self.refresh_standings_on(key.interface, now, out);
        }
    }

    /// What was missing a moment ago and still is was taken by somebody else: it is put back and
    /// announced. What is there again was an address that we changed; and where the link or the
    /// interface's own address went too, the instance is in fault by now.
    pub(super) fn restore_missing(&mut self, now: Time, out: &mut Vec<Action>) {
        self.restore_at = None;
        for index in 0..self.slots.len() {
            let Some(slot) = self.slots.get_mut(index) else {
                continue;
            };
            let mut missing = slot.take_missing();
            let lapsed = slot.lease.take_lapsed();
            if missing.is_empty() || slot.machine.state() != State::Master {
                continue;
            }
            let held: BTreeSet<AddressKey> = slot.keys(&self.kernel).map(|(key, _)| key).collect();
            missing.retain(|key| held.contains(key) && !self.kernel.has(key));
            if lapsed {
                self.on_lapsed(index, missing, now, out);
            } else if !missing.is_empty() {
                self.defend(index, missing, now, out);
            }
        }
        if std::mem::take(&mut self.static_gone) {
            self.sync_addresses(out);
        }
        self.restore_routing(now, out);
        self.refresh_statics(now, out);
    }

    /// Somebody took addresses away that an instance holds: they are put back and announced, but nobody
    /// fights for ever. However many went at once, it counts as one removal.
    fn defend(
        &mut self,
        index: usize,
        missing: BTreeSet<AddressKey>,
        now: Time,
        out: &mut Vec<Action>,
    ) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let instance = slot.config().name.clone();
        let too_often = slot.note_removal(now);
        for key in &missing {
            out.push(Action::Event(Event::AddressTaken {
                instance: instance.clone(),
                cidr: key.cidr,
                too_often,
            }));
        }
        if too_often {
            self.drive(
                index,
                vrrp::Input::Yield(vrrp::Reason::AddressesTaken),
                now,
                out,
            );
        } else {
            self.hold(index, now, out);
            if self.has_routes(index) {
                // IPv4 routes from an address go with it, and nobody is told.
                self.look_again_at = self.look_again_at.min(now + RESTORE_AFTER);
            }
            let repeat = self
                .slots
                .get(index)
                .map_or(1, |slot| slot.config().garp.master_repeat);
            for key in missing {
                self.announce_address(key, repeat);
            }
        }
    }

    fn refresh_standings_on(
        &mut self,
        interface: crate::net::InterfaceIndex,
        now: Time,
        out: &mut Vec<Action>,
    ) {
        let Some(name) = self.kernel.link_of(interface).map(|link| link.name.clone()) else {
            return;
        };
        for index in 0..self.slots.len() {
            if self
                .slots
                .get(index)
                .is_some_and(|slot| slot.config().interface.as_ref() == Some(&name))
            {
                self.refresh_standing(index, now, out);
            }
        }
    }

    pub(super) fn on_kernel_read(&mut self, picture: NetPicture, now: Time, out: &mut Vec<Action>) {
        self.take_picture(picture);
        // What was seen here is newer than what was missed before.
        self.look_again_at = now + LOOK_AGAIN;
        if self.stopping {
            return;
        }
        self.make_missing_links(out);
        self.on_links_renumbered(out);
        let before = out.len();
        self.sync_promotion(out);
        self.count_links(now);
        self.sync_addresses(out);
        self.sync_routing(out);
        let mut orders = out.iter().skip(before);
        if !orders.any(|action| matches!(action, Action::Net(_))) {
            // Everything is as it should be.
            self.refused.clear();
            self.retry_after = RETRY;
        }
        self.refresh_statics(now, out);
        self.refresh_all_standings(now, out);
    }

    /// The whole picture: what should be there against what is, for everything that is ours.
    pub(super) fn sync_addresses(&mut self, out: &mut Vec<Action>) {
        self.sync_owned(&[], out);
    }

    /// As [`Failover::sync_addresses`], with what the configuration of before named.
    pub(super) fn sync_addresses_after_reload(&mut self, before: &Config, out: &mut Vec<Action>) {
        let named = named_keys(before, &self.kernel);
        self.sync_owned(&named, out);
    }

    fn sync_owned(&mut self, also_ours: &[AddressKey], out: &mut Vec<Action>) {
        let observed = self.kernel.addresses();
        let statics = statics::addresses(&self.config, &self.kernel);
        let statics = statics.map(|(key, vip)| {
            let (lease, repeat) = (None, None);
            (key, Desired { vip, lease, repeat })
        });
        let mut desired: BTreeMap<AddressKey, Desired<'_>> = statics.collect();
        for slot in self
            .slots
            .iter()
            .filter(|slot| slot.machine.holds_addresses())
        {
            // Who stood still and listens keeps what is there, and takes nothing.
            let master = slot.machine.state() == State::Master && !slot.machine.listens();
            let repeat = master.then_some(slot.config().garp.master_repeat);
            for (key, vip) in slot.keys(&self.kernel) {
                // A predecessor's addresses are kept, not made.
                if master || observed.contains_key(&key) {
                    let before = desired.get(&key).and_then(|desired| desired.repeat);
                    let repeat = repeat.or(before);
                    let lease = self.lease_of(slot, &key);
                    desired.insert(key, Desired { vip, lease, repeat });
                }
            }
        }
        let named = named_keys(&self.config, &self.kernel);
        let tagged = |key: &AddressKey| {
            let shown = observed.get(key);
            shown.is_some_and(|shown| shown.protocol == ADDRESS_PROTOCOL)
        };
        let listed = |keys: &[AddressKey], key: &AddressKey| keys.binary_search(key).is_ok();
        let is_ours =
            |key: &AddressKey| tagged(key) || listed(&named, key) || listed(also_ours, key);
        let same =
            |desired: &Desired<'_>, shown: &Shown| same_address(&desired.spec(), &shown.spec);
        let mut commands = Vec::new();
        let mut added = Vec::new();
        for change in reconcile::diff(&desired, observed, is_ours, same) {
            match change {
                Change::Add(key, wanted) => {
                    added.extend(wanted.repeat.map(|repeat| (key, repeat)));
                    commands.push(AddressCommand::Add(key, wanted.spec()));
                }
                Change::Change(key, wanted) => {
                    // The kernel cannot change label, scope or broadcast of an address in place.
                    let spec = wanted.spec();
                    let old = observed.get(&key);
                    if !old.is_some_and(|old| differs_in_lifetime_only(&spec, &old.spec)) {
                        commands.push(AddressCommand::Delete(key));
                    }
                    commands.push(AddressCommand::Add(key, spec));
                }
                Change::Remove(key) => commands.push(AddressCommand::Delete(key)),
            }
        }
        let commands = in_order(commands);
        self.order(commands, out);
        for (key, repeat) in added {
            self.announce_address(key, repeat);
        }
    }
}

/// An address that should be there.
#[derive(Clone, Copy)]
struct Desired<'a> {
    vip: &'a VirtualAddress,
    /// For how long it is set; until it is removed when absent.
    lease: Option<Duration>,
    /// How often a master announces it.
    repeat: Option<u32>,
}

impl Desired<'_> {
    fn spec(&self) -> AddressSpec {
        address_spec(self.vip, self.lease)
    }
}

/// Every address that a configuration names, sorted. A list, which unlike a set goes in one piece: this is
/// looked up with every look at the kernel, by thousands.
fn named_keys(config: &Config, kernel: &KernelView) -> Vec<AddressKey> {
    let vips = config
        .instances
        .iter()
        .flat_map(|i| i.all_vips().map(move |vip| (i, vip)));
    let of_instances = vips.filter_map(|(instance, vip)| {
        let interface = kernel.index_of(device(instance, vip)?)?;
        Some(address_key(interface, vip))
    });
    let statics = statics::addresses(config, kernel).map(|(key, _)| key);
    let mut keys: Vec<AddressKey> = of_instances.chain(statics).collect();
    keys.sort_unstable();
    keys
}

/// The kernel has an IPv6 address once on a link, whatever its prefix and peer: of two that differ in
/// these alone, the old one goes before the new one comes.
fn in_order(commands: Vec<AddressCommand>) -> Vec<AddressCommand> {
    let on = |key: &AddressKey| (key.interface, key.cidr.addr());
    let added: BTreeSet<_> = commands
        .iter()
        .filter_map(|command| match command {
            AddressCommand::Add(key, _) if key.cidr.family() == Family::V6 => Some(on(key)),
            _ => None,
        })
        .collect();
    let makes_room = |command: &AddressCommand| match command {
        AddressCommand::Delete(key) => added.contains(&on(key)),
        AddressCommand::Add(..) => false,
    };
    let (mut first, rest): (Vec<_>, Vec<_>) = commands.into_iter().partition(makes_room);
    first.extend(rest);
    first
}
