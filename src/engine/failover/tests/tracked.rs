//! Facts, and what they do.

use super::*;
use crate::config::model::{FileWeight, TrackedFile, TrackedProcess};

fn fact(kind: FactKind, name: &str, value: FactValue) -> Input<'static> {
    Input::Fact {
        name: FactName::new(kind, name),
        value,
    }
}

fn number(number: i32) -> Input<'static> {
    fact(FactKind::File, "load", FactValue::Number(number))
}

fn with_file(weight: FileWeight) -> Config {
    let mut vi = instance("VI_1", 51, "10.0.0.100");
    vi.more.track_files = vec![TrackedFile {
        file: "load".into(),
        weight,
    }];
    config(vec![vi])
}

impl Bench {
    /// The priority of the next advert.
    fn next_advert(&mut self) -> u8 {
        self.sent.clear();
        self.run(1);
        self.sent[0]
    }
}

#[test]
fn a_number_in_a_file_times_its_weight_is_added() {
    let weight = FileWeight {
        factor: -2,
        ..FileWeight::DEFAULT
    };
    let mut bench = Bench::new(with_file(weight));
    bench.run(4);
    assert_eq!(
        bench.role("VI_1"),
        Role::Init,
        "nothing is known of the file"
    );
    bench.input(number(0));
    bench.run(4);
    for (said, priority) in [(0, 100), (5, 90), (-20, 140), (-100, 254), (126, 1)] {
        bench.input(number(said));
        assert_eq!(bench.next_advert(), priority, "{said}");
    }
    bench.input(number(127));
    assert_eq!(bench.role("VI_1"), Role::Fault, "-254 and less is a fault");
    assert_eq!(bench.said("tracked file load says 127"), 1);
    bench.input(number(i32::MIN));
    assert_eq!(bench.role("VI_1"), Role::Backup);
}

#[test]
fn without_a_weight_any_number_but_0_is_a_fault_and_reversed_0_is() {
    let reversed = FileWeight {
        fault_at_zero: true,
        ..FileWeight::FAULT
    };
    for (weight, well, ill) in [(FileWeight::FAULT, 0, 7), (reversed, 7, 0)] {
        let mut bench = Bench::new(with_file(weight));
        bench.input(number(well));
        assert_eq!(bench.role("VI_1"), Role::Backup);
        bench.input(number(ill));
        assert_eq!(bench.role("VI_1"), Role::Fault);
        bench.input(number(well));
        assert_eq!(bench.role("VI_1"), Role::Backup);
    }
}

#[test]
fn processes_count_like_scripts() {
    let mut vi = instance("VI_1", 51, "10.0.0.100");
    vi.more.track_processes = vec![TrackedProcess {
        process: "db".into(),
        weight: Weight::Priority {
            delta: 10,
            when_up: true,
        },
    }];
    let mut bench = Bench::new(config(vec![vi]));
    bench.input(fact(FactKind::Process, "db", FactValue::Up));
    bench.run(4);
    assert_eq!(bench.next_advert(), 110);
    bench.input(fact(FactKind::Process, "db", FactValue::Down));
    assert_eq!(bench.next_advert(), 100);
    assert_eq!(bench.said("Quorum lost for tracked process db"), 1);
}

#[test]
fn the_same_fact_again_is_no_news() {
    let mut bench = Bench::new(with_file(FileWeight::FAULT));
    bench.input(number(0));
    assert_eq!(bench.engine.handle(number(0), bench.now), []);
}

#[test]
fn reversed_weights_change_the_sign_not_the_time() {
    let mut vi = instance("VI_1", 51, "10.0.0.100");
    vi.more.track_processes = vec![
        TrackedProcess {
            process: "down".into(),
            weight: Weight::Priority {
                delta: 10,
                when_up: false,
            },
        },
        TrackedProcess {
            process: "never".into(),
            weight: Weight::FaultWhenUp,
        },
    ];
    let mut bench = Bench::new(config(vec![vi]));
    bench.input(fact(FactKind::Process, "down", FactValue::Down));
    bench.input(fact(FactKind::Process, "never", FactValue::Down));
    bench.run(4);
    assert_eq!(bench.next_advert(), 110);
    bench.input(fact(FactKind::Process, "never", FactValue::Up));
    assert_eq!(bench.role("VI_1"), Role::Fault);
    assert_eq!(bench.said("tracked process never has its quorum"), 1);
}

#[test]
fn a_missing_static_object_is_a_fault_of_its_track_group() {
    let mut config = config(vec![
        instance("VI_1", 51, "10.0.0.100"),
        instance("VI_2", 52, "10.0.0.101"),
    ]);
    config.statics.track_groups = vec![("T".into(), vec!["VI_2".into()])];
    let mut bench = Bench::new(config);
    let missing = |missing| Input::StaticMissing {
        group: "T".into(),
        what: "static address 10.9.0.1/24".into(),
        missing,
    };
    bench.input(missing(true));
    assert_eq!(bench.role("VI_1"), Role::Backup);
    assert_eq!(bench.role("VI_2"), Role::Fault);
    assert_eq!(
        bench.said("static address 10.9.0.1/24 of track group T is missing"),
        1
    );
    bench.input(missing(false));
    assert_eq!(bench.role("VI_2"), Role::Backup);
}

#[test]
fn a_tracker_that_says_nothing_is_not_waited_for_for_ever() {
    let mut config = with_file(FileWeight::FAULT);
    let mut other = instance("VI_2", 52, "10.0.0.101");
    other.more.track_processes = vec![TrackedProcess {
        process: "db".into(),
        weight: Weight::Fault,
    }];
    config.instances.push(other.into());
    let mut bench = Bench::new(config);
    bench.run(4);
    assert_eq!(bench.role("VI_1"), Role::Init);
    bench.run(2);
    assert_eq!(
        bench.role("VI_1"),
        Role::Backup,
        "a file that is not there says 0"
    );
    assert_eq!(
        bench.role("VI_2"),
        Role::Fault,
        "a process that nobody sees"
    );
    assert_eq!(bench.said("it is not waited for"), 2);
}

#[test]
fn a_script_with_weight_moves_the_priority_and_one_without_is_a_fault() {
    let script = |name: &str| Script {
        name: name.into(),
        argv: vec!["true".into()],
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        linger: Duration::ZERO,
        rise: 1,
        fall: 1,
        user: None,
        init_fail: false,
    };
    let mut vi = instance("VI_1", 51, "10.0.0.100");
    let weight = Weight::Priority {
        delta: -20,
        when_up: false,
    };
    vi.more.track_scripts = vec![
        TrackedScript {
            script: "soft".into(),
            weight,
        },
        TrackedScript {
            script: "hard".into(),
            weight: Weight::Fault,
        },
    ];
    let mut config = config(vec![vi]);
    config.scripts = [("soft", script("soft")), ("hard", script("hard"))]
        .map(|(name, script)| (name.to_owned(), script))
        .into();
    let mut bench = Bench::new(config);
    bench.run(30);
    assert_eq!(
        bench.role("VI_1"),
        Role::Init,
        "nothing is known of the scripts"
    );
    assert_eq!(bench.scripts_run[..2], ["hard", "soft"]);
    let end = |name: &str, code| Input::ScriptEnded {
        name: name.into(),
        end: ScriptEnd::Exited(code),
    };
    bench.input(end("soft", 0));
    bench.input(end("hard", 0));
    assert_eq!(bench.role("VI_1"), Role::Backup);
    bench.run(4);
    bench.input(end("soft", 1));
    bench.sent.clear();
    bench.run(1);
    assert_eq!(bench.sent, [80]);
    bench.input(end("hard", 1));
    assert_eq!(bench.role("VI_1"), Role::Fault);
    assert!(
        bench
            .events
            .iter()
            .any(|e| e.contains("script hard fails (exit 1)"))
    );
}
