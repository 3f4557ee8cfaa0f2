//! What checks were answered, kept for whoever wants to know.

use std::time::Duration;

use crate::time::Time;

use super::CheckOutcome;

/// Upper ends of the steps in which the times of answers are counted, in milliseconds; what took longer
/// is in none of them.
pub const BUCKETS: [u64; 12] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];

/// The last answer of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// When it came.
    pub at: Time,
    /// How long after the question; with it the time for which it waited for its turn.
    pub took: Duration,
    /// What it was.
    pub said: Said,
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// All is well.
    Passed,
    /// It is not; why.
    Failed(String),
    /// Nobody could be asked; why.
    NotAsked(String),
}

impl Said {
    pub(super) fn of(outcome: &CheckOutcome) -> Said {
        match outcome {
            CheckOutcome::Passed
            | CheckOutcome::PassedBut(_)
            | CheckOutcome::Weighs(_)
            | CheckOutcome::Found(_) => Said::Passed,
            CheckOutcome::Failed(why) => Said::Failed(why.clone()),
            CheckOutcome::NotAsked(why) => Said::NotAsked(why.clone()),
        }
    }
}

/// The answers of all checks of one keyword, since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KindStats {
    /// How many were good.
    pub passed: u64,
    /// How many were not.
    pub failed: u64,
    /// How often nobody could be asked.
    pub not_asked: u64,
    /// How many took as long as each of [`BUCKETS`] at most and longer than the one before.
    pub took: [u64; BUCKETS.len()],
    /// How long all took together.
    pub took_in_all: Duration,
}

impl KindStats {
    pub(super) fn note(&mut self, took: Duration, said: &Said) {
        let count = match said {
            Said::Passed => &mut self.passed,
            Said::Failed(_) => &mut self.failed,
            Said::NotAsked(_) => {
                self.not_asked += 1;
                return;
            }
        };
        *count += 1;
        self.took_in_all = self.took_in_all.saturating_add(took);
        let step = BUCKETS
            .iter()
            .position(|end| took <= Duration::from_millis(*end));
        if let Some(count) = step.and_then(|step| self.took.get_mut(step)) {
            *count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_counted_in_the_first_step_that_is_long_enough() {
        let mut stats = KindStats::default();
        stats.note(Duration::from_millis(1), &Said::Passed);
        stats.note(Duration::from_micros(1001), &Said::Passed);
        stats.note(Duration::from_secs(5), &Said::Failed("timeout".into()));
        stats.note(Duration::from_secs(9), &Said::Failed("timeout".into()));
        stats.note(Duration::from_secs(9), &Said::NotAsked("no socket".into()));
        assert_eq!((stats.passed, stats.failed, stats.not_asked), (2, 2, 1));
        assert_eq!(stats.took, [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(stats.took_in_all, Duration::from_micros(14_002_001));
    }
}
