//! What each service should be now: the configuration, the state of its servers, and weights that
//! somebody set by hand and that stay for the time being.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::Config;
use crate::config::model::{OnGone, RealServer, VirtualServer};
use crate::ipvs::{DestinationKey, Service, ServiceKey, Table};
use crate::lvs::{self, Quorum, QuorumLimits};
use crate::time::Time;

use super::checks::Standing;
use super::wanted::{Changed, Wanted};
use super::{KernelEvent, ServerKey};

/// What a look at one pool brought.
#[derive(Clone, Debug, Default)]
pub(super) struct Refreshed {
    /// Destinations whose desired state changed.
    pub(super) destinations: Vec<(ServiceKey, DestinationKey)>,
    pub(super) draining: Vec<KernelEvent>,
    pub(super) quorum: Option<QuorumNews>,
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
}

#[derive(Clone, Copy, Debug)]
struct Pool {
    /// In `Config::virtual_servers`.
    index: usize,
    quorum: Quorum,
}

impl Pools {
    /// Every pool anew; weights set by hand stay where our own weight is the same as before. What is
    /// not named any more is drained where it was to be.
    pub(super) fn rebuild(
        &mut self,
        config: &Config,
        standing: &Standing<'_>,
    ) -> (Vec<QuorumNews>, Vec<KernelEvent>) {
        let mut old = std::mem::take(self);
        let mut news = Vec::new();
        let mut draining = Vec::new();
        for (index, virtual_server) in config.virtual_servers.iter().enumerate() {
            let pool = lvs::service_key(&virtual_server.address);
            let was = old.pools.get(&pool).map(|pool| pool.quorum);
            let (quorum, told) = look(pool, virtual_server, was, standing);
            news.extend(told);
            self.pools.insert(pool, Pool { index, quorum });
            for service in lvs::service_keys(virtual_server) {
                let fresh = desired(pool, service, virtual_server, quorum, standing);
                let wanted = match old.services.remove(&service) {
                    None => Wanted::new(fresh, on_remove(&service, virtual_server)),
                    Some(mut wanted) => {
                        let limit =
                            |d: &DestinationKey| match server_at(&service, virtual_server, d) {
                                Some(server) => standing.drained(server).or(on_down(server)),
                                None => wanted.on_remove(d),
                            };
                        let limits = wanted.limits(&fresh, limit);
                        let changed = wanted.replace(fresh, &limits, standing.now);
                        draining.extend(told_of(service, &changed));
                        wanted.stays(on_remove(&service, virtual_server));
                        wanted
                    }
                };
                self.services.insert(service, wanted);
            }
        }
        for (service, mut wanted) in old.services {
            let fresh = wanted.emptied();
            let limits = wanted.limits(&fresh, |d| wanted.on_remove(d));
            let changed = wanted.replace(fresh, &limits, standing.now);
            draining.extend(told_of(service, &changed));
            if wanted.is_draining() {
                wanted.leaves();
                self.services.insert(service, wanted);
            }
        }
        (news, draining)
    }

    /// Weights that were set by hand are no longer kept.
    pub(super) fn forget_by_hand(&mut self) {
        self.services.values_mut().for_each(Wanted::forget_by_hand);
    }

    /// Whether a destination is drained.
    pub(super) fn is_draining(&self) -> bool {
        self.services.values().any(Wanted::is_draining)
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
        wanted.go_on_draining(destination, *spec, until)
    }

    /// When the first of those that are drained has had its time.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.services
            .values()
            .filter_map(Wanted::next_deadline)
            .min()
    }

    /// Those that are drained go when they have had their time, or have `no_connections`.
    pub(super) fn let_go(
        &mut self,
        now: Time,
        no_connections: impl Fn(&ServiceKey, &DestinationKey) -> bool,
    ) -> Vec<KernelEvent> {
        let mut gone = Vec::new();
        self.services.retain(|&service, wanted| {
            for (destination, in_time) in wanted.let_go(now, |d| no_connections(&service, d)) {
                gone.push(KernelEvent::Drained {
                    service,
                    destination,
                    in_time,
                });
            }
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
        let mut refreshed = Refreshed {
            quorum: news,
            ..Refreshed::default()
        };
        for service in lvs::service_keys(virtual_server) {
            let Some(wanted) = self.services.get_mut(&service) else {
                continue;
            };
            let fresh = desired(key, service, virtual_server, quorum, standing);
            let limits = wanted.limits(&fresh, |d| {
                let server = server_at(&service, virtual_server, d)?;
                standing.drained(server).or(on_down(server))
            });
            let changed = wanted.replace(fresh, &limits, standing.now);
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
    pub(super) fn keep_what_was_set_by_hand(
        &mut self,
        before: &Table,
        now: &Table,
        ours: impl Fn(&ServiceKey, &DestinationKey) -> bool,
    ) -> Vec<KernelEvent> {
        let mut events = Vec::new();
        for (&service, wanted) in &mut self.services {
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

/// The same of servers that are removed, of those that have a time.
fn on_remove(
    service: &ServiceKey,
    virtual_server: &VirtualServer,
) -> BTreeMap<DestinationKey, Duration> {
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
    quorum: Quorum,
    standing: &Standing<'_>,
) -> Service {
    lvs::service(virtual_server, &service, quorum, |server| {
        standing.shown(&key(pool, server), server)
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

fn key(service: ServiceKey, server: &RealServer) -> ServerKey {
    let endpoint = server.endpoint;
    ServerKey { service, endpoint }
}
