//! Keywords of global_defs, groups and sessions that no other case looks at; where keepalived has them, both
//! daemons stand on one segment, each with addresses of its own.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::cases::daemon::only_vipd;
use crate::cases::scene::{ELECTION, Lan, Router};
use crate::lab::check::{Failure, Outcome, ensure, ensure_eq, holds_for, wait_until};
use crate::lab::daemon::Kind;
use crate::lab::wire::{Capture, Frame};
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "keywords.believed",
        proves: "v3_checksum_as_v2, vrrp_check_unicast_src and vrrp_owner_ignore_adverts of global_defs \
                 decide whose adverts are believed",
        limit: Duration::from_secs(90),
        run: believed,
    },
    Case {
        name: "keywords.announced",
        proves: "vrrp_garp_extra_if, gna_interval of a garp_group and a vrrp_garp_lower_prio_delay announce \
                 when keepalived does",
        limit: Duration::from_secs(90),
        run: announced,
    },
    Case {
        name: "keywords.groups",
        proves: "notify_priority_changes of an instance and of a group, global_tracking, track_group and \
                 linkbeat_use_polling outside all blocks act as in keepalived",
        limit: Duration::from_secs(90),
        run: groups,
    },
    Case {
        name: "keywords.waits",
        proves: "idle_tx is how often BFD asks a neighbor that is not there, as in keepalived; with \
                 vrrp_delay_after_boot an owner waits so long after the boot",
        limit: Duration::from_secs(60),
        run: waits,
    },
];

const LIMIT: Duration = Duration::from_secs(15);

fn instance(name: &str, vrid: u8, priority: u8, lines: &str, addresses: &str) -> String {
    format!(
        "vrrp_instance {name} {{\n    interface eth0\n    virtual_router_id {vrid}\n    \
         priority {priority}\n    {lines}\n    virtual_ipaddress {{\n        {addresses}\n    }}\n}}\n"
    )
}

fn vip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, last)
}

/// keepalived and the subject on one segment, and how each is told from the other.
fn both(lab: &Lab, lan: &Lan<'_>) -> Outcome<[(u8, Router); 2]> {
    Ok([
        (1, lan.router("theirs", 1, Kind::Keepalived)?),
        (2, lan.router("ours", 2, lab.subject())?),
    ])
}

/// The Internet checksum over a message, its own checksum included: 0xffff when it is right.
fn sum(message: &[u8]) -> u16 {
    let words = message
        .chunks(2)
        .map(|two| u32::from(two[0]) << 8 | u32::from(two.get(1).copied().unwrap_or(0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap_or(u16::MAX)
}

fn believed(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let lan = Lan::new(lab)?;
    let (mut a, mut b) = (
        lan.router("a", 1, lab.subject())?,
        lan.router("b", 2, lab.subject())?,
    );
    let conf = |globals: &str, priority: u8, own: &str, peer: &str| {
        let unicast = format!("unicast_src_ip {own}\n    unicast_peer {{\n        {peer}\n    }}");
        [
            format!("global_defs {{\n    {globals}\n}}\n"),
            instance("S", 53, priority, "version 3", "192.0.2.103"),
            instance("U", 54, priority, &unicast, "192.0.2.104"),
            instance("O", 55, 255, "state MASTER", "192.0.2.105"),
        ]
        .concat()
    };
    let wire = Capture::at(&a.port)?;
    let strong = "v3_checksum_as_v2\n    vrrp_owner_ignore_adverts";
    a.start(&conf(strong, 200, "192.0.2.1", "192.0.2.2"))?;
    b.start(&conf(
        "vrrp_check_unicast_src",
        100,
        "192.0.2.2",
        "192.0.2.77",
    ))?;
    let daemon = b.daemon()?;
    for (phrase, times) in [
        ("(S) advert from 192.0.2.1 is ignored: checksum 0x", 1),
        (
            "(U) advert from 192.0.2.1 is ignored: its sender is not in unicast_peer",
            1,
        ),
        ("(O) Changing effective priority from 255 to 254", 1),
    ] {
        daemon.wait_log(phrase, times, ELECTION)?;
    }
    let has = |router: &Router, what: &str, expected: [bool; 3]| {
        let what = format!("{}, {what}: S, U, O {expected:?}", router.name);
        wait_until(what, ELECTION, || {
            let mut there = [false; 3];
            for (has, last) in there.iter_mut().zip(103..) {
                *has = router.host.owns(vip(last))?;
            }
            Ok(there == expected)
        })
        .map(drop)
    };
    has(&a, "with all of them", [true; 3])?;
    has(&b, "which believes nobody", [true, true, false])?;
    let adverts = wire.adverts();
    let sent = adverts
        .iter()
        .find(|(_, advert)| advert.src == a.address && advert.vrid == 53);
    let (frame, _) = sent.ok_or("a advertises S")?;
    let message = frame.bytes.get(34..46).unwrap_or_default();
    ensure_eq!(
        sum(message),
        0xffff,
        "sum over the message alone: {message:x?}"
    );
    b.daemon()?
        .reload(&conf("v3_checksum_as_v2", 100, "192.0.2.2", "192.0.2.77"))?;
    has(&b, "which believes all", [false; 3])?;
    has(&a, "still", [true; 3])?;
    // As from a router that says nothing of it: sums of the RFC are believed beside the others.
    a.daemon()?
        .reload(&conf("", 200, "192.0.2.1", "192.0.2.2"))?;
    a.daemon()?.wait_log("reloaded", 1, ELECTION)?;
    holds_for("b still believes a", Duration::from_secs(4), || {
        Ok(!b.host.owns(vip(103))?)
    })
}

/// What both do: V announces addresses on another interface each second, W many of IPv6, and V those of
/// itself again 2 s after a lower advert.
fn announcing(number: u8) -> String {
    let excluded =
        format!("virtual_ipaddress_excluded {{\n        198.51.100.10{number} dev eth1\n    }}");
    [
        "global_defs {\n    vrrp_garp_master_delay 0\n    vrrp_garp_master_repeat 1\n    \
         vrrp_garp_master_refresh 0\n    vrrp_garp_lower_prio_delay 2\n    vrrp_garp_lower_prio_repeat 2\n    \
         vrrp_garp_extra_if all 1\n}\n\
         garp_group {\n    garp_interval 0.01\n    gna_interval 0.3\n    interface eth0\n}\n"
            .to_owned(),
        instance("V", 50 + number, 100, &excluded, &vip(100 + number).to_string()),
        instance(
            "W",
            60 + number,
            100,
            "",
            &format!("fe80::10{number}\n        2001:db8::10{number}\n        2001:db8::11{number}"),
        ),
    ]
    .concat()
}

/// When the last byte of what an advertisement of a neighbour is about is `last`.
fn neighbour(frame: &Frame, last: u8) -> bool {
    let bytes = &frame.bytes;
    bytes.get(12..14) == Some(&[0x86, 0xdd])
        && bytes.get(20) == Some(&58)
        && bytes.get(54) == Some(&136)
        && bytes.get(77) == Some(&last)
}

fn gaps(frames: &[Frame]) -> Vec<Duration> {
    let mut at: Vec<Duration> = frames.iter().map(|frame| frame.at).collect();
    at.sort();
    at.windows(2).map(|two| two[1] - two[0]).collect()
}

/// Sends one advert of version 2 without authentication from the client.
fn say(lan: &Lan<'_>, vrid: u8, priority: u8, address: Ipv4Addr) -> Outcome {
    let mut message = vec![0x21, vrid, priority, 1, 0, 1, 0, 0];
    message.extend(address.octets());
    message.extend([0; 8]);
    let checksum = (!sum(&message)).to_be_bytes();
    message.splice(6..8, checksum);
    let sent = lan.client.within(|| {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(112)))?;
        socket.set_multicast_if_v4(&Ipv4Addr::new(192, 0, 2, 10))?;
        socket.set_multicast_ttl_v4(255)?;
        let group = SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 18), 0);
        socket.send_to(&message, &group.into())
    })?;
    sent.map(drop).map_err(Failure::from)
}

fn announced(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut routers = both(lab, &lan)?;
    let far = lan.net.segment("far")?;
    let wire = Capture::at(&lan.client_port)?;
    let mut aside = Vec::new();
    for (number, router) in &mut routers {
        let address = format!("198.51.100.{number}/24");
        aside.push(lan.net.plug(&router.host, "eth1", &far, &[&address])?);
        router
            .host
            .ip(&format!("addr add 2001:db8::{number}/64 dev eth0 nodad\n"))?;
        router.start(&announcing(*number))?;
    }
    let other = Capture::at(aside.first().ok_or("a port")?)?;
    for (number, router) in &routers {
        let own = vip(100 + number);
        wait_until(format!("{own} is there"), ELECTION, || {
            router.host.owns(own)
        })?;
    }
    std::thread::sleep(Duration::from_millis(3800));
    for (number, _) in &routers {
        say(&lan, 50 + number, 50, vip(100 + number))?;
    }
    std::thread::sleep(Duration::from_millis(3500));
    let adverts = wire.adverts();
    let lower = adverts.iter().find(|(_, advert)| advert.priority == 50);
    let said = lower.ok_or("a lower advert")?.0.at;
    for (number, router) in &routers {
        let who = router.name;
        // A lower advert has all of them announced.
        let mut extra = other.gratuitous(Ipv4Addr::new(198, 51, 100, 100 + number));
        extra.retain(|frame| frame.at < said);
        let apart = gaps(&extra);
        lab.note(format!("{who}: on the other interface {apart:.2?} apart"));
        let second = Duration::from_millis(900)..Duration::from_millis(1200);
        ensure!(
            apart.len() >= 3 && apart.iter().skip(1).all(|gap| second.contains(gap)),
            "{who}: announcements elsewhere {apart:?} apart"
        );
        let told: Vec<Frame> = wire
            .frames()
            .into_iter()
            .filter(|frame| (0..2).any(|n| neighbour(frame, 16 * n + number)))
            .collect();
        let apart = gaps(&told);
        lab.note(format!("{who}: of IPv6 {apart:.2?} apart"));
        let close = Duration::from_millis(295);
        ensure!(
            apart.len() >= 2 && apart.iter().all(|gap| *gap >= close),
            "{who}: announcements of IPv6 {apart:?} apart"
        );
        let after = wire.gratuitous(vip(100 + number));
        let after: Vec<Duration> = after
            .iter()
            .filter(|frame| frame.at > said)
            .map(|frame| frame.at.saturating_sub(said))
            .collect();
        lab.note(format!("{who}: after a lower advert {after:.2?}"));
        let late = |at: &Duration| *at > Duration::from_secs(1);
        let second = Duration::from_millis(1800)..Duration::from_millis(2400);
        ensure!(
            after.iter().filter(|at| !late(at)).count() == 2
                && after
                    .iter()
                    .filter(|at| late(at) && second.contains(at))
                    .count()
                    == 2
                && after.len() == 4,
            "{who}: announcements after a lower advert: {after:?}"
        );
    }
    Ok(())
}

/// P speaks of its priority, Q does not though its group does, R does as its group, S does not.
fn grouped(number: u8, dir: &std::path::Path) -> String {
    let tracks = "track_file {\n        f\n    }";
    let on = format!("{tracks}\n    notify_priority_changes on");
    let off = format!("{tracks}\n    notify_priority_changes off");
    let linked = "track_interface {\n        eth1\n    }";
    let mut text = format!(
        "linkbeat_use_polling\nglobal_defs {{\n    vrrp_notify_fifo {0}/fifo\n}}\n\
         track_file f {{\n    file {0}/f\n    weight 5\n}}\n\
         track_group T {{\n    group {{\n        S\n    }}\n}}\n\
         static_ipaddress {{\n    203.0.113.{number}/24 dev eth1 track_group T\n}}\n\
         vrrp_sync_group G {{\n    group {{\n        Q\n        R\n    }}\n    \
         notify_priority_changes on\n    global_tracking\n}}\n",
        dir.display()
    );
    for (n, name, lines) in [
        (1, "P", on.as_str()),
        (2, "Q", off.as_str()),
        (3, "R", tracks),
        (4, "S", tracks),
        (5, "L", linked),
    ] {
        let address = vip(100 + 10 * number + n);
        text += &instance(
            name,
            100 + 10 * number + n,
            100,
            lines,
            &address.to_string(),
        );
    }
    text
}

fn groups(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut routers = both(lab, &lan)?;
    for (number, router) in &mut routers {
        router
            .host
            .ip("link add eth1 type veth peer name peer1\nlink set eth1 up\nlink set peer1 up")?;
        let dir = lab.dir().join(router.name);
        fs::create_dir_all(&dir)?;
        router.start(&grouped(*number, &dir))?;
    }
    let mut listeners = Vec::new();
    for (_, router) in &routers {
        let fifo = lab.dir().join(router.name).join("fifo");
        listeners.push(crate::cases::notify::Listener::open(&fifo)?);
    }
    for (_, router) in &mut routers {
        router
            .daemon()?
            .wait_log("Entering MASTER STATE", 5, ELECTION)?;
    }
    for (_, router) in &routers {
        fs::write(lab.dir().join(router.name).join("f"), "1\n")?;
    }
    std::thread::sleep(Duration::from_millis(1500));
    let mut told = Vec::new();
    for listener in &mut listeners {
        let text = listener.text()?;
        let lines = text.lines().filter(|line| line.contains("PRIORITY"));
        let mut lines: Vec<String> = lines.map(str::to_owned).collect();
        lines.sort();
        told.push(lines);
    }
    let expected = ["P", "R"].map(|name| format!("INSTANCE \"{name}\" MASTER_PRIORITY 105"));
    ensure_eq!(told.first(), told.last(), "lines of keepalived and of vipd");
    ensure_eq!(told.last().map(Vec::as_slice), Some(&expected[..]), "lines");

    for (number, router) in &mut routers {
        let who = router.name;
        // It is put back before anybody notices.
        let host = router.host.clone();
        host.ip(&format!("addr del 203.0.113.{number}/24 dev eth1"))?;
        let back = Ipv4Addr::new(203, 0, 113, *number);
        wait_until(format!("{who}: {back} is back"), LIMIT, || host.owns(back))?;
        let daemon = router.daemon()?;
        ensure_eq!(daemon.logged("Entering FAULT STATE"), 0, "{who}: faults");
        // Nobody named eth1 in linkbeat_interfaces. keepalived 2.2.7 hears it by netlink all the same.
        host.ip("link set peer1 down")?;
        if daemon.kind() == Kind::Vipd {
            daemon.wait_log("Linkbeat reports eth1 down", 1, LIMIT)?;
        }
        // One tracks the interface, the other what is on it.
        for name in ["L", "S"] {
            daemon.wait_log(&format!("({name}) Entering FAULT STATE"), 1, LIMIT)?;
        }
        host.ip("link set peer1 up")?;
        for name in ["L", "S"] {
            let again = format!("({name}) Entering MASTER STATE");
            daemon.wait_log(&again, 2, ELECTION)?;
        }
    }
    Ok(())
}

fn waits(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut routers = both(lab, &lan)?;
    let wire = Capture::at(&lan.client_port)?;
    let idle = Duration::from_secs(2);
    for (_, router) in &mut routers {
        router.start(
            "bfd_instance nobody {\n    neighbor_ip 192.0.2.10\n    idle_tx 2000\n    min_tx 50\n}\n",
        )?;
    }
    // Together with what the other case here has to wait for.
    if lab.subject() == Kind::Vipd {
        after_boot(&lan)?;
    }
    std::thread::sleep(Duration::from_secs(5));
    for (_, router) in &routers {
        let at: Vec<Duration> = wire.bfd(router.address).iter().map(|(at, _)| *at).collect();
        let apart: Vec<Duration> = at.windows(2).map(|two| two[1] - two[0]).collect();
        lab.note(format!("{}: {apart:.2?} apart", router.name));
        // RFC 5880 section 6.8.7: up to a quarter less.
        let right = idle * 74 / 100..idle + Duration::from_millis(200);
        ensure!(
            apart.len() >= 2 && apart.iter().all(|gap| right.contains(gap)),
            "{}: packets {apart:?} apart",
            router.name
        );
    }
    Ok(())
}

fn after_boot(lan: &Lan<'_>) -> Outcome {
    let uptime = || -> Outcome<f64> {
        let text = fs::read_to_string("/proc/uptime")?;
        let first = text.split(' ').next().and_then(|word| word.parse().ok());
        Ok(first.ok_or("/proc/uptime has a number")?)
    };
    let mut router = lan.router("booted", 3, Kind::Vipd)?;
    let begins = uptime()? + 3.0;
    let conf = |at: f64| {
        format!(
            "global_defs {{\n    vrrp_delay_after_boot {at:.2}\n}}\n{}",
            instance("B", 59, 255, "state MASTER", "192.0.2.109")
        )
    };
    router.start(&conf(begins))?;
    let wire = Capture::at(&router.port)?;
    wait_until("the owner is master", ELECTION, || {
        router.host.owns(vip(109))
    })?;
    let took = uptime()? - begins;
    ensure!(
        (-0.02..1.5).contains(&took),
        "it was master {took:.2} s after the time it waits for"
    );
    ensure!(!wire.adverts().is_empty(), "it said so");
    router.stop()?;
    // The boot is longer ago than that: it waits for nothing.
    let began = uptime()?;
    router.start(&conf(begins - 3.0))?;
    wait_until("the owner is master", ELECTION, || {
        router.host.owns(vip(109))
    })?;
    let took = uptime()? - began;
    ensure!(
        (0.0..2.0).contains(&took),
        "it waited for {took:.2} s all the same"
    );
    Ok(())
}
