//! `PING_CHECK`: an echo request is answered.
//!
//! keepalived opens ICMP sockets for everybody on the machine (net.ipv4.ping_group_range) to do this;
//! with CAP_NET_RAW, which the daemon has, a raw socket needs no such change.

use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use socket2::{Protocol, SockAddr, Socket, Type};
use tokio::net::UdpSocket;

use crate::config::model::ConnectOptions;
use crate::net::Family;
use crate::wire::echo::{is_reply, request};

use super::ProbeError;
use super::socket::prepare;

/// What the request carries: the reply must bring it back.
const DATA: &[u8] = b"vipd asks whether you are there..";

/// # Errors
/// No reply in time, or the network says that nobody is there.
pub(super) async fn ask(options: &ConnectOptions) -> Result<(), ProbeError> {
    // Every raw socket hears every reply: two numbers tell ours.
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let [a, b, c, d] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let (id, sequence) = (
        u16::from_be_bytes([a, b]) ^ own_id(),
        u16::from_be_bytes([c, d]),
    );
    let family = options.destination.family();
    let socket = open(options)?;
    let talk = async {
        let question = request(family, id, sequence, DATA);
        socket.send(&question).await.map_err(ProbeError::Connect)?;
        let mut packet = [0; 256];
        loop {
            let length = socket
                .recv(&mut packet)
                .await
                .map_err(ProbeError::Connect)?;
            let packet = packet.get(..length).unwrap_or_default();
            if is_reply(family, packet, id, sequence, DATA) {
                return Ok(());
            }
        }
    };
    match tokio::time::timeout(options.connect_timeout, talk).await {
        Ok(result) => result,
        Err(_) => Err(ProbeError::Timeout(options.connect_timeout)),
    }
}

/// Differs between the daemons of a machine.
fn own_id() -> u16 {
    u16::try_from(std::process::id() & 0xffff).unwrap_or(0)
}

/// A raw socket, connected so that only the server's packets come in. tokio waits for it as for any
/// other datagram socket.
fn open(options: &ConnectOptions) -> Result<UdpSocket, ProbeError> {
    let protocol = match options.destination.family() {
        Family::V4 => Protocol::ICMPV4,
        Family::V6 => Protocol::ICMPV6,
    };
    let socket = prepare(options, Type::RAW, protocol)?;
    let to = SockAddr::from(SocketAddr::new(options.destination.addr, 0));
    socket.connect(&to).map_err(ProbeError::Connect)?;
    discard(&socket);
    UdpSocket::from_std(socket.into())
        .map_err(ProbeError::prepare(|| "wait for the socket".to_owned()))
}

/// Takes out what came in before the socket was connected, from anybody.
fn discard(socket: &Socket) {
    let mut packet = [MaybeUninit::uninit(); 1];
    for _ in 0..1000 {
        if socket.recv(&mut packet).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::{local, run};
    use std::time::Duration;

    #[test]
    fn loopback_is_there() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let options = local(address.parse().unwrap(), Duration::from_secs(5));
            match run(ask(&options)) {
                Ok(()) => {}
                // Without CAP_NET_RAW the question cannot be asked, and without IPv6 not of ::1; that
                // must not count against the server.
                Err(error) => assert!(error.is_local(), "{address}: {error}"),
            }
        }
    }
}
