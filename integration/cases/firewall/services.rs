//! What virtual servers have of the packet filter, as nftables: without IPVS, which this kernel has not.

use std::collections::BTreeSet;

use crate::cases::scene::Lan;
use crate::lab::Lab;
use crate::lab::check::{Failure, Outcome, ensure, ensure_eq};
use vipd::kernel::nftables::Nftables;
use vipd::net::{Endpoint, Family, FwMark, Masquerade, MasqueradedService, Protocol, ServiceRules};

pub(super) fn services(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let host = lan.client.clone();
    let mark = |n: u32| FwMark::new(n).ok_or_else(|| Failure::failed("a mark"));
    let endpoint = |address: &str, port| {
        let address = address.parse().map_err(|_| Failure::failed("an address"))?;
        Ok::<_, Failure>(Endpoint::new(address, port))
    };
    let network = |text: &str| text.parse().map_err(|_| Failure::failed("a network"));
    let mut rules = ServiceRules::default();
    for (protocol, address, port, number) in [
        (Protocol::Tcp, "10.0.0.1", 80, 1000),
        (Protocol::Udp, "10.0.0.2", 53, 1001),
        (Protocol::Tcp, "10.0.0.3", 0, 1002),
        (Protocol::Tcp, "127.0.0.1", 0, 4711),
        (Protocol::Tcp, "fd00::1", 443, 1003),
    ] {
        let key = (protocol, endpoint(address, port)?);
        rules.marks.insert(key, mark(number)?);
    }
    for n in 0..1200_u32 {
        let address = std::net::IpAddr::from(std::net::Ipv4Addr::from_bits(0x0a01_0000 + n));
        rules
            .marks
            .insert((Protocol::Tcp, Endpoint::new(address, 80)), mark(7)?);
    }
    for (to, within) in [
        (
            MasqueradedService::Address(endpoint("10.0.0.1", 0)?.addr),
            Some(network("172.18.0.1/16")?),
        ),
        (MasqueradedService::FwMark(Family::V4, mark(1000)?), None),
        (
            MasqueradedService::Address(endpoint("fd00::1", 0)?.addr),
            Some(network("fd01::1/64")?),
        ),
    ] {
        rules.masquerades.insert(Masquerade { to, within });
    }
    let made = host.within(|| {
        let mut nftables = Nftables::open()?;
        // Twice: the second finds the first there.
        for _ in 0..2 {
            nftables
                .replace_services("lb", -151, &rules)
                .map_err(std::io::Error::other)?;
        }
        Ok::<_, std::io::Error>(())
    })?;
    made?;
    let text = host.run(&["nft", "list", "ruleset"])?;
    let lines: BTreeSet<&str> = text.lines().map(str::trim).collect();
    for rule in [
        "type ipv4_addr . inet_proto . inet_service : mark",
        "type ipv4_addr . inet_proto : mark",
        "meta mark set ip daddr . meta l4proto map @any_port",
        "meta mark set ip daddr . meta l4proto . th dport map @ports",
        "meta mark set ip6 daddr . meta l4proto . th dport map @ports",
        "type filter hook input priority mangle - 1; policy accept;",
        "type filter hook output priority mangle - 1; policy accept;",
        "type nat hook postrouting priority srcnat; policy accept;",
        "ip daddr != @asked0 ip saddr 172.18.0.0/16 ip daddr 172.18.0.0/16 ct original ip daddr @asked0 masquerade",
        "meta mark 0x000003e8 masquerade",
        "ip6 daddr != @asked0 ip6 saddr fd01::/64 ip6 daddr fd01::/64 ct original ip6 daddr @asked0 masquerade",
    ] {
        ensure!(lines.contains(rule), "no rule {rule:?} in\n{text}");
    }
    for element in [
        "10.0.0.1 . tcp . 80 : 0x000003e8",
        "10.0.0.2 . udp . 53 : 0x000003e9",
        "10.0.0.3 . tcp : 0x000003ea",
        "fd00::1 . tcp . 443 : 0x000003eb",
    ] {
        ensure!(text.contains(element), "no element {element:?} in\n{text}");
    }
    ensure_eq!(
        text.matches("tcp . 80 : 0x00000007").count(),
        1200,
        "addresses of a group"
    );
    // The kernel does as it says: what goes to a marked address is marked before a chain at 0 sees it.
    host.sh(
        "nft 'add table ip look; add chain ip look out { type filter hook output priority 0; }; \
         add rule ip look out ip daddr 127.0.0.1 tcp dport 9 meta mark 4711 counter'; \
         timeout 1 bash -c '</dev/tcp/127.0.0.1/9' 2>/dev/null || true",
    )?;
    let seen = host.run(&["nft", "list", "table", "ip", "look"])?;
    ensure!(!seen.contains("packets 0"), "nothing was marked:\n{seen}");
    let gone = host.within(|| {
        let mut nftables = Nftables::open()?;
        nftables.remove("lb").map_err(std::io::Error::other)
    })?;
    gone?;
    let left = host.run(&["nft", "list", "tables"])?;
    ensure_eq!(left.trim(), "table ip look", "tables left behind");
    Ok(())
}
