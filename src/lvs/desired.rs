//! Virtual servers and what is known of their servers, turned into the services and destinations that
//! keepalived would have in the kernel for them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::config::Config;
use crate::config::model::{
    self, Instance, LvsSyncDaemon, Persistence, RealServer, SchedulerSpec, SorryServer, Tunnel,
    VirtualServer, VirtualServerAddress, Writers,
};
use crate::ipvs::{
    self, DestinationKey, DestinationSpec, Service, ServiceFlags, ServiceKey, ServiceSpec,
    SyncDaemon, SyncPackets, SyncRole, Timeouts, TunnelChecksum, TunnelKind,
};
use crate::net::{Endpoint, ForwardingMethod, SchedulerFlag};

use super::{Quorum, QuorumLimits};

/// What is known of a real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerState {
    /// It takes connections, with this weight (0 to 2^31-1).
    Up {
        /// The configured weight, or what a check made of it.
        weight: u32,
    },
    /// A check failed.
    Down,
    /// Somebody took it out: it leaves, even where one that failed would stay.
    Out,
}

/// The service that a virtual server is.
pub fn service_key(address: &VirtualServerAddress) -> ServiceKey {
    match *address {
        VirtualServerAddress::Endpoint { protocol, endpoint } => {
            ServiceKey::Endpoint { protocol, endpoint }
        }
        VirtualServerAddress::FwMark { family, mark } => ServiceKey::FwMark { family, mark },
    }
}

/// The services that a virtual server is: one, or for a group one for each address. The first of them
/// stands for the virtual server as a whole.
pub fn service_keys(virtual_server: &VirtualServer) -> impl Iterator<Item = ServiceKey> {
    virtual_server.addresses().map(|a| service_key(&a))
}

/// The addresses of a virtual server; a firewall mark that vipd does not give has none.
pub fn virtual_addresses(virtual_server: &VirtualServer) -> impl Iterator<Item = IpAddr> {
    let own = virtual_server.addresses().filter_map(|a| match a {
        VirtualServerAddress::Endpoint { endpoint, .. } => Some(endpoint.addr),
        VirtualServerAddress::FwMark { .. } => None,
    });
    let group = virtual_server.group.iter();
    let marked = group.flat_map(|group| &group.marked);
    own.chain(marked.flat_map(|marked| marked.endpoints.iter().map(|e| e.addr)))
}

/// The destination that a real server is, in the first service of its virtual server.
pub fn destination_key(virtual_server: &VirtualServer, server: &RealServer) -> DestinationKey {
    destination_in(&service_key(&virtual_server.address), server)
}

/// The destination that a real server is in a service.
///
/// DR and TUN leave the port of a packet as it is, so the port is the service's (none with a mark); with
/// NAT a port 0 means the service's.
pub fn destination_in(service: &ServiceKey, server: &RealServer) -> DestinationKey {
    let service_port = match service {
        ServiceKey::Endpoint { endpoint, .. } => endpoint.port,
        ServiceKey::FwMark { .. } => 0,
    };
    let port = match (server.forwarding, server.endpoint.port) {
        (ForwardingMethod::DirectRoute | ForwardingMethod::Tunnel, _) | (_, 0) => service_port,
        (ForwardingMethod::Masquerading | ForwardingMethod::Local, port) => port,
    };
    DestinationKey(Endpoint::new(server.endpoint.addr, port))
}

/// One of the services of a virtual server with the destinations it should have now.
///
/// A server that is down has left, or stays with weight 0 (`inhibit_on_failure`). Without a quorum the
/// `sorry_server` stands alone in their place, if there is one; with it the sorry server is gone, or stays
/// with weight 0 (`sorry_server_inhibit`).
pub fn service(
    virtual_server: &VirtualServer,
    key: &ServiceKey,
    quorum: Quorum,
    state: impl Fn(&RealServer) -> ServerState,
) -> Service {
    let sorry = virtual_server.sorry_server.as_ref();
    let closed = quorum == Quorum::Lost && sorry.is_some();
    let mut destinations = ipvs::Destinations::default();
    for server in &virtual_server.real_servers {
        let weight = match state(server) {
            ServerState::Up { weight } if !closed => weight,
            ServerState::Out => continue,
            _ if server.inhibit_on_failure => 0,
            _ => continue,
        };
        let spec = DestinationSpec {
            forwarding: server.forwarding,
            weight,
            upper_threshold: server.upper_threshold,
            lower_threshold: server.lower_threshold,
            tunnel: tunnel(server.tunnel),
        };
        destinations.insert_new(destination_in(key, server), spec);
    }
    if let Some(sorry) = sorry {
        let key = sorry_key(key, sorry);
        if closed {
            destinations.insert(key, sorry_spec(sorry, 1));
        } else if virtual_server.pool.sorry_server_inhibit {
            destinations.insert_new(key, sorry_spec(sorry, 0));
        }
    }
    Service {
        spec: service_spec(virtual_server),
        destinations: destinations.settled(),
    }
}

/// The sum of the weights of the servers that are up.
pub fn weight_up(
    virtual_server: &VirtualServer,
    state: impl Fn(&RealServer) -> ServerState,
) -> u64 {
    let weight = |server| match state(server) {
        ServerState::Up { weight } => u64::from(weight),
        ServerState::Down | ServerState::Out => 0,
    };
    virtual_server.real_servers.iter().map(weight).sum()
}

/// The services that keepalived would have when it has started and no check has run yet: servers with
/// a check that has `alpha` count as down. The writer of a pool with `one_writer` is not known then, unless
/// nobody has to be asked.
pub fn before_checks(virtual_server: &VirtualServer) -> Vec<(ServiceKey, Service)> {
    let one_writer = matches!(virtual_server.writers, Some(Writers::One(_)));
    let first = virtual_server.real_servers.first();
    let first = first.filter(|first| first.checkers.is_empty());
    let first = first.map(|first| first.endpoint);
    let state = |server: &RealServer| {
        if one_writer && first != Some(server.endpoint) {
            return ServerState::Out;
        }
        let waits = server.checkers.iter().any(|checker| checker.alpha);
        match waits {
            true => ServerState::Down,
            false => ServerState::Up {
                weight: server.weight,
            },
        }
    };
    let limits = QuorumLimits::of(virtual_server);
    let quorum = Quorum::default().after(limits, weight_up(virtual_server, state));
    service_keys(virtual_server)
        .map(|key| (key, service(virtual_server, &key, quorum, state)))
        .collect()
}

/// The destination that a sorry server is in a service: as a real server's.
pub fn sorry_key(service: &ServiceKey, sorry: &SorryServer) -> DestinationKey {
    let port = match (service, sorry.endpoint.port) {
        (ServiceKey::FwMark { .. }, port) => port,
        (ServiceKey::Endpoint { endpoint, .. }, 0) => endpoint.port,
        (ServiceKey::Endpoint { endpoint, .. }, port) => match sorry.forwarding {
            ForwardingMethod::DirectRoute | ForwardingMethod::Tunnel => endpoint.port,
            ForwardingMethod::Masquerading | ForwardingMethod::Local => port,
        },
    };
    DestinationKey(Endpoint::new(sorry.endpoint.addr, port))
}

fn sorry_spec(sorry: &SorryServer, weight: u32) -> DestinationSpec {
    DestinationSpec {
        forwarding: sorry.forwarding,
        weight,
        upper_threshold: 0,
        lower_threshold: 0,
        tunnel: tunnel(sorry.tunnel),
    }
}

/// The sync daemons that should run: that of `lvs_sync_daemon`, then for each instance with
/// `lvs_sync_daemon_interface` the one of its side. The kernel has one daemon of each role, so the first
/// has it.
///
/// `None`: an instance that syncs is on no side yet, and what runs should be left as it is.
pub fn daemons(
    config: &Config,
    side: impl Fn(&Instance) -> Option<SyncRole>,
) -> Option<BTreeMap<SyncRole, SyncDaemon>> {
    let mut wanted = BTreeMap::new();
    let instances = &config.instances;
    match &config.globals.lvs_sync_daemon {
        None => {}
        Some(sync) => match &sync.instance {
            None => {
                let daemon = sync_daemon(sync, 0);
                wanted.insert(SyncRole::Master, daemon.clone());
                wanted.insert(SyncRole::Backup, daemon);
            }
            Some(name) => {
                if let Some(instance) = instances.iter().find(|i| i.name == *name) {
                    let daemon = sync_daemon(sync, instance.vrid.get());
                    wanted.insert(side(instance)?, daemon);
                }
            }
        },
    }
    for instance in instances {
        let Some(interface) = &instance.more.lvs_sync_daemon_interface else {
            continue;
        };
        wanted.entry(side(instance)?).or_insert(SyncDaemon {
            interface: interface.clone(),
            // keepalived: this keyword leaves the number 0, which takes in everybody's messages.
            sync_id: 0,
            packets: SyncPackets::default(),
        });
    }
    Some(wanted)
}

fn sync_daemon(sync: &LvsSyncDaemon, default_id: u8) -> SyncDaemon {
    SyncDaemon {
        interface: sync.interface.clone(),
        sync_id: sync.id.unwrap_or(default_id),
        packets: SyncPackets {
            max_len: sync.max_len,
            group: sync.group,
            port: sync.port,
            ttl: sync.ttl,
        },
    }
}

/// The timeouts that a configuration asks for.
pub fn timeouts(config: &Config) -> Timeouts {
    let asked = config.globals.lvs_timeouts;
    Timeouts {
        tcp: asked.tcp,
        tcp_fin: asked.tcpfin,
        udp: asked.udp,
    }
}

fn service_spec(virtual_server: &VirtualServer) -> ServiceSpec {
    ServiceSpec {
        scheduler: virtual_server.scheduler.name.clone(),
        flags: service_flags(&virtual_server.scheduler, virtual_server.one_packet),
        persistence: virtual_server.persistence.as_ref().map(persistence),
    }
}

fn tunnel(tunnel: Tunnel) -> TunnelKind {
    let sum = |checksum| match checksum {
        model::TunnelChecksum::Off => TunnelChecksum::Off,
        model::TunnelChecksum::On => TunnelChecksum::On,
        model::TunnelChecksum::Remote => TunnelChecksum::Remote,
    };
    match tunnel {
        Tunnel::Ipip => TunnelKind::Ipip,
        Tunnel::Gue { port, checksum } => TunnelKind::Gue {
            port,
            checksum: sum(checksum),
        },
        Tunnel::Gre { checksum } => TunnelKind::Gre {
            checksum: sum(checksum),
        },
    }
}

fn service_flags(scheduler: &SchedulerSpec, one_packet: bool) -> ServiceFlags {
    ServiceFlags {
        one_packet,
        sched_1: scheduler.flags.contains(&SchedulerFlag::One),
        sched_2: scheduler.flags.contains(&SchedulerFlag::Two),
        sched_3: scheduler.flags.contains(&SchedulerFlag::Three),
    }
}

fn persistence(p: &Persistence) -> ipvs::Persistence {
    ipvs::Persistence {
        timeout: p.timeout,
        granularity: p.granularity,
        engine: p.engine.clone(),
    }
}
