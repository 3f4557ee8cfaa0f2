//! IP addresses with what stands behind the slash or the colon.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    pub const fn of(addr: IpAddr) -> Family {
        match addr {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }

    /// Bits in an address: 32 or 128.
    pub const fn bits(self) -> u8 {
        match self {
            Family::V4 => 32,
            Family::V6 => 128,
        }
    }
}

/// An address and the length of its prefix, host bits kept: `192.168.1.200/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    addr: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// `None` when the prefix is longer than the address.
    pub fn new(addr: IpAddr, prefix: u8) -> Option<Cidr> {
        (prefix <= Family::of(addr).bits()).then_some(Cidr { addr, prefix })
    }

    /// The address alone: /32 or /128.
    pub const fn host(addr: IpAddr) -> Cidr {
        Cidr {
            addr,
            prefix: Family::of(addr).bits(),
        }
    }

    /// The address, host bits included.
    pub const fn addr(self) -> IpAddr {
        self.addr
    }

    /// Length of the prefix, at most 32 or 128.
    pub const fn prefix(self) -> u8 {
        self.prefix
    }

    /// The family.
    pub const fn family(self) -> Family {
        Family::of(self.addr)
    }

    /// The network itself: host bits cleared.
    pub fn network(self) -> Cidr {
        let bits = u32::from(self.family().bits() - self.prefix);
        let addr = match self.addr {
            IpAddr::V4(addr) => {
                let mask = u32::MAX.checked_shl(bits).unwrap_or(0);
                IpAddr::from(std::net::Ipv4Addr::from_bits(addr.to_bits() & mask))
            }
            IpAddr::V6(addr) => {
                let mask = u128::MAX.checked_shl(bits).unwrap_or(0);
                IpAddr::from(std::net::Ipv6Addr::from_bits(addr.to_bits() & mask))
            }
        };
        Cidr { addr, ..self }
    }

    /// Whether `other` lies in this network.
    pub fn contains(self, other: IpAddr) -> bool {
        match (self.addr, other) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let shift = 32 - u32::from(self.prefix);
                let mask = u32::MAX.checked_shl(shift).unwrap_or(0);
                a.to_bits() & mask == b.to_bits() & mask
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                let shift = 128 - u32::from(self.prefix);
                let mask = u128::MAX.checked_shl(shift).unwrap_or(0);
                a.to_bits() & mask == b.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.prefix)
    }
}

/// As it prints.
impl Serialize for Cidr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Why a text is not a [`Cidr`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseCidrError {
    /// The part before the slash is not an address.
    Address,
    /// The part behind the slash is not a number from 0 to 32 (IPv4) or 128 (IPv6).
    Prefix,
}

impl fmt::Display for ParseCidrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParseCidrError::Address => f.write_str("not an IP address"),
            ParseCidrError::Prefix => f.write_str("prefix length out of range"),
        }
    }
}

impl std::error::Error for ParseCidrError {}

/// `ADDR` or `ADDR/LEN`; without a slash the whole address is the prefix.
impl FromStr for Cidr {
    type Err = ParseCidrError;

    fn from_str(s: &str) -> Result<Cidr, ParseCidrError> {
        let (addr, prefix) = match s.split_once('/') {
            Some((addr, prefix)) => (addr, Some(prefix)),
            None => (s, None),
        };
        let addr: IpAddr = addr.parse().map_err(|_| ParseCidrError::Address)?;
        let Some(prefix) = prefix else {
            return Ok(Cidr::host(addr));
        };
        let prefix = prefix.parse().map_err(|_| ParseCidrError::Prefix)?;
        Cidr::new(addr, prefix).ok_or(ParseCidrError::Prefix)
    }
}

/// An address and a port; port 0 means every port, where IPVS allows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// The address.
    pub addr: IpAddr,
    /// The port, host byte order.
    pub port: u16,
}

impl Endpoint {
    /// Of an address and a port.
    pub const fn new(addr: IpAddr, port: u16) -> Endpoint {
        Endpoint { addr, port }
    }

    /// The family of the address.
    pub const fn family(self) -> Family {
        Family::of(self.addr)
    }
}

/// `10.0.0.1:80`, `[2001:db8::1]:80`.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.addr, self.port).fmt(f)
    }
}

/// As it prints.
impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl From<Endpoint> for SocketAddr {
    fn from(e: Endpoint) -> SocketAddr {
        SocketAddr::new(e.addr, e.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_address_is_its_own_prefix() {
        assert_eq!(
            "10.0.0.1".parse::<Cidr>().unwrap().to_string(),
            "10.0.0.1/32"
        );
        assert_eq!("::1".parse::<Cidr>().unwrap().prefix(), 128);
    }

    #[test]
    fn prefixes_longer_than_the_address_are_refused() {
        assert_eq!("10.0.0.1/33".parse::<Cidr>(), Err(ParseCidrError::Prefix));
        assert_eq!(
            "10.9.9.999/24".parse::<Cidr>(),
            Err(ParseCidrError::Address)
        );
    }

    #[test]
    fn contains_compares_only_the_prefix() {
        let net: Cidr = "192.168.1.200/24".parse().unwrap();
        assert!(net.contains("192.168.1.3".parse().unwrap()));
        assert!(!net.contains("192.168.2.3".parse().unwrap()));
        let all: Cidr = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("8.8.8.8".parse().unwrap()));
        let all6: Cidr = "::/0".parse().unwrap();
        assert!(all6.contains("2001:db8::1".parse().unwrap()));
    }
}
