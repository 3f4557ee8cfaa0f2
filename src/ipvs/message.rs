//! The generic netlink messages of IPVS: [`Command`]s and questions as bytes.
//!
//! Names, numbers and sizes are those of include/uapi/linux/ip_vs.h; neli's types make the bytes.
//! What comes back is read by [`super::decode`].

use std::fmt;
use std::net::IpAddr;

use neli::consts::genl::{Cmd, NlAttrType};
use neli::genl::{AttrTypeBuilder, Genlmsghdr, GenlmsghdrBuilder, Nlattr, NlattrBuilder};
use neli::types::{Buffer, GenlBuffer};
use neli::{Size, ToBytes};

use crate::net::{Family, ForwardingMethod};

use super::number::{
    CommandAttribute, DaemonAttribute, DestinationAttribute, Number, ServiceAttribute, flag,
};
use super::{
    Command, DestinationKey, DestinationSpec, Persistence, ServiceKey, ServiceSpec, SyncDaemon,
    SyncRole, Timeouts, TunnelKind,
};

/// Name of the generic netlink family (IPVS_GENL_NAME).
pub const FAMILY: &str = "IPVS";

/// Version of the family that these messages speak (IPVS_GENL_VERSION).
pub const VERSION: u8 = 1;

/// Payload of one message of the family.
pub type Message = Genlmsghdr<Number, CommandAttribute>;

/// What can be asked. All but [`Query::Info`] are dumps (NLM_F_DUMP).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Query {
    /// IPVS_CMD_GET_INFO: version and size of the connection table.
    Info,
    /// IPVS_CMD_GET_SERVICE: all services.
    Services,
    /// IPVS_CMD_GET_DEST: the destinations of one service.
    Destinations(ServiceKey),
    /// IPVS_CMD_GET_DAEMON: the sync daemons that run.
    Daemons,
    /// How long connections are remembered.
    Timeouts,
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Query::Info => f.write_str("ask for the version of IPVS"),
            Query::Services => f.write_str("list services"),
            Query::Destinations(service) => write!(f, "list destinations of {service}"),
            Query::Daemons => f.write_str("list sync daemons"),
            Query::Timeouts => f.write_str("ask for the timeouts of connections"),
        }
    }
}

/// Why a command has no message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// The kernel takes names of at most `max` bytes.
    NameTooLong {
        /// What the name is of.
        what: &'static str,
        /// The name.
        name: String,
        /// The kernel's limit.
        max: usize,
    },
    /// neli could not write it.
    Netlink(String),
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EncodeError::NameTooLong { what, name, max } => {
                write!(f, "{what} {name:?} is longer than {max} bytes")
            }
            EncodeError::Netlink(why) => write!(f, "cannot write the message: {why}"),
        }
    }
}

impl std::error::Error for EncodeError {}

/// The message that carries `command` out.
///
/// # Errors
/// A persistence engine or interface whose name the kernel could not hold.
pub fn encode(command: &Command) -> Result<Message, EncodeError> {
    let (number, attributes) = match command {
        Command::NewService(key, spec) => (Number::NewService, vec![service(*key, Some(spec))?]),
        Command::SetService(key, spec) => (Number::SetService, vec![service(*key, Some(spec))?]),
        Command::DelService(key) => (Number::DelService, vec![service(*key, None)?]),
        Command::NewDestination(key, at, spec) => (
            Number::NewDest,
            vec![service(*key, None)?, destination(*at, Some(spec))?],
        ),
        Command::SetDestination(key, at, spec) => (
            Number::SetDest,
            vec![service(*key, None)?, destination(*at, Some(spec))?],
        ),
        Command::DelDestination(key, at) => (
            Number::DelDest,
            vec![service(*key, None)?, destination(*at, None)?],
        ),
        Command::NewDaemon(role, spec) => (Number::NewDaemon, vec![daemon(*role, Some(spec))?]),
        Command::DelDaemon(role) => (Number::DelDaemon, vec![daemon(*role, None)?]),
        Command::SetTimeouts(timeouts) => (Number::SetConfig, timeout_attributes(timeouts)?),
    };
    message(number, attributes)
}

/// The message that asks `query`.
///
/// # Errors
/// Only neli's own, which cannot happen with what is written here.
pub fn ask(query: Query) -> Result<Message, EncodeError> {
    match query {
        Query::Info => message(Number::GetInfo, Vec::new()),
        Query::Services => message(Number::GetService, Vec::new()),
        Query::Destinations(key) => message(Number::GetDest, vec![service(key, None)?]),
        Query::Daemons => message(Number::GetDaemon, Vec::new()),
        Query::Timeouts => message(Number::GetConfig, Vec::new()),
    }
}

type Attr<T> = Nlattr<T, Buffer>;

fn message(
    number: Number,
    attributes: Vec<Attr<CommandAttribute>>,
) -> Result<Message, EncodeError> {
    GenlmsghdrBuilder::default()
        .cmd(number)
        .version(VERSION)
        .attrs(attributes.into_iter().collect())
        .build()
        .map_err(|e| EncodeError::Netlink(e.to_string()))
}

fn attribute<T, P>(kind: T, payload: P) -> Result<Attr<T>, EncodeError>
where
    T: NlAttrType,
    P: Size + ToBytes,
{
    let kind = AttrTypeBuilder::default()
        .nla_type(kind)
        .build()
        .map_err(|e| EncodeError::Netlink(e.to_string()))?;
    NlattrBuilder::default()
        .nla_type(kind)
        .nla_payload(payload)
        .build()
        .map_err(|e| EncodeError::Netlink(e.to_string()))
}

fn nest<T: NlAttrType>(
    kind: CommandAttribute,
    inner: Vec<Attr<T>>,
) -> Result<Attr<CommandAttribute>, EncodeError> {
    let inner: GenlBuffer<T, Buffer> = inner.into_iter().collect();
    let kind = AttrTypeBuilder::default()
        .nla_nested(true)
        .nla_type(kind)
        .build()
        .map_err(|e| EncodeError::Netlink(e.to_string()))?;
    NlattrBuilder::default()
        .nla_type(kind)
        .nla_payload(inner)
        .build()
        .map_err(|e| EncodeError::Netlink(e.to_string()))
}

/// IPVS_CMD_ATTR_SERVICE; without a specification it only names the service.
fn service(
    key: ServiceKey,
    spec: Option<&ServiceSpec>,
) -> Result<Attr<CommandAttribute>, EncodeError> {
    use ServiceAttribute as A;
    let mut inner = vec![attribute(A::Af, family_number(key.family()))?];
    match key {
        ServiceKey::Endpoint { protocol, endpoint } => {
            inner.push(attribute(A::Protocol, u16::from(protocol.number()))?);
            inner.push(attribute(A::Addr, address_bytes(endpoint.addr))?);
            inner.push(attribute(A::Port, endpoint.port.to_be_bytes())?);
        }
        ServiceKey::FwMark { mark, .. } => inner.push(attribute(A::Fwmark, mark.get())?),
    }
    if let Some(spec) = spec {
        let persistence = spec.persistence.as_ref();
        let timeout = persistence.map_or(0, |p| p.timeout.as_secs());
        let timeout = u32::try_from(timeout).unwrap_or(u32::MAX);
        inner.push(attribute(A::SchedName, spec.scheduler.as_str())?);
        inner.push(attribute(A::Flags, flag_bytes(spec))?);
        inner.push(attribute(A::Timeout, timeout)?);
        inner.push(attribute(A::Netmask, netmask(key.family(), persistence))?);
        if let Some(engine) = persistence.and_then(|p| p.engine.as_deref()) {
            checked("persistence engine", engine, 15)?;
            inner.push(attribute(A::PeName, engine)?);
        }
    }
    nest(CommandAttribute::Service, inner)
}

/// IPVS_CMD_ATTR_DEST; without a specification it only names the destination.
fn destination(
    key: DestinationKey,
    spec: Option<&DestinationSpec>,
) -> Result<Attr<CommandAttribute>, EncodeError> {
    use DestinationAttribute as A;
    let DestinationKey(endpoint) = key;
    let mut inner = vec![
        attribute(A::Addr, address_bytes(endpoint.addr))?,
        attribute(A::Port, endpoint.port.to_be_bytes())?,
        attribute(A::AddrFamily, family_number(endpoint.family()))?,
    ];
    if let Some(spec) = spec {
        inner.push(attribute(A::FwdMethod, forwarding_number(spec.forwarding))?);
        inner.push(attribute(A::Weight, spec.weight)?);
        inner.push(attribute(A::UThresh, spec.upper_threshold)?);
        inner.push(attribute(A::LThresh, spec.lower_threshold)?);
        if spec.forwarding == ForwardingMethod::Tunnel {
            let (kind, port, flags) = match spec.tunnel {
                TunnelKind::Ipip => (flag::TUNNEL_IPIP, 0, 0),
                TunnelKind::Gue { port, checksum } => (flag::TUNNEL_GUE, port, checksum.number()),
                TunnelKind::Gre { checksum } => (flag::TUNNEL_GRE, 0, checksum.number()),
            };
            inner.push(attribute(A::TunType, kind)?);
            inner.push(attribute(A::TunPort, port.to_be_bytes())?);
            inner.push(attribute(A::TunFlags, flags)?);
        }
    }
    nest(CommandAttribute::Dest, inner)
}

/// IPVS_CMD_ATTR_TIMEOUT_*, seconds; the kernel leaves what is not sent as it is.
fn timeout_attributes(timeouts: &Timeouts) -> Result<Vec<Attr<CommandAttribute>>, EncodeError> {
    use CommandAttribute as A;
    let all = [
        (A::TimeoutTcp, timeouts.tcp),
        (A::TimeoutTcpFin, timeouts.tcp_fin),
        (A::TimeoutUdp, timeouts.udp),
    ];
    let given = all
        .into_iter()
        .filter_map(|(kind, time)| Some((kind, time?)));
    given
        .map(|(kind, time)| {
            let seconds = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
            attribute(kind, seconds)
        })
        .collect()
}

/// IPVS_CMD_ATTR_DAEMON. What is not given is not sent, and so the kernel's own.
fn daemon(
    role: SyncRole,
    spec: Option<&SyncDaemon>,
) -> Result<Attr<CommandAttribute>, EncodeError> {
    use DaemonAttribute as A;
    let state = match role {
        SyncRole::Master => flag::STATE_MASTER,
        SyncRole::Backup => flag::STATE_BACKUP,
    };
    let mut inner = vec![attribute(A::State, state)?];
    if let Some(spec) = spec {
        checked("interface", spec.interface.as_str(), 15)?;
        inner.push(attribute(A::McastIfn, spec.interface.as_str())?);
        inner.push(attribute(A::SyncId, u32::from(spec.sync_id))?);
        let packets = spec.packets;
        if let Some(max_len) = packets.max_len {
            inner.push(attribute(A::SyncMaxLen, max_len)?);
        }
        match packets.group {
            None => {}
            Some(IpAddr::V4(group)) => inner.push(attribute(A::McastGroup, group.octets())?),
            Some(IpAddr::V6(group)) => inner.push(attribute(A::McastGroup6, group.octets())?),
        }
        if let Some(port) = packets.port {
            inner.push(attribute(A::McastPort, port)?);
        }
        if let Some(ttl) = packets.ttl {
            inner.push(attribute(A::McastTtl, ttl)?);
        }
    }
    nest(CommandAttribute::Daemon, inner)
}

fn checked(what: &'static str, name: &str, max: usize) -> Result<(), EncodeError> {
    if name.len() <= max {
        return Ok(());
    }
    let name = name.to_owned();
    Err(EncodeError::NameTooLong { what, name, max })
}

/// `struct ip_vs_flags`. The mask is all ones: what is not set is to be cleared.
fn flag_bytes(spec: &ServiceSpec) -> [u8; 8] {
    let set = |on: bool, bit: u32| if on { bit } else { 0 };
    let flags = set(spec.persistence.is_some(), flag::PERSISTENT)
        | set(spec.flags.one_packet, flag::ONE_PACKET)
        | set(spec.flags.sched_1, flag::SCHED_1)
        | set(spec.flags.sched_2, flag::SCHED_2)
        | set(spec.flags.sched_3, flag::SCHED_3);
    let [a, b, c, d] = flags.to_ne_bytes();
    [a, b, c, d, 0xff, 0xff, 0xff, 0xff]
}

/// IPv4: the mask, network byte order. IPv6: the length of the prefix, which the kernel wants to be 1
/// to 128 even where nothing persists.
fn netmask(family: Family, persistence: Option<&Persistence>) -> [u8; 4] {
    let bits = family.bits();
    let prefix = persistence.map_or(bits, |p| p.granularity.min(bits));
    match family {
        Family::V4 => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            mask.to_be_bytes()
        }
        Family::V6 => u32::from(prefix).to_ne_bytes(),
    }
}

fn family_number(family: Family) -> u16 {
    match family {
        Family::V4 => flag::AF_INET,
        Family::V6 => flag::AF_INET6,
    }
}

/// `union nf_inet_addr`: 16 bytes, an IPv4 address in the first four.
fn address_bytes(addr: IpAddr) -> [u8; 16] {
    match addr {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(v6) => v6.octets(),
    }
}

fn forwarding_number(method: ForwardingMethod) -> u32 {
    match method {
        ForwardingMethod::Masquerading => flag::FORWARD_MASQUERADING,
        ForwardingMethod::Local => flag::FORWARD_LOCAL,
        ForwardingMethod::Tunnel => flag::FORWARD_TUNNEL,
        ForwardingMethod::DirectRoute => flag::FORWARD_DIRECT_ROUTE,
    }
}

impl Cmd for Number {}
impl NlAttrType for CommandAttribute {}
impl NlAttrType for ServiceAttribute {}
impl NlAttrType for DestinationAttribute {}
impl NlAttrType for DaemonAttribute {}

#[cfg(test)]
mod tests;
