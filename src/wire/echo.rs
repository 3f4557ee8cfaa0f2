//! ICMP and ICMPv6 echo (RFC 792, RFC 4443 section 4): is anybody there?

use crate::net::Family;

/// Type, code, checksum, identifier, sequence number.
const HEADER_LEN: usize = 8;

const fn request_type(family: Family) -> u8 {
    match family {
        Family::V4 => 8,
        Family::V6 => 128,
    }
}

const fn reply_type(family: Family) -> u8 {
    match family {
        Family::V4 => 0,
        Family::V6 => 129,
    }
}

/// An echo request. With ICMPv6 the kernel fills in the checksum (RFC 3542 section 3.1).
pub fn request(family: Family, id: u16, sequence: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![request_type(family), 0, 0, 0];
    bytes.extend(id.to_be_bytes());
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(data);
    if family == Family::V4 {
        let sum = pnet_packet::util::checksum(&bytes, 1).to_be_bytes();
        bytes.splice(2..4, sum);
    }
    bytes
}

/// Whether this is the reply to such a request. An IPv4 packet still has its IP header.
pub fn is_reply(family: Family, packet: &[u8], id: u16, sequence: u16, data: &[u8]) -> bool {
    let message = match family {
        Family::V6 => packet,
        Family::V4 => {
            let words = packet.first().map_or(0, |first| usize::from(first & 0x0f));
            packet.get(words * 4..).unwrap_or_default()
        }
    };
    let Some((header, rest)) = message.split_at_checked(HEADER_LEN) else {
        return false;
    };
    let &[kind, code, _, _, a, b, c, d] = header else {
        return false;
    };
    (kind, code) == (reply_type(family), 0)
        && u16::from_be_bytes([a, b]) == id
        && u16::from_be_bytes([c, d]) == sequence
        && rest == data
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_request_becomes_its_reply() {
        let mut bytes = request(Family::V4, 7, 9, b"abcd");
        assert_eq!(
            pnet_packet::util::checksum(&bytes, usize::MAX),
            0,
            "a good sum is zero"
        );
        assert!(!is_reply(
            Family::V4,
            &[&[0x45; 20], &bytes[..]].concat(),
            7,
            9,
            b"abcd"
        ));
        bytes[0] = 0;
        let packet = [&[0x45; 20], &bytes[..]].concat();
        assert!(is_reply(Family::V4, &packet, 7, 9, b"abcd"));
        assert!(!is_reply(Family::V4, &packet, 8, 9, b"abcd"));
        assert!(!is_reply(Family::V4, &packet, 7, 8, b"abcd"));
        assert!(!is_reply(Family::V4, &packet, 7, 9, b"abce"));
        let mut six = request(Family::V6, 7, 9, b"abcd");
        assert_eq!(six[..4], [128, 0, 0, 0]);
        six[0] = 129;
        assert!(is_reply(Family::V6, &six, 7, 9, b"abcd"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_no_panic(v4: bool, bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let family = if v4 { Family::V4 } else { Family::V6 };
            prop_assert!(!is_reply(family, &bytes, 1, 2, b"never seen in so few bytes of noise"));
        }
    }
}
