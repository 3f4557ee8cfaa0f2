//! Packets as bytes: VRRP adverts, the IP headers around them, the authentication header of version 2,
//! gratuitous ARP and neighbour advertisements, BFD control packets, and what checks ask servers (DNS, HTTP,
//! echo, SMTP, and the conversations of [`talk`]).
//!
//! No IO and no judgement: whether a well-formed advert is to be believed (TTL, source, password,
//! interval) is decided where the state is. Nothing here panics, whatever the bytes.

pub mod agent;
pub mod ah;
pub mod arp;
pub mod bfd;
pub mod dns;
pub mod echo;
pub mod grpc;
pub mod http;
pub mod http2;
pub mod ipv4;
pub mod ipv6;
pub mod mysql;
pub mod ndp;
pub mod pgsql;
pub mod redis;
pub mod smtp;
pub mod talk;
pub mod tls;
pub mod vrrp;
pub mod x509;

/// IP protocol number of VRRP (RFC 9568 section 5.1.1.4).
pub const PROTOCOL_VRRP: u8 = 112;
/// IP protocol number of the authentication header (RFC 2402).
pub const PROTOCOL_AH: u8 = 51;
/// Type of service and traffic class of routing protocols, "internetwork control" (RFC 791 section 3.1),
/// as keepalived marks its adverts.
pub const INTERNETWORK_CONTROL: u8 = 0xc0;
