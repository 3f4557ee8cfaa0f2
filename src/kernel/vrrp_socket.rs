//! The socket that adverts come in and go out on: one for each interface, IPv4.
//!
//! Raw, protocol 112, bound to its interface, so that what is read came in there and what is sent leaves
//! there, whatever the routes say. It takes headers from us (raw(7), IP_HDRINCL): the source address of
//! an advert is configured and need not be the one that the kernel would choose, TTL and type of service
//! stand in the same bytes, and it costs no control message as IP_PKTINFO would. The kernel fills in
//! identification and checksum.

use std::fmt;
use std::io::{self, IoSlice, Read};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockAddr, Socket, Type};

use crate::errno::Words;
use crate::net::{InterfaceIndex, InterfaceName};
use crate::wire::ipv4;

/// TC_PRIO_CONTROL (linux/pkt_sched.h): the queue that the interface sends from first.
pub(super) const PRIORITY_CONTROL: u32 = 7;

/// How many packets that were queued before the socket was bound are thrown away at most.
const STRAYS_MAX: usize = 1024;

/// A buffer of this many bytes takes every advert whole: the longest IP header and the longest advert.
pub const BUFFER_LEN: usize = 60 + crate::wire::vrrp::MAX_LEN;

/// Raw socket for the adverts of one interface.
#[derive(Debug)]
pub struct VrrpSocket {
    socket: Socket,
    interface: InterfaceName,
    index: InterfaceIndex,
}

/// A packet that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Who sent it, by its own word.
    pub source: Ipv4Addr,
    /// A multicast group, or an address of this node.
    pub destination: Ipv4Addr,
    /// 255 when no router has passed it on.
    pub ttl: u8,
    /// Where in the buffer the payload lies, for `wire::vrrp::parse`.
    pub payload: Range<usize>,
}

/// What could not be done while opening a socket.
#[derive(Debug)]
pub struct VrrpSocketError {
    operation: Operation,
    interface: InterfaceName,
    error: io::Error,
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    Create,
    Bind,
    SetOption(&'static str),
    Join(Ipv4Addr),
    Leave(Ipv4Addr),
}

impl VrrpSocketError {
    /// What the kernel answered.
    pub fn io_error(&self) -> &io::Error {
        &self.error
    }
}

impl fmt::Display for VrrpSocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let interface = &self.interface;
        match self.operation {
            Operation::Create => write!(f, "open VRRP socket on {interface}")?,
            Operation::Bind => write!(f, "bind VRRP socket to {interface}")?,
            Operation::SetOption(name) => write!(f, "set {name} of VRRP socket on {interface}")?,
            Operation::Join(group) => write!(f, "join {group} on {interface}")?,
            Operation::Leave(group) => write!(f, "leave {group} on {interface}")?,
        }
        write!(f, ": {}", Words(&self.error))?;
        match (self.operation, self.error.raw_os_error()) {
            (Operation::Create | Operation::Bind, Some(libc::EPERM)) => {
                f.write_str("; run vipd as root or with CAP_NET_RAW")
            }
            (Operation::Join(_), Some(libc::ENOBUFS)) => f.write_str(
                "; the sysctl net.ipv4.igmp_max_memberships limits the groups of a socket",
            ),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for VrrpSocketError {}

impl VrrpSocket {
    /// Opens the socket, bound to the interface, and joins `group` there; without a group it hears what
    /// is sent to addresses of this node alone.
    ///
    /// # Errors
    /// `EPERM` without CAP_NET_RAW, `ENODEV` when there is no such interface.
    pub fn open(
        interface: &InterfaceName,
        index: InterfaceIndex,
        group: Option<Ipv4Addr>,
    ) -> Result<VrrpSocket, VrrpSocketError> {
        let failed = |operation| {
            move |error| VrrpSocketError {
                operation,
                interface: interface.clone(),
                error,
            }
        };
        let option = |name| failed(Operation::SetOption(name));
        let protocol = Protocol::from(i32::from(ipv4::PROTOCOL_VRRP));
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(protocol))
            .map_err(failed(Operation::Create))?;
        socket
            .bind_device(Some(interface.as_str().as_bytes()))
            .map_err(failed(Operation::Bind))?;
        socket.set_nonblocking(true).map_err(option("O_NONBLOCK"))?;
        // Otherwise it would hear groups that any other program has joined.
        socket
            .set_multicast_all_v4(false)
            .map_err(option("IP_MULTICAST_ALL"))?;
        // Our own adverts are no news to us.
        socket
            .set_multicast_loop_v4(false)
            .map_err(option("IP_MULTICAST_LOOP"))?;
        socket
            .set_header_included_v4(true)
            .map_err(option("IP_HDRINCL"))?;
        socket
            .set_priority(PRIORITY_CONTROL)
            .map_err(option("SO_PRIORITY"))?;
        let socket = VrrpSocket {
            socket,
            interface: interface.clone(),
            index,
        };
        socket.discard_strays();
        if let Some(group) = group {
            socket.join(group)?;
        }
        Ok(socket)
    }

    /// Between socket(2) and the options above, packets of every interface and group were taken in.
    fn discard_strays(&self) {
        let mut byte = [0];
        for _ in 0..STRAYS_MAX {
            if (&self.socket).read(&mut byte).is_err() {
                break;
            }
        }
    }

    /// The interface it is bound to.
    pub fn interface(&self) -> (&InterfaceName, InterfaceIndex) {
        (&self.interface, self.index)
    }

    /// Hears one more multicast group.
    ///
    /// # Errors
    /// `EADDRINUSE` when it does already, `ENOBUFS` beyond net.ipv4.igmp_max_memberships (20).
    pub fn join(&self, group: Ipv4Addr) -> Result<(), VrrpSocketError> {
        let on = InterfaceIndexOrAddress::Index(self.index.get());
        self.socket
            .join_multicast_v4_n(&group, &on)
            .map_err(|error| self.failed(Operation::Join(group), error))
    }

    /// Hears a multicast group no more.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL` when it did not.
    pub fn leave(&self, group: Ipv4Addr) -> Result<(), VrrpSocketError> {
        let on = InterfaceIndexOrAddress::Index(self.index.get());
        self.socket
            .leave_multicast_v4_n(&group, &on)
            .map_err(|error| self.failed(Operation::Leave(group), error))
    }

    fn failed(&self, operation: Operation, error: io::Error) -> VrrpSocketError {
        VrrpSocketError {
            operation,
            interface: self.interface.clone(),
            error,
        }
    }

    /// The next packet, `None` when there is none. What a shorter buffer than [`BUFFER_LEN`] has no room
    /// for is lost.
    ///
    /// # Errors
    /// What the kernel reports of the socket; `InvalidData` for bytes without a whole IPv4 header, which
    /// no kernel hands over.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        let read = match (&self.socket).read(buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(None),
            Err(error) => return Err(error),
        };
        let packet = buffer.get(..read).unwrap_or_default();
        let header = ipv4::parse(packet)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(Some(Received {
            source: header.source,
            destination: header.destination,
            ttl: header.ttl,
            payload: header.payload(read),
        }))
    }

    /// Sends an advert with TTL 255. Never blocks and never allocates.
    ///
    /// # Errors
    /// `EAGAIN` when the send buffer is full, `ENETDOWN` or `ENETUNREACH` when the interface is down or
    /// has no IPv4, `EMSGSIZE` when the payload does not fit the interface's MTU.
    pub fn send(&self, source: Ipv4Addr, destination: Ipv4Addr, payload: &[u8]) -> io::Result<()> {
        let header = ipv4::advert_header(source, destination, payload.len())
            .ok_or_else(|| io::Error::from_raw_os_error(libc::EMSGSIZE))?;
        let to = SockAddr::from(SocketAddrV4::new(destination, 0));
        self.socket
            .send_to_vectored(&[IoSlice::new(&header), IoSlice::new(payload)], &to)
            .map(drop)
    }
}

impl AsFd for VrrpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(operation: Operation, errno: i32) -> String {
        VrrpSocketError {
            operation,
            interface: "eth0".parse().unwrap(),
            error: io::Error::from_raw_os_error(errno),
        }
        .to_string()
    }

    #[test]
    fn errors_say_what_on_which_interface_and_what_to_do() {
        assert_eq!(
            failed(Operation::Create, libc::EPERM),
            "open VRRP socket on eth0: operation not permitted (EPERM); \
             run vipd as root or with CAP_NET_RAW"
        );
        assert_eq!(
            failed(Operation::Join(Ipv4Addr::new(224, 0, 0, 18)), libc::ENODEV),
            "join 224.0.0.18 on eth0: no such device (ENODEV)"
        );
    }
}
