//! Every option of an address, beside what keepalived makes of it.

use std::time::Duration;

use super::daemon::only_vipd;
use super::scene::{Instance, Lan, VIP, wait_owner};
use super::side_by_side::{ADDRESSES, SideBySide, shown};
use crate::lab::check::{Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::Kind;
use crate::lab::net::Host;
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "options.addresses",
        proves: "every option of an address has the effect that it has in keepalived, as master, as \
                 backup, after reloads and after the end",
        limit: Duration::from_secs(180),
        run: addresses,
    },
    Case {
        name: "options.over_ipv6",
        proves: "every option of an address of IPv6 has the effect that it has in keepalived, as \
                 master, as backup and after the end",
        limit: Duration::from_secs(180),
        run: over_ipv6,
    },
    Case {
        name: "options.first_of_network",
        proves: "a VIP that was first in its network goes without the host's own address and the \
                 route behind it",
        limit: Duration::from_secs(90),
        run: first_of_network,
    },
    Case {
        name: "options.promote_secondaries",
        proves: "promote_secondaries is set while it is configured, saves the VIP when somebody \
                 removes the address before it, and is put back, after a crash too",
        limit: Duration::from_secs(90),
        run: promote_secondaries,
    },
];

const LIMIT: Duration = Duration::from_secs(15);

/// Addresses with every option; `dev` where it is not the instance's own.
const OPTIONS: &str = "\
    192.0.2.101/24 brd + dev eth0
    192.0.2.102/24 brd 192.0.2.254 label eth0:x
    192.0.2.103/24 broadcast -
    192.0.2.104/28 noprefixroute
    192.0.2.105 preferred_lft 100
    192.0.2.106 scope site
    192.0.2.107 scope 7 no_track
    192.0.2.108/32 brd +
    198.51.100.2/24 dev eth1 scope link
    203.0.113.3 dev eth1 label eth1:a
    10.1.1.1 peer 10.1.1.2
    10.1.1.3 peer 10.1.2.2";

/// Some of them, with other options.
const FEWER: &str = "\
    192.0.2.101/24 brd - dev eth0
    192.0.2.102/24 label eth0:y
    192.0.2.104/28
    192.0.2.106 scope link
    203.0.113.2/24 dev eth1";

/// keepalived cannot delete an address with a peer: it asks for another one.
const LEFT_BEHIND: &[&str] = &["10.1.1.1", "10.1.1.3"];

fn excluded(lines: &str) -> String {
    let lines = format!("virtual_ipaddress_excluded {{\n{lines}\n}}");
    Instance {
        priority: 150,
        lines: &lines,
        unicast: None,
    }
    .text()
}

fn addresses(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let mut both = SideBySide::start(lab, &excluded(OPTIONS), "")?;
    let there = shown(&both.vipd.host, ADDRESSES, &[])?;
    for line in &there {
        lab.note(line);
    }
    ensure!(there.len() > 14, "only {} addresses", there.len());
    both.same("as master", &[ADDRESSES], &[])?;
    both.as_backup(|| both.same("as backup", &[ADDRESSES], LEFT_BEHIND))?;
    both.same("as master again", &[ADDRESSES], LEFT_BEHIND)?;
    both.reload(&excluded(FEWER))?;
    // keepalived does not look at these options when it reloads: what it says of a fresh start counts.
    let after = shown(&both.vipd.host, ADDRESSES, &[])?;
    both.stop()?;
    both.same("after the end", &[ADDRESSES], LEFT_BEHIND)?;
    let own = shown(&both.vipd.host, ADDRESSES, &[])?;
    ensure!(
        own.iter().all(|line| !line.contains("10.1.1.")),
        "left: {own:?}"
    );
    both.start_again(&excluded(FEWER))?;
    both.same("as master, with fewer", &[ADDRESSES], LEFT_BEHIND)?;
    let from_start = shown(&both.vipd.host, ADDRESSES, &[])?;
    ensure_eq!(after, from_start, "a reload, beside a start");
    Ok(())
}

/// Addresses of IPv6 with every option.
const OVER_IPV6: &str = "\
    2001:db8::100
    2001:db8::101/64
    2001:db8::102/64 -nodad
    2001:db8::103/64 home noprefixroute
    2001:db8::104/64 preferred_lft 0
    2001:db8::105/128 preferred_lft forever
    2001:db8::106/64 mngtmpaddr
    2001:db8::107/64 preferred_lft 1000
    2001:db8::108 dev eth1
    2001:db8::109 peer 2001:db8:1::9";

fn over_ipv6(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let mut both = SideBySide::start(lab, &excluded(OVER_IPV6), "")?;
    let there = shown(&both.vipd.host, ADDRESSES, &[])?;
    for line in &there {
        lab.note(line);
    }
    let count = there
        .iter()
        .filter(|line| line.contains("2001:db8::10"))
        .count();
    ensure_eq!(count, 10, "addresses of IPv6: {there:?}");
    both.same("as master", &[ADDRESSES], &[])?;
    both.as_backup(|| both.same("as backup", &[ADDRESSES], &["2001:db8::109"]))?;
    both.same("as master again", &[ADDRESSES], &["2001:db8::109"])?;
    both.stop()?;
    both.same("after the end", &[ADDRESSES], &["2001:db8::109"])?;
    let own = shown(&both.vipd.host, ADDRESSES, &[])?;
    ensure!(
        own.iter().all(|line| !line.contains("2001:db8::10")),
        "left: {own:?}"
    );
    Ok(())
}

fn first_of_network(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let lan = Lan::new(lab)?;
    let mut a = lan.router("a", 1, Kind::Vipd)?;
    a.start(&excluded("198.51.100.100/24"))?;
    wait_owner(&a, &[])?;
    let first = |host: &Host| {
        let found = host.addresses()?;
        let found = found.iter().find(|x| x.local == "198.51.100.100");
        Ok(found.is_some_and(|x| !x.flags.contains(&"secondary".to_owned())))
    };
    wait_until("the VIP is the first of its network", LIMIT, || {
        first(&a.host)
    })?;
    a.host.ip("addr add 198.51.100.1/24 dev eth0\n\
         route add 10.77.0.0/16 via 198.51.100.9\n")?;
    a.stop()?;
    let left: Vec<String> = a.host.addresses()?.into_iter().map(|x| x.local).collect();
    ensure!(left.contains(&"198.51.100.1".to_owned()), "left: {left:?}");
    ensure!(
        !left.contains(&"198.51.100.100".to_owned()),
        "left: {left:?}"
    );
    let routes = a.host.run(&["ip", "route"])?;
    ensure!(routes.contains("10.77.0.0/16 via 198.51.100.9"), "{routes}");
    ensure_eq!(promotes(&a.host)?, "0", "promote_secondaries afterwards");
    Ok(())
}

fn promote_secondaries(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let lan = Lan::new(lab)?;
    let mut a = lan.router("a", 1, Kind::Vipd)?;
    let with = |lines: &str| {
        Instance {
            priority: 150,
            lines,
            unicast: None,
        }
        .text()
        .replace(&format!("{VIP}\n"), &format!("{VIP}/24\n"))
    };
    a.start(&with("promote_secondaries"))?;
    wait_owner(&a, &[])?;
    let host = a.host.clone();
    let set = || promotes(&host);
    ensure_eq!(set()?, "1", "promote_secondaries while it runs");
    // With a second address of its own the router stays in the election.
    host.ip("addr add 192.0.2.2/24 dev eth0\naddr del 192.0.2.1/24 dev eth0\n")?;
    std::thread::sleep(Duration::from_secs(2));
    ensure!(a.has_vip()?, "the VIP went with the address before it");
    let taken = a.daemon()?.logged("by somebody else");
    ensure_eq!(taken, 0, "removals of the VIP");
    a.daemon()?.reload(&with(""))?;
    wait_until("it is put back", LIMIT, || Ok(set()? == "0"))?;
    a.daemon()?.reload(&with("promote_secondaries"))?;
    wait_until("it is set again", LIMIT, || Ok(set()? == "1"))?;
    a.stop()?;
    ensure_eq!(set()?, "0", "promote_secondaries after the end");
    // What a crash leaves is put back by whoever comes next, whether it asks for it or not.
    for next in ["promote_secondaries", ""] {
        a.start(&with("promote_secondaries"))?;
        wait_until("it is set", LIMIT, || Ok(set()? == "1"))?;
        a.daemon()?.kill()?;
        ensure_eq!(set()?, "1", "promote_secondaries after a crash");
        a.daemon()?.rewrite(&with(next))?;
        a.daemon()?.start_again()?;
        wait_owner(&a, &[])?;
        let now = if next.is_empty() { "0" } else { "1" };
        ensure_eq!(set()?, now, "promote_secondaries with {next:?}");
        a.stop()?;
        ensure_eq!(set()?, "0", "promote_secondaries after that");
    }
    Ok(())
}

fn promotes(host: &Host) -> Outcome<String> {
    let file = "/proc/sys/net/ipv4/conf/eth0/promote_secondaries";
    Ok(host.run(&["cat", file])?.trim().to_owned())
}
