//! The main thread: signals, reloads, the record on disk, and the order in which things end.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::config::Config;
use crate::control::keepalived::{Dump, SIGNAL_JSON, SIGNAL_STATS_CLEAR};
use crate::control::model::KernelSetting;
use crate::control::{Ask, Desk};
use crate::engine::balancer::{Balancer, StopKind as IpvsStop};
use crate::engine::failover::{Failover, StopKind};
use crate::kernel::ipvs::Ipvs;
use crate::kernel::memory;
use crate::kernel::namespace::Namespace;
use crate::kernel::route::Route;
use crate::kernel::scheduling::TOO_LONG;
use crate::kernel::spawner::Spawner;
use crate::lvs::Owned;
use crate::probe::Kit;

use super::background::{Report, take_signals};
use super::balancer_thread::{self, Inbox, Order, PROBES_MAX, Status};
use super::config_watch::ConfigWatch;
use super::control::{self, Control, Waiting};
use super::failover_thread::{self, Command, Resources};
use super::failure::{self, Failure};
use super::firewall::Firewall;
use super::home::Home;
use super::last_resort::release_vips;
use super::notify_thread;
use super::options::Options;
use super::overrides::OverridesFile;
use super::own_links;
use super::planning::Planner;
use super::prepare;
use super::record::{self, Place};
use super::reload::{ReadResult, Reading, Switching, answer};
use super::run_dir::{PidFiles, RunDir};
use super::scheduling::{self, Scheduling};
use super::standby::{self, Standby};
use super::tidy::{Step, Tidy};
use super::vs_settings::VsSettings;
use super::{logging, restart, watchdog};

/// How long the failover thread may take to let go of its VIPs.
const RELEASE_MAX: Duration = Duration::from_secs(10);
/// How long the balancer thread may take to clear its services.
const CLEAR_MAX: Duration = Duration::from_secs(10);

/// Stop, and leave VIPs and services where they are: whoever starts next takes them over. SIGRTMIN+6 as
/// glibc counts, and as a unit file of systemd names it (`RestartKillSignal`).
pub(super) const SIGNAL_KEEP: i32 = 34 + 6;
/// How often it is looked whether settings of the kernel are as virtual servers need them.
const LOOK_AT_SETTINGS: Duration = Duration::from_secs(30);
/// The first time after a start or a reload, when nobody waits for anything any more.
const FIRST_LOOK_AT_SETTINGS: Duration = Duration::from_secs(1);

/// What main keeps while the threads run.
pub(super) struct Daemon<'a> {
    pub(super) options: Options,
    pub(super) file: PathBuf,
    pub(super) config: Arc<Config>,
    /// What the configuration names of IPVS, and what a predecessor left; at the start.
    pub(super) owned: Arc<Owned>,
    /// What was read at the start.
    pub(super) standby: Option<Standby>,
    pub(super) run_dir: RunDir,
    pub(super) home: Home,
    /// The network namespace that the process was started in, if it is in another one by now.
    pub(super) start: Option<Arc<Namespace>>,
    /// Where IPVS is.
    pub(super) ipvs_place: Place,
    pub(super) _pid_files: PidFiles,
    pub(super) log: &'a logging::Guard,
    pub(super) firewall: Firewall,
    pub(super) bases: own_links::Bases,
    pub(super) vs_settings: VsSettings,
    /// How the settings of the kernel were found last.
    pub(super) kernel_settings: Vec<KernelSetting>,
    pub(super) overrides: OverridesFile,
    pub(super) config_watch: ConfigWatch,
}

/// The two threads.
pub(super) struct Threads {
    pub(super) failover: failover_thread::Handle,
    pub(super) orders: mpsc::UnboundedSender<Order>,
    pub(super) balancer: watch::Receiver<Status>,
    pub(super) notifier: notify_thread::Handle,
    /// Once they run.
    pub(super) scheduling: Option<Scheduling>,
    pub(super) control: Control,
    /// A new configuration, on its way to them.
    pub(super) switching: Switching,
}

impl Threads {
    /// Reaches both engines.
    pub(super) fn planner(&self) -> Planner {
        Planner {
            failover: self.failover.caller.clone(),
            balancer: self.orders.clone(),
        }
    }

    /// Whether anybody is to look how late timers are.
    fn looks(&self) -> bool {
        self.scheduling.as_ref().is_some_and(Scheduling::looks)
    }
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
    user_1: Signal,
    user_2: Signal,
    json: Signal,
    stats_clear: Signal,
    keep: Signal,
    /// A thread used up its real-time limit.
    too_long: Signal,
}

impl Daemon<'_> {
    /// Starts the threads and stays until they have ended.
    ///
    /// # Errors
    /// What kept them from starting, or from going on.
    pub(super) fn run(
        mut self,
        engine: Failover,
        resources: Resources,
        (balancer, ipvs, kit): (Balancer, Option<Ipvs>, Kit),
        (checking, notifying): (Spawner, Spawner),
        report: Report,
    ) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::fatal(format!("start the main loop: {error}")))?;
        runtime.block_on(async {
            let mut signals = Signals::take()
                .and_then(|signals| take_signals().map(|()| signals))
                .map_err(|error| Failure::fatal(format!("take over signals: {error}")))?;
            let started = |error| Failure::fatal(format!("start thread: {error}"));
            self.write_record(&self.owned);
            let notifier = notify_thread::start(self.notify_settings(&self.config), notifying)
                .map_err(started)?;
            let notices = notifier.notices.clone();
            let (events, log, intake) = control::events();
            tokio::spawn(intake.run());
            let failover =
                failover_thread::start(engine, resources, notices.clone(), events.clone())
                    .map_err(started)?;
            let (orders, inbox) = mpsc::unbounded_channel();
            // What is recorded is not to be recorded again.
            let first = Status {
                owned: Arc::clone(&self.owned),
                ..Status::default()
            };
            let (status, balancer_status) = watch::channel(first);
            let inbox = Inbox {
                orders: inbox,
                roles: failover.roles.clone(),
                sessions: failover.sessions.clone(),
                files: failover.trackers.files(),
                kit,
                status,
                spawner: Some(checking),
                notices,
                events: events.clone(),
                probes_max: PROBES_MAX,
            };
            balancer_thread::start(ipvs, balancer, inbox).map_err(started)?;
            let mut threads = Threads {
                failover,
                orders,
                balancer: balancer_status,
                notifier,
                scheduling: None,
                control: Control::new(&self, events),
                switching: Switching::new(Arc::clone(&self.config)),
            };
            let desk = Desk::new(
                threads.failover.caller.clone(),
                threads.orders.clone(),
                threads.control.ask.clone(),
                threads.control.facts.subscribe(),
                log,
                threads.failover.lateness.clone(),
            );
            threads.control.open(desk, &self.config);
            self.watch_tracked(&mut threads, !restart::is_resumed());
            self.config_watch.watch(&self.config.globals);
            let mut scheduling = Scheduling::new(threads.failover.lateness.clone()).await;
            scheduling.apply(&self.config);
            threads.scheduling = Some(scheduling);
            watchdog::start(threads.failover.caller.clone());
            report.ready();
            notify(&[NotifyState::Ready]);
            let ended = self.serve(&mut threads, &mut signals).await;
            notify(&[NotifyState::Stopping]);
            match ended {
                Ended::Asked => self.stop(threads).await,
                Ended::Fault(which) => self.recover(which, threads).await,
            }
        })
    }

    /// Until a signal asks for the end or a thread ends by itself.
    async fn serve(&mut self, threads: &mut Threads, signals: &mut Signals) -> Ended {
        let mut reading: Option<Reading> = None;
        let mut again = false;
        let mut waiting = Waiting::default();
        let mut told_ready = false;
        let mut recorded = std::mem::take(&mut self.owned);
        let mut standby = standby::Watch::new(&self.options.state_dir, self.standby.take());
        let mut read_last: Option<ReadResult> = None;
        let mut tidy = Tidy::new(Instant::now());
        let mut look_at = Instant::now() + LOOK_AT_SETTINGS;
        loop {
            let status = threads.balancer.borrow_and_update().clone();
            if status.ready && !told_ready {
                told_ready = true;
                threads.failover.send(Command::IpvsReady);
            }
            if let Some(overrides) = &status.overrides {
                self.overrides.keep(overrides);
            }
            if status.owned != recorded {
                self.write_record(&status.owned);
            }
            // Of two that say the same one is enough.
            recorded = status.owned;
            self.go_on(threads);
            if self.vs_settings.is_new() {
                look_at = look_at.min(Instant::now() + FIRST_LOOK_AT_SETTINGS);
            }
            // One after the other; of those that come meanwhile the last.
            if threads.switching.sequence.takes_another()
                && let Some(read) = read_last.take()
            {
                self.commit(read, threads);
                continue;
            }
            tokio::select! {
                biased;
                _ = signals.terminate.recv() => return Ended::Asked,
                // Otherwise it hands over, as for SIGTERM.
                _ = signals.keep.recv() => { let _ = self.keep_all().await; return Ended::Asked }
                _ = signals.interrupt.recv(), if !self.options.ignore_sigint => return Ended::Asked,
                _ = signals.hangup.recv() => {
                    // A reload while one is being read is made up for afterwards.
                    if reading.is_some() { again = true } else { reading = Some(self.read(threads, false)) }
                }
                // What is wrong with the file is told as for a signal.
                () = self.config_watch.changed() => {
                    if reading.is_some() { again = true } else { reading = Some(self.read(threads, false)) }
                }
                Some(ask) = threads.control.asked.recv() => match ask {
                    Ask::Plan(file, reply) => self.plan(threads, file, reply),
                    Ask::Reload(reply) => {
                        waiting.add(reply, reading.is_some());
                        if reading.is_some() { again = true } else { reading = Some(self.read(threads, true)) }
                    }
                    Ask::Stop { keep, reply } => {
                        let ends = if keep { self.keep_all().await } else { Ok(()) };
                        let refused = ends.is_err();
                        let _ = reply.send(ends);
                        if !refused { return Ended::Asked }
                    }
                },
                () = tokio::time::sleep(control::AGAIN), if threads.control.lacks() => {
                    threads.control.apply(&self.config);
                }
                _ = signals.user_1.recv() => threads.control.dump(Dump::State, &self.config),
                _ = signals.user_2.recv() => threads.control.dump(Dump::Stats, &self.config),
                _ = signals.json.recv() => threads.control.dump(Dump::Json, &self.config),
                _ = signals.stats_clear.recv() => threads.control.dump(Dump::StatsClear, &self.config),
                _ = signals.too_long.recv() => {
                    if let Some(scheduling) = &mut threads.scheduling { scheduling.calm(); }
                }
                () = tokio::time::sleep(scheduling::LOOK), if threads.looks() => {
                    if let Some(scheduling) = &mut threads.scheduling { scheduling.look(); }
                }
                changed = standby.changed() => {
                    say_standby(changed.as_ref());
                    threads.control.note_standby(changed.as_ref());
                    threads.failover.send(Command::Standby(changed.is_some()));
                }
                read = answer(&mut reading) => {
                    tidy.stirred(Instant::now());
                    reading = None;
                    let reload = self.outcome(&read);
                    threads.control.note_reload(&reload);
                    waiting.answer(reload);
                    match read {
                        Ok(ready) => read_last = Some(Ok(ready.in_place_of(read_last.take()))),
                        refused => self.commit(refused, threads),
                    }
                    if std::mem::take(&mut again) {
                        reading = Some(self.read(threads, waiting.is_asked()));
                    }
                }
                changed = threads.balancer.changed() => {
                    if changed.is_err() { return Ended::Fault("balancer") }
                    // A large table takes longer than the start, and needs most memory at its end.
                    tidy.stirred(Instant::now());
                }
                Ok(()) = threads.failover.reloaded.changed() => {}
                () = threads.switching.late() => {}
                Ok(()) = threads.failover.roles.changed() => tidy.stirred(Instant::now()),
                () = at(tidy.at()) => match tidy.take(Instant::now()) {
                    Some(Step::Pack) => threads.failover.send(Command::Pack),
                    Some(Step::GiveBack) => {
                        memory::give_back();
                        memory::unmap_program();
                    }
                    None => {}
                },
                () = tokio::time::sleep_until(look_at), if self.vs_settings.matters() => {
                    look_at = Instant::now() + LOOK_AT_SETTINGS;
                    let found = self.vs_settings.look(&self.config);
                    self.note_settings(threads, found);
                }
                Ok(()) = threads.failover.links_made.changed() => self.look_at_links(),
                changed = threads.failover.released.changed() => {
                    let _ = changed;
                    return Ended::Fault("failover");
                }
                changed = threads.notifier.ended.changed() => {
                    let _ = changed;
                    return Ended::Fault("notify");
                }
            }
        }
    }

    /// Whoever asks is told of these.
    pub(super) fn note_settings(&mut self, threads: &Threads, found: Vec<KernelSetting>) {
        if found != self.kernel_settings {
            threads.control.note_settings(&found);
            self.kernel_settings = found;
        }
    }

    /// A link of ours was made again, perhaps on an interface that was: rules and settings have its number
    /// and its name.
    fn look_at_links(&mut self) {
        match Route::open().map(|mut route| route.links()) {
            Ok(Ok(links)) => {
                self.firewall.apply(&self.config, &links);
                self.bases.apply(&self.config, &links);
            }
            Ok(Err(error)) => warn!("read links: {error}"),
            Err(error) => warn!("open route netlink socket: {error}"),
        }
    }

    /// Has files and processes watched that the configuration tracks. Where the kernel gives no thread for
    /// it, their trackers count as failed after a while.
    pub(super) fn watch_tracked(&self, threads: &mut Threads, fresh: bool) {
        if let Err(error) = threads.failover.trackers.watch(&self.config, fresh) {
            error!("watch files and processes: {error}");
        }
    }

    /// VIPs go before the services behind them.
    async fn stop(mut self, threads: Threads) -> Result<(), Failure> {
        info!("stopping");
        let Threads {
            failover,
            orders,
            mut balancer,
            notifier,
            control,
            ..
        } = threads;
        // Nobody may ask any more; what is held open is let go.
        drop(control);
        let kind = if self.options.keep_vips {
            StopKind::Keep
        } else {
            StopKind::Release
        };
        let mut released = failover.released.clone();
        failover.send(Command::Stop(kind));
        if !became(&mut released, RELEASE_MAX, |released| *released).await {
            error!("VIPs were not released within {} s", RELEASE_MAX.as_secs());
        }
        if kind == StopKind::Release {
            self.firewall.remove();
            self.bases.restore();
        }
        let kind = if self.options.keep_ipvs {
            IpvsStop::Keep
        } else {
            IpvsStop::Remove
        };
        let _ = orders.send(Order::Stop(kind));
        if !became(&mut balancer, CLEAR_MAX, |status| status.stopped).await {
            error!("IPVS was not cleared within {} s", CLEAR_MAX.as_secs());
        } else if kind == IpvsStop::Remove {
            let _ = std::fs::remove_file(self.run_dir.file("ipvs.json"));
        }
        if kind == IpvsStop::Remove {
            self.firewall.remove_services(&self.config);
            self.vs_settings.restore(&self.config);
        }
        if !notifier.stop(&self.config.globals).await {
            error!("notifications did not come to their end");
        }
        info!("stopped");
        Ok(())
    }

    /// A thread has ended by itself.
    async fn recover(mut self, which: &str, threads: Threads) -> Result<(), Failure> {
        error!("the {which} thread has ended by a fault of vipd: starting again in place");
        self.log.flush();
        let Err(why) = restart::again(self.start.as_deref());
        // If it was the other thread, this one still defends the VIPs.
        let mut released = threads.failover.released.clone();
        threads.failover.send(Command::Stop(StopKind::Release));
        became(&mut released, RELEASE_MAX, |released| *released).await;
        let released = release_vips(&self.config);
        self.firewall.remove();
        self.bases.restore();
        Err(Failure::new(
            failure::Status::Software,
            format!("the {which} thread ended by a fault of vipd ({why}); {released}"),
        ))
    }

    pub(super) fn notify_settings(&self, config: &Config) -> notify_thread::Settings {
        notify_thread::Settings {
            globals: config.globals.clone(),
            compat: self.options.reading.compat,
            host_name: prepare::host_name(),
        }
    }

    /// What a successor needs to know of IPVS.
    pub(super) fn write_record(&self, owned: &Owned) {
        let path = self.run_dir.file("ipvs.json");
        if owned.is_empty() && !path.exists() {
            return;
        }
        if let Err(error) = record::write_ipvs(&path, &self.ipvs_place, owned) {
            warn!("write {}: {error}", path.display());
        }
    }
}

enum Ended {
    Asked,
    Fault(&'static str),
}

fn say_standby(standby: Option<&Standby>) {
    match standby {
        Some(standby) => warn!("{standby}: every address is yielded"),
        None => info!("standby is over: this node takes part again"),
    }
}

async fn became<T>(
    value: &mut watch::Receiver<T>,
    within: Duration,
    wanted: impl FnMut(&T) -> bool,
) -> bool {
    tokio::time::timeout(within, value.wait_for(wanted))
        .await
        .is_ok_and(|done| done.is_ok())
}

impl Signals {
    fn take() -> std::io::Result<Signals> {
        Ok(Signals {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            user_1: signal(SignalKind::user_defined1())?,
            user_2: signal(SignalKind::user_defined2())?,
            json: signal(SignalKind::from_raw(SIGNAL_JSON))?,
            stats_clear: signal(SignalKind::from_raw(SIGNAL_STATS_CLEAR))?,
            keep: signal(SignalKind::from_raw(SIGNAL_KEEP))?,
            too_long: signal(SignalKind::from_raw(TOO_LONG))?,
        })
    }
}

/// Tells systemd, where it listens.
pub(super) fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!("tell the service manager: {error}");
    }
}

/// Sleeps until then; for ever where there is no such time.
pub(super) async fn at(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}
