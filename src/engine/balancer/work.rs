//! What has to be looked at, and the way from there through the kernel and back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::health::Status;
use crate::ipvs::{Command, ServiceKey};
use crate::lvs::{self, Observation, Owned};
use crate::time::Time;

use super::backoff::Object;
use super::writers::is_one;
use super::{
    Action, Balancer, BalancerEvent, FAILURES_TOLD, Failure, FailureKind, KernelEvent, Phase,
    Programmed, ServerKey, event, side,
};

/// Why everything is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    /// It was read again.
    Look,
    Start,
    Reload,
    Stop,
}

/// What the runtime was asked for and has not answered yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    Idle,
    Observing,
    Applying {
        commands: Arc<Vec<Command>>,
        cause: Option<Cause>,
    },
}

/// What may differ from what is desired.
#[derive(Clone, Debug, Default)]
pub(super) struct Dirty {
    all: Option<Cause>,
    pub(super) services: BTreeSet<ServiceKey>,
    pub(super) daemons: bool,
    /// Compared with the picture that there is, although the table is to be read again: what a reload
    /// changes.
    pub(super) before_looking: bool,
    /// Objects that failed before and whose time has come.
    retried: Vec<Object>,
}

impl Dirty {
    /// Everything, for this cause; an earlier cause that is more than a look stays the cause.
    pub(super) fn everything(&mut self, cause: Cause) {
        self.all = self.all.max(Some(cause));
    }

    pub(super) fn retry(&mut self, object: Object) {
        match object {
            Object::Table => {}
            Object::Service(key) | Object::Destination(key, _) => {
                self.services.insert(key);
            }
            Object::Daemon(_) => self.daemons = true,
            // Looked at whenever everything is.
            Object::Timeouts => {}
        }
        self.retried.push(object);
    }
}

impl Balancer {
    /// Asks for the next thing to be done, if nothing is under way.
    pub(super) fn advance(&mut self, now: Time, out: &mut Vec<Action>) {
        if self.doing != Doing::Idle || matches!(self.phase, Phase::New | Phase::Stopped) {
            return;
        }
        if !self.needs_ipvs() {
            self.dirty = Dirty::default();
            return self.settle(out);
        }
        let at_once = std::mem::take(&mut self.dirty.before_looking);
        let look = self.seen.is_none() || (self.look_again && !at_once);
        if look && !self.backoff.holds(Object::Table, now) {
            self.look_again = false;
            self.next_observe = now + self.observe_every();
            self.doing = Doing::Observing;
            return out.push(Action::Observe);
        }
        let Some(seen) = self.seen.take() else {
            return;
        };
        let dirty = std::mem::take(&mut self.dirty);
        let commands = self.plan(&dirty, &seen, now);
        self.seen = Some(seen);
        if dirty.all == Some(Cause::Look) {
            self.tell_repairs(&commands, out);
        }
        self.forget_resolved(&dirty.retried, &commands);
        if commands.is_empty() && at_once {
            return self.advance(now, out);
        }
        if commands.is_empty() {
            return self.settle(out);
        }
        let commands = Arc::new(commands);
        self.doing = Doing::Applying {
            commands: Arc::clone(&commands),
            cause: dirty.all,
        };
        out.push(Action::Apply(commands));
    }

    pub(super) fn on_observed(
        &mut self,
        result: Result<Observation, String>,
        now: Time,
        out: &mut Vec<Action>,
    ) {
        if self.doing != Doing::Observing {
            return;
        }
        self.doing = Doing::Idle;
        let found = match result {
            Ok(found) => found,
            Err(reason) => {
                let told = self
                    .backoff
                    .failed(Object::Table, FailureKind::Refused, now);
                if let Some(retry_in) = told {
                    event(out, KernelEvent::ObserveFailed { reason, retry_in });
                }
                self.look_again = true;
                return;
            }
        };
        if self.backoff.succeeded(Object::Table) {
            event(out, KernelEvent::ObserveRecovered);
        }
        if self.seen.is_none() && self.is_running() {
            if std::mem::take(&mut self.flush) {
                Arc::make_mut(&mut self.owned).extend(&Owned::everything_in(&found));
                self.record.draining.clear();
            }
            self.adopt(&found, now, out);
        }
        let nothing = Observation::default();
        let before = self.seen.as_ref().unwrap_or(&nothing);
        let reverts = self.reverts();
        let pools = &self.pools;
        let takes = |key: &ServiceKey| reverts || pools.has_one_writer(key);
        if self.owned.services.keys().any(takes) {
            Arc::make_mut(&mut self.owned).take_over(&found, takes);
        }
        if !reverts {
            let owned = &self.owned;
            let kept =
                self.pools
                    .keep_what_was_set_by_hand(&before.table, &found.table, |service, d| {
                        owned.has_destination(service, d)
                    });
            kept.into_iter().for_each(|e| event(out, e));
        }
        self.seen = Some(found);
        self.let_go(out);
        self.dirty.everything(Cause::Look);
        self.forget_gone(out);
    }

    pub(super) fn on_applied(&mut self, failures: &[Failure], now: Time, out: &mut Vec<Action>) {
        let doing = std::mem::replace(&mut self.doing, Doing::Idle);
        let Doing::Applying { commands, cause } = doing else {
            self.doing = doing;
            return;
        };
        let failed: BTreeMap<usize, &Failure> = failures.iter().map(|f| (f.index, f)).collect();
        let stale = |failure: &&&Failure| failure.kind == FailureKind::Stale;
        let stale = failed.values().filter(stale).count();
        self.changes
            .add(commands.len(), failed.len() - stale, stale);
        let mut programmed = Programmed::default();
        let mut untold = 0;
        for (index, command) in commands.iter().enumerate() {
            let object = Object::of(command);
            let Some(failure) = failed.get(&index) else {
                if self.backoff.succeeded(object) {
                    let command = Box::new(command.clone());
                    event(out, KernelEvent::Recovered { command });
                }
                programmed.count(command);
                if let Some(seen) = &mut self.seen {
                    seen.apply(command);
                }
                continue;
            };
            self.look_again = true;
            let Some(retry_in) = self.backoff.failed(object, failure.kind, now) else {
                continue;
            };
            if untold >= FAILURES_TOLD {
                untold += 1;
                continue;
            }
            untold += 1;
            let command = Box::new(command.clone());
            let reason = failure.error.clone();
            event(
                out,
                KernelEvent::Failed {
                    command,
                    reason,
                    retry_in,
                },
            );
        }
        if untold > FAILURES_TOLD {
            let count = untold - FAILURES_TOLD;
            event(out, KernelEvent::MoreFailed { count });
        }
        let waiting = self.waiting_for(&commands);
        self.dirty.services.extend(waiting);
        if cause.is_some_and(|c| c != Cause::Look) && programmed != Programmed::default() {
            event(out, KernelEvent::Programmed(programmed));
        }
        if cause.is_some() || programmed.services_removed > 0 {
            self.forget_gone(out);
        }
    }

    /// Commands for what is dirty, without those that have to wait.
    fn plan(&self, dirty: &Dirty, seen: &Observation, now: Time) -> Vec<Command> {
        let mut commands = match dirty.all {
            Some(_) => {
                let observed = seen.table.iter().map(|(key, s)| (*key, s)).collect();
                lvs::table_commands(&self.pools.all(), &observed, &self.owned)
            }
            None => {
                let keys = || dirty.services.iter();
                let desired = keys().filter_map(|k| Some((*k, self.pools.get(k)?)));
                let observed = keys().filter_map(|k| Some((*k, seen.table.get(k)?)));
                lvs::table_commands(&desired.collect(), &observed.collect(), &self.owned)
            }
        };
        for pool in self.pools.with_one_writer() {
            let desired = |key: &ServiceKey| self.pools.get(key);
            lvs::never_two(&mut commands, pool, desired, &seen.table, !self.look_again);
        }
        if dirty.all.is_some() || dirty.daemons {
            let desired = match self.phase {
                Phase::Stopping { .. } => Some(BTreeMap::new()),
                _ => lvs::daemons(&self.config, |i| side(&self.roles, i)),
            };
            if let Some(desired) = desired {
                let more = lvs::daemon_commands(&desired, &seen.daemons, &self.owned);
                commands.extend(more);
            }
        }
        if dirty.all.is_some() && self.is_running() {
            let timeouts = lvs::timeouts(&self.config);
            if !timeouts.is_met_by(&seen.timeouts) {
                commands.push(Command::SetTimeouts(timeouts));
            }
        }
        commands.retain(|c| {
            !self.backoff.holds(Object::of(c), now) && !self.lacks_service(c, seen, now)
        });
        commands
    }

    /// A destination whose service is not there and has to wait has to wait with it.
    fn lacks_service(&self, command: &Command, seen: &Observation, now: Time) -> bool {
        match command {
            Command::NewDestination(key, ..) => {
                !seen.table.contains_key(key) && self.backoff.holds(Object::Service(*key), now)
            }
            _ => false,
        }
    }

    /// What failed before and turned out to be right meanwhile needs no third try.
    fn forget_resolved(&mut self, retried: &[Object], commands: &[Command]) {
        if retried.is_empty() {
            return;
        }
        let planned: BTreeSet<Object> = commands.iter().map(Object::of).collect();
        for object in retried {
            if *object != Object::Table && !planned.contains(object) {
                self.backoff.reset(*object);
            }
        }
    }

    fn tell_repairs(&self, commands: &[Command], out: &mut Vec<Action>) {
        let mut others = commands
            .iter()
            .filter(|c| !self.backoff.is_failing(Object::of(c)));
        if let Some(first) = others.next() {
            let first = Box::new(first.clone());
            let commands = 1 + others.count();
            event(out, KernelEvent::Repairing { commands, first });
        }
    }

    /// Nothing is left to be done now.
    fn settle(&mut self, out: &mut Vec<Action>) {
        if let Phase::Stopping { .. } = self.phase {
            let left = self.seen.as_ref().is_some_and(|s| self.owned.any_in(s));
            if !left {
                self.phase = Phase::Stopped;
                out.push(Action::Stopped);
            }
        } else {
            self.on_ready(out);
        }
    }

    /// Servers that an earlier run had taken out of a pool that is still there stay out until they
    /// have passed their checks, so that a restart does not send clients to them.
    fn adopt(&mut self, found: &Observation, now: Time, out: &mut Vec<Action>) {
        let record = std::mem::take(&mut self.record);
        let mut out_of_pool = Vec::new();
        for vs in &self.config.virtual_servers {
            let service = lvs::service_key(&vs.address);
            // One that is not there stands by.
            if is_one(vs) {
                continue;
            }
            // Of a group the first that was there and ours speaks for all.
            let there = lvs::service_keys(vs)
                .filter(|key| record.has_service(key))
                .find_map(|key| Some((key, found.table.get(&key)?)));
            let Some((at, there)) = there else {
                continue;
            };
            for rs in &vs.real_servers {
                let destination = lvs::destination_in(&at, rs);
                let weight = there.destinations.get(&destination).map(|d| d.weight);
                let inhibited = rs.inhibit_on_failure && rs.weight > 0 && weight == Some(0);
                let was_down = weight.is_none() || inhibited;
                if was_down && record.has_destination(&at, &destination) {
                    let endpoint = rs.endpoint;
                    out_of_pool.push(ServerKey { service, endpoint });
                }
            }
        }
        for server in out_of_pool {
            let was = self.monitor.status(&server);
            self.monitor.assume_down(server, now);
            if was == Status::Up && self.monitor.status(&server) == Status::Down {
                let vs = self.service_name(&server.service);
                out.push(Action::Event(BalancerEvent::StillOut { server, vs }));
                self.refresh_pool(server.service, out);
            }
        }
        self.adopt_writers(found, out);
        self.go_on_draining(&record.draining, found, out);
        // Sessions that were heard of already need not be waited for.
        self.tell_checks(out);
    }

    fn forget_gone(&mut self, out: &mut Vec<Action>) {
        let Some(seen) = &self.seen else { return };
        // Mostly nothing is gone, and tens of thousands of keys need no copy.
        if self.owned.is_all_in(seen) {
            return;
        }
        let named = match self.phase {
            Phase::Stopping { .. } => Owned::default(),
            _ => Owned::named_by(&self.config),
        };
        let mut owned = Owned::clone(&self.owned);
        owned.forget_gone(&named, seen);
        if owned != *self.owned {
            self.owned = Arc::new(owned);
            out.push(Action::Owned(Arc::clone(&self.owned)));
        }
    }
}
