//! What each service should be now: the configuration, the state of its servers, and weights that
//! somebody set by hand and that stay for the time being.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::Config;
use crate::config::model::{OnGone, RealServer, VirtualServer, Writers};
use crate::ipvs::{DestinationKey, Service, ServiceKey, Table};
use crate::lvs::{self, Quorum, QuorumLimits, Writer};
use crate::time::Time;

use super::checks::Standing;
use super::wanted::{Changed, Wanted};
use super::writers::{Part, WriterNews, elect, found_writer, is_one, takes};
use super::{KernelEvent, ServerKey};

/// What a look at one pool brought.
#[derive(Clone, Debug, Default)]
pub(super) struct Refreshed {
    /// Destinations whose desired state changed.
    pub(super) destinations: Vec<(ServiceKey, DestinationKey)>,
    pub(super) draining: Vec<KernelEvent>,
    pub(super) quorum: Option<QuorumNews>,
    pub(super) writer: Option<WriterNews>,
}

/// What all pools anew brought.
#[derive(Clone, Debug, Default)]
pub(super) struct Rebuilt {
    pub(super) quorums: Vec<QuorumNews>,
    pub(super) writers: Vec<WriterNews>,
    pub(super) draining: Vec<KernelEvent>,
}

/// The quorum of a pool changed.
#[derive(Clone, Copy, Debug)]
pub(super) struct QuorumNews {
    pub(super) service: ServiceKey,
    pub(super) quorum: Quorum,
    pub(super) limits: QuorumLimits,
    /// Weights of the servers that are up.
    pub(super) sum: u64,
    /// The pool is new.
    pub(super) starts: bool,
}

/// Pools by the first service of their virtual server, and services by their own key.
#[derive(Clone, Debug, Default)]
pub(super) struct Pools {
    pools: BTreeMap<ServiceKey, Pool>,
    services: BTreeMap<ServiceKey, Wanted>,
    /// The services of each pool with `one_writer`.
    one_writer: Vec<Vec<ServiceKey>>,
    /// Whether destinations may be drained: after each of thousands of checks nobody looks at every service.
    drains: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Pool {
    /// In `Config::virtual_servers`.
    index: usize,
    quorum: Quorum,
    writer: Writer,
}

impl Pools {
    /// Every pool anew; weights set by hand stay where our own weight is the same as before. What is
    /// not named any more is drained where it was to be.
    pub(super) fn rebuild(&mut self, config: &Config, standing: &Standing<'_>) -> Rebuilt {
        let mut old = std::mem::take(self);
        let mut rebuilt = Rebuilt::default();
        for (index, virtual_server) in config.virtual_servers.iter().enumerate() {
            self.begin(&old, (index, virtual_server), standing, &mut rebuilt);
        }
        for virtual_server in &config.virtual_servers {
            let pool = lvs::service_key(&virtual_server.address);
            let quorum = self.quorum(&pool);
            let part = self.part(&pool, virtual_server);
            for service in lvs::service_keys(virtual_server) {
                let fresh = desired(pool, service, virtual_server, (quorum, part), standing);
                let wanted = match old.services.remove(&service) {
                    None => Wanted::new(fresh, on_remove(&service, virtual_server)),
                    Some(mut wanted) => {
                        if part.is_one() {
                            wanted.forget_by_hand();
                        }
                        let limit =
                            |d: &DestinationKey| match server_at(&service, virtual_server, d) {
                                Some(server) => limit_down(server, part, standing),
                                None if part.is_one() => None,
                                None => wanted.on_remove(d),
                            };
                        let limits = wanted.limits(&fresh, limit);
                        let changed = wanted.replace(fresh, &limits, standing.now);
                        rebuilt.draining.extend(told_of(service, &changed));
                        wanted.stays(on_remove(&service, virtual_server));
                        wanted
                    }
                };
                self.drains |= wanted.is_draining();
                self.services.insert(service, wanted);
            }
        }
        for (service, mut wanted) in old.services {
            let fresh = wanted.emptied();
            let limits = wanted.limits(&fresh, |d| wanted.on_remove(d));
            let changed = wanted.replace(fresh, &limits, standing.now);
            rebuilt.draining.extend(told_of(service, &changed));
            if wanted.is_draining() {
                wanted.leaves();
                self.drains = true;
                self.services.insert(service, wanted);
            }
        }
        rebuilt
    }

    /// One pool anew, without its services.
    fn begin(
        &mut self,
        old: &Pools,
        (index, virtual_server): (usize, &VirtualServer),
        standing: &Standing<'_>,
        rebuilt: &mut Rebuilt,
    ) {
        let key = lvs::service_key(&virtual_server.address);
        let was = old.pools.get(&key).copied();
        let (quorum, told) = look(key, virtual_server, was.map(|pool| pool.quorum), standing);
        rebuilt.quorums.extend(told);
        let before = was.map(|pool| pool.writer).unwrap_or_default();
        let mut writer = elect(key, virtual_server, before, standing);
        if is_one(virtual_server) {
            self.one_writer
                .push(lvs::service_keys(virtual_server).collect());
            // Whoever takes connections goes on until the checks of all have answered.
            let there = old.services.get(&key).map(Wanted::desired);
            let found = there.and_then(|there| found_writer(&key, virtual_server, there));
            if let (None, Some(found)) = (writer.server(), found) {
                writer = elect(key, virtual_server, Writer::found(found), standing);
            }
        }
        rebuilt.writers.extend(WriterNews::of(key, before, writer));
        let pool = Pool {
            index,
            quorum,
            writer,
        };
        self.pools.insert(key, pool);
    }

    /// Which of its servers a pool has.
    fn part(&self, key: &ServiceKey, virtual_server: &VirtualServer) -> Part {
        let writer = |key: &ServiceKey| self.pools.get(key).and_then(|p| p.writer.server());
        match virtual_server.writers {
            None => Part::All,
            Some(Writers::One(_)) => Part::Only(writer(key)),
            Some(Writers::ReadersOf(address)) => Part::Without(writer(&lvs::service_key(&address))),
        }
    }

    /// The writer of a pool.
    pub(super) fn writer(&self, key: &ServiceKey) -> Writer {
        self.pools
            .get(key)
            .map(|pool| pool.writer)
            .unwrap_or_default()
    }

    /// A pool has another writer: that which takes connections.
    pub(super) fn set_writer(&mut self, key: &ServiceKey, writer: Writer) {
        if let Some(pool) = self.pools.get_mut(key) {
            pool.writer = writer;
        }
    }

    /// The services of each pool with `one_writer`.
    pub(super) fn with_one_writer(&self) -> &[Vec<ServiceKey>] {
        &self.one_writer
    }

    /// Whether a service is one of such a pool.
    pub(super) fn has_one_writer(&self, service: &ServiceKey) -> bool {
        self.one_writer.iter().any(|pool| pool.contains(service))
    }

    /// Weights that were set by hand are no longer kept.
    pub(super) fn forget_by_hand(&mut self) {
        self.services.values_mut().for_each(Wanted::forget_by_hand);
    }

    /// Whether a destination is drained.
    pub(super) fn is_draining(&self) -> bool {
        self.drains && self.services.values().any(Wanted::is_draining)
    }

    /// Those that are drained, and until when at most.
    pub(super) fn draining(&self) -> impl Iterator<Item = (ServiceKey, DestinationKey, Time)> {
        let services = self.services.iter();
        services.flat_map(|(service, wanted)| {
            let draining = wanted.draining().iter();
            draining.map(|(destination, until)| (*service, *destination, *until))
        })
    }

    /// One that an earlier run began to drain, as it is `there`, goes on to be drained; not, when it is
    /// in the pool again.
    pub(super) fn go_on_draining(
        &mut self,
        (service, destination): (ServiceKey, DestinationKey),
        there: &Service,
        until: Time,
    ) -> bool {
        let Some(spec) = there.destinations.get(&destination) else {
            return false;
        };
        let wanted = self.services.entry(service).or_insert_with(|| {
            let spec = there.spec.clone();
            Wanted::left(spec)
        });
        let drains = wanted.go_on_draining(destination, *spec, until);
        self.drains |= drains;
        drains
    }

    /// When the first of those that are drained has had its time.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        let services = self.drains.then(|| self.services.values());
        let each = services.into_iter().flatten();
        each.filter_map(Wanted::next_deadline).min()
    }

    /// Those that are drained go when they have had their time, or have `no_connections`.
    pub(super) fn let_go(
        &mut self,
        now: Time,
        no_connections: impl Fn(&ServiceKey, &DestinationKey) -> bool,
    ) -> Vec<KernelEvent> {
        let mut gone = Vec::new();
        if !std::mem::take(&mut self.drains) {
            return gone;
        }
        let drains = &mut self.drains;
        self.services.retain(|&service, wanted| {
            for (destination, in_time) in wanted.let_go(now, |d| no_connections(&service, d)) {
                gone.push(KernelEvent::Drained {
                    service,
                    destination,
                    in_time,
                });
            }
            *drains |= wanted.is_draining();
            !wanted.is_over()
        });
        gone
    }

    /// Pools are known by another service than before.
    pub(super) fn rename(&mut self, moved: &BTreeMap<ServiceKey, ServiceKey>) {
        for (from, to) in moved {
            if let Some(pool) = self.pools.remove(from) {
                self.pools.insert(*to, pool);
            }
        }
    }

    /// One pool anew.
    pub(super) fn refresh(
        &mut self,
        key: ServiceKey,
        config: &Config,
        standing: &Standing<'_>,
    ) -> Refreshed {
        let Some(pool) = self.pools.get_mut(&key) else {
            return Refreshed::default();
        };
        let Some(virtual_server) = config.virtual_servers.get(pool.index) else {
            return Refreshed::default();
        };
        let (quorum, news) = look(key, virtual_server, Some(pool.quorum), standing);
        pool.quorum = quorum;
        let before = pool.writer;
        pool.writer = elect(key, virtual_server, before, standing);
        let mut refreshed = Refreshed {
            quorum: news,
            writer: WriterNews::of(key, before, pool.writer),
            ..Refreshed::default()
        };
        let part = self.part(&key, virtual_server);
        for service in lvs::service_keys(virtual_server) {
            let Some(wanted) = self.services.get_mut(&service) else {
                continue;
            };
            let fresh = desired(key, service, virtual_server, (quorum, part), standing);
            let limits = wanted.limits(&fresh, |d| {
                let server = server_at(&service, virtual_server, d)?;
                limit_down(server, part, standing)
            });
            let changed = wanted.replace(fresh, &limits, standing.now);
            self.drains |= wanted.is_draining();
            refreshed.draining.extend(told_of(service, &changed));
            let all = changed.destinations.into_iter();
            refreshed.destinations.extend(all.map(|d| (service, d)));
        }
        refreshed
    }

    /// Whether a pool has its quorum.
    pub(super) fn quorum(&self, key: &ServiceKey) -> Quorum {
        let pool = self.pools.get(key);
        pool.map(|pool| pool.quorum).unwrap_or_default()
    }

    /// Whether somebody set this weight by hand and it stays for the time being.
    pub(super) fn is_by_hand(&self, key: &ServiceKey, destination: &DestinationKey) -> bool {
        let wanted = self.services.get(key);
        wanted.is_some_and(|wanted| wanted.is_by_hand(destination))
    }

    pub(super) fn clear(&mut self) {
        *self = Pools::default();
    }

    pub(super) fn all(&self) -> BTreeMap<ServiceKey, &Service> {
        let services = self.services.iter();
        services.map(|(key, s)| (*key, s.desired())).collect()
    }

    /// That of a pool.
    pub(super) fn virtual_server<'a>(
        &self,
        key: &ServiceKey,
        config: &'a Config,
    ) -> Option<&'a VirtualServer> {
        let pool = self.pools.get(key)?;
        config.virtual_servers.get(pool.index)
    }

    /// One service as it should be.
    pub(super) fn get(&self, key: &ServiceKey) -> Option<&Service> {
        self.services.get(key).map(Wanted::desired)
    }

    /// Looks for what somebody else did to destinations of ours between two observations, and keeps it:
    /// a weight that had been as desired and no longer is, a server that is not ours and was not there.
    /// Not where there is one writer: somebody else's would be a second.
    pub(super) fn keep_what_was_set_by_hand(
        &mut self,
        before: &Table,
        now: &Table,
        ours: impl Fn(&ServiceKey, &DestinationKey) -> bool,
    ) -> Vec<KernelEvent> {
        let mut events = Vec::new();
        let one_writer = &self.one_writer;
        for (&service, wanted) in &mut self.services {
            if one_writer.iter().any(|pool| pool.contains(&service)) {
                continue;
            }
            let Some(found) = now.get(&service) else {
                continue;
            };
            let known = before.get(&service);
            wanted.keep(service, (known, found), &ours, &mut events);
        }
        events
    }
}

/// How long a server that failed keeps its connections.
fn on_down(server: &RealServer) -> Option<Duration> {
    limit_of(server.connections.as_deref()?.on_down)
}

/// The same of one that left its pool, taken out by an operator perhaps. A writer that is none any more keeps
/// no connections unless an operator wants it: what comes through them would still be written.
fn limit_down(server: &RealServer, part: Part, standing: &Standing<'_>) -> Option<Duration> {
    let drained = standing.drained(server);
    match part.is_one() {
        true => drained,
        false => drained.or(on_down(server)),
    }
}

/// The same of servers that are removed, of those that have a time.
fn on_remove(
    service: &ServiceKey,
    virtual_server: &VirtualServer,
) -> BTreeMap<DestinationKey, Duration> {
    if is_one(virtual_server) {
        return BTreeMap::new();
    }
    let servers = virtual_server.real_servers.iter();
    servers
        .filter_map(|server| {
            let limit = limit_of(server.connections.as_deref()?.on_remove)?;
            Some((lvs::destination_in(service, server), limit))
        })
        .collect()
}

fn limit_of(gone: Option<OnGone>) -> Option<Duration> {
    match gone {
        Some(OnGone::Drain(limit)) => Some(limit),
        Some(OnGone::Kill) | None => None,
    }
}

fn server_at<'a>(
    service: &ServiceKey,
    virtual_server: &'a VirtualServer,
    destination: &DestinationKey,
) -> Option<&'a RealServer> {
    let mut servers = virtual_server.real_servers.iter();
    servers.find(|rs| lvs::destination_in(service, rs) == *destination)
}

fn told_of(service: ServiceKey, changed: &Changed) -> impl Iterator<Item = KernelEvent> {
    let draining = changed.draining.iter();
    draining.map(move |&(destination, limit)| KernelEvent::Draining {
        service,
        destination,
        limit,
    })
}

fn desired(
    pool: ServiceKey,
    service: ServiceKey,
    virtual_server: &VirtualServer,
    (quorum, part): (Quorum, Part),
    standing: &Standing<'_>,
) -> Service {
    let closed = quorum == Quorum::Lost && virtual_server.sorry_server.is_some();
    let part = part.settled(closed, || {
        let mut others = virtual_server.real_servers.iter();
        others.any(|server| {
            let state = standing.state(&key(pool, server), server);
            !part.concerns(server) && takes(state)
        })
    });
    lvs::service(virtual_server, &service, quorum, |server| {
        part.of(server, standing.shown(&key(pool, server), server))
    })
}

/// The quorum as it is now; news if it is not what it `was`, or the pool is new.
fn look(
    service: ServiceKey,
    virtual_server: &VirtualServer,
    was: Option<Quorum>,
    standing: &Standing<'_>,
) -> (Quorum, Option<QuorumNews>) {
    let limits = QuorumLimits::of(virtual_server);
    let sum = lvs::weight_up(virtual_server, |server| {
        standing.state(&key(service, server), server)
    });
    let quorum = was.unwrap_or_default().after(limits, sum);
    let news = (was != Some(quorum)).then_some(QuorumNews {
        service,
        quorum,
        limits,
        sum,
        starts: was.is_none(),
    });
    (quorum, news)
}

pub(super) fn key(service: ServiceKey, server: &RealServer) -> ServerKey {
    let endpoint = server.endpoint;
    ServerKey { service, endpoint }
}
