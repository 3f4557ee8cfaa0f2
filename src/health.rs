//! Which real servers are well: when each check runs, what its answers mean, and when a server counts as
//! down. Pure: it neither opens connections nor knows what a pool is; servers are keys that the caller
//! chooses.

mod check;
mod monitor;
mod spread;

pub use check::{Check, Status, Verdict};
pub use monitor::{Monitor, Output};

use std::fmt;

/// One checker of one server for as long as it asks the same question. Never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProbeId(pub u64);

/// How a check ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckOutcome {
    /// The server answered as it should.
    Passed,
    /// It did not; the reason in words for the log: `connection refused (ECONNREFUSED)`.
    Failed(String),
    /// This node could not even ask (no file descriptor, no such source address), which says nothing
    /// about the server; the reason in words.
    NotAsked(String),
}

/// `probe 17`.
impl fmt::Display for ProbeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "probe {}", self.0)
    }
}
