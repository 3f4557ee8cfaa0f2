//! Which servers there are and which checks they have: the same goes on, whatever else a reload changes.

use std::time::Duration;

use crate::config::model::{Checker, Shared};
use crate::time::Time;

use super::super::few::Few;
use super::super::question::ReaderId;
use super::super::{Check, Status, spread};
use super::{Monitor, Output, Reader, Server};

impl<K: Ord + Copy> Monitor<K> {
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
            let known = old.binary_search_by(|other| other.key.cmp(&server));
            let known = known.ok().and_then(|at| old.get_mut(at));
            let before = known.map(|known| std::mem::take(&mut known.checks));
            let mut before = before.unwrap_or_default().as_slice().to_vec();
            let was = self.overall(&before);
            let take = |settings: &Shared<Checker>| {
                let known = self.take_known(&mut before, settings);
                match known {
                    Some(id) => self.resettle(id, settings, now, &mut out),
                    None => self.fresh(settings, was, now),
                }
            };
            let checks: Few = checkers.iter().map(take).collect();
            gone.append(&mut before);
            if !checks.as_slice().is_empty() {
                named.push(Server {
                    key: server,
                    checks,
                });
            }
        }
        gone.extend(old.iter().flat_map(|server| server.checks.as_slice()));
        for id in gone {
            if let Some(Reader { asks, check, .. }) = self.readers.remove(id.0) {
                let unwanted = self.questions.leave(asks, id, check.is_running());
                out.extend(unwanted.map(Output::Cancel));
            }
        }
        self.arrange(named);
        // In one go: what grows by and by takes twice the memory.
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
                let unwanted = self.questions.leave(reader.asks, id, runs);
                out.extend(unwanted.map(Output::Cancel));
                reader.asks = self.questions.join(after, id, None);
                if runs {
                    let started = self.questions.ask(reader.asks);
                    out.extend(started.map(|(probe, question)| Output::Start(probe, question)));
                }
            }
        }
        id
    }

    /// Servers are known by another name from now on; one that `name` gives no name keeps its own. Two
    /// must not get the same.
    pub fn rename(&mut self, name: impl Fn(&K) -> Option<K>) {
        let mut servers = std::mem::take(&mut self.servers);
        for server in &mut servers {
            server.key = name(&server.key).unwrap_or(server.key);
        }
        self.arrange(servers);
    }

    /// Takes these for all servers, and tells their checks where they are.
    fn arrange(&mut self, mut servers: Vec<Server<K>>) {
        servers.sort_by_key(|server| server.key);
        servers.shrink_to_fit();
        for (place, server) in (0..).zip(&servers) {
            for id in server.checks.as_slice() {
                if let Some(reader) = self.readers.get_mut(id.0) {
                    reader.server = place;
                }
            }
        }
        self.servers = servers;
    }

    fn fresh(&mut self, settings: &Shared<Checker>, was: Status, now: Time) -> ReaderId {
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
            // Known when all servers are.
            server: u32::MAX,
            asks,
            check,
        });
        id
    }
}
