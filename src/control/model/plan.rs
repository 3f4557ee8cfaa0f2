//! What a configuration would change.

use serde::{Deserialize, Serialize};

/// `POST /v1/plan`, and part of the answer to `POST /v1/reload`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The file that was read.
    pub configuration: String,
    /// What is worth a look in it.
    pub warnings: Vec<String>,
    /// Why it cannot be put in force; nothing else is said then.
    pub errors: Vec<String>,
    /// What differs from the configuration that runs, in words.
    pub settings: Vec<String>,
    /// What changes in the kernel, in order.
    pub kernel: Vec<Change>,
    /// The changes of IPVS as arguments of ipvsadm, in order.
    pub ipvsadm: Vec<String>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What happens to it.
    pub change: Verb,
    /// What it is.
    pub kind: Kind,
    /// Which: `10.0.0.1:80/tcp`, `10.1.0.1:80`, `192.0.2.100/24`.
    pub name: String,
    /// The service that a server is in, the interface that an address is on.
    pub of: Option<String>,
    /// What it is now, of what changes or goes.
    pub before: Option<String>,
    /// What it will be.
    pub after: Option<String>,
    /// Connections that it has now, of a service or server that changes or goes.
    pub connections: Option<u64>,
    /// When, where that is not at once.
    pub when: Option<String>,
}

/// What happens to something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// It comes.
    Add,
    /// It stays, but not as it is.
    Change,
    /// It goes.
    Remove,
}

/// What something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A service of IPVS.
    Service,
    /// A server of a service.
    Server,
    /// A sync daemon of IPVS.
    SyncDaemon,
    /// Timeouts of connections.
    Timeouts,
    /// An address.
    Address,
    /// A route.
    Route,
    /// A rule.
    Rule,
}
