//! BFD sessions, and what their state does to instances and checks.

use std::num::{NonZeroU8, NonZeroU32};

use super::*;
use crate::config::model::{BfdInstance, SyncGroup, TrackedBfd};
use crate::engine::shared::SessionFacts;
use crate::fact::FactValue;
use crate::net::BfdPath;
use crate::wire::bfd::{Diagnostic, Packet, State, encode, parse};

const NEIGHBOR: &str = "10.0.0.9";

fn session(name: &str) -> BfdInstance {
    BfdInstance {
        name: name.to_owned(),
        neighbor: NEIGHBOR.parse().unwrap(),
        source: None,
        min_rx: Duration::from_millis(100),
        min_tx: Duration::from_millis(100),
        idle_tx: Duration::from_secs(1),
        multiplier: 3,
        passive: false,
        ttl: None,
        max_hops: 0,
        multihop: false,
        weight: Weight::Fault,
        for_vrrp: true,
        for_checker: true,
    }
}

fn with(sessions: Vec<BfdInstance>, instances: Vec<Instance>) -> Config {
    Config {
        bfd_instances: sessions.into_iter().map(|s| (s.name.clone(), s)).collect(),
        ..config(instances)
    }
}

/// VI_1 tracks `peer`.
fn tracking(weight: Weight) -> Config {
    let mut vi = instance("VI_1", 51, "10.0.0.100");
    vi.more.track_bfds = vec![TrackedBfd {
        session: "peer".into(),
        weight,
    }];
    with(vec![session("peer")], vec![vi])
}

fn packet(state: State, yours: u32) -> Packet {
    Packet {
        diagnostic: Diagnostic::NONE,
        state,
        poll: false,
        is_final: false,
        control_plane_independent: false,
        demand: false,
        detect_mult: NonZeroU8::new(3).unwrap(),
        my_discriminator: NonZeroU32::new(99).unwrap(),
        your_discriminator: yours,
        desired_min_tx: 100_000,
        required_min_rx: 100_000,
        required_min_echo_rx: 0,
    }
}

impl Bench {
    fn sent_packets(&self) -> Vec<Packet> {
        let sent = self.sessions.iter().filter_map(|action| match action {
            Action::SendSession { packet, .. } => Some(parse(packet).unwrap()),
            _ => None,
        });
        sent.collect()
    }

    fn paths(&self) -> Vec<BfdPath> {
        let opened = self.sessions.iter().filter_map(|action| match action {
            Action::OpenSession { path, .. } => Some(*path),
            _ => None,
        });
        opened.collect()
    }

    fn closed(&self) -> usize {
        let closed = |action: &&Action| matches!(action, Action::CloseSession(_));
        self.sessions.iter().filter(closed).count()
    }

    fn facts(&self) -> Option<SessionFacts> {
        self.sessions.iter().rev().find_map(|action| match action {
            Action::Sessions(facts) => Some(facts.clone()),
            _ => None,
        })
    }

    fn arrives(&mut self, source: &str, hops: u8, payload: &[u8]) {
        self.input(Input::SessionPacket(SessionPacket {
            multihop: false,
            source: source.parse().unwrap(),
            destination: "10.0.0.5".parse().unwrap(),
            hops,
            payload,
        }));
    }

    fn neighbor_says(&mut self, packet: Packet) {
        self.arrives(NEIGHBOR, 255, &encode(&packet));
    }

    /// Our name on the wire, as our packets say it.
    fn name_on_the_wire(&mut self) -> u32 {
        self.run_for(Duration::from_secs(1));
        self.sent_packets()[0].my_discriminator.get()
    }

    /// The session comes up, its poll is answered.
    fn neighbor_comes(&mut self) -> u32 {
        let ours = self.name_on_the_wire();
        self.neighbor_says(packet(State::Init, ours));
        self.neighbor_says(Packet {
            is_final: true,
            ..packet(State::Up, ours)
        });
        assert_eq!(self.said("(peer) Entering Up state"), 1);
        ours
    }

    /// The neighbor goes on speaking for this long.
    fn neighbor_stays(&mut self, ours: u32, ms: u64) {
        for _ in 0..ms / 100 {
            self.neighbor_says(packet(State::Up, ours));
            self.run_for(Duration::from_millis(100));
        }
    }
}

#[test]
fn an_instance_waits_in_fault_for_its_session_and_falls_with_it() {
    let mut bench = Bench::new(tracking(Weight::Fault));
    assert_eq!(bench.role("VI_1"), Role::Fault);
    assert_eq!(bench.said("FAULT STATE: BFD session peer is down"), 1);
    let ours = bench.neighbor_comes();
    assert_eq!(bench.role("VI_1"), Role::Backup);
    bench.neighbor_stays(ours, 5000);
    assert_eq!(bench.role("VI_1"), Role::Master);
    assert!(bench.has("10.0.0.100"));
    bench.run_for(Duration::from_millis(199));
    assert_eq!(
        bench.role("VI_1"),
        Role::Master,
        "the last packet is 100 ms old"
    );
    bench.run_for(Duration::from_millis(1));
    assert_eq!(bench.role("VI_1"), Role::Fault);
    assert!(!bench.has("10.0.0.100"));
    assert_eq!(bench.sent.last(), Some(&0));
}

#[test]
fn with_a_weight_it_moves_the_priority() {
    let gives = |delta, when_up| Weight::Priority { delta, when_up };
    for (weight, down, up) in [(gives(20, true), 100, 120), (gives(-20, false), 80, 100)] {
        let mut bench = Bench::new(tracking(weight));
        bench.run(5);
        assert_eq!(bench.sent.last(), Some(&down));
        let ours = bench.neighbor_comes();
        bench.neighbor_stays(ours, 2000);
        assert_eq!(bench.sent.last(), Some(&up));
        bench.neighbor_says(packet(State::AdminDown, ours));
        bench.run(2);
        assert_eq!(bench.sent.last(), Some(&down));
        assert_eq!(bench.role("VI_1"), Role::Master);
    }
}

#[test]
fn a_group_falls_with_the_session_that_it_tracks() {
    let tracked = TrackedBfd {
        session: "peer".into(),
        weight: Weight::Fault,
    };
    let instances = vec![
        instance("VI_1", 51, "10.0.0.100"),
        instance("VI_2", 52, "10.0.0.101"),
    ];
    let group = SyncGroup {
        name: "G".into(),
        members: vec!["VI_1".into(), "VI_2".into()],
        track_bfds: vec![tracked],
        ..SyncGroup::default()
    };
    let mut bench = Bench::new(Config {
        sync_groups: vec![group],
        ..with(vec![session("peer")], instances)
    });
    let ours = bench.neighbor_comes();
    bench.neighbor_stays(ours, 5000);
    assert_eq!([bench.role("VI_1"), bench.role("VI_2")], [Role::Master; 2]);
    bench.run(1);
    assert_eq!([bench.role("VI_1"), bench.role("VI_2")], [Role::Fault; 2]);
}

#[test]
fn what_is_not_the_neighbors_is_dropped_counted_and_told_once() {
    let mut bench = Bench::new(tracking(Weight::Fault));
    let ours = bench.neighbor_comes();
    let down = encode(&packet(State::Down, ours));
    for _ in 0..3 {
        bench.arrives("10.0.0.66", 255, &down);
    }
    assert_eq!(
        bench.said("it names the session but comes from 10.0.0.66"),
        1
    );
    bench.arrives(NEIGHBOR, 254, &down);
    bench.arrives(NEIGHBOR, 255, &down[..20]);
    let mut authenticated = down;
    authenticated[1] |= 4;
    bench.arrives(NEIGHBOR, 255, &authenticated);
    bench.neighbor_says(packet(State::Down, ours.wrapping_add(1)));
    assert_eq!(bench.said("is ignored"), 1);
    assert_eq!(bench.engine.session_packets_dropped("peer"), Some(7));
    // Of nobody's concern.
    bench.arrives("10.0.0.66", 255, &down[..20]);
    bench.arrives("10.0.0.66", 255, &encode(&packet(State::Down, 0)));
    assert_eq!(bench.engine.session_packets_dropped("peer"), Some(7));
    assert_eq!(bench.role("VI_1"), Role::Backup, "the session is up");
    let multihop = SessionPacket {
        multihop: true,
        source: NEIGHBOR.parse().unwrap(),
        destination: "10.0.0.5".parse().unwrap(),
        hops: 255,
        payload: &down,
    };
    bench.input(Input::SessionPacket(multihop));
    assert_eq!(bench.role("VI_1"), Role::Backup, "nor on the other port");
}

#[test]
fn an_authenticated_packet_is_dropped_and_the_log_says_what_to_do() {
    let mut bench = Bench::new(tracking(Weight::Fault));
    let mut bytes = encode(&packet(State::Down, 0));
    bytes[1] |= 4;
    bench.arrives(NEIGHBOR, 255, &bytes);
    assert_eq!(bench.said("vipd does not offer for BFD: turn it off"), 1);
    assert_eq!(bench.said("Entering Init"), 0);
}

#[test]
fn two_sessions_with_one_neighbor_are_told_apart_by_our_address() {
    let from = |name: &str, source: &str| BfdInstance {
        source: Some(source.parse().unwrap()),
        ..session(name)
    };
    let sessions = vec![from("a", "10.0.0.4"), from("b", "10.0.0.5")];
    let mut bench = Bench::new(with(sessions, vec![]));
    bench.neighbor_says(packet(State::Down, 0));
    assert_eq!(bench.said("(b) Entering Init state"), 1);
    assert_eq!(bench.said("(a)"), 0);
}

#[test]
fn a_reload_keeps_the_session_and_polls_for_changed_times() {
    let mut bench = Bench::new(tracking(Weight::Fault));
    let ours = bench.neighbor_comes();
    bench.neighbor_stays(ours, 5000);
    bench.sessions.clear();
    bench.input(Input::Reload(Arc::new(tracking(Weight::Fault))));
    assert_eq!(bench.sessions, [], "the same file");
    assert_eq!(bench.role("VI_1"), Role::Master);

    let mut slower = tracking(Weight::Fault);
    let changed = slower.bfd_instances.get_mut("peer").unwrap();
    changed.min_tx = Duration::from_millis(300);
    bench.input(Input::Reload(Arc::new(slower)));
    let sent = bench.sent_packets();
    assert_eq!(
        (sent.len(), sent[0].poll, sent[0].desired_min_tx),
        (1, true, 300_000)
    );
    assert_eq!(sent[0].my_discriminator.get(), ours);
    assert_eq!(sent[0].state, State::Up);
    assert_eq!(bench.role("VI_1"), Role::Master);
}

#[test]
fn a_reload_ends_sessions_begins_others_and_renames() {
    let mut bench = Bench::new(tracking(Weight::Fault));
    let ours = bench.neighbor_comes();
    bench.sessions.clear();
    bench.input(Input::Reload(Arc::new(with(
        vec![session("other_name")],
        vec![],
    ))));
    assert_eq!(
        (bench.sent_packets(), bench.closed()),
        (vec![], 0),
        "goes on"
    );
    assert_eq!(bench.engine.session_packets_dropped("other_name"), Some(0));

    let elsewhere = BfdInstance {
        neighbor: "10.0.0.10".parse().unwrap(),
        ..session("other_name")
    };
    bench.input(Input::Reload(Arc::new(with(vec![elsewhere], vec![]))));
    let last = bench.sent_packets();
    assert_eq!(
        (last[0].state, last[0].my_discriminator.get()),
        (State::AdminDown, ours)
    );
    assert_eq!(bench.closed(), 1);
    assert_eq!(bench.paths().len(), 1);
    bench.run(1);
    let fresh = *bench.sent_packets().last().unwrap();
    assert_eq!(fresh.state, State::Down);
    assert_ne!(fresh.my_discriminator.get(), ours);
}

#[test]
fn another_ttl_is_another_socket_and_the_same_session() {
    let mut bench = Bench::new(tracking(Weight::Fault));
    let ours = bench.neighbor_comes();
    assert_eq!(bench.paths()[0].hops, 255);
    bench.sessions.clear();
    let mut config = tracking(Weight::Fault);
    config.bfd_instances.get_mut("peer").unwrap().ttl = Some(64);
    bench.input(Input::Reload(Arc::new(config)));
    assert!(matches!(
        bench.sessions[..],
        [Action::CloseSession(_), Action::OpenSession { .. }]
    ));
    assert_eq!(bench.paths()[0].hops, 64);
    bench.neighbor_stays(ours, 1000);
    assert_eq!(bench.role("VI_1"), Role::Backup);
}

#[test]
fn at_the_stop_every_neighbor_is_told() {
    for (kind, state) in [
        (StopKind::Release, Some(State::AdminDown)),
        (StopKind::Keep, None),
    ] {
        let mut bench = Bench::new(tracking(Weight::Fault));
        bench.neighbor_comes();
        bench.sessions.clear();
        bench.input(Input::Stop(kind));
        let said = bench.sent_packets().first().map(|packet| packet.state);
        assert_eq!(said, state, "{kind:?}");
        assert!(bench.released);
    }
}

#[test]
fn checks_are_told_what_is_known() {
    let vrrp_alone = BfdInstance {
        neighbor: "10.0.0.8".parse().unwrap(),
        for_checker: false,
        ..session("vrrp_alone")
    };
    let mut bench = Bench::new(with(vec![session("peer"), vrrp_alone], vec![]));
    let facts = |value| Some(SessionFacts::from([("peer".to_owned(), value)]));
    assert_eq!(bench.facts(), facts(FactValue::Unknown));
    bench.neighbor_comes();
    assert_eq!(bench.facts(), facts(FactValue::Up));
    bench.run(1);
    assert_eq!(bench.facts(), facts(FactValue::Down));
    bench.input(Input::Reload(Arc::new(with(vec![], vec![]))));
    assert_eq!(bench.facts(), Some(SessionFacts::new()));
}

#[test]
fn sockets_that_cannot_be_opened_are_told_once_and_tried_again() {
    let mut bench = Bench::new(with(vec![session("peer")], vec![]));
    for tries in 1..4 {
        let opened = bench.sessions.iter().rev().find_map(|action| match action {
            Action::OpenSession { session, .. } => Some(*session),
            _ => None,
        });
        assert_eq!(bench.paths().len(), tries);
        bench.input(Input::SessionFailed {
            session: opened.unwrap(),
            error: "bind UDP port 3784 for BFD: address already in use".to_owned(),
        });
        bench.run(1);
    }
    assert_eq!(bench.said("address already in use"), 1);
    bench.run(60);
    assert_eq!(bench.paths().len(), 4, "it was opened");
}
