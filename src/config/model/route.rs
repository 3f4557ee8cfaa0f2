//! Routes and rules, token by token, and what is static.

use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

use crate::net::{Cidr, InterfaceName};
use crate::units::seconds;

use super::VirtualAddress;

/// One line of `virtual_routes` or `static_routes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Route {
    /// Its type, `unicast` when absent, else `blackhole`, `unreachable` and so on.
    pub kind: &'static str,
    /// Where to; `None` for `default`.
    pub destination: Option<Cidr>,
    /// What follows, in the order of the file.
    pub options: Vec<RouteOption>,
}

/// One line of `virtual_rules` or `static_rules`, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Its tokens.
    pub options: Vec<RouteOption>,
}

/// A token with its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RouteOption {
    /// The token, by the first of its names.
    pub name: &'static str,
    /// What stands behind it.
    pub value: RouteValue,
}

/// What stands behind a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteValue {
    /// Nothing.
    Flag,
    /// A number.
    Number(u32),
    /// A length of time.
    Time(#[serde(serialize_with = "seconds")] Duration),
    /// An address.
    Address(IpAddr),
    /// A network; `None` for `default` or `all`.
    Network(Option<Cidr>),
    /// An interface.
    Interface(InterfaceName),
    /// A name or a number that a table of iproute2 explains, or text.
    Word(String),
    /// The rest of the line: next hops, encapsulation.
    Words(Vec<String>),
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
