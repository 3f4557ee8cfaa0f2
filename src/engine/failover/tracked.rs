//! What an instance tracks, by itself and through its group, and what each fact does to it.

use std::collections::BTreeMap;

use crate::config::model::{
    FileWeight, Instance, SyncGroup, TrackedBfd, TrackedFile, TrackedInterface, TrackedProcess,
    TrackedScript, Weight,
};
use crate::fact::{FactKind, FactName, FactValue};
use crate::units::Priority;

/// keepalived: a number from a file, times its weight, that is this or less is a fault.
const NUMBER_FAULT: i64 = -254;
/// The most that a file adds to the priority.
const NUMBER_MAX: i64 = 253;

/// A fact that an instance reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracked {
    /// Which.
    pub fact: FactName,
    pub(super) effect: Effect,
}

impl Tracked {
    /// What the fact does to the instance when it is this.
    pub fn verdict(&self, value: FactValue) -> Verdict {
        self.effect.verdict(value)
    }
}

/// What the fact is to the instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Up and down count.
    Weight(Weight),
    /// The number counts.
    Number(FileWeight),
}

/// What a fact does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is not known yet.
    Waits,
    /// The instance may not take part.
    Fault,
    /// So much is added to the priority.
    Adds(i32),
}

impl Effect {
    pub(super) fn verdict(self, value: FactValue) -> Verdict {
        match (self, value) {
            (_, FactValue::Unknown) => Verdict::Waits,
            (Effect::Weight(weight), value) => of_weight(weight, value == FactValue::Up),
            (Effect::Number(weight), FactValue::Number(number)) => of_number(weight, number),
            // No tracker says so of a file; nothing is made of it.
            (Effect::Number(_), FactValue::Up | FactValue::Down) => Verdict::Adds(0),
        }
    }

    /// Whether it moves the priority.
    fn is_weighted(self) -> bool {
        match self {
            Effect::Weight(weight) => matches!(weight, Weight::Priority { .. }),
            Effect::Number(weight) => weight.factor != 0,
        }
    }

    /// The same without a weight: what stands against the instance is a fault.
    fn unweighted(self) -> Effect {
        match self {
            Effect::Weight(Weight::Priority { .. }) => Effect::Weight(Weight::Fault),
            Effect::Number(FileWeight { factor, .. }) if factor != 0 => {
                Effect::Number(FileWeight::FAULT)
            }
            other => other,
        }
    }
}

fn of_weight(weight: Weight, up: bool) -> Verdict {
    match weight {
        Weight::Fault if !up => Verdict::Fault,
        Weight::FaultWhenUp if up => Verdict::Fault,
        Weight::Priority { delta, when_up } if when_up == up => Verdict::Adds(i32::from(delta)),
        _ => Verdict::Adds(0),
    }
}

fn of_number(weight: FileWeight, number: i32) -> Verdict {
    if weight.factor == 0 {
        return if (number == 0) == weight.fault_at_zero {
            Verdict::Fault
        } else {
            Verdict::Adds(0)
        };
    }
    let product = i64::from(number) * i64::from(weight.factor);
    if product <= NUMBER_FAULT {
        return Verdict::Fault;
    }
    Verdict::Adds(i32::try_from(product.min(NUMBER_MAX)).unwrap_or(0))
}

/// What `instance` reads: its own trackers and those of its group.
///
/// A member of a group takes no weights of its own, unless the group has `sync_group_tracking_weight`,
/// and an owner of addresses takes none at all: keepalived then counts a weighted interface of a member
/// as one without weight, does the same with a file of the default weight, and drops every other
/// weighted tracker. `owner_in_group`: some member is an owner, so the group's trackers lose their
/// weights too. What both name counts once: the group's weight, unless the member's own has none.
pub(super) fn of_instance(
    instance: &Instance,
    group: Option<&SyncGroup>,
    owner_in_group: bool,
) -> Vec<Tracked> {
    let tells = |group: &SyncGroup| {
        group.settings.sync_group_tracking_weight || group.settings.global_tracking
    };
    let group_bars = group.is_some_and(|group| !tells(group));
    let owner = instance.priority == Priority::OWNER;
    let mut all: BTreeMap<FactName, Effect> = BTreeMap::new();
    for Tracked { fact, effect } in own(instance) {
        if (group_bars || owner) && effect.is_weighted() {
            let default_file =
                matches!(effect, Effect::Number(weight) if weight == FileWeight::DEFAULT);
            let kept = match fact.kind {
                FactKind::Interface => group_bars,
                _ => default_file,
            };
            if kept {
                all.insert(fact, effect.unweighted());
            }
        } else {
            all.insert(fact, effect);
        }
    }
    for Tracked { fact, effect } in group.into_iter().flat_map(of_group) {
        let effect = if owner_in_group {
            effect.unweighted()
        } else {
            effect
        };
        match all.get_mut(&fact) {
            Some(own) if own.is_weighted() => *own = effect,
            Some(_) => {}
            None => drop(all.insert(fact, effect)),
        }
    }
    all.into_iter()
        .map(|(fact, effect)| Tracked { fact, effect })
        .collect()
}

fn own(instance: &Instance) -> Vec<Tracked> {
    let more = &instance.more;
    let mut list = List::default();
    list.scripts(&instance.more.track_scripts);
    list.interfaces(&instance.more.track_interfaces);
    list.processes(&more.track_processes);
    list.sessions(&more.track_bfds);
    list.files(&more.track_files);
    list.0
}

fn of_group(group: &SyncGroup) -> Vec<Tracked> {
    let mut list = List::default();
    list.scripts(&group.track_scripts);
    list.interfaces(&group.track_interfaces);
    list.processes(&group.track_processes);
    list.sessions(&group.track_bfds);
    list.files(&group.track_files);
    list.0
}

#[derive(Default)]
struct List(Vec<Tracked>);

impl List {
    fn add(&mut self, kind: FactKind, name: &str, effect: Effect) {
        let fact = FactName::new(kind, name);
        self.0.push(Tracked { fact, effect });
    }

    fn scripts(&mut self, tracked: &[TrackedScript]) {
        for t in tracked {
            self.add(FactKind::Script, &t.script, Effect::Weight(t.weight));
        }
    }

    fn interfaces(&mut self, tracked: &[TrackedInterface]) {
        for t in tracked {
            let name = t.interface.as_str();
            self.add(FactKind::Interface, name, Effect::Weight(t.weight));
        }
    }

    fn processes(&mut self, tracked: &[TrackedProcess]) {
        for t in tracked {
            self.add(FactKind::Process, &t.process, Effect::Weight(t.weight));
        }
    }

    fn sessions(&mut self, tracked: &[TrackedBfd]) {
        for t in tracked {
            self.add(FactKind::Bfd, &t.session, Effect::Weight(t.weight));
        }
    }

    fn files(&mut self, tracked: &[TrackedFile]) {
        for t in tracked {
            self.add(FactKind::File, &t.file, Effect::Number(t.weight));
        }
    }
}
