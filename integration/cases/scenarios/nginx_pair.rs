//! A pair of nginx servers, neither of which takes the address back (`nopreempt`), with a script that stops
//! keepalived by its init script when nginx is lost, adverts every 5 s, a password of which eight bytes count, and
//! the sync daemon of IPVS.

use std::thread::sleep;
use std::time::Duration;

use super::site::{Node, Plan, Play};
use super::{Story, perform};
use crate::lab::Lab;
use crate::lab::check::{Outcome, ensure, wait_until};
use crate::lab::daemon::Kind;
use crate::lab::net::Address;

const FIRST: usize = 0;
const SECOND: usize = 1;
/// Three adverts, the skew, and a guest that does much at once.
const LIMIT: Duration = Duration::from_secs(45);
const FILE: &str = "/etc/keepalived/keepalived.conf";
const CHECK: &str = include_str!("../../fixtures/scenarios/s1-check_nginx.sh");
const START: &str = "nginx; service keepalived start";
/// The same where the file of a daemon that was killed names a process of today: the init script itself.
const START_AFTER_KILL: &str =
    "nginx; sh -c 'echo $$ > /run/keepalived.pid; exec /etc/init.d/keepalived start'";
/// Takes everything and keeps it.
const EXIM: &str = "\
primary_hostname = localhost
spool_directory = /run/exim/spool
log_file_path = /run/exim/%slog
pid_file_path = /run/exim/pid
local_interfaces = 127.0.0.1
host_lookup =
rfc1413_query_timeout = 0s
tls_advertise_hosts =
acl_smtp_rcpt = rcpt
queue_only
begin acl
rcpt:
 accept
";

pub(super) fn run(lab: &Lab) -> Outcome {
    perform(
        lab,
        &Story {
            client: "192.168.1.10/24",
            vips: &["192.168.1.200:80"],
            limit: LIMIT,
            reference_limit: Duration::from_secs(25),
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
            ("/data/sh/check_nginx.sh", CHECK.to_owned()),
            ("/etc/exim.conf", EXIM.to_owned()),
        ],
        has_docker: false,
        prepare:
            "mkdir -p /run/exim/spool; chown -R Debian-exim /run/exim; exim4 -C /etc/exim.conf -bd"
                .to_owned(),
    };
    [
        plan(
            "111",
            "192.168.1.111/24",
            include_str!("../../fixtures/scenarios/s1-master.conf"),
        ),
        plan(
            "112",
            "192.168.1.112/24",
            include_str!("../../fixtures/scenarios/s1-backup.conf"),
        ),
    ]
}

fn play(play: &mut Play<'_>) -> Outcome {
    play.step(
        "nginx and keepalived are started on both",
        |site| {
            site.nodes[FIRST].sh(START)?;
            // Whoever has it first keeps it: a guest that stalls must not let that be the second.
            sleep(Duration::from_secs(2));
            site.nodes[SECOND].sh(START).map(drop)
        },
        &[FIRST],
    )?;
    let phrases = [
        "`auth_pass` is cut to its first 8 bytes",
        "unknown keyword `route_id` in `global_defs`; did you mean `router_id`?",
    ];
    play.told(FIRST, &phrases)?;
    play.told(SECOND, &phrases)?;
    sync_daemons(play, [FIRST, SECOND])?;
    address(play)?;
    play.step(
        "service keepalived restart on 111",
        |site| site.nodes[FIRST].sh("service keepalived restart").map(drop),
        &[SECOND],
    )?;
    sync_daemons(play, [SECOND, FIRST])?;
    play.step(
        "pkill nginx on 112: its script stops keepalived",
        |site| site.nodes[SECOND].kill_nginx(),
        &[FIRST],
    )?;
    mail(play)
}

/// It has the prefix that the file gives it.
fn address(play: &Play<'_>) -> Outcome {
    if play.site.is_reference() {
        return Ok(());
    }
    let all = play.site.nodes[FIRST].host.addresses()?;
    let is = |a: &Address| a.local == "192.168.1.200" && a.prefixlen == 24 && a.dev == "eth0";
    let pair = play.site.pair;
    ensure!(all.iter().any(is), "{pair}: no /24: {all:?}");
    Ok(())
}

/// The one with the address tells of connections, the other one listens.
fn sync_daemons(play: &Play<'_>, [tells, listens]: [usize; 2]) -> Outcome {
    // Debian's init script starts keepalived again one second after the signal, and sometimes the old one is
    // still there: then none runs.
    if play.site.is_reference() {
        return Ok(());
    }
    for (node, role) in [
        (tells, "master sync daemon"),
        (listens, "backup sync daemon"),
    ] {
        let node = &play.site.nodes[node];
        let what = format!("{}: {} has a {role}", play.site.pair, node.plan.name);
        wait_until(what, LIMIT, || {
            let told = node.host.run(&["ipvsadm", "-l", "--daemon"])?;
            Ok(told.contains(role) && told.contains("eth0"))
        })?;
    }
    Ok(())
}

/// The article's file names mail addresses, and no instance asks for mails: with the one line that is missing,
/// there are some.
fn mail(play: &mut Play<'_>) -> Outcome {
    let taken =
        |node: &Node| node.sh("grep -c '<= keepalived@localhost' /run/exim/mainlog || true");
    let second = &play.site.nodes[SECOND];
    let what = format!("{}: keepalived on 112 has ended", play.site.pair);
    wait_until(what, LIMIT, || {
        Ok(second.sh("! pgrep -x keepalived").is_ok())
    })?;
    let start = match second.kind {
        Kind::Vipd => START_AFTER_KILL,
        Kind::Keepalived => START,
    };
    second.sh(&format!(
        "sed -i 's/nopreempt/nopreempt\\n smtp_alert/' {FILE}; {start}"
    ))?;
    sync_daemons(play, [FIRST, SECOND])?;
    play.step(
        "keepalived on 111 is stopped",
        |site| site.nodes[FIRST].sh("service keepalived stop").map(drop),
        &[SECOND],
    )?;
    if play.site.is_reference() {
        return Ok(());
    }
    let second = &play.site.nodes[SECOND];
    let what = format!("{}: the mail server of 112 has a mail", play.site.pair);
    wait_until(what, LIMIT, || Ok(taken(second)?.trim() != "0")).map(drop)
}
