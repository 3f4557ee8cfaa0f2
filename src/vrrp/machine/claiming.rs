//! Becoming master, and telling the neighbours.

use std::time::Duration;

use super::Machine;
use crate::config::model::InitialState;
use crate::time::Time;
use crate::vrrp::event::{Action, Note, Reason, Start, State};
use crate::vrrp::timers::Timer;

impl Machine {
    pub(super) fn begin(&mut self, now: Time, out: &mut Vec<Action>) {
        if self.standby {
            self.drop_kept(out);
            self.enter_backup(Reason::Started, now, out);
        } else if self.start == Start::Resume {
            self.may_claim = true; // what stands behind the addresses has been serving all along
            self.become_master(Reason::Resumed, now, out);
        } else {
            let kept = self.keeps_addresses;
            self.enter_backup(Reason::Started, now, out);
            self.keeps_addresses = kept;
            self.claim_as_owner(now, out);
        }
    }

    /// A router that owns the addresses and is to be master does not wait for others (RFC 3768 section
    /// 6.4.1).
    pub(super) fn claim_as_owner(&mut self, now: Time, out: &mut Vec<Action>) {
        if !self.priority.is_owner() || self.config.state != InitialState::Master {
            return;
        }
        if now < self.deaf_until {
            self.timers.set(Timer::MasterDown, self.deaf_until);
        } else {
            self.timers.clear(Timer::MasterDown);
            self.claim(Reason::Owner, now, out);
        }
    }

    pub(super) fn on_may_claim(&mut self, now: Time, out: &mut Vec<Action>) {
        self.may_claim = true;
        if !self.in_group {
            self.take_claim(now, out);
        }
    }

    pub(super) fn on_in_group(&mut self, in_group: bool, now: Time, out: &mut Vec<Action>) {
        self.in_group = in_group;
        if !in_group && self.may_claim {
            self.take_claim(now, out);
        }
    }

    /// What it waited for to become master has come.
    pub(super) fn take_claim(&mut self, now: Time, out: &mut Vec<Action>) {
        if let Some(reason) = self.claim_reason.take()
            && self.state == State::Backup
        {
            self.become_master(*reason, now, out);
        }
    }

    pub(super) fn time_refresh(&mut self, now: Time) {
        let every = self.config.garp.master_refresh;
        if every.is_zero() {
            self.timers.clear(Timer::AnnounceRefresh);
        } else {
            self.timers.set(Timer::AnnounceRefresh, now + every);
        }
    }

    /// A member of its group heard a lower priority.
    pub(super) fn on_reannounce(&mut self, now: Time, out: &mut Vec<Action>) {
        let garp = *self.config.garp;
        if self.state == State::Master {
            self.announce(garp.lower_prio_repeat, garp.lower_prio_delay, now, out);
        }
    }

    pub(super) fn claim(&mut self, reason: Reason, now: Time, out: &mut Vec<Action>) {
        if self.standby {
            out.push(Action::Note(Note::StandsBy));
            return;
        }
        if self.may_claim && !self.in_group {
            self.become_master(reason, now, out);
            return;
        }
        if !self.may_claim {
            out.push(Action::Note(Note::WaitsToClaim));
        }
        self.claim_reason = Some(Box::new(reason));
        self.wait_for_master(now);
    }

    pub(super) fn become_master(&mut self, reason: Reason, now: Time, out: &mut Vec<Action>) {
        self.timers.clear_all();
        self.preempt_at = None;
        self.preempt_noted = false;
        self.keeps_addresses = false;
        self.answered = None;
        self.listens = false;
        self.leaving = None;
        self.lets_be = false;
        self.rogue = None;
        self.master_interval = self.config.advert_int.get();
        let unheard = matches!(reason, Reason::Silence(_) | Reason::Owner);
        // The advert is first: it is what keeps the others from claiming too (RFC 3768 section 6.4.1).
        self.send_advert(out);
        self.enter(State::Master, reason, out);
        out.push(Action::Hold);
        if unheard && self.config.garp.probe {
            out.push(Action::Probe);
        }
        let garp = *self.config.garp;
        self.announce(garp.master_repeat, garp.master_delay, now, out);
        self.timers
            .set(Timer::Advert, now + self.config.advert_int.get());
        self.master_since = now;
        self.rogue_heard = None;
        self.time_refresh(now);
    }

    /// It stood still, has listened, and has said that it is master still: it is, with everything that
    /// belongs to it. What went while it stood still (`vip_lease`) was not set before.
    pub(super) fn go_on(&mut self, out: &mut Vec<Action>) {
        if std::mem::take(&mut self.listens) {
            out.push(Action::Hold);
            out.push(Action::Announce {
                repeat: self.config.garp.master_repeat,
            });
        }
    }

    /// Now, and once more after `delay` unless that is zero.
    pub(super) fn announce(
        &mut self,
        repeat: u32,
        delay: Duration,
        now: Time,
        out: &mut Vec<Action>,
    ) {
        if repeat == 0 {
            return;
        }
        out.push(Action::Announce { repeat });
        if delay.is_zero() {
            self.timers.clear(Timer::AnnounceAgain);
        } else {
            self.announce_again = repeat;
            self.timers.set(Timer::AnnounceAgain, now + delay);
        }
    }
}
