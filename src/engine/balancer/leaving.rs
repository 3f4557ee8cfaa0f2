//! Destinations that have left their pools and keep their connections for a while, and what others did to
//! the table.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::config::model::OutsideChanges;
use crate::ipvs::{DestinationKey, ServiceKey};
use crate::lvs::Observation;
use crate::time::Time;

use super::{Action, Balancer, KernelEvent, OBSERVE_EVERY, event};

/// How often the table is read while destinations are drained: to see when their connections have ended.
const OBSERVE_DRAINING: Duration = Duration::from_secs(5);

impl Balancer {
    /// `outside_changes revert`.
    pub(super) fn reverts(&self) -> bool {
        self.config.globals.lvs.outside_changes == OutsideChanges::Revert
    }

    pub(super) fn observe_every(&self) -> Duration {
        match self.pools.is_draining() {
            true => OBSERVE_DRAINING,
            false => OBSERVE_EVERY,
        }
    }

    pub(super) fn tell_draining(&mut self, draining: &[KernelEvent], out: &mut Vec<Action>) {
        if !draining.is_empty() {
            self.next_observe = self.next_observe.min(self.now + OBSERVE_DRAINING);
        }
        draining.iter().for_each(|e| event(out, e.clone()));
        if !draining.is_empty() {
            self.note_draining(out);
        }
    }

    /// For the record: a successor goes on with it.
    fn note_draining(&mut self, out: &mut Vec<Action>) {
        let draining = self.pools.draining();
        let draining =
            draining.map(|(service, destination, until)| ((service, destination), until));
        let draining = draining.collect();
        if self.owned.draining != draining {
            Arc::make_mut(&mut self.owned).draining = draining;
            out.push(Action::Owned(self.owned.clone()));
        }
    }

    /// Goes on with what an earlier run had begun, as far as it is still there and nobody wants it back.
    pub(super) fn go_on_draining(
        &mut self,
        begun: &BTreeMap<(ServiceKey, DestinationKey), Time>,
        found: &Observation,
        out: &mut Vec<Action>,
    ) {
        for ((service, destination), until) in begun {
            let there = found.table.get(service);
            let Some(there) = there.filter(|_| self.owned.has_destination(service, destination))
            else {
                continue;
            };
            if self
                .pools
                .go_on_draining((*service, *destination), there, *until)
            {
                event(
                    out,
                    KernelEvent::Draining {
                        service: *service,
                        destination: *destination,
                        limit: Duration::from_secs(until.until(self.now).as_secs()),
                    },
                );
            }
        }
        self.next_observe = self.next_observe.min(self.now + self.observe_every());
        self.note_draining(out);
    }

    /// Removes those that were drained.
    pub(super) fn let_go(&mut self, out: &mut Vec<Action>) {
        let seen = self.seen.as_ref();
        let gone = self.pools.let_go(self.now, |service, destination| {
            let connections = seen.and_then(|s| s.connections.get(&(*service, *destination)));
            connections == Some(&0)
        });
        let mut ended = false;
        for gone in gone {
            if let KernelEvent::Drained { service, .. } = gone {
                self.dirty.services.insert(service);
            }
            event(out, gone);
            ended = true;
        }
        if ended {
            self.note_draining(out);
        }
    }
}
