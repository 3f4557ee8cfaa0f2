//! Two sessions that speak to each other on one virtual clock, over a path that loses and delays.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::wire::bfd::{encode, parse};

struct World {
    now: Time,
    ends: [Session; 2],
    /// On the way: when it comes, in which order, to whom.
    path: BTreeMap<(Time, u64), (usize, Packet)>,
    sent: u64,
    random: u64,
    /// Of 256.
    loss: u8,
    delay: Duration,
    /// Whether what this end sends is lost.
    cut: [bool; 2],
    /// How often each end left Up.
    lost: [usize; 2],
    /// How many packets each end sent.
    count: [u32; 2],
}

impl World {
    fn new(configs: [BfdInstance; 2], seed: u64, loss: u8) -> World {
        let session = |config: &BfdInstance, name: u32| {
            let discriminator = NonZeroU32::new(name).unwrap();
            let seed = seed.wrapping_add(name.into());
            Session::new(Arc::new(config.clone()), discriminator, seed, Time::ZERO)
        };
        World {
            now: Time::ZERO,
            ends: [session(&configs[0], OURS), session(&configs[1], THEIRS)],
            path: BTreeMap::new(),
            sent: 0,
            random: seed,
            loss,
            delay: Duration::from_micros(100),
            cut: [false; 2],
            lost: [0; 2],
            count: [0; 2],
        }
    }

    fn is_lost(&mut self) -> bool {
        // A linear congruential generator is good enough for dice (Knuth, MMIX).
        let next = self.random.wrapping_mul(6_364_136_223_846_793_005);
        self.random = next.wrapping_add(1_442_695_040_888_963_407);
        self.random.to_be_bytes()[0] < self.loss
    }

    fn carry_out(&mut self, end: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send(packet) => {
                    assert!(!(packet.poll && packet.is_final));
                    self.count[end] += 1;
                    if self.is_lost() || self.cut[end] {
                        continue;
                    }
                    self.sent += 1;
                    let packet = parse(&encode(&packet)).unwrap();
                    let arrival = (self.now + self.delay, self.sent);
                    self.path.insert(arrival, (1 - end, packet));
                }
                Action::Entered {
                    from: State::Up, ..
                } => self.lost[end] += 1,
                Action::Entered { .. } | Action::Note(_) => {}
            }
        }
    }

    fn input(&mut self, end: usize, input: Input) {
        let mut out = Vec::new();
        self.ends[end].handle(input, self.now, &mut out);
        self.carry_out(end, out);
    }

    fn reconfigure(&mut self, end: usize, config: BfdInstance) {
        let mut out = Vec::new();
        self.ends[end].reconfigure(Arc::new(config), self.now, &mut out);
        self.carry_out(end, out);
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        let mut steps = 0;
        loop {
            let arrival = self.path.keys().next().map(|(at, _)| *at);
            let timers = [0, 1].map(|e| self.ends[e].next_deadline().map(|(at, _)| at));
            let all = arrival.into_iter().chain(timers.into_iter().flatten());
            let Some(next) = all.min().filter(|next| *next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            steps += 1;
            assert!(steps < 200_000, "they shout at each other");
            // What came in before any timer, as the thread does it.
            if arrival == Some(next) {
                let (_, (to, packet)) = self.path.pop_first().unwrap();
                self.input(to, Input::Received(packet));
                continue;
            }
            for (which, timer) in timers.into_iter().enumerate() {
                if timer == Some(next) {
                    self.input(which, Input::Timer);
                }
            }
        }
        self.now = end;
    }

    fn states(&self) -> [State; 2] {
        [self.ends[0].state(), self.ends[1].state()]
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn config_of(min_tx: u64, min_rx: u64, multiplier: u8) -> BfdInstance {
    BfdInstance {
        min_tx: Duration::from_millis(min_tx),
        min_rx: Duration::from_millis(min_rx),
        multiplier,
        ..config()
    }
}

fn configs() -> impl Strategy<Value = BfdInstance> {
    (2u64..400, 2u64..400, 1u8..8).prop_map(|(tx, rx, multiplier)| config_of(tx, rx, multiplier))
}

/// Those for whom one packet more or less does not matter.
fn patient_configs() -> impl Strategy<Value = BfdInstance> {
    configs().prop_map(|config| BfdInstance {
        multiplier: config.multiplier.max(3),
        ..config
    })
}

#[test]
fn two_that_find_each_other_are_up_within_a_slow_packet() {
    let mut world = World::new([config(), config()], 5, 0);
    world.run(seconds(1));
    assert_eq!(world.states(), [State::Up; 2]);
    assert_eq!(world.lost, [0; 2]);
}

#[test]
fn of_two_passive_ones_none_begins() {
    let passive = BfdInstance {
        passive: true,
        ..config()
    };
    let mut world = World::new([passive.clone(), passive.clone()], 5, 0);
    world.run(seconds(20));
    assert_eq!(world.states(), [State::Down; 2]);
    assert_eq!(world.sent, 0);
    let mut world = World::new([passive, config()], 5, 0);
    world.run(seconds(20));
    assert_eq!(world.states(), [State::Up; 2]);
}

#[test]
fn one_that_is_stopped_is_known_to_be() {
    let mut world = World::new([config(), config()], 5, 0);
    world.run(seconds(3));
    world.input(0, Input::Stop);
    world.run(Duration::from_millis(1));
    assert_eq!(world.states(), [State::AdminDown, State::Down]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Without loss: up, and up for good, and none sends more often than both agreed.
    #[test]
    fn on_a_good_path_they_come_up_and_stay(a in configs(), b in configs(), seed: u64) {
        let mut world = World::new([a.clone(), b.clone()], seed, 0);
        world.run(seconds(5));
        prop_assert_eq!(world.states(), [State::Up; 2]);
        world.count = [0; 2];
        world.run(seconds(4));
        prop_assert_eq!(world.states(), [State::Up; 2]);
        prop_assert_eq!(world.lost, [0; 2]);
        for (end, (own, other)) in [(&a, &b), (&b, &a)].into_iter().enumerate() {
            let interval = own.min_tx.max(other.min_rx);
            let most = seconds(4).as_micros() / (interval * 3 / 4).as_micros() + 1;
            prop_assert!(u128::from(world.count[end]) <= most, "{} of {most}", world.count[end]);
            let theirs = other.min_tx.max(own.min_rx) * u32::from(other.multiplier);
            prop_assert_eq!(world.ends[end].detection_time(), Some(theirs));
        }
    }

    /// Whatever is lost: once nothing is any more, both are up within a few slow packets.
    #[test]
    fn after_any_loss_they_find_each_other_again(
        a in configs(), b in configs(), seed: u64, loss: u8
    ) {
        let mut world = World::new([a, b], seed, loss);
        world.run(seconds(20));
        world.loss = 0;
        world.run(seconds(12));
        prop_assert_eq!(world.states(), [State::Up; 2]);
    }

    /// A path that is cut is noticed at both ends: where nothing is heard, within the detection time; at
    /// the other end within its own, or by the word of the first if that still comes through.
    #[test]
    fn a_cut_is_noticed_in_time(a in configs(), b in configs(), seed: u64, both: bool) {
        let mut world = World::new([a, b], seed, 0);
        world.run(seconds(5));
        prop_assert_eq!(world.states(), [State::Up; 2]);
        world.cut = [true, both];
        let [other, detection] = [0, 1].map(|end| world.ends[end].detection_time().unwrap());
        world.run(detection + world.delay);
        prop_assert_ne!(world.ends[1].state(), State::Up);
        let limit = if both { other.saturating_sub(detection) } else { world.delay };
        world.run(limit + world.delay);
        prop_assert_ne!(world.ends[0].state(), State::Up);
    }

    /// Other times at both ends, also while the first change is not settled: nobody takes the other for
    /// dead, and in the end both know.
    #[test]
    fn changed_times_are_agreed_on_without_a_gap(
        a in patient_configs(), b in patient_configs(), c in patient_configs(),
        d in patient_configs(), seed: u64, between in 0u64..500
    ) {
        let between = Duration::from_millis(between);
        let mut world = World::new([a, b], seed, 0);
        world.run(seconds(5));
        world.reconfigure(0, c);
        world.run(between);
        world.reconfigure(1, d.clone());
        world.run(between);
        world.reconfigure(0, d.clone());
        world.run(seconds(5));
        prop_assert_eq!(world.states(), [State::Up; 2]);
        prop_assert_eq!(world.lost, [0; 2]);
        let interval = d.min_tx.max(d.min_rx);
        for end in &world.ends {
            prop_assert_eq!(end.detection_time(), Some(interval * u32::from(d.multiplier)));
            prop_assert_eq!(end.interval, Some(interval));
        }
    }

    /// Any packets at any time: no panic, and never more than one packet for each.
    #[test]
    fn whatever_is_heard_is_answered_at_most_once(
        bodies in prop::collection::vec((any::<[u8; 22]>(), any::<u8>()), 1..60)
    ) {
        let mut bench = Bench::up();
        for (body, pause) in bodies {
            let mut bytes = [0x20, body[0] & 0xfa, body[1], 24].to_vec();
            bytes.extend(&body[2..]);
            if let Ok(packet) = parse(&bytes) {
                let answers = sent(&bench.hears(packet));
                prop_assert!(answers.len() <= 1, "{answers:?}");
            }
            bench.now += Duration::from_millis(pause.into());
            bench.input(Input::Timer);
        }
    }
}
