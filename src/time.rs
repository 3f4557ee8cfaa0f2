//! Points in time. Not a clock: nothing here reads one, every caller is handed `now`.
//!
//! A point is a count of nanoseconds of `CLOCK_BOOTTIME` (`clock_gettime(2)`): it does not jump when
//! somebody sets the date, and it goes on while the machine is suspended, so a node that slept knows it.

use std::fmt;
use std::ops::{Add, AddAssign};
use std::time::Duration;

/// Nanoseconds since boot, suspended time included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The moment of boot.
    pub const ZERO: Time = Time(0);

    /// A point `nanos` nanoseconds after boot.
    pub const fn from_nanos(nanos: u64) -> Time {
        Time(nanos)
    }

    /// A point `millis` milliseconds after boot.
    pub const fn from_millis(millis: u64) -> Time {
        Time(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since boot.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub const fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// How long from `now` until this point; zero when it has passed.
    pub const fn until(self, now: Time) -> Duration {
        self.since(now)
    }
}

/// A later point; stays at the end of time (584 years after boot) rather than wrap.
impl Add<Duration> for Time {
    type Output = Time;

    fn add(self, rhs: Duration) -> Time {
        let nanos = u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX);
        Time(self.0.saturating_add(nanos))
    }
}

impl AddAssign<Duration> for Time {
    fn add_assign(&mut self, rhs: Duration) {
        *self = *self + rhs;
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let d = Duration::from_nanos(self.0);
        write!(f, "{}.{:06}s", d.as_secs(), d.subsec_micros())
    }
}
