//! What an advert of somebody else means, in each state.

use std::time::Duration;

use super::{ANSWERS_PER_INTERVAL, Machine};
use crate::config::model::Preempt;
use crate::time::Time;
use crate::vrrp::event::{Action, Heard, Note, Reason, State};
use crate::vrrp::timers::{Timer, skew_time};

impl Machine {
    pub(super) fn on_heard(&mut self, heard: Heard, now: Time, out: &mut Vec<Action>) {
        if now < self.deaf_until && self.state != State::Master {
            return;
        }
        if self.ignores_adverts() {
            if !std::mem::replace(&mut self.told_ignored, true) {
                out.push(Action::Note(Note::OwnerIgnores(heard.source)));
            }
            return;
        }
        self.successor_heard(heard, now);
        match self.state {
            State::Init => self.give_up_kept(heard, out),
            State::Fault => {}
            State::Backup => self.on_heard_as_backup(heard, now, out),
            State::Master => self.on_heard_as_master(heard, now, out),
        }
        match &mut self.last_heard {
            Some(last) => **last = heard,
            none => *none = Some(Box::new(heard)),
        }
    }

    /// RFC 3768 section 6.4.2.
    fn on_heard_as_backup(&mut self, heard: Heard, now: Time, out: &mut Vec<Action>) {
        self.step_up(heard, out);
        if heard.priority == 0 {
            let skew = skew_time(self.config.version, self.priority, self.master_interval);
            self.timers.set(Timer::MasterDown, now + skew);
            return;
        }
        self.give_up_kept(heard, out);
        if !self.outranks(heard.priority) {
            self.preempt_at = None;
            self.preempt_noted = false;
            self.follow(heard, now);
            return;
        }
        match self.preempt() {
            Preempt::Never => self.follow(heard, now),
            Preempt::After(delay) => {
                // keepalived: the delay begins at the first lower advert; until it is over the lower
                // master is followed, afterwards its adverts no longer hold the timer up.
                let preempt_at = *self.preempt_at.get_or_insert(now + delay);
                if now < preempt_at {
                    self.follow(heard, now);
                } else if !self.preempt_noted {
                    self.preempt_noted = true;
                    out.push(Action::Note(Note::WillPreempt {
                        source: heard.source,
                        theirs: heard.priority,
                        ours: self.priority.get(),
                    }));
                }
            }
        }
    }

    /// Somebody else is master: what a predecessor left is not ours any more.
    fn give_up_kept(&mut self, heard: Heard, out: &mut Vec<Action>) {
        if self.keeps_addresses && heard.priority != 0 {
            self.keeps_addresses = false;
            out.push(Action::Note(Note::KeptAddressesReleased(heard.source)));
            out.push(Action::Release);
        }
    }

    /// RFC 3768 section 6.4.3.
    fn on_heard_as_master(&mut self, heard: Heard, now: Time, out: &mut Vec<Action>) {
        let ours = self.priority.get();
        if heard.priority == 0 {
            if !self.may_answer(now) {
                return;
            }
            self.send_advert(out);
            self.go_on(out);
            self.timers
                .set(Timer::Advert, now + self.config.advert_int.get());
            return;
        }
        let tie_lost =
            heard.priority == ours && self.source.is_some_and(|source| heard.source > source);
        if heard.priority > ours || tie_lost {
            if self.config.higher_prio_send_advert {
                self.send_advert(out);
            }
            let reason = if tie_lost {
                Reason::HigherAddress(heard.source)
            } else {
                Reason::HigherPriority {
                    source: heard.source,
                    theirs: heard.priority,
                    ours,
                }
            };
            self.give_way(reason, heard, now, out);
            return;
        }
        if self.listens && self.config.preempt != Preempt::After(Duration::ZERO) {
            self.give_way(Reason::Overslept(heard.source), heard, now, out);
            return;
        }
        self.note_split(heard, now, out);
        if let Some(reason) = self.judge_owner(heard, now, out) {
            self.give_way(reason, heard, now, out);
            return;
        }
        if !self.may_answer(now) {
            return;
        }
        // RFC 9568 section 6.4.3 and keepalived: a lower priority is answered at once, so that its sender
        // yields; the adverts of every interval are not put off by it, as they are by a goodbye. The
        // neighbours are told again, since it has told them otherwise.
        out.push(Action::Note(Note::LowerPriorityHeard {
            source: heard.source,
            theirs: heard.priority,
            ours,
        }));
        if !self.config.lower_prio_no_advert {
            self.send_advert(out);
            self.go_on(out);
            self.count_warning(now);
        }
        let garp = *self.config.garp;
        self.announce(garp.lower_prio_repeat, garp.lower_prio_delay, now, out);
    }

    /// Two routers were master: the network was split, and is not any more. Told once for each split. A
    /// router that has become master just now may cross the last advert of the one before it.
    fn note_split(&mut self, heard: Heard, now: Time, out: &mut Vec<Action>) {
        let before = self.rogue_heard.replace(now).unwrap_or(self.master_since);
        if now.since(before) > self.master_down() {
            out.push(Action::Note(Note::SplitHealed(heard.source)));
        }
    }

    /// Whether an advert is answered now. One answer is for everybody who hears it; a flood of adverts
    /// must not become a flood of ours.
    fn may_answer(&mut self, now: Time) -> bool {
        let pause = self.config.advert_int.get() / ANSWERS_PER_INTERVAL;
        let may = self.answered.is_none_or(|at| now.since(at) >= pause);
        if may {
            self.answered = Some(now);
        }
        may
    }

    /// Whether we would win against this priority (which is not 0).
    fn outranks(&self, theirs: u8) -> bool {
        theirs < self.priority.get()
    }

    /// The master lives: wait for its next advert.
    pub(super) fn follow(&mut self, heard: Heard, now: Time) {
        self.master_interval = heard.interval;
        self.claim_reason = None;
        self.wait_for_master(now);
    }
}
