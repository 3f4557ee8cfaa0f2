//! What the guest tells the host, line by line in JSON, and what the host tells the reader.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Case;
use super::check::{Doing, Outcome};

/// What a guest is to do; lies in its directory as `job.json`.
#[derive(Serialize, Deserialize)]
pub(crate) struct Job {
    /// Names of the cases, in order.
    pub(crate) cases: Vec<String>,
    /// Name of the daemon under test.
    pub(crate) subject: String,
    /// Options of the cases.
    pub(crate) words: Vec<String>,
}

/// How a case ended.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase", tag = "outcome", content = "why")]
pub(crate) enum Verdict {
    /// It proved its sentence.
    Passed,
    /// It did not.
    Failed(String),
    /// It could not run.
    Skipped(String),
}

impl Verdict {
    /// Whether it ran and did not prove its sentence.
    pub(crate) fn is_failure(&self) -> bool {
        matches!(self, Self::Failed(_))
    }
}

/// A line of `results.jsonl`.
#[derive(Serialize, Deserialize, Clone)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Event {
    /// The guest is up.
    Ready,
    /// A case has started.
    Started(String),
    /// A case has ended and was cleaned up after.
    Ended(Record),
}

/// One measured value, of a benchmark.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    /// What was measured.
    pub(crate) row: String,
    /// vipd, keepalived, or what stands beside them.
    pub(crate) who: String,
    /// `ms`, `s`, `%`.
    pub(crate) unit: String,
    pub(crate) value: f64,
}

/// One case as it ended.
#[derive(Serialize, Deserialize, Clone)]
pub(crate) struct Record {
    /// Name of the case.
    pub(crate) name: String,
    /// How it ended.
    #[serde(flatten)]
    pub(crate) verdict: Verdict,
    /// Measured values.
    pub(crate) notes: Vec<String>,
    /// What a benchmark measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) samples: Vec<Sample>,
    /// How long it ran, seconds.
    pub(crate) seconds: f64,
    /// Whether it is of the second time that the case ran.
    #[serde(default)]
    pub(crate) second_try: bool,
}

impl Record {
    /// Of a case that did not come to run.
    pub(crate) fn without_run(case: &Case, verdict: Verdict) -> Self {
        Self {
            name: case.name.into(),
            verdict,
            notes: Vec::new(),
            samples: Vec::new(),
            seconds: 0.0,
            second_try: false,
        }
    }

    /// This one, of the second try; it names the failure of the first.
    pub(crate) fn after(mut self, first: &Self) -> Self {
        self.second_try = true;
        if let Verdict::Failed(why) = &first.verdict {
            let why = why.lines().next().unwrap_or_default();
            self.notes.push(format!("failed among others: {why}"));
        }
        self
    }
}

/// Numbers of the last line.
#[derive(Default, Serialize, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

impl Totals {
    /// Counts the verdicts.
    pub(crate) fn of(records: &[Record]) -> Self {
        let mut totals = Self::default();
        for record in records {
            match record.verdict {
                Verdict::Passed => totals.passed += 1,
                Verdict::Failed(_) => totals.failed += 1,
                Verdict::Skipped(_) => totals.skipped += 1,
            }
        }
        totals
    }

    /// The last line of a run.
    pub(crate) fn line(self) -> String {
        let Self {
            passed,
            failed,
            skipped,
        } = self;
        format!("integration: {passed} passed, {failed} failed, {skipped} skipped")
    }
}

/// The case as the reader sees it; on failure with `log`, what it said.
pub(crate) fn describe(case: &Case, record: &Record, log: &str) -> String {
    let (word, why) = match &record.verdict {
        Verdict::Passed => ("ok", String::new()),
        Verdict::Failed(why) => ("FAILED", format!("\n    {}", indent(why))),
        Verdict::Skipped(why) => ("SKIPPED", format!(" ({why})")),
    };
    let notes: String = record
        .notes
        .iter()
        .map(|note| format!("\n    {note}"))
        .collect();
    let head = format!(
        "{word:7} {:34} {:6.1} s  {}",
        case.name, record.seconds, case.proves
    );
    let log = match record.verdict {
        Verdict::Failed(_) if !log.is_empty() => {
            format!("\n    | {}", log.replace('\n', "\n    | "))
        }
        _ => String::new(),
    };
    format!("{head}{why}{notes}{log}")
}

fn indent(text: &str) -> String {
    text.trim_end().replace('\n', "\n    ")
}

/// Writes the whole run as JSON.
pub(crate) fn write_json(path: &Path, subject: &str, records: &[Record]) -> Outcome {
    let totals = Totals::of(records);
    let whole = serde_json::json!({ "subject": subject, "totals": totals, "cases": records });
    fs::write(path, serde_json::to_vec_pretty(&whole)?).doing(format!("write {}", path.display()))
}
