//! `vrrp_track_process`: which processes count, and whether there are as many as should be.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::config::model::{ParamMatch, TrackProcess};
use crate::fact::FactValue;
use crate::time::Time;

/// The kernel keeps so many bytes of a name (TASK_COMM_LEN less its zero, proc(5)).
const COMM_BYTES: usize = 15;

/// What a process is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// Its name, at most 15 bytes.
    pub comm: Vec<u8>,
    /// Its command line, each word with a zero behind it; as far as it was asked for. Empty for what is
    /// no program of its own, or has ended and was not waited for.
    pub cmdline: Vec<u8>,
}

/// What happened to a process; threads are not processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessEvent {
    /// A process made another, which is the same program until it says otherwise.
    Forked {
        /// Which.
        parent: u32,
        /// The new one.
        child: u32,
    },
    /// It runs another program now.
    Executed {
        /// Which.
        pid: u32,
        /// As what; `None` when it is gone already.
        command: Option<Command>,
    },
    /// It gave itself another name.
    Renamed {
        /// Which.
        pid: u32,
        /// The name.
        comm: Vec<u8>,
    },
    /// It ended.
    Exited {
        /// Which.
        pid: u32,
    },
}

/// Why a number of processes changed: each has its own delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Fork,
    Exit,
    /// Another program or name: counts at once, as in keepalived.
    Change,
}

#[derive(Clone, Debug)]
struct Tracker {
    config: TrackProcess,
    pids: BTreeSet<u32>,
    /// What was said last; `None` before the first look.
    quorum: Option<bool>,
    /// When the opposite counts, unless it is over before.
    changes_at: Option<Time>,
}

impl Tracker {
    fn has_quorum(&self) -> bool {
        let running = u32::try_from(self.pids.len()).unwrap_or(u32::MAX);
        let max = self.config.quorum_max.unwrap_or(u32::MAX);
        running >= self.config.quorum && running <= max
    }

    fn delay(&self, cause: Cause) -> Duration {
        match cause {
            Cause::Fork => self.config.fork_delay,
            Cause::Exit => self.config.terminate_delay,
            Cause::Change => Duration::ZERO,
        }
    }

    /// After its processes changed.
    fn weigh(&mut self, cause: Cause, now: Time) -> Option<bool> {
        let has = self.has_quorum();
        if self.quorum == Some(has) {
            self.changes_at = None;
            return None;
        }
        let delay = self.delay(cause);
        // What else happens meanwhile does not end a delay while the quorum is no other than it will be then.
        if self.quorum.is_none() || (delay.is_zero() && self.changes_at.is_none()) {
            self.changes_at = None;
            self.quorum = Some(has);
            return Some(has);
        }
        self.changes_at.get_or_insert(now + delay);
        None
    }

    fn matches(&self, command: &Command) -> bool {
        let Some((program, words)) = self.config.argv.split_first() else {
            return false;
        };
        if !self.config.full_command {
            let name = program.as_bytes();
            return command.comm == name.get(..COMM_BYTES).unwrap_or(name);
        }
        let mut rest = command.cmdline.splitn(2, |byte| *byte == 0);
        if rest.next() != Some(program.as_bytes()) {
            return false;
        }
        let Some(rest) = rest.next() else {
            return false;
        };
        let mut wanted = Vec::new();
        for word in words {
            wanted.extend_from_slice(word.as_bytes());
            wanted.push(0);
        }
        match self.config.param_match {
            None => true,
            Some(ParamMatch::Exact) => rest == wanted,
            Some(ParamMatch::Partial) => rest.starts_with(&wanted),
            Some(ParamMatch::Initial) => {
                wanted.pop();
                rest.starts_with(&wanted)
            }
        }
    }
}

/// Every tracked process of a configuration. Events go in, changed facts come out by name.
#[derive(Clone, Debug, Default)]
pub struct Processes {
    trackers: BTreeMap<String, Tracker>,
}

impl Processes {
    /// For these definitions; whoever was tracked under the same name before keeps what is known, until
    /// the next [`Processes::look`].
    #[must_use]
    pub fn reconfigured(mut self, configs: impl Iterator<Item = TrackProcess>) -> Processes {
        let trackers = configs.map(|config| {
            let old = self.trackers.remove(&config.name);
            let (quorum, pids) = old.map_or((None, BTreeSet::new()), |old| (old.quorum, old.pids));
            let tracker = Tracker {
                pids,
                quorum,
                changes_at: None,
                config,
            };
            (tracker.config.name.clone(), tracker)
        });
        Processes {
            trackers: trackers.collect(),
        }
    }

    /// How many bytes of a command line have to be read; 0: none.
    pub fn cmdline_bytes(&self) -> usize {
        let full = self.trackers.values().filter(|t| t.config.full_command);
        let length = |t: &Tracker| {
            t.config
                .argv
                .iter()
                .map(|word| word.len() + 1)
                .sum::<usize>()
        };
        // One more, to see that there is more.
        full.map(|tracker| length(tracker) + 1).max().unwrap_or(0)
    }

    /// The processes that count for somebody.
    pub fn pids(&self) -> BTreeSet<u32> {
        let pids = self.trackers.values().flat_map(|tracker| &tracker.pids);
        pids.copied().collect()
    }

    /// Everything that runs, at the beginning, after events were lost, or where there are none. An end
    /// that is found so counts as one that was told.
    pub fn look(
        &mut self,
        running: &BTreeMap<u32, Command>,
        now: Time,
    ) -> Vec<(String, FactValue)> {
        self.weigh(now, |tracker| {
            let matching = running
                .iter()
                .filter(|(_, command)| tracker.matches(command));
            let pids: BTreeSet<u32> = matching.map(|(pid, _)| *pid).collect();
            // Nothing new must not end the delay of what is known.
            if pids == tracker.pids && tracker.quorum.is_some() {
                return None;
            }
            let fewer = pids.len() < tracker.pids.len();
            tracker.pids = pids;
            Some(if fewer { Cause::Exit } else { Cause::Change })
        })
    }

    /// One event.
    pub fn handle(&mut self, event: &ProcessEvent, now: Time) -> Vec<(String, FactValue)> {
        self.weigh(now, |tracker| match event {
            ProcessEvent::Forked { parent, child } => {
                let counts = tracker.pids.contains(parent);
                (counts && tracker.pids.insert(*child)).then_some(Cause::Fork)
            }
            ProcessEvent::Executed { pid, command } => {
                let matches = command.as_ref().is_some_and(|c| tracker.matches(c));
                tracker.put(*pid, matches)
            }
            ProcessEvent::Renamed { pid, comm } => {
                if tracker.config.full_command {
                    return None;
                }
                let command = Command {
                    comm: comm.clone(),
                    cmdline: Vec::new(),
                };
                let matches = tracker.matches(&command);
                tracker.put(*pid, matches)
            }
            ProcessEvent::Exited { pid } => tracker.pids.remove(pid).then_some(Cause::Exit),
        })
    }

    fn weigh(
        &mut self,
        now: Time,
        mut change: impl FnMut(&mut Tracker) -> Option<Cause>,
    ) -> Vec<(String, FactValue)> {
        let mut changed = Vec::new();
        for (name, tracker) in &mut self.trackers {
            let cause = change(tracker);
            if let Some(quorum) = cause.and_then(|cause| tracker.weigh(cause, now)) {
                changed.push((name.clone(), FactValue::of(quorum)));
            }
        }
        changed
    }

    /// When to call [`Processes::on_timer`].
    pub fn next_deadline(&self) -> Option<Time> {
        self.trackers.values().filter_map(|t| t.changes_at).min()
    }

    /// Delays may be over.
    pub fn on_timer(&mut self, now: Time) -> Vec<(String, FactValue)> {
        let mut changed = Vec::new();
        for (name, tracker) in &mut self.trackers {
            if tracker.changes_at.is_some_and(|at| at <= now) {
                tracker.changes_at = None;
                let quorum = tracker.has_quorum();
                tracker.quorum = Some(quorum);
                changed.push((name.clone(), FactValue::of(quorum)));
            }
        }
        changed
    }
}

impl Tracker {
    fn put(&mut self, pid: u32, matches: bool) -> Option<Cause> {
        let changed = if matches {
            self.pids.insert(pid)
        } else {
            self.pids.remove(&pid)
        };
        changed.then_some(Cause::Change)
    }
}

#[cfg(test)]
mod tests;
