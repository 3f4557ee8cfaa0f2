//! The packet filter by iptables, and the setting that spares part of it. Debian's keepalived is built
//! without iptables and takes nftables instead, so that there is nothing to compare the rules with.

use std::time::Duration;

use crate::cases::daemon::only_vipd;
use crate::cases::scene::{ELECTION, Instance, Lan, Router, VIP, answered_by, wait_owner};
use crate::lab::check::{Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::Kind;
use crate::lab::process::Process;
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "iptables.life",
        proves: "with vrrp_iptables a VIP is found and does not answer, IPv4 and IPv6; rules survive a \
                 crash, follow reloads, leave those of others alone and go with the daemon",
        limit: Duration::from_secs(120),
        run: life,
    },
    Case {
        name: "iptables.no_such_chain",
        proves: "a chain that is not there is told with what to do, and nothing is left behind",
        limit: Duration::from_secs(60),
        run: no_such_chain,
    },
    Case {
        name: "vmac.disable_local_igmp",
        proves: "disable_local_igmp sets the kernel's switch while the daemon runs: no report of a \
                 VMAC is sent and no rule made for it, as with keepalived",
        limit: Duration::from_secs(120),
        run: disable_local_igmp,
    },
];

/// The guest's kernel has no nf_tables for IPv4.
pub(crate) const GUEST: &[Case] = &[Case {
    name: "iptables.without_nftables",
    proves: "where the kernel has no nftables, no_accept is done by iptables",
    limit: Duration::from_secs(90),
    run: without_nftables,
}];

const LIMIT: Duration = Duration::from_secs(15);
const VIP6: &str = "2001:db8::100";

/// An instance for [`VIP`] and one for [`VIP6`].
fn conf(globals: &str, lines: &str) -> String {
    let four = Instance {
        priority: 100,
        lines,
        unicast: None,
    };
    let six = format!(
        "vrrp_instance W {{\n    interface eth0\n    version 3\n    virtual_router_id 52\n    priority 100\n    \
         {lines}\n    virtual_ipaddress {{\n        fe80::100\n        {VIP6}\n    }}\n}}\n"
    );
    format!("global_defs {{\n    {globals}\n}}\n{}{six}", four.text())
}

/// All rules of both families, without counters and comments.
fn rules(router: &Router) -> Outcome<Vec<String>> {
    let text = router
        .host
        .sh("iptables-save 2>/dev/null; ip6tables-save 2>/dev/null")?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let lines = lines.map(|line| line.split(" [").next().unwrap_or(line).trim_end());
    Ok(lines.map(str::to_owned).collect())
}

fn count(router: &Router, rule: &str) -> Outcome<usize> {
    Ok(rules(router)?.iter().filter(|line| *line == rule).count())
}

/// Neither VIP answers, and both are found.
fn silent(lan: &Lan<'_>) -> Outcome {
    for (vip, family) in [(VIP.to_string(), "-4"), (VIP6.to_owned(), "-6")] {
        let ping = ["ping", family, "-c", "2", "-i", "0.2", "-W", "1", &vip];
        let answered = lan.client.try_run(&ping)?;
        ensure!(answered.code != Some(0), "{vip} answers");
        let known = lan.client.run(&["ip", "neigh", "show", &vip])?;
        ensure!(
            known.contains("lladdr"),
            "nobody says where {vip} is: {known}"
        );
    }
    Ok(())
}

fn answers(lan: &Lan<'_>) -> Outcome {
    for (vip, family) in [(VIP.to_string(), "-4"), (VIP6.to_owned(), "-6")] {
        wait_until(format!("{vip} answers"), LIMIT, || {
            let ping = ["ping", family, "-c", "1", "-W", "1", &vip];
            Ok(lan.client.try_run(&ping)?.code == Some(0))
        })?;
    }
    Ok(())
}

fn life(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let lan = Lan::new(lab)?;
    let mut router = lan.router("router", 1, lab.subject())?;
    router.host.ip("addr add 2001:db8::1/64 dev eth0 nodad\n")?;
    lan.client.ip("addr add 2001:db8::10/64 dev eth0 nodad\n")?;
    router.host.sh(
        "for t in iptables ip6tables; do $t -N SHOP_IN; $t -N SHOP_OUT; $t -A INPUT -j SHOP_IN; \
         $t -A OUTPUT -j SHOP_OUT; done; iptables -A SHOP_IN -s 9.9.9.9 -j ACCEPT",
    )?;
    let before = rules(&router)?;
    let (named, bare) = ("vrrp_iptables SHOP_IN SHOP_OUT", "vrrp_iptables");
    router.start(&conf(named, "no_accept"))?;
    wait_owner(&router, &[])?;
    wait_until("the other VIP", ELECTION, || {
        let there = router.host.addresses()?;
        Ok(there.iter().any(|address| address.local == VIP6))
    })?;
    silent(&lan)?;
    for rule in [
        "-A SHOP_IN -j vipd-in",
        "-A SHOP_OUT -j vipd-out",
        "-A vipd-in -d fe80::100/128 -i eth0 -j DROP",
        "-A vipd-out -s fe80::100/128 -o eth0 -j DROP",
    ] {
        ensure!(count(&router, rule)? > 0, "no rule {rule:?}");
    }
    ensure!(
        !router
            .host
            .run(&["nft", "list", "tables"])?
            .contains("vipd"),
        "there is a table of nftables, too"
    );
    router.daemon()?.kill()?;
    silent(&lan)?;
    router.daemon()?.start_again()?;
    router.daemon()?.wait_log("rules are in place", 2, LIMIT)?;
    // One for each family.
    ensure_eq!(
        count(&router, "-A SHOP_IN -j vipd-in")?,
        2,
        "ways to our chain"
    );
    let made = rules(&router)?;
    router.daemon()?.hang_up()?;
    router.daemon()?.wait_log("reloaded", 1, LIMIT)?;
    ensure_eq!(rules(&router)?, made, "rules after a reload of the same");

    router.daemon()?.reload(&conf(named, "accept"))?;
    answers(&lan)?;
    ensure_eq!(rules(&router)?, before, "rules that nobody asked for");
    router.daemon()?.reload(&conf(named, "no_accept"))?;
    wait_until("rules again", LIMIT, || {
        Ok(count(&router, "-A SHOP_IN -j vipd-in")? == 2)
    })?;
    router.daemon()?.reload(&conf(bare, "no_accept"))?;
    wait_until("rules called from INPUT", LIMIT, || {
        Ok(count(&router, "-A INPUT -j vipd-in")? == 2
            && count(&router, "-A SHOP_IN -j vipd-in")? == 0)
    })?;
    silent(&lan)?;
    router.daemon()?.reload(&conf("nftables", "no_accept"))?;
    wait_until("a table instead", LIMIT, || {
        let tables = router.host.run(&["nft", "list", "tables"])?;
        Ok(tables.contains("ip vipd") && rules(&router)? == before)
    })?;
    silent(&lan)?;
    router.daemon()?.reload(&conf(named, "no_accept"))?;
    wait_until("rules instead", LIMIT, || {
        Ok(count(&router, "-A SHOP_IN -j vipd-in")? == 2)
    })?;
    router.stop()?;
    ensure_eq!(rules(&router)?, before, "rules left behind");
    ensure!(
        !router
            .host
            .run(&["nft", "list", "tables"])?
            .contains("vipd"),
        "the table is left"
    );
    Ok(())
}

fn no_such_chain(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let lan = Lan::new(lab)?;
    let mut router = lan.router("router", 1, lab.subject())?;
    let before = rules(&router)?;
    router.start(&conf("vrrp_iptables SHOP_IN", "no_accept"))?;
    wait_owner(&router, &[])?;
    let said = router.daemon()?.log();
    for words in [
        "traffic is not dropped",
        "chain SHOP_IN has to be there",
        "-N SHOP_IN",
    ] {
        ensure!(said.contains(words), "it says: {said}");
    }
    let left = rules(&router)?;
    ensure!(
        !left.iter().any(|line| line.contains("vipd")),
        "left: {left:?}"
    );
    router.stop()?;
    let mut after = rules(&router)?;
    after.retain(|line| !before.contains(line));
    ensure!(
        !after.iter().any(|line| line.contains("-A")),
        "left: {after:?}"
    );
    Ok(())
}

fn without_nftables(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let lan = Lan::new(lab)?;
    let mut router = lan.router("router", 1, lab.subject())?;
    router.start(
        &Instance {
            priority: 100,
            lines: "no_accept",
            unicast: None,
        }
        .text(),
    )?;
    wait_owner(&router, &[])?;
    router
        .daemon()?
        .wait_log("iptables is used instead", 1, LIMIT)?;
    let vip = VIP.to_string();
    let ping = ["ping", "-c", "2", "-i", "0.2", "-W", "1", &vip];
    ensure!(
        lan.client.try_run(&ping)?.code != Some(0),
        "the VIP answers"
    );
    let saved = router.host.run(&["iptables-legacy-save"])?;
    ensure!(
        saved.contains(&format!("-A vipd-in -d {vip}/32 -j DROP")),
        "{saved}"
    );
    router.stop()?;
    let saved = router.host.run(&["iptables-legacy-save"])?;
    ensure!(!saved.contains("vipd"), "left behind: {saved}");
    Ok(())
}

fn disable_local_igmp(lab: &Lab) -> Outcome {
    let mut seen = Vec::new();
    for kind in [Kind::Keepalived, lab.subject()] {
        for globals in ["nftables shop", "nftables shop\n    disable_local_igmp"] {
            let lan = Lan::new(lab)?;
            let mut router = lan.router("router", 1, kind)?;
            let port = router.port.name.clone();
            let watch = ["tcpdump", "-l", "-n", "-i", &port, "igmp"];
            let reports = router.port.switch().spawn("tcpdump", &watch)?;
            let count = |watch: &Process| watch.log().matches("igmp v3 report").count();
            let earlier = count(&reports);
            let instance = Instance {
                priority: 100,
                lines: "use_vmac",
                unicast: None,
            };
            let switch = "/proc/sys/net/ipv4/igmp_link_local_mcast_reports";
            router.start(&format!(
                "global_defs {{\n    {globals}\n}}\n{}",
                instance.text()
            ))?;
            wait_owner(&router, &[])?;
            let pulse = lan.pulse(Duration::from_millis(50))?;
            answered_by(&pulse, &router)?;
            // Reports that were not asked for are sent within a second, twice.
            std::thread::sleep(Duration::from_secs(3));
            let shown = router.host.run(&["cat", switch])?.trim().to_owned();
            let rules = router.host.run(&["nft", "list", "ruleset"])?;
            let sent = count(&reports) > earlier;
            seen.push((shown, rules.contains("igmp"), sent));
            router.stop()?;
            let afterwards = router.host.run(&["cat", switch])?;
            ensure_eq!(afterwards.trim(), "1", "the switch afterwards");
            drop((pulse, reports));
            lan.net.demolish()?;
        }
    }
    let plain = ("1".to_owned(), true, true);
    let disabled = ("0".to_owned(), false, false);
    let expected = [plain.clone(), disabled.clone(), plain, disabled];
    ensure_eq!(
        seen,
        expected,
        "the switch, rules for reports, reports on the wire"
    );
    Ok(())
}
