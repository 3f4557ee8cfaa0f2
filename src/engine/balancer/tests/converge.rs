//! Whatever happens, and whatever the kernel refuses meanwhile: in the end the table is right.

use proptest::prelude::*;

use super::*;

/// Something that happens.
#[derive(Clone, Debug)]
enum Step {
    Pass { millis: u64, broken: Vec<bool> },
    Reload(Vec<Vec<u32>>),
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
        2 => weights().prop_map(Step::Reload),
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
            Step::Reload(weights) => {
                return self.input(Input::Reload(Arc::new(configured(&weights))));
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
        first in weights(),
        steps in prop::collection::vec(steps(), 0..25),
        last in weights(),
    ) {
        let foreign = config(vec![virtual_server("10.9.0.1:53", vec![real("10.1.0.1:53", 3)])]);
        let others = Rig::started(&foreign).kernel;
        let foreign = others.now.table.clone();
        let mut rig = Rig::on(others, &configured(&first), Owned::default());
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
        rig.input(Input::Reload(Arc::new(configured(&last))));
        rig.pass(100_000, |_| true);
        let expected = configured(&last);
        for vs in &expected.virtual_servers {
            let key = service_key(&vs.address);
            let found = rig.kernel.now.table.get(&key);
            prop_assert!(found.is_some(), "{} is missing", key);
            for rs in &vs.real_servers {
                let there = found.and_then(|s| s.destinations.get(&DestinationKey(rs.endpoint)));
                prop_assert!(there.is_some(), "{} of {} is missing", rs.endpoint, key);
            }
        }
        rig.kernel.writes = 0;
        rig.pass(100_000, |_| true);
        prop_assert_eq!(rig.kernel.writes, 0, "it does not come to rest: {:?}", rig.log);
        rig.input(Input::Stop(StopKind::Remove));
        prop_assert_eq!(rig.log.last().map(String::as_str), Some("stopped"));
        for vs in &expected.virtual_servers {
            prop_assert!(!rig.kernel.now.table.contains_key(&service_key(&vs.address)));
        }
    }
}
