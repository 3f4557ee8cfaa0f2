//! One network namespace's IPVS as it was last seen, carried on by what was written since.

use std::collections::BTreeMap;

use crate::ipvs::{
    Command, DestinationKey, Destinations, Service, ServiceKey, SyncDaemon, SyncRole, Table,
    Timeouts,
};

/// What the kernel showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// Every service with its destinations, ours or not.
    pub table: Table,
    /// The sync daemons that run.
    pub daemons: BTreeMap<SyncRole, SyncDaemon>,
    /// How long idle connections are remembered.
    pub timeouts: Timeouts,
    /// Connections that destinations of weight 0 had when the table was read.
    pub connections: BTreeMap<(ServiceKey, DestinationKey), u32>,
}

impl Observation {
    /// What it is after the kernel has carried `command` out. A command that cannot have succeeded here
    /// changes nothing: the next observation will tell.
    pub fn apply(&mut self, command: &Command) {
        match command {
            Command::NewService(key, spec) => {
                self.table.entry(*key).or_insert_with(|| Service {
                    spec: spec.clone(),
                    destinations: Destinations::default(),
                });
            }
            Command::SetService(key, spec) => {
                if let Some(service) = self.table.get_mut(key) {
                    service.spec = spec.clone();
                }
            }
            Command::DelService(key) => {
                self.table.remove(key);
            }
            Command::NewDestination(key, destination, spec)
            | Command::SetDestination(key, destination, spec) => {
                // What it had says nothing of what comes now.
                self.connections.remove(&(*key, *destination));
                if let Some(service) = self.table.get_mut(key) {
                    service.destinations.insert(*destination, *spec);
                }
            }
            Command::DelDestination(key, destination) => {
                if let Some(service) = self.table.get_mut(key) {
                    service.destinations.remove(destination);
                }
            }
            Command::NewDaemon(role, daemon) => {
                self.daemons.insert(*role, daemon.clone());
            }
            Command::DelDaemon(role) => {
                self.daemons.remove(role);
            }
            Command::SetTimeouts(timeouts) => {
                let have = &mut self.timeouts;
                have.tcp = timeouts.tcp.or(have.tcp);
                have.tcp_fin = timeouts.tcp_fin.or(have.tcp_fin);
                have.udp = timeouts.udp.or(have.udp);
            }
        }
    }
}
