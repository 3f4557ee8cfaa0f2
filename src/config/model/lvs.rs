//! `virtual_server` and its `real_server`s.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

use crate::net::{
    Endpoint, Family, ForwardingMethod, FwMark, InterfaceName, Protocol, Scheduler, SchedulerFlag,
    Sysctl,
};
use crate::units::{seconds, seconds_or_null};

use super::settings::settings;
use super::{Checker, Run, Shared};

/// One service that IPVS forwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VirtualServer {
    /// Which packets; of a group its first address.
    pub address: VirtualServerAddress,
    /// `lb_algo` with its flags; wlc when absent.
    pub scheduler: SchedulerSpec,
    /// `persistence_timeout` and what goes with it.
    pub persistence: Option<Persistence>,
    /// `ops`: each UDP packet is scheduled on its own.
    pub one_packet: bool,
    /// In the order of the file; endpoints are unique.
    pub real_servers: Vec<RealServer>,
    /// The `virtual_server_group` whose addresses it has.
    pub group: Option<ServiceGroup>,
    /// `sorry_server`.
    pub sorry_server: Option<SorryServer>,
    /// Who of its servers may write, where that is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writers: Option<Writers>,
    /// Quorum and notifications.
    pub pool: Shared<PoolSettings>,
}

impl VirtualServer {
    /// Every address that it has: each is a service in the kernel.
    pub fn addresses(&self) -> impl Iterator<Item = VirtualServerAddress> {
        let more = self.group.iter().flat_map(|group| &group.more);
        std::iter::once(self.address).chain(more.copied())
    }
}

/// Which servers of a pool take connections, of those that are up: vipd's own keywords.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Writers {
    /// `one_writer`: one of them.
    One(OneWriter),
    /// `readers_of`: all but the writer of that virtual server, which is known by its first address; the
    /// writer too when there is nobody else.
    ReadersOf(VirtualServerAddress),
}

/// How a writer is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct OneWriter {
    /// `one_writer`.
    pub order: WriterOrder,
    /// `writer_failback`: one that comes first takes over from one that is well.
    pub failback: bool,
}

/// Who comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WriterOrder {
    /// `order`: as they stand in the file.
    Order,
    /// `index`: the lowest index within the cluster, as `MYSQL_CHECK` with `galera` learns it.
    Index,
}

/// What makes a virtual server one with several addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceGroup {
    /// `virtual_server group NAME`.
    pub name: String,
    /// Its addresses behind the first.
    pub more: Vec<VirtualServerAddress>,
    /// With `nftables_ipvs`: what the packet filter marks for it. The marks are among its addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub marked: Vec<MarkedAddresses>,
}

/// Addresses of a group that are one service in the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MarkedAddresses {
    /// What packets to them are marked with.
    pub mark: FwMark,
    /// `protocol`.
    pub protocol: Protocol,
    /// Of all of them.
    pub family: Family,
    /// In the order of the file.
    pub endpoints: Vec<Endpoint>,
}

/// `masquerade`: whose connections seem to come from this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MasqueradeFor {
    /// `masquerade`: clients in the network of the servers, who would get answers from these.
    Neighbours,
    /// `masquerade all`: everybody, for servers whose answers go other ways.
    All,
}

/// Takes the place of the pool when the quorum is lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SorryServer {
    /// Address and port; port 0 as the virtual server's.
    pub endpoint: Endpoint,
    /// `sorry_server_lvs_method`, else the virtual server's `lb_kind`.
    pub forwarding: ForwardingMethod,
    /// What goes with it.
    pub tunnel: Tunnel,
}

/// Options of `lb_kind TUN`; what is no tunnel has the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tunnel {
    /// `type ipip`, the default.
    #[default]
    Ipip,
    /// `type gue port N`.
    Gue {
        /// UDP port of the server.
        port: u16,
        /// Checksum of the outer packet.
        checksum: TunnelChecksum,
    },
    /// `type gre`.
    Gre {
        /// Checksum of the outer packet.
        checksum: TunnelChecksum,
    },
}

/// `nocsum`, `csum`, `remcsum`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TunnelChecksum {
    /// `nocsum`, the default.
    #[default]
    Off,
    /// `csum`.
    On,
    /// `remcsum`, GUE only.
    Remote,
}

/// `lvs_sync_daemon IF [inst] [VI] [id N] [maxlen N] [port N] [ttl N] [group ADDRESS]`; options that
/// are absent are the kernel's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LvsSyncDaemon {
    /// Where connections are sent and heard.
    pub interface: InterfaceName,
    /// `inst`: sends while this instance is master, hears otherwise; both at all times when absent.
    pub instance: Option<String>,
    /// `id`; the VRID of the instance, else 0, when absent.
    pub id: Option<u8>,
    /// `maxlen`: bytes of a packet, 1 to 65,507.
    pub max_len: Option<u16>,
    /// `port`; 8848 when absent.
    pub port: Option<u16>,
    /// `ttl`; 1 when absent.
    pub ttl: Option<u8>,
    /// `group`; 224.0.0.81 when absent.
    pub group: Option<IpAddr>,
}

/// `lvs_timeouts [tcp S] [tcpfin S] [udp S]`, whole seconds from 1 to 2,678,400; what is absent, or 0,
/// stays as the kernel has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LvsTimeouts {
    /// `tcp`.
    #[serde(serialize_with = "seconds_or_null")]
    pub tcp: Option<Duration>,
    /// `tcpfin`.
    #[serde(serialize_with = "seconds_or_null")]
    pub tcpfin: Option<Duration>,
    /// `udp`.
    #[serde(serialize_with = "seconds_or_null")]
    pub udp: Option<Duration>,
}

settings! {
    /// Quorum and notifications of a virtual server.
    PoolSettings {
        quorum: Option<u32>,
        hysteresis: Option<u32>,
        quorum_up: Option<Run>,
        quorum_down: Option<Run>,
        omega: bool,
        sorry_server_inhibit: bool,
        ha_suspend: bool,
        masquerade: Option<MasqueradeFor>,
        virtualhost: Option<String>,
        snmp_name: Option<String>,
        smtp_alert: Option<bool>,
    }
}

settings! {
    /// Notifications of a real server.
    ServerSettings {
        notify_up: Option<Run>,
        notify_down: Option<Run>,
        smtp_alert: Option<bool>,
        virtualhost: Option<String>,
        snmp_name: Option<String>,
    }
}

/// What selects the packets of a virtual server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VirtualServerAddress {
    /// `virtual_server IP PORT` with its `protocol`.
    Endpoint {
        /// `protocol`.
        protocol: Protocol,
        /// The VIP and port; port 0 only with persistence.
        endpoint: Endpoint,
    },
    /// `virtual_server fwmark N`.
    FwMark {
        /// `ip_family`, else that of the first real server.
        family: Family,
        /// The mark.
        mark: FwMark,
    },
}

/// A scheduler and its flags.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SchedulerSpec {
    /// The name.
    pub name: Scheduler,
    /// `flag-1`, `sh-port` and so on.
    pub flags: BTreeSet<SchedulerFlag>,
}

/// A client's later connections go where its first went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Persistence {
    /// `persistence_timeout`, whole seconds from 1 to 2,678,400.
    #[serde(serialize_with = "seconds")]
    pub timeout: Duration,
    /// `persistence_granularity`: length of the prefix of client addresses that are taken for one
    /// client; 32 or 128 when absent.
    pub granularity: u8,
    /// `persistence_engine`.
    pub engine: Option<String>,
}

/// What becomes of the connections of a server: vipd's own keywords, those of its virtual server where it
/// says nothing itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Connections {
    /// `on_down`, when a check fails.
    pub on_down: Option<OnGone>,
    /// `on_remove`, when a reload removes it.
    pub on_remove: Option<OnGone>,
    /// `slow_start`, whole seconds.
    #[serde(serialize_with = "seconds_or_null")]
    pub slow_start: Option<Duration>,
    /// `flap_damping`.
    pub flap_damping: Option<FlapDamping>,
    /// It asks for neither `on_down` nor `on_remove`: it is drained because another one asks for what
    /// kills every connection whose server is deleted.
    pub spared: bool,
}

/// `sysctl NAME VALUE`, of every line: settings that are kept while this program runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sysctls(pub BTreeMap<Sysctl, String>);

/// `outside_changes`: what becomes of weights and servers that somebody sets with ipvsadm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OutsideChanges {
    /// `keep`: they stay until there is a reason of vipd's own to write that server.
    #[default]
    Keep,
    /// `revert`: they are put back when they are seen.
    Revert,
}

/// What becomes of connections when their server goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnGone {
    /// `kill`: a reset at the client's next packet.
    Kill,
    /// `drain`: no new ones; those that have not ended after this time are killed.
    Drain(#[serde(serialize_with = "seconds")] Duration),
}

/// `flap_damping COUNT SECONDS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FlapDamping {
    /// So many failures, from 2 on,
    pub count: u32,
    /// within this time; as long it has to be well then.
    #[serde(serialize_with = "seconds")]
    pub within: Duration,
}

/// One server of a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RealServer {
    /// Address and port; port 0 as the virtual server's.
    pub endpoint: Endpoint,
    /// `weight`, 0 to 2^31-1; 1 when absent.
    pub weight: u32,
    /// `lvs_method`, else the virtual server's `lb_kind`.
    pub forwarding: ForwardingMethod,
    /// What goes with it.
    pub tunnel: Tunnel,
    /// `inhibit_on_failure`: a failed server keeps its place with weight 0.
    pub inhibit_on_failure: bool,
    /// `uthreshold`: no new connections at this many; 0: no limit.
    pub upper_threshold: u32,
    /// `lthreshold`: new connections again below this many; 0: three quarters of the upper one.
    pub lower_threshold: u32,
    /// `alpha`: down until a check has passed.
    pub alpha: bool,
    /// In the order of the file. None at all: the server is always up.
    pub checkers: Vec<Shared<Checker>>,
    /// What becomes of its connections; `None`: as in keepalived.
    pub connections: Option<Box<Connections>>,
    /// Notifications.
    pub more: Shared<ServerSettings>,
}
