//! Leaving so that nothing is dropped: the others are told first, and the addresses answer here until
//! somebody else answers for them.
//!
//! A new master sends an advert, sets the addresses and announces them, in this order. Until its
//! announcement is on the wire the neighbours send to us; whoever lets go earlier drops what they send.

use std::time::Duration;

use super::Machine;
use crate::config::model::Preempt;
use crate::time::Time;
use crate::units::Version;
use crate::vrrp::event::{Action, Heard, Reason, State};
use crate::vrrp::timers::Timer;

/// How long after its first advert a new master's announcement is waited for.
pub const ANNOUNCED_WITHIN: Duration = Duration::from_millis(50);
/// What is added to the worst skew: the others may be late.
const HOLD_MARGIN: Duration = Duration::from_millis(200);
/// The longest that addresses are kept for nobody.
const HOLD_MAX: Duration = Duration::from_secs(5);

/// How long addresses are kept after the goodbye while nobody is heard: until the router with the lowest
/// priority would have taken over, whose skew is 1 s (RFC 3768 section 6.1) or one interval (RFC 9568
/// section 6.1), and a little more.
pub fn hold_time(version: Version, interval: Duration) -> Duration {
    let skew = match version {
        Version::V2 => Duration::from_secs(1),
        Version::V3 => interval,
    };
    (skew + HOLD_MARGIN).min(HOLD_MAX)
}

/// Not master any more, and the addresses still answer here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    /// The goodbye was said and nobody has taken over yet; what happens if nobody does.
    Alone(IfNobody),
    /// The new master was heard; its announcement was not.
    Followed,
    /// Somebody with a better right became master without our goodbye.
    Beaten,
}

impl Leaving {
    /// The same, without a way back.
    fn for_good(self) -> Leaving {
        match self {
            Leaving::Alone(_) => Leaving::Alone(IfNobody::LetGo),
            followed => followed,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IfNobody {
    LetGo,
    TakeBack,
}

impl Machine {
    /// Whether the addresses are only held until somebody else answers for them.
    pub fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }

    /// Whether it was asked to yield until further notice.
    pub fn stands_by(&self) -> bool {
        self.standby
    }

    /// What it does about a master with a lower priority.
    pub(super) fn preempt(&self) -> Preempt {
        if self.lets_be {
            Preempt::Never
        } else {
            self.config.preempt
        }
    }

    /// The daemon stops, or the instance goes: what was said and done stays so.
    pub(super) fn on_stop(&mut self, now: Time, out: &mut Vec<Action>) {
        self.stopped = true;
        self.timers.clear_all();
        if self.state == State::Master {
            out.push(Action::SendAdvert { priority: 0 });
            self.hold_on(Leaving::Alone(IfNobody::LetGo), now);
        } else if let Some(leaving) = self.leaving {
            self.hold_on(leaving.for_good(), now);
        }
        self.drop_kept(out);
        self.state = State::Init;
    }

    /// Leaves the addresses to the others, on purpose.
    pub(super) fn on_yield(&mut self, reason: Reason, now: Time, out: &mut Vec<Action>) {
        if self.state == State::Master {
            self.yield_to_others(reason, IfNobody::LetGo, now, out);
        }
    }

    /// Hands the addresses to whoever takes them, once. Whoever does is let be, even with a lower
    /// priority, until it falls silent or leaves. If nobody does, it goes on as master.
    pub(super) fn on_hand_over(&mut self, now: Time, out: &mut Vec<Action>) {
        if self.state == State::Master {
            self.yield_to_others(Reason::HandedOver, IfNobody::TakeBack, now, out);
            self.lets_be = true;
        }
    }

    /// Yields and stays yielded, or takes part again.
    pub(super) fn on_standby(&mut self, on: bool, now: Time, out: &mut Vec<Action>) {
        if on == self.standby {
            return;
        }
        self.standby = on;
        self.claim_reason = None;
        match self.state {
            State::Master if on => {
                self.yield_to_others(Reason::Standby, IfNobody::LetGo, now, out);
            }
            // Whatever was waited for in the meantime was not waited for in earnest.
            State::Backup if !on => self.wait_for_master(now),
            State::Backup => self.drop_kept(out),
            State::Init | State::Master | State::Fault => {}
        }
    }

    fn yield_to_others(
        &mut self,
        reason: Reason,
        otherwise: IfNobody,
        now: Time,
        out: &mut Vec<Action>,
    ) {
        out.push(Action::SendAdvert { priority: 0 });
        self.enter_backup(reason, now, out);
        self.hold_on(Leaving::Alone(otherwise), now);
    }

    /// As master it heard somebody with a better right. A router that becomes master announces at once;
    /// one that has been master all along, in the other half of a split, does not.
    pub(super) fn give_way(
        &mut self,
        reason: Reason,
        heard: Heard,
        now: Time,
        out: &mut Vec<Action>,
    ) {
        let stood_still = self.listens;
        self.enter_backup(reason, now, out);
        self.follow(heard, now);
        if stood_still {
            // It has announced long ago.
            out.push(Action::Release);
        } else {
            self.hold_on(Leaving::Beaten, now);
        }
    }

    fn hold_on(&mut self, leaving: Leaving, now: Time) {
        let time = match leaving {
            Leaving::Alone(_) => hold_time(self.config.version, self.config.advert_int.get()),
            Leaving::Followed | Leaving::Beaten => ANNOUNCED_WITHIN,
        };
        self.leaving = Some(leaving);
        self.timers.set(Timer::HoldOver, now + time);
    }

    /// An advert while the addresses are held: from here it takes a moment.
    pub(super) fn successor_heard(&mut self, heard: Heard, now: Time) {
        if heard.priority != 0 && matches!(self.leaving, Some(Leaving::Alone(_))) {
            self.hold_on(Leaving::Followed, now);
        }
    }

    /// Somebody else answers for every address.
    pub(super) fn on_taken_over(&mut self, out: &mut Vec<Action>) {
        if self.leaving.is_some() {
            self.let_go(out);
        }
    }

    /// Enough was waited.
    pub(super) fn on_hold_over(&mut self, now: Time, out: &mut Vec<Action>) {
        match self.leaving {
            Some(Leaving::Alone(IfNobody::TakeBack)) if !self.standby => {
                // In a group the others are at the same point.
                self.hold_on(Leaving::Followed, now);
                self.claim(Reason::NobodyTookOver, now, out);
                return;
            }
            // Not announced: both were master. Hearing us, the other announces again, and neighbours
            // that still send to us learn where the addresses are.
            Some(Leaving::Beaten) if !self.stopped => self.send_advert(out),
            _ => {}
        }
        self.let_go(out);
    }

    /// Lets go of addresses at once, whatever was waited for.
    pub(super) fn let_go(&mut self, out: &mut Vec<Action>) {
        self.leaving = None;
        self.timers.clear(Timer::HoldOver);
        out.push(Action::Release);
    }

    /// What a predecessor left is not kept any longer.
    pub(super) fn drop_kept(&mut self, out: &mut Vec<Action>) {
        if std::mem::take(&mut self.keeps_addresses) {
            out.push(Action::Release);
        }
    }
}
