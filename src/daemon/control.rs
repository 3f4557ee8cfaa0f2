//! The control socket as main sees it: opened, moved by a reload, asked through.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, info, warn};

use crate::config::Config;
use crate::config::model::ControlSettings;
use crate::control::keepalived::{self, Dump, Place};
use crate::control::model::{KernelSetting, Reload};
use crate::control::{Address, Ask, Desk, Events, Facts, Level, Serving, start};
use crate::kernel::clock;
use crate::kernel::spawner::group_of;

use super::config_save::Saving;
use super::failover_thread::Command;
use super::main_loop::Daemon;
use super::prepare;
use super::standby::Standby;

pub(super) use crate::control::events;

/// How soon a socket that could not be had is tried again.
pub(super) const AGAIN: Duration = Duration::from_secs(10);
/// Requests to main that wait.
const ASKS_MAX: usize = 64;

/// What main keeps of it.
pub(super) struct Control {
    /// Where the socket is asked.
    pub(super) ask: mpsc::Sender<Ask>,
    pub(super) asked: mpsc::Receiver<Ask>,
    pub(super) facts: watch::Sender<Facts>,
    events: Events,
    socket: std::path::PathBuf,
    desk: Option<Desk>,
    /// What is open, by where it is.
    serving: Vec<(Address, Serving)>,
    /// What could not be opened, as it was told.
    lacking: Vec<String>,
}

impl Control {
    /// Nothing is open yet.
    pub(super) fn new(daemon: &Daemon<'_>, events: Events) -> Control {
        let (ask, asked) = mpsc::channel(ASKS_MAX);
        let facts = Facts {
            configuration: daemon.file.display().to_string(),
            host: prepare::host_name(),
            started: clock::now(),
            kernel: daemon.kernel_settings.clone(),
            standby: daemon.standby.clone(),
            ..Facts::default()
        };
        Control {
            ask,
            asked,
            facts: watch::channel(facts).0,
            events,
            socket: daemon.run_dir.file("control.sock"),
            desk: None,
            serving: Vec::new(),
            lacking: Vec::new(),
        }
    }

    /// Opens what the configuration asks for.
    pub(super) fn open(&mut self, desk: Desk, config: &Config) {
        self.desk = Some(desk);
        self.apply(config);
    }

    /// Whether something is to be tried again.
    pub(super) fn lacks(&self) -> bool {
        !self.lacking.is_empty()
    }

    /// Opens what is asked for and not open, and closes what is not asked for any more. What cannot be
    /// opened is no reason to do without the rest.
    pub(super) fn apply(&mut self, config: &Config) {
        let Some(desk) = &self.desk else {
            return;
        };
        let mut lacking = Vec::new();
        let wanted = self.wanted(&config.globals.control, &mut lacking);
        self.serving.retain(|(address, _)| wanted.contains(address));
        for address in wanted {
            if self.serving.iter().any(|(open, _)| *open == address) {
                continue;
            }
            match start(desk.clone(), &address) {
                Ok(serving) => {
                    match &address {
                        Address::Port(at) => info!("metrics are served on {at}"),
                        Address::Page(at) => info!("the status page is at http://{at}/"),
                        Address::Socket { .. } => {}
                    }
                    self.serving.push((address, serving));
                }
                Err(error) => lacking.push(error),
            }
        }
        for error in lacking.iter().filter(|error| !self.lacking.contains(error)) {
            error!("{error}; it is tried again");
        }
        self.lacking = lacking;
    }

    fn wanted(&self, settings: &ControlSettings, lacking: &mut Vec<String>) -> Vec<Address> {
        let group = settings.group.as_deref().map(group_of);
        let group = match group {
            Some(Ok(group)) => Some(group),
            // Without it the socket is its owner's alone.
            Some(Err(error)) => {
                lacking.push(format!("control_group: {error}"));
                None
            }
            None => None,
        };
        let socket = Address::Socket {
            path: self.socket.clone(),
            mode: settings.mode,
            group,
        };
        let page = settings.page_listen;
        // The page has the metrics too.
        let port = settings.metrics_listen.filter(|port| page != Some(*port));
        let ports = port.map(Address::Port).into_iter();
        let ports = ports.chain(page.map(Address::Page));
        [socket].into_iter().chain(ports).collect()
    }

    /// Writes what keepalived would at a signal; whoever sent it does not wait for an answer.
    pub(super) fn dump(&self, dump: Dump, config: &Config) {
        let Some(desk) = self.desk.clone() else {
            return;
        };
        let config = config.clone();
        tokio::spawn(async move {
            let view = match desk.failover_now().await {
                Ok(view) => view,
                Err(stuck) => return error!("{stuck}"),
            };
            if dump == Dump::StatsClear {
                desk.command(Command::ClearCounters);
            }
            // Files are slow at times.
            let place = Place::of(dump, &config);
            let written = tokio::task::spawn_blocking(move || {
                place.write(&keepalived::text(dump, &config, &view))
            });
            match written.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => error!("{error}"),
                Err(error) => error!("write a dump: {error}"),
            }
        });
    }

    /// Keeps the status as it is now, before or after a reload.
    pub(super) fn save(&self, saving: Saving, when: &'static str) {
        let Some(desk) = self.desk.clone() else {
            return;
        };
        tokio::spawn(async move {
            desk.ordered();
            match desk.status_json(false).await {
                Ok(json) => {
                    let text = String::from_utf8_lossy(&json).into_owned();
                    let written = tokio::task::spawn_blocking(move || {
                        saving.write(&format!("{when}.json"), &text);
                    });
                    if let Err(error) = written.await {
                        error!("config_save_dir: {error}");
                    }
                }
                Err(stuck) => warn!("config_save_dir: {stuck}"),
            }
        });
    }

    /// How the settings of the kernel are.
    pub(super) fn note_settings(&self, found: &[KernelSetting]) {
        self.facts
            .send_modify(|facts| facts.kernel = found.to_vec());
    }

    /// This node stands by, or takes part again.
    pub(super) fn note_standby(&self, standby: Option<&Standby>) {
        let (level, text) = match standby {
            Some(standby) => (
                Level::Warning,
                format!("{standby}: every address is yielded"),
            ),
            None => (
                Level::Info,
                "standby is over: this node takes part again".to_owned(),
            ),
        };
        self.events.tell(level, "daemon", None, text);
        self.facts
            .send_modify(|facts| facts.standby = standby.cloned());
    }

    /// A reload has ended.
    pub(super) fn note_reload(&self, reload: &Reload) {
        let (level, text) = match reload.done {
            true if reload.changes.is_empty() => {
                (Level::Info, "reloaded, nothing changed".to_owned())
            }
            true => (
                Level::Info,
                format!("reloaded: {}", reload.changes.join(", ")),
            ),
            false => (
                Level::Error,
                format!("reload refused: {}", reload.errors.join("; ")),
            ),
        };
        self.events.tell(level, "reload", None, text);
        self.facts.send_modify(|facts| {
            match reload.done {
                true => facts.reloads.0 += 1,
                false => facts.reloads.1 += 1,
            }
            facts.reload = Some(Reload {
                plan: None,
                ..reload.clone()
            });
        });
    }
}

/// Who waits for a reload. One that began before it was asked for is not what was asked for.
#[derive(Default)]
pub(super) struct Waiting {
    now: Vec<oneshot::Sender<Reload>>,
    next: Vec<oneshot::Sender<Reload>>,
}

impl Waiting {
    /// Somebody asks; `under_way`: for the one behind that which is being read.
    pub(super) fn add(&mut self, reply: oneshot::Sender<Reload>, under_way: bool) {
        match under_way {
            true => self.next.push(reply),
            false => self.now.push(reply),
        }
    }

    /// Whether somebody waits for the next.
    pub(super) fn is_asked(&self) -> bool {
        !self.now.is_empty()
    }

    /// One has ended.
    pub(super) fn answer(&mut self, reload: Reload) {
        for reply in std::mem::replace(&mut self.now, std::mem::take(&mut self.next)) {
            // Whoever asked may have gone.
            let _ = reply.send(reload.clone());
        }
    }
}
