//! Links and addresses: listed, changed, told of.

use vipd::kernel::route::{Event, Monitor, Route};
use vipd::net::{
    ADDRESS_PROTOCOL, AddressCommand, AddressKey, AddressSpec, Cidr, Family, InterfaceIndex,
    NetCommand,
};

use super::failure;
use crate::lab::Lab;
use crate::lab::check::{Failure, Outcome, ensure, ensure_eq};
use crate::lab::net::Net;

pub(super) fn addresses(lab: &Lab) -> Outcome {
    let net = Net::new(lab)?;
    let host = net.host("router")?;
    let lan = net.segment("lan")?;
    net.plug(&host, "eth0", &lan, &["192.0.2.1/24", "2001:db8::1/64"])?;
    let mut route = host.within(Route::open)?.map_err(io_failure)?;
    let mut monitor = host.within(Monitor::open)?.map_err(io_failure)?;
    let eth0 = index_of(&mut route, "eth0")?;
    let key = |cidr: &str| -> Outcome<AddressKey> {
        let cidr = cidr.parse().map_err(|_| Failure::failed("a prefix"))?;
        Ok(AddressKey::new(eth0, cidr))
    };
    let labelled = AddressSpec {
        broadcast: Some([192, 0, 2, 255].into()),
        label: Some("eth0:vip".to_owned()),
        ..AddressSpec::default()
    };
    let link_scope = AddressSpec {
        scope: 253,
        ..AddressSpec::default()
    };
    let no_dad = AddressSpec {
        no_dad: true,
        ..AddressSpec::default()
    };
    let wanted = [
        (key("192.0.2.200/24")?, labelled),
        (key("192.0.2.201/32")?, link_scope),
        (key("2001:db8::200/128")?, no_dad),
    ];
    let add: Vec<NetCommand> = wanted
        .iter()
        .map(|(k, s)| AddressCommand::Add(*k, s.clone()).into())
        .collect();
    ensure_eq!(route.apply(&add), [], "additions that failed");
    ensure_eq!(
        route.apply(&add),
        [],
        "an address that is there is taken over"
    );
    let there = route.addresses().map_err(failure)?;
    for (key, spec) in &wanted {
        let Some(found) = there.iter().find(|a| a.key == *key) else {
            return Err(Failure::failed(format!("{} is not there", key.cidr)));
        };
        ensure_eq!(found.protocol, ADDRESS_PROTOCOL, "who set it");
        ensure_eq!(found.spec.scope, spec.scope, "its scope");
        ensure_eq!(
            found.spec.no_dad,
            spec.no_dad,
            "duplicate address detection"
        );
        ensure_eq!(
            found.spec.broadcast,
            spec.broadcast,
            "its broadcast address"
        );
        let label = spec.label.clone();
        let own = (key.cidr.family() == Family::V4).then(|| "eth0".to_owned());
        ensure_eq!(found.spec.label, label.or(own), "its label");
    }
    let secondary = there
        .iter()
        .find(|a| a.key == wanted[0].0)
        .map(|a| a.secondary);
    ensure_eq!(
        secondary,
        Some(true),
        "the second address of a network is secondary"
    );
    lab.note(
        host.run(&["ip", "-br", "addr", "show", "dev", "eth0"])?
            .trim()
            .to_owned(),
    );
    let delete: Vec<NetCommand> = wanted
        .iter()
        .map(|(k, _)| AddressCommand::Delete(*k).into())
        .collect();
    ensure_eq!(route.apply(&delete), [], "deletions that failed");
    let again = route.apply(&delete);
    for failure in &again {
        lab.note(failure);
    }
    ensure_eq!(again.len(), delete.len(), "they are gone");
    ensure!(again.iter().all(|f| f.error.is_disagreement()), "{again:?}");
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    while let Some(event) = monitor.next().map_err(io_failure)? {
        match event {
            Event::AddressAdded(a) => added.push(a.key),
            Event::AddressRemoved(k) => removed.push(k),
            _ => {}
        }
    }
    for (key, _) in &wanted {
        ensure!(added.contains(key), "{} was not told of", key.cidr);
        ensure!(
            removed.contains(key),
            "the end of {} was not told of",
            key.cidr
        );
    }
    Ok(())
}

pub(super) fn monitor(lab: &Lab) -> Outcome {
    let net = Net::new(lab)?;
    let host = net.host("router")?;
    let mut route = host.within(Route::open)?.map_err(io_failure)?;
    let mut monitor = host.within(Monitor::open)?.map_err(io_failure)?;
    ensure_eq!(
        monitor.next().map_err(io_failure)?,
        None,
        "silence at first"
    );
    host.ip("link add d0 type dummy\nlink set d0 address 02:00:00:00:00:01 mtu 1400\n")?;
    host.ip("link set d0 up\nlink add b0 type bridge\nlink set d0 master b0\n")?;
    let d0 = index_of(&mut route, "d0")?;
    host.ip("link set d0 nomaster\n")?;
    let mut last = None;
    while let Some(event) = monitor.next().map_err(io_failure)? {
        match event {
            Event::Link(link) if link.index == d0 => last = Some(link),
            Event::LinkGone(index, name) => {
                return Err(Failure::failed(format!(
                    "{index} {name} is said to be gone"
                )));
            }
            _ => {}
        }
    }
    let listed = route
        .links()
        .map_err(failure)?
        .into_iter()
        .find(|l| l.index == d0);
    ensure_eq!(last, listed, "the last news of a link is what a list shows");
    let link = listed.ok_or_else(|| Failure::failed("no d0"))?;
    ensure!(link.is_up() && !link.loopback, "{link:?}");
    ensure_eq!(
        (link.mac.to_string(), link.mtu),
        ("02:00:00:00:00:01".into(), 1400),
        "d0"
    );
    host.ip("link del d0\n")?;
    let mut gone = false;
    while let Some(event) = monitor.next().map_err(io_failure)? {
        gone |= matches!(event, Event::LinkGone(index, _) if index == d0);
    }
    ensure!(gone, "the end of a link was not told of");
    let lo = index_of(&mut route, "lo")?;
    let mut lost = false;
    for round in 0..40u8 {
        let commands: Vec<_> = (0..=255u8)
            .flat_map(|n| {
                let cidr = Cidr::host([10, 9, round, n].into());
                let key = AddressKey::new(lo, cidr);
                let add = AddressCommand::Add(key, AddressSpec::default());
                [add, AddressCommand::Delete(key)].map(NetCommand::from)
            })
            .collect();
        ensure_eq!(route.apply(&commands), [], "failures");
    }
    let mut told = 0;
    while let Some(event) = monitor.next().map_err(io_failure)? {
        lost |= event == Event::Overrun;
        told += 1;
    }
    lab.note(format!("{told} events were kept of 20480; overrun: {lost}"));
    ensure_eq!(
        lost,
        told < 20_480,
        "what was lost was told of as lost, and only then"
    );
    ensure_eq!(route.links().map_err(failure)?.len(), 2, "lo and b0");
    Ok(())
}

/// An address that somebody set for a while lasts for ever when it is added again.
pub(super) fn taken_over(lab: &Lab) -> Outcome {
    let net = Net::new(lab)?;
    let host = net.host("router")?;
    let lan = net.segment("lan")?;
    net.plug(&host, "eth0", &lan, &["192.0.2.1/24"])?;
    let mut route = host.within(Route::open)?.map_err(io_failure)?;
    let interface = index_of(&mut route, "eth0")?;
    let vips = ["192.0.2.200/32", "2001:db8::200/128"];
    let limits = || -> Outcome<Vec<bool>> {
        let shown = host.run(&["ip", "-o", "addr", "show", "dev", "eth0", "scope", "global"])?;
        let of = |vip: &str| shown.lines().find(|l| l.contains(vip)).map(str::to_owned);
        let lines = vips.map(|vip| of(vip).ok_or_else(|| Failure::failed(format!("no {vip}"))));
        lines
            .into_iter()
            .map(|line| Ok(line?.contains("valid_lft forever")))
            .collect()
    };
    for vip in vips {
        host.ip(&format!(
            "addr add {vip} dev eth0 valid_lft 600 preferred_lft 600\n"
        ))?;
    }
    ensure_eq!(limits()?, [false, false], "both are there for a while");
    let mut commands = Vec::new();
    for vip in vips {
        let cidr = vip.parse().map_err(|_| Failure::failed("a prefix"))?;
        let key = AddressKey::new(interface, cidr);
        commands.push(AddressCommand::Add(key, AddressSpec::default()).into());
    }
    ensure_eq!(route.apply(&commands), [], "failures");
    ensure_eq!(limits()?, [true, true], "both are there for ever");
    for address in route.addresses().map_err(failure)? {
        if commands.iter().any(
            |c| matches!(c, NetCommand::Address(AddressCommand::Add(k, _)) if *k == address.key),
        ) {
            let tagged = address.protocol == ADDRESS_PROTOCOL;
            lab.note(format!("{} has our tag: {tagged}", address.key.cidr));
        }
    }
    Ok(())
}

fn index_of(route: &mut Route, name: &str) -> Outcome<InterfaceIndex> {
    let links = route.links().map_err(failure)?;
    let link = links.into_iter().find(|l| l.name.as_str() == name);
    link.map(|l| l.index)
        .ok_or_else(|| Failure::failed(format!("no {name}")))
}

fn io_failure(error: std::io::Error) -> Failure {
    Failure::failed(error.to_string())
}
