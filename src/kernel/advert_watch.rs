//! Hears every advert that reaches this machine, or leaves it, whoever it is for: before any firewall.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd as _;

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockFilter, Socket, Type};

use crate::net::InterfaceIndex;
use crate::wire::{PROTOCOL_AH, PROTOCOL_VRRP};

use super::sys;

/// EtherTypes (linux/if_ether.h).
const ETH_P_IP: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86dd;
/// The longest message, over the longest headers, and more.
const PACKET_LEN: usize = 8192;

/// Sockets that hear adverts.
#[derive(Debug)]
pub struct AdvertWatch {
    sockets: Vec<Socket>,
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

/// Packets whose byte `at` is one of two numbers.
fn filter(at: u32) -> [SockFilter; 5] {
    let op = |code: u32| u16::try_from(code).unwrap_or(0);
    let equals = op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K);
    [
        SockFilter::new(op(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS), 0, 0, at),
        SockFilter::new(equals, 1, 0, PROTOCOL_VRRP.into()),
        SockFilter::new(equals, 0, 1, PROTOCOL_AH.into()),
        SockFilter::new(op(libc::BPF_RET), 0, 0, 0xffff),
        SockFilter::new(op(libc::BPF_RET), 0, 0, 0),
    ]
}

impl AdvertWatch {
    /// Listens, and asks these interfaces for packets of these groups.
    ///
    /// # Errors
    /// No CAP_NET_RAW.
    pub fn open(groups: &[(InterfaceIndex, IpAddr)]) -> io::Result<AdvertWatch> {
        let mut sockets = Vec::new();
        // Where the protocol stands in the header.
        for (protocol, at) in [(ETH_P_IP, 9), (ETH_P_IPV6, 6)] {
            let socket = Socket::new(Domain::PACKET, Type::DGRAM, None)?;
            socket.set_nonblocking(true)?;
            socket.attach_filter(&filter(at))?;
            socket.bind(&sys::packet::every_link(protocol)?)?;
            sockets.push(socket);
        }
        let members = groups.iter().filter_map(|group| join(*group).ok());
        Ok(AdvertWatch {
            _members: members.collect(),
            sockets,
        })
    }

    /// The next that was heard; `None`: nothing for now.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn next(&self) -> io::Result<Option<Heard>> {
        let mut packet = vec![0; PACKET_LEN];
        for socket in &self.sockets {
            match sys::packet::receive(socket.as_fd(), &mut packet) {
                Ok((read, Some(interface))) => {
                    packet.truncate(read);
                    return Ok(Some(Heard { interface, packet }));
                }
                Ok((_, None)) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
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
