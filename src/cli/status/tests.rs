//! What people are shown, from a status made by hand.

use crate::cli::why;
use crate::control::model::*;
use crate::control::words;

use super::everything;

fn clock(stamp: &str) -> String {
    stamp.get(11..19).unwrap_or(stamp).to_owned()
}

fn instance(name: &str, state: &str) -> Instance {
    Instance {
        name: name.into(),
        state: state.into(),
        since: Some("2026-11-21T14:02:14.000Z".into()),
        before: Some("MASTER".into()),
        entered_because: Some("10.0.0.2 advertises 150, ours is 120".into()),
        why: String::new(),
        interface: Some("eth0".into()),
        vrid: 51,
        version: 2,
        advert_ms: 1000,
        priority: Priority {
            base: 150,
            effective: 120,
            weights: vec![Weight {
                tracker: "script chk_nginx".into(),
                adds: -30,
                would_add: 0,
            }],
        },
        master: Some(Master {
            address: "10.0.0.2".into(),
            priority: 150,
            heard: Some("2026-11-21T14:05:00.100Z".into()),
            ours: false,
        }),
        nopreempt: false,
        addresses: vec![Address {
            address: "10.0.0.100/24".into(),
            interface: Some("eth0".into()),
            held: false,
        }],
        faults: Vec::new(),
        waits_for: Vec::new(),
        tracks: vec!["script chk_nginx".into()],
        group: None,
        leaving: false,
        counters: Counters::default(),
    }
}

pub(in crate::cli) fn status() -> Status {
    let check = Check {
        kind: "TCP_CHECK".into(),
        target: Some("10.1.0.1:80".into()),
        up: true,
        since: None,
        result: Some("passed".into()),
        at: Some("2026-11-21T14:04:59.000Z".into()),
        latency_us: Some(320),
        retries: 0,
        paused: false,
    };
    let server = RealServer {
        address: "10.1.0.1:80".into(),
        up: true,
        since: None,
        why: String::new(),
        weight: 1,
        weight_now: Some(1),
        drained: false,
        overrides: Vec::new(),
        duty: None,
        weight_in_kernel: Some(1),
        by_hand: false,
        traffic: None,
        checks: vec![check.clone()],
    };
    let down = RealServer {
        address: "10.1.0.22:80".into(),
        up: false,
        since: Some("2026-11-21T14:03:00.000Z".into()),
        weight_now: None,
        drained: false,
        checks: vec![Check {
            target: Some("10.1.0.22:80".into()),
            up: false,
            result: Some("connection refused (ECONNREFUSED)".into()),
            ..check
        }],
        ..server.clone()
    };
    let mut status = Status {
        time: "2026-11-21T14:05:00.200Z".into(),
        daemon: Daemon {
            version: "1.2.3".into(),
            pid: 77,
            host: "lb1".into(),
            configuration: "/etc/vipd/vipd.conf".into(),
            started: "2026-11-21T13:00:00.000Z".into(),
            standby: false,
            standby_since: None,
            waits_for: None,
            reload: None,
            last_event: 9,
            events_lost: 0,
        },
        instances: Vec::new(),
        sync_groups: Vec::new(),
        trackers: vec![Tracker {
            key: "script chk_nginx".into(),
            kind: "script".into(),
            name: "chk_nginx".into(),
            value: "down".into(),
            since: Some("2026-11-21T14:02:11.000Z".into()),
            says: "chk_nginx fails: exit 1".into(),
        }],
        bfd: Vec::new(),
        virtual_servers: vec![VirtualServer {
            name: "10.0.0.100:80/tcp".into(),
            group: None,
            scheduler: "rr".into(),
            quorum: true,
            why: "1 of 2 servers up, weight 1, quorum 1".into(),
            weight_up: 1,
            quorum_needed: 1,
            hysteresis: 0,
            programmed: true,
            sorry_server: None,
            traffic: None,
            writer: None,
            real_servers: vec![server, down],
        }],
        overrides: Vec::new(),
        draining: vec![DrainingServer {
            service: "10.0.0.100:80/tcp".into(),
            server: "10.1.0.3:80".into(),
            connections: Some(2),
            until: "2026-11-21T14:07:00.000Z".into(),
        }],
        kernel: vec![KernelSetting {
            name: "net.ipv4.ip_forward".into(),
            now: Some("0".into()),
            wanted: "1".into(),
            set: false,
            before: None,
            whom: vec!["10.0.0.100:80/tcp".into()],
            why: Some("answers of servers behind NAT are not forwarded to clients".into()),
        }],
    };
    let mut vi = instance("VI_1", "BACKUP");
    vi.why = words::instance(&status, &vi, &clock);
    status.instances.push(vi);
    status
}

fn why(change: impl FnOnce(&mut Instance)) -> String {
    let mut status = status();
    let mut vi = status.instances.remove(0);
    change(&mut vi);
    words::instance(&status, &vi, &clock)
}

#[test]
fn everything_is_told_in_short() {
    insta::assert_snapshot!(everything(&status(), &clock));
}

#[test]
fn one_instance_is_told_with_the_facts_behind_it() {
    insta::assert_snapshot!(why::one(&status(), "VI_1", &clock).unwrap());
}

#[test]
fn a_sentence_for_every_state() {
    assert_eq!(
        why(|_| {}),
        "BACKUP: 10.0.0.2 advertises 150, ours is 120 because chk_nginx fails: exit 1, since 14:02:11"
    );
    let master = |priority| {
        Some(Master {
            address: "10.0.0.2".into(),
            priority,
            heard: None,
            ours: false,
        })
    };
    let plain = |vi: &mut Instance| vi.priority.weights.clear();
    assert_eq!(
        why(|vi| {
            plain(vi);
            vi.master = master(120);
        }),
        "BACKUP: 10.0.0.2 advertises 120 too and was master first"
    );
    assert_eq!(
        why(|vi| {
            vi.nopreempt = true;
            vi.master = master(90);
        }),
        "BACKUP: 10.0.0.2 advertises 90, ours is 120, and nopreempt leaves it master"
    );
    assert_eq!(
        why(|vi| {
            vi.state = "FAULT".into();
            vi.faults = vec!["script chk_nginx fails (exit 1)".into()];
        }),
        "FAULT: script chk_nginx fails (exit 1), since 14:02:11"
    );
    assert_eq!(
        why(|vi| {
            vi.state = "INIT".into();
            vi.waits_for = vec!["script chk_nginx".into()];
        }),
        "INIT: it waits for the first answer of script chk_nginx"
    );
    assert_eq!(
        why(|vi| {
            vi.priority.weights[0] = Weight {
                tracker: "script chk_nginx".into(),
                adds: 0,
                would_add: 20,
            };
        }),
        "BACKUP: 10.0.0.2 advertises 150, ours is 120 because chk_nginx fails: exit 1, since 14:02:11 \
         (it would add 20)"
    );
}

#[test]
fn a_name_that_nothing_has_is_answered_with_those_that_there_are() {
    let error = why::one(&status(), "VI_2", &clock).unwrap_err();
    assert_eq!(error, "nothing is called VI_2; did you mean VI_1?");
    let server = why::one(&status(), "10.1.0.22:80", &clock).unwrap();
    assert!(
        server.contains("is down since 14:03:00: TCP_CHECK 10.1.0.22:80: connection refused"),
        "{server}"
    );
    assert!(why::one(&status(), "10.0.0.100:80", &clock).is_ok());
}
