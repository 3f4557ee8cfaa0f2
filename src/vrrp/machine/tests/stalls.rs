//! Routers that stood still, that were started again, and that are flooded.

use super::*;
use crate::units::Version;

fn adverts(actions: &[Action]) -> usize {
    let advert = |action: &&Action| matches!(action, Action::SendAdvert { .. });
    actions.iter().filter(advert).count()
}

#[test]
fn a_master_that_stood_still_listens_before_it_speaks() {
    let mut bench = Bench::master(instance(100));
    let woken = bench.pass(20_000);
    assert!(
        matches!(woken[..], [Action::Note(Note::Overslept(_))]),
        "{woken:?}"
    );
    assert_eq!(bench.machine.state(), State::Master);
    assert!(bench.machine.holds_addresses());
    assert_eq!(bench.pass(1099), []);
    let asserts = bench.pass(1);
    assert_eq!(
        asserts,
        [
            Action::SendAdvert { priority: 100 },
            Action::Hold,
            Action::Announce { repeat: 5 }
        ]
    );
    assert_eq!(adverts(&bench.pass(1000)), 1);
}

#[test]
fn a_master_that_stood_still_yields_to_a_higher_one_without_a_word() {
    let mut bench = Bench::master(instance(100));
    bench.now += Duration::from_secs(20);
    let actions = bench.heard("10.0.0.9", 150);
    assert_eq!(adverts(&actions), 0);
    assert_eq!(bench.machine.state(), State::Backup);
}

#[test]
fn a_master_that_stood_still_takes_the_vip_back_only_if_it_may_preempt() {
    for (preempt, state) in [
        (Preempt::Never, State::Backup),
        (Preempt::After(Duration::from_secs(30)), State::Backup),
        (Preempt::After(Duration::ZERO), State::Master),
    ] {
        let mut bench = Bench::master(Instance {
            preempt,
            ..instance(100)
        });
        bench.now += Duration::from_secs(20);
        // What came in meanwhile is handled before any timer.
        bench.heard("10.0.0.9", 50);
        bench.input(Input::Timer);
        assert_eq!(bench.machine.state(), state, "{preempt:?}");
        assert_eq!(bench.machine.holds_addresses(), state == State::Master);
    }
}

#[test]
fn a_backup_that_stood_still_does_not_take_silence_for_a_dead_master() {
    let mut bench = Bench::backup(instance(100));
    bench.pass(20_000);
    assert_eq!(bench.machine.state(), State::Backup);
    bench.pass(1000);
    bench.heard("10.0.0.9", 150);
    bench.pass(3000);
    assert_eq!(bench.machine.state(), State::Backup);
    // And if there is none, it waits for one that stood still beside it, and then as for any other.
    let mut bench = Bench::backup(instance(100));
    bench.pass(20_000);
    bench.pass(1100 + 3609);
    assert_eq!(bench.machine.state(), State::Backup);
    bench.pass(1);
    assert_eq!(bench.machine.state(), State::Master);
}

#[test]
fn a_quick_router_that_stood_still_listens_for_two_intervals_and_not_for_eleven() {
    let mut bench = Bench::master(Instance {
        version: Version::V3,
        advert_int: AdvertInterval::new(Duration::from_millis(10)).unwrap(),
        ..instance(100)
    });
    bench.pass(1000);
    assert_eq!(adverts(&bench.pass(19)), 0);
    assert_eq!(adverts(&bench.pass(1)), 1);
}

#[test]
fn a_backup_that_stood_still_while_it_waited_for_ipvs_listens_before_it_claims() {
    let waits = || {
        let mut bench = Bench {
            machine: Machine::new(Arc::new(instance(100)), Start::Fresh),
            now: Time::ZERO,
        };
        bench.input(Input::Standing(Standing::Able));
        bench.run_to_deadline();
        bench
    };
    // However long it waits: told once, and claimed at once.
    let mut bench = waits();
    for _ in 0..10 {
        assert_eq!(bench.pass(3610), []);
    }
    bench.input(Input::MayClaim);
    assert_eq!(bench.machine.state(), State::Master);
    // Another may be master by now, whose adverts were not read yet.
    let mut bench = waits();
    bench.now += Duration::from_secs(20);
    let woken = bench.input(Input::MayClaim);
    assert!(
        matches!(woken[..], [Action::Note(Note::Overslept(_))]),
        "{woken:?}"
    );
    bench.heard("10.0.0.9", 50);
    bench.pass(3000);
    assert_eq!(bench.machine.state(), State::Backup);
    // And if there is none, it claims as after any other stall.
    let mut bench = waits();
    bench.now += Duration::from_secs(20);
    bench.input(Input::MayClaim);
    bench.pass(1100 + 3609);
    assert_eq!(bench.machine.state(), State::Backup);
    bench.pass(1);
    assert_eq!(bench.machine.state(), State::Master);
}

#[test]
fn a_timer_that_is_a_little_late_is_no_stall() {
    let mut bench = Bench::master(instance(100));
    assert_eq!(adverts(&bench.pass(3000)), 1);
    let mut bench = Bench::backup(instance(100));
    bench.pass(6000);
    assert_eq!(bench.machine.state(), State::Master);
}

#[test]
fn a_resumed_master_does_not_wait_for_its_scripts() {
    let mut bench = Bench::new(instance(100), Start::Resume);
    let actions = bench.input(Input::Standing(Standing::Waiting));
    assert_eq!(bench.machine.state(), State::Master);
    assert_eq!(adverts(&actions), 1);
    let mut bench = Bench::new(instance(100), Start::Resume);
    bench.input(faulty());
    assert_eq!(bench.machine.state(), State::Fault);
    let mut bench = Bench::new(instance(100), Start::Keep);
    bench.input(Input::Standing(Standing::Waiting));
    assert_eq!(bench.machine.state(), State::Init);
}

#[test]
fn a_lower_priority_does_not_put_off_the_adverts_of_every_interval() {
    let mut bench = Bench::master(instance(100));
    bench.pass(900);
    assert_eq!(adverts(&bench.heard("10.0.0.9", 50)), 1);
    assert_eq!(adverts(&bench.pass(99)), 0);
    assert_eq!(adverts(&bench.pass(1)), 1);
    // Nor does one that is not answered, again and again.
    let mut bench = Bench::master(Instance {
        lower_prio_no_advert: true,
        ..instance(100)
    });
    let mut sent = 0;
    for _ in 0..50 {
        sent += adverts(&bench.pass(100));
        sent += adverts(&bench.heard("10.0.0.9", 50));
    }
    assert_eq!(sent, 5);
    // A goodbye is answered with the advert of this interval (RFC 9568 section 6.4.3).
    let mut bench = Bench::master(instance(100));
    bench.pass(900);
    assert_eq!(adverts(&bench.heard("10.0.0.9", 0)), 1);
    assert_eq!(adverts(&bench.pass(999)), 0);
    assert_eq!(adverts(&bench.pass(1)), 1);
}

#[test]
fn a_flood_of_lower_priorities_or_goodbyes_is_not_answered_one_by_one() {
    for priority in [50, 0] {
        let mut bench = Bench::master(instance(100));
        let mut actions = Vec::new();
        for _ in 0..10_000 {
            bench.now += Duration::from_micros(100);
            actions.extend(bench.heard("10.0.0.9", priority));
        }
        assert!(
            (1..=5).contains(&adverts(&actions)),
            "{}",
            adverts(&actions)
        );
        assert!(actions.len() <= 15, "{}", actions.len());
        assert_eq!(bench.machine.state(), State::Master);
    }
}
