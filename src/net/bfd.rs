//! What the packets of a BFD session look like from outside.

use std::net::IpAddr;

use super::Family;

/// Addresses, port and TTL of a session's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BfdPath {
    /// Where they go.
    pub neighbor: IpAddr,
    /// Where they come from; the kernel chooses when absent.
    pub source: Option<IpAddr>,
    /// RFC 5883, not RFC 5881: another port.
    pub multihop: bool,
    /// TTL or hop limit.
    pub hops: u8,
}

impl BfdPath {
    /// Where the neighbor's packets come in.
    pub fn arrival(&self) -> BfdArrival {
        BfdArrival {
            family: Family::of(self.neighbor),
            multihop: self.multihop,
        }
    }
}

/// What decides which socket hears a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BfdArrival {
    /// Of which family.
    pub family: Family,
    /// RFC 5883, not RFC 5881: another port.
    pub multihop: bool,
}

impl BfdArrival {
    /// The UDP port that both sides listen on: 3784 (RFC 5881 section 4) or 4784 (RFC 5883 section 5).
    pub const fn port(self) -> u16 {
        if self.multihop { 4784 } else { 3784 }
    }
}
