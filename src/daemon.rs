//! The daemon: from a command line to running threads, and from a signal to their end.
//!
//! ```text
//!  main ── signals, reload, record ──┬── failover thread: VRRP, scripts, addresses
//!   │                                └── balancer thread: checks, IPVS
//!   └── spawner (a process of its own, forked before any thread): runs scripts
//! ```

mod audit;
pub mod background;
pub mod balancer_thread;
pub mod channels;
mod config_save;
mod config_watch;
mod control;
pub mod failover_thread;
pub mod failure;
pub mod files;
pub mod firewall;
pub mod home;
mod keep;
mod last_resort;
pub mod logging;
mod main_loop;
pub mod notify_thread;
pub mod options;
mod outer_scripts;
pub mod overrides;
pub mod own_links;
mod planning;
pub mod prepare;
pub mod record;
mod reload;
mod reload_file;
mod reload_time;
mod restart;
pub mod run_dir;
mod scheduling;
mod sequence;
mod sessions;
pub mod standby;
mod tidy;
pub mod trackers;
pub mod vs_settings;
mod watchdog;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use tracing::{error, info, warn};

use crate::config::Config;
use crate::config::model::Instance;
use crate::engine::balancer::Balancer;
use crate::engine::failover::{Beat, Failover};
use crate::kernel::announcement_socket::AnnouncementSocket;
use crate::kernel::announcement_watch::AnnouncementWatch;
use crate::kernel::namespace::Namespace;
use crate::kernel::route::{Monitor, Route};
use crate::kernel::scheduling::Thread;
use crate::kernel::spawner::Spawner;
use crate::kernel::{clock, memory};
use crate::probe::Kit;
use crate::vrrp;

use background::Report;
use config_watch::ConfigWatch;
use failover_thread::Resources;
use failure::Failure;
use firewall::Firewall;
use home::Home;
use main_loop::Daemon;
use options::{Options, STAND_IN};
use prepare::{Prepared, Routes};
use record::{LeftBehind, Masters, Place};
use reload_file::ReloadFile;
use run_dir::{PidFiles, RunDir};

/// Runs until a signal ends it.
///
/// # Errors
/// Whatever keeps it from running; nothing was changed then.
pub fn run(options: &Options) -> Result<(), Failure> {
    memory::keep_large_apart();
    if options.stand_in {
        // Whatever the file is called that the name leads to. Without it `killall keepalived` finds nobody.
        let _ = Thread::main().rename(STAND_IN);
    }
    // A reload that is asked for too early is made up for.
    let _ = background::hold_signals();
    let _ = background::forget_children();
    let file = prepare::config_file(options.file.as_deref())?;
    let config_watch = ConfigWatch::new(&file, &options.reading);
    // Before anything is read: it is a copy of this process, and stays as small as that is now.
    let mut helpers = Helpers::start()?;
    let first = prepare::load_for(&file, options)?;
    let home = first.config.as_ref().map(Home::of).unwrap_or_default();
    // Everything that is opened or started from here on is in its network namespace.
    let mut elsewhere = home.enter(&mut helpers.tracking)?;
    let options = &home.options(options);
    let startup_failed = outer_scripts::run_startup(&first, options)?;
    // A startup script may have written it.
    let first = match outer_scripts::has_startup(&first) {
        true => prepare::load_for(&file, options)?,
        false => first,
    };
    // Before the dump, so that nothing that happens between the two is missed.
    let monitor = Monitor::open()
        .map_err(|error| Failure::fatal(format!("watch links and addresses: {error}")))?;
    let mut route = Route::open()
        .map_err(|error| Failure::fatal(format!("open route netlink socket: {error}")))?;
    let mut routes = Routes {
        here: &mut route,
        at_ipvs: elsewhere.ipvs.as_mut(),
    };
    prepare::readable(&file)?;
    let nothing = (&Config::default(), &home);
    let mut prepared = prepare::prepare_loaded(first, options, nothing, &mut routes)?;
    prepared.warnings.extend(startup_failed);
    prepare::permissions(&prepared.config)?;
    // What was read and compared is gone; the threads begin with nothing but what they need.
    memory::give_back();
    let report = if options.foreground || restart::is_resumed() {
        Report::to_nobody()
    } else {
        background::detach()?
    };
    // Whoever waits for us waits until the error was said.
    let waiting = report.another();
    let begun = Begun {
        config_watch,
        home,
        start: elsewhere.start,
        monitor,
        route,
        prepared,
        report,
        helpers,
    };
    let ended = serve(options, &file, begun);
    if ended.is_err() {
        std::mem::forget(waiting);
    }
    ended
}

/// What was opened and read before the process went into the background.
struct Begun {
    config_watch: ConfigWatch,
    home: Home,
    /// The network namespace that it was started in, if it is in another one by now.
    start: Option<Arc<Namespace>>,
    monitor: Monitor,
    route: Route,
    prepared: Prepared,
    report: Report,
    helpers: Helpers,
}

/// Ends of the helper process that runs scripts, one for each thread that has some.
struct Helpers {
    tracking: Spawner,
    checking: Spawner,
    notifying: Spawner,
    filtering: Spawner,
}

impl Helpers {
    fn start() -> Result<Helpers, Failure> {
        let [tracking, checking, notifying, filtering] = Spawner::start()
            .map_err(|error| Failure::fatal(format!("start the script helper: {error}")))?;
        Ok(Helpers {
            tracking,
            checking,
            notifying,
            filtering,
        })
    }
}

fn serve(options: &Options, file: &Path, begun: Begun) -> Result<(), Failure> {
    // Up to here nothing was changed, and whoever is tired of a startup script may end it. From here on an
    // end is made up for as soon as it can be an orderly one.
    let _ = background::hold_ends();
    let run_dir = RunDir::lock(&options.run_dir).map_err(|e| Failure::fatal(e.to_string()))?;
    let log = start_log(&options.log)?;
    let ended = serve_logged(options, file, begun, run_dir, &log);
    // Standard error is told by whoever called.
    if let Err(failure) = &ended
        && !log.on_console()
    {
        error!("{failure}");
    }
    ended
}

fn serve_logged(
    options: &Options,
    file: &Path,
    begun: Begun,
    run_dir: RunDir,
    log: &logging::Guard,
) -> Result<(), Failure> {
    let Begun {
        config_watch,
        home,
        start,
        mut monitor,
        mut route,
        mut prepared,
        report,
        helpers,
    } = begun;
    info!(
        "vipd {} starts, configuration {}",
        env!("CARGO_PKG_VERSION"),
        file.display()
    );
    for warning in &prepared.warnings {
        warn!("{warning}");
    }
    for flag in &options.without_effect {
        warn!("{flag} has no effect in vipd");
    }
    let pid_files = write_pid_files(options, &run_dir)?;
    // Whoever wrote the configuration before this start waits for the same as before a reload.
    ReloadFile::remove(reload_file::path(&prepared.config, options, &run_dir).as_deref());
    let place = Place::here().map_err(|error| {
        Failure::fatal(format!(
            "read boot id and network namespace: {error}; mount /proc first"
        ))
    })?;

    let ipvs_place = home.place_of_ipvs(&place)?;
    let left = LeftBehind::read(&run_dir.file("masters"), &place);
    let left_ipvs = record::read_ipvs(&run_dir.file("ipvs.json"), &ipvs_place);
    let overrides = overrides::OverridesFile::within(&options.state_dir);
    let seed = clock::now().as_nanos();
    let balancer = Balancer::new(Arc::clone(&prepared.config), left_ipvs, seed)
        .with_overrides(overrides.known().clone());
    let owned = Arc::clone(balancer.owned());
    let kit = Kit::new(&prepared.config)
        .map_err(|error| Failure::fatal(format!("checks cannot be made: {error}")))?;
    let ipvs = balancer_thread::open_ipvs(&prepared.config, &owned).map_err(|error| {
        Failure::fatal(format!(
            "the configuration has virtual servers that cannot be programmed: {error}"
        ))
    })?;
    let made = own_links::make(&mut route, Some(&mut monitor), &mut prepared)?;
    let sockets = channels::open(&prepared.config, &prepared.picture.links, &BTreeSet::new())
        .map_err(Failure::fatal)?;
    let announcements = AnnouncementSocket::open()
        .map_err(|error| Failure::fatal(format!("open socket for announcements: {error}")))?;
    let watch = AnnouncementWatch::open().map_err(|error| {
        Failure::fatal(format!(
            "open sockets that hear ARP and neighbours: {error}"
        ))
    })?;
    let masters = Masters::create(&run_dir.file("masters"), &place, &left).map_err(|error| {
        Failure::fatal(format!(
            "make {}: {error}",
            run_dir.file("masters").display()
        ))
    })?;

    let mut firewall = Firewall::new(&run_dir, helpers.filtering);
    // Nothing was changed up to here. From here on everything is retried, not refused.
    made.keep();
    firewall.apply(&prepared.config, &prepared.picture.links);
    let mut bases = own_links::Bases::new(run_dir.file("interfaces"));
    bases.apply(&prepared.config, &prepared.picture.links);
    let mut vs_settings = vs_settings::VsSettings::new(run_dir.file("ipvs-settings"));
    let kernel_settings = vs_settings.apply(&prepared.config, &prepared.picture);
    firewall.apply_services(&prepared.config, vs_settings.rules(&prepared.config));
    let now = clock::now();
    let standby = standby::read(&options.state_dir);
    if let Some(standby) = &standby {
        warn!("{standby}; no address is claimed before `vipd standby off`");
    }
    let mut engine = Failover::new(
        Arc::clone(&prepared.config),
        prepared.picture,
        |instance, beat| how_to_start(&left, instance, beat),
        !prepared.config.virtual_servers.is_empty(),
        now,
    );
    engine.begin_in_standby(standby.is_some());
    let resources = Resources {
        route,
        monitor,
        announcements,
        watch,
        sockets,
        spawner: helpers.tracking,
        masters,
        start: start.clone(),
    };
    let daemon = Daemon {
        options: options.clone(),
        file: file.to_owned(),
        config: prepared.config,
        owned,
        standby,
        run_dir,
        home,
        start,
        ipvs_place,
        _pid_files: pid_files,
        log,
        firewall,
        bases,
        vs_settings,
        kernel_settings,
        overrides,
        config_watch,
    };
    let spawners = (helpers.checking, helpers.notifying);
    daemon.run(engine, resources, (balancer, ipvs, kit), spawners, report)
}

fn start_log(options: &logging::Options) -> Result<logging::Guard, Failure> {
    logging::start(options).map_err(|error| {
        let file = options.file.as_deref().unwrap_or(Path::new("-"));
        Failure::fatal(format!("start the log ({}): {error}", file.display()))
    })
}

fn write_pid_files(options: &Options, run_dir: &RunDir) -> Result<PidFiles, Failure> {
    let mut files = PidFiles::default();
    let own = options
        .pid_file
        .clone()
        .unwrap_or_else(|| run_dir.file("vipd.pid"));
    for path in std::iter::once(own).chain(options.more_pid_files.iter().cloned()) {
        files
            .write(path)
            .map_err(|error| Failure::fatal(error.to_string()))?;
    }
    Ok(files)
}

/// Younger than two adverts: go on as master. Older: keep the addresses until somebody else is heard.
fn how_to_start(left: &LeftBehind, instance: &Instance, beat: &Beat) -> vrrp::Start {
    let Some(last) = left.last_advert(beat) else {
        return vrrp::Start::Fresh;
    };
    if clock::now().since(last) < instance.advert_int.get() * 2 {
        vrrp::Start::Resume
    } else {
        vrrp::Start::Keep
    }
}
