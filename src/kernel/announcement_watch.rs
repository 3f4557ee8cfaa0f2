//! Hears what others on the link say of their addresses: gratuitous ARP and ARP replies.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, SockFilter, Socket, Type};

use crate::net::{InterfaceIndex, MacAddr};
use crate::wire::arp;

use super::sys;

/// EtherType of ARP (linux/if_ether.h, ETH_P_ARP).
const ETH_P_ARP: u16 = 0x0806;
/// An ARP packet for IPv4; what pads it to the shortest frame is cut off.
const PACKET_LEN: usize = 28;

/// A packet socket (packet(7)) for ARP on every interface, deaf until [`AnnouncementWatch::listen`].
///
/// It is opened once and kept: closing such a socket waits for every processor to have left the network
/// code, which takes milliseconds that a protocol thread has not. What is not wanted is dropped by a
/// filter in the kernel before it is queued.
#[derive(Debug)]
pub struct AnnouncementWatch {
    socket: Socket,
}

/// What somebody said of his address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Where it was heard.
    pub interface: InterfaceIndex,
    /// Which address.
    pub address: Ipv4Addr,
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
        Ok(AnnouncementWatch { socket })
    }

    /// From now on announcements are heard, or no longer. What came in before and was not read is still
    /// there.
    ///
    /// # Errors
    /// `ENOMEM`; then it hears or does not, as before.
    pub fn listen(&self, on: bool) -> io::Result<()> {
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
        let mut packet = [0; PACKET_LEN];
        loop {
            let (read, interface) = match sys::packet::receive(self.socket.as_fd(), &mut packet) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            };
            let said = packet.get(..read).and_then(arp::announcement);
            if let (Some((address, mac)), Some(interface)) = (said, interface) {
                return Ok(Some(Announcement {
                    interface,
                    address,
                    mac,
                }));
            }
        }
    }
}

impl AsFd for AnnouncementWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
