//! The FIFOs, and the programs that read them.

use std::path::Path;
use std::time::Duration;

use tracing::{info, warn};

use crate::config::model::{NotifyFifo, Run};
use crate::kernel::fifo::{Fifo, Written};
use crate::kernel::spawner::{Finished, owner_of};
use crate::notice::{Audience, Notice};
use crate::time::Time;

use super::Settings;

/// Numbers of runs from here on are readers'; the queue of scripts never gets there.
const READERS: u64 = 1 << 63;
/// How soon a reader that ended is started again; twice as long each time...
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// ...up to this; from the start again for one that ran for longer than this.
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(60);

/// Every FIFO.
#[derive(Debug, Default)]
pub(super) struct Outlets {
    open: Vec<Outlet>,
    next_reader: u64,
}

#[derive(Debug)]
struct Outlet {
    config: NotifyFifo,
    /// `None`: for everybody.
    audience: Option<Audience>,
    /// `None` once it was closed at the end.
    fifo: Option<Fifo>,
    /// Lines that did not fit since the last that did.
    lost: u64,
    reader: Option<Reader>,
}

#[derive(Debug)]
struct Reader {
    run: Run,
    state: ReaderState,
    pause: Duration,
}

#[derive(Clone, Copy, Debug)]
enum ReaderState {
    Waits { until: Time },
    Runs { id: u64, since: Time },
}

impl Outlets {
    /// Opens what is new, closes what is gone, leaves the rest as it is.
    pub(super) fn configure(&mut self, settings: &Settings, now: Time) {
        let s = &settings.globals.scripts;
        let wanted = [
            (None, &s.notify_fifo, &s.notify_fifo_script),
            (
                Some(Audience::Vrrp),
                &s.vrrp_notify_fifo,
                &s.vrrp_notify_fifo_script,
            ),
            (
                Some(Audience::Lvs),
                &s.lvs_notify_fifo,
                &s.lvs_notify_fifo_script,
            ),
        ];
        let mut before = std::mem::take(&mut self.open);
        let mut next = Vec::new();
        for (audience, fifo, script) in wanted {
            let Some(config) = fifo.clone() else { continue };
            let same = before
                .iter()
                .position(|outlet| outlet.audience == audience && outlet.config == config);
            let kept = same.map(|at| before.remove(at));
            next.push((audience, config, script, kept));
        }
        // Closed first: one of the new may have the same path.
        drop(before);
        for (audience, config, script, kept) in next {
            let outlet = match kept {
                Some(outlet) => Some(outlet),
                None => open(config, audience, settings),
            };
            if let Some(mut outlet) = outlet {
                outlet.set_reader(script.as_ref(), now);
                self.open.push(outlet);
            }
        }
    }

    /// Writes the line to those whom it concerns.
    pub(super) fn write(&mut self, notice: &Notice) {
        if self.open.is_empty() {
            return;
        }
        let audience = notice.audience();
        let Some(line) = notice.line() else {
            return;
        };
        for outlet in &mut self.open {
            if outlet.audience.is_none_or(|whose| whose == audience) {
                outlet.write(&line);
            }
        }
    }

    /// When a reader is started again.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        let readers = self.open.iter().filter_map(|outlet| outlet.reader.as_ref());
        let waits = readers.filter_map(|reader| match reader.state {
            ReaderState::Waits { until } => Some(until),
            ReaderState::Runs { .. } => None,
        });
        waits.min()
    }

    /// Readers whose time has come, each with the number of its run.
    pub(super) fn readers_to_start(&mut self, now: Time) -> Vec<(u64, Run)> {
        let mut due = Vec::new();
        let readers = self.open.iter_mut().filter_map(|o| o.reader.as_mut());
        for reader in readers {
            if matches!(reader.state, ReaderState::Waits { until } if until <= now) {
                let id = READERS | self.next_reader;
                self.next_reader += 1;
                reader.state = ReaderState::Runs { id, since: now };
                due.push((id, reader.run.clone()));
            }
        }
        due
    }

    /// Takes the end of a run in; `false` when it was no reader's.
    pub(super) fn reader_ended(&mut self, finished: &Finished, now: Time) -> bool {
        if finished.id < READERS {
            return false;
        }
        for outlet in &mut self.open {
            let path = outlet.config.path.as_str();
            let open = outlet.fifo.is_some();
            let Some(reader) = outlet.reader.as_mut() else {
                continue;
            };
            let ReaderState::Runs { id, since } = reader.state else {
                continue;
            };
            if id != finished.id {
                continue;
            }
            if now.since(since) > AGAIN_AFTER_MAX {
                reader.pause = AGAIN_AFTER;
            }
            let pause = reader.pause;
            reader.pause = (pause * 2).min(AGAIN_AFTER_MAX);
            reader.state = ReaderState::Waits { until: now + pause };
            if open {
                warn!(
                    "the script that reads FIFO {path} {}; it is started again in {} s",
                    finished.outcome,
                    pause.as_secs()
                );
            }
        }
        true
    }

    /// Whether a reader still runs.
    pub(super) fn is_read(&self) -> bool {
        let mut readers = self.open.iter().filter_map(|o| o.reader.as_ref());
        readers.any(|reader| matches!(reader.state, ReaderState::Runs { .. }))
    }

    /// Removes the FIFOs that were made here and closes all: readers come to the end.
    pub(super) fn close(&mut self) {
        for outlet in &mut self.open {
            outlet.tell_lost();
            outlet.fifo = None;
        }
    }
}

fn open(config: NotifyFifo, audience: Option<Audience>, settings: &Settings) -> Option<Outlet> {
    let user = config.owner.as_ref();
    let user = user.or(settings.globals.script_user.as_ref());
    let opened = owner_of(user)
        .map_err(|why| format!("FIFO {}: {why}", config.path))
        .and_then(|owner| {
            Fifo::open(Path::new(&config.path), owner).map_err(|error| error.to_string())
        });
    match opened {
        Ok(fifo) => Some(Outlet {
            config,
            audience,
            fifo: Some(fifo),
            lost: 0,
            reader: None,
        }),
        Err(why) => {
            warn!("{why}; nothing is written to it until the configuration is read again");
            None
        }
    }
}

impl Outlet {
    /// `script` with the path behind its words; one that is there and the same goes on.
    fn set_reader(&mut self, script: Option<&Run>, now: Time) {
        let wanted = script.filter(|run| !run.argv.is_empty()).cloned();
        let wanted = wanted.map(|mut run| {
            run.argv.push(self.config.path.clone());
            run
        });
        if self.reader.as_ref().map(|reader| &reader.run) == wanted.as_ref() {
            return;
        }
        self.reader = wanted.map(|run| Reader {
            run,
            state: ReaderState::Waits { until: now },
            pause: AGAIN_AFTER,
        });
    }

    fn write(&mut self, line: &str) {
        let Some(fifo) = &mut self.fifo else { return };
        match fifo.write(line.as_bytes()) {
            Written::Whole => self.tell_lost(),
            Written::Full => {
                self.lost += 1;
                if self.lost == 1 {
                    let path = &self.config.path;
                    warn!("FIFO {path} is full, as nobody reads it: lines are lost");
                }
            }
            Written::Failed(error) => {
                let path = &self.config.path;
                warn!("write FIFO {path}: {}", crate::errno::Words(&error));
            }
        }
    }

    fn tell_lost(&mut self) {
        let lost = std::mem::take(&mut self.lost);
        if lost > 0 {
            info!("FIFO {}: {lost} lines were lost", self.config.path);
        }
    }
}
