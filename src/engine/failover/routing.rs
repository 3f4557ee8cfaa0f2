//! Routes and rules: which should be, which are, and what is to be done about it.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Config;
use crate::net::{
    Family, ObservedRoute, ROUTE_PROTOCOL, RouteCommand, RouteKey, RouteSpec, RoutingInterest,
    Rule, RuleCommand,
};
use crate::reconcile::{self, Change};
use crate::time::Time;
use crate::vrrp::{self, State};

use super::routes::{self, Wanted, same_route};
use super::{Action, Event, Failover, RESTORE_AFTER};

/// Static routes and rules that somebody removes are put back at once so many times between two looks
/// at the kernel, then with the next look.
const STATIC_REMOVALS_MAX: u32 = 3;

/// Routes and rules of the failover thread.
#[derive(Clone, Debug, Default)]
pub(super) struct Routing {
    /// What each instance wants as master, by the number of its slot.
    slots: Vec<Wanted>,
    /// What is to be there all the time.
    statics: Wanted,
    /// Routes that matter, as last seen.
    routes: BTreeMap<RouteKey, RouteSpec>,
    /// Rules that matter, as last seen.
    rules: BTreeSet<Rule>,
    /// What was ordered: the kernel may show some of it otherwise.
    ordered: BTreeMap<RouteKey, RouteSpec>,
    /// Something that matters went without our doing, not yet looked at.
    lost: bool,
    static_removals: u32,
}

impl Routing {
    fn shown(&self, key: &RouteKey) -> Option<&RouteKey> {
        if let Some((key, _)) = self.routes.get_key_value(key) {
            return Some(key);
        }
        self.routes.keys().find(|shown| key.is_shown_as(shown))
    }

    fn order(&mut self, commands: Vec<Step>, out: &mut Vec<Action>) {
        let mut batch = Vec::with_capacity(commands.len());
        for command in commands {
            match command {
                Step::Route(command) => {
                    match &command {
                        RouteCommand::Add(key, spec) => {
                            self.routes.insert(key.clone(), spec.clone());
                            self.ordered.insert(key.clone(), spec.clone());
                        }
                        RouteCommand::Delete(key) => {
                            self.routes.remove(key);
                            self.ordered.remove(key);
                        }
                    }
                    batch.push(command.into());
                }
                Step::Rule(command) => {
                    match &command {
                        RuleCommand::Add(rule) => drop(self.rules.insert(rule.clone())),
                        RuleCommand::Delete(rule) => drop(self.rules.remove(rule)),
                    }
                    batch.push(command.into());
                }
            }
        }
        if !batch.is_empty() {
            out.push(Action::Net(batch));
        }
    }

    /// What of this is not there.
    fn missing(&self, wanted: &Wanted) -> Vec<Step> {
        let routes = wanted.routes.iter();
        let routes = routes.filter(|(key, _)| self.shown(key).is_none());
        let add = |(key, spec): &(RouteKey, RouteSpec)| {
            Step::Route(RouteCommand::Add(key.clone(), spec.clone()))
        };
        let rules = wanted.rules.iter();
        let rules = rules.filter(|rule| !self.rules.contains(rule));
        let rules = rules.map(|rule| Step::Rule(RuleCommand::Add(rule.clone())));
        routes.map(add).chain(rules).collect()
    }
}

/// A change to a route or to a rule.
enum Step {
    Route(RouteCommand),
    Rule(RuleCommand),
}

impl Failover {
    /// Which routes and rules this configuration has to do with.
    pub fn routing_interest(config: &Config) -> RoutingInterest {
        let of_instances = config.instances.iter().map(|instance| &instance.more);
        let routes = of_instances.clone().flat_map(|more| &more.routes);
        let routes: Vec<_> = routes.chain(&config.statics.routes).collect();
        let rules = of_instances.flat_map(|more| &more.rules);
        let rules: Vec<_> = rules.chain(&config.statics.rules).collect();
        let named = routes.iter().filter_map(|route| route.protocol);
        let named = named.chain(rules.iter().map(|rule| rule.rule.protocol));
        let protocols: BTreeSet<u8> = named.chain([ROUTE_PROTOCOL]).collect();
        RoutingInterest {
            protocols: protocols.into_iter().collect(),
            routes: !routes.is_empty(),
            rules: !rules.is_empty(),
        }
    }

    /// The same, of the configuration in force.
    pub fn interest(&self) -> RoutingInterest {
        Failover::routing_interest(&self.config)
    }

    /// (Re)builds what is wanted: interfaces have other numbers, or the configuration is another one.
    pub(super) fn index_routing(&mut self) {
        let kernel = &self.kernel;
        let slots = self.slots.iter().map(|slot| {
            let more = &slot.config().more;
            Wanted::of(&more.routes, &more.rules, kernel)
        });
        // Mostly nobody has any.
        let some = slots.clone().any(|wanted| !wanted.is_empty());
        self.routing.slots = if some { slots.collect() } else { Vec::new() };
        let statics = &self.config.statics;
        self.routing.statics = Wanted::of(&statics.routes, &statics.rules, kernel);
    }

    pub(super) fn replace_routing(&mut self, routes: Vec<ObservedRoute>, rules: Vec<Rule>) {
        self.routing.routes = routes.into_iter().map(|r| (r.key, r.spec)).collect();
        self.routing.rules = rules.into_iter().collect();
        self.routing.lost = false;
        self.routing.static_removals = 0;
    }

    /// A machine became master: what it lacks is set, after its addresses.
    pub(super) fn hold_routing(&mut self, index: usize, out: &mut Vec<Action>) {
        if let Some(wanted) = self.routing.slots.get(index) {
            let missing = self.routing.missing(wanted);
            self.routing.order(missing, out);
        }
    }

    /// A machine lets its routes and rules go, before its addresses, all but those that another holds.
    pub(super) fn release_routing(&mut self, index: usize, out: &mut Vec<Action>) {
        let Some(wanted) = self.routing.slots.get(index).filter(|w| !w.is_empty()) else {
            return;
        };
        let holders = self.slots.iter().zip(&self.routing.slots).enumerate();
        let holders =
            holders.filter(|(other, (slot, _))| *other != index && slot.machine.holds_addresses());
        let others: Vec<&Wanted> = holders
            .map(|(_, (_, wanted))| wanted)
            .chain([&self.routing.statics])
            .collect();
        let rules = wanted.rules.iter().rev();
        let rules = rules.filter(|rule| {
            self.routing.rules.contains(rule) && !others.iter().any(|o| o.rules.contains(rule))
        });
        let rules = rules.map(|rule| Step::Rule(RuleCommand::Delete(rule.clone())));
        let routes = wanted.routes.iter().rev();
        let routes = routes.filter(|(key, _)| !others.iter().any(|o| o.has(key)));
        let routes = routes.filter_map(|(key, _)| self.routing.shown(key));
        let routes = routes.map(|key| Step::Route(RouteCommand::Delete(key.clone())));
        let commands = rules.chain(routes).collect();
        self.routing.order(commands, out);
    }

    /// The whole picture of routes and rules: what should be there against what is, for everything that
    /// is ours.
    pub(super) fn sync_routing(&mut self, out: &mut Vec<Action>) {
        self.sync_routing_with(&Wanted::default(), out);
    }

    /// Everything that the configuration names.
    pub(super) fn named_routing(&self) -> Wanted {
        let mut named = self.routing.statics.clone();
        let slots = self.routing.slots.iter().cloned();
        slots.for_each(|wanted| named.extend(wanted));
        named
    }

    /// As [`Failover::sync_routing`], with what the configuration of before named.
    pub(super) fn sync_routing_with(&mut self, before: &Wanted, out: &mut Vec<Action>) {
        let routing = &self.routing;
        let mut desired = routing.statics.clone();
        let mut named = self.named_routing();
        for (slot, wanted) in self.slots.iter().zip(&routing.slots) {
            if slot.machine.state() == State::Master {
                desired.extend(wanted.clone());
            } else if slot.machine.holds_addresses() {
                // A predecessor's are kept, not made.
                desired.extend(wanted.only(|key| routing.shown(key).is_some(), &routing.rules));
            }
        }
        named.extend(before.clone());
        let commands = self.routing_changes(&desired, &named);
        self.routing.order(commands, out);
    }

    /// Additions in the order of the file, since one route may need another one; removals before them for
    /// rules, which lead to routes, and behind them for routes, so that there is always a way.
    fn routing_changes(&self, wanted: &Wanted, named: &Wanted) -> Vec<Step> {
        let routing = &self.routing;
        let mut place = BTreeMap::new();
        let mut desired = BTreeMap::new();
        for (number, (key, spec)) in wanted.routes.iter().enumerate() {
            let shown = routing.shown(key).unwrap_or(key).clone();
            let settled = routing.ordered.get(key) == Some(spec);
            place.entry(shown.clone()).or_insert(number);
            desired.entry(shown).or_insert((spec.clone(), settled));
        }
        let observed = routing.routes.iter();
        let observed = observed.map(|(key, spec)| (key.clone(), (spec.clone(), true)));
        let observed: BTreeMap<_, _> = observed.collect();
        let part_of_wanted = |key: &RouteKey| wanted.routes.iter().any(|(w, _)| w.shares(key));
        let owned = |key: &RouteKey| {
            (key.protocol == ROUTE_PROTOCOL || named.has(key)) && !part_of_wanted(key)
        };
        let same = |want: &(RouteSpec, bool), have: &(RouteSpec, bool)| {
            want.1 || same_route(&want.0, &have.0)
        };
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        for change in reconcile::diff(&desired, &observed, owned, same) {
            match change {
                Change::Add(key, (spec, _)) if !self.is_part_shown(&key) => {
                    added.push((key.clone(), RouteCommand::Add(key, spec)));
                }
                Change::Add(..) => {}
                Change::Change(key, (spec, _)) => {
                    added.push((key.clone(), RouteCommand::Delete(key.clone())));
                    added.push((key.clone(), RouteCommand::Add(key, spec)));
                }
                Change::Remove(key) => removed.push(RouteCommand::Delete(key)),
            }
        }
        added.sort_by_key(|(key, _)| place.get(key).copied());
        let mut commands: Vec<Step> = self.rule_removals(wanted, named);
        commands.extend(added.into_iter().map(|(_, command)| Step::Route(command)));
        let rules = wanted.rules.iter().filter(|r| !routing.rules.contains(r));
        commands.extend(rules.map(|rule| Step::Rule(RuleCommand::Add(rule.clone()))));
        commands.extend(removed.into_iter().map(Step::Route));
        commands
    }

    /// IPv6 routes that differ in their hops alone are one route with all of them in the kernel.
    fn is_part_shown(&self, key: &RouteKey) -> bool {
        key.family == Family::V6 && self.routing.routes.keys().any(|shown| key.shares(shown))
    }

    fn rule_removals(&self, wanted: &Wanted, named: &Wanted) -> Vec<Step> {
        let rules = self.routing.rules.iter().filter(|rule| {
            let owned = rule.protocol == ROUTE_PROTOCOL || named.rules.contains(rule);
            owned && !wanted.rules.contains(rule)
        });
        rules
            .map(|rule| Step::Rule(RuleCommand::Delete(rule.clone())))
            .collect()
    }

    /// The end: what was static goes, too.
    pub(super) fn end_routing(&mut self, out: &mut Vec<Action>) {
        let commands = self.routing_changes(&Wanted::default(), &self.named_routing());
        self.routing.order(commands, out);
    }

    /// The end, but everything stays where it is.
    pub(super) fn keep_routing(&mut self) {
        self.routing = Routing::default();
    }

    /// Whether this instance has routes, which go with addresses without a word of the kernel.
    pub(super) fn has_routes(&self, index: usize) -> bool {
        let wanted = self.routing.slots.get(index);
        wanted.is_some_and(|wanted| !wanted.routes.is_empty())
    }

    /// Static routes and rules of track groups, in words, and whether each is there.
    pub(super) fn tracked_routing(&self) -> Vec<(String, String, bool)> {
        let statics = &self.config.statics;
        let routes = statics.routes.iter().filter_map(|route| {
            let group = route.track_group.clone()?;
            let there = routes::resolve(route, &self.kernel)
                .is_some_and(|(key, _)| self.routing.shown(&key).is_some());
            Some((group, format!("static route {}", route.destination), there))
        });
        let rules = statics.rules.iter().filter_map(|rule| {
            let group = rule.track_group.clone()?;
            let there = self.routing.rules.contains(&rule.rule);
            Some((group, format!("static {}", rule.rule), there))
        });
        routes.chain(rules).collect()
    }

    pub(super) fn on_route_seen(&mut self, route: ObservedRoute) {
        let known = self.routing.routes.keys();
        let known = known.filter(|key| key.is_shown_as(&route.key));
        let known: Vec<RouteKey> = known.cloned().collect();
        for key in known {
            self.routing.routes.remove(&key);
            if let Some(spec) = self.routing.ordered.remove(&key) {
                self.routing.ordered.insert(route.key.clone(), spec);
            }
        }
        self.routing.routes.insert(route.key, route.spec);
    }

    pub(super) fn on_route_gone(&mut self, key: &RouteKey, now: Time) {
        let shown = self.routing.routes.keys().find(|k| k.is_shown_as(key));
        let Some(shown) = shown.cloned() else {
            return; // our own order, heard back
        };
        self.routing.routes.remove(&shown);
        self.note_lost(now);
    }

    pub(super) fn on_rule_seen(&mut self, rule: Rule) {
        self.routing.rules.insert(rule);
    }

    pub(super) fn on_rule_gone(&mut self, rule: &Rule, now: Time) {
        if self.routing.rules.remove(rule) {
            self.note_lost(now);
        }
    }

    fn note_lost(&mut self, now: Time) {
        if !self.stopping {
            self.routing.lost = true;
            self.restore_at.get_or_insert(now + RESTORE_AFTER);
        }
    }

    /// What was taken a moment ago and is wanted still is put back; for an instance, that counts as a
    /// removal of its addresses does.
    pub(super) fn restore_routing(&mut self, now: Time, out: &mut Vec<Action>) {
        if !std::mem::take(&mut self.routing.lost) {
            return;
        }
        for index in 0..self.slots.len() {
            let missing = match (self.slots.get(index), self.routing.slots.get(index)) {
                (Some(slot), Some(wanted)) if slot.machine.state() == State::Master => {
                    self.routing.missing(wanted)
                }
                _ => continue,
            };
            let missing = self.possible(missing);
            let Some(slot) = self.slots.get_mut(index).filter(|_| !missing.is_empty()) else {
                continue;
            };
            let instance = Some(slot.config().name.clone());
            let too_often = slot.note_removal(now);
            out.extend(
                missing
                    .iter()
                    .map(|change| taken(&instance, change, too_often)),
            );
            if too_often {
                let reason = vrrp::Reason::AddressesTaken;
                self.drive(index, vrrp::Input::Yield(reason), now, out);
            } else {
                self.routing.order(missing, out);
            }
        }
        let missing = self.possible(self.routing.missing(&self.routing.statics));
        if missing.is_empty() {
            return;
        }
        self.routing.static_removals += 1;
        let too_often = self.routing.static_removals > STATIC_REMOVALS_MAX;
        out.extend(missing.iter().map(|change| taken(&None, change, too_often)));
        if !too_often {
            self.routing.order(missing, out);
        }
    }

    /// What can be set now: routes over links that are down come with the link.
    fn possible(&self, mut changes: Vec<Step>) -> Vec<Step> {
        changes.retain(|change| match change {
            Step::Route(RouteCommand::Add(key, _)) => key.hops.iter().all(|(_, interface)| {
                let link = interface.map(|interface| self.kernel.link_of(interface));
                link.is_none_or(|link| link.is_some_and(|link| link.is_up()))
            }),
            _ => true,
        });
        changes
    }
}

fn taken(instance: &Option<String>, change: &Step, too_often: bool) -> Action {
    let what = match change {
        Step::Route(RouteCommand::Add(key, _) | RouteCommand::Delete(key)) => {
            format!("route {key}")
        }
        Step::Rule(RuleCommand::Add(rule) | RuleCommand::Delete(rule)) => rule.to_string(),
    };
    Action::Event(Event::RoutingTaken {
        instance: instance.clone(),
        what,
        too_often,
    })
}
