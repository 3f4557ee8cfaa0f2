//! The IPv6 header (RFC 8200 section 3) of an advert, for a socket that takes headers from us.

use std::net::Ipv6Addr;

use super::{INTERNETWORK_CONTROL, PROTOCOL_VRRP};

/// Bytes of a header.
pub const HEADER_LEN: usize = 40;

/// The header of an advert: protocol 112, no extension headers, flow label 0.
///
/// `None` when the payload is longer than 65535 bytes.
pub fn advert_header(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    hop_limit: u8,
    payload_len: usize,
) -> Option<[u8; HEADER_LEN]> {
    let [high, low] = u16::try_from(payload_len).ok()?.to_be_bytes();
    let class = INTERNETWORK_CONTROL;
    let mut header = [0; HEADER_LEN];
    let (fixed, addresses) = header.split_first_chunk_mut::<8>()?;
    *fixed = [
        6 << 4 | class >> 4,
        class << 4,
        0,
        0,
        high,
        low,
        PROTOCOL_VRRP,
        hop_limit,
    ];
    let (from, to) = addresses.split_at_mut_checked(16)?;
    from.copy_from_slice(&source.octets());
    to.copy_from_slice(&destination.octets());
    Some(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_header_is_keepalived_s_but_for_the_flow_label() {
        // keepalived 2.2.7 to the group; its kernel chose the flow label 0x40e51.
        let mut theirs = [
            0x6c, 0x04, 0x0e, 0x51, 0x00, 0x28, 0x70, 0xff, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0,
            0x00, 0xff, 0xfe, 0x00, 0x00, 0x0a, 0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            0x12,
        ];
        theirs[1] = 0;
        theirs[2..4].fill(0);
        let from = "fe80::ff:fe00:a".parse().unwrap();
        let to = "ff02::12".parse().unwrap();
        assert_eq!(advert_header(from, to, 255, 40), Some(theirs));
        assert_eq!(advert_header(from, to, 255, 65536), None);
    }
}
