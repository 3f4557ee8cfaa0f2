//! The clock: the one place that reads it. Logic is handed what it says.

use std::time::SystemTime;

use crate::time::Time;

use super::sys;

pub use super::sys::time::{Local, local};

/// Now, by `CLOCK_BOOTTIME`: goes on while the machine is suspended, and never jumps. Takes tens of
/// nanoseconds (vdso(7)).
pub fn now() -> Time {
    Time::from_nanos(sys::poll::boottime_ns())
}

/// Whether somebody keeps the wall clock right: chrony, ntpd, timesyncd.
///
/// # Errors
/// The kernel does not say.
pub fn is_synchronised() -> std::io::Result<bool> {
    sys::time::is_synchronised()
}

/// An RFC 3339 time in words for whoever sits at this machine: `14:02:11`, with the date unless it is
/// today's. What is no such time stays as it is.
pub fn local_words(stamp: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "the date of today, for people")]
    let now = SystemTime::now();
    let words = || {
        let at = sys::time::local(seconds(humantime::parse_rfc3339(stamp).ok()?)?)?;
        let today = sys::time::local(seconds(now)?)?;
        Some(match at.date == today.date {
            true => at.time(),
            false => format!("{} {}", at.date(), at.time()),
        })
    };
    words().unwrap_or_else(|| stamp.to_owned())
}

fn seconds(at: SystemTime) -> Option<i64> {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_the_kernels_time_since_boot_and_does_not_go_back() {
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let before: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        let first = now();
        let second = now();
        assert!(first <= second);
        // /proc/uptime is cut to hundredths.
        assert!(first >= Time::ZERO + std::time::Duration::from_secs_f64(before));
    }

    #[test]
    fn a_time_of_today_has_no_date_and_nonsense_stays() {
        #[expect(clippy::disallowed_methods, reason = "a test of what today is")]
        let now = SystemTime::now();
        let stamp = humantime::format_rfc3339_millis(now).to_string();
        // Midnight may pass in between.
        assert!([8, 19].contains(&local_words(&stamp).len()));
        assert_eq!(local_words("2001-09-09T01:46:40Z").len(), 19);
        assert_eq!(local_words("soon"), "soon");
    }
}
