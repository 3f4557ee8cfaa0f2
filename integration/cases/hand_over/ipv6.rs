//! The same over IPv6: the client's gap, and how long two routers have the address.

use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use super::{PULSE, ROUNDS, SERIES_MAX, Waits};
use crate::lab::Lab;
use crate::lab::check::{Failure, Outcome, wait_until};
use crate::lab::daemon::{Daemon, Kind};
use crate::lab::net::{Host, Net, Segment};
use crate::lab::traffic::{Pulse, Server};

const VIP: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x100);
const ELECTION: Duration = Duration::from_secs(15);
/// What is waited for where no announcement is heard is 50 ms.
const BOTH_MAX: Duration = Duration::from_millis(30);

fn config(priority: u8) -> String {
    format!(
        "vrrp_instance V {{\n    interface eth0\n    version 3\n    virtual_router_id 51\n    \
         priority {priority}\n    advert_int 1\n    virtual_ipaddress {{\n        fe80::100/64\n        \
         {VIP}/64\n    }}\n}}\n"
    )
}

fn plug(net: &Net<'_>, segment: &Segment, host: &Host, number: u8) -> Outcome {
    host.sysctl("net.ipv6.conf.default.addr_gen_mode", "1")?;
    let addresses = [
        format!("fe80::{number}/64"),
        format!("2001:db8::{number}/64"),
    ];
    let addresses = addresses.each_ref().map(String::as_str);
    net.plug(host, "eth0", segment, &addresses).map(drop)
}

/// What the client waited, and how long both had the address.
fn stop_once(lab: &Lab, leader: Kind, follower: Kind) -> Outcome<(Waits, Duration)> {
    let net = Net::new(lab)?;
    let segment = net.segment("lan")?;
    let client = net.host("client")?;
    plug(&net, &segment, &client, 9)?;
    let (a, b) = (net.router("a")?, net.router("b")?);
    let asked = format!("[{VIP}]:7");
    let mut servers = Vec::new();
    for (host, number) in [(&a, 1), (&b, 2)] {
        plug(&net, &segment, host, number)?;
        servers.push(Server::udp(host, &asked, host.name())?);
    }
    let mut master = Daemon::start(leader, &a, &config(150))?;
    wait_until("a has the VIP", ELECTION, || a.owns(VIP))?;
    let backup = Daemon::start(follower, &b, &config(100))?;
    backup.wait_log("(V) Entering BACKUP STATE", 1, ELECTION)?;
    std::thread::sleep(Duration::from_secs(2));
    let pulse = Pulse::start(&client, &asked, PULSE)?;
    let by = |name: &'static str| {
        wait_until(
            format!("the client is answered by {name}"),
            ELECTION,
            || Ok(pulse.answered_by(Duration::from_millis(500)).as_deref() == Some(name)),
        )
    };
    by("a")?;
    let both = std::thread::scope(|scope| {
        let watched = scope.spawn(|| both_have_it(&a, &b));
        let stopped = master.stop();
        let both = watched.join().map_err(|_| "the watcher panicked")?;
        stopped.and(both)
    })?;
    by("b")?;
    std::thread::sleep(Duration::from_millis(200));
    let (_, answers) = pulse.stop();
    drop((servers, backup, master));
    net.demolish()?;
    Ok((Waits::of(&answers)?, both))
}

/// From the moment at which the second one has the address to that at which the first has let go.
fn both_have_it(a: &Host, b: &Host) -> Outcome<Duration> {
    let begun = Instant::now();
    let mut since = None;
    while begun.elapsed() < ELECTION {
        if since.is_none() && b.owns(VIP)? {
            since = Some(Instant::now());
        }
        if let Some(since) = since
            && !a.owns(VIP)?
        {
            return Ok(since.elapsed());
        }
    }
    Err(Failure::failed("the VIP did not move"))
}

pub(super) fn stop(lab: &Lab) -> Outcome {
    let (reference, _) = stop_once(lab, Kind::Keepalived, Kind::Keepalived)?;
    lab.note(format!(
        "keepalived, with keepalived as the backup: {reference}"
    ));
    for follower in [lab.subject(), Kind::Keepalived] {
        let words = judged(lab, follower)?;
        lab.note(format!("with {} as the backup: {words}", follower.name()));
    }
    Ok(())
}

fn judged(lab: &Lab, follower: Kind) -> Outcome<String> {
    let mut failed = Failure::from("no series was run");
    for _ in 0..SERIES_MAX {
        let mut seen = Vec::new();
        for _ in 0..ROUNDS {
            seen.push(stop_once(lab, lab.subject(), follower)?);
        }
        let words: Vec<String> = seen
            .iter()
            .map(|(waits, both)| format!("{waits}, on both for {both:.1?}"))
            .collect();
        let words = words.join("; ");
        seen.sort_by_key(|(waits, _)| *waits);
        let median = seen
            .get(ROUNDS / 2)
            .is_some_and(|(waits, _)| waits.passes());
        seen.sort_by_key(|(_, both)| *both);
        let short = seen
            .get(ROUNDS / 2)
            .is_some_and(|(_, both)| *both <= BOTH_MAX);
        if median && short {
            return Ok(words);
        }
        lab.note(format!("measuring again: {words}"));
        failed = Failure::failed(format!("backup {}: {words}", follower.name()));
    }
    Err(failed)
}
