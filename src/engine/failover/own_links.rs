//! Links that instances make for themselves: made before a configuration is in force, made again when
//! they disappear, removed when nobody needs them any more.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Config;
use crate::net::{InterfaceIndex, InterfaceName, OwnLink};
use crate::time::Time;

use super::slot::Slot;
use super::{Action, Event, Failover};

/// The links of a configuration, and those that are still used of the one before.
#[derive(Clone, Debug, Default)]
pub(super) struct OwnLinks {
    wanted: BTreeMap<InterfaceName, OwnLink>,
    /// Of configurations before: they go with the last instance that uses them.
    stale: BTreeMap<InterfaceName, OwnLink>,
    /// Links that could not be made, until they could; what was said about it.
    failing: BTreeMap<InterfaceName, String>,
}

impl OwnLinks {
    pub(super) fn new(config: &Config) -> OwnLinks {
        OwnLinks {
            wanted: by_name(config),
            ..OwnLinks::default()
        }
    }

    pub(super) fn get(&self, name: &InterfaceName) -> Option<&OwnLink> {
        self.wanted.get(name).or_else(|| self.stale.get(name))
    }

    /// A new configuration; what it does not name is removed when its time has come.
    pub(super) fn replace(&mut self, config: &Config) {
        let before = std::mem::replace(&mut self.wanted, by_name(config));
        self.stale.extend(before);
        self.stale.retain(|name, _| !self.wanted.contains_key(name));
        self.failing.clear();
    }
}

fn by_name(config: &Config) -> BTreeMap<InterfaceName, OwnLink> {
    let links = config.own_links.iter();
    links
        .map(|link| (link.name.clone(), link.clone()))
        .collect()
}

/// The links of ours that an instance uses.
pub(super) fn used_by(slot: &Slot) -> impl Iterator<Item = &InterfaceName> {
    let config = slot.config();
    let vips = config.all_vips().filter_map(|vip| vip.vmac.as_ref());
    vips.chain(config.own_link())
}

impl Failover {
    /// Whether this is a link of ours.
    pub(super) fn is_own_link(&self, index: InterfaceIndex) -> bool {
        let link = self.kernel.link_of(index);
        link.is_some_and(|link| self.own_links.get(&link.name).is_some())
    }

    /// Orders links that are missing and can be made: the interface that they are to be on is there.
    pub(super) fn make_missing_links(&self, out: &mut Vec<Action>) {
        if self.stopping {
            return;
        }
        for link in self.own_links.wanted.values() {
            let missing = self.kernel.link(&link.name).is_none();
            if missing && self.kernel.link(&link.base).is_some() {
                out.push(Action::MakeLink(link.clone()));
            }
        }
    }

    /// Removes links that nobody uses any more.
    pub(super) fn remove_stale_links(&mut self, out: &mut Vec<Action>) {
        if self.own_links.stale.is_empty() {
            return;
        }
        let used: BTreeSet<InterfaceName> = self.slots.iter().flat_map(used_by).cloned().collect();
        let stale = std::mem::take(&mut self.own_links.stale);
        let (kept, gone) = stale.into_iter().partition(|(name, _)| used.contains(name));
        self.own_links.stale = kept;
        let gone: BTreeMap<InterfaceName, OwnLink> = gone;
        out.extend(gone.into_values().map(Action::RemoveLink));
    }

    /// The daemon has let go of everything: so do its links.
    pub(super) fn remove_all_links(&mut self, out: &mut Vec<Action>) {
        let links = std::mem::take(&mut self.own_links);
        let all = links.stale.into_values().chain(links.wanted.into_values());
        for link in all {
            // That it goes is no news.
            self.watched.remove(&link.name);
            out.push(Action::RemoveLink(link));
        }
    }

    /// A link could not be made. Tried again with the next looks at the kernel.
    pub(super) fn on_link_failed(
        &mut self,
        name: InterfaceName,
        error: String,
        now: Time,
        out: &mut Vec<Action>,
    ) {
        if self.own_links.failing.get(&name) != Some(&error) {
            out.push(Action::Event(Event::LinkFailed {
                error: error.clone(),
            }));
            self.own_links.failing.insert(name, error);
        }
        self.look_again_soon(now);
    }
}
