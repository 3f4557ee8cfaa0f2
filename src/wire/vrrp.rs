//! VRRP adverts: version 2 (RFC 3768 section 5.1, authentication as in RFC 2338 section 5.3.6) and
//! version 3 (RFC 9568 section 5.2).
//!
//! ```text
//!  0                   1                   2                   3
//! |version|  type | virtual rtr id|   priority    | count of addrs|
//! |   auth type   |   advert int  |           checksum            |  version 2: seconds
//! |  rsvd |  max advert interval  |           checksum            |  version 3: hundredths of a second
//! |          addresses, four or sixteen bytes each                |
//! |              authentication data, eight bytes                 |  version 2 over IPv4 only
//! ```
//! The checksum of version 2 over IPv4 covers the message alone; that of version 3, and of everything
//! over IPv6, covers a pseudo header of the IP addresses too. Version 2 over IPv6 is in no RFC:
//! keepalived sends it where an instance with IPv6 says `version 2`, without authentication data.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use nom::IResult;
use nom::Parser;
use nom::number::complete::{be_u8, be_u16};
use pnet_packet::ip::IpNextHeaderProtocol;
use pnet_packet::util::{checksum, ipv4_checksum, ipv6_checksum};

use crate::net::Family;
use crate::units::{Version, Vrid};

use super::PROTOCOL_VRRP;

/// The only type of message there is (RFC 9568 section 5.2.2).
pub const TYPE_ADVERTISEMENT: u8 = 1;
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
/// The longest message.
pub const MAX_LEN: usize = FIXED_LEN + 16 * MAX_ADDRESSES + AUTH_LEN;
/// The field of version 3 has twelve bits.
const MAX_CENTISECONDS: u16 = 0xfff;
const MS_PER_CENTISECOND: u64 = 10;

const AUTH_NONE: u8 = 0;
const AUTH_PASS: u8 = 1;
const AUTH_AH: u8 = 2;

/// One advert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advert {
    /// The protocol's version.
    pub version: Version,
    /// Which virtual router.
    pub vrid: Vrid,
    /// The sender's priority; 0: it is leaving.
    pub priority: u8,
    /// The sender's advert interval: whole seconds up to 255 in version 2, hundredths of a second up to
    /// 40.95 in version 3. Zero can be said, though no router may have it.
    pub interval: Duration,
    /// The VIPs, at most 255, all of one family.
    pub addresses: Vec<IpAddr>,
    /// Authentication; always `None` in version 3 and over IPv6.
    pub auth: AuthField,
}

/// Authentication of a version 2 advert.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum AuthField {
    /// Type 0; the eight bytes are zero when sent and not looked at when received.
    None,
    /// Type 1, a password in clear, zeros after it.
    Pass([u8; 8]),
    /// Type 2: the message stands behind an authentication header (RFC 2402); the eight bytes are zero
    /// when sent and not looked at when received.
    Ah,
    /// Any other, which was never given a meaning.
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
            AuthField::Ah => f.write_str("Ah"),
            AuthField::Other { kind, .. } => write!(f, "Other {{ kind: {kind}, .. }}"),
        }
    }
}

/// What the checksum covers beside the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cover {
    /// Nothing: version 2 over IPv4, and version 3 over IPv4 where `v3_checksum_as_v2` asks for it.
    Message,
    /// The addresses of the IP header (RFC 9568 section 5.2.8), of one family.
    Addresses {
        /// The sender's.
        source: IpAddr,
        /// The group or one peer; of old keepalived the group in place of the peer.
        destination: IpAddr,
    },
}

impl Cover {
    /// What the checksum of a message between two addresses covers by its RFC.
    pub fn of(version: Version, source: IpAddr, destination: IpAddr) -> Cover {
        match (version, source) {
            (Version::V2, IpAddr::V4(_)) => Cover::Message,
            _ => Cover::Addresses {
                source,
                destination,
            },
        }
    }

    /// The sum over a message, its own field taken as `word` says.
    fn sum(self, message: &[u8], word: usize) -> u16 {
        let protocol = IpNextHeaderProtocol(PROTOCOL_VRRP);
        match self {
            Cover::Addresses {
                source: IpAddr::V4(source),
                destination: IpAddr::V4(destination),
            } => ipv4_checksum(message, word, &[], &source, &destination, protocol),
            Cover::Addresses {
                source: IpAddr::V6(source),
                destination: IpAddr::V6(destination),
            } => ipv6_checksum(message, word, &[], &source, &destination, protocol),
            Cover::Message | Cover::Addresses { .. } => checksum(message, word),
        }
    }
}

/// What no message can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// Addresses of both families in one message.
    MixedFamilies(IpAddr),
    /// More than 255 addresses.
    TooManyAddresses(usize),
    /// An interval that the version has no number for.
    Interval(Duration),
    /// Authentication where the version or the family has no place for it.
    Authentication,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EncodeError::MixedFamilies(address) => {
                write!(f, "{address} is not of the family of the first address")
            }
            EncodeError::TooManyAddresses(count) => {
                write!(f, "{count} addresses in one advert, at most 255 fit")
            }
            EncodeError::Interval(interval) => write!(
                f,
                "an advert cannot say an interval of {} s",
                interval.as_secs_f64()
            ),
            EncodeError::Authentication => {
                f.write_str("only adverts of version 2 over IPv4 have authentication")
            }
        }
    }
}

impl std::error::Error for EncodeError {}

/// Why a payload is not an advert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AdvertError {
    /// Not even the eight bytes that every message starts with.
    TooShort {
        /// Bytes there were.
        len: usize,
    },
    /// Another version than 2 and 3.
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
            AdvertError::BadVersion(version) => write!(f, "VRRP version {version} is not 2 or 3"),
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

fn address_len(family: Family) -> usize {
    usize::from(family.bits() / 8)
}

fn auth_len(version: Version, family: Family) -> usize {
    match (version, family) {
        (Version::V2, Family::V4) => AUTH_LEN,
        _ => 0,
    }
}

/// Bytes of a message with so many addresses.
pub fn len_of(version: Version, family: Family, addresses: usize) -> usize {
    FIXED_LEN + address_len(family) * addresses + auth_len(version, family)
}

/// How many addresses a message of at most `len` bytes can name; at most 255.
pub fn addresses_within(len: usize, version: Version, family: Family) -> usize {
    let rest = len.saturating_sub(FIXED_LEN + auth_len(version, family));
    (rest / address_len(family)).min(MAX_ADDRESSES)
}

/// Writes the message with its checksum to `out`, in place of what stood there; `out` keeps its memory,
/// so that sending the same size again allocates nothing. After an error `out` is empty.
///
/// # Errors
/// What no message can say.
pub fn encode(
    advert: &Advert,
    family: Family,
    cover: Cover,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    out.clear();
    let count = checked_count(advert, family)?;
    let (auth_type, auth_data) = match advert.auth {
        AuthField::None => (AUTH_NONE, [0; AUTH_LEN]),
        AuthField::Pass(password) => (AUTH_PASS, password),
        AuthField::Ah => (AUTH_AH, [0; AUTH_LEN]),
        AuthField::Other { kind, data } => (kind, data),
    };
    let has_auth = auth_len(advert.version, family) != 0;
    if advert.auth != AuthField::None && !has_auth {
        return Err(EncodeError::Authentication);
    }
    let (number, [high, low]) = match advert.version {
        Version::V2 => (2, [auth_type, seconds(advert.interval)?]),
        Version::V3 => (3, centiseconds(advert.interval)?.to_be_bytes()),
    };
    let first = number << 4 | TYPE_ADVERTISEMENT;
    let vrid = advert.vrid.get();
    out.extend([first, vrid, advert.priority, count, high, low, 0, 0]);
    for address in &advert.addresses {
        match address {
            IpAddr::V4(address) => out.extend(address.octets()),
            IpAddr::V6(address) => out.extend(address.octets()),
        }
    }
    if has_auth {
        out.extend(auth_data);
    }
    let sum = cover.sum(out, CHECKSUM_WORD).to_be_bytes();
    if let Some(field) = out.get_mut(2 * CHECKSUM_WORD..FIXED_LEN) {
        field.copy_from_slice(&sum);
    }
    Ok(())
}

/// The count of addresses, once they have been found sayable.
fn checked_count(advert: &Advert, family: Family) -> Result<u8, EncodeError> {
    let other = advert.addresses.iter().find(|a| Family::of(**a) != family);
    if let Some(address) = other {
        return Err(EncodeError::MixedFamilies(*address));
    }
    let count = advert.addresses.len();
    u8::try_from(count).map_err(|_| EncodeError::TooManyAddresses(count))
}

fn seconds(interval: Duration) -> Result<u8, EncodeError> {
    let whole = (interval.subsec_nanos() == 0).then(|| u8::try_from(interval.as_secs()).ok());
    whole.flatten().ok_or(EncodeError::Interval(interval))
}

fn centiseconds(interval: Duration) -> Result<u16, EncodeError> {
    u16::try_from(interval.as_millis() / u128::from(MS_PER_CENTISECOND))
        .ok()
        .filter(|number| *number <= MAX_CENTISECONDS)
        .filter(|number| of_centiseconds(*number) == interval)
        .ok_or(EncodeError::Interval(interval))
}

fn of_centiseconds(number: u16) -> Duration {
    Duration::from_millis(u64::from(number) * MS_PER_CENTISECOND)
}

/// Reads and judges the payload of an IP packet of protocol 112 between two addresses, by its RFC alone.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn parse(payload: &[u8], source: IpAddr, destination: IpAddr) -> Result<Advert, AdvertError> {
    let message = Message::read(payload, Family::of(source))?;
    if message.kind != TYPE_ADVERTISEMENT {
        return Err(AdvertError::BadType(message.kind));
    }
    message.check_sum(Cover::of(message.version, source, destination))?;
    Ok(Advert {
        version: message.version,
        vrid: message.vrid,
        priority: message.priority,
        interval: message.interval,
        addresses: message.addresses().collect(),
        auth: message.auth,
    })
}

/// The virtual router that a payload is about and its version (2 and 3 have them in the same place), for
/// choosing who reads it; `None` when it is too short to say, or of virtual router 0.
pub fn peek(payload: &[u8]) -> Option<(u8, Vrid)> {
    let (first, rest) = payload.split_first()?;
    Some((first >> 4, Vrid::new(*rest.first()?)?))
}

/// A message as it came in: its length is right, its type and its checksum were not looked at.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// 2 or 3.
    pub version: Version,
    /// Which virtual router.
    pub vrid: Vrid,
    /// The sender's priority; 0: it is leaving.
    pub priority: u8,
    /// The sender's interval; it may be zero.
    pub interval: Duration,
    /// Type of the message; [`TYPE_ADVERTISEMENT`] is the only one with a meaning.
    pub kind: u8,
    /// Authentication; `None` where the version or the family has none.
    pub auth: AuthField,
    /// The addresses as bytes, to see at once whether they are the same again.
    pub address_bytes: &'a [u8],
    family: Family,
    checksum: u16,
    whole: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads what stands behind the IP header of a packet of this family. Up to three bytes behind the
    /// message are let pass, as keepalived does: some senders round up.
    ///
    /// # Errors
    /// A length or a version that no message has, or virtual router 0.
    pub fn read(payload: &'a [u8], family: Family) -> Result<Message<'a>, AdvertError> {
        let len = payload.len();
        let (_, fixed) = Fixed::read(payload).map_err(|_| AdvertError::TooShort { len })?;
        let version = match fixed.version_type >> 4 {
            2 => Version::V2,
            3 => Version::V3,
            other => return Err(AdvertError::BadVersion(other)),
        };
        let addresses_end = FIXED_LEN + address_len(family) * usize::from(fixed.count);
        let expected = addresses_end + auth_len(version, family);
        let bad_length = AdvertError::BadLength { len, expected };
        if len >= expected + 4 {
            return Err(bad_length);
        }
        let whole = payload.get(..expected).ok_or(bad_length)?;
        let address_bytes = whole.get(FIXED_LEN..addresses_end).ok_or(bad_length)?;
        let [high, low] = fixed.interval;
        let (interval, auth) = match version {
            Version::V2 => (Duration::from_secs(low.into()), auth(high, whole, family)),
            Version::V3 => {
                let number = u16::from_be_bytes(fixed.interval) & MAX_CENTISECONDS;
                (of_centiseconds(number), AuthField::None)
            }
        };
        Ok(Message {
            version,
            vrid: Vrid::new(fixed.vrid).ok_or(AdvertError::BadVrid)?,
            priority: fixed.priority,
            interval,
            kind: fixed.version_type & 0x0f,
            auth,
            address_bytes,
            family,
            checksum: fixed.checksum,
            whole,
        })
    }

    /// Whether the checksum over this is right.
    ///
    /// # Errors
    /// [`AdvertError::BadChecksum`].
    pub fn check_sum(&self, cover: Cover) -> Result<(), AdvertError> {
        // Over all words, the field included, the sum of a good message is zero: 0x0000 and 0xffff in
        // the field are the same number.
        if cover.sum(self.whole, NO_WORD) == 0 {
            return Ok(());
        }
        Err(AdvertError::BadChecksum {
            found: self.checksum,
            expected: cover.sum(self.whole, CHECKSUM_WORD),
        })
    }

    /// The VIPs.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let (quads, sixteens): (&[[u8; 4]], &[[u8; 16]]) = match self.family {
            Family::V4 => (self.address_bytes.as_chunks().0, &[]),
            Family::V6 => (&[], self.address_bytes.as_chunks().0),
        };
        let v4 = quads.iter().map(|quad| Ipv4Addr::from(*quad).into());
        let v6 = sixteens.iter().map(|bytes| Ipv6Addr::from(*bytes).into());
        v4.chain(v6)
    }
}

fn auth(kind: u8, whole: &[u8], family: Family) -> AuthField {
    if family == Family::V6 {
        return AuthField::None;
    }
    let data = whole.last_chunk().copied().unwrap_or_default();
    match kind {
        AUTH_NONE => AuthField::None,
        AUTH_PASS => AuthField::Pass(data),
        AUTH_AH => AuthField::Ah,
        kind => AuthField::Other { kind, data },
    }
}

/// The eight bytes before the addresses.
struct Fixed {
    version_type: u8,
    vrid: u8,
    priority: u8,
    count: u8,
    interval: [u8; 2],
    checksum: u16,
}

impl Fixed {
    fn read(payload: &[u8]) -> IResult<&[u8], Fixed> {
        let fields = (be_u8, be_u8, be_u8, be_u8, be_u8, be_u8, be_u16);
        let assemble = |(version_type, vrid, priority, count, high, low, checksum)| Fixed {
            version_type,
            vrid,
            priority,
            count,
            interval: [high, low],
            checksum,
        };
        fields.map(assemble).parse(payload)
    }
}

#[cfg(test)]
mod tests;
