//! Priority 255, and two routers that both have it.

use super::*;

fn owner(lines: impl FnOnce(&mut Instance)) -> Instance {
    let mut owner = Instance {
        state: InitialState::Master,
        ..instance(255)
    };
    lines(&mut owner);
    owner
}

fn started(config: Instance) -> Bench {
    let mut bench = Bench::new(config, Start::Fresh);
    bench.input(Input::Standing(Standing::Able));
    bench
}

fn notes(actions: &[Action]) -> usize {
    let two = |action: &&Action| matches!(action, Action::Note(Note::TwoOwners(_)));
    actions.iter().filter(two).count()
}

#[test]
fn the_owner_with_the_lower_address_becomes_backup_at_once() {
    let mut bench = started(owner(|_| {}));
    bench.heard("10.0.0.9", 255);
    assert_eq!(bench.machine.state(), State::Backup);
    assert_eq!(bench.machine.priority(), Priority::OWNER);
}

#[test]
fn the_owner_with_the_higher_address_waits_for_two_adverts_and_steps_down() {
    let mut bench = started(owner(|_| {}));
    bench.pass(500);
    assert_eq!(notes(&bench.heard("10.0.0.1", 255)), 1);
    bench.pass(400);
    assert_eq!(notes(&bench.heard("10.0.0.1", 255)), 0, "told once");
    assert_eq!(bench.machine.state(), State::Master);
    // It has heard both answers; 1.2 intervals are left to it.
    bench.pass(1199);
    let actions = bench.heard("10.0.0.1", 255);
    let stepped = |a: &Action| {
        matches!(
            a,
            Action::Note(Note::PriorityChanged { from: 255, to: 254 })
        )
    };
    assert!(actions.iter().any(stepped), "{actions:?}");
    assert_eq!(bench.machine.state(), State::Backup);
    // No weight moves it back, and the other's adverts hold it.
    bench.input(Input::WeightSum(0));
    for _ in 0..10 {
        bench.pass(1000);
        bench.heard("10.0.0.1", 255);
    }
    let got = (bench.machine.state(), bench.machine.priority().get());
    assert_eq!(got, (State::Backup, 254));
    // Another one is heard: the rogue is gone.
    bench.heard("10.0.0.7", 100);
    assert_eq!(bench.machine.priority(), Priority::OWNER);
    bench.pass(3010);
    assert_eq!(bench.machine.state(), State::Master);
}

#[test]
fn an_owner_that_stops_in_time_is_forgiven() {
    let mut bench = started(owner(|_| {}));
    bench.pass(500);
    bench.heard("10.0.0.1", 255);
    for _ in 0..40 {
        bench.pass(100);
    }
    assert_eq!(notes(&bench.heard("10.0.0.1", 255)), 1, "a new case");
    assert_eq!(bench.machine.state(), State::Master);
}

#[test]
fn an_owner_that_does_not_answer_counts_the_adverts_it_sends_anyway() {
    let mut bench = started(owner(|vi| vi.lower_prio_no_advert = true));
    for _ in 0..2 {
        bench.pass(500);
        bench.heard("10.0.0.1", 255);
        assert_eq!(bench.machine.state(), State::Master);
        bench.pass(500);
    }
    bench.pass(500);
    bench.heard("10.0.0.1", 255);
    assert_eq!(bench.machine.state(), State::Backup);
}

#[test]
fn an_owner_may_be_told_not_to_listen() {
    let mut bench = started(owner(|vi| vi.owner_ignore_adverts = true));
    let dropped = bench.heard("10.0.0.9", 255);
    assert!(matches!(dropped[..], [Action::Note(Note::OwnerIgnores(_))]));
    assert_eq!(bench.heard("10.0.0.9", 255), []);
    assert_eq!(bench.machine.state(), State::Master);
    // Not for one that has another priority by a mistake in the program.
    let mut bench = Bench::master(Instance {
        owner_ignore_adverts: true,
        ..instance(100)
    });
    bench.heard("10.0.0.9", 150);
    assert_eq!(bench.machine.state(), State::Backup);
}

#[test]
fn an_owner_is_master_again_as_soon_as_its_faults_are_gone() {
    let mut bench = started(owner(|_| {}));
    bench.input(faulty());
    bench.input(Input::Standing(Standing::Able));
    assert_eq!(bench.machine.state(), State::Master);
    let mut bench = started(owner(|vi| vi.state = InitialState::Backup));
    bench.input(faulty());
    bench.input(Input::Standing(Standing::Able));
    assert_eq!(bench.machine.state(), State::Backup);
}
