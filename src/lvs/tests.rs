use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::config::model::{
    Persistence, PoolSettings, RealServer, SchedulerSpec, ServerSettings, Tunnel, VirtualServer,
    VirtualServerAddress,
};
use crate::ipvs::{DestinationKey, SyncRole};
use crate::net::{Endpoint, Family, ForwardingMethod, FwMark, Protocol, Scheduler, SchedulerFlag};

use super::fake::FakeKernel;
use super::{Owned, ServerState, service, service_key, table_commands};

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
        more: ServerSettings::default(),
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
        pool: PoolSettings::default(),
    }
}

fn by_endpoint(text: &str) -> VirtualServerAddress {
    VirtualServerAddress::Endpoint {
        protocol: Protocol::Tcp,
        endpoint: endpoint(text),
    }
}

fn text_of(vs: &VirtualServer, down: &str) -> String {
    let service = service(vs, |rs| {
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
    let service = service(&virtual_server(by_endpoint("10.0.0.1:80"), servers), |_| {
        ServerState::Down
    });
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
    let key = service_key(&by_endpoint("10.0.0.1:80"));
    let mut owned = named.clone();
    let gone = DestinationKey(endpoint("10.1.0.9:80"));
    owned.services.entry(key).or_default().insert(gone);
    owned.daemons.insert(SyncRole::Master);
    let mut seen = FakeKernel::default();
    owned.forget_gone(&named, &seen.now);
    assert_eq!(owned, named);
    assert!(!owned.any_in(&seen.now));
    seen.now.table.insert(
        key,
        service(&config.virtual_servers[0], |_| ServerState::Down),
    );
    owned.forget_gone(&Owned::default(), &seen.now);
    assert!(owned.has_service(&key) && owned.any_in(&seen.now));
}
