//! What a master does not accept, and how it is dropped.

pub(crate) mod iptables;
mod services;

use std::collections::BTreeSet;
use std::time::Duration;

use super::scene::{ELECTION, Instance, Lan, VIP, answered_by, wait_owner};
use crate::lab::check::{Failure, Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::Kind;
use crate::lab::{Case, Lab};
use vipd::kernel::nftables::{Nftables, Table};
use vipd::kernel::route::Route;
use vipd::net::{Family, Filter};

/// The guest's kernel has no nf_tables for IPv4.
pub(crate) const CASES: &[Case] = &[
    Case {
        name: "firewall.tables",
        proves: "tables for both families are made as nft reads them, replaced whole, and removed",
        limit: Duration::from_secs(30),
        run: tables,
    },
    Case {
        name: "firewall.services",
        proves: "the table that marks packets for groups and masquerades is made as nft reads it, marks \
                 packets, and is removed",
        limit: Duration::from_secs(30),
        run: services::services,
    },
    Case {
        name: "firewall.no_accept",
        proves: "under no_accept a VIP is found and does not answer, with the rules of keepalived",
        limit: Duration::from_secs(90),
        run: no_accept,
    },
    Case {
        name: "firewall.life",
        proves: "rules go with a reload, survive a crash, are found again and leave with the daemon",
        limit: Duration::from_secs(90),
        run: life,
    },
];

fn with_lines(lines: &str) -> String {
    let instance = Instance {
        priority: 100,
        lines,
        unicast: None,
    };
    format!("global_defs {{\n    nftables shop\n}}\n{}", instance.text())
}

fn tables(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let host = lan.client.clone();
    host.run(&["ip", "link", "add", "m4", "link", "eth0", "type", "macvlan"])?;
    host.run(&["ip", "link", "add", "m6", "link", "eth0", "type", "macvlan"])?;
    let name = |text: &str| text.parse().map_err(|_| Failure::failed("a name"));
    let mut filter = Filter {
        v4: (1..=1200)
            .map(|n| std::net::Ipv4Addr::from_bits(0x0a00_0000 + n))
            .collect(),
        v6: [std::net::Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1)].into(),
        ..Filter::default()
    };
    let link_local = std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    filter.link_local.insert((link_local, name("m6")?));
    filter
        .vmacs
        .insert(name("m4")?, (Family::V4, name("eth0")?));
    filter
        .vmacs
        .insert(name("m6")?, (Family::V6, name("eth0")?));
    let table = Table {
        name: "shop".to_owned(),
        priority: -1,
        counters: true,
    };
    let made = host.within(|| {
        let links = Route::open()?.links().map_err(std::io::Error::other)?;
        let index_of = |name: &_| links.iter().find(|l| l.name == *name).map(|l| l.index);
        let mut nftables = Nftables::open()?;
        // Twice: the second finds the first there.
        for _ in 0..2 {
            nftables
                .replace(&table, &filter, index_of)
                .map_err(std::io::Error::other)?;
        }
        Ok::<_, std::io::Error>(())
    })?;
    made?;
    let text = host.run(&["nft", "list", "ruleset"])?;
    let lines: BTreeSet<String> = text.lines().map(uncounted).collect();
    for rule in [
        "ip daddr @vips counted drop",
        "ip saddr @vips counted drop",
        "ip protocol igmp dup to ip daddr device oifname map @vmac_map counted drop",
        "icmpv6 type mld2-listener-report dup to ip6 daddr device oifname map @vmac_map counted drop",
        "icmpv6 type nd-router-solicit oifname @vmac_set counted drop",
        "icmpv6 type nd-neighbor-solicit counted accept",
        "icmpv6 type nd-neighbor-advert counted accept",
        "ip6 saddr fe80::/10 counted goto out_link_local",
        "ip6 daddr fe80::/10 counted goto in_link_local",
        "ip6 saddr @vips counted drop",
        "ip6 daddr @vips counted drop",
        "ip6 saddr . oifname @vips_link_local counted drop",
        "ip6 daddr . iifname @vips_link_local counted drop",
        "elements = { \"m4\" : \"eth0\" }",
        "elements = { \"m6\" : \"eth0\" }",
        "elements = { \"m6\" }",
        "elements = { fe80::1 . \"m6\" }",
    ] {
        ensure!(lines.contains(rule), "no rule {rule:?} in\n{text}");
    }
    ensure_eq!(text.matches("10.0.").count(), 1200, "addresses of IPv4");
    let gone = host.within(|| {
        let mut nftables = Nftables::open()?;
        // Twice: the second finds nothing.
        nftables.remove("shop").map_err(std::io::Error::other)?;
        nftables.remove("shop").map_err(std::io::Error::other)
    })?;
    gone?;
    ensure_eq!(
        host.run(&["nft", "list", "ruleset"])?,
        "",
        "rules left behind"
    );
    Ok(())
}

/// A rule without its numbers, which change with every packet.
fn uncounted(line: &str) -> String {
    let line = line.trim();
    let Some((rule, numbers)) = line.split_once(" counter packets ") else {
        return line.to_owned();
    };
    let verdict = numbers.splitn(4, ' ').nth(3).unwrap_or_default();
    format!("{rule} counted {verdict}")
}

fn no_accept(lab: &Lab) -> Outcome {
    let mut rules = Vec::new();
    for kind in [Kind::Keepalived, lab.subject()] {
        let lan = Lan::new(lab)?;
        let mut router = lan.router("router", 1, kind)?;
        router.start(&with_lines("no_accept"))?;
        wait_owner(&router, &[])?;
        let asked =
            ["ping", "-c", "2", "-i", "0.2", "-W", "1", &VIP.to_string()].map(str::to_owned);
        let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
        let answered = lan.client.try_run(&asked)?;
        ensure!(answered.code != Some(0), "{}: the VIP answers", kind.name());
        let known = lan.client.run(&["ip", "neigh", "show", &VIP.to_string()])?;
        ensure!(
            known.contains("lladdr"),
            "{}: nobody says where the VIP is: {known}",
            kind.name()
        );
        rules.push(router.host.run(&["nft", "list", "ruleset"])?);
        router.stop()?;
        ensure_eq!(
            router.host.run(&["nft", "list", "ruleset"])?,
            "",
            "rules left behind"
        );
        lan.net.demolish()?;
    }
    ensure_eq!(
        rules.first(),
        rules.get(1),
        "rules of keepalived and of vipd"
    );
    Ok(())
}

fn life(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut router = lan.router("router", 1, lab.subject())?;
    router.start(&with_lines("accept"))?;
    wait_owner(&router, &[])?;
    let pulse = lan.pulse(Duration::from_millis(20))?;
    answered_by(&pulse, &router)?;
    let rules = |router: &super::scene::Router| router.host.run(&["nft", "list", "ruleset"]);
    ensure_eq!(rules(&router)?, "", "rules that nobody asked for");
    router.daemon()?.reload(&with_lines("no_accept"))?;
    wait_until("rules are made", ELECTION, || {
        Ok(rules(&router)?.contains("192.0.2.100"))
    })?;
    wait_until("the VIP is silent", ELECTION, || {
        Ok(pulse.answered_by(Duration::from_millis(200)).is_none())
    })?;
    router.daemon()?.kill()?;
    ensure!(
        rules(&router)?.contains("192.0.2.100"),
        "a crash removed the rules"
    );
    let renamed = with_lines("no_accept").replace("shop", "stall");
    std::fs::write(router.daemon()?.file(), renamed)?;
    router.daemon()?.start_again()?;
    wait_until("the table of now", ELECTION, || {
        Ok(rules(&router)?.contains("table ip stall"))
    })?;
    ensure!(
        !rules(&router)?.contains("shop"),
        "the table of before is left"
    );
    wait_owner(&router, &[])?;
    router.daemon()?.reload(&with_lines("accept"))?;
    wait_until("no rules", ELECTION, || Ok(rules(&router)?.is_empty()))?;
    answered_by(&pulse, &router)?;
    router.daemon()?.reload(&with_lines("strict_mode on"))?;
    wait_until("rules again", ELECTION, || Ok(!rules(&router)?.is_empty()))?;
    router.stop()?;
    ensure_eq!(rules(&router)?, "", "rules left behind");
    Ok(())
}
