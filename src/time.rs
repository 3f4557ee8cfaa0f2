//! Points in time. Not a clock: nothing here reads one, every caller is handed `now`.
//!
//! A point is a count of nanoseconds of `CLOCK_BOOTTIME` (`clock_gettime(2)`): it does not jump when
//! somebody sets the date, and it goes on while the machine is suspended, so a node that slept knows it.

use std::fmt;
use std::num::NonZeroU64;
use std::ops::{Add, AddAssign};
use std::time::Duration;

/// Nanoseconds since boot, suspended time included; 584 years at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(
    /// Their number and one more: an `Option<Time>` is no larger, of which every virtual router has many.
    NonZeroU64,
);

impl Default for Time {
    fn default() -> Time {
        Time::ZERO
    }
}

impl Time {
    /// The moment of boot.
    pub const ZERO: Time = Time::from_nanos(0);

    /// A point `nanos` nanoseconds after boot.
    pub const fn from_nanos(nanos: u64) -> Time {
        Time(NonZeroU64::MIN.saturating_add(nanos))
    }

    /// A point `millis` milliseconds after boot.
    pub const fn from_millis(millis: u64) -> Time {
        Time::from_nanos(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since boot.
    pub const fn as_nanos(self) -> u64 {
        self.0.get() - 1
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub const fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.get().saturating_sub(earlier.0.get()))
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
        let d = Duration::from_nanos(self.as_nanos());
        write!(f, "{}.{:06}s", d.as_secs(), d.subsec_micros())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_time_are_points_like_others() {
        assert_eq!(Time::default(), Time::ZERO);
        assert_eq!(Time::ZERO.as_nanos(), 0);
        let end = Time::from_nanos(u64::MAX);
        assert_eq!(end, end + Duration::MAX, "it does not wrap");
        assert_eq!(end, Time::from_millis(u64::MAX));
        assert_eq!(
            Time::from_nanos(7).since(Time::from_nanos(2)),
            Duration::from_nanos(5)
        );
        assert_eq!(Time::ZERO.since(end), Duration::ZERO);
        assert_eq!(size_of::<Option<Time>>(), size_of::<Time>());
    }
}
