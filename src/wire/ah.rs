//! The authentication header (RFC 2402) before a version 2 advert: `auth_type AH`.
//!
//! ```text
//! |  next header  |  payload len  |            reserved           |
//! |                  security parameters index                    |
//! |                       sequence number                         |
//! |     integrity check value: the first 96 bits of HMAC-MD5      |
//! ```
//! The check value covers the IP header, this header and the message, with what routers change taken
//! as zero, and the value itself. keepalived does not take TTL among it, though the RFC does: adverts
//! of its peers fail at it once a router has passed them on, and so they do here. The index is the
//! sender's address.

use std::fmt;
use std::net::Ipv4Addr;

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use nom::IResult;
use nom::Parser;
use nom::number::complete::{be_u8, be_u16, be_u32};

use super::{PROTOCOL_VRRP, ipv4};

/// Bytes of the header.
pub const HEADER_LEN: usize = 12 + ICV_LEN;
/// Bytes of the check value (RFC 2403 section 2).
const ICV_LEN: usize = 12;
/// RFC 2402 section 2.2: its length in words of four bytes, less two.
const PAYLOAD_LEN: u8 = 4;

/// What is wrong with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AhError {
    /// Fewer bytes than the header has, or another length by its own word.
    Length,
    /// It is followed by something else than VRRP.
    NextHeader(u8),
    /// Its index is not the sender's address.
    Index(Ipv4Addr),
    /// Its check value is wrong: another password, or the packet was changed on its way.
    Value,
}

impl fmt::Display for AhError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AhError::Length => write!(f, "its authentication header is not {HEADER_LEN} bytes"),
            AhError::NextHeader(other) => {
                write!(f, "its authentication header is before protocol {other}")
            }
            AhError::Index(index) => {
                write!(f, "its authentication header is for {index}")
            }
            AhError::Value => f.write_str(
                "its check value is wrong: make auth_pass the same on both, and let no router between",
            ),
        }
    }
}

impl std::error::Error for AhError {}

/// A header that came in, not yet believed.
#[derive(Clone, Copy, Debug)]
pub struct Sealed<'a> {
    /// Counts the packets of the sender.
    pub sequence: u32,
    /// The message behind it.
    pub message: &'a [u8],
    index: Ipv4Addr,
    head: &'a [u8],
    value: [u8; ICV_LEN],
}

impl<'a> Sealed<'a> {
    /// Reads what stands behind the IP header of a packet of protocol 51.
    ///
    /// # Errors
    /// When it is no such header, or not before VRRP.
    pub fn read(payload: &'a [u8]) -> Result<Sealed<'a>, AhError> {
        let (head, message) = payload
            .split_at_checked(HEADER_LEN)
            .ok_or(AhError::Length)?;
        let (_, (next, len, index, sequence)) = fields(head).map_err(|_| AhError::Length)?;
        if next != PROTOCOL_VRRP {
            return Err(AhError::NextHeader(next));
        }
        if len != PAYLOAD_LEN {
            return Err(AhError::Length);
        }
        Ok(Sealed {
            sequence,
            message,
            index: Ipv4Addr::from_bits(index),
            head,
            value: head.last_chunk().copied().ok_or(AhError::Length)?,
        })
    }

    /// Whether the sender knows the password and nothing was changed on the way. `header` is the IP
    /// header as it came in.
    ///
    /// # Errors
    /// [`AhError::Index`] or [`AhError::Value`].
    pub fn verify(&self, header: &[u8], key: &[u8]) -> Result<(), AhError> {
        let (fixed, options) = header
            .split_first_chunk::<{ ipv4::HEADER_LEN }>()
            .ok_or(AhError::Length)?;
        let source: [u8; 4] = fixed
            .get(12..16)
            .and_then(|s| s.first_chunk())
            .copied()
            .unwrap_or_default();
        if self.index.octets() != source {
            return Err(AhError::Index(self.index));
        }
        let mut mac = keyed(key);
        mac.update(&immutable(*fixed));
        mac.update(options);
        mac.update(self.head.get(..HEADER_LEN - ICV_LEN).unwrap_or_default());
        mac.update(&[0; ICV_LEN]);
        mac.update(self.message);
        mac.verify_truncated_left(&self.value)
            .map_err(|_| AhError::Value)
    }
}

fn fields(head: &[u8]) -> IResult<&[u8], (u8, u8, u32, u32)> {
    let (rest, (next, len, _reserved)) = (be_u8, be_u8, be_u16).parse(head)?;
    let (rest, (index, sequence)) = (be_u32, be_u32).parse(rest)?;
    Ok((rest, (next, len, index, sequence)))
}

/// Writes header and message to `out`, in place of what stood there. `ip` is the IP header that it will
/// leave with: identification and all, since the check value covers it.
pub fn seal(
    ip: [u8; ipv4::HEADER_LEN],
    source: Ipv4Addr,
    sequence: u32,
    key: &[u8],
    message: &[u8],
    out: &mut Vec<u8>,
) {
    out.clear();
    out.extend([PROTOCOL_VRRP, PAYLOAD_LEN, 0, 0]);
    out.extend(source.octets());
    out.extend(sequence.to_be_bytes());
    let mut mac = keyed(key);
    mac.update(&immutable(ip));
    mac.update(out);
    mac.update(&[0; ICV_LEN]);
    mac.update(message);
    let value = mac.finalize().into_bytes();
    out.extend(value.iter().take(ICV_LEN));
    out.extend(message);
}

/// The identification that a sealed packet leaves with: never 0, which the kernel would fill in.
pub const fn identification(sequence: u32) -> u16 {
    let [_, _, high, low] = sequence.to_be_bytes();
    match u16::from_be_bytes([high, low]) {
        0 => 1,
        id => id,
    }
}

/// The IP header without what changes on the way: type of service, flags and offset, checksum.
const fn immutable(mut header: [u8; ipv4::HEADER_LEN]) -> [u8; ipv4::HEADER_LEN] {
    let [_, tos, _, _, _, _, f0, f1, _, _, c0, c1, ..] = &mut header;
    *tos = 0;
    *f0 = 0;
    *f1 = 0;
    *c0 = 0;
    *c1 = 0;
    header
}

fn keyed(key: &[u8]) -> Hmac<Md5> {
    // HMAC takes keys of any length (RFC 2104 section 3): there is no error to be had.
    Hmac::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Default::default()))
}

#[cfg(test)]
mod tests;
