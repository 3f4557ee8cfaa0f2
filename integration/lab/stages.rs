//! In which order and how many side by side the cases run, and what happens to one that fails.
//!
//! Most failures of a whole run are of the run: two guests and ten lanes share the processors, and a case
//! that waits for a second script, or a server to start, comes too late. So whoever fails among others runs
//! once more, alone. What fails then too has failed; what passes then has passed, and both the report and
//! its last lines say so, with the first reason: a case that is often there is to be mended.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use super::Case;
use super::check::Outcome;
use super::host::{Guest, Options};
use super::report::{self, Record, Verdict};
use crate::{bench, cases};

/// Native cases that run side by side: they wait for timers of whole seconds most of the time.
const NATIVE_LANES: usize = 10;
/// Of more failures than these none is for want of time.
const SECOND_TRIES_MAX: usize = 8;

/// Where cases run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// On this machine's kernel, in namespaces of their own.
    Native,
    /// The same, among the machine's own processes.
    Beside,
    /// On the guest's kernel.
    Guest,
}

/// A case with its place in the report.
type Numbered = (usize, &'static Case);
type Records = Mutex<BTreeMap<usize, Record>>;

/// Cases that run in the same way.
struct Stage {
    place: Place,
    side_by_side: usize,
    cases: Vec<Numbered>,
}

/// Runs the cases, and those that fail among others once more; records in the order of `chosen`.
pub(super) fn run_stages(
    chosen: &[&'static Case],
    options: &Options,
    target: &Path,
) -> Vec<Record> {
    let stages = stages(chosen, options);
    let first = run_all(&stages, options, target);
    let failed = |at: &usize| matches!(first.get(at), Some(r) if r.verdict.is_failure());
    let again: Vec<usize> = first.keys().copied().filter(failed).collect();
    if !options.second_try || !(1..=SECOND_TRIES_MAX).contains(&again.len()) {
        return first.into_values().collect();
    }
    println!("{} failed among others; once more, alone:", again.len());
    let stages: Vec<Stage> = stages
        .into_iter()
        .map(|stage| Stage {
            side_by_side: 1,
            cases: of_these(stage.cases, &again),
            ..stage
        })
        .collect();
    let mut records = first;
    for (at, second) in run_all(&stages, options, target) {
        if let Some(first) = records.get_mut(&at) {
            *first = second.after(first);
        }
    }
    records.into_values().collect()
}

fn of_these(cases: Vec<Numbered>, wanted: &[usize]) -> Vec<Numbered> {
    let chosen = |(at, _): &Numbered| wanted.contains(at);
    cases.into_iter().filter(chosen).collect()
}

/// What is measured first, alone; then the native cases; then those of the guests, which keep every core
/// busy.
fn stages(chosen: &[&'static Case], options: &Options) -> [Stage; 4] {
    let among = |list: &[&[Case]], case: &Case| {
        let mut all = list.iter().copied().flatten();
        all.any(|other| other.name == case.name)
    };
    let stage = |place, side_by_side| Stage {
        place,
        side_by_side,
        cases: Vec::new(),
    };
    let mut stages = [
        stage(Place::Native, 1),
        stage(Place::Beside, 1),
        stage(Place::Native, NATIVE_LANES),
        stage(Place::Guest, options.guests),
    ];
    let [measured, beside, native, guests] = &mut stages;
    for (at, case) in chosen.iter().copied().enumerate() {
        let stage = if among(cases::MEASURED, case) || among(&[bench::CASES], case) {
            &mut *measured
        } else if among(cases::BESIDE, case) {
            &mut *beside
        } else if among(cases::NATIVE, case) {
            &mut *native
        } else {
            &mut *guests
        };
        stage.cases.push((at, case));
    }
    stages
}

fn run_all(stages: &[Stage], options: &Options, target: &Path) -> BTreeMap<usize, Record> {
    let records = Records::default();
    for stage in stages {
        let lanes = lanes(&stage.cases, stage.side_by_side);
        thread::scope(|scope| {
            for (lane, cases) in lanes.iter().enumerate() {
                let records = &records;
                scope.spawn(move || run_lane(stage.place, lane, cases, options, target, records));
            }
        });
    }
    records.into_inner().unwrap_or_default()
}

/// Deals the cases out by their limits, the longest first to the lane with the least; the order
/// inside a lane is that of the list.
fn lanes(cases: &[Numbered], most: usize) -> Vec<Vec<Numbered>> {
    let mut cases = cases.to_vec();
    let mut lanes = vec![(Duration::ZERO, Vec::new()); most.min(cases.len())];
    cases.sort_by_key(|(_, case)| std::cmp::Reverse(case.limit));
    for item in cases {
        if let Some(lane) = lanes.iter_mut().min_by_key(|(sum, _)| *sum) {
            lane.0 += item.1.limit;
            lane.1.push(item);
        }
    }
    lanes
        .iter_mut()
        .for_each(|(_, cases)| cases.sort_by_key(|(at, _)| *at));
    lanes.into_iter().map(|(_, cases)| cases).collect()
}

fn run_lane(
    place: Place,
    lane: usize,
    cases: &[Numbered],
    options: &Options,
    target: &Path,
    records: &Records,
) {
    let keep = |at: usize, record: Record| {
        if let Ok(mut records) = records.lock() {
            records.insert(at, record);
        }
    };
    let mut rest = cases;
    while let Some((at, first)) = rest.first() {
        let mut done = 0;
        let ended: Outcome =
            Guest::boot(place, lane, rest, options, target).and_then(|mut guest| {
                guest.follow(rest, options, |record, log| {
                    let Some((at, case)) = rest.get(done) else {
                        return;
                    };
                    done += 1;
                    if !options.stream || record.verdict != Verdict::Passed {
                        println!("{}", report::describe(case, &record, &log));
                    }
                    keep(*at, record);
                })
            });
        if done == 0 || ended.is_err() {
            // The case it was in is lost; with no case begun, the first one is.
            let (at, case) = rest.get(done).copied().unwrap_or((*at, *first));
            let why = ended
                .err()
                .map_or("the guest ended".to_owned(), |e| e.to_string());
            let record = Record::without_run(case, Verdict::Failed(why));
            println!("{}", report::describe(case, &record, ""));
            keep(at, record);
            done += 1;
        }
        rest = rest.get(done..).unwrap_or_default();
    }
}
