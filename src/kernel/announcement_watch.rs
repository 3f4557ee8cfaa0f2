//! Hears what others on the link say of their addresses: gratuitous ARP, ARP replies, neighbour
//! advertisements.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use crate::net::{InterfaceIndex, MacAddr};
use crate::wire::{arp, ndp};

use super::sys;

/// EtherType of ARP (linux/if_ether.h, ETH_P_ARP).
const ETH_P_ARP: u16 = 0x0806;
/// An ARP packet for IPv4; what pads it to the shortest frame is cut off.
const PACKET_LEN: usize = 28;

/// Neighbour advertisement (RFC 4861 section 4.4).
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
/// A neighbour advertisement with options beside the one that matters.
const MESSAGE_LEN: usize = 512;
/// Of what comes from this link and nowhere else (RFC 4861 section 7.1.2).
const HOP_LIMIT: u8 = 255;

/// A packet socket (packet(7)) for ARP and a raw socket (ipv6(7)) for ICMPv6, on every interface, deaf
/// until [`AnnouncementWatch::listen`].
///
/// They are opened once and kept: closing a packet socket waits for every processor to have left the network
/// code, which takes milliseconds that a protocol thread has not. What is not wanted is dropped by a
/// filter in the kernel before it is queued.
#[derive(Debug)]
pub struct AnnouncementWatch {
    socket: Socket,
    /// None on a machine without IPv6.
    socket6: Option<Socket>,
}

/// What somebody said of his address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Where it was heard.
    pub interface: InterfaceIndex,
    /// Which address.
    pub address: IpAddr,
    /// Where it is.
    pub mac: MacAddr,
}

/// Nothing is wanted.
const DEAF: [SockFilter; 1] = [SockFilter::new(op(libc::BPF_RET), 0, 0, 0)];

/// Replies, and whatever has the same address as sender and target. Offsets are those of RFC 826 for
/// IPv4 on Ethernet; that it is that is checked where the packet is read.
const LISTENING: [SockFilter; 8] = [
    SockFilter::new(op(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS), 0, 0, 6), // operation
    SockFilter::new(op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K), 4, 0, 2), // reply: taken
    SockFilter::new(op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS), 0, 0, 24), // target's address
    SockFilter::new(op(libc::BPF_MISC | libc::BPF_TAX), 0, 0, 0),
    SockFilter::new(op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS), 0, 0, 14), // sender's address
    SockFilter::new(op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_X), 0, 1, 0),
    SockFilter::new(op(libc::BPF_RET), 0, 0, 0xffff),
    SockFilter::new(op(libc::BPF_RET), 0, 0, 0),
];

/// linux/filter.h has the codes as larger numbers than its instructions.
#[expect(
    clippy::cast_possible_truncation,
    reason = "every code is below 256 (linux/bpf_common.h)"
)]
const fn op(code: u32) -> u16 {
    code as u16
}

impl AnnouncementWatch {
    /// Needs CAP_NET_RAW.
    ///
    /// # Errors
    /// `EPERM` without the capability; `EAFNOSUPPORT` on a kernel without packet sockets.
    pub fn open() -> io::Result<AnnouncementWatch> {
        let socket = Socket::new(Domain::PACKET, Type::DGRAM, None)?;
        socket.set_nonblocking(true)?;
        socket.attach_filter(&DEAF)?;
        socket.bind(&sys::packet::every_link(ETH_P_ARP)?)?;
        let socket6 = match open6() {
            Ok(socket6) => Some(socket6),
            Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => None,
            Err(error) => return Err(error),
        };
        Ok(AnnouncementWatch { socket, socket6 })
    }

    /// From now on announcements are heard, or no longer. What came in before and was not read is still
    /// there.
    ///
    /// # Errors
    /// `ENOMEM`; then it hears or does not, as before.
    pub fn listen(&self, on: bool) -> io::Result<()> {
        if let Some(socket6) = &self.socket6 {
            sys::raw6::let_in(socket6.as_fd(), on.then_some(NEIGHBOUR_ADVERTISEMENT))?;
        }
        if on {
            self.socket.attach_filter(&LISTENING)
        } else {
            self.socket.attach_filter(&DEAF)
        }
    }

    /// The next announcement, `None` when there is none. Never blocks.
    ///
    /// # Errors
    /// `ENETDOWN` once when an interface went down; reading may go on.
    pub fn next(&self) -> io::Result<Option<Announcement>> {
        match self.next_arp()? {
            Some(said) => Ok(Some(said)),
            None => self.next_advertisement(),
        }
    }

    fn next_arp(&self) -> io::Result<Option<Announcement>> {
        let mut packet = [0; PACKET_LEN];
        loop {
            let (read, interface) = match sys::packet::receive(self.socket.as_fd(), &mut packet) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            };
            let said = packet.get(..read).and_then(arp::announcement);
            if let (Some((address, mac)), Some(interface)) = (said, interface) {
                let address = IpAddr::V4(address);
                return Ok(Some(Announcement {
                    interface,
                    address,
                    mac,
                }));
            }
        }
    }

    fn next_advertisement(&self) -> io::Result<Option<Announcement>> {
        let Some(socket6) = &self.socket6 else {
            return Ok(None);
        };
        let mut message = [0; MESSAGE_LEN];
        loop {
            let received = match sys::raw6::receive(socket6.as_fd(), &mut message) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            };
            let said = message.get(..received.len).and_then(ndp::advertisement);
            if let (Some((address, mac)), Some(interface), Some(HOP_LIMIT)) =
                (said, received.interface, received.hop_limit)
            {
                let address = IpAddr::V6(address);
                return Ok(Some(Announcement {
                    interface,
                    address,
                    mac,
                }));
            }
        }
    }

    /// What becomes readable when there is one.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let sockets = std::iter::once(&self.socket).chain(&self.socket6);
        sockets.map(Socket::as_fd)
    }
}

fn open6() -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
    sys::raw6::let_in(socket.as_fd(), None)?;
    socket.set_nonblocking(true)?;
    socket.set_recv_hoplimit_v6(true)?;
    sys::raw6::want_destination(socket.as_fd())?;
    Ok(socket)
}
