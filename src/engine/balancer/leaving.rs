//! Destinations that have left their pools and keep their connections for a while, and what others did to
//! the table.

use std::time::Duration;

use crate::config::model::OutsideChanges;

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
    }

    /// Removes those that were drained.
    pub(super) fn let_go(&mut self, out: &mut Vec<Action>) {
        let seen = self.seen.as_ref();
        let gone = self.pools.let_go(self.now, |service, destination| {
            let connections = seen.and_then(|s| s.connections.get(&(*service, *destination)));
            connections == Some(&0)
        });
        for gone in gone {
            if let KernelEvent::Drained { service, .. } = gone {
                self.dirty.services.insert(service);
            }
            event(out, gone);
        }
    }
}
