//! Sync groups: instances that are master together or not at all.
//!
//! A member that would become master waits until all others would too; one that is not master any more
//! takes the others along; a fault of one is a fault of all (that part is in [`super::standing`]).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::config::model::SyncGroup;
use crate::time::Time;
use crate::vrrp::{self, Reason, Start, State};

use super::{Action, Event, Failover, notices, tracked};

/// A group as it runs.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) config: Arc<SyncGroup>,
    /// Slots.
    pub(super) members: Vec<usize>,
    pub(super) state: State,
    /// Members that came with a reload to others that were master: they have until they hear somebody
    /// else to become master too.
    joining: BTreeSet<usize>,
    /// When it was told last that a split has healed.
    healed_at: Option<Time>,
}

/// Members hear the other side one after the other; the group is told of one split once.
const SPLIT_TOGETHER: Duration = Duration::from_secs(10);

/// How members begin: all go on as masters or none does.
pub(super) fn begin_together(starts: &mut [Start], members: &[usize]) {
    let is_resumed = |member: &usize| starts.get(*member) == Some(&Start::Resume);
    if members.iter().all(is_resumed) {
        return;
    }
    for member in members {
        if let Some(start) = starts.get_mut(*member)
            && *start == Start::Resume
        {
            *start = Start::Keep;
        }
    }
}

impl Failover {
    /// The slots of a group's members.
    pub(super) fn members_of(&self, group: &SyncGroup) -> Vec<usize> {
        let instances = &self.config.instances;
        let members = group.members.iter();
        members
            .filter_map(|name| instances.iter().position(|i| i.name == *name))
            .collect()
    }

    /// Groups, and what every slot reads, anew from the configuration. Groups that stay keep their state.
    pub(super) fn index_groups(&mut self, now: Time, out: &mut Vec<Action>) {
        let old = std::mem::take(&mut self.groups);
        self.stirred.clear();
        let whole = Arc::clone(&self.config);
        let configs = &whole.sync_groups;
        for slot in &mut self.slots {
            slot.group = None;
        }
        for config in configs {
            let members = self.members_of(config);
            let index = self.groups.len();
            for member in &members {
                if let Some(slot) = self.slots.get_mut(*member) {
                    slot.group = Some(index);
                }
            }
            let before = old.iter().find(|group| group.config.name == config.name);
            let masters = |member: &usize| self.state_of(*member) == State::Master;
            let some_lead = members.iter().any(masters);
            let joining = members.iter().copied().filter(|m| some_lead && !masters(m));
            self.groups.push(Group {
                config: Arc::new(config.clone()),
                state: before.map_or(State::Init, |group| group.state),
                joining: joining.collect(),
                healed_at: before.and_then(|group| group.healed_at),
                members,
            });
            self.stirred.insert(index);
        }
        let statics = &self.config.statics.track_groups;
        for slot in &mut self.slots {
            let group = slot.group.and_then(|index| {
                let members = &self.groups.get(index)?.members;
                let mut instances = members.iter().filter_map(|m| self.config.instances.get(*m));
                let owner = instances.any(|i| i.priority.is_owner());
                Some((configs.get(index)?, owner))
            });
            let owner = group.is_some_and(|(_, owner)| owner);
            let tracked = tracked::of_instance(slot.config(), group.map(|g| g.0), owner);
            // Those that read nothing share one list.
            slot.tracked = match tracked.is_empty() {
                true => Arc::default(),
                false => tracked.into(),
            };
            let name = &slot.config().name;
            let named = statics.iter().filter(|(_, members)| members.contains(name));
            slot.track_groups = named.map(|(group, _)| group.clone()).collect();
        }
        for index in 0..self.slots.len() {
            let grouped = self.slots.get(index).is_some_and(|s| s.group.is_some());
            self.drive(index, vrrp::Input::InGroup(grouped), now, out);
        }
    }

    fn state_of(&self, slot: usize) -> State {
        let slot = self.slots.get(slot);
        slot.map_or(State::Init, |slot| slot.machine.state())
    }

    /// A member heard an advert that it accepts. Whoever follows somebody does not join.
    pub(super) fn note_heard(&mut self, slot: usize) {
        let Some(index) = self.slots.get(slot).and_then(|slot| slot.group) else {
            return;
        };
        let wants = self
            .slots
            .get(slot)
            .is_some_and(|s| s.machine.wants_master());
        if let Some(group) = self.groups.get_mut(index)
            && !wants
            && group.joining.remove(&slot)
        {
            self.stirred.insert(index);
        }
    }

    /// A member, as master, heard a lower priority: the other side was master of the whole group, and
    /// will be silent about the other members as soon as it knows better.
    pub(super) fn announce_others(
        &mut self,
        group: usize,
        slot: usize,
        now: Time,
        out: &mut Vec<Action>,
    ) {
        let members = self.groups.get(group).map(|group| group.members.clone());
        for member in members.into_iter().flatten().filter(|m| *m != slot) {
            self.drive(member, vrrp::Input::Reannounce, now, out);
        }
    }

    /// A member, as master, heard somebody who was master in another part of the network.
    pub(super) fn tell_split_healed(&mut self, group: usize, now: Time, out: &mut Vec<Action>) {
        let Some(group) = self.groups.get_mut(group) else {
            return;
        };
        let told = |at: Time| now.since(at) < SPLIT_TOGETHER;
        if group.state == State::Master && !group.healed_at.is_some_and(told) {
            group.healed_at = Some(now);
            out.push(notices::of_healed_group(&group.config));
        }
    }

    /// After an event: where members changed, the others follow.
    pub(super) fn settle_groups(&mut self, now: Time, out: &mut Vec<Action>) {
        while let Some(index) = self.stirred.pop_first() {
            if self.stopping {
                continue;
            }
            self.settle(index, now, out);
            self.publish_group(index, out);
        }
    }

    fn settle(&mut self, index: usize, now: Time, out: &mut Vec<Action>) {
        let Some(group) = self.groups.get_mut(index) else {
            return;
        };
        let slots = &self.slots;
        let machine = |member: &usize| slots.get(*member).map(|slot| &slot.machine);
        let is_master = |m: &usize| machine(m).is_some_and(|m| m.state() == State::Master);
        group.joining.retain(|member| !is_master(member));
        let all_want = group
            .members
            .iter()
            .all(|m| machine(m).is_some_and(vrrp::Machine::wants_master));
        let (masters, others): (Vec<usize>, Vec<usize>) =
            group.members.iter().partition(|member| is_master(member));
        if all_want {
            for member in others {
                self.drive(member, vrrp::Input::Claim, now, out);
            }
            return;
        }
        let fallen = others.iter().find(|member| !group.joining.contains(member));
        let Some(fallen) = fallen.and_then(|member| slots.get(*member)) else {
            return;
        };
        let reason = Reason::SyncGroup {
            group: group.config.name.clone(),
            member: fallen.config().name.clone(),
        };
        group.joining.clear();
        for member in masters {
            self.drive(member, vrrp::Input::Yield(reason.clone()), now, out);
        }
    }

    fn publish_group(&mut self, index: usize, out: &mut Vec<Action>) {
        let Some(group) = self.groups.get_mut(index) else {
            return;
        };
        let counted = group.members.iter().filter(|m| !group.joining.contains(m));
        let states: BTreeSet<State> = counted
            .filter_map(|member| Some(self.slots.get(*member)?.machine.state()))
            .collect();
        let to = if states.contains(&State::Fault) {
            State::Fault
        } else if states.contains(&State::Init) {
            State::Init
        } else if states.contains(&State::Backup) {
            State::Backup
        } else {
            State::Master
        };
        let from = std::mem::replace(&mut group.state, to);
        if from != to && !group.members.is_empty() {
            let name = group.config.name.clone();
            let notice = notices::of_group(&group.config, to);
            out.push(Action::Event(Event::Group {
                group: name,
                from,
                to,
            }));
            out.extend(notice);
        }
    }
}
