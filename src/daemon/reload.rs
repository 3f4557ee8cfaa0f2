//! A reload: read and prepared on a thread of its own, put in force only when nothing can fail any more.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::config::{Config, Loaded};
use crate::control::{self, model::Plan, model::Reload};
use crate::lvs::Owned;

use super::balancer_thread::{self, Order, Status};
use super::channels::{self, Sockets};
use super::config_save::Saving;
use super::failover_thread::Command;
use super::failure::{self, Failure};
use super::home::Home;
use super::main_loop::{Daemon, Threads, at, notify};
use super::options::Options;
use super::prepare::{self, Prepared};
use super::reload_file::{self, ReloadFile};
use super::sequence::{Sequence, Step};
use super::{notify_thread, own_links};

/// How long VIPs wait for new services; longer than the balancer waits for a kernel that refuses.
const SERVICES_MAX: Duration = Duration::from_secs(7);
/// How long services that left wait for their VIPs; longer than VIPs are held for a successor.
const ADDRESSES_MAX: Duration = Duration::from_secs(10);

/// A reload on its way: the answer of the thread that reads the file.
pub(super) type Reading = oneshot::Receiver<ReadResult>;

impl Daemon<'_> {
    /// Reads and checks the file on a thread of its own; nothing that runs waits for it. `asked`: somebody
    /// wants to know what it changes.
    pub(super) fn read(&self, threads: &Threads, asked: bool) -> Reading {
        notify_reloading();
        info!("reloading {}", self.file.display());
        let (reply, reading) = oneshot::channel();
        let (options, file) = (self.options.clone(), self.file.clone());
        let busy = reload_file::path(&self.config, &self.options, &self.run_dir);
        let saving = Saving::of(&self.config);
        if let Some(saving) = saving.clone() {
            threads.control.save(saving, "before");
        }
        let status = threads.balancer.borrow().clone();
        let running = Arc::clone(&self.config);
        let home = self.home.clone();
        let planner = asked.then(|| threads.planner());
        let spawned = std::thread::Builder::new()
            .name("reload".into())
            .spawn(move || {
                let busy = ReloadFile::make(busy);
                let seen = |loaded: &Loaded| {
                    drop(busy);
                    if let Some(saving) = &saving {
                        saving.files(&loaded.sources);
                    }
                };
                let mut read = prepare_reload(&options, &file, (&running, &home), &status, seen);
                if let (Err(failure), Some(saving)) = (&read, &saving) {
                    saving.write("refused", &failure.to_string());
                }
                if let Ok(ready) = &mut read {
                    ready.rest.saving = saving;
                }
                if let (Ok(ready), Some(planner)) = (&mut read, planner) {
                    ready.plan = planner.plan(&ready.rest.prepared, &running).ok();
                }
                let _ = reply.send(read);
            });
        if let Err(error) = spawned {
            error!("reload: start thread: {error}");
        }
        reading
    }

    /// Says what a file would change, on a thread of its own.
    pub(super) fn plan(
        &self,
        threads: &Threads,
        file: Option<PathBuf>,
        reply: oneshot::Sender<Plan>,
    ) {
        let planner = threads.planner();
        let file = file.unwrap_or_else(|| self.file.clone());
        let (options, home) = (self.options.clone(), self.home.clone());
        let running = Arc::clone(&self.config);
        let thread = std::thread::Builder::new().name("plan".into());
        let spawned = thread.spawn(move || {
            // Whoever asked may have gone.
            let _ = reply.send(planner.plan_file(&file, &options, (&running, &home)));
        });
        if let Err(error) = spawned {
            error!("plan: start thread: {error}");
        }
    }

    /// What is told of a file that was read: it is on its way into force, or refused.
    pub(super) fn outcome(&self, read: &ReadResult) -> Reload {
        let mut reload = Reload {
            at: control::now(),
            done: read.is_ok(),
            changes: Vec::new(),
            warnings: Vec::new(),
            errors: Vec::new(),
            plan: None,
        };
        match read {
            Ok(ready) => {
                reload.plan.clone_from(&ready.plan);
                let prepared = &ready.rest.prepared;
                reload.changes = control::changes(&self.config, &prepared.config);
                reload.warnings = prepared.warnings.clone();
            }
            Err(failure) => reload.errors = failure.text.lines().map(str::to_owned).collect(),
        }
        reload
    }

    /// Begins to put a configuration in force that was read without an error; otherwise says what is wrong
    /// and leaves everything as it is.
    pub(super) fn commit(&mut self, read: ReadResult, threads: &mut Threads) {
        let mut ready = match read {
            Ok(ready) => ready,
            Err(failure) => {
                error!("reload refused, the running configuration stays in force:\n{failure}");
                return notify(&[NotifyState::Ready]);
            }
        };
        for warning in std::mem::take(&mut ready.rest.prepared.warnings) {
            warn!("{warning}");
        }
        let config = threads
            .switching
            .sequence
            .begin(Arc::clone(&ready.rest.prepared.config));
        // Before the kernel hears of it: what a crash in between leaves must be known as ours.
        let owned = Arc::clone(&threads.balancer.borrow().owned);
        if !owned.lists_all_of(&config) {
            let mut owned = Owned::clone(&owned);
            owned.extend(&Owned::named_by(&config));
            self.write_record(&owned);
        }
        let picture = &ready.rest.prepared.picture;
        let found = self.vs_settings.apply(&config, picture);
        self.note_settings(threads, found);
        // What leaves is marked as long as it may be there.
        let rules = self.vs_settings.rules(&config);
        self.firewall.extend_services(&config, &rules);
        threads.switching.extended = true;
        let Ready { balancer, rest, .. } = ready;
        let _ = threads.orders.send(Order::Reload(balancer.with(config)));
        threads.switching.wait(SERVICES_MAX);
        threads.switching.ready = Some(rest);
    }

    /// Takes the next steps of a configuration on its way, as far as they may be taken now.
    pub(super) fn go_on(&mut self, threads: &mut Threads) {
        loop {
            let switching = &mut threads.switching;
            let late = switching.is_late();
            let placed = threads.balancer.borrow().placed;
            let reloaded = *threads.failover.reloaded.borrow();
            match switching.sequence.next(placed, reloaded, late) {
                None => return self.end_switching(threads),
                Some(Step::Addresses) => {
                    if late {
                        warn!("IPVS is not programmed in time: VIPs do not wait for it any longer");
                    }
                    switching.wait(ADDRESSES_MAX);
                    if let Some(ready) = switching.ready.take() {
                        self.switch_over(ready, threads);
                    }
                }
                Some(Step::Services(config)) => {
                    if late {
                        warn!("VIPs are still held for others: their services go without them");
                    }
                    let order = balancer_thread::Prepared::part(config);
                    let _ = threads.orders.send(Order::Reload(order));
                }
            }
        }
    }

    /// What left is gone, or as good as gone.
    fn end_switching(&mut self, threads: &mut Threads) {
        let switching = &mut threads.switching;
        if switching.sequence.is_waiting() || !std::mem::take(&mut switching.extended) {
            return;
        }
        let rules = self.vs_settings.rules(&self.config);
        self.firewall.apply_services(&self.config, rules);
    }

    /// The services are there: everybody but the balancer gets the configuration.
    fn switch_over(&mut self, rest: Rest, threads: &mut Threads) {
        let Rest {
            prepared,
            sockets,
            links,
            saving,
        } = rest;
        links.keep();
        self.config = prepared.config;
        self.firewall.apply(&self.config, &prepared.picture.links);
        self.bases.apply(&self.config, &prepared.picture.links);
        let settings = self.notify_settings(&self.config);
        threads
            .notifier
            .send(notify_thread::Command::Reload(Box::new(settings)));
        threads.failover.send(Command::Reload {
            config: Arc::clone(&self.config),
            sockets,
        });
        self.watch_tracked(threads, false);
        if let Some(scheduling) = &mut threads.scheduling {
            scheduling.apply(&self.config);
        }
        threads.control.apply(&self.config);
        self.config_watch.watch(&self.config.globals);
        if let Some(saving) = saving {
            threads.control.save(saving, "after");
        }
        info!("reloaded {}", self.file.display());
        notify(&[NotifyState::Ready]);
    }
}

/// A configuration on its way into force.
pub(super) struct Switching {
    pub(super) sequence: Sequence,
    /// What the others are to get.
    ready: Option<Rest>,
    /// The packet filter has what virtual servers asked for before, too.
    extended: bool,
    /// Enough is waited then.
    until: Instant,
}

impl Switching {
    /// None is on its way; every thread begins with this one.
    pub(super) fn new(config: Arc<Config>) -> Switching {
        Switching {
            sequence: Sequence::new(config),
            ready: None,
            extended: false,
            until: Instant::now(),
        }
    }

    fn wait(&mut self, time: Duration) {
        self.until = Instant::now() + time;
    }

    fn is_late(&self) -> bool {
        self.sequence.is_waiting() && Instant::now() >= self.until
    }

    /// Until enough was waited for what the next step waits for; for ever where there is none.
    pub(super) fn late(&self) -> impl Future<Output = ()> + use<> {
        at(self.sequence.is_waiting().then_some(self.until))
    }
}

pub(super) type ReadResult = Result<Ready, Failure>;

/// Everything that a reload may fail at has been done.
pub(super) struct Ready {
    balancer: balancer_thread::Prepared,
    rest: Rest,
    /// What it changes, for whoever asked.
    plan: Option<Plan>,
}

/// What everybody but the balancer needs.
struct Rest {
    prepared: Prepared,
    sockets: Sockets,
    links: own_links::Made,
    /// Where the state is kept that it leads to.
    saving: Option<Saving>,
}

impl Ready {
    /// Comes in place of one that waited, if one did.
    pub(super) fn in_place_of(mut self, waited: Option<ReadResult>) -> Ready {
        if let Some(Ok(waited)) = waited {
            let config = &self.rest.prepared.config;
            self.rest.links.take_over(waited.rest.links, config);
        }
        self
    }
}

/// Waits for it; for ever, where none is on its way.
pub(super) async fn answer(reading: &mut Option<Reading>) -> ReadResult {
    match reading {
        None => std::future::pending().await,
        Some(reading) => reading.await.unwrap_or_else(|_| {
            Err(Failure::new(
                failure::Status::Software,
                "the thread that read the file ended by a fault",
            ))
        }),
    }
}

fn prepare_reload(
    options: &Options,
    file: &std::path::Path,
    (running, home): (&Config, &Home),
    status: &Status,
    seen: impl FnOnce(&Loaded),
) -> ReadResult {
    let (mut prepared, mut route) = prepare::prepare_anew(file, options, (running, home), seen)?;
    let made = own_links::make(&mut route, None, &mut prepared)?;
    let mut balancer = balancer_thread::Prepared::new(Arc::clone(&prepared.config), status)
        .map_err(|error| Failure::fatal(error.to_string()))?;
    balancer.equip_for(running);
    let links = &prepared.picture.links;
    let have = channels::needed(running, links);
    let sockets = channels::open(&prepared.config, links, &have).map_err(Failure::fatal)?;
    let rest = Rest {
        prepared,
        sockets,
        links: made,
        saving: None,
    };
    Ok(Ready {
        balancer,
        rest,
        plan: None,
    })
}

fn notify_reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => warn!("tell the service manager: {error}"),
    }
}
