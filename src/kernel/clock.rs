//! The clock: the one place that reads it. Logic is handed what it says.

use crate::time::Time;

use super::sys;

/// Now, by `CLOCK_BOOTTIME`: goes on while the machine is suspended, and never jumps. Takes tens of
/// nanoseconds (vdso(7)).
pub fn now() -> Time {
    Time::from_nanos(sys::poll::boottime_ns())
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
}
