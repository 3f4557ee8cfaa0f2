use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::config::model::{
    Checker, CheckerKind, Persistence, RealServer, SchedulerSpec, Shared, SorryServer, Tunnel,
    TunnelChecksum, VirtualServer, VirtualServerAddress,
};
use crate::ipvs::{DestinationKey, SyncRole, TunnelKind};
use crate::net::{Endpoint, Family, ForwardingMethod, FwMark, Protocol, Scheduler, SchedulerFlag};

use super::fake::FakeKernel;
use super::{Owned, Quorum, ServerState, before_checks, service, service_key, table_commands};

fn endpoint(text: &str) -> Endpoint {
    let address: std::net::SocketAddr = text.parse().unwrap();
    Endpoint::new(address.ip(), address.port())
}

fn real(text: &str, forwarding: ForwardingMethod, inhibit_on_failure: bool) -> RealServer {
    RealServer {
        endpoint: endpoint(text),
        weight: 7,
        forwarding,
        inhibit_on_failure,
        upper_threshold: 0,
        lower_threshold: 0,
        alpha: false,
        checkers: Vec::new(),
        tunnel: Tunnel::default(),
        connections: None,
        more: Shared::default(),
    }
}

fn virtual_server(address: VirtualServerAddress, real_servers: Vec<RealServer>) -> VirtualServer {
    VirtualServer {
        address,
        scheduler: SchedulerSpec {
            name: Scheduler::wlc(),
            flags: BTreeSet::from([SchedulerFlag::Two]),
        },
        persistence: Some(Persistence {
            timeout: Duration::from_secs(360),
            granularity: 32,
            engine: None,
        }),
        one_packet: false,
        real_servers,
        group: None,
        sorry_server: None,
        writers: None,
        pool: Shared::default(),
    }
}

fn by_endpoint(text: &str) -> VirtualServerAddress {
    VirtualServerAddress::Endpoint {
        protocol: Protocol::Tcp,
        endpoint: endpoint(text),
    }
}

fn text_of(vs: &VirtualServer, down: &str) -> String {
    let service = service(vs, &service_key(&vs.address), Quorum::Gained, |rs| {
        if rs.endpoint == endpoint(down) {
            ServerState::Down
        } else {
            ServerState::Up { weight: rs.weight }
        }
    });
    let desired = BTreeMap::from([(service_key(&vs.address), &service)]);
    let mut kernel = FakeKernel::default();
    for command in table_commands(&desired, &BTreeMap::new(), &Owned::default()) {
        kernel.run(&command).unwrap();
    }
    kernel.text()
}

#[test]
fn a_server_that_failed_leaves_or_stays_with_weight_0() {
    use ForwardingMethod::Masquerading;
    let pool = |inhibit| {
        let first = real("10.1.0.1:8080", Masquerading, inhibit);
        let second = real("10.1.0.2:0", Masquerading, inhibit);
        virtual_server(by_endpoint("10.0.0.1:80"), vec![first, second])
    };
    assert_eq!(
        text_of(&pool(false), "10.1.0.1:8080"),
        "-A 10.0.0.1:80/tcp -s wlc -p 360\n-a 10.0.0.1:80/tcp -r 10.1.0.2:80 -m -w 7\n"
    );
    assert_eq!(
        text_of(&pool(true), "10.1.0.1:8080"),
        "-A 10.0.0.1:80/tcp -s wlc -p 360\n\
         -a 10.0.0.1:80/tcp -r 10.1.0.1:8080 -m -w 0\n\
         -a 10.0.0.1:80/tcp -r 10.1.0.2:80 -m -w 7\n"
    );
}

#[test]
fn only_nat_changes_the_port() {
    let servers = vec![
        real("10.1.0.1:8080", ForwardingMethod::DirectRoute, false),
        real("10.1.0.2:8080", ForwardingMethod::Tunnel, false),
        real("10.1.0.3:8080", ForwardingMethod::Masquerading, false),
    ];
    let mark = VirtualServerAddress::FwMark {
        family: Family::V4,
        mark: FwMark::new(5).unwrap(),
    };
    assert_eq!(
        text_of(&virtual_server(mark, servers.clone()), "9.9.9.9:9"),
        "-A fwmark 5 -s wlc -p 360\n\
         -a fwmark 5 -r 10.1.0.1:0 -g -w 7\n\
         -a fwmark 5 -r 10.1.0.2:0 -i -w 7\n\
         -a fwmark 5 -r 10.1.0.3:8080 -m -w 7\n"
    );
    let service = service(
        &virtual_server(by_endpoint("10.0.0.1:80"), servers),
        &service_key(&by_endpoint("10.0.0.1:80")),
        Quorum::Lost,
        |_| ServerState::Down,
    );
    assert!(service.destinations.is_empty());
    assert!(service.spec.flags.sched_2 && !service.spec.flags.sched_1);
}

#[test]
fn owned_keys_are_forgotten_only_when_neither_named_nor_there() {
    let vs = virtual_server(
        by_endpoint("10.0.0.1:80"),
        vec![real("10.1.0.1:80", ForwardingMethod::Masquerading, false)],
    );
    let config = crate::config::Config {
        virtual_servers: vec![vs],
        ..Default::default()
    };
    let named = Owned::named_by(&config);
    assert!(named.lists_all_of(&config));
    let key = service_key(&by_endpoint("10.0.0.1:80"));
    assert!(!Owned::default().lists_all_of(&config));
    let mut other = config.clone();
    other.virtual_servers[0].real_servers[0].endpoint = endpoint("10.1.0.9:80");
    assert!(!named.lists_all_of(&other));
    other.virtual_servers.clear();
    assert!(named.lists_all_of(&other));
    let mut owned = named.clone();
    let gone = DestinationKey(endpoint("10.1.0.9:80"));
    owned.services.entry(key).or_default().insert(gone, ());
    owned.daemons.insert(SyncRole::Master);
    let mut seen = FakeKernel::default();
    owned.forget_gone(&named, &seen.now);
    assert_eq!(owned, named);
    assert!(!owned.any_in(&seen.now));
    seen.now.table.insert(
        key,
        service(&config.virtual_servers[0], &key, Quorum::Lost, |_| {
            ServerState::Down
        }),
    );
    owned.forget_gone(&Owned::default(), &seen.now);
    assert!(owned.has_service(&key) && owned.any_in(&seen.now));
}

/// Services and destinations before any check has run.
fn text_before(vs: &VirtualServer) -> String {
    crate::ipvs::save(&before_checks(vs).into_iter().collect())
}

#[test]
fn before_checks_the_sorry_server_stands_in_for_servers_that_must_pass_first() {
    let nat = ForwardingMethod::Masquerading;
    let mut vs = virtual_server(
        by_endpoint("10.0.0.1:80"),
        vec![
            real("10.1.0.1:80", nat, false),
            real("10.1.0.2:80", nat, false),
        ],
    );
    vs.sorry_server = Some(SorryServer {
        endpoint: endpoint("10.1.0.9:0"),
        forwarding: nat,
        tunnel: Tunnel::default(),
    });
    assert!(!text_before(&vs).contains("10.1.0.9"));
    for server in &mut vs.real_servers {
        server.checkers = vec![Shared::from(Checker {
            kind: CheckerKind::Bfd("peer".to_owned()),
            delay_loop: Duration::from_secs(60),
            retry: 1,
            delay_before_retry: Duration::from_secs(1),
            warmup: Duration::ZERO,
            alpha: true,
            log_all_failures: false,
        })];
    }
    let said = text_before(&vs);
    assert!(said.contains("-r 10.1.0.9:80 -m -w 1"), "{said}");
    assert!(!said.contains("10.1.0.1:80 -m"), "{said}");
    vs.real_servers[1].checkers.clear();
    assert!(text_before(&vs).contains("-r 10.1.0.2:80 -m -w 7"));
    vs.pool.quorum = Some(8);
    assert!(text_before(&vs).contains("10.1.0.9"));
    vs.sorry_server = None;
    assert!(text_before(&vs).contains("-r 10.1.0.2:80 -m -w 7"));
}

#[test]
fn tunnels_reach_the_kernel_as_they_are_written() {
    let mut vs = virtual_server(
        by_endpoint("10.0.0.1:80"),
        vec![real("10.1.0.1:80", ForwardingMethod::Tunnel, false)],
    );
    vs.real_servers[0].tunnel = Tunnel::Gue {
        port: 6080,
        checksum: TunnelChecksum::Remote,
    };
    let service = service(&vs, &service_key(&vs.address), Quorum::Gained, |_| {
        ServerState::Up { weight: 1 }
    });
    let tunnels = service.destinations.values().map(|spec| spec.tunnel);
    let expected = TunnelKind::Gue {
        port: 6080,
        checksum: crate::ipvs::TunnelChecksum::Remote,
    };
    assert_eq!(tunnels.collect::<Vec<_>>(), [expected]);
}
