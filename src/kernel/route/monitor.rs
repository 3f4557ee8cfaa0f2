//! Hearing of changes to links and addresses as they happen.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use neli::consts::rtnl::Rtm;
use neli::consts::socket::NlFamily;
use neli::socket::NlSocket;
use neli::utils::Groups;
use tokio::io::unix::AsyncFd;

use crate::kernel::netlink::{Body, Frames, Wait, connect, receive};
use crate::kernel::sys;
use crate::net::{
    AddressKey, InterfaceIndex, InterfaceName, Link, ObservedAddress, ObservedRoute, RouteKey,
    RoutingInterest, Rule,
};

use super::{decode, decode_route};

/// RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR.
const GROUPS: [u32; 3] = [1, 5, 9];
/// RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE.
const ROUTE_GROUPS: [u32; 2] = [7, 11];
/// RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE.
const RULE_GROUPS: [u32; 2] = [8, 19];

/// Messages thrown away in one go after an overrun: more than the receive buffer holds, fewer than
/// would hold the caller up when they keep coming.
const DISCARD_MAX: usize = 50_000;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A link is new or changed; this is how it is now.
    Link(Link),
    /// A link is gone from this network namespace.
    LinkGone(InterfaceIndex, InterfaceName),
    /// An address is new or changed; this is how it is now.
    AddressAdded(ObservedAddress),
    /// An address is gone.
    AddressRemoved(AddressKey),
    /// A route that matters is new or changed.
    RouteAdded(ObservedRoute),
    /// A route that matters is gone.
    RouteRemoved(RouteKey),
    /// A rule that matters is new.
    RuleAdded(Rule),
    /// A rule that matters is gone.
    RuleRemoved(Rule),
    /// Messages were lost, and those that still waited were thrown away: list everything again.
    Overrun,
}

/// A socket that never blocks: poll it ([`AsFd`]), then call [`Monitor::next`] until `None`.
pub struct Monitor {
    socket: NlSocket,
    buffer: Vec<u8>,
    /// Where in `buffer` messages are that were not yet given.
    unread: std::ops::Range<usize>,
    /// An overrun was heard of, and what waited then was not yet all thrown away.
    overrun: bool,
    interest: RoutingInterest,
}

impl Monitor {
    /// Subscribes, in the network namespace that the thread is in. What is there already is not
    /// told: open first, then list with [`super::Route`].
    ///
    /// # Errors
    /// Those of socket(2) and bind(2).
    pub fn open() -> io::Result<Monitor> {
        let socket = connect(NlFamily::Route, Groups::new_groups(&GROUPS))?;
        socket.nonblock()?;
        Ok(Monitor {
            socket,
            buffer: vec![0; 32 << 10],
            unread: 0..0,
            overrun: false,
            interest: RoutingInterest::default(),
        })
    }

    /// Which routes and rules it hears of.
    pub const fn listens_to(&self) -> &RoutingInterest {
        &self.interest
    }

    /// Hears of routes and rules, too, or no longer.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub fn listen_to(&mut self, interest: &RoutingInterest) -> io::Result<()> {
        let groups = |on: bool, groups: &[u32]| {
            let groups = Groups::new_groups(groups);
            let changed = match on {
                true => self.socket.add_mcast_membership(groups),
                false => self.socket.drop_mcast_membership(groups),
            };
            changed.map_err(io::Error::other)
        };
        if interest.routes != self.interest.routes {
            groups(interest.routes, &ROUTE_GROUPS)?;
        }
        if interest.rules != self.interest.rules {
            groups(interest.rules, &RULE_GROUPS)?;
        }
        self.interest = interest.clone();
        Ok(())
    }

    /// Its readiness in a tokio runtime, in whose context this must be called.
    ///
    /// # Errors
    /// The kernel gives no descriptor.
    pub fn readiness(&self) -> io::Result<AsyncFd<OwnedFd>> {
        sys::poll::wait_for(self.as_fd().try_clone_to_owned()?)
    }

    /// The next event; `None` when there is none now.
    ///
    /// # Errors
    /// Those of recv(2), other than that there is nothing and that something was lost.
    #[expect(
        clippy::should_implement_trait,
        reason = "`None` is not the end: more may come"
    )]
    pub fn next(&mut self) -> io::Result<Option<Event>> {
        loop {
            if self.overrun {
                return Ok(self.discard().then_some(Event::Overrun));
            }
            let bytes = self.buffer.get(self.unread.clone()).unwrap_or(&[]);
            let mut frames = Frames::new(bytes);
            for frame in &mut frames {
                if let Body::Data(kind, payload) = frame.body
                    && let Some(event) = event(kind, payload, &self.interest)
                {
                    self.unread.start = self.unread.end - frames.left();
                    return Ok(Some(event));
                }
            }
            self.unread = 0..0;
            match receive(&self.socket, &mut self.buffer, Wait::No) {
                Ok(length) => self.unread = 0..length,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => {
                    self.overrun = true;
                }
                Err(e) => return Err(e),
            }
        }
    }
}

impl Monitor {
    /// After an overrun the kernel queues nothing more until what waits was read, and says so once
    /// only (netlink_overrun in net/netlink/af_netlink.c). Whoever lists everything before the queue
    /// is empty would be told old news after it, and never hear what was left out meanwhile. True when
    /// it is empty.
    fn discard(&mut self) -> bool {
        for _ in 0..DISCARD_MAX {
            match receive(&self.socket, &mut self.buffer, Wait::No) {
                Ok(_) => {}
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => {}
                Err(_) => {
                    self.overrun = false;
                    return true;
                }
            }
        }
        false
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        sys::netlink::as_fd(&self.socket)
    }
}

fn event(kind: u16, payload: &[u8], interest: &RoutingInterest) -> Option<Event> {
    match Rtm::from(kind) {
        Rtm::Newlink => decode::link(payload).map(Event::Link),
        Rtm::Dellink => decode::link(payload).map(|link| Event::LinkGone(link.index, link.name)),
        Rtm::Newaddr => decode::address(payload).map(Event::AddressAdded),
        Rtm::Deladdr => decode::address(payload).map(|a| Event::AddressRemoved(a.key)),
        Rtm::Newroute => route(payload, interest).map(Event::RouteAdded),
        Rtm::Delroute => route(payload, interest).map(|route| Event::RouteRemoved(route.key)),
        Rtm::Newrule => rule(payload, interest).map(Event::RuleAdded),
        Rtm::Delrule => rule(payload, interest).map(Event::RuleRemoved),
        _ => None,
    }
}

/// Others' routes are passed over by one byte: there may be many.
fn route(payload: &[u8], interest: &RoutingInterest) -> Option<ObservedRoute> {
    let protocol = decode_route::route_protocol(payload)?;
    let matters = interest.protocols.contains(&protocol);
    matters.then(|| decode_route::route(payload))?
}

fn rule(payload: &[u8], interest: &RoutingInterest) -> Option<Rule> {
    decode_route::rule(payload).filter(|rule| interest.protocols.contains(&rule.protocol))
}

#[cfg(test)]
mod tests;
