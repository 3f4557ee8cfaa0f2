//! The balancer: what checks find and what the configuration says, brought to IPVS and kept there.
//!
//! Everything goes one way: the table is observed, what should be there is compared with it, and only the
//! difference is written. After single events only the pool concerned is compared; the whole table at a
//! start, after a reload, every 30 s, and at once after any error of the kernel's. What a command that
//! succeeded did is noted in the picture, so no reading is needed in between: what a reload changes is
//! written by it, and the table is read afterwards. At most one observation or one batch of commands is
//! under way; what happens meanwhile waits in `dirty`.

mod backoff;
mod checks;
mod event;
mod leaving;
mod notices;
mod overrides;
mod pools;
mod rehearsal;
mod reload;
mod returning;
mod suspend;
mod view;
mod wanted;
mod words;
mod work;
mod writers;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::config::model::{Instance, ScriptDefaults, VirtualServer};
use crate::health::{CheckOutcome, Monitor, ProbeId, Question, Status};
use crate::ipvs::{Command, SyncRole};
use crate::lvs::{self, Observation, Owned};
use crate::notice::Notice;
use crate::time::Time;

use super::shared::{Changes, FileFacts, Role, Roles, SessionFacts};

use backoff::Backoff;
use checks::Standing;
use pools::Pools;
use returning::Returning;
use work::{Cause, Dirty, Doing};

pub use event::{
    BalancerEvent, KernelEvent, PoolChange, Programmed, QuorumWhen, ServerKey, Severity,
};
pub use overrides::{Given, Kind, Override, Overrides, Scope, Set, Whom};
pub use rehearsal::Rehearsal;
pub use view::{CheckView, DrainingView, Duty, ServerView, ServiceView, View, WriterView};

/// How often the whole table is read again.
const OBSERVE_EVERY: Duration = Duration::from_secs(30);
/// How long VIPs wait for a table that the kernel does not take.
const READY_LIMIT: Duration = Duration::from_secs(5);
/// How long a stop waits for a table that the kernel does not let go.
const STOP_LIMIT: Duration = Duration::from_secs(3);
/// Failures of one batch that get a line each.
const FAILURES_TOLD: usize = 10;

/// Something the runtime tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Once, before anything else but a reload.
    Started,
    /// A check that was asked for has ended.
    CheckFinished {
        /// The id it was asked under.
        probe: ProbeId,
        /// How.
        outcome: CheckOutcome,
    },
    /// The answer to [`Action::Observe`]; the error is a whole sentence.
    Observed(Result<Observation, String>),
    /// The answer to [`Action::Apply`]: every command that failed; the others succeeded.
    Applied(Vec<Failure>),
    /// What part every VRRP instance plays now.
    Roles(Roles),
    /// What is known of the BFD sessions that checks may ask for.
    Sessions(SessionFacts),
    /// What is known of the files that checks may ask for.
    Files(FileFacts),
    /// The addresses of this machine among those that [`Balancer::follows`] named; before the first of
    /// these none is.
    Addresses(BTreeSet<IpAddr>),
    /// The configuration from now on.
    Reload(Arc<Config>),
    /// The end; answered with [`Action::Stopped`].
    Stop(StopKind),
    /// An operator orders something else than the configuration says.
    Override(Scope, Override),
    /// Somebody takes such orders back; who.
    Lift(Kind, Scope, String),
    /// A deadline has passed, or may have.
    Timer,
}

/// One command of a batch failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its place in the batch.
    pub index: usize,
    /// What that means.
    pub kind: FailureKind,
    /// A whole sentence: operation, object, error.
    pub error: String,
}

/// What an error of the kernel's means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The table is not what it was thought to be (EEXIST, ENOENT, ESRCH, or the answer was lost).
    Stale,
    /// The kernel will not, or not now.
    Refused,
}

/// What a stop leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopKind {
    /// Nothing of ours. To be asked for after the VIPs were released.
    Remove,
    /// Everything as it is, for the next start to adopt.
    Keep,
}

/// Something for the runtime to do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Run this check and answer with [`Input::CheckFinished`].
    StartCheck {
        /// Names the answer.
        probe: ProbeId,
        /// What to ask.
        question: Question,
    },
    /// The answer of this check is not wanted any more.
    CancelCheck {
        /// Which.
        probe: ProbeId,
    },
    /// Read the table and the sync daemons; answer with [`Input::Observed`].
    Observe,
    /// Carry these out in order, each whatever becomes of the others; answer with [`Input::Applied`].
    Apply(Arc<Vec<Command>>),
    /// The keys that are ours from now on, for the record.
    Owned(Arc<Owned>),
    /// The orders of operators that hold from now on, for the record.
    Overrides(Overrides),
    /// The table is in place, or was waited for long enough: VIPs may be claimed. Once for the start and
    /// for each reload.
    Ready,
    /// Nothing more will come. After [`StopKind::Remove`] nothing of ours is left.
    Stopped,
    /// For scripts, FIFOs and mails.
    Notice(Notice),
    /// For the log.
    Event(BalancerEvent),
}

/// What the next deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// A check starts.
    Check,
    /// The table is read again.
    Observe,
    /// What failed is tried again.
    Retry,
    /// A server that came back gets more weight, or was held back for long enough.
    Returning,
    /// A server was drained for long enough.
    Drained,
    /// The time of an operator's order is over.
    Override,
    /// VIPs have waited long enough.
    ReadyLimit,
    /// The stop has waited long enough.
    StopLimit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    New,
    /// Running; until when VIPs wait, if they still do.
    Running {
        ready_by: Option<Time>,
    },
    Stopping {
        until: Time,
    },
    Stopped,
}

/// The balancer's state.
#[derive(Clone, Debug)]
pub struct Balancer {
    config: Arc<Config>,
    phase: Phase,
    monitor: Monitor<ServerKey>,
    pools: Pools,
    returning: Returning,
    overrides: Overrides,
    /// The time of the input that is being handled.
    now: Time,
    roles: Roles,
    sessions: SessionFacts,
    files: FileFacts,
    /// What an earlier run left to us, until the first observation.
    record: Owned,
    /// What the configuration names, and what has still to be removed.
    owned: Arc<Owned>,
    seen: Option<Observation>,
    doing: Doing,
    dirty: Dirty,
    look_again: bool,
    next_observe: Time,
    /// `lvs_flush`: what is found at the start goes, unless the configuration names it.
    flush: bool,
    /// Of those that are followed.
    addresses: BTreeSet<IpAddr>,
    backoff: Backoff,
    changes: Changes,
    without_ipvs: bool,
}

impl Balancer {
    /// `record`: the keys that an earlier run in this boot and namespace wrote down; empty when there is
    /// none. `seed`: random, differs from node to node.
    pub fn new(config: impl Into<Arc<Config>>, record: Owned, seed: u64) -> Balancer {
        let config = config.into();
        let mut owned = Owned::named_by(&config);
        owned.extend(&record);
        Balancer {
            phase: Phase::New,
            monitor: Monitor::new(seed),
            pools: Pools::default(),
            returning: Returning::default(),
            overrides: Overrides::new(),
            now: Time::ZERO,
            roles: Roles::default(),
            sessions: SessionFacts::new(),
            files: FileFacts::new(),
            record,
            owned: Arc::new(owned),
            seen: None,
            doing: Doing::Idle,
            dirty: Dirty::default(),
            look_again: false,
            next_observe: Time::ZERO,
            addresses: BTreeSet::new(),
            flush: config.globals.lvs.lvs_flush,
            backoff: Backoff::default(),
            changes: Changes::default(),
            without_ipvs: false,
            config,
        }
    }

    /// The keys that are ours: what the configuration names, and what the record lists.
    pub fn owned(&self) -> &Arc<Owned> {
        &self.owned
    }

    /// How many services and destinations the configuration asks for.
    pub fn size(&self) -> usize {
        let each = |vs: &VirtualServer| vs.addresses().count() * (1 + vs.real_servers.len());
        self.config.virtual_servers.iter().map(each).sum()
    }

    /// How commands run that say nothing about it.
    pub fn script_defaults(&self) -> ScriptDefaults {
        self.config.globals.script_defaults()
    }

    /// Whether there is anything for IPVS to do: something is configured, or left to remove. Without it
    /// neither [`Action::Observe`] nor [`Action::Apply`] is ever given.
    pub fn needs_ipvs(&self) -> bool {
        !self.owned.is_empty() && !self.without_ipvs
    }

    /// Whether the kernel has IPVS. Where it has none, which is told elsewhere, there are no virtual servers, and
    /// nothing is tried for a sync daemon.
    pub fn set_ipvs(&mut self, there: bool) {
        self.without_ipvs = !there;
    }

    /// Whether a server is up; one that is not checked is.
    pub fn status(&self, server: &ServerKey) -> Status {
        match self.returning.is_held(server) {
            true => Status::Down,
            false => self.monitor.status(server),
        }
    }

    /// What is known of servers.
    fn standing(&self) -> Standing<'_> {
        Standing {
            monitor: &self.monitor,
            returning: &self.returning,
            overrides: &self.overrides,
            now: self.now,
        }
    }

    /// Addresses whose coming and going it wants to hear of: checks of a virtual server with
    /// `ha_suspend` are made only while its address is here.
    pub fn follows(&self) -> BTreeSet<IpAddr> {
        let suspended = self.config.virtual_servers.iter();
        let suspended = suspended.filter(|vs| vs.pool.ha_suspend);
        suspended.flat_map(lvs::virtual_addresses).collect()
    }

    /// Names of the files that checks ask for.
    pub fn files_of_checks(&self) -> BTreeSet<String> {
        self.config.files_of_checks().map(str::to_owned).collect()
    }

    /// Takes one input in and says what to do.
    pub fn handle(&mut self, input: Input, now: Time) -> Vec<Action> {
        let mut out = Vec::new();
        self.now = now;
        match input {
            Input::Started => self.on_started(now, &mut out),
            Input::CheckFinished { probe, outcome } if self.is_running() => {
                let outputs = self.monitor.finished(probe, outcome, now);
                self.on_checks(outputs, &mut out);
            }
            // Nothing is checked before the start and after the stop.
            Input::CheckFinished { .. } => {}
            Input::Observed(result) => self.on_observed(result, now, &mut out),
            Input::Applied(failures) => self.on_applied(&failures, now, &mut out),
            Input::Roles(roles) => {
                self.roles = roles;
                self.dirty.daemons = true;
            }
            Input::Sessions(facts) => {
                self.sessions = facts;
                if self.is_running() {
                    self.tell_checks(&mut out);
                }
            }
            Input::Files(facts) => {
                self.files = facts;
                if self.is_running() {
                    self.tell_checks(&mut out);
                }
            }
            Input::Addresses(addresses) => self.on_addresses(addresses, now, &mut out),
            Input::Reload(config) => self.on_reload(config, now, &mut out),
            Input::Stop(kind) => self.on_stop(kind, now, &mut out),
            Input::Override(scope, order) => self.on_override(scope, order, now, &mut out),
            Input::Lift(kind, scope, by) => self.on_lift(kind, &scope, &by, now, &mut out),
            Input::Timer => self.on_timer(now, &mut out),
        }
        self.advance(now, &mut out);
        out
    }

    /// When [`Input::Timer`] is wanted next, and what for.
    pub fn next_deadline(&self) -> Option<(Time, Why)> {
        let retry = self.backoff.next_deadline().map(|t| (t, Why::Retry));
        match self.phase {
            Phase::New | Phase::Stopped => None,
            Phase::Stopping { until } => retry.into_iter().chain([(until, Why::StopLimit)]).min(),
            Phase::Running { ready_by } => {
                let check = self.monitor.next_deadline().map(|t| (t, Why::Check));
                let observe = (self.needs_ipvs() && self.doing == Doing::Idle)
                    .then_some((self.next_observe, Why::Observe));
                let ready = ready_by.map(|t| (t, Why::ReadyLimit));
                let returning = self.returning.next_deadline();
                let returning = returning.map(|t| (t, Why::Returning));
                let drained = self.pools.next_deadline().map(|t| (t, Why::Drained));
                let over = self.overrides_end().map(|t| (t, Why::Override));
                let all = [check, observe, retry, ready, returning, drained, over];
                all.into_iter().flatten().min()
            }
        }
    }

    fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running { .. })
    }

    fn on_started(&mut self, now: Time, out: &mut Vec<Action>) {
        if self.phase != Phase::New {
            return;
        }
        self.phase = Phase::Running {
            ready_by: Some(now + READY_LIMIT),
        };
        self.next_observe = now + OBSERVE_EVERY;
        self.configure(None, now, out);
        if self.needs_ipvs() {
            out.push(Action::Owned(Arc::clone(&self.owned)));
        }
        self.dirty.everything(Cause::Start);
        if self.config.virtual_servers.is_empty() {
            // What is left to remove is nothing that a VIP should wait for.
            self.on_ready(out);
        }
    }

    fn on_stop(&mut self, kind: StopKind, now: Time, out: &mut Vec<Action>) {
        if matches!(self.phase, Phase::Stopping { .. } | Phase::Stopped) {
            return;
        }
        if kind == StopKind::Remove {
            self.tell_omega(out);
        }
        self.on_checks_end(out);
        match kind {
            StopKind::Keep => {
                self.phase = Phase::Stopped;
                out.push(Action::Stopped);
            }
            StopKind::Remove => {
                self.phase = Phase::Stopping {
                    until: now + STOP_LIMIT,
                };
                if self.config.globals.lvs.lvs_flush_on_stop == Some(None)
                    && let Some(seen) = &self.seen
                {
                    Arc::make_mut(&mut self.owned).extend(&Owned::everything_in(seen));
                }
                self.pools.clear();
                self.backoff.clear();
                self.dirty.everything(Cause::Stop);
            }
        }
    }

    fn on_timer(&mut self, now: Time, out: &mut Vec<Action>) {
        for object in self.backoff.take_due(now) {
            self.dirty.retry(object);
        }
        match self.phase {
            Phase::New | Phase::Stopped => {}
            Phase::Stopping { until } if until <= now => self.give_up_stopping(out),
            Phase::Stopping { .. } => {}
            Phase::Running { ready_by } => {
                let outputs = self.monitor.timer(now);
                self.on_checks(outputs, out);
                self.on_overrides_over(now, out);
                self.on_returning(now, out);
                self.let_go(out);
                if self.next_observe <= now {
                    self.next_observe = now + self.observe_every();
                    self.look_again = true;
                }
                if ready_by.is_some_and(|t| t <= now) {
                    event(out, KernelEvent::NotReadyInTime);
                    self.on_ready(out);
                }
            }
        }
    }

    fn on_ready(&mut self, out: &mut Vec<Action>) {
        if let Phase::Running { ready_by } = &mut self.phase
            && ready_by.take().is_some()
        {
            out.push(Action::Ready);
        }
    }

    fn give_up_stopping(&mut self, out: &mut Vec<Action>) {
        let owned = self.owned.services.keys();
        let services = match &self.seen {
            Some(seen) => owned.filter(|k| seen.table.contains_key(k)).count(),
            None => owned.count(),
        };
        event(out, KernelEvent::LeftBehind { services });
        self.phase = Phase::Stopped;
        out.push(Action::Stopped);
    }
}

/// Which sync daemon an instance wants; keepalived too takes connections in while in FAULT.
fn side(roles: &Roles, instance: &Instance) -> Option<SyncRole> {
    match roles.get(&instance.name)? {
        Role::Init => None,
        Role::Master => Some(SyncRole::Master),
        Role::Backup | Role::Fault => Some(SyncRole::Backup),
    }
}

fn event(out: &mut Vec<Action>, event: KernelEvent) {
    out.push(Action::Event(BalancerEvent::Kernel(event)));
}

#[cfg(test)]
mod tests;
