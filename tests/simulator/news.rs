//! What reaches a router, and what is noted of it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use vipd::net::{AddressKey, MacAddr};
use vipd::time::Time;

pub(crate) const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

/// What came in and was not handled yet.
#[derive(Clone)]
pub(crate) enum News {
    Packet(Datagram),
    /// Somebody says where an address is.
    Announced(IpAddr, MacAddr),
    Link,
    Seen(AddressKey),
    Gone(AddressKey),
    Process,
    IpvsReady,
    Reload,
    Stop,
}

/// A packet on its way.
#[derive(Clone)]
pub(crate) struct Datagram {
    pub(crate) source: Ipv4Addr,
    pub(crate) destination: Ipv4Addr,
    pub(crate) ttl: u8,
    pub(crate) payload: Arc<[u8]>,
}

impl Datagram {
    /// The priority on the wire (RFC 3768 section 5.1).
    pub(crate) fn priority(&self) -> u8 {
        self.payload.get(2).copied().unwrap_or(0)
    }

    /// Which instance of a router it concerns.
    pub(crate) fn instance(&self) -> usize {
        usize::from(self.payload.get(1).copied().unwrap_or(0) != crate::plan::VRID)
    }
}

/// How a router stands still.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Freeze {
    pub(crate) since: Time,
    pub(crate) until: Time,
    /// Its clock stands still too, and what comes is lost: the machine that runs it paused it.
    pub(crate) unseen: bool,
}

/// What happened, for those who judge; every time is the world's.
#[derive(Default)]
pub(crate) struct Notes {
    /// When the first instance became master.
    pub(crate) became: Vec<Time>,
    /// When it was master no more.
    pub(crate) left: Vec<Time>,
    /// When adverts of the first instance went out, and with what priority.
    pub(crate) sent: Vec<(Time, u8)>,
    /// When an advert of somebody's first instance was handled, and its priority.
    pub(crate) heard: Vec<(Time, u8)>,
    /// Changes to addresses.
    pub(crate) commands: usize,
    /// Announcements.
    pub(crate) announced: usize,
}
