//! One checker of one server, with keepalived's timing.

use std::time::Duration;

use crate::config::model::{Checker, CheckerKind, Shared};
use crate::time::Time;

use super::found::percent_left;
use super::{Answer, Found, Member, Question, Said, Weighing};

/// How long after the start the first checks begin (keepalived's bootstrap delay).
pub(super) const BOOTSTRAP_DELAY: Duration = Duration::from_secs(1);

/// A check may begin by so much of its delay before its time, and by [`EARLY_MAX`] at most: together with
/// another whose time has come. Of thousands a few begin at a time, and the machine wakes up once for them.
const EARLY_PART: u32 = 512;
const EARLY_MAX: Duration = Duration::from_millis(10);

/// What a checker, or all checkers of a server together, say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It answers.
    Up,
    /// It does not.
    Down,
}

/// What an answer changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was up and is.
    StillUp,
    /// The first answer of all, and it counted as up already.
    Confirmed,
    /// It was down and is up.
    CameUp,
    /// A failure that does not count yet: it is tried again.
    Retrying {
        /// Failures in a row, from 1.
        failures: u32,
    },
    /// It was up and is down.
    WentDown {
        /// How often it was tried again before this.
        retries: u32,
    },
    /// It was down and is.
    StillDown {
        /// The first answer of all.
        first: bool,
    },
    /// One of its questions was answered well; the next is asked.
    Partly,
    /// Nobody was asked: it is what it was.
    NotAsked {
        /// Whether that is so for the first time since it was asked last.
        first: bool,
    },
}

/// A checker's state. A check that runs is not started again, and the next one is counted from its end,
/// so a stall is followed by one check and not by all that were missed.
#[derive(Clone, Debug)]
pub struct Check {
    settings: Shared<Checker>,
    status: Status,
    /// Failures that did not count yet; at the start as many as `retry`, so that one is enough.
    failures: u32,
    answered: bool,
    unasked: bool,
    paused: bool,
    /// Which of the kind's questions is asked next.
    stage: usize,
    /// A page failed and is asked for alone until it is well; then all are asked for from the first on.
    page_failed: bool,
    weighing: Option<Weighing>,
    step: Step,
    /// The last answer.
    answer: Option<Answer>,
    /// When it changed from up to down or back.
    changed_at: Option<Time>,
    /// What few servers say.
    more: Option<Box<More>>,
}

#[derive(Clone, Debug, Default)]
struct More {
    /// What was odd about the last answer to a question, though it passed.
    remarks: Vec<(usize, Box<str>)>,
    /// Which part the server plays among others, as it said last.
    member: Option<Member>,
    /// How long it had been paused in all, and when it said so.
    paused_before: Option<(Duration, Time)>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Waiting {
        until: Time,
    },
    Running {
        since: Time,
        /// How long before that its time had come, in microseconds; less than 0: after it.
        late: i32,
    },
    /// Nobody asks: somebody tells.
    Told,
}

impl Check {
    /// Starts [`BOOTSTRAP_DELAY`] and `extra` (a random part of `warmup`) after `now`.
    pub fn new(settings: Shared<Checker>, now: Time, extra: Duration) -> Check {
        Check {
            status: if settings.alpha {
                Status::Down
            } else {
                Status::Up
            },
            failures: settings.retry,
            answered: false,
            unasked: false,
            paused: false,
            stage: 0,
            page_failed: false,
            weighing: None,
            answer: None,
            changed_at: None,
            more: None,
            step: match settings.kind.is_told() {
                true => Step::Told,
                false => Step::Waiting {
                    until: now + BOOTSTRAP_DELAY + extra,
                },
            },
            settings,
        }
    }

    /// The last answer that it got.
    pub fn answer(&self) -> Option<&Answer> {
        self.answer.as_ref()
    }

    /// When it last changed from up to down or back; of one whose answers are told nobody knows.
    pub fn changed_at(&self) -> Option<Time> {
        self.changed_at
    }

    /// Failures in a row that do not count yet.
    pub fn failures(&self) -> u32 {
        match self.answered {
            true => self.failures,
            false => 0,
        }
    }

    /// Whether it is not made for the time being.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Notes an answer before it is taken in; `None` when nothing was asked.
    pub(super) fn note_answer(&mut self, said: Said, now: Time) -> Option<&Answer> {
        let Step::Running { since, .. } = self.step else {
            return None;
        };
        let took = now.since(since);
        Some(self.answer.insert(Answer {
            at: now,
            took,
            said,
        }))
    }

    /// Notes that it has just changed from up to down or back.
    pub(super) fn note_change(&mut self, now: Time) {
        self.changed_at = Some(now);
    }

    /// What it says was found out: it has been answered, or could not be asked, or nobody asks.
    pub fn is_heard(&self) -> bool {
        self.answered || self.unasked || matches!(self.step, Step::Told)
    }

    /// Up or down.
    pub fn status(&self) -> Status {
        self.status
    }

    /// When it starts next; `None` while it runs or is paused, and for one whose answers are told.
    pub fn due(&self) -> Option<Time> {
        match self.step {
            Step::Waiting { until } if !self.paused => Some(until),
            Step::Waiting { .. } | Step::Running { .. } | Step::Told => None,
        }
    }

    /// Asks first at this time.
    pub fn begin_at(&mut self, due: Time) {
        if let Step::Waiting { until } = &mut self.step {
            *until = due;
        }
    }

    /// Whether it has been started and not answered.
    pub fn is_running(&self) -> bool {
        matches!(self.step, Step::Running { .. })
    }

    /// No check from now on; what is known stays, and an answer that is under way is taken.
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// Checks again, the first after `extra`.
    pub fn resume(&mut self, now: Time, extra: Duration) {
        if !std::mem::replace(&mut self.paused, false) {
            return;
        }
        if let Step::Waiting { until } = &mut self.step {
            *until = now + extra;
        }
    }

    /// Which of its questions is asked next.
    pub fn stage(&self) -> usize {
        self.stage
    }

    /// What it makes of the server's weight.
    pub fn weighing(&self) -> Option<Weighing> {
        self.weighing
    }

    /// Notes what an answer says of the weight; whether that is new.
    pub fn weigh(&mut self, weighing: Option<Weighing>) -> bool {
        std::mem::replace(&mut self.weighing, weighing) != weighing
    }

    /// Which part the server plays among others, as it said last.
    pub fn member(&self) -> Option<&Member> {
        self.more.as_ref()?.member.as_ref()
    }

    /// Notes that; whether it is new.
    pub(super) fn note_member(&mut self, member: Option<&Member>) -> bool {
        let new = self.member() != member;
        if new {
            self.more.get_or_insert_default().member = member.cloned();
        }
        new
    }

    /// Why an answer that passes does not count for this server, if it does not: what is neither good nor
    /// bad leaves a server that is down where it is.
    pub(super) fn holds_back(&self, found: &Found) -> Option<String> {
        let down = self.status == Status::Down;
        found.if_down.clone().filter(|_| down)
    }

    /// What an answer makes of the weight: what it says itself, or how long the server has been paused
    /// since the answer before.
    pub(super) fn weighing_of(&mut self, found: &Found, now: Time) -> Option<Weighing> {
        let Some(paused) = found.paused else {
            return found.weighing;
        };
        let more = self.more.get_or_insert_default();
        let before = more.paused_before.replace((paused, now));
        let percent = before.and_then(|(was, at)| percent_left(paused, was, now.since(at)));
        found.weighing.or(percent.map(Weighing::Percent))
    }

    /// The settings it runs with.
    pub fn settings(&self) -> &Shared<Checker> {
        &self.settings
    }

    /// What it asks now or next.
    pub fn question(&self) -> Question {
        Question::new(self.settings.clone(), self.stage)
    }

    /// How long before its time it may begin, when others do.
    pub(super) fn early(&self) -> Duration {
        let delay = match self.waits_for_loop() {
            true => self.settings.delay_loop,
            false => self.settings.delay_before_retry,
        };
        (delay / EARLY_PART).min(EARLY_MAX)
    }

    /// It does not wait to try again.
    fn waits_for_loop(&self) -> bool {
        self.failures == 0 || self.status == Status::Down
    }

    /// Begins to ask; not before its time, but for [a little](Check::early), and not while it runs.
    pub fn start(&mut self, now: Time) -> bool {
        let latest = now + self.early();
        match self.step {
            Step::Waiting { until } if until <= latest && !self.paused => {
                let late = late(until, now, self.settings.delay_loop / 4);
                self.step = Step::Running { since: now, late };
                true
            }
            Step::Waiting { .. } | Step::Running { .. } | Step::Told => false,
        }
    }

    /// Takes in what was told without being asked: it counts at once. `None` where answers are asked for.
    pub fn told(&mut self, passed: bool) -> Option<Verdict> {
        if !matches!(self.step, Step::Told) {
            return None;
        }
        let first = !std::mem::replace(&mut self.answered, true);
        let status = if passed { Status::Up } else { Status::Down };
        let was = std::mem::replace(&mut self.status, status);
        Some(match (was, status) {
            (Status::Up, Status::Up) if first => Verdict::Confirmed,
            (Status::Up, Status::Up) => Verdict::StillUp,
            (Status::Down, Status::Up) => Verdict::CameUp,
            (Status::Up, Status::Down) => Verdict::WentDown { retries: 0 },
            (Status::Down, Status::Down) => Verdict::StillDown { first },
        })
    }

    /// Takes the answer in; `None` when nothing was asked.
    pub fn passed(&mut self, now: Time) -> Option<Verdict> {
        let more = self.next_stage();
        let unsettled = self.status == Status::Down || !self.answered;
        let delay = match more && unsettled && self.fast_recovery() {
            true => Duration::ZERO,
            false => self.settings.delay_loop,
        };
        self.end(now, delay)?;
        self.unasked = false;
        // The first round of all forgives nothing, on no page.
        if !more || self.answered {
            self.failures = 0;
        }
        if more {
            return Some(Verdict::Partly);
        }
        let first = !std::mem::replace(&mut self.answered, true);
        Some(match (self.status, first) {
            (Status::Down, _) => {
                self.status = Status::Up;
                Verdict::CameUp
            }
            (Status::Up, true) => Verdict::Confirmed,
            (Status::Up, false) => Verdict::StillUp,
        })
    }

    /// Goes on to the next question, if the answer to this one leaves any. keepalived: the page that
    /// failed is repeated alone until it is answered well, then all are asked for again from the first on,
    /// this one too.
    fn next_stage(&mut self) -> bool {
        if std::mem::take(&mut self.page_failed) {
            self.stage = 0;
            return true;
        }
        self.stage = (self.stage + 1) % self.settings.kind.stages();
        self.stage > 0
    }

    fn fast_recovery(&self) -> bool {
        matches!(&self.settings.kind, CheckerKind::Http(check) if check.fast_recovery)
    }

    /// Notes what is odd about an answer that passes, before it is taken in; whether that is new.
    pub fn remark(&mut self, remark: Option<&str>) -> bool {
        if self.more.is_none() && remark.is_none() {
            return false;
        }
        let (stage, remarks) = (self.stage, &mut self.more.get_or_insert_default().remarks);
        let old = remarks.iter().position(|(of, _)| *of == stage);
        let old = old.map(|at| remarks.swap_remove(at).1);
        let Some(text) = remark else {
            return false;
        };
        remarks.push((stage, text.into()));
        old.as_deref() != remark
    }

    /// Asks now what it would ask a little later; whether it does. A retry keeps its time.
    pub fn hurry(&mut self, now: Time) -> bool {
        let waits_for_loop = self.waits_for_loop();
        match self.step {
            Step::Waiting { until } if !self.paused && self.answered && waits_for_loop => {
                let near = until <= now + self.settings.delay_loop / 4;
                if near {
                    self.step = Step::Running {
                        since: now,
                        late: 0,
                    };
                }
                near
            }
            _ => false,
        }
    }

    /// Takes a failure in; `None` when nothing was asked.
    pub fn failed(&mut self, now: Time) -> Option<Verdict> {
        let counts = self.failures >= self.settings.retry;
        let goes_down = match self.status {
            Status::Up => counts,
            Status::Down => !self.answered,
        };
        let pages = matches!(self.settings.kind, CheckerKind::Http(_));
        let page_failed = pages && (self.page_failed || goes_down);
        let Checker {
            delay_loop,
            delay_before_retry,
            ..
        } = *self.settings;
        let delay = match self.status {
            Status::Up if !counts => delay_before_retry,
            _ if page_failed => delay_loop.max(delay_before_retry),
            // A page that fails while all are asked for again is repeated, and the round goes on.
            _ if pages => delay_before_retry,
            Status::Up | Status::Down => delay_loop,
        };
        self.end(now, delay)?;
        self.page_failed = page_failed;
        self.unasked = false;
        let first = !std::mem::replace(&mut self.answered, true);
        Some(match self.status {
            Status::Down => Verdict::StillDown { first },
            Status::Up if counts => {
                self.status = Status::Down;
                self.failures = 0;
                let retries = if first { 0 } else { self.settings.retry };
                Verdict::WentDown { retries }
            }
            Status::Up => {
                self.failures += 1;
                let failures = self.failures;
                Verdict::Retrying { failures }
            }
        })
    }

    /// Takes in that nothing could be asked; `None` when nothing was to be. keepalived too leaves the
    /// server as it is and comes back after `delay_loop`.
    pub fn not_asked(&mut self, now: Time) -> Option<Verdict> {
        self.end(now, self.settings.delay_loop)?;
        let first = !std::mem::replace(&mut self.unasked, true);
        Some(Verdict::NotAsked { first })
    }

    /// Goes on with other times and counts but the same question: what is known stays, and the next
    /// check comes no later than it would with the new times from now on.
    pub fn change_settings(&mut self, settings: Shared<Checker>, now: Time) {
        self.stage = self.stage.min(settings.kind.stages() - 1);
        if let Step::Waiting { until } = &mut self.step {
            let longest = if self.answered {
                settings.delay_loop.max(settings.delay_before_retry)
            } else {
                BOOTSTRAP_DELAY + settings.warmup
            };
            if settings != self.settings {
                *until = (*until).min(now + longest);
            }
        }
        self.settings = settings;
    }

    /// Takes the server for down, as it was before this process began, and asks soon.
    pub fn assume_down(&mut self, now: Time) {
        self.status = Status::Down;
        self.failures = 0;
        if let Step::Waiting { until } = &mut self.step {
            *until = (*until).min(now + BOOTSTRAP_DELAY);
        }
    }

    /// The delay is counted from the end, as in keepalived, less what the check began late: those that began
    /// together would stay together, be late together and meet more of them, until all thousands began at one moment.
    fn end(&mut self, now: Time, delay: Duration) -> Option<()> {
        match self.step {
            Step::Waiting { .. } | Step::Told => None,
            Step::Running { late, .. } => {
                let until = less(now + delay, late);
                self.step = Step::Waiting { until };
                Some(())
            }
        }
    }
}

/// By how much a check that begins now is late, in microseconds; one that comes later than `most` begins a rhythm
/// of its own.
fn late(due: Time, now: Time, most: Duration) -> i32 {
    let (late, early) = (now.since(due), due.since(now));
    let micros = |time: Duration| i32::try_from(time.as_micros()).unwrap_or(0);
    match late <= most {
        true => micros(late) - micros(early),
        false => 0,
    }
}

/// So many microseconds earlier.
fn less(time: Time, micros: i32) -> Time {
    let nanos = i64::from(micros) * 1000;
    Time::from_nanos(time.as_nanos().saturating_add_signed(-nanos))
}

#[cfg(test)]
mod tests;
