//! The IPv4 header (RFC 791 section 3.1) that a raw socket hands over before the payload, and the one
//! that it wants there when it is told to take headers from us.

use std::fmt;
use std::net::Ipv4Addr;
use std::ops::Range;

use nom::IResult;
use nom::Parser;
use nom::number::complete::{be_u8, be_u16, be_u32};

use super::INTERNETWORK_CONTROL;

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;

/// What matters of a header that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Who sent it.
    pub source: Ipv4Addr,
    /// To whom.
    pub destination: Ipv4Addr,
    /// Time to live as it arrived; 255 means no router has passed it on.
    pub ttl: u8,
    /// What it carries; 112 is VRRP.
    pub protocol: u8,
    /// Bytes of the header, options included: 20 to 60, a multiple of 4.
    pub header_len: usize,
    /// Bytes of header and payload by the header's own word, at least `header_len`.
    pub total_len: usize,
}

impl Header {
    /// Where in a packet of `read` bytes the payload lies: behind the header, up to the length the
    /// header states, and no further than what was read. Padding of the link lies outside.
    pub fn payload(&self, read: usize) -> Range<usize> {
        let end = self.total_len.min(read);
        self.header_len.min(end)..end
    }
}

/// Why bytes are not an IPv4 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// Fewer bytes than the header has.
    TooShort {
        /// Bytes there were.
        len: usize,
    },
    /// Another version than 4.
    BadVersion(u8),
    /// The header says it is shorter than 20 bytes, or longer than the whole packet.
    BadLength {
        /// Bytes of the header by its own word.
        header_len: usize,
        /// Bytes of the packet by the header's word.
        total_len: usize,
    },
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeaderError::TooShort { len } => write!(f, "{len} bytes are no IPv4 header"),
            HeaderError::BadVersion(version) => write!(f, "IP version {version} is not 4"),
            HeaderError::BadLength {
                header_len,
                total_len,
            } => write!(
                f,
                "IPv4 header states {header_len} bytes of header in a packet of {total_len}"
            ),
        }
    }
}

impl std::error::Error for HeaderError {}

/// Reads the header at the start of `packet`. The header's checksum is not looked at: the kernel has.
pub fn parse(packet: &[u8]) -> Result<Header, HeaderError> {
    let too_short = HeaderError::TooShort { len: packet.len() };
    let (_, (first, header)) = fields(packet).map_err(|_| too_short)?;
    if first >> 4 != 4 {
        return Err(HeaderError::BadVersion(first >> 4));
    }
    let header_len = usize::from(first & 0x0f) * 4;
    let total_len = header.total_len;
    if header_len < HEADER_LEN || total_len < header_len {
        return Err(HeaderError::BadLength {
            header_len,
            total_len,
        });
    }
    if packet.len() < header_len {
        return Err(too_short);
    }
    Ok(Header {
        header_len,
        ..header
    })
}

/// The fixed 20 bytes; the first one, which says version and length, is returned as it is.
fn fields(packet: &[u8]) -> IResult<&[u8], (u8, Header)> {
    let (rest, (first, _tos, total_len)) = (be_u8, be_u8, be_u16).parse(packet)?;
    let (rest, (_id_and_fragment, ttl, protocol, _checksum)) =
        (be_u32, be_u8, be_u8, be_u16).parse(rest)?;
    let (rest, (source, destination)) = (be_u32, be_u32).parse(rest)?;
    let header = Header {
        source: Ipv4Addr::from_bits(source),
        destination: Ipv4Addr::from_bits(destination),
        ttl,
        protocol,
        header_len: HEADER_LEN,
        total_len: usize::from(total_len),
    };
    Ok((rest, (first, header)))
}

/// What the header of an advert says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// From.
    pub source: Ipv4Addr,
    /// To.
    pub destination: Ipv4Addr,
    /// Time to live.
    pub ttl: u8,
    /// 112, or 51 before an authentication header.
    pub protocol: u8,
    /// Identification; where it is 0 the kernel chooses one.
    pub identification: u16,
}

/// The header of an advert: no options, may be fragmented. The checksum is left zero, the kernel fills it
/// in (raw(7), IP_HDRINCL).
///
/// `None` when header and payload together are longer than an IPv4 packet may be, 65535 bytes.
pub fn advert_header(envelope: Envelope, payload_len: usize) -> Option<[u8; HEADER_LEN]> {
    let total = u16::try_from(payload_len.checked_add(HEADER_LEN)?).ok()?;
    let [total_high, total_low] = total.to_be_bytes();
    let [id_high, id_low] = envelope.identification.to_be_bytes();
    let [s0, s1, s2, s3] = envelope.source.octets();
    let [d0, d1, d2, d3] = envelope.destination.octets();
    Some([
        0x45,
        INTERNETWORK_CONTROL,
        total_high,
        total_low,
        id_high,
        id_low,
        0,
        0, // flags and fragment offset
        envelope.ttl,
        envelope.protocol,
        0,
        0, // checksum
        s0,
        s1,
        s2,
        s3,
        d0,
        d1,
        d2,
        d3,
    ])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::PROTOCOL_VRRP;

    fn envelope(identification: u16) -> Envelope {
        Envelope {
            source: Ipv4Addr::new(172, 18, 0, 11),
            destination: Ipv4Addr::new(224, 0, 0, 18),
            ttl: 255,
            protocol: PROTOCOL_VRRP,
            identification,
        }
    }

    /// The header of an advert that keepalived 2.2.7 sent.
    const KEEPALIVED: [u8; 20] = [
        0x45, 0xc0, 0x00, 0x28, 0x00, 0x01, 0x00, 0x00, 0xff, 0x70, 0x2e, 0x75, 0xac, 0x12, 0x00,
        0x0b, 0xe0, 0x00, 0x00, 0x12,
    ];

    #[test]
    fn a_header_of_keepalived_is_read() {
        let header = parse(&KEEPALIVED).unwrap();
        assert_eq!(
            header,
            Header {
                source: Ipv4Addr::new(172, 18, 0, 11),
                destination: Ipv4Addr::new(224, 0, 0, 18),
                ttl: 255,
                protocol: PROTOCOL_VRRP,
                header_len: 20,
                total_len: 40,
            }
        );
        assert_eq!(header.payload(46), 20..40, "padding is not payload");
        assert_eq!(header.payload(30), 20..30, "what was not read is not there");
        assert_eq!(header.payload(10), 10..10);
    }

    #[test]
    fn our_header_is_keepalived_s_but_for_what_the_kernel_fills_in() {
        let ours = advert_header(envelope(1), 20).unwrap();
        let mut theirs = KEEPALIVED;
        theirs[10..12].fill(0);
        assert_eq!(ours, theirs);
    }

    #[test]
    fn options_move_the_payload() {
        let mut packet = KEEPALIVED.to_vec();
        packet[0] = 0x46;
        packet.extend([0; 24]);
        assert_eq!(parse(&packet).unwrap().payload(packet.len()), 24..40);
    }

    #[test]
    fn headers_that_lie_are_refused() {
        let with = |at: usize, byte: u8| {
            let mut packet = KEEPALIVED;
            packet[at] = byte;
            parse(&packet)
        };
        assert_eq!(with(0, 0x65), Err(HeaderError::BadVersion(6)));
        assert_eq!(with(0, 0x46), Err(HeaderError::TooShort { len: 20 }));
        assert!(matches!(with(0, 0x44), Err(HeaderError::BadLength { .. })));
        assert!(matches!(with(3, 19), Err(HeaderError::BadLength { .. })));
        assert_eq!(
            parse(&KEEPALIVED[..19]),
            Err(HeaderError::TooShort { len: 19 })
        );
    }

    #[test]
    fn a_payload_too_long_for_ip_has_no_header() {
        assert!(advert_header(envelope(0), 65515).is_some());
        assert!(advert_header(envelope(0), 65516).is_none());
        assert!(advert_header(envelope(0), usize::MAX).is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_header_or_an_error(packet in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(header) = parse(&packet) {
                prop_assert!(packet.get(header.payload(packet.len())).is_some());
            }
        }
    }
}
