//! Times that change while the session is up: the neighbor is polled (RFC 5880 section 6.5).

use super::*;

#[test]
fn going_up_the_neighbor_is_polled_until_it_answers() {
    let mut bench = Bench::in_state(State::Init, config());
    let first = sent(&bench.hears(from_neighbor(State::Up)));
    assert_eq!((first[0].poll, first[0].desired_min_tx), (true, 50_000));
    bench.hears(from_neighbor(State::Up));
    let polls = bench.pass(140);
    assert!(
        polls
            .iter()
            .all(|(_, a)| matches!(a, Action::Send(p) if p.poll)),
        "{polls:?}"
    );
    bench.hears(Packet {
        is_final: true,
        ..from_neighbor(State::Up)
    });
    let after = bench.pass(140);
    assert!(
        after
            .iter()
            .all(|(_, a)| matches!(a, Action::Send(p) if !p.poll)),
        "{after:?}"
    );
}

#[test]
fn what_would_hurt_waits_until_the_neighbor_knows() {
    let mut bench = Bench::up();
    let slower = BfdInstance {
        min_tx: Duration::from_millis(200),
        min_rx: Duration::from_millis(20),
        ..config()
    };
    let told = sent(&bench.reconfigure(slower));
    assert_eq!(
        (
            told[0].poll,
            told[0].desired_min_tx,
            told[0].required_min_rx
        ),
        (true, 200_000, 20_000)
    );
    // Still as often, still as patient.
    assert!(times(&bench.pass(140)).len() >= 2);
    let quick = Packet {
        desired_min_tx: 10_000,
        ..from_neighbor(State::Up)
    };
    bench.hears(quick);
    assert_eq!(
        bench.session.detection_time(),
        Some(Duration::from_millis(150))
    );
    bench.hears(Packet {
        is_final: true,
        ..quick
    });
    assert_eq!(
        bench.session.detection_time(),
        Some(Duration::from_millis(60))
    );
    let (at, _) = bench.session.next_deadline().unwrap();
    assert_eq!(at, bench.now + Duration::from_millis(60));
    assert_eq!(bench.session.interval, Some(Duration::from_millis(200)));
}

#[test]
fn what_does_not_hurt_holds_at_once() {
    let mut bench = Bench::up();
    bench.reconfigure(BfdInstance {
        min_tx: Duration::from_millis(20),
        min_rx: Duration::from_millis(100),
        multiplier: 9,
        ..config()
    });
    assert_eq!(
        bench.session.detection_time(),
        Some(Duration::from_millis(300))
    );
    assert!(
        bench
            .pass(299)
            .iter()
            .all(|(_, a)| matches!(a, Action::Send(_)))
    );
    assert!(bench.session.is_up());
    bench.pass(1);
    assert_eq!(bench.session.state(), State::Down);
}

#[test]
fn a_change_during_a_poll_is_polled_again() {
    let mut bench = Bench::up();
    let with_tx = |ms| BfdInstance {
        min_tx: Duration::from_millis(ms),
        ..config()
    };
    bench.reconfigure(with_tx(200));
    bench.reconfigure(with_tx(300));
    let answer = Packet {
        is_final: true,
        ..from_neighbor(State::Up)
    };
    // It may answer what the first one said.
    bench.hears(answer);
    assert_eq!(bench.session.interval, Some(Duration::from_millis(50)));
    bench.hears(answer);
    assert_eq!(bench.session.interval, Some(Duration::from_millis(300)));
}

#[test]
fn the_same_configuration_again_sends_nothing() {
    let mut bench = Bench::up();
    let before = bench.session.next_deadline();
    assert_eq!(bench.reconfigure(config()), []);
    assert_eq!(bench.session.next_deadline(), before);
}

#[test]
fn another_multiplier_is_said_without_a_poll() {
    let mut bench = Bench::up();
    let told = sent(&bench.reconfigure(BfdInstance {
        multiplier: 7,
        ..config()
    }));
    assert_eq!((told[0].poll, told[0].detect_mult.get()), (false, 7));
}
