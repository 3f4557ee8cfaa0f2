//! What a server said of itself beside that it is well.

use std::time::Duration;

use super::Weighing;

/// An answer that passes and says more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// What its weight should be.
    pub weighing: Option<Weighing>,
    /// What is odd about it, in words, for the log.
    pub remark: Option<String>,
    /// It is neither good nor bad: a server that is up stays up, one that is down stays down, for this reason.
    pub if_down: Option<String>,
    /// How long the server has been paused in all since its start; its weight is the part of the time from
    /// one answer to the next in which it was not.
    pub paused: Option<Duration>,
    /// Which part it plays among others.
    pub member: Option<Member>,
}

/// A server's name and place within its cluster, the same for everybody who asks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// Its place, from 0 (Galera: `wsrep_local_index`).
    pub index: u32,
    /// Its name (Galera: `wsrep_gcomm_uuid`).
    pub uuid: String,
}

/// Hundredths of the time in which a server was not paused, in steps of ten so that a weight does not
/// change with every answer, and never 0: a slow server is not one that failed. `None`: its count began
/// anew.
pub(super) fn percent_left(paused: Duration, before: Duration, between: Duration) -> Option<u32> {
    let paused = paused.checked_sub(before)?.as_millis();
    let between = between.as_millis().max(1);
    let left = 100_u128.saturating_sub(paused.saturating_mul(100) / between);
    let step = u32::try_from(left.div_ceil(10) * 10).unwrap_or(100);
    Some(step.clamp(10, 100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_the_time_that_is_left() {
        let left = |paused, before| {
            let s = Duration::from_millis;
            percent_left(s(paused), s(before), s(2000))
        };
        assert_eq!(left(500, 500), Some(100));
        assert_eq!(left(1500, 500), Some(50));
        assert_eq!(left(1590, 500), Some(50));
        assert_eq!(left(9000, 500), Some(10));
        assert_eq!(left(0, 500), None);
        assert_eq!(
            percent_left(Duration::from_secs(1), Duration::ZERO, Duration::ZERO),
            Some(10)
        );
    }
}
