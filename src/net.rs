//! Addresses, names and numbers of the network, each checked where it is made.

mod address;
mod bfd;
mod channel;
mod command;
mod filter;
mod interface;
mod link;
mod lvs;
mod own_link;
mod route;
mod service_rules;
mod sysctl;

pub use address::{Cidr, Endpoint, Family, ParseCidrError};
pub use bfd::{BfdArrival, BfdPath};
pub use channel::Channel;
pub use command::{NetCommand, NetPicture};
pub use filter::Filter;
pub use interface::{InterfaceIndex, InterfaceName, InterfaceNameError, MacAddr};
pub use link::{
    ADDRESS_PROTOCOL, AddressCommand, AddressKey, AddressSpec, Link, LinkCommand, ObservedAddress,
};
pub use lvs::{ForwardingMethod, FwMark, Protocol, Scheduler, SchedulerFlag};
pub use own_link::{OwnLink, OwnLinkKind, virtual_router_mac};
pub use route::{
    DEFAULT_METRIC_V6, Encap, Hop, HopOptions, MAIN_TABLE, ObservedRoute, Placement,
    ROUTE_PROTOCOL, RouteCommand, RouteKey, RouteSpec, RoutingInterest, Rule, RuleAction,
    RuleCommand, Tunnel, UNICAST,
};
pub use service_rules::{Masquerade, MasqueradedService, ServiceRules};
pub use sysctl::Sysctl;
