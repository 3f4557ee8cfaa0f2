//! Unsolicited neighbour advertisements (RFC 4861 section 4.4 and 7.2.6): tell everyone on a link which
//! hardware address an IPv6 address has now; and reading what others say of theirs.

use std::net::Ipv6Addr;

use pnet_packet::ip::IpNextHeaderProtocol;
use pnet_packet::util::ipv6_checksum;

use crate::net::MacAddr;

/// Bytes of the frame: an Ethernet header of 14, an IPv6 header of 40, the message of 32.
pub const FRAME_LEN: usize = ETHERNET_LEN + IPV6_LEN + MESSAGE_LEN;

const ETHERNET_LEN: usize = 14;
const IPV6_LEN: usize = 40;
const MESSAGE_LEN: usize = 32;

/// ff02::1, every node of the link.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// Where [`ALL_NODES`] is on Ethernet (RFC 2464 section 7).
pub const ALL_NODES_MAC: MacAddr = MacAddr([0x33, 0x33, 0, 0, 0, 1]);

const ICMPV6: u8 = 58;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
const ROUTER: u8 = 0x80;
const OVERRIDE: u8 = 0x20;
const TARGET_LINK_LAYER_ADDRESS: u8 = 2;
const CHECKSUM_WORD: usize = 1;

/// A frame with which `mac` says to every node that `address` is at it, whatever they knew before
/// (override). `router`: this node forwards packets, and a host that has it as its router must not drop
/// it (RFC 4861 section 7.2.5). It comes from the address itself, hop limit 255. The same bytes as
/// keepalived's.
pub fn unsolicited(mac: MacAddr, address: Ipv6Addr, router: bool) -> [u8; FRAME_LEN] {
    let mut message = [0; MESSAGE_LEN];
    let flags = if router { ROUTER | OVERRIDE } else { OVERRIDE };
    put(&mut message, 0, &[NEIGHBOUR_ADVERTISEMENT, 0, 0, 0, flags]);
    put(&mut message, 8, &address.octets());
    put(&mut message, 24, &[TARGET_LINK_LAYER_ADDRESS, 1]);
    put(&mut message, 26, &mac.0);
    let protocol = IpNextHeaderProtocol(ICMPV6);
    let sum = ipv6_checksum(&message, CHECKSUM_WORD, &[], &address, &ALL_NODES, protocol);
    put(&mut message, 2, &sum.to_be_bytes());

    let mut frame = [0; FRAME_LEN];
    put_frame(&mut frame, mac, ALL_NODES_MAC, address, ALL_NODES, &message);
    frame
}

/// Bytes of the frame of a [`probe`]: without the option.
pub const PROBE_LEN: usize = ETHERNET_LEN + IPV6_LEN + QUESTION_LEN;

const QUESTION_LEN: usize = 24;
const NEIGHBOUR_SOLICITATION: u8 = 135;

/// A neighbour solicitation with which `mac` asks who has `address` without having an address itself, and
/// where it goes (RFC 4862 section 5.4.2): to the group of nodes whose addresses end alike. Whoever has it
/// tells every node.
pub fn probe(mac: MacAddr, address: Ipv6Addr) -> ([u8; PROBE_LEN], MacAddr) {
    let [.., a, b, c] = address.octets();
    let low = u16::from_be_bytes([b, c]);
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), low);
    let group_mac = MacAddr([0x33, 0x33, 0xff, a, b, c]);
    let mut message = [0; QUESTION_LEN];
    put(&mut message, 0, &[NEIGHBOUR_SOLICITATION]);
    put(&mut message, 8, &address.octets());
    let nobody = Ipv6Addr::UNSPECIFIED;
    let protocol = IpNextHeaderProtocol(ICMPV6);
    let sum = ipv6_checksum(&message, CHECKSUM_WORD, &[], &nobody, &group, protocol);
    put(&mut message, 2, &sum.to_be_bytes());
    let mut frame = [0; PROBE_LEN];
    put_frame(&mut frame, mac, group_mac, nobody, group, &message);
    (frame, group_mac)
}

/// Ethernet, IPv6 with hop limit 255, and the message.
fn put_frame(
    frame: &mut [u8],
    from: MacAddr,
    to: MacAddr,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    message: &[u8],
) {
    put(frame, 0, &to.0);
    put(frame, 6, &from.0);
    put(frame, 12, &[0x86, 0xdd]);
    let len = u8::try_from(message.len()).unwrap_or_default();
    put(frame, ETHERNET_LEN, &[6 << 4, 0, 0, 0, 0, len, ICMPV6, 255]);
    put(frame, ETHERNET_LEN + 8, &source.octets());
    put(frame, ETHERNET_LEN + 24, &destination.octets());
    put(frame, ETHERNET_LEN + IPV6_LEN, message);
}

/// What somebody says of himself: his address and where it is. From an ICMPv6 message that is a neighbour
/// advertisement and says both, whoever it is for; `None` for any other, and for what is too short. That its
/// hop limit was 255 is for the caller to see (RFC 4861 section 7.1.2).
pub fn advertisement(message: &[u8]) -> Option<(Ipv6Addr, MacAddr)> {
    let (header, mut options) = message.split_first_chunk::<24>()?;
    let [kind, code, ..] = *header;
    let target = Ipv6Addr::from(*header.last_chunk::<16>()?);
    if (kind, code) != (NEIGHBOUR_ADVERTISEMENT, 0) || target.is_multicast() {
        return None;
    }
    // Type, length in units of eight bytes, value (RFC 4861 section 4.6).
    while let [kind, length, ..] = *options {
        let option = options.split_at_checked(usize::from(length) * 8);
        let (option, rest) = option.filter(|(option, _)| !option.is_empty())?;
        if let [_, _, mac @ ..] = option
            && kind == TARGET_LINK_LAYER_ADDRESS
        {
            return mac.try_into().ok().map(|mac| (target, MacAddr(mac)));
        }
        options = rest;
    }
    None
}

/// Bytes at their place; the places above fit, and tests pin every byte.
fn put(into: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = into.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// keepalived 2.2.7 for 2001:db8::53 on an interface with the address 02:00:00:00:00:0a.
    const CAPTURED: [u8; FRAME_LEN] = [
        0x33, 0x33, 0x00, 0x00, 0x00, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x0a, 0x86, 0xdd, 0x60,
        0x00, 0x00, 0x00, 0x00, 0x20, 0x3a, 0xff, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0x00, 0x53, 0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x88, 0x00,
        0xf8, 0x7d, 0x20, 0x00, 0x00, 0x00, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0x00, 0x53, 0x02, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x0a,
    ];

    #[test]
    fn the_frame_is_the_one_that_keepalived_sends() {
        let mac = MacAddr([0x02, 0, 0, 0, 0, 0x0a]);
        let address = "2001:db8::53".parse().unwrap();
        assert_eq!(unsolicited(mac, address, false), CAPTURED);
    }

    #[test]
    fn an_advertisement_is_read_as_it_was_written_and_nothing_else_is() {
        let mac = MacAddr([2, 0, 0, 0, 0, 0x0a]);
        let address = "2001:db8::53".parse().unwrap();
        let message = &CAPTURED[ETHERNET_LEN + IPV6_LEN..];
        assert_eq!(advertisement(message), Some((address, mac)));
        for len in 0..message.len() {
            assert_eq!(advertisement(&message[..len]), None);
        }
        // Behind another option.
        let mut longer = message[..24].to_vec();
        longer.extend([14, 2].iter().chain(&[0; 14]));
        longer.extend(&message[24..]);
        assert_eq!(advertisement(&longer), Some((address, mac)));
        longer[25] = 0; // an option of no length
        assert_eq!(advertisement(&longer), None);
        let changed = |at: usize, to: u8| {
            let mut changed = message.to_vec();
            changed[at] = to;
            advertisement(&changed)
        };
        assert_eq!(changed(0, 135), None, "somebody asks");
        assert_eq!(changed(8, 0xff), None, "nobody is a group");
        assert_eq!(changed(25, 2), None, "another kind of link");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>) {
            let _ = advertisement(&bytes);
        }
    }

    #[test]
    fn a_probe_asks_those_whose_addresses_end_alike() {
        let mac = MacAddr([2, 0, 0, 0, 0, 0x0a]);
        let (frame, to) = probe(mac, "2001:db8::1:253".parse().unwrap());
        assert_eq!(to.to_string(), "33:33:ff:01:02:53");
        let expected: [u8; PROBE_LEN] = [
            0x33, 0x33, 0xff, 0x01, 0x02, 0x53, 0x02, 0, 0, 0, 0, 0x0a, 0x86, 0xdd, 0x60, 0, 0, 0,
            0, 0x18, 0x3a, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0x02, 0, 0,
            0, 0, 0, 0, 0, 0, 0, 0x01, 0xff, 0x01, 0x02, 0x53, 0x87, 0, 0x48, 0x47, 0, 0, 0, 0,
            0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x02, 0x53,
        ];
        assert_eq!(frame, expected);
    }

    #[test]
    fn a_router_says_so_and_the_sum_follows() {
        let mac = MacAddr([0x02, 0, 0, 0, 0, 0x0a]);
        let address = "2001:db8::53".parse().unwrap();
        let frame = unsolicited(mac, address, true);
        assert_eq!(frame[58], 0xa0);
        assert_eq!(frame[56..58], [0x78, 0x7d], "0x8000 less");
        assert_eq!(frame[..56], CAPTURED[..56]);
        assert_eq!(frame[59..], CAPTURED[59..]);
    }
}
