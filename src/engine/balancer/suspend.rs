//! Checks that are not made for the time being. `ha_suspend`: servers of a virtual server are checked only
//! while its address is on this machine. And an operator may have them paused.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::config::model::VirtualServer;
use crate::lvs;
use crate::time::Time;

use super::{Action, Balancer, BalancerEvent, ServerKey};

impl Balancer {
    pub(super) fn on_addresses(
        &mut self,
        addresses: BTreeSet<IpAddr>,
        now: Time,
        out: &mut Vec<Action>,
    ) {
        let before = std::mem::replace(&mut self.addresses, addresses);
        let changed: BTreeSet<IpAddr> = before
            .symmetric_difference(&self.addresses)
            .copied()
            .collect();
        self.set_pauses(
            |vs| vs.pool.ha_suspend && lvs::virtual_addresses(vs).any(|a| changed.contains(&a)),
            now,
        );
        for &address in &changed {
            let here = self.addresses.contains(&address);
            out.push(Action::Event(BalancerEvent::Suspended { address, here }));
        }
    }

    /// The same of all that may have reason to be stopped.
    pub(super) fn set_all_pauses(&mut self, now: Time) {
        let pauses = self.has_pauses();
        self.set_pauses(|vs| vs.pool.ha_suspend || pauses, now);
    }

    /// Stops and starts checks of the virtual servers that `concerned` picks.
    pub(super) fn set_pauses(&mut self, concerned: impl Fn(&VirtualServer) -> bool, now: Time) {
        let paused = self.paused();
        let Balancer {
            config,
            monitor,
            addresses,
            ..
        } = self;
        let all = config.virtual_servers.iter();
        for vs in all.filter(|vs| concerned(vs)) {
            let service = lvs::service_key(&vs.address);
            // A mark has no address that could be away; of a group one is enough.
            let mut all = lvs::virtual_addresses(vs).peekable();
            let here = all.peek().is_none() || all.any(|a| addresses.contains(&a));
            for rs in &vs.real_servers {
                let endpoint = rs.endpoint;
                let server = ServerKey { service, endpoint };
                let stopped = vs.pool.ha_suspend && !here || paused.contains(&server);
                monitor.set_paused(&server, stopped, now);
            }
        }
    }
}
