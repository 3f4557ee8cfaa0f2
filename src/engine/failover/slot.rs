//! One instance in the engine: its machine, and how its decisions become packets and addresses.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::config::model::{Instance, VirtualAddress};
use crate::engine::shared::Role;
use crate::fact::FactName;
use crate::net::{AddressKey, InterfaceName};
use crate::time::Time;
use crate::vrrp::{self, Heard, Machine, Receiver, State};

use super::adverts::{self, Ready};
use super::kernel_view::KernelView;
use super::lease::Lease;
use super::notices;
use super::routes;
use super::tracked::Tracked;
use super::vip::address_key;
use super::{Action, Entered, Event, Failover, TimerOf};

/// Removals by somebody else that are answered by putting the address back...
const REMOVALS_MAX: usize = 3;
/// ...if they came within this time; one more, and the addresses are yielded.
const REMOVALS_WITHIN: Duration = Duration::from_secs(60);

/// Numbers of authenticated adverts begin at the time since boot in these steps: no router sends more
/// often, so that a daemon which starts again goes on behind its last number.
const SEQUENCE_STEP_NS: u64 = 100_000_000;

/// What somebody else did to the addresses of an instance.
#[derive(Clone, Debug, Default)]
struct Losses {
    /// When addresses were removed.
    removals: Vec<Time>,
    /// Addresses that went without our doing, not yet looked at.
    missing: BTreeSet<AddressKey>,
}

/// One instance.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) machine: Machine,
    pub(super) receiver: Receiver,
    /// The deadline under which it stands in the engine's timers.
    pub(super) timer: Option<Time>,
    pub(super) ready: Ready,
    /// Of most instances nobody ever takes an address.
    losses: Option<Box<Losses>>,
    /// What it reads, its group's trackers included.
    pub(super) tracked: Arc<[Tracked]>,
    /// The last change of its state.
    pub(super) entered: Option<Entered>,
    /// The last advert that was believed, and when.
    pub(super) heard: Option<Box<(Heard, Time)>>,
    /// Its sync group, by its number in the engine.
    pub(super) group: Option<usize>,
    /// `track_group`s that it is in.
    pub(super) track_groups: Vec<String>,
    /// When the next round of `garp_extra_if` is.
    pub(super) extra_at: Option<Time>,
    pub(super) lease: Lease,
    /// As its machine was leaving when last asked.
    pub(super) leaving: bool,
    /// It is not in the configuration any more and only holds its addresses for a successor.
    pub(super) departed: bool,
}

impl Slot {
    pub(super) fn new(config: Arc<Instance>, start: vrrp::Start, now: Time) -> Slot {
        let sequence = u32::try_from(now.as_nanos() / SEQUENCE_STEP_NS).unwrap_or(u32::MAX / 2);
        Slot {
            machine: Machine::new(config, start),
            receiver: Receiver::new(sequence),
            timer: None,
            ready: Ready::default(),
            losses: None,
            tracked: Arc::default(),
            entered: None,
            heard: None,
            group: None,
            track_groups: Vec::new(),
            extra_at: None,
            lease: Lease::default(),
            leaving: false,
            departed: false,
        }
    }

    pub(super) fn config(&self) -> &Arc<Instance> {
        self.machine.config()
    }

    pub(super) fn reconfigure(&mut self, config: Arc<Instance>, now: Time) {
        if **self.config() != *config {
            self.ready.clear();
            self.receiver.reconfigured();
            self.machine.reconfigure(config, now);
        }
        self.timer = None;
        self.extra_at = None;
    }

    /// Whether it is the instance of that name.
    pub(super) fn is(&self, name: &str) -> bool {
        !self.departed && self.config().name == name
    }

    pub(super) fn state(&self) -> State {
        self.machine.state()
    }

    pub(super) fn role(&self) -> Role {
        match self.machine.state() {
            State::Init => Role::Init,
            State::Backup => Role::Backup,
            State::Master => Role::Master,
            State::Fault => Role::Fault,
        }
    }

    pub(super) fn tracks(&self, fact: &FactName) -> bool {
        self.tracked.iter().any(|tracked| tracked.fact == *fact)
    }

    /// Its addresses on the interfaces that exist now.
    pub(super) fn keys<'a>(
        &'a self,
        kernel: &'a KernelView,
    ) -> impl Iterator<Item = (AddressKey, &'a VirtualAddress)> {
        let config = self.config();
        config.all_vips().filter_map(|vip| {
            let interface = kernel.index_of(device(config, vip)?)?;
            Some((address_key(interface, vip), vip))
        })
    }

    /// Notes that somebody else removed an address; true when it happened too often.
    pub(super) fn note_removal(&mut self, now: Time) -> bool {
        let removals = &mut self.losses.get_or_insert_default().removals;
        removals.retain(|at| now.since(*at) < REMOVALS_WITHIN);
        removals.push(now);
        removals.len() > REMOVALS_MAX
    }

    /// Notes that an address of ours went without our doing, to be looked at.
    pub(super) fn note_missing(&mut self, key: AddressKey) {
        self.losses.get_or_insert_default().missing.insert(key);
    }

    /// Those that were noted since.
    pub(super) fn take_missing(&mut self) -> BTreeSet<AddressKey> {
        let losses = self.losses.as_mut();
        losses.map_or_else(BTreeSet::new, |losses| std::mem::take(&mut losses.missing))
    }
}

/// Where a VIP is set; `None` only for one without `dev` of an instance without `interface`, which the
/// configuration does not make.
pub(super) fn device<'a>(
    config: &'a Instance,
    vip: &'a VirtualAddress,
) -> Option<&'a InterfaceName> {
    let placed = vip.vmac.as_ref().or(vip.dev.as_ref());
    placed.or(config.interface.as_ref())
}

/// Links that matter to an instance, beside those that it tracks.
fn watched(config: &Instance) -> impl Iterator<Item = &InterfaceName> {
    config
        .all_vips()
        .flat_map(|vip| vip.dev.iter().chain(&vip.vmac))
        .chain(routes::links(&config.more.routes, &config.more.rules))
        .chain(&config.interface)
        .chain(config.own_link())
}

impl Failover {
    /// Feeds one event to one machine and turns what it wants into actions.
    pub(super) fn drive(
        &mut self,
        index: usize,
        input: vrrp::Input,
        now: Time,
        out: &mut Vec<Action>,
    ) {
        let of_priority = self.tells_priority(index);
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let mut wanted = Vec::new();
        let before = (slot.machine.state(), slot.machine.wants_master());
        slot.machine.handle(input, now, &mut wanted);
        let group = slot.group;
        if let Some(group) = group
            && before != (slot.machine.state(), slot.machine.wants_master())
        {
            self.stirred.insert(group);
        }
        let (mut rogue, mut healed) = (false, false);
        let changes = notices::of(slot, &wanted, of_priority);
        for action in wanted {
            if let vrrp::Action::Note(note) = &action {
                rogue |= matches!(note, vrrp::Note::LowerPriorityHeard { .. });
                healed |= matches!(note, vrrp::Note::SplitHealed(_));
            }
            self.carry_out(index, action, now, out);
        }
        self.note_leaving(index);
        // Told when it is done: a script may look for the addresses.
        self.tell(index, changes, out);
        if let Some(group) = group.filter(|_| healed) {
            self.tell_split_healed(group, now, out);
        }
        self.retime(index);
        self.time_lease(index, now);
        if let Some(group) = group.filter(|_| rogue) {
            self.announce_others(group, index, now, out);
        }
    }

    /// Puts the slot's deadline where the engine looks for it.
    pub(super) fn retime(&mut self, index: usize) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let next = slot.machine.next_deadline().map(|(at, _)| at);
        if slot.timer == next {
            return;
        }
        if let Some(old) = slot.timer {
            self.timers.remove(&(old, TimerOf::Slot(index)));
        }
        if let Some(next) = next {
            self.timers.insert((next, TimerOf::Slot(index)));
        }
        slot.timer = next;
    }

    fn carry_out(&mut self, index: usize, action: vrrp::Action, now: Time, out: &mut Vec<Action>) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let instance = slot.config().name.clone();
        match action {
            vrrp::Action::SendAdvert { priority } => {
                adverts::send(slot, &self.kernel, priority, out)
            }
            vrrp::Action::Hold => self.hold(index, now, out),
            vrrp::Action::Probe => self.probe(index),
            vrrp::Action::Release => self.release(index, out),
            vrrp::Action::Announce { repeat } => self.announce(index, repeat),
            vrrp::Action::Entered { from, to, reason } => {
                slot.receiver.forget();
                slot.entered = Some(Entered {
                    at: now,
                    from,
                    reason: reason.clone(),
                });
                let counters = &mut slot.receiver.own;
                counters.become_master += u64::from(to == State::Master);
                counters.release_master += u64::from(from == State::Master);
                self.roles_changed = true;
                let ended = (from == State::Master).then(|| self.kernel.beat(slot.config()));
                if let Some(Some(beat)) = ended {
                    out.push(Action::Ended(beat));
                }
                out.push(Action::Event(Event::State {
                    instance,
                    from,
                    to,
                    reason,
                }));
                if from == State::Master {
                    self.stop_announcing(index);
                }
                self.time_extra_announcements(index, now);
            }
            vrrp::Action::Note(note) => {
                out.push(Action::Event(Event::Note { instance, note }));
            }
        }
    }

    /// An instance goes with a reload: goodbye to the others, the addresses are the caller's.
    pub(super) fn say_goodbye(&mut self, slot: &mut Slot, now: Time, out: &mut Vec<Action>) {
        let mut wanted = Vec::new();
        let farewell = notices::farewell(slot);
        slot.machine.handle(vrrp::Input::Stop, now, &mut wanted);
        for action in wanted {
            if let vrrp::Action::SendAdvert { priority } = action {
                adverts::send(slot, &self.kernel, priority, out);
            }
        }
        slot.departed = true;
        slot.timer = None;
        out.push(Action::Event(Event::InstanceGone {
            instance: slot.config().name.clone(),
        }));
        out.extend(farewell);
    }

    /// (Re)builds what finds a slot: by packet and by deadline.
    pub(super) fn index_slots(&mut self) {
        self.index_by_wire();
        let vips = self.slots.iter().flat_map(|slot| slot.config().all_vips());
        self.kernel
            .set_vips(vips.map(|vip| vip.cidr.addr()).collect());
        let tracked = self
            .config
            .instances
            .iter()
            .flat_map(|i| &i.more.track_interfaces);
        let groups = self.config.sync_groups.iter();
        let tracked = tracked.chain(groups.flat_map(|group| &group.track_interfaces));
        self.watched = self
            .slots
            .iter()
            .flat_map(|slot| watched(slot.config()))
            .chain(tracked.map(|tracked| &tracked.interface))
            .chain(super::statics::tracked_links(&self.config))
            .cloned()
            .collect();
        let mut seen = BTreeSet::new();
        let keys = self
            .slots
            .iter()
            .flat_map(|slot| slot.keys(&self.kernel).map(|(key, _)| key));
        self.shared = keys.filter(|key| !seen.insert(*key)).collect();
        for index in 0..self.slots.len() {
            self.retime(index);
        }
        self.index_routing();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_thousands_so_each_is_small() {
        let bytes = size_of::<Slot>();
        assert!(
            bytes <= 480,
            "{bytes} bytes: box what most instances do not have"
        );
    }
}
