//! What the thread is told: by others in latest-value cells, and by its own checks at their end.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::engine::balancer::Input;
use crate::engine::shared::{FileFacts, Roles, SessionFacts};
use crate::health::{CheckOutcome, ProbeId};
use crate::probe::Answer;

/// The cells of other threads.
pub(super) struct Told {
    roles: watch::Receiver<Roles>,
    sessions: watch::Receiver<SessionFacts>,
    files: watch::Receiver<FileFacts>,
    /// Until the other threads have ended, and with them the cells.
    open: bool,
}

impl Told {
    pub(super) fn new(
        roles: watch::Receiver<Roles>,
        sessions: watch::Receiver<SessionFacts>,
        files: watch::Receiver<FileFacts>,
    ) -> Told {
        Told {
            roles,
            sessions,
            files,
            open: true,
        }
    }

    /// What is there already is told first.
    pub(super) fn begin(&mut self) {
        self.roles.mark_changed();
        self.sessions.mark_changed();
    }

    /// Waits for the next of them to change; for ever when they are gone.
    pub(super) async fn changed(&mut self) -> Input {
        while self.open {
            tokio::select! {
                biased;
                changed = self.roles.changed() => match changed {
                    Ok(()) => return Input::Roles(self.roles.borrow_and_update().clone()),
                    Err(_) => self.open = false,
                },
                changed = self.sessions.changed() => match changed {
                    Ok(()) => return Input::Sessions(self.sessions.borrow_and_update().clone()),
                    Err(_) => self.open = false,
                },
                changed = self.files.changed() => match changed {
                    Ok(()) => return Input::Files(self.files.borrow_and_update().clone()),
                    Err(_) => self.open = false,
                },
            }
        }
        std::future::pending().await
    }

    /// What is known of files when each of these has been read, or when that takes too long. `None`
    /// where no file is asked for.
    pub(super) async fn known_files(
        &mut self,
        wanted: BTreeSet<String>,
        within: Duration,
    ) -> Option<Input> {
        if wanted.is_empty() {
            return None;
        }
        let all = |files: &FileFacts| wanted.iter().all(|name| files.contains_key(name));
        // What is not known then is told when it is; the cell being closed is the same.
        let _ = tokio::time::timeout(within, self.files.wait_for(all)).await;
        Some(Input::Files(self.files.borrow_and_update().clone()))
    }
}

/// Answers when it is dropped, so that a check that panics is a failed check and not a lost one.
pub(super) struct Report {
    pub(super) probe: ProbeId,
    pub(super) outcome: Option<CheckOutcome>,
    pub(super) answers: mpsc::UnboundedSender<Answer>,
}

impl Report {
    pub(super) fn done(mut self, outcome: CheckOutcome) {
        self.outcome = Some(outcome);
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        let broken = || CheckOutcome::Failed("the check broke off".to_owned());
        let outcome = self.outcome.take().unwrap_or_else(broken);
        // The thread ends: nobody wants to know.
        let _ = self.answers.send((self.probe, outcome));
    }
}
