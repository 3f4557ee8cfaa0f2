//! Hears every advert that reaches this machine, or leaves it, whoever it is for: before any firewall.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd as _;

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockFilter, Socket, Type};

use crate::net::InterfaceIndex;
use crate::wire::{PROTOCOL_AH, PROTOCOL_VRRP};

use super::sys;

/// Every frame (linux/if_ether.h): a socket of one protocol alone does not hear what leaves.
const ETH_P_ALL: u16 = 0x0003;
/// The longest message, over the longest headers, and more.
const PACKET_LEN: usize = 8192;

/// A socket that hears adverts.
#[derive(Debug)]
pub struct AdvertWatch {
    socket: Socket,
    /// What asks each interface for packets of the groups.
    _members: Vec<Socket>,
}

/// A packet, from its IP header on.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Where it was heard.
    pub interface: InterfaceIndex,
    /// The packet.
    pub packet: Vec<u8>,
}

/// Packets of VRRP, or with an authentication header before it: the protocol is byte 9 of the header of IPv4,
/// and byte 6 of that of IPv6.
fn filter() -> [SockFilter; 11] {
    let op = |code: u32| u16::try_from(code).unwrap_or(0);
    let byte = op(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS);
    let equals = op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K);
    let result = op(libc::BPF_RET);
    [
        SockFilter::new(byte, 0, 0, 0),
        SockFilter::new(op(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K), 0, 0, 0xf0),
        SockFilter::new(equals, 0, 2, 0x40), // version 4
        SockFilter::new(byte, 0, 0, 9),
        SockFilter::new(op(libc::BPF_JMP | libc::BPF_JA), 0, 0, 2),
        SockFilter::new(equals, 0, 3, 0x60), // version 6, or nothing of ours
        SockFilter::new(byte, 0, 0, 6),
        SockFilter::new(equals, 2, 0, PROTOCOL_VRRP.into()),
        SockFilter::new(equals, 1, 0, PROTOCOL_AH.into()),
        SockFilter::new(result, 0, 0, 0),
        SockFilter::new(result, 0, 0, 0xffff),
    ]
}

impl AdvertWatch {
    /// Listens, and asks these interfaces for packets of these groups.
    ///
    /// # Errors
    /// No CAP_NET_RAW.
    pub fn open(groups: &[(InterfaceIndex, IpAddr)]) -> io::Result<AdvertWatch> {
        let socket = Socket::new(Domain::PACKET, Type::DGRAM, None)?;
        socket.set_nonblocking(true)?;
        socket.attach_filter(&filter())?;
        socket.bind(&sys::packet::every_link(ETH_P_ALL)?)?;
        let members = groups.iter().filter_map(|group| join(*group).ok());
        Ok(AdvertWatch {
            _members: members.collect(),
            socket,
        })
    }

    /// The next that was heard; `None`: nothing for now.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn next(&self) -> io::Result<Option<Heard>> {
        let mut packet = vec![0; PACKET_LEN];
        loop {
            match sys::packet::receive(self.socket.as_fd(), &mut packet) {
                Ok((read, Some(interface))) => {
                    packet.truncate(read);
                    return Ok(Some(Heard { interface, packet }));
                }
                Ok((_, None)) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
}

fn join((interface, group): (InterfaceIndex, IpAddr)) -> io::Result<Socket> {
    match group {
        IpAddr::V4(group) => {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
            socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
            let on = InterfaceIndexOrAddress::Index(interface.get());
            socket.join_multicast_v4_n(&group, &on)?;
            Ok(socket)
        }
        IpAddr::V6(group) => {
            let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
            socket.bind(&SocketAddr::from((Ipv6Addr::LOCALHOST, 0)).into())?;
            socket.join_multicast_v6(&group, interface.get())?;
            Ok(socket)
        }
    }
}
