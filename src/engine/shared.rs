//! What the failover thread and the balancer thread tell each other. Values only: how they travel is the
//! runtime's affair.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::fact::FactValue;

/// The part a VRRP instance plays (RFC 5798 section 6.4, and keepalived's FAULT).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Not decided yet.
    Init,
    /// Listens.
    Backup,
    /// Holds the VIPs.
    Master,
    /// Cannot take part: what it needs is down.
    Fault,
}

/// What came of the changes to the kernel that a thread ordered, since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Carried out.
    pub done: u64,
    /// Refused by the kernel; each is tried again.
    pub failed: u64,
    /// Not to be carried out, because the kernel was not as it was thought to be: it is looked at again.
    pub stale: u64,
}

impl Changes {
    /// Takes an order in: how many changes it had, and of those how many failed and how many were stale.
    pub fn add(&mut self, ordered: usize, failed: usize, stale: usize) {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let done = ordered.saturating_sub(failed).saturating_sub(stale);
        self.done = self.done.saturating_add(count(done));
        self.failed = self.failed.saturating_add(count(failed));
        self.stale = self.stale.saturating_add(count(stale));
    }
}

/// The role of every instance, by its name; one list for whoever knows them.
pub type Roles = Arc<BTreeMap<String, Role>>;

/// What is known of each BFD session that checks may ask for, by its name. Unknown: it has not been up yet.
pub type SessionFacts = BTreeMap<String, FactValue>;

/// The number in each file that checks may ask for, by the name of its `track_file`.
pub type FileFacts = BTreeMap<String, FactValue>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_neither_failed_nor_was_stale_is_done() {
        let mut changes = Changes::default();
        changes.add(5, 1, 2);
        changes.add(1, 0, 0);
        let (done, failed, stale) = (3, 1, 2);
        assert_eq!(
            changes,
            Changes {
                done,
                failed,
                stale
            }
        );
    }
}
