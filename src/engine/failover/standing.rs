//! Faults, weights and sources: what the world does to the instances.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::fact::{FactKind, FactName, FactValue};
use crate::net::InterfaceName;
use crate::time::Time;
use crate::track::ScriptTracker;
use crate::vrrp::{self, Standing};

use super::routes;
use super::slot::{Slot, device};
use super::tracked::Verdict;
use super::{Action, Event, Failover};

impl Failover {
    /// A tracker outside the engine says something.
    pub(super) fn on_fact(
        &mut self,
        name: FactName,
        value: FactValue,
        now: Time,
        out: &mut Vec<Action>,
    ) {
        if self.facts.insert(name.clone(), value) == Some(value) {
            return;
        }
        if name.kind == FactKind::Linkbeat {
            out.push(Action::Event(Event::Fact { name, value }));
            self.count_links(now);
            self.refresh_statics(now, out);
            self.refresh_all_standings(now, out);
            return;
        }
        let event = Event::Fact { name, value };
        out.push(Action::Event(event.clone()));
        if let Event::Fact { name, .. } = event {
            self.refresh_standings_of(&name, now, out);
        }
    }

    /// Facts that somebody reads, that are known soon when they are known at all, and are not yet.
    fn awaited(&self) -> BTreeSet<FactName> {
        let tracked = self.slots.iter().flat_map(|slot| slot.tracked.iter());
        let outside = |fact: &&FactName| matches!(fact.kind, FactKind::File | FactKind::Process);
        let known = |fact: &FactName| self.value_of(fact) != FactValue::Unknown;
        let facts = tracked.map(|tracked| &tracked.fact).filter(outside);
        facts.filter(|fact| !known(fact)).cloned().collect()
    }

    /// After the configuration came: trackers have [`super::FACTS_WAIT_MAX`] to say something.
    pub(super) fn await_facts(&mut self, now: Time) {
        let waits = !self.awaited().is_empty();
        self.facts_wait_until = waits.then_some(now + super::FACTS_WAIT_MAX);
    }

    /// What was not said in time counts as the worst of it: a file that cannot be read says 0, a process
    /// that nobody sees does not run.
    pub(super) fn give_up_facts(&mut self, now: Time, out: &mut Vec<Action>) {
        self.facts_wait_until = None;
        for name in self.awaited() {
            let value = match name.kind {
                FactKind::File => FactValue::Number(0),
                _ => FactValue::Down,
            };
            out.push(Action::Event(Event::FactMissing { name: name.clone() }));
            self.on_fact(name, value, now, out);
        }
    }

    /// A static object of a `track_group` is gone or back: every instance of that group is in fault until
    /// all of them are there. `what` is the object in words, as `static address 10.0.0.1/24`.
    pub(super) fn set_static_missing(
        &mut self,
        group: &str,
        what: &str,
        missing: bool,
        now: Time,
        out: &mut Vec<Action>,
    ) {
        let missed = self.missing_statics.entry(group.to_owned()).or_default();
        let changed = if missing {
            missed.insert(what.to_owned())
        } else {
            missed.remove(what)
        };
        if !changed {
            return;
        }
        for slot in 0..self.slots.len() {
            let groups = self.slots.get(slot).map(|slot| &slot.track_groups);
            if groups.is_some_and(|groups| groups.iter().any(|name| name == group)) {
                self.refresh_standing(slot, now, out);
            }
        }
    }

    /// A fact changed: those who read it are looked at.
    pub(super) fn refresh_standings_of(
        &mut self,
        fact: &FactName,
        now: Time,
        out: &mut Vec<Action>,
    ) {
        for slot in 0..self.slots.len() {
            if self.slots.get(slot).is_some_and(|slot| slot.tracks(fact)) {
                self.refresh_standing(slot, now, out);
            }
        }
    }

    pub(super) fn refresh_all_standings(&mut self, now: Time, out: &mut Vec<Action>) {
        for slot in 0..self.slots.len() {
            let group = self.slots.get(slot).and_then(|slot| slot.group);
            let group = group.and_then(|index| self.groups.get(index));
            // A group as a whole with its first member.
            if group.is_none_or(|group| group.members.first() == Some(&slot)) {
                self.refresh_standing(slot, now, out);
            }
        }
    }

    /// Tells one machine what it may do, with what weight, and where it speaks from; the others of its
    /// group too, for what one of them lacks all lack.
    pub(super) fn refresh_standing(&mut self, index: usize, now: Time, out: &mut Vec<Action>) {
        if self.stopping {
            return;
        }
        let group = self.slots.get(index).and_then(|slot| slot.group);
        let group = group.and_then(|group| self.groups.get(group));
        let Some(group) = group.filter(|group| group.members.len() > 1) else {
            let standing = self.inform(index, now, out);
            self.drive(index, vrrp::Input::Standing(standing), now, out);
            return;
        };
        let members = group.members.clone();
        let own: Vec<Standing> = members
            .iter()
            .map(|member| self.inform(*member, now, out))
            .collect();
        for member in &members {
            let standing = self.together(*member, &members, &own);
            self.drive(*member, vrrp::Input::Standing(standing), now, out);
        }
    }

    /// What members stand for together, in the words of one of them.
    pub(super) fn together(&self, member: usize, members: &[usize], own: &[Standing]) -> Standing {
        let mut faults = BTreeSet::new();
        for (other, standing) in members.iter().zip(own) {
            let Standing::Faulty(of_other) = standing else {
                continue;
            };
            let name = self.slots.get(*other).map(|slot| &slot.config().name);
            faults.extend(of_other.iter().map(|fault| match name {
                Some(name) if *other != member => format!("{fault} (of {name} in its sync group)"),
                _ => fault.clone(),
            }));
        }
        if !faults.is_empty() {
            Standing::Faulty(faults)
        } else if own.contains(&Standing::Waiting) {
            Standing::Waiting
        } else {
            Standing::Able
        }
    }

    /// Tells one machine everything but its standing, which is returned.
    fn inform(&mut self, index: usize, now: Time, out: &mut Vec<Action>) -> Standing {
        let Some(slot) = self.slots.get(index) else {
            return Standing::Able;
        };
        let source = self.kernel.source_of(slot.config());
        let (standing, sum) = self.standing(slot, source);
        if let Some(source) = source {
            self.drive(index, vrrp::Input::Source(source), now, out);
        }
        self.drive(index, vrrp::Input::WeightSum(sum), now, out);
        standing
    }

    pub(super) fn value_of(&self, fact: &FactName) -> FactValue {
        match fact.kind {
            FactKind::Interface => {
                let name = fact.name.parse();
                FactValue::of(name.is_ok_and(|name| self.is_up(&name)))
            }
            FactKind::Linkbeat => FactValue::Unknown,
            FactKind::Script => self
                .script(&fact.name)
                .map_or(FactValue::Unknown, ScriptTracker::value),
            FactKind::Bfd => self.bfd.value(&fact.name),
            FactKind::File | FactKind::Process => {
                let known = self.facts.get(fact).copied();
                known.unwrap_or(FactValue::Unknown)
            }
        }
    }

    /// A fact that stands against an instance, in words.
    fn fault_of(&self, fact: &FactName, value: FactValue) -> String {
        let name = &fact.name;
        match (fact.kind, value) {
            (FactKind::Script, FactValue::Up) => format!("script {name} passes"),
            (FactKind::Script, _) => {
                let end = self.script(name).and_then(ScriptTracker::last_end);
                let how = end.map(|end| format!(" ({end})")).unwrap_or_default();
                format!("script {name} fails{how}")
            }
            (FactKind::Interface, FactValue::Down)
                if name.parse().is_ok_and(|n| self.kernel.link(&n).is_none()) =>
            {
                format!("interface {name} does not exist")
            }
            (FactKind::Process, FactValue::Up) => format!("tracked process {name} has its quorum"),
            (FactKind::Process, _) => format!("tracked process {name} has no quorum"),
            (_, FactValue::Number(number)) => format!("tracked file {name} says {number}"),
            (_, FactValue::Up) => format!("{fact} is up"),
            (_, _) => format!("{fact} is down"),
        }
    }

    pub(super) fn script(&self, name: &str) -> Option<&ScriptTracker> {
        self.scripts.get(*self.script_index.get(name)?)
    }

    /// What one instance stands for by itself, and the sum of its weights.
    pub(super) fn standing(&self, slot: &Slot, source: Option<IpAddr>) -> (Standing, i32) {
        let config = slot.config();
        let mut faults = BTreeSet::new();
        let mut waiting = false;
        let mut sum = 0_i32;
        let mut need_link = |name: &InterfaceName| match self.kernel.link(name) {
            None => drop(faults.insert(format!("interface {name} does not exist"))),
            Some(link) if !self.counts_as_up(link) => {
                faults.insert(format!("interface {name} is down"));
            }
            Some(_) => {}
        };
        if let Some(interface) = &config.interface
            && (!config.dont_track_primary || self.kernel.link(interface).is_none())
        {
            need_link(interface);
        }
        for vip in config.all_vips().filter(|vip| !vip.no_track) {
            let dev = device(config, vip);
            // Its own link is down whenever the one that it is on is.
            let own = config.dont_track_primary && dev == config.own_link();
            if let Some(dev) = dev.filter(|_| dev != config.interface.as_ref())
                && (!own || self.kernel.link(dev).is_none())
            {
                need_link(dev);
            }
        }
        let more = &config.more;
        for link in routes::links(&more.routes, &more.rules) {
            if Some(link) != config.interface.as_ref() {
                need_link(link);
            }
        }
        if let Some(own) = config.own_link()
            && self.kernel.link(own).is_none()
        {
            need_link(own);
        }
        for tracked in slot.tracked.iter() {
            let value = self.value_of(&tracked.fact);
            match tracked.effect.verdict(value) {
                Verdict::Waits => waiting |= tracked.fact.kind != FactKind::Bfd,
                Verdict::Fault => drop(faults.insert(self.fault_of(&tracked.fact, value))),
                Verdict::Adds(weight) => sum = sum.saturating_add(weight),
            }
        }
        for group in &slot.track_groups {
            let missing = self.missing_statics.get(group).into_iter().flatten();
            faults.extend(missing.map(|what| format!("{what} of track group {group} is missing")));
        }
        faults.extend(self.channel_faults(config, source));
        let standing = if !faults.is_empty() {
            Standing::Faulty(faults)
        } else if waiting {
            Standing::Waiting
        } else {
            Standing::Able
        };
        (standing, sum)
    }
}
