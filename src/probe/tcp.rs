//! Opening a TCP connection, which is all of `TCP_CHECK` and the start of most other checks.

use std::net::SocketAddr;

use socket2::{Protocol, Type};
use tokio::net::{TcpSocket, TcpStream};

use crate::config::model::ConnectOptions;

use super::ProbeError;
use super::socket::prepare;

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
    let socket = prepare(options, Type::STREAM, Protocol::TCP)?;
    let socket = TcpSocket::from_std_stream(socket.into());
    let connecting = socket.connect(SocketAddr::from(options.destination));
    match tokio::time::timeout(options.connect_timeout, connecting).await {
        Ok(connected) => connected.map_err(ProbeError::Connect),
        Err(_) => Err(ProbeError::Timeout(options.connect_timeout)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{IpAddr, TcpListener};
    use std::time::Duration;

    use socket2::{Domain, Socket};

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
