//! The socket that adverts come in and go out on: one for each interface and family, and one more where
//! adverts stand behind an authentication header.
//!
//! Raw, protocol 112 or 51, bound to its interface, so that what is read came in there and what is sent
//! leaves there, whatever the routes say. It takes headers from us (raw(7), IP_HDRINCL; IPV6_HDRINCL since
//! Linux 4.5): the source address of an advert is configured and need not be the one that the kernel would
//! choose, TTL and type of service stand in the same bytes, and it costs no control message as IP_PKTINFO
//! would. The kernel fills in the checksum of an IPv4 header, and its identification where that is 0. Of
//! IPv6 the kernel shows no header; what matters of it comes beside the payload.

use std::fmt;
use std::io::{self, IoSlice, Read};
use std::net::{IpAddr, SocketAddrV4, SocketAddrV6};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockAddr, Socket, Type};

use crate::errno::Words;
use crate::net::{Channel, Family, InterfaceIndex, InterfaceName};
use crate::wire::{PROTOCOL_AH, PROTOCOL_VRRP, ah, ipv4, ipv6, vrrp};

use super::sys;

/// TC_PRIO_CONTROL (linux/pkt_sched.h): the queue that the interface sends from first.
pub(super) const PRIORITY_CONTROL: u32 = 7;

/// How many packets that were queued before the socket was bound are thrown away at most.
const STRAYS_MAX: usize = 1024;

/// A buffer of this many bytes takes every advert whole: the longest IP header, the authentication header,
/// the longest message and what may stand behind it.
pub const BUFFER_LEN: usize = 60 + ah::HEADER_LEN + vrrp::MAX_LEN + 4;

/// Raw socket for the adverts of one interface.
#[derive(Debug)]
pub struct VrrpSocket {
    socket: Socket,
    channel: Channel,
    place: Place,
}

/// ` on eth0`, or nothing for a socket that is bound to no interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place(Option<InterfaceName>);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(name) => write!(f, " on {name}"),
            None => Ok(()),
        }
    }
}

/// A packet that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Who sent it, by its own word.
    pub source: IpAddr,
    /// A multicast group, or an address of this node.
    pub destination: IpAddr,
    /// 255 when no router has passed it on.
    pub ttl: u8,
    /// Bytes of the IP header before the payload.
    header: usize,
    /// Where in the buffer the payload lies, for `wire::vrrp::parse`.
    payload: Range<usize>,
}

impl Received {
    /// Header and payload in the buffer that it was read into.
    pub fn split<'a>(&self, buffer: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        Some((
            buffer.get(..self.header)?,
            buffer.get(self.payload.clone())?,
        ))
    }
}

/// What could not be done while opening a socket.
#[derive(Debug)]
pub struct VrrpSocketError {
    operation: Operation,
    place: Place,
    error: io::Error,
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    Create,
    Bind,
    SetOption(&'static str),
    Join(IpAddr),
    Leave(IpAddr),
}

impl VrrpSocketError {
    /// What the kernel answered.
    pub fn io_error(&self) -> &io::Error {
        &self.error
    }
}

impl fmt::Display for VrrpSocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = &self.place;
        match self.operation {
            Operation::Create => write!(f, "open VRRP socket{place}")?,
            Operation::Bind => write!(f, "bind VRRP socket{place}")?,
            Operation::SetOption(name) => write!(f, "set {name} of VRRP socket{place}")?,
            Operation::Join(group) => write!(f, "join {group}{place}")?,
            Operation::Leave(group) => write!(f, "leave {group}{place}")?,
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
    /// Opens the socket and binds it to its interface, `name`. Until it joins a group it hears what is sent
    /// to addresses of this node alone.
    ///
    /// # Errors
    /// `EPERM` without CAP_NET_RAW, `ENODEV` when there is no such interface.
    pub fn open(
        channel: Channel,
        name: Option<&InterfaceName>,
    ) -> Result<VrrpSocket, VrrpSocketError> {
        let place = Place(name.cloned());
        let failed = |operation| {
            let place = place.clone();
            move |error| VrrpSocketError {
                operation,
                place,
                error,
            }
        };
        let option = |name| failed(Operation::SetOption(name));
        let protocol = Protocol::from(i32::from(match channel.authenticated {
            true => PROTOCOL_AH,
            false => PROTOCOL_VRRP,
        }));
        let domain = match channel.family {
            Family::V4 => Domain::IPV4,
            Family::V6 => Domain::IPV6,
        };
        let socket =
            Socket::new(domain, Type::RAW, Some(protocol)).map_err(failed(Operation::Create))?;
        if let Some(name) = name {
            socket
                .bind_device(Some(name.as_str().as_bytes()))
                .map_err(failed(Operation::Bind))?;
        }
        socket.set_nonblocking(true).map_err(option("O_NONBLOCK"))?;
        match channel.family {
            Family::V4 => set_options_v4(&socket),
            Family::V6 => set_options_v6(&socket),
        }
        .map_err(|(name, error)| option(name)(error))?;
        socket
            .set_priority(PRIORITY_CONTROL)
            .map_err(option("SO_PRIORITY"))?;
        let socket = VrrpSocket {
            socket,
            channel,
            place,
        };
        socket.discard_strays();
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

    /// Where it is, in words.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Hears one more multicast group.
    ///
    /// # Errors
    /// `EADDRINUSE` when it does already, `ENOBUFS` beyond net.ipv4.igmp_max_memberships (20).
    pub fn join(&self, group: IpAddr) -> Result<(), VrrpSocketError> {
        let on = self.channel.interface.map_or(0, InterfaceIndex::get);
        match group {
            IpAddr::V4(group) => self
                .socket
                .join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(on)),
            IpAddr::V6(group) => self.socket.join_multicast_v6(&group, on),
        }
        .map_err(|error| self.failed(Operation::Join(group), error))
    }

    /// Hears a multicast group no more.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL` when it did not.
    pub fn leave(&self, group: IpAddr) -> Result<(), VrrpSocketError> {
        let on = self.channel.interface.map_or(0, InterfaceIndex::get);
        match group {
            IpAddr::V4(group) => self
                .socket
                .leave_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(on)),
            IpAddr::V6(group) => self.socket.leave_multicast_v6(&group, on),
        }
        .map_err(|error| self.failed(Operation::Leave(group), error))
    }

    fn failed(&self, operation: Operation, error: io::Error) -> VrrpSocketError {
        VrrpSocketError {
            operation,
            place: self.place.clone(),
            error,
        }
    }

    /// Asks the kernel to keep `bytes` of what came in and was not read, beyond net.core.rmem_max too.
    ///
    /// # Errors
    /// `EPERM` without CAP_NET_ADMIN.
    pub fn set_receive_buffer(&self, bytes: u32) -> Result<(), VrrpSocketError> {
        let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
        sys::option::force_receive_buffer(self.socket.as_fd(), bytes)
            .map_err(|error| self.failed(Operation::SetOption("SO_RCVBUFFORCE"), error))
    }

    /// The next packet, `None` when there is none. What a shorter buffer than [`BUFFER_LEN`] has no room
    /// for is lost.
    ///
    /// # Errors
    /// What the kernel reports of the socket; `InvalidData` for bytes without a whole IPv4 header, or for
    /// an IPv6 packet without destination or hop limit, which no kernel hands over.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        let received = match self.channel.family {
            Family::V4 => self.recv_v4(buffer),
            Family::V6 => self.recv_v6(buffer),
        };
        match received {
            Ok(received) => Ok(Some(received)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn recv_v4(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let read = (&self.socket).read(buffer)?;
        let packet = buffer.get(..read).unwrap_or_default();
        let header = ipv4::parse(packet)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(Received {
            source: header.source.into(),
            destination: header.destination.into(),
            ttl: header.ttl,
            header: header.header_len,
            payload: header.payload(read),
        })
    }

    fn recv_v6(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let packet = sys::raw6::receive(self.socket.as_fd(), buffer)?;
        let missing = || io::Error::from(io::ErrorKind::InvalidData);
        Ok(Received {
            source: packet.source.into(),
            destination: packet.destination.ok_or_else(missing)?.into(),
            ttl: packet.hop_limit.ok_or_else(missing)?,
            header: 0,
            payload: 0..packet.len,
        })
    }

    /// Sends an advert. Never blocks and never allocates.
    ///
    /// # Errors
    /// `EAGAIN` when the send buffer is full, `ENETDOWN` or `ENETUNREACH` when the interface is down or
    /// has no address of the family, `EMSGSIZE` when the payload does not fit the interface's MTU.
    pub fn send(&self, advert: &Outgoing<'_>) -> io::Result<()> {
        let payload = advert.payload;
        let too_long = || io::Error::from_raw_os_error(libc::EMSGSIZE);
        match (advert.source, advert.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let envelope = ipv4::Envelope {
                    source,
                    destination,
                    ttl: advert.ttl,
                    protocol: match self.channel.authenticated {
                        true => PROTOCOL_AH,
                        false => PROTOCOL_VRRP,
                    },
                    identification: advert.identification,
                };
                let header = ipv4::advert_header(envelope, payload.len()).ok_or_else(too_long)?;
                let to = SockAddr::from(SocketAddrV4::new(destination, 0));
                self.send_parts(&header, payload, &to)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let header = ipv6::advert_header(source, destination, advert.ttl, payload.len())
                    .ok_or_else(too_long)?;
                let scope = match self.channel.interface {
                    Some(interface) if destination.is_multicast() => interface.get(),
                    Some(interface) if destination.is_unicast_link_local() => interface.get(),
                    _ => 0,
                };
                let to = SockAddr::from(SocketAddrV6::new(destination, 0, 0, scope));
                self.send_parts(&header, payload, &to)
            }
            _ => Err(io::Error::from_raw_os_error(libc::EAFNOSUPPORT)),
        }
    }

    fn send_parts(&self, header: &[u8], payload: &[u8], to: &SockAddr) -> io::Result<()> {
        self.socket
            .send_to_vectored(&[IoSlice::new(header), IoSlice::new(payload)], to)
            .map(drop)
    }
}

/// What leaves.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// From; it need not be an address of the interface.
    pub source: IpAddr,
    /// To.
    pub destination: IpAddr,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// Of the IPv4 header; 0: the kernel chooses.
    pub identification: u16,
    /// Behind the IP header.
    pub payload: &'a [u8],
}

/// Which option could not be set, and why.
type OptionError = (&'static str, io::Error);

fn set_options_v4(socket: &Socket) -> Result<(), OptionError> {
    let named = |name| move |error| (name, error);
    // Otherwise it would hear groups that any other program has joined.
    let all = socket.set_multicast_all_v4(false);
    all.map_err(named("IP_MULTICAST_ALL"))?;
    // Our own adverts are no news to us.
    let back = socket.set_multicast_loop_v4(false);
    back.map_err(named("IP_MULTICAST_LOOP"))?;
    let header = socket.set_header_included_v4(true);
    header.map_err(named("IP_HDRINCL"))
}

fn set_options_v6(socket: &Socket) -> Result<(), OptionError> {
    let named = |name| move |error| (name, error);
    // Since Linux 4.20; without it a group that another program has joined is heard, and not believed.
    let _ = socket.set_multicast_all_v6(false);
    let back = socket.set_multicast_loop_v6(false);
    back.map_err(named("IPV6_MULTICAST_LOOP"))?;
    let hops = socket.set_recv_hoplimit_v6(true);
    hops.map_err(named("IPV6_RECVHOPLIMIT"))?;
    let destination = sys::raw6::want_destination(socket.as_fd());
    destination.map_err(named("IPV6_RECVPKTINFO"))?;
    let header = socket.set_header_included_v6(true);
    header.map_err(named("IPV6_HDRINCL"))
}

impl AsFd for VrrpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn failed(operation: Operation, errno: i32) -> String {
        VrrpSocketError {
            operation,
            place: Place("eth0".parse().ok()),
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
            failed(
                Operation::Join(Ipv4Addr::new(224, 0, 0, 18).into()),
                libc::ENODEV
            ),
            "join 224.0.0.18 on eth0: no such device (ENODEV)"
        );
    }
}
