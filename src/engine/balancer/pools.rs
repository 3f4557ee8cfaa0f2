//! What each service should be now: the configuration, the state of its servers, and weights that
//! somebody set by hand and that stay for the time being.

use std::collections::BTreeMap;

use crate::config::Config;
use crate::config::model::{RealServer, VirtualServer};
use crate::ipvs::{DestinationKey, Service, ServiceKey, Table};
use crate::lvs::{self, Quorum, QuorumLimits, ServerState};

use super::{KernelEvent, ServerKey};

/// What a look at one pool brought.
#[derive(Clone, Debug, Default)]
pub(super) struct Refreshed {
    /// Destinations whose desired state changed.
    pub(super) destinations: Vec<(ServiceKey, DestinationKey)>,
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

/// One service of a pool.
#[derive(Clone, Debug)]
struct Wanted {
    /// With the weights set by hand.
    desired: Service,
    /// Our own weight of each destination whose weight was set by hand.
    by_hand: BTreeMap<DestinationKey, u32>,
}

impl Pools {
    /// Every pool anew; weights set by hand stay where our own weight is the same as before.
    pub(super) fn rebuild(
        &mut self,
        config: &Config,
        state: impl Fn(&ServerKey, &RealServer) -> ServerState,
    ) -> Vec<QuorumNews> {
        let mut old = std::mem::take(self);
        let mut news = Vec::new();
        for (index, virtual_server) in config.virtual_servers.iter().enumerate() {
            let pool = lvs::service_key(&virtual_server.address);
            let was = old.pools.get(&pool).map(|pool| pool.quorum);
            let (quorum, told) = look(pool, virtual_server, was, &state);
            news.extend(told);
            self.pools.insert(pool, Pool { index, quorum });
            for service in lvs::service_keys(virtual_server) {
                let fresh = desired(pool, service, virtual_server, quorum, &state);
                let wanted = match old.services.remove(&service) {
                    None => Wanted {
                        desired: fresh,
                        by_hand: BTreeMap::new(),
                    },
                    Some(mut wanted) => {
                        wanted.replace(fresh);
                        wanted
                    }
                };
                self.services.insert(service, wanted);
            }
        }
        news
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
        state: impl Fn(&ServerKey, &RealServer) -> ServerState,
    ) -> Refreshed {
        let Some(pool) = self.pools.get_mut(&key) else {
            return Refreshed::default();
        };
        let Some(virtual_server) = config.virtual_servers.get(pool.index) else {
            return Refreshed::default();
        };
        let (quorum, news) = look(key, virtual_server, Some(pool.quorum), &state);
        pool.quorum = quorum;
        let mut destinations = Vec::new();
        for service in lvs::service_keys(virtual_server) {
            if let Some(wanted) = self.services.get_mut(&service) {
                let fresh = desired(key, service, virtual_server, quorum, &state);
                let changed = wanted.replace(fresh).into_iter();
                destinations.extend(changed.map(|d| (service, d)));
            }
        }
        Refreshed {
            destinations,
            quorum: news,
        }
    }

    /// Whether a pool has its quorum.
    pub(super) fn quorum(&self, key: &ServiceKey) -> Quorum {
        let pool = self.pools.get(key);
        pool.map(|pool| pool.quorum).unwrap_or_default()
    }

    /// Whether somebody set this weight by hand and it stays for the time being.
    pub(super) fn is_by_hand(&self, key: &ServiceKey, destination: &DestinationKey) -> bool {
        let wanted = self.services.get(key);
        wanted.is_some_and(|wanted| wanted.by_hand.contains_key(destination))
    }

    pub(super) fn clear(&mut self) {
        *self = Pools::default();
    }

    pub(super) fn all(&self) -> BTreeMap<ServiceKey, &Service> {
        let services = self.services.iter();
        services.map(|(key, s)| (*key, &s.desired)).collect()
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
        self.services.get(key).map(|wanted| &wanted.desired)
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
            for (&destination, have) in &found.destinations {
                let had = known.and_then(|s| s.destinations.get(&destination));
                let Some(want) = wanted.desired.destinations.get_mut(&destination) else {
                    if had.is_none() && !ours(&service, &destination) {
                        events.push(KernelEvent::AddedByHand {
                            service,
                            destination,
                        });
                    }
                    continue;
                };
                let was_as_desired = had.is_some_and(|had| had.weight == want.weight);
                if !was_as_desired || have.weight == want.weight {
                    continue;
                }
                let ours = *wanted.by_hand.entry(destination).or_insert(want.weight);
                want.weight = have.weight;
                if have.weight == ours {
                    wanted.by_hand.remove(&destination);
                    continue;
                }
                events.push(KernelEvent::SetByHand {
                    service,
                    destination,
                    weight: have.weight,
                    ours,
                });
            }
        }
        events
    }
}

impl Wanted {
    fn replace(&mut self, mut fresh: Service) -> Vec<DestinationKey> {
        self.by_hand.retain(|destination, ours| {
            let old = self.desired.destinations.get(destination);
            match (fresh.destinations.get_mut(destination), old) {
                (Some(new), Some(old)) if new.weight == *ours => {
                    new.weight = old.weight;
                    true
                }
                // A reason of our own to write it.
                _ => false,
            }
        });
        let old = std::mem::replace(&mut self.desired, fresh).destinations;
        let new = &self.desired.destinations;
        let left = old.keys().filter(|d| !new.contains_key(d));
        let other = new.iter().filter(|(d, spec)| old.get(d) != Some(*spec));
        left.chain(other.map(|(d, _)| d)).copied().collect()
    }
}

fn desired(
    pool: ServiceKey,
    service: ServiceKey,
    virtual_server: &VirtualServer,
    quorum: Quorum,
    state: &impl Fn(&ServerKey, &RealServer) -> ServerState,
) -> Service {
    lvs::service(virtual_server, &service, quorum, |server| {
        state(&key(pool, server), server)
    })
}

/// The quorum as it is now; news if it is not what it `was`, or the pool is new.
fn look(
    service: ServiceKey,
    virtual_server: &VirtualServer,
    was: Option<Quorum>,
    state: &impl Fn(&ServerKey, &RealServer) -> ServerState,
) -> (Quorum, Option<QuorumNews>) {
    let limits = QuorumLimits::of(virtual_server);
    let sum = lvs::weight_up(virtual_server, |server| {
        state(&key(service, server), server)
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
