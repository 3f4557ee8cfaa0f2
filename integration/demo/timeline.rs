//! What the reader sees while it happens: one line for each event, with the seconds since the start.
//!
//! Colours only where the screen is a terminal: the host says so, the guest cannot know.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// Who a line is about; each has its colour.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// The stage being built.
    Stage,
    /// What the demonstration does to the containers.
    Event,
    /// Who holds which virtual address.
    Vip,
    /// What the client notices.
    Client,
}

impl Who {
    fn word(self) -> &'static str {
        match self {
            Self::Stage => "stage",
            Self::Event => "EVENT",
            Self::Vip => "vip",
            Self::Client => "client",
        }
    }

    fn colour(self) -> &'static str {
        match self {
            Self::Stage => "2",
            Self::Event => "1;33",
            Self::Vip => "36",
            Self::Client => "35",
        }
    }
}

/// Prints lines with their time; shared by all threads.
#[derive(Clone, Copy)]
pub(crate) struct Timeline {
    started: Instant,
    coloured: bool,
}

impl Timeline {
    /// A timeline that begins now.
    pub(crate) fn new(coloured: bool) -> Self {
        Self {
            started: Instant::now(),
            coloured,
        }
    }

    /// One line.
    pub(crate) fn say(&self, who: Who, text: impl Display) {
        let seconds = self.started.elapsed().as_secs_f64();
        let word = self.paint(who.colour(), &format!("{:6}", who.word()));
        let text = text.to_string();
        let text = if who == Who::Event {
            self.paint(who.colour(), &text)
        } else {
            text
        };
        println!("{seconds:6.1} s  {word}  {text}");
    }

    /// Lines without a time.
    pub(crate) fn show(&self, text: impl Display) {
        println!("{text}");
    }

    /// `text` as it is when good, else, on a terminal, in red.
    pub(crate) fn verdict(&self, good: bool, text: &str) -> String {
        self.paint(if good { "1;32" } else { "1;31" }, text)
    }

    /// Time since the beginning.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.coloured {
            format!("\x1b[{colour}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// `4.3 s`.
pub(crate) fn seconds(of: Duration) -> String {
    let digits = if of < Duration::from_secs(1) { 2 } else { 1 };
    format!("{:.digits$} s", of.as_secs_f64())
}
