//! `/metrics`, in OpenMetrics text.

mod histogram;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::engine::balancer::{Override, Scope, Set, View as Balance};
use crate::engine::failover::View as Failover;
use crate::engine::shared::Changes;
use crate::fact::FactValue;
use crate::health::{BUCKETS, KindStats, Status};
use crate::kernel::ipvs::Snapshot;
use crate::kernel::scheduling;
use crate::lvs::Quorum;
use crate::vrrp::State;

use super::desk::{Desk, Stuck};
use histogram::{Histogram, Steps};

/// What the text is.
pub(super) const CONTENT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(&'static str, String)>;

/// Everything that is counted.
pub(super) async fn text(desk: &Desk) -> Result<String, Stuck> {
    let failover = desk.failover().await?;
    let balance = desk.balancer().await?;
    let traffic = desk.traffic().await?;
    let mut registry = Registry::with_prefix("vipd");
    node(&mut registry, desk, &failover, &balance);
    instances(&mut registry, &failover);
    tracked(&mut registry, &failover);
    pools(&mut registry, &balance);
    checks(&mut registry, &balance);
    overrides(&mut registry, &balance);
    if let Some(traffic) = &*traffic {
        ipvs(&mut registry, traffic);
    }
    let mut text = String::new();
    // Writing into a string cannot fail.
    let _ = encode(&mut text, &registry);
    Ok(text)
}

fn label(name: &'static str, value: impl ToString) -> (&'static str, String) {
    (name, value.to_string())
}

/// A gauge with one value for each set of labels.
fn gauges(
    registry: &mut Registry,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (Labels, i64)>,
) {
    let family = Family::<Labels, Gauge>::default();
    for (labels, value) in values {
        family.get_or_create(&labels).set(value);
    }
    registry.register(name, help, family);
}

/// A counter with one value for each set of labels.
fn counters(
    registry: &mut Registry,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (Labels, u64)>,
) {
    let family = Family::<Labels, Counter>::default();
    for (labels, value) in values {
        family.get_or_create(&labels).inc_by(value);
    }
    registry.register(name, help, family);
}

fn signed(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

/// What became of plans.
fn changes(registry: &mut Registry, network: Changes, ipvs: Changes) {
    let each = [("network", network), ("ipvs", ipvs)]
        .into_iter()
        .flat_map(|(of, changes)| {
            let results = [
                ("done", changes.done),
                ("failed", changes.failed),
                ("stale", changes.stale),
            ];
            results.map(|(result, count)| (vec![label("of", of), label("result", result)], count))
        });
    counters(
        registry,
        "kernel_changes",
        "Changes to the kernel that were planned, by what came of them",
        each,
    );
}

fn node(registry: &mut Registry, desk: &Desk, view: &Failover, balance: &Balance) {
    let facts = desk.facts();
    let version = vec![label("version", env!("CARGO_PKG_VERSION"))];
    gauges(
        registry,
        "build_info",
        "The version that runs",
        [(version, 1)],
    );
    let up = view.at.since(facts.started).as_secs();
    gauges(
        registry,
        "uptime_seconds",
        "Time since the start",
        [(vec![], signed(up))],
    );
    let standby = i64::from(view.standby);
    gauges(
        registry,
        "standby",
        "1: the node was told to stand by",
        [(vec![], standby)],
    );
    let ready = i64::from(view.ipvs_ready);
    gauges(
        registry,
        "ipvs_ready",
        "1: virtual addresses need not wait for IPVS",
        [(vec![], ready)],
    );
    let (done, refused) = facts.reloads;
    let results = [("done", done), ("refused", refused)];
    let results = results.map(|(result, count)| (vec![label("result", result)], count));
    counters(
        registry,
        "reloads",
        "Reloads, by what came of them",
        results,
    );
    let last = facts.reload.map(|reload| i64::from(reload.done));
    gauges(
        registry,
        "last_reload_successful",
        "1: the configuration that was read last is in force",
        [(vec![], last.unwrap_or(1))],
    );
    changes(registry, view.changes, balance.changes);
    let log = desk.log();
    counters(
        registry,
        "events",
        "Events that happened",
        [(vec![], log.last())],
    );
    counters(
        registry,
        "events_lost",
        "Events that came too fast to be kept",
        [(vec![], log.lost())],
    );
    let (counts, sum) = desk.lateness().counted();
    registry.register_collector(Box::new(Histogram {
        name: "timer_lateness_seconds",
        help: "How late timers of the failover thread were",
        values: vec![(vec![], Steps::of(&scheduling::STEPS_US, 1e6, &counts, sum))],
    }));
}

fn instances(registry: &mut Registry, view: &Failover) {
    let all = || view.instances.iter().filter(|i| !i.departed);
    let named = |i: &crate::engine::failover::InstanceView| {
        let interface = i.config.interface.as_ref().map(ToString::to_string);
        vec![
            label("instance", &i.config.name),
            label("interface", interface.unwrap_or_default()),
            label("vrid", i.config.vrid),
        ]
    };
    let states = [State::Init, State::Backup, State::Master, State::Fault];
    let each_state = all().flat_map(|i| {
        states.map(|state| {
            let mut labels = named(i);
            labels.push(label("state", state));
            (labels, i64::from(i.state == state))
        })
    });
    gauges(
        registry,
        "vrrp_state",
        "1 for the state that the instance is in",
        each_state,
    );
    let base = all().map(|i| (named(i), i64::from(i.config.priority.get())));
    gauges(
        registry,
        "vrrp_priority_configured",
        "Priority without weights",
        base,
    );
    let effective = all().map(|i| (named(i), i64::from(i.priority.get())));
    gauges(registry, "vrrp_priority", "Priority that counts", effective);
    let held = all().map(|i| {
        (
            named(i),
            signed(i.held.iter().filter(|held| **held).count()),
        )
    });
    gauges(
        registry,
        "vrrp_addresses_held",
        "Virtual addresses that are set here",
        held,
    );
    type Get = fn(&crate::vrrp::Counters) -> u64;
    let counted: [(&str, &str, Get); 10] = [
        ("vrrp_adverts_sent", "Adverts sent", |c| c.advert_sent),
        ("vrrp_adverts_received", "Adverts believed", |c| {
            c.advert_rcvd
        }),
        (
            "vrrp_adverts_lost",
            "Adverts of the master that did not come",
            |c| c.advert_lost,
        ),
        ("vrrp_became_master", "Times it became master", |c| {
            c.become_master
        }),
        ("vrrp_released_master", "Times it was master no more", |c| {
            c.release_master
        }),
        ("vrrp_goodbyes_sent", "Adverts of priority 0 sent", |c| {
            c.pri_zero_sent
        }),
        (
            "vrrp_goodbyes_received",
            "Adverts of priority 0 believed",
            |c| c.pri_zero_rcvd,
        ),
        (
            "vrrp_authentication_errors",
            "Adverts dropped for their authentication",
            |c| c.auth_failure + c.authtype_mismatch + c.invalid_authtype,
        ),
        (
            "vrrp_interval_errors",
            "Adverts dropped for their interval",
            |c| c.advert_interval_err,
        ),
        (
            "vrrp_packet_errors",
            "Adverts dropped for anything else",
            |c| {
                c.packet_len_err
                    + c.ip_ttl_err
                    + c.invalid_type_rcvd
                    + c.vers_err
                    + c.chk_err
                    + c.other_err
            },
        ),
    ];
    for (name, help, get) in counted {
        counters(
            registry,
            name,
            help,
            all().map(|i| (named(i), get(&i.counters))),
        );
    }
}

fn tracked(registry: &mut Registry, view: &Failover) {
    let facts = view.facts.iter().filter_map(|(name, fact)| {
        let value = match fact.value {
            FactValue::Unknown => return None,
            FactValue::Up => 1,
            FactValue::Down => 0,
            FactValue::Number(number) => i64::from(number),
        };
        Some((vec![label("tracker", name)], value))
    });
    gauges(
        registry,
        "tracker",
        "What a tracker says: 1 up, 0 down, of a file its number",
        facts,
    );
    let named = |s: &crate::engine::failover::SessionView| {
        vec![
            label("session", &s.config.name),
            label("neighbor", s.config.neighbor),
        ]
    };
    let up = view.sessions.iter();
    let up = up.map(|s| (named(s), i64::from(s.state == crate::wire::bfd::State::Up)));
    gauges(registry, "bfd_up", "1: the BFD session is up", up);
    let dropped = view.sessions.iter().map(|s| (named(s), s.packets_dropped));
    counters(
        registry,
        "bfd_packets_dropped",
        "Packets of the session that were dropped",
        dropped,
    );
}

fn pools(registry: &mut Registry, view: &Balance) {
    let service = |s: &crate::engine::balancer::ServiceView| vec![label("service", s.key)];
    let quorum = view.services.iter();
    let quorum = quorum.map(|s| (service(s), i64::from(s.quorum == Quorum::Gained)));
    gauges(
        registry,
        "service_quorum",
        "1: the servers are enough",
        quorum,
    );
    let weight = view
        .services
        .iter()
        .map(|s| (service(s), signed(s.weight_up)));
    gauges(
        registry,
        "service_weight_up",
        "Weights of the servers that are up",
        weight,
    );
    let sorry = view
        .services
        .iter()
        .filter_map(|s| Some((service(s), i64::from(s.sorry?.1))));
    gauges(
        registry,
        "service_sorry",
        "1: the sorry server takes the place of the pool",
        sorry,
    );
    let servers = || {
        view.services.iter().flat_map(move |s| {
            s.servers.iter().map(move |rs| {
                let mut labels = service(s);
                labels.push(label("server", rs.endpoint));
                (labels, rs)
            })
        })
    };
    let up = servers().map(|(labels, rs)| (labels, i64::from(rs.status == Status::Up)));
    gauges(
        registry,
        "server_up",
        "1: every check of the server passes",
        up,
    );
    let weight = servers().map(|(labels, rs)| (labels, i64::from(rs.weight_now.unwrap_or(0))));
    gauges(
        registry,
        "server_weight",
        "Weight that the server is to have in the kernel",
        weight,
    );
}

fn checks(registry: &mut Registry, view: &Balance) {
    let by_result = view.kinds.iter().flat_map(|(kind, stats)| {
        let KindStats {
            passed,
            failed,
            not_asked,
            ..
        } = stats;
        let results = [
            ("passed", *passed),
            ("failed", *failed),
            ("not_asked", *not_asked),
        ];
        results.map(|(result, count)| (vec![label("check", kind), label("result", result)], count))
    });
    counters(
        registry,
        "checks",
        "Checks that were made, by keyword and result",
        by_result,
    );
    let steps = |stats: &KindStats| {
        let beyond = (stats.passed + stats.failed).saturating_sub(stats.took.iter().sum());
        let counts: Vec<u64> = stats.took.iter().copied().chain([beyond]).collect();
        Steps::of(&BUCKETS, 1e3, &counts, stats.took_in_all)
    };
    let values = view.kinds.iter();
    registry.register_collector(Box::new(Histogram {
        name: "check_duration_seconds",
        help: "From the question to the answer",
        values: values
            .map(|(kind, stats)| (vec![label("check", kind)], steps(stats)))
            .collect(),
    }));
}

fn ipvs(registry: &mut Registry, traffic: &Snapshot) {
    type Get = fn(&crate::ipvs::ServiceStats) -> u64;
    let counted: [(&str, &str, Get); 5] = [
        ("connections", "Connections that were scheduled", |s| {
            s.connections
        }),
        ("packets_in", "Packets from clients", |s| s.packets_in),
        ("packets_out", "Packets to clients that pass here", |s| {
            s.packets_out
        }),
        ("bytes_in", "Bytes from clients", |s| s.bytes_in),
        ("bytes_out", "Bytes to clients that pass here", |s| {
            s.bytes_out
        }),
    ];
    for (name, help, get) in counted {
        let services = traffic.services.iter();
        let services = services.map(|(key, stats)| (vec![label("service", key)], get(stats)));
        counters(registry, &format!("service_{name}"), help, services);
        let servers = traffic
            .destinations
            .iter()
            .map(|((service, server), stats)| {
                let labels = vec![label("service", service), label("server", server)];
                (labels, get(&stats.traffic))
            });
        counters(registry, &format!("server_{name}"), help, servers);
    }
    let open = traffic
        .destinations
        .iter()
        .flat_map(|((service, server), stats)| {
            let states = [
                ("active", stats.active_connections),
                ("inactive", stats.inactive_connections),
                ("persistent", stats.persistent_connections),
            ];
            states.map(|(state, count)| {
                let labels = vec![
                    label("service", service),
                    label("server", server),
                    label("state", state),
                ];
                (labels, i64::from(count))
            })
        });
    gauges(
        registry,
        "server_connections_open",
        "Connections that are remembered now",
        open,
    );
}

fn overrides(registry: &mut Registry, view: &Balance) {
    let named = |(scope, order): &(Scope, Override)| {
        let what = match order.set {
            Set::Drain(_) => "drain",
            Set::Weight(_) => "weight",
            Set::Pause => "pause",
        };
        vec![
            label("what", what),
            label("whom", scope),
            label("by", &order.by),
            label("reason", order.reason.as_deref().unwrap_or_default()),
        ]
    };
    let all = || view.overrides.iter();
    gauges(
        registry,
        "override",
        "1: an operator ordered something else than the configuration says",
        all().map(|order| (named(order), 1)),
    );
    let ends = all().filter_map(|order| {
        let until = super::desk::epoch(order.1.until?).as_secs();
        Some((named(order), signed(until)))
    });
    gauges(
        registry,
        "override_end_timestamp_seconds",
        "When that order ends by itself",
        ends,
    );
}
