//! Virtual servers and what is known of their servers, turned into the services and destinations that
//! keepalived would have in the kernel for them.

use std::collections::BTreeMap;

use crate::config::Config;
use crate::config::model::{
    self, Instance, LvsSyncDaemon, Persistence, RealServer, SchedulerSpec, Tunnel, VirtualServer,
    VirtualServerAddress,
};
use crate::ipvs::{
    self, DestinationKey, DestinationSpec, Service, ServiceFlags, ServiceKey, ServiceSpec,
    SyncDaemon, SyncPackets, SyncRole, Timeouts, TunnelChecksum, TunnelKind,
};
use crate::net::{Endpoint, ForwardingMethod, SchedulerFlag};

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

/// The destination that a real server is.
///
/// DR and TUN leave the port of a packet as it is, so the port is the service's (none with a mark); with
/// NAT a port 0 means the service's.
pub fn destination_key(virtual_server: &VirtualServer, server: &RealServer) -> DestinationKey {
    let service_port = match virtual_server.address {
        VirtualServerAddress::Endpoint { endpoint, .. } => endpoint.port,
        VirtualServerAddress::FwMark { .. } => 0,
    };
    let port = match (server.forwarding, server.endpoint.port) {
        (ForwardingMethod::DirectRoute | ForwardingMethod::Tunnel, _) | (_, 0) => service_port,
        (ForwardingMethod::Masquerading | ForwardingMethod::Local, port) => port,
    };
    DestinationKey(Endpoint::new(server.endpoint.addr, port))
}

/// The service of a virtual server with the destinations it should have now: a server that is down has
/// left, or stays with weight 0 (`inhibit_on_failure`).
pub fn service(
    virtual_server: &VirtualServer,
    state: impl Fn(&RealServer) -> ServerState,
) -> Service {
    let mut destinations = BTreeMap::new();
    for server in &virtual_server.real_servers {
        let weight = match state(server) {
            ServerState::Up { weight } => weight,
            ServerState::Down if server.inhibit_on_failure => 0,
            ServerState::Down => continue,
        };
        destinations
            .entry(destination_key(virtual_server, server))
            .or_insert(DestinationSpec {
                forwarding: server.forwarding,
                weight,
                upper_threshold: server.upper_threshold,
                lower_threshold: server.lower_threshold,
                tunnel: tunnel(server.tunnel),
            });
    }
    Service {
        spec: service_spec(virtual_server),
        destinations,
    }
}

/// The service that keepalived would have when it has started and no check has run yet: servers with
/// a check that has `alpha` count as down; the weight of those that are up decides on the quorum, and without it the
/// `sorry_server` stands alone.
pub fn before_checks(virtual_server: &VirtualServer) -> Service {
    let waits = |server: &RealServer| server.checkers.iter().any(|checker| checker.alpha);
    let mut service = service(virtual_server, |server| match waits(server) {
        true => ServerState::Down,
        false => ServerState::Up {
            weight: server.weight,
        },
    });
    let Some(sorry) = &virtual_server.sorry_server else {
        return service;
    };
    let sum = |wanted: &dyn Fn(&RealServer) -> bool| {
        let counted = virtual_server.real_servers.iter().filter(|s| wanted(s));
        counted.map(|s| u64::from(s.weight)).sum::<u64>()
    };
    // keepalived clips the quorum to what there is at most, and the hysteresis to one less.
    let quorum = u64::from(virtual_server.pool.quorum.unwrap_or(1)).min(sum(&|_| true).max(1));
    let hysteresis = u64::from(virtual_server.pool.hysteresis.unwrap_or(0)).min(quorum - 1);
    if sum(&|server| !waits(server)) >= quorum + hysteresis {
        return service;
    }
    let port = match (virtual_server.address, sorry.endpoint.port) {
        (VirtualServerAddress::FwMark { .. }, port) => port,
        (VirtualServerAddress::Endpoint { endpoint, .. }, 0) => endpoint.port,
        (VirtualServerAddress::Endpoint { endpoint, .. }, port) => match sorry.forwarding {
            ForwardingMethod::DirectRoute | ForwardingMethod::Tunnel => endpoint.port,
            ForwardingMethod::Masquerading | ForwardingMethod::Local => port,
        },
    };
    service.destinations.clear();
    service.destinations.insert(
        DestinationKey(Endpoint::new(sorry.endpoint.addr, port)),
        DestinationSpec {
            forwarding: sorry.forwarding,
            weight: 1,
            upper_threshold: 0,
            lower_threshold: 0,
            tunnel: tunnel(sorry.tunnel),
        },
    );
    service
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
        let Some(interface) = &instance.lvs_sync_daemon_interface else {
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
