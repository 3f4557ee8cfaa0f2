//! The table for virtual servers: marks by which IPVS finds groups, and connections that are masqueraded.

use std::collections::BTreeMap;
use std::net::IpAddr;

use neli::types::Buffer;

use crate::kernel::netlink::Request;
use crate::net::{Cidr, Family, FwMark, MasqueradedService, ServiceRules};

use super::encode::{
    Element, Hook, LOCAL_IN, LOCAL_OUT, POST_ROUTING, TYPE_BITS, TYPE_IPV4, TYPE_IPV6, TYPE_MARK,
    TYPE_PORT, TYPE_PROTOCOL, Writer,
};
use super::expression::{Expressions, REGISTER_2};

/// IPVS takes packets of this machine's own programs right after NF_IP_PRI_NAT_DST, -100: who marks them comes
/// before that (NF_IP_PRI_MANGLE).
const BEFORE_IPVS: i32 = -150;
/// NF_IP_PRI_NAT_SRC.
const SOURCE_NAT: i32 = 100;

/// Everything of one family: what is there goes, whether it is or not, and all is made anew.
pub(super) fn replace(
    table: &str,
    priority: i32,
    rules: &ServiceRules,
    family: Family,
) -> Vec<Option<Request<Buffer>>> {
    let mut out = Writer::anew(table, family, false);
    marks(&mut out, priority, rules);
    masquerades(&mut out, rules);
    out.messages
}

/// Where addresses stand in the header, and their length.
fn address(family: Family) -> (u32, u32) {
    match family {
        Family::V4 => (16, 4),
        Family::V6 => (24, 16),
    }
}

/// The registers that lie behind that of an address: one, and 4 bytes on the next. As nft(8) numbers them: by 4
/// bytes from NFT_REG32_00 on, 8, but where 16 bytes are whole by those, NFT_REG_2.
fn after_address(family: Family) -> (u32, u32) {
    match family {
        Family::V4 => (9, 10),
        Family::V6 => (REGISTER_2, 13),
    }
}

fn address_type(family: Family) -> u32 {
    match family {
        Family::V4 => TYPE_IPV4,
        Family::V6 => TYPE_IPV6,
    }
}

fn marks(out: &mut Writer<'_>, priority: i32, rules: &ServiceRules) {
    let family = out.family;
    let (mut ports, mut any_port) = (Vec::new(), Vec::new());
    for (protocol, endpoint, mark) in rules.marks_of(family) {
        let mut key = octets(endpoint.addr);
        key.extend([protocol.number(), 0, 0, 0]);
        let data = Some(mark.get().to_ne_bytes());
        match endpoint.port {
            0 => any_port.push((key, data)),
            port => {
                key.extend(port.to_be_bytes());
                key.extend([0, 0]);
                ports.push((key, data));
            }
        }
    }
    if ports.is_empty() && any_port.is_empty() {
        return;
    }
    let (_, length) = address(family);
    let bytes = usize::try_from(length).unwrap_or(16);
    let mark = Some((TYPE_MARK, 4));
    let of_protocol = (address_type(family) << TYPE_BITS) | TYPE_PROTOCOL;
    let of_port = (of_protocol << TYPE_BITS) | TYPE_PORT;
    out.set("any_port", (of_protocol, bytes + 4), mark);
    out.elements("any_port", &any_port);
    out.set("ports", (of_port, bytes + 8), mark);
    out.elements("ports", &ports);
    let hooks = [
        ("in", LOCAL_IN, priority),
        ("out", LOCAL_OUT, priority.min(BEFORE_IPVS)),
    ];
    for (chain, number, priority) in hooks {
        let kind = "filter";
        out.hooked(
            chain,
            Some(Hook {
                kind,
                number,
                priority,
            }),
        );
        // A port of its own counts more, so it comes last.
        out.rule(chain, |rule| {
            to_address(rule, family).protocol(after_address(family).0);
            rule.mark_by("any_port");
        });
        out.rule(chain, |rule| {
            let (protocol, port) = after_address(family);
            to_address(rule, family).destination_port(protocol, port);
            rule.mark_by("ports");
        });
    }
}

fn to_address<'a, 'b>(rule: &'a mut Expressions<'b>, family: Family) -> &'a mut Expressions<'b> {
    let (offset, length) = address(family);
    rule.network(offset, length)
}

fn masquerades(out: &mut Writer<'_>, rules: &ServiceRules) {
    let family = out.family;
    let mut asked: BTreeMap<Option<Cidr>, Vec<Element>> = BTreeMap::new();
    let mut marked: Vec<(Option<Cidr>, FwMark)> = Vec::new();
    for masquerade in rules.masquerades_of(family) {
        match masquerade.to {
            MasqueradedService::Address(address) => {
                let list = asked.entry(masquerade.within).or_default();
                list.push((octets(address), None));
            }
            MasqueradedService::FwMark(_, mark) => marked.push((masquerade.within, mark)),
        }
    }
    if asked.is_empty() && marked.is_empty() {
        return;
    }
    let chain = "post";
    out.hooked(
        chain,
        Some(Hook {
            kind: "nat",
            number: POST_ROUTING,
            priority: SOURCE_NAT,
        }),
    );
    let (_, length) = address(family);
    let bytes = usize::try_from(length).unwrap_or(16);
    for (number, (network, addresses)) in asked.into_iter().enumerate() {
        let set = format!("asked{number}");
        out.set(&set, (address_type(family), bytes), None);
        out.elements(&set, &addresses);
        out.rule(chain, |rule| {
            // What went there with DR or TUN still has that address.
            to_address(rule, family).is_not_in(&set);
            within(rule, network);
            rule.asked_address(family).is_in(&set).masquerade();
        });
    }
    for (network, mark) in marked {
        out.rule(chain, |rule| {
            within(rule, network);
            rule.mark().equals(&mark.get().to_ne_bytes()).masquerade();
        });
    }
}

/// From this network and to it.
fn within(rule: &mut Expressions<'_>, network: Option<Cidr>) {
    let Some(network) = network else {
        return;
    };
    let bits = u32::from(network.prefix());
    let mask = match network.addr() {
        IpAddr::V4(_) => octets(IpAddr::from(
            u32::MAX.checked_shl(32 - bits).unwrap_or(0).to_be_bytes(),
        )),
        IpAddr::V6(_) => octets(IpAddr::from(
            u128::MAX.checked_shl(128 - bits).unwrap_or(0).to_be_bytes(),
        )),
    };
    let masked: Vec<u8> = octets(network.addr())
        .iter()
        .zip(&mask)
        .map(|(octet, mask)| octet & mask)
        .collect();
    let (to, length) = address(network.family());
    for offset in [to - length, to] {
        rule.network(offset, length).mask(&mask).equals(&masked);
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
