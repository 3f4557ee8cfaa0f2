//! `MISC_CHECK`: commands, run by the script helper.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;

use tokio::io::unix::AsyncFd;

use crate::config::model::{MiscCheck, ScriptDefaults};
use crate::health::{CheckOutcome, ProbeId, ScriptEnd};
use crate::kernel::spawner::{AtEnd, Finished, Outcome, Request, Spawner};

/// The commands that run.
pub(super) struct Scripts {
    spawner: Spawner,
    readiness: AsyncFd<OwnedFd>,
    /// By the number of the run.
    runs: BTreeMap<u64, (ProbeId, MiscCheck)>,
    next: u64,
    /// The helper is gone, and with it every command.
    gone: bool,
}

/// A command has ended.
pub(super) type Ended = (ProbeId, CheckOutcome);

impl Scripts {
    /// Must be called on the thread that runs the checks.
    pub(super) fn new(spawner: Spawner) -> io::Result<Scripts> {
        let readiness = spawner.readiness()?;
        Ok(Scripts {
            spawner,
            readiness,
            runs: BTreeMap::new(),
            next: 0,
            gone: false,
        })
    }

    /// Starts a command; the outcome if that fails at once.
    pub(super) fn start(
        &mut self,
        probe: ProbeId,
        check: &MiscCheck,
        defaults: &ScriptDefaults,
    ) -> Option<Ended> {
        let id = self.next;
        self.next += 1;
        let request = Request {
            id,
            argv: check.argv.clone(),
            user: check.user.as_ref().or(defaults.user.as_ref()).cloned(),
            caps: defaults.caps,
            timeout: Some(check.timeout),
            at_end: AtEnd::Kill,
        };
        match self.spawner.send(&request) {
            Ok(()) => {
                self.runs.insert(id, (probe, check.clone()));
                None
            }
            Err(error) => Some((probe, CheckOutcome::NotAsked(error.to_string()))),
        }
    }

    /// The answer of this one is not wanted any more; the command goes on to its end.
    pub(super) fn forget(&mut self, probe: ProbeId) {
        self.runs.retain(|_, (of, _)| *of != probe);
    }

    /// This is asked after each check: only a helper that has said something is listened to.
    async fn ended(&mut self) -> Ended {
        loop {
            let Ok(mut ready) = self.readiness.readable().await else {
                return std::future::pending().await;
            };
            match self.spawner.try_recv() {
                Ok(Some(finished)) => {
                    if let Some(ended) = self.finish(finished) {
                        return ended;
                    }
                    continue;
                }
                Ok(None) => ready.clear_ready(),
                Err(error) => {
                    if !std::mem::replace(&mut self.gone, true) {
                        tracing::error!("no command of a MISC_CHECK can be run any more: {error}");
                    }
                    if let Some((_, (probe, _))) = self.runs.pop_first() {
                        return (probe, CheckOutcome::NotAsked(error.to_string()));
                    }
                    return std::future::pending().await;
                }
            }
        }
    }

    fn finish(&mut self, finished: Finished) -> Option<Ended> {
        let (probe, check) = self.runs.remove(&finished.id)?;
        let end = match finished.outcome {
            Outcome::Exited(status) => ScriptEnd::Exited(status),
            Outcome::Signaled(signal) => ScriptEnd::Signaled(signal),
            Outcome::TimedOut => ScriptEnd::TimedOut(check.timeout),
            Outcome::NotStarted { what, .. } => ScriptEnd::NotStarted(what),
        };
        Some((probe, end.outcome(check.dynamic)))
    }
}

/// Waits until a command has ended; for ever where none can run.
pub(super) async fn ended(scripts: Option<&mut Scripts>) -> Ended {
    match scripts {
        Some(scripts) => scripts.ended().await,
        None => std::future::pending().await,
    }
}
