//! The protocol beside keepalived: every version, family, authentication and way to send.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use vipd::wire::ah::Sealed;

use crate::lab::check::{Failure, Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::{Daemon, Kind};
use crate::lab::net::{Host, Net, Port};
use crate::lab::wire::{Capture, Packet};
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "protocol.bytes",
        proves: "adverts, goodbyes, ARP and neighbour advertisements are byte for byte keepalived's: \
                 versions 2 and 3, IPv4 and IPv6, PASS and AH, multicast and unicast, another TTL",
        limit: Duration::from_secs(90),
        run: bytes,
    },
    Case {
        name: "protocol.keepalived_leads",
        proves: "vipd yields to keepalived, takes over from it and gives back, in each of these",
        limit: Duration::from_secs(120),
        run: |lab| elect(lab, Kind::Keepalived, lab.subject()),
    },
    Case {
        name: "protocol.vipd_leads",
        proves: "keepalived yields to vipd, takes over from it and gets it back, in each of these",
        limit: Duration::from_secs(120),
        run: |lab| elect(lab, lab.subject(), Kind::Keepalived),
    },
    Case {
        name: "protocol.refusals",
        proves: "TTL of peers, strangers, sequence numbers of AH, other groups and a source address \
                 that is gone keep adverts out or the instance in fault",
        limit: Duration::from_secs(90),
        run: refusals,
    },
];

/// Each way to speak: name, VRID, lines of its own, addresses.
const WAYS: &[(&str, u8, &str, &[&str])] = &[
    (
        "pass",
        51,
        "authentication {\n auth_type PASS\n auth_pass letmein\n }",
        &["192.0.2.51/24"],
    ),
    (
        "ah",
        52,
        "authentication {\n auth_type AH\n auth_pass secret\n }",
        &["192.0.2.52/24", "192.0.2.62"],
    ),
    (
        "three",
        53,
        "version 3\n advert_int 0.5",
        &["192.0.2.53/24"],
    ),
    (
        "six",
        54,
        "advert_int 0.5",
        &["fe80::5454/64", "2001:db8::54/64"],
    ),
    ("two_over_six", 55, "version 2", &["2001:db8::55/64"]),
    ("unicast", 56, "unicast_ttl 5\nUNICAST4", &["192.0.2.56/24"]),
    (
        "unicast_three",
        57,
        "version 3\nUNICAST4",
        &["192.0.2.57/24"],
    ),
    (
        "old_sum",
        58,
        "version 3\n old_unicast_checksum\nUNICAST4",
        &["192.0.2.58/24"],
    ),
    // Without it keepalived leaves the hop limit to the kernel: 64.
    (
        "unicast_six",
        59,
        "unicast_ttl 64\nUNICAST6",
        &["2001:db8::59/64"],
    ),
    ("group", 60, "mcast_dst_ip 224.0.0.99", &["192.0.2.60/24"]),
];

/// Own address and the peer's, of both families.
type Ends = [&'static str; 4];

const A: Ends = ["192.0.2.1", "192.0.2.2", "fe80::a", "fe80::b"];
const B: Ends = ["192.0.2.2", "192.0.2.1", "fe80::b", "fe80::a"];

fn conf(priority: u8, [own4, peer4, own6, peer6]: Ends) -> String {
    let peers =
        |own: &str, peer: &str| format!("unicast_src_ip {own}\n unicast_peer {{\n {peer}\n }}");
    let mut text = String::new();
    for (name, vrid, lines, addresses) in WAYS {
        let lines = lines
            .replace("UNICAST4", &peers(own4, peer4))
            .replace("UNICAST6", &peers(own6, peer6));
        // keepalived takes the first link-local address; there is one.
        let _ = writeln!(
            text,
            "vrrp_instance {name} {{\n interface eth0\n virtual_router_id {vrid}\n \
             priority {priority}\n {lines}\n virtual_ipaddress {{\n {}\n }}\n}}",
            addresses.join("\n ")
        );
    }
    text
}

/// Two hosts on a segment, each with one address of each family that is not the kernel's choice.
struct Two<'a> {
    _net: Net<'a>,
    a: (Host, Port),
    b: (Host, Port),
}

impl<'a> Two<'a> {
    fn new(lab: &'a Lab) -> Outcome<Self> {
        let net = Net::new(lab)?;
        let segment = net.segment("lan")?;
        let plug = |name: &str, [own4, _, own6, _]: Ends| -> Outcome<(Host, Port)> {
            let host = net.router(name)?;
            let port = net.plug(&host, "eth0", &segment, &[&format!("{own4}/24")])?;
            host.run(&["ip", "-6", "addr", "flush", "dev", "eth0"])?;
            host.ip(&format!("addr add {own6}/64 dev eth0 nodad\n"))?;
            Ok((host, port))
        };
        let (a, b) = (plug("a", A)?, plug("b", B)?);
        Ok(Self { _net: net, a, b })
    }
}

/// Every address that can be asked for without its interface.
fn vips() -> impl Iterator<Item = IpAddr> {
    let link_local = |vip: &IpAddr| matches!(vip, IpAddr::V6(vip) if vip.is_unicast_link_local());
    WAYS.iter()
        .flat_map(|(_, _, _, addresses)| *addresses)
        .filter_map(|cidr| cidr.split('/').next()?.parse().ok())
        .filter(move |vip| !link_local(vip))
}

/// Waits until `owner` has every address and `other` none.
fn owned(what: &str, owner: &Host, other: &Host) -> Outcome {
    let limit = Duration::from_secs(20);
    wait_until(what.to_owned(), limit, || {
        for vip in vips() {
            if !owner.owns(vip)? || other.owns(vip)? {
                return Ok(false);
            }
        }
        Ok(true)
    })?;
    Ok(())
}

fn elect(lab: &Lab, leader: Kind, follower: Kind) -> Outcome {
    let two = Two::new(lab)?;
    let (a, b) = (&two.a.0, &two.b.0);
    let mut behind = Daemon::start(follower, b, &conf(100, B))?;
    owned("the follower, alone, has everything", b, a)?;
    let mut ahead = Daemon::start(leader, a, &conf(200, A))?;
    owned("the leader has taken everything", a, b)?;
    ahead.stop()?;
    owned("the follower has everything again", b, a)?;
    ahead.start_again()?;
    owned("the leader has everything back", a, b)?;
    behind.stop()?;
    ahead.stop()?;
    Ok(())
}

fn bytes(lab: &Lab) -> Outcome {
    let two = Two::new(lab)?;
    let (host, port) = &two.a;
    let mut seen = Vec::new();
    for kind in [Kind::Keepalived, lab.subject()] {
        let capture = Capture::at(port)?;
        let mut daemon = Daemon::start(kind, host, &conf(200, A))?;
        owned("one router alone has everything", host, &two.b.0)?;
        std::thread::sleep(Duration::from_millis(1500));
        daemon.stop()?;
        let frames: Vec<_> = capture.frames();
        let mut kept = BTreeSet::new();
        for frame in &frames {
            let to_all = frame.dst_mac[0] & 1 == 1;
            let announces = match &frame.packet {
                Packet::Arp(arp) => arp.is_gratuitous(),
                _ => is_advert(&frame.bytes) || to_all,
            };
            if announces && !frame.bytes.is_empty() {
                kept.insert(without_kernel_s_choice(&frame.bytes)?);
            }
        }
        seen.push(kept);
    }
    let [theirs, ours] = &seen[..] else {
        return Err(Failure::failed("two runs"));
    };
    let adverts = theirs.iter().filter(|frame| is_advert(frame)).count();
    ensure_eq!(
        adverts,
        2 * WAYS.len(),
        "adverts and goodbyes of keepalived"
    );
    let only = |a: &BTreeSet<Vec<u8>>, b: &BTreeSet<Vec<u8>>| -> Vec<String> {
        let hex = |frame: &Vec<u8>| frame.iter().map(|byte| format!("{byte:02x}")).collect();
        a.difference(b).map(hex).collect()
    };
    let (missing, extra) = (only(theirs, ours), only(ours, theirs));
    ensure!(
        missing.is_empty() && extra.is_empty(),
        "only keepalived sent {missing:#?}, only vipd {extra:#?}"
    );
    lab.note(format!("{} different frames are the same", ours.len()));
    Ok(())
}

fn is_advert(frame: &[u8]) -> bool {
    matches!(
        (frame.get(12..14), frame.get(23), frame.get(20)),
        (Some([0x08, 0x00]), Some(51 | 112), _) | (Some([0x86, 0xdd]), _, Some(112))
    )
}

/// A frame without what the kernel fills in (identification and checksum of the IPv4 header, flow label),
/// and without what counts the packets of one router; the check value over it must be right.
fn without_kernel_s_choice(frame: &[u8]) -> Outcome<Vec<u8>> {
    let mut frame = frame.to_vec();
    let short = || Failure::failed("a frame is cut short");
    match frame.get(12..14).ok_or_else(short)? {
        [0x08, 0x00] => {
            let total = frame.get(16..18).ok_or_else(short)?;
            let total = usize::from(u16::from_be_bytes([total[0], total[1]]));
            // The padding to the shortest frame is nobody's.
            frame.truncate(14 + total);
            if frame.get(23) == Some(&51) {
                let (header, payload) = frame[14..].split_at(20);
                let sealed = Sealed::read(payload).map_err(|e| Failure::failed(e.to_string()))?;
                let right = sealed.verify(header, b"secret");
                right.map_err(|e| Failure::failed(e.to_string()))?;
                frame[42..58].fill(0);
            }
            frame[18..20].fill(0);
            frame[24..26].fill(0);
        }
        [0x86, 0xdd] => {
            frame[15] &= 0xf0;
            frame[16..18].fill(0);
        }
        _ => frame.truncate(42),
    }
    Ok(frame)
}

fn refusals(lab: &Lab) -> Outcome {
    let two = Two::new(lab)?;
    let (a, b) = (&two.a.0, &two.b.0);
    let one = |vrid: u8, priority: u8, lines: &str| {
        format!(
            "vrrp_instance V{vrid} {{\n interface eth0\n virtual_router_id {vrid}\n \
             priority {priority}\n {lines}\n virtual_ipaddress {{\n 192.0.2.{}\n }}\n}}\n",
            100 + vrid
        )
    };
    let unicast = |own: &str, peer: &str, more: &str| {
        format!("unicast_src_ip {own}\n unicast_peer {{\n {peer}\n }}\n {more}")
    };
    // The other router would win each of these.
    let strong = [
        one(1, 200, &unicast("192.0.2.2", "192.0.2.1", "unicast_ttl 9")),
        one(2, 200, &unicast("192.0.2.2", "192.0.2.1", "unicast_ttl 9")),
        one(3, 200, &unicast("192.0.2.2", "192.0.2.1", "")),
        one(4, 200, "mcast_dst_ip 224.0.0.99"),
        one(
            5,
            200,
            "authentication {\n auth_type AH\n auth_pass other\n }",
        ),
        one(9, 200, ""),
    ];
    let weak = [
        "global_defs {\n log_unknown_vrids\n}\n".to_owned(),
        one(1, 100, &unicast("192.0.2.1", "192.0.2.2 min_ttl 10", "")),
        one(
            2,
            100,
            &unicast("192.0.2.1", "192.0.2.2 min_ttl 9 max_ttl 9", ""),
        ),
        one(
            3,
            100,
            &unicast("192.0.2.1", "192.0.2.77", "check_unicast_src"),
        ),
        one(4, 100, "mcast_dst_ip 224.0.0.98"),
        one(
            5,
            100,
            "authentication {\n auth_type AH\n auth_pass secret\n }",
        ),
        one(6, 100, "mcast_src_ip 192.0.2.66\n track_src_ip"),
        one(7, 100, "unicast_src_ip 192.0.2.1\n unicast_fault_no_peer"),
    ];
    a.ip("addr add 192.0.2.66/24 dev eth0\n")?;
    let mut keepalived = Daemon::start(Kind::Keepalived, b, &strong.concat())?;
    let mut subject = Daemon::start(lab.subject(), a, &weak.concat())?;
    let limit = Duration::from_secs(15);
    for phrase in [
        "(V1) advert from 192.0.2.2 is ignored: its TTL is 9",
        "(V3) advert from 192.0.2.2 is ignored: its sender is not in unicast_peer",
        "(V5) advert from 192.0.2.2 is ignored: its check value is wrong",
        "Unknown VRID(9) received from 192.0.2.2",
        "(V7) Entering FAULT STATE: it has no unicast_peer to send to",
    ] {
        subject.wait_log(phrase, 1, limit)?;
    }
    for (vrid, has) in [
        (1, true),
        (2, false),
        (3, true),
        (4, true),
        (5, true),
        (6, true),
        (7, false),
    ] {
        let vip = Ipv4Addr::new(192, 0, 2, 100 + vrid);
        let what = format!(
            "V{vrid} {} its address",
            if has { "has" } else { "has not" }
        );
        wait_until(what, limit, || Ok(a.owns(vip)? == has))?;
    }
    a.ip("addr del 192.0.2.66/24 dev eth0\n")?;
    let gone = "(V6) Entering FAULT STATE: no interface has its source address 192.0.2.66";
    subject.wait_log(gone, 1, limit)?;
    ensure!(!a.owns(Ipv4Addr::new(192, 0, 2, 106))?, "V6 let it go");
    a.ip("addr add 192.0.2.66/24 dev eth0\n")?;
    wait_until("V6 is back", limit, || {
        a.owns(Ipv4Addr::new(192, 0, 2, 106))
    })?;
    subject.stop()?;
    keepalived.stop()?;
    Ok(())
}
