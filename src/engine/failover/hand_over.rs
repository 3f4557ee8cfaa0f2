//! Handing over: addresses that answer here until somebody else has announced them, and whoever asked
//! for it.

use std::net::IpAddr;

use crate::config::model::VrrpSettings;
use crate::net::{InterfaceIndex, MacAddr};
use crate::time::Time;
use crate::vrrp;

use super::announce::Announcer;
use super::own_links::OwnLinks;
use super::probe::Prober;
use super::{Action, Failover, StopKind, TimerOf};

/// When the election begins on a node that starts `now`.
pub(super) fn deaf_until(settings: &VrrpSettings, now: Time) -> Time {
    let after_start = settings.vrrp_startup_delay.map(|delay| now + delay);
    let after_boot = settings
        .vrrp_delay_after_boot
        .map(|delay| Time::ZERO + delay);
    after_start.max(after_boot).unwrap_or(Time::ZERO)
}

impl Failover {
    /// Keeps in order which addresses are waited for: after each event of a machine.
    pub(super) fn note_leaving(&mut self, index: usize) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let leaving = slot.machine.is_leaving();
        if std::mem::replace(&mut slot.leaving, leaving) == leaving {
            return;
        }
        if leaving {
            let waited = slot
                .keys(&self.kernel)
                .map(|(key, _)| ((key.interface, key.cidr.addr()), index));
            self.leaving.extend(waited);
        } else {
            self.leaving.retain(|_, of| *of != index);
        }
    }

    /// The slots have other numbers now, and some are new.
    pub(super) fn number_leaving(&mut self, now: Time, out: &mut Vec<Action>) {
        self.leaving.clear();
        for index in 0..self.slots.len() {
            if let Some(slot) = self.slots.get_mut(index) {
                slot.leaving = false;
            }
            self.note_leaving(index);
            if self.slots.get(index).is_some_and(|slot| slot.departed) {
                self.stop_announcing(index);
            }
            self.drive(index, vrrp::Input::DeafUntil(self.deaf_until), now, out);
            self.drive(index, vrrp::Input::Standby(self.standby), now, out);
        }
    }

    /// Somebody on the link says that an address is his: if we hold it for him, it goes at once.
    pub(super) fn on_announcement_seen(
        &mut self,
        interface: InterfaceIndex,
        address: IpAddr,
        mac: MacAddr,
        now: Time,
        out: &mut Vec<Action>,
    ) {
        let Some(index) = self.leaving.get(&(interface, address)).copied() else {
            self.on_probe_answered(interface, address, mac, out);
            return;
        };
        // Ours, sent back by the network. A VMAC is the same on both routers, and ours is silent by now.
        let link = self.kernel.link_of(interface);
        if link.is_some_and(|link| link.mac == mac) && !self.is_own_link(interface) {
            return;
        }
        self.leaving.remove(&(interface, address));
        self.release_some(
            index,
            |key| (key.interface, key.cidr.addr()) == (interface, address),
            out,
        );
        if !self.leaving.values().any(|of| *of == index) {
            self.drive(index, vrrp::Input::TakenOver, now, out);
        }
    }

    /// An operator hands one instance over, once, and with it the others of its sync group.
    pub(super) fn on_hand_over(&mut self, instance: &str, now: Time, out: &mut Vec<Action>) {
        let Some(index) = self.slots.iter().position(|slot| slot.is(instance)) else {
            return;
        };
        let group = self.slots.get(index).and_then(|slot| slot.group);
        let members = group.and_then(|group| self.groups.get(group));
        let members = members.map_or_else(|| vec![index], |group| group.members.clone());
        for member in members {
            self.drive(member, vrrp::Input::HandOver, now, out);
        }
    }

    /// Before [`Failover::start`]: whether an operator wanted the node to yield before it was started.
    pub fn begin_in_standby(&mut self, on: bool) {
        self.standby = on;
    }

    /// An operator makes the whole node yield until further notice, or lets it take part again.
    pub(super) fn on_standby(&mut self, on: bool, now: Time, out: &mut Vec<Action>) {
        self.standby = on;
        for index in 0..self.slots.len() {
            self.drive(index, vrrp::Input::Standby(on), now, out);
        }
    }

    /// The daemon ends. Whatever it held is let go as soon as somebody else has it;
    /// [`Action::Released`] follows then.
    pub(super) fn on_stop(&mut self, kind: StopKind, now: Time, out: &mut Vec<Action>) {
        self.stopping = true;
        self.announcer = Announcer::default();
        self.prober = Prober::default();
        self.restore_at = None;
        self.facts_wait_until = None;
        self.delayed.clear();
        self.scripts.clear();
        self.script_index.clear();
        self.ipvs_ready = true;
        let goes_on = |of: &TimerOf| matches!(of, TimerOf::Slot(_) | TimerOf::Lease(_));
        self.timers.retain(|(_, of)| goes_on(of));
        match kind {
            StopKind::Release => {
                for slot in 0..self.slots.len() {
                    self.drive(slot, vrrp::Input::Stop, now, out);
                }
                self.end_sessions(now, out);
            }
            StopKind::Keep => {
                self.own_links = OwnLinks::default();
                self.promoted.clear();
                self.keep_statics();
                self.timers.clear();
                self.leaving.clear();
                for slot in &mut self.slots {
                    slot.leaving = false;
                }
            }
        }
    }

    /// What is to be said once per event: that everything is let go, and whether announcements of others
    /// matter.
    pub(super) fn settle_leaving(&mut self, out: &mut Vec<Action>) {
        self.forget_departed(out);
        let wanted = !self.leaving.is_empty() || self.prober.listens();
        if self.watching != wanted {
            self.watching = wanted;
            out.push(Action::WatchAnnouncements(wanted));
        }
        if self.stopping && !self.released && !self.is_leaving() {
            self.released = true;
            self.end_statics(out);
            self.remove_all_links(out);
            self.end_promotion(out);
            self.tell_stop(out);
            out.push(Action::Released);
        }
    }

    /// Instances that left with a reload are forgotten once the last of them has let go.
    fn forget_departed(&mut self, out: &mut Vec<Action>) {
        let departed = |slot: &super::Slot| slot.departed;
        if !self.slots.iter().any(departed)
            || self.slots.iter().any(|slot| slot.departed && slot.leaving)
        {
            return;
        }
        // They are the last ones: the numbers of the others stay.
        self.slots.retain(|slot| !slot.departed);
        let count = self.slots.len();
        self.timers.retain(|(_, of)| match of {
            TimerOf::Slot(slot) | TimerOf::Extra(slot) | TimerOf::Lease(slot) => *slot < count,
            TimerOf::Script(_) | TimerOf::Bfd(_) => true,
        });
        self.index_slots();
        self.refresh_sockets(out);
        self.remove_stale_links(out);
    }
}
