//! Packets as bytes: VRRP adverts, the IPv4 header around them, gratuitous ARP.
//!
//! No IO and no judgement: whether a well-formed advert is to be believed (TTL, source, password,
//! interval) is decided where the state is. Nothing here panics, whatever the bytes.

pub mod arp;
pub mod ipv4;
pub mod vrrp;
