//! The socket that announcements are sent from, gratuitous ARP and unsolicited neighbour advertisements:
//! one for all interfaces, sends only.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::net::{InterfaceIndex, MacAddr};
use crate::time::Time;
use crate::wire::{arp, ndp};

use super::vrrp_socket::PRIORITY_CONTROL;
use super::{clock, sys};

/// EtherTypes (linux/if_ether.h, ETH_P_ARP and ETH_P_IPV6).
const ETH_P_ARP: u16 = 0x0806;
const ETH_P_IPV6: u16 = 0x86dd;

/// How long it is believed that an interface forwards or does not: a thousand addresses are announced in
/// one go, and nobody turns forwarding on in between.
const FORWARDING_FOR: Duration = Duration::from_secs(1);

/// A packet socket (packet(7)) of protocol 0: no frame is ever queued on it, so none has to be read.
#[derive(Debug)]
pub struct AnnouncementSocket {
    socket: Socket,
    forwarding: BTreeMap<InterfaceIndex, (Time, bool)>,
}

impl AnnouncementSocket {
    /// Needs CAP_NET_RAW.
    ///
    /// # Errors
    /// `EPERM` without the capability; `EAFNOSUPPORT` on a kernel without packet sockets.
    pub fn open() -> io::Result<AnnouncementSocket> {
        let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
        socket.set_nonblocking(true)?;
        socket.set_priority(PRIORITY_CONTROL)?;
        Ok(AnnouncementSocket {
            socket,
            forwarding: BTreeMap::new(),
        })
    }

    /// Tells everyone on the link of `interface`, once, that `address` is at `mac`. Never blocks. Of an
    /// IPv6 address it also says whether this node is a router there.
    ///
    /// # Errors
    /// `ENETDOWN` when the interface is down, `ENXIO` when it is gone, `ENOBUFS` or `EAGAIN` when its
    /// queue is full.
    pub fn announce(
        &mut self,
        interface: InterfaceIndex,
        mac: MacAddr,
        address: IpAddr,
    ) -> io::Result<()> {
        match address {
            IpAddr::V4(address) => {
                let frame = arp::gratuitous(mac, address);
                self.send(interface, MacAddr::BROADCAST, ETH_P_ARP, &frame)
            }
            IpAddr::V6(address) => {
                let frame = ndp::unsolicited(mac, address, self.forwards(interface));
                self.send(interface, ndp::ALL_NODES_MAC, ETH_P_IPV6, &frame)
            }
        }
    }

    /// Asks everyone on the link of `interface`, once, whether somebody has `address`. Never blocks.
    ///
    /// # Errors
    /// As [`AnnouncementSocket::announce`].
    pub fn probe(
        &self,
        interface: InterfaceIndex,
        mac: MacAddr,
        address: IpAddr,
    ) -> io::Result<()> {
        match address {
            IpAddr::V4(address) => {
                let frame = arp::probe(mac, address);
                self.send(interface, MacAddr::BROADCAST, ETH_P_ARP, &frame)
            }
            IpAddr::V6(address) => {
                let (frame, group) = ndp::probe(mac, address);
                self.send(interface, group, ETH_P_IPV6, &frame)
            }
        }
    }

    fn send(
        &self,
        interface: InterfaceIndex,
        destination: MacAddr,
        protocol: u16,
        frame: &[u8],
    ) -> io::Result<()> {
        let to = sys::packet::link_address(interface, destination, protocol)?;
        self.socket.send_to(frame, &to).map(drop)
    }

    /// Whether the kernel forwards IPv6 that comes in at an interface, as it would say itself in the
    /// answers that it gives (sysctl net.ipv6.conf.IF.forwarding).
    fn forwards(&mut self, interface: InterfaceIndex) -> bool {
        let now = clock::now();
        if let Some((at, forwards)) = self.forwarding.get(&interface)
            && now.since(*at) < FORWARDING_FOR
        {
            return *forwards;
        }
        let forwards = sys::packet::interface_name(interface)
            .and_then(|name| {
                fs::read_to_string(format!("/proc/sys/net/ipv6/conf/{name}/forwarding"))
            })
            .is_ok_and(|text| text.trim() != "0");
        self.forwarding.insert(interface, (now, forwards));
        forwards
    }
}
