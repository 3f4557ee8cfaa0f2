//! Opening a TCP connection, which is all of `TCP_CHECK` and the start of most other checks.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::net::{TcpSocket, TcpStream};

use crate::config::model::ConnectOptions;
use crate::errno::Words;
use crate::net::{Family, InterfaceName};

/// Why a probe failed.
#[derive(Debug)]
pub enum ProbeError {
    /// The connection could not be attempted as configured; this says nothing about the server.
    Prepare {
        /// What was done, in words.
        operation: String,
        /// Why it failed.
        error: io::Error,
    },
    /// The attempt failed.
    Connect(io::Error),
    /// `connect_timeout` was over before there was an answer.
    Timeout(Duration),
}

impl ProbeError {
    /// Whether it failed for want of something on this node (descriptors, an address to bind to, a free
    /// port): the server was not asked.
    pub fn is_local(&self) -> bool {
        match self {
            ProbeError::Prepare { .. } => true,
            ProbeError::Connect(error) => matches!(
                error.raw_os_error(),
                Some(libc::EADDRNOTAVAIL | libc::EADDRINUSE | libc::EPERM)
            ),
            ProbeError::Timeout(_) => false,
        }
    }
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProbeError::Prepare { operation, error } => {
                write!(f, "{operation}: {}", Words(error))
            }
            ProbeError::Connect(error) => Words(error).fmt(f),
            ProbeError::Timeout(timeout) => write!(f, "no answer within {timeout:?}"),
        }
    }
}

impl std::error::Error for ProbeError {}

/// `TCP_CHECK`: opens a connection and closes it again.
///
/// # Errors
/// It was refused, nobody answered in time, or it could not be attempted.
pub async fn connect(options: &ConnectOptions) -> Result<(), ProbeError> {
    open(options).await.map(drop)
}

/// Opens a connection as configured, within `connect_timeout`.
///
/// # Errors
/// As [`connect`].
pub async fn open(options: &ConnectOptions) -> Result<TcpStream, ProbeError> {
    let socket = prepare(options)?;
    let connecting = socket.connect(SocketAddr::from(options.destination));
    match tokio::time::timeout(options.connect_timeout, connecting).await {
        Ok(connected) => connected.map_err(ProbeError::Connect),
        Err(_) => Err(ProbeError::Timeout(options.connect_timeout)),
    }
}

/// A socket with everything set that has to be set before connecting.
fn prepare(options: &ConnectOptions) -> Result<TcpSocket, ProbeError> {
    let (domain, any) = match options.destination.family() {
        Family::V4 => (Domain::IPV4, IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        Family::V6 => (Domain::IPV6, IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
    };
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))
        .map_err(failed(|| "open a socket".to_owned()))?;
    socket
        .set_nonblocking(true)
        .map_err(failed(|| "set O_NONBLOCK".to_owned()))?;
    if let Some(mark) = options.mark {
        socket
            .set_mark(mark.get())
            .map_err(failed(|| format!("set fwmark {mark}")))?;
    }
    if let Some(interface) = &options.bind_if {
        bind_to_interface(&socket, interface)?;
    }
    if options.bind_to.is_some() || options.bind_port != 0 {
        let from = SocketAddr::new(options.bind_to.unwrap_or(any), options.bind_port);
        bind(&socket, from)?;
    }
    Ok(TcpSocket::from_std_stream(socket.into()))
}

fn bind_to_interface(socket: &Socket, interface: &InterfaceName) -> Result<(), ProbeError> {
    socket
        .bind_device(Some(interface.as_str().as_bytes()))
        .map_err(failed(|| format!("bind to interface {interface}")))
}

fn bind(socket: &Socket, from: SocketAddr) -> Result<(), ProbeError> {
    // A port of our own choice may still be resting from the check before.
    if from.port() != 0 {
        socket
            .set_reuse_address(true)
            .map_err(failed(|| "set SO_REUSEADDR".to_owned()))?;
    }
    socket
        .bind(&SockAddr::from(from))
        .map_err(failed(|| match from.port() {
            0 => format!("bind to {}", from.ip()),
            _ => format!("bind to {from}"),
        }))
}

fn failed(operation: impl FnOnce() -> String) -> impl FnOnce(io::Error) -> ProbeError {
    |error| ProbeError::Prepare {
        operation: operation(),
        error,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;
    use crate::net::Endpoint;

    fn to(address: SocketAddr) -> ConnectOptions {
        ConnectOptions {
            destination: Endpoint::new(address.ip(), address.port()),
            bind_to: None,
            bind_port: 0,
            bind_if: None,
            mark: None,
            connect_timeout: Duration::from_secs(60),
        }
    }

    fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    fn probe(options: &ConnectOptions) -> Result<(), ProbeError> {
        tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .unwrap()
            .block_on(connect(options))
    }

    #[test]
    fn a_server_that_listens_is_well_and_gets_its_connection_closed() {
        let (listener, address) = listener();
        probe(&to(address)).unwrap();
        let (mut connection, _) = listener.accept().unwrap();
        assert_eq!(connection.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn a_port_that_nobody_listens_on_refuses() {
        let (listener, address) = listener();
        drop(listener);
        let error = probe(&to(address)).unwrap_err();
        assert_eq!(error.to_string(), "connection refused (ECONNREFUSED)");
        assert!(!error.is_local());
    }

    #[test]
    fn a_server_that_does_not_answer_fails_when_the_time_is_over() {
        // A listener whose queue is full answers no further connection.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        socket.bind(&any.into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap();
        let fillers: Vec<Socket> = (0..4)
            .map(|_| {
                let filler = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
                filler.set_nonblocking(true).unwrap();
                let _ = filler.connect(&address);
                filler
            })
            .collect();
        let mut options = to(address.as_socket().unwrap());
        options.connect_timeout = Duration::from_millis(50);
        let error = probe(&options).unwrap_err();
        assert_eq!(error.to_string(), "no answer within 50ms");
        drop(fillers);
    }

    #[test]
    fn the_source_is_the_configured_one() {
        let (listener, address) = listener();
        // A port that is free now; taken from the kernel, and given back.
        let free = TcpListener::bind("127.0.0.2:0").unwrap();
        let source = free.local_addr().unwrap();
        drop(free);
        let mut options = to(address);
        options.bind_to = Some(source.ip());
        probe(&options).unwrap();
        assert_eq!(listener.accept().unwrap().1.ip(), source.ip());
        options.bind_port = source.port();
        probe(&options).unwrap();
        let (connection, from) = listener.accept().unwrap();
        assert_eq!(from, source);
        drop(connection);
    }

    #[test]
    fn what_cannot_be_set_up_is_named_and_is_not_the_servers_fault() {
        let (_listener, address) = listener();
        let mut options = to(address);
        options.bind_to = Some(IpAddr::from([192, 0, 2, 77]));
        let error = probe(&options).unwrap_err();
        assert_eq!(
            error.to_string(),
            "bind to 192.0.2.77: cannot assign requested address (EADDRNOTAVAIL)"
        );
        assert!(error.is_local());
        options.bind_to = None;
        options.bind_if = Some("no-such-if".parse().unwrap());
        let error = probe(&options).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("bind to interface no-such-if: "),
            "{error}"
        );
    }
}
