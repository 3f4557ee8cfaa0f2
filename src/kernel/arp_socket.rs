//! The socket that gratuitous ARP is sent from: one for all interfaces, sends only.

use std::io;
use std::net::Ipv4Addr;

use socket2::{Domain, Socket, Type};

use crate::net::{InterfaceIndex, MacAddr};
use crate::wire::arp;

use super::sys;
use super::vrrp_socket::PRIORITY_CONTROL;

/// EtherType of ARP (linux/if_ether.h, ETH_P_ARP).
const ETH_P_ARP: u16 = 0x0806;

/// A packet socket (packet(7)) of protocol 0: no frame is ever queued on it, so none has to be read.
#[derive(Debug)]
pub struct ArpSocket {
    socket: Socket,
}

impl ArpSocket {
    /// Needs CAP_NET_RAW.
    ///
    /// # Errors
    /// `EPERM` without the capability; `EAFNOSUPPORT` on a kernel without packet sockets.
    pub fn open() -> io::Result<ArpSocket> {
        let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
        socket.set_nonblocking(true)?;
        socket.set_priority(PRIORITY_CONTROL)?;
        Ok(ArpSocket { socket })
    }

    /// Tells everyone on the link of `interface`, once, that `address` is at `mac`. Never blocks.
    ///
    /// # Errors
    /// `ENETDOWN` when the interface is down, `ENXIO` when it is gone, `ENOBUFS` or `EAGAIN` when its
    /// queue is full.
    pub fn announce(
        &self,
        interface: InterfaceIndex,
        mac: MacAddr,
        address: Ipv4Addr,
    ) -> io::Result<()> {
        let frame = arp::gratuitous(mac, address);
        let to = sys::packet::link_address(interface, MacAddr::BROADCAST, ETH_P_ARP)?;
        self.socket.send_to(&frame, &to).map(drop)
    }
}
