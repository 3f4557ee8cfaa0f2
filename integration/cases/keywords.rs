//! Keywords that change when and what a router says, several in one scene, each beside keepalived.

pub(crate) mod more;
pub(crate) mod rest;

use std::net::Ipv4Addr;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::daemon::only_vipd;
use super::scene::{ELECTION, Instance, Lan, Router, VIP, answered_by, owner_stays, wait_owner};
use crate::lab::check::{Failure, Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::Kind;
use crate::lab::wire::{Advert, Capture, Frame, Packet};
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "keywords.defaults",
        proves: "what global_defs says of versions, groups, announcements, interfaces and owners holds \
                 for instances that say nothing, as in keepalived",
        limit: Duration::from_secs(120),
        run: defaults,
    },
    Case {
        name: "keywords.lower_priority",
        proves: "a master that hears a lower priority, and a router that is silent for long, do what \
                 the instance or else global_defs says, as in keepalived",
        limit: Duration::from_secs(150),
        run: lower_priority,
    },
    Case {
        name: "keywords.receive_buffers",
        proves: "vrrp_rx_bufs_policy, vrrp_rx_bufs_multiplier and kernel_rx_buf_size: as much waits \
                 for a daemon that stands still as for keepalived",
        limit: Duration::from_secs(150),
        run: receive_buffers,
    },
    Case {
        name: "keywords.without_interface",
        proves: "instances without `interface` elect by unicast and put addresses on \
                 default_interface, with keepalived on either side",
        limit: Duration::from_secs(120),
        run: without_interface,
    },
];

const DEFAULTS: &str = "\
global_defs {
    vrrp_version 3
    vrrp_mcast_group4 224.0.0.77
    vrrp_mcast_group6 ff02::77
    vrrp_garp_master_repeat 2
    vrrp_garp_master_delay 2
    vrrp_garp_master_refresh 4
    vrrp_garp_master_refresh_repeat 3
    default_interface eth1
}
static_ipaddress {
    203.0.113.7/32
}
vrrp_instance V {
    interface eth0
    virtual_router_id 51
    priority 100
    virtual_ipaddress {
        192.0.2.100
    }
}
vrrp_instance W {
    interface eth0
    virtual_router_id 52
    priority 100
    native_ipv6
    virtual_ipaddress {
        2001:db8::100
    }
}
vrrp_instance X {
    interface eth0
    virtual_router_id 53
    priority 100
    garp_master_repeat 1
    garp_master_delay 1
    garp_master_refresh 3
    garp_master_refresh_repeat 2
    virtual_ipaddress {
        192.0.2.101
    }
}
";

/// How many announcements come at once, again and again.
fn bursts(wire: &Capture, vip: Ipv4Addr, most: usize) -> Vec<usize> {
    let frames = wire.gratuitous(vip);
    let mut counts: Vec<usize> = Vec::new();
    let mut last: Option<Duration> = None;
    for frame in frames {
        match (last, counts.last_mut()) {
            (Some(at), Some(count)) if frame.at - at < Duration::from_millis(400) => *count += 1,
            _ => counts.push(1),
        }
        last = Some(frame.at);
    }
    counts.truncate(most);
    counts
}

fn defaults(lab: &Lab) -> Outcome {
    let mut pictures = Vec::new();
    for kind in [Kind::Keepalived, lab.subject()] {
        let lan = Lan::new(lab)?;
        let far = lan.net.segment("far")?;
        let mut router = lan.router("router", 1, kind)?;
        lan.net
            .plug(&router.host, "eth1", &far, &["203.0.113.1/24"])?;
        router.host.ip("addr add 2001:db8::1/64 dev eth0 nodad\n")?;
        let wire = Capture::at(&lan.client_port)?;
        router.start(DEFAULTS)?;
        wait_owner(&router, &[])?;
        std::thread::sleep(Duration::from_millis(12_500));
        let mut said: Vec<(String, u8)> = wire
            .frames()
            .iter()
            .filter_map(|frame| match &frame.packet {
                Packet::Advert(advert) => Some((advert.dst.to_string(), advert.version)),
                // IPv6: the destination, and version and type behind the header.
                _ if frame.bytes.get(12..14) == Some(&[0x86, 0xdd])
                    && frame.bytes.get(20) == Some(&112) =>
                {
                    let group = frame
                        .bytes
                        .get(38..54)?
                        .try_into()
                        .ok()
                        .map(u128::from_be_bytes)?;
                    let group = std::net::Ipv6Addr::from_bits(group).to_string();
                    Some((group, frame.bytes.get(54)? >> 4))
                }
                _ => None,
            })
            .collect();
        said.sort();
        said.dedup();
        let told = [
            bursts(&wire, VIP, 4),
            bursts(&wire, Ipv4Addr::new(192, 0, 2, 101), 5),
        ];
        let on = router
            .host
            .run(&["ip", "-br", "addr", "show", "dev", "eth1"])?;
        pictures.push((said, told, on.contains("203.0.113.7/32")));
        router.stop()?;
        lan.net.demolish()?;
    }
    let expected_groups = [("224.0.0.77".to_owned(), 3), ("ff02::77".to_owned(), 3)];
    let subject = pictures.pop().ok_or("no picture")?;
    ensure_eq!(subject.0, expected_groups, "groups and versions");
    ensure_eq!(subject.1[0], [2, 2, 3, 3], "announcements by global_defs");
    ensure_eq!(
        subject.1[1],
        [1, 1, 2, 2, 2],
        "announcements by the instance"
    );
    ensure!(subject.2, "the static address is not on default_interface");
    ensure_eq!(Some(subject), pictures.pop(), "vipd, beside keepalived");
    Ok(())
}

const VRIDS: [u8; 2] = [51, 52];

/// V says otherwise than global_defs, W nothing.
fn low_and_high(priority: u8) -> String {
    let instance = |name: &str, vrid: u8, vip: &str, lines: &str| {
        format!(
            "vrrp_instance {name} {{\n    interface eth0\n    virtual_router_id {vrid}\n    priority \
             {priority}\n    {lines}\n    virtual_ipaddress {{\n        {vip}\n    }}\n}}\n"
        )
    };
    let globals = "global_defs {\n    vrrp_garp_lower_prio_repeat 3\n    vrrp_garp_lower_prio_delay 0\n    \
                   vrrp_lower_prio_no_advert\n    vrrp_higher_prio_send_advert\n    \
                   vrrp_down_timer_adverts 2\n    vrrp_garp_master_repeat 1\n    \
                   vrrp_garp_master_delay 0\n    vrrp_garp_master_refresh 0\n}\n";
    let own = "garp_lower_prio_repeat 2\n    lower_prio_no_advert off\n    higher_prio_send_advert off\n    \
               down_timer_adverts 4";
    let [v, w] = VRIDS;
    format!(
        "{globals}{}{}",
        instance("V", v, "192.0.2.100", own),
        instance("W", w, "192.0.2.101", "")
    )
}

fn adverts_of(wire: &Capture, router: &Router, vrid: u8) -> Vec<(Frame, Advert)> {
    let mut all = wire.adverts();
    all.retain(|(_, advert)| advert.src == router.address && advert.vrid == vrid);
    all
}

fn lower_priority(lab: &Lab) -> Outcome {
    for (high_kind, low_kind) in [
        (Kind::Keepalived, Kind::Keepalived),
        (lab.subject(), Kind::Keepalived),
        (Kind::Keepalived, lab.subject()),
    ] {
        let lan = Lan::new(lab)?;
        let mut high = lan.router("high", 1, high_kind)?;
        let mut low = lan.router("low", 2, low_kind)?;
        let who = format!("{} and {} below", high_kind.name(), low_kind.name());
        let wire = Capture::at(&lan.client_port)?;
        high.start(&low_and_high(150))?;
        wait_owner(&high, &[])?;
        low.start(&low_and_high(100))?;
        low.daemon()?
            .wait_log("Entering BACKUP STATE", 2, ELECTION)?;
        std::thread::sleep(Duration::from_secs(2));
        // It hears nothing more, and is heard.
        low.host.sh(
            "nft add table ip deaf; nft add chain ip deaf in '{ type filter hook input priority -300; }'; \
             nft add rule ip deaf in ip protocol 112 drop",
        )?;
        let deaf = wire
            .frames()
            .last()
            .map(|frame| frame.at)
            .unwrap_or_default();
        wait_until(format!("{who}: both master"), ELECTION, || {
            Ok(VRIDS
                .iter()
                .all(|vrid| !adverts_of(&wire, &low, *vrid).is_empty()))
        })?;
        std::thread::sleep(Duration::from_secs(5));
        let began = VRIDS.map(|vrid| {
            let all = adverts_of(&wire, &low, vrid);
            all.first().map(|(frame, _)| frame.at).unwrap_or_default()
        });
        let [v, w] = began.map(|at| at.saturating_sub(deaf));
        lab.note(format!("{who}: masters after {v:.1?} and {w:.1?}"));
        let two_more = Duration::from_millis(1700)..Duration::from_millis(2300);
        ensure!(
            two_more.contains(&v.saturating_sub(w)),
            "{who}: after {v:?} and {w:?}"
        );
        answers_to_lower(&wire, (&high, &low), began, &who)?;

        low.host.run(&["nft", "delete", "table", "ip", "deaf"])?;
        let healed = wire
            .frames()
            .last()
            .map(|frame| frame.at)
            .unwrap_or_default();
        wait_until(format!("{who}: it yields"), ELECTION, || {
            Ok(!low.has_vip()? && !low.host.owns(Ipv4Addr::new(192, 0, 2, 101))?)
        })?;
        std::thread::sleep(Duration::from_secs(1));
        let last_words = VRIDS.map(|vrid| {
            let heard = adverts_of(&wire, &high, vrid);
            let heard = heard
                .iter()
                .map(|(frame, _)| frame.at)
                .find(|at| *at > healed);
            let said = adverts_of(&wire, &low, vrid).into_iter();
            // vipd's last word, which has the winner announce again, comes later.
            let at_once = Duration::from_millis(30);
            heard.map_or(0, |heard| {
                said.filter(|(f, _)| f.at > heard && f.at < heard + at_once)
                    .count()
            })
        });
        ensure_eq!(
            last_words,
            [0, 1],
            "{who}: adverts at once after a higher one was heard"
        );
        high.stop()?;
        low.stop()?;
        lan.net.demolish()?;
    }
    Ok(())
}

/// The high router answers the low one's adverts of V at once, those of W not, and announces each time
/// as often as it is told to.
fn answers_to_lower(
    wire: &Capture,
    (high, low): (&Router, &Router),
    began: [Duration; 2],
    who: &str,
) -> Outcome {
    let within = Duration::from_millis(200);
    let answered = VRIDS.map(|vrid| {
        let own = adverts_of(wire, high, vrid);
        let heard = adverts_of(wire, low, vrid);
        let answers = heard.iter().filter(|(lower, _)| {
            own.iter()
                .any(|(f, _)| f.at > lower.at && f.at - lower.at < within / 4)
        });
        answers.count() * 2 > heard.len()
    });
    ensure_eq!(
        answered,
        [true, false],
        "{who}: whether lower adverts are answered"
    );
    let vips = [VIP, Ipv4Addr::new(192, 0, 2, 101)];
    let own_mac = adverts_of(wire, high, VRIDS[0]);
    let own_mac = own_mac
        .first()
        .map(|(frame, _)| frame.src_mac)
        .unwrap_or_default();
    let announced: Vec<usize> = vips
        .iter()
        .zip(began)
        .map(|(vip, began)| {
            let frames = wire.gratuitous(*vip).into_iter();
            let frames = frames.filter(|f| f.src_mac == own_mac && f.at >= began);
            frames.filter(|f| f.at - began < within).count()
        })
        .collect();
    ensure_eq!(
        announced,
        [2, 3],
        "{who}: announcements after the first lower advert"
    );
    Ok(())
}

/// Most bytes that wait for one of the raw sockets of a host (/proc/net/raw).
fn waiting(router: &Router) -> Outcome<u64> {
    let text = router.host.proc_net("raw")?;
    let queues = text.lines().skip(1).filter_map(|line| {
        let queues = line.split_whitespace().nth(4)?;
        u64::from_str_radix(queues.split_once(':')?.1, 16).ok()
    });
    Ok(queues.max().unwrap_or_default())
}

/// Sends so much of VRRP's protocol that every buffer is full.
fn flood(lan: &Lan<'_>) -> Outcome {
    let sent = lan.client.within(|| {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(112)))?;
        socket.set_multicast_if_v4(&Ipv4Addr::new(192, 0, 2, 10))?;
        let group = std::net::SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 18), 0).into();
        for _ in 0..2000 {
            socket.send_to(&[0x21; 40], &group)?;
        }
        Ok::<_, std::io::Error>(())
    })?;
    Ok(sent?)
}

fn receive_buffers(lab: &Lab) -> Outcome {
    let settings = [
        ("", ""),
        ("vrrp_rx_bufs_policy 30000", ""),
        ("vrrp_rx_bufs_policy MTU\n    vrrp_rx_bufs_multiplier 7", ""),
        (
            "vrrp_rx_bufs_policy ADVERT\n    vrrp_rx_bufs_multiplier 200",
            "",
        ),
        ("vrrp_rx_bufs_policy MTU", "kernel_rx_buf_size 60000"),
    ];
    let mut seen = Vec::new();
    for kind in [Kind::Keepalived, lab.subject()] {
        let mut kept = Vec::new();
        for (globals, lines) in settings {
            let lan = Lan::new(lab)?;
            let mut router = lan.router("router", 1, kind)?;
            let instance = Instance {
                priority: 255,
                lines,
                unicast: None,
            };
            router.start(&format!(
                "global_defs {{\n    {globals}\n}}\n{}",
                instance.text()
            ))?;
            wait_owner(&router, &[])?;
            router.daemon()?.freeze()?;
            flood(&lan)?;
            kept.push(waiting(&router)?);
            router.daemon()?.thaw()?;
            router.stop()?;
            lan.net.demolish()?;
        }
        lab.note(format!("{}: {kept:?} bytes wait", kind.name()));
        seen.push(kept);
    }
    let [reference, subject] = seen.as_slice() else {
        return Err(Failure::failed("two daemons"));
    };
    let mut sizes = subject.clone();
    sizes.sort_unstable();
    sizes.dedup();
    ensure_eq!(sizes.len(), settings.len(), "different sizes: {subject:?}");
    for ((settings, kept), expected) in settings.iter().zip(subject).zip(reference) {
        // One packet more or less fits.
        ensure!(
            kept.abs_diff(*expected) <= 2048,
            "{settings:?}: {kept}, keepalived {expected}"
        );
    }
    Ok(())
}

/// Unicast without `interface`; keepalived 2.2.7 knows no such instance.
fn unicast(kind: Kind, priority: u8, own: u8, peer: u8) -> String {
    let interface = match kind {
        Kind::Vipd => "",
        Kind::Keepalived => "interface eth0",
    };
    format!(
        "global_defs {{\n    default_interface eth0\n}}\nvrrp_instance V {{\n    {interface}\n    \
         virtual_router_id 51\n    priority {priority}\n    unicast_src_ip 192.0.2.{own}\n    unicast_peer \
         {{\n        192.0.2.{peer}\n    }}\n    virtual_ipaddress {{\n        {VIP}\n    }}\n}}\n"
    )
}

fn without_interface(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    for (first, second) in [
        (Kind::Vipd, Kind::Vipd),
        (Kind::Vipd, Kind::Keepalived),
        (Kind::Keepalived, Kind::Vipd),
    ] {
        let lan = Lan::new(lab)?;
        let mut high = lan.router("high", 1, first)?;
        let mut low = lan.router("low", 2, second)?;
        high.start(&unicast(first, 150, 1, 2))?;
        wait_owner(&high, &[])?;
        low.start(&unicast(second, 100, 2, 1))?;
        owner_stays(&high, &[&low], Duration::from_secs(5))?;
        let pulse = lan.pulse(Duration::from_millis(50))?;
        answered_by(&pulse, &high)?;
        high.stop()?;
        wait_owner(&low, &[&high])?;
        answered_by(&pulse, &low)?;
        high.daemon()?.start_again()?;
        wait_owner(&high, &[&low])?;
        answered_by(&pulse, &high)?;
        for router in [&mut high, &mut low] {
            router.stop()?;
            ensure!(!router.has_vip()?, "{}: the VIP is left", router.name);
        }
        drop(pulse);
        lan.net.demolish()?;
    }
    Ok(())
}
