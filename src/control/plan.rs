//! From what the engines would do to the plan that is told.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Config;
use crate::config::model::Instance;
use crate::engine::{balancer, failover};
use crate::ipvs::{self, Command, DestinationSpec, ServiceKey, ServiceSpec, SyncDaemon, Timeouts};
use crate::kernel::ipvs::Snapshot;
use crate::lvs::{self, Owned};
use crate::net::{
    AddressCommand, AddressKey, ForwardingMethod, InterfaceIndex, Link, NetCommand, RouteCommand,
    RuleCommand,
};

use super::model::{Change, Kind, Plan, Verb};

/// What the plan is made of.
#[derive(Debug)]
pub struct Rehearsed<'a> {
    /// The configuration that runs.
    pub running: &'a Config,
    /// The other one.
    pub config: &'a Config,
    /// What the balancer would do.
    pub ipvs: &'a balancer::Rehearsal,
    /// The table with its counters, as it is.
    pub seen: &'a Snapshot,
    /// What the failover engine would do.
    pub net: &'a failover::Rehearsal,
    /// The links, for their names.
    pub links: &'a [Link],
}

/// The plan, without what was said of the file.
pub fn plan(of: &Rehearsed<'_>) -> Plan {
    let mut kernel: Vec<Change> = of
        .ipvs
        .commands
        .iter()
        .map(|command| of_ipvs(command, of.ipvs, of.seen))
        .collect();
    let mut told = BTreeSet::new();
    for command in &of.net.commands {
        kernel.extend(of_net(command, of.links, &mut told));
    }
    for key in &of.net.leaving {
        let mut change = address(Verb::Remove, key, of.links);
        told.insert((change.name.clone(), change.of.clone()));
        change.when = Some("as soon as it answers elsewhere".to_owned());
        kernel.push(change);
    }
    kernel.extend(later(of.running, of.config, &told));
    Plan {
        settings: super::changes(of.running, of.config),
        kernel,
        ipvsadm: of.ipvs.commands.iter().map(ipvs::line).collect(),
        ..Plan::default()
    }
}

/// The IPVS table of a configuration before any check has run, as `ipvsadm -Sn` prints it.
pub fn table(config: &Config) -> String {
    ipvs::save(&before_checks(config))
}

fn before_checks(config: &Config) -> ipvs::Table {
    let all = config.virtual_servers.iter();
    all.flat_map(lvs::before_checks).collect()
}

/// The plan from nothing, before any check has run: everything that a configuration asks for.
pub fn from_nothing(config: &Config) -> Plan {
    let table = before_checks(config);
    let wanted = table.iter().map(|(key, service)| (*key, service)).collect();
    let mut commands = lvs::table_commands(&wanted, &BTreeMap::new(), &Owned::default());
    let timeouts = lvs::timeouts(config);
    if timeouts != Timeouts::default() {
        commands.push(Command::SetTimeouts(timeouts));
    }
    let rehearsal = balancer::Rehearsal {
        commands,
        ..balancer::Rehearsal::default()
    };
    plan(&Rehearsed {
        running: &Config::default(),
        config,
        ipvs: &rehearsal,
        seen: &Snapshot::default(),
        net: &failover::Rehearsal::default(),
        links: &[],
    })
}

fn change(change: Verb, kind: Kind, name: String) -> Change {
    Change {
        change,
        kind,
        name,
        of: None,
        before: None,
        after: None,
        connections: None,
        when: None,
    }
}

fn of_ipvs(command: &Command, all: &balancer::Rehearsal, seen: &Snapshot) -> Change {
    let service_now = |key: &ServiceKey| seen.table.get(key);
    let service = |verb, key: &ServiceKey, spec: Option<&ServiceSpec>| Change {
        before: service_now(key)
            .filter(|_| verb != Verb::Add)
            .map(|service| service_words(&service.spec)),
        after: spec.map(service_words),
        connections: (verb != Verb::Add).then(|| connections_of(seen, key)),
        ..change(verb, Kind::Service, key.to_string())
    };
    let server =
        |verb, key: &ServiceKey, at: &ipvs::DestinationKey, to: Option<&DestinationSpec>| {
            let now = service_now(key).and_then(|service| service.destinations.get(at));
            let limit = all.draining.get(&(*key, *at));
            let connections = seen.destinations.get(&(*key, *at));
            Change {
                of: Some(key.to_string()),
                before: now.filter(|_| verb != Verb::Add).map(server_words),
                after: to.map(server_words),
                connections: connections.filter(|_| verb != Verb::Add).map(|stats| {
                    u64::from(stats.active_connections) + u64::from(stats.inactive_connections)
                }),
                when: limit.map(|limit| {
                    format!("drained, removed without connections or after {limit:?}")
                }),
                ..change(verb, Kind::Server, at.to_string())
            }
        };
    match command {
        Command::NewService(key, spec) => service(Verb::Add, key, Some(spec)),
        Command::SetService(key, spec) => service(Verb::Change, key, Some(spec)),
        Command::DelService(key) => service(Verb::Remove, key, None),
        Command::NewDestination(key, at, spec) => server(Verb::Add, key, at, Some(spec)),
        Command::SetDestination(key, at, spec) => server(Verb::Change, key, at, Some(spec)),
        Command::DelDestination(key, at) => server(Verb::Remove, key, at, None),
        Command::NewDaemon(role, daemon) => Change {
            of: Some(daemon.interface.to_string()),
            after: Some(daemon_words(daemon)),
            ..change(
                Verb::Add,
                Kind::SyncDaemon,
                format!("{role:?}").to_lowercase(),
            )
        },
        Command::DelDaemon(role) => change(
            Verb::Remove,
            Kind::SyncDaemon,
            format!("{role:?}").to_lowercase(),
        ),
        Command::SetTimeouts(timeouts) => Change {
            after: Some(timeout_words(timeouts)),
            ..change(
                Verb::Change,
                Kind::Timeouts,
                "of idle connections".to_owned(),
            )
        },
    }
}

/// All connections of a service.
fn connections_of(seen: &Snapshot, key: &ServiceKey) -> u64 {
    let Some(service) = seen.table.get(key) else {
        return 0;
    };
    let all = service.destinations.keys();
    let all = all.filter_map(|at| seen.destinations.get(&(*key, *at)));
    all.map(|stats| u64::from(stats.active_connections) + u64::from(stats.inactive_connections))
        .sum()
}

fn service_words(spec: &ServiceSpec) -> String {
    let mut text = spec.scheduler.to_string();
    let flags = spec.flags;
    let named = [
        (flags.sched_1, "flag-1"),
        (flags.sched_2, "flag-2"),
        (flags.sched_3, "flag-3"),
        (flags.one_packet, "ops"),
    ];
    for (_, word) in named.iter().filter(|(on, _)| *on) {
        text.push(' ');
        text.push_str(word);
    }
    if let Some(persistence) = &spec.persistence {
        let seconds = persistence.timeout.as_secs();
        text.push_str(&format!(
            ", persistent for {seconds} s by /{}",
            persistence.granularity
        ));
        if let Some(engine) = &persistence.engine {
            text.push_str(&format!(" with {engine}"));
        }
    }
    text
}

fn server_words(spec: &DestinationSpec) -> String {
    let method = match spec.forwarding {
        ForwardingMethod::Masquerading => "NAT",
        ForwardingMethod::DirectRoute => "DR",
        ForwardingMethod::Tunnel => "TUN",
        ForwardingMethod::Local => "local",
    };
    let mut text = format!("{method}, weight {}", spec.weight);
    if spec.upper_threshold > 0 || spec.lower_threshold > 0 {
        let (upper, lower) = (spec.upper_threshold, spec.lower_threshold);
        text.push_str(&format!(", thresholds {upper} and {lower}"));
    }
    text
}

fn daemon_words(daemon: &SyncDaemon) -> String {
    format!("syncid {}", daemon.sync_id)
}

fn timeout_words(timeouts: &Timeouts) -> String {
    let all = [
        ("tcp", timeouts.tcp),
        ("tcpfin", timeouts.tcp_fin),
        ("udp", timeouts.udp),
    ];
    let said = all.iter().filter_map(|(name, time)| {
        let seconds = (*time)?.as_secs();
        Some(format!("{name} {seconds} s"))
    });
    said.collect::<Vec<_>>().join(", ")
}

/// An address or a route and where it is, as they are told of.
type Told = BTreeSet<(String, Option<String>)>;

fn of_net(command: &NetCommand, links: &[Link], told: &mut Told) -> Option<Change> {
    let change = match command {
        NetCommand::Address(AddressCommand::Add(key, _)) => address(Verb::Add, key, links),
        NetCommand::Address(AddressCommand::Delete(key)) => address(Verb::Remove, key, links),
        NetCommand::Route(RouteCommand::Add(key, _)) => {
            change(Verb::Add, Kind::Route, route_name(key, links))
        }
        NetCommand::Route(RouteCommand::Delete(key)) => {
            change(Verb::Remove, Kind::Route, route_name(key, links))
        }
        NetCommand::Rule(RuleCommand::Add(rule)) => change(Verb::Add, Kind::Rule, rule.to_string()),
        NetCommand::Rule(RuleCommand::Delete(rule)) => {
            change(Verb::Remove, Kind::Rule, rule.to_string())
        }
        // For the moment of a change only.
        NetCommand::Link(_) => return None,
    };
    told.insert((change.name.clone(), change.of.clone()));
    Some(change)
}

fn address(verb: Verb, key: &AddressKey, links: &[Link]) -> Change {
    Change {
        of: Some(name_of(key.interface, links)),
        ..change(verb, Kind::Address, key.cidr.to_string())
    }
}

fn name_of(interface: InterfaceIndex, links: &[Link]) -> String {
    let link = links.iter().find(|link| link.index == interface);
    link.map_or_else(|| format!("interface {interface}"), |l| l.name.to_string())
}

/// A route with the names of its interfaces.
fn route_name(key: &crate::net::RouteKey, links: &[Link]) -> String {
    let mut text = key.to_string();
    for (_, interface) in &key.hops {
        if let Some(interface) = interface {
            let name = name_of(*interface, links);
            text = text.replace(&format!(" dev {interface}"), &format!(" dev {name}"));
        }
    }
    text
}

/// Addresses that come and go with the state of their instances, and so not at once.
fn later(running: &Config, config: &Config, told: &Told) -> Vec<Change> {
    let (before, after) = (addresses(running), addresses(config));
    let new = after.iter().filter(|(at, _)| !before.contains_key(*at));
    let new = new.filter(|(at, _)| !told.contains(*at));
    new.map(|((name, of), instance)| Change {
        of: of.clone(),
        when: Some(format!("while {instance} is MASTER")),
        ..change(Verb::Add, Kind::Address, name.clone())
    })
    .collect()
}

/// Every address with its interface, and the instance that has it.
fn addresses(config: &Config) -> BTreeMap<(String, Option<String>), &str> {
    let of = |instance: &Instance| -> Vec<(String, Option<String>)> {
        let all = instance.all_vips().map(|vip| {
            let on = vip.vmac.as_ref().or(vip.dev.as_ref());
            let on = on.or(instance.interface.as_ref());
            (vip.cidr.to_string(), on.map(ToString::to_string))
        });
        all.collect()
    };
    let instances = config.instances.iter();
    instances
        .flat_map(|instance| {
            of(instance)
                .into_iter()
                .map(|at| (at, instance.name.as_str()))
        })
        .collect()
}
