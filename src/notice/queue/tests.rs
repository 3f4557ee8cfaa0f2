use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits {
    active: 3,
    pending: 4,
    wait: Duration::from_secs(30),
    strays: 2,
};

fn subject(name: &str) -> Subject {
    Subject::Instance(name.to_owned())
}

fn run(word: &str) -> Run {
    Run {
        argv: vec![word.to_owned()],
        user: None,
    }
}

/// A queue and what it did, each run by its word.
struct Bench {
    queue: ScriptQueue,
    now: Time,
    ids: BTreeMap<String, u64>,
    told: Vec<String>,
}

impl Bench {
    fn new(limits: Limits) -> Bench {
        Bench {
            queue: ScriptQueue::new(limits),
            now: Time::from_millis(1000),
            ids: BTreeMap::new(),
            told: Vec::new(),
        }
    }

    fn take(&mut self, steps: Vec<Step>) -> Vec<String> {
        let mut started = Vec::new();
        for step in steps {
            match step {
                Step::Start { id, run } => {
                    self.ids.insert(run.argv[0].clone(), id);
                    started.push(run.argv[0].clone());
                }
                Step::Dropped { subject, what } => self.told.push(format!("{subject} -{what}")),
                Step::Overdue { argv, .. } => self.told.push(format!("late {}", argv[0])),
            }
        }
        started
    }

    fn push(&mut self, name: &str, what: &'static str, kind: Kind, words: &[&str]) -> Vec<String> {
        let mut steps = Vec::new();
        let runs = words.iter().map(|word| run(word)).collect();
        self.queue
            .push(subject(name), (what, kind), runs, self.now, &mut steps);
        self.take(steps)
    }

    fn end(&mut self, word: &str) -> Vec<String> {
        let mut steps = Vec::new();
        let ended = self.queue.ended(self.ids[word], self.now, &mut steps);
        assert_eq!(ended.unwrap().argv, [word]);
        self.take(steps)
    }

    fn pass(&mut self, time: Duration) -> Vec<String> {
        self.now += time;
        let mut steps = Vec::new();
        self.queue.timer(self.now, &mut steps);
        self.take(steps)
    }
}

#[test]
fn one_object_s_scripts_run_one_after_the_other_in_order() {
    let mut b = Bench::new(LIMITS);
    assert_eq!(b.push("a", "BACKUP", Kind::State, &["b1", "b2"]), ["b1"]);
    assert_eq!(b.push("a", "MASTER", Kind::State, &["m1", "m2"]), [""; 0]);
    assert_eq!(b.push("z", "BACKUP", Kind::State, &["other"]), ["other"]);
    assert_eq!(b.end("b1"), ["b2"]);
    assert_eq!(b.end("b2"), ["m1"]);
    assert_eq!(b.end("m1"), ["m2"]);
    assert!(!b.queue.is_idle());
    b.end("other");
    b.end("m2");
    assert!(b.queue.is_idle() && b.queue.next_deadline().is_none());
    assert!(b.queue.lanes.is_empty(), "nothing is kept of it");
}

#[test]
fn no_more_than_the_limit_are_waited_for_and_who_waited_longest_is_next() {
    let mut b = Bench::new(LIMITS);
    for (name, word) in [("1", "r1"), ("2", "r2"), ("3", "r3")] {
        assert_eq!(b.push(name, "X", Kind::State, &[word]), [word]);
    }
    assert_eq!(b.push("4", "X", Kind::State, &["r4"]), [""; 0]);
    assert_eq!(b.push("1", "Y", Kind::State, &["s1"]), [""; 0]);
    assert_eq!(b.end("r1"), ["r4"]);
    assert_eq!(b.end("r2"), ["s1"]);
}

#[test]
fn a_script_that_does_not_end_holds_nothing_up_for_longer_than_the_wait() {
    let mut b = Bench::new(LIMITS);
    b.push("a", "MASTER", Kind::State, &["hangs"]);
    b.push("a", "BACKUP", Kind::State, &["next"]);
    assert_eq!(b.pass(Duration::from_secs(29)), [""; 0]);
    assert_eq!(
        b.queue.next_deadline(),
        Some(b.now + Duration::from_secs(1))
    );
    assert_eq!(b.pass(Duration::from_secs(1)), ["next"]);
    assert_eq!(b.told, ["late hangs"]);
    assert_eq!(b.end("next"), [""; 0]);
    assert!(b.queue.is_idle(), "it is not waited for");
    assert_eq!(b.end("hangs"), [""; 0]);
    assert!(b.queue.lanes.is_empty());
}

#[test]
fn with_too_many_that_do_not_end_an_object_waits() {
    let mut b = Bench::new(LIMITS);
    for word in ["h1", "h2", "h3"] {
        b.push("a", "X", Kind::State, &[word]);
    }
    assert_eq!(b.pass(LIMITS.wait), ["h2"]);
    assert_eq!(b.pass(LIMITS.wait), [""; 0]);
    assert_eq!(b.end("h1"), ["h3"]);
}

#[test]
fn a_queue_that_overflows_loses_the_oldest_obsolete_state_and_keeps_the_newest() {
    let mut b = Bench::new(LIMITS);
    b.push("a", "FAULT", Kind::State, &["f"]);
    b.push("a", "EVENT", Kind::Event, &["e"]);
    for (what, word) in [("BACKUP", "b"), ("MASTER", "m"), ("BACKUP", "b2")] {
        b.push("a", what, Kind::State, &[word]);
    }
    assert!(b.told.is_empty());
    b.push("a", "MASTER", Kind::State, &["m2"]);
    assert_eq!(b.told, ["(a) -BACKUP"]);
    let order: Vec<String> = ["f", "e", "m", "b2"]
        .iter()
        .flat_map(|word| b.end(word))
        .collect();
    assert_eq!(order, ["e", "m", "b2", "m2"]);
}

#[test]
fn what_has_begun_is_carried_through() {
    let mut b = Bench::new(Limits {
        pending: 1,
        ..LIMITS
    });
    b.push("a", "FAULT", Kind::State, &["f1", "f2"]);
    b.push("a", "BACKUP", Kind::State, &["b"]);
    b.push("a", "MASTER", Kind::State, &["m"]);
    assert_eq!(b.told, ["(a) -BACKUP"]);
    assert_eq!(b.end("f1"), ["f2"]);
    assert_eq!(b.end("f2"), ["m"]);
}

#[test]
fn shorter_limits_hold_for_what_runs_already() {
    let mut b = Bench::new(LIMITS);
    b.push("a", "MASTER", Kind::State, &["hangs"]);
    b.push("a", "STOP", Kind::State, &["stop"]);
    b.now += Duration::from_secs(2);
    let mut steps = Vec::new();
    let hurry = Limits {
        wait: Duration::from_secs(1),
        ..LIMITS
    };
    b.queue.set_limits(hurry, b.now, &mut steps);
    assert_eq!(b.take(steps), ["stop"]);
}

#[derive(Clone, Debug)]
enum Op {
    Push(u8, bool),
    End(usize),
    Pass(u64),
}

fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..4u8, any::<bool>()).prop_map(|(who, state)| Op::Push(who, state)),
        4 => (0..8usize).prop_map(Op::End),
        1 => (1..20u64).prop_map(Op::Pass),
    ]
}

proptest! {
    /// Whatever happens: in order, within the limits, and the newest state of each object is run in the
    /// end.
    #[test]
    fn order_and_limits_hold(ops in vec(any_op(), 1..120)) {
        let mut queue = ScriptQueue::new(LIMITS);
        let mut now = Time::from_millis(1);
        let mut running: Vec<(u64, u8, u32)> = Vec::new();
        let mut newest = BTreeMap::new();
        let mut last = BTreeMap::new();
        let mut number = 0;
        let drain = |steps: Vec<Step>, running: &mut Vec<(u64, u8, u32)>,
                         last: &mut BTreeMap<u8, u32>| {
            for step in steps {
                if let Step::Start { id, run } = step {
                    let who: u8 = run.argv[0].parse().unwrap();
                    let nth: u32 = run.argv[1].parse().unwrap();
                    let before = last.insert(who, nth);
                    assert!(before < Some(nth), "{before:?} before {nth} of {who}");
                    running.push((id, who, nth));
                }
            }
        };
        for op in ops {
            let mut steps = Vec::new();
            match op {
                Op::Push(who, state) => {
                    number += 1;
                    let kind = if state { Kind::State } else { Kind::Event };
                    let argv = vec![who.to_string(), number.to_string()];
                    let runs = vec![Run { argv, user: None }];
                    queue.push(subject(&who.to_string()), ("X", kind), runs, now, &mut steps);
                    if state {
                        newest.insert(who, number);
                    }
                }
                Op::End(at) if at < running.len() => {
                    let (id, ..) = running.remove(at);
                    prop_assert!(queue.ended(id, now, &mut steps).is_some());
                }
                Op::End(_) => {}
                Op::Pass(seconds) => {
                    now += Duration::from_secs(seconds);
                    queue.timer(now, &mut steps);
                }
            }
            drain(steps, &mut running, &mut last);
            prop_assert!(queue.active <= LIMITS.active);
            for lane in queue.lanes.values() {
                prop_assert!(lane.pending.len() <= LIMITS.pending + usize::from(lane.begun));
                prop_assert!(lane.strays <= LIMITS.strays);
            }
        }
        let mut seen: BTreeMap<u8, Vec<u32>> = BTreeMap::new();
        while let Some((id, who, nth)) = running.pop() {
            seen.entry(who).or_default().push(nth);
            let mut steps = Vec::new();
            queue.ended(id, now, &mut steps);
            drain(steps, &mut running, &mut last);
        }
        prop_assert!(queue.is_idle() && queue.lanes.is_empty());
        for (who, nth) in newest {
            prop_assert!(last.get(&who) >= Some(&nth));
        }
    }
}
