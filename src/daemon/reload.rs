//! A reload: read and prepared on a thread of its own, put in force only when nothing can fail any more.

use std::sync::Arc;

use sd_notify::NotifyState;
use tokio::sync::oneshot;
use tracing::{error, info, warn};

use crate::config::Config;
use crate::control::{self, model::Reload};
use crate::kernel::route::Route;
use crate::lvs::Owned;

use super::balancer_thread::{self, Order, Status};
use super::channels::{self, Sockets};
use super::failover_thread::Command;
use super::failure::{self, Failure};
use super::home::Home;
use super::main_loop::{Daemon, Threads, notify};
use super::options::Options;
use super::prepare::{self, Prepared, Routes};
use super::{notify_thread, own_links};

/// A reload on its way: the answer of the thread that reads the file.
pub(super) type Reading = oneshot::Receiver<ReadResult>;

impl Daemon<'_> {
    /// Reads and checks the file on a thread of its own; nothing that runs waits for it.
    pub(super) fn read(&self, threads: &Threads) -> Reading {
        notify_reloading();
        info!("reloading {}", self.file.display());
        let (reply, reading) = oneshot::channel();
        let (options, file) = (self.options.clone(), self.file.clone());
        let status = threads.balancer.borrow().clone();
        let running = Arc::clone(&self.config);
        let home = self.home.clone();
        let spawned = std::thread::Builder::new()
            .name("reload".into())
            .spawn(move || {
                let _ = reply.send(prepare_reload(&options, &file, (&running, &home), &status));
            });
        if let Err(error) = spawned {
            error!("reload: start thread: {error}");
        }
        reading
    }

    /// Puts a configuration in force that was read without an error; otherwise says what is wrong and
    /// leaves everything as it is.
    pub(super) fn commit(&mut self, read: ReadResult, threads: &mut Threads) -> Reload {
        let mut reload = Reload {
            at: control::now(),
            done: read.is_ok(),
            changes: Vec::new(),
            warnings: Vec::new(),
            errors: Vec::new(),
        };
        match read {
            Ok(Ready {
                prepared,
                balancer,
                sockets,
                links,
            }) => {
                links.keep();
                for warning in &prepared.warnings {
                    warn!("{warning}");
                }
                let config = prepared.config;
                reload.changes = control::changes(&self.config, &config);
                reload.warnings = prepared.warnings;
                // Before the kernel hears of it: what a crash in between leaves must be known as ours.
                let mut owned = threads.balancer.borrow().owned.clone();
                owned.extend(&Owned::named_by(&config));
                self.write_record(&owned);
                self.firewall.apply(&config, &prepared.picture.links);
                self.bases.apply(&config, &prepared.picture.links);
                self.vs_settings.apply(&config);
                let _ = threads.orders.send(Order::Reload(balancer));
                let settings = self.notify_settings(&config);
                threads
                    .notifier
                    .send(notify_thread::Command::Reload(Box::new(settings)));
                threads.failover.send(Command::Reload {
                    config: Arc::clone(&config),
                    sockets,
                });
                self.config = config;
                self.watch_tracked(threads, false);
                if let Some(scheduling) = &mut threads.scheduling {
                    scheduling.apply(&self.config);
                }
                threads.control.apply(&self.config);
                info!("reloaded {}", self.file.display());
            }
            Err(failure) => {
                error!("reload refused, the running configuration stays in force:\n{failure}");
                reload.errors = failure.text.lines().map(str::to_owned).collect();
            }
        }
        notify(&[NotifyState::Ready]);
        reload
    }
}

pub(super) type ReadResult = Result<Ready, Failure>;

/// Everything that a reload may fail at has been done.
pub(super) struct Ready {
    prepared: Prepared,
    balancer: balancer_thread::Prepared,
    sockets: Sockets,
    links: own_links::Made,
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
) -> ReadResult {
    let mut route = Route::open()
        .map_err(|error| Failure::fatal(format!("open route netlink socket: {error}")))?;
    let mut at_ipvs = home.route_at_ipvs()?;
    let mut routes = Routes {
        here: &mut route,
        at_ipvs: at_ipvs.as_mut(),
    };
    let mut prepared = prepare::prepare(file, options, (running, home), &mut routes)?;
    let made = own_links::make(&mut route, None, &mut prepared)?;
    let balancer = balancer_thread::Prepared::new(Arc::clone(&prepared.config), status)
        .map_err(|error| Failure::fatal(error.to_string()))?;
    let links = &prepared.picture.links;
    let have = channels::needed(running, links);
    let sockets = channels::open(&prepared.config, links, &have).map_err(Failure::fatal)?;
    Ok(Ready {
        prepared,
        balancer,
        sockets,
        links: made,
    })
}

fn notify_reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => warn!("tell the service manager: {error}"),
    }
}
