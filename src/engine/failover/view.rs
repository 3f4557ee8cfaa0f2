//! What the engine does and why, for whoever asks: values that are there anyway, copied. Words are made
//! by whoever shows them, so that looking costs the election little.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::bfd;
use crate::config::model::{BfdInstance, Instance, VirtualAddress};
use crate::engine::shared::Changes;
use crate::fact::{FactKind, FactName, FactValue};
use crate::time::Time;
use crate::track::ScriptEnd;
use crate::units::Priority;
use crate::vrrp::{Counters, Heard, Input, Reason, Standing, State, master_down_interval};
use crate::wire::bfd::State as SessionState;

use super::slot::{Slot, device};
use super::tracked::Tracked;
use super::vip::address_key;
use super::{Action, Event, Failover, SessionChange};

/// Everything at one moment.
#[derive(Clone, Debug)]
pub struct View {
    /// The moment.
    pub at: Time,
    /// Every instance, in the order of the file; those that left and still hold addresses come last.
    pub instances: Vec<InstanceView>,
    /// Every sync group.
    pub groups: Vec<GroupView>,
    /// Every fact that an instance reads.
    pub facts: BTreeMap<FactName, FactView>,
    /// Every BFD session.
    pub sessions: Vec<SessionView>,
    /// The node was told to yield and to stay so.
    pub standby: bool,
    /// What stands behind the VIPs is in place.
    pub ipvs_ready: bool,
    /// The election begins later here.
    pub deaf_until: Option<Time>,
    /// What came of changes to addresses, routes and rules; whoever carries them out counts them.
    pub changes: Changes,
}

/// One instance.
#[derive(Clone, Debug)]
pub struct InstanceView {
    /// What it was configured as.
    pub config: Arc<Instance>,
    /// Its state.
    pub state: State,
    /// How it got there; `None` before its first change.
    pub entered: Option<Entered>,
    /// The priority that counts.
    pub priority: Priority,
    /// Where its adverts come from.
    pub source: Option<IpAddr>,
    /// The last advert that was believed, and when it came.
    pub heard: Option<(Heard, Time)>,
    /// After so long a silence the master counts as dead.
    pub master_down: Duration,
    /// What stands against it now, in words.
    pub faults: BTreeSet<String>,
    /// Something that it tracks has not answered yet.
    pub waits: bool,
    /// What it reads.
    pub tracked: Arc<[Tracked]>,
    /// Of each of its addresses ([`Instance::all_vips`]): whether it is set.
    pub held: Vec<bool>,
    /// It holds addresses for a successor only.
    pub leaving: bool,
    /// It is not in the configuration any more.
    pub departed: bool,
    /// Its group, by its place in [`View::groups`].
    pub group: Option<usize>,
    /// What it sent and got.
    pub counters: Counters,
}

/// A change of state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entered {
    /// When.
    pub at: Time,
    /// The state before.
    pub from: State,
    /// Why.
    pub reason: Reason,
}

/// A sync group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupView {
    /// Its name.
    pub name: String,
    /// The state of all its members together.
    pub state: State,
    /// Their names.
    pub members: Vec<String>,
}

/// A fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactView {
    /// What holds.
    pub value: FactValue,
    /// Since when, if it has ever changed.
    pub since: Option<Time>,
    /// Of a script: how its last run ended.
    pub last_end: Option<ScriptEnd>,
}

/// A BFD session.
#[derive(Clone, Debug)]
pub struct SessionView {
    /// What it was configured as.
    pub config: Arc<BfdInstance>,
    /// Its state.
    pub state: SessionState,
    /// Since when, if it has ever changed.
    pub since: Option<Time>,
    /// Why it changed last.
    pub reason: Option<bfd::Reason>,
    /// After so long a silence the neighbor is taken for dead; `None` before it was heard.
    pub detection_time: Option<Duration>,
    /// Why it has no socket.
    pub socket_error: Option<String>,
    /// Packets that concerned it and were dropped.
    pub packets_dropped: u64,
}

impl Slot {
    /// An advert was believed. Those between it and the one before, of the same sender, have been lost.
    pub(super) fn note_heard(&mut self, heard: Heard, now: Time) {
        let Some(last) = &mut self.heard else {
            self.heard = Some(Box::new((heard, now)));
            return;
        };
        let (before, at) = std::mem::replace(&mut **last, (heard, now));
        let follows = self.state() == State::Backup
            && before.source == heard.source
            && before.priority != 0
            && heard.priority != 0;
        let intervals = now.since(at).as_nanos() + heard.interval.as_nanos() / 2;
        let intervals = intervals.checked_div(heard.interval.as_nanos());
        // More than that, and it was not there in between.
        let most = u128::from(self.config().down_timer_adverts);
        let lost = intervals.unwrap_or(0).saturating_sub(1);
        if follows && (1..=most).contains(&lost) {
            self.receiver.count_lost(u64::try_from(lost).unwrap_or(0));
        }
    }
}

impl Failover {
    /// What it does at this moment.
    pub fn view(&self, now: Time) -> View {
        let standings: Vec<(Standing, Option<IpAddr>)> = self
            .slots
            .iter()
            .map(|slot| {
                let source = self.kernel.source_of(slot.config());
                (self.standing(slot, source).0, source)
            })
            .collect();
        let mut facts = BTreeMap::new();
        for tracked in self.slots.iter().flat_map(|slot| slot.tracked.iter()) {
            if !facts.contains_key(&tracked.fact) {
                facts.insert(tracked.fact.clone(), self.fact_view(&tracked.fact));
            }
        }
        let instances = self.slots.iter().enumerate();
        View {
            at: now,
            instances: instances
                .map(|(index, slot)| self.instance_view(index, slot, &standings))
                .collect(),
            groups: self.group_views(),
            facts,
            sessions: self.bfd.view(),
            standby: self.standby,
            ipvs_ready: self.ipvs_ready,
            deaf_until: (self.deaf_until > now).then_some(self.deaf_until),
            changes: Changes::default(),
        }
    }

    fn instance_view(
        &self,
        index: usize,
        slot: &Slot,
        standings: &[(Standing, Option<IpAddr>)],
    ) -> InstanceView {
        let config = slot.config();
        let own = standings.get(index);
        let group = slot.group.and_then(|group| self.groups.get(group));
        let standing = match group {
            Some(group) if group.members.len() > 1 => {
                let of_member = |member: &usize| standings.get(*member).map(|s| s.0.clone());
                let all: Vec<Standing> = group.members.iter().filter_map(of_member).collect();
                self.together(index, &group.members, &all)
            }
            _ => own.map_or(Standing::Able, |own| own.0.clone()),
        };
        let (faults, waits) = match standing {
            Standing::Faulty(faults) => (faults, false),
            Standing::Waiting => (BTreeSet::new(), true),
            Standing::Able => (BTreeSet::new(), false),
        };
        let interval = slot.heard.as_ref().map(|heard| heard.0.interval);
        let priority = slot.machine.priority();
        InstanceView {
            config: Arc::clone(config),
            state: slot.state(),
            entered: slot.entered.clone(),
            priority,
            source: own.and_then(|own| own.1),
            heard: slot.heard.as_deref().copied(),
            master_down: master_down_interval(
                config.version,
                priority,
                interval.unwrap_or(config.advert_int.get()),
                config.down_timer_adverts,
            ),
            faults,
            waits,
            tracked: Arc::clone(&slot.tracked),
            held: config
                .all_vips()
                .map(|vip| self.has_vip(config, vip))
                .collect(),
            leaving: slot.leaving,
            departed: slot.departed,
            group: slot.group,
            counters: slot.receiver.counters(),
        }
    }

    fn has_vip(&self, config: &Instance, vip: &VirtualAddress) -> bool {
        let on = device(config, vip);
        let index = on.and_then(|on| self.kernel.index_of(on));
        index.is_some_and(|index| self.kernel.has(&address_key(index, vip)))
    }

    fn fact_view(&self, fact: &FactName) -> FactView {
        let script = match fact.kind {
            FactKind::Script => self.script(&fact.name),
            _ => None,
        };
        FactView {
            value: self.value_of(fact),
            since: self.fact_since.get(fact).copied(),
            last_end: script.and_then(|script| script.last_end().cloned()),
        }
    }

    fn group_views(&self) -> Vec<GroupView> {
        let name = |member: &usize| Some(self.slots.get(*member)?.config().name.clone());
        let groups = self.groups.iter();
        groups
            .map(|group| GroupView {
                name: group.config.name.clone(),
                state: group.state,
                members: group.members.iter().filter_map(name).collect(),
            })
            .collect()
    }

    /// Notes when facts changed, by what was told of them.
    pub(super) fn note_since(&mut self, out: &[Action], now: Time) {
        for action in out {
            let Action::Event(event) = action else {
                continue;
            };
            let fact = match event {
                Event::Script { name, .. } => FactName::new(FactKind::Script, name),
                Event::Fact { name, .. } => name.clone(),
                Event::Link { name, .. } | Event::LinkGone { name } => {
                    FactName::new(FactKind::Interface, name.as_str())
                }
                Event::Session(event) => match event.what {
                    SessionChange::Entered { .. } => FactName::new(FactKind::Bfd, &event.session),
                    _ => continue,
                },
                _ => continue,
            };
            self.fact_since.insert(fact, now);
        }
    }

    /// After a reload: what nobody reads any more.
    pub(super) fn forget_since(&mut self) {
        let slots = &self.slots;
        self.fact_since
            .retain(|fact, _| slots.iter().any(|slot| slot.tracks(fact)));
    }

    /// Counters of the instances begin at 0 again.
    pub fn clear_counters(&mut self) {
        for slot in &mut self.slots {
            slot.receiver.clear_counters();
        }
    }

    /// An operator wants an instance's addresses to be announced again; of one that is not master there
    /// is nothing to say.
    pub(super) fn on_announce(&mut self, instance: &str, now: Time, out: &mut Vec<Action>) {
        if let Some(index) = self.slots.iter().position(|slot| slot.is(instance)) {
            self.drive(index, Input::Reannounce, now, out);
        }
    }
}
