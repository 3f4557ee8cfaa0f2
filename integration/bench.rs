//! Benchmarks of what takes time: vipd beside keepalived in one run, in turn or at the same time.
//!
//! `scripts/bench` calls them. Each is a case of the native stage, or of a guest's where it needs IPVS, that leaves samples: values under the
//! name of a row, of one daemon or of what stands beside both. [`report`] makes a table, JSON and a plot
//! of the samples of any benchmark, of those that are scripts too.

mod checks;
mod connects;
mod failovers;
mod gap;
mod jitter;
mod load;
mod memory;
mod monitor;
mod page;
mod pair;
mod report;
mod sleeper;
mod soak;
mod table;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use crate::lab::check::{Doing, Outcome};
use crate::lab::report::Sample;
use crate::lab::{Case, Lab, host};

/// Those on this machine's own kernel.
pub(crate) const CASES: &[Case] = &[
    gap::CASE,
    jitter::CASE,
    failovers::CASE,
    checks::ALONE,
    page::CASE,
];

/// Those in the guest.
pub(crate) const GUEST: &[Case] = &[
    table::PROGRAM,
    table::RELOAD,
    checks::CASE,
    memory::CASE,
    soak::CASE,
];

const USAGE: &str = "\
usage: bench NAME --into FILE [KEY=VALUE...]   samples to the end of FILE
       bench report NAME FILE DIR              table; DIR/NAME.json, DIR/NAME.svg
       bench role loop|monitor N S T           N connections or checks every S seconds, for T seconds";

/// What `scripts/bench` calls.
pub(crate) fn main(args: &[String]) -> ExitCode {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["report", name, file, dir] => report::write(name, Path::new(file), Path::new(dir)),
        ["role", rest @ ..] => checks::role(rest),
        [name, "--into", file, rest @ ..] => {
            match CASES.iter().chain(GUEST).find(|case| case.name == *name) {
                Some(case) => return measure(case, Path::new(file), rest),
                None => Err(format!("no benchmark is named {name}\n{USAGE}").into()),
            }
        }
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("bench: {e}");
            ExitCode::from(2)
        }
    }
}

fn measure(case: &'static Case, file: &Path, words: &[&str]) -> ExitCode {
    let options = host::Options {
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        ..host::Options::default()
    };
    let (code, records) = host::run_alone(case, options);
    let samples = records.iter().flat_map(|record| &record.samples);
    match append(file, samples) {
        Ok(()) => code,
        Err(e) => {
            eprintln!("bench: {e}");
            ExitCode::FAILURE
        }
    }
}

/// One line for each: row, who, unit, value, with tabs between.
fn append<'a>(file: &Path, samples: impl Iterator<Item = &'a Sample>) -> Outcome {
    let mut text = fs::read_to_string(file).unwrap_or_default();
    for sample in samples {
        let Sample {
            row,
            who,
            unit,
            value,
        } = sample;
        writeln!(text, "{row}\t{who}\t{unit}\t{value:.4}").unwrap_or_default();
    }
    fs::write(file, text).doing(file.display())
}

/// The number behind `KEY=` among the words of a benchmark.
fn number(lab: &Lab, key: &str, default: u32) -> Outcome<u32> {
    lab.number(key, default)
}

/// What stands behind `KEY=` among the words of a benchmark.
fn word<'a>(lab: &'a Lab, key: &str) -> Option<&'a str> {
    let mut words = lab.words().iter();
    words.find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// How late something was, each time.
struct Late(Vec<Duration>);

impl Late {
    fn of(mut late: Vec<Duration>) -> Self {
        late.sort();
        Self(late)
    }

    /// How much longer than `interval` each wait between two of `times` was: what a backup sees, whatever
    /// the schedule of the master was meant to be.
    fn beyond(interval: Duration, times: &[Duration]) -> Self {
        let waits = times.windows(2).filter_map(|pair| match pair {
            [a, b] => Some(b.saturating_sub(*a).saturating_sub(interval)),
            _ => None,
        });
        Self::of(waits.collect())
    }

    /// So many of a thousand were not later than this.
    fn share(&self, thousandths: usize) -> Duration {
        let at = (self.0.len() * thousandths).div_ceil(1000).max(1) - 1;
        self.0.get(at).copied().unwrap_or_default()
    }

    fn worst(&self) -> Duration {
        self.share(1000)
    }

    /// A row for the median, for 99 of 100 and for the worst.
    fn sample(&self, lab: &Lab, row: &str, who: &str) {
        for (name, thousandths) in [("p50", 500), ("p99", 990), ("max", 1000)] {
            lab.sample(
                &format!("{row}, {name}"),
                who,
                "ms",
                ms(self.share(thousandths)),
            );
        }
    }
}
