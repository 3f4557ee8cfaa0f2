//! Routes, rules and what is static.

use super::*;
use crate::config::model;
use crate::net::{self, Hop, RuleAction};

fn route(to: &str) -> model::Route {
    let destination: Cidr = to.parse().unwrap();
    model::Route {
        family: destination.family(),
        kind: net::UNICAST,
        destination,
        from: None,
        table: model::Table::Number(net::MAIN_TABLE),
        tos: 0,
        metric: 0,
        protocol: None,
        scope: 0,
        source_address: None,
        hops: vec![model::RouteHop {
            dev: Some("eth0".parse().unwrap()),
            weight: 1,
            ..model::RouteHop::default()
        }],
        metrics: BTreeMap::new(),
        locked: 0,
        congestion: None,
        expires: None,
        preference: None,
        ttl_propagate: None,
        placement: net::Placement::Prepend,
        no_track: false,
        track_group: None,
    }
}

fn rule(preference: u32) -> model::Rule {
    model::Rule {
        rule: Rule::new(Family::V4, preference, RuleAction::Table(100)),
        no_track: false,
        track_group: None,
    }
}

fn routed() -> Config {
    let mut vi = instance("VI_1", 51, "10.0.0.100");
    // The second leads to where the first one is needed: they are not in the order of their keys.
    vi.more.routes = vec![route("198.51.100.0/24"), route("10.9.0.0/16")];
    vi.more.rules = vec![rule(700)];
    config(vec![vi])
}

/// The kernel loses a route and says so.
fn lose_route(bench: &mut Bench, to: &str) {
    let key = bench
        .routes
        .keys()
        .find(|k| k.destination.to_string() == to);
    let key = key.cloned().unwrap();
    bench.routes.remove(&key);
    bench.input(Input::RouteGone(key));
}

#[test]
fn routes_come_behind_the_addresses_in_the_order_of_the_file_and_go_before_them() {
    let mut bench = Bench::new(routed());
    bench.run(4);
    assert_eq!(
        bench.changes,
        [
            "+address 10.0.0.100/32",
            "+route 198.51.100.0/24 dev 2",
            "+route 10.9.0.0/16 dev 2",
            "+rule 700",
        ]
    );
    bench.changes.clear();
    bench.input(Input::Stop(StopKind::Release));
    bench.run(5);
    assert_eq!(
        bench.changes,
        [
            "-rule 700",
            "-route 10.9.0.0/16 dev 2",
            "-route 198.51.100.0/24 dev 2",
            "-address 10.0.0.100/32",
        ]
    );
    assert!(bench.released);
}

#[test]
fn a_route_that_somebody_removes_comes_back_three_times() {
    let mut bench = Bench::master(routed());
    for _ in 0..3 {
        lose_route(&mut bench, "10.9.0.0/16");
        bench.run_for(RESTORE_AFTER);
        assert_eq!(bench.routes.len(), 2);
    }
    assert_eq!(
        bench.said("route 10.9.0.0/16 dev 2 was removed by somebody else: it is put"),
        3
    );
    lose_route(&mut bench, "10.9.0.0/16");
    bench.run_for(Duration::from_secs(1));
    assert_eq!(bench.role("VI_1"), Role::Backup);
    assert_eq!(bench.said("again and again"), 1);
    bench.run_for(Duration::from_millis(500));
    bench.hear(90, 51, PASSWORD);
    bench.run_for(vrrp::ANNOUNCED_WITHIN);
    assert!(bench.routes.is_empty() && bench.rules.is_empty());
}

#[test]
fn a_rule_that_somebody_removes_comes_back() {
    let mut bench = Bench::master(routed());
    let gone = bench.rules.pop_first().unwrap();
    bench.input(Input::RuleGone(gone.clone()));
    bench.run_for(RESTORE_AFTER);
    assert!(bench.rules.contains(&gone));
}

#[test]
fn our_own_changes_heard_back_are_no_removals() {
    let mut bench = Bench::master(routed());
    let mut seen = bench.shown_routes();
    for route in &mut seen {
        // The kernel names the link.
        route.key.hops = vec![(None, Some(eth0()))];
        bench.input(Input::RouteSeen(route.clone()));
    }
    bench.hear(200, 51, PASSWORD);
    bench.run(1);
    for route in seen {
        bench.input(Input::RouteGone(route.key));
    }
    bench.run(1);
    assert_eq!(bench.said("by somebody else"), 0);
    assert!(bench.routes.is_empty());
}

#[test]
fn a_reload_changes_what_differs_and_nothing_else() {
    let mut bench = Bench::master(routed());
    bench.changes.clear();
    bench.input(Input::Reload(Arc::new(routed())));
    bench.run(40);
    assert_eq!(bench.changes, [""; 0]);
    let mut other = routed();
    let more = &mut std::sync::Arc::make_mut(&mut other.instances[0]).more;
    more.routes[0].metrics.insert(2, 1400);
    more.routes[1] = route("10.8.0.0/16");
    more.rules.clear();
    bench.input(Input::Reload(Arc::new(other)));
    assert_eq!(
        bench.changes,
        [
            "-rule 700",
            "-route 198.51.100.0/24 dev 2",
            "+route 198.51.100.0/24 dev 2",
            "+route 10.8.0.0/16 dev 2",
            "-route 10.9.0.0/16 dev 2",
        ]
    );
}

#[test]
fn what_the_kernel_shows_otherwise_is_not_set_again_and_again() {
    let mut config = routed();
    let hop = &mut std::sync::Arc::make_mut(&mut config.instances[0])
        .more
        .routes[1]
        .hops[0];
    (hop.via, hop.dev) = (Some([10, 0, 0, 9].into()), None);
    let mut bench = Bench::master(config);
    bench.changes.clear();
    let shown: BTreeMap<_, _> = std::mem::take(&mut bench.routes)
        .into_iter()
        .map(|(mut key, mut spec)| {
            let hop: &mut Hop = &mut key.hops[0];
            hop.1 = Some(eth0());
            spec.metrics.insert(9, 3);
            (key, spec)
        })
        .collect();
    bench.routes = shown;
    bench.run(100);
    assert_eq!(bench.changes, [""; 0]);
}

#[test]
fn what_a_predecessor_left_goes_at_the_start_unless_it_is_wanted() {
    let view = |to: &str| {
        let bench = Bench::master(config(vec![{
            let mut vi = instance("VI_1", 51, "10.0.0.100");
            vi.more.routes = vec![route(to)];
            vi
        }]));
        bench.shown_routes().pop().unwrap()
    };
    let (left, mut foreign) = (view("10.7.0.0/16"), view("10.6.0.0/16"));
    foreign.key.protocol = 18;
    let picture = NetPicture {
        links: vec![link(true)],
        addresses: vec![address("10.0.0.5/24", 0)],
        routes: vec![left, foreign],
        rules: vec![rule(701).rule],
    };
    let fresh = |_: &Instance, _: &Beat| vrrp::Start::Fresh;
    let mut engine = Failover::new(routed(), picture, fresh, false, Time::ZERO);
    let batches = engine
        .start(Time::ZERO)
        .into_iter()
        .filter_map(|a| match a {
            Action::Net(batch) => Some(batch),
            _ => None,
        });
    let changes: Vec<String> = batches.flatten().map(|c| c.to_string()).collect();
    let expected = [
        "delete IPv4 rule with preference 701",
        "delete route 10.7.0.0/16 dev 2",
    ];
    assert_eq!(changes, expected);
}

fn with_statics() -> Config {
    let mut config = config(vec![instance("VI_1", 51, "10.0.0.100")]);
    let mut address = VirtualAddress::new("198.51.100.1/24".parse().unwrap());
    address.dev = Some("eth0".parse().unwrap());
    address.more.track_group = Some("both".to_owned());
    config.statics.addresses = vec![address];
    let mut tracked = route("10.9.0.0/16");
    tracked.track_group = Some("both".to_owned());
    config.statics.routes = vec![tracked];
    config.statics.rules = vec![rule(700)];
    config.statics.track_groups = vec![("both".to_owned(), vec!["VI_1".to_owned()])];
    config
}

#[test]
fn statics_are_there_from_start_to_stop_whoever_is_master() {
    let mut bench = Bench::new(with_statics());
    let all = [
        "+address 198.51.100.1/24",
        "+route 10.9.0.0/16 dev 2",
        "+rule 700",
    ];
    assert_eq!(bench.changes, all);
    bench.run(4);
    assert_eq!(bench.role("VI_1"), Role::Master);
    bench.hear(200, 51, PASSWORD);
    bench.run(1);
    assert_eq!((bench.routes.len(), bench.rules.len()), (1, 1));
    assert!(bench.has("198.51.100.1/24"));
    bench.input(Input::Stop(StopKind::Release));
    bench.run(5);
    assert!(bench.routes.is_empty() && bench.rules.is_empty());
    assert!(!bench.has("198.51.100.1/24"));
}

#[test]
fn statics_stay_when_everything_is_to_stay() {
    let mut bench = Bench::new(with_statics());
    bench.input(Input::Stop(StopKind::Keep));
    bench.run(5);
    assert!(bench.released && bench.has("198.51.100.1/24"));
    assert_eq!((bench.routes.len(), bench.rules.len()), (1, 1));
}

#[test]
fn statics_that_somebody_removes_come_back_and_nobody_is_in_fault_for_it() {
    let mut bench = Bench::master(with_statics());
    bench.lose(address("198.51.100.1/24", 0).key);
    bench.run_for(RESTORE_AFTER);
    assert!(bench.has("198.51.100.1/24"));
    lose_route(&mut bench, "10.9.0.0/16");
    bench.run_for(RESTORE_AFTER);
    assert_eq!((bench.role("VI_1"), bench.routes.len()), (Role::Master, 1));
    assert_eq!(bench.said("of track group both is missing"), 0);
}

#[test]
fn a_tracked_static_address_is_of_no_use_on_a_link_that_is_down() {
    let mut config = with_statics();
    config.statics.addresses[0].dev = Some("eth1".parse().unwrap());
    let other = |up: bool| Link {
        index: InterfaceIndex::new(7).unwrap(),
        name: "eth1".parse().unwrap(),
        ..link(up)
    };
    let mut bench = Bench::new(config);
    assert_eq!(bench.role("VI_1"), Role::Fault);
    for (up, role) in [(true, Role::Backup), (false, Role::Fault)] {
        bench.links.retain(|link| link.index != other(up).index);
        bench.links.push(other(up));
        bench.input(Input::Link(other(up)));
        bench.run(1);
        assert_eq!(bench.role("VI_1"), role);
    }
}

#[test]
fn statics_that_cannot_be_put_back_are_a_fault_of_who_tracks_them() {
    let mut config = with_statics();
    config.statics.addresses[0].dev = Some("eth9".parse().unwrap());
    let bench = Bench::new(config);
    assert_eq!(bench.role("VI_1"), Role::Fault);
    let said = "static address 198.51.100.1/24 of track group both is missing";
    assert_eq!(bench.said(said), 1);
}

#[test]
fn a_route_over_a_link_that_is_down_is_a_fault_unless_it_is_not_tracked() {
    let mut config = routed();
    let dev = &mut std::sync::Arc::make_mut(&mut config.instances[0])
        .more
        .routes[0]
        .hops[0]
        .dev;
    *dev = Some("eth9".parse().unwrap());
    let bench = Bench::new(config.clone());
    assert_eq!(bench.role("VI_1"), Role::Fault);
    std::sync::Arc::make_mut(&mut config.instances[0])
        .more
        .routes[0]
        .no_track = true;
    let mut bench = Bench::new(config);
    bench.run(4);
    assert_eq!((bench.role("VI_1"), bench.routes.len()), (Role::Master, 1));
}

#[test]
fn routes_of_ipv6_that_the_kernel_makes_one_of_are_left_alone() {
    let mut config = routed();
    let via = |n: u16| {
        let mut route = route("2001:db8:9::/48");
        route.hops[0].via = Some(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n).into());
        route
    };
    std::sync::Arc::make_mut(&mut config.instances[0])
        .more
        .routes = vec![via(1), via(2)];
    let mut bench = Bench::master(config);
    let mut both = bench.shown_routes();
    let second = both.pop().unwrap();
    both[0].key.hops.extend(second.key.hops);
    both[0].spec.hops.extend(second.spec.hops);
    bench.routes = both.into_iter().map(|r| (r.key, r.spec)).collect();
    bench.changes.clear();
    bench.run(100);
    assert_eq!(bench.changes, [""; 0]);
}

#[test]
fn a_route_that_the_kernel_refuses_is_told_once_and_tried_less_and_less() {
    let mut bench = Bench::master(routed());
    let started = bench.now;
    let mut tries = 0;
    while bench.now.since(started) < Duration::from_secs(120) {
        if let Some((key, spec)) = bench.routes.pop_last() {
            tries += 1;
            let failure = NetFailure {
                command: RouteCommand::Add(key, spec).into(),
                disagreement: false,
                error: "add route 198.51.100.0/24 dev 2: no (EHOSTUNREACH)".to_owned(),
            };
            bench.routes.clear();
            bench.input(Input::NetFailed(vec![failure]));
        }
        bench.run_for(Duration::from_millis(100));
    }
    assert_eq!(bench.said("EHOSTUNREACH"), 1);
    assert!((5..=15).contains(&tries), "{tries}");
}
