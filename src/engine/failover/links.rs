//! Links: what the kernel says of them, and from when it counts.

use std::collections::BTreeMap;

use crate::config::model::LinkDelays;
use crate::fact::{FactKind, FactName, FactValue};
use crate::net::{AddressKey, InterfaceIndex, InterfaceName, Link};
use crate::time::Time;
use crate::vrrp;

use super::kernel_view::KernelView;
use super::{Action, Event, Failover};

/// A link of `interface_up_down_delays`.
#[derive(Clone, Debug)]
pub(super) struct Delayed {
    delays: LinkDelays,
    /// As what it counts.
    up: bool,
    /// It was up since it is there. The first time counts at once, as in keepalived.
    seen_up: bool,
    /// When the opposite counts.
    changes_at: Option<Time>,
}

impl Delayed {
    /// The kernel says that it is up, is down, or is not there.
    fn see(&mut self, kernel: Option<bool>, now: Time) {
        let up = kernel.unwrap_or(false);
        self.seen_up &= kernel.is_some();
        if up == self.up {
            self.changes_at = None;
            return;
        }
        let delay = if up { self.delays.up } else { self.delays.down };
        let at_once = !self.seen_up || delay.is_zero();
        if at_once || *self.changes_at.get_or_insert(now + delay) <= now {
            self.up = up;
            self.seen_up |= up;
            self.changes_at = None;
        }
    }
}

fn seen_up(
    kernel: &KernelView,
    facts: &BTreeMap<FactName, FactValue>,
    name: &InterfaceName,
) -> Option<bool> {
    let up = kernel.link(name)?.is_up();
    if facts.is_empty() {
        return Some(up);
    }
    let beat = facts.get(&FactName::new(FactKind::Linkbeat, name.as_str()));
    Some(up && beat != Some(&FactValue::Down))
}

impl Failover {
    pub(super) fn on_link(&mut self, link: Link, now: Time, out: &mut Vec<Action>) {
        let (up, name) = (link.is_up(), link.name.clone());
        let before = self.kernel.set_link(link.clone());
        let had_name = before.as_ref().map(|before| &before.name);
        let watched = self.watched.contains(&name);
        let was_watched = had_name.is_some_and(|name| self.watched.contains(name));
        if !(watched || was_watched) || before.as_ref() == Some(&link) {
            return;
        }
        let renamed = had_name != Some(&name);
        let was_up = before.is_some_and(|before| before.is_up());
        if was_up != up && watched {
            out.push(Action::Event(Event::Link { name, up }));
        }
        if renamed {
            self.on_links_renumbered(out);
        }
        self.count_links(now);
        if up && (renamed || !was_up) {
            // Addresses may have come with it, or gone, that nobody told us of.
            self.look_again_at = self.look_again_at.min(now);
        }
        self.refresh_statics(now, out);
        self.refresh_all_standings(now, out);
        if up && !was_up {
            self.announce_on(link.index);
        }
    }

    /// A link has carrier again: whatever is behind it may have forgotten us, or be another switch. An
    /// instance for which that link was a fault announces when it is master again.
    fn announce_on(&mut self, interface: InterfaceIndex) {
        let masters = self
            .slots
            .iter()
            .filter(|slot| slot.machine.state() == vrrp::State::Master);
        let keys: Vec<(AddressKey, u32)> = masters
            .flat_map(|slot| {
                let repeat = slot.config().garp.master_repeat;
                slot.keys(&self.kernel).map(move |(key, _)| (key, repeat))
            })
            .filter(|(key, _)| key.interface == interface)
            .collect();
        for (key, repeat) in keys {
            self.announce_address(key, repeat);
        }
    }

    pub(super) fn on_link_gone(&mut self, index: InterfaceIndex, now: Time, out: &mut Vec<Action>) {
        let name = self.kernel.link_of(index).map(|link| link.name.clone());
        self.kernel.remove_link(index);
        self.socket_errors
            .retain(|channel, _| channel.interface != Some(index));
        let Some(name) = name.filter(|name| self.watched.contains(name)) else {
            return;
        };
        if self.own_links.get(&name).is_some() {
            self.look_again_soon(now);
        }
        out.push(Action::Event(Event::LinkGone { name }));
        self.on_links_renumbered(out);
        self.count_links(now);
        self.refresh_statics(now, out);
        self.refresh_all_standings(now, out);
    }

    /// A name stands for another interface now, or for none.
    pub(super) fn on_links_renumbered(&mut self, out: &mut Vec<Action>) {
        self.index_slots();
        self.refresh_sockets(out);
    }

    /// Whether a link counts as up.
    pub(super) fn is_up(&self, name: &InterfaceName) -> bool {
        match self.delayed.get(name) {
            Some(delayed) => delayed.up,
            None => self.seen_up(name).unwrap_or(false),
        }
    }

    /// Whether it is up now; `None`: there is none. Where its driver is asked, that may speak against what
    /// the kernel says.
    fn seen_up(&self, name: &InterfaceName) -> Option<bool> {
        seen_up(&self.kernel, &self.facts, name)
    }

    /// The same of a link that is there. A link of ours has the carrier of the one that it is on.
    pub(super) fn counts_as_up(&self, link: &Link) -> bool {
        match self.own_links.get(&link.name) {
            Some(own) => link.admin_up && self.is_up(&own.base),
            None => self.is_up(&link.name),
        }
    }

    /// `interface_up_down_delays` of the configuration; links that were delayed before go on.
    pub(super) fn index_delays(&mut self, now: Time) {
        let mut old = std::mem::take(&mut self.delayed);
        for (name, delays) in &self.config.links.up_down_delays {
            let up = seen_up(&self.kernel, &self.facts, name) == Some(true);
            let delayed = match old.remove(name) {
                Some(old) => Delayed {
                    delays: *delays,
                    ..old
                },
                None => Delayed {
                    delays: *delays,
                    up,
                    seen_up: up,
                    changes_at: None,
                },
            };
            self.delayed.insert(name.clone(), delayed);
        }
        self.count_links(now);
    }

    /// After the kernel said something of links, or time has passed.
    pub(super) fn count_links(&mut self, now: Time) {
        for (name, delayed) in &mut self.delayed {
            let up = seen_up(&self.kernel, &self.facts, name);
            delayed.see(up, now);
        }
    }

    /// When a link begins to count as what it is.
    pub(super) fn links_deadline(&self) -> Option<Time> {
        self.delayed.values().filter_map(|d| d.changes_at).min()
    }
}
