//! A story, step by step: what is done, when the client's pages come from where they should, who has each virtual
//! address then, and how long the client got none.

use std::time::Duration;

use super::client::Client;
use crate::lab::check::{Outcome, wait_until};
use crate::lab::net::Host;

/// What came of a step.
#[derive(Clone, Copy)]
pub(super) enum Came {
    /// Every address was where the article has it, so long after the step began.
    After(Duration),
    /// That did not come.
    Never,
    /// Nothing was to move, and nothing did.
    Stays,
}

/// What one step came to.
pub(super) struct Step {
    /// What was done.
    pub(super) what: &'static str,
    /// When it began, since the pair began.
    pub(super) at: Duration,
    pub(super) came: Came,
    /// The longest time that a client got no page from an address.
    pub(super) gap: Duration,
    /// Who has each address at the end of the step, in the order of the addresses.
    pub(super) holders: Vec<String>,
}

/// The steps that one pair has taken.
pub(super) struct Steps {
    pair: &'static str,
    client: Client,
    limit: Duration,
    /// For keepalived alone, what it does not do is told and not failed for.
    tolerant: bool,
    taken: Vec<Step>,
}

impl Steps {
    /// The client on `host` begins to ask for pages from `vips`; a step may take up to `limit`.
    pub(super) fn begin(
        host: &Host,
        pair: &'static str,
        vips: &[&'static str],
        limit: Duration,
        tolerant: bool,
    ) -> Outcome<Self> {
        Ok(Self {
            pair,
            client: Client::start(host, vips)?,
            limit,
            tolerant,
            taken: Vec::new(),
        })
    }

    /// Does `action`; then the page of each address must be this one.
    pub(super) fn step(
        &mut self,
        what: &'static str,
        action: impl FnOnce() -> Outcome,
        pages: &[&str],
    ) -> Outcome {
        let at = self.client.now();
        action()?;
        let say = format!("{}: {what}: pages from {}", self.pair, pages.join(", "));
        let done = self.client.now();
        let served = || Ok(self.client.served_by(pages, done));
        let arrived = match wait_until(say, self.limit, served) {
            Err(e) if !self.tolerant => return Err(e),
            arrived => arrived.is_ok(),
        };
        // What comes back once more has not arrived.
        std::thread::sleep(Duration::from_millis(500));
        let came = match arrived {
            true => Came::After(self.client.settled(at, pages)),
            false => Came::Never,
        };
        self.take(what, at, came);
        Ok(())
    }

    /// Does `action`, which moves nothing, as whoever calls makes sure.
    pub(super) fn stays(
        &mut self,
        what: &'static str,
        action: impl FnOnce() -> Outcome,
    ) -> Outcome {
        let at = self.client.now();
        action()?;
        self.take(what, at, Came::Stays);
        Ok(())
    }

    /// Who has the addresses now, after the last step.
    pub(super) fn held_by(&mut self, holders: Vec<String>) {
        if let Some(step) = self.taken.last_mut() {
            step.holders = holders;
        }
    }

    fn take(&mut self, what: &'static str, at: Duration, came: Came) {
        let gap = self.client.gap(at);
        self.taken.push(Step {
            what,
            at,
            came,
            gap,
            holders: Vec::new(),
        });
    }

    /// Ends the client.
    pub(super) fn end(self) -> Vec<Step> {
        self.taken
    }
}
