//! One virtual router's state: Init, Backup, Master, Fault.

mod claiming;
mod hearing;
mod leaving;
mod owner;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::config::model::Instance;
use crate::time::Time;
use crate::units::Priority;

use super::event::{Action, Heard, Input, Note, Reason, Standing, Start, State};
use super::timers::{Timer, Timers, master_down_interval, skew_time};
use leaving::Leaving;
pub use leaving::{ANNOUNCED_WITHIN, hold_time};
use owner::Rogue;

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
    claim_reason: Option<Box<Reason>>,
    /// Addresses of a predecessor, kept while nobody else is heard.
    keeps_addresses: bool,
    last_heard: Option<Box<Heard>>,
    /// Master: when a lower priority or a goodbye was last answered.
    answered: Option<Time>,
    /// Master: it stood still for long and listens before it speaks again.
    listens: bool,
    /// Not master any more; the addresses answer here until they answer elsewhere.
    leaving: Option<Leaving>,
    /// It was asked to yield and to stay so.
    standby: bool,
    /// It has handed over: the master is not preempted.
    lets_be: bool,
    /// It is not coming back.
    stopped: bool,
    /// Until then it neither listens nor speaks.
    deaf_until: Time,
    /// Master: since when.
    master_since: Time,
    /// Master: when a lower priority was heard last.
    rogue_heard: Option<Time>,
    /// Another owner of the same addresses.
    rogue: Option<Rogue>,
    /// The owner for whom this one went down to 254.
    stepped_down_for: Option<IpAddr>,
    /// It was told that somebody is not listened to.
    told_ignored: bool,
}

/// What is added to an interval for those who are late, when a router that stood still listens; at most
/// one interval more, so that a router of 10 ms is not silent for ten times as long as its backups wait.
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
            leaving: None,
            standby: false,
            lets_be: false,
            stopped: false,
            deaf_until: Time::ZERO,
            master_since: Time::ZERO,
            rogue_heard: None,
            rogue: None,
            stepped_down_for: None,
            told_ignored: false,
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
        self.last_heard.as_deref().copied()
    }

    /// Whether the addresses should be on their interfaces.
    pub fn holds_addresses(&self) -> bool {
        self.state == State::Master || self.keeps_addresses || self.leaving.is_some()
    }

    /// Whether it is a master that stood still for long, and listens before it speaks again.
    pub fn listens(&self) -> bool {
        self.listens
    }

    /// What it was configured as.
    pub fn config(&self) -> &Arc<Instance> {
        &self.config
    }

    /// Takes over a changed configuration of the same instance. The state stays; timers that depend on
    /// what changed start again from `now`.
    pub fn reconfigure(&mut self, config: Arc<Instance>, now: Time) {
        if *config != *self.config {
            self.stepped_down_for = None;
        }
        let timing_changed = config.advert_int != self.config.advert_int
            || config.down_timer_adverts != self.config.down_timer_adverts;
        let refresh_changed = config.garp.master_refresh != self.config.garp.master_refresh;
        self.config = config;
        if refresh_changed && self.state == State::Master {
            self.time_refresh(now);
        }
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
            Input::MayClaim => self.on_may_claim(now, out),
            Input::InGroup(in_group) => self.on_in_group(in_group, now, out),
            Input::Claim => self.take_claim(now, out),
            Input::Reannounce => self.on_reannounce(now, out),
            Input::Yield(reason) => self.on_yield(reason, now, out),
            Input::HandOver => self.on_hand_over(now, out),
            Input::Standby(on) => self.on_standby(on, now, out),
            Input::TakenOver => self.on_taken_over(out),
            Input::DeafUntil(until) => self.deaf_until = until,
            Input::Stop => self.on_stop(now, out),
        }
    }

    /// A stall is no election. Whoever finds its deadline past by more than the time after which a master
    /// is taken for dead stood still (a stopped process, a paused guest), and so heard nothing: it
    /// listens first. A backup listens longer than a master does: both may have stood still together, on
    /// one machine.
    fn notice_stall(&mut self, now: Time, out: &mut Vec<Action>) {
        let timer = match self.state {
            State::Master => Timer::Advert,
            State::Backup => Timer::MasterDown,
            State::Init | State::Fault => return,
        };
        let Some(late) = self.timers.at(timer).map(|due| now.since(due)) else {
            return;
        };
        if self.is_expired(late) {
            self.enter_backup(Reason::TimerExpired(late), now, out);
            out.push(Action::Release);
            return;
        }
        if late <= self.master_down() {
            return;
        }
        out.push(Action::Note(Note::Overslept(late)));
        // What it waited to do may be another's by now.
        self.claim_reason = None;
        let interval = self.config.advert_int.get();
        let listen_until = now + interval + LISTEN_MARGIN.min(interval);
        self.timers.clear(Timer::AnnounceAgain);
        self.listens = self.state == State::Master;
        let until = if self.listens {
            listen_until
        } else {
            listen_until + self.master_down()
        };
        self.timers.set(timer, until);
    }

    /// keepalived: without preemption, a master that is so late that the quickest of the others would be
    /// master by now does not ask whether one is. The last advert was one interval before it was late.
    fn is_expired(&self, late: Duration) -> bool {
        let interval = self.config.advert_int.get();
        let taken_over = |others| interval * 2 + skew_time(self.config.version, others, interval);
        self.state == State::Master
            && self
                .config
                .timer_expired_backup
                .is_some_and(|others| late >= taken_over(others))
    }

    fn on_timer(&mut self, timer: Timer, due: Time, now: Time, out: &mut Vec<Action>) {
        match timer {
            Timer::Advert => {
                self.send_advert(out);
                self.count_warning(now);
                // From the due time, so that lateness does not add up; but never a burst to catch up.
                let interval = self.config.advert_int.get();
                let next = due + interval;
                self.timers.set(
                    Timer::Advert,
                    if next > now { next } else { now + interval },
                );
                self.go_on(out);
            }
            // Not to be master yet; the timer runs on, so that standing still shows meanwhile.
            Timer::MasterDown if self.claim_reason.is_some() => self.wait_for_master(now),
            Timer::MasterDown => {
                let reason = match self.last_heard() {
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
            Timer::HoldOver => self.on_hold_over(now, out),
            Timer::AnnounceAgain => out.push(Action::Announce {
                repeat: self.announce_again,
            }),
            Timer::AnnounceRefresh => {
                out.push(Action::Announce {
                    repeat: self.config.garp.master_refresh_repeat,
                });
                self.time_refresh(now);
            }
        }
    }

    fn on_standing(&mut self, standing: Standing, now: Time, out: &mut Vec<Action>) {
        if self.stopped && !matches!(standing, Standing::Faulty(_)) {
            return;
        }
        match standing {
            // Nothing spoke against it a moment ago, and others will not wait for our scripts.
            Standing::Waiting if self.state == State::Init && self.start == Start::Resume => {
                self.begin(now, out);
            }
            Standing::Waiting => {}
            Standing::Able => match self.state {
                State::Init => self.begin(now, out),
                State::Fault => {
                    self.enter_backup(Reason::FaultsCleared, now, out);
                    self.claim_as_owner(now, out);
                }
                State::Backup | State::Master => {}
            },
            Standing::Faulty(faults) => {
                if self.state == State::Fault {
                    return;
                }
                if self.state == State::Master {
                    out.push(Action::SendAdvert { priority: 0 });
                }
                if self.holds_addresses() {
                    out.push(Action::Release);
                }
                self.keeps_addresses = false;
                self.leaving = None;
                self.lets_be = false;
                self.timers.clear_all();
                if self.stopped {
                    return;
                }
                self.claim_reason = None;
                self.preempt_at = None;
                self.enter(State::Fault, Reason::Faults(faults), out);
            }
        }
    }

    fn on_weight_sum(&mut self, sum: i32, out: &mut Vec<Action>) {
        if self.stepped_down_for.is_none() {
            self.set_priority(self.config.priority.weighted(sum), out);
        }
    }

    fn set_priority(&mut self, priority: Priority, out: &mut Vec<Action>) {
        if priority != self.priority {
            out.push(Action::Note(Note::PriorityChanged {
                from: self.priority.get(),
                to: priority.get(),
            }));
            self.priority = priority;
        }
    }

    fn wait_for_master(&mut self, now: Time) {
        let from = now.max(self.deaf_until);
        self.timers
            .set(Timer::MasterDown, from + self.master_down());
    }

    fn master_down(&self) -> Duration {
        master_down_interval(
            self.config.version,
            self.priority,
            self.master_interval,
            self.config.down_timer_adverts,
        )
    }

    /// The addresses are the caller's: nothing is released here.
    fn enter_backup(&mut self, reason: Reason, now: Time, out: &mut Vec<Action>) {
        self.timers.clear_all();
        self.preempt_at = None;
        self.preempt_noted = false;
        self.keeps_addresses = false;
        self.claim_reason = None;
        self.listens = false;
        self.master_interval = self.config.advert_int.get();
        self.lets_be = false;
        self.rogue = None;
        self.enter(State::Backup, reason, out);
        self.wait_for_master(now);
    }

    fn enter(&mut self, to: State, reason: Reason, out: &mut Vec<Action>) {
        let from = self.state;
        self.state = to;
        self.told_ignored = false;
        out.push(Action::Entered { from, to, reason });
    }

    fn send_advert(&self, out: &mut Vec<Action>) {
        out.push(Action::SendAdvert {
            priority: self.priority.get(),
        });
    }
}

#[cfg(test)]
mod tests;
