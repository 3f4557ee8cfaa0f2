//! Two masters whose check script starts a lost nginx again, and ends keepalived where that fails.
//!
//! The script's `#!` stands on its second line: the kernel refuses it, and keepalived never runs it. vipd
//! gives it to /bin/sh, with a warning. It sleeps for 3 s with an interval of 2 s: after 2 s it counts as failed
//! once, and vipd leaves it to get to its end. `master_src_ip` is no keyword of either daemon.

use std::thread::sleep;
use std::time::Duration;

use super::site::{Node, Plan, Play, daemon_args};
use super::{Story, perform};
use crate::lab::Lab;
use crate::lab::check::{Outcome, wait_until};
use crate::lab::daemon::Kind;

const FIRST: usize = 0;
const SECOND: usize = 1;
/// The script takes 3 s and begins within 2.
const SCRIPT_MOST: Duration = Duration::from_secs(6);
const LIMIT: Duration = Duration::from_secs(20);
const FILE: &str = "/etc/keepalived/keepalived.conf";
const NGINX: &str = "/usr/local/nginx/sbin/nginx";
const CHECK: &str = include_str!("../../fixtures/scenarios/s3-check.sh");

pub(super) fn run(lab: &Lab) -> Outcome {
    perform(
        lab,
        &Story {
            client: "10.211.55.2/24",
            vips: &["10.211.55.88:80", "10.211.55.89:80"],
            limit: LIMIT,
            reference_limit: Duration::from_secs(8),
            plans,
            play,
        },
    )
}

fn plans(_: [Kind; 2]) -> [Plan; 2] {
    let plan = |name, address, conf: &str| Plan {
        name,
        address,
        files: vec![
            (FILE, conf.to_owned()),
            ("/home/check.sh", CHECK.to_owned()),
        ],
        has_docker: false,
        prepare:
            "mkdir -p /usr/local/nginx/sbin; ln -s /usr/sbin/nginx /usr/local/nginx/sbin/nginx"
                .to_owned(),
    };
    [
        plan(
            "app-100",
            "10.211.55.100/24",
            include_str!("../../fixtures/scenarios/s3-100.conf"),
        ),
        plan(
            "app-101",
            "10.211.55.101/24",
            include_str!("../../fixtures/scenarios/s3-101.conf"),
        ),
    ]
}

fn start(node: &Node) -> Outcome {
    let args = daemon_args(node);
    node.sh(&format!("{NGINX}; keepalived {args}")).map(drop)
}

fn play(play: &mut Play<'_>) -> Outcome {
    let both = [FIRST, SECOND];
    play.step(
        "nginx and keepalived are started on both",
        |site| site.nodes.iter().try_for_each(start),
        &both,
    )?;
    play.step(
        "killall nginx; killall keepalived on app-100",
        |site| {
            site.nodes[FIRST].kill_nginx()?;
            site.nodes[FIRST].sh("killall keepalived").map(drop)
        },
        &[SECOND, SECOND],
    )?;
    play.step(
        "both are started again",
        |site| {
            let node = &site.nodes[FIRST];
            let what = format!("{}: keepalived has ended", site.pair);
            wait_until(what, LIMIT, || Ok(node.sh("! pgrep -x keepalived").is_ok()))?;
            start(node)
        },
        &both,
    )?;
    play.told(
        FIRST,
        &["/home/check.sh", "unknown keyword `master_src_ip`"],
    )?;
    // With keepalived nginx stays dead, and the address with it.
    play.step(
        "killall nginx on app-100",
        |site| site.nodes[FIRST].kill_nginx(),
        &both,
    )?;
    play.step(
        "and once more",
        |site| {
            // The script still looks whether nginx runs; one that it finds dead ends keepalived.
            sleep(SCRIPT_MOST);
            site.nodes[FIRST].kill_nginx()
        },
        &both,
    )?;
    play.step(
        "nginx on app-100 cannot start any more",
        |site| {
            sleep(SCRIPT_MOST);
            site.nodes[FIRST].sh("rm /usr/local/nginx/sbin/nginx")?;
            site.nodes[FIRST].kill_nginx()
        },
        &[SECOND, SECOND],
    )
}
