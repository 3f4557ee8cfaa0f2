//! The sockets of BFD: one to listen on for each family and kind of session, one to speak from for each
//! session (RFC 5881 section 4: its source port is its own and stays).

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::errno::Words;
use crate::net::{BfdArrival, BfdPath, Family};

use super::sys::datagram;
use super::vrrp_socket::PRIORITY_CONTROL;

/// The first of the source ports that RFC 5881 section 4 allows; the last is 65535.
const SOURCE_PORT_MIN: u16 = 49152;
const SOURCE_PORTS: u16 = u16::MAX - SOURCE_PORT_MIN;
/// Source ports that are tried before giving up.
const PORTS_TRIED: u16 = 32;

/// A buffer of this many bytes takes every packet whole that may be one.
pub const BUFFER_LEN: usize = 256;

/// Class selector 6 (RFC 4594 section 3.2), network control.
const NETWORK_CONTROL: u32 = 0xc0;

/// What could not be done while opening a socket.
#[derive(Debug)]
pub struct BfdSocketError {
    operation: &'static str,
    object: String,
    error: io::Error,
}

impl BfdSocketError {
    /// What the kernel answered.
    pub fn io_error(&self) -> &io::Error {
        &self.error
    }
}

impl fmt::Display for BfdSocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (operation, object) = (self.operation, &self.object);
        write!(f, "{operation} {object}: {}", Words(&self.error))?;
        if self.error.raw_os_error() == Some(libc::EADDRINUSE) {
            f.write_str("; stop the other BFD daemon on this host")?;
        }
        Ok(())
    }
}

impl std::error::Error for BfdSocketError {}

/// Hears the packets of every session of one kind.
#[derive(Debug)]
pub struct BfdListener(Socket);

/// A packet that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes in the buffer, for `wire::bfd::parse`.
    pub len: usize,
    /// Who sent it.
    pub source: IpAddr,
    /// The address of this node that it was sent to.
    pub destination: IpAddr,
    /// TTL or hop limit as it came in.
    pub hops: u8,
}

impl BfdListener {
    /// Listens on every address of this node.
    ///
    /// # Errors
    /// `EADDRINUSE` when another BFD daemon listens there.
    pub fn open(what: BfdArrival) -> Result<BfdListener, BfdSocketError> {
        let failed = |operation| {
            move |error| BfdSocketError {
                operation,
                object: format!("UDP port {} for BFD", what.port()),
                error,
            }
        };
        let socket = new_socket(what.family).map_err(failed("open"))?;
        let any: IpAddr = match what.family {
            Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
        };
        let asked = match what.family {
            Family::V4 => datagram::ask_v4(socket.as_fd()),
            Family::V6 => socket
                .set_only_v6(true)
                .and_then(|()| datagram::ask_v6(socket.as_fd())),
        };
        asked.map_err(failed("set options of"))?;
        socket
            .bind(&SocketAddr::new(any, what.port()).into())
            .map_err(failed("bind"))?;
        Ok(BfdListener(socket))
    }

    /// The next packet, `None` when there is none. What a shorter buffer than [`BUFFER_LEN`] has no room
    /// for is lost.
    ///
    /// # Errors
    /// What the kernel reports of the socket.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        use io::ErrorKind::{Interrupted, WouldBlock};
        match datagram::receive(self.0.as_fd(), buffer) {
            Ok(came) => Ok(Some(Received {
                len: came.len,
                source: came.source.ip(),
                destination: came.destination,
                hops: came.hops,
            })),
            Err(error) if matches!(error.kind(), WouldBlock | Interrupted) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for BfdListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Sends the packets of one session.
#[derive(Debug)]
pub struct BfdSender {
    socket: Socket,
    to: SockAddr,
}

impl BfdSender {
    /// `port_seed` chooses where the search for a free source port begins. A source address that this
    /// node does not have yet is no error: sending is, until it has.
    ///
    /// # Errors
    /// `EAFNOSUPPORT` without that family; `EADDRINUSE` when no port in a row of 32 is free.
    pub fn open(path: &BfdPath, port_seed: u32) -> Result<BfdSender, BfdSocketError> {
        let failed = |operation| {
            move |error| BfdSocketError {
                operation,
                object: format!("BFD socket for {}", path.neighbor),
                error,
            }
        };
        let family = Family::of(path.neighbor);
        let socket = new_socket(family).map_err(failed("open"))?;
        set_header(&socket, family, path.hops).map_err(failed("set options of"))?;
        let from = path.source.unwrap_or(match family {
            Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
        });
        bind_source(&socket, from, port_seed).map_err(failed("bind"))?;
        let to = SocketAddr::new(path.neighbor, path.arrival().port());
        Ok(BfdSender {
            socket,
            to: to.into(),
        })
    }

    /// Sends a packet. Never blocks and never allocates.
    ///
    /// # Errors
    /// `ENETUNREACH` or `EHOSTUNREACH` without a route, `EADDRNOTAVAIL` or `EINVAL` without the source
    /// address, `EAGAIN` when the send buffer is full.
    pub fn send(&self, packet: &[u8]) -> io::Result<()> {
        self.socket.send_to(packet, &self.to).map(drop)
    }
}

fn new_socket(family: Family) -> io::Result<Socket> {
    let domain = match family {
        Family::V4 => Domain::IPV4,
        Family::V6 => Domain::IPV6,
    };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn set_header(socket: &Socket, family: Family, hops: u8) -> io::Result<()> {
    socket.set_priority(PRIORITY_CONTROL)?;
    match family {
        Family::V4 => {
            socket.set_tos_v4(NETWORK_CONTROL)?;
            socket.set_freebind_v4(true)?;
            socket.set_ttl_v4(hops.into())
        }
        Family::V6 => {
            socket.set_tclass_v6(NETWORK_CONTROL)?;
            socket.set_freebind_v6(true)?;
            socket.set_unicast_hops_v6(hops.into())
        }
    }
}

fn bind_source(socket: &Socket, from: IpAddr, port_seed: u32) -> io::Result<()> {
    let first = u16::try_from(port_seed % u32::from(SOURCE_PORTS)).unwrap_or(0);
    let mut tried = Err(io::Error::from_raw_os_error(libc::EADDRINUSE));
    for step in 0..PORTS_TRIED {
        let port = SOURCE_PORT_MIN + (first + step) % SOURCE_PORTS;
        tried = socket.bind(&SocketAddr::new(from, port).into());
        match &tried {
            Err(error) if error.raw_os_error() == Some(libc::EADDRINUSE) => {}
            _ => break,
        }
    }
    tried
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::kernel::clock;
    use crate::kernel::poll::{Interest, Poller};

    /// A listener on any free port: the real ones may be somebody's on the machine of the tests.
    fn listener(family: Family) -> (BfdListener, SockAddr) {
        let socket = new_socket(family).unwrap();
        let loopback: IpAddr = match family {
            Family::V4 => Ipv4Addr::LOCALHOST.into(),
            Family::V6 => Ipv6Addr::LOCALHOST.into(),
        };
        match family {
            Family::V4 => datagram::ask_v4(socket.as_fd()).unwrap(),
            Family::V6 => datagram::ask_v6(socket.as_fd()).unwrap(),
        }
        socket.bind(&SocketAddr::new(loopback, 0).into()).unwrap();
        let at = socket.local_addr().unwrap();
        (BfdListener(socket), at)
    }

    fn arrive(neighbor: &str, hops: u8) -> (Received, SocketAddr) {
        let neighbor: IpAddr = neighbor.parse().unwrap();
        let (listener, at) = listener(Family::of(neighbor));
        let path = BfdPath {
            neighbor,
            source: Some(neighbor),
            multihop: false,
            hops,
        };
        let mut sender = BfdSender::open(&path, 7).unwrap();
        sender.to = at;
        let from = sender.socket.local_addr().unwrap().as_socket().unwrap();
        sender.send(b"twenty-four bytes of it.").unwrap();
        let mut poller = Poller::new();
        poller.watch(listener.as_fd(), Interest::Read);
        let limit = clock::now() + Duration::from_secs(5);
        poller.wait(Some(limit)).unwrap();
        let mut buffer = [0; BUFFER_LEN];
        let came = listener.recv(&mut buffer).unwrap().unwrap();
        assert_eq!(&buffer[..came.len], b"twenty-four bytes of it.");
        assert_eq!(listener.recv(&mut buffer).unwrap(), None);
        (came, from)
    }

    #[test]
    fn a_packet_arrives_with_its_ttl_and_both_addresses() {
        for (address, hops) in [
            ("127.0.0.1", 255),
            ("127.0.0.1", 3),
            ("::1", 255),
            ("::1", 64),
        ] {
            let (came, from) = arrive(address, hops);
            let address: IpAddr = address.parse().unwrap();
            assert_eq!((came.source, came.destination), (address, address));
            assert_eq!(came.hops, hops);
            assert!(from.port() >= SOURCE_PORT_MIN, "{from}");
        }
    }

    #[test]
    fn each_session_has_a_port_of_its_own() {
        let path = BfdPath {
            neighbor: Ipv4Addr::LOCALHOST.into(),
            source: Some(Ipv4Addr::LOCALHOST.into()),
            multihop: false,
            hops: 255,
        };
        let senders = [0, 1].map(|_| BfdSender::open(&path, u32::MAX).unwrap());
        let [one, other] = senders
            .each_ref()
            .map(|s| s.socket.local_addr().unwrap().as_socket().unwrap().port());
        assert_ne!(one, other);
    }

    #[test]
    fn a_source_that_is_not_here_yet_can_be_bound_and_not_sent_from() {
        let path = BfdPath {
            neighbor: Ipv4Addr::LOCALHOST.into(),
            source: Some(Ipv4Addr::new(192, 0, 2, 1).into()),
            multihop: true,
            hops: 255,
        };
        let sender = BfdSender::open(&path, 1).unwrap();
        assert!(sender.send(b"x").is_err());
    }
}
