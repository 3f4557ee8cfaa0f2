//! How a case says no: [`Failure`], [`ensure!`], [`ensure_eq!`], [`wait_until`].

use std::fmt::{self, Display};
use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Why a case did not pass.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It ran, and what it proves is not so.
    Failed(String),
    /// It could not run here; counted as a failure of the whole run.
    Skipped(String),
}

/// Result of a case and of everything it calls.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// Not so, because of `why`.
    pub(crate) fn failed(why: impl Into<String>) -> Self {
        Self::Failed(why.into())
    }

    /// Could not run, because of `why`.
    pub(crate) fn skipped(why: impl Into<String>) -> Self {
        Self::Skipped(why.into())
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(why) => f.write_str(why),
            Self::Skipped(why) => write!(f, "skipped: {why}"),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(e: io::Error) -> Self {
        Self::Failed(e.to_string())
    }
}

impl From<serde_json::Error> for Failure {
    fn from(e: serde_json::Error) -> Self {
        Self::Failed(format!("json: {e}"))
    }
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

impl From<&str> for Failure {
    fn from(why: &str) -> Self {
        Self::Failed(why.to_owned())
    }
}

/// Adds what was being done to an error.
pub(crate) trait Doing<T> {
    /// `what`, in front of the error.
    fn doing(self, what: impl Display) -> Outcome<T>;
}

impl<T, E: Display> Doing<T> for Result<T, E> {
    fn doing(self, what: impl Display) -> Outcome<T> {
        self.map_err(|e| Failure::Failed(format!("{what}: {e}")))
    }
}

/// Fails the case with the formatted text unless the condition holds.
macro_rules! ensure {
    ($cond:expr, $($arg:tt)+) => {
        if !$cond {
            return Err($crate::lab::check::Failure::Failed(format!($($arg)+)));
        }
    };
}

/// Fails the case unless both are equal, showing both.
macro_rules! ensure_eq {
    ($left:expr, $right:expr, $($arg:tt)+) => {{
        let (left, right) = (&$left, &$right);
        if left != right {
            return Err($crate::lab::check::Failure::Failed(format!(
                "{}\n  one:   {left:#?}\n  other: {right:#?}", format_args!($($arg)+)
            )));
        }
    }};
}

pub(crate) use {ensure, ensure_eq};

/// Looks every 20 ms until `level` holds; an error of `level` counts as "not yet" and is shown if
/// it is the last one.
pub(crate) fn wait_until(
    what: impl Display,
    limit: Duration,
    mut level: impl FnMut() -> Outcome<bool>,
) -> Outcome<Duration> {
    let started = Instant::now();
    loop {
        let last = match level() {
            Ok(true) => return Ok(started.elapsed()),
            Ok(false) => String::new(),
            Err(e) => format!(" (last look: {e})"),
        };
        if started.elapsed() > limit {
            let secs = limit.as_secs_f64();
            return Err(Failure::Failed(format!(
                "not within {secs:.1} s: {what}{last}"
            )));
        }
        sleep(Duration::from_millis(20));
    }
}

/// Looks every 50 ms for all of `period` that `level` holds.
pub(crate) fn holds_for(
    what: impl Display,
    period: Duration,
    mut level: impl FnMut() -> Outcome<bool>,
) -> Outcome {
    let started = Instant::now();
    while started.elapsed() < period {
        if !level()? {
            let after = started.elapsed().as_secs_f64();
            return Err(Failure::Failed(format!(
                "after {after:.2} s no longer so: {what}"
            )));
        }
        sleep(Duration::from_millis(50));
    }
    Ok(())
}
