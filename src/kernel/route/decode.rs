//! Messages of route netlink, read into types. Any bytes are fine; what cannot be read is `None`.

use std::net::{IpAddr, Ipv4Addr};

use neli::consts::rtnl::{Ifa, Ifla};

use crate::ipvs::{Attribute, Attributes};
use crate::net::{
    AddressKey, AddressSpec, Cidr, Family, InterfaceIndex, InterfaceName, Link, MacAddr,
    ObservedAddress,
};

use super::encode::{
    FOR_EVER, HOMEADDRESS, IFA_PROTO, IFLA_INET_CONF, MANAGETEMPADDR, MCAUTOJOIN, NODAD,
    NOPREFIXROUTE, PROMOTE_SECONDARIES,
};

/// IFF_* (netdevice(7)).
const UP: u32 = 0x1;
const LOOPBACK: u32 = 0x8;
const RUNNING: u32 = 0x40;
const NOARP: u32 = 0x80;
const MULTICAST: u32 = 0x1000;

/// IFA_F_SECONDARY (include/uapi/linux/if_addr.h).
const SECONDARY: u32 = 0x1;

const AF_UNSPEC: u8 = 0;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// A link, from the payload of RTM_NEWLINK or RTM_DELLINK: `struct ifinfomsg` (16 bytes), attributes.
/// `None` also for news of another family about a link: a bridge tells of its ports so, and the port
/// that leaves a bridge (RTM_DELLINK, AF_BRIDGE) is still there.
pub(super) fn link(payload: &[u8]) -> Option<Link> {
    let (header, attributes) = payload.split_first_chunk::<16>()?;
    let [family, _, _, _, i0, i1, i2, i3, f0, f1, f2, f3, ..] = *header;
    if family != AF_UNSPEC {
        return None;
    }
    let index = InterfaceIndex::new(u32::from_ne_bytes([i0, i1, i2, i3]))?;
    let flags = u32::from_ne_bytes([f0, f1, f2, f3]);
    let (mut name, mut mac, mut mtu) = (None, MacAddr::default(), 0);
    let (mut promote_secondaries, mut vrf_table, mut bridge) = (false, None, false);
    for attribute in Attributes::new(attributes) {
        match Ifla::from(attribute.kind) {
            Ifla::Ifname => name = attribute.text().and_then(|n| n.parse().ok()),
            Ifla::Address => mac = attribute.bytes().map(MacAddr).unwrap_or_default(),
            Ifla::Mtu => mtu = attribute.u32().unwrap_or(0),
            Ifla::Linkinfo => {
                vrf_table = vrf(attribute);
                bridge = is_kind(attribute, "bridge");
            }
            Ifla::AfSpec => promote_secondaries = promotes(attribute).unwrap_or(false),
            _ => {}
        }
    }
    let name: InterfaceName = name?;
    let set = |bit: u32| flags & bit != 0;
    Some(Link {
        index,
        name,
        mac,
        admin_up: set(UP),
        running: set(RUNNING),
        loopback: set(LOOPBACK),
        no_arp: set(NOARP),
        multicast: set(MULTICAST),
        mtu,
        promote_secondaries,
        vrf_table,
        bridge,
    })
}

/// IFLA_LINKINFO: the kind of the link (1), and what that kind has (2): IFLA_VRF_TABLE.
fn vrf(info: Attribute<'_>) -> Option<u32> {
    if !is_kind(info, "vrf") {
        return None;
    }
    let data = info.nested().find(|inner| inner.kind == 2)?;
    data.nested().find(|inner| inner.kind == 1)?.u32()
}

fn is_kind(info: Attribute<'_>, kind: &str) -> bool {
    let mut inner = info.nested();
    inner.any(|inner| inner.kind == 1 && inner.text() == Some(kind))
}

/// IFLA_AF_SPEC: settings by family. Those of IPv4 come as an array of numbers, the first of them with
/// the number 1.
fn promotes(families: Attribute<'_>) -> Option<bool> {
    let mut families = families.nested();
    let inet = families.find(|family| family.kind == u16::from(AF_INET))?;
    let settings = inet.nested().find(|inner| inner.kind == IFLA_INET_CONF)?;
    let (settings, _) = settings.value.as_chunks::<4>();
    let value = settings.get(usize::from(PROMOTE_SECONDARIES) - 1)?;
    Some(u32::from_ne_bytes(*value) != 0)
}

/// An address, from the payload of RTM_NEWADDR or RTM_DELADDR: `struct ifaddrmsg` (8 bytes),
/// attributes.
pub(super) fn address(payload: &[u8]) -> Option<ObservedAddress> {
    let (header, attributes) = payload.split_first_chunk::<8>()?;
    let [family, prefix, flags, scope, i0, i1, i2, i3] = *header;
    let family = family_of(family)?;
    let interface = InterfaceIndex::new(u32::from_ne_bytes([i0, i1, i2, i3]))?;
    let mut flags = u32::from(flags);
    let (mut local, mut other, mut protocol) = (None, None, 0);
    let mut spec = AddressSpec {
        scope,
        ..AddressSpec::default()
    };
    for attribute in Attributes::new(attributes) {
        match Ifa::from(attribute.kind) {
            Ifa::Local => local = ip(attribute, family),
            // The other end where there is one; without IFA_LOCAL the address itself.
            Ifa::Address => other = ip(attribute, family),
            Ifa::Broadcast => spec.broadcast = attribute.bytes().map(<[u8; 4]>::into),
            Ifa::Label => spec.label = attribute.text().map(str::to_owned),
            Ifa::Flags => flags = attribute.u32().unwrap_or(flags),
            Ifa::Cacheinfo => {
                let (times, _) = attribute.value.as_chunks::<4>();
                let time = |at: usize| {
                    let time = times.get(at).copied().map(u32::from_ne_bytes);
                    time.filter(|seconds| *seconds != FOR_EVER)
                };
                (spec.preferred_lifetime, spec.valid_lifetime) = (time(0), time(1));
            }
            Ifa::UnrecognizedConst(IFA_PROTO) => protocol = attribute.u8().unwrap_or(0),
            _ => {}
        }
    }
    let set = |bit: u32| flags & bit != 0;
    spec.no_dad = set(NODAD);
    spec.home = set(HOMEADDRESS);
    spec.manage_temporary = set(MANAGETEMPADDR);
    spec.no_prefix_route = set(NOPREFIXROUTE);
    spec.auto_join = set(MCAUTOJOIN);
    Some(ObservedAddress {
        key: AddressKey {
            interface,
            cidr: Cidr::new(local.or(other)?, prefix)?,
            peer: other.filter(|other| local.is_some_and(|local| local != *other)),
        },
        spec,
        protocol,
        secondary: family == Family::V4 && flags & SECONDARY != 0,
    })
}

/// AF_INET or AF_INET6.
pub(super) const fn family_of(number: u8) -> Option<Family> {
    match number {
        AF_INET => Some(Family::V4),
        AF_INET6 => Some(Family::V6),
        _ => None,
    }
}

/// An address of this family.
pub(super) fn ip(attribute: Attribute<'_>, family: Family) -> Option<IpAddr> {
    match family {
        Family::V4 => attribute.bytes().map(|b: [u8; 4]| Ipv4Addr::from(b).into()),
        Family::V6 => attribute.bytes().map(|b: [u8; 16]| IpAddr::from(b)),
    }
}

#[cfg(test)]
mod tests;
