//! What the balancer has to say, for the log. Where monitors know a phrase of keepalived's it is that
//! phrase, with the reason behind it.

use std::fmt;
use std::time::Duration;

use crate::config::model::{Checker, CheckerKind};
use crate::ipvs::{Command, DestinationKey, ServiceKey};
use crate::net::Endpoint;

/// A real server of one virtual server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerKey {
    /// Of which service.
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
        checker: Box<Checker>,
    },
    /// A try failed that changes nothing (told only with `log_all_failures`).
    TryFailed {
        /// Whose.
        server: ServerKey,
        /// Which.
        checker: Box<Checker>,
        /// Why.
        reason: String,
    },
    /// A check failed often enough.
    CheckFailed {
        /// Whose.
        server: ServerKey,
        /// Which.
        checker: Box<Checker>,
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
        checker: Box<Checker>,
        /// Why.
        reason: String,
    },
    /// A server's state changed, and with it the pool.
    Pool {
        /// Whose.
        server: ServerKey,
        /// What is done.
        change: PoolChange,
    },
    /// At a start: the server was out of the pool that an earlier run left, and stays out until it has
    /// passed its checks.
    StillOut {
        /// Which.
        server: ServerKey,
    },
    /// About the kernel's table.
    Kernel(KernelEvent),
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
    /// How much it matters.
    pub fn severity(&self) -> Severity {
        match self {
            BalancerEvent::Kernel(event) => event.severity(),
            BalancerEvent::NotAsked { .. } => Severity::Warning,
            _ => Severity::Info,
        }
    }
}

impl KernelEvent {
    fn severity(&self) -> Severity {
        match self {
            KernelEvent::Programmed(_)
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

impl fmt::Display for BalancerEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BalancerEvent::CheckPassed { server, checker } => {
                write!(f, "{} success.", Asked(server, &checker.kind))
            }
            BalancerEvent::TryFailed {
                server,
                checker,
                reason,
            } => write!(f, "{} failed. ({reason})", Asked(server, &checker.kind)),
            BalancerEvent::CheckFailed {
                server,
                checker,
                retries,
                reason,
            } => {
                let whom = checker.kind.destination().unwrap_or(server.endpoint);
                let asked = Name(server.service, whom);
                let check = checker.kind.keyword();
                write!(f, "{check} on service {asked} failed")?;
                if *retries > 0 {
                    write!(f, " after {retries} retries")?;
                }
                write!(f, ". ({reason})")
            }
            BalancerEvent::NotAsked {
                server,
                checker,
                reason,
            } => write!(
                f,
                "{} could not be tried: {reason}; the server is left as it is",
                Asked(server, &checker.kind)
            ),
            BalancerEvent::Pool { server, change } => {
                let (verb, word) = match change {
                    PoolChange::Adding => ("Adding", "to"),
                    PoolChange::Removing => ("Removing", "from"),
                    PoolChange::Enabling => ("Enabling", "of"),
                    PoolChange::Disabling => ("Disabling", "of"),
                };
                write!(
                    f,
                    "{verb} service {server} {word} VS {}",
                    Vs(server.service)
                )
            }
            BalancerEvent::StillOut { server } => write!(
                f,
                "service {server} was out of VS {} before this start and stays out until its checks \
                 have passed",
                Vs(server.service)
            ),
            BalancerEvent::Kernel(event) => event.fmt(f),
        }
    }
}

impl fmt::Display for KernelEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KernelEvent::Programmed(programmed) => programmed.fmt(f),
            KernelEvent::Repairing { commands, first } => write!(
                f,
                "IPVS was changed by somebody else: {commands} changes put it back, the first: {first}"
            ),
            KernelEvent::SetByHand {
                service,
                destination,
                weight,
                ours,
            } => write!(
                f,
                "weight of {destination} in {service} is {weight} instead of {ours}, set by hand: kept \
                 until its checks or the configuration change it"
            ),
            KernelEvent::AddedByHand {
                service,
                destination,
            } => write!(
                f,
                "destination {destination} of {service} was added by hand: kept"
            ),
            KernelEvent::Failed {
                reason, retry_in, ..
            } => write!(f, "{reason}; next try in {retry_in:?}"),
            KernelEvent::MoreFailed { count } => write!(f, "{count} more changes to IPVS failed"),
            KernelEvent::Recovered { command } => write!(f, "{command}: done now"),
            KernelEvent::ObserveFailed { reason, retry_in } => {
                write!(f, "{reason}; next try in {retry_in:?}")
            }
            KernelEvent::ObserveRecovered => f.write_str("the IPVS table can be read again"),
            KernelEvent::NotReadyInTime => {
                f.write_str("IPVS is not programmed in time: virtual addresses do not wait for it")
            }
            KernelEvent::LeftBehind { services } => {
                write!(
                    f,
                    "{services} services could not be removed from IPVS in time"
                )
            }
        }
    }
}

impl fmt::Display for Programmed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "IPVS programmed: services {} added, {} changed, {} removed; servers {} added, {} changed, \
             {} removed",
            self.services_added,
            self.services_changed,
            self.services_removed,
            self.servers_added,
            self.servers_changed,
            self.servers_removed
        )
    }
}

/// `[10.1.0.1]:tcp:80`.
impl fmt::Display for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Name(self.service, self.endpoint).fmt(f)
    }
}

/// A virtual server as keepalived writes it: `[10.0.0.1]:tcp:80`, `FWM 3`.
struct Vs(ServiceKey);

impl fmt::Display for Vs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ServiceKey::Endpoint { endpoint, .. } => Name(self.0, endpoint).fmt(f),
            ServiceKey::FwMark { mark, .. } => write!(f, "FWM {mark}"),
        }
    }
}

/// An endpoint with the protocol of a service; a mark has none.
struct Name(ServiceKey, Endpoint);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Endpoint { addr, port } = self.1;
        match self.0 {
            ServiceKey::Endpoint { protocol, .. } => write!(f, "[{addr}]:{protocol}:{port}"),
            ServiceKey::FwMark { .. } => write!(f, "[{addr}]:{port}"),
        }
    }
}

/// The start of a line about one try.
struct Asked<'a>(&'a ServerKey, &'a CheckerKind);

impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Name(
            self.0.service,
            self.1.destination().unwrap_or(self.0.endpoint),
        );
        match self.1 {
            CheckerKind::Tcp(_) => write!(f, "TCP connection to {name}"),
            other => write!(f, "{} on service {name}", other.keyword()),
        }
    }
}
