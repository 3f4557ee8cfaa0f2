//! Identity, specification and observation of services, destinations and sync daemons, apart.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::net::{Endpoint, Family, ForwardingMethod, FwMark, InterfaceName, Protocol, Scheduler};

use super::Sorted;

/// What tells one service from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceKey {
    /// By protocol, address and port.
    Endpoint {
        /// The protocol.
        protocol: Protocol,
        /// Address and port; port 0: every port.
        endpoint: Endpoint,
    },
    /// By firewall mark.
    FwMark {
        /// Family of the packets.
        family: Family,
        /// The mark.
        mark: FwMark,
    },
}

impl ServiceKey {
    /// Family of the service's own packets.
    pub const fn family(self) -> Family {
        match self {
            ServiceKey::Endpoint { endpoint, .. } => endpoint.family(),
            ServiceKey::FwMark { family, .. } => family,
        }
    }
}

/// `10.0.0.1:80/tcp`, `fwmark 3`, `fwmark 3/inet6`.
impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServiceKey::Endpoint { protocol, endpoint } => write!(f, "{endpoint}/{protocol}"),
            ServiceKey::FwMark {
                family: Family::V4,
                mark,
            } => write!(f, "fwmark {mark}"),
            ServiceKey::FwMark {
                family: Family::V6,
                mark,
            } => write!(f, "fwmark {mark}/inet6"),
        }
    }
}

/// What a service should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceSpec {
    /// Name of the scheduler.
    pub scheduler: Scheduler,
    /// Flags that a person sets; IP_VS_SVC_F_PERSISTENT follows from `persistence`.
    pub flags: ServiceFlags,
    /// `None`: every connection is scheduled on its own.
    pub persistence: Option<Persistence>,
}

/// Flags of a service (include/uapi/linux/ip_vs.h).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceFlags {
    /// IP_VS_SVC_F_ONEPACKET.
    pub one_packet: bool,
    /// IP_VS_SVC_F_SCHED1.
    pub sched_1: bool,
    /// IP_VS_SVC_F_SCHED2.
    pub sched_2: bool,
    /// IP_VS_SVC_F_SCHED3.
    pub sched_3: bool,
}

/// Persistence of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Persistence {
    /// Whole seconds.
    pub timeout: Duration,
    /// Length of the prefix that makes clients one: 32 or 128 for each on its own.
    pub granularity: u8,
    /// Persistence engine, for instance `sip`.
    pub engine: Option<String>,
}

/// What tells one destination of a service from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestinationKey(pub Endpoint);

impl fmt::Display for DestinationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a destination should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DestinationSpec {
    /// How packets get there. For addresses of its own the kernel (seen: 6.1) keeps what was asked,
    /// and delivers locally all the same.
    pub forwarding: ForwardingMethod,
    /// 0 to 2^31-1; 0: no new connections.
    pub weight: u32,
    /// No new connections at this many; 0: no limit.
    pub upper_threshold: u32,
    /// New ones again below this many; 0: the kernel's three quarters.
    pub lower_threshold: u32,
    /// With `ForwardingMethod::Tunnel`, how packets are wrapped.
    pub tunnel: TunnelKind,
}

/// IP_VS_CONN_F_TUNNEL_TYPE_*.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TunnelKind {
    /// IP in IP; also what everything that is not a tunnel has.
    #[default]
    Ipip,
    /// Generic UDP encapsulation.
    Gue {
        /// UDP port of the server.
        port: u16,
        /// Checksum of the outer packet.
        checksum: TunnelChecksum,
    },
    /// GRE.
    Gre {
        /// Checksum of the outer packet; `Remote` is for GUE alone.
        checksum: TunnelChecksum,
    },
}

/// IP_VS_TUNNEL_ENCAP_FLAG_*.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TunnelChecksum {
    /// None.
    #[default]
    Off,
    /// In the outer header.
    On,
    /// Remote checksum offload (GUE).
    Remote,
}

impl TunnelChecksum {
    /// The number in IPVS_DEST_ATTR_TUN_FLAGS.
    pub const fn number(self) -> u16 {
        match self {
            TunnelChecksum::Off => 0,
            TunnelChecksum::On => 1,
            TunnelChecksum::Remote => 2,
        }
    }

    /// `None` for a number that has no meaning yet.
    pub const fn from_number(number: u16) -> Option<TunnelChecksum> {
        match number {
            0 => Some(TunnelChecksum::Off),
            1 => Some(TunnelChecksum::On),
            2 => Some(TunnelChecksum::Remote),
            _ => None,
        }
    }
}

/// A service with its destinations, as desired or as observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// What it is.
    pub spec: ServiceSpec,
    /// Its destinations.
    pub destinations: Destinations,
}

/// The destinations of a service.
pub type Destinations = Sorted<DestinationKey, DestinationSpec>;

/// One network namespace's IPVS table.
pub type Table = BTreeMap<ServiceKey, Service>;

/// Counters of a service (IPVS_STATS_ATTR_*, 64 bit).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceStats {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Packets to clients, as far as they pass here.
    pub packets_out: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients.
    pub bytes_out: u64,
}

/// Counters of a destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DestinationStats {
    /// Connections in ESTABLISHED.
    pub active_connections: u32,
    /// Connections in any other state.
    pub inactive_connections: u32,
    /// Persistence templates.
    pub persistent_connections: u32,
    /// Traffic.
    pub traffic: ServiceStats,
}

/// A service as a dump shows it, without its destinations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedService {
    /// Which.
    pub key: ServiceKey,
    /// What it is.
    pub spec: ServiceSpec,
    /// What went through it.
    pub stats: ServiceStats,
}

/// A destination as a dump shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Which.
    pub key: DestinationKey,
    /// What it is.
    pub spec: DestinationSpec,
    /// What went through it.
    pub stats: DestinationStats,
}

/// Which half of connection synchronisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SyncRole {
    /// IP_VS_STATE_MASTER: sends its connections.
    Master,
    /// IP_VS_STATE_BACKUP: takes them in.
    Backup,
}

/// A sync daemon's parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncDaemon {
    /// Where its multicast goes out or comes in.
    pub interface: InterfaceName,
    /// 0 to 255; both ends agree on it.
    pub sync_id: u8,
    /// How it goes out.
    pub packets: SyncPackets,
}

/// Packets of a sync daemon; what is absent is the kernel's default (kernels from 4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncPackets {
    /// Bytes behind the UDP header, 1 to 65,507; what fits the interface when absent.
    pub max_len: Option<u16>,
    /// Multicast group; 224.0.0.81 when absent.
    pub group: Option<IpAddr>,
    /// UDP port; 8848 when absent.
    pub port: Option<u16>,
    /// TTL or hop limit; 1 when absent.
    pub ttl: Option<u8>,
}

impl SyncDaemon {
    /// Whether a daemon that runs will do where this one is asked for; the kernel shows its defaults as
    /// values.
    pub fn is_met_by(&self, running: &SyncDaemon) -> bool {
        let (want, have) = (self.packets, running.packets);
        let group = |p: SyncPackets| p.group.unwrap_or(SYNC_GROUP);
        self.interface == running.interface
            && self.sync_id == running.sync_id
            && (want.max_len.is_none()
                || want.max_len == have.max_len
                || (want.max_len < have.max_len && have.max_len == Some(SYNC_LEN_MIN)))
            && group(want) == group(have)
            && want.port.unwrap_or(SYNC_PORT) == have.port.unwrap_or(SYNC_PORT)
            && want.ttl.unwrap_or(SYNC_TTL) == have.ttl.unwrap_or(SYNC_TTL)
    }
}

// Defaults of the kernel, net/netfilter/ipvs/ip_vs_sync.c.
const SYNC_GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 81));
/// A backup takes in at least as much, whatever it is asked for.
const SYNC_LEN_MIN: u16 = 1024;
const SYNC_PORT: u16 = 8848;
const SYNC_TTL: u8 = 1;

/// How long an idle connection is remembered, whole seconds from 1 to 2,678,400. Absent: as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// Established TCP; 900 s in a fresh kernel.
    pub tcp: Option<Duration>,
    /// TCP after a FIN; 120 s.
    pub tcp_fin: Option<Duration>,
    /// UDP; 300 s.
    pub udp: Option<Duration>,
}

impl Timeouts {
    /// Whether these are in force already.
    pub fn is_met_by(&self, have: &Timeouts) -> bool {
        let met = |want: Option<Duration>, have| want.is_none() || want == have;
        met(self.tcp, have.tcp) && met(self.tcp_fin, have.tcp_fin) && met(self.udp, have.udp)
    }
}

/// One change to the table. [`fmt::Display`] gives the words for logs and errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// IPVS_CMD_NEW_SERVICE.
    NewService(ServiceKey, ServiceSpec),
    /// IPVS_CMD_SET_SERVICE.
    SetService(ServiceKey, ServiceSpec),
    /// IPVS_CMD_DEL_SERVICE, with all its destinations.
    DelService(ServiceKey),
    /// IPVS_CMD_NEW_DEST.
    NewDestination(ServiceKey, DestinationKey, DestinationSpec),
    /// IPVS_CMD_SET_DEST.
    SetDestination(ServiceKey, DestinationKey, DestinationSpec),
    /// IPVS_CMD_DEL_DEST.
    DelDestination(ServiceKey, DestinationKey),
    /// IPVS_CMD_NEW_DAEMON.
    NewDaemon(SyncRole, SyncDaemon),
    /// IPVS_CMD_DEL_DAEMON.
    DelDaemon(SyncRole),
    /// IPVS_CMD_SET_CONFIG.
    SetTimeouts(Timeouts),
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::NewService(key, _) => write!(f, "add service {key}"),
            Command::SetService(key, _) => write!(f, "change service {key}"),
            Command::DelService(key) => write!(f, "delete service {key}"),
            Command::NewDestination(s, d, _) => write!(f, "add destination {d} to {s}"),
            Command::SetDestination(s, d, _) => write!(f, "change destination {d} of {s}"),
            Command::DelDestination(s, d) => write!(f, "delete destination {d} of {s}"),
            Command::NewDaemon(SyncRole::Master, d) => {
                write!(f, "start the master sync daemon on {}", d.interface)
            }
            Command::NewDaemon(SyncRole::Backup, d) => {
                write!(f, "start the backup sync daemon on {}", d.interface)
            }
            Command::DelDaemon(SyncRole::Master) => f.write_str("stop the master sync daemon"),
            Command::DelDaemon(SyncRole::Backup) => f.write_str("stop the backup sync daemon"),
            Command::SetTimeouts(_) => f.write_str("set the timeouts of connections"),
        }
    }
}
