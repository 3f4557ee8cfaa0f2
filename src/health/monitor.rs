//! All checks of all servers: their timers, which answer belongs to which, and when a server as a whole
//! is up. A server is down from its first failed checker on and up when none has failed.
//!
//! Checks that ask the same are answered by one probe. Each keeps its own count and takes an answer only
//! when its own time has come; a probe that starts takes along those whose next regular check is near, so
//! that all keep one rhythm.

mod configure;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::config::model::{Checker, CheckerKind, Shared};
use crate::time::Time;

use super::check::BOOTSTRAP_DELAY;
use super::few::Few;
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
    readers: Slab<Reader>,
    /// Those with checks, in the order of their keys.
    servers: Vec<Server<K>>,
    timers: BTreeSet<(Time, ReaderId)>,
    questions: Questions,
    /// What was answered, by the keyword of the check.
    kinds: BTreeMap<&'static str, KindStats>,
}

#[derive(Clone, Debug)]
struct Server<K> {
    key: K,
    /// In the order of the file.
    checks: Few,
}

#[derive(Clone, Debug)]
struct Reader {
    /// Place of its server among all.
    server: u32,
    asks: QuestionId,
    check: Check,
}

impl<K: Ord + Copy> Monitor<K> {
    /// No servers yet. `seed` decides when first checks run; two nodes should differ in it.
    pub fn new(seed: u64) -> Monitor<K> {
        Monitor {
            seed,
            readers: Slab::default(),
            servers: Vec::new(),
            timers: BTreeSet::new(),
            questions: Questions::default(),
            kinds: BTreeMap::new(),
        }
    }

    /// The checks of a server.
    pub fn checks(&self, server: &K) -> impl Iterator<Item = &Check> {
        let ids = self.ids(server).iter();
        ids.filter_map(|id| Some(&self.readers.get(id.0)?.check))
    }

    /// What all checks of each keyword were answered.
    pub fn kinds(&self) -> &BTreeMap<&'static str, KindStats> {
        &self.kinds
    }

    fn ids(&self, server: &K) -> &[ReaderId] {
        let place = self.servers.binary_search_by(|other| other.key.cmp(server));
        let server = place.ok().and_then(|at| self.servers.get(at));
        server.map_or(&[], |server| server.checks.as_slice())
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
        for id in self.ids(server).to_vec() {
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
        self.overall(self.ids(server))
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

    /// Starts every check whose time has come, and those next to it whose time is as good as come.
    pub fn timer(&mut self, now: Time) -> Vec<Output<K>> {
        let mut out = Vec::new();
        while let Some(&(due, id)) = self.timers.first() {
            let reader = self.readers.get_mut(id.0);
            let early = reader.as_ref().map_or(Duration::ZERO, |r| r.check.early());
            if due > now + early {
                break;
            }
            self.timers.pop_first();
            let Some(reader) = reader else {
                continue;
            };
            if !reader.check.start(now) {
                continue;
            }
            let asks = reader.asks;
            let Some((probe, question)) = self.questions.ask(asks) else {
                continue;
            };
            self.hurry_others(asks, now);
            out.push(Output::Start(probe, question));
        }
        out
    }

    /// Takes those along with a probe that starts who would have asked the same soon.
    fn hurry_others(&mut self, asks: QuestionId, now: Time) {
        let mut joined = 0;
        for &id in self.questions.readers(asks) {
            let Some(Reader { check, .. }) = self.readers.get_mut(id.0) else {
                continue;
            };
            let due = check.due();
            if check.hurry(now) {
                joined += 1;
                if let Some(due) = due {
                    self.timers.remove(&(due, id));
                }
            }
        }
        for _ in 0..joined {
            self.questions.ask(asks);
        }
    }

    /// Takes an answer in; one to a question that is no longer asked is ignored.
    pub fn finished(&mut self, probe: ProbeId, outcome: CheckOutcome, now: Time) -> Vec<Output<K>> {
        let mut out = Vec::new();
        for &reader in self.questions.answered(probe).as_slice() {
            if self.check(reader).is_some_and(|check| check.is_running()) {
                self.read(reader, &outcome, now, &mut out);
            }
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
            out.extend(weighed(&self.servers, *server));
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
        if check.is_running()
            && check.remark(remark)
            && let Some(server) = self.servers.get(*server as usize)
        {
            out.push(Output::Remarked {
                server: server.key,
                checker: check.settings().clone(),
                remark: remark.unwrap_or_default().to_owned(),
            });
        }
    }

    /// Something that is watched changed by itself. `answer` says what that means for a check of a server,
    /// if it concerns it.
    pub fn told(
        &mut self,
        answer: impl Fn(&K, &CheckerKind) -> Option<CheckOutcome>,
    ) -> Vec<Output<K>> {
        let mut out = Vec::new();
        let all = self.servers.iter().flat_map(|s| {
            let ids = s.checks.as_slice().iter();
            ids.map(|id| (&s.key, *id))
        });
        let kinds = all.filter_map(|(server, id)| {
            let kind = &self.readers.get(id.0)?.check.settings().kind;
            Some((server, id, kind))
        });
        let concerned: Vec<(ReaderId, CheckOutcome)> = kinds
            .filter(|(.., kind)| kind.is_told())
            .filter_map(|(server, id, kind)| Some((id, answer(server, kind)?)))
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
        let of = self.readers.get(id.0).map(|reader| reader.server as usize);
        let Some(of) = of.and_then(|of| self.servers.get(of)) else {
            return;
        };
        let (server, status_before) = (of.key, self.overall(of.checks.as_slice()));
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
            self.questions.leave(*asks, id, false);
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
            out.extend(weighed(&self.servers, *server));
        }
    }

    fn check(&mut self, id: ReaderId) -> Option<&mut Check> {
        Some(&mut self.readers.get_mut(id.0)?.check)
    }
}

fn weighed<K: Copy>(servers: &[Server<K>], place: u32) -> Option<Output<K>> {
    let server = servers.get(place as usize)?.key;
    Some(Output::Weighed { server })
}

#[cfg(test)]
mod tests;
