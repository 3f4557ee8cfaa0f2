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

/// The role of every instance, by its name; one list for whoever knows them.
pub type Roles = Arc<BTreeMap<String, Role>>;

/// What is known of each BFD session that checks may ask for, by its name. Unknown: it has not been up yet.
pub type SessionFacts = BTreeMap<String, FactValue>;

/// The number in each file that checks may ask for, by the name of its `track_file`.
pub type FileFacts = BTreeMap<String, FactValue>;
