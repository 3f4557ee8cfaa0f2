//! The table over what may happen to it: a change of one in thousands, a kill in the middle of a reload,
//! somebody with ipvsadm.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::cases::daemon::only_vipd;
use crate::lab::check::{Outcome, ensure, ensure_eq, holds_for, wait_until};
use crate::lab::daemon::Daemon;
use crate::lab::net::{Host, Net};
use crate::lab::netlink::{Requests, Writes};
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "table.one_of_4000",
        proves: "a reload that changes the weight of one of 4000 servers makes exactly one kernel write, the \
                 same file none",
        limit: Duration::from_secs(180),
        run: one_of_4000,
    },
    Case {
        name: "table.killed_in_a_reload",
        proves: "killed at any point of a reload and started again, vipd brings the new table about, and \
                 leaves nothing of the old one behind",
        limit: Duration::from_secs(240),
        run: killed_in_a_reload,
    },
    Case {
        name: "table.set_by_hand",
        proves: "a weight that somebody sets and a server that somebody adds stay and are told of, what is \
                 missing comes back; with outside_changes revert all of it is put back",
        limit: Duration::from_secs(240),
        run: set_by_hand,
    },
];

/// Kills, spread over a reload and a little beyond.
const POINTS: u32 = 18;
const STARTS: &str = " starts, configuration ";
const LIMIT: Duration = Duration::from_secs(60);
/// The table is read every 30 s.
const LOOK: Duration = Duration::from_secs(45);

/// `services` of four servers, the first of weight `first`; `shift` moves the servers' addresses.
fn conf(services: usize, first: u32, shift: usize) -> String {
    let mut text = String::new();
    for service in 0..services {
        let (high, low) = (service / 250, service % 250 + 1);
        let _ = writeln!(
            text,
            "virtual_server 10.77.{high}.{low} 80 {{\n lb_algo wrr\n lb_kind NAT\n protocol TCP"
        );
        for server in 1..=4 {
            let weight = if (service, server) == (7, 3) {
                first
            } else {
                1
            };
            let server = server + shift;
            let _ = writeln!(
                text,
                " real_server 10.78.{high}.{server} 80 {{\n  weight {weight}\n }}"
            );
        }
        text.push_str("}\n");
    }
    text
}

fn director(net: &Net<'_>) -> Outcome<Host> {
    let host = net.router("director")?;
    let lan = net.segment("lan")?;
    net.plug(&host, "eth0", &lan, &["192.0.2.1/24"])?;
    Ok(host)
}

fn has_lines(host: &Host, lines: usize) -> Outcome {
    let what = format!("the table has {lines} lines");
    wait_until(what, LIMIT, || Ok(host.ipvs()?.len() == lines)).map(drop)
}

fn one_of_4000(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let net = Net::new(lab)?;
    let host = director(&net)?;
    let daemon = Daemon::start(lab.subject(), &host, &conf(1000, 1, 0))?;
    has_lines(&host, 5000)?;
    let requests = Requests::watch(&host)?;
    daemon.reload(&conf(1000, 1, 0))?;
    daemon.wait_log("reloaded ", 1, LIMIT)?;
    std::thread::sleep(Duration::from_secs(3));
    ensure_eq!(requests.writes()?, Writes::new(), "the same file");
    daemon.reload(&conf(1000, 9, 0))?;
    daemon.wait_log("reloaded ", 2, LIMIT)?;
    wait_until("the weight is 9", LIMIT, || {
        Ok(host.ipvs()?.iter().filter(|l| l.ends_with("-w 9")).count() == 1)
    })?;
    std::thread::sleep(Duration::from_secs(1));
    let one = Writes::from([("server set", 1)]);
    ensure_eq!(requests.writes()?, one, "one weight");
    Ok(())
}

fn killed_in_a_reload(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let net = Net::new(lab)?;
    let host = director(&net)?;
    host.sh("ipvsadm -A -f 99 -s rr")?;
    // Half of the services go, the others change all their servers, and back again.
    let confs = [conf(600, 1, 0), conf(300, 2, 4)];
    let expected = {
        let mut expected = Vec::new();
        for conf in &confs {
            let mut daemon = Daemon::start(lab.subject(), &host, conf)?;
            let lines = if expected.is_empty() { 3001 } else { 1501 };
            has_lines(&host, lines)?;
            expected.push(host.ipvs()?);
            ensure!(daemon.stop()?.success(), "it did not stop cleanly");
        }
        expected
    };
    let mut daemon = Daemon::start(lab.subject(), &host, &confs[0])?;
    has_lines(&host, 3001)?;
    // How long a reload takes here says where the points are.
    let begun = Instant::now();
    daemon.reload(&confs[1])?;
    wait_until("the reload is done", LIMIT, || {
        Ok(host.ipvs()? == expected[1])
    })?;
    let takes = begun.elapsed();
    lab.note(format!("a reload takes {takes:?}"));
    let mut between = 0;
    for point in 0..POINTS {
        let target = usize::try_from(point % 2).unwrap_or(0);
        let (conf, wanted) = (&confs[target], &expected[target]);
        daemon.reload(conf)?;
        std::thread::sleep(takes * point / (POINTS - 2));
        daemon.kill()?;
        let left = host.ipvs()?;
        between += usize::from(!expected.contains(&left));
        let starts = daemon.logged(STARTS);
        daemon.start_again()?;
        daemon.wait_log(STARTS, starts + 1, LIMIT)?;
        let what = format!("the new table stands, killed at point {point}");
        if wait_until(what, LIMIT, || Ok(host.ipvs()? == *wanted)).is_err() {
            ensure_eq!(host.ipvs()?, *wanted, "the table, killed at point {point}");
        }
    }
    lab.note(format!(
        "{between} of {POINTS} kills left a table between the two"
    ));
    ensure!(daemon.stop()?.success(), "it did not stop cleanly");
    ensure_eq!(host.ipvs()?, ["-A -f 99 -s rr"], "what is left");
    Ok(())
}

const SERVICE: &str = "-t 10.77.0.1:80";

fn set_by_hand(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let net = Net::new(lab)?;
    let host = director(&net)?;
    let plain = conf(1, 1, 0);
    let daemon = Daemon::start(lab.subject(), &host, &plain)?;
    has_lines(&host, 5)?;
    let ours = host.ipvs()?;
    let by_hand = format!(
        "ipvsadm -e {SERVICE} -r 10.78.0.1:80 -m -w 7\nipvsadm -a {SERVICE} -r 10.78.0.9:80 -m -w 3\n\
         ipvsadm -d {SERVICE} -r 10.78.0.2:80\n"
    );
    host.sh(&by_hand)?;
    wait_until("what is missing is back", LOOK, || {
        let table = host.ipvs()?;
        Ok(table.iter().any(|l| l.contains("10.78.0.2:80")))
    })?;
    let mixed = host.ipvs()?;
    for line in ["10.78.0.1:80 -m -w 7", "10.78.0.9:80 -m -w 3"] {
        ensure!(
            mixed.iter().any(|l| l.ends_with(line)),
            "{line}: {mixed:#?}"
        );
    }
    ensure_eq!(mixed.len(), 6, "lines");
    daemon.wait_log("set by hand", 1, LIMIT)?;
    daemon.wait_log("was added by hand: kept", 1, LIMIT)?;
    // A reload that does not name them is no reason, one that changes the weight is.
    daemon.hang_up()?;
    daemon.wait_log("reloaded ", 1, LIMIT)?;
    let steady = || Ok(host.ipvs()? == mixed);
    holds_for("they stay over a reload", Duration::from_secs(2), steady)?;
    daemon.reload(&format!(
        "global_defs {{\n @vipd outside_changes revert\n}}\n{plain}"
    ))?;
    wait_until("all is as the file says", LOOK, || Ok(host.ipvs()? == ours))?;
    host.sh(&by_hand)?;
    wait_until("all is put back", LOOK, || Ok(host.ipvs()? == ours))?;
    Ok(())
}
