//! What operators order instead of what the configuration says.

use super::*;

const FIRST: &str = "10.1.0.1:80";
const POOL: &str = "10.0.0.1:80/tcp";

fn named(service: &str) -> Scope {
    Scope::Service(service.to_owned())
}

fn weights(rig: &Rig) -> Vec<u32> {
    let service = &rig.kernel.now.table[&key("10.0.0.1:80")];
    service.destinations.values().map(|d| d.weight).collect()
}

fn well(rig: &mut Rig, seconds: u64) {
    rig.pass(seconds * 1000, |_| true);
}

#[test]
fn a_weight_counts_as_the_configured_one_until_its_time_is_over() {
    let mut rig = Rig::started(&two());
    well(&mut rig, 5);
    rig.log.clear();
    let until = Some(rig.now + Duration::from_secs(60));
    let order = Override {
        reason: Some("warm up".to_owned()),
        until,
        ..order(Set::Weight(7))
    };
    rig.input(Input::Override(scope(FIRST), order));
    assert_eq!(weights(&rig), [7, 1]);
    assert_eq!(
        rig.log.iter().find(|line| line.contains("operator")),
        Some(&"Info: 10.1.0.1:80 has weight 7 by an operator (ann, for 60s): warm up".to_owned())
    );
    assert_eq!(rig.balancer.view(rig.now).services[0].weight_up, 8);
    rig.input(Input::Reload(two().into()));
    assert_eq!(weights(&rig), [7, 1], "a reload does not end it");
    let overrides = rig.balancer.overrides.clone();
    let (now, kernel) = (rig.now, rig.kernel);
    let mut rig = Rig::on(kernel, &two(), Owned::named_by(&two()));
    rig.now = now;
    rig.balancer = rig.balancer.with_overrides(overrides);
    rig.input(Input::Started);
    well(&mut rig, 50);
    assert_eq!(weights(&rig), [7, 1], "a restart does not either");
    rig.log.clear();
    well(&mut rig, 11);
    assert_eq!(weights(&rig), [1, 1]);
    let said = "Info: 10.1.0.1:80 has its configured weight again (the time that ann gave is over): \
                warm up";
    assert!(rig.log.iter().any(|line| line == said), "{:?}", rig.log);
    assert!(rig.balancer.view(rig.now).overrides.is_empty());
}

#[test]
fn a_weight_of_nothing_takes_no_connections_and_the_quorum_knows_it() {
    let mut rig = Rig::started(&two());
    well(&mut rig, 5);
    for server in [FIRST, "10.1.0.2"] {
        rig.input(Input::Override(scope(server), order(Set::Weight(0))));
    }
    assert_eq!(weights(&rig), [0, 0]);
    let view = rig.balancer.view(rig.now);
    assert_eq!(view.services[0].quorum, crate::lvs::Quorum::Lost);
    // Of the port before all of the address; of an address every port.
    rig.input(Input::Override(scope("10.1.0.1"), order(Set::Weight(5))));
    assert_eq!(weights(&rig), [0, 0]);
    let by = "bob".to_owned();
    rig.input(Input::Lift(OrderKind::Weight, scope("10.1.0.1"), by));
    assert_eq!(weights(&rig), [1, 0]);
}

#[test]
fn who_is_paused_is_not_checked_and_stays_what_he_was() {
    for paused in [scope(FIRST), named(POOL)] {
        let mut rig = Rig::started(&two());
        well(&mut rig, 5);
        rig.log.clear();
        rig.input(Input::Override(paused.clone(), order(Set::Pause)));
        let said = format!("Info: checks of {paused} are paused by an operator (ann)");
        assert!(rig.log.contains(&said), "{:?}", rig.log);
        rig.pass(60_000, |server| server != endpoint(FIRST));
        rig.input(Input::Reload(two().into()));
        rig.pass(60_000, |server| server != endpoint(FIRST));
        assert_eq!(weights(&rig), [1, 1], "{paused}");
        let view = rig.balancer.view(rig.now);
        let checks = view.services[0].servers.iter().map(|s| s.checks[0].paused);
        let other = paused == named(POOL);
        assert_eq!(checks.collect::<Vec<_>>(), [true, other]);
        rig.input(Input::Lift(
            OrderKind::Pause,
            paused.clone(),
            "bob".to_owned(),
        ));
        rig.pass(30_000, |server| server != endpoint(FIRST));
        assert_eq!(weights(&rig), [1], "{paused}");
        let said = format!("Info: checks of {paused} are made again (bob)");
        assert!(rig.log.contains(&said), "{:?}", rig.log);
    }
}

#[test]
fn what_holds_already_is_not_said_again() {
    let mut rig = Rig::started(&two());
    well(&mut rig, 5);
    rig.input(Input::Override(scope(FIRST), order(Set::Pause)));
    rig.log.clear();
    rig.input(Input::Override(scope(FIRST), order(Set::Pause)));
    rig.input(Input::Lift(
        OrderKind::Weight,
        scope(FIRST),
        "bob".to_owned(),
    ));
    rig.input(Input::Lift(OrderKind::Pause, named(POOL), "bob".to_owned()));
    assert_eq!(rig.log, [""; 0]);
}
