//! Everything of the failover thread that decides: instances, what they track, and the addresses they
//! hold. Pure: events and the time in, [`Action`]s out; the simulator drives it as the thread does.
//!
//! The kernel's links and addresses are kept here as last seen. An operation that was ordered is
//! counted as done until the kernel says otherwise, so that nothing is ordered twice.

mod addresses;
mod adverts;
mod announce;
mod bfd;
mod channels;
mod event;
mod filter;
mod hand_over;
mod kernel_view;
mod lease;
mod links;
mod notices;
mod own_links;
mod probe;
mod promotion;
mod rehearsal;
mod reload;
mod routes;
mod routing;
mod slot;
mod standing;
mod statics;
mod sync;
mod tracked;
mod types;
mod view;
mod vip;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::config::model::{Instance, ScriptDefaults};
use crate::fact::{FactKind, FactName, FactValue};
use crate::net::{AddressKey, Channel, InterfaceIndex, InterfaceName, NetPicture};
use crate::time::Time;
use crate::track::{ScriptAction, ScriptEnd, ScriptTracker};
use crate::vrrp;

use super::shared::{Role, Roles};
use announce::Announcer;
use bfd::Sessions;
pub use bfd::{SessionChange, SessionEvent, SessionId, SessionPacket};
pub use channels::{addresses_within, channels_of};
pub use event::Event;
pub use filter::filter_of;
use kernel_view::KernelView;
use links::Delayed;
use own_links::OwnLinks;
use probe::Prober;
pub use rehearsal::Rehearsal;
use routing::Routing;
use slot::Slot;
use sync::Group;
pub use tracked::{Tracked, Verdict};
pub use types::{Action, Beat, Input, NetFailure, Packet, SocketNeeds, StopKind, Why};
pub use view::{Entered, FactView, GroupView, InstanceView, SessionView, View};

/// How long a node that starts waits for IPVS before it claims VIPs without it.
pub const IPVS_WAIT_MAX: Duration = Duration::from_secs(10);
/// How long instances wait for files and processes of which nothing is known yet.
pub const FACTS_WAIT_MAX: Duration = Duration::from_secs(5);
/// How often the kernel's links and addresses are read again, whatever was heard of them.
pub const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// How soon they are read again after an operation failed; twice as long each time it fails again, up
/// to [`LOOK_AGAIN`].
pub const RETRY: Duration = Duration::from_millis(200);
/// How soon an address that somebody removed is put back. Not at once: deleting the first address of a
/// network takes the others of that network with it, one message for each, and a VIP that came back
/// before the interface's own address would be the first from then on, and take that one with it.
pub const RESTORE_AFTER: Duration = Duration::from_millis(30);

/// Timers that are handled in one turn. Thousands of instances may become master at one moment: what they
/// want done must not pile up, and adverts of others are read in between.
const PORTION: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum TimerOf {
    Slot(usize),
    Script(usize),
    /// `garp_extra_if` of a slot.
    Extra(usize),
    /// `vip_lease` of a slot.
    Lease(usize),
    Bfd(usize),
}

/// The engine of the failover thread.
#[derive(Clone, Debug)]
pub struct Failover {
    config: Arc<Config>,
    slots: Vec<Slot>,
    bfd: Sessions,
    scripts: Vec<ScriptTracker>,
    script_index: BTreeMap<String, usize>,
    /// What trackers outside the engine said last: files and processes.
    facts: BTreeMap<FactName, FactValue>,
    /// When facts that nobody said are not waited for any longer.
    facts_wait_until: Option<Time>,
    /// Static objects that are not where they should be, in words, by the `track_group` that they are in.
    missing_statics: BTreeMap<String, BTreeSet<String>>,
    groups: Vec<Group>,
    /// Groups of which a member changed since they were looked at.
    stirred: BTreeSet<usize>,
    /// Which instance an advert belongs to.
    by_wire: adverts::ByWire,
    /// Addresses that more than one instance names.
    shared: BTreeSet<AddressKey>,
    kernel: KernelView,
    /// Links whose changes count later.
    delayed: BTreeMap<InterfaceName, Delayed>,
    /// The sockets that were asked for.
    sockets: BTreeMap<Channel, SocketNeeds>,
    socket_errors: BTreeMap<Channel, String>,
    /// Deadlines of slots and scripts.
    timers: BTreeSet<(Time, TimerOf)>,
    ipvs_ready: bool,
    ipvs_wait_until: Time,
    look_again_at: Time,
    announcer: Announcer,
    prober: Prober,
    own_links: OwnLinks,
    /// When addresses that went missing are looked at.
    restore_at: Option<Time>,
    /// Refusals of the kernel that were told since everything was as it should be.
    refused: BTreeSet<String>,
    retry_after: Duration,
    routing: Routing,
    /// A static address went without our doing, which was not yet looked at.
    static_gone: bool,
    /// Links whose `promote_secondaries` we have set.
    promoted: BTreeSet<InterfaceIndex>,
    /// Links that an instance names.
    watched: BTreeSet<InterfaceName>,
    roles: Roles,
    roles_changed: bool,
    /// Timers have run out that were not handled yet.
    more_due: bool,
    /// Addresses that are held until somebody else announces them, and whose they are.
    leaving: BTreeMap<(InterfaceIndex, IpAddr), usize>,
    /// Whether announcements of others are asked for.
    watching: bool,
    /// The node yields until further notice.
    standby: bool,
    /// `vrrp_startup_delay` and `vrrp_delay_after_boot`: when the election begins here.
    deaf_until: Time,
    stopping: bool,
    /// It was said that everything is let go.
    released: bool,
    /// Since when each fact has been what it is.
    fact_since: BTreeMap<FactName, Time>,
}

impl Failover {
    /// The engine for `config`, with the kernel's picture as it is now. `left_behind` says for which
    /// instances a predecessor was master; `ipvs_needed` whether claiming waits for
    /// [`Input::IpvsReady`]. Nothing is done before [`Failover::start`].
    pub fn new(
        config: impl Into<Arc<Config>>,
        picture: NetPicture,
        left_behind: impl Fn(&Instance, &Beat) -> vrrp::Start,
        ipvs_needed: bool,
        now: Time,
    ) -> Failover {
        let config = config.into();
        let mut engine = Failover {
            slots: Vec::new(),
            // Differs from start to start.
            bfd: Sessions::new(now.as_nanos()),
            scripts: Vec::new(),
            script_index: BTreeMap::new(),
            facts: BTreeMap::new(),
            facts_wait_until: None,
            missing_statics: BTreeMap::new(),
            groups: Vec::new(),
            stirred: BTreeSet::new(),
            by_wire: BTreeSet::new(),
            shared: BTreeSet::new(),
            kernel: KernelView::default(),
            delayed: BTreeMap::new(),
            sockets: BTreeMap::new(),
            socket_errors: BTreeMap::new(),
            timers: BTreeSet::new(),
            ipvs_ready: !ipvs_needed,
            ipvs_wait_until: now + IPVS_WAIT_MAX,
            look_again_at: now + LOOK_AGAIN,
            announcer: Announcer::new(&config),
            prober: Prober::default(),
            own_links: OwnLinks::new(&config),
            restore_at: None,
            refused: BTreeSet::new(),
            retry_after: RETRY,
            routing: Routing::default(),
            static_gone: false,
            promoted: BTreeSet::new(),
            watched: BTreeSet::new(),
            roles: Roles::default(),
            roles_changed: true,
            more_due: false,
            leaving: BTreeMap::new(),
            watching: false,
            standby: false,
            deaf_until: hand_over::deaf_until(&config.globals.vrrp, now),
            stopping: false,
            released: false,
            fact_since: BTreeMap::new(),
            config,
        };
        engine.take_picture(picture);
        let begin = |instance: &Arc<Instance>| {
            let beat = engine.kernel.beat(instance);
            let start = beat.map_or(vrrp::Start::Fresh, |beat| left_behind(instance, &beat));
            let slot = Slot::new(Arc::clone(instance), start, now);
            // Something to keep is needed for keeping.
            let mut keys = slot.keys(&engine.kernel);
            if keys.any(|(key, _)| engine.kernel.has(&key)) {
                start
            } else {
                vrrp::Start::Fresh
            }
        };
        let instances = engine.config.instances.iter();
        let mut starts: Vec<vrrp::Start> = instances.clone().map(begin).collect();
        for group in &engine.config.sync_groups {
            sync::begin_together(&mut starts, &engine.members_of(group));
        }
        engine.slots = instances
            .zip(starts)
            .map(|(instance, start)| Slot::new(Arc::clone(instance), start, now))
            .collect();
        engine
    }

    /// Sets it going.
    pub fn start(&mut self, now: Time) -> Vec<Action> {
        let mut out = Vec::new();
        self.adopt_scripts(BTreeMap::new(), now);
        self.adopt_sessions(now, &mut out);
        self.index_slots();
        if self.deaf_until > now {
            out.push(Action::Event(Event::StartDelayed(
                self.deaf_until.until(now),
            )));
        }
        self.number_leaving(now, &mut out);
        self.index_groups(now, &mut out);
        self.await_facts(now);
        self.index_delays(now);
        self.refresh_sockets(&mut out);
        // What a predecessor left and nobody holds now goes first, before anybody may claim it.
        self.sync_promotion(&mut out);
        self.sync_addresses(&mut out);
        self.sync_routing(&mut out);
        self.refresh_statics(now, &mut out);
        for slot in &mut self.slots {
            adverts::prepare(slot, &self.kernel);
        }
        for slot in 0..self.slots.len() {
            if self.ipvs_ready {
                self.drive(slot, vrrp::Input::MayClaim, now, &mut out);
            }
            self.refresh_standing(slot, now, &mut out);
        }
        self.run_due_scripts(now, &mut out);
        self.settle_groups(now, &mut out);
        self.send_announcements(now, &mut out);
        self.send_probes(now, &mut out);
        self.publish_roles(&mut out);
        self.note_since(&out, now);
        out
    }

    /// When to call with [`Input::Timer`], and why.
    pub fn next_deadline(&self) -> Option<(Time, Why)> {
        let timers = self.timers.first().and_then(|(at, of)| match of {
            TimerOf::Slot(slot) => {
                let (_, timer) = self.slots.get(*slot)?.machine.next_deadline()?;
                Some((*at, Why::Vrrp(timer)))
            }
            TimerOf::Script(_) => Some((*at, Why::Script)),
            TimerOf::Extra(_) => Some((*at, Why::Announce)),
            TimerOf::Lease(_) => Some((*at, Why::Lease)),
            TimerOf::Bfd(session) => Some((*at, self.bfd.why(*session)?)),
        });
        let ipvs = (!self.ipvs_ready).then_some((self.ipvs_wait_until, Why::IpvsWait));
        let look = (!self.stopping).then_some((self.look_again_at, Why::LookAgain));
        let restore = self.restore_at.map(|at| (at, Why::Restore));
        let probe = self.prober.next_deadline().map(|at| (at, Why::Announce));
        let announce = self.announcer.next_deadline();
        let announce = announce.map(|at| (at, Why::Announce));
        let facts = self.facts_wait_until.map(|at| (at, Why::FactsWait));
        let links = self.links_deadline().map(|at| (at, Why::Link));
        [timers, ipvs, look, restore, probe, announce, facts, links]
            .into_iter()
            .flatten()
            .min()
    }

    /// How scripts run that say nothing about it.
    pub fn script_defaults(&self) -> ScriptDefaults {
        self.config.globals.script_defaults()
    }

    /// The state of every instance.
    pub fn roles(&self) -> &Roles {
        &self.roles
    }

    /// Whether an instance that is not master any more holds addresses until somebody else has them.
    pub fn is_leaving(&self) -> bool {
        self.slots.iter().any(|slot| slot.leaving)
    }

    /// Whether instances that left with a reload still hold addresses for a successor.
    pub fn holds_for_departed(&self) -> bool {
        // They are the last ones.
        self.slots.last().is_some_and(|slot| slot.departed)
    }

    /// Handles one event.
    pub fn handle(&mut self, input: Input<'_>, now: Time) -> Vec<Action> {
        let mut out = Vec::new();
        match input {
            Input::Packet(packet) => self.on_packet(&packet, now, &mut out),
            Input::SessionPacket(packet) => self.on_session_packet(&packet, now, &mut out),
            Input::SessionFailed { session, error } => {
                self.on_session_socket_failed(session, error, now, &mut out);
            }
            Input::Timer => self.on_timer(now, &mut out),
            Input::ScriptEnded { name, end } => self.on_script_end(&name, end, now, &mut out),
            Input::Fact { name, value } => self.on_fact(name, value, now, &mut out),
            Input::Link(link) => self.on_link(link, now, &mut out),
            Input::LinkFailed { name, error } => {
                self.on_link_failed(name, error, now, &mut out);
            }
            Input::LinkGone(index) => self.on_link_gone(index, now, &mut out),
            Input::AddressSeen(address) => self.on_address_seen(address, now, &mut out),
            Input::AddressGone(key) => self.on_address_gone(key, now, &mut out),
            Input::RouteSeen(route) => self.on_route_seen(route),
            Input::RouteGone(key) => self.on_route_gone(&key, now),
            Input::RuleSeen(rule) => self.on_rule_seen(rule),
            Input::RuleGone(rule) => self.on_rule_gone(&rule, now),
            Input::Kernel(picture) => self.on_kernel_read(picture, now, &mut out),
            Input::KernelUnread => self.look_again_soon(now),
            Input::StaticMissing {
                group,
                what,
                missing,
            } => self.set_static_missing(&group, &what, missing, now, &mut out),
            Input::IpvsReady => self.on_ipvs_ready(now, &mut out),
            Input::NetFailed(failures) => self.on_net_failed(failures, now, &mut out),
            Input::SocketOpened(channel) => {
                if self.socket_errors.remove(&channel).is_some() {
                    self.refresh_all_standings(now, &mut out);
                }
            }
            Input::SocketFailed { channel, error } => {
                // Tried again with the next look at the kernel; in fault until it opens.
                self.sockets.remove(&channel);
                self.socket_errors.insert(channel, error);
                self.refresh_all_standings(now, &mut out);
            }
            Input::Reload(config) => self.on_reload(config, now, &mut out),
            Input::AnnouncementSeen {
                interface,
                address,
                mac,
            } => self.on_announcement_seen(interface, address, mac, now, &mut out),
            Input::HandOver { instance } => self.on_hand_over(&instance, now, &mut out),
            Input::Announce { instance } => self.on_announce(&instance, now, &mut out),
            Input::Standby(on) => self.on_standby(on, now, &mut out),
            Input::Stop(kind) => self.on_stop(kind, now, &mut out),
        }
        self.settle_groups(now, &mut out);
        self.send_announcements(now, &mut out);
        self.send_probes(now, &mut out);
        self.settle_leaving(&mut out);
        self.publish_roles(&mut out);
        self.note_since(&out, now);
        out
    }

    fn on_timer(&mut self, now: Time, out: &mut Vec<Action>) {
        // Each due entry once: what it sets anew is later than now.
        let due: Vec<TimerOf> = self
            .timers
            .iter()
            .take_while(|(at, _)| *at <= now)
            .take(PORTION)
            .map(|(_, of)| *of)
            .collect();
        let mut leases = Vec::new();
        self.more_due = due.len() == PORTION;
        for of in due {
            match of {
                TimerOf::Slot(slot) => self.drive(slot, vrrp::Input::Timer, now, out),
                TimerOf::Extra(slot) => self.extra_announcements(slot, now),
                TimerOf::Bfd(session) => self.on_session_timer(session, now, out),
                TimerOf::Lease(slot) if leases.len() < lease::PORTION => leases.push(slot),
                TimerOf::Lease(_) | TimerOf::Script(_) => {}
            }
        }
        self.renew_leases(&leases, now, out);
        self.more_due &= self.timers.first().is_some_and(|(at, _)| *at <= now);
        self.run_due_scripts(now, out);
        if !self.ipvs_ready && now >= self.ipvs_wait_until {
            out.push(Action::Event(Event::IpvsNotReady));
            self.on_ipvs_ready(now, out);
        }
        if self.links_deadline().is_some_and(|at| at <= now) {
            self.count_links(now);
            self.refresh_statics(now, out);
            self.refresh_all_standings(now, out);
        }
        if self.facts_wait_until.is_some_and(|at| at <= now) {
            self.give_up_facts(now, out);
        }
        if self.restore_at.is_some_and(|at| at <= now) {
            self.restore_missing(now, out);
        }
        if !self.stopping && now >= self.look_again_at {
            self.look_again_at = now + LOOK_AGAIN;
            out.push(Action::LookAgain);
        }
    }

    fn on_ipvs_ready(&mut self, now: Time, out: &mut Vec<Action>) {
        if self.ipvs_ready {
            return;
        }
        self.ipvs_ready = true;
        for slot in 0..self.slots.len() {
            self.drive(slot, vrrp::Input::MayClaim, now, out);
        }
    }

    fn on_script_end(&mut self, name: &str, end: ScriptEnd, now: Time, out: &mut Vec<Action>) {
        let Some(tracker) = self
            .script_index
            .get(name)
            .and_then(|index| self.scripts.get_mut(*index))
        else {
            return; // reloaded away while it ran
        };
        if let Some(ScriptAction::Changed { to, by }) = tracker.on_end(end) {
            self.on_script_change(name.to_owned(), to, by, now, out);
        }
    }

    fn on_script_change(
        &mut self,
        name: String,
        to: FactValue,
        by: ScriptEnd,
        now: Time,
        out: &mut Vec<Action>,
    ) {
        let fact = FactName::new(FactKind::Script, &name);
        out.push(Action::Event(Event::Script { name, to, by }));
        self.refresh_standings_of(&fact, now, out);
    }

    fn run_due_scripts(&mut self, now: Time, out: &mut Vec<Action>) {
        let mut changed = Vec::new();
        for (index, tracker) in self.scripts.iter_mut().enumerate() {
            let before = tracker.next_deadline();
            if before > now {
                continue;
            }
            let action = tracker.on_timer(now);
            let script = tracker.script();
            match action {
                Some(ScriptAction::Run) => out.push(Action::RunScript {
                    name: script.name.clone(),
                    argv: script.argv.clone(),
                    user: script.user.clone(),
                    timeout: script.timeout + script.linger,
                }),
                Some(ScriptAction::Changed { to, by }) => {
                    changed.push((script.name.clone(), to, by));
                }
                None => {}
            }
            self.timers.remove(&(before, TimerOf::Script(index)));
            self.timers
                .insert((tracker.next_deadline(), TimerOf::Script(index)));
        }
        for (name, to, by) in changed {
            self.on_script_change(name, to, by, now, out);
        }
    }

    fn publish_roles(&mut self, out: &mut Vec<Action>) {
        // Once for all that are due.
        if !self.roles_changed || self.more_due {
            return;
        }
        self.roles_changed = false;
        let roles: BTreeMap<String, Role> = self
            .slots
            .iter()
            .filter(|slot| !slot.departed)
            .map(|slot| (slot.config().name.clone(), slot.role()))
            .collect();
        if roles != *self.roles {
            self.roles = Arc::new(roles);
            out.push(Action::Roles(Arc::clone(&self.roles)));
        }
    }
}

#[cfg(test)]
mod tests;
