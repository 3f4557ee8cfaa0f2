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
use crate::net::{AddressKey, InterfaceIndex, InterfaceName, Link, ObservedAddress};

use super::decode;

/// RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR.
const GROUPS: [u32; 3] = [1, 5, 9];

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
        })
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
                    && let Some(event) = event(kind, payload)
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

fn event(kind: u16, payload: &[u8]) -> Option<Event> {
    match Rtm::from(kind) {
        Rtm::Newlink => decode::link(payload).map(Event::Link),
        Rtm::Dellink => decode::link(payload).map(|link| Event::LinkGone(link.index, link.name)),
        Rtm::Newaddr => decode::address(payload).map(Event::AddressAdded),
        Rtm::Deladdr => decode::address(payload).map(|a| Event::AddressRemoved(a.key)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
