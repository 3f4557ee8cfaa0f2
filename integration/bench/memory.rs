//! What memory the daemons take: the proportional share (PSS) of all their processes, in a guest with IPVS.

use std::time::Duration;

use super::checks::{Size, TCP, wait_programmed};
use super::connects::Listener;
use super::number;
use crate::lab::check::Outcome;
use crate::lab::daemon::{Daemon, Kind};
use crate::lab::net::Net;
use crate::lab::process::tree;
use crate::lab::{Case, Lab};

pub(super) const CASE: Case = Case {
    name: "memory",
    proves: "what memory a small pair, thousands of checks and tens of thousands of servers take",
    limit: Duration::from_secs(3 * 3600),
    run,
};

/// Past the start, and for checks past the second round of them.
const SETTLED: Duration = Duration::from_secs(14);
const HTTP: &str = "HTTP_GET {\n connect_timeout 3\n url {\n path /\n }\n }";

/// An instance and a service, as most have.
const SMALL: &str = "vrrp_instance V {\n interface eth0\n virtual_router_id 51\n priority 100\n advert_int 1\n \
    virtual_ipaddress {\n 192.0.2.100/24\n }\n}\nvirtual_server 192.0.2.100 80 {\n delay_loop 5\n lb_algo wlc\n \
    lb_kind NAT\n protocol TCP\n real_server 127.1.0.1 8080 {\n TCP_CHECK {\n }\n }\n real_server 127.1.0.2 8080 \
    {\n TCP_CHECK {\n }\n }\n}\n";

struct Row {
    name: &'static str,
    /// What it is made of; nothing: [`SMALL`].
    size: Option<(Size, &'static str, Duration)>,
    pages: bool,
}

fn rows() -> Vec<Row> {
    let checks = |name, check, pages| Row {
        name,
        size: Some((
            Size {
                services: 250,
                servers: 16,
                shared: false,
            },
            check,
            Duration::from_secs(5),
        )),
        pages,
    };
    vec![
        Row {
            name: "a pair with one service",
            size: None,
            pages: false,
        },
        checks("4000 TCP checks", TCP, false),
        checks("4000 HTTP checks", HTTP, true),
        Row {
            name: "2277 services, 36,432 servers",
            size: Some((
                Size {
                    services: 2277,
                    servers: 16,
                    shared: false,
                },
                "",
                Duration::from_secs(60),
            )),
            pages: false,
        },
    ]
}

/// MB of all processes, by this line of smaps_rollup.
pub(super) fn memory(root: i32, line: &str) -> f64 {
    let kilobytes = tree(root).into_iter().filter_map(|pid| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = text.lines().find_map(|found| found.strip_prefix(line))?;
        line.split_whitespace().next()?.parse::<f64>().ok()
    });
    kilobytes.sum::<f64>() / 1024.0
}

fn run(lab: &Lab) -> Outcome {
    let rounds = number(lab, "rounds", 5)?;
    for round in 0..rounds {
        for row in rows() {
            let mut kinds = [Kind::Vipd, Kind::Keepalived];
            if round % 2 == 1 {
                kinds.reverse();
            }
            for kind in kinds {
                let (taken, own) = measure(lab, &row, kind)?;
                lab.sample(row.name, kind.name(), "MB", taken);
                let (name, who) = (row.name, kind.name());
                lab.note(format!(
                    "{name}: {who} {taken:.2} MB, {own:.2} without what is mapped of files"
                ));
            }
        }
    }
    Ok(())
}

/// All of it, and what is not mapped of files.
fn measure(lab: &Lab, row: &Row, kind: Kind) -> Outcome<(f64, f64)> {
    let net = Net::new(lab)?;
    let lan = net.segment("lan")?;
    let host = net.host(kind.name())?;
    net.plug(&host, "eth0", &lan, &["192.0.2.1/24"])?;
    let _listener = Listener::open(&host, row.pages)?;
    let conf = match &row.size {
        None => SMALL.to_owned(),
        Some((size, check, interval)) => size.conf(check, *interval),
    };
    let daemon = Daemon::start(kind, &host, &conf)?;
    if let Some((size, ..)) = &row.size {
        wait_programmed(&host, size)?;
    }
    std::thread::sleep(SETTLED);
    let taken = ["Pss:", "Pss_Anon:"].map(|line| memory(daemon.pid(), line));
    drop(daemon);
    net.demolish()?;
    Ok((taken[0], taken[1]))
}
