//! One virtual router's state: Init, Backup, Master, Fault.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::config::model::{InitialState, Instance, Preempt};
use crate::time::Time;
use crate::units::Priority;

use super::timers::{Timer, Timers, master_down_interval, skew_time};

/// RFC 3768 section 6.4, and keepalived's Fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Not yet in the election: something that it tracks has not been heard of.
    Init,
    /// Listens, and takes over when the master falls silent.
    Backup,
    /// Holds the addresses and says so.
    Master,
    /// Out of the election until every fault is gone.
    Fault,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Init => "INIT",
            State::Backup => "BACKUP",
            State::Master => "MASTER",
            State::Fault => "FAULT",
        })
    }
}

/// How a machine begins, from what a crashed predecessor left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Nothing is held: begin as backup.
    Fresh,
    /// The predecessor was master less than two adverts ago: go on as master.
    Resume,
    /// It was master, but longer ago: backup, the addresses kept until somebody else is heard.
    Keep,
}

/// Whether this router may take part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Some tracked thing has not answered once.
    Waiting,
    /// It may.
    Able,
    /// It may not; each fault in words, never empty.
    Faulty(BTreeSet<String>),
}

/// An advert of this virtual router from somebody else, already checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Who sent it.
    pub source: IpAddr,
    /// 0: the sender leaves.
    pub priority: u8,
    /// The sender's interval.
    pub interval: Duration,
}

/// What happens to a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A deadline may have come.
    Timer,
    /// An advert was heard.
    Heard(Heard),
    /// Faults came or went.
    Standing(Standing),
    /// The sum of all weights, to be added to the priority.
    WeightSum(i32),
    /// Our own source address, for ties; it may change.
    Source(IpAddr),
    /// What stands behind the VIPs is in place: they may be claimed.
    MayClaim,
    /// Somebody outside keeps taking the addresses away: leave them to the others.
    Yield(Reason),
    /// The daemon stops, or the instance goes: leave in order.
    Stop,
}

/// What to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send an advert with this priority; 0: leaving.
    SendAdvert {
        /// As it goes on the wire.
        priority: u8,
    },
    /// The addresses are to be set.
    Hold,
    /// The addresses are to be removed.
    Release,
    /// Tell the neighbours, this many times for each address.
    Announce {
        /// At least 1.
        repeat: u32,
    },
    /// The state changed.
    Entered {
        /// The state left.
        from: State,
        /// The state entered.
        to: State,
        /// Why.
        reason: Reason,
    },
    /// Worth a line in the log.
    Note(Note),
}

/// Why a state was entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It was started.
    Started,
    /// A predecessor was master a moment ago.
    Resumed,
    /// It owns the addresses: priority 255 and `state MASTER`.
    Owner,
    /// Nothing was heard from a master for this long.
    Silence(Duration),
    /// The master advertises less than we do.
    Preempts {
        /// Who was master.
        source: IpAddr,
        /// Its priority.
        theirs: u8,
        /// Ours.
        ours: u8,
    },
    /// The master said that it leaves.
    MasterLeft(IpAddr),
    /// Somebody advertises more.
    HigherPriority {
        /// Who.
        source: IpAddr,
        /// Its priority.
        theirs: u8,
        /// Ours.
        ours: u8,
    },
    /// Somebody advertises as much and has the higher address.
    HigherAddress(IpAddr),
    /// Faults, in words.
    Faults(BTreeSet<String>),
    /// The last fault is gone.
    FaultsCleared,
    /// Somebody outside took the addresses away again and again.
    AddressesTaken,
}

/// Something a person may want to know that is no change of state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// As master, a lower priority was heard.
    LowerPriorityHeard {
        /// Who.
        source: IpAddr,
        /// Its priority.
        theirs: u8,
        /// Ours.
        ours: u8,
    },
    /// As backup with the right to preempt, a lower priority was heard for the first time.
    WillPreempt {
        /// Who is master now.
        source: IpAddr,
        /// Its priority.
        theirs: u8,
        /// Ours.
        ours: u8,
    },
    /// Kept addresses are given up: somebody else is master.
    KeptAddressesReleased(IpAddr),
    /// The priority that counts changed.
    PriorityChanged {
        /// Before.
        from: u8,
        /// Now.
        to: u8,
    },
    /// It would claim, but what stands behind the VIPs is not in place yet.
    WaitsToClaim,
}

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
    claim_reason: Option<Reason>,
    /// Addresses of a predecessor, kept while nobody else is heard.
    keeps_addresses: bool,
    last_heard: Option<Heard>,
}

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
            claim_reason: None,
            keeps_addresses: start != Start::Fresh,
            last_heard: None,
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
            Input::Yield(reason) => {
                if self.state == State::Master {
                    out.push(Action::SendAdvert { priority: 0 });
                    self.enter_backup(reason, now, out);
                }
            }
            Input::Stop => self.on_stop(out),
        }
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
        if self.keeps_addresses && self.start == Start::Keep && heard.priority != 0 {
            self.keeps_addresses = false;
            out.push(Action::Note(Note::KeptAddressesReleased(heard.source)));
            out.push(Action::Release);
        }
    }

    /// RFC 3768 section 6.4.3.
    fn on_heard_as_master(&mut self, heard: Heard, now: Time, out: &mut Vec<Action>) {
        let ours = self.priority.get();
        if heard.priority == 0 {
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

    fn on_standing(&mut self, standing: Standing, now: Time, out: &mut Vec<Action>) {
        match standing {
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

    fn on_may_claim(&mut self, now: Time, out: &mut Vec<Action>) {
        self.may_claim = true;
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
        if self.may_claim {
            self.become_master(reason, now, out);
        } else {
            out.push(Action::Note(Note::WaitsToClaim));
            self.claim_reason = Some(reason);
        }
    }

    fn become_master(&mut self, reason: Reason, now: Time, out: &mut Vec<Action>) {
        self.timers.clear_all();
        self.preempt_at = None;
        self.preempt_noted = false;
        self.keeps_addresses = false;
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

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Started => f.write_str("it was started"),
            Reason::Resumed => f.write_str("it was master a moment ago"),
            Reason::Owner => f.write_str("it owns the addresses (priority 255, state MASTER)"),
            Reason::Silence(d) => write!(f, "no advert for {:.3} s", d.as_secs_f64()),
            Reason::Preempts {
                source,
                theirs,
                ours,
            } => {
                write!(f, "{source} advertises only {theirs}, ours is {ours}")
            }
            Reason::MasterLeft(who) => write!(f, "{who} left with priority 0"),
            Reason::HigherPriority {
                source,
                theirs,
                ours,
            } => {
                write!(f, "{source} advertises {theirs}, ours is {ours}")
            }
            Reason::HigherAddress(who) => {
                write!(
                    f,
                    "{who} advertises the same priority from a higher address"
                )
            }
            Reason::Faults(faults) => {
                let mut sep = "";
                for fault in faults {
                    write!(f, "{sep}{fault}")?;
                    sep = "; ";
                }
                Ok(())
            }
            Reason::FaultsCleared => f.write_str("every fault is gone"),
            Reason::AddressesTaken => {
                f.write_str("something on this host keeps removing its addresses")
            }
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::LowerPriorityHeard {
                source,
                theirs,
                ours,
            } => write!(
                f,
                "Received advert from {source} with lower priority {theirs}, ours {ours}, forcing new election"
            ),
            Note::WillPreempt {
                source,
                theirs,
                ours,
            } => {
                write!(
                    f,
                    "received lower priority {theirs} advert from {source}, ours {ours}: will take over"
                )
            }
            Note::KeptAddressesReleased(source) => {
                write!(
                    f,
                    "{source} is heard: addresses kept from before the restart are given up"
                )
            }
            Note::PriorityChanged { from, to } => {
                write!(f, "Changing effective priority from {from} to {to}")
            }
            Note::WaitsToClaim => {
                f.write_str("would become master, waits until IPVS is programmed")
            }
        }
    }
}

#[cfg(test)]
mod tests;
