//! Deadlines of one virtual router, each with its reason.

use std::time::Duration;

use crate::time::Time;
use crate::units::{Priority, Version};

/// Why a machine wants to be called at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// When the next advert of a master is due.
    Advert,
    /// When a silent master is taken for dead.
    MasterDown,
    /// When addresses that are held for a successor are let go.
    HoldOver,
    /// When the VIPs are announced a second time.
    AnnounceAgain,
    /// When the VIPs are announced as a matter of routine.
    AnnounceRefresh,
}

impl Timer {
    /// All of them, in the order in which those that are due together are handled.
    pub const ALL: [Timer; 5] = [
        Timer::Advert,
        Timer::MasterDown,
        Timer::HoldOver,
        Timer::AnnounceAgain,
        Timer::AnnounceRefresh,
    ];
}

/// At most one deadline for each reason.
#[derive(Clone, Debug, Default)]
pub(super) struct Timers {
    deadlines: [Option<Time>; Timer::ALL.len()],
}

impl Timers {
    const fn slot(timer: Timer) -> usize {
        match timer {
            Timer::Advert => 0,
            Timer::MasterDown => 1,
            Timer::HoldOver => 2,
            Timer::AnnounceAgain => 3,
            Timer::AnnounceRefresh => 4,
        }
    }

    pub(super) fn set(&mut self, timer: Timer, at: Time) {
        self.deadlines[Self::slot(timer)] = Some(at);
    }

    pub(super) fn clear(&mut self, timer: Timer) {
        self.deadlines[Self::slot(timer)] = None;
    }

    pub(super) fn clear_all(&mut self) {
        self.deadlines = [None; Timer::ALL.len()];
    }

    pub(super) fn at(&self, timer: Timer) -> Option<Time> {
        self.deadlines[Self::slot(timer)]
    }

    /// Takes out one that is due.
    pub(super) fn take_due(&mut self, now: Time) -> Option<(Timer, Time)> {
        Timer::ALL.into_iter().find_map(|timer| {
            let slot = &mut self.deadlines[Self::slot(timer)];
            let due = slot.filter(|at| *at <= now)?;
            *slot = None;
            Some((timer, due))
        })
    }

    pub(super) fn next(&self) -> Option<(Time, Timer)> {
        Timer::ALL
            .into_iter()
            .filter_map(|timer| self.deadlines[Self::slot(timer)].map(|at| (at, timer)))
            .min()
    }
}

/// How much longer than others a router waits before it takes over, so that the one with the highest
/// priority is first. RFC 3768 section 6.1: (256 - priority) / 256 seconds, whatever the interval;
/// RFC 9568 section 6.1: the same share of the master's interval.
pub fn skew_time(version: Version, priority: Priority, master_interval: Duration) -> Duration {
    let unit = match version {
        Version::V2 => Duration::from_secs(1),
        Version::V3 => master_interval,
    };
    unit * (256 - u32::from(priority.get())) / 256
}

/// How long a master may be silent (RFC 3768 section 6.1; keepalived's `down_timer_adverts` in the
/// place of the RFC's three).
pub fn master_down_interval(
    version: Version,
    priority: Priority,
    master_interval: Duration,
    down_timer_adverts: u8,
) -> Duration {
    master_interval * u32::from(down_timer_adverts) + skew_time(version, priority, master_interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn priority(p: u8) -> Priority {
        Priority::new(p).unwrap()
    }

    #[test]
    fn v2_skew_does_not_depend_on_the_interval() {
        let at = |s| skew_time(Version::V2, priority(100), Duration::from_secs(s));
        assert_eq!(at(1), Duration::from_micros(609_375));
        assert_eq!(at(10), at(1));
    }

    #[test]
    fn v3_skew_is_a_share_of_the_interval() {
        let skew = skew_time(Version::V3, priority(200), Duration::from_millis(10));
        assert_eq!(skew, Duration::from_nanos(2_187_500));
    }

    #[test]
    fn higher_priority_waits_less() {
        let wait = |p| master_down_interval(Version::V2, priority(p), Duration::from_secs(1), 3);
        assert_eq!(wait(100), Duration::from_micros(3_609_375));
        assert!(wait(101) < wait(100));
        assert_eq!(
            wait(255),
            Duration::from_micros(3_003_906) + Duration::from_nanos(250)
        );
    }

    #[test]
    fn due_timers_come_out_once_and_adverts_first() {
        let mut timers = Timers::default();
        timers.set(Timer::AnnounceAgain, Time::from_millis(5));
        timers.set(Timer::Advert, Time::from_millis(7));
        assert_eq!(
            timers.next(),
            Some((Time::from_millis(5), Timer::AnnounceAgain))
        );
        let now = Time::from_millis(7);
        assert_eq!(
            timers.take_due(now),
            Some((Timer::Advert, Time::from_millis(7)))
        );
        assert_eq!(
            timers.take_due(now),
            Some((Timer::AnnounceAgain, Time::from_millis(5)))
        );
        assert_eq!(timers.take_due(now), None);
    }
}
