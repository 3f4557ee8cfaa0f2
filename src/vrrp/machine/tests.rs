mod leaving;
mod owner;
mod rules;
mod stalls;

use super::*;
use crate::config::model::{InitialState, Preempt};
use crate::units::{AdvertInterval, Vrid};

fn instance(priority: u8) -> Instance {
    Instance {
        priority: Priority::new(priority).unwrap(),
        ..Instance::new("VI_1", "eth0".parse().unwrap(), Vrid::new(51).unwrap())
    }
}

struct Bench {
    machine: Machine,
    now: Time,
}

impl Bench {
    fn new(config: Instance, start: Start) -> Bench {
        let mut bench = Bench {
            machine: Machine::new(Arc::new(config), start),
            now: Time::ZERO,
        };
        bench.input(Input::Source("10.0.0.5".parse().unwrap()));
        bench.input(Input::MayClaim);
        bench
    }

    fn backup(config: Instance) -> Bench {
        let mut bench = Bench::new(config, Start::Fresh);
        bench.input(Input::Standing(Standing::Able));
        assert_eq!(bench.machine.state(), State::Backup);
        bench
    }

    fn master(config: Instance) -> Bench {
        let mut bench = Bench::backup(config);
        bench.run_to_deadline();
        assert_eq!(bench.machine.state(), State::Master);
        bench
    }

    fn input(&mut self, input: Input) -> Vec<Action> {
        let mut out = Vec::new();
        self.machine.handle(input, self.now, &mut out);
        out
    }

    fn heard(&mut self, source: &str, priority: u8) -> Vec<Action> {
        let source = source.parse().unwrap();
        self.input(Input::Heard(Heard {
            source,
            priority,
            interval: Duration::from_secs(1),
        }))
    }

    fn pass(&mut self, ms: u64) -> Vec<Action> {
        self.now += Duration::from_millis(ms);
        self.input(Input::Timer)
    }

    fn run_to_deadline(&mut self) -> Vec<Action> {
        self.now = self.machine.next_deadline().expect("a deadline").0;
        self.input(Input::Timer)
    }
}

fn faulty() -> Input {
    Input::Standing(Standing::Faulty(
        ["interface eth0 is down".to_owned()].into(),
    ))
}

#[test]
fn silence_for_three_adverts_and_skew_makes_a_master() {
    let mut bench = Bench::backup(instance(100));
    assert_eq!(bench.pass(3609), vec![]);
    let actions = bench.pass(1);
    assert_eq!(
        actions[0],
        Action::SendAdvert { priority: 100 },
        "the advert comes first"
    );
    assert!(matches!(
        actions[1],
        Action::Entered {
            to: State::Master,
            ..
        }
    ));
    assert_eq!(actions[2..], [Action::Hold, Action::Announce { repeat: 5 }]);
}

#[test]
fn a_master_advertises_every_interval_and_announces_again_once() {
    let mut bench = Bench::master(instance(100));
    let mut adverts = 0;
    let mut announcements = 0;
    for _ in 0..10_000 {
        for action in bench.pass(1) {
            match action {
                Action::SendAdvert { priority: 100 } => adverts += 1,
                Action::Announce { repeat: 5 } => announcements += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!((adverts, announcements), (10, 1));
}

#[test]
fn a_late_timer_does_not_make_a_burst_of_adverts() {
    let mut bench = Bench::master(instance(100));
    let sent = bench.pass(4500);
    assert_eq!(sent, vec![Action::SendAdvert { priority: 100 }]);
    assert_eq!(
        bench.machine.next_deadline().unwrap().1,
        Timer::AnnounceAgain
    );
}

#[test]
fn adverts_of_the_master_hold_the_backup_back() {
    for theirs in [100, 101, 255] {
        let mut bench = Bench::backup(instance(100));
        for _ in 0..20 {
            assert_eq!(bench.pass(1000), vec![]);
            assert_eq!(bench.heard("10.0.0.9", theirs), vec![]);
        }
        assert_eq!(bench.machine.state(), State::Backup);
    }
}

#[test]
fn a_lower_priority_does_not_hold_the_backup_back() {
    let mut bench = Bench::backup(instance(100));
    for _ in 0..3 {
        bench.pass(1000);
        bench.heard("10.0.0.9", 99);
    }
    let actions = bench.pass(1000);
    assert!(matches!(
        &actions[1],
        Action::Entered {
            to: State::Master,
            reason: Reason::Preempts { theirs: 99, .. },
            ..
        }
    ));
}

#[test]
fn nopreempt_follows_a_lower_priority() {
    let mut bench = Bench::backup(Instance {
        preempt: Preempt::Never,
        ..instance(100)
    });
    for _ in 0..20 {
        bench.pass(1000);
        bench.heard("10.0.0.9", 1);
    }
    assert_eq!(bench.machine.state(), State::Backup);
    bench.pass(3610);
    assert_eq!(
        bench.machine.state(),
        State::Master,
        "but silence is silence"
    );
}

#[test]
fn preempt_delay_is_counted_from_the_first_lower_advert() {
    let delay = Duration::from_secs(10);
    let mut bench = Bench::backup(Instance {
        preempt: Preempt::After(delay),
        ..instance(100)
    });
    let mut seconds = 0;
    while bench.machine.state() == State::Backup && seconds < 60 {
        bench.pass(1000);
        seconds += 1;
        bench.heard("10.0.0.9", 99);
    }
    // Heard first at 1 s; followed until 11 s; the last follow was at 10 s, so 13.609 s.
    assert_eq!(seconds, 14);
}

#[test]
fn a_leaving_master_is_followed_after_the_skew_alone() {
    let mut bench = Bench::backup(instance(100));
    bench.heard("10.0.0.9", 200);
    bench.heard("10.0.0.9", 0);
    bench.pass(609);
    assert_eq!(bench.machine.state(), State::Backup);
    let actions = bench.pass(1);
    assert!(matches!(
        &actions[1],
        Action::Entered {
            to: State::Master,
            reason: Reason::MasterLeft(_),
            ..
        }
    ));
}

#[test]
fn a_master_yields_to_a_higher_priority() {
    let mut bench = Bench::master(instance(100));
    let actions = bench.heard("10.0.0.1", 101);
    assert!(matches!(
        &actions[0],
        Action::Entered {
            to: State::Backup,
            reason: Reason::HigherPriority { theirs: 101, .. },
            ..
        }
    ));
    assert_eq!(actions.len(), 1, "the addresses go when they are elsewhere");
    assert!(bench.machine.holds_addresses() && bench.machine.is_leaving());
}

#[test]
fn equal_priorities_are_decided_by_the_higher_address() {
    let mut bench = Bench::master(instance(100));
    bench.heard("10.0.0.4", 100);
    assert_eq!(bench.machine.state(), State::Master);
    bench.heard("10.0.0.10", 100);
    assert_eq!(
        bench.machine.state(),
        State::Backup,
        "as numbers, not as text"
    );
}

#[test]
fn a_master_answers_a_lower_priority_and_announces() {
    let mut bench = Bench::master(instance(100));
    let actions = bench.heard("10.0.0.9", 50);
    assert!(matches!(
        actions[0],
        Action::Note(Note::LowerPriorityHeard { .. })
    ));
    assert_eq!(
        actions[1..],
        [
            Action::SendAdvert { priority: 100 },
            Action::Announce { repeat: 5 }
        ]
    );
}

#[test]
fn a_master_answers_priority_0_with_an_advert() {
    let mut bench = Bench::master(instance(100));
    assert_eq!(
        bench.heard("10.0.0.9", 0),
        vec![Action::SendAdvert { priority: 100 }]
    );
}

#[test]
fn a_fault_makes_a_master_say_goodbye_and_let_go() {
    let mut bench = Bench::master(instance(100));
    let actions = bench.input(faulty());
    assert_eq!(
        actions[..2],
        [Action::SendAdvert { priority: 0 }, Action::Release]
    );
    assert_eq!(bench.machine.state(), State::Fault);
    assert_eq!(
        bench.machine.next_deadline(),
        None,
        "nothing is timed in FAULT"
    );
    bench.heard("10.0.0.9", 1);
    assert_eq!(bench.machine.state(), State::Fault);
    bench.input(Input::Standing(Standing::Able));
    assert_eq!(bench.machine.state(), State::Backup);
}

#[test]
fn nobody_enters_the_election_before_every_tracked_thing_was_heard_of() {
    let mut bench = Bench::new(instance(100), Start::Fresh);
    bench.input(Input::Standing(Standing::Waiting));
    assert_eq!(
        (bench.machine.state(), bench.machine.next_deadline()),
        (State::Init, None)
    );
}

#[test]
fn an_owner_with_state_master_starts_as_master() {
    let owner = Instance {
        state: InitialState::Master,
        ..instance(255)
    };
    let mut bench = Bench::new(owner, Start::Fresh);
    bench.input(Input::Standing(Standing::Able));
    assert_eq!(bench.machine.state(), State::Master);
    let backup = Bench::backup(instance(255));
    assert_eq!(
        backup.machine.state(),
        State::Backup,
        "without state MASTER it waits"
    );
}

#[test]
fn claiming_waits_until_it_is_allowed() {
    let mut bench = Bench {
        machine: Machine::new(Arc::new(instance(100)), Start::Fresh),
        now: Time::ZERO,
    };
    bench.input(Input::Standing(Standing::Able));
    assert_eq!(
        bench.run_to_deadline(),
        vec![Action::Note(Note::WaitsToClaim)]
    );
    assert_eq!(bench.machine.state(), State::Backup);
    bench.input(Input::MayClaim);
    assert_eq!(bench.machine.state(), State::Master);
}

#[test]
fn a_claim_that_waits_is_dropped_when_a_master_is_heard() {
    let mut bench = Bench {
        machine: Machine::new(Arc::new(instance(100)), Start::Fresh),
        now: Time::ZERO,
    };
    bench.input(Input::Standing(Standing::Able));
    bench.run_to_deadline();
    bench.heard("10.0.0.9", 200);
    bench.input(Input::MayClaim);
    assert_eq!(bench.machine.state(), State::Backup);
}

#[test]
fn a_predecessor_that_was_master_a_moment_ago_is_resumed_at_once() {
    let mut bench = Bench::new(instance(100), Start::Resume);
    assert!(bench.machine.holds_addresses());
    let actions = bench.input(Input::Standing(Standing::Able));
    assert_eq!(actions[0], Action::SendAdvert { priority: 100 });
    assert_eq!(bench.machine.state(), State::Master);
}

#[test]
fn kept_addresses_go_when_anybody_else_is_heard() {
    let mut bench = Bench::new(instance(100), Start::Keep);
    bench.input(Input::Standing(Standing::Able));
    assert_eq!(bench.machine.state(), State::Backup);
    assert!(bench.machine.holds_addresses());
    let actions = bench.heard("10.0.0.9", 50);
    assert!(actions.contains(&Action::Release));
    assert!(!bench.machine.holds_addresses());
}

#[test]
fn kept_addresses_stay_through_silence() {
    let mut bench = Bench::new(instance(100), Start::Keep);
    bench.input(Input::Standing(Standing::Able));
    let actions = bench.run_to_deadline();
    assert!(!actions.contains(&Action::Release));
    assert!(actions.contains(&Action::Announce { repeat: 5 }));
    assert_eq!(bench.machine.state(), State::Master);
}

#[test]
fn kept_addresses_go_with_a_fault() {
    let mut bench = Bench::new(instance(100), Start::Keep);
    assert!(bench.input(faulty()).contains(&Action::Release));
}

#[test]
fn stop_says_goodbye_only_as_master() {
    let mut bench = Bench::master(instance(100));
    assert_eq!(
        bench.input(Input::Stop),
        vec![Action::SendAdvert { priority: 0 }]
    );
    let mut bench = Bench::backup(instance(100));
    assert_eq!(bench.input(Input::Stop), vec![]);
    assert_eq!(bench.machine.next_deadline(), None);
}

#[test]
fn weights_change_what_is_advertised_and_who_wins() {
    let mut bench = Bench::master(instance(100));
    bench.input(Input::WeightSum(-20));
    assert_eq!(bench.pass(1000), vec![Action::SendAdvert { priority: 80 }]);
    bench.heard("10.0.0.1", 90);
    assert_eq!(bench.machine.state(), State::Backup);
}

#[test]
fn a_shorter_interval_after_a_reload_counts_at_once() {
    let mut bench = Bench::backup(Instance {
        advert_int: AdvertInterval::new(Duration::from_secs(5)).unwrap(),
        ..instance(100)
    });
    bench
        .machine
        .reconfigure(Arc::new(instance(100)), bench.now);
    bench.pass(3610);
    assert_eq!(bench.machine.state(), State::Master);
}
