//! Sockets as `bindto`, `bind_port`, `bind_if` and `fwmark` want them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::config::model::ConnectOptions;
use crate::net::{Family, InterfaceName};

use super::ProbeError;

/// A non-blocking socket with everything set that has to be set before connecting.
pub(super) fn prepare(
    options: &ConnectOptions,
    kind: Type,
    protocol: Protocol,
) -> Result<Socket, ProbeError> {
    let (domain, any) = match options.destination.family() {
        Family::V4 => (Domain::IPV4, IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        Family::V6 => (Domain::IPV6, IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
    };
    let failed = ProbeError::prepare;
    let socket = Socket::new(domain, kind.nonblocking(), Some(protocol))
        .map_err(failed(|| "open a socket".to_owned()))?;
    if let Some(mark) = options.mark {
        socket
            .set_mark(mark.get())
            .map_err(ProbeError::prepare(|| format!("set fwmark {mark}")))?;
    }
    if let Some(interface) = &options.bind_if {
        bind_to_interface(&socket, interface)?;
    }
    if options.bind_to.is_some() || options.bind_port != 0 {
        let from = SocketAddr::new(options.bind_to.unwrap_or(any), options.bind_port);
        bind(&socket, from)?;
    }
    Ok(socket)
}

fn bind_to_interface(socket: &Socket, interface: &InterfaceName) -> Result<(), ProbeError> {
    socket
        .bind_device(Some(interface.as_str().as_bytes()))
        .map_err(ProbeError::prepare(|| {
            format!("bind to interface {interface}")
        }))
}

fn bind(socket: &Socket, from: SocketAddr) -> Result<(), ProbeError> {
    // A port of our own choice may still be resting from the check before.
    if from.port() != 0 {
        socket
            .set_reuse_address(true)
            .map_err(ProbeError::prepare(|| "set SO_REUSEADDR".to_owned()))?;
    }
    socket
        .bind(&SockAddr::from(from))
        .map_err(ProbeError::prepare(|| match from.port() {
            0 => format!("bind to {}", from.ip()),
            _ => format!("bind to {from}"),
        }))
}
