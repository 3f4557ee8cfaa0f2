//! Which keys of IPVS are ours: the kernel has no place for a tag, so what a configuration names and what
//! the record on disk lists is all there is to go by.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Config;
use crate::config::model::VirtualServer;
use crate::ipvs::{DestinationKey, ServiceKey, Sorted, SyncRole};
use crate::time::Time;

use super::{Observation, destination_in, service_keys, sorry_key};

/// Keys that may be changed and removed. Whatever is not listed belongs to somebody else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owned {
    /// Services, each with the destinations in it that are ours.
    pub services: BTreeMap<ServiceKey, Sorted<DestinationKey, ()>>,
    /// Sync daemons.
    pub daemons: BTreeSet<SyncRole>,
    /// Destinations of ours that have left their pool and keep their connections, until then.
    pub draining: BTreeMap<(ServiceKey, DestinationKey), Time>,
}

impl Owned {
    /// What a configuration names, whether its servers are up or not.
    pub fn named_by(config: &Config) -> Owned {
        let services = config
            .virtual_servers
            .iter()
            .flat_map(|vs| service_keys(vs).map(move |key| (key, destinations(vs, key).collect())));
        Owned {
            services: services.collect(),
            daemons: if syncs(config) {
                BTreeSet::from([SyncRole::Master, SyncRole::Backup])
            } else {
                BTreeSet::new()
            },
            draining: BTreeMap::new(),
        }
    }

    /// Whether it lists all that a configuration names.
    pub fn lists_all_of(&self, config: &Config) -> bool {
        let mut keys = config
            .virtual_servers
            .iter()
            .flat_map(|vs| service_keys(vs).map(move |key| (key, vs)));
        let listed = keys.all(|(key, vs)| {
            let listed = self.services.get(&key);
            listed.is_some_and(|listed| destinations(vs, key).all(|d| listed.contains_key(&d)))
        });
        listed && (!syncs(config) || self.daemons.len() == 2)
    }

    /// Everything that is in the kernel (`lvs_flush`, `lvs_flush_on_stop`).
    pub fn everything_in(seen: &Observation) -> Owned {
        let services = seen
            .table
            .iter()
            .map(|(key, service)| (*key, service.destinations.keys().copied().collect()));
        Owned {
            services: services.collect(),
            ..Owned::default()
        }
    }

    /// Nothing at all.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty() && self.daemons.is_empty()
    }

    /// Takes in what `other` lists.
    pub fn extend(&mut self, other: &Owned) {
        for (service, destinations) in &other.services {
            let own = self.services.entry(*service).or_default();
            join(own, destinations.keys());
        }
        self.daemons.extend(&other.daemons);
        self.draining.extend(&other.draining);
    }

    /// Whatever stands in these services of ours is ours (`outside_changes revert`).
    pub fn take_over(&mut self, seen: &Observation, which: impl Fn(&ServiceKey) -> bool) {
        let services = self.services.iter_mut();
        for (key, destinations) in services.filter(|(key, _)| which(key)) {
            if let Some(service) = seen.table.get(key) {
                join(destinations, service.destinations.keys());
            }
        }
    }

    /// Forgets what `named` does not list and the kernel does not have: it has been removed, and whoever
    /// adds it again later is its owner.
    pub fn forget_gone(&mut self, named: &Owned, seen: &Observation) {
        self.services.retain(|service, destinations| {
            let observed = seen.table.get(service);
            destinations.retain(|d, ()| {
                named.has_destination(service, d)
                    || observed.is_some_and(|s| s.destinations.contains_key(d))
            });
            named.has_service(service) || observed.is_some()
        });
        let services = &self.services;
        self.draining.retain(|(service, destination), _| {
            let destinations = services.get(service);
            destinations.is_some_and(|d| d.contains_key(destination))
        });
        self.daemons
            .retain(|role| named.daemons.contains(role) || seen.daemons.contains_key(role));
    }

    /// Whether the kernel has every service and destination of it, and every sync daemon.
    pub fn is_all_in(&self, seen: &Observation) -> bool {
        let services = self.services.iter().all(|(key, destinations)| {
            let there = seen.table.get(key);
            let has = |d| there.is_some_and(|service| service.destinations.contains_key(d));
            there.is_some() && destinations.keys().all(has)
        });
        services && self.daemons.iter().all(|r| seen.daemons.contains_key(r))
    }

    /// Whether any of it is in the kernel.
    pub fn any_in(&self, seen: &Observation) -> bool {
        self.services.keys().any(|k| seen.table.contains_key(k))
            || self.daemons.iter().any(|r| seen.daemons.contains_key(r))
    }

    /// Whether this service is ours.
    pub fn has_service(&self, service: &ServiceKey) -> bool {
        self.services.contains_key(service)
    }

    /// Whether this destination of this service is ours.
    pub fn has_destination(&self, service: &ServiceKey, destination: &DestinationKey) -> bool {
        let destinations = self.services.get(service);
        destinations.is_some_and(|d| d.contains_key(destination))
    }
}

fn join<'a>(own: &mut Sorted<DestinationKey, ()>, more: impl Iterator<Item = &'a DestinationKey>) {
    for key in more {
        own.insert_new(*key, ());
    }
}

/// The destinations of a virtual server in one of its services.
fn destinations(vs: &VirtualServer, key: ServiceKey) -> impl Iterator<Item = DestinationKey> {
    let servers = vs.real_servers.iter();
    let servers = servers.map(move |rs| destination_in(&key, rs));
    let sorry = vs.sorry_server.iter();
    servers.chain(sorry.map(move |sorry| sorry_key(&key, sorry)))
}

/// Whether a configuration has sync daemons.
fn syncs(config: &Config) -> bool {
    let mut instances = config.instances.iter();
    config.globals.lvs_sync_daemon.is_some()
        || instances.any(|i| i.more.lvs_sync_daemon_interface.is_some())
}
