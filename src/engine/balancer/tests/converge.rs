//! Whatever happens, and whatever the kernel refuses meanwhile: in the end the table is right.

use proptest::prelude::*;

use super::*;
use crate::config::model::{Connections, FlapDamping, OnGone, OutsideChanges, ServiceGroup};
use crate::lvs::service_keys;

/// What a configuration says beside its servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    Drains,
    Kills,
    Damps,
    Reverts,
    /// Each service has a second address.
    Groups,
}

/// Something that happens.
#[derive(Clone, Debug)]
enum Step {
    Pass { millis: u64, broken: Vec<bool> },
    Reload(Kind, Vec<Vec<u32>>),
    Refuse(Option<(&'static str, FailureKind)>),
    Blind(bool),
    DeleteService(u8),
    DeleteServer(u8, u8),
    AddServer(u8, u8),
    SetWeight(u8, u8, u32),
}

fn service_at(n: u8) -> String {
    format!("10.0.0.{n}:80")
}

fn server_at(n: u8) -> String {
    format!("10.1.0.{n}:80")
}

fn kinds() -> impl Strategy<Value = Kind> {
    use Kind::{Damps, Drains, Groups, Kills, Plain, Reverts};
    prop::sample::select(vec![Plain, Drains, Kills, Damps, Reverts, Groups])
}

fn connections(kind: Kind) -> Option<Box<Connections>> {
    let mut said = Connections::default();
    match kind {
        Kind::Plain | Kind::Reverts | Kind::Groups => return None,
        Kind::Drains => {
            said.on_down = Some(OnGone::Drain(Duration::from_secs(25)));
            said.on_remove = Some(OnGone::Drain(Duration::from_secs(40)));
        }
        Kind::Kills => {
            said.on_down = Some(OnGone::Kill);
            said.on_remove = Some(OnGone::Drain(Duration::from_secs(300)));
        }
        Kind::Damps => {
            let (count, within) = (2, Duration::from_secs(60));
            said.flap_damping = Some(FlapDamping { count, within });
            said.slow_start = Some(Duration::from_secs(30));
        }
    }
    Some(Box::new(said))
}

/// A configuration of this kind.
fn of_kind(kind: Kind, weights: &[Vec<u32>]) -> Config {
    let mut config = configured(weights);
    for (n, vs) in (0u8..).zip(&mut config.virtual_servers) {
        for server in vs.real_servers.iter_mut() {
            server.connections = connections(kind);
        }
        if kind == Kind::Groups {
            let more = vec![VirtualServerAddress::Endpoint {
                protocol: Protocol::Tcp,
                endpoint: endpoint(&format!("10.0.1.{n}:80")),
            }];
            let name = format!("g{n}");
            let marked = Vec::new();
            vs.group = Some(ServiceGroup { name, more, marked });
        }
    }
    if kind == Kind::Reverts {
        config.globals.lvs.outside_changes = OutsideChanges::Revert;
    }
    config
}

/// One service for each list, one server for each weight.
fn configured(weights: &[Vec<u32>]) -> Config {
    let service = |(s, weights): (usize, &Vec<u32>)| {
        let servers = weights.iter().enumerate().map(|(r, &weight)| {
            let mut real = real(&server_at(u8::try_from(r).unwrap()), weight);
            real.inhibit_on_failure = r == 1;
            real
        });
        virtual_server(&service_at(u8::try_from(s).unwrap()), servers.collect())
    };
    config(weights.iter().enumerate().map(service).collect())
}

fn weights() -> impl Strategy<Value = Vec<Vec<u32>>> {
    prop::collection::vec(prop::collection::vec(1..4u32, 0..4), 0..4)
}

fn steps() -> impl Strategy<Value = Step> {
    let refusals = vec![
        None,
        Some(("add", FailureKind::Refused)),
        Some(("add service", FailureKind::Stale)),
        Some(("delete", FailureKind::Refused)),
        Some(("change", FailureKind::Stale)),
        Some(("10.1.0.1", FailureKind::Refused)),
    ];
    prop_oneof![
        4 => (0..40_000u64, prop::collection::vec(any::<bool>(), 4))
            .prop_map(|(millis, broken)| Step::Pass { millis, broken }),
        2 => (kinds(), weights()).prop_map(|(kind, weights)| Step::Reload(kind, weights)),
        2 => prop::sample::select(refusals).prop_map(Step::Refuse),
        1 => any::<bool>().prop_map(Step::Blind),
        1 => (0..5u8).prop_map(Step::DeleteService),
        1 => (0..5u8, 0..5u8).prop_map(|(s, r)| Step::DeleteServer(s, r)),
        1 => (0..5u8, 0..5u8).prop_map(|(s, r)| Step::AddServer(s, r)),
        1 => (0..5u8, 0..5u8, 0..9u32).prop_map(|(s, r, w)| Step::SetWeight(s, r, w)),
    ]
}

impl Rig {
    fn step(&mut self, step: Step) {
        let at = |s: u8, r: u8| (key(&service_at(s)), server(&server_at(r)));
        // ipvsadm may fail: what it wants to change need not be there.
        let _ = match step {
            Step::Pass { millis, broken } => {
                let broken: Vec<Endpoint> = (0u8..4)
                    .zip(broken)
                    .filter(|(_, broken)| *broken)
                    .map(|(n, _)| endpoint(&server_at(n)))
                    .collect();
                self.pass(millis, |e| !broken.contains(&e));
                return;
            }
            Step::Reload(kind, weights) => {
                let config = of_kind(kind, &weights);
                return self.input(Input::Reload(Arc::new(config)));
            }
            Step::Refuse(refuse) => {
                self.refuse = refuse;
                return;
            }
            Step::Blind(blind) => {
                self.blind = blind;
                return;
            }
            Step::DeleteService(s) => self.kernel.run(&Command::DelService(at(s, 0).0)),
            Step::DeleteServer(s, r) => {
                let (s, r) = at(s, r);
                self.kernel.run(&Command::DelDestination(s, r))
            }
            Step::AddServer(s, r) => {
                let (s, r) = at(s, r);
                self.kernel.run(&Command::NewDestination(s, r, weight(1)))
            }
            Step::SetWeight(s, r, w) => {
                let (s, r) = at(s, r);
                self.kernel.run(&Command::SetDestination(s, r, weight(w)))
            }
        };
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_table_comes_right_and_foreign_services_are_never_touched(
        left in (kinds(), weights(), any::<bool>()),
        first in (kinds(), weights()),
        steps in prop::collection::vec(steps(), 0..25),
        last in (kinds(), weights()),
    ) {
        let foreign = config(vec![virtual_server("10.9.0.1:53", vec![real("10.1.0.1:53", 3)])]);
        let others = Rig::started(&foreign).kernel;
        let foreign = others.now.table.clone();
        // What an earlier run left behind, with its record or without.
        let before = of_kind(left.0, &left.1);
        let mut earlier = Rig::on(others, &before, Owned::default());
        earlier.input(Input::Started);
        let record = if left.2 { Owned::named_by(&before) } else { Owned::default() };
        let mut rig = Rig::on(earlier.kernel, &of_kind(first.0, &first.1), record);
        rig.input(Input::Started);
        for step in steps {
            rig.step(step);
            for (key, service) in &foreign {
                prop_assert_eq!(rig.kernel.now.table.get(key), Some(service));
            }
        }
        rig.refuse = None;
        rig.blind = false;
        // By now whatever was refused has been tried again, and every server is found well.
        rig.pass(200_000, |_| true);
        let expected = of_kind(last.0, &last.1);
        rig.input(Input::Reload(Arc::new(expected.clone())));
        // And whatever was drained has had its time.
        rig.pass(400_000, |_| true);
        is_right(&rig, &expected, last.0)?;
        rig.kernel.writes = 0;
        rig.pass(100_000, |_| true);
        prop_assert_eq!(rig.kernel.writes, 0, "it does not come to rest: {:?}", rig.log);
        rig.input(Input::Reload(Arc::new(expected.clone())));
        prop_assert_eq!(rig.kernel.writes, 0, "the same file: {:?}", rig.log);
        rig.input(Input::Stop(StopKind::Remove));
        prop_assert_eq!(rig.log.last().map(String::as_str), Some("stopped"));
        for key in expected.virtual_servers.iter().flat_map(service_keys) {
            prop_assert!(!rig.kernel.now.table.contains_key(&key));
        }
    }
}

/// Everything that is desired is there, with its weight unless that was set by hand, and nothing else that
/// is ours.
fn is_right(rig: &Rig, expected: &Config, kind: Kind) -> Result<(), TestCaseError> {
    let table = &rig.kernel.now.table;
    let owned = &rig.balancer.owned;
    for vs in &expected.virtual_servers {
        for key in service_keys(vs) {
            let Some(found) = table.get(&key) else {
                return Err(TestCaseError::fail(format!("{key} is missing")));
            };
            for rs in &vs.real_servers {
                let destination = DestinationKey(rs.endpoint);
                let there = found.destinations.get(&destination);
                let there = there.map(|spec| spec.weight);
                let by_hand = rig.balancer.pools.is_by_hand(&key, &destination);
                prop_assert!(!by_hand || kind != Kind::Reverts);
                let right = there == Some(rs.weight) || by_hand && there.is_some();
                prop_assert!(right, "{} of {}: {:?}", rs.endpoint, key, there);
            }
            let more = found.destinations.keys();
            let more = more.filter(|d| vs.real_servers.iter().all(|rs| rs.endpoint != d.0));
            for destination in more {
                let ours = owned.has_destination(&key, destination);
                prop_assert!(!ours, "{} of {} is left", destination, key);
                prop_assert!(kind != Kind::Reverts, "{} is not put back", destination);
            }
        }
    }
    let desired: BTreeSet<ServiceKey> = expected
        .virtual_servers
        .iter()
        .flat_map(service_keys)
        .collect();
    for key in table.keys().filter(|key| !desired.contains(key)) {
        prop_assert!(!owned.has_service(key), "{} is left", key);
    }
    Ok(())
}
