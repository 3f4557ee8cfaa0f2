//! What the balancer has to say, for the log and for those who are to be notified.

use std::net::IpAddr;
use std::time::Duration;

use crate::config::model::{Checker, Shared};
use crate::ipvs::{Command, DestinationKey, ServiceKey};
use crate::lvs::{Quorum, QuorumLimits, WriterWhy};
use crate::net::Endpoint;

use super::overrides::{Given, Override, Scope};

/// A real server of one virtual server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerKey {
    /// Of which virtual server: its service, or the first of its group.
    pub service: ServiceKey,
    /// As the configuration has it.
    pub endpoint: Endpoint,
}

/// Something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BalancerEvent {
    /// A check passed, for the first time or after the server was down.
    CheckPassed {
        /// Whose.
        server: ServerKey,
        /// Which.
        checker: Shared<Checker>,
    },
    /// A try of a check that is up failed, and is repeated (told only with `log_all_failures`).
    TryFailed {
        /// Whose.
        server: ServerKey,
        /// Which.
        checker: Shared<Checker>,
        /// Why.
        reason: String,
    },
    /// A check failed often enough.
    CheckFailed {
        /// Whose.
        server: ServerKey,
        /// Which.
        checker: Shared<Checker>,
        /// How often it was tried again.
        retries: u32,
        /// Why, the last time.
        reason: String,
    },
    /// A check could not be made, for a reason on this node; told once until it can. The server counts
    /// as what it was.
    NotAsked {
        /// Whose.
        server: ServerKey,
        /// Which.
        checker: Shared<Checker>,
        /// Why.
        reason: String,
    },
    /// A check passed, and its answer is odd; told once until it is odd in another way.
    OddAnswer {
        /// Whose.
        server: ServerKey,
        /// Which.
        checker: Shared<Checker>,
        /// In words.
        remark: String,
    },
    /// A server's state changed, and with it the pool.
    Pool {
        /// Whose.
        server: ServerKey,
        /// The virtual server, as keepalived names it.
        vs: String,
        /// What is done.
        change: PoolChange,
    },
    /// A server passes its checks again, and is held back for having failed so often (`flap_damping`).
    HeldBack {
        /// Which.
        server: ServerKey,
        /// The virtual server, as keepalived names it.
        vs: String,
        /// How often it failed.
        failures: usize,
        /// How long it has to be well.
        wait: Duration,
    },
    /// An operator ordered something, or an order has ended.
    Override {
        /// About whom.
        scope: Scope,
        /// What.
        order: Box<Override>,
        /// What became of it.
        how: Given,
    },
    /// At a start: the server was out of the pool that an earlier run left, and stays out until it has
    /// passed its checks.
    StillOut {
        /// Which.
        server: ServerKey,
        /// The virtual server, as keepalived names it.
        vs: String,
    },
    /// The servers of a pool have become enough, or too few.
    Quorum {
        /// Which pool.
        service: ServiceKey,
        /// The same, as keepalived names it.
        vs: String,
        /// What it is now.
        quorum: Quorum,
        /// What decides.
        limits: QuorumLimits,
        /// Weights of the servers that are up.
        sum: u64,
        /// On which occasion.
        when: QuorumWhen,
    },
    /// A sorry server takes the place of a pool, or leaves it.
    Sorry {
        /// Which pool.
        service: ServiceKey,
        /// The same, as keepalived names it.
        vs: String,
        /// The server.
        endpoint: Endpoint,
        /// What is done.
        change: PoolChange,
    },
    /// A pool with `one_writer` has another one, or none.
    Writer {
        /// Which pool.
        service: ServiceKey,
        /// The same, as keepalived names it.
        vs: String,
        /// Who was it.
        before: Option<ServerKey>,
        /// Who is it, and why.
        now: Option<(ServerKey, WriterWhy)>,
    },
    /// The address of virtual servers with `ha_suspend` came or went: their servers are checked, or not.
    Suspended {
        /// Which address.
        address: IpAddr,
        /// Whether it is on this machine.
        here: bool,
    },
    /// About the kernel's table.
    Kernel(KernelEvent),
}

/// On which occasion a quorum is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuorumWhen {
    /// The pool is new.
    Start,
    /// Servers came or went.
    Change,
    /// The daemon stops (`omega`).
    Stop,
}

/// Something about the kernel's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KernelEvent {
    /// The kernel's table was brought to the configuration.
    Programmed(Programmed),
    /// The table was not as it was left: somebody else changed it, and it is put back.
    Repairing {
        /// How many commands that takes.
        commands: usize,
        /// The first of them.
        first: Box<Command>,
    },
    /// Somebody else changed a weight; it stays until there is a reason of our own to write this server.
    SetByHand {
        /// In which service.
        service: ServiceKey,
        /// Which destination.
        destination: DestinationKey,
        /// Found.
        weight: u32,
        /// Desired.
        ours: u32,
    },
    /// Somebody else added a server to a service of ours; it stays.
    AddedByHand {
        /// In which service.
        service: ServiceKey,
        /// Which destination.
        destination: DestinationKey,
    },
    /// A destination left its pool: it takes no new connections (weight 0).
    Draining {
        /// Of which service.
        service: ServiceKey,
        /// Which destination.
        destination: DestinationKey,
        /// How long those that it has may last.
        limit: Duration,
    },
    /// A destination is removed after it was drained.
    Drained {
        /// Of which service.
        service: ServiceKey,
        /// Which destination.
        destination: DestinationKey,
        /// Whether its time was over; otherwise its connections have ended.
        in_time: bool,
    },
    /// The kernel refused a command; told once until it succeeds.
    Failed {
        /// What.
        command: Box<Command>,
        /// A whole sentence: operation, object, error.
        reason: String,
        /// When it is tried again; the wait grows up to a minute.
        retry_in: Duration,
    },
    /// More commands failed in the same go than are worth a line each.
    MoreFailed {
        /// How many.
        count: usize,
    },
    /// What failed before has succeeded.
    Recovered {
        /// What.
        command: Box<Command>,
    },
    /// The kernel's table could not be read.
    ObserveFailed {
        /// A whole sentence.
        reason: String,
        /// When it is tried again.
        retry_in: Duration,
    },
    /// It could be read again.
    ObserveRecovered,
    /// The table is not in place in time, and VIPs are claimed without it.
    NotReadyInTime,
    /// At a stop: some of it could not be removed in time.
    LeftBehind {
        /// How many services.
        services: usize,
    },
}

/// What a server's new state does to its pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolChange {
    /// It comes.
    Adding,
    /// It goes.
    Removing,
    /// `inhibit_on_failure`: it gets its weight back.
    Enabling,
    /// `inhibit_on_failure`: it gets weight 0.
    Disabling,
}

/// How many commands of each kind succeeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Programmed {
    /// Services added.
    pub services_added: usize,
    /// Services removed, with all their servers.
    pub services_removed: usize,
    /// Services changed.
    pub services_changed: usize,
    /// Servers added.
    pub servers_added: usize,
    /// Servers removed.
    pub servers_removed: usize,
    /// Servers changed.
    pub servers_changed: usize,
}

impl Programmed {
    /// Counts one command; sync daemons are not counted.
    pub(super) fn count(&mut self, command: &Command) {
        match command {
            Command::NewService(..) => self.services_added += 1,
            Command::SetService(..) => self.services_changed += 1,
            Command::DelService(..) => self.services_removed += 1,
            Command::NewDestination(..) => self.servers_added += 1,
            Command::SetDestination(..) => self.servers_changed += 1,
            Command::DelDestination(..) => self.servers_removed += 1,
            Command::NewDaemon(..) | Command::DelDaemon(..) | Command::SetTimeouts(_) => {}
        }
    }
}

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// As it should be.
    Info,
    /// Worth a look.
    Warning,
    /// Broken.
    Error,
}

impl BalancerEvent {
    /// Whether it is worth a line: that a pool begins with its quorum is not, it is for those who are to
    /// be notified.
    pub fn is_told(&self) -> bool {
        let BalancerEvent::Quorum { quorum, when, .. } = self else {
            return true;
        };
        (*quorum, *when) != (Quorum::Gained, QuorumWhen::Start)
    }

    /// How much it matters.
    pub fn severity(&self) -> Severity {
        match self {
            BalancerEvent::Kernel(event) => event.severity(),
            BalancerEvent::NotAsked { .. }
            | BalancerEvent::HeldBack { .. }
            | BalancerEvent::Writer { now: None, .. } => Severity::Warning,
            BalancerEvent::Quorum { quorum, when, .. } => match (quorum, when) {
                (Quorum::Lost, QuorumWhen::Start | QuorumWhen::Change) => Severity::Warning,
                _ => Severity::Info,
            },
            _ => Severity::Info,
        }
    }
}

impl KernelEvent {
    fn severity(&self) -> Severity {
        match self {
            KernelEvent::Programmed(_)
            | KernelEvent::Draining { .. }
            | KernelEvent::Drained { .. }
            | KernelEvent::Recovered { .. }
            | KernelEvent::ObserveRecovered => Severity::Info,
            KernelEvent::Repairing { .. }
            | KernelEvent::SetByHand { .. }
            | KernelEvent::AddedByHand { .. } => Severity::Warning,
            KernelEvent::Failed { .. }
            | KernelEvent::MoreFailed { .. }
            | KernelEvent::ObserveFailed { .. }
            | KernelEvent::NotReadyInTime
            | KernelEvent::LeftBehind { .. } => Severity::Error,
        }
    }
}
