//! What the balancer knows and why, for whoever asks.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::model::{RealServer, VirtualServer};
use crate::engine::shared::Changes;
use crate::health::{Answer, Check, KindStats, Status};
use crate::ipvs::{DestinationKey, Service, ServiceKey};
use crate::lvs::{self, Elected, Quorum, QuorumLimits};
use crate::net::Endpoint;
use crate::time::Time;

use super::{Balancer, Kind, Override, Scope, ServerKey};

/// Everything at one moment.
#[derive(Clone, Debug)]
pub struct View {
    /// The moment.
    pub at: Time,
    /// Every virtual server, in the order of the file.
    pub services: Vec<ServiceView>,
    /// Servers that have left their pools and keep their connections for a while.
    pub draining: Vec<DrainingView>,
    /// What operators ordered.
    pub overrides: Vec<(Scope, Override)>,
    /// What checks were answered, by their keyword.
    pub kinds: BTreeMap<&'static str, KindStats>,
    /// What came of changes to the kernel's table.
    pub changes: Changes,
}

/// A virtual server.
#[derive(Clone, Debug)]
pub struct ServiceView {
    /// Which.
    pub key: ServiceKey,
    /// The group that it is of.
    pub group: Option<String>,
    /// Its scheduler.
    pub scheduler: String,
    /// Whether its servers are enough.
    pub quorum: Quorum,
    /// What decides that.
    pub limits: QuorumLimits,
    /// The weights of the servers that are up.
    pub weight_up: u64,
    /// It is in the kernel's table.
    pub programmed: bool,
    /// Its servers.
    pub servers: Vec<ServerView>,
    /// Its sorry server, and whether that takes the place of the pool.
    pub sorry: Option<(Endpoint, bool)>,
    /// Its writer, where there is to be one (`one_writer`).
    pub writer: Option<WriterView>,
}

/// The writer of a virtual server.
#[derive(Clone, Copy, Debug)]
pub struct WriterView {
    /// Who it is, and why; `None`: nobody.
    pub elected: Option<Elected>,
    /// Who comes before it and is well: it has stayed the writer, or has not left yet.
    pub passed_over: Option<Endpoint>,
}

/// What a server that is up does among those of its pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// It takes connections as all do.
    Shares,
    /// It is the writer.
    Writes,
    /// It waits until it is.
    StandsBy,
    /// It is the writer of that other virtual server, and keeps here the connections that it has.
    WritesElsewhere(ServiceKey),
}

/// A real server.
#[derive(Clone, Debug)]
pub struct ServerView {
    /// As the configuration has it.
    pub endpoint: Endpoint,
    /// As the kernel has it.
    pub destination: DestinationKey,
    /// Whether it is up.
    pub status: Status,
    /// Since when, if it has ever changed.
    pub since: Option<Time>,
    /// As configured.
    pub weight: u32,
    /// As it should be in the kernel now; `None`: it is not to be there.
    pub weight_now: Option<u32>,
    /// Its weight was set by hand, and is kept.
    pub by_hand: bool,
    /// What operators ordered about it.
    pub overrides: Vec<(Scope, Override)>,
    /// What it does while it is up.
    pub duty: Duty,
    /// Connections that it still has, where its weight is 0 and they were counted.
    pub connections: Option<u32>,
    /// What it has in the kernel; `None`: it is not there.
    pub weight_in_kernel: Option<u32>,
    /// Its checks.
    pub checks: Vec<CheckView>,
}

impl ServerView {
    /// An operator took it out.
    pub fn is_drained(&self) -> bool {
        self.overrides
            .iter()
            .any(|(_, order)| order.set.kind() == Kind::Drain)
    }
}

/// A server that has left its pool and keeps its connections for a while.
#[derive(Clone, Copy, Debug)]
pub struct DrainingView {
    /// In which service.
    pub service: ServiceKey,
    /// Which.
    pub destination: DestinationKey,
    /// How long at most.
    pub until: Time,
    /// Its connections, when they were last counted.
    pub connections: Option<u32>,
}

/// A check.
#[derive(Clone, Debug)]
pub struct CheckView {
    /// Its keyword.
    pub kind: &'static str,
    /// Whom it asks.
    pub target: Option<Endpoint>,
    /// What it says.
    pub status: Status,
    /// Since when, if it has ever changed.
    pub since: Option<Time>,
    /// The last answer.
    pub answer: Option<Answer>,
    /// Failures in a row that do not count yet, and how many do not.
    pub retries: (u32, u32),
    /// It is not made for the time being.
    pub paused: bool,
    /// How often it is made.
    pub every: Duration,
}

impl CheckView {
    fn of(check: &Check) -> CheckView {
        let settings = check.settings();
        CheckView {
            kind: settings.kind.keyword(),
            target: settings.kind.destination(),
            status: check.status(),
            since: check.changed_at(),
            answer: check.answer().cloned(),
            retries: (check.failures(), settings.retry),
            paused: check.is_paused(),
            every: settings.delay_loop,
        }
    }
}

/// Since when a server as a whole is what it is: down from its first failed check on, up since the last
/// of them came up.
fn since(status: Status, checks: &[CheckView]) -> Option<Time> {
    let changed = checks.iter().filter(|check| check.status == status);
    let changed = changed.filter_map(|check| check.since);
    match status {
        Status::Down => changed.min(),
        Status::Up => changed.max(),
    }
}

impl Balancer {
    /// What it knows at this moment.
    pub fn view(&self, now: Time) -> View {
        let services = self.config.virtual_servers.iter();
        View {
            at: now,
            services: services.map(|vs| self.service_view(vs)).collect(),
            draining: self.draining_views(),
            overrides: self.override_views(),
            kinds: self.monitor.kinds().clone(),
            changes: self.changes,
        }
    }

    fn override_views(&self) -> Vec<(Scope, Override)> {
        let all = self.overrides.iter();
        all.map(|((_, scope), order)| (scope.clone(), order.clone()))
            .collect()
    }

    fn draining_views(&self) -> Vec<DrainingView> {
        let connections = |service, destination| {
            let seen = self.seen.as_ref()?;
            seen.connections.get(&(service, destination)).copied()
        };
        let draining = self.pools.draining();
        draining
            .map(|(service, destination, until)| DrainingView {
                service,
                destination,
                until,
                connections: connections(service, destination),
            })
            .collect()
    }

    fn service_view(&self, vs: &VirtualServer) -> ServiceView {
        let key = lvs::service_key(&vs.address);
        let standing = self.standing();
        let state = |rs: &RealServer| standing.state(&server_key(key, rs), rs);
        let quorum = self.pools.quorum(&key);
        let sorry = vs.sorry_server.as_ref();
        ServiceView {
            key,
            group: vs.group.as_ref().map(|group| group.name.clone()),
            scheduler: vs.scheduler.name.to_string(),
            quorum,
            limits: QuorumLimits::of(vs),
            weight_up: lvs::weight_up(vs, state),
            programmed: self
                .seen
                .as_ref()
                .is_some_and(|seen| seen.table.contains_key(&key)),
            servers: vs
                .real_servers
                .iter()
                .map(|rs| self.server_view(key, vs, rs))
                .collect(),
            sorry: sorry.map(|sorry| (sorry.endpoint, quorum == Quorum::Lost)),
            writer: self.writer_view(vs),
        }
    }

    fn server_view(&self, key: ServiceKey, vs: &VirtualServer, rs: &RealServer) -> ServerView {
        let server = server_key(key, rs);
        let destination = lvs::destination_key(vs, rs);
        let weight_in = |service: &Service| {
            let spec = service.destinations.get(&destination);
            spec.map(|spec| spec.weight)
        };
        let checks: Vec<CheckView> = self.monitor.checks(&server).map(CheckView::of).collect();
        let status = self.status(&server);
        ServerView {
            endpoint: rs.endpoint,
            destination,
            status,
            since: since(status, &checks),
            weight: rs.weight,
            weight_now: self.pools.get(&key).and_then(weight_in),
            by_hand: self.pools.is_by_hand(&key, &destination),
            overrides: self.overrides_of(vs, rs),
            duty: self.duty(vs, rs),
            connections: self
                .seen
                .as_ref()
                .and_then(|seen| seen.connections.get(&(key, destination)).copied()),
            weight_in_kernel: self
                .seen
                .as_ref()
                .and_then(|seen| seen.table.get(&key).and_then(weight_in)),
            checks,
        }
    }
}

fn server_key(service: ServiceKey, rs: &RealServer) -> ServerKey {
    let endpoint = rs.endpoint;
    ServerKey { service, endpoint }
}
