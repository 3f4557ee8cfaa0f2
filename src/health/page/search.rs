//! Searching for a pattern in a page that is never held as a whole.

use std::sync::Arc;

use crate::config::model::HttpUrl;
use crate::config::pattern::Pattern;

/// As much of a page is held at most. A match of up to half of this is found wherever it begins;
/// keepalived holds 4095 bytes.
pub(super) const WINDOW: usize = 32 * 1024;

pub(super) struct Search {
    pattern: Arc<Pattern>,
    /// Where a match may begin, both included, in bytes of the page.
    from: u64,
    to: u64,
    held: Vec<u8>,
    /// Where in the page `held` begins.
    base: u64,
    /// Where in the page a match was not looked for yet.
    next: u64,
    /// `firstline`, and the first line is not over.
    on_first_line: bool,
    found: Option<bool>,
}

impl Search {
    pub(super) fn new(pattern: Arc<Pattern>, url: &HttpUrl) -> Search {
        let from = u64::from(url.regex_min_offset.unwrap_or(0));
        Search {
            on_first_line: pattern.first_line(),
            pattern,
            from,
            to: url.regex_max_offset.map_or(u64::MAX, u64::from),
            held: Vec::new(),
            base: 0,
            next: from,
            found: None,
        }
    }

    pub(super) fn take(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while self.found.is_none() && !rest.is_empty() {
            let room = WINDOW - self.held.len().min(WINDOW);
            let (now, later) = rest.split_at(room.min(rest.len()));
            if self.on_first_line {
                self.end_first_line(now);
            }
            self.held.extend(now);
            rest = later;
            if self.held.len() >= WINDOW {
                self.look(false);
                self.make_room();
            }
        }
    }

    /// Whether the page has a match where it may be.
    pub(super) fn finish(mut self) -> bool {
        if self.found.is_none() {
            self.look(true);
        }
        self.found == Some(true)
    }

    /// `firstline`: no match may begin behind the first end of a line.
    fn end_first_line(&mut self, bytes: &[u8]) {
        if let Some(at) = bytes.iter().position(|b| *b == b'\n') {
            self.on_first_line = false;
            self.to = self.to.min(self.place(self.held.len() + at));
        }
    }

    fn place(&self, index: usize) -> u64 {
        self.base + index as u64
    }

    /// `last`: nothing comes behind what is held.
    fn look(&mut self, last: bool) {
        let start = usize::try_from(self.next - self.base.min(self.next)).unwrap_or(usize::MAX);
        let Some((begins, ends)) = self.pattern.find(&self.held, start) else {
            return;
        };
        // Whether this is the end of the page, or of a word in it, is not known yet.
        if !last && ends == self.held.len() && self.pattern.looks_behind_end() {
            self.next = self.place(begins);
            return;
        }
        self.found = Some(self.place(begins) <= self.to);
    }

    /// Lets go of the first half, but for one byte: what stands before a match counts for it. Matches
    /// that began there and were not over are lost, others are looked for again.
    fn make_room(&mut self) {
        if self.found.is_some() {
            self.held = Vec::new();
            return;
        }
        let kept = WINDOW / 2 + 1;
        let gone = self.held.len().saturating_sub(kept);
        self.held.drain(..gone);
        self.base += gone as u64;
        self.next = self.from.max(self.base + 1);
        if self.next > self.to {
            self.found = Some(false);
            self.held = Vec::new();
        }
    }
}
