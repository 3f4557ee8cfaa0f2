//! What the kernel answers, read into types.
//!
//! Any bytes are fine: what cannot be read is an error that says which attribute, and attributes
//! that later kernels may add are passed over.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::net::{Endpoint, Family, ForwardingMethod, FwMark, Protocol};

use super::attribute::{Attribute, Attributes};
use super::number::{
    CommandAttribute, DaemonAttribute, DestinationAttribute, InfoAttribute, ServiceAttribute,
    StatsAttribute, flag,
};
use super::{
    Destination, DestinationKey, DestinationSpec, DestinationStats, ObservedService, Persistence,
    ServiceFlags, ServiceKey, ServiceSpec, ServiceStats, SyncDaemon, SyncPackets, SyncRole,
    Timeouts, TunnelChecksum, TunnelKind,
};

/// Why an answer is not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The attribute is not there.
    Missing(&'static str),
    /// The attribute is there and says nothing that is known.
    Value(&'static str),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::Missing(what) => write!(f, "the kernel's answer has no {what}"),
            DecodeError::Value(what) => write!(f, "the kernel's answer has an unknown {what}"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// What the kernel says of itself (IPVS_CMD_GET_INFO).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Major, minor and patch level.
    pub version: (u8, u8, u8),
    /// Buckets of the connection table.
    pub connection_table_size: u32,
}

/// The version, from the payload of an IPVS_CMD_SET_INFO message.
///
/// # Errors
/// An attribute is missing or has another size.
pub fn decode_info(payload: &[u8]) -> Result<Info, DecodeError> {
    let (mut version, mut size) = (None, None);
    for attribute in attributes(payload) {
        match InfoAttribute::from(attribute.kind) {
            InfoAttribute::Version => version = Some(attribute),
            InfoAttribute::ConnTabSize => size = Some(attribute),
            InfoAttribute::UnrecognizedConst(_) => {}
        }
    }
    let [_, major, minor, patch] = u32_of(version, "version")?.to_be_bytes();
    Ok(Info {
        version: (major, minor, patch),
        connection_table_size: u32_of(size, "size of the connection table")?,
    })
}

/// A service, from the payload of an IPVS_CMD_NEW_SERVICE message.
///
/// # Errors
/// An attribute is missing, or has a value that this version does not know.
pub fn decode_service(payload: &[u8]) -> Result<ObservedService, DecodeError> {
    let service =
        inner(payload, CommandAttribute::Service).ok_or(DecodeError::Missing("service"))?;
    let mut seen = ServiceAttributes::default();
    for attribute in service {
        let slot = match ServiceAttribute::from(attribute.kind) {
            ServiceAttribute::Af => &mut seen.family,
            ServiceAttribute::Protocol => &mut seen.protocol,
            ServiceAttribute::Addr => &mut seen.addr,
            ServiceAttribute::Port => &mut seen.port,
            ServiceAttribute::Fwmark => &mut seen.mark,
            ServiceAttribute::SchedName => &mut seen.scheduler,
            ServiceAttribute::Flags => &mut seen.flags,
            ServiceAttribute::Timeout => &mut seen.timeout,
            ServiceAttribute::Netmask => &mut seen.netmask,
            ServiceAttribute::Stats => &mut seen.stats,
            ServiceAttribute::PeName => &mut seen.engine,
            ServiceAttribute::Stats64 => &mut seen.stats64,
            ServiceAttribute::UnrecognizedConst(_) => continue,
        };
        *slot = Some(attribute);
    }
    let family = family_of(seen.family, "address family")?;
    Ok(ObservedService {
        key: seen.key(family)?,
        spec: seen.spec(family)?,
        stats: stats_of(seen.stats64, seen.stats),
    })
}

/// A destination, from the payload of an IPVS_CMD_NEW_DEST message. `service` is the family of the
/// service that was asked for: kernels before 3.18 do not say the destination's own.
///
/// # Errors
/// An attribute is missing, or has a value that this version does not know.
pub fn decode_destination(payload: &[u8], service: Family) -> Result<Destination, DecodeError> {
    let dest = inner(payload, CommandAttribute::Dest).ok_or(DecodeError::Missing("destination"))?;
    let mut seen = DestinationAttributes::default();
    for attribute in dest {
        let slot = match DestinationAttribute::from(attribute.kind) {
            DestinationAttribute::Addr => &mut seen.addr,
            DestinationAttribute::Port => &mut seen.port,
            DestinationAttribute::FwdMethod => &mut seen.method,
            DestinationAttribute::Weight => &mut seen.weight,
            DestinationAttribute::UThresh => &mut seen.upper,
            DestinationAttribute::LThresh => &mut seen.lower,
            DestinationAttribute::ActiveConns => &mut seen.active,
            DestinationAttribute::InactConns => &mut seen.inactive,
            DestinationAttribute::PersistConns => &mut seen.persistent,
            DestinationAttribute::Stats => &mut seen.stats,
            DestinationAttribute::AddrFamily => &mut seen.family,
            DestinationAttribute::Stats64 => &mut seen.stats64,
            DestinationAttribute::TunType => &mut seen.tunnel_type,
            DestinationAttribute::TunPort => &mut seen.tunnel_port,
            DestinationAttribute::TunFlags => &mut seen.tunnel_flags,
            DestinationAttribute::UnrecognizedConst(_) => continue,
        };
        *slot = Some(attribute);
    }
    let family = match seen.family {
        None => service,
        some => family_of(some, "address family of the destination")?,
    };
    let addr = address_of(seen.addr, family, "address of the destination")?;
    let port = port_of(seen.port, "port of the destination")?;
    Ok(Destination {
        key: DestinationKey(Endpoint::new(addr, port)),
        spec: seen.spec()?,
        stats: DestinationStats {
            active_connections: seen.active.and_then(Attribute::u32).unwrap_or(0),
            inactive_connections: seen.inactive.and_then(Attribute::u32).unwrap_or(0),
            persistent_connections: seen.persistent.and_then(Attribute::u32).unwrap_or(0),
            traffic: stats_of(seen.stats64, seen.stats),
        },
    })
}

/// A sync daemon, from the payload of an IPVS_CMD_NEW_DAEMON message.
///
/// # Errors
/// An attribute is missing, or has a value that this version does not know.
pub fn decode_daemon(payload: &[u8]) -> Result<(SyncRole, SyncDaemon), DecodeError> {
    let daemon = inner(payload, CommandAttribute::Daemon).ok_or(DecodeError::Missing("daemon"))?;
    let (mut state, mut interface, mut id) = (None, None, None);
    let mut packets = SyncPackets::default();
    for attribute in daemon {
        match DaemonAttribute::from(attribute.kind) {
            DaemonAttribute::State => state = Some(attribute),
            DaemonAttribute::McastIfn => interface = Some(attribute),
            DaemonAttribute::SyncId => id = Some(attribute),
            DaemonAttribute::SyncMaxLen => packets.max_len = attribute.u16(),
            DaemonAttribute::McastGroup => packets.group = attribute.bytes::<4>().map(IpAddr::from),
            DaemonAttribute::McastGroup6 => {
                packets.group = attribute.bytes::<16>().map(IpAddr::from);
            }
            DaemonAttribute::McastPort => packets.port = attribute.u16(),
            DaemonAttribute::McastTtl => packets.ttl = attribute.u8(),
            DaemonAttribute::UnrecognizedConst(_) => {}
        }
    }
    let role = match u32_of(state, "state of the sync daemon")? {
        flag::STATE_MASTER => SyncRole::Master,
        flag::STATE_BACKUP => SyncRole::Backup,
        _ => return Err(DecodeError::Value("state of the sync daemon")),
    };
    let interface = text_of(interface, "interface of the sync daemon")?
        .parse()
        .map_err(|_| DecodeError::Value("interface of the sync daemon"))?;
    let sync_id = u8::try_from(u32_of(id, "number of the sync daemon")?)
        .map_err(|_| DecodeError::Value("number of the sync daemon"))?;
    let daemon = SyncDaemon {
        interface,
        sync_id,
        packets,
    };
    Ok((role, daemon))
}

/// The timeouts, from the payload of an IPVS_CMD_SET_CONFIG message. One that the kernel does not tell
/// (it has no such protocol) is absent.
pub fn decode_timeouts(payload: &[u8]) -> Timeouts {
    let mut timeouts = Timeouts::default();
    for attribute in attributes(payload) {
        let slot = match CommandAttribute::from(attribute.kind) {
            CommandAttribute::TimeoutTcp => &mut timeouts.tcp,
            CommandAttribute::TimeoutTcpFin => &mut timeouts.tcp_fin,
            CommandAttribute::TimeoutUdp => &mut timeouts.udp,
            _ => continue,
        };
        let seconds = attribute.u32().map(u64::from);
        *slot = seconds.map(Duration::from_secs);
    }
    timeouts
}

/// Where the attributes of a service are.
#[derive(Default)]
struct ServiceAttributes<'a> {
    family: Option<Attribute<'a>>,
    protocol: Option<Attribute<'a>>,
    addr: Option<Attribute<'a>>,
    port: Option<Attribute<'a>>,
    mark: Option<Attribute<'a>>,
    scheduler: Option<Attribute<'a>>,
    flags: Option<Attribute<'a>>,
    timeout: Option<Attribute<'a>>,
    netmask: Option<Attribute<'a>>,
    engine: Option<Attribute<'a>>,
    stats: Option<Attribute<'a>>,
    stats64: Option<Attribute<'a>>,
}

impl ServiceAttributes<'_> {
    fn key(&self, family: Family) -> Result<ServiceKey, DecodeError> {
        if let Some(mark) = self.mark {
            let mark = mark.u32().and_then(FwMark::new);
            let mark = mark.ok_or(DecodeError::Value("firewall mark"))?;
            return Ok(ServiceKey::FwMark { family, mark });
        }
        let protocol = self.protocol.ok_or(DecodeError::Missing("protocol"))?;
        let protocol = protocol
            .u16()
            .and_then(|n| u8::try_from(n).ok())
            .and_then(Protocol::from_number)
            .ok_or(DecodeError::Value("protocol"))?;
        let addr = address_of(self.addr, family, "address of the service")?;
        let port = port_of(self.port, "port of the service")?;
        Ok(ServiceKey::Endpoint {
            protocol,
            endpoint: Endpoint::new(addr, port),
        })
    }

    fn spec(&self, family: Family) -> Result<ServiceSpec, DecodeError> {
        let scheduler = text_of(self.scheduler, "scheduler")?
            .parse()
            .map_err(|()| DecodeError::Value("scheduler"))?;
        let flags = self.flags.ok_or(DecodeError::Missing("flags"))?;
        let (flags, _mask) = flags
            .value
            .split_first_chunk::<4>()
            .ok_or(DecodeError::Value("flags"))?;
        let flags = u32::from_ne_bytes(*flags);
        let set = |bit: u32| flags & bit != 0;
        let persistence = if set(flag::PERSISTENT) {
            Some(self.persistence(family)?)
        } else {
            None
        };
        Ok(ServiceSpec {
            scheduler,
            flags: ServiceFlags {
                one_packet: set(flag::ONE_PACKET),
                sched_1: set(flag::SCHED_1),
                sched_2: set(flag::SCHED_2),
                sched_3: set(flag::SCHED_3),
            },
            persistence,
        })
    }

    fn persistence(&self, family: Family) -> Result<Persistence, DecodeError> {
        let timeout = u32_of(self.timeout, "timeout of persistence")?;
        let netmask = self.netmask.ok_or(DecodeError::Missing("netmask"))?;
        let netmask = netmask.bytes().ok_or(DecodeError::Value("netmask"))?;
        let granularity = match family {
            Family::V4 => u8::try_from(u32::from_be_bytes(netmask).leading_ones()).ok(),
            Family::V6 => u8::try_from(u32::from_ne_bytes(netmask)).ok(),
        };
        let granularity = granularity
            .filter(|g| *g <= family.bits())
            .ok_or(DecodeError::Value("netmask"))?;
        let engine = match self.engine {
            None => None,
            some => Some(text_of(some, "persistence engine")?.to_owned()),
        };
        Ok(Persistence {
            timeout: Duration::from_secs(u64::from(timeout)),
            granularity,
            engine,
        })
    }
}

/// Where the attributes of a destination are.
#[derive(Default)]
struct DestinationAttributes<'a> {
    addr: Option<Attribute<'a>>,
    port: Option<Attribute<'a>>,
    family: Option<Attribute<'a>>,
    method: Option<Attribute<'a>>,
    weight: Option<Attribute<'a>>,
    upper: Option<Attribute<'a>>,
    lower: Option<Attribute<'a>>,
    active: Option<Attribute<'a>>,
    inactive: Option<Attribute<'a>>,
    persistent: Option<Attribute<'a>>,
    stats: Option<Attribute<'a>>,
    stats64: Option<Attribute<'a>>,
    tunnel_type: Option<Attribute<'a>>,
    tunnel_port: Option<Attribute<'a>>,
    tunnel_flags: Option<Attribute<'a>>,
}

impl DestinationAttributes<'_> {
    fn spec(&self) -> Result<DestinationSpec, DecodeError> {
        let forwarding = match u32_of(self.method, "forwarding method")? {
            flag::FORWARD_MASQUERADING => ForwardingMethod::Masquerading,
            flag::FORWARD_LOCAL => ForwardingMethod::Local,
            flag::FORWARD_TUNNEL => ForwardingMethod::Tunnel,
            flag::FORWARD_DIRECT_ROUTE => ForwardingMethod::DirectRoute,
            _ => return Err(DecodeError::Value("forwarding method")),
        };
        Ok(DestinationSpec {
            forwarding,
            weight: u32_of(self.weight, "weight")?,
            upper_threshold: u32_of(self.upper, "upper threshold")?,
            lower_threshold: u32_of(self.lower, "lower threshold")?,
            tunnel: self.tunnel(forwarding)?,
        })
    }

    /// The kernel keeps a kind for everything; it means something for tunnels only.
    fn tunnel(&self, forwarding: ForwardingMethod) -> Result<TunnelKind, DecodeError> {
        let Some(kind) = self.tunnel_type else {
            return Ok(TunnelKind::Ipip);
        };
        if forwarding != ForwardingMethod::Tunnel {
            return Ok(TunnelKind::Ipip);
        }
        let flags = self.tunnel_flags.and_then(Attribute::u16).unwrap_or(0);
        let checksum = TunnelChecksum::from_number(flags);
        let checksum = checksum.ok_or(DecodeError::Value("checksum of the tunnel"))?;
        match kind.u8() {
            Some(flag::TUNNEL_IPIP) => Ok(TunnelKind::Ipip),
            Some(flag::TUNNEL_GUE) => Ok(TunnelKind::Gue {
                port: port_of(self.tunnel_port, "port of the tunnel")?,
                checksum,
            }),
            Some(flag::TUNNEL_GRE) => Ok(TunnelKind::Gre { checksum }),
            _ => Err(DecodeError::Value("kind of tunnel")),
        }
    }
}

/// Behind the 4 bytes of `struct genlmsghdr`.
fn attributes(payload: &[u8]) -> Attributes<'_> {
    Attributes::new(payload.get(4..).unwrap_or(&[]))
}

fn inner(payload: &[u8], kind: CommandAttribute) -> Option<Attributes<'_>> {
    attributes(payload)
        .find(|a| CommandAttribute::from(a.kind) == kind)
        .map(Attribute::nested)
}

fn u32_of(attribute: Option<Attribute<'_>>, what: &'static str) -> Result<u32, DecodeError> {
    let attribute = attribute.ok_or(DecodeError::Missing(what))?;
    attribute.u32().ok_or(DecodeError::Value(what))
}

fn text_of<'a>(
    attribute: Option<Attribute<'a>>,
    what: &'static str,
) -> Result<&'a str, DecodeError> {
    let attribute = attribute.ok_or(DecodeError::Missing(what))?;
    attribute.text().ok_or(DecodeError::Value(what))
}

fn port_of(attribute: Option<Attribute<'_>>, what: &'static str) -> Result<u16, DecodeError> {
    let attribute = attribute.ok_or(DecodeError::Missing(what))?;
    attribute.be16().ok_or(DecodeError::Value(what))
}

fn family_of(attribute: Option<Attribute<'_>>, what: &'static str) -> Result<Family, DecodeError> {
    match attribute.ok_or(DecodeError::Missing(what))?.u16() {
        Some(flag::AF_INET) => Ok(Family::V4),
        Some(flag::AF_INET6) => Ok(Family::V6),
        _ => Err(DecodeError::Value(what)),
    }
}

/// `union nf_inet_addr`: 16 bytes, an IPv4 address in the first four.
fn address_of(
    attribute: Option<Attribute<'_>>,
    family: Family,
    what: &'static str,
) -> Result<IpAddr, DecodeError> {
    let bytes = attribute.ok_or(DecodeError::Missing(what))?.value;
    let addr = match family {
        Family::V4 => bytes.first_chunk::<4>().map(|b| IpAddr::from(*b)),
        Family::V6 => bytes.first_chunk::<16>().map(|b| IpAddr::from(*b)),
    };
    addr.ok_or(DecodeError::Value(what))
}

/// The 64-bit counters, else (before Linux 4.1) the 32-bit ones. A counter that is not there is 0.
fn stats_of(stats64: Option<Attribute<'_>>, stats: Option<Attribute<'_>>) -> ServiceStats {
    let mut counters = ServiceStats::default();
    let Some(stats) = stats64.or(stats) else {
        return counters;
    };
    for attribute in stats.nested() {
        let slot = match StatsAttribute::from(attribute.kind) {
            StatsAttribute::Conns => &mut counters.connections,
            StatsAttribute::Inpkts => &mut counters.packets_in,
            StatsAttribute::Outpkts => &mut counters.packets_out,
            StatsAttribute::Inbytes => &mut counters.bytes_in,
            StatsAttribute::Outbytes => &mut counters.bytes_out,
            StatsAttribute::UnrecognizedConst(_) => continue,
        };
        let narrow = || attribute.u32().map(u64::from);
        *slot = attribute.u64().or_else(narrow).unwrap_or(0);
    }
    counters
}

#[cfg(test)]
mod tests;
