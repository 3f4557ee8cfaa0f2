//! Leaving: how long addresses are held, and what ends it.

use super::*;
use crate::config::model::Preempt;
use crate::units::Version;

const HELD: Duration = Duration::from_millis(1200);

/// When the addresses go, in silence; every action until then.
fn until_released(bench: &mut Bench) -> (Duration, Vec<Action>) {
    let (begun, mut all) = (bench.now, Vec::new());
    while bench.machine.is_leaving() {
        all.extend(bench.run_to_deadline());
    }
    (bench.now.since(begun), all)
}

#[test]
fn in_silence_addresses_are_held_for_the_worst_skew_and_a_little() {
    let v2 = |s| hold_time(Version::V2, Duration::from_secs(s));
    assert_eq!(
        (v2(1), v2(60)),
        (HELD, HELD),
        "the skew of version 2 is 1 s"
    );
    let v3 = |ms| hold_time(Version::V3, Duration::from_millis(ms));
    assert_eq!(v3(10), Duration::from_millis(210));
    assert_eq!(v3(40_000), Duration::from_secs(5));
}

#[test]
fn a_stopped_master_lets_go_after_silence_and_never_comes_back() {
    let mut bench = Bench::master(instance(100));
    bench.input(Input::Stop);
    let (held, actions) = until_released(&mut bench);
    assert_eq!((held, actions), (HELD, vec![Action::Release]));
    for input in [Input::Standing(Standing::Able), Input::MayClaim] {
        assert_eq!(bench.input(input), []);
    }
    assert_eq!(bench.machine.next_deadline(), None);
}

#[test]
fn the_first_advert_of_the_new_master_leaves_50_ms() {
    let mut bench = Bench::master(instance(100));
    bench.input(Input::Stop);
    bench.pass(400);
    assert_eq!(
        bench.heard("10.0.0.9", 0),
        [],
        "another that leaves is no successor"
    );
    bench.heard("10.0.0.9", 50);
    bench.pass(30);
    bench.heard("10.0.0.9", 50);
    let (held, actions) = until_released(&mut bench);
    assert_eq!(
        (held, actions),
        (Duration::from_millis(20), vec![Action::Release])
    );
}

#[test]
fn an_announcement_of_somebody_else_ends_it_at_once() {
    let mut bench = Bench::master(instance(100));
    bench.input(Input::Stop);
    assert_eq!(bench.input(Input::TakenOver), [Action::Release]);
    assert!(!bench.machine.holds_addresses());
    assert_eq!(
        bench.input(Input::TakenOver),
        [],
        "nothing is left to let go"
    );
}

#[test]
fn a_master_that_is_beaten_holds_until_the_winner_announces() {
    let mut bench = Bench::master(instance(100));
    bench.heard("10.0.0.9", 150);
    assert_eq!(bench.input(Input::TakenOver), [Action::Release]);
    // Not announced: the winner was master all along. One last advert makes it announce again.
    let mut bench = Bench::master(instance(100));
    bench.heard("10.0.0.9", 150);
    let (held, actions) = until_released(&mut bench);
    assert_eq!(held, ANNOUNCED_WITHIN);
    assert_eq!(
        actions,
        [Action::SendAdvert { priority: 100 }, Action::Release]
    );
    assert_eq!(bench.machine.state(), State::Backup);
}

#[test]
fn a_fault_ends_it_at_once() {
    let mut bench = Bench::master(instance(100));
    bench.input(Input::Stop);
    assert_eq!(bench.input(faulty()), [Action::Release]);
    let mut bench = Bench::master(instance(100));
    bench.input(Input::HandOver);
    assert_eq!(bench.input(faulty())[0], Action::Release);
    assert_eq!(bench.machine.next_deadline(), None);
}

#[test]
fn whoever_takes_what_was_handed_over_keeps_it_while_it_speaks() {
    let mut bench = Bench::master(instance(100));
    let actions = bench.input(Input::HandOver);
    assert_eq!(actions[0], Action::SendAdvert { priority: 0 });
    assert_eq!(bench.machine.state(), State::Backup);
    for _ in 0..30 {
        bench.heard("10.0.0.9", 50);
        bench.pass(1000);
    }
    assert_eq!(bench.machine.state(), State::Backup, "50 is let be");
    bench.pass(3610);
    assert_eq!(bench.machine.state(), State::Master);
    // Once: from then on it preempts as before.
    bench.heard("10.0.0.1", 150);
    for _ in 0..5 {
        bench.heard("10.0.0.9", 50);
        bench.pass(1000);
    }
    assert_eq!(bench.machine.state(), State::Master);
}

#[test]
fn what_nobody_takes_over_is_kept() {
    let mut bench = Bench::master(instance(100));
    bench.input(Input::HandOver);
    let (held, actions) = until_released(&mut bench);
    assert_eq!(held, HELD);
    assert!(!actions.contains(&Action::Release), "{actions:?}");
    assert_eq!(bench.machine.state(), State::Master);
}

#[test]
fn who_stands_by_yields_and_stays_yielded() {
    let mut bench = Bench::master(instance(100));
    bench.input(Input::Standby(true));
    let (held, actions) = until_released(&mut bench);
    assert_eq!((held, actions), (HELD, vec![Action::Release]));
    bench.pass(60_000);
    bench.input(Input::MayClaim);
    bench.heard("10.0.0.9", 50);
    bench.heard("10.0.0.9", 0);
    bench.pass(60_000);
    assert_eq!(bench.machine.state(), State::Backup);
    bench.input(Input::Standby(false));
    bench.pass(3610);
    assert_eq!(bench.machine.state(), State::Master);
}

#[test]
fn who_stands_by_does_not_begin_as_master_either() {
    let owner = Instance {
        state: InitialState::Master,
        ..instance(255)
    };
    for (config, start) in [(owner, Start::Fresh), (instance(100), Start::Resume)] {
        let mut bench = Bench::new(config, start);
        bench.input(Input::Standby(true));
        bench.input(Input::Standing(Standing::Able));
        assert_eq!(bench.machine.state(), State::Backup);
        assert!(!bench.machine.holds_addresses());
        bench.pass(10_000);
        assert_eq!(bench.machine.state(), State::Backup);
    }
}

#[test]
fn a_hand_over_in_nopreempt_is_the_same() {
    let mut bench = Bench::master(Instance {
        preempt: Preempt::Never,
        ..instance(100)
    });
    bench.input(Input::HandOver);
    bench.heard("10.0.0.9", 50);
    let (held, _) = until_released(&mut bench);
    assert_eq!(held, ANNOUNCED_WITHIN);
    assert_eq!(bench.machine.state(), State::Backup);
}
