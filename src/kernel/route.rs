//! Links and addresses of one network namespace: read them, change them in batches, hear of changes
//! (rtnetlink(7)).

mod decode;
mod encode;
mod monitor;
pub(in crate::kernel) mod write;

use std::io;

use neli::consts::nl::NlmF;
use neli::consts::rtnl::Rtm;
use neli::consts::socket::NlFamily;

use crate::net::{Link, NetCommand, NetPicture, ObservedAddress};

use super::netlink::{Error, Failure, Request, Socket};

pub(super) use encode::family_number;
pub use monitor::{Event, Monitor};

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

    /// All links and addresses.
    ///
    /// # Errors
    /// The kernel refuses, or does not answer.
    pub fn picture(&mut self) -> Result<NetPicture, Error> {
        Ok(NetPicture {
            links: self.links()?,
            addresses: self.addresses()?,
        })
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
