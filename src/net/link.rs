//! What the kernel shows of links and addresses, and what is asked of it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use super::{Cidr, InterfaceIndex, InterfaceName, MacAddr};

/// A link as the kernel shows it (rtnetlink(7), RTM_NEWLINK).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: InterfaceIndex,
    /// Its name now; it may be renamed.
    pub name: InterfaceName,
    /// Hardware address; all zeros where it has none of 48 bits.
    pub mac: MacAddr,
    /// IFF_UP: somebody wants it up.
    pub admin_up: bool,
    /// IFF_RUNNING: it has carrier.
    pub running: bool,
    /// IFF_LOOPBACK.
    pub loopback: bool,
    /// IFF_NOARP: nobody on it listens to ARP.
    pub no_arp: bool,
    /// IFF_MULTICAST.
    pub multicast: bool,
    /// Largest packet, in bytes.
    pub mtu: u32,
    /// `promote_secondaries` of the link: an IPv4 address that goes leaves its network to the next one
    /// instead of taking all others of that network along.
    pub promote_secondaries: bool,
    /// The routing table of a VRF, of a link that is one.
    pub vrf_table: Option<u32>,
    /// It is a bridge.
    pub bridge: bool,
}

impl Link {
    /// Whether packets can pass: IFF_UP and IFF_RUNNING, as keepalived reads it.
    pub const fn is_up(&self) -> bool {
        self.admin_up && self.running
    }
}

/// What tells one address from another. The kernel takes the prefix into the identity of IPv4
/// addresses; for IPv6 the address alone counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressKey {
    /// Where it is set.
    pub interface: InterfaceIndex,
    /// Address and prefix; with a peer, the prefix is the peer's.
    pub cidr: Cidr,
    /// The other end of a point-to-point link, of the same family.
    pub peer: Option<IpAddr>,
}

impl AddressKey {
    /// An address without a peer.
    pub const fn new(interface: InterfaceIndex, cidr: Cidr) -> AddressKey {
        AddressKey {
            interface,
            cidr,
            peer: None,
        }
    }
}

/// What an address should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressSpec {
    /// IFA_BROADCAST.
    pub broadcast: Option<Ipv4Addr>,
    /// Scope: 0 global, 200 site, 253 link, 254 host.
    pub scope: u8,
    /// IFA_LABEL; the kernel takes the interface's name when absent.
    pub label: Option<String>,
    /// IFA_F_NODAD: usable at once (IPv6).
    pub no_dad: bool,
    /// IFA_F_HOMEADDRESS (IPv6): the home address of Mobile IP, RFC 6275.
    pub home: bool,
    /// IFA_F_MANAGETEMPADDR (IPv6): temporary addresses are made from it.
    pub manage_temporary: bool,
    /// IFA_F_NOPREFIXROUTE: no route to its network comes with it.
    pub no_prefix_route: bool,
    /// IFA_F_MCAUTOJOIN: a multicast address whose group is joined.
    pub auto_join: bool,
    /// Seconds for which it is preferred as the source of new connections, 0 for an address that is
    /// deprecated; for ever when absent. The kernel counts them down.
    pub preferred_lifetime: Option<u32>,
    /// Seconds after which the kernel removes it; never when absent. The kernel counts them down.
    pub valid_lifetime: Option<u32>,
}

/// An address as the kernel shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedAddress {
    /// Which.
    pub key: AddressKey,
    /// What it is.
    pub spec: AddressSpec,
    /// IFA_PROTO: who set it; 0 on kernels before 5.18 and where nobody said.
    pub protocol: u8,
    /// IFA_F_SECONDARY (IPv4): another address of the same network came first.
    pub secondary: bool,
}

/// IFA_PROTO of every address that vipd sets: the protocol number of VRRP. The kernel leaves 4 to 255 to
/// programs. It is not keepalived's 18, so that an address of a keepalived beside us is never taken for
/// ours.
pub const ADDRESS_PROTOCOL: u8 = 112;

/// One change to a namespace's addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressCommand {
    /// RTM_NEWADDR.
    Add(AddressKey, AddressSpec),
    /// RTM_DELADDR.
    Delete(AddressKey),
}

impl fmt::Display for AddressCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AddressCommand::Add(key, _) => {
                write!(f, "add address {} to interface {}", key.cidr, key.interface)
            }
            AddressCommand::Delete(key) => {
                write!(
                    f,
                    "delete address {} of interface {}",
                    key.cidr, key.interface
                )
            }
        }
    }
}

/// One change to a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkCommand {
    /// RTM_SETLINK: [`Link::promote_secondaries`].
    PromoteSecondaries {
        /// Which link.
        interface: InterfaceIndex,
        /// What it is to be.
        on: bool,
    },
}

impl fmt::Display for LinkCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LinkCommand::PromoteSecondaries { interface, on } => {
                let value = u8::from(*on);
                write!(
                    f,
                    "set promote_secondaries of interface {interface} to {value}"
                )
            }
        }
    }
}
