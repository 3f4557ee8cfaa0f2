//! `vip_lease`: the kernel removes an address by itself unless it is told again in time. A vipd that hangs
//! or dies so loses its addresses whatever becomes of it; one that runs tells the kernel three times as
//! often as it must.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::config::model::VirtualAddress;
use crate::net::{AddressCommand, AddressKey, AddressSpec};
use crate::time::Time;

use super::slot::Slot;
use super::vip::address_spec;
use super::{Action, Failover, TimerOf};

/// Renewals that leave in one turn; then whatever came in is handled.
pub(super) const PORTION: usize = 64;
/// A lease is renewed when this part of it is over.
const PARTS: u32 = 3;
/// The kernel may be early by two hundredths of a second (ADDRCONF_TIMER_FUZZ_MINUS in
/// include/net/addrconf.h), and later than that to say so.
const EARLY: Duration = Duration::from_millis(50);

/// The lease of one instance.
#[derive(Clone, Debug, Default)]
pub(super) struct Lease {
    /// When it is renewed; under this it stands in the engine's timers.
    renew_at: Option<Time>,
    /// When it ends, if that is known.
    until: Option<Time>,
    /// An address went when the lease was over.
    lapsed: bool,
}

impl Lease {
    fn begin(&mut self, time: Duration, now: Time) {
        self.renew_at = Some(now + time / PARTS);
        self.until = Some(now + time);
    }

    /// An address went that was not taken away by us; whether because the lease was over.
    pub(super) fn note_gone(&mut self, now: Time) -> bool {
        let over = self.until.is_some_and(|until| now + EARLY >= until);
        self.lapsed |= over;
        over
    }

    /// Whether addresses went because it was over; once.
    pub(super) fn take_lapsed(&mut self) -> bool {
        std::mem::take(&mut self.lapsed)
    }
}

impl Slot {
    fn lease_time(&self) -> Option<Duration> {
        self.config().more.settings.vip_lease
    }
}

impl Failover {
    /// What an address of an instance should be. One that two instances name has no lease: either of them
    /// may hold it.
    pub(super) fn spec_of(
        &self,
        slot: &Slot,
        key: &AddressKey,
        vip: &VirtualAddress,
    ) -> AddressSpec {
        address_spec(vip, self.lease_of(slot, key))
    }

    /// For how long an address of an instance is set.
    pub(super) fn lease_of(&self, slot: &Slot, key: &AddressKey) -> Option<Duration> {
        let lease = slot.lease_time();
        lease.filter(|_| !self.shared.contains(key))
    }

    /// Every address of an instance has been set now, with its whole lifetime.
    pub(super) fn begin_lease(&mut self, index: usize, now: Time) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        if let Some(time) = slot.lease_time() {
            if let Some(old) = slot.lease.renew_at {
                self.timers.remove(&(old, TimerOf::Lease(index)));
            }
            slot.lease.begin(time, now);
            self.timers.extend(
                slot.lease
                    .renew_at
                    .map(|renew_at| (renew_at, TimerOf::Lease(index))),
            );
        }
    }

    /// Begins or ends renewing: after each event of a machine. What was there before is renewed at once,
    /// since nobody knows how much of its lifetime is left.
    pub(super) fn time_lease(&mut self, index: usize, now: Time) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let before = slot.lease.renew_at;
        let time = slot.lease_time();
        let held = time.filter(|_| slot.machine.holds_addresses());
        let after = held.map(|time| before.unwrap_or(now).min(now + time / PARTS));
        if before == after {
            return;
        }
        slot.lease.renew_at = after;
        if after.is_none() {
            slot.lease.until = None;
        }
        if let Some(at) = before {
            self.timers.remove(&(at, TimerOf::Lease(index)));
        }
        self.timers
            .extend(after.map(|at| (at, TimerOf::Lease(index))));
    }

    /// After a reload: the slots have other numbers now, and some have other leases.
    pub(super) fn retime_leases(&mut self, now: Time) {
        for index in 0..self.slots.len() {
            self.time_lease(index, now);
            let renew_at = self.slots.get(index).and_then(|slot| slot.lease.renew_at);
            self.timers
                .extend(renew_at.map(|at| (at, TimerOf::Lease(index))));
        }
    }

    /// Renews what is due, in one batch.
    pub(super) fn renew_leases(&mut self, due: &[usize], now: Time, out: &mut Vec<Action>) {
        let mut commands = Vec::new();
        for &index in due {
            let Some(slot) = self.slots.get_mut(index) else {
                continue;
            };
            let over = slot.lease.until.take().is_some_and(|until| now >= until);
            if over {
                // Setting an address that has gone meanwhile would be a claim. The kernel's clock may
                // also have stood still where ours went on (a suspended machine): it is asked, and what
                // is there is renewed in the next turn.
                out.push(Action::LookAgain);
                continue;
            }
            let Some(slot) = self.slots.get(index) else {
                continue;
            };
            let there = slot.keys(&self.kernel);
            let there = there.filter(|(key, _)| self.kernel.has(key) && !self.shared.contains(key));
            commands.extend(
                there.map(|(key, vip)| AddressCommand::Add(key, self.spec_of(slot, &key, vip))),
            );
            self.begin_lease(index, now);
        }
        self.order(commands, out);
    }

    /// Addresses of a master went because it did not run for as long as its lease: nobody took them. It
    /// takes them back, but after a standstill in which another router may have become master it listens
    /// before it does (see `Machine::listens`).
    pub(super) fn on_lapsed(
        &mut self,
        index: usize,
        gone: BTreeSet<AddressKey>,
        now: Time,
        out: &mut Vec<Action>,
    ) {
        let Some(slot) = self.slots.get(index) else {
            return;
        };
        if slot.machine.listens() {
            return;
        }
        let repeat = slot.config().garp.master_repeat;
        self.hold(index, now, out);
        for key in gone {
            self.announce_address(key, repeat);
        }
    }
}
