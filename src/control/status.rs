//! From the views of the two threads to the status that is told.

use std::collections::BTreeMap;

use crate::config::model::Preempt;
use crate::engine::balancer::{CheckView, Duty, ServerView, ServiceView, View as Balance};
use crate::engine::failover::{InstanceView, SessionView, Verdict, View as Failover};
use crate::fact::{FactKind, FactName, FactValue};
use crate::health::{Said, Status as Health};
use crate::ipvs::ServiceStats;
use crate::kernel::ipvs::Snapshot;
use crate::lvs::Quorum;
use crate::time::Time;
use crate::units::Version;
use crate::vrrp::{self, State};

use super::model::*;
use super::overrides;
use super::words;

/// Turns the engines' time into a point in time.
pub(super) type ToStamp<'a> = &'a dyn Fn(Time) -> Stamp;

/// The whole status; without a view of the balancer no virtual servers.
pub(super) fn status(
    time: Stamp,
    daemon: Daemon,
    failover: &Failover,
    balance: Option<&Balance>,
    stamp: ToStamp<'_>,
    clock: words::Clock<'_>,
) -> Status {
    let mut status = Status {
        time,
        daemon: Daemon {
            standby: failover.standby,
            waits_for: waits_for(failover),
            ..daemon
        },
        instances: Vec::new(),
        sync_groups: failover.groups.iter().map(sync_group).collect(),
        trackers: trackers(failover, stamp),
        bfd: failover
            .sessions
            .iter()
            .map(|s| session(s, stamp))
            .collect(),
        virtual_servers: Vec::new(),
        draining: Vec::new(),
        overrides: Vec::new(),
        kernel: Vec::new(),
    };
    let instances = failover.instances.iter().filter(|view| !view.departed);
    let mut instances: Vec<Instance> = instances
        .map(|view| instance(failover, view, stamp))
        .collect();
    for instance in &mut instances {
        instance.why = words::instance(&status, instance, clock);
    }
    status.instances = instances;
    let services = balance.into_iter().flat_map(|view| &view.services);
    status.virtual_servers = services
        .map(|view| virtual_server(view, stamp, clock))
        .collect();
    let draining = balance.into_iter().flat_map(|view| &view.draining);
    status.draining = draining
        .map(|view| DrainingServer {
            service: view.service.to_string(),
            server: view.destination.to_string(),
            connections: view.connections,
            until: stamp(view.until),
        })
        .collect();
    let overrides = balance.into_iter().flat_map(|view| &view.overrides);
    status.overrides = overrides.map(|o| overrides::told(o, stamp)).collect();
    status
}

fn waits_for(view: &Failover) -> Option<String> {
    if let Some(until) = view.deaf_until {
        let left = until.until(view.at).as_secs_f64();
        return Some(format!("the end of its startup delay, in {left:.0} s"));
    }
    (!view.ipvs_ready).then(|| "IPVS to be programmed".to_owned())
}

fn sync_group(view: &crate::engine::failover::GroupView) -> SyncGroup {
    SyncGroup {
        name: view.name.clone(),
        state: view.state.to_string(),
        members: view.members.clone(),
    }
}

fn instance(all: &Failover, view: &InstanceView, stamp: ToStamp<'_>) -> Instance {
    let config = &view.config;
    let value = |fact: &FactName| {
        let known = all.facts.get(fact);
        known.map_or(FactValue::Unknown, |fact| fact.value)
    };
    let unknown = |tracked: &&crate::engine::failover::Tracked| {
        tracked.verdict(value(&tracked.fact)) == Verdict::Waits
    };
    let waits = view.tracked.iter().filter(|_| view.waits).filter(unknown);
    Instance {
        name: config.name.clone(),
        state: view.state.to_string(),
        since: view.entered.as_ref().map(|entered| stamp(entered.at)),
        before: view
            .entered
            .as_ref()
            .map(|entered| entered.from.to_string()),
        entered_because: view
            .entered
            .as_ref()
            .map(|entered| entered.reason.to_string()),
        why: String::new(),
        interface: config.interface.as_ref().map(ToString::to_string),
        vrid: config.vrid.get(),
        version: match config.version {
            Version::V2 => 2,
            Version::V3 => 3,
        },
        advert_ms: millis(config.advert_int.get()),
        priority: Priority {
            base: config.priority.get(),
            effective: view.priority.get(),
            weights: view
                .tracked
                .iter()
                .filter_map(|t| weight(t, value(&t.fact)))
                .collect(),
        },
        master: master(all, view, stamp),
        nopreempt: config.preempt == Preempt::Never,
        addresses: config
            .all_vips()
            .zip(&view.held)
            .map(|(vip, held)| Address {
                address: vip.cidr.to_string(),
                interface: vip
                    .vmac
                    .as_ref()
                    .or(vip.dev.as_ref())
                    .or(config.interface.as_ref())
                    .map(ToString::to_string),
                held: *held,
            })
            .collect(),
        faults: view.faults.iter().cloned().collect(),
        waits_for: waits.map(|tracked| tracked.fact.to_string()).collect(),
        tracks: view
            .tracked
            .iter()
            .map(|tracked| tracked.fact.to_string())
            .collect(),
        group: view
            .group
            .and_then(|group| Some(all.groups.get(group)?.name.clone())),
        leaving: view.leaving,
        counters: counters(&view.counters),
    }
}

/// Who is master, by what this router knows: itself, or whose adverts it follows.
fn master(all: &Failover, view: &InstanceView, stamp: ToStamp<'_>) -> Option<Master> {
    if view.state == State::Master {
        return Some(Master {
            address: view.source?.to_string(),
            priority: view.priority.get(),
            heard: None,
            ours: true,
        });
    }
    let (heard, at) = view.heard?;
    // Silent for longer, it is not master any more; whether anybody is, is not known.
    (all.at.since(at) <= view.master_down).then(|| Master {
        address: heard.source.to_string(),
        priority: heard.priority,
        heard: Some(stamp(at)),
        ours: false,
    })
}

fn weight(tracked: &crate::engine::failover::Tracked, value: FactValue) -> Option<Weight> {
    let adds = |value| match tracked.verdict(value) {
        Verdict::Adds(weight) => weight,
        Verdict::Waits | Verdict::Fault => 0,
    };
    let now = adds(value);
    let otherwise = match value {
        FactValue::Up => adds(FactValue::Down),
        FactValue::Down => adds(FactValue::Up),
        FactValue::Unknown | FactValue::Number(_) => 0,
    };
    (now != 0 || otherwise != 0).then(|| Weight {
        tracker: tracked.fact.to_string(),
        adds: now,
        would_add: otherwise,
    })
}

fn counters(of: &vrrp::Counters) -> Counters {
    Counters {
        advert_rcvd: of.advert_rcvd,
        advert_sent: of.advert_sent,
        advert_lost: of.advert_lost,
        become_master: of.become_master,
        release_master: of.release_master,
        packet_len_err: of.packet_len_err,
        advert_interval_err: of.advert_interval_err,
        ip_ttl_err: of.ip_ttl_err,
        invalid_type_rcvd: of.invalid_type_rcvd,
        addr_list_err: of.addr_list_err,
        invalid_authtype: of.invalid_authtype,
        authtype_mismatch: of.authtype_mismatch,
        auth_failure: of.auth_failure,
        pri_zero_rcvd: of.pri_zero_rcvd,
        pri_zero_sent: of.pri_zero_sent,
        vers_err: of.vers_err,
        chk_err: of.chk_err,
        other_err: of.other_err,
    }
}

fn trackers(view: &Failover, stamp: ToStamp<'_>) -> Vec<Tracker> {
    let facts: &BTreeMap<_, _> = &view.facts;
    let facts = facts.iter().map(|(name, fact)| {
        let end = fact.last_end.as_ref().map(ToString::to_string);
        Tracker {
            key: name.to_string(),
            kind: kind(name.kind).to_owned(),
            name: name.name.clone(),
            value: match fact.value {
                FactValue::Unknown => "unknown".to_owned(),
                FactValue::Up => "up".to_owned(),
                FactValue::Down => "down".to_owned(),
                FactValue::Number(number) => number.to_string(),
            },
            since: fact.since.map(stamp),
            says: says(name, fact.value, end.as_deref()),
        }
    });
    facts.collect()
}

const fn kind(kind: FactKind) -> &'static str {
    match kind {
        FactKind::Interface => "interface",
        FactKind::Linkbeat => "linkbeat",
        FactKind::Script => "script",
        FactKind::File => "file",
        FactKind::Process => "process",
        FactKind::Bfd => "bfd",
    }
}

fn says(fact: &FactName, value: FactValue, last_end: Option<&str>) -> String {
    let name = &fact.name;
    match (fact.kind, value) {
        (_, FactValue::Unknown) => format!("{fact} has not answered yet"),
        (FactKind::Script, FactValue::Up) => format!("{name} passes"),
        (FactKind::Script, _) => match last_end {
            Some(end) => format!("{name} fails: {end}"),
            None => format!("{name} fails: it has not passed yet"),
        },
        (FactKind::Process, FactValue::Up) => format!("process {name} has its quorum"),
        (FactKind::Process, _) => format!("process {name} has no quorum"),
        (_, FactValue::Number(number)) => format!("file {name} says {number}"),
        (_, FactValue::Up) => format!("{fact} is up"),
        (_, FactValue::Down) => format!("{fact} is down"),
    }
}

fn session(view: &SessionView, stamp: ToStamp<'_>) -> Session {
    Session {
        name: view.config.name.clone(),
        neighbor: view.config.neighbor.to_string(),
        state: view.state.to_string(),
        since: view.since.map(stamp),
        reason: view.reason.map(|reason| reason.to_string()),
        detection_ms: view.detection_time.map(millis),
        socket_error: view.socket_error.clone(),
        packets_dropped: view.packets_dropped,
    }
}

fn virtual_server(
    view: &ServiceView,
    stamp: ToStamp<'_>,
    clock: words::Clock<'_>,
) -> VirtualServer {
    let servers = view
        .servers
        .iter()
        .map(|server| real_server(server, stamp, clock));
    let mut server = VirtualServer {
        name: view.key.to_string(),
        group: view.group.clone(),
        scheduler: view.scheduler.clone(),
        quorum: view.quorum == Quorum::Gained,
        why: String::new(),
        weight_up: view.weight_up,
        quorum_needed: view.limits.quorum,
        hysteresis: view.limits.hysteresis,
        programmed: view.programmed,
        sorry_server: view.sorry.map(|(endpoint, active)| SorryServer {
            address: endpoint.to_string(),
            active,
        }),
        traffic: None,
        writer: view.writer.map(|writer| Writer {
            address: writer.elected.map(|elected| elected.server.to_string()),
            why: writer.elected.map(|elected| elected.why.to_string()),
            passed_over: writer.passed_over.map(|first| first.to_string()),
        }),
        real_servers: servers.collect(),
    };
    server.why = words::virtual_server(&server);
    server
}

/// Adds what the kernel has counted, to a status of the same view.
pub(super) fn add_traffic(status: &mut Status, balance: &Balance, counted: &Snapshot) {
    for (service, view) in status.virtual_servers.iter_mut().zip(&balance.services) {
        let Some(stats) = counted.services.get(&view.key) else {
            continue;
        };
        let mut all = traffic(stats);
        for (server, of) in service.real_servers.iter_mut().zip(&view.servers) {
            let Some(stats) = counted.destinations.get(&(view.key, of.destination)) else {
                continue;
            };
            let one = Traffic {
                active: stats.active_connections.into(),
                inactive: stats.inactive_connections.into(),
                persistent: stats.persistent_connections.into(),
                ..traffic(&stats.traffic)
            };
            all.active += one.active;
            all.inactive += one.inactive;
            all.persistent += one.persistent;
            server.traffic = Some(one);
        }
        service.traffic = Some(all);
    }
}

fn traffic(stats: &ServiceStats) -> Traffic {
    Traffic {
        connections: stats.connections,
        packets_in: stats.packets_in,
        packets_out: stats.packets_out,
        bytes_in: stats.bytes_in,
        bytes_out: stats.bytes_out,
        ..Traffic::default()
    }
}

fn real_server(view: &ServerView, stamp: ToStamp<'_>, clock: words::Clock<'_>) -> RealServer {
    let mut server = RealServer {
        address: view.endpoint.to_string(),
        up: view.status == Health::Up,
        since: view.since.map(stamp),
        why: String::new(),
        weight: view.weight,
        weight_now: view.weight_now,
        weight_in_kernel: view.weight_in_kernel,
        drained: view.is_drained(),
        overrides: view
            .overrides
            .iter()
            .map(|o| overrides::told(o, stamp))
            .collect(),
        duty: match view.duty {
            Duty::Shares => None,
            Duty::Writes => Some("writer".to_owned()),
            Duty::StandsBy => Some("standby".to_owned()),
            Duty::WritesElsewhere(service) => Some(format!("writer of {service}")),
        },
        by_hand: view.by_hand,
        traffic: None,
        checks: view
            .checks
            .iter()
            .map(|check| self::check(check, stamp))
            .collect(),
    };
    server.why = words::real_server(&server, clock);
    server
}

fn check(view: &CheckView, stamp: ToStamp<'_>) -> Check {
    let answer = view.answer.as_ref();
    Check {
        kind: view.kind.to_owned(),
        target: view.target.map(|target| target.to_string()),
        up: view.status == Health::Up,
        since: view.since.map(stamp),
        result: answer.map(|answer| match &answer.said {
            Said::Passed => "passed".to_owned(),
            Said::Failed(why) => why.clone(),
            Said::NotAsked(why) => format!("not asked: {why}"),
        }),
        at: answer.map(|answer| stamp(answer.at)),
        latency_us: answer.map(|a| u64::try_from(a.took.as_micros()).unwrap_or(u64::MAX)),
        retries: view.retries.0,
        paused: view.paused,
    }
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
