//! Pools with one writer: it moves once, never to two, and readers do without it.

use proptest::prelude::*;

use super::*;
use crate::config::model::{
    Connections, OnGone, OneWriter, ServiceGroup, SorryServer, WriterOrder, Writers,
};
use crate::engine::balancer::Duty;
use crate::health::{Found, Member};
use crate::lvs::service_keys;

const POOL: &str = "10.0.0.1:3306";
const SECOND: &str = "10.0.0.2:3306";
const READERS: &str = "10.0.0.1:3307";

fn at(n: u8) -> String {
    format!("10.1.0.{n}:3306")
}

fn one(order: WriterOrder, failback: bool) -> Option<Writers> {
    Some(Writers::One(OneWriter { order, failback }))
}

/// A pool with these servers and one writer.
fn pool(servers: &[u8]) -> VirtualServer {
    let servers = servers.iter().map(|n| real(&at(*n), 100)).collect();
    let mut pool = virtual_server(POOL, servers);
    pool.writers = one(WriterOrder::Order, false);
    pool
}

fn readers(servers: &[u8]) -> VirtualServer {
    let servers = servers.iter().map(|n| real(&at(*n), 100)).collect();
    let mut pool = virtual_server(READERS, servers);
    let writers = self::pool(&[1]).address;
    pool.writers = Some(Writers::ReadersOf(writers));
    pool
}

impl Rig {
    /// Who takes connections in a service, `SERVER*WEIGHT` by its last number.
    fn takes(&self, service: &str) -> String {
        let table = &self.kernel.now.table;
        let destinations = table.get(&key(service)).map(|s| &s.destinations);
        let all = destinations.into_iter().flatten().map(|(d, spec)| {
            let text = d.0.addr.to_string();
            let (_, last) = text.rsplit_once('.').unwrap();
            format!("{last}*{}", spec.weight)
        });
        all.collect::<Vec<_>>().join(" ")
    }

    /// After each command: at most one server takes connections in all services that are watched.
    pub(super) fn watch(&mut self, words: &str) {
        let table = &self.kernel.now.table;
        let services = self.watched.iter().filter_map(|key| table.get(key));
        let taking = services.flat_map(|s| s.destinations.iter());
        let taking: BTreeSet<Endpoint> = taking
            .filter(|(_, spec)| spec.weight > 0)
            .map(|(d, _)| d.0)
            .collect();
        assert!(taking.len() < 2, "two write after {words}: {taking:?}");
        if let Some(now) = taking.first()
            && self.written.last() != Some(now)
        {
            self.written.push(*now);
        }
    }

    fn of(config: &Config) -> Rig {
        let mut rig = Rig::new(config);
        rig.watched = service_keys(&config.virtual_servers[0]).collect();
        rig.input(Input::Started);
        rig
    }

    fn told_of_writers(&self) -> Vec<&str> {
        let lines = self.log.iter().filter(|line| line.contains("writer"));
        lines.map(String::as_str).collect()
    }
}

fn fails(broken: &'static [u8]) -> impl Fn(Endpoint) -> bool {
    move |server| !broken.iter().any(|n| server == endpoint(&at(*n)))
}

#[test]
fn the_writer_moves_once_and_stays() {
    let mut rig = Rig::of(&config(vec![pool(&[1, 2, 3]), readers(&[1, 2, 3])]));
    assert_eq!(rig.takes(POOL), "", "nobody has answered");
    assert_eq!(rig.takes(READERS), "1*100 2*100 3*100");
    rig.pass(20_000, |_| true);
    assert_eq!(rig.takes(POOL), "1*100");
    assert_eq!(rig.takes(READERS), "1*0 2*100 3*100");
    rig.pass(20_000, fails(&[1]));
    assert_eq!(
        (rig.takes(POOL), rig.takes(READERS)),
        ("2*100".into(), "2*0 3*100".into())
    );
    rig.pass(40_000, |_| true);
    assert_eq!(rig.takes(POOL), "2*100");
    assert_eq!(rig.takes(READERS), "1*100 2*0 3*100");
    // The writer reads when nobody else does.
    rig.pass(20_000, fails(&[1, 3]));
    assert_eq!(rig.takes(READERS), "2*100");
    rig.pass(20_000, fails(&[1, 2, 3]));
    assert_eq!(
        (rig.takes(POOL), rig.takes(READERS)),
        (String::new(), String::new())
    );
    rig.pass(40_000, fails(&[1, 2]));
    assert_eq!(
        (rig.takes(POOL), rig.takes(READERS)),
        ("3*100".into(), "3*100".into())
    );
    let written = [1, 2, 3].map(|n| endpoint(&at(n)));
    assert_eq!(rig.written, written);
    assert_eq!(
        rig.told_of_writers(),
        [
            "Info: [10.1.0.1]:tcp:3306 is the writer of VS [10.0.0.1]:tcp:3306: the first of the list that \
             was well",
            "Info: [10.1.0.2]:tcp:3306 is the writer of VS [10.0.0.1]:tcp:3306 in place of \
             [10.1.0.1]:tcp:3306: the first of the list that was well",
            "Warning: VS [10.0.0.1]:tcp:3306 has no writer: none of its servers is well",
            "Info: [10.1.0.3]:tcp:3306 is the writer of VS [10.0.0.1]:tcp:3306: the first of the list that \
             was well",
        ]
    );
    let view = rig.balancer.view(rig.now);
    let duties: Vec<Duty> = view.services[0].servers.iter().map(|s| s.duty).collect();
    assert_eq!(duties, [Duty::StandsBy, Duty::StandsBy, Duty::Writes]);
    assert_eq!(view.services[0].writer.unwrap().passed_over, None);
}

#[test]
fn it_goes_back_only_where_that_is_wanted() {
    let mut config = config(vec![pool(&[1, 2])]);
    config.virtual_servers[0].writers = one(WriterOrder::Order, true);
    let mut rig = Rig::of(&config);
    rig.pass(20_000, fails(&[1]));
    assert_eq!(rig.takes(POOL), "2*100");
    rig.pass(20_000, |_| true);
    assert_eq!(rig.takes(POOL), "1*100");
}

#[test]
fn whoever_stops_being_the_writer_leaves_at_once_but_for_an_operator() {
    let mut config = config(vec![pool(&[1, 2])]);
    for server in &mut config.virtual_servers[0].real_servers {
        server.inhibit_on_failure = true;
        server.connections = Some(Box::new(Connections {
            on_down: Some(OnGone::Drain(Duration::from_secs(100))),
            ..Connections::default()
        }));
    }
    let mut rig = Rig::of(&config);
    rig.pass(5_000, |_| true);
    rig.pass(20_000, fails(&[1]));
    assert_eq!(rig.takes(POOL), "2*100");
    rig.pass(20_000, |_| true);
    let second = "10.1.0.2:3306";
    rig.input(drain(second, Some(Duration::from_secs(50))));
    assert_eq!(rig.takes(POOL), "1*100 2*0");
    rig.pass(60_000, |_| true);
    assert_eq!(rig.takes(POOL), "1*100");
    rig.input(undrain(second));
    rig.pass(20_000, |_| true);
    assert_eq!(rig.takes(POOL), "1*100");
}

#[test]
fn the_new_one_waits_until_the_old_one_is_gone() {
    let mut rig = Rig::of(&config(vec![pool(&[1, 2])]));
    rig.pass(5_000, |_| true);
    rig.refuse = Some(("delete", FailureKind::Refused));
    rig.pass(60_000, fails(&[1]));
    assert_eq!(rig.takes(POOL), "1*100", "the kernel does not let it go");
    rig.refuse = None;
    rig.pass(60_000, fails(&[1]));
    assert_eq!(rig.takes(POOL), "2*100");
    // What was added may be there although nobody said so.
    rig.lose = Some("add destination");
    rig.blind = true;
    rig.pass(20_000, fails(&[1, 2]));
    rig.pass(1_000, fails(&[2]));
    rig.lose = None;
    rig.pass(20_000, fails(&[1]));
    rig.blind = false;
    rig.pass(90_000, fails(&[1]));
    assert_eq!(rig.takes(POOL), "2*100");
}

#[test]
fn a_second_one_that_somebody_adds_is_removed() {
    let mut rig = Rig::of(&config(vec![pool(&[1, 2])]));
    rig.pass(5_000, |_| true);
    rig.watched.clear();
    for n in [2, 9] {
        rig.by_hand(Command::NewDestination(
            key(POOL),
            server(&at(n)),
            weight(1),
        ));
    }
    rig.pass(31_000, |_| true);
    assert_eq!(rig.takes(POOL), "1*100");
    // A weight of the writer itself too.
    rig.by_hand(Command::SetDestination(
        key(POOL),
        server(&at(1)),
        weight(0),
    ));
    rig.pass(31_000, |_| true);
    assert_eq!(rig.takes(POOL), "1*100");
}

#[test]
fn a_restart_and_a_reload_keep_the_writer() {
    let before = config(vec![pool(&[1, 2, 3])]);
    let mut rig = Rig::of(&before);
    rig.pass(5_000, |_| true);
    rig.pass(20_000, fails(&[1]));
    assert_eq!(rig.takes(POOL), "2*100");
    let mut next = Rig::on(rig.kernel.clone(), &before, Owned::named_by(&before));
    next.watched = rig.watched.clone();
    next.kernel.writes = 0;
    next.input(Input::Started);
    next.pass(60_000, |_| true);
    assert_eq!((next.takes(POOL), next.kernel.writes), ("2*100".into(), 0));
    let told = next.told_of_writers();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].ends_with("it took connections already"), "{told:?}");
    assert!(!next.log.iter().any(|line| line.contains("stays out")));
    // A pool that gets one writer by a reload: of those that take connections one goes on.
    let mut all = before.clone();
    all.virtual_servers[0].writers = None;
    next.watched.clear();
    next.input(Input::Reload(Arc::new(all)));
    next.pass(20_000, |_| true);
    assert_eq!(next.takes(POOL), "1*100 2*100 3*100");
    next.take_log();
    let shrunk = config(vec![pool(&[4, 2, 3])]);
    next.input(Input::Reload(Arc::new(shrunk)));
    assert_eq!(next.takes(POOL), "2*100", "{:?}", next.log);
    next.pass(60_000, |_| true);
    assert_eq!(next.takes(POOL), "2*100");
}

#[test]
fn a_reload_is_rehearsed_to_the_end() {
    let rig = {
        let mut rig = Rig::of(&config(vec![pool(&[1, 2])]));
        rig.pass(5_000, |_| true);
        rig
    };
    let without = Arc::new(config(vec![pool(&[2])]));
    let found = rig.kernel.now.clone();
    let rehearsal = rig.balancer.clone().rehearse(without, found, rig.now);
    let commands: Vec<String> = rehearsal.commands.iter().map(ToString::to_string).collect();
    assert_eq!(commands.len(), 2, "{commands:?}");
    assert!(
        commands[0].starts_with("delete destination 10.1.0.1"),
        "{commands:?}"
    );
    assert!(
        commands[1].starts_with("add destination 10.1.0.2"),
        "{commands:?}"
    );
}

#[test]
fn a_sorry_server_waits_for_the_writer_to_leave() {
    let mut config = config(vec![pool(&[1, 2])]);
    config.virtual_servers[0].sorry_server = Some(SorryServer {
        endpoint: endpoint("10.1.0.9:3306"),
        forwarding: ForwardingMethod::Masquerading,
        tunnel: Tunnel::default(),
    });
    let mut rig = Rig::of(&config);
    rig.pass(20_000, |_| true);
    rig.pass(20_000, fails(&[1, 2]));
    assert_eq!(rig.takes(POOL), "9*1");
    rig.pass(40_000, fails(&[1]));
    assert_eq!(rig.takes(POOL), "2*100");
}

#[test]
fn nodes_of_a_cluster_are_chosen_by_their_index() {
    let mut config = config(vec![pool(&[1, 2, 3])]);
    config.virtual_servers[0].writers = one(WriterOrder::Index, false);
    let mut rig = Rig::of(&config);
    let places = [(1, "c", 2), (2, "a", 0), (3, "b", 1)];
    let end = rig.now + Duration::from_secs(30);
    while let Some((due, _)) = rig.balancer.next_deadline().filter(|(t, _)| *t < end) {
        rig.now = rig.now.max(due);
        rig.input(Input::Timer);
        while let Some((probe, whom)) = rig.running.pop_first() {
            let (_, uuid, index) = *places.iter().find(|p| endpoint(&at(p.0)) == whom).unwrap();
            let outcome = CheckOutcome::Found(Box::new(Found {
                member: Some(Member {
                    index,
                    uuid: uuid.to_owned(),
                }),
                ..Found::default()
            }));
            rig.input(Input::CheckFinished { probe, outcome });
        }
    }
    assert_eq!(rig.takes(POOL), "2*100");
    assert_eq!(rig.written, [endpoint(&at(2))]);
}

/// Something that happens.
#[derive(Clone, Debug)]
enum Step {
    Pass(u64, Vec<bool>),
    Reload(Settings),
    Restart,
    Refuse(Option<(&'static str, FailureKind)>),
    Lose(Option<&'static str>),
    Blind(bool),
    /// Somebody removes a server from one of the services, or a service.
    Removed(bool, Option<u8>),
    Drain(u8),
    Undrain(u8),
}

#[derive(Clone, Copy, Debug)]
struct Settings {
    failback: bool,
    index: bool,
    group: bool,
    kept: bool,
    sorry: bool,
    servers: u8,
    first: u8,
}

impl Settings {
    fn config(self) -> Config {
        let servers: Vec<u8> = (0..self.servers)
            .map(|n| (n + self.first) % self.servers)
            .collect();
        let mut pool = pool(&servers);
        let order = match self.index {
            true => WriterOrder::Index,
            false => WriterOrder::Order,
        };
        pool.writers = one(order, self.failback);
        for server in &mut pool.real_servers {
            server.inhibit_on_failure = self.kept;
            server.connections = self.kept.then(|| {
                let drain = Some(OnGone::Drain(Duration::from_secs(20)));
                Box::new(Connections {
                    on_down: drain,
                    on_remove: drain,
                    slow_start: Some(Duration::from_secs(10)),
                    ..Connections::default()
                })
            });
        }
        if self.sorry {
            pool.pool = Shared::from(crate::config::model::PoolSettings {
                quorum: Some(200),
                ..Default::default()
            });
            pool.sorry_server = Some(SorryServer {
                endpoint: endpoint("10.1.0.9:3306"),
                forwarding: ForwardingMethod::Masquerading,
                tunnel: Tunnel::default(),
            });
        }
        if self.group {
            pool.group = Some(ServiceGroup {
                name: "db".to_owned(),
                more: vec![VirtualServerAddress::Endpoint {
                    protocol: Protocol::Tcp,
                    endpoint: endpoint(SECOND),
                }],
                marked: Vec::new(),
            });
        }
        config(vec![pool, readers(&servers)])
    }
}

fn settings() -> impl Strategy<Value = Settings> {
    (any::<(bool, bool, bool, bool, bool)>(), 2..5u8, 0..4u8).prop_map(
        |((failback, index, group, kept, sorry), servers, first)| Settings {
            failback,
            index,
            // A service that leaves the group with its servers is no pool any more.
            group,
            kept,
            sorry,
            servers,
            first,
        },
    )
}

fn steps() -> impl Strategy<Value = Step> {
    use FailureKind::{Refused, Stale};
    let refusals = vec![
        None,
        Some(("add", Refused)),
        Some(("add", Stale)),
        Some(("delete", Refused)),
        Some(("delete", Stale)),
        Some(("change", Refused)),
        Some(("10.1.0.1", Refused)),
    ];
    let losses = vec![
        None,
        Some("add"),
        Some("delete"),
        Some("change"),
        Some("10."),
    ];
    prop_oneof![
        6 => (0..30_000u64, prop::collection::vec(any::<bool>(), 4))
            .prop_map(|(millis, broken)| Step::Pass(millis, broken)),
        1 => settings().prop_map(Step::Reload),
        1 => Just(Step::Restart),
        2 => prop::sample::select(refusals).prop_map(Step::Refuse),
        2 => prop::sample::select(losses).prop_map(Step::Lose),
        1 => any::<bool>().prop_map(Step::Blind),
        1 => (any::<bool>(), prop::option::of(0..4u8)).prop_map(|(s, d)| Step::Removed(s, d)),
        1 => (0..4u8).prop_map(Step::Drain),
        1 => (0..4u8).prop_map(Step::Undrain),
    ]
}

fn take(rig: &mut Rig, current: &mut Settings, step: Step) {
    match step {
        Step::Pass(millis, broken) => {
            let well = |server: Endpoint| {
                let n = (0..4u8).find(|n| endpoint(&at(*n)) == server);
                n.is_none_or(|n| !broken[usize::from(n)])
            };
            rig.pass(millis, well);
        }
        Step::Reload(settings) => {
            let group = current.group;
            *current = Settings { group, ..settings };
            rig.input(Input::Reload(Arc::new(current.config())));
        }
        Step::Restart => {
            let record = Owned::clone(&rig.balancer.owned);
            let overrides = rig.balancer.overrides.clone();
            rig.balancer = Balancer::new(current.config(), record, 7).with_overrides(overrides);
            rig.running.clear();
            rig.input(Input::Started);
        }
        Step::Refuse(refuse) => rig.refuse = refuse,
        Step::Lose(lose) => rig.lose = lose,
        Step::Blind(blind) => rig.blind = blind,
        Step::Removed(second, whom) => {
            let service = key(if second { SECOND } else { POOL });
            let command = match whom {
                Some(n) => Command::DelDestination(service, server(&at(n))),
                None => Command::DelService(service),
            };
            let _ = rig.kernel.run(&command);
        }
        Step::Drain(n) => {
            let limit = Some(Duration::from_secs(15));
            rig.input(drain(&at(n), limit));
        }
        Step::Undrain(n) => rig.input(undrain(&at(n))),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn there_are_never_two_and_in_the_end_one(
        first in settings(),
        steps in prop::collection::vec(steps(), 0..30),
    ) {
        let mut current = first;
        let mut rig = Rig::of(&current.config());
        for step in steps {
            take(&mut rig, &mut current, step);
        }
        (rig.refuse, rig.lose, rig.blind) = (None, None, false);
        for n in 0..4 {
            rig.input(undrain(&at(n)));
        }
        rig.pass(300_000, |_| true);
        let services = current.config();
        let services = service_keys(&services.virtual_servers[0]);
        let writers: BTreeSet<Vec<Endpoint>> = services
            .map(|key| {
                let table = &rig.kernel.now.table;
                table[&key].destinations.keys().map(|d| d.0).collect()
            })
            .collect();
        prop_assert_eq!(writers.len(), 1, "services differ: {:?}", writers);
        let writers = writers.first().unwrap();
        prop_assert_eq!(writers.len(), 1, "{:?}", rig.log);
        if current.failback {
            let first = at(current.first % current.servers);
            prop_assert_eq!(writers[0], endpoint(&first));
        }
        rig.kernel.writes = 0;
        rig.pass(100_000, |_| true);
        prop_assert_eq!(rig.kernel.writes, 0, "it does not come to rest: {:?}", rig.log);
    }
}
