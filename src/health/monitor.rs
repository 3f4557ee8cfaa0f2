//! All checks of all servers: their timers, which answer belongs to which, and when a server as a whole
//! is up. A server is down from its first failed checker on and up when none has failed.
//!
//! Checks that ask the same are answered by one probe. Each keeps its own count and takes an answer only
//! when its own time has come; a probe that starts takes along those whose next regular check is near, so
//! that all keep one rhythm.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::config::model::{Checker, CheckerKind};
use crate::time::Time;

use super::check::BOOTSTRAP_DELAY;
use super::question::{Questions, ReaderId};
use super::{
    Check, CheckOutcome, Found, KindStats, Member, ProbeId, Question, Said, Status, Verdict,
    Weighing, spread,
};

/// What the caller has to do or know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output<K> {
    /// Ask this, and bring the answer back under the same id.
    Start(ProbeId, Box<Question>),
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
    /// An answer passed, and is odd in a way that the one before was not.
    Remarked {
        /// Of which server.
        server: K,
        /// To which question, with its settings.
        checker: Box<Checker>,
        /// In words.
        remark: String,
    },
    /// The server as a whole came up or went down.
    Changed {
        /// Which.
        server: K,
        /// What it is now.
        status: Status,
    },
    /// A check says something else about the weight than before ([`Monitor::weighings`]), or about the part
    /// that the server plays ([`Monitor::member`]).
    Weighed {
        /// Of which server.
        server: K,
    },
}

/// The checks of every server.
#[derive(Clone, Debug)]
pub struct Monitor<K> {
    seed: u64,
    next_id: u64,
    servers: BTreeMap<K, Checks>,
    homes: BTreeMap<ReaderId, K>,
    timers: BTreeSet<(Time, ReaderId)>,
    questions: Questions,
    /// What was answered, by the keyword of the check.
    kinds: BTreeMap<&'static str, KindStats>,
}

type Checks = BTreeMap<ReaderId, Check>;

impl<K: Ord + Copy> Monitor<K> {
    /// No servers yet. `seed` decides when first checks run; two nodes should differ in it.
    pub fn new(seed: u64) -> Monitor<K> {
        Monitor {
            seed,
            next_id: 0,
            servers: BTreeMap::new(),
            homes: BTreeMap::new(),
            timers: BTreeSet::new(),
            questions: Questions::default(),
            kinds: BTreeMap::new(),
        }
    }

    /// The checks of a server.
    pub fn checks(&self, server: &K) -> impl Iterator<Item = &Check> {
        self.servers
            .get(server)
            .into_iter()
            .flatten()
            .map(|(_, check)| check)
    }

    /// What all checks of each keyword were answered.
    pub fn kinds(&self) -> &BTreeMap<&'static str, KindStats> {
        &self.kinds
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
        let mut out = Vec::new();
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
                    Some((id, check)) => {
                        let check = self.resettle(id, check, settings, now, &mut out);
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
        for (id, check) in old.into_values().flatten() {
            self.homes.remove(&id);
            let unwanted = self.questions.leave(&question_of(&check), id);
            out.extend(unwanted.map(Output::Cancel));
        }
        out
    }

    /// A known check goes on with other times. With another rhythm it asks another question.
    fn resettle(
        &mut self,
        id: ReaderId,
        mut check: Check,
        settings: &Checker,
        now: Time,
        out: &mut Vec<Output<K>>,
    ) -> Check {
        let (before, runs) = (question_of(&check), check.is_running());
        check.change_settings(settings.clone(), now);
        let after = question_of(&check);
        if before != after {
            out.extend(self.questions.leave(&before, id).map(Output::Cancel));
            self.questions.join(&after, id);
            if runs {
                let started = self.questions.ask(&after, id);
                out.extend(started.map(|probe| Output::Start(probe, Box::new(after))));
            }
        }
        check
    }

    /// Servers are known by another name from now on; one that `name` gives no name keeps its own. Two
    /// must not get the same.
    pub fn rename(&mut self, name: impl Fn(&K) -> Option<K>) {
        let renamed: Vec<(K, K)> = self
            .servers
            .keys()
            .filter_map(|k| Some((*k, name(k)?)))
            .collect();
        for (from, to) in renamed {
            if let Some(checks) = self.servers.remove(&from) {
                for id in checks.keys() {
                    self.homes.insert(*id, to);
                }
                self.servers.insert(to, checks);
            }
        }
    }

    /// Takes a server for down until its checks have passed; one without checks cannot be. Says
    /// whether that changed anything.
    pub fn assume_down(&mut self, server: K, now: Time) -> bool {
        let was = self.status(&server);
        self.each_check(&server, |_, check| check.assume_down(now));
        was != self.status(&server)
    }

    /// Stops and starts the checks of a server. What is known of it stays; the first checks of all that
    /// start again are spread over a second.
    pub fn set_paused(&mut self, server: &K, paused: bool, now: Time) {
        let seed = self.seed;
        self.each_check(server, |id, check| match paused {
            true => check.pause(),
            false => check.resume(now, spread::part_of(BOOTSTRAP_DELAY, seed, id.0)),
        });
    }

    /// Changes every check of a server, and its timers with it.
    fn each_check(&mut self, server: &K, change: impl Fn(ReaderId, &mut Check)) {
        for (&id, check) in self.servers.get_mut(server).into_iter().flatten() {
            if let Some(due) = check.due() {
                self.timers.remove(&(due, id));
            }
            change(id, check);
            self.timers.extend(check.due().map(|due| (due, id)));
        }
    }

    /// Whether a server is up; one that is not checked is.
    pub fn status(&self, server: &K) -> Status {
        self.servers.get(server).map_or(Status::Up, overall)
    }

    /// Whether what is known of a server was found out since the start ([`Check::is_heard`]).
    pub fn is_heard(&self, server: &K) -> bool {
        self.checks(server).all(Check::is_heard)
    }

    /// What the checks of a server say of its weight.
    pub fn weighings(&self, server: &K) -> impl Iterator<Item = Weighing> {
        let checks = self.servers.get(server).into_iter();
        checks.flat_map(|checks| checks.values().filter_map(Check::weighing))
    }

    /// Which part a server plays among others, as the first of its checks says that knows.
    pub fn member(&self, server: &K) -> Option<&Member> {
        let checks = self.servers.get(server).into_iter();
        checks.flatten().find_map(|(_, check)| check.member())
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
            let Some(check) = self.check(id) else {
                continue;
            };
            if check.start(now).is_none() {
                continue;
            }
            let question = question_of(check);
            let Some(probe) = self.questions.ask(&question, id) else {
                continue;
            };
            for other in self.questions.others(&question, id) {
                self.hurry(other, &question, now);
            }
            out.push(Output::Start(probe, Box::new(question)));
        }
        out
    }

    /// Takes another check along with a probe that starts, if it would have asked soon.
    fn hurry(&mut self, id: ReaderId, question: &Question, now: Time) {
        let Some(check) = self.check(id) else {
            return;
        };
        let due = check.due();
        if check.hurry(now) {
            if let Some(due) = due {
                self.timers.remove(&(due, id));
            }
            self.questions.ask(question, id);
        }
    }

    /// Takes an answer in; one to a question that is no longer asked is ignored.
    pub fn finished(&mut self, probe: ProbeId, outcome: CheckOutcome, now: Time) -> Vec<Output<K>> {
        let mut out = Vec::new();
        for reader in self.questions.answered(probe) {
            self.read(reader, &outcome, now, &mut out);
        }
        out
    }

    fn read(&mut self, id: ReaderId, outcome: &CheckOutcome, now: Time, out: &mut Vec<Output<K>>) {
        if let CheckOutcome::Found(found) = outcome
            && let Some(why) = self.check(id).and_then(|check| check.holds_back(found))
        {
            return self.read(id, &CheckOutcome::Failed(why), now, out);
        }
        self.remark(id, outcome, out);
        let before = self.note_answer(id, outcome, now);
        self.update(id, out, |check| match outcome {
            CheckOutcome::Passed
            | CheckOutcome::PassedBut(_)
            | CheckOutcome::Weighs(_)
            | CheckOutcome::Found(_) => (check.passed(now), None),
            CheckOutcome::Failed(reason) => (check.failed(now), Some(reason.clone())),
            CheckOutcome::NotAsked(reason) => (check.not_asked(now), Some(reason.clone())),
        });
        if let Some(check) = self.check(id)
            && before != Some(check.status())
        {
            check.note_change(now);
        }
        let weighing = match outcome {
            CheckOutcome::Weighs(weighing) => Some(*weighing),
            CheckOutcome::Found(found) => return self.found(id, found, now, out),
            CheckOutcome::Passed | CheckOutcome::PassedBut(_) => None,
            CheckOutcome::Failed(_) | CheckOutcome::NotAsked(_) => return,
        };
        self.weigh(id, weighing, out);
    }

    /// What a server said of itself.
    fn found(&mut self, id: ReaderId, found: &Found, now: Time, out: &mut Vec<Output<K>>) {
        let Some(&server) = self.homes.get(&id) else {
            return;
        };
        let Some(check) = self.check(id) else { return };
        let weighing = check.weighing_of(found, now);
        let weighs = check.weigh(weighing);
        if check.note_member(found.member.as_ref()) || weighs {
            out.push(Output::Weighed { server });
        }
    }

    /// Keeps an answer for whoever wants to know, and counts it; what the check said before it.
    fn note_answer(&mut self, id: ReaderId, outcome: &CheckOutcome, now: Time) -> Option<Status> {
        let check = self.check(id)?;
        let (status, keyword) = (check.status(), check.settings().kind.keyword());
        if let Some(answer) = check.note_answer(Said::of(outcome), now) {
            let answer = (answer.took, answer.said.clone());
            self.kinds
                .entry(keyword)
                .or_default()
                .note(answer.0, &answer.1);
        }
        Some(status)
    }

    /// Says what is odd about an answer that passes, once until it is odd in another way.
    fn remark(&mut self, id: ReaderId, outcome: &CheckOutcome, out: &mut Vec<Output<K>>) {
        let remark = match outcome {
            CheckOutcome::PassedBut(remark) => Some(remark.as_str()),
            CheckOutcome::Found(found) => found.remark.as_deref(),
            CheckOutcome::Passed => None,
            _ => return,
        };
        let Some(&server) = self.homes.get(&id) else {
            return;
        };
        let Some(check) = self.check(id).filter(|check| check.is_running()) else {
            return;
        };
        if check.remark(remark) {
            out.push(Output::Remarked {
                server,
                checker: Box::new(check.settings().clone()),
                remark: remark.unwrap_or_default().to_owned(),
            });
        }
    }

    /// Something that is watched changed by itself. `answer` says what that means for a check, if it
    /// concerns it.
    pub fn told(
        &mut self,
        answer: impl Fn(&CheckerKind) -> Option<CheckOutcome>,
    ) -> Vec<Output<K>> {
        let mut out = Vec::new();
        let checks = self.servers.values().flatten();
        let concerned: Vec<(ReaderId, CheckOutcome)> = checks
            .filter(|(_, check)| check.settings().kind.is_told())
            .filter_map(|(&id, check)| Some((id, answer(&check.settings().kind)?)))
            .collect();
        for (id, outcome) in concerned {
            let (up, reason, weighing) = match outcome {
                CheckOutcome::Passed | CheckOutcome::PassedBut(_) => (true, None, None),
                CheckOutcome::Weighs(weighing) => (true, None, Some(weighing)),
                CheckOutcome::Found(found) => (true, None, found.weighing),
                CheckOutcome::Failed(reason) => (false, Some(reason), None),
                CheckOutcome::NotAsked(_) => continue,
            };
            self.update(id, &mut out, |check| (check.told(up), reason));
            if up {
                self.weigh(id, weighing, &mut out);
            }
        }
        out
    }

    /// Changes one check and says what that made of its server.
    fn update(
        &mut self,
        id: ReaderId,
        out: &mut Vec<Output<K>>,
        change: impl FnOnce(&mut Check) -> (Option<Verdict>, Option<String>),
    ) {
        let Some(&server) = self.homes.get(&id) else {
            return;
        };
        let status_before = self.status(&server);
        let Some(check) = self.check(id) else {
            return;
        };
        let asked = question_of(check);
        let (verdict, reason) = change(check);
        let Some(verdict) = verdict else {
            return;
        };
        let (due, asks) = (check.due(), question_of(check));
        let checker = Box::new(check.settings().clone());
        self.timers.extend(due.map(|due| (due, id)));
        if asks != asked {
            self.questions.leave(&asked, id);
            self.questions.join(&asks, id);
        }
        out.push(Output::Answered {
            server,
            checker,
            verdict,
            reason,
        });
        let status = self.status(&server);
        if status != status_before {
            out.push(Output::Changed { server, status });
        }
    }

    fn weigh(&mut self, id: ReaderId, weighing: Option<Weighing>, out: &mut Vec<Output<K>>) {
        let Some(&server) = self.homes.get(&id) else {
            return;
        };
        if self.check(id).is_some_and(|check| check.weigh(weighing)) {
            out.push(Output::Weighed { server });
        }
    }

    fn check(&mut self, id: ReaderId) -> Option<&mut Check> {
        let server = self.homes.get(&id)?;
        self.servers.get_mut(server)?.get_mut(&id)
    }

    fn fresh(&mut self, settings: &Checker, was: Status, now: Time) -> (ReaderId, Check) {
        let id = ReaderId(self.next_id);
        self.next_id += 1;
        let extra = match was {
            Status::Up => spread::part_of(settings.warmup, self.seed, id.0),
            Status::Down => Duration::ZERO,
        };
        let mut check = Check::new(settings.clone(), now, extra);
        let question = question_of(&check);
        // Those who ask the same ask together from the start.
        let others = self.questions.others(&question, id).into_iter();
        let next = others.filter_map(|other| self.check(other)?.due()).min();
        let founded = self.questions.first_due(&question).filter(|due| *due > now);
        if let Some(due) = next.or(founded) {
            check.begin_at(due);
        }
        if let Some(due) = check.due() {
            self.questions.found(&question, due);
        }
        self.questions.join(&question, id);
        if was == Status::Down {
            check.assume_down(now);
        }
        (id, check)
    }
}

fn question_of(check: &Check) -> Question {
    let settings = check.settings();
    Question {
        kind: settings.kind.clone(),
        stage: check.stage(),
        delay_loop: settings.delay_loop,
    }
}

/// No checks at all: up.
fn overall(checks: &Checks) -> Status {
    let failed = checks.values().any(|c| c.status() == Status::Down);
    if failed { Status::Down } else { Status::Up }
}

#[cfg(test)]
mod tests;
