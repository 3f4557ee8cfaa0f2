//! Checked numbers of VRRP. Their wire forms live in `wire`.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

/// A length of time as a number of seconds, for JSON.
///
/// # Errors
/// The serializer's.
pub fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

/// The same; null where there is none.
///
/// # Errors
/// The serializer's.
pub fn seconds_or_null<S: Serializer>(
    time: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    time.map(|time| time.as_secs_f64()).serialize(serializer)
}

/// The protocol's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Version {
    /// RFC 3768.
    V2,
    /// RFC 9568.
    V3,
}

/// Virtual router identifier, 1 to 255 (RFC 9568 section 5.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Vrid(u8);

impl Vrid {
    /// `None` for 0, which no virtual router may have.
    pub const fn new(id: u8) -> Option<Vrid> {
        if id == 0 { None } else { Some(Vrid(id)) }
    }

    /// The number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Vrid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Priority of a router, 1 to 255 (RFC 9568 section 5.2.4). Zero, "I am leaving", is not a priority
/// that a router can have: it exists only in an advert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Priority(u8);

impl Priority {
    /// Of the router that owns the addresses; no weight moves it.
    pub const OWNER: Priority = Priority(255);
    /// The highest of a router that does not own the addresses.
    pub const HIGHEST: Priority = Priority(254);
    /// Without a `priority` keyword.
    pub const DEFAULT: Priority = Priority(100);

    /// `None` for 0.
    pub const fn new(priority: u8) -> Option<Priority> {
        if priority == 0 {
            None
        } else {
            Some(Priority(priority))
        }
    }

    /// The number.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Whether this router owns the addresses.
    pub const fn is_owner(self) -> bool {
        self.0 == Self::OWNER.0
    }

    /// This priority with the sum of all weights added, held within 1 to 254; an owner keeps 255
    /// (keepalived: owners ignore weights).
    pub fn weighted(self, sum: i32) -> Priority {
        if self.is_owner() {
            return self;
        }
        let total = i32::from(self.0).saturating_add(sum).clamp(1, 254);
        Priority(u8::try_from(total).unwrap_or(254))
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Time between two adverts of a master: 10 ms to 255 s (`advert_int`). VRRP v2 can say whole seconds
/// only, v3 whole centiseconds up to 40.95 s; `wire` encodes, `config` refuses what cannot be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct AdvertInterval(#[serde(serialize_with = "seconds")] Duration);

impl AdvertInterval {
    /// Without an `advert_int` keyword.
    pub const DEFAULT: AdvertInterval = AdvertInterval(Duration::from_secs(1));
    /// The shortest.
    pub const MIN: AdvertInterval = AdvertInterval(Duration::from_millis(10));
    /// The longest (VRRP v2: one byte of seconds).
    pub const MAX: AdvertInterval = AdvertInterval(Duration::from_secs(255));

    /// `None` outside 10 ms to 255 s.
    pub fn new(interval: Duration) -> Option<AdvertInterval> {
        (Self::MIN.0..=Self::MAX.0)
            .contains(&interval)
            .then_some(AdvertInterval(interval))
    }

    /// As a length of time.
    pub const fn get(self) -> Duration {
        self.0
    }

    /// Whole seconds, as VRRP v2 says it; `None` when it is not whole seconds.
    pub fn whole_seconds(self) -> Option<u8> {
        (self.0.subsec_nanos() == 0)
            .then(|| u8::try_from(self.0.as_secs()).ok())
            .flatten()
    }
}

impl fmt::Display for AdvertInterval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_stay_between_1_and_254() {
        let p = Priority::new(100).unwrap();
        assert_eq!(p.weighted(-20).get(), 80);
        assert_eq!(p.weighted(-200).get(), 1);
        assert_eq!(p.weighted(200).get(), 254);
        assert_eq!(p.weighted(i32::MIN).get(), 1);
    }

    #[test]
    fn an_owner_ignores_weights() {
        assert_eq!(Priority::OWNER.weighted(-50), Priority::OWNER);
    }

    #[test]
    fn advert_intervals_outside_10_ms_to_255_s_do_not_exist() {
        assert!(AdvertInterval::new(Duration::from_millis(9)).is_none());
        assert!(AdvertInterval::new(Duration::from_secs(256)).is_none());
        assert_eq!(
            AdvertInterval::new(Duration::from_millis(1500))
                .unwrap()
                .whole_seconds(),
            None
        );
        assert_eq!(AdvertInterval::DEFAULT.whole_seconds(), Some(1));
    }
}
