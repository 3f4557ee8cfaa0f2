//! Addresses, routes and rules that are there from start to stop, whoever is master.

use std::sync::Arc;

use crate::config::Config;
use crate::config::model::VirtualAddress;
use crate::net::{AddressCommand, AddressKey, InterfaceName, NetPicture};
use crate::time::Time;

use super::kernel_view::KernelView;
use super::vip::address_key;
use super::{Action, Failover, RESTORE_AFTER};

/// The static addresses of a configuration on the interfaces that exist now.
pub(super) fn addresses<'a>(
    config: &'a Config,
    kernel: &'a KernelView,
) -> impl Iterator<Item = (AddressKey, &'a VirtualAddress)> + 'a {
    config.statics.addresses.iter().filter_map(|address| {
        let interface = kernel.index_of(address.dev.as_ref()?)?;
        Some((address_key(interface, address), address))
    })
}

/// Links of static addresses that somebody tracks.
pub(super) fn tracked_links(config: &Config) -> impl Iterator<Item = &InterfaceName> {
    let tracked = config.statics.addresses.iter();
    let tracked = tracked.filter(|address| address.more.track_group.is_some());
    tracked.filter_map(|address| address.dev.as_ref())
}

impl Failover {
    pub(super) fn take_picture(&mut self, picture: NetPicture) {
        let NetPicture {
            links,
            addresses,
            routes,
            rules,
        } = picture;
        self.kernel.replace(links, addresses);
        self.replace_routing(routes, rules);
    }

    /// Keeps what it knows of the kernel in as little memory as it takes.
    pub fn pack(&mut self) {
        self.kernel.pack();
    }

    /// Whether a static address went that is to be there.
    pub(super) fn is_static(&self, key: &AddressKey) -> bool {
        addresses(&self.config, &self.kernel).any(|(of, _)| of == *key)
    }

    /// A static address went without our doing. Who tracks it is in fault only where it cannot be put back.
    pub(super) fn on_static_gone(&mut self, now: Time) {
        self.static_gone = true;
        self.restore_at.get_or_insert(now + RESTORE_AFTER);
    }

    /// Tells those who track statics what of them is missing.
    pub(super) fn refresh_statics(&mut self, now: Time, out: &mut Vec<Action>) {
        let mut tracked = self.tracked_routing();
        let statics = self.config.statics.addresses.iter();
        tracked.extend(statics.filter_map(|address| {
            let group = address.more.track_group.clone()?;
            let interface = address
                .dev
                .as_ref()
                .and_then(|dev| self.kernel.index_of(dev));
            let key = interface.map(|interface| address_key(interface, address));
            // As in keepalived it is of no use on a link that is down.
            let up = address.dev.as_ref().is_some_and(|dev| self.is_up(dev));
            let there = up && key.is_some_and(|key| self.kernel.has(&key));
            Some((group, format!("static address {}", address.cidr), there))
        }));
        for (group, what, there) in tracked {
            self.set_static_missing(&group, &what, !there, now, out);
        }
    }

    /// The end: they go, routes before the addresses that they lead from.
    pub(super) fn end_statics(&mut self, out: &mut Vec<Action>) {
        self.end_routing(out);
        let there = addresses(&self.config, &self.kernel).map(|(key, _)| key);
        let there = there.filter(|key| self.kernel.has(key));
        let mut there: Vec<AddressKey> = there.collect();
        there.sort_by_key(|key| self.kernel.is_first(key));
        self.order(there.into_iter().map(AddressCommand::Delete).collect(), out);
    }

    /// The end, but everything stays where it is.
    pub(super) fn keep_statics(&mut self) {
        Arc::make_mut(&mut self.config).statics = Default::default();
        self.keep_routing();
    }
}
