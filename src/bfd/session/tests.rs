mod change;
mod pair;
mod table;

use super::*;
use crate::bfd::tests::config;

const OURS: u32 = 11;
const THEIRS: u32 = 22;

/// What the neighbor sends in a state: 50 ms, three may be missed.
fn from_neighbor(state: State) -> Packet {
    Packet {
        diagnostic: Diagnostic::NONE,
        state,
        poll: false,
        is_final: false,
        control_plane_independent: false,
        demand: false,
        detect_mult: NonZeroU8::new(3).unwrap(),
        my_discriminator: NonZeroU32::new(THEIRS).unwrap(),
        your_discriminator: OURS,
        desired_min_tx: if state == State::Up {
            50_000
        } else {
            1_000_000
        },
        required_min_rx: 50_000,
        required_min_echo_rx: 0,
    }
}

struct Bench {
    session: Session,
    now: Time,
}

impl Bench {
    fn new(config: BfdInstance) -> Bench {
        let now = Time::from_millis(1000);
        let discriminator = NonZeroU32::new(OURS).unwrap();
        Bench {
            session: Session::new(Arc::new(config), discriminator, 1, now),
            now,
        }
    }

    /// One that is in `state`, by the shortest way; Up: the poll of the start is over.
    fn in_state(state: State, config: BfdInstance) -> Bench {
        let mut bench = Bench::new(config);
        match state {
            State::AdminDown => drop(bench.input(Input::Stop)),
            State::Down => drop(bench.input(Input::Timer)),
            State::Init => drop(bench.hears(from_neighbor(State::Down))),
            State::Up => {
                bench.hears(from_neighbor(State::Init));
                bench.hears(Packet {
                    is_final: true,
                    ..from_neighbor(State::Up)
                });
            }
        }
        assert_eq!(bench.session.state(), state);
        bench
    }

    fn up() -> Bench {
        Bench::in_state(State::Up, config())
    }

    fn input(&mut self, input: Input) -> Vec<Action> {
        let mut out = Vec::new();
        self.session.handle(input, self.now, &mut out);
        out
    }

    fn hears(&mut self, packet: Packet) -> Vec<Action> {
        self.input(Input::Received(packet))
    }

    fn reconfigure(&mut self, config: BfdInstance) -> Vec<Action> {
        let mut out = Vec::new();
        self.session
            .reconfigure(Arc::new(config), self.now, &mut out);
        out
    }

    /// Runs the timers up to `ms` from now; what was done, with the time in milliseconds from now.
    fn pass(&mut self, ms: u64) -> Vec<(u128, Action)> {
        let (began, end) = (self.now, self.now + Duration::from_millis(ms));
        let mut done = Vec::new();
        while let Some((at, _)) = self.session.next_deadline()
            && at <= end
        {
            self.now = self.now.max(at);
            let out = self.input(Input::Timer);
            let after = self.now.since(began).as_millis();
            done.extend(out.into_iter().map(|action| (after, action)));
        }
        self.now = end;
        done
    }
}

fn sent(actions: &[Action]) -> Vec<Packet> {
    let packet = |action: &Action| match action {
        Action::Send(packet) => Some(*packet),
        _ => None,
    };
    actions.iter().filter_map(packet).collect()
}

/// When packets went out.
fn times(done: &[(u128, Action)]) -> Vec<u128> {
    let sends = done.iter().filter(|(_, a)| matches!(a, Action::Send(_)));
    sends.map(|(at, _)| *at).collect()
}

#[test]
fn it_speaks_at_once_and_then_slowly() {
    let mut bench = Bench::new(config());
    let done = bench.pass(10_000);
    let times = times(&done);
    assert_eq!(times[0], 0);
    let gaps: Vec<u128> = times.windows(2).map(|w| w[1] - w[0]).collect();
    assert!(
        gaps.iter().all(|gap| (750..=1000).contains(gap)),
        "{gaps:?}"
    );
    let Action::Send(packet) = &done[0].1 else {
        panic!("{done:?}")
    };
    assert_eq!(
        (packet.state, packet.desired_min_tx),
        (State::Down, 1_000_000)
    );
    assert_eq!(packet.your_discriminator, 0);
}

#[test]
fn a_shorter_idle_tx_than_a_second_is_a_second() {
    let mut bench = Bench::new(BfdInstance {
        idle_tx: Duration::from_millis(10),
        ..config()
    });
    assert!(times(&bench.pass(10_000)).len() < 15);
    let slower = BfdInstance {
        idle_tx: Duration::from_secs(4),
        ..config()
    };
    assert!(times(&Bench::new(slower).pass(10_000)).len() <= 4);
}

#[test]
fn a_passive_side_waits_to_be_spoken_to_and_falls_silent_again() {
    let mut bench = Bench::new(BfdInstance {
        passive: true,
        ..config()
    });
    assert_eq!(bench.pass(10_000), []);
    let answers = sent(&bench.hears(from_neighbor(State::Down)));
    assert_eq!(answers[0].state, State::Init);
    bench.hears(from_neighbor(State::Init));
    assert!(bench.session.is_up());
    let done = bench.pass(60_000);
    assert!(
        matches!(
            done.last(),
            Some((
                3000,
                Action::Entered {
                    to: State::Down,
                    ..
                }
            ))
        ),
        "{done:?}"
    );
}

#[test]
fn up_it_sends_by_min_tx_less_a_random_part() {
    let mut bench = Bench::up();
    let mut gaps = Vec::new();
    let mut last = None;
    for _ in 0..200 {
        let (at, _) = bench.session.next_deadline().unwrap();
        bench.now = at;
        bench.hears(from_neighbor(State::Up));
        assert_eq!(sent(&bench.input(Input::Timer)).len(), 1);
        gaps.extend(last.map(|last| at.since(last)));
        last = Some(at);
    }
    let (least, most) = (gaps.iter().min().unwrap(), gaps.iter().max().unwrap());
    assert!(*least >= Duration::from_micros(37_500), "{least:?}");
    assert!(*most <= Duration::from_millis(50), "{most:?}");
    assert!(*most - *least > Duration::from_millis(10), "no jitter");
}

#[test]
fn silence_for_the_detection_time_is_the_end() {
    let mut bench = Bench::up();
    assert_eq!(
        bench.session.detection_time(),
        Some(Duration::from_millis(150))
    );
    let done = bench.pass(149);
    assert!(
        done.iter()
            .all(|(_, action)| matches!(action, Action::Send(_)))
    );
    let done = bench.pass(1);
    let expected = Action::Entered {
        from: State::Up,
        to: State::Down,
        reason: Reason::Expired {
            detection: Duration::from_millis(150),
            silence: Duration::from_millis(150),
        },
    };
    assert_eq!(done[0], (1, expected));
    let Action::Send(packet) = &done[1].1 else {
        panic!("the neighbor is told at once: {done:?}")
    };
    assert_eq!(packet.diagnostic, Diagnostic::EXPIRED);
    assert_eq!(packet.your_discriminator, 0);
    // Slow again.
    assert!(times(&bench.pass(5000)).len() <= 7);
}

#[test]
fn the_slower_of_both_sides_decides() {
    let mut bench = Bench::up();
    bench.hears(Packet {
        desired_min_tx: 400_000,
        required_min_rx: 200_000,
        detect_mult: NonZeroU8::new(2).unwrap(),
        ..from_neighbor(State::Up)
    });
    assert_eq!(
        bench.session.detection_time(),
        Some(Duration::from_millis(800))
    );
    assert!(times(&bench.pass(790)).len() <= 6);
    assert!(bench.session.is_up());
}

#[test]
fn who_wants_no_packets_gets_none_but_answers() {
    let mut bench = Bench::up();
    let silent = Packet {
        required_min_rx: 0,
        ..from_neighbor(State::Up)
    };
    assert_eq!(bench.hears(silent), []);
    assert_eq!(times(&bench.pass(140)), Vec::<u128>::new());
    let answer = sent(&bench.hears(Packet {
        poll: true,
        ..silent
    }));
    assert!(answer.len() == 1 && answer[0].is_final);
    bench.hears(from_neighbor(State::Up));
    assert!(times(&bench.pass(140)).len() >= 2, "it wants them again");
}

#[test]
fn demand_mode_of_the_neighbor_ends_what_is_sent_by_time_and_nothing_else() {
    let mut bench = Bench::up();
    let demand = Packet {
        demand: true,
        ..from_neighbor(State::Up)
    };
    bench.hears(demand);
    assert_eq!(times(&bench.pass(140)), Vec::<u128>::new());
    let answer = sent(&bench.hears(Packet {
        poll: true,
        ..demand
    }));
    assert!(answer[0].is_final);
    // A poll of ours is sent all the same, until it is answered.
    bench.reconfigure(BfdInstance {
        min_tx: Duration::from_millis(20),
        ..config()
    });
    let polls = times(&bench.pass(140));
    assert!(polls.len() >= 2, "{polls:?}");
    bench.hears(Packet {
        is_final: true,
        ..demand
    });
    assert_eq!(times(&bench.pass(140)), Vec::<u128>::new());
    // And it still has to be heard.
    bench.pass(11);
    assert_eq!(bench.session.state(), State::Down);
}

#[test]
fn a_poll_is_answered_at_once_whatever_was_sent_before_and_never_with_a_poll() {
    let mut bench = Bench::in_state(State::Down, config());
    bench.hears(from_neighbor(State::Init));
    for _ in 0..3 {
        let answer = sent(&bench.hears(Packet {
            poll: true,
            ..from_neighbor(State::Up)
        }));
        assert_eq!(answer.len(), 1);
        assert!(answer[0].is_final && !answer[0].poll);
    }
    let (_, action) = bench.pass(60).remove(0);
    assert!(
        matches!(action, Action::Send(Packet { poll: true, .. })),
        "answers do not put our own off"
    );
}

#[test]
fn a_stall_of_ours_is_no_failure_of_the_neighbor() {
    let mut bench = Bench::up();
    bench.now += Duration::from_secs(20);
    let out = bench.input(Input::Timer);
    assert!(
        matches!(out[0], Action::Note(Note::Overslept(_))),
        "{out:?}"
    );
    assert_eq!(sent(&out).len(), 1, "it speaks at once");
    assert!(bench.session.is_up());
    // One detection time, and no more.
    bench.pass(149);
    assert!(bench.session.is_up());
    bench.pass(1);
    assert_eq!(bench.session.state(), State::Down);
}

#[test]
fn what_was_queued_during_a_stall_is_believed() {
    let mut bench = Bench::up();
    bench.now += Duration::from_secs(20);
    bench.hears(from_neighbor(State::Up));
    bench.input(Input::Timer);
    assert!(bench.session.is_up());
    let mut bench = Bench::up();
    bench.now += Duration::from_secs(20);
    bench.hears(from_neighbor(State::Down));
    assert_eq!(bench.session.state(), State::Down);
}

#[test]
fn a_short_delay_is_no_stall_and_stalls_are_told_of_once_in_a_while() {
    let mut bench = Bench::up();
    bench.now += Duration::from_millis(151);
    bench.input(Input::Timer);
    assert_eq!(bench.session.state(), State::Down);
    let mut bench = Bench::up();
    let mut told = 0;
    for _ in 0..100 {
        bench.now += Duration::from_millis(500);
        let out = bench.hears(from_neighbor(State::Up));
        told += out
            .iter()
            .filter(|a| matches!(a, Action::Note(Note::Overslept(_))))
            .count();
    }
    assert!((4..=6).contains(&told), "{told}");
}

#[test]
fn at_the_stop_the_neighbor_is_told_once_and_nothing_is_heard_any_more() {
    let mut bench = Bench::up();
    let out = bench.input(Input::Stop);
    let last = sent(&out);
    assert_eq!(
        (last[0].state, last[0].diagnostic),
        (State::AdminDown, Diagnostic::ADMINISTRATIVELY_DOWN)
    );
    assert_eq!(bench.session.next_deadline(), None);
    assert_eq!(
        bench.hears(Packet {
            poll: true,
            ..from_neighbor(State::Up)
        }),
        []
    );
    assert_eq!(bench.input(Input::Stop), []);
    assert_eq!(bench.reconfigure(config()), []);
    let mut passive = Bench::new(BfdInstance {
        passive: true,
        ..config()
    });
    assert_eq!(sent(&passive.input(Input::Stop)), [], "nobody is there");
}

#[test]
fn who_is_gone_for_the_detection_time_may_come_back_as_another() {
    let mut bench = Bench::in_state(State::Down, config());
    bench.hears(from_neighbor(State::AdminDown));
    assert_eq!(sent(&bench.input(Input::Timer)), []);
    let done = bench.pass(2999);
    assert!(
        done.iter()
            .all(|(_, a)| matches!(a, Action::Send(p) if p.your_discriminator == THEIRS))
    );
    let done = bench.pass(2000);
    assert!(
        done.iter()
            .all(|(_, a)| matches!(a, Action::Send(p) if p.your_discriminator == 0))
    );
}
