//! `ha_suspend`: servers of a virtual server are checked only while its address is on this machine.

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
        self.refresh_suspended(
            |vs| lvs::virtual_addresses(vs).any(|a| changed.contains(&a)),
            now,
        );
        for &address in &changed {
            let here = self.addresses.contains(&address);
            out.push(Action::Event(BalancerEvent::Suspended { address, here }));
        }
    }

    /// Stops and starts checks of the virtual servers that `concerned` picks.
    pub(super) fn refresh_suspended(
        &mut self,
        concerned: impl Fn(&VirtualServer) -> bool,
        now: Time,
    ) {
        let Balancer {
            config,
            monitor,
            addresses,
            ..
        } = self;
        let suspended = config
            .virtual_servers
            .iter()
            .filter(|vs| vs.pool.ha_suspend);
        for vs in suspended.filter(|vs| concerned(vs)) {
            let service = lvs::service_key(&vs.address);
            // A mark has no address that could be away; of a group one is enough.
            let mut all = lvs::virtual_addresses(vs).peekable();
            let here = all.peek().is_none() || all.any(|a| addresses.contains(&a));
            for rs in &vs.real_servers {
                let endpoint = rs.endpoint;
                monitor.set_paused(&ServerKey { service, endpoint }, !here, now);
            }
        }
    }
}
