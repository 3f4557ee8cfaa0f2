//! What the kernel says of routes and rules, read into types. Any bytes are fine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::ipvs::{Attribute, Attributes};
use crate::net::{
    Cidr, Encap, Family, Hop, HopOptions, InterfaceIndex, ObservedRoute, RouteKey, RouteSpec, Rule,
    RuleAction, Tunnel,
};

use super::decode::{family_of, ip};
use super::encode_route::{
    BLACKHOLE, ENCAP_IP, ENCAP_IP6, ENCAP_MPLS, FRA_DPORT_RANGE, FRA_DST, FRA_FLOW, FRA_FWMARK,
    FRA_FWMASK, FRA_GOTO, FRA_IIFNAME, FRA_IP_PROTO, FRA_L3MDEV, FRA_OIFNAME, FRA_PRIORITY,
    FRA_PROTOCOL, FRA_SPORT_RANGE, FRA_SRC, FRA_SUPPRESS_IFGROUP, FRA_SUPPRESS_PREFIXLEN,
    FRA_TABLE, FRA_TUN_ID, FRA_UID_RANGE, GOTO, INVERT, MPLS_DST, NOP, ONLINK, PROHIBIT, RTA_DST,
    RTA_ENCAP, RTA_ENCAP_TYPE, RTA_EXPIRES, RTA_FLOW, RTA_GATEWAY, RTA_METRICS, RTA_MULTIPATH,
    RTA_OIF, RTA_PREF, RTA_PREFSRC, RTA_PRIORITY, RTA_SRC, RTA_TABLE, RTA_TTL_PROPAGATE, RTA_VIA,
    RTAX_CC_ALGO, RTAX_LOCK, TO_TABLE, TUNNEL_DST, TUNNEL_FLAGS, TUNNEL_ID, TUNNEL_SRC, TUNNEL_TOS,
    TUNNEL_TTL, UNREACHABLE,
};

/// RTM_F_CLONED: an entry of a cache, not a route.
const CLONED: u32 = 0x200;
/// What the kernel shows of a value that was not set.
const UNSET: u32 = u32::MAX;
/// RTN_BLACKHOLE, the first of the types that lead nowhere.
const NOWHERE: u8 = 6;

/// RTPROT_* of a route, from the payload of RTM_NEWROUTE or RTM_DELROUTE, without reading the rest.
pub(super) fn route_protocol(payload: &[u8]) -> Option<u8> {
    payload.get(5).copied()
}

/// A route: `struct rtmsg` (12 bytes), attributes.
pub(super) fn route(payload: &[u8]) -> Option<ObservedRoute> {
    let (header, attributes) = payload.split_first_chunk::<12>()?;
    let [
        family,
        length,
        source_length,
        tos,
        table,
        protocol,
        scope,
        kind,
        flags @ ..,
    ] = *header;
    let family = family_of(family)?;
    let flags = u32::from_ne_bytes(flags);
    if flags & CLONED != 0 {
        return None;
    }
    let none = unspecified(family);
    let mut key = RouteKey {
        family,
        table: u32::from(table),
        destination: Cidr::new(none, 0)?,
        source: None,
        tos,
        metric: 0,
        kind,
        protocol,
        hops: Vec::new(),
    };
    let mut spec = RouteSpec {
        scope,
        ..RouteSpec::default()
    };
    let onlink = flags & u32::from(ONLINK) != 0;
    let mut single = HopReader::new(family, onlink, 0, None);
    for attribute in Attributes::new(attributes) {
        match attribute.kind {
            RTA_DST => key.destination = Cidr::new(ip(attribute, family)?, length)?,
            RTA_SRC => key.source = Cidr::new(ip(attribute, family)?, source_length),
            RTA_TABLE => key.table = attribute.u32()?,
            RTA_PRIORITY => key.metric = attribute.u32()?,
            RTA_OIF => single.hop.1 = attribute.u32().and_then(InterfaceIndex::new),
            RTA_PREFSRC => spec.source_address = ip(attribute, family),
            RTA_METRICS => metrics(attribute, &mut spec),
            RTA_MULTIPATH => next_hops(attribute.value, family, &mut key, &mut spec)?,
            RTA_EXPIRES => spec.expires = attribute.u32(),
            RTA_PREF => spec.preference = attribute.u8(),
            RTA_TTL_PROPAGATE => spec.ttl_propagate = attribute.u8().map(|on| on != 0),
            _ => single.take(attribute),
        }
    }
    if key.hops.is_empty() {
        // IPv6 shows the loopback interface for what leads nowhere.
        if key.kind >= NOWHERE && single.hop.0.is_none() && family == Family::V6 {
            single.hop.1 = None;
        }
        if single.hop != (None, None) {
            key.hops.push(single.hop);
            spec.hops.push(single.options());
        }
    }
    Some(ObservedRoute { key, spec })
}

fn unspecified(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
        Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
    }
}

fn metrics(attribute: Attribute<'_>, spec: &mut RouteSpec) {
    for metric in attribute.nested() {
        match metric.kind {
            RTAX_LOCK => spec.locked = metric.u32().unwrap_or(0),
            RTAX_CC_ALGO => spec.congestion = metric.text().map(str::to_owned),
            kind => {
                if let Some(value) = metric.u32() {
                    spec.metrics.insert(kind, value);
                }
            }
        }
    }
}

/// `struct rtnexthop` (8 bytes) and attributes, one behind the other.
fn next_hops(
    mut bytes: &[u8],
    family: Family,
    key: &mut RouteKey,
    spec: &mut RouteSpec,
) -> Option<()> {
    while let Some((header, _)) = bytes.split_first_chunk::<8>() {
        let [l0, l1, flags, weight, interface @ ..] = *header;
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let attributes = bytes.get(8..length)?;
        let interface = InterfaceIndex::new(u32::from_ne_bytes(interface));
        let mut reader = HopReader::new(family, flags & ONLINK != 0, weight, interface);
        Attributes::new(attributes).for_each(|attribute| reader.take(attribute));
        key.hops.push(reader.hop);
        spec.hops.push(reader.options());
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    }
    Some(())
}

/// A hop, attribute by attribute.
struct HopReader<'a> {
    family: Family,
    hop: Hop,
    options: HopOptions,
    encap: Option<Attribute<'a>>,
    encap_kind: u16,
}

impl<'a> HopReader<'a> {
    fn new(family: Family, onlink: bool, weight: u8, interface: Option<InterfaceIndex>) -> Self {
        HopReader {
            family,
            hop: (None, interface),
            options: HopOptions {
                weight,
                onlink,
                ..HopOptions::default()
            },
            encap: None,
            encap_kind: 0,
        }
    }

    fn take(&mut self, attribute: Attribute<'a>) {
        match attribute.kind {
            RTA_GATEWAY => self.hop.0 = ip(attribute, self.family),
            RTA_VIA => self.hop.0 = via(attribute.value),
            RTA_FLOW => self.options.realms = attribute.u32().unwrap_or(0),
            RTA_ENCAP => self.encap = Some(attribute),
            RTA_ENCAP_TYPE => self.encap_kind = attribute.u16().unwrap_or(0),
            _ => {}
        }
    }

    fn options(self) -> HopOptions {
        let encap = self.encap.and_then(|encap| unwrap(self.encap_kind, encap));
        HopOptions {
            encap,
            ..self.options
        }
    }
}

fn via(value: &[u8]) -> Option<IpAddr> {
    let (family, addr) = value.split_first_chunk::<2>()?;
    match family_of(u8::try_from(u16::from_ne_bytes(*family)).ok()?)? {
        Family::V4 => <[u8; 4]>::try_from(addr).ok().map(IpAddr::from),
        Family::V6 => <[u8; 16]>::try_from(addr).ok().map(IpAddr::from),
    }
}

fn unwrap(kind: u16, encap: Attribute<'_>) -> Option<Encap> {
    match kind {
        ENCAP_IP => {
            let read = |a: Attribute<'_>| a.bytes::<4>().map(Ipv4Addr::from);
            tunnel(encap, Ipv4Addr::UNSPECIFIED, read).map(Encap::Ip)
        }
        ENCAP_IP6 => {
            let read = |a: Attribute<'_>| a.bytes::<16>().map(Ipv6Addr::from);
            tunnel(encap, Ipv6Addr::UNSPECIFIED, read).map(Encap::Ip6)
        }
        ENCAP_MPLS => {
            let stack = encap.nested().find(|a| a.kind == MPLS_DST)?;
            let (entries, _) = stack.value.as_chunks::<4>();
            let labels = entries.iter().map(|entry| u32::from_be_bytes(*entry) >> 12);
            Some(Encap::Mpls(labels.collect()))
        }
        _ => None,
    }
}

fn tunnel<A>(
    encap: Attribute<'_>,
    none: A,
    read: impl Fn(Attribute<'_>) -> Option<A>,
) -> Option<Tunnel<A>> {
    let find = |kind: u16| encap.nested().find(|a| a.kind == kind);
    Some(Tunnel {
        id: find(TUNNEL_ID)
            .and_then(Attribute::bytes)
            .map_or(0, u64::from_be_bytes),
        dst: find(TUNNEL_DST).and_then(&read)?,
        src: find(TUNNEL_SRC).and_then(&read).unwrap_or(none),
        ttl: find(TUNNEL_TTL).and_then(Attribute::u8).unwrap_or(0),
        tos: find(TUNNEL_TOS).and_then(Attribute::u8).unwrap_or(0),
        flags: find(TUNNEL_FLAGS).and_then(Attribute::u16).unwrap_or(0),
    })
}

/// A rule: `struct fib_rule_hdr` (12 bytes), attributes. `None` also for what vipd has no words for.
pub(super) fn rule(payload: &[u8]) -> Option<Rule> {
    let (header, attributes) = payload.split_first_chunk::<12>()?;
    let [
        family,
        to_length,
        from_length,
        tos,
        table,
        _,
        _,
        action,
        flags @ ..,
    ] = *header;
    let family = family_of(family)?;
    let mut rule = Rule::new(family, 0, RuleAction::Nop);
    rule.tos = tos;
    rule.protocol = 0;
    rule.invert = u32::from_ne_bytes(flags) & INVERT != 0;
    let (mut table, mut target, mut l3mdev) = (u32::from(table), 0, false);
    let (mut mark, mut mask) = (None, None);
    for attribute in Attributes::new(attributes) {
        match attribute.kind {
            FRA_SRC => rule.from = Cidr::new(ip(attribute, family)?, from_length),
            FRA_DST => rule.to = Cidr::new(ip(attribute, family)?, to_length),
            FRA_PRIORITY => rule.preference = attribute.u32()?,
            FRA_TABLE => table = attribute.u32()?,
            FRA_GOTO => target = attribute.u32()?,
            FRA_L3MDEV => l3mdev = attribute.u8() == Some(1),
            FRA_FWMARK => mark = attribute.u32(),
            FRA_FWMASK => mask = attribute.u32(),
            FRA_FLOW => rule.realms = attribute.u32()?,
            FRA_SUPPRESS_PREFIXLEN => rule.suppress_prefix = set(attribute),
            FRA_SUPPRESS_IFGROUP => rule.suppress_group = set(attribute),
            FRA_IIFNAME => rule.iif = attribute.text()?.parse().ok(),
            FRA_OIFNAME => rule.oif = attribute.text()?.parse().ok(),
            FRA_TUN_ID => rule.tunnel_id = attribute.bytes().map_or(0, u64::from_be_bytes),
            FRA_UID_RANGE => rule.uids = uids(attribute),
            FRA_PROTOCOL => rule.protocol = attribute.u8()?,
            FRA_IP_PROTO => rule.ip_protocol = attribute.u8(),
            FRA_SPORT_RANGE => rule.source_ports = ports(attribute),
            FRA_DPORT_RANGE => rule.destination_ports = ports(attribute),
            _ => {}
        }
    }
    rule.fwmark =
        (mark.is_some() || mask.is_some()).then(|| (mark.unwrap_or(0), mask.unwrap_or(u32::MAX)));
    rule.action = match action {
        TO_TABLE if l3mdev => RuleAction::L3mdev,
        TO_TABLE => RuleAction::Table(table),
        GOTO => RuleAction::Goto(target),
        NOP => RuleAction::Nop,
        BLACKHOLE => RuleAction::Blackhole,
        UNREACHABLE => RuleAction::Unreachable,
        PROHIBIT => RuleAction::Prohibit,
        _ => return None,
    };
    Some(rule)
}

fn set(attribute: Attribute<'_>) -> Option<u32> {
    attribute.u32().filter(|value| *value != UNSET)
}

fn uids(attribute: Attribute<'_>) -> Option<(u32, u32)> {
    let [a0, a1, a2, a3, b @ ..] = attribute.bytes::<8>()?;
    Some((u32::from_ne_bytes([a0, a1, a2, a3]), u32::from_ne_bytes(b)))
}

fn ports(attribute: Attribute<'_>) -> Option<(u16, u16)> {
    let [a0, a1, b0, b1] = attribute.bytes::<4>()?;
    Some((u16::from_ne_bytes([a0, a1]), u16::from_ne_bytes([b0, b1])))
}

#[cfg(test)]
mod tests;
