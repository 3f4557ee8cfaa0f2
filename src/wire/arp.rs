//! Gratuitous ARP (RFC 5227 section 3): tells everyone on a link which hardware address an IPv4 address
//! has now; and reading what others say of theirs.

use std::net::Ipv4Addr;

use pnet_packet::Packet;
use pnet_packet::arp::{ArpHardwareTypes, ArpOperations, ArpPacket, MutableArpPacket};
use pnet_packet::ethernet::{EtherTypes, MutableEthernetPacket};

use crate::net::MacAddr;

/// Bytes of the frame: an Ethernet header of 14 and ARP for IPv4 of 28. Drivers pad it to what the link
/// wants.
pub const FRAME_LEN: usize = 42;

const ETHERNET_HEADER_LEN: usize = 14;

/// A broadcast ARP request with which `mac` says that `address` is its own: sender and target are both
/// the address, the target's hardware address is all ones. The same bytes as keepalived's: old switches
/// and hosts are known to heed them.
pub fn gratuitous(mac: MacAddr, address: Ipv4Addr) -> [u8; FRAME_LEN] {
    let mut frame = [0; FRAME_LEN];
    let (header, body) = frame.split_at_mut(ETHERNET_HEADER_LEN);
    // Both views fit by the constants above; a test pins every byte of the frame.
    if let Some(mut arp) = MutableArpPacket::new(body) {
        arp.set_hardware_type(ArpHardwareTypes::Ethernet);
        arp.set_protocol_type(EtherTypes::Ipv4);
        arp.set_hw_addr_len(6);
        arp.set_proto_addr_len(4);
        arp.set_operation(ArpOperations::Request);
        arp.set_sender_hw_addr(mac.0.into());
        arp.set_sender_proto_addr(address);
        arp.set_target_hw_addr(MacAddr::BROADCAST.0.into());
        arp.set_target_proto_addr(address);
        debug_assert_eq!(arp.packet().len() + header.len(), FRAME_LEN);
    }
    if let Some(mut ethernet) = MutableEthernetPacket::new(&mut frame) {
        ethernet.set_destination(MacAddr::BROADCAST.0.into());
        ethernet.set_source(mac.0.into());
        ethernet.set_ethertype(EtherTypes::Arp);
    }
    frame
}

/// A broadcast ARP request with which `mac` asks who has `address` without claiming it: the sender's
/// protocol address is zero, the target's hardware address is, too (RFC 5227 section 2.1.1).
pub fn probe(mac: MacAddr, address: Ipv4Addr) -> [u8; FRAME_LEN] {
    let mut frame = gratuitous(mac, address);
    let (_, body) = frame.split_at_mut(ETHERNET_HEADER_LEN);
    if let Some(mut arp) = MutableArpPacket::new(body) {
        arp.set_sender_proto_addr(Ipv4Addr::UNSPECIFIED);
        arp.set_target_hw_addr(MacAddr::default().0.into());
    }
    frame
}

/// What somebody says of himself: his address and where it is. From an ARP packet without its Ethernet
/// header that is gratuitous, or a reply; `None` for a question, for another link or protocol than
/// Ethernet and IPv4, and for what is too short.
pub fn announcement(packet: &[u8]) -> Option<(Ipv4Addr, MacAddr)> {
    let arp = ArpPacket::new(packet)?;
    let of_ipv4 = arp.get_hardware_type() == ArpHardwareTypes::Ethernet
        && arp.get_protocol_type() == EtherTypes::Ipv4
        && (arp.get_hw_addr_len(), arp.get_proto_addr_len()) == (6, 4);
    let address = arp.get_sender_proto_addr();
    let says =
        arp.get_operation() == ArpOperations::Reply || address == arp.get_target_proto_addr();
    let mac = MacAddr(arp.get_sender_hw_addr().octets());
    (of_ipv4 && says && !address.is_unspecified()).then_some((address, mac))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_is_read_as_it_was_written() {
        let mac = MacAddr([2, 0, 0, 0, 0, 0x0a]);
        let address = Ipv4Addr::new(172, 18, 0, 201);
        let frame = gratuitous(mac, address);
        let mut packet = frame[ETHERNET_HEADER_LEN..].to_vec();
        assert_eq!(announcement(&packet), Some((address, mac)));
        for len in 0..packet.len() {
            assert_eq!(announcement(&packet[..len]), None);
        }
        packet[27] = 1; // another target: somebody asks
        assert_eq!(announcement(&packet), None);
        packet[7] = 2; // a reply
        assert_eq!(announcement(&packet), Some((address, mac)));
        packet[3] = 6; // of another protocol
        assert_eq!(announcement(&packet), None);
    }

    #[test]
    fn a_probe_asks_and_claims_nothing() {
        let mac = MacAddr([2, 0, 0, 0, 0, 0x0a]);
        let frame = probe(mac, Ipv4Addr::new(172, 18, 0, 201));
        let expected: [u8; FRAME_LEN] = [
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0x00, 0x00, 0x00, 0x00, 0x0a, 0x08, 0x06,
            0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x0a,
            0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xac, 0x12, 0x00, 0xc9,
        ];
        assert_eq!(frame, expected);
        assert_eq!(announcement(&frame[ETHERNET_HEADER_LEN..]), None);
    }

    #[test]
    fn the_frame_is_the_one_that_keepalived_sends() {
        // keepalived 2.2.7 on an interface with the address 02:00:00:00:00:0a.
        let captured: [u8; FRAME_LEN] = [
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0x00, 0x00, 0x00, 0x00, 0x0a, 0x08, 0x06,
            0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x0a,
            0xac, 0x12, 0x00, 0xc9, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xac, 0x12, 0x00, 0xc9,
        ];
        let mac = MacAddr([0x02, 0, 0, 0, 0, 0x0a]);
        assert_eq!(gratuitous(mac, Ipv4Addr::new(172, 18, 0, 201)), captured);
    }
}
