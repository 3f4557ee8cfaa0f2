//! Servers that come back: their weight grows step by step (`slow_start`), and one that fails again and
//! again is held back (`flap_damping`).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::config::model::{Connections, FlapDamping, RealServer};
use crate::health::Status;
use crate::lvs;
use crate::time::Time;

use super::{Action, Balancer, BalancerEvent, ServerKey};

#[derive(Clone, Debug, Default)]
pub(super) struct Returning {
    growing: BTreeMap<ServerKey, Growing>,
    /// When they failed last, of those with `flap_damping`.
    failures: BTreeMap<ServerKey, VecDeque<Time>>,
    /// Checks have passed, and still they stay out until then.
    held: BTreeMap<ServerKey, Time>,
}

#[derive(Clone, Copy, Debug)]
struct Growing {
    /// When it came back.
    since: Time,
    /// How long it takes.
    span: Duration,
    /// Its next step.
    next: Time,
}

/// What a server that passes its checks again does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comes {
    Back,
    /// It has to stay well for so long first, after so many failures.
    Later(Duration, usize),
}

impl Returning {
    /// Whether nothing is known of any server.
    pub(super) fn is_empty(&self) -> bool {
        self.growing.is_empty() && self.failures.is_empty() && self.held.is_empty()
    }

    pub(super) fn is_held(&self, server: &ServerKey) -> bool {
        self.held.contains_key(server)
    }

    /// The weight it has now.
    pub(super) fn weight(&self, server: &ServerKey, whole: u32, now: Time) -> u32 {
        match self.growing.get(server) {
            Some(g) => lvs::ramped(whole, now.since(g.since), g.span),
            None => whole,
        }
    }

    /// A server failed; whether it was in its pool.
    fn failed(&mut self, server: ServerKey, damping: Option<FlapDamping>, now: Time) -> bool {
        self.growing.remove(&server);
        let held = self.held.remove(&server).is_some();
        let Some(damping) = damping else {
            self.failures.remove(&server);
            return !held;
        };
        let failures = self.failures.entry(server).or_default();
        failures.push_back(now);
        while failures.len() > usize::try_from(damping.count).unwrap_or(usize::MAX) {
            failures.pop_front();
        }
        !held
    }

    fn passed(&mut self, server: ServerKey, rules: Connections, now: Time) -> Comes {
        if let Some(FlapDamping { count, within }) = rules.flap_damping {
            let failures = self.failures.get(&server).into_iter().flatten();
            let recent = failures.filter(|at| now.since(**at) <= within).count();
            if recent >= usize::try_from(count).unwrap_or(usize::MAX) {
                self.held.insert(server, now + within);
                return Comes::Later(within, recent);
            }
        }
        self.begins(server, rules.slow_start, now);
        Comes::Back
    }

    fn begins(&mut self, server: ServerKey, slow_start: Option<Duration>, now: Time) {
        let Some(span) = slow_start else { return };
        if let Some(step) = lvs::next_step(Duration::ZERO, span) {
            let (since, next) = (now, now + step);
            self.growing.insert(server, Growing { since, span, next });
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Time> {
        let steps = self.growing.values().map(|g| g.next);
        self.held.values().copied().chain(steps).min()
    }

    /// Servers whose weight has another step to go now.
    fn grow(&mut self, now: Time) -> Vec<ServerKey> {
        let mut grown = Vec::new();
        self.growing.retain(|server, g| {
            if g.next > now {
                return true;
            }
            grown.push(*server);
            let step = lvs::next_step(now.since(g.since), g.span);
            g.next = g.since + step.unwrap_or_default();
            step.is_some()
        });
        grown
    }

    /// Servers that were well for long enough.
    fn release(&mut self, now: Time) -> Vec<ServerKey> {
        let mut free = Vec::new();
        self.held.retain(|server, until| {
            let stays = *until > now;
            if !stays {
                free.push(*server);
            }
            stays
        });
        free
    }

    /// Servers are known by other names from now on, and some are gone.
    pub(super) fn rename(&mut self, name: impl Fn(&ServerKey) -> Option<ServerKey>) {
        fn renamed<V>(
            map: &mut BTreeMap<ServerKey, V>,
            name: &impl Fn(&ServerKey) -> Option<ServerKey>,
        ) {
            let old = std::mem::take(map).into_iter();
            *map = old.filter_map(|(k, v)| Some((name(&k)?, v))).collect();
        }
        renamed(&mut self.growing, &name);
        renamed(&mut self.failures, &name);
        renamed(&mut self.held, &name);
    }
}

impl Balancer {
    /// What becomes of a server's connections.
    fn connections(&self, server: &ServerKey) -> Connections {
        let configured = self.configured(server);
        let said = configured.and_then(|(_, rs): (_, &RealServer)| rs.connections.as_deref());
        said.copied().unwrap_or_default()
    }

    /// The checks of a server say something else than before.
    pub(super) fn on_server(&mut self, server: ServerKey, status: Status, out: &mut Vec<Action>) {
        let rules = self.connections(&server);
        match status {
            Status::Down => {
                let damping = rules.flap_damping;
                if !self.returning.failed(server, damping, self.now) {
                    return;
                }
            }
            Status::Up => {
                if let Comes::Later(wait, failures) = self.returning.passed(server, rules, self.now)
                {
                    let vs = self.service_name(&server.service);
                    return out.push(Action::Event(BalancerEvent::HeldBack {
                        server,
                        vs,
                        failures,
                        wait,
                    }));
                }
            }
        }
        self.change_pool(server, status, out);
    }

    /// Weights that grow, and servers that were held back, as far as their time has come.
    pub(super) fn on_returning(&mut self, now: Time, out: &mut Vec<Action>) {
        for server in self.returning.grow(now) {
            self.refresh_pool(server.service, out);
        }
        for server in self.returning.release(now) {
            let slow_start = self.connections(&server).slow_start;
            self.returning.begins(server, slow_start, now);
            self.change_pool(server, Status::Up, out);
        }
    }
}
