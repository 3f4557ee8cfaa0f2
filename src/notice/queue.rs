//! The order of scripts: those of one object run one after the other, in the order of its changes;
//! those of different objects beside each other.
//!
//! Nothing here may hold up what comes after it for ever. A script that does not end is waited for so
//! long and no longer; it goes on running, as keepalived lets it, and the next one starts beside it. What
//! waits is bounded: beyond that the oldest change goes that a later one makes obsolete.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::config::model::Run;
use crate::time::Time;

use super::Subject;

/// What the queue is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Scripts that are waited for at the same time.
    pub active: usize,
    /// Changes of one object that wait.
    pub pending: usize,
    /// How long a script is waited for.
    pub wait: Duration,
    /// Scripts of one object that were waited for in vain and still run.
    pub strays: usize,
}

/// Whether a later change makes an earlier one obsolete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A state: the later one says all.
    State,
    /// An event: it happened, whatever came after.
    Event,
}

/// What the caller does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Run this, and say [`ScriptQueue::ended`] with the same number when it has ended.
    Start {
        /// Names the run.
        id: u64,
        /// Who runs what.
        run: Run,
    },
    /// For the log: this change was left out, a later one of the same object makes it obsolete.
    Dropped {
        /// Whose.
        subject: Subject,
        /// Which.
        what: &'static str,
    },
    /// For the log: this script is not waited for any longer.
    Overdue {
        /// Whose.
        subject: Subject,
        /// What runs.
        argv: Vec<String>,
        /// How long it was waited for.
        after: Duration,
    },
}

/// A run that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Whose it was.
    pub subject: Subject,
    /// What ran.
    pub argv: Vec<String>,
}

#[derive(Debug)]
struct Batch {
    what: &'static str,
    kind: Kind,
    runs: VecDeque<Run>,
}

/// One object's scripts.
#[derive(Debug, Default)]
struct Lane {
    /// The first may have begun.
    pending: VecDeque<Batch>,
    begun: bool,
    current: Option<u64>,
    strays: usize,
    /// It stands in `ready`.
    queued: bool,
}

#[derive(Debug)]
struct Running {
    subject: Subject,
    argv: Vec<String>,
    since: Time,
    /// It is waited for.
    current: bool,
}

/// Every object's scripts.
#[derive(Debug)]
pub struct ScriptQueue {
    limits: Limits,
    lanes: BTreeMap<Subject, Lane>,
    running: BTreeMap<u64, Running>,
    /// Lanes that may start something, the one that waited longest first.
    ready: VecDeque<Subject>,
    active: usize,
    next_id: u64,
}

impl ScriptQueue {
    /// An empty queue.
    pub fn new(limits: Limits) -> ScriptQueue {
        ScriptQueue {
            limits,
            lanes: BTreeMap::new(),
            running: BTreeMap::new(),
            ready: VecDeque::new(),
            active: 0,
            next_id: 0,
        }
    }

    /// Whether nothing waits and nothing is waited for.
    pub fn is_idle(&self) -> bool {
        self.active == 0 && self.lanes.values().all(|lane| lane.pending.is_empty())
    }

    /// Changes whose scripts have not all begun.
    pub fn waiting(&self) -> usize {
        self.lanes.values().map(|lane| lane.pending.len()).sum()
    }

    /// Takes other limits from now on; they hold for what runs already.
    pub fn set_limits(&mut self, limits: Limits, now: Time, out: &mut Vec<Step>) {
        self.limits = limits;
        self.timer(now, out);
    }

    /// A change of an object, with its scripts.
    pub fn push(
        &mut self,
        subject: Subject,
        (what, kind): (&'static str, Kind),
        runs: Vec<Run>,
        now: Time,
        out: &mut Vec<Step>,
    ) {
        if runs.is_empty() {
            return;
        }
        let lane = self.lanes.entry(subject.clone()).or_default();
        lane.pending.push_back(Batch {
            what,
            kind,
            runs: runs.into(),
        });
        let begun = usize::from(lane.begun);
        if lane.pending.len() - begun > self.limits.pending {
            let obsolete = lane.obsolete(begun);
            if let Some(batch) = lane.pending.remove(obsolete) {
                let what = batch.what;
                out.push(Step::Dropped {
                    subject: subject.clone(),
                    what,
                });
            }
        }
        self.make_ready(&subject);
        self.start(now, out);
    }

    /// A run has ended, or could not be started; `None` for a number that is not known.
    pub fn ended(&mut self, id: u64, now: Time, out: &mut Vec<Step>) -> Option<Ended> {
        let run = self.running.remove(&id)?;
        if let Some(lane) = self.lanes.get_mut(&run.subject) {
            if run.current {
                self.active -= 1;
                lane.current = None;
            } else {
                lane.strays -= 1;
            }
        }
        self.make_ready(&run.subject);
        self.start(now, out);
        Some(Ended {
            subject: run.subject,
            argv: run.argv,
        })
    }

    /// When to call [`ScriptQueue::timer`].
    pub fn next_deadline(&self) -> Option<Time> {
        let current = self.running.values().filter(|run| run.current);
        current.map(|run| run.since + self.limits.wait).min()
    }

    /// Stops waiting for what has run long enough.
    pub fn timer(&mut self, now: Time, out: &mut Vec<Step>) {
        let wait = self.limits.wait;
        let late: Vec<u64> = self
            .running
            .iter()
            .filter(|(_, run)| run.current && now.since(run.since) >= wait)
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            let Some(run) = self.running.get_mut(&id) else {
                continue;
            };
            run.current = false;
            let (subject, argv) = (run.subject.clone(), run.argv.clone());
            self.active -= 1;
            if let Some(lane) = self.lanes.get_mut(&subject) {
                lane.current = None;
                lane.strays += 1;
            }
            self.make_ready(&subject);
            out.push(Step::Overdue {
                subject,
                argv,
                after: wait,
            });
        }
        self.start(now, out);
    }

    /// Puts a lane among those that may start something, or forgets one with nothing left.
    fn make_ready(&mut self, subject: &Subject) {
        let Some(lane) = self.lanes.get_mut(subject) else {
            return;
        };
        if lane.pending.is_empty() {
            if lane.current.is_none() && lane.strays == 0 {
                self.lanes.remove(subject);
            }
            return;
        }
        if lane.current.is_none() && lane.strays < self.limits.strays && !lane.queued {
            lane.queued = true;
            self.ready.push_back(subject.clone());
        }
    }

    fn start(&mut self, now: Time, out: &mut Vec<Step>) {
        while self.active < self.limits.active {
            let Some(subject) = self.ready.pop_front() else {
                return;
            };
            let Some(lane) = self.lanes.get_mut(&subject) else {
                continue;
            };
            lane.queued = false;
            let Some(run) = lane.next_run() else {
                continue;
            };
            let id = self.next_id;
            self.next_id += 1;
            lane.current = Some(id);
            self.active += 1;
            self.running.insert(
                id,
                Running {
                    subject,
                    argv: run.argv.clone(),
                    since: now,
                    current: true,
                },
            );
            out.push(Step::Start { id, run });
        }
    }
}

impl Lane {
    fn next_run(&mut self) -> Option<Run> {
        loop {
            let batch = self.pending.front_mut()?;
            let run = batch.runs.pop_front();
            self.begun = !batch.runs.is_empty();
            if !self.begun {
                self.pending.pop_front();
            }
            if run.is_some() {
                return run;
            }
        }
    }

    /// The oldest change that a later one makes obsolete; where none is, the oldest event. One that has
    /// begun is carried through.
    fn obsolete(&self, begun: usize) -> usize {
        let last_state = self.pending.iter().rposition(|b| b.kind == Kind::State);
        let candidates = || self.pending.iter().enumerate().skip(begun);
        candidates()
            .find(|(at, batch)| batch.kind == Kind::State && Some(*at) < last_state)
            .or_else(|| candidates().find(|(_, batch)| batch.kind == Kind::Event))
            .map_or(begun, |(at, _)| at)
    }
}

#[cfg(test)]
mod tests;
