//! Links that instances make for themselves beside VMAC over IPv4: VMAC over IPv6, ipvlan, and VRF.

use std::time::Duration;

use super::daemon::only_vipd;
use super::scene::{ELECTION, Lan, Router, VIP, owner_stays, wait_owner};
use crate::lab::check::{Outcome, ensure, ensure_eq, holds_for, wait_until};
use crate::lab::daemon::Kind;
use crate::lab::net::Host;
use crate::lab::wire::{Capture, Packet};
use crate::lab::{Case, Lab};

/// On this machine's kernel.
pub(crate) const CASES: &[Case] = &[Case {
    name: "vmac.over_ipv6",
    proves: "links, addresses and routes of VMACs over IPv6, of use_vmac_addr, their names and their \
             rules are keepalived's, adverts leave with the virtual router's MAC, and all of it goes",
    limit: Duration::from_secs(120),
    run: over_ipv6,
}];

/// Only the guest's kernel has ipvlan and VRF.
pub(crate) const GUEST: &[Case] = &[
    Case {
        name: "ipvlan.as_keepalived",
        proves: "links, addresses and adverts of use_ipvlan are keepalived's, the VIP moves between \
                 both daemons, and all of it goes",
        limit: Duration::from_secs(150),
        run: ipvlan,
    },
    Case {
        name: "vrf.unicast",
        proves: "an instance with `vrf` and without `interface` elects inside the VRF, with keepalived \
                 on either side",
        limit: Duration::from_secs(120),
        run: vrf,
    },
];

/// What `ip` shows, without what differs from run to run.
fn shown(host: &Host, what: &str) -> Outcome<String> {
    // keepalived has an ipvlan link make an address for itself, from the hardware address that the other
    // interface has already made one of (docs/differences.md).
    let but = "s/ proto [0-9a-z]+//; s/link-netns [^ ]+//; s/[a-z0-9_]+_lft [0-9]+sec//g; \
               s/(ipvlan .*addrgenmode) [a-z0-9]+/\\1/";
    host.sh(&format!("ip -d {what} | sed -E '{but}'"))
}

/// Frames of VRRP that a router sent in steady state: where they came from, where they went.
fn adverts(wire: &Capture) -> Vec<([u8; 6], [u8; 6], Vec<u8>)> {
    let mut seen: Vec<_> = wire
        .frames()
        .into_iter()
        .filter(|frame| match &frame.packet {
            Packet::Advert(advert) => advert.priority != 0,
            // IPv6; the priority stands two bytes behind its header.
            _ => frame.bytes.get(20) == Some(&112) && frame.bytes.get(56) != Some(&0),
        })
        .map(|frame| {
            let payload = match frame.bytes.get(12..14) {
                Some([0x86, 0xdd]) => frame.bytes.get(22..),
                // Not the identification, which the kernel may choose, nor the sum over it.
                _ => frame.bytes.get(26..),
            };
            (
                frame.src_mac,
                frame.dst_mac,
                payload.unwrap_or_default().to_vec(),
            )
        })
        .collect();
    seen.sort();
    seen.dedup();
    seen
}

const OVER_IPV6: &str = "\
global_defs {
    vmac_prefix own
    vmac_addr_prefix far
    nftables shop
    nftables_priority -7
    nftables_counters
    vrrp_garp_master_delay 0
}
vrrp_instance V {
    interface eth0
    version 3
    virtual_router_id 51
    priority 100
    use_vmac_addr
    virtual_ipaddress {
        192.0.2.100
    }
    virtual_ipaddress_excluded {
        198.51.100.9/24 dev eth1
    }
}
vrrp_instance W {
    interface eth0
    version 3
    virtual_router_id 52
    priority 100
    use_vmac
    no_accept
    virtual_ipaddress {
        fe80::52/64
        2001:db8::52/64
    }
}
";

fn over_ipv6(lab: &Lab) -> Outcome {
    let mut pictures = Vec::new();
    for kind in [Kind::Keepalived, lab.subject()] {
        let lan = Lan::new(lab)?;
        let far = lan.net.segment("far")?;
        let mut router = lan.router("router", 1, kind)?;
        lan.net
            .plug(&router.host, "eth1", &far, &["198.51.100.1/24"])?;
        router.host.ip("link set eth0 address 02:00:00:00:00:01\n\
             link set eth1 address 02:00:00:00:00:02\naddr flush dev eth0 scope link\naddr flush dev eth1 scope link\n\
             addr add fe80::1/64 dev eth0 nodad\naddr add 2001:db8::1/64 dev eth0 nodad\n")?;
        let before = shown(&router.host, "link")?;
        let wire = Capture::at(&lan.client_port)?;
        router.start(OVER_IPV6)?;
        wait_owner(&router, &[])?;
        wait_until("the other instance is master", ELECTION, || {
            let there = router.host.addresses()?;
            Ok(there.iter().any(|address| address.local == "2001:db8::52"))
        })?;
        std::thread::sleep(Duration::from_millis(2500));
        let rules = router.host.run(&["nft", "list", "ruleset"])?;
        for words in ["priority filter - 7", "counter packets", "own.52"] {
            ensure!(
                rules.contains(words),
                "{}: no {words:?} in {rules}",
                kind.name()
            );
        }
        pictures.push([
            shown(&router.host, "link")?,
            shown(&router.host, "-4 addr")?,
            shown(&router.host, "-6 addr")?,
            shown(&router.host, "-6 route show table all")?,
            format!("{:?}", adverts(&wire)),
        ]);
        let from = adverts(&wire);
        let virtual_mac = [0, 0, 0x5e, 0, 2, 52];
        ensure!(
            from.iter().any(|(mac, _, _)| *mac == virtual_mac),
            "{}: no advert left by the VMAC: {from:?}",
            kind.name()
        );
        router.stop()?;
        ensure_eq!(shown(&router.host, "link")?, before, "links afterwards");
        ensure_eq!(
            router.host.run(&["nft", "list", "ruleset"])?,
            "",
            "rules afterwards"
        );
        lan.net.demolish()?;
    }
    same(&pictures)
}

fn same(pictures: &[[String; 5]]) -> Outcome {
    let [reference, subject] = pictures else {
        return Err("two pictures".into());
    };
    let names = [
        "links",
        "addresses of IPv4",
        "addresses of IPv6",
        "routes",
        "adverts",
    ];
    for ((name, subject), reference) in names.iter().zip(subject).zip(reference) {
        ensure_eq!(subject, reference, "{name}");
    }
    Ok(())
}

fn with_ipvlan(priority: u8, own: u8) -> String {
    format!(
        "vrrp_instance V {{\n    interface eth0\n    virtual_router_id 51\n    priority {priority}\n    \
         use_ipvlan 192.0.2.{own}/24 bridge\n    garp_master_delay 0\n    virtual_ipaddress {{\n        \
         {VIP}\n    }}\n}}\n"
    )
}

fn ipvlan(lab: &Lab) -> Outcome {
    let mut pictures = Vec::new();
    for kind in [Kind::Keepalived, lab.subject()] {
        let lan = Lan::new(lab)?;
        let mut router = lan.router("router", 1, kind)?;
        router
            .host
            .ip("link set eth0 address 02:00:00:00:00:01\n")?;
        let before = shown(&router.host, "link")?;
        let wire = Capture::at(&lan.client_port)?;
        router.start(&with_ipvlan(100, 51))?;
        wait_owner(&router, &[])?;
        std::thread::sleep(Duration::from_millis(2500));
        pictures.push([
            shown(&router.host, "link")?,
            shown(&router.host, "-4 addr")?,
            shown(&router.host, "-6 addr | grep -v fe80")?,
            shown(&router.host, "route")?,
            format!("{:?}", adverts(&wire)),
        ]);
        ensure!(!adverts(&wire).is_empty(), "no advert");
        router.stop()?;
        ensure_eq!(shown(&router.host, "link")?, before, "links afterwards");
        lan.net.demolish()?;
    }
    same(&pictures)?;
    for (first, second) in [
        (lab.subject(), Kind::Keepalived),
        (Kind::Keepalived, lab.subject()),
    ] {
        let lan = Lan::new(lab)?;
        let mut high = lan.router("high", 1, first)?;
        let mut low = lan.router("low", 2, second)?;
        high.start(&with_ipvlan(150, 51))?;
        wait_owner(&high, &[])?;
        low.start(&with_ipvlan(100, 52))?;
        owner_stays(&high, &[&low], Duration::from_secs(5))?;
        high.stop()?;
        wait_owner(&low, &[&high])?;
        high.daemon()?.start_again()?;
        wait_owner(&high, &[&low])?;
        low.stop()?;
        lan.net.demolish()?;
    }
    Ok(())
}

/// keepalived 2.2.7 has no `vrf`: it speaks on the interface.
fn in_vrf(kind: Kind, priority: u8, own: u8, peer: u8) -> String {
    let place = match kind {
        Kind::Vipd => "vrf red",
        Kind::Keepalived => "interface eth0",
    };
    format!(
        "vrrp_instance V {{\n    {place}\n    virtual_router_id 51\n    priority {priority}\n    \
         unicast_src_ip 192.0.2.{own}\n    unicast_peer {{\n        192.0.2.{peer}\n    }}\n    \
         virtual_ipaddress {{\n        {VIP} dev eth0\n    }}\n}}\n"
    )
}

/// An address in a VRF is none that a socket outside can be bound to.
fn in_table(router: &Router) -> Outcome<bool> {
    let there = router.host.addresses()?;
    Ok(there.iter().any(|address| address.local == VIP.to_string()))
}

fn alone(owner: &Router, other: &Router) -> Outcome {
    wait_until(
        format!("{} alone has the VIP", owner.name),
        ELECTION,
        || Ok(in_table(owner)? && !in_table(other)?),
    )
    .map(drop)
}

fn vrf(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    for (first, second) in [
        (Kind::Vipd, Kind::Vipd),
        (Kind::Vipd, Kind::Keepalived),
        (Kind::Keepalived, Kind::Vipd),
    ] {
        let lan = Lan::new(lab)?;
        let mut high = lan.router("high", 1, first)?;
        let mut low = lan.router("low", 2, second)?;
        for router in [&high, &low] {
            router
                .host
                .ip("link add red type vrf table 10\nlink set red up\n\
                 link set eth0 master red\n")?;
        }
        high.start(&in_vrf(first, 150, 1, 2))?;
        alone(&high, &low)?;
        low.start(&in_vrf(second, 100, 2, 1))?;
        holds_for(
            "the higher one stays master",
            Duration::from_secs(5),
            || Ok(in_table(&high)? && !in_table(&low)?),
        )?;
        let ping = ["ping", "-c", "1", "-W", "2", &VIP.to_string()].map(str::to_owned);
        let ping: Vec<&str> = ping.iter().map(String::as_str).collect();
        lan.client.run(&ping)?;
        let shown = high
            .host
            .run(&["ip", "route", "show", "table", "10", "type", "local"])?;
        ensure!(shown.contains(&VIP.to_string()), "not in the VRF: {shown}");
        high.stop()?;
        alone(&low, &high)?;
        high.daemon()?.start_again()?;
        alone(&high, &low)?;
        for router in [&mut high, &mut low] {
            router.stop()?;
            ensure!(!in_table(router)?, "{}: the VIP is left", router.name);
        }
        lan.net.demolish()?;
    }
    Ok(())
}
