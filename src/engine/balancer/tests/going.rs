//! What becomes of connections to servers that go, and of what somebody else does to the table.

use super::*;
use crate::config::model::{Connections, OnGone, OutsideChanges};

fn with(connections: Connections) -> Config {
    let mut config = two();
    for server in &mut config.virtual_servers[0].real_servers {
        server.connections = Some(Box::new(connections));
    }
    config
}

fn drains(seconds: u64) -> Config {
    let gone = Some(OnGone::Drain(Duration::from_secs(seconds)));
    with(Connections {
        on_down: gone,
        on_remove: gone,
        ..Connections::default()
    })
}

fn weight_of(rig: &Rig, text: &str) -> Option<u32> {
    let service = rig.kernel.now.table.get(&key("10.0.0.1:80"))?;
    let spec = service.destinations.get(&server(text))?;
    Some(spec.weight)
}

fn has_connections(rig: &mut Rig, text: &str, count: u32) {
    let at = (key("10.0.0.1:80"), server(text));
    rig.kernel.now.connections.insert(at, count);
}

const FIRST: &str = "10.1.0.1:80";

#[test]
fn a_server_that_fails_is_drained_until_its_connections_have_ended() {
    let mut rig = Rig::started(&drains(600));
    rig.pass(5_000, |_| true);
    has_connections(&mut rig, FIRST, 3);
    rig.log.clear();
    rig.pass(12_000, |e| e != endpoint(FIRST));
    assert_eq!(weight_of(&rig, FIRST), Some(0));
    rig.pass(120_000, |e| e != endpoint(FIRST));
    assert_eq!(weight_of(&rig, FIRST), Some(0), "three are left");
    has_connections(&mut rig, FIRST, 0);
    rig.pass(6_000, |e| e != endpoint(FIRST));
    assert_eq!(weight_of(&rig, FIRST), None);
    let said: Vec<&String> = rig.log.iter().filter(|l| l.contains("drained")).collect();
    assert_eq!(
        said,
        [
            "Info: destination 10.1.0.1:80 of 10.0.0.1:80/tcp is drained: no new connections, 600s for \
             those that it has",
            "Info: destination 10.1.0.1:80 of 10.0.0.1:80/tcp is drained: its connections have ended",
        ]
    );
    rig.pass(12_000, |_| true);
    assert_eq!(rig.kernel.text(), TWO);
}

#[test]
fn what_is_left_when_the_time_is_over_goes_and_one_that_recovers_stays() {
    let mut rig = Rig::started(&drains(60));
    has_connections(&mut rig, FIRST, 3);
    rig.pass(12_000, |e| e != endpoint(FIRST));
    assert_eq!(weight_of(&rig, FIRST), Some(0));
    rig.pass(15_000, |_| true);
    assert_eq!(rig.kernel.text(), TWO, "it is back in the middle of it");
    rig.pass(100_000, |_| true);
    assert_eq!(rig.kernel.text(), TWO);
    rig.pass(60_000, |e| e != endpoint(FIRST));
    assert_eq!(weight_of(&rig, FIRST), Some(0));
    rig.pass(12_000, |e| e != endpoint(FIRST));
    assert_eq!(weight_of(&rig, FIRST), None);
}

#[test]
fn what_a_reload_removes_is_drained_a_whole_service_too() {
    let mut rig = Rig::started(&drains(60));
    rig.pass(5_000, |_| true);
    has_connections(&mut rig, FIRST, 1);
    let mut less = drains(60);
    less.virtual_servers[0].real_servers.remove(0);
    rig.input(Input::Reload(less.into()));
    assert_eq!(weight_of(&rig, FIRST), Some(0));
    // Another reload in between changes nothing about it.
    let mut none = drains(60);
    none.virtual_servers.clear();
    has_connections(&mut rig, "10.1.0.2:80", 1);
    rig.pass(30_000, |_| true);
    rig.input(Input::Reload(none.into()));
    assert_eq!(weight_of(&rig, FIRST), Some(0));
    assert_eq!(weight_of(&rig, "10.1.0.2:80"), Some(0));
    rig.pass(31_000, |_| true);
    assert_eq!(weight_of(&rig, FIRST), None);
    assert_eq!(weight_of(&rig, "10.1.0.2:80"), Some(0));
    rig.pass(30_000, |_| true);
    assert_eq!(rig.kernel.text(), "");
    assert!(!rig.balancer.needs_ipvs());
}

#[test]
fn a_kill_and_a_stop_remove_at_once() {
    let mut rig = Rig::started(&with(Connections {
        on_down: Some(OnGone::Kill),
        ..Connections::default()
    }));
    rig.pass(12_000, |e| e != endpoint(FIRST));
    assert_eq!(weight_of(&rig, FIRST), None);
    let mut rig = Rig::started(&drains(600));
    has_connections(&mut rig, FIRST, 1);
    rig.pass(12_000, |e| e != endpoint(FIRST));
    rig.input(Input::Stop(StopKind::Remove));
    assert_eq!(rig.kernel.text(), "");
    assert_eq!(rig.log.last().unwrap(), "stopped");
}

#[test]
fn with_outside_changes_revert_everything_is_put_back() {
    let mut config = two();
    config.globals.lvs.outside_changes = OutsideChanges::Revert;
    let mut rig = Rig::started(&two());
    let change = |rig: &mut Rig| {
        let service = key("10.0.0.1:80");
        rig.by_hand(Command::SetDestination(service, server(FIRST), weight(7)));
        rig.by_hand(Command::NewDestination(
            service,
            server("10.1.0.9:80"),
            weight(3),
        ));
    };
    change(&mut rig);
    rig.pass(60_000, |_| true);
    assert_eq!(weight_of(&rig, FIRST), Some(7));
    rig.input(Input::Reload(config.into()));
    assert_eq!(rig.kernel.text(), TWO, "what was kept up to now");
    change(&mut rig);
    rig.pass(31_000, |_| true);
    assert_eq!(rig.kernel.text(), TWO);
}

#[test]
fn an_operator_takes_a_server_out_and_lets_it_in_again() {
    let mut rig = Rig::started(&two());
    rig.pass(5_000, |_| true);
    has_connections(&mut rig, FIRST, 2);
    rig.log.clear();
    let minute = Some(Duration::from_secs(60));
    rig.input(drain(FIRST, minute));
    assert_eq!(weight_of(&rig, FIRST), Some(0));
    assert_eq!(
        rig.log[0],
        "Info: 10.1.0.1:80 is taken out by an operator (ann)"
    );
    assert_eq!(rig.log[1], "overrides Drain 10.1.0.1:80");
    // Neither checks that pass nor a reload bring it back, and then its time is over.
    rig.pass(30_000, |_| true);
    rig.input(Input::Reload(two().into()));
    assert_eq!(weight_of(&rig, FIRST), Some(0));
    rig.pass(31_000, |_| true);
    assert_eq!(weight_of(&rig, FIRST), None);
    // A restart does not either.
    let overrides = rig.balancer.overrides.clone();
    let mut again = Rig::on(rig.kernel, &two(), Owned::named_by(&two()));
    again.balancer = again.balancer.with_overrides(overrides);
    again.input(Input::Started);
    again.pass(60_000, |_| true);
    assert_eq!(weight_of(&again, FIRST), None);
    again.input(undrain("10.1.0.1"));
    assert_eq!(again.kernel.text(), TWO);
    again.log.clear();
    again.input(undrain("10.1.0.1"));
    assert_eq!(again.log, [""; 0], "it is in already");
}

#[test]
fn servers_are_named_by_address_with_or_without_a_port() {
    for text in ["10.1.0.1", "10.1.0.1:80", "2001:db8::1", "[2001:db8::1]:80"] {
        assert_eq!(scope(text).to_string(), text);
    }
    for bad in ["", "web", "10.1.0.1:", "10.1.0.1:99999", "10.1.0.0/24"] {
        assert!(bad.parse::<super::super::Whom>().is_err(), "{bad}");
    }
    let rig = Rig::started(&two());
    assert_eq!(rig.balancer.count(&scope("10.1.0.1")), 1);
    assert_eq!(rig.balancer.count(&scope("10.1.0.1:81")), 0);
}

#[test]
fn what_was_being_drained_goes_on_after_a_crash_and_is_not_longer_for_it() {
    let mut rig = Rig::started(&drains(600));
    let mut one = drains(600);
    one.virtual_servers[0].real_servers.remove(0);
    rig.input(Input::Reload(Arc::new(one.clone())));
    assert_eq!(weight_of(&rig, FIRST), Some(0));
    let busy = (key("10.0.0.1:80"), server(FIRST));
    rig.kernel.now.connections.insert(busy, 3);
    rig.pass(100_000, |_| true);
    let record = rig.balancer.owned.clone();
    let now = rig.now;
    let mut next = Rig::on(rig.kernel, &one, Owned::clone(&record));
    next.now = now;
    next.kernel.writes = 0;
    next.input(Input::Started);
    assert_eq!(weight_of(&next, FIRST), Some(0));
    assert_eq!(next.kernel.writes, 0, "{:?}", next.log);
    next.pass(480_000, |_| true);
    assert_eq!(weight_of(&next, FIRST), Some(0));
    next.pass(30_000, |_| true);
    assert_eq!(weight_of(&next, FIRST), None);
    assert!(next.balancer.owned.draining.is_empty());
}

#[test]
fn what_was_being_drained_with_its_service_goes_on_after_a_crash_too() {
    let mut rig = Rig::started(&drains(600));
    rig.input(Input::Reload(Arc::new(config(vec![]))));
    for name in [FIRST, "10.1.0.2:80"] {
        let busy = (key("10.0.0.1:80"), server(name));
        rig.kernel.now.connections.insert(busy, 1);
    }
    let record = rig.balancer.owned.clone();
    let now = rig.now;
    let mut next = Rig::on(rig.kernel, &config(vec![]), Owned::clone(&record));
    next.now = now;
    next.input(Input::Started);
    assert_eq!(weight_of(&next, FIRST), Some(0));
    next.kernel.now.connections.clear();
    for name in [FIRST, "10.1.0.2:80"] {
        let busy = (key("10.0.0.1:80"), server(name));
        next.kernel.now.connections.insert(busy, 0);
    }
    next.pass(60_000, |_| true);
    assert!(next.kernel.now.table.is_empty(), "{:?}", next.log);
}

#[test]
fn a_server_that_is_taken_out_leaves_even_where_one_that_fails_stays() {
    let mut config = two();
    for server in &mut config.virtual_servers[0].real_servers {
        server.inhibit_on_failure = true;
    }
    let mut rig = Rig::started(&config);
    rig.input(drain(FIRST, Some(Duration::from_secs(60))));
    assert_eq!(weight_of(&rig, FIRST), Some(0));
    rig.pass(70_000, |_| true);
    assert_eq!(weight_of(&rig, FIRST), None);
    rig.input(undrain(FIRST));
    assert_eq!(weight_of(&rig, FIRST), Some(1));
}
