//! The kernel's IPVS as the balancer's thread needs it, in words of the engine.

use std::collections::BTreeMap;

use crate::engine::balancer::{Failure, FailureKind};
use crate::ipvs::{Command, DestinationKey, ServiceKey};
use crate::kernel::ipvs::{Ipvs, Snapshot};
use crate::lvs::Observation;
use crate::net::Protocol;

/// All that the kernel shows.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// As the engine wants it.
    pub observation: Observation,
    /// The same table with its counters.
    pub snapshot: Snapshot,
}

/// The kernel's IPVS as the thread needs it.
pub trait Kernel: Send + 'static {
    /// Everything there is; the error is a whole sentence.
    ///
    /// # Errors
    /// It cannot be read.
    fn observe(&mut self) -> Result<Observation, String>;

    /// Both: what [`Kernel::observe`] gives, and the counters.
    ///
    /// # Errors
    /// As [`Kernel::observe`].
    fn see(&mut self) -> Result<Seen, String> {
        Ok(Seen {
            observation: self.observe()?,
            snapshot: Snapshot::default(),
        })
    }

    /// Everything with its counters; `None`, where that cannot be read.
    fn traffic(&mut self) -> Option<Snapshot> {
        None
    }

    /// Carries all out in order and gives those that failed.
    fn apply(&mut self, commands: &[Command]) -> Vec<Failure>;
}

impl Kernel for Ipvs {
    fn observe(&mut self) -> Result<Observation, String> {
        let found = self
            .snapshot_counting(|spec| spec.weight == 0)
            .map_err(|error| error.to_string())?;
        observation(self, found)
    }

    fn see(&mut self) -> Result<Seen, String> {
        let snapshot = self.snapshot().map_err(|error| error.to_string())?;
        Ok(Seen {
            observation: observation(self, snapshot.clone())?,
            snapshot,
        })
    }

    fn traffic(&mut self) -> Option<Snapshot> {
        self.snapshot().ok()
    }

    fn apply(&mut self, commands: &[Command]) -> Vec<Failure> {
        let failures = Ipvs::apply(self, commands).into_iter();
        let failure = |f: crate::kernel::netlink::Failure| Failure {
            index: f.index,
            kind: if f.error.is_disagreement() {
                FailureKind::Stale
            } else {
                FailureKind::Refused
            },
            error: f.error.to_string(),
        };
        failures.map(failure).collect()
    }
}

/// With what else the engine wants to know.
fn observation(ipvs: &mut Ipvs, found: Snapshot) -> Result<Observation, String> {
    let more = |ipvs: &mut Ipvs| Ok((ipvs.sync_daemons()?, ipvs.timeouts()?));
    let (daemons, timeouts) =
        more(ipvs).map_err(|error: crate::kernel::netlink::Error| error.to_string())?;
    Ok(Observation {
        connections: quiet_connections(&found),
        table: found.table,
        daemons,
        timeouts,
    })
}

/// How many connections destinations of weight 0 have. Of TCP only those count that are open: those that
/// were closed are remembered for two minutes more.
fn quiet_connections(found: &Snapshot) -> BTreeMap<(ServiceKey, DestinationKey), u32> {
    let quiet = found.destinations.iter().filter(|((service, d), _)| {
        let service = found.table.get(service);
        let spec = service.and_then(|service| service.destinations.get(d));
        spec.is_some_and(|spec| spec.weight == 0)
    });
    quiet
        .map(|(key, stats)| {
            let active = stats.active_connections;
            let tcp =
                matches!(key.0, ServiceKey::Endpoint { protocol, .. } if protocol != Protocol::Udp);
            let closed = if tcp { 0 } else { stats.inactive_connections };
            (*key, active.saturating_add(closed))
        })
        .collect()
}
