use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use crate::ipvs::{
    Command, DestinationKey, DestinationSpec, Service, ServiceFlags, ServiceKey, ServiceSpec,
    SyncDaemon, SyncPackets, SyncRole, Table, TunnelChecksum, TunnelKind,
};
use crate::lvs::Owned;
use crate::lvs::fake::FakeKernel;
use crate::net::{Endpoint, Family, ForwardingMethod, FwMark, Protocol};

use super::{daemon_commands, table_commands};

fn key(n: u8) -> ServiceKey {
    match n {
        0 => ServiceKey::FwMark {
            family: Family::V4,
            mark: FwMark::new(3).unwrap(),
        },
        n => ServiceKey::Endpoint {
            protocol: Protocol::Tcp,
            endpoint: Endpoint::new(Ipv4Addr::new(10, 0, 0, n).into(), 80),
        },
    }
}

fn server(n: u8) -> DestinationKey {
    DestinationKey(Endpoint::new(Ipv4Addr::new(10, 1, 0, n).into(), 80))
}

fn spec(weight: u32) -> DestinationSpec {
    DestinationSpec {
        forwarding: ForwardingMethod::Masquerading,
        weight,
        upper_threshold: 0,
        lower_threshold: 0,
        tunnel: TunnelKind::Ipip,
    }
}

fn service(scheduler: &str, servers: &[(u8, u32)]) -> Service {
    Service {
        spec: ServiceSpec {
            scheduler: scheduler.parse().unwrap(),
            flags: ServiceFlags::default(),
            persistence: None,
        },
        destinations: servers.iter().map(|&(n, w)| (server(n), spec(w))).collect(),
    }
}

fn refs(table: &Table) -> BTreeMap<ServiceKey, &Service> {
    table.iter().map(|(k, s)| (*k, s)).collect()
}

fn commands(desired: &Table, kernel: &FakeKernel, owned: &Owned) -> Vec<Command> {
    table_commands(&refs(desired), &refs(&kernel.now.table), owned)
}

fn words(commands: &[Command]) -> Vec<String> {
    commands.iter().map(ToString::to_string).collect()
}

fn owns(table: &Table) -> Owned {
    Owned {
        services: table
            .iter()
            .map(|(k, s)| (*k, s.destinations.keys().copied().collect()))
            .collect(),
        ..Owned::default()
    }
}

#[test]
fn what_comes_is_written_before_what_goes() {
    let desired = Table::from([
        (key(1), service("wrr", &[(2, 1), (3, 0), (4, 1)])),
        (key(2), service("rr", &[(1, 1)])),
    ]);
    let mut kernel = FakeKernel::default();
    kernel.now.table = Table::from([
        (key(1), service("rr", &[(1, 1), (3, 5), (4, 0)])),
        (key(3), service("rr", &[(1, 1)])),
    ]);
    let owned = owns(&kernel.now.table);
    assert_eq!(
        words(&commands(&desired, &kernel, &owned)),
        [
            "add destination 10.1.0.2:80 to 10.0.0.1:80/tcp",
            "add service 10.0.0.2:80/tcp",
            "add destination 10.1.0.1:80 to 10.0.0.2:80/tcp",
            "change service 10.0.0.1:80/tcp",
            "change destination 10.1.0.4:80 of 10.0.0.1:80/tcp",
            "change destination 10.1.0.3:80 of 10.0.0.1:80/tcp",
            "delete destination 10.1.0.1:80 of 10.0.0.1:80/tcp",
            "delete service 10.0.0.3:80/tcp",
        ]
    );
}

#[test]
fn a_destination_on_the_machine_itself_is_local_and_stays_so() {
    let mut kernel = FakeKernel {
        own_addresses: vec![IpAddr::from([10, 1, 0, 1])],
        ..FakeKernel::default()
    };
    let desired = Table::from([(key(1), service("rr", &[(1, 1)]))]);
    for command in commands(&desired, &kernel, &Owned::default()) {
        kernel.run(&command).unwrap();
    }
    assert_eq!(
        kernel.text(),
        "-A 10.0.0.1:80/tcp -s rr\n-a 10.0.0.1:80/tcp -r 10.1.0.1:80 -l -w 1\n"
    );
    assert_eq!(commands(&desired, &kernel, &Owned::default()), []);
}

#[test]
fn a_server_that_somebody_added_by_hand_stays_and_an_unknown_service_too() {
    let desired = Table::from([(key(1), service("rr", &[(1, 1)]))]);
    let mut kernel = FakeKernel::default();
    kernel.now.table = Table::from([
        (key(1), service("rr", &[(1, 1), (9, 1)])),
        (key(2), service("rr", &[(1, 1)])),
    ]);
    assert_eq!(commands(&desired, &kernel, &owns(&desired)), []);
}

#[test]
fn how_a_tunnel_wraps_matters_only_for_tunnels() {
    let mut table = Table::from([(key(1), service("rr", &[(1, 1)]))]);
    let desired = table.clone();
    let mut kernel = FakeKernel::default();
    for forwarding in [ForwardingMethod::Masquerading, ForwardingMethod::Tunnel] {
        let there = table.get_mut(&key(1)).unwrap();
        let there = there.destinations.get_mut(&server(1)).unwrap();
        there.tunnel = TunnelKind::Gre {
            checksum: TunnelChecksum::Off,
        };
        there.forwarding = forwarding;
        kernel.now.table = table.clone();
        let mut want = desired.clone();
        let service = want.get_mut(&key(1)).unwrap();
        service.destinations.get_mut(&server(1)).unwrap().forwarding = forwarding;
        let n = commands(&want, &kernel, &Owned::default()).len();
        assert_eq!(n, usize::from(forwarding == ForwardingMethod::Tunnel));
    }
}

fn daemon(sync_id: u8) -> SyncDaemon {
    SyncDaemon {
        packets: SyncPackets::default(),
        interface: "eth0".parse().unwrap(),
        sync_id,
    }
}

#[test]
fn a_sync_daemon_is_stopped_and_started_to_change_it() {
    let both = Owned {
        daemons: BTreeSet::from([SyncRole::Master, SyncRole::Backup]),
        ..Owned::default()
    };
    let observed = BTreeMap::from([(SyncRole::Backup, daemon(1))]);
    let plan = |desired: &[(SyncRole, SyncDaemon)], owned| {
        let desired = desired.iter().cloned().collect();
        words(&daemon_commands(&desired, &observed, owned))
    };
    assert_eq!(
        plan(&[(SyncRole::Backup, daemon(2))], &both),
        [
            "stop the backup sync daemon",
            "start the backup sync daemon on eth0"
        ]
    );
    assert_eq!(
        plan(&[(SyncRole::Master, daemon(1))], &both),
        [
            "start the master sync daemon on eth0",
            "stop the backup sync daemon"
        ]
    );
    assert_eq!(plan(&[], &Owned::default()), [""; 0]);
}

fn services() -> impl Strategy<Value = Service> {
    (
        prop::sample::select(vec!["rr", "wrr", "sh"]),
        prop::collection::vec((0..6u8, 0..3u32), 0..5),
    )
        .prop_map(|(scheduler, servers)| service(scheduler, &servers))
}

fn tables() -> impl Strategy<Value = Table> {
    prop::collection::btree_map((0..6u8).prop_map(key), services(), 0..5)
}

/// The desired, and what is there of others: services that nobody owns, and destinations that nobody
/// owns in services that stay.
fn expected(desired: &Table, before: &Table, owned: &Owned) -> Table {
    let mut expected = desired.clone();
    for (key, service) in before {
        match expected.get_mut(key) {
            None if owned.has_service(key) => {}
            None => {
                expected.insert(*key, service.clone());
            }
            Some(stays) => {
                for (d, spec) in &service.destinations {
                    if !owned.has_destination(key, d) {
                        stays.destinations.insert_new(*d, *spec);
                    }
                }
            }
        }
    }
    expected
}

proptest! {
    #[test]
    fn the_plan_leads_to_the_desired_in_one_go_and_touches_nothing_foreign(
        desired in tables(), before in tables(), owned in tables(),
    ) {
        let owned = owns(&owned);
        let mut kernel = FakeKernel::default();
        kernel.now.table = before.clone();
        for command in commands(&desired, &kernel, &owned) {
            prop_assert_eq!(kernel.run(&command), Ok(()), "{}", command);
        }
        prop_assert_eq!(&kernel.now.table, &expected(&desired, &before, &owned));
        prop_assert_eq!(commands(&desired, &kernel, &owned), []);
    }

    #[test]
    fn no_service_is_without_servers_while_it_has_some_before_and_after(
        desired in tables(), before in tables(),
    ) {
        let mut owned = owns(&desired);
        owned.extend(&owns(&before));
        let mut kernel = FakeKernel::default();
        kernel.now.table = before;
        let plan = commands(&desired, &kernel, &owned);
        let mut after = kernel.clone();
        plan.iter().for_each(|c| after.run(c).unwrap());
        let both: Vec<ServiceKey> = (0..6).map(key)
            .filter(|k| kernel.serves(k) && after.serves(k))
            .collect();
        for command in &plan {
            kernel.run(command).unwrap();
            for key in &both {
                prop_assert!(kernel.serves(key), "{} is empty after {}", key, command);
            }
        }
    }

    #[test]
    fn it_converges_whatever_the_kernel_refuses(
        desired in tables(), before in tables(), owned in tables(),
        refuses in prop::collection::vec(any::<bool>(), 0..80),
    ) {
        let owned = owns(&owned);
        let mut kernel = FakeKernel::default();
        kernel.now.table = before.clone();
        let mut refuses = refuses.into_iter();
        for _ in 0..=80 {
            for command in commands(&desired, &kernel, &owned) {
                if !refuses.next().unwrap_or(false) {
                    // What depends on a refused one is refused too.
                    let _ = kernel.run(&command);
                }
            }
        }
        prop_assert_eq!(&kernel.now.table, &expected(&desired, &before, &owned));
    }
}
