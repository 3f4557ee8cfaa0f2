use super::*;

use crate::config::model::SorryServer;
use crate::ipvs::Service;

/// Three servers of weight 1, a quorum of 2, and a sorry server.
fn three() -> Config {
    let servers = ["10.1.0.1:80", "10.1.0.2:80", "10.1.0.3:80"].map(|s| real(s, 1));
    let mut vs = virtual_server("10.0.0.1:80", servers.to_vec());
    vs.pool.quorum = Some(2);
    vs.sorry_server = Some(SorryServer {
        endpoint: endpoint("10.1.0.9:80"),
        forwarding: ForwardingMethod::Masquerading,
        tunnel: Tunnel::default(),
    });
    config(vec![vs])
}

/// Last numbers of the servers in the table, with weights.
fn pool(rig: &Rig) -> String {
    let service: Option<&Service> = rig.kernel.now.table.get(&key("10.0.0.1:80"));
    let destinations = service.unwrap().destinations.iter();
    let shown = destinations.map(|(d, spec)| {
        let addr = d.0.addr.to_string();
        format!("{}={}", addr.rsplit('.').next().unwrap(), spec.weight)
    });
    shown.collect::<Vec<_>>().join(" ")
}

fn fails(numbers: &'static [&'static str]) -> impl Fn(Endpoint) -> bool {
    |e| {
        !numbers
            .iter()
            .any(|n| e.addr.to_string().ends_with(&format!(".{n}")))
    }
}

#[test]
fn without_its_quorum_a_pool_gives_way_to_the_sorry_server() {
    let mut rig = Rig::started(&three());
    rig.pass(1_000, fails(&["1"]));
    assert_eq!(pool(&rig), "2=1 3=1");
    rig.pass(30_000, fails(&["1", "2"]));
    assert_eq!(pool(&rig), "9=1");
    let log = rig.take_log().join("\n");
    assert!(
        log.contains("Warning: Lost quorum 2-0=2 > 1 for VS [10.0.0.1]:tcp:80"),
        "{log}"
    );
    assert!(
        log.contains("Info: Adding sorry server [10.1.0.9]:tcp:80 to VS [10.0.0.1]:tcp:80"),
        "{log}"
    );
    // The sorry server comes before the last server goes.
    let at = |words: &str| log.find(words).unwrap();
    assert!(
        at("add destination 10.1.0.9:80") < at("delete destination 10.1.0.3:80"),
        "{log}"
    );
    rig.pass(30_000, fails(&["2"]));
    assert_eq!(pool(&rig), "1=1 3=1");
    let log = rig.take_log().join("\n");
    assert!(log.contains("Gained quorum 2+0=2 <= 2 for VS"), "{log}");
    assert!(log.contains("Removing sorry server"), "{log}");
}

#[test]
fn without_a_sorry_server_what_is_up_goes_on() {
    let mut config = three();
    config.virtual_servers[0].sorry_server = None;
    let mut rig = Rig::started(&config);
    rig.pass(30_000, fails(&["1", "2"]));
    assert_eq!(pool(&rig), "3=1");
    assert!(rig.take_log().join("\n").contains("Lost quorum"));
}

#[test]
fn hysteresis_keeps_a_pool_as_it_was() {
    let mut config = three();
    config.virtual_servers[0].pool.hysteresis = Some(1);
    let mut rig = Rig::started(&config);
    assert_eq!(pool(&rig), "1=1 2=1 3=1");
    // 1 is not below 2-1.
    rig.pass(30_000, fails(&["1", "2"]));
    assert_eq!(pool(&rig), "3=1");
    rig.pass(30_000, fails(&["1", "2", "3"]));
    assert_eq!(pool(&rig), "9=1");
    // 2 is below 2+1.
    rig.pass(30_000, fails(&["1"]));
    assert_eq!(pool(&rig), "9=1");
    rig.pass(30_000, fails(&[]));
    assert_eq!(pool(&rig), "1=1 2=1 3=1");
}

#[test]
fn inhibited_servers_stay_with_weight_0() {
    let mut config = three();
    let vs = &mut config.virtual_servers[0];
    vs.pool.sorry_server_inhibit = true;
    vs.real_servers[0].inhibit_on_failure = true;
    let mut rig = Rig::started(&config);
    assert_eq!(pool(&rig), "1=1 2=1 3=1 9=0");
    rig.pass(30_000, fails(&["2", "3"]));
    assert_eq!(pool(&rig), "1=0 9=1");
    rig.pass(30_000, fails(&[]));
    assert_eq!(pool(&rig), "1=1 2=1 3=1 9=0");
}

#[test]
fn with_alpha_a_pool_begins_with_the_sorry_server() {
    let mut config = three();
    for server in &mut config.virtual_servers[0].real_servers {
        server.checkers[0].alpha = true;
    }
    let mut rig = Rig::new(&config);
    rig.input(Input::Started);
    assert_eq!(pool(&rig), "9=1");
    let log = rig.take_log().join("\n");
    assert!(
        log.contains("VS [10.0.0.1]:tcp:80 starts without its quorum: 0 of 2"),
        "{log}"
    );
    rig.pass(2_000, fails(&["3"]));
    assert_eq!(pool(&rig), "1=1 2=1");
}

#[test]
fn a_restart_finds_the_sorry_server_and_leaves_it() {
    let mut first = Rig::started(&three());
    first.pass(30_000, fails(&["1", "2", "3"]));
    assert_eq!(pool(&first), "9=1");
    let record = Owned::named_by(&three());
    let mut again = Rig::on(first.kernel, &three(), record);
    again.kernel.writes = 0;
    again.input(Input::Started);
    assert_eq!((pool(&again).as_str(), again.kernel.writes), ("9=1", 0));
    again.pass(30_000, fails(&[]));
    assert_eq!(pool(&again), "1=1 2=1 3=1");
    again.input(Input::Stop(StopKind::Remove));
    assert_eq!(again.kernel.text(), "");
}

#[test]
fn a_stop_with_omega_says_what_goes() {
    let mut config = three();
    config.virtual_servers[0].pool.omega = true;
    let mut rig = Rig::started(&config);
    rig.input(Input::Stop(StopKind::Remove));
    let log = rig.take_log().join("\n");
    assert!(
        log.contains("Removing service [10.1.0.1]:tcp:80 from VS"),
        "{log}"
    );
    assert!(log.contains("Shutdown of VS [10.0.0.1]:tcp:80"), "{log}");
}

#[test]
fn with_ha_suspend_checks_follow_the_address() {
    let mut config = three();
    config.virtual_servers[0].pool.ha_suspend = true;
    let mut rig = Rig::started(&config);
    let vip = endpoint("10.0.0.1:80").addr;
    assert_eq!(rig.balancer.follows(), BTreeSet::from([vip]));
    rig.pass(60_000, fails(&["1", "2", "3"]));
    assert_eq!(pool(&rig), "1=1 2=1 3=1");
    rig.input(Input::Addresses(BTreeSet::from([vip])));
    rig.pass(1_500, fails(&["1"]));
    assert_eq!(pool(&rig), "2=1 3=1");
    rig.input(Input::Addresses(BTreeSet::new()));
    rig.input(Input::Reload(Arc::new(config)));
    rig.pass(60_000, fails(&[]));
    assert_eq!(pool(&rig), "2=1 3=1", "what was known stays");
    let log = rig.take_log().join("\n");
    assert!(
        log.contains("10.0.0.1 is not on this machine: checks behind it are suspended"),
        "{log}"
    );
}

#[test]
fn lvs_flush_removes_what_is_found_and_lvs_flush_on_stop_what_came_since() {
    let other = config(vec![virtual_server(
        "10.0.0.7:80",
        vec![real("10.1.0.1:80", 1)],
    )]);
    let foreign = || Rig::started(&other).kernel;
    let mut flushing = two();
    flushing.globals.lvs.lvs_flush = true;
    let mut rig = Rig::on(foreign(), &two(), Owned::default());
    rig.input(Input::Started);
    assert!(rig.kernel.text().contains("10.0.0.7"));
    let mut rig = Rig::on(foreign(), &flushing, Owned::default());
    rig.input(Input::Started);
    assert_eq!(rig.kernel.text(), TWO);
    flushing.globals.lvs.lvs_flush = false;
    flushing.globals.lvs.lvs_flush_on_stop = Some(None);
    let mut rig = Rig::on(foreign(), &flushing, Owned::default());
    rig.input(Input::Started);
    assert!(rig.kernel.text().contains("10.0.0.7"));
    rig.input(Input::Stop(StopKind::Remove));
    assert_eq!(rig.kernel.text(), "");
}
