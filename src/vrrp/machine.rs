//! One virtual router's state: Init, Backup, Master, Fault.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::config::model::{InitialState, Instance, Preempt};
use crate::time::Time;
use crate::units::Priority;

use super::event::{Action, Heard, Input, Note, Reason, Standing, Start, State};
use super::timers::{Timer, Timers, master_down_interval, skew_time};

/// The state machine of one virtual router.
#[derive(Clone, Debug)]
pub struct Machine {
    config: Arc<Instance>,
    start: Start,
    state: State,
    priority: Priority,
    source: Option<IpAddr>,
    /// Interval of the master heard last, else our own (RFC 9568: Master_Adver_Interval).
    master_interval: Duration,
    timers: Timers,
    announce_again: u32,
    /// Backup: when `preempt_delay` is over.
    preempt_at: Option<Time>,
    preempt_noted: bool,
    may_claim: bool,
    /// In a sync group: [`Input::Claim`] makes it master.
    in_group: bool,
    claim_reason: Option<Reason>,
    /// Addresses of a predecessor, kept while nobody else is heard.
    keeps_addresses: bool,
    last_heard: Option<Heard>,
    /// Master: when a lower priority or a goodbye was last answered.
    answered: Option<Time>,
    /// Master: it stood still for long and listens before it speaks again.
    listens: bool,
}

/// What is added to an interval for those who are late, when a router that stood still listens.
const LISTEN_MARGIN: Duration = Duration::from_millis(100);

/// Adverts that want an answer are answered at most this often in an interval, however many come.
const ANSWERS_PER_INTERVAL: u32 = 4;

impl Machine {
    /// A machine in [`State::Init`]; [`Input::Standing`] sets it going.
    pub fn new(config: Arc<Instance>, start: Start) -> Machine {
        Machine {
            start,
            state: State::Init,
            priority: config.priority,
            source: None,
            master_interval: config.advert_int.get(),
            timers: Timers::default(),
            announce_again: 0,
            preempt_at: None,
            preempt_noted: false,
            may_claim: false,
            in_group: false,
            claim_reason: None,
            keeps_addresses: start != Start::Fresh,
            last_heard: None,
            answered: None,
            listens: false,
            config,
        }
    }

    /// The state.
    pub fn state(&self) -> State {
        self.state
    }

    /// The priority that counts, weights included.
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// The address that it last spoke from.
    pub fn source(&self) -> Option<IpAddr> {
        self.source
    }

    /// Whether it is master, or would be if its sync group were.
    pub fn wants_master(&self) -> bool {
        let claims = self.may_claim && self.claim_reason.is_some();
        self.state == State::Master || (self.state == State::Backup && claims)
    }

    /// Who was heard last, if anybody.
    pub fn last_heard(&self) -> Option<Heard> {
        self.last_heard
    }

    /// Whether the addresses should be on their interfaces.
    pub fn holds_addresses(&self) -> bool {
        self.state == State::Master || self.keeps_addresses
    }

    /// What it was configured as.
    pub fn config(&self) -> &Arc<Instance> {
        &self.config
    }

    /// Takes over a changed configuration of the same instance. The state stays; timers that depend on
    /// what changed start again from `now`.
    pub fn reconfigure(&mut self, config: Arc<Instance>, now: Time) {
        let timing_changed = config.advert_int != self.config.advert_int
            || config.down_timer_adverts != self.config.down_timer_adverts;
        self.config = config;
        if timing_changed {
            self.master_interval = self.config.advert_int.get();
            match self.state {
                State::Master => self.timers.set(Timer::Advert, now + self.master_interval),
                State::Backup => self.wait_for_master(now),
                State::Init | State::Fault => {}
            }
        }
    }

    /// When to call with [`Input::Timer`].
    pub fn next_deadline(&self) -> Option<(Time, Timer)> {
        self.timers.next()
    }

    /// Handles one event; appends what to do.
    pub fn handle(&mut self, input: Input, now: Time, out: &mut Vec<Action>) {
        self.notice_stall(now, out);
        match input {
            Input::Timer => {
                while let Some((timer, due)) = self.timers.take_due(now) {
                    self.on_timer(timer, due, now, out);
                }
            }
            Input::Heard(heard) => self.on_heard(heard, now, out),
            Input::Standing(standing) => self.on_standing(standing, now, out),
            Input::WeightSum(sum) => self.on_weight_sum(sum, out),
            Input::Source(source) => self.source = Some(source),
            Input::MayClaim => {
                self.may_claim = true;
                if !self.in_group {
                    self.take_claim(now, out);
                }
            }
            Input::InGroup(in_group) => {
                self.in_group = in_group;
                if !in_group && self.may_claim {
                    self.take_claim(now, out);
                }
            }
            Input::Claim => self.take_claim(now, out),
            Input::Reannounce => {
                let garp = self.config.garp;
                if self.state == State::Master {
                    self.announce(garp.lower_prio_repeat, garp.lower_prio_delay, now, out);
                }
            }
            Input::Yield(reason) => {
                if self.state == State::Master {
                    out.push(Action::SendAdvert { priority: 0 });
                    self.enter_backup(reason, now, out);
                }
            }
            Input::Stop => self.on_stop(out),
        }
    }

    /// A stall is no election. Whoever finds its deadline past by more than the time after which a master
    /// is taken for dead stood still (a stopped process, a paused guest), and so heard nothing: it
    /// listens first.
    fn notice_stall(&mut self, now: Time, out: &mut Vec<Action>) {
        let timer = match self.state {
            State::Master => Timer::Advert,
            State::Backup => Timer::MasterDown,
            State::Init | State::Fault => return,
        };
        let Some(late) = self.timers.at(timer).map(|due| now.since(due)) else {
            return;
        };
        if late <= self.master_down() {
            return;
        }
        out.push(Action::Note(Note::Overslept(late)));
        let listen_until = now + self.config.advert_int.get() + LISTEN_MARGIN;
        self.timers.set(timer, listen_until);
        self.timers.clear(Timer::AnnounceAgain);
        self.listens = self.state == State::Master;
    }

    fn on_timer(&mut self, timer: Timer, due: Time, now: Time, out: &mut Vec<Action>) {
        match timer {
            Timer::Advert => {
                self.send_advert(out);
                // From the due time, so that lateness does not add up; but never a burst to catch up.
                let interval = self.config.advert_int.get();
                let next = due + interval;
                self.timers.set(
                    Timer::Advert,
                    if next > now { next } else { now + interval },
                );
                if std::mem::take(&mut self.listens) {
                    out.push(Action::Announce {
                        repeat: self.config.garp.master_repeat,
                    });
                }
            }
            Timer::MasterDown => {
                let reason = match self.last_heard {
                    Some(heard) if heard.priority == 0 => Reason::MasterLeft(heard.source),
                    Some(heard) if self.preempt_noted => Reason::Preempts {
                        source: heard.source,
                        theirs: heard.priority,
                        ours: self.priority.get(),
                    },
                    _ => Reason::Silence(self.master_down()),
                };
                self.claim(reason, now, out);
            }
            Timer::AnnounceAgain => out.push(Action::Announce {
                repeat: self.announce_again,
            }),
            Timer::AnnounceRefresh => {
                let garp = self.config.garp;
                out.push(Action::Announce {
                    repeat: garp.master_refresh_repeat,
                });
                self.timers
                    .set(Timer::AnnounceRefresh, now + garp.master_refresh);
            }
        }
    }

    fn on_heard(&mut self, heard: Heard, now: Time, out: &mut Vec<Action>) {
        match self.state {
            State::Init => self.give_up_kept(heard, out),
            State::Fault => {}
            State::Backup => self.on_heard_as_backup(heard, now, out),
            State::Master => self.on_heard_as_master(heard, now, out),
        }
        self.last_heard = Some(heard);
    }

    /// RFC 3768 section 6.4.2.
    fn on_heard_as_backup(&mut self, heard: Heard, now: Time, out: &mut Vec<Action>) {
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
        match self.config.preempt {
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
            self.enter_backup(reason, now, out);
            self.follow(heard, now);
            return;
        }
        if self.listens && self.config.preempt != Preempt::After(Duration::ZERO) {
            self.enter_backup(Reason::Overslept(heard.source), now, out);
            self.follow(heard, now);
            return;
        }
        if !self.may_answer(now) {
            return;
        }
        // keepalived: a lower priority is answered at once, so that its sender yields, and the
        // neighbours are told again, since it has told them otherwise.
        out.push(Action::Note(Note::LowerPriorityHeard {
            source: heard.source,
            theirs: heard.priority,
            ours,
        }));
        if !self.config.lower_prio_no_advert {
            self.send_advert(out);
            self.timers
                .set(Timer::Advert, now + self.config.advert_int.get());
        }
        let garp = self.config.garp;
        self.announce(garp.lower_prio_repeat, garp.lower_prio_delay, now, out);
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

    fn on_standing(&mut self, standing: Standing, now: Time, out: &mut Vec<Action>) {
        match standing {
            // Nothing spoke against it a moment ago, and others will not wait for our scripts.
            Standing::Waiting if self.state == State::Init && self.start == Start::Resume => {
                self.begin(now, out);
            }
            Standing::Waiting => {}
            Standing::Able => match self.state {
                State::Init => self.begin(now, out),
                State::Fault => self.enter_backup(Reason::FaultsCleared, now, out),
                State::Backup | State::Master => {}
            },
            Standing::Faulty(faults) => {
                if self.state == State::Fault {
                    return;
                }
                if self.state == State::Master {
                    self.leave_master(out);
                } else if self.keeps_addresses {
                    out.push(Action::Release);
                }
                self.keeps_addresses = false;
                self.timers.clear_all();
                self.claim_reason = None;
                self.preempt_at = None;
                self.enter(State::Fault, Reason::Faults(faults), out);
            }
        }
    }

    fn begin(&mut self, now: Time, out: &mut Vec<Action>) {
        let owner = self.priority.is_owner() && self.config.state == InitialState::Master;
        if self.start == Start::Resume {
            self.may_claim = true; // what stands behind the addresses has been serving all along
            self.become_master(Reason::Resumed, now, out);
        } else if owner {
            self.enter(State::Backup, Reason::Started, out);
            self.claim(Reason::Owner, now, out);
        } else {
            let kept = self.keeps_addresses;
            self.enter_backup(Reason::Started, now, out);
            self.keeps_addresses = kept;
        }
    }

    fn on_weight_sum(&mut self, sum: i32, out: &mut Vec<Action>) {
        let priority = self.config.priority.weighted(sum);
        if priority != self.priority {
            out.push(Action::Note(Note::PriorityChanged {
                from: self.priority.get(),
                to: priority.get(),
            }));
            self.priority = priority;
        }
    }

    /// What it waited for to become master has come.
    fn take_claim(&mut self, now: Time, out: &mut Vec<Action>) {
        if let Some(reason) = self.claim_reason.take()
            && self.state == State::Backup
        {
            self.become_master(reason, now, out);
        }
    }

    fn on_stop(&mut self, out: &mut Vec<Action>) {
        if self.state == State::Master {
            self.leave_master(out);
        } else if self.keeps_addresses {
            out.push(Action::Release);
        }
        self.keeps_addresses = false;
        self.timers.clear_all();
        self.state = State::Init;
    }

    /// Whether we would win against this priority (which is not 0).
    fn outranks(&self, theirs: u8) -> bool {
        theirs < self.priority.get()
    }

    /// The master lives: wait for its next advert.
    fn follow(&mut self, heard: Heard, now: Time) {
        self.master_interval = heard.interval;
        self.claim_reason = None;
        self.wait_for_master(now);
    }

    fn wait_for_master(&mut self, now: Time) {
        self.timers.set(Timer::MasterDown, now + self.master_down());
    }

    fn master_down(&self) -> Duration {
        master_down_interval(
            self.config.version,
            self.priority,
            self.master_interval,
            self.config.down_timer_adverts,
        )
    }

    fn claim(&mut self, reason: Reason, now: Time, out: &mut Vec<Action>) {
        if self.may_claim && !self.in_group {
            self.become_master(reason, now, out);
            return;
        }
        if !self.may_claim {
            out.push(Action::Note(Note::WaitsToClaim));
        }
        self.claim_reason = Some(reason);
    }

    fn become_master(&mut self, reason: Reason, now: Time, out: &mut Vec<Action>) {
        self.timers.clear_all();
        self.preempt_at = None;
        self.preempt_noted = false;
        self.keeps_addresses = false;
        self.answered = None;
        self.listens = false;
        self.master_interval = self.config.advert_int.get();
        // The advert is first: it is what keeps the others from claiming too (RFC 3768 section 6.4.1).
        self.send_advert(out);
        self.enter(State::Master, reason, out);
        out.push(Action::Hold);
        let garp = self.config.garp;
        self.announce(garp.master_repeat, garp.master_delay, now, out);
        self.timers
            .set(Timer::Advert, now + self.config.advert_int.get());
        if !garp.master_refresh.is_zero() {
            self.timers
                .set(Timer::AnnounceRefresh, now + garp.master_refresh);
        }
    }

    /// Says goodbye and lets the addresses go.
    fn leave_master(&mut self, out: &mut Vec<Action>) {
        out.push(Action::SendAdvert { priority: 0 });
        out.push(Action::Release);
    }

    fn enter_backup(&mut self, reason: Reason, now: Time, out: &mut Vec<Action>) {
        let was_master = self.state == State::Master;
        self.timers.clear_all();
        self.preempt_at = None;
        self.preempt_noted = false;
        self.keeps_addresses = false;
        self.claim_reason = None;
        self.listens = false;
        self.master_interval = self.config.advert_int.get();
        self.enter(State::Backup, reason, out);
        if was_master {
            out.push(Action::Release);
        }
        self.wait_for_master(now);
    }

    fn enter(&mut self, to: State, reason: Reason, out: &mut Vec<Action>) {
        let from = self.state;
        self.state = to;
        out.push(Action::Entered { from, to, reason });
    }

    fn send_advert(&self, out: &mut Vec<Action>) {
        out.push(Action::SendAdvert {
            priority: self.priority.get(),
        });
    }

    /// Now, and once more after `delay` unless that is zero.
    fn announce(&mut self, repeat: u32, delay: Duration, now: Time, out: &mut Vec<Action>) {
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

#[cfg(test)]
mod tests;
