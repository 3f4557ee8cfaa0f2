//! Links that vipd makes for virtual routers: a VMAC (macvlan), or an ipvlan interface.

use serde::Serialize;

use super::{Cidr, Family, InterfaceName, MacAddr};

/// One such link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OwnLink {
    /// Its name, unique among them.
    pub name: InterfaceName,
    /// The interface that it is on.
    pub base: InterfaceName,
    /// What it is.
    pub kind: OwnLinkKind,
    /// Whether it carries addresses of IPv4, and of IPv6.
    pub v4: bool,
    /// See `v4`.
    pub v6: bool,
    /// `group`: IFLA_GROUP.
    pub group: Option<u32>,
    /// `netlink_notify_msg`: the interface that it is on is spoken of when this one comes or goes.
    pub tells_of_base: bool,
}

/// What a link of ours is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnLinkKind {
    /// A macvlan in private mode with this hardware address.
    Macvlan(MacAddr),
    /// An ipvlan in mode L2.
    Ipvlan {
        /// IPVLAN_F_PRIVATE (1), IPVLAN_F_VEPA (2), or 0 for a bridge.
        flags: u16,
        /// Its own address.
        address: Option<Cidr>,
    },
}

impl OwnLink {
    /// Its hardware address, if it has one of its own.
    pub const fn mac(&self) -> Option<MacAddr> {
        match self.kind {
            OwnLinkKind::Macvlan(mac) => Some(mac),
            OwnLinkKind::Ipvlan { .. } => None,
        }
    }

    /// What the kernel calls its kind.
    pub const fn kind_name(&self) -> &'static str {
        match self.kind {
            OwnLinkKind::Macvlan(_) => "macvlan",
            OwnLinkKind::Ipvlan { .. } => "ipvlan",
        }
    }
}

/// The virtual router MAC address of a VRID (RFC 9568 section 7.3).
pub const fn virtual_router_mac(family: Family, vrid: u8) -> MacAddr {
    let family = match family {
        Family::V4 => 1,
        Family::V6 => 2,
    };
    MacAddr([0, 0, 0x5e, 0, family, vrid])
}
