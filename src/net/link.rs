//! What the kernel shows of links and addresses, and what is asked of it.

use std::fmt;
use std::net::Ipv4Addr;

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
    /// Address and prefix.
    pub cidr: Cidr,
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
