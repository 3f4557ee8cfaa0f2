//! What changed.

use std::fmt;
use std::sync::Arc;

use crate::config::model::{Instance, Run, SyncGroup};

/// A change that somebody outside may want to hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Of an instance.
    Instance {
        /// As it was configured then.
        instance: Arc<Instance>,
        /// What.
        change: Change,
        /// Its priority, weights included.
        priority: u8,
    },
    /// Of a sync group.
    Group {
        /// As it was configured then.
        group: Arc<SyncGroup>,
        /// What.
        change: Change,
    },
    /// Of a real server.
    Server(Box<ServerNotice>),
    /// Of a check of a real server: told by mail alone.
    Check(Box<CheckNotice>),
    /// Of a virtual server.
    Service(Box<ServiceNotice>),
}

/// What happened to an instance or a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It entered this state.
    Entered(State),
    /// A reload left it in this state: said to FIFOs again (`fifo_write_vrrp_states_on_reload`).
    Still(State),
    /// As master it heard a lower priority: two of them were master for a while.
    LowerPriorityHeard,
    /// It is and was master, and another router that was master too has been heard: whoever was told of
    /// that one is told of this one again.
    SplitHealed,
    /// As master it found that another host has one of its addresses, of which no advert told.
    HeldElsewhere,
    /// Its priority changed (`notify_priority_changes`), while it was master or not.
    Priority {
        /// It was.
        master: bool,
    },
}

/// States as notifications know them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Holds the addresses.
    Master,
    /// Does not.
    Backup,
    /// Cannot.
    Fault,
    /// The daemon ends.
    Stop,
    /// It left the configuration.
    Deleted,
}

impl State {
    /// As scripts and FIFOs are told.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Master => "MASTER",
            State::Backup => "BACKUP",
            State::Fault => "FAULT",
            State::Stop => "STOP",
            State::Deleted => "DELETED",
        }
    }
}

impl Change {
    /// As FIFOs are told.
    pub fn as_str(self) -> &'static str {
        match self {
            Change::Entered(state) | Change::Still(state) => state.as_str(),
            Change::SplitHealed => State::Master.as_str(),
            Change::LowerPriorityHeard => "MASTER_RX_LOWER_PRI",
            Change::HeldElsewhere => "MASTER_ADDRESS_CONFLICT",
            Change::Priority { master: true } => "MASTER_PRIORITY",
            Change::Priority { master: false } => "BACKUP_PRIORITY",
        }
    }
}

/// A real server came up or went down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerNotice {
    /// As keepalived writes it: `[10.1.0.1]:tcp:80`.
    pub server: String,
    /// Its virtual server: `[10.0.0.1]:tcp:80`, `FWM 3`, `[GROUP]:0`.
    pub service: String,
    /// What it is now.
    pub up: bool,
    /// `notify_up` or `notify_down`.
    pub run: Option<Run>,
    /// `smtp_alert`.
    pub smtp_alert: Option<bool>,
    /// keepalived's line for a mail, where it was no check that decided.
    pub mail: Option<&'static str>,
}

/// A check passed after it had failed, or failed after it had passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckNotice {
    /// The server, as in [`ServerNotice`].
    pub server: String,
    /// Its virtual server.
    pub service: String,
    /// What the server is now.
    pub up: bool,
    /// Whether it was something else before.
    pub changed: bool,
    /// `smtp_alert` of the server.
    pub smtp_alert: Option<bool>,
    /// keepalived's line for a mail.
    pub mail: String,
    /// Why, if it failed.
    pub reason: Option<String>,
}

/// A virtual server gained or lost its quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceNotice {
    /// As keepalived writes it: `[10.0.0.1]:tcp:80`, `FWM 3`.
    pub service: String,
    /// Whether it has it now.
    pub up: bool,
    /// `quorum_up` or `quorum_down`.
    pub run: Option<Run>,
    /// `smtp_alert`.
    pub smtp_alert: Option<bool>,
    /// keepalived's line for a mail.
    pub mail: String,
}

/// Whose scripts run one after the other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// An instance.
    Instance(String),
    /// A sync group.
    Group(String),
    /// A real server of a virtual server.
    Server {
        /// The virtual server.
        service: String,
        /// The real server.
        server: String,
    },
    /// A virtual server.
    Service(String),
}

impl Notice {
    /// Whether keepalived would tell of it, too.
    pub fn is_keepalived_s(&self) -> bool {
        let (Notice::Instance { change, .. } | Notice::Group { change, .. }) = self else {
            return true;
        };
        !matches!(change, Change::SplitHealed | Change::HeldElsewhere)
    }

    /// Whom it is about.
    pub fn subject(&self) -> Subject {
        match self {
            Notice::Instance { instance, .. } => Subject::Instance(instance.name.clone()),
            Notice::Group { group, .. } => Subject::Group(group.name.clone()),
            Notice::Server(notice) => Subject::Server {
                service: notice.service.clone(),
                server: notice.server.clone(),
            },
            Notice::Check(notice) => Subject::Server {
                service: notice.service.clone(),
                server: notice.server.clone(),
            },
            Notice::Service(notice) => Subject::Service(notice.service.clone()),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Instance(name) => write!(f, "({name})"),
            Subject::Group(name) => write!(f, "VRRP group {name}:"),
            Subject::Server { service, server } => write!(f, "server {server} of VS {service}:"),
            Subject::Service(service) => write!(f, "VS {service}:"),
        }
    }
}
