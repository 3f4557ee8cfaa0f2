//! VRRP adverts of version 2 for IPv4 (RFC 3768 section 5.1, authentication as in RFC 2338 section 5.3.6).
//!
//! ```text
//!  0                   1                   2                   3
//! |version|  type | virtual rtr id|   priority    | count of addrs|
//! |   auth type   |   advert int  |           checksum            |
//! |                   addresses, four bytes each                  |
//! |              authentication data, always eight bytes          |
//! ```
//! A message of version 3 is recognised and refused by its version: its checksum needs the addresses of
//! the IP header, and its reader stands beside this one when it comes.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use nom::IResult;
use nom::Parser;
use nom::number::complete::{be_u8, be_u16};
use pnet_packet::util::checksum;

use crate::units::{Version, Vrid};

/// The only type of message there is (RFC 3768 section 5.3.2).
const TYPE_ADVERTISEMENT: u8 = 1;
/// Bytes before the addresses.
const FIXED_LEN: usize = 8;
/// Bytes of the authentication data behind the addresses.
const AUTH_LEN: usize = 8;
/// Where the checksum stands, counted in words of two bytes.
const CHECKSUM_WORD: usize = 3;
/// Not a word of any message: pnet's checksum then leaves none out.
const NO_WORD: usize = usize::MAX;
/// The count of addresses is one byte.
pub const MAX_ADDRESSES: usize = 255;
/// The longest payload: a buffer of this and 60 bytes of IP header takes every advert whole.
pub const MAX_LEN: usize = FIXED_LEN + 4 * MAX_ADDRESSES + AUTH_LEN;

const AUTH_NONE: u8 = 0;
const AUTH_PASS: u8 = 1;

/// One advert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advert {
    /// The protocol's version.
    pub version: Version,
    /// Which virtual router.
    pub vrid: Vrid,
    /// The sender's priority; 0: it is leaving.
    pub priority: u8,
    /// The sender's advert interval in seconds, as version 2 says it; 0 can be said, though no router
    /// may have it.
    pub interval_s: u8,
    /// The VIPs, at most 255; version 2 has IPv4 only.
    pub addresses: Vec<IpAddr>,
    /// Authentication; always `None` in version 3.
    pub auth: AuthField,
}

impl Advert {
    /// The sender's advert interval.
    pub fn interval(&self) -> Duration {
        Duration::from_secs(u64::from(self.interval_s))
    }
}

/// Authentication of a version 2 advert.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum AuthField {
    /// Type 0; the eight bytes are zero when sent and not looked at when received.
    None,
    /// Type 1, a password in clear, zeros after it.
    Pass([u8; 8]),
    /// Any other: 2 was IP AH, the rest was never given a meaning.
    Other {
        /// Its number.
        kind: u8,
        /// Its data.
        data: [u8; 8],
    },
}

/// Without the password: adverts stand in logs.
impl fmt::Debug for AuthField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AuthField::None => f.write_str("None"),
            AuthField::Pass(_) => f.write_str("Pass(..)"),
            AuthField::Other { kind, .. } => write!(f, "Other {{ kind: {kind}, .. }}"),
        }
    }
}

/// What no version 2 message can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// Only version 2 is written.
    Version(Version),
    /// Version 2 has IPv4 addresses only.
    Address(IpAddr),
    /// More than 255 addresses.
    TooManyAddresses(usize),
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EncodeError::Version(version) => write!(f, "VRRP {version:?} cannot be sent"),
            EncodeError::Address(address) => {
                write!(f, "{address} has no place in a VRRP version 2 advert")
            }
            EncodeError::TooManyAddresses(count) => {
                write!(f, "{count} addresses in one advert, at most 255 fit")
            }
        }
    }
}

impl std::error::Error for EncodeError {}

/// Why a payload is not an advert of version 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdvertError {
    /// Not even the eight bytes that every message starts with.
    TooShort {
        /// Bytes there were.
        len: usize,
    },
    /// Another version than 2.
    BadVersion(u8),
    /// Another type than 1, advertisement.
    BadType(u8),
    /// Shorter than its count of addresses makes it, or longer by four bytes or more.
    BadLength {
        /// Bytes there were.
        len: usize,
        /// Bytes of a message with that many addresses.
        expected: usize,
    },
    /// The sum over the message is wrong.
    BadChecksum {
        /// What the message says.
        found: u16,
        /// What it should say.
        expected: u16,
    },
    /// Virtual router 0, which does not exist.
    BadVrid,
}

impl fmt::Display for AdvertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AdvertError::TooShort { len } => {
                write!(f, "{len} bytes, a VRRP message has at least {FIXED_LEN}")
            }
            AdvertError::BadVersion(version) => write!(f, "VRRP version {version} is not 2"),
            AdvertError::BadType(kind) => {
                write!(f, "VRRP message type {kind} is not 1, advertisement")
            }
            AdvertError::BadLength { len, expected } => write!(
                f,
                "{len} bytes, its count of addresses makes it {expected} bytes"
            ),
            AdvertError::BadChecksum { found, expected } => {
                write!(f, "checksum {found:#06x} should be {expected:#06x}")
            }
            AdvertError::BadVrid => f.write_str("virtual router 0 does not exist"),
        }
    }
}

impl std::error::Error for AdvertError {}

/// Writes the message with its checksum to `out`, in place of what stood there; `out` keeps its memory,
/// so that sending the same size again allocates nothing. After an error `out` is empty.
pub fn encode(advert: &Advert, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    out.clear();
    let count = checked(advert)?;
    let (auth_type, auth_data) = match advert.auth {
        AuthField::None => (AUTH_NONE, [0; AUTH_LEN]),
        AuthField::Pass(password) => (AUTH_PASS, password),
        AuthField::Other { kind, data } => (kind, data),
    };
    out.extend([
        2 << 4 | TYPE_ADVERTISEMENT,
        advert.vrid.get(),
        advert.priority,
        count,
        auth_type,
        advert.interval_s,
        0,
        0,
    ]);
    for address in &advert.addresses {
        if let IpAddr::V4(address) = address {
            out.extend(address.octets());
        }
    }
    out.extend(auth_data);
    let sum = checksum(out, CHECKSUM_WORD).to_be_bytes();
    if let Some(field) = out.get_mut(2 * CHECKSUM_WORD..FIXED_LEN) {
        field.copy_from_slice(&sum);
    }
    Ok(())
}

/// The count of addresses, once everything has been found sayable.
fn checked(advert: &Advert) -> Result<u8, EncodeError> {
    if advert.version != Version::V2 {
        return Err(EncodeError::Version(advert.version));
    }
    if let Some(address) = advert.addresses.iter().find(|address| !address.is_ipv4()) {
        return Err(EncodeError::Address(*address));
    }
    let count = advert.addresses.len();
    u8::try_from(count).map_err(|_| EncodeError::TooManyAddresses(count))
}

/// Reads the payload of an IP packet of protocol 112. Up to three bytes behind the message are let pass,
/// as keepalived does: some senders round up.
pub fn parse(payload: &[u8]) -> Result<Advert, AdvertError> {
    let message = Message::read(payload)?;
    let mut addresses = Vec::with_capacity(message.addresses.len() / 4);
    addresses.extend(message.addresses());
    Ok(message.advert(addresses))
}

/// As [`parse`], into an advert that is there already: its list of addresses keeps its memory, so that
/// reading the same size again allocates nothing. After an error `advert` is what it was.
pub fn parse_into(payload: &[u8], advert: &mut Advert) -> Result<(), AdvertError> {
    let message = Message::read(payload)?;
    let mut addresses = std::mem::take(&mut advert.addresses);
    addresses.clear();
    addresses.extend(message.addresses());
    *advert = message.advert(addresses);
    Ok(())
}

/// The virtual router that a payload is about and its version (2 and 3 have them in the same place), for
/// choosing who reads it; `None` when it is too short to say.
pub fn peek(payload: &[u8]) -> Option<(u8, Vrid)> {
    let (first, rest) = payload.split_first()?;
    Some((first >> 4, Vrid::new(*rest.first()?)?))
}

/// A message whose length, version, type, checksum and router have been checked.
struct Message<'a> {
    vrid: Vrid,
    priority: u8,
    interval_s: u8,
    addresses: &'a [u8],
    auth: AuthField,
}

impl<'a> Message<'a> {
    fn read(payload: &'a [u8]) -> Result<Message<'a>, AdvertError> {
        let len = payload.len();
        let (_, fixed) = Fixed::read(payload).map_err(|_| AdvertError::TooShort { len })?;
        if fixed.version_type >> 4 != 2 {
            return Err(AdvertError::BadVersion(fixed.version_type >> 4));
        }
        if fixed.version_type & 0x0f != TYPE_ADVERTISEMENT {
            return Err(AdvertError::BadType(fixed.version_type & 0x0f));
        }
        let auth_at = FIXED_LEN + 4 * usize::from(fixed.count);
        let expected = auth_at + AUTH_LEN;
        let bad_length = AdvertError::BadLength { len, expected };
        if len >= expected + 4 {
            return Err(bad_length);
        }
        let message = payload.get(..expected).ok_or(bad_length)?;
        let addresses = message.get(FIXED_LEN..auth_at).ok_or(bad_length)?;
        let data = message.last_chunk().copied().ok_or(bad_length)?;
        // Over all words, the field included, the sum of a good message is zero: 0x0000 and 0xffff in
        // the field are the same number.
        if checksum(message, NO_WORD) != 0 {
            return Err(AdvertError::BadChecksum {
                found: fixed.checksum,
                expected: checksum(message, CHECKSUM_WORD),
            });
        }
        let auth = match fixed.auth_type {
            AUTH_NONE => AuthField::None,
            AUTH_PASS => AuthField::Pass(data),
            kind => AuthField::Other { kind, data },
        };
        Ok(Message {
            vrid: Vrid::new(fixed.vrid).ok_or(AdvertError::BadVrid)?,
            priority: fixed.priority,
            interval_s: fixed.interval_s,
            addresses,
            auth,
        })
    }

    fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let (quads, _) = self.addresses.as_chunks::<4>();
        quads.iter().map(|quad| IpAddr::V4(Ipv4Addr::from(*quad)))
    }

    fn advert(&self, addresses: Vec<IpAddr>) -> Advert {
        Advert {
            version: Version::V2,
            vrid: self.vrid,
            priority: self.priority,
            interval_s: self.interval_s,
            addresses,
            auth: self.auth,
        }
    }
}

/// The eight bytes before the addresses.
struct Fixed {
    version_type: u8,
    vrid: u8,
    priority: u8,
    count: u8,
    auth_type: u8,
    interval_s: u8,
    checksum: u16,
}

impl Fixed {
    fn read(payload: &[u8]) -> IResult<&[u8], Fixed> {
        let fields = (be_u8, be_u8, be_u8, be_u8, be_u8, be_u8, be_u16);
        let assemble =
            |(version_type, vrid, priority, count, auth_type, interval_s, checksum)| Fixed {
                version_type,
                vrid,
                priority,
                count,
                auth_type,
                interval_s,
                checksum,
            };
        fields.map(assemble).parse(payload)
    }
}

#[cfg(test)]
mod tests;
