//! Keywords of the election, one by one.

use super::*;

#[test]
fn a_master_that_would_not_preempt_lets_go_when_another_may_be_master() {
    let late = |others: u8| Instance {
        preempt: Preempt::Never,
        timer_expired_backup: Priority::new(others),
        ..instance(100)
    };
    // The last advert, 3 intervals and the skew of 254 (8 ms): 2.0078 s after the next was due.
    let mut bench = Bench::master(late(254));
    bench.pass(3007);
    assert_eq!(bench.machine.state(), State::Master);
    let mut bench = Bench::master(late(254));
    let actions = bench.pass(3008);
    assert!(matches!(
        &actions[0],
        Action::Entered {
            to: State::Backup,
            reason: Reason::TimerExpired(_),
            ..
        }
    ));
    assert_eq!(actions[1..], [Action::Release], "without a goodbye");
    // The wait for a master begins now.
    bench.pass(3600);
    assert_eq!(bench.machine.state(), State::Backup);
    bench.pass(10);
    assert_eq!(bench.machine.state(), State::Master);
    // If the best of the others has 128, half a second later.
    let mut bench = Bench::master(late(128));
    bench.pass(3499);
    assert_eq!(bench.machine.state(), State::Master);
    let mut bench = Bench::master(late(128));
    bench.pass(3501);
    assert_eq!(bench.machine.state(), State::Backup);
}

#[test]
fn lower_prio_no_advert_keeps_a_master_silent_and_it_still_announces() {
    let mut bench = Bench::master(Instance {
        lower_prio_no_advert: true,
        ..instance(100)
    });
    let actions = bench.heard("10.0.0.9", 50);
    assert_eq!(actions[1..], [Action::Announce { repeat: 5 }]);
}

#[test]
fn higher_prio_send_advert_makes_a_last_advert_before_the_master_yields() {
    let mut bench = Bench::master(Instance {
        higher_prio_send_advert: true,
        ..instance(100)
    });
    let actions = bench.heard("10.0.0.9", 150);
    assert_eq!(actions[0], Action::SendAdvert { priority: 100 });
    assert_eq!(bench.machine.state(), State::Backup);
}

#[test]
fn down_timer_adverts_says_how_many_may_be_missed() {
    for (adverts, ms) in [(1, 1609), (10, 10_609)] {
        let mut bench = Bench::backup(Instance {
            down_timer_adverts: adverts,
            ..instance(100)
        });
        bench.pass(ms);
        assert_eq!(bench.machine.state(), State::Backup);
        bench.pass(1);
        assert_eq!(bench.machine.state(), State::Master);
    }
}

#[test]
fn preempt_delay_ends_when_the_lower_master_leaves_and_begins_anew_after_a_better_one() {
    let config = || Instance {
        preempt: Preempt::After(Duration::from_secs(60)),
        ..instance(100)
    };
    let mut bench = Bench::backup(config());
    bench.heard("10.0.0.9", 50);
    bench.pass(1000);
    bench.heard("10.0.0.9", 0);
    bench.pass(610);
    assert_eq!(bench.machine.state(), State::Master, "nobody is preempted");
    let mut bench = Bench::backup(config());
    for second in 0..90 {
        let priority = if second == 30 { 150 } else { 50 };
        bench.heard("10.0.0.9", priority);
        bench.pass(1000);
    }
    assert_eq!(bench.machine.state(), State::Backup, "60 s from the 31st");
}

#[test]
fn version_3_waits_by_the_interval_of_the_master() {
    let mut bench = Bench::backup(Instance {
        version: crate::units::Version::V3,
        ..instance(100)
    });
    bench.input(Input::Heard(Heard {
        source: "10.0.0.9".parse().unwrap(),
        priority: 150,
        interval: Duration::from_millis(100),
    }));
    // 3 x 100 ms and 156/256 of 100 ms.
    bench.pass(360);
    assert_eq!(bench.machine.state(), State::Backup);
    bench.pass(1);
    assert_eq!(bench.machine.state(), State::Master);
    let next = bench.machine.next_deadline().unwrap();
    assert_eq!(
        next.0.since(bench.now),
        Duration::from_secs(1),
        "its own as master"
    );
}

#[test]
fn a_delayed_start_neither_listens_nor_speaks() {
    let until = Time::from_millis(5000);
    let started = |config| {
        let mut bench = Bench::new(config, Start::Fresh);
        bench.input(Input::DeafUntil(until));
        bench.input(Input::Standing(Standing::Able));
        bench
    };
    let mut bench = started(instance(100));
    assert_eq!(bench.machine.state(), State::Backup);
    bench.pass(4000);
    bench.heard("10.0.0.9", 150);
    assert_eq!(bench.machine.last_heard(), None);
    bench.pass(1000 + 3609);
    assert_eq!(bench.machine.state(), State::Backup);
    bench.pass(1);
    assert_eq!(bench.machine.state(), State::Master);
    // An owner waits as long.
    let mut bench = started(Instance {
        state: InitialState::Master,
        ..instance(255)
    });
    bench.pass(4999);
    assert_eq!(bench.machine.state(), State::Backup);
    bench.pass(1);
    assert_eq!(bench.machine.state(), State::Master);
    // Whoever was master a moment ago goes on.
    let mut bench = Bench::new(instance(100), Start::Resume);
    bench.input(Input::DeafUntil(until));
    bench.input(Input::Standing(Standing::Able));
    assert_eq!(bench.machine.state(), State::Master);
    bench.heard("10.0.0.9", 150);
    assert_eq!(bench.machine.state(), State::Backup);
}

#[test]
fn a_split_that_heals_is_told_once_and_an_advert_that_crosses_ours_is_none() {
    let split = |actions: &[Action]| {
        let healed = |action: &&Action| matches!(action, Action::Note(Note::SplitHealed(_)));
        actions.iter().filter(healed).count()
    };
    let mut bench = Bench::master(instance(100));
    assert_eq!(
        split(&bench.heard("10.0.0.9", 50)),
        0,
        "it was master until now"
    );
    for _ in 0..10 {
        bench.pass(1000);
    }
    assert_eq!(split(&bench.heard("10.0.0.9", 50)), 1);
    bench.pass(1000);
    assert_eq!(split(&bench.heard("10.0.0.9", 50)), 0, "the same split");
    for _ in 0..10 {
        bench.pass(1000);
    }
    assert_eq!(split(&bench.heard("10.0.0.9", 50)), 1, "the next one");
}

#[test]
fn a_master_announces_from_time_to_time_and_a_reload_may_end_it() {
    let with = |seconds| {
        let mut config = instance(100);
        config.garp.master_delay = Duration::ZERO;
        config.garp.master_refresh = Duration::from_secs(seconds);
        config
    };
    let announced = |bench: &mut Bench, seconds| {
        let mut count = 0;
        for _ in 0..seconds {
            let actions = bench.pass(1000);
            count += actions
                .iter()
                .filter(|a| **a == Action::Announce { repeat: 1 })
                .count();
        }
        count
    };
    let mut bench = Bench::master(with(60));
    assert_eq!(announced(&mut bench, 181), 3);
    bench.machine.reconfigure(Arc::new(with(0)), bench.now);
    assert_eq!(announced(&mut bench, 200), 0);
    bench.machine.reconfigure(Arc::new(with(10)), bench.now);
    assert_eq!(announced(&mut bench, 101), 10);
}
