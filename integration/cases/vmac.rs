//! Virtual MACs: interfaces that an instance makes, what is around them, and what leaves by them.

use std::time::Duration;

use super::scene::{ELECTION, Instance, Lan, Router, VIP, answered_by, owner_stays, wait_owner};
use crate::lab::check::{Failure, Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::Kind;
use crate::lab::net::Host;
use crate::lab::wire::{Capture, Packet};
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "vmac.as_keepalived",
        proves: "links, addresses, settings and adverts of use_vmac are keepalived's, and all of it goes",
        limit: Duration::from_secs(120),
        run: as_keepalived,
    },
    Case {
        name: "vmac.pairs",
        proves: "the VIP moves between vipd and keepalived, both ways, and its neighbours keep their entry",
        limit: Duration::from_secs(120),
        run: pairs,
    },
    Case {
        name: "vmac.life",
        proves: "a VMAC is taken over after a crash, made again when it is deleted, and follows a reload",
        limit: Duration::from_secs(120),
        run: life,
    },
    Case {
        name: "vmac.refused",
        proves: "a start and a reload that cannot make a VMAC say why and leave everything as it was",
        limit: Duration::from_secs(60),
        run: refused,
    },
    Case {
        name: "vmac.tells_of_base",
        proves: "with netlink_notify_msg the kernel is made to tell of the interface under a VMAC",
        limit: Duration::from_secs(60),
        run: tells_of_base,
    },
];

/// The virtual router's own MAC of VRID 51 (RFC 3768 section 7.3).
const MAC: [u8; 6] = [0, 0, 0x5e, 0, 1, 51];

fn with_lines(priority: u8, lines: &str) -> String {
    Instance {
        priority,
        lines,
        unicast: None,
    }
    .text()
}

/// Every setting of every interface, but those that count or depend on time.
fn settings(host: &Host) -> Outcome<String> {
    host.sh("sysctl -a 2>/dev/null | grep -E '^net\\.ipv[46]\\.conf\\.' | sort")
}

/// What `ip` shows of links or addresses, without what differs from run to run.
fn shown(host: &Host, what: &str) -> Outcome<String> {
    let line = format!(
        "ip -d {what} | sed -E 's/ proto [0-9a-z]+//; s/link-netns [^ ]+//; /inet6 fe80/d'"
    );
    host.sh(&line)
}

/// Frames of a kind that a router sends in steady state, without their times. The question whether anybody
/// else has an address is vipd's own, and asked once.
fn traits(wire: &Capture) -> Vec<(String, [u8; 6], [u8; 6])> {
    let mut seen: Vec<_> = wire
        .frames()
        .into_iter()
        .filter(|frame| matches!(frame.packet, Packet::Advert(_) | Packet::Arp(_)))
        .filter(|frame| !matches!(&frame.packet, Packet::Advert(a) if a.priority == 0))
        .filter(|frame| !matches!(&frame.packet, Packet::Arp(arp) if arp.is_probe()))
        .map(|frame| (format!("{:?}", frame.packet), frame.src_mac, frame.dst_mac))
        .collect();
    seen.sort();
    seen.dedup();
    seen
}

fn as_keepalived(lab: &Lab) -> Outcome {
    let lines = "use_vmac\n    garp_master_delay 0\n    virtual_ipaddress_excluded {\n        \
                 192.0.2.101/24 dev eth0\n        198.51.100.7/24 dev eth1 use_vmac\n    }";
    let other = "vrrp_instance W {\n    interface eth1\n    virtual_router_id 52\n    priority 100\n    \
                 use_vmac wan 02:00:00:00:99\n    vmac_xmit_base\n    virtual_ipaddress {\n        \
                 198.51.100.9\n    }\n}\n";
    let conf = format!("{}{other}", with_lines(100, lines));
    let mut pictures = Vec::new();
    for kind in [Kind::Keepalived, lab.subject()] {
        let lan = Lan::new(lab)?;
        let far = lan.net.segment("far")?;
        let mut router = lan.router("router", 1, kind)?;
        lan.net
            .plug(&router.host, "eth1", &far, &["198.51.100.1/24"])?;
        router.host.ip("link set eth0 address 02:00:00:00:00:01\n\
                        link set eth1 address 02:00:00:00:00:02\n")?;
        router.host.sysctl("net.ipv4.conf.all.rp_filter", "1")?;
        router.host.sysctl("net.ipv4.conf.eth1.rp_filter", "2")?;
        let before = (settings(&router.host)?, shown(&router.host, "link")?);
        let wire = Capture::at(&lan.client_port)?;
        router.start(&conf)?;
        wait_owner(&router, &[])?;
        wait_until("the other instance is master", ELECTION, || {
            router.host.owns(std::net::Ipv4Addr::new(198, 51, 100, 9))
        })?;
        std::thread::sleep(Duration::from_millis(1500));
        let during = (
            shown(&router.host, "link")?,
            shown(&router.host, "addr")?,
            settings(&router.host)?,
            router.host.sh("ip route show table all | grep -v fe80")?,
            traits(&wire),
        );
        pictures.push(during);
        router.stop()?;
        if kind == Kind::Vipd {
            ensure_eq!(settings(&router.host)?, before.0, "settings afterwards");
        }
        ensure_eq!(shown(&router.host, "link")?, before.1, "links afterwards");
        ensure_eq!(
            router.host.run(&["nft", "list", "ruleset"])?,
            "",
            "rules afterwards"
        );
        lan.net.demolish()?;
    }
    let [reference, subject] = pictures.as_slice() else {
        return Err("two pictures".into());
    };
    ensure_eq!(subject.0, reference.0, "links");
    ensure_eq!(subject.1, reference.1, "addresses");
    let expected_more = [
        // Otherwise requests for a neighbour that carry the VIP would name the other MAC.
        "eth0.arp_announce = 2",
        "eth1.arp_announce = 2",
        // keepalived gives all.rp_filter to every interface but this one.
        "lo.rp_filter = 1",
        // Otherwise the old master would answer the announcement of the new one.
        "vrrp/51.accept_local = 0",
        "vrrp1/51.accept_local = 0",
        "wan.accept_local = 0",
    ];
    let more: Vec<String> = expected_more
        .iter()
        .map(|setting| format!("net.ipv4.conf.{setting}"))
        .collect();
    let expected: Vec<String> = reference.2.lines().map(str::to_owned).collect();
    let unexpected: Vec<&str> = subject
        .2
        .lines()
        .filter(|line| !expected.iter().any(|e| e == line))
        .collect();
    ensure_eq!(unexpected, more, "settings that are not keepalived's");
    ensure_eq!(subject.3, reference.3, "routes");
    ensure_eq!(subject.4, reference.4, "adverts and ARP on the wire");
    let from_vmac = |(packet, from, _): &&(String, [u8; 6], [u8; 6])| {
        packet.starts_with("Advert") && *from == MAC
    };
    ensure!(
        subject.4.iter().any(|s| from_vmac(&s)),
        "no advert left by the VMAC"
    );
    Ok(())
}

/// The hardware address that the client has for the VIP.
fn entry(client: &Host) -> Outcome<String> {
    let shown = client.run(&["ip", "neigh", "show", &VIP.to_string()])?;
    let mut words = shown
        .split_whitespace()
        .skip_while(|word| *word != "lladdr");
    Ok(words.nth(1).unwrap_or_default().to_owned())
}

/// keepalived's routers ask for a neighbour with the VIP and the wrong MAC, and so spoil its entry.
fn entry_is_the_vmac(lab: &Lab, client: &Host, master: Kind) -> Outcome {
    let known = entry(client)?;
    if master == Kind::Vipd {
        ensure_eq!(known, "00:00:5e:00:01:33", "the client's entry");
    }
    lab.note(format!(
        "with {} as master the client has {known}",
        master.name()
    ));
    Ok(())
}

fn pairs(lab: &Lab) -> Outcome {
    for (first, second) in [
        (lab.subject(), Kind::Keepalived),
        (Kind::Keepalived, lab.subject()),
        (lab.subject(), lab.subject()),
    ] {
        let lan = Lan::new(lab)?;
        let mut high = lan.router("high", 1, first)?;
        let mut low = lan.router("low", 2, second)?;
        high.start(&with_lines(150, "use_vmac"))?;
        wait_owner(&high, &[&low])?;
        low.start(&with_lines(100, "use_vmac"))?;
        owner_stays(&high, &[&low], Duration::from_secs(5))?;
        let pulse = lan.pulse(Duration::from_millis(5))?;
        answered_by(&pulse, &high)?;
        entry_is_the_vmac(lab, &lan.client, first)?;
        let wire = Capture::at(&lan.client_port)?;
        high.stop()?;
        wait_owner(&low, &[])?;
        answered_by(&pulse, &low)?;
        entry_is_the_vmac(lab, &lan.client, second)?;
        high.daemon()?.start_again()?;
        wait_owner(&high, &[&low])?;
        answered_by(&pulse, &high)?;
        entry_is_the_vmac(lab, &lan.client, first)?;
        // Requests of the router itself may not teach it another one either.
        let strange = wire.frames().into_iter().find(|frame| {
            matches!(&frame.packet, Packet::Arp(arp) if arp.sender == VIP) && frame.src_mac != MAC
        });
        if first == Kind::Vipd && second == Kind::Vipd {
            ensure!(strange.is_none(), "somebody said otherwise: {strange:?}");
        }
        let (gap, _) = pulse.stop();
        if first == Kind::Vipd && second == Kind::Vipd {
            // Until the next advert, had a switch been led astray.
            ensure!(
                gap < Duration::from_millis(600),
                "the client waited {gap:?}"
            );
        }
        lab.note(format!(
            "{} to {}: longest gap {gap:.0?}",
            first.name(),
            second.name()
        ));
        low.stop()?;
        lan.net.demolish()?;
    }
    Ok(())
}

fn vmac_of(router: &Router) -> Outcome<Option<String>> {
    let shown = router.host.run(&["ip", "-br", "link"])?;
    let line = shown.lines().find(|line| line.starts_with("vrrp.51@"));
    Ok(line.map(str::to_owned))
}

fn index_of(router: &Router) -> Outcome<String> {
    let shown = router.host.run(&["ip", "-o", "link", "show", "vrrp.51"])?;
    Ok(shown.split(':').next().unwrap_or_default().to_owned())
}

fn life(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut router = lan.router("router", 1, lab.subject())?;
    let before = settings(&router.host)?;
    router.start(&with_lines(100, "use_vmac"))?;
    wait_owner(&router, &[])?;
    let index = index_of(&router)?;
    router.daemon()?.kill()?;
    ensure!(router.has_vip()?, "a crash took the VIP");
    router.daemon()?.start_again()?;
    wait_until("it goes on as master", ELECTION, || {
        Ok(router.daemon()?.logged("Entering MASTER STATE") >= 2 && router.has_vip()?)
    })?;
    ensure_eq!(
        index_of(&router)?,
        index,
        "number of the VMAC, which was taken over"
    );
    ensure_eq!(router.daemon()?.logged("Entering FAULT"), 0, "faults");

    router.host.run(&["ip", "link", "del", "vrrp.51"])?;
    wait_until("the VMAC is made again", ELECTION, || {
        Ok(vmac_of(&router)?.is_some())
    })?;
    wait_owner(&router, &[])?;
    let pulse = lan.pulse(Duration::from_millis(20))?;
    answered_by(&pulse, &router)?;

    router.daemon()?.reload(&with_lines(100, ""))?;
    wait_until("a reload removes it", ELECTION, || {
        Ok(vmac_of(&router)?.is_none())
    })?;
    wait_owner(&router, &[])?;
    answered_by(&pulse, &router)?;
    router.daemon()?.reload(&with_lines(100, "use_vmac"))?;
    wait_until("a reload makes it", ELECTION, || {
        Ok(vmac_of(&router)?.is_some())
    })?;
    wait_owner(&router, &[])?;
    answered_by(&pulse, &router)?;
    let rules = router.host.run(&["nft", "list", "ruleset"])?;
    ensure!(
        rules.contains("\"vrrp.51\" : \"eth0\""),
        "no rule for it: {rules}"
    );
    router.stop()?;
    ensure!(vmac_of(&router)?.is_none(), "the VMAC is left behind");
    ensure_eq!(settings(&router.host)?, before, "settings afterwards");
    Ok(())
}

fn refused(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut router = lan.router("router", 1, lab.subject())?;
    router
        .host
        .run(&["ip", "link", "add", "vrrp.51", "type", "bridge"])?;
    router.start(&with_lines(100, "use_vmac"))?;
    wait_until("it ends", ELECTION, || {
        Ok(router.daemon()?.ended()?.is_some())
    })?;
    let said = router.daemon()?.log();
    let why = "make interface vrrp.51: there is another one of that name";
    ensure!(said.contains(why), "it says: {said}");
    let kept = router.host.run(&["ip", "-d", "link", "show", "vrrp.51"])?;
    ensure!(kept.contains("bridge"), "the other one is gone: {kept}");
    std::fs::write(router.daemon()?.file(), with_lines(100, ""))?;
    router.daemon()?.start_again()?;
    wait_owner(&router, &[])?;
    router.daemon()?.reload(&with_lines(100, "use_vmac"))?;
    router.daemon()?.wait_log("reload refused", 1, ELECTION)?;
    owner_stays(&router, &[], Duration::from_secs(1))?;
    let links = router.host.run(&["ip", "-br", "link"])?;
    if links.contains("macvlan") {
        return Err(Failure::failed(format!("a link is left behind: {links}")));
    }
    Ok(())
}

/// A bridge cannot filter unicast addresses, so a macvlan makes it promiscuous. Not every kernel tells of
/// that by itself; this one does, so there is one more message with the option.
fn tells_of_base(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut router = lan.router("router", 1, lab.subject())?;
    router
        .host
        .ip("link add br0 type bridge\nlink set br0 up\naddr add 198.51.100.1/24 dev br0\n")?;
    let on_bridge = |option: &str| {
        format!(
            "vrrp_instance VI_1 {{\n    interface br0\n    virtual_router_id 51\n    use_vmac {option}\n    \
             virtual_ipaddress {{\n        {VIP}/24\n    }}\n}}\n"
        )
    };
    let mut heard = Vec::new();
    for option in ["", "netlink_notify_msg"] {
        let name = format!("links{}", heard.len());
        let mut monitor = router
            .host
            .spawn(&name, &["ip", "-o", "-d", "monitor", "link"])?;
        // The monitor is listening when it has told of something.
        wait_until("the monitor hears", ELECTION, || {
            router.host.ip("link set lo down\nlink set lo up\n")?;
            Ok(monitor.log().contains("lo:"))
        })?;
        router.start(&on_bridge(option))?;
        router
            .daemon()?
            .wait_log("Entering BACKUP STATE", heard.len() + 1, ELECTION)?;
        router.stop()?;
        wait_until("the monitor has heard all of it", ELECTION, || {
            let said = monitor.log();
            let gone = said
                .lines()
                .any(|line| line.contains("Deleted") && line.contains("vrrp.51"));
            Ok(gone)
        })?;
        monitor.kill()?;
        let said = monitor.log();
        let promiscuous = |line: &&str| line.contains(" br0:") && line.contains("promiscuity 1");
        heard.push(said.lines().filter(promiscuous).count());
    }
    let more = heard.first().map(|without| without + 1);
    ensure_eq!(
        heard.get(1).copied(),
        more,
        "messages of br0 with the option, one more than without"
    );
    Ok(())
}
