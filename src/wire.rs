//! Packets as bytes: VRRP adverts, the IPv4 header around them, gratuitous ARP, BFD control packets, and
//! what checks ask servers (DNS, echo, SMTP).
//!
//! No IO and no judgement: whether a well-formed advert is to be believed (TTL, source, password,
//! interval) is decided where the state is. Nothing here panics, whatever the bytes.

pub mod arp;
pub mod bfd;
pub mod dns;
pub mod echo;
pub mod ipv4;
pub mod smtp;
pub mod vrrp;
