use std::net::IpAddr;
use std::sync::Arc;

use super::facts::{Clock, Facts, HeardAdvert, Owner, PidFile};
use super::filter::{Chain, Hook};
use super::{findings, words};
use crate::config::Config;
use crate::config::model::{Instance, VirtualAddress};
use crate::net::{InterfaceIndex, Link, MacAddr};
use crate::units::{Priority, Version, Vrid};
use crate::wire::vrrp::{Advert, AuthField};

const US: &str = "192.0.2.1";
const VIP: &str = "192.0.2.100";

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A node with one instance, on which nothing is wrong.
fn healthy() -> Facts {
    let mut instance = Instance::new("V", "eth0".parse().unwrap(), Vrid::new(51).unwrap());
    instance.version = Version::V2;
    instance.priority = Priority::new(100).unwrap();
    instance.src_ip = Some(address(US));
    instance.vips = vec![VirtualAddress::new(format!("{VIP}/32").parse().unwrap())];
    let mut facts = Facts {
        config: Some(Config {
            instances: vec![Arc::new(instance)],
            ..Config::default()
        }),
        ..Facts::default()
    };
    facts.picture.links.push(Link {
        index: InterfaceIndex::new(2).unwrap(),
        name: "eth0".parse().unwrap(),
        mac: MacAddr([2, 0, 0, 0, 0, 1]),
        admin_up: true,
        running: true,
        loopback: false,
        no_arp: false,
        multicast: true,
        mtu: 1500,
        promote_secondaries: false,
        vrf_table: None,
        bridge: false,
    });
    facts
}

fn advert(source: &str, change: impl FnOnce(&mut HeardAdvert, &mut Advert)) -> HeardAdvert {
    let mut advert = Advert {
        version: Version::V2,
        vrid: Vrid::new(51).unwrap(),
        priority: 90,
        interval: std::time::Duration::from_secs(1),
        addresses: vec![address(VIP)],
        auth: AuthField::None,
    };
    let mut heard = HeardAdvert {
        interface: InterfaceIndex::new(2).unwrap(),
        source: address(source),
        destination: address("224.0.0.18"),
        ttl: 255,
        advert: Err(String::new()),
    };
    change(&mut heard, &mut advert);
    if heard.advert == Err(String::new()) {
        heard.advert = Ok(advert);
    }
    heard
}

fn codes(facts: &Facts) -> Vec<&'static str> {
    findings(facts).iter().map(|finding| finding.code).collect()
}

#[test]
fn of_a_healthy_node_nothing_is_found_and_its_peers_are_named() {
    let mut facts = healthy();
    facts.heard.push(advert("192.0.2.2", |_, _| {}));
    assert_eq!(codes(&facts), [""; 0]);
    let text = words(&findings(&facts), &facts);
    assert_eq!(
        text,
        "heard:\n  192.0.2.2 on eth0: VRRP version 2, virtual_router_id 51, priority 90, every 1 s\n\
         0 errors, 0 warnings, 0 notes\n"
    );
}

#[test]
fn each_difference_of_a_peer_is_found_by_itself() {
    type Change = fn(&mut HeardAdvert, &mut Advert);
    let cases: [(&str, Change); 9] = [
        ("version", |_, a| a.version = Version::V3),
        ("advert-int", |_, a| a.interval *= 2),
        ("authentication", |_, a| {
            a.auth = AuthField::Pass(*b"other\0\0\0")
        }),
        ("priority", |_, a| a.priority = 100),
        ("vrid-in-use", |_, a| {
            a.addresses = vec![address("192.0.2.9")]
        }),
        ("addresses", |_, a| a.addresses.push(address("192.0.2.9"))),
        ("ttl", |h, _| h.ttl = 64),
        ("transport", |h, _| h.destination = address(US)),
        ("broken-advert", |h, _| {
            h.advert = Err("it is cut short".to_owned())
        }),
    ];
    for (code, change) in cases {
        let mut facts = healthy();
        facts.heard.push(advert("192.0.2.2", change));
        assert_eq!(codes(&facts), [code]);
    }
    let mut facts = healthy();
    facts
        .heard
        .push(advert("192.0.2.2", |_, a| a.vrid = Vrid::new(52).unwrap()));
    assert_eq!(codes(&facts), ["neighbour"]);
}

#[test]
fn two_masters_are_told_from_a_take_over() {
    let mut facts = healthy();
    let all = |facts: &mut Facts, sources: [&str; 4]| {
        facts.heard = sources.map(|source| advert(source, |_, _| {})).into();
    };
    all(
        &mut facts,
        ["192.0.2.2", "192.0.2.2", "192.0.2.3", "192.0.2.3"],
    );
    assert_eq!(codes(&facts), [""; 0]);
    all(
        &mut facts,
        ["192.0.2.2", "192.0.2.3", "192.0.2.2", "192.0.2.3"],
    );
    assert_eq!(codes(&facts), ["two-masters"]);
}

#[test]
fn what_is_wrong_with_the_machine_is_found() {
    let mut facts = healthy();
    facts.owners.push(Owner {
        address: address(VIP),
        mac: MacAddr([2, 0, 0, 0, 0, 9]),
    });
    facts.modules.push("ip_vs".to_owned());
    facts.clock = Clock::Past;
    facts.pid_files.push(PidFile {
        path: "/run/keepalived.pid".into(),
        pid: Some(7),
        runs: Some("sleep".to_owned()),
    });
    facts.firewall.push(Chain {
        family: None,
        table: "nft inet fw".to_owned(),
        name: "in".to_owned(),
        hook: Some((Hook::Input, 0)),
        drops: true,
        rules: Vec::new(),
    });
    assert_eq!(
        codes(&facts),
        [
            "module",
            "vrrp-filter",
            "address-in-use",
            "pid-file",
            "clock"
        ]
    );
    // While the master is heard, it is he who answers.
    facts.heard.push(advert("192.0.2.2", |_, _| {}));
    assert!(!codes(&facts).contains(&"address-in-use"));
    for finding in findings(&facts) {
        assert!(
            !finding.why.is_empty() && !finding.remedy.is_empty(),
            "{finding:?}"
        );
    }
}
