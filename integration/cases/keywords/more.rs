//! More keywords of global_defs and of trackers that nobody else looks at, several in one scene.

use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::bursts;
use crate::cases::daemon::only_vipd;
use crate::cases::scene::{ELECTION, Instance, Lan, VIP, wait_owner};
use crate::lab::check::{Outcome, ensure, ensure_eq, holds_for, wait_until};
use crate::lab::daemon::{Daemon, Kind};
use crate::lab::net::{Host, Net};
use crate::lab::wire::Capture;
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "keywords.link_and_garp",
        proves: "vrrp_min_garp announces once; with dont_track_primary a master outlives its link; an \
                 instance with no_virtual_ipaddress names no address: as in keepalived",
        limit: Duration::from_secs(120),
        run: link_and_garp,
    },
    Case {
        name: "keywords.strict_and_intervals",
        proves: "vrrp_strict keeps a VIP silent that is found all the same; vrrp_garp_interval and \
                 vrrp_gna_interval stand between announcements: as in keepalived",
        limit: Duration::from_secs(120),
        run: strict_and_intervals,
    },
    Case {
        name: "keywords.track_process",
        proves: "full_command and param_match of a tracked process decide what counts",
        limit: Duration::from_secs(120),
        run: track_process,
    },
];

/// There is IPVS in the guest alone.
pub(crate) const GUEST: &[Case] = &[Case {
    name: "ipvs.flush",
    proves: "lvs_flush empties the table at start, lvs_flush_on_stop at the end, and with VS only of \
             our services: as in keepalived",
    limit: Duration::from_secs(120),
    run: flush,
}];

const LIMIT: Duration = Duration::from_secs(15);

fn link_and_garp(lab: &Lab) -> Outcome {
    let other = "vrrp_instance N {\n    interface eth0\n    virtual_router_id 52\n    priority 100\n    \
                 no_virtual_ipaddress\n}\n";
    let instance = Instance {
        priority: 100,
        lines: "dont_track_primary",
        unicast: None,
    };
    let conf = format!(
        "global_defs {{\n    vrrp_min_garp\n}}\n{}{other}",
        instance.text()
    );
    for kind in [Kind::Keepalived, lab.subject()] {
        let lan = Lan::new(lab)?;
        let mut router = lan.router("router", 1, kind)?;
        let wire = Capture::at(&lan.client_port)?;
        router.start(&conf)?;
        wait_owner(&router, &[])?;
        router
            .daemon()?
            .wait_log("(N) Entering MASTER STATE", 1, ELECTION)?;
        std::thread::sleep(Duration::from_millis(6500));
        let who = kind.name();
        ensure_eq!(bursts(&wire, VIP, 9), [1], "{who}: announcements");
        let named: Vec<usize> = wire
            .adverts()
            .iter()
            .filter(|(_, advert)| advert.vrid == 52)
            .map(|(_, advert)| advert.addresses.len())
            .collect();
        ensure!(
            !named.is_empty() && named.iter().all(|count| *count == 0),
            "{who}: addresses in adverts of N: {named:?}"
        );
        router.port.unplug()?;
        router
            .daemon()?
            .wait_log("(N) Entering FAULT STATE", 1, LIMIT)?;
        holds_for("V keeps the VIP", Duration::from_secs(3), || {
            router.has_vip()
        })?;
        ensure_eq!(
            router.daemon()?.logged("(V) Entering FAULT"),
            0,
            "{who}: faults of V"
        );
        router.stop()?;
        lan.net.demolish()?;
    }
    Ok(())
}

const STRICT: &str = "\
global_defs {
    vrrp_strict
    vrrp_version 3
    vrrp_garp_interval 0.3
    vrrp_gna_interval 0.2
    vrrp_garp_master_delay 0
    vrrp_garp_master_repeat 2
}
vrrp_instance V {
    interface eth0
    virtual_router_id 51
    priority 100
    virtual_ipaddress {
        192.0.2.100
        192.0.2.101
        192.0.2.102
    }
}
vrrp_instance W {
    interface eth0
    virtual_router_id 52
    priority 100
    virtual_ipaddress {
        fe80::100
        2001:db8::100
    }
}
";

/// When frames came, and how far apart at least.
fn apart(mut at: Vec<Duration>) -> (usize, Duration) {
    at.sort();
    let gaps = at.windows(2).map(|two| two[1] - two[0]);
    (at.len(), gaps.min().unwrap_or_default())
}

fn strict_and_intervals(lab: &Lab) -> Outcome {
    for kind in [Kind::Keepalived, lab.subject()] {
        let lan = Lan::new(lab)?;
        let mut router = lan.router("router", 1, kind)?;
        router.host.ip("addr add 2001:db8::1/64 dev eth0 nodad\n")?;
        let wire = Capture::at(&lan.client_port)?;
        router.start(STRICT)?;
        wait_owner(&router, &[])?;
        std::thread::sleep(Duration::from_secs(4));
        let who = kind.name();
        let ping = ["ping", "-c", "2", "-i", "0.2", "-W", "1", &VIP.to_string()].map(str::to_owned);
        let ping: Vec<&str> = ping.iter().map(String::as_str).collect();
        let answered = lan.client.try_run(&ping)?;
        ensure!(answered.code != Some(0), "{who}: the VIP answers");
        let known = lan.client.run(&["ip", "neigh", "show", &VIP.to_string()])?;
        ensure!(
            known.contains("lladdr"),
            "{who}: nobody says where the VIP is: {known}"
        );
        let vips = [100, 101, 102].map(|last| Ipv4Addr::new(192, 0, 2, last));
        let arps = vips
            .iter()
            .flat_map(|vip| wire.gratuitous(*vip))
            .map(|f| f.at);
        let (count, gap) = apart(arps.collect());
        lab.note(format!("{who}: {count} of ARP, {gap:.0?} apart at least"));
        let close = Duration::from_millis(5);
        ensure!(
            count >= 3 && gap + close >= Duration::from_millis(300),
            "{who}: ARP {gap:?}"
        );
        let advertised = wire.frames().into_iter().filter(|frame| {
            let bytes = &frame.bytes;
            bytes.get(12..14) == Some(&[0x86, 0xdd])
                && bytes.get(20) == Some(&58)
                && bytes.get(54) == Some(&136)
                && bytes
                    .get(62..78)
                    .is_some_and(|target| target.ends_with(&[1, 0]))
        });
        let (count, gap) = apart(advertised.map(|frame| frame.at).collect());
        lab.note(format!("{who}: {count} of NA, {gap:.0?} apart at least"));
        ensure!(
            count >= 2 && gap + close >= Duration::from_millis(200),
            "{who}: NA {gap:?}"
        );
        router.stop()?;
        lan.net.demolish()?;
    }
    Ok(())
}

fn track_process(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let lan = Lan::new(lab)?;
    let mut router = lan.router("router", 1, lab.subject())?;
    // A name of its own: whatever else sleeps does not count.
    let program = lab.dir().join("other-sleeper").display().to_string();
    fs::copy("/usr/bin/sleep", &program)?;
    let tracker = |name: &str, lines: &str| {
        format!("vrrp_track_process {name} {{\n    weight 10\n    {lines}\n}}\n")
    };
    let trackers = [
        tracker("whole", &format!("process {program} 600\n    full_command")),
        tracker(
            "other",
            "process /elsewhere/other-sleeper\n    full_command",
        ),
        tracker(
            "start",
            &format!("process {program} 70\n    param_match initial"),
        ),
    ];
    let lines = "track_process {\n    whole\n    other weight 40\n    start weight 20\n    }";
    let instance = Instance {
        priority: 100,
        lines,
        unicast: None,
    };
    let wire = Capture::at(&router.port)?;
    router.start(&format!("{}{}", trackers.concat(), instance.text()))?;
    wait_owner(&router, &[])?;
    let newest = || wire.adverts().pop().map(|(_, advert)| advert.priority);
    let sees = |what: &str, priority: u8| {
        wait_until(format!("{what}: priority {priority}"), LIMIT, || {
            Ok(newest() == Some(priority))
        })
        .map(drop)
    };
    sees("nothing runs", 100)?;
    let mut first = router.host.spawn("first", &[&program, "600"])?;
    sees("a start is counted by its whole command line", 110)?;
    let mut second = router.host.spawn("second", &[&program, "70", "10"])?;
    sees("parameters that begin so", 130)?;
    second.kill()?;
    sees("it ended", 110)?;
    first.kill()?;
    sees("all ended", 100)?;
    let seen: Vec<u8> = wire
        .adverts()
        .iter()
        .map(|(_, advert)| advert.priority)
        .collect();
    ensure!(
        !seen.iter().any(|p| *p >= 140),
        "another path counted: {seen:?}"
    );
    Ok(())
}

fn service(key: &str) -> String {
    format!(
        "virtual_server {key} {{\n    delay_loop 3\n    lb_algo rr\n    lb_kind NAT\n    protocol TCP\n    \
         real_server 198.51.100.11 80 {{\n    }}\n}}\n"
    )
}

const THEIRS: &str = "-A -t 192.0.2.77:80 -s wlc";

fn table(host: &Host) -> Outcome<Vec<String>> {
    let mut keys: Vec<String> = host.ipvs()?;
    keys.retain(|line| line.starts_with("-A"));
    Ok(keys)
}

fn flush(lab: &Lab) -> Outcome {
    let ours = "-A -t 192.0.2.200:80 -s rr".to_owned();
    let theirs = THEIRS.to_owned();
    for kind in [Kind::Keepalived, lab.subject()] {
        for (globals, during, after) in [
            ("", vec![ours.clone(), theirs.clone()], vec![theirs.clone()]),
            ("lvs_flush", vec![ours.clone()], vec![]),
            (
                "lvs_flush_on_stop",
                vec![ours.clone(), theirs.clone()],
                vec![],
            ),
            (
                "lvs_flush_on_stop VS",
                vec![ours.clone(), theirs.clone()],
                vec![theirs.clone()],
            ),
        ] {
            let net = Net::new(lab)?;
            let host = net.host("director")?;
            let lan = net.segment("lan")?;
            net.plug(&host, "eth0", &lan, &["192.0.2.1/24"])?;
            host.sh(&format!("ipvsadm {THEIRS}"))?;
            let conf = format!(
                "global_defs {{\n    {globals}\n}}\n{}",
                service("192.0.2.200 80")
            );
            let mut daemon = Daemon::start(kind, &host, &conf)?;
            let who = format!("{} with {globals:?}", kind.name());
            wait_until(format!("{who}: services"), LIMIT, || {
                Ok(table(&host)? == during)
            })?;
            daemon.stop()?;
            ensure_eq!(table(&host)?, after, "{who}: services afterwards");
            net.demolish()?;
        }
    }
    Ok(())
}
