//! What happens to addresses behind the daemon's back, and what a reload does to them.

use std::fmt::{Display, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::Duration;

use super::daemon::only_vipd;
use super::scene::{ELECTION, Instance, Lan, Router, VIP, owner_stays, wait_owner};
use crate::lab::check::{Outcome, ensure, ensure_eq, holds_for, wait_until};
use crate::lab::daemon::Kind;
use crate::lab::net::{Address, Host};
use crate::lab::netlink::Requests;
use crate::lab::wire::Capture;
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "addresses.put_back",
        proves: "a VIP that is deleted comes back and is announced; the fourth time in a minute \
                 the peer gets it",
        limit: Duration::from_secs(120),
        run: put_back,
    },
    Case {
        name: "addresses.flush",
        proves: "after a flush of the interface the VIP never comes before the host's own address",
        limit: Duration::from_secs(90),
        run: flush,
    },
    Case {
        name: "addresses.link_recreated",
        proves: "an interface that is deleted and made again means FAULT, then MASTER with open ears",
        limit: Duration::from_secs(120),
        run: link_recreated,
    },
    Case {
        name: "addresses.reload_labels",
        proves: "a reload with other labels keeps the mastership and leaves exactly the VIPs asked for",
        limit: Duration::from_secs(90),
        run: reload_labels,
    },
    Case {
        name: "reload.moves",
        proves: "a reload that renames an instance and changes its priority and VIPs says no \
                 goodbye and takes no VIP away that stays",
        limit: Duration::from_secs(90),
        run: moves,
    },
];

const LIMIT: Duration = Duration::from_secs(15);
const MASTER: &str = "(V) Entering MASTER STATE";
const FAULT: &str = "(V) Entering FAULT STATE";

/// An instance with these lines as its virtual addresses.
fn with_vips(name: &str, priority: u8, vips: &[&str]) -> String {
    let mut lines = String::new();
    for vip in vips {
        let _ = write!(lines, "\n        {vip}");
    }
    let text = Instance::plain(priority);
    let text = text.replacen("vrrp_instance V ", &format!("vrrp_instance {name} "), 1);
    text.replacen(&format!("\n        {VIP}"), &lines, 1)
}

/// A promise of vipd itself: one router under test on a LAN.
fn lone(lab: &Lab, lan: &Lan<'_>, conf: &str) -> Outcome<Router> {
    only_vipd(lab)?;
    let mut router = lan.router("a", 1, lab.subject())?;
    router.start(conf)?;
    wait_owner(&router, &[])?;
    Ok(router)
}

fn masterships(router: &mut Router) -> Outcome<usize> {
    Ok(router.daemon()?.logged(" Entering MASTER STATE"))
}

fn put_back(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let wire = Capture::at(&lan.client_port)?;
    let mut a = lone(lab, &lan, &Instance::plain(150))?;
    let mut b = lan.router("b", 2, Kind::Keepalived)?;
    b.start(&Instance::plain(100))?;
    b.daemon()?
        .wait_log("(V) Entering BACKUP STATE", 1, ELECTION)?;
    // The second round of announcements after the election is over, too.
    sleep(Duration::from_secs(6));
    let delete = format!("addr del {VIP}/32 dev eth0\n");
    for time in 1..=3 {
        let announced = wire.gratuitous(VIP).len();
        a.host.ip(&delete)?;
        a.daemon()?.wait_log("it is put back", time, LIMIT)?;
        wait_until("the VIP is back and announced", LIMIT, || {
            Ok(a.has_vip()? && wire.gratuitous(VIP).len() > announced)
        })?;
        owner_stays(&a, &[&b], Duration::from_millis(500))?;
    }
    ensure_eq!(masterships(&mut a)?, 1, "times a became master");
    ensure_eq!(masterships(&mut b)?, 0, "times b became master");
    a.host.ip(&delete)?;
    wait_owner(&b, &[&a])?;
    a.daemon()?.wait_log("again and again", 1, LIMIT)?;
    let goodbyes = wire.adverts().into_iter().filter(|(_, x)| x.priority == 0);
    let from: Vec<_> = goodbyes.map(|(_, advert)| advert.src).collect();
    ensure_eq!(from, [a.address], "who said goodbye");
    Ok(())
}

fn flush(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut a = lone(lab, &lan, &with_vips("V", 150, &["192.0.2.100/24"]))?;
    in_order(&a, "before")?;
    let own = format!("addr add {}/24 dev eth0\n", a.address);
    a.host.ip(&format!("addr flush dev eth0\n{own}"))?;
    wait_until("the VIP is back", ELECTION, || a.has_vip())?;
    sleep(Duration::from_secs(1));
    in_order(&a, "when the host's address comes back at once")?;

    let faults = a.daemon()?.logged(FAULT);
    a.host.ip("addr flush dev eth0\n")?;
    a.daemon()?.wait_log(FAULT, faults + 1, LIMIT)?;
    holds_for("nothing is put back", Duration::from_secs(3), || {
        Ok(!a.has_vip()?)
    })?;
    a.host.ip(&own)?;
    wait_until("the VIP is back", ELECTION, || a.has_vip())?;
    sleep(Duration::from_secs(1));
    in_order(&a, "when the host's address comes back later")
}

/// The host's address comes first, the VIP behind it.
fn in_order(router: &Router, when: &str) -> Outcome {
    let is_secondary = |address: &Address| address.flags.iter().any(|flag| flag == "secondary");
    let found = on_eth0(&router.host)?;
    let seen: Vec<(&str, bool)> = found
        .iter()
        .map(|address| (address.local.as_str(), is_secondary(address)))
        .collect();
    let (own, vip) = (router.address.to_string(), VIP.to_string());
    let expected = [(own.as_str(), false), (vip.as_str(), true)];
    ensure_eq!(seen, expected, "addresses, and whether secondary, {when}");
    Ok(())
}

fn on_eth0(host: &Host) -> Outcome<Vec<Address>> {
    let mut found = host.addresses()?;
    found.retain(|address| address.dev == "eth0");
    Ok(found)
}

fn on_eth0_by_label(host: &Host) -> Outcome<Vec<(String, String)>> {
    let all = on_eth0(host)?.into_iter();
    Ok(all.map(|address| (address.local, address.label)).collect())
}

fn link_recreated(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut a = lone(lab, &lan, &Instance::plain(150))?;
    a.host.ip("link del eth0\n")?;
    a.daemon()?.wait_log(FAULT, 1, LIMIT)?;
    sleep(Duration::from_secs(2));
    a.port = lan.net.plug(
        &a.host,
        "eth0",
        &lan.segment,
        &[&format!("{}/24", a.address)],
    )?;
    wait_owner(&a, &[])?;
    a.daemon()?.wait_log(MASTER, 2, LIMIT)?;
    let wire = Capture::at(&a.port)?;
    let sent = || Ok(wire.adverts().iter().any(|(_, x)| x.src == a.address));
    wait_until("a's adverts on the new link", LIMIT, sent)?;

    let mut b = lan.router("b", 2, Kind::Keepalived)?;
    b.start(&Instance::plain(200))?;
    wait_owner(&b, &[&a])?;
    owner_stays(&b, &[&a], Duration::from_secs(5))?;
    ensure_eq!(masterships(&mut a)?, 2, "times a became master");
    b.power_off()?;
    wait_owner(&a, &[])?;
    Ok(())
}

/// VIPs in a network of their own: the kernel has one of them as its first address, and the others go
/// with it when it is deleted.
const LABELLED: u8 = 6;

/// Reloads that count as removals by somebody else would lose the VIPs: three are put back.
const RELOADS: u8 = 5;

fn labelled(generation: u8) -> Vec<(String, String)> {
    let labels = (1..=LABELLED).map(|number| {
        // The last one stays as it is: the kernel takes it along with the first, and it has to stay.
        let generation = if number == LABELLED { 0 } else { generation };
        let label = format!("eth0:{}", number + 10 * generation);
        (format!("198.51.100.{number}"), label)
    });
    labels.collect()
}

fn with_labels(generation: u8) -> String {
    let vips = labelled(generation).into_iter();
    let vips = vips.map(|(vip, label)| format!("{vip}/24 dev eth0 label {label}"));
    let vips: Vec<String> = vips.chain([VIP.to_string()]).collect();
    let vips: Vec<&str> = vips.iter().map(String::as_str).collect();
    with_vips("V", 150, &vips)
}

fn labels(own: &Router, generation: u8) -> Vec<(String, String)> {
    let plain = |address: &dyn Display| (address.to_string(), "eth0".to_owned());
    let mut all = labelled(generation);
    all.extend([plain(&own.address), plain(&VIP)]);
    all.sort();
    all
}

fn reload_labels(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let wire = Capture::at(&lan.client_port)?;
    let mut a = lone(lab, &lan, &with_labels(0))?;
    for generation in 0..=RELOADS {
        if generation > 0 {
            a.daemon()?.reload(&with_labels(generation))?;
        }
        let (host, expected) = (a.host.clone(), labels(&a, generation));
        let there = || Ok(on_eth0_by_label(&host)? == expected);
        if wait_until("the labels", LIMIT, there).is_err() {
            let seen = on_eth0_by_label(&host)?;
            ensure_eq!(seen, expected, "after {generation} reloads");
        }
        holds_for("the labels", Duration::from_secs(1), there)?;
    }
    let masters = masterships(&mut a)?;
    ensure_eq!(masters, 1, "times it became master");
    let log = a.daemon()?.log();
    ensure!(!log.contains("by somebody else"), "it blames others: {log}");
    let goodbye = wire.adverts().iter().any(|(_, x)| x.priority == 0);
    ensure!(!goodbye, "a goodbye");
    Ok(())
}

fn moves(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let wire = Capture::at(&lan.client_port)?;
    let first = ["192.0.2.100", "192.0.2.101", "192.0.2.102"];
    let mut a = lone(lab, &lan, &with_vips("V", 150, &first))?;
    let requests = Requests::watch(&a.host)?;
    requests.forget();
    let steps: [(&str, u8, &[&str]); 3] = [
        ("W", 200, &["192.0.2.100", "192.0.2.102", "192.0.2.103"]),
        ("X", 120, &["192.0.2.104", "192.0.2.102", "192.0.2.100"]),
        ("V", 150, &["192.0.2.102", "192.0.2.100"]),
    ];
    let (host, stop) = (a.host.clone(), AtomicBool::new(false));
    let looks = scope(|scope| -> Outcome<(usize, usize)> {
        let watcher = scope.spawn(|| watch_vip(&host, &stop));
        let moved = steps.iter().try_for_each(|(name, priority, vips)| {
            reload_to(
                &mut a,
                &wire,
                &with_vips(name, *priority, vips),
                *priority,
                vips,
            )
        });
        stop.store(true, Ordering::SeqCst);
        let looks = watcher.join().map_err(|_| "the watcher panicked")?;
        moved.and(looks)
    })?;
    let (all, missing) = looks;
    lab.note(format!("{all} looks at the VIP"));
    ensure!(all > 50, "only {all} looks");
    ensure_eq!(missing, 0, "looks that did not find the VIP");
    let adverts = wire.adverts().into_iter().map(|(_, advert)| advert);
    let mut priorities: Vec<u8> = adverts.map(|advert| advert.priority).collect();
    priorities.dedup();
    ensure_eq!(priorities, [150, 200, 120, 150], "priorities on the wire");
    // 103 and 104 came; 101, 103 and 104 went.
    let writes = requests.writes()?;
    let changes = ["address new", "address del"].map(|name| writes.get(name).copied());
    ensure_eq!(changes, [Some(2), Some(3)], "addresses set and removed");
    ensure_eq!(masterships(&mut a)?, 1, "times it became master");
    Ok(())
}

/// The reload, until it is on the wire and in the kernel.
fn reload_to(a: &mut Router, wire: &Capture, conf: &str, priority: u8, vips: &[&str]) -> Outcome {
    a.daemon()?.reload(conf)?;
    let mut expected: Vec<String> = vips.iter().map(|vip| (*vip).to_owned()).collect();
    expected.push(a.address.to_string());
    expected.sort();
    wait_until(format!("the VIPs {vips:?}"), LIMIT, || {
        let last = wire.adverts().pop();
        let told =
            last.is_some_and(|(_, x)| x.priority == priority && x.addresses.len() == vips.len());
        let mut seen: Vec<String> = on_eth0(&a.host)?.into_iter().map(|x| x.local).collect();
        seen.sort();
        Ok(told && seen == expected)
    })
    .map(drop)
}

/// How often it looked until told to stop, and how often the VIP was not there.
fn watch_vip(host: &Host, stop: &AtomicBool) -> Outcome<(usize, usize)> {
    let (mut all, mut missing) = (0, 0);
    while !stop.load(Ordering::SeqCst) {
        all += 1;
        if !host.owns(VIP)? {
            missing += 1;
        }
        sleep(Duration::from_millis(5));
    }
    Ok((all, missing))
}
