//! A new configuration in the place of the one that runs: who goes on, who leaves, who begins.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::config::Config;
use crate::config::model::Instance;
use crate::fact::FactKind;
use crate::net::{Family, InterfaceName};
use crate::time::Time;
use crate::track::ScriptTracker;
use crate::units::{Version, Vrid};
use crate::vrrp;

use super::probe::Prober;
use super::slot::Slot;
use super::{Action, Failover, TimerOf};

/// What makes two instances the same virtual router: link, VRID, family and version of VRRP, and where
/// several have them all (peers or groups tell them apart), which of them it is.
type Identity = (Option<InterfaceName>, Vrid, Family, Version, usize);

fn identities<'a>(instances: impl IntoIterator<Item = &'a Instance>) -> Vec<Identity> {
    let mut several: BTreeMap<_, usize> = BTreeMap::new();
    let numbered = instances.into_iter().map(|config| {
        let place = config.interface.clone().or_else(|| config.more.vrf.clone());
        let key = (place, config.vrid, config.family, config.version);
        let number = several.entry(key.clone()).or_default();
        *number += 1;
        (key.0, key.1, key.2, key.3, *number)
    });
    numbered.collect()
}

impl Failover {
    /// A new configuration: instances on the same link with the same VRID go on, whatever they are called
    /// now, the others leave in order and new ones begin.
    pub(super) fn on_reload(&mut self, config: Arc<Config>, now: Time, out: &mut Vec<Action>) {
        let routing_before = self.named_routing();
        let (mut departed, running): (Vec<Slot>, Vec<Slot>) = std::mem::take(&mut self.slots)
            .into_iter()
            .partition(|slot| slot.departed);
        let were = identities(running.iter().map(|slot| &**slot.config()));
        let mut old: BTreeMap<Identity, Slot> = were.into_iter().zip(running).collect();
        let kept: Vec<Option<Slot>> =
            identities(config.instances.iter().map(|instance| &**instance))
                .iter()
                .map(|identity| old.remove(identity))
                .collect();
        // Those that leave say so first: a VIP may move from one instance to another. What they hold
        // until a successor has it is kept below; the rest goes, unless somebody else has it now.
        for slot in old.values_mut() {
            self.say_goodbye(slot, now, out);
        }
        for slot in &mut departed {
            slot.timer = None;
        }
        departed.extend(old.into_values().filter(|slot| slot.machine.is_leaving()));
        let states: Vec<_> = kept
            .iter()
            .map(|slot| slot.as_ref().map(Slot::state))
            .collect();
        self.timers.clear();
        self.roles_changed = true;
        self.slots = kept
            .into_iter()
            .zip(&config.instances)
            .map(|(slot, instance)| {
                let instance = Arc::clone(instance);
                match slot {
                    Some(mut slot) => {
                        slot.reconfigure(instance, now);
                        slot
                    }
                    None => Slot::new(instance, vrrp::Start::Fresh, now),
                }
            })
            .chain(departed)
            .collect();
        let old_config = std::mem::replace(&mut self.config, config);
        let old_scripts = std::mem::take(&mut self.scripts)
            .into_iter()
            .map(|tracker| (tracker.script().name.clone(), tracker))
            .collect();
        self.own_links.replace(&self.config);
        self.adopt_scripts(old_scripts, now);
        self.repace_announcements();
        self.prober = Prober::default();
        self.adopt_sessions(now, out);
        self.index_slots();
        self.number_leaving(now, out);
        self.index_groups(now, out);
        self.forget_facts();
        self.await_facts(now);
        self.index_delays(now);
        self.refresh_sockets(out);
        self.sync_promotion(out);
        self.sync_addresses_after_reload(&old_config, out);
        self.sync_routing_with(&routing_before, out);
        self.refresh_statics(now, out);
        for slot in 0..self.slots.len() {
            self.time_extra_announcements(slot, now);
            if self.ipvs_ready {
                self.drive(slot, vrrp::Input::MayClaim, now, out);
            }
            self.refresh_standing(slot, now, out);
        }
        self.forget_since();
        self.retime_leases(now);
        self.tell_again(&states, out);
        self.run_due_scripts(now, out);
        self.remove_stale_links(out);
    }

    /// What trackers said that are not there any more.
    fn forget_facts(&mut self) {
        let config = &self.config;
        self.facts.retain(|fact, _| match fact.kind {
            FactKind::File => config.track_files.contains_key(&fact.name),
            FactKind::Process => config.track_processes.contains_key(&fact.name),
            FactKind::Linkbeat => {
                let asked = &config.links.linkbeat;
                asked.keys().any(|name| name.as_str() == fact.name)
            }
            FactKind::Interface | FactKind::Script | FactKind::Bfd => false,
        });
        let groups = &config.statics.track_groups;
        self.missing_statics
            .retain(|name, _| groups.iter().any(|(group, _)| group == name));
    }

    /// Trackers for every script that an instance tracks; those that were there go on.
    pub(super) fn adopt_scripts(&mut self, mut old: BTreeMap<String, ScriptTracker>, now: Time) {
        self.scripts.clear();
        self.script_index.clear();
        let used: BTreeSet<&str> = self
            .config
            .instances
            .iter()
            .flat_map(|instance| &instance.more.track_scripts)
            .chain(
                self.config
                    .sync_groups
                    .iter()
                    .flat_map(|g| &g.track_scripts),
            )
            .map(|tracked| tracked.script.as_str())
            .collect();
        for script in self
            .config
            .scripts
            .values()
            .filter(|s| used.contains(s.name.as_str()))
        {
            let script = Arc::new(script.clone());
            let tracker = match old.remove(&script.name) {
                Some(mut tracker) if tracker.script().argv == script.argv => {
                    tracker.reconfigure(script, now);
                    tracker
                }
                _ => ScriptTracker::new(script, now),
            };
            self.script_index
                .insert(tracker.script().name.clone(), self.scripts.len());
            self.timers
                .insert((tracker.next_deadline(), TimerOf::Script(self.scripts.len())));
            self.scripts.push(tracker);
        }
    }
}
