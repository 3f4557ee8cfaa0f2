//! Routes and rules, and what is static.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use crate::net::{self, Cidr, Encap, Family, InterfaceName, Placement};

use super::VirtualAddress;

/// One line of `virtual_routes` or `static_routes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Route {
    /// Family of its destination.
    pub family: Family,
    /// Its type (RTN_*): 1 for unicast, 6 for blackhole and so on.
    pub kind: u8,
    /// Where to; of length 0 for `default`.
    pub destination: Cidr,
    /// `from` (IPv6).
    pub from: Option<Cidr>,
    /// `table`, or `vrf`; main when absent.
    pub table: Table,
    /// `tos`.
    pub tos: u8,
    /// `metric`; the kernel's default when 0.
    pub metric: u32,
    /// `protocol`; vipd's own when absent.
    pub protocol: Option<u8>,
    /// `scope`; what the type asks for when absent.
    pub scope: u8,
    /// `src`.
    pub source_address: Option<IpAddr>,
    /// `via`, `dev` and what belongs to them, or every `nexthop`.
    pub hops: Vec<RouteHop>,
    /// RTAX_* by number: `mtu`, `advmss` and so on, in the kernel's units.
    pub metrics: BTreeMap<u16, u32>,
    /// A bit for each metric that `lock` stands before.
    pub locked: u32,
    /// `congctl`.
    pub congestion: Option<String>,
    /// `expires` in seconds (IPv6).
    pub expires: Option<u32>,
    /// `pref` (IPv6; RFC 4191): 0 medium, 1 high, 3 low.
    pub preference: Option<u8>,
    /// `ttl-propagate` (MPLS).
    pub ttl_propagate: Option<bool>,
    /// `add`, `prepend` or `append`.
    pub placement: Placement,
    /// `no_track`: its links going down is not a fault of the instance.
    pub no_track: bool,
    /// `track_group`, of static routes.
    pub track_group: Option<String>,
}

/// Which table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// By number.
    Number(u32),
    /// That of a VRF.
    Vrf(InterfaceName),
}

/// Where a route goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RouteHop {
    /// `via`.
    pub via: Option<IpAddr>,
    /// `dev`.
    pub dev: Option<InterfaceName>,
    /// `weight`, 1 to 256, of a `nexthop`.
    pub weight: u16,
    /// `onlink`.
    pub onlink: bool,
    /// `realms`: source in the upper 16 bits, destination in the lower.
    pub realms: u32,
    /// `encap`.
    pub encap: Option<Encap>,
}

/// One line of `virtual_rules` or `static_rules`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// What the kernel is asked for.
    pub rule: net::Rule,
    /// `no_track`: its links going down is not a fault of the instance.
    pub no_track: bool,
    /// `track_group`, of static rules.
    pub track_group: Option<String>,
}

/// `static_ipaddress`, `static_routes`, `static_rules` and `track_group`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Statics {
    /// `static_ipaddress`.
    pub addresses: Vec<VirtualAddress>,
    /// `static_routes`.
    pub routes: Vec<Route>,
    /// `static_rules`.
    pub rules: Vec<Rule>,
    /// `track_group`s: name and the instances that fail with what names it.
    pub track_groups: Vec<(String, Vec<String>)>,
}
