//! The commands that make what is desired out of what was seen, in an order that a client does not
//! notice: new services and destinations, changes, destinations that leave, services that leave. A
//! service is never without a destination that takes connections while it has one before and after.

use std::collections::BTreeMap;

use crate::ipvs::{
    Command, DestinationKey, DestinationSpec, Destinations, Service, ServiceKey, ServiceSpec,
    SyncDaemon, SyncRole,
};
use crate::net::ForwardingMethod;
use crate::reconcile::{Change, Items, diff};

use super::Owned;

/// Commands for services and their destinations. `observed` may be a part of the kernel's table: keys
/// that stand in neither map are not looked at.
///
/// A destination inside one of our services that is neither desired nor owned was put there by somebody
/// else and stays, until its service is removed.
pub fn table_commands(
    desired: &BTreeMap<ServiceKey, &Service>,
    observed: &BTreeMap<ServiceKey, &Service>,
    owned: &Owned,
) -> Vec<Command> {
    let mut plan = Plan::default();
    for change in diff(
        &specs(desired),
        &specs(observed),
        |key| owned.has_service(key),
        |want, have| want == have,
    ) {
        match change {
            Change::Change(key, spec) => plan.changes.push(Command::SetService(key, spec.clone())),
            Change::Remove(key) => plan.del_services.push(Command::DelService(key)),
            // Stands below, right before its destinations: the shorter it is empty the better.
            Change::Add(..) => {}
        }
    }
    let nothing = Destinations::default();
    for (&key, service) in desired {
        let there = observed.get(&key);
        if there.is_none() {
            plan.additions
                .push(Command::NewService(key, service.spec.clone()));
        }
        let have = there.map_or(&nothing, |s| &s.destinations);
        plan.destinations(key, &service.destinations, have, owned);
    }
    plan.into_commands()
}

/// Commands for the sync daemons; a running one cannot be changed, only stopped and started.
pub fn daemon_commands(
    desired: &BTreeMap<SyncRole, SyncDaemon>,
    observed: &BTreeMap<SyncRole, SyncDaemon>,
    owned: &Owned,
) -> Vec<Command> {
    let ours = |role: &SyncRole| owned.daemons.contains(role);
    diff(desired, observed, ours, SyncDaemon::is_met_by)
        .into_iter()
        .flat_map(|change| match change {
            Change::Add(role, daemon) => vec![Command::NewDaemon(role, daemon)],
            Change::Change(role, daemon) => {
                vec![Command::DelDaemon(role), Command::NewDaemon(role, daemon)]
            }
            Change::Remove(role) => vec![Command::DelDaemon(role)],
        })
        .collect()
}

impl Items<DestinationKey, DestinationSpec> for Destinations {
    fn find(&self, key: &DestinationKey) -> Option<&DestinationSpec> {
        self.get(key)
    }

    fn all<'a>(&'a self) -> impl Iterator<Item = (&'a DestinationKey, &'a DestinationSpec)>
    where
        DestinationKey: 'a,
        DestinationSpec: 'a,
    {
        self.iter()
    }
}

#[derive(Default)]
struct Plan {
    additions: Vec<Command>,
    changes: Vec<Command>,
    // Changes to weight 0 come after those that let another server take connections.
    quiesced: Vec<Command>,
    del_destinations: Vec<Command>,
    del_services: Vec<Command>,
}

impl Plan {
    fn destinations(
        &mut self,
        key: ServiceKey,
        desired: &Destinations,
        observed: &Destinations,
        owned: &Owned,
    ) {
        let ours = |destination: &DestinationKey| owned.has_destination(&key, destination);
        for change in diff(desired, observed, ours, same_destination) {
            match change {
                Change::Add(d, spec) => self.additions.push(Command::NewDestination(key, d, spec)),
                Change::Change(d, spec) if spec.weight == 0 => {
                    self.quiesced.push(Command::SetDestination(key, d, spec));
                }
                Change::Change(d, spec) => {
                    self.changes.push(Command::SetDestination(key, d, spec));
                }
                Change::Remove(d) => self.del_destinations.push(Command::DelDestination(key, d)),
            }
        }
    }

    fn into_commands(self) -> Vec<Command> {
        let mut commands = self.additions;
        commands.extend(self.changes);
        commands.extend(self.quiesced);
        commands.extend(self.del_destinations);
        commands.extend(self.del_services);
        commands
    }
}

fn specs<'a>(
    services: &BTreeMap<ServiceKey, &'a Service>,
) -> BTreeMap<ServiceKey, &'a ServiceSpec> {
    services.iter().map(|(key, s)| (*key, &s.spec)).collect()
}

/// Whether a destination will do as it is.
fn same_destination(want: &DestinationSpec, have: &DestinationSpec) -> bool {
    // The kernel turns every method into Local for an address of this machine (ip_vs_ctl.c,
    // __ip_vs_update_dest), so asking again would change nothing, for ever.
    let forwarding =
        have.forwarding == want.forwarding || have.forwarding == ForwardingMethod::Local;
    let tunnel = want.forwarding != ForwardingMethod::Tunnel || have.tunnel == want.tunnel;
    forwarding
        && tunnel
        && have.weight == want.weight
        && have.upper_threshold == want.upper_threshold
        && have.lower_threshold == want.lower_threshold
}

#[cfg(test)]
mod tests;
