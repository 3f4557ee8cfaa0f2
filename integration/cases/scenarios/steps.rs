//! A story, step by step: what is done, when the client's pages come from where they should, and how long it got
//! none.

use std::time::Duration;

use super::client::Client;
use crate::lab::check::{Outcome, wait_until};
use crate::lab::net::Host;

/// What one step came to.
pub(super) struct Step {
    /// What was done.
    pub(super) what: &'static str,
    /// Until every address was where the article has it; none if that did not come.
    pub(super) after: Option<Duration>,
    /// The longest time that a client got no page from an address.
    pub(super) gap: Duration,
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
        let began = self.client.now();
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
        let (after, gap) = self.client.since(began, pages);
        self.taken.push(Step {
            what,
            after: arrived.then_some(after),
            gap,
        });
        Ok(())
    }

    /// Ends the client.
    pub(super) fn end(self) -> Vec<Step> {
        self.taken
    }
}
