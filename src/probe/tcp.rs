//! Opening a TCP connection, with which most checks begin.

use std::net::SocketAddr;

use socket2::{Protocol, Type};
use tokio::net::{TcpSocket, TcpStream};

use crate::config::model::ConnectOptions;

use super::ProbeError;
use super::socket::prepare;

/// Opens a connection as configured, within `connect_timeout`.
///
/// # Errors
/// It was refused, nobody answered in time, or it could not be attempted.
pub(super) async fn open(options: &ConnectOptions) -> Result<TcpStream, ProbeError> {
    let socket = prepare(options, Type::STREAM, Protocol::TCP)?;
    let socket = TcpSocket::from_std_stream(socket.into());
    let connecting = socket.connect(SocketAddr::from(options.destination));
    match tokio::time::timeout(options.connect_timeout, connecting).await {
        Ok(connected) => connected.map_err(ProbeError::Connect),
        Err(_) => Err(ProbeError::Timeout(options.connect_timeout)),
    }
}
