//! Two routers that both say that they own the addresses (priority 255). One of them is configured
//! wrongly, and no election can tell which.
//!
//! keepalived: the one with the lower address becomes backup at once. The one with the higher address
//! lets the other hear two adverts, and then waits 1.2 intervals; if it hears one more within that time
//! the other will not stop, and it goes down to 254 itself, so that there is one master. It goes back to
//! 255 when it hears somebody else, or another priority.

use std::net::IpAddr;
use std::time::Duration;

use super::Machine;
use crate::time::Time;
use crate::units::Priority;
use crate::vrrp::event::{Action, Heard, Note, Reason};

/// The adverts that the other one is to hear.
const WARNINGS: u8 = 2;

/// How far it is with another owner that it, as master, hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rogue {
    /// So many more adverts are ours to send; the longest interval of the two.
    Warned { adverts: u8, interval: Duration },
    /// It should have stopped; until then its silence is waited for.
    Judged { until: Time },
}

impl Machine {
    /// Whether what others say is not listened to: an owner may be configured so.
    pub(super) fn ignores_adverts(&self) -> bool {
        self.config.owner_ignore_adverts && self.priority.is_owner()
    }

    /// As master, it heard another owner with a lower address. A reason to step down, if there is one.
    pub(super) fn judge_owner(
        &mut self,
        heard: Heard,
        now: Time,
        out: &mut Vec<Action>,
    ) -> Option<Reason> {
        if !self.priority.is_owner() || heard.priority != self.priority.get() {
            return None;
        }
        let interval = heard.interval.max(self.config.advert_int.get());
        match self.rogue {
            Some(Rogue::Judged { until }) if now <= until => {
                self.rogue = None;
                self.stepped_down_for = Some(heard.source);
                self.set_priority(Priority::HIGHEST, out);
                return Some(Reason::OtherOwner(heard.source));
            }
            Some(Rogue::Warned { adverts, .. }) => {
                self.rogue = Some(Rogue::Warned { adverts, interval });
            }
            Some(Rogue::Judged { .. }) | None => {
                out.push(Action::Note(Note::TwoOwners(heard.source)));
                let adverts = WARNINGS;
                self.rogue = Some(Rogue::Warned { adverts, interval });
            }
        }
        None
    }

    /// One of our own adverts has gone out.
    pub(super) fn count_warning(&mut self, now: Time) {
        if let Some(Rogue::Warned { adverts, interval }) = self.rogue {
            let adverts = adverts.saturating_sub(1);
            self.rogue = Some(if adverts == 0 {
                let until = now + interval * 12 / 10;
                Rogue::Judged { until }
            } else {
                Rogue::Warned { adverts, interval }
            });
        }
    }

    /// As backup, after it stepped down: whether the other one is gone.
    pub(super) fn step_up(&mut self, heard: Heard, out: &mut Vec<Action>) {
        let stays =
            |other: IpAddr| other == heard.source && heard.priority == Priority::OWNER.get();
        if self.stepped_down_for.is_some_and(|other| !stays(other)) {
            self.stepped_down_for = None;
            self.set_priority(self.config.priority, out);
        }
    }
}
