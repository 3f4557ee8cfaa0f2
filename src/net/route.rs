//! Routes and rules of policy routing: what is asked of the kernel, and what it shows (rtnetlink(7),
//! include/uapi/linux/rtnetlink.h, fib_rules.h).

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Serialize;

use super::{Cidr, Family, InterfaceIndex, InterfaceName};

/// RTPROT_* of every route and rule that vipd sets unless `protocol` says otherwise: the protocol number
/// of VRRP, as [`super::ADDRESS_PROTOCOL`] is of addresses. It is not keepalived's 18, so that a route of
/// a keepalived beside us is never taken for ours.
pub const ROUTE_PROTOCOL: u8 = 112;

/// RT_TABLE_MAIN.
pub const MAIN_TABLE: u32 = 254;

/// RTN_UNICAST.
pub const UNICAST: u8 = 1;

/// Metric of an IPv6 route that was set without one (IP6_RT_PRIO_USER).
pub const DEFAULT_METRIC_V6: u32 = 1024;

/// Where a route goes: which neighbour, over which link. Without either, nowhere.
pub type Hop = (Option<IpAddr>, Option<InterfaceIndex>);

/// What tells one route from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouteKey {
    /// Family of the destination.
    pub family: Family,
    /// Number of its table.
    pub table: u32,
    /// Its destination; of length 0 for the default route.
    pub destination: Cidr,
    /// Source that it is for (IPv6); `None` for all.
    pub source: Option<Cidr>,
    /// Type of service (IPv4).
    pub tos: u8,
    /// Priority: the lowest wins.
    pub metric: u32,
    /// RTN_*: unicast, blackhole and so on.
    pub kind: u8,
    /// RTPROT_*: who set it.
    pub protocol: u8,
    /// Its next hops; more than one share the traffic.
    pub hops: Vec<Hop>,
}

impl RouteKey {
    /// Whether `shown` is this route as the kernel shows it: it names the link of a hop that was asked
    /// for by address alone.
    pub fn is_shown_as(&self, shown: &RouteKey) -> bool {
        let hop_is = |(asked, shown): (&Hop, &Hop)| {
            asked.0 == shown.0 && (asked.1.is_none() || asked.1 == shown.1)
        };
        self.group() == shown.group()
            && self.hops.len() == shown.hops.len()
            && self.hops.iter().zip(&shown.hops).all(hop_is)
    }

    /// Whether this is an IPv6 route whose hops and those of `shown` stand in one route of the kernel: it
    /// makes one of all that differ in nothing else.
    pub fn shares(&self, shown: &RouteKey) -> bool {
        let is_part = |part: &RouteKey, whole: &RouteKey| {
            let hop_is = |asked: &Hop, shown: &Hop| {
                asked.0 == shown.0 && (asked.1.is_none() || asked.1 == shown.1)
            };
            let mut hops = part.hops.iter();
            hops.all(|hop| whole.hops.iter().any(|other| hop_is(hop, other)))
        };
        self.family == Family::V6
            && !self.hops.is_empty()
            && shown.hops.len() > self.hops.len()
            && self.group() == shown.group()
            && is_part(self, shown)
    }

    /// All but the hops: routes that stand side by side.
    fn group(&self) -> (Family, u32, Cidr, Option<Cidr>, u8, u32, u8, u8) {
        (
            self.family,
            self.table,
            self.destination,
            self.source,
            self.tos,
            self.metric,
            self.kind,
            self.protocol,
        )
    }
}

impl fmt::Display for RouteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.destination.prefix() {
            0 => write!(f, "default")?,
            _ => write!(f, "{}", self.destination)?,
        }
        for (via, interface) in &self.hops {
            if let Some(via) = via {
                write!(f, " via {via}")?;
            }
            if let Some(interface) = interface {
                write!(f, " dev {interface}")?;
            }
        }
        if self.table != MAIN_TABLE {
            write!(f, " table {}", self.table)?;
        }
        Ok(())
    }
}

/// What a hop has beside address and link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HopOptions {
    /// Its share, less one.
    pub weight: u8,
    /// RTNH_F_ONLINK: the neighbour is on the link, whatever other routes say.
    pub onlink: bool,
    /// RTA_FLOW (IPv4).
    pub realms: u32,
    /// RTA_ENCAP.
    pub encap: Option<Encap>,
}

/// What packets are wrapped into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Encap {
    /// LWTUNNEL_ENCAP_IP.
    Ip(Tunnel<Ipv4Addr>),
    /// LWTUNNEL_ENCAP_IP6.
    Ip6(Tunnel<Ipv6Addr>),
    /// LWTUNNEL_ENCAP_MPLS: labels, outermost first, each below 2^20.
    Mpls(Vec<u32>),
}

/// A tunnel of IP in IP that a route describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Tunnel<A> {
    /// Number of the tunnel.
    pub id: u64,
    /// Other end.
    pub dst: A,
    /// This end; all zeros: the kernel chooses.
    pub src: A,
    /// TTL or hop limit; 0: the kernel's default.
    pub ttl: u8,
    /// Type of service or traffic class.
    pub tos: u8,
    /// TUNNEL_* in network byte order.
    pub flags: u16,
}

/// Where among routes alike a new one comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Placement {
    /// Before them, as keepalived does it.
    #[default]
    Prepend,
    /// Behind them.
    Append,
    /// Only if there are none.
    Add,
}

/// What a route should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteSpec {
    /// RT_SCOPE_* (IPv4).
    pub scope: u8,
    /// RTA_PREFSRC: source of packets that choose none.
    pub source_address: Option<IpAddr>,
    /// One for each hop.
    pub hops: Vec<HopOptions>,
    /// RTAX_* by number, those that are set.
    pub metrics: BTreeMap<u16, u32>,
    /// RTAX_LOCK: which metrics path MTU discovery and TCP leave alone, a bit each.
    pub locked: u32,
    /// RTAX_CC_ALGO: congestion control.
    pub congestion: Option<String>,
    /// RTA_EXPIRES in seconds (IPv6); it counts down.
    pub expires: Option<u32>,
    /// RTA_PREF: preference (RFC 4191) of an IPv6 route.
    pub preference: Option<u8>,
    /// RTA_TTL_PROPAGATE (MPLS).
    pub ttl_propagate: Option<bool>,
    /// Where it comes; what is there keeps its place.
    pub placement: Placement,
}

/// A route as the kernel shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedRoute {
    /// Which.
    pub key: RouteKey,
    /// What it is.
    pub spec: RouteSpec,
}

/// One change to a namespace's routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteCommand {
    /// RTM_NEWROUTE.
    Add(RouteKey, RouteSpec),
    /// RTM_DELROUTE.
    Delete(RouteKey),
}

impl fmt::Display for RouteCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RouteCommand::Add(key, _) => write!(f, "add route {key}"),
            RouteCommand::Delete(key) => write!(f, "delete route {key}"),
        }
    }
}

/// What a rule does with what it matches (FR_ACT_*).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleAction {
    /// Look into a table.
    Table(u32),
    /// Look into the table of the VRF that the packet belongs to.
    L3mdev,
    /// Go on at the rule with this preference.
    Goto(u32),
    /// Nothing.
    Nop,
    /// Drop it.
    Blackhole,
    /// Drop it and say "unreachable".
    Unreachable,
    /// Drop it and say "prohibited".
    Prohibit,
}

/// A rule, every part of which tells it from others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Rule {
    /// Its family.
    pub family: Family,
    /// `preference`: rules are asked in this order.
    pub preference: u32,
    /// What it does.
    pub action: RuleAction,
    /// `not`: it matches what the rest does not.
    pub invert: bool,
    /// Source.
    pub from: Option<Cidr>,
    /// Destination.
    pub to: Option<Cidr>,
    /// Type of service.
    pub tos: u8,
    /// Mark and mask.
    pub fwmark: Option<(u32, u32)>,
    /// RTA_FLOW.
    pub realms: u32,
    /// `suppress_prefixlength`: routes with shorter prefixes do not count.
    pub suppress_prefix: Option<u32>,
    /// `suppress_ifgroup`: routes over links of that group do not count.
    pub suppress_group: Option<u32>,
    /// Where the packet came in.
    pub iif: Option<InterfaceName>,
    /// Where it is to leave.
    pub oif: Option<InterfaceName>,
    /// Number of the tunnel it came through; 0 for none.
    pub tunnel_id: u64,
    /// Owner of the socket, first and last.
    pub uids: Option<(u32, u32)>,
    /// Protocol of the packet.
    pub ip_protocol: Option<u8>,
    /// Source ports, first and last.
    pub source_ports: Option<(u16, u16)>,
    /// Destination ports, first and last.
    pub destination_ports: Option<(u16, u16)>,
    /// RTPROT_*: who set it.
    pub protocol: u8,
}

impl Rule {
    /// A rule for everything of a family.
    pub const fn new(family: Family, preference: u32, action: RuleAction) -> Rule {
        Rule {
            family,
            preference,
            action,
            invert: false,
            from: None,
            to: None,
            tos: 0,
            fwmark: None,
            realms: 0,
            suppress_prefix: None,
            suppress_group: None,
            iif: None,
            oif: None,
            tunnel_id: 0,
            uids: None,
            ip_protocol: None,
            source_ports: None,
            destination_ports: None,
            protocol: ROUTE_PROTOCOL,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = match self.family {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        };
        write!(f, "{family} rule with preference {}", self.preference)
    }
}

/// One change to a namespace's rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleCommand {
    /// RTM_NEWRULE.
    Add(Rule),
    /// RTM_DELRULE.
    Delete(Rule),
}

impl fmt::Display for RuleCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RuleCommand::Add(rule) => write!(f, "add {rule}"),
            RuleCommand::Delete(rule) => write!(f, "delete {rule}"),
        }
    }
}

/// Which routes and rules matter to somebody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoutingInterest {
    /// RTPROT_* of routes and rules; all others belong to somebody else.
    pub protocols: Vec<u8>,
    /// Whether routes matter.
    pub routes: bool,
    /// Whether rules matter.
    pub rules: bool,
}

impl RoutingInterest {
    /// All of what carries our tag, too: at a start and at the end, when a predecessor may have left
    /// some.
    pub fn with_ours(mut self) -> RoutingInterest {
        if !self.protocols.contains(&ROUTE_PROTOCOL) {
            self.protocols.push(ROUTE_PROTOCOL);
        }
        RoutingInterest {
            protocols: self.protocols,
            routes: true,
            rules: true,
        }
    }
}
