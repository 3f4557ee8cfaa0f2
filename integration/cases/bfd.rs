//! BFD sessions beside keepalived's and BIRD's, and what instances and checks make of them.

mod bird;

use std::net::IpAddr;
use std::time::Duration;

use super::scene::{Instance, Lan, Router, owner_stays, wait_owner};
use crate::lab::check::{Outcome, ensure, ensure_eq, holds_for, wait_until};
use crate::lab::daemon::{Daemon, Kind};
use crate::lab::net::Host;
use crate::lab::wire::{Bfd, Capture};
use crate::lab::{Case, Lab};

pub(crate) const NATIVE: &[Case] = &[
    Case {
        name: "bfd.keepalived",
        proves: "sessions with keepalived (v4, v6) come up, survive changed times, end with a word; \
                 an instance follows",
        limit: Duration::from_secs(90),
        run: with_keepalived,
    },
    Case {
        name: "bfd.track",
        proves: "a path that breaks moves the VIP, by a fault or by a weight, and back when it heals",
        limit: Duration::from_secs(120),
        run: track,
    },
    Case {
        name: "bfd.bird",
        proves: "sessions with BIRD, one hop (v4, v6) and over a router: up, changed, ended, passed on",
        limit: Duration::from_secs(90),
        run: bird::with_bird,
    },
];

pub(crate) const MEASURED: &[Case] = &[
    Case {
        name: "bfd.detection",
        proves: "from the last packet of a dead neighbor to the goodbye of who tracks it: not longer \
                 than with keepalived in the same run",
        limit: Duration::from_secs(120),
        run: detection,
    },
    Case {
        name: "bfd.stall",
        proves: "a vipd that stood still for longer than its detection time keeps a session that lives",
        limit: Duration::from_secs(60),
        run: stall,
    },
];

pub(crate) const GUEST: &[Case] = &[Case {
    name: "bfd.check",
    proves: "BFD_CHECK: a server leaves its pool when the session goes down and returns with it",
    limit: Duration::from_secs(120),
    run: check,
}];

const LIMIT: Duration = Duration::from_secs(20);
const UP: &str = "Entering Up state";
const DOWN: &str = "Entering Down state";
const ADMIN_DOWN: u8 = 0;
const STATE_UP: u8 = 3;

/// A `bfd_instance` of 50 ms both ways, three packets may be missed.
fn session(name: &str, neighbor: &str, lines: &str) -> String {
    timed(name, neighbor, 50, lines)
}

fn timed(name: &str, neighbor: &str, ms: u32, lines: &str) -> String {
    format!(
        "bfd_instance {name} {{\n    neighbor_ip {neighbor}\n    min_rx {ms}\n    min_tx {ms}\n    \
         multiplier 3\n    {lines}\n}}\n"
    )
}

/// An instance that tracks `peer`.
fn tracking(priority: u8, weight: &str) -> String {
    Instance {
        priority,
        lines: &format!("track_bfd {{\n        peer {weight}\n    }}"),
        unicast: None,
    }
    .text()
}

fn line(name: &str, what: &str) -> String {
    format!("({name}) {what}")
}

fn both_up(one: &Daemon, other: &Daemon, name: &str, times: usize) -> Outcome {
    one.wait_log(&line(name, UP), times, LIMIT)?;
    other.wait_log(&line(name, UP), times, LIMIT)
}

fn with_keepalived(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut a = lan.router("a", 1, lab.subject())?;
    let mut b = lan.router("b", 2, Kind::Keepalived)?;
    a.host.ip("addr add 2001:db8::1/64 dev eth0 nodad\n")?;
    b.host.ip("addr add 2001:db8::2/64 dev eth0 nodad\n")?;
    let wire = Capture::at(&a.port)?;
    let of_a = |ms| timed("peer", "192.0.2.2", ms, "") + &session("six", "2001:db8::2", "");
    a.start(&(of_a(50) + &tracking(150, "")))?;
    // As in keepalived a session that never was counts as down.
    holds_for("a has no VIP", Duration::from_secs(4), || Ok(!a.has_vip()?))?;
    let of_b = session("peer", "192.0.2.1", "source_ip 192.0.2.2")
        + &session("six", "2001:db8::1", "source_ip 2001:db8::2");
    b.start(&of_b)?;
    for name in ["peer", "six"] {
        both_up(a.daemon()?, b.daemon()?, name, 1)?;
    }
    wait_owner(&a, &[&b])?;
    owner_stays(&a, &[&b], Duration::from_secs(2))?;
    ensure_eq!(a.daemon()?.logged(DOWN), 0, "a session was lost");
    packets_are_as_they_should(&wire)?;

    // Both go on by other times, and no packet is missed.
    a.daemon()?.reload(&(of_a(200) + &tracking(150, "")))?;
    settled(&wire, &a, 200_000)?;
    owner_stays(&a, &[&b], Duration::from_secs(2))?;
    let sent = wire.bfd(a.address).len();
    std::thread::sleep(Duration::from_secs(2));
    let sent = wire.bfd(a.address).len() - sent;
    ensure!((8..=16).contains(&sent), "{sent} packets in 2 s at 200 ms");
    ensure_eq!(
        a.daemon()?.logged(DOWN),
        0,
        "a session was lost by a reload"
    );
    ensure_eq!(
        b.daemon()?.logged(DOWN),
        0,
        "b lost a session by a reload of a"
    );
    let polls = polls(&wire, &a);
    a.daemon()?.hang_up()?;
    std::thread::sleep(Duration::from_secs(1));
    ensure_eq!(
        self::polls(&wire, &a),
        polls,
        "polls after a reload of the same file"
    );

    b.daemon()?.kill()?;
    a.daemon()?.wait_log(&line("peer", DOWN), 1, LIMIT)?;
    wait_until("a gives the VIP up", LIMIT, || Ok(!a.has_vip()?))?;
    b.daemon()?.start_again()?;
    both_up(a.daemon()?, b.daemon()?, "peer", 2)?;
    wait_owner(&a, &[&b])?;

    a.stop()?;
    for (source, name) in [("192.0.2.1", "peer"), ("2001:db8::1", "six")] {
        let source: IpAddr = source.parse().map_err(|_| "an address")?;
        let last = wire.bfd(source).pop().ok_or("nothing was sent")?.1;
        let said = (last.state, last.diagnostic);
        ensure_eq!(said, (ADMIN_DOWN, 7), "last packet of {name}");
    }
    b.daemon()?.wait_log(DOWN, 2, LIMIT)
}

/// RFC 5881 sections 4 and 5: port 3784 from a port of its own, 49152 or above, TTL 255; no news
/// faster than a second before both are up.
fn packets_are_as_they_should(wire: &Capture) -> Outcome {
    let mut ports = Vec::new();
    for address in ["192.0.2.1", "2001:db8::1"] {
        let address: IpAddr = address.parse().map_err(|_| "an address")?;
        let sent: Vec<Bfd> = wire.bfd(address).into_iter().map(|(_, p)| p).collect();
        let first = sent.first().ok_or("nothing was sent")?;
        for packet in &sent {
            ensure_eq!(packet.ports, (first.ports.0, 3784), "ports");
            let rest = (packet.hops, packet.len, packet.multiplier);
            ensure_eq!(rest, (255, 24, 3), "hops, length and multiplier");
            let slow = packet.state != STATE_UP;
            let expected = if slow { 1_000_000 } else { 50_000 };
            ensure_eq!(packet.min_tx, expected, "min_tx in state {}", packet.state);
            ensure!(!(packet.poll && packet.is_final), "both P and F");
        }
        ports.push(first.ports.0);
    }
    ensure!(
        ports.iter().all(|port| *port >= 49152) && ports.first() != ports.last(),
        "source ports {ports:?}"
    );
    Ok(())
}

fn polls(wire: &Capture, from: &Router) -> usize {
    let packets = wire.bfd(from.address);
    packets.iter().filter(|(_, packet)| packet.poll).count()
}

/// `from` said its new `min_tx` with P, was answered with F and says it without P since.
fn settled(wire: &Capture, from: &Router, min_tx: u32) -> Outcome {
    wait_until("the new times are settled", LIMIT, || {
        let packets = wire.bfd(from.address);
        let asked = packets.iter().any(|(_, p)| p.poll && p.min_tx == min_tx);
        let last = packets.last().map(|(_, p)| (p.poll, p.min_tx));
        Ok(asked && last == Some((false, min_tx)))
    })?;
    Ok(())
}

fn track(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let path = lan.net.segment("path")?;
    let mut a = lan.router("a", 1, lab.subject())?;
    let mut b = lan.router("b", 2, lab.subject())?;
    let gateway = lan.net.host("gateway")?;
    let port = lan.net.plug(&a.host, "eth1", &path, &["198.51.100.1/24"])?;
    lan.net.plug(&b.host, "eth1", &path, &["198.51.100.2/24"])?;
    lan.net
        .plug(&gateway, "eth0", &path, &["198.51.100.9/24"])?;
    let sessions = session("a", "198.51.100.1", "") + &session("b", "198.51.100.2", "");
    let gateway = Daemon::start(Kind::Keepalived, &gateway, &sessions)?;
    let peer = session("peer", "198.51.100.9", "");
    a.start(&(peer.clone() + &tracking(150, "")))?;
    b.start(&(peer.clone() + &tracking(100, "")))?;
    for weight in ["", "weight -60"] {
        wait_owner(&a, &[&b])?;
        // The link stays up: only the session sees it.
        port.black_hole()?;
        wait_owner(&b, &[&a])?;
        owner_stays(&b, &[&a], Duration::from_secs(2))?;
        port.forward()?;
        wait_owner(&a, &[&b])?;
        owner_stays(&a, &[&b], Duration::from_secs(2))?;
        if weight.is_empty() {
            let faults = a.daemon()?.logged("FAULT STATE: BFD session peer is down");
            ensure!(
                faults >= 1 || lab.subject() == Kind::Keepalived,
                "the log does not say why"
            );
            a.daemon()?
                .reload(&(peer.clone() + &tracking(150, "weight -60")))?;
            b.daemon()?
                .reload(&(peer.clone() + &tracking(100, "weight -60")))?;
            owner_stays(&a, &[&b], Duration::from_secs(2))?;
        }
    }
    drop(gateway);
    Ok(())
}

const ROUNDS: usize = 5;
/// Three times 50 ms.
const DETECTION: Duration = Duration::from_millis(150);

fn detection(lab: &Lab) -> Outcome {
    let reference = detection_rounds(lab, Kind::Keepalived)?;
    let subject = detection_rounds(lab, lab.subject())?;
    let name = lab.subject().name();
    lab.note(format!(
        "{ROUNDS} rounds at {} ms: keepalived {reference:.1?}, {name} {subject:.1?}",
        DETECTION.as_millis()
    ));
    let middle = |times: &[Duration]| times.get(times.len() / 2).copied().unwrap_or_default();
    let (reference, subject) = (middle(&reference), middle(&subject));
    ensure!(
        subject >= DETECTION,
        "{name} gave up after {subject:.1?}: too early"
    );
    ensure!(
        subject <= reference + Duration::from_millis(5),
        "{name} needs {subject:.1?}, keepalived {reference:.1?} (medians)"
    );
    Ok(())
}

/// From the last BFD packet of a neighbor that is killed to the goodbye of the master that tracks it.
fn detection_rounds(lab: &Lab, kind: Kind) -> Outcome<Vec<Duration>> {
    let lan = Lan::new(lab)?;
    let mut a = lan.router("a", 1, kind)?;
    let mut b = lan.router("b", 2, Kind::Keepalived)?;
    a.start(&(session("peer", "192.0.2.2", "") + &tracking(150, "")))?;
    b.start(&session("peer", "192.0.2.1", ""))?;
    let mut times = Vec::new();
    for round in 1..=ROUNDS {
        wait_owner(&a, &[])?;
        let wire = Capture::at(&a.port)?;
        std::thread::sleep(Duration::from_millis(500));
        b.daemon()?.kill()?;
        let goodbye = |wire: &Capture| {
            let adverts = wire.adverts().into_iter();
            let mut goodbyes = adverts.filter(|(_, advert)| advert.priority == 0);
            goodbyes.next().map(|(frame, _)| frame.at)
        };
        wait_until("a says goodbye", LIMIT, || Ok(goodbye(&wire).is_some()))?;
        let last = wire.bfd(b.address).pop().ok_or("b was not heard")?.0;
        times.push(goodbye(&wire).unwrap_or_default().saturating_sub(last));
        if round < ROUNDS {
            b.daemon()?.start_again()?;
        }
    }
    a.stop()?;
    lan.net.demolish()?;
    times.sort();
    Ok(times)
}

/// vipd takes a neighbor for dead after 150 ms, the neighbor vipd after 3 s.
fn stall(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut a = lan.router("a", 1, lab.subject())?;
    let mut b = lan.router("b", 2, Kind::Keepalived)?;
    let slow = "bfd_instance peer {\n    neighbor_ip 192.0.2.2\n    min_rx 50\n    min_tx 1000\n    \
                multiplier 3\n}\n";
    a.start(&(slow.to_owned() + &tracking(150, "")))?;
    b.start(&session("peer", "192.0.2.1", ""))?;
    both_up(a.daemon()?, b.daemon()?, "peer", 1)?;
    wait_owner(&a, &[&b])?;
    for _ in 0..3 {
        a.daemon()?.freeze()?;
        std::thread::sleep(Duration::from_millis(600));
        a.daemon()?.thaw()?;
        owner_stays(&a, &[&b], Duration::from_secs(1))?;
    }
    ensure_eq!(a.daemon()?.logged(DOWN), 0, "sessions that were lost");
    // And it is no less awake than before.
    b.daemon()?.kill()?;
    a.daemon()?.wait_log(&line("peer", DOWN), 1, LIMIT)?;
    wait_until("a gives the VIP up", LIMIT, || Ok(!a.has_vip()?))?;
    Ok(())
}

fn check(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut a = lan.router("a", 1, lab.subject())?;
    let mut b = lan.router("b", 2, Kind::Keepalived)?;
    let pool = "virtual_server 192.0.2.100 80 {\n    lb_algo rr\n    lb_kind DR\n    protocol TCP\n    \
                real_server 192.0.2.2 80 {\n        weight 1\n        BFD_CHECK {\n            \
                name peer\n            alpha\n        }\n    }\n    \
                real_server 192.0.2.3 80 {\n        weight 1\n        BFD_CHECK {\n            \
                name peer\n        }\n    }\n}\n";
    let has = |host: &Host, server: &str| {
        let table = host.ipvs()?;
        Ok::<bool, crate::lab::check::Failure>(
            table
                .iter()
                .any(|line| line.contains(&format!("-r {server}"))),
        )
    };
    // Wide of the guest's tick.
    a.start(&(timed("peer", "192.0.2.2", 200, "") + pool))?;
    wait_until("the server without alpha is there", LIMIT, || {
        has(&a.host, "192.0.2.3:80")
    })?;
    ensure!(!has(&a.host, "192.0.2.2:80")?, "the one with alpha waits");
    b.start(&timed("peer", "192.0.2.1", 200, ""))?;
    let both = |there: bool| {
        let host = a.host.clone();
        wait_until(format!("both servers: {there}"), LIMIT, move || {
            Ok(has(&host, "192.0.2.2:80")? == there && has(&host, "192.0.2.3:80")? == there)
        })
    };
    both(true)?;
    b.daemon()?.kill()?;
    both(false)?;
    b.daemon()?.start_again()?;
    both(true)?;
    Ok(())
}
