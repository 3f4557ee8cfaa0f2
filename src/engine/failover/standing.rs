//! Faults, weights and sources: what the world does to the instances.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::config::model::Weight;
use crate::fact::FactValue;
use crate::net::{InterfaceIndex, InterfaceName, Link};
use crate::time::Time;
use crate::track::ScriptTracker;
use crate::vrrp::{self, Standing};

use super::slot::{Slot, device};
use super::{Action, Event, Failover};

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
        if up && (renamed || !was_up) {
            // Addresses may have come with it, or gone, that nobody told us of.
            self.look_again_at = self.look_again_at.min(now);
        }
        self.refresh_all_standings(now, out);
    }

    pub(super) fn on_link_gone(&mut self, index: InterfaceIndex, now: Time, out: &mut Vec<Action>) {
        let name = self.kernel.link_of(index).map(|link| link.name.clone());
        self.kernel.remove_link(index);
        self.socket_errors
            .retain(|channel, _| channel.interface != Some(index));
        let Some(name) = name.filter(|name| self.watched.contains(name)) else {
            return;
        };
        out.push(Action::Event(Event::LinkGone { name }));
        self.on_links_renumbered(out);
        self.refresh_all_standings(now, out);
    }

    /// A name stands for another interface now, or for none.
    pub(super) fn on_links_renumbered(&mut self, out: &mut Vec<Action>) {
        self.index_slots();
        self.refresh_sockets(out);
    }

    pub(super) fn refresh_all_standings(&mut self, now: Time, out: &mut Vec<Action>) {
        for slot in 0..self.slots.len() {
            self.refresh_standing(slot, now, out);
        }
    }

    /// Tells one machine what it may do, with what weight, and where it speaks from.
    pub(super) fn refresh_standing(&mut self, index: usize, now: Time, out: &mut Vec<Action>) {
        let Some(slot) = self.slots.get(index) else {
            return;
        };
        if self.stopping {
            return;
        }
        let source = self.kernel.source_of(slot.config());
        let sum = self.weight_sum(slot);
        let standing = self.standing(slot, source);
        if let Some(source) = source {
            self.drive(index, vrrp::Input::Source(source), now, out);
        }
        self.drive(index, vrrp::Input::WeightSum(sum), now, out);
        self.drive(index, vrrp::Input::Standing(standing), now, out);
    }

    fn script(&self, name: &str) -> Option<&ScriptTracker> {
        self.scripts.get(*self.script_index.get(name)?)
    }

    fn weight_sum(&self, slot: &Slot) -> i32 {
        let config = slot.config();
        let scripts = config.track_scripts.iter().map(|tracked| {
            let up = self.script(&tracked.script).map(ScriptTracker::value);
            weight(tracked.weight, up.unwrap_or(FactValue::Unknown))
        });
        let interfaces = config.track_interfaces.iter().map(|tracked| {
            let up = self
                .kernel
                .link(&tracked.interface)
                .is_some_and(Link::is_up);
            weight(
                tracked.weight,
                if up { FactValue::Up } else { FactValue::Down },
            )
        });
        scripts.chain(interfaces).sum()
    }

    fn standing(&self, slot: &Slot, source: Option<IpAddr>) -> Standing {
        let config = slot.config();
        let mut faults = BTreeSet::new();
        let mut waiting = false;
        let mut need_link = |name: &InterfaceName| match self.kernel.link(name) {
            None => drop(faults.insert(format!("interface {name} does not exist"))),
            Some(link) if !link.is_up() => drop(faults.insert(format!("interface {name} is down"))),
            Some(_) => {}
        };
        if let Some(interface) = &config.interface
            && (!config.dont_track_primary || self.kernel.link(interface).is_none())
        {
            need_link(interface);
        }
        for vip in config.all_vips().filter(|vip| !vip.no_track) {
            let dev = device(config, vip);
            if let Some(dev) = dev.filter(|_| dev != config.interface.as_ref()) {
                need_link(dev);
            }
        }
        for tracked in config
            .track_interfaces
            .iter()
            .filter(|t| t.weight == Weight::Fault)
        {
            need_link(&tracked.interface);
        }
        for tracked in &config.track_scripts {
            let Some(tracker) = self.script(&tracked.script) else {
                continue;
            };
            match (tracker.value(), tracked.weight) {
                (FactValue::Unknown, _) => waiting = true,
                (FactValue::Down, Weight::Fault) => {
                    let how = tracker.last_end().map(|end| format!(" ({end})"));
                    let how = how.unwrap_or_default();
                    faults.insert(format!("script {} fails{how}", tracked.script));
                }
                _ => {}
            }
        }
        if let Some(channel) = self.kernel.channel_of(config) {
            faults.extend(self.channel_faults(config, channel, source));
        }
        if !faults.is_empty() {
            Standing::Faulty(faults)
        } else if waiting {
            Standing::Waiting
        } else {
            Standing::Able
        }
    }
}

/// What a tracked thing adds to the priority.
fn weight(weight: Weight, value: FactValue) -> i32 {
    match (weight, value) {
        (Weight::Fault, _) | (_, FactValue::Unknown) => 0,
        (Weight::Priority { delta, when_up }, value) => {
            if when_up == (value == FactValue::Up) {
                i32::from(delta)
            } else {
                0
            }
        }
    }
}
