//! Routes and rules, every token of them, beside what keepalived makes of them.

use std::time::{Duration, Instant};

use super::daemon::only_vipd;
use super::scene::{Instance, Lan, VIP, wait_owner};
use super::side_by_side::{ADDRESSES, ROUTES, SideBySide, shown};
use crate::lab::check::{Outcome, ensure, ensure_eq, holds_for, wait_until};
use crate::lab::daemon::Kind;
use crate::lab::net::Host;
use crate::lab::netlink::Requests;
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "routes.tokens",
        proves: "every token of virtual_routes and virtual_rules makes what it makes in keepalived; \
                 they come and go with the mastership and change with a reload",
        limit: Duration::from_secs(240),
        run: tokens,
    },
    Case {
        name: "routes.statics",
        proves: "static addresses, routes and rules are there as backup and as master, come back \
                 when somebody removes them, and go at the end",
        limit: Duration::from_secs(180),
        run: statics,
    },
    Case {
        name: "routes.defended",
        proves: "a route and a rule that somebody removes come back; those of a killed vipd that \
                 nobody wants any more go at the next start",
        limit: Duration::from_secs(120),
        run: defended,
    },
    Case {
        name: "routes.more",
        proves: "what keepalived 2.2.7 lacks or refuses: IPv6 neighbours of IPv4 routes, protocols, \
                 names of tables, VRFs, single ports",
        limit: Duration::from_secs(90),
        run: more,
    },
    Case {
        name: "routes.many_others",
        proves: "100,000 routes of somebody else do not keep vipd from its adverts or its own routes",
        limit: Duration::from_secs(180),
        run: many_others,
    },
];

const LIMIT: Duration = Duration::from_secs(15);

const VIRTUAL_ROUTES: &str = "\
    10.60.0.0/24 via 192.0.2.9
    10.61.0.0/24 gw 192.0.2.9 dev eth0
    src 192.0.2.100 to 10.62.0.0/24 via 192.0.2.9 dev eth0
    10.63.0.0/24 via 192.0.2.9 oif eth0 table 100
    10.64.0.0/24 via 192.0.2.9 dev eth0 metric 44
    10.64.0.0/24 via 192.0.2.8 dev eth0 priority 45
    10.64.0.0/24 via 192.0.2.7 dev eth0 preference 46
    10.65.0.0/24 dev eth0 scope link
    10.66.0.0/24 via 192.0.2.9 dev eth0 tos 4
    10.66.0.0/24 via 192.0.2.9 dev eth0 dsfield 0x08
    10.67.0.0/24 via 192.0.2.9 dev eth0 mtu lock 1400
    10.68.0.0/24 via 192.0.2.9 dev eth0 mtu 1400 hoplimit 10 advmss 1300 rtt 400ms rttvar 1s reordering 4 window 1000 cwnd lock 5 ssthresh lock 7 realms 3/4 rto_min 300 initcwnd 11 initrwnd 12 features ecn quickack 1 congctl reno
    10.69.0.0/24 via 192.0.2.9 dev eth0 onlink
    10.70.0.0/24 nexthop via 192.0.2.9 dev eth0 weight 2 nexthop via 192.0.2.8 dev eth0 weight 3 onlink
    blackhole 10.71.0.0/24
    unreachable 10.72.0.0/24
    prohibit 10.73.0.0/24
    throw 10.74.0.0/24
    10.78.0.0/24 via 192.0.2.9 or 192.0.2.8
    default via 192.0.2.9 table 200
    10.79.0.0/24 via 192.0.2.9 dev eth0 ttl-propagate enabled
    10.80.0.0/24 via 192.0.2.9 dev eth0 fastopen_no_cookie 1 no_track
    10.81.0.0/24 dev eth0 vrf red
    10.85.0.0/24 dev eth0
    10.86.0.0/24 encap ip id 5 dst 10.0.0.9 src 10.0.0.8 ttl 9 tos 4 dev eth0
    10.87.0.0/24 via 192.0.2.9 append
    10.88.0.0/24 via 192.0.2.9 add
    10.89.0.0/24 via 192.0.2.9 prepend
    2001:db8:60::/64 via 2001:db8::9 dev eth0
    2001:db8:61::/64 via 2001:db8::9 dev eth0 pref high
    2001:db8:62::/64 via 2001:db8::9 dev eth0 pref low metric 5
    2001:db8:63::/64 dev eth0 expires 600
    2001:db8:64::/64 dev eth0 table 100 mtu 1400
    src 2001:db8::1 2001:db8:65::/64 via 2001:db8::9 dev eth0
    default via 2001:db8::9 table 200
    2001:db8:66::/64 nexthop via 2001:db8::9 dev eth0 weight 2 nexthop via 2001:db8::8 dev eth0 weight 3
    unreachable 2001:db8:67::/64
    blackhole 2001:db8:68::/64
    2001:db8:69::/64 encap ip6 id 5 dst 2001:db8::99 src 2001:db8::98 hoplimit 9 dev eth0";

const VIRTUAL_RULES: &str = "\
    from 10.60.0.0/24 table 100
    to 10.61.0.0/24 table 101 priority 500
    from 10.62.0.0/24 to 10.63.0.0/24 table 102 preference 501 tos 4 fwmark 0x5/0xff realms 3/4 sup_pl 5 sup_group 6 iif eth0 oif eth0 tunnel-id 9 uidrange 10-20
    not from 10.64.0.0/24 table 103 priority 502
    from 10.65.0.0/24 blackhole priority 503
    from 10.66.0.0/24 unreachable priority 504
    from 10.67.0.0/24 type prohibit priority 505
    from 10.69.0.0/24 goto 510 priority 506
    from 10.70.0.0/24 nop priority 510
    l3mdev priority 507
    ipproto tcp sport 10-20 dport 80-90 table 105 priority 509 no_track
    from 2001:db8:60::/64 table 100
    from all to all table 107 priority 602
    from 10.76.0.0/24 lookup main priority 604
    from 10.77.0.0/24 order 605 lookup 200
    from 10.78.0.0/24 dsfield 8 priority 606 table 3
    fwmark 9 dev eth0 table 3 priority 607
    from 10.79.0.0/24 suppress_prefixlength 7 suppress_ifgroup 8 table 4 priority 608";

/// Some that stay, some that change, one that is new.
const OTHER_ROUTES: &str = "\
    10.60.0.0/24 via 192.0.2.9
    10.64.0.0/24 via 192.0.2.9 dev eth0 metric 44
    10.67.0.0/24 via 192.0.2.8 dev eth0
    10.70.0.0/24 nexthop via 192.0.2.7 dev eth0 nexthop via 192.0.2.8 dev eth0
    blackhole 10.90.0.0/24
    2001:db8:61::/64 via 2001:db8::8 dev eth0
    2001:db8:62::/64 via 2001:db8::9 dev eth0 pref low metric 5";

const OTHER_RULES: &str = "\
    to 10.61.0.0/24 table 101 priority 500
    not from 10.64.0.0/24 table 104 priority 502
    to 10.91.0.0/24 table 5 priority 503";

fn with(before: &str, lines: &str) -> String {
    let instance = Instance {
        priority: 150,
        lines,
        unicast: None,
    };
    format!("{before}\n{}", instance.text())
}

fn routed(routes: &str, rules: &str) -> String {
    let lines = format!("virtual_routes {{\n{routes}\n}}\nvirtual_rules {{\n{rules}\n}}");
    with("", &lines)
}

const PREPARE: &str = "ip link add red type vrf table 300\nip link set red up";

fn tokens(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let mut both = SideBySide::start(lab, &routed(VIRTUAL_ROUTES, VIRTUAL_RULES), PREPARE)?;
    let there = shown(
        &both.keepalived.host,
        &["route", "show", "table", "all"],
        &[],
    )?;
    ensure!(there.len() > 35, "keepalived set too little: {there:?}");
    for line in shown(
        &both.vipd.host,
        &["route", "show", "table", "all"],
        &["table local"],
    )? {
        lab.note(line);
    }
    both.same("as master", ROUTES, &[])?;
    both.as_backup(|| both.same("as backup", ROUTES, &[]))?;
    both.same("as master again", ROUTES, &[])?;
    both.reload(&routed(OTHER_ROUTES, OTHER_RULES))?;
    both.same("after a reload", ROUTES, &[])?;
    both.stop()?;
    both.same("after the end", ROUTES, &[])?;
    Ok(())
}

const STATICS: &str = "\
static_ipaddress {
    198.51.100.1/24 dev eth1 brd + scope link
    2001:db8:9::1/64 dev eth0
    192.0.2.77
}
static_routes {
    10.50.0.0/24 via 192.0.2.9 dev eth0
    10.51.0.0/24 dev eth1 scope link
    2001:db8:50::/64 dev eth0
    unreachable 10.52.0.0/16
}
static_rules {
    from 10.50.0.0/24 table 50
    to 10.51.0.0/24 table 51 priority 1000
    from 2001:db8:50::/64 table 50
}";

fn statics(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let mut both = SideBySide::start(lab, &with(STATICS, ""), "")?;
    let views = [&[ADDRESSES], ROUTES].concat();
    both.same("as master", &views, &[])?;
    both.as_backup(|| both.same("as backup", &views, &[]))?;
    let before = all(&both.vipd.host, &views)?;
    both.vipd.host.ip(
        "addr del 198.51.100.1/24 dev eth1\nroute del 10.50.0.0/24\nrule del priority 1000\n",
    )?;
    both.vipd
        .host
        .run(&["ip", "-6", "route", "del", "2001:db8:50::/64"])?;
    wait_until("all of it is back", LIMIT, || {
        Ok(all(&both.vipd.host, &views)? == before)
    })?;
    both.stop()?;
    both.same("after the end", &views, &[])?;
    let left = shown(&both.vipd.host, ADDRESSES, &[])?;
    ensure!(
        left.iter().all(|line| !line.contains("198.51.100")),
        "left: {left:?}"
    );
    Ok(())
}

fn all(host: &Host, views: &[&[&str]]) -> Outcome<Vec<Vec<String>>> {
    views.iter().map(|words| shown(host, words, &[])).collect()
}

/// A router of vipd alone that is master with these lines.
fn master(lab: &Lab, lan: &Lan<'_>, conf: &str) -> Outcome<super::scene::Router> {
    only_vipd(lab)?;
    let mut router = lan.router("a", 1, Kind::Vipd)?;
    router.host.sh(PREPARE)?;
    router.host.ip("addr add 2001:db8::1/64 dev eth0 nodad\n")?;
    router.start(conf)?;
    wait_owner(&router, &[])?;
    Ok(router)
}

fn routes_of(host: &Host) -> Outcome<Vec<String>> {
    shown(
        host,
        &["-d", "route", "show", "table", "all", "proto", "112"],
        &[],
    )
}

fn defended(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let conf = routed(
        "10.60.0.0/24 via 192.0.2.9\n10.61.0.0/24 dev eth0",
        "from 10.9.9.9 table 9 priority 900",
    );
    let mut a = master(lab, &lan, &conf)?;
    let host = a.host.clone();
    let there = || -> Outcome<(Vec<String>, Vec<String>)> {
        Ok((routes_of(&host)?, shown(&host, &["rule"], &[])?))
    };
    wait_until("its routes", LIMIT, || Ok(there()?.0.len() == 2))?;
    let before = there()?;
    for times in 1..=2 {
        host.ip("route del 10.60.0.0/24\nrule del priority 900\n")?;
        a.daemon()?
            .wait_log("by somebody else: it is put back", 2 * times, LIMIT)?;
        wait_until("they are back", LIMIT, || Ok(there()? == before))?;
    }
    // With the address from which it leads an IPv4 route goes without a word.
    let requests = Requests::watch(&host)?;
    requests.forget();
    a.daemon()?.hang_up()?;
    std::thread::sleep(Duration::from_secs(2));
    ensure_eq!(
        requests.writes()?.len(),
        0,
        "changes by a reload of the same file"
    );
    a.daemon()?.kill()?;
    ensure_eq!(there()?, before, "what a killed vipd leaves");
    a.daemon()?.rewrite(&routed("10.61.0.0/24 dev eth0", ""))?;
    a.daemon()?.start_again()?;
    wait_until("what nobody wants is gone", LIMIT, || {
        let (routes, rules) = there()?;
        let gone = routes.iter().all(|line| !line.contains("10.60.0.0"));
        Ok(gone && rules.iter().all(|line| !line.contains("10.9.9.9")))
    })?;
    Ok(())
}

const MORE_ROUTES: &str = "\
    10.75.0.0/24 via inet6 2001:db8::9 dev eth0
    10.76.0.0/24 via 192.0.2.9 dev eth0 protocol 99
    10.77.0.0/24 via 192.0.2.9 dev eth0 protocol static
    10.78.0.0/24 dev eth0 table blue
    10.81.0.0/24 via 192.0.2.9 dev eth0 vrf red
    10.82.0.0/24 dev eth0 metric 0x10
    local 10.83.0.1/32 dev eth0";

fn more(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let etc = lab.dir().join("iproute2");
    std::fs::create_dir_all(&etc)?;
    std::fs::write(etc.join("rt_tables"), "# tables\n77 blue\n")?;
    let globals = format!("global_defs {{\n    iproute_etc_dir {}\n}}", etc.display());
    let rules = "virtual_rules {\n    ipproto udp dport 53 lookup blue priority 77\n    inet6 fwmark 7 table 5 priority 78\n}";
    let lines = format!("virtual_routes {{\n{MORE_ROUTES}\n}}\n{rules}");
    let mut a = master(lab, &lan, &with(&globals, &lines))?;
    let host = a.host.clone();
    let expected = [
        "10.75.0.0/24 via inet6 2001:db8::9 dev eth0 table main",
        "10.76.0.0/24 via 192.0.2.9 dev eth0 table main proto openr",
        "10.77.0.0/24 via 192.0.2.9 dev eth0 table main proto static",
        "10.78.0.0/24 dev eth0 table 77",
        "10.81.0.0/24 via 192.0.2.9 dev eth0 table 300",
        "10.82.0.0/24 dev eth0 table main",
        "local 10.83.0.1 dev eth0 table main",
    ];
    let missing = || -> Outcome<Vec<&str>> {
        let lines = shown(&host, &["-d", "route", "show", "table", "all"], &[])?;
        let has = |part: &&str| lines.iter().any(|line| line.contains(*part));
        Ok(expected.iter().copied().filter(|part| !has(part)).collect())
    };
    if wait_until("the routes", LIMIT, || Ok(missing()?.is_empty())).is_err() {
        let lines = shown(&host, &["-d", "route", "show", "table", "all"], &[])?;
        ensure_eq!(missing()?, [""; 0], "missing of {lines:#?}");
    }
    let rules = [
        shown(&host, &["rule"], &[])?,
        shown(&host, &["-6", "rule"], &[])?,
    ]
    .concat();
    for rule in [
        "77: from all ipproto udp dport 53 lookup 77",
        "78: from all fwmark 0x7 lookup 5",
    ] {
        ensure!(
            rules.iter().any(|line| line == rule),
            "no {rule} in {rules:?}"
        );
    }
    a.stop()?;
    ensure_eq!(
        missing()?.len(),
        expected.len(),
        "routes that went at the end"
    );
    Ok(())
}

fn many_others(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut a = master(lab, &lan, &routed("10.60.0.0/24 via 192.0.2.9", ""))?;
    let host = a.host.clone();
    let began = Instant::now();
    for sixteenth in 0..16 {
        let mut lines = String::new();
        for n in 0..6250_u32 {
            let n = sixteenth * 6250 + n;
            let (b, c) = (n / 256, n % 256);
            lines.push_str(&format!(
                "route add 11.{}.{c}.0/24 dev eth0 table {}\n",
                b % 256,
                1000 + b / 256
            ));
        }
        host.ip(&lines)?;
    }
    lab.note(format!("100,000 routes in {} s", began.elapsed().as_secs()));
    let masters = a.daemon()?.logged("Entering MASTER STATE");
    ensure_eq!(masters, 1, "times it became master");
    host.ip("route del 10.60.0.0/24\n")?;
    let gone = Instant::now();
    a.daemon()?
        .wait_log("by somebody else: it is put back", 1, LIMIT)?;
    wait_until("its route is back", LIMIT, || {
        Ok(routes_of(&host)?.len() == 1)
    })?;
    lab.note(format!(
        "back and seen after {} ms",
        gone.elapsed().as_millis()
    ));
    holds_for("it stays master", Duration::from_secs(3), || a.has_vip())?;
    ensure!(a.host.owns(VIP)?, "the VIP");
    Ok(())
}
