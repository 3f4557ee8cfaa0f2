//! All checks of all servers: their timers, which answer belongs to which, and when a server as a whole
//! is up. A server is down from its first failed checker on and up when none has failed.
//!
//! Checks that ask the same are answered by one probe. Each keeps its own count and takes an answer only
//! when its own time has come; a probe that starts takes along those whose next regular check is near, so
//! that all keep one rhythm.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::config::model::{Checker, CheckerKind, Shared};
use crate::time::Time;

use super::check::BOOTSTRAP_DELAY;
use super::question::{QuestionId, Questions, ReaderId};
use super::slab::Slab;
use super::{
    Check, CheckOutcome, Found, KindStats, Member, ProbeId, Question, Said, Status, Verdict,
    Weighing, spread,
};

/// What the caller has to do or know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output<K> {
    /// Ask this, and bring the answer back under the same id.
    Start(ProbeId, Question),
    /// The answer is not wanted any more.
    Cancel(ProbeId),
    /// An answer came.
    Answered {
        /// Of which server.
        server: K,
        /// To which question, with its settings.
        checker: Shared<Checker>,
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
        checker: Shared<Checker>,
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
    /// Every check of every server, by [`ReaderId`].
    readers: Slab<Reader<K>>,
    /// Which checks a server has, in the order of the file; those without any are not here.
    servers: BTreeMap<K, Box<[ReaderId]>>,
    timers: BTreeSet<(Time, ReaderId)>,
    questions: Questions,
    /// What was answered, by the keyword of the check.
    kinds: BTreeMap<&'static str, KindStats>,
}

#[derive(Clone, Debug)]
struct Reader<K> {
    server: K,
    asks: QuestionId,
    check: Check,
}

impl<K: Ord + Copy> Monitor<K> {
    /// No servers yet. `seed` decides when first checks run; two nodes should differ in it.
    pub fn new(seed: u64) -> Monitor<K> {
        Monitor {
            seed,
            readers: Slab::default(),
            servers: BTreeMap::new(),
            timers: BTreeSet::new(),
            questions: Questions::default(),
            kinds: BTreeMap::new(),
        }
    }

    /// The checks of a server.
    pub fn checks(&self, server: &K) -> impl Iterator<Item = &Check> {
        let ids = self.servers.get(server).into_iter().flatten();
        ids.filter_map(|id| Some(&self.readers.get(id.0)?.check))
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
        servers: impl IntoIterator<Item = (K, &'a [Shared<Checker>])>,
        now: Time,
    ) -> Vec<Output<K>> {
        let mut old = std::mem::take(&mut self.servers);
        let (mut out, mut named, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        for (server, checkers) in servers {
            let mut before = old.remove(&server).unwrap_or_default().into_vec();
            let was = self.overall(&before);
            let take = |settings: &Shared<Checker>| {
                let known = self.take_known(&mut before, settings);
                match known {
                    Some(id) => self.resettle(id, settings, now, &mut out),
                    None => self.fresh(server, settings, was, now),
                }
            };
            let ids: Box<[ReaderId]> = checkers.iter().map(take).collect();
            gone.append(&mut before);
            if !ids.is_empty() {
                named.push((server, ids));
            }
        }
        gone.extend(old.into_values().flatten());
        for id in gone {
            if let Some(reader) = self.readers.remove(id.0) {
                let unwanted = self.questions.leave(reader.asks, id);
                out.extend(unwanted.map(Output::Cancel));
            }
        }
        // Each made in one go: what grows by and by takes twice the memory.
        self.servers = named.into_iter().collect();
        let readers = self.readers.iter();
        let timers = readers.filter_map(|(id, reader)| Some((reader.check.due()?, ReaderId(id))));
        self.timers = timers.collect();
        out
    }

    /// Takes the check that asks the same as this one from those of its server.
    fn take_known(&self, before: &mut Vec<ReaderId>, settings: &Checker) -> Option<ReaderId> {
        let kind = |id: &ReaderId| Some(&self.readers.get(id.0)?.check.settings().kind);
        let at = before
            .iter()
            .position(|id| kind(id) == Some(&settings.kind));
        at.map(|at| before.remove(at))
    }

    /// A known check goes on with other times. With another rhythm it asks another question.
    fn resettle(
        &mut self,
        id: ReaderId,
        settings: &Shared<Checker>,
        now: Time,
        out: &mut Vec<Output<K>>,
    ) -> ReaderId {
        if let Some(reader) = self.readers.get_mut(id.0) {
            let before = reader.check.question();
            reader.check.change_settings(settings.clone(), now);
            let (after, runs) = (reader.check.question(), reader.check.is_running());
            if before != after {
                let unwanted = self.questions.leave(reader.asks, id);
                out.extend(unwanted.map(Output::Cancel));
                reader.asks = self.questions.join(after, id, None);
                if runs {
                    let started = self.questions.ask(reader.asks, id);
                    out.extend(started.map(|(probe, question)| Output::Start(probe, question)));
                }
            }
        }
        id
    }

    /// Servers are known by another name from now on; one that `name` gives no name keeps its own. Two
    /// must not get the same.
    pub fn rename(&mut self, name: impl Fn(&K) -> Option<K>) {
        let servers = std::mem::take(&mut self.servers).into_iter();
        self.servers = servers
            .map(|(server, ids)| (name(&server).unwrap_or(server), ids))
            .collect();
        for (server, ids) in &self.servers {
            for id in ids {
                if let Some(reader) = self.readers.get_mut(id.0) {
                    reader.server = *server;
                }
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
            false => check.resume(now, spread::part_of(BOOTSTRAP_DELAY, seed, id.0.into())),
        });
    }

    /// Changes every check of a server, and its timers with it.
    fn each_check(&mut self, server: &K, change: impl Fn(ReaderId, &mut Check)) {
        for &id in self.servers.get(server).into_iter().flatten() {
            if let Some(Reader { check, .. }) = self.readers.get_mut(id.0) {
                if let Some(due) = check.due() {
                    self.timers.remove(&(due, id));
                }
                change(id, check);
                self.timers.extend(check.due().map(|due| (due, id)));
            }
        }
    }

    /// Whether a server is up; one that is not checked is.
    pub fn status(&self, server: &K) -> Status {
        self.servers
            .get(server)
            .map_or(Status::Up, |ids| self.overall(ids))
    }

    /// Of the checks of one server; no checks at all: up.
    fn overall(&self, ids: &[ReaderId]) -> Status {
        let mut checks = ids.iter().filter_map(|id| self.readers.get(id.0));
        match checks.any(|reader| reader.check.status() == Status::Down) {
            true => Status::Down,
            false => Status::Up,
        }
    }

    /// Whether what is known of a server was found out since the start ([`Check::is_heard`]).
    pub fn is_heard(&self, server: &K) -> bool {
        self.checks(server).all(Check::is_heard)
    }

    /// What the checks of a server say of its weight.
    pub fn weighings(&self, server: &K) -> impl Iterator<Item = Weighing> {
        self.checks(server).filter_map(Check::weighing)
    }

    /// Which part a server plays among others, as the first of its checks says that knows.
    pub fn member(&self, server: &K) -> Option<&Member> {
        self.checks(server).find_map(Check::member)
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
            let Some(reader) = self.readers.get_mut(id.0) else {
                continue;
            };
            if !reader.check.start(now) {
                continue;
            }
            let asks = reader.asks;
            let Some((probe, question)) = self.questions.ask(asks, id) else {
                continue;
            };
            for other in self.questions.others(asks, id) {
                self.hurry(other, asks, now);
            }
            out.push(Output::Start(probe, question));
        }
        out
    }

    /// Takes another check along with a probe that starts, if it would have asked soon.
    fn hurry(&mut self, id: ReaderId, asks: QuestionId, now: Time) {
        let Some(check) = self.check(id) else {
            return;
        };
        let due = check.due();
        if check.hurry(now) {
            if let Some(due) = due {
                self.timers.remove(&(due, id));
            }
            self.questions.ask(asks, id);
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
        let Some(Reader { server, check, .. }) = self.readers.get_mut(id.0) else {
            return;
        };
        let weighing = check.weighing_of(found, now);
        let weighs = check.weigh(weighing);
        if check.note_member(found.member.as_ref()) || weighs {
            out.push(Output::Weighed { server: *server });
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
        let Some(Reader { server, check, .. }) = self.readers.get_mut(id.0) else {
            return;
        };
        if check.is_running() && check.remark(remark) {
            out.push(Output::Remarked {
                server: *server,
                checker: check.settings().clone(),
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
        let kinds = self.servers.values().flatten();
        let kinds =
            kinds.filter_map(|id| Some((*id, &self.readers.get(id.0)?.check.settings().kind)));
        let concerned: Vec<(ReaderId, CheckOutcome)> = kinds
            .filter(|(_, kind)| kind.is_told())
            .filter_map(|(id, kind)| Some((id, answer(kind)?)))
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
        let Some(server) = self.readers.get(id.0).map(|reader| reader.server) else {
            return;
        };
        let status_before = self.status(&server);
        let Some(Reader { asks, check, .. }) = self.readers.get_mut(id.0) else {
            return;
        };
        let stage = check.stage();
        let (verdict, reason) = change(check);
        let Some(verdict) = verdict else {
            return;
        };
        self.timers.extend(check.due().map(|due| (due, id)));
        if check.stage() != stage {
            self.questions.leave(*asks, id);
            *asks = self.questions.join(check.question(), id, None);
        }
        out.push(Output::Answered {
            server,
            checker: check.settings().clone(),
            verdict,
            reason,
        });
        let status = self.status(&server);
        if status != status_before {
            out.push(Output::Changed { server, status });
        }
    }

    fn weigh(&mut self, id: ReaderId, weighing: Option<Weighing>, out: &mut Vec<Output<K>>) {
        if let Some(Reader { server, check, .. }) = self.readers.get_mut(id.0)
            && check.weigh(weighing)
        {
            out.push(Output::Weighed { server: *server });
        }
    }

    fn check(&mut self, id: ReaderId) -> Option<&mut Check> {
        Some(&mut self.readers.get_mut(id.0)?.check)
    }

    fn fresh(&mut self, server: K, settings: &Shared<Checker>, was: Status, now: Time) -> ReaderId {
        let number = self.readers.next();
        let id = ReaderId(number);
        let extra = match was {
            Status::Up => spread::part_of(settings.warmup, self.seed, number.into()),
            Status::Down => Duration::ZERO,
        };
        let mut check = Check::new(settings.clone(), now, extra);
        // Those who ask the same ask together from the start.
        let (others, founded) = self.questions.askers(&check.question());
        let others = others.iter().filter_map(|other| self.readers.get(other.0));
        let next = others.filter_map(|other| other.check.due()).min();
        if let Some(due) = next.or(founded.filter(|due| *due > now)) {
            check.begin_at(due);
        }
        let asks = self.questions.join(check.question(), id, check.due());
        if was == Status::Down {
            check.assume_down(now);
        }
        self.readers.insert(Reader {
            server,
            asks,
            check,
        });
        id
    }
}

#[cfg(test)]
mod tests;
