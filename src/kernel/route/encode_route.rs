//! Requests about routes and rules (`struct rtmsg`, `struct fib_rule_hdr`).

use std::net::IpAddr;

use neli::consts::nl::NlmF;
use neli::consts::rtnl::Rtm;
use neli::types::Buffer;

use crate::net::{
    Cidr, Encap, Family, Hop, HopOptions, Placement, RouteCommand, RouteKey, RouteSpec, Rule,
    RuleAction, RuleCommand, Tunnel,
};

use super::Request;
use super::encode::{EncodeError, NESTED, family_number, put_ip};
use super::write::Payload;

/// RTA_* (include/uapi/linux/rtnetlink.h).
pub(super) const RTA_DST: u16 = 1;
pub(super) const RTA_SRC: u16 = 2;
pub(super) const RTA_OIF: u16 = 4;
pub(super) const RTA_GATEWAY: u16 = 5;
pub(super) const RTA_PRIORITY: u16 = 6;
pub(super) const RTA_PREFSRC: u16 = 7;
pub(super) const RTA_METRICS: u16 = 8;
pub(super) const RTA_MULTIPATH: u16 = 9;
pub(super) const RTA_FLOW: u16 = 11;
pub(super) const RTA_TABLE: u16 = 15;
pub(super) const RTA_VIA: u16 = 18;
pub(super) const RTA_PREF: u16 = 20;
pub(super) const RTA_ENCAP_TYPE: u16 = 21;
pub(super) const RTA_ENCAP: u16 = 22;
pub(super) const RTA_EXPIRES: u16 = 23;
pub(super) const RTA_TTL_PROPAGATE: u16 = 26;

/// RTAX_LOCK and RTAX_CC_ALGO, the metrics that are no plain numbers.
pub(super) const RTAX_LOCK: u16 = 1;
pub(super) const RTAX_CC_ALGO: u16 = 16;

/// RT_SCOPE_NOWHERE: any, in a request to delete.
const SCOPE_ANY: u8 = 255;
/// RTNH_F_ONLINK.
pub(super) const ONLINK: u8 = 4;

/// LWTUNNEL_ENCAP_*.
pub(super) const ENCAP_MPLS: u16 = 1;
pub(super) const ENCAP_IP: u16 = 2;
pub(super) const ENCAP_IP6: u16 = 4;
/// LWTUNNEL_IP_*, and the same numbers for IPv6.
pub(super) const TUNNEL_ID: u16 = 1;
pub(super) const TUNNEL_DST: u16 = 2;
pub(super) const TUNNEL_SRC: u16 = 3;
pub(super) const TUNNEL_TTL: u16 = 4;
pub(super) const TUNNEL_TOS: u16 = 5;
pub(super) const TUNNEL_FLAGS: u16 = 6;
/// MPLS_IPTUNNEL_DST.
pub(super) const MPLS_DST: u16 = 1;

/// FRA_* (include/uapi/linux/fib_rules.h).
pub(super) const FRA_DST: u16 = 1;
pub(super) const FRA_SRC: u16 = 2;
pub(super) const FRA_IIFNAME: u16 = 3;
pub(super) const FRA_GOTO: u16 = 4;
pub(super) const FRA_PRIORITY: u16 = 6;
pub(super) const FRA_FWMARK: u16 = 10;
pub(super) const FRA_FLOW: u16 = 11;
pub(super) const FRA_TUN_ID: u16 = 12;
pub(super) const FRA_SUPPRESS_IFGROUP: u16 = 13;
pub(super) const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
pub(super) const FRA_TABLE: u16 = 15;
pub(super) const FRA_FWMASK: u16 = 16;
pub(super) const FRA_OIFNAME: u16 = 17;
pub(super) const FRA_L3MDEV: u16 = 19;
pub(super) const FRA_UID_RANGE: u16 = 20;
pub(super) const FRA_PROTOCOL: u16 = 21;
pub(super) const FRA_IP_PROTO: u16 = 22;
pub(super) const FRA_SPORT_RANGE: u16 = 23;
pub(super) const FRA_DPORT_RANGE: u16 = 24;
/// FIB_RULE_INVERT.
pub(super) const INVERT: u32 = 2;
/// FR_ACT_*.
pub(super) const TO_TABLE: u8 = 1;
pub(super) const GOTO: u8 = 2;
pub(super) const NOP: u8 = 3;
pub(super) const BLACKHOLE: u8 = 6;
pub(super) const UNREACHABLE: u8 = 7;
pub(super) const PROHIBIT: u8 = 8;

/// The message that carries `command` out.
pub(super) fn route_command(command: &RouteCommand) -> Result<Request<Buffer>, EncodeError> {
    let (kind, flags, payload) = match command {
        RouteCommand::Add(key, spec) => {
            let place = match spec.placement {
                Placement::Prepend => NlmF::empty(),
                Placement::Append => NlmF::APPEND,
                Placement::Add => NlmF::EXCL,
            };
            (Rtm::Newroute, NlmF::CREATE | place, route(key, Some(spec)))
        }
        RouteCommand::Delete(key) => (Rtm::Delroute, NlmF::empty(), route(key, None)),
    };
    Ok(Request {
        kind: kind.into(),
        flags,
        payload: payload.finish().ok_or(EncodeError::TooLong)?,
    })
}

/// RTM_GETROUTE for all of a family that has this protocol: the kernel leaves the others out
/// (NETLINK_GET_STRICT_CHK, Linux 4.20).
pub(super) fn route_question(family: Family, protocol: u8) -> Buffer {
    let header = [family_number(family), 0, 0, 0, 0, protocol, 0, 0];
    Buffer::from([header.as_slice(), &[0; 4]].concat())
}

/// RTM_GETROUTE for the way to one address.
pub(super) fn way_question(address: IpAddr) -> Buffer {
    let family = Family::of(address);
    let head = [family_number(family), family.bits(), 0, 0, 0, 0, 0, 0];
    let mut payload = Payload::new(&[&head, &[0; 4]]);
    put_ip(&mut payload, RTA_DST, address);
    payload.finish().unwrap_or_default()
}

/// RTM_GETRULE for all of a family.
pub(super) fn rule_question(family: Family) -> Buffer {
    let mut header = vec![0; 12];
    if let Some(first) = header.first_mut() {
        *first = family_number(family);
    }
    Buffer::from(header)
}

fn short_table(table: u32) -> u8 {
    u8::try_from(table).unwrap_or(0)
}

fn route(key: &RouteKey, spec: Option<&RouteSpec>) -> Payload {
    let multipath = key.hops.len() > 1;
    let options = |index: usize| spec.and_then(|spec| spec.hops.get(index));
    let onlink = !multipath && options(0).is_some_and(|options| options.onlink);
    let flags = if onlink { u32::from(ONLINK) } else { 0 };
    let mut payload = Payload::new(&[
        &[
            family_number(key.family),
            key.destination.prefix(),
            key.source.map_or(0, Cidr::prefix),
            key.tos,
            short_table(key.table),
            key.protocol,
            spec.map_or(SCOPE_ANY, |spec| spec.scope),
            key.kind,
        ],
        &flags.to_ne_bytes(),
    ]);
    put_ip(&mut payload, RTA_DST, key.destination.addr());
    if let Some(source) = key.source {
        put_ip(&mut payload, RTA_SRC, source.addr());
    }
    payload.u32(RTA_TABLE, key.table);
    if key.metric != 0 {
        payload.u32(RTA_PRIORITY, key.metric);
    }
    if multipath {
        payload.with(RTA_MULTIPATH, |payload| {
            for (index, hop) in key.hops.iter().enumerate() {
                next_hop(payload, key.family, hop, options(index));
            }
        });
    } else if let Some(hop) = key.hops.first() {
        if let Some(interface) = hop.1 {
            payload.u32(RTA_OIF, interface.get());
        }
        hop_attributes(&mut payload, key.family, hop, options(0));
    }
    if let Some(spec) = spec {
        route_options(&mut payload, spec);
    }
    payload
}

fn route_options(payload: &mut Payload, spec: &RouteSpec) {
    if let Some(source) = spec.source_address {
        put_ip(payload, RTA_PREFSRC, source);
    }
    if !spec.metrics.is_empty() || spec.congestion.is_some() {
        payload.with(RTA_METRICS | NESTED, |metrics| {
            for (metric, value) in &spec.metrics {
                metrics.u32(*metric, *value);
            }
            if let Some(name) = &spec.congestion {
                metrics.text(RTAX_CC_ALGO, name);
            }
            if spec.locked != 0 {
                metrics.u32(RTAX_LOCK, spec.locked);
            }
        });
    }
    if let Some(seconds) = spec.expires {
        payload.u32(RTA_EXPIRES, seconds);
    }
    if let Some(preference) = spec.preference {
        payload.u8(RTA_PREF, preference);
    }
    if let Some(on) = spec.ttl_propagate {
        payload.u8(RTA_TTL_PROPAGATE, u8::from(on));
    }
}

/// `struct rtnexthop` and what belongs to it.
fn next_hop(payload: &mut Payload, family: Family, hop: &Hop, options: Option<&HopOptions>) {
    let flags = if options.is_some_and(|o| o.onlink) {
        ONLINK
    } else {
        0
    };
    let weight = options.map_or(0, |o| o.weight);
    let interface = hop.1.map_or(0, |interface| interface.get());
    payload.counted(|payload| {
        payload.raw(&[flags, weight]);
        payload.raw(&interface.to_ne_bytes());
        hop_attributes(payload, family, hop, options);
    });
}

fn hop_attributes(payload: &mut Payload, family: Family, hop: &Hop, options: Option<&HopOptions>) {
    match hop.0 {
        Some(via) if Family::of(via) == family => put_ip(payload, RTA_GATEWAY, via),
        // `struct rtvia`: the family of the neighbour, its address.
        Some(via) => payload.with(RTA_VIA, |payload| {
            payload.raw(&u16::from(family_number(Family::of(via))).to_ne_bytes());
            match via {
                IpAddr::V4(v4) => payload.raw(&v4.octets()),
                IpAddr::V6(v6) => payload.raw(&v6.octets()),
            }
        }),
        None => {}
    }
    let Some(options) = options else {
        return;
    };
    if options.realms != 0 {
        payload.u32(RTA_FLOW, options.realms);
    }
    if let Some(encap) = &options.encap {
        wrap(payload, encap);
    }
}

fn wrap(payload: &mut Payload, encap: &Encap) {
    let kind = match encap {
        Encap::Ip(_) => ENCAP_IP,
        Encap::Ip6(_) => ENCAP_IP6,
        Encap::Mpls(_) => ENCAP_MPLS,
    };
    payload.with(RTA_ENCAP | NESTED, |inner| match encap {
        Encap::Ip(t) => tunnel(inner, t, &t.dst.octets(), &t.src.octets()),
        Encap::Ip6(t) => tunnel(inner, t, &t.dst.octets(), &t.src.octets()),
        Encap::Mpls(labels) => inner.bytes(MPLS_DST, &label_stack(labels)),
    });
    payload.bytes(RTA_ENCAP_TYPE, &kind.to_ne_bytes());
}

fn tunnel<A>(payload: &mut Payload, tunnel: &Tunnel<A>, dst: &[u8], src: &[u8]) {
    payload.bytes(TUNNEL_ID, &tunnel.id.to_be_bytes());
    payload.bytes(TUNNEL_DST, dst);
    if src.iter().any(|byte| *byte != 0) {
        payload.bytes(TUNNEL_SRC, src);
    }
    payload.u8(TUNNEL_TTL, tunnel.ttl);
    payload.u8(TUNNEL_TOS, tunnel.tos);
    if tunnel.flags != 0 {
        payload.bytes(TUNNEL_FLAGS, &tunnel.flags.to_ne_bytes());
    }
}

/// RFC 3032: 20 bits of label, 3 of traffic class, 1 that ends the stack, 8 of TTL.
fn label_stack(labels: &[u32]) -> Vec<u8> {
    let last = labels.len().saturating_sub(1);
    let entries = labels.iter().enumerate().flat_map(|(index, label)| {
        let bottom = u32::from(index == last) << 8;
        (label << 12 | bottom).to_be_bytes()
    });
    entries.collect()
}

/// The message that carries `command` out.
pub(super) fn rule_command(command: &RuleCommand) -> Result<Request<Buffer>, EncodeError> {
    let (kind, flags, of) = match command {
        RuleCommand::Add(of) => (Rtm::Newrule, NlmF::CREATE | NlmF::EXCL, of),
        RuleCommand::Delete(of) => (Rtm::Delrule, NlmF::empty(), of),
    };
    Ok(Request {
        kind: kind.into(),
        flags,
        payload: rule(of).finish().ok_or(EncodeError::TooLong)?,
    })
}

fn rule(rule: &Rule) -> Payload {
    let (action, table) = match rule.action {
        RuleAction::Table(table) => (TO_TABLE, table),
        RuleAction::L3mdev => (TO_TABLE, 0),
        RuleAction::Goto(_) => (GOTO, 0),
        RuleAction::Nop => (NOP, 0),
        RuleAction::Blackhole => (BLACKHOLE, 0),
        RuleAction::Unreachable => (UNREACHABLE, 0),
        RuleAction::Prohibit => (PROHIBIT, 0),
    };
    let flags = if rule.invert { INVERT } else { 0 };
    let mut payload = Payload::new(&[
        &[
            family_number(rule.family),
            rule.to.map_or(0, Cidr::prefix),
            rule.from.map_or(0, Cidr::prefix),
            rule.tos,
            short_table(table),
            0,
            0,
            action,
        ],
        &flags.to_ne_bytes(),
    ]);
    payload.u32(FRA_PRIORITY, rule.preference);
    payload.u8(FRA_PROTOCOL, rule.protocol);
    if table != 0 {
        payload.u32(FRA_TABLE, table);
    }
    match rule.action {
        RuleAction::L3mdev => payload.u8(FRA_L3MDEV, 1),
        RuleAction::Goto(target) => payload.u32(FRA_GOTO, target),
        _ => {}
    }
    selectors(&mut payload, rule);
    payload
}

fn selectors(payload: &mut Payload, rule: &Rule) {
    if let Some(from) = rule.from {
        put_ip(payload, FRA_SRC, from.addr());
    }
    if let Some(to) = rule.to {
        put_ip(payload, FRA_DST, to.addr());
    }
    if let Some((mark, mask)) = rule.fwmark {
        payload.u32(FRA_FWMARK, mark);
        payload.u32(FRA_FWMASK, mask);
    }
    if rule.realms != 0 {
        payload.u32(FRA_FLOW, rule.realms);
    }
    if let Some(length) = rule.suppress_prefix {
        payload.u32(FRA_SUPPRESS_PREFIXLEN, length);
    }
    if let Some(group) = rule.suppress_group {
        payload.u32(FRA_SUPPRESS_IFGROUP, group);
    }
    if let Some(name) = &rule.iif {
        payload.text(FRA_IIFNAME, name.as_str());
    }
    if let Some(name) = &rule.oif {
        payload.text(FRA_OIFNAME, name.as_str());
    }
    if rule.tunnel_id != 0 {
        payload.bytes(FRA_TUN_ID, &rule.tunnel_id.to_be_bytes());
    }
    if let Some((first, last)) = rule.uids {
        let range = [first, last].map(u32::to_ne_bytes);
        payload.bytes(FRA_UID_RANGE, range.as_flattened());
    }
    if let Some(protocol) = rule.ip_protocol {
        payload.u8(FRA_IP_PROTO, protocol);
    }
    for (kind, ports) in [
        (FRA_SPORT_RANGE, rule.source_ports),
        (FRA_DPORT_RANGE, rule.destination_ports),
    ] {
        if let Some((first, last)) = ports {
            let range = [first, last].map(u16::to_ne_bytes);
            payload.bytes(kind, range.as_flattened());
        }
    }
}
