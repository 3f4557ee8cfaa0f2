//! The IPVS table: the same as keepalived's, only ours, and changed no more than needed.

use std::fmt::Write as _;
use std::time::Duration;

use crate::lab::check::{Outcome, ensure, ensure_eq, holds_for, wait_until};
use crate::lab::daemon::{Daemon, Kind};
use crate::lab::net::{Host, Net};
use crate::lab::netlink::{Requests, Writes};
use crate::lab::traffic::{Conversation, Server};
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "ipvs.same_table",
        proves: "protocols, families, methods, schedulers, weights, persistence, marks: as keepalived",
        limit: Duration::from_secs(120),
        run: same_table,
    },
    Case {
        name: "ipvs.reload",
        proves: "after a reload with changes the table is keepalived's, and connections go on",
        limit: Duration::from_secs(120),
        run: reload,
    },
    Case {
        name: "ipvs.reload_unchanged",
        proves: "a reload with the same file asks the kernel for no change at all",
        limit: Duration::from_secs(90),
        run: reload_unchanged,
    },
    Case {
        name: "ipvs.foreign",
        proves: "services of somebody else survive start, reload and stop, and ours are gone then",
        limit: Duration::from_secs(90),
        run: foreign,
    },
];

/// Long enough for every scheduler's module to be loaded by a slow guest.
const PROGRAMMED: Duration = Duration::from_secs(30);

/// Every scheduler of the guest's kernel.
const SCHEDULERS: [&str; 13] = [
    "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "mh", "dh", "fo", "ovf", "sed", "nq",
];

/// A virtual server without checks; `lines` stand inside it, the servers as (endpoint, weight).
fn service(key: &str, lines: &str, servers: &[(&str, u32)]) -> String {
    let mut text = format!("virtual_server {key} {{\n    delay_loop 3\n    {lines}\n");
    for (server, weight) in servers {
        let line = format!("    real_server {server} {{\n        weight {weight}\n    }}\n");
        text.push_str(&line);
    }
    text.push_str("}\n");
    text
}

fn everything() -> String {
    let mut text = String::new();
    let pair = [("198.51.100.11 80", 1), ("198.51.100.12 8080", 7)];
    for (n, scheduler) in SCHEDULERS.iter().enumerate() {
        let lines = format!("lb_algo {scheduler}\n    lb_kind NAT\n    protocol TCP");
        text.push_str(&service(
            &format!("192.0.2.200 {}", 1000 + n),
            &lines,
            &pair,
        ));
    }
    let same_port = [("198.51.100.11 80", 0), ("198.51.100.12 80", 65535)];
    for (n, method) in ["NAT", "DR", "TUN"].iter().enumerate() {
        for (m, protocol) in ["TCP", "UDP"].iter().enumerate() {
            let lines = format!("lb_algo wrr\n    lb_kind {method}\n    protocol {protocol}");
            let _ = write!(
                text,
                "{}",
                service(&format!("192.0.2.20{n} 80"), &lines, &same_port)
            );
            let key = format!("2001:db8::{n}:{m} 80");
            let six = [("2001:db8:1::11 80", 2), ("2001:db8:1::12 80", 3)];
            text.push_str(&service(&key, &lines, &six));
        }
    }
    let persistent = "lb_algo rr\n    lb_kind NAT\n    protocol TCP\n    persistence_timeout 50";
    text.push_str(&service("192.0.2.210 3306", persistent, &pair));
    let marked = "lb_algo wlc\n    lb_kind DR\n    persistence_timeout 300";
    text.push_str(&service(
        "fwmark 7",
        marked,
        &[("198.51.100.11 0", 1), ("198.51.100.12 0", 1)],
    ));
    text
}

/// A host that routes to nothing; enough where only the table matters.
fn director(net: &Net<'_>, name: &str) -> Outcome<Host> {
    let host = net.router(name)?;
    let lan = net.segment(&format!("{name}-l"))?;
    net.plug(&host, "eth0", &lan, &["192.0.2.1/24", "2001:db8::ff/64"])?;
    Ok(host)
}

/// The table once it has not changed for a second, and has at least `least` lines.
fn settled(host: &Host, least: usize) -> Outcome<Vec<String>> {
    let what = format!("the table of {} has {least} lines", host.name());
    wait_until(what, PROGRAMMED, || Ok(host.ipvs()?.len() >= least))?;
    let mut last = host.ipvs()?;
    wait_until(
        format!("the table of {} settles", host.name()),
        PROGRAMMED,
        || {
            std::thread::sleep(Duration::from_secs(1));
            let now = host.ipvs()?;
            let same = now == last;
            last = now;
            Ok(same)
        },
    )?;
    Ok(last)
}

fn same_table(lab: &Lab) -> Outcome {
    let net = Net::new(lab)?;
    let (one, other) = (director(&net, "reference")?, director(&net, "subject")?);
    let conf = everything();
    let services = SCHEDULERS.len() + 12 + 2;
    let _reference = Daemon::start(Kind::Keepalived, &one, &conf)?;
    let expected = settled(&one, 3 * services)?;
    ensure_eq!(expected.len(), 3 * services, "lines of keepalived's table");
    let mut subject = Daemon::start(lab.subject(), &other, &conf)?;
    ensure_eq!(settled(&other, 3 * services)?, expected, "the two tables");
    ensure!(subject.stop()?.success(), "it did not stop cleanly");
    ensure_eq!(other.ipvs()?.len(), 0, "lines left behind by the stop");
    Ok(())
}

const TCP_RR: &str = "lb_algo rr\n    lb_kind NAT\n    protocol TCP";

/// One service that stays and is used, one that changes, one that goes.
fn before() -> String {
    service("192.0.2.1 80", TCP_RR, &[("198.51.100.10 80", 1)])
        + &service(
            "192.0.2.1 81",
            TCP_RR,
            &[("198.51.100.11 81", 1), ("198.51.100.12 81", 2)],
        )
        + &service("192.0.2.1 82", TCP_RR, &[("198.51.100.11 82", 1)])
}

/// 81 gets another weight, another server for one of its own and another scheduler; 82 goes, 83
/// comes.
fn after() -> String {
    let wlc = "lb_algo wlc\n    lb_kind NAT\n    protocol TCP\n    persistence_timeout 60";
    service("192.0.2.1 80", TCP_RR, &[("198.51.100.10 80", 1)])
        + &service(
            "192.0.2.1 81",
            wlc,
            &[("198.51.100.11 81", 5), ("198.51.100.13 81", 2)],
        )
        + &service("192.0.2.1 83", TCP_RR, &[("198.51.100.11 83", 1)])
}

fn reload(lab: &Lab) -> Outcome {
    let net = Net::new(lab)?;
    let one = director(&net, "reference")?;
    let reference = Daemon::start(Kind::Keepalived, &one, &before())?;
    let first = settled(&one, 7)?;
    reference.reload(&after())?;
    wait_until("keepalived has reloaded", PROGRAMMED, || {
        Ok(one.ipvs()? != first)
    })?;
    let expected = settled(&one, 7)?;

    let other = net.router("subject")?;
    let (front, back) = (net.segment("front")?, net.segment("back")?);
    let (client, server) = (net.host("client")?, net.host("server")?);
    net.plug(&client, "eth0", &front, &["192.0.2.10/24"])?;
    net.plug(&other, "eth0", &front, &["192.0.2.1/24"])?;
    net.plug(&other, "eth1", &back, &["198.51.100.1/24"])?;
    net.plug(&server, "eth0", &back, &["198.51.100.10/24"])?;
    server.ip("route add default via 198.51.100.1\n")?;
    let _server = Server::tcp(&server, "198.51.100.10:80", "server")?;
    let requests = Requests::watch(&other)?;
    let subject = Daemon::start(lab.subject(), &other, &before())?;
    ensure_eq!(settled(&other, 7)?, first, "the tables before the reload");
    let mut talk = Conversation::open(&client, "192.0.2.1:80", Duration::from_secs(5))?;
    requests.forget();
    subject.reload(&after())?;
    let reached = || Ok(other.ipvs()? == expected);
    wait_until(
        "the table is keepalived's after the reload",
        PROGRAMMED,
        reached,
    )?;
    let steady = || Ok(other.ipvs()? == expected);
    holds_for("the table stays as it is", Duration::from_secs(2), steady)?;
    ensure_eq!(
        talk.say("still there")?,
        "server: still there",
        "the open connection"
    );
    lab.note(format!("asked of the kernel: {:?}", requests.writes()?));
    Ok(())
}

fn reload_unchanged(lab: &Lab) -> Outcome {
    let net = Net::new(lab)?;
    let host = director(&net, "subject")?;
    let requests = Requests::watch(&host)?;
    let vrrp = "vrrp_instance V {\n    interface eth0\n    virtual_router_id 51\n    priority 200\n    \
                virtual_ipaddress {\n        192.0.2.100\n    }\n}\n";
    let conf = vrrp.to_owned() + &before();
    let mut daemon = Daemon::start(lab.subject(), &host, &conf)?;
    let table = settled(&host, 7)?;
    wait_until("the VIP", PROGRAMMED, || host.owns([192, 0, 2, 100]))?;
    // Until the second round of gratuitous ARP is over, nothing else is going on.
    std::thread::sleep(Duration::from_secs(6));
    let at_start = requests.writes()?;
    ensure!(
        at_start.get("service new") == Some(&3),
        "requests are not seen: {at_start:?}"
    );
    ensure!(
        at_start.get("address new") == Some(&1),
        "requests are not seen: {at_start:?}"
    );
    requests.forget();
    daemon.reload(&conf)?;
    let steady = || Ok(host.ipvs()? == table && host.owns([192, 0, 2, 100])?);
    holds_for(
        "table and VIP stay through the reload",
        Duration::from_secs(5),
        steady,
    )?;
    ensure!(daemon.ended()?.is_none(), "the reload ended the daemon");
    ensure!(
        daemon.log().to_lowercase().contains("reload"),
        "the log does not mention the reload"
    );
    ensure_eq!(
        requests.writes()?,
        Writes::new(),
        "changes asked of the kernel"
    );
    Ok(())
}

fn foreign(lab: &Lab) -> Outcome {
    let net = Net::new(lab)?;
    let host = director(&net, "subject")?;
    let theirs = [
        "-A -f 99 -s rr",
        "-A -u 192.0.2.1:53 -s wlc",
        "-a -u 192.0.2.1:53 -r 198.51.100.53:53 -g -w 9",
    ];
    for line in theirs {
        host.sh(&format!("ipvsadm {line}"))?;
    }
    let foreign = host.ipvs()?;
    ensure_eq!(foreign.len(), 3, "lines of somebody else");
    let has_theirs = |table: &[String]| foreign.iter().all(|line| table.contains(line));
    let mut daemon = Daemon::start(lab.subject(), &host, &before())?;
    let started = settled(&host, 10)?;
    ensure!(
        has_theirs(&started),
        "the start took them away: {started:#?}"
    );
    daemon.reload(&after())?;
    wait_until("the reload is done", PROGRAMMED, || {
        Ok(host.ipvs()? != started)
    })?;
    let reloaded = settled(&host, 10)?;
    ensure!(
        has_theirs(&reloaded),
        "the reload took them away: {reloaded:#?}"
    );
    ensure!(daemon.stop()?.success(), "it did not stop cleanly");
    ensure_eq!(host.ipvs()?, foreign, "the table after the stop");
    Ok(())
}
