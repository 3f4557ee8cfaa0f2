//! Links and addresses of one network namespace: read them, change them in batches, hear of changes
//! (rtnetlink(7)).

mod decode;
mod decode_route;
mod encode;
mod encode_route;
mod monitor;
mod own_link;
pub(in crate::kernel) mod write;

use std::io;
use std::net::IpAddr;

use neli::consts::nl::NlmF;
use neli::consts::rtnl::Rtm;
use neli::consts::socket::NlFamily;

use crate::net::{
    Family, Link, NetCommand, NetPicture, ObservedAddress, ObservedRoute, RoutingInterest, Rule,
};

use super::netlink::{Error, Failure, Request, Socket};

pub(super) use encode::family_number;
pub use monitor::{Event, Monitor};
pub use own_link::LinkDetails;

/// A route netlink socket of the network namespace that the thread was in when it was opened.
pub struct Route {
    socket: Socket,
}

impl Route {
    /// Opens one.
    ///
    /// # Errors
    /// Those of socket(2) and bind(2).
    pub fn open() -> io::Result<Route> {
        let socket = Socket::open(NlFamily::Route)?;
        Ok(Route { socket })
    }

    /// All links and addresses, and the routes and rules that matter.
    ///
    /// # Errors
    /// The kernel refuses, or does not answer.
    pub fn picture(&mut self, interest: &RoutingInterest) -> Result<NetPicture, Error> {
        Ok(NetPicture {
            links: self.links()?,
            addresses: self.addresses()?,
            routes: self.routes(interest)?,
            rules: self.rules(interest)?,
        })
    }

    /// The routes that matter. The kernel leaves out those of other protocols, so that a large table
    /// that others fill costs little.
    ///
    /// # Errors
    /// The kernel refuses, or does not answer.
    pub fn routes(&mut self, interest: &RoutingInterest) -> Result<Vec<ObservedRoute>, Error> {
        let mut routes = Vec::new();
        if !interest.routes {
            return Ok(routes);
        }
        for family in [Family::V4, Family::V6] {
            for protocol in interest.protocols.iter().copied() {
                let request = Request {
                    kind: Rtm::Getroute.into(),
                    flags: NlmF::empty(),
                    payload: encode_route::route_question(family, protocol),
                };
                let ours = self.socket.dump(&"list routes", &request, |kind, payload| {
                    let ours = Rtm::from(kind) == Rtm::Newroute
                        && decode_route::route_protocol(payload) == Some(protocol);
                    ours.then(|| decode_route::route(payload))?
                });
                match ours {
                    Ok(ours) => routes.extend(ours),
                    // A kernel without IPv6 has no such table.
                    Err(error) if family == Family::V6 && error.is_unsupported() => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(routes)
    }

    /// Whether packets to an address are for this machine: the kernel's own answer, routes and rules and all.
    ///
    /// # Errors
    /// The kernel refuses, as where no route leads there, or does not answer.
    pub fn is_local(&mut self, address: IpAddr) -> Result<bool, Error> {
        /// RTN_LOCAL, of `rtm_type` in `struct rtmsg`.
        const LOCAL: u8 = 2;
        let request = Request {
            kind: Rtm::Getroute.into(),
            flags: NlmF::empty(),
            payload: encode_route::way_question(address),
        };
        let ways = self.socket.ask(&"find a route", request, |kind, payload| {
            (Rtm::from(kind) == Rtm::Newroute).then(|| payload.get(7) == Some(&LOCAL))
        })?;
        Ok(ways.contains(&true))
    }

    /// The rules that matter.
    ///
    /// # Errors
    /// The kernel refuses, or does not answer.
    pub fn rules(&mut self, interest: &RoutingInterest) -> Result<Vec<Rule>, Error> {
        let mut rules = Vec::new();
        if !interest.rules {
            return Ok(rules);
        }
        for family in [Family::V4, Family::V6] {
            let request = Request {
                kind: Rtm::Getrule.into(),
                flags: NlmF::empty(),
                payload: encode_route::rule_question(family),
            };
            let all = self.socket.dump(&"list rules", &request, |kind, payload| {
                (Rtm::from(kind) == Rtm::Newrule).then(|| decode_route::rule(payload))?
            });
            match all {
                Ok(all) => rules.extend(all),
                // Without policy routing there is none; whoever wants one is told when it is set.
                Err(error) if error.is_unsupported() => {}
                Err(error) => return Err(error),
            }
        }
        rules.retain(|rule| interest.protocols.contains(&rule.protocol));
        Ok(rules)
    }

    /// All links.
    ///
    /// # Errors
    /// The kernel refuses, or does not answer.
    pub fn links(&mut self) -> Result<Vec<Link>, Error> {
        let request = Request {
            kind: Rtm::Getlink.into(),
            flags: NlmF::empty(),
            payload: encode::link_question(),
        };
        self.socket.dump(&"list links", &request, |kind, payload| {
            (Rtm::from(kind) == Rtm::Newlink).then(|| decode::link(payload))?
        })
    }

    /// All addresses, IPv4 and IPv6, of all links.
    ///
    /// # Errors
    /// The kernel refuses, or does not answer.
    pub fn addresses(&mut self) -> Result<Vec<ObservedAddress>, Error> {
        let request = Request {
            kind: Rtm::Getaddr.into(),
            flags: NlmF::empty(),
            payload: encode::address_question(),
        };
        self.socket
            .dump(&"list addresses", &request, |kind, payload| {
                (Rtm::from(kind) == Rtm::Newaddr).then(|| decode::address(payload))?
            })
    }

    /// Carries all commands out in their order, each whatever happens to the others; the result has
    /// those that failed, in order.
    ///
    /// Adding an address that is there is no failure: it lasts for ever from then on. Its broadcast
    /// address, scope and label stay as they are; in IPv4 its tag may, too (seen: 6.1 keeps the one it
    /// had, 6.18 writes ours). So the tag alone does not say what is ours.
    pub fn apply(&mut self, commands: &[NetCommand]) -> Vec<Failure> {
        self.socket.batch(commands, encode::command)
    }
}
