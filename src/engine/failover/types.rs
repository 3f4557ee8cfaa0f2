//! What goes into the failover engine and what comes out of it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::bfd;
use crate::config::Config;
use crate::config::model::ScriptUser;
use crate::engine::shared::{Roles, SessionFacts};
use crate::fact::{FactName, FactValue};
use crate::net::{
    AddressKey, BfdPath, Channel, Family, InterfaceIndex, InterfaceName, Link, MacAddr, NetCommand,
    NetPicture, ObservedAddress, ObservedRoute, OwnLink, RouteKey, Rule,
};
use crate::notice::Notice;
use crate::track::ScriptEnd;
use crate::vrrp;
use crate::wire;

use super::{Event, SessionId, SessionPacket};

/// How the daemon stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopKind {
    /// Say goodbye and remove the VIPs.
    Release,
    /// Leave them where they are (`-V`): a successor will take them over.
    Keep,
}

/// What happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// A link appeared or changed.
    Link(Link),
    /// A link is gone.
    LinkGone(InterfaceIndex),
    /// A link of ours could not be made.
    LinkFailed {
        /// Its name.
        name: InterfaceName,
        /// Why, in words.
        error: String,
    },
    /// An address appeared or changed.
    AddressSeen(ObservedAddress),
    /// An address is gone.
    AddressGone(AddressKey),
    /// A route that matters appeared or changed.
    RouteSeen(ObservedRoute),
    /// A route that matters is gone.
    RouteGone(RouteKey),
    /// A rule that matters appeared.
    RuleSeen(Rule),
    /// A rule that matters is gone.
    RuleGone(Rule),
    /// The whole picture, read after [`Action::LookAgain`].
    Kernel(NetPicture),
    /// The picture could not be read.
    KernelUnread,
    /// A packet came in.
    Packet(Packet<'a>),
    /// A packet of a BFD session came in.
    SessionPacket(SessionPacket<'a>),
    /// The sockets of a session could not be opened.
    SessionFailed {
        /// Which.
        session: SessionId,
        /// Why, in words.
        error: String,
    },
    /// A script ended.
    ScriptEnded {
        /// Its name.
        name: String,
        /// How.
        end: ScriptEnd,
    },
    /// A tracker outside the engine knows something: a file, a process. The same again is
    /// no news.
    Fact {
        /// Which tracker.
        name: FactName,
        /// What holds now.
        value: FactValue,
    },
    /// A static object of a `track_group` is missing, or is back.
    StaticMissing {
        /// The group.
        group: String,
        /// The object, as `static address 10.0.0.1/24`.
        what: String,
        /// Whether it is missing.
        missing: bool,
    },
    /// IPVS is programmed: VIPs may be claimed.
    IpvsReady,
    /// These operations failed.
    NetFailed(Vec<NetFailure>),
    /// A socket was opened.
    SocketOpened(Channel),
    /// No socket could be had there.
    SocketFailed {
        /// Which.
        channel: Channel,
        /// Why, in words.
        error: String,
    },
    /// Somebody else said on the link that an address is his (gratuitous ARP, unsolicited neighbour
    /// advertisement); heard between [`Action::WatchAnnouncements`] of true and of false at least.
    AnnouncementSeen {
        /// Where.
        interface: InterfaceIndex,
        /// Which address.
        address: IpAddr,
        /// Where it is to be found.
        mac: MacAddr,
    },
    /// An operator wants this instance to be handed over, once.
    HandOver {
        /// Its name.
        instance: String,
    },
    /// An operator wants the neighbours to be told again where this instance's addresses are.
    Announce {
        /// Its name.
        instance: String,
    },
    /// An operator wants this node to yield and to stay yielded, or no longer.
    Standby(bool),
    /// A new configuration is in force.
    Reload(Arc<Config>),
    /// Leave in order.
    Stop(StopKind),
    /// A deadline may have come.
    Timer,
}

/// A packet of protocol 112, or 51 where the channel says so.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Where it came in.
    pub channel: Channel,
    /// Who sent it, by its own word.
    pub source: IpAddr,
    /// Whom it was sent to.
    pub destination: IpAddr,
    /// Time to live, or hop limit, as it came in.
    pub ttl: u8,
    /// The IP header as it came in; empty for IPv6, of which the kernel shows none.
    pub header: &'a [u8],
    /// Behind the IP header.
    pub payload: &'a [u8],
}

/// An operation of [`Action::Net`] that the kernel refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetFailure {
    /// Which.
    pub command: NetCommand,
    /// The kernel's view differs from ours (EEXIST, ENOENT, EADDRNOTAVAIL...): not an error.
    pub disagreement: bool,
    /// In words.
    pub error: String,
}

/// What to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Listen there.
    OpenSocket {
        /// Where.
        channel: Channel,
        /// Name of its link, if it has one.
        name: Option<InterfaceName>,
        /// How it is to be.
        needs: SocketNeeds,
    },
    /// Stop listening there.
    CloseSocket(Channel),
    /// Send this behind an IP header.
    Send {
        /// Which instance, by [`Beat`].
        beat: Beat,
        /// Where.
        channel: Channel,
        /// From.
        source: IpAddr,
        /// To: the group or one peer.
        destination: IpAddr,
        /// Time to live, or hop limit.
        ttl: u8,
        /// Of the IPv4 header; 0: the kernel chooses.
        identification: u16,
        /// The advert.
        payload: Arc<[u8]>,
    },
    /// Tell the neighbours, once, where an address is now.
    Announce {
        /// Where.
        interface: InterfaceIndex,
        /// The hardware address it is at.
        mac: MacAddr,
        /// The address.
        address: IpAddr,
    },
    /// Ask the neighbours, once, whether somebody has an address; answers come as
    /// [`Input::AnnouncementSeen`].
    Probe {
        /// Where.
        interface: InterfaceIndex,
        /// Who asks.
        mac: MacAddr,
        /// The address.
        address: IpAddr,
    },
    /// Make a link of ours, or take over the one that is there, and set it up; [`Input::LinkFailed`] if that
    /// cannot be done.
    MakeLink(OwnLink),
    /// Remove a link of ours with all that is on it.
    RemoveLink(OwnLink),
    /// Set and remove addresses and the like, in this order, each whatever becomes of the others; what
    /// failed comes back as [`Input::NetFailed`].
    Net(Vec<NetCommand>),
    /// Read the kernel's picture and hand it in as [`Input::Kernel`].
    LookAgain,
    /// Start a script.
    RunScript {
        /// Its name.
        name: String,
        /// Program and arguments.
        argv: Vec<String>,
        /// Who runs it; the default user when absent.
        user: Option<ScriptUser>,
        /// When to kill it.
        timeout: Duration,
    },
    /// Open the sockets of a BFD session; [`Input::SessionFailed`] when that cannot be done.
    OpenSession {
        /// Names it from now on.
        session: SessionId,
        /// Between whom.
        path: BfdPath,
    },
    /// Close them.
    CloseSession(SessionId),
    /// Send a packet of a BFD session.
    SendSession {
        /// Which.
        session: SessionId,
        /// The packet.
        packet: [u8; wire::bfd::LEN],
    },
    /// What checks may know of BFD sessions changed.
    Sessions(SessionFacts),
    /// The roles changed.
    Roles(Roles),
    /// This instance is no longer master: a successor must not resume it.
    Ended(Beat),
    /// From now on tell what others announce ([`Input::AnnouncementSeen`]), or no longer.
    WatchAnnouncements(bool),
    /// After [`Input::Stop`]: everything is let go.
    Released,
    /// For scripts, FIFOs and mails; comes after what it is about.
    Notice(Notice),
    /// For the log.
    Event(Event),
}

/// What the instances want of a socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SocketNeeds {
    /// Multicast groups to join.
    pub groups: BTreeSet<IpAddr>,
    /// Bytes that the kernel may keep until they are read; what it gives every socket when absent.
    pub receive_buffer: Option<u32>,
}

/// What identifies an instance across restarts: link, VRID, and the hardware address of the link, which
/// tells a replaced link from the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Beat {
    /// Number of the interface; `None` for an instance without one.
    pub interface: Option<InterfaceIndex>,
    /// Its hardware address.
    pub mac: MacAddr,
    /// VRID.
    pub vrid: u8,
    /// The same VRID is another router in the other family.
    pub family: Family,
    /// Whether it still holds the addresses after this (an advert of priority 0 does not).
    pub alive: bool,
}

impl Beat {
    /// The same, no longer holding.
    pub fn ended(self) -> Beat {
        Beat {
            alive: false,
            ..self
        }
    }
}

/// Why the engine wants to be called at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// A timer of an instance.
    Vrrp(vrrp::Timer),
    /// A timer of a BFD session.
    Bfd(bfd::Timer),
    /// Sockets of a BFD session are tried again.
    BfdSocket,
    /// A script's next run.
    Script,
    /// IPVS is not ready and will not be waited for any longer.
    IpvsWait,
    /// A link was up or down for as long as it must be.
    Link,
    /// Facts that are not known yet are not waited for any longer.
    FactsWait,
    /// The kernel is read again.
    LookAgain,
    /// Addresses that went missing are put back.
    Restore,
    /// An announcement may leave.
    Announce,
    /// The lifetime of addresses is renewed.
    Lease,
}
