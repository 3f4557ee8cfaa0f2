//! One datagram out, answers in.

use std::io;
use std::net::SocketAddr;

use socket2::{Protocol, SockAddr, Type};
use tokio::net::UdpSocket;

use crate::config::model::ConnectOptions;

use super::ProbeError;
use super::socket::prepare;

/// A connected socket: only the server's answers, and the network's refusals, come in.
pub(super) fn connected(options: &ConnectOptions) -> Result<UdpSocket, ProbeError> {
    let socket = prepare(options, Type::DGRAM, Protocol::UDP)?;
    let to = SockAddr::from(SocketAddr::from(options.destination));
    socket.connect(&to).map_err(ProbeError::Connect)?;
    UdpSocket::from_std(socket.into())
        .map_err(ProbeError::prepare(|| "wait for the socket".to_owned()))
}

/// Sends `question` and hands answers to `accept` until it says yes or no, or the time is over. `None`:
/// nothing came that `accept` wanted.
pub(super) async fn exchange(
    options: &ConnectOptions,
    question: &[u8],
    answer: &mut [u8],
    accept: impl Fn(&[u8]) -> Option<Result<(), String>>,
) -> Result<Option<()>, ProbeError> {
    let socket = connected(options)?;
    let talk = async {
        socket.send(question).await.map_err(ProbeError::Connect)?;
        loop {
            let length = match socket.recv(answer).await {
                Ok(length) => length,
                // A datagram that is longer is cut, and is no error.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(ProbeError::Connect(error)),
            };
            match accept(answer.get(..length).unwrap_or_default()) {
                Some(Ok(())) => return Ok(()),
                Some(Err(why)) => return Err(ProbeError::Answer(why)),
                None => {}
            }
        }
    };
    match tokio::time::timeout(options.connect_timeout, talk).await {
        Ok(Ok(())) => Ok(Some(())),
        Ok(Err(error)) => Err(error),
        Err(_) => Ok(None),
    }
}
