//! `vrrp_script`: when it runs, and what its exits mean.

use std::fmt;
use std::sync::Arc;

use crate::config::model::Script;
use crate::fact::FactValue;
use crate::time::Time;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScriptEnd {
    /// With this exit status; 0 is well.
    Exited(i32),
    /// By a signal.
    Signaled(i32),
    /// It was still running at its `timeout` and was killed.
    TimedOut,
    /// It could not be started, in words.
    NotStarted(String),
}

impl ScriptEnd {
    /// Whether the run says that all is well.
    pub fn passed(&self) -> bool {
        *self == ScriptEnd::Exited(0)
    }
}

impl fmt::Display for ScriptEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScriptEnd::Exited(code) => write!(f, "exit {code}"),
            ScriptEnd::Signaled(signal) => write!(f, "killed by signal {signal}"),
            ScriptEnd::TimedOut => f.write_str("timed out"),
            ScriptEnd::NotStarted(why) => write!(f, "not started: {why}"),
        }
    }
}

/// What a tracker wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScriptAction {
    /// Start the script once.
    Run,
    /// The fact changed, by this run.
    Changed {
        /// What holds now: up or down.
        to: FactValue,
        /// The run that decided it.
        by: ScriptEnd,
    },
}

/// State of one `vrrp_script`.
#[derive(Clone, Debug)]
pub struct ScriptTracker {
    script: Arc<Script>,
    value: FactValue,
    /// Ends in a row that speak against `value`.
    against: u32,
    running: bool,
    next_run: Time,
    last_end: Option<ScriptEnd>,
}

impl ScriptTracker {
    /// Runs for the first time at once. With `init_fail` it counts as failing until it passes.
    pub fn new(script: Arc<Script>, now: Time) -> ScriptTracker {
        let value = if script.init_fail {
            FactValue::Down
        } else {
            FactValue::Unknown
        };
        ScriptTracker {
            script,
            value,
            against: 0,
            running: false,
            next_run: now,
            last_end: None,
        }
    }

    /// The script.
    pub fn script(&self) -> &Arc<Script> {
        &self.script
    }

    /// The fact.
    pub fn value(&self) -> FactValue {
        self.value
    }

    /// How the last run ended.
    pub fn last_end(&self) -> Option<&ScriptEnd> {
        self.last_end.as_ref()
    }

    /// Takes over a changed definition; what is known stays.
    pub fn reconfigure(&mut self, script: Arc<Script>, now: Time) {
        self.next_run = self.next_run.min(now + script.interval);
        self.script = script;
    }

    /// When to call [`ScriptTracker::on_timer`].
    pub fn next_deadline(&self) -> Time {
        self.next_run
    }

    /// A run may be due. keepalived: a run that would overlap the one before is skipped. One that may linger
    /// counts as timed out at each of these moments, as often as keepalived would have ended it.
    pub fn on_timer(&mut self, now: Time) -> Option<ScriptAction> {
        if now < self.next_run {
            return None;
        }
        let next = self.next_run + self.script.interval;
        self.next_run = if next > now {
            next
        } else {
            now + self.script.interval
        };
        if self.running {
            let lingers = !self.script.linger.is_zero();
            return lingers.then(|| self.count(ScriptEnd::TimedOut))?;
        }
        self.running = true;
        Some(ScriptAction::Run)
    }

    /// A run ended. The first end decides at once, with `init_fail` too, as keepalived was seen to do; after
    /// that `rise` or `fall` in a row.
    pub fn on_end(&mut self, end: ScriptEnd) -> Option<ScriptAction> {
        self.running = false;
        self.count(end)
    }

    fn count(&mut self, end: ScriptEnd) -> Option<ScriptAction> {
        let verdict = if end.passed() {
            FactValue::Up
        } else {
            FactValue::Down
        };
        let needed = match (self.last_end.is_none(), verdict) {
            (true, _) => 1,
            (false, FactValue::Up) => self.script.rise,
            (false, _) => self.script.fall,
        };
        self.last_end = Some(end.clone());
        if verdict == self.value {
            self.against = 0;
            return None;
        }
        self.against += 1;
        if self.against < needed {
            return None;
        }
        self.against = 0;
        self.value = verdict;
        Some(ScriptAction::Changed {
            to: verdict,
            by: end,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn tracker(rise: u32, fall: u32, init_fail: bool) -> ScriptTracker {
        let script = Script {
            name: "chk".into(),
            argv: vec!["true".into()],
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            linger: Duration::ZERO,
            rise,
            fall,
            user: None,
            init_fail,
        };
        ScriptTracker::new(Arc::new(script), Time::ZERO)
    }

    fn ends(tracker: &mut ScriptTracker, codes: &[i32]) -> Vec<FactValue> {
        codes
            .iter()
            .map(|code| {
                tracker.on_end(ScriptEnd::Exited(*code));
                tracker.value()
            })
            .collect()
    }

    use FactValue::{Down, Up};

    #[test]
    fn the_first_end_decides_whatever_rise_and_fall_say() {
        assert_eq!(ends(&mut tracker(3, 3, false), &[0]), [Up]);
        assert_eq!(ends(&mut tracker(3, 3, false), &[1]), [Down]);
    }

    #[test]
    fn later_ends_need_rise_or_fall_in_a_row() {
        let seen = ends(
            &mut tracker(2, 3, false),
            &[0, 1, 1, 0, 1, 1, 1, 0, 1, 0, 0],
        );
        assert_eq!(seen, [Up, Up, Up, Up, Up, Up, Down, Down, Down, Down, Up]);
    }

    #[test]
    fn init_fail_counts_as_failing_until_it_passes() {
        let mut tracker = tracker(2, 1, true);
        assert_eq!(tracker.value(), Down);
        assert_eq!(ends(&mut tracker, &[0]), [Up]);
    }

    #[test]
    fn it_runs_at_once_and_then_every_interval() {
        let mut tracker = tracker(1, 1, false);
        assert_eq!(tracker.on_timer(Time::ZERO), Some(ScriptAction::Run));
        tracker.on_end(ScriptEnd::Exited(0));
        assert_eq!(tracker.on_timer(Time::from_millis(999)), None);
        assert_eq!(
            tracker.on_timer(Time::from_millis(1000)),
            Some(ScriptAction::Run)
        );
    }

    #[test]
    fn a_run_that_would_overlap_is_skipped_not_queued() {
        let mut tracker = tracker(1, 1, false);
        tracker.on_timer(Time::ZERO);
        assert_eq!(tracker.on_timer(Time::from_millis(1000)), None);
        assert_eq!(tracker.on_timer(Time::from_millis(2000)), None);
        tracker.on_end(ScriptEnd::TimedOut);
        assert_eq!(tracker.value(), Down);
        assert_eq!(tracker.on_timer(Time::from_millis(2500)), None);
        assert_eq!(
            tracker.on_timer(Time::from_millis(3000)),
            Some(ScriptAction::Run)
        );
    }

    #[test]
    fn a_run_that_may_linger_fails_at_each_interval_and_its_end_counts_too() {
        let mut tracker = tracker(1, 2, false);
        tracker.on_end(ScriptEnd::Exited(0));
        let mut script = Script::clone(tracker.script());
        script.linger = Duration::from_secs(10);
        tracker.reconfigure(Arc::new(script), Time::ZERO);
        assert_eq!(tracker.on_timer(Time::ZERO), Some(ScriptAction::Run));
        assert_eq!(tracker.on_timer(Time::from_millis(1000)), None);
        assert_eq!(tracker.value(), Up, "one of two");
        let failed = tracker.on_timer(Time::from_millis(2000));
        let by = ScriptEnd::TimedOut;
        assert_eq!(failed, Some(ScriptAction::Changed { to: Down, by }));
        assert_eq!(
            tracker.on_timer(Time::from_millis(3000)),
            None,
            "never two at once"
        );
        tracker.on_end(ScriptEnd::Exited(0));
        assert_eq!(tracker.value(), Up);
    }
}
