//! All checks of all servers: their timers, which answer belongs to which, and when a server as a whole
//! is up. A server is down from its first failed checker on and up when none has failed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::config::model::{Checker, CheckerKind};
use crate::time::Time;

use super::check::BOOTSTRAP_DELAY;
use super::{Check, CheckOutcome, ProbeId, Status, Verdict, spread};

/// What the caller has to do or know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output<K> {
    /// Ask this, and bring the answer back under the same id.
    Start(ProbeId, CheckerKind),
    /// The answer is not wanted any more.
    Cancel(ProbeId),
    /// An answer came.
    Answered {
        /// Of which server.
        server: K,
        /// To which question, with its settings.
        checker: Box<Checker>,
        /// What it changed.
        verdict: Verdict,
        /// Why it failed, or was not asked.
        reason: Option<String>,
    },
    /// The server as a whole came up or went down.
    Changed {
        /// Which.
        server: K,
        /// What it is now.
        status: Status,
    },
}

/// The checks of every server.
#[derive(Clone, Debug)]
pub struct Monitor<K> {
    seed: u64,
    next_id: u64,
    servers: BTreeMap<K, Checks>,
    homes: BTreeMap<ProbeId, K>,
    timers: BTreeSet<(Time, ProbeId)>,
}

type Checks = BTreeMap<ProbeId, Check>;

impl<K: Ord + Copy> Monitor<K> {
    /// No servers yet. `seed` decides when first checks run; two nodes should differ in it.
    pub fn new(seed: u64) -> Monitor<K> {
        Monitor {
            seed,
            next_id: 0,
            servers: BTreeMap::new(),
            homes: BTreeMap::new(),
            timers: BTreeSet::new(),
        }
    }

    /// Makes `servers` the whole of what is checked. A checker that asks the same as one this server had
    /// goes on where that was, running check included. A server that was down stays down until every
    /// new checker has passed, so that a reload does not bring a failed server back; those do not wait
    /// for `warmup`.
    pub fn configure<'a>(
        &mut self,
        servers: impl IntoIterator<Item = (K, &'a [Checker])>,
        now: Time,
    ) -> Vec<Output<K>> {
        let mut old = std::mem::take(&mut self.servers);
        self.timers.clear();
        for (server, checkers) in servers {
            let mut before = old.remove(&server).unwrap_or_default();
            let was = overall(&before);
            let mut checks = Checks::new();
            for settings in checkers {
                let known = before
                    .iter()
                    .find(|(_, c)| c.settings().kind == settings.kind);
                let known = known.map(|(&id, _)| id);
                let (id, check) = match known.and_then(|id| before.remove_entry(&id)) {
                    Some((id, mut check)) => {
                        check.change_settings(settings.clone(), now);
                        (id, check)
                    }
                    None => self.fresh(settings, was, now),
                };
                checks.insert(id, check);
            }
            let dropped = old.entry(server).or_default();
            dropped.append(&mut before);
            for (&id, check) in &checks {
                self.homes.insert(id, server);
                self.timers.extend(check.due().map(|due| (due, id)));
            }
            self.servers.insert(server, checks);
        }
        let mut out = Vec::new();
        for (id, check) in old.into_values().flatten() {
            self.homes.remove(&id);
            if check.is_running() {
                out.push(Output::Cancel(id));
            }
        }
        out
    }

    /// Takes a server for down until its checks have passed; one without checks cannot be. Says
    /// whether that changed anything.
    pub fn assume_down(&mut self, server: K, now: Time) -> bool {
        let Some(checks) = self.servers.get_mut(&server) else {
            return false;
        };
        let was = overall(checks);
        for (&id, check) in checks.iter_mut() {
            if let Some(due) = check.due() {
                self.timers.remove(&(due, id));
            }
            check.assume_down(now);
            self.timers.extend(check.due().map(|due| (due, id)));
        }
        was != overall(checks)
    }

    /// Stops and starts the checks of a server. What is known of it stays; the first checks of all that
    /// start again are spread over a second.
    pub fn set_paused(&mut self, server: &K, paused: bool, now: Time) {
        let Some(checks) = self.servers.get_mut(server) else {
            return;
        };
        for (&id, check) in checks.iter_mut() {
            if let Some(due) = check.due() {
                self.timers.remove(&(due, id));
            }
            match paused {
                true => check.pause(),
                false => check.resume(now, spread::part_of(BOOTSTRAP_DELAY, self.seed, id.0)),
            }
            self.timers.extend(check.due().map(|due| (due, id)));
        }
    }

    /// Whether a server is up; one that is not checked is.
    pub fn status(&self, server: &K) -> Status {
        self.servers.get(server).map_or(Status::Up, overall)
    }

    /// When a check is due next.
    pub fn next_deadline(&self) -> Option<Time> {
        self.timers.first().map(|&(time, _)| time)
    }

    /// Starts every check whose time has come.
    pub fn timer(&mut self, now: Time) -> Vec<Output<K>> {
        let mut out = Vec::new();
        while let Some(&(due, id)) = self.timers.first() {
            if due > now {
                break;
            }
            self.timers.pop_first();
            let check = self
                .homes
                .get(&id)
                .and_then(|server| self.servers.get_mut(server))
                .and_then(|checks| checks.get_mut(&id));
            if let Some(kind) = check.and_then(|c| c.start(now)) {
                out.push(Output::Start(id, kind.clone()));
            }
        }
        out
    }

    /// Takes an answer in; one to a question that is no longer asked is ignored.
    pub fn finished(&mut self, id: ProbeId, outcome: CheckOutcome, now: Time) -> Vec<Output<K>> {
        let Some(&server) = self.homes.get(&id) else {
            return Vec::new();
        };
        let Some(checks) = self.servers.get_mut(&server) else {
            return Vec::new();
        };
        let before = overall(checks);
        let Some(check) = checks.get_mut(&id) else {
            return Vec::new();
        };
        let (verdict, reason) = match outcome {
            CheckOutcome::Passed => (check.passed(now), None),
            CheckOutcome::Failed(reason) => (check.failed(now), Some(reason)),
            CheckOutcome::NotAsked(reason) => (check.not_asked(now), Some(reason)),
        };
        let Some(verdict) = verdict else {
            return Vec::new();
        };
        self.timers.extend(check.due().map(|due| (due, id)));
        let mut out = Vec::new();
        out.push(answered(server, check, verdict, reason));
        out.extend(changed(server, before, checks));
        out
    }

    /// Takes in what is known of checks that nobody asks: whether they pass, or why not; `None` where
    /// nothing is known.
    pub fn told(
        &mut self,
        known: impl Fn(&CheckerKind) -> Option<Result<(), String>>,
    ) -> Vec<Output<K>> {
        let mut out = Vec::new();
        for (&server, checks) in &mut self.servers {
            let before = overall(checks);
            for check in checks.values_mut() {
                let Some(answer) = known(&check.settings().kind) else {
                    continue;
                };
                if let Some(verdict) = check.told(answer.is_ok()) {
                    out.push(answered(server, check, verdict, answer.err()));
                }
            }
            out.extend(changed(server, before, checks));
        }
        out
    }

    fn fresh(&mut self, settings: &Checker, was: Status, now: Time) -> (ProbeId, Check) {
        let id = ProbeId(self.next_id);
        self.next_id += 1;
        let extra = match was {
            Status::Up => spread::part_of(settings.warmup, self.seed, id.0),
            Status::Down => Duration::ZERO,
        };
        let mut check = Check::new(settings.clone(), now, extra);
        if was == Status::Down {
            check.assume_down(now);
        }
        (id, check)
    }
}

fn answered<K>(server: K, check: &Check, verdict: Verdict, reason: Option<String>) -> Output<K> {
    Output::Answered {
        server,
        checker: Box::new(check.settings().clone()),
        verdict,
        reason,
    }
}

fn changed<K>(server: K, before: Status, checks: &Checks) -> Option<Output<K>> {
    let status = overall(checks);
    (status != before).then_some(Output::Changed { server, status })
}

/// No checks at all: up.
fn overall(checks: &Checks) -> Status {
    let failed = checks.values().any(|c| c.status() == Status::Down);
    if failed { Status::Down } else { Status::Up }
}

#[cfg(test)]
mod tests;
