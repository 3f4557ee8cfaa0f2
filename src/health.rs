//! Which real servers are well: when each check runs, what its answers mean, and when a server counts as
//! down. Pure: it neither opens connections nor knows what a pool is; servers are keys that the caller
//! chooses.

mod backend;
mod check;
mod few;
mod file;
mod found;
mod monitor;
mod page;
mod question;
mod record;
pub mod reply;
mod script;
mod slab;
mod spread;

pub use backend::{
    agent_outcome, grpc_outcome, mysql_outcome, mysql_questions, pgsql_outcome, pgsql_statements,
    redis_outcome,
};
pub use check::{Check, Status, Verdict};
pub use file::file_outcome;
pub use found::{Found, Member};
pub use monitor::{Monitor, Output};
pub use page::{Page, hex};
pub use question::Question;
pub use record::{Answer, BUCKETS, KindStats, Said};
pub use script::ScriptEnd;

use std::fmt;

/// One run of one question. Never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProbeId(pub u64);

/// How a check ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckOutcome {
    /// The server answered as it should; it has its configured weight.
    Passed,
    /// It did, but something about the answer is odd; in words, for the log.
    PassedBut(String),
    /// It did, and said what its weight should be.
    Weighs(Weighing),
    /// It did, and said more of itself.
    Found(Box<Found>),
    /// It did not; the reason in words for the log: `connection refused (ECONNREFUSED)`.
    Failed(String),
    /// This node could not even ask (no file descriptor, no such source address), which says nothing
    /// about the server; the reason in words.
    NotAsked(String),
}

/// What an answer makes of a server's weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weighing {
    /// So much in place of the configured weight (`misc_dynamic`).
    Instead(u32),
    /// So much more or less (`FILE_CHECK`).
    More(i32),
    /// So many hundredths of the configured weight; those of several checks are taken one of the other.
    Percent(u32),
}

impl Weighing {
    /// By how much it moves a configured weight.
    pub fn shift(self, configured: u32) -> i64 {
        match self {
            Weighing::Instead(weight) => i64::from(weight) - i64::from(configured),
            Weighing::More(delta) => i64::from(delta),
            Weighing::Percent(percent) => {
                i64::from(configured) * i64::from(percent) / 100 - i64::from(configured)
            }
        }
    }
}

/// `probe 17`.
impl fmt::Display for ProbeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "probe {}", self.0)
    }
}
