//! One service as it should be in the kernel: what its pool says, with weights that somebody set by hand and
//! destinations that have left the pool and keep their connections for a while.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ipvs::{
    DestinationKey, DestinationSpec, Destinations, Service, ServiceKey, ServiceSpec,
};
use crate::time::Time;

use super::KernelEvent;

#[derive(Clone, Debug)]
pub(super) struct Wanted {
    desired: Service,
    /// Our own weight of each destination whose weight was set by hand.
    by_hand: BTreeMap<DestinationKey, u32>,
    /// Have left the pool and stay with weight 0 until then.
    draining: BTreeMap<DestinationKey, Time>,
    /// How long destinations may keep their connections when they are removed, of those that may.
    on_remove: BTreeMap<DestinationKey, Duration>,
    /// Its virtual server is gone: it goes with its last destination.
    leaves: bool,
}

/// What a new look changed.
#[derive(Clone, Debug, Default)]
pub(super) struct Changed {
    pub(super) destinations: Vec<DestinationKey>,
    /// Those that are drained from now on, and how long.
    pub(super) draining: Vec<(DestinationKey, Duration)>,
}

impl Wanted {
    pub(super) fn new(desired: Service, on_remove: BTreeMap<DestinationKey, Duration>) -> Wanted {
        Wanted {
            desired,
            by_hand: BTreeMap::new(),
            draining: BTreeMap::new(),
            on_remove,
            leaves: false,
        }
    }

    /// Of a virtual server that is gone.
    pub(super) fn left(spec: ServiceSpec) -> Wanted {
        let destinations = Destinations::default();
        let mut wanted = Wanted::new(Service { spec, destinations }, BTreeMap::new());
        wanted.leaves = true;
        wanted
    }

    /// Keeps a destination that an earlier run began to drain; not, when it is desired.
    pub(super) fn go_on_draining(
        &mut self,
        destination: DestinationKey,
        spec: DestinationSpec,
        until: Time,
    ) -> bool {
        let spec = DestinationSpec { weight: 0, ..spec };
        let new = self.desired.destinations.insert_new(destination, spec);
        if new {
            self.draining.insert(destination, until);
        }
        new
    }

    pub(super) fn desired(&self) -> &Service {
        &self.desired
    }

    pub(super) fn is_by_hand(&self, destination: &DestinationKey) -> bool {
        self.by_hand.contains_key(destination)
    }

    /// The same service without destinations.
    pub(super) fn emptied(&self) -> Service {
        Service {
            spec: self.desired.spec.clone(),
            destinations: Destinations::default(),
        }
    }

    /// How long a destination that is removed may keep its connections.
    pub(super) fn on_remove(&self, destination: &DestinationKey) -> Option<Duration> {
        self.on_remove.get(destination).copied()
    }

    /// A configuration names it.
    pub(super) fn stays(&mut self, on_remove: BTreeMap<DestinationKey, Duration>) {
        self.on_remove = on_remove;
        self.leaves = false;
    }

    /// No configuration names it any more.
    pub(super) fn leaves(&mut self) {
        self.leaves = true;
    }

    /// Whether it has nothing left to wait for.
    pub(super) fn is_over(&self) -> bool {
        self.leaves && self.draining.is_empty()
    }

    pub(super) fn is_draining(&self) -> bool {
        !self.draining.is_empty()
    }

    /// Destinations that have left the pool, and until when they stay.
    pub(super) fn draining(&self) -> &BTreeMap<DestinationKey, Time> {
        &self.draining
    }

    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.draining.values().copied().min()
    }

    /// The limits of those destinations that `fresh` does not have.
    pub(super) fn limits(
        &self,
        fresh: &Service,
        limit: impl Fn(&DestinationKey) -> Option<Duration>,
    ) -> BTreeMap<DestinationKey, Duration> {
        let left = self.desired.destinations.keys();
        let left = left.filter(|d| !fresh.destinations.contains_key(d));
        left.filter_map(|d| Some((*d, limit(d)?))).collect()
    }

    /// Takes what its pool says now. `limits`: of destinations that leave and are drained.
    pub(super) fn replace(
        &mut self,
        mut fresh: Service,
        limits: &BTreeMap<DestinationKey, Duration>,
        now: Time,
    ) -> Changed {
        self.by_hand.retain(|destination, ours| {
            let old = self.desired.destinations.get(destination);
            match (fresh.destinations.get_mut(destination), old) {
                (Some(new), Some(old)) if new.weight == *ours => {
                    new.weight = old.weight;
                    true
                }
                // A reason of our own to write it.
                _ => false,
            }
        });
        let mut changed = Changed::default();
        self.draining
            .retain(|d, _| !fresh.destinations.contains_key(d));
        for (destination, spec) in &self.desired.destinations {
            if fresh.destinations.contains_key(destination) {
                continue;
            }
            if !self.draining.contains_key(destination) {
                let Some(limit) = limits.get(destination) else {
                    continue;
                };
                self.draining.insert(*destination, now + *limit);
                changed.draining.push((*destination, *limit));
            }
            let mut spec = *spec;
            spec.weight = 0;
            fresh.destinations.insert(*destination, spec);
        }
        let old = std::mem::replace(&mut self.desired, fresh).destinations;
        let new = &self.desired.destinations;
        let left = old.keys().filter(|d| !new.contains_key(d));
        let other = new.iter().filter(|(d, spec)| old.get(d) != Some(*spec));
        let all = left.chain(other.map(|(d, _)| d));
        changed.destinations = all.copied().collect();
        changed
    }

    /// Those that are drained go when they have had their time, or have no connections; whether that
    /// was so in time.
    pub(super) fn let_go(
        &mut self,
        now: Time,
        no_connections: impl Fn(&DestinationKey) -> bool,
    ) -> Vec<(DestinationKey, bool)> {
        let mut gone = Vec::new();
        let desired = &mut self.desired.destinations;
        self.draining.retain(|destination, until| {
            let in_time = no_connections(destination);
            if !in_time && *until > now {
                return true;
            }
            desired.remove(destination);
            gone.push((*destination, in_time));
            false
        });
        gone
    }

    /// Weights that were set by hand are no longer kept.
    pub(super) fn forget_by_hand(&mut self) {
        for (destination, ours) in std::mem::take(&mut self.by_hand) {
            if let Some(want) = self.desired.destinations.get_mut(&destination) {
                want.weight = ours;
            }
        }
    }

    /// Keeps what somebody else did between two observations: a weight that had been as desired and no
    /// longer is, a server that is not ours and was not there.
    pub(super) fn keep(
        &mut self,
        service: ServiceKey,
        (known, found): (Option<&Service>, &Service),
        ours: &impl Fn(&ServiceKey, &DestinationKey) -> bool,
        events: &mut Vec<KernelEvent>,
    ) {
        for (&destination, have) in &found.destinations {
            let had = known.and_then(|s| s.destinations.get(&destination));
            let Some(want) = self.desired.destinations.get_mut(&destination) else {
                if had.is_none() && !ours(&service, &destination) {
                    events.push(KernelEvent::AddedByHand {
                        service,
                        destination,
                    });
                }
                continue;
            };
            let was_as_desired = had.is_some_and(|had| had.weight == want.weight);
            if !was_as_desired || have.weight == want.weight {
                continue;
            }
            let ours = *self.by_hand.entry(destination).or_insert(want.weight);
            want.weight = have.weight;
            if have.weight == ours {
                self.by_hand.remove(&destination);
                continue;
            }
            events.push(KernelEvent::SetByHand {
                service,
                destination,
                weight: have.weight,
                ours,
            });
        }
    }
}
