//! What somebody who asks is shown.

use super::*;
use crate::config::model::TrackedProcess;
use crate::vrrp::{Reason, State};

fn with_process() -> Config {
    let mut vi = instance("VI_1", 51, "10.0.0.100");
    vi.more.track_processes = vec![TrackedProcess {
        process: "db".into(),
        weight: Weight::Priority {
            delta: -30,
            when_up: false,
        },
    }];
    config(vec![vi])
}

fn process(value: FactValue) -> Input<'static> {
    Input::Fact {
        name: FactName::new(FactKind::Process, "db"),
        value,
    }
}

#[test]
fn a_view_has_the_facts_behind_a_state() {
    let mut bench = Bench::new(with_process());
    bench.input(process(FactValue::Up));
    bench.run(4);
    let became = bench.engine.view(bench.now).instances[0].entered.clone();
    assert_eq!(became.as_ref().unwrap().from, State::Backup);
    bench.run(6);
    let failed_at = bench.now;
    bench.input(process(FactValue::Down));
    bench.run(1);
    bench.hear(90, 51, b"123456\0\0");
    let view = bench.engine.view(bench.now);
    let vi = &view.instances[0];
    assert_eq!((vi.state, vi.priority.get()), (State::Backup, 70));
    assert!(matches!(
        vi.entered.as_ref().unwrap().reason,
        Reason::HigherPriority { theirs: 90, .. }
    ));
    let (heard, at) = vi.heard.unwrap();
    assert_eq!((heard.priority, at), (90, bench.now));
    let fact = &view.facts[&vi.tracked[0].fact];
    assert_eq!((fact.value, fact.since), (FactValue::Down, Some(failed_at)));
    assert_eq!(vi.tracked[0].verdict(fact.value), Verdict::Adds(-30));
    // Held until the other one has announced it, and no longer.
    assert_eq!((vi.leaving, &vi.held[..]), (true, &[true][..]));
    bench.run(3);
    assert!(!bench.engine.view(bench.now).instances[0].held[0]);
}

#[test]
fn adverts_that_did_not_come_are_counted_and_silence_is_not() {
    let mut bench = Bench::new(config(vec![instance("VI_1", 51, "10.0.0.100")]));
    let lost = |bench: &Bench| {
        bench.engine.view(bench.now).instances[0]
            .counters
            .advert_lost
    };
    for pause in [1000, 1200, 2000, 3000] {
        bench.run_for(Duration::from_millis(pause));
        bench.hear(200, 51, b"123456\0\0");
    }
    assert_eq!(lost(&bench), 1 + 2);
    // Longer than a master may be silent: it was not there.
    bench.run(60);
    bench.hear(200, 51, b"123456\0\0");
    assert_eq!(lost(&bench), 3);
}

#[test]
fn an_operator_may_have_addresses_announced_again() {
    let mut bench = Bench::master(config(vec![instance("VI_1", 51, "10.0.0.100")]));
    bench.run(30);
    let before: u32 = bench.announced.values().sum();
    bench.input(Input::Announce {
        instance: "VI_1".into(),
    });
    bench.run(1);
    assert_eq!(bench.announced.values().sum::<u32>(), before + 5);
    bench.input(Input::Announce {
        instance: "nobody".into(),
    });
    bench.run(1);
    assert_eq!(bench.announced.values().sum::<u32>(), before + 5);
}
