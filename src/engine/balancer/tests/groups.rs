//! A virtual server with several addresses: one pool, many services.

use super::*;
use crate::config::model::ServiceGroup;

fn address(text: &str) -> VirtualServerAddress {
    VirtualServerAddress::Endpoint {
        protocol: Protocol::Tcp,
        endpoint: endpoint(text),
    }
}

/// Two checked servers behind these addresses.
fn group(addresses: &[&str]) -> Config {
    let mut config = two();
    let vs = &mut config.virtual_servers[0];
    vs.address = address(addresses[0]);
    vs.group = Some(ServiceGroup {
        name: "web".to_owned(),
        more: addresses[1..].iter().map(|a| address(a)).collect(),
        marked: Vec::new(),
    });
    config
}

#[test]
fn a_group_is_checked_once_and_told_of_once() {
    let mut rig = Rig::started(&group(&["10.0.0.1:80", "10.0.0.2:80"]));
    rig.now += Duration::from_secs(1);
    rig.input(Input::Timer);
    assert_eq!(rig.running.len(), 2, "one check for each server");
    rig.running.clear();
    let mut rig = Rig::started(&group(&["10.0.0.1:80", "10.0.0.2:80"]));
    rig.pass(60_000, |e| e != endpoint("10.1.0.1:80"));
    assert_eq!(
        rig.kernel.text(),
        "-A 10.0.0.1:80/tcp -s wlc\n-a 10.0.0.1:80/tcp -r 10.1.0.2:80 -m -w 1\n\
         -A 10.0.0.2:80/tcp -s wlc\n-a 10.0.0.2:80/tcp -r 10.1.0.2:80 -m -w 1\n"
    );
    assert_eq!(
        rig.told,
        ["VS [web]:0 UP", "RS [10.1.0.1]:tcp:80 [web]:0 DOWN"]
    );
    let said = "Info: Removing service [10.1.0.1]:tcp:80 from VS [web]:0".to_owned();
    assert!(rig.log.contains(&said), "{:?}", rig.log);
    rig.told.clear();
    rig.pass(60_000, |_| false);
    assert_eq!(
        rig.told,
        ["RS [10.1.0.2]:tcp:80 [web]:0 DOWN", "VS [web]:0 DOWN"]
    );
    rig.input(Input::Stop(StopKind::Remove));
    assert_eq!(rig.kernel.text(), "");
}

#[test]
fn a_reload_that_changes_its_addresses_keeps_what_is_known_of_its_servers() {
    let mut rig = Rig::started(&group(&["10.0.0.1:80", "10.0.0.2:80"]));
    rig.pass(60_000, |e| e != endpoint("10.1.0.1:80"));
    rig.told.clear();
    rig.log.clear();
    let next = group(&["10.0.0.9:80", "10.0.0.2:80"]);
    rig.input(Input::Reload(next.into()));
    assert_eq!(rig.told, [""; 0], "nothing came or went");
    assert_eq!(
        rig.kernel.text(),
        "-A 10.0.0.2:80/tcp -s wlc\n-a 10.0.0.2:80/tcp -r 10.1.0.2:80 -m -w 1\n\
         -A 10.0.0.9:80/tcp -s wlc\n-a 10.0.0.9:80/tcp -r 10.1.0.2:80 -m -w 1\n"
    );
    rig.pass(20_000, |_| true);
    assert_eq!(rig.told, ["RS [10.1.0.1]:tcp:80 [web]:0 UP"]);
    rig.input(Input::Reload(Config::default().into()));
    assert_eq!(rig.kernel.text(), "");
    assert_eq!(rig.told.last().unwrap(), "VS [web]:0 DOWN");
}

#[test]
fn a_start_adopts_a_group_by_any_of_its_services() {
    let mut first = Rig::started(&group(&["10.0.0.1:80", "10.0.0.2:80"]));
    first.pass(60_000, |e| e != endpoint("10.1.0.1:80"));
    let record = Owned::named_by(&group(&["10.0.0.1:80", "10.0.0.2:80"]));
    let next = group(&["10.0.0.9:80", "10.0.0.2:80"]);
    let mut rig = Rig::on(first.kernel, &next, record);
    rig.input(Input::Started);
    assert!(
        !rig.kernel.text().contains("10.1.0.1"),
        "{}",
        rig.kernel.text()
    );
    rig.pass(20_000, |_| true);
    assert_eq!(rig.kernel.text().matches("-r 10.1.0.1:80").count(), 2);
}

#[test]
fn ha_suspend_checks_while_any_address_is_here() {
    let mut config = group(&["10.0.0.1:80", "10.0.0.2:80"]);
    config.virtual_servers[0].pool.ha_suspend = true;
    let mut rig = Rig::started(&config);
    let second: std::net::IpAddr = [10, 0, 0, 2].into();
    assert_eq!(rig.balancer.follows().len(), 2);
    rig.pass(30_000, |_| false);
    assert!(rig.kernel.text().contains("10.1.0.1"), "not checked");
    rig.input(Input::Addresses([second].into()));
    rig.pass(30_000, |_| false);
    assert!(!rig.kernel.text().contains("10.1.0.1"));
}
