//! From what was heard to findings about the network. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::config::model::{Auth, Instance, Transport};
use crate::net::{Family, InterfaceIndex, Link};
use crate::units::Version;
use crate::wire::vrrp::{Advert, AuthField};

use super::facts::{Facts, HeardAdvert};
use super::judge::{Findings, Severity, link};
use Severity::{Error, Note, Warning};

/// The only number of hops that adverts may have left (RFC 9568 section 5.1.1.3).
const TTL: u8 = 255;

/// Everything that others do.
pub(super) fn network(facts: &Facts, out: &mut Findings) {
    let Some(config) = &facts.config else {
        return;
    };
    let own: BTreeSet<IpAddr> = own_addresses(facts);
    for instance in &config.instances {
        let name = instance.interface.as_ref().map(|name| name.as_str());
        let Some(at) = name.and_then(|name| link(facts, name)) else {
            continue;
        };
        // That of a VMAC is heard on its own interface too.
        let heard: Vec<&HeardAdvert> = facts
            .heard
            .iter()
            .filter(|heard| {
                heard.interface == at.index && Family::of(heard.source) == instance.family
            })
            .collect();
        let others: Vec<&HeardAdvert> = heard
            .iter()
            .copied()
            .filter(|heard| !own.contains(&heard.source) && Some(heard.source) != instance.src_ip)
            .collect();
        broken(instance, &others, out);
        let same =
            |heard: &&HeardAdvert| heard.advert.as_ref().is_ok_and(|a| a.vrid == instance.vrid);
        let others: Vec<&HeardAdvert> = others.into_iter().filter(same).collect();
        let mut first = BTreeMap::new();
        for heard in &others {
            if let Ok(advert) = &heard.advert {
                first.entry(heard.source).or_insert((*heard, advert));
            }
        }
        for (heard, advert) in first.values() {
            peer(facts, instance, heard, advert, out);
        }
        masters(instance, &heard, &own, out);
        held_by_others(facts, instance, at.index, &others, out);
    }
    foreign(facts, out);
}

/// Addresses of this machine: what is said from them is ours.
fn own_addresses(facts: &Facts) -> BTreeSet<IpAddr> {
    let addresses = facts.picture.addresses.iter();
    addresses.map(|address| address.key.cidr.addr()).collect()
}

fn on(instance: &Instance) -> String {
    format!("vrrp_instance {}", instance.name)
}

/// Adverts that nobody understands.
fn broken(instance: &Instance, heard: &[&HeardAdvert], out: &mut Findings) {
    let mut told = BTreeSet::new();
    for one in heard {
        if let Err(error) = &one.advert
            && told.insert(one.source)
        {
            let what = format!(
                "{} sends adverts that are not understood: {error}",
                one.source
            );
            let why = "they are dropped, by every router";
            let remedy = format!("look at the router {}", one.source);
            out.add((Warning, "broken-advert"), on(instance), what, why, remedy);
        }
    }
}

/// A router that uses our VRID where we are.
fn peer(
    facts: &Facts,
    instance: &Instance,
    heard: &HeardAdvert,
    advert: &Advert,
    out: &mut Findings,
) {
    let (source, vrid) = (heard.source, instance.vrid);
    let both = "each drops what the other sends, and both become master";
    let ours: BTreeSet<IpAddr> = instance.vips.iter().map(|vip| vip.cidr.addr()).collect();
    let theirs: BTreeSet<IpAddr> = advert.addresses.iter().copied().collect();
    if ours.is_disjoint(&theirs) && !theirs.is_empty() {
        let listed: Vec<String> = theirs.iter().map(ToString::to_string).collect();
        let what = format!(
            "{source} uses virtual_router_id {vrid} for other addresses: {}",
            listed.join(", ")
        );
        let why = "two clusters with one number on one network take each other for their master";
        let remedy = "give one of them another virtual_router_id, on all of its nodes";
        return out.add((Error, "vrid-in-use"), on(instance), what, why, remedy);
    }
    if advert.version != instance.version {
        let number = |version| if version == Version::V2 { 2 } else { 3 };
        let (theirs, ours) = (number(advert.version), number(instance.version));
        let what = format!("{source} speaks VRRP version {theirs}, this node version {ours}");
        let remedy =
            "write the same vrrp_version in global_defs (or version in the instance) on all nodes";
        return out.add((Error, "version"), on(instance), what, both, remedy);
    }
    if heard.ttl != TTL && matches!(instance.transport, Transport::Multicast(_)) {
        let what = format!(
            "adverts of {source} come with a TTL of {} instead of 255",
            heard.ttl
        );
        let why = "they came through a router or were forged, and are dropped";
        out.add(
            (Error, "ttl"),
            on(instance),
            what,
            why,
            format!("find out what forwards them to here: {source}"),
        );
    }
    if advert.version == Version::V2 {
        if advert.interval != instance.advert_int.get() {
            let (theirs, ours) = (
                advert.interval.as_secs_f64(),
                instance.advert_int.get().as_secs_f64(),
            );
            let what = format!("{source} advertises every {theirs} s, this node every {ours} s");
            let remedy = "write the same advert_int on all nodes";
            out.add((Error, "advert-int"), on(instance), what, both, remedy);
        }
        authentication(instance, source, advert, out);
    }
    if advert.priority == instance.priority.get() && advert.priority != 255 {
        let what = format!("{source} has the same priority, {}", advert.priority);
        let why =
            "the higher address wins, and each start or weight of a tracker may move the addresses";
        out.add(
            (Warning, "priority"),
            on(instance),
            what,
            why,
            "give each node its own priority",
        );
    }
    let missing: Vec<String> = ours
        .symmetric_difference(&theirs)
        .map(ToString::to_string)
        .collect();
    if !missing.is_empty() && !theirs.is_empty() {
        let what = format!(
            "{source} and this node do not have the same addresses: {}",
            missing.join(", ")
        );
        let why = "after a failover those that only one of them has are gone";
        out.add(
            (Warning, "addresses"),
            on(instance),
            what,
            why,
            "write the same virtual_ipaddress on all nodes",
        );
    }
    transport(instance, heard, out);
    reverse_path(facts, instance, heard, out);
}

fn authentication(instance: &Instance, source: IpAddr, advert: &Advert, out: &mut Findings) {
    let fits = match (&instance.auth, advert.auth) {
        (None, AuthField::None) | (Some(Auth::Ah(_)), AuthField::Ah) => true,
        (Some(Auth::Pass(ours)), AuthField::Pass(theirs)) => *ours == theirs,
        _ => false,
    };
    if !fits {
        let what = format!("{source} has another auth_type or auth_pass");
        let why = "each drops what the other sends, and both become master";
        let remedy =
            "write the same authentication on all nodes (only its first eight letters count)";
        out.add((Error, "authentication"), on(instance), what, why, remedy);
    }
}

/// One speaks to the group, the other to addresses.
fn transport(instance: &Instance, heard: &HeardAdvert, out: &mut Findings) {
    let to_group = heard.destination.is_multicast();
    let source = heard.source;
    let (what, remedy) = match &instance.transport {
        Transport::Multicast(group) if to_group && heard.destination != *group => (
            format!(
                "{source} sends its adverts to {}, this node to {group}",
                heard.destination
            ),
            "write the same vrrp_mcast_group4 (or 6) on all nodes".to_owned(),
        ),
        Transport::Multicast(_) if !to_group => (
            format!(
                "{source} sends its adverts to {}, this node to the group",
                heard.destination
            ),
            "write unicast_peer on all nodes, or on none".to_owned(),
        ),
        Transport::Unicast(_) if to_group => (
            format!("{source} sends its adverts to the group, this node to unicast_peer"),
            "write unicast_peer on all nodes, or on none".to_owned(),
        ),
        Transport::Unicast(peers) if !peers.contains(&source) => (
            format!("{source} sends adverts to this node and is not in unicast_peer"),
            format!("add {source} to unicast_peer, or take this node out of its list"),
        ),
        _ => return,
    };
    let why = "one of them does not hear the other, and both become master";
    out.add((Error, "transport"), on(instance), what, why, remedy);
}

/// The kernel drops what comes from an address that it would not reach by the same interface.
fn reverse_path(facts: &Facts, instance: &Instance, heard: &HeardAdvert, out: &mut Findings) {
    let name = instance.interface.as_ref().map(|name| name.as_str());
    let strict = facts
        .settings
        .iter()
        .find(|s| Some(s.interface.as_str()) == name && s.rp_filter == 1);
    let mut networks = facts.picture.addresses.iter();
    let reached = networks.any(|address| {
        address.key.interface == heard.interface && address.key.cidr.contains(heard.source)
    });
    if let Some(settings) = strict.filter(|_| !reached && heard.source.is_ipv4()) {
        let (source, interface) = (heard.source, &settings.interface);
        out.add(
            (Error, "rp-filter"),
            on(instance),
            format!("{source} is in no network of {interface}, and rp_filter is strict there"),
            "the kernel drops its adverts unless its route to it goes out there too",
            format!(
                "give both an address in one network, or: sysctl -w net.ipv4.conf.{interface}.rp_filter=2 \
                 (and that of `all`)"
            ),
        );
    }
}

/// Two that are master at the same time.
fn masters(
    instance: &Instance,
    heard: &[&HeardAdvert],
    own: &BTreeSet<IpAddr>,
    out: &mut Findings,
) {
    let mut times: BTreeMap<IpAddr, Vec<usize>> = BTreeMap::new();
    for (at, one) in heard.iter().enumerate() {
        let ours = one
            .advert
            .as_ref()
            .ok()
            .filter(|a| a.vrid == instance.vrid && a.priority > 0);
        let same = |a: &&Advert| {
            let mut addresses = a.addresses.iter();
            a.addresses.is_empty()
                || addresses.any(|a| instance.vips.iter().any(|v| v.cidr.addr() == *a))
        };
        if ours.filter(same).is_some() {
            times.entry(one.source).or_default().push(at);
        }
    }
    // In an election the one ends where the other begins.
    let mut all = times.iter().collect::<Vec<_>>();
    all.sort_by_key(|(_, at)| at.first().copied());
    for pair in all.windows(2) {
        let [(first, one), (second, other)] = pair else {
            continue;
        };
        let both = one.last() > other.first() && (one.len() > 1 || other.len() > 1);
        if both {
            let word = |address: &IpAddr| match own.contains(address) {
                true => format!("this node ({address})"),
                false => address.to_string(),
            };
            out.add(
                (Error, "two-masters"),
                on(instance),
                format!("{} and {} are master at the same time", word(first), word(second)),
                "clients reach the one or the other by chance",
                "one of them does not hear the other: look at what else is found here, and run `vipd doctor` \
                 on the other node",
            );
        }
    }
}

/// Somebody answers for a virtual address, though nobody is master.
fn held_by_others(
    facts: &Facts,
    instance: &Instance,
    _at: InterfaceIndex,
    others: &[&HeardAdvert],
    out: &mut Findings,
) {
    for vip in instance.all_vips() {
        let address = vip.cidr.addr();
        let owners = facts.owners.iter().filter(|owner| owner.address == address);
        let macs: Vec<String> = owners.map(|owner| owner.mac.to_string()).collect();
        let on = format!("{address} of vrrp_instance {}", instance.name);
        let (what, remedy) = match macs.as_slice() {
            [] => continue,
            [mac] if others.is_empty() => (
                format!("{mac} answers for it, and no router advertises it"),
                "find the machine with that hardware address and take the address from it: ip neigh, or the \
                 switch's table"
                    .to_owned(),
            ),
            [_] => continue,
            several => (
                format!("{} machines answer for it: {}", several.len(), several.join(", ")),
                "leave it to one: look which of them is the master, and take it from the other".to_owned(),
            ),
        };
        let why = "clients reach the one or the other by chance";
        out.add((Error, "address-in-use"), on, what, why, remedy);
    }
}

/// Where it was heard.
fn link_of<'a>(facts: &'a Facts, heard: &HeardAdvert) -> Option<&'a Link> {
    let mut links = facts.picture.links.iter();
    links.find(|link| link.index == heard.interface)
}

/// Virtual routers on our networks that are none of ours.
fn foreign(facts: &Facts, out: &mut Findings) {
    let Some(config) = &facts.config else {
        return;
    };
    let own = own_addresses(facts);
    let mut told = BTreeSet::new();
    for heard in &facts.heard {
        let Ok(advert) = &heard.advert else { continue };
        let at = link_of(facts, heard);
        let Some(at) = at.filter(|_| !own.contains(&heard.source)) else {
            continue;
        };
        let known = config.instances.iter().any(|instance| {
            instance.vrid == advert.vrid && instance.interface.as_ref() == Some(&at.name)
        });
        if !known && told.insert((heard.source, advert.vrid)) {
            let what = format!(
                "{} advertises virtual_router_id {} with priority {}",
                heard.source, advert.vrid, advert.priority
            );
            let why = "it is no instance of this node: another cluster on the same network";
            out.add(
                (Note, "neighbour"),
                format!("interface {}", at.name),
                what,
                why,
                "nothing, if it is known",
            );
        }
    }
}

/// A line for each router that was heard.
pub(super) fn summary(facts: &Facts) -> Vec<String> {
    let own = own_addresses(facts);
    let mut lines = BTreeMap::new();
    for heard in &facts.heard {
        let Ok(advert) = &heard.advert else { continue };
        let at = link_of(facts, heard);
        let Some(at) = at else { continue };
        let number = if advert.version == Version::V2 { 2 } else { 3 };
        let us = if own.contains(&heard.source) {
            " (this node)"
        } else {
            ""
        };
        let line = format!(
            "{}{us} on {}: VRRP version {number}, virtual_router_id {}, priority {}, every {} s",
            heard.source,
            at.name,
            advert.vrid,
            advert.priority,
            advert.interval.as_secs_f64()
        );
        lines.insert((heard.source, advert.vrid, heard.interface), line);
    }
    lines.into_values().collect()
}
