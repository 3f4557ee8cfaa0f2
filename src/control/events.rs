//! What happened, one after the other: kept in a ring of bounded length, with a number for each, and told
//! to whoever follows. The threads that say so only drop it into a bounded queue.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use tokio::sync::{mpsc, watch};

use crate::engine::balancer::{BalancerEvent, Severity};
use crate::engine::failover::Event as FailoverEvent;
use crate::kernel::clock;
use crate::time::Time;

use super::model::Event;

/// Events that wait to be taken in.
const QUEUE_MAX: usize = 4096;
/// Events that are kept; the log of the system has those of before.
const KEPT_MAX: usize = 1024;
/// Bytes of one text; the rest is cut off.
const TEXT_MAX: usize = 2048;

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Info,
    /// Worth a look.
    Warning,
    /// Broken.
    Error,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Level::Info => "info",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }
}

#[derive(Debug)]
struct Told {
    at: Time,
    level: Level,
    kind: &'static str,
    name: Option<String>,
    text: String,
}

/// Where threads drop what happened. Never blocks; counts what does not fit.
#[derive(Clone, Debug)]
pub struct Events {
    queue: mpsc::Sender<Told>,
    lost: Arc<AtomicU64>,
}

impl Events {
    /// For threads that nobody listens to.
    pub fn to_nobody() -> Events {
        Events {
            queue: mpsc::channel(1).0,
            lost: Arc::default(),
        }
    }

    /// Something happened.
    pub fn tell(&self, level: Level, kind: &'static str, name: Option<String>, text: String) {
        let told = Told {
            at: clock::now(),
            level,
            kind,
            name,
            text,
        };
        if let Err(mpsc::error::TrySendError::Full(_)) = self.queue.try_send(told) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The failover engine said something.
    pub fn failover(&self, event: &FailoverEvent) {
        let level = match event.is_warning() {
            true => Level::Warning,
            false => Level::Info,
        };
        let (kind, name) = about(event);
        self.tell(level, kind, name, event.to_string());
    }

    /// The balancer said something.
    pub fn balancer(&self, event: &BalancerEvent) {
        let level = match event.severity() {
            Severity::Info => Level::Info,
            Severity::Warning => Level::Warning,
            Severity::Error => Level::Error,
        };
        let (kind, name) = match event {
            BalancerEvent::CheckPassed { server, .. }
            | BalancerEvent::TryFailed { server, .. }
            | BalancerEvent::CheckFailed { server, .. }
            | BalancerEvent::OddAnswer { server, .. }
            | BalancerEvent::NotAsked { server, .. } => ("check", Some(server.service.to_string())),
            BalancerEvent::Pool { server, .. }
            | BalancerEvent::HeldBack { server, .. }
            | BalancerEvent::StillOut { server, .. } => ("pool", Some(server.service.to_string())),
            BalancerEvent::Quorum { service, .. }
            | BalancerEvent::Sorry { service, .. }
            | BalancerEvent::Writer { service, .. } => ("pool", Some(service.to_string())),
            BalancerEvent::Suspended { address, .. } => ("check", Some(address.to_string())),
            BalancerEvent::Override { scope, .. } => ("operator", Some(scope.to_string())),
            BalancerEvent::Kernel(_) => ("ipvs", None),
        };
        self.tell(level, kind, name, event.to_string());
    }
}

/// What an event is about.
fn about(event: &FailoverEvent) -> (&'static str, Option<String>) {
    match event {
        FailoverEvent::State { instance, .. }
        | FailoverEvent::Note { instance, .. }
        | FailoverEvent::Rejected { instance, .. }
        | FailoverEvent::OtherAddresses { instance, .. }
        | FailoverEvent::AddressTaken { instance, .. }
        | FailoverEvent::InstanceGone { instance } => ("vrrp", Some(instance.clone())),
        FailoverEvent::RoutingTaken { instance, .. } => ("vrrp", instance.clone()),
        FailoverEvent::Group { group, .. } => ("vrrp", Some(group.clone())),
        FailoverEvent::Script { name, .. } => ("script", Some(name.clone())),
        FailoverEvent::Fact { name, .. } | FailoverEvent::FactMissing { name } => {
            ("tracker", Some(name.name.clone()))
        }
        FailoverEvent::Link { name, .. } | FailoverEvent::LinkGone { name } => {
            ("link", Some(name.to_string()))
        }
        FailoverEvent::Session(event) => ("bfd", Some(event.session.clone())),
        _ => ("vrrp", None),
    }
}

/// What is kept of them. Clones are the same.
#[derive(Clone, Debug)]
pub struct Log {
    kept: Arc<Mutex<Kept>>,
    lost: Arc<AtomicU64>,
    last: watch::Receiver<u64>,
}

#[derive(Debug, Default)]
struct Kept {
    events: VecDeque<Past>,
    last: u64,
}

/// An event that is kept; its words are spelled out when somebody asks.
#[derive(Debug)]
struct Past {
    number: u64,
    time: SystemTime,
    level: Level,
    kind: &'static str,
    name: Option<Box<str>>,
    text: Box<str>,
}

impl Past {
    fn spelled(&self) -> Event {
        Event {
            number: self.number,
            time: super::desk::stamp_of(self.time),
            level: self.level.word().to_owned(),
            kind: self.kind.to_owned(),
            name: self.name.as_deref().map(str::to_owned),
            text: self.text.to_string(),
        }
    }
}

/// A log, and the end where things are told. Somebody has to [`take_in`].
pub fn new() -> (Events, Log, Intake) {
    let (queue, inbox) = mpsc::channel(QUEUE_MAX);
    let (told, last) = watch::channel(0);
    let lost = Arc::<AtomicU64>::default();
    let log = Log {
        kept: Arc::default(),
        lost: Arc::clone(&lost),
        last,
    };
    let intake = Intake {
        inbox,
        told,
        log: log.clone(),
    };
    (Events { queue, lost }, log, intake)
}

/// The reader's end of the queue.
#[derive(Debug)]
pub struct Intake {
    inbox: mpsc::Receiver<Told>,
    told: watch::Sender<u64>,
    log: Log,
}

impl Intake {
    /// Takes in what is told until nobody can tell anything any more.
    pub async fn run(mut self) {
        while let Some(told) = self.inbox.recv().await {
            let number = self.log.push(told);
            self.told.send_replace(number);
        }
    }
}

impl Log {
    fn push(&self, told: Told) -> u64 {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.last += 1;
        let number = kept.last;
        if kept.events.len() >= KEPT_MAX {
            kept.events.pop_front();
        }
        let mut text = told.text;
        if text.len() > TEXT_MAX {
            let end = (0..=TEXT_MAX).rev().find(|at| text.is_char_boundary(*at));
            text.truncate(end.unwrap_or(0));
            text.push('…');
        }
        kept.events.push_back(Past {
            number,
            time: super::desk::wall(told.at),
            level: told.level,
            kind: told.kind,
            name: told.name.map(String::into_boxed_str),
            text: text.into_boxed_str(),
        });
        number
    }

    /// Number of the last one.
    pub fn last(&self) -> u64 {
        *self.last.borrow()
    }

    /// Events that never were taken in.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Those behind `after`, at most `most`, and how many of them are not kept any more.
    pub fn after(&self, after: u64, most: usize) -> (u64, Vec<Event>) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let first = kept
            .events
            .front()
            .map_or(kept.last + 1, |event| event.number);
        let missing = first.saturating_sub(after.saturating_add(1));
        let skip =
            usize::try_from(after.saturating_add(1).saturating_sub(first)).unwrap_or(usize::MAX);
        let events = kept.events.iter().skip(skip).take(most);
        (missing, events.map(Past::spelled).collect())
    }

    /// Returns when there is one behind `after`; never, when nobody can tell anything any more.
    pub async fn beyond(&self, after: u64) {
        let mut last = self.last.clone();
        if last.wait_for(|last| *last > after).await.is_err() {
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(events: &Events, count: u64) {
        for number in 0..count {
            events.tell(Level::Info, "vrrp", None, format!("event {number}"));
        }
    }

    #[tokio::test]
    async fn the_ring_keeps_the_last_and_says_how_many_are_missing() {
        let (events, log, intake) = new();
        let taking = tokio::spawn(intake.run());
        for _ in 0..5 {
            told(&events, 1000);
            log.beyond(log.last()).await;
            tokio::task::yield_now().await;
        }
        log.beyond(4999).await;
        let (missing, kept) = log.after(0, usize::MAX);
        assert_eq!((missing, kept.len()), (5000 - KEPT_MAX as u64, KEPT_MAX));
        assert_eq!(kept.last().map(|event| event.number), Some(5000));
        let (missing, kept) = log.after(4998, 1);
        assert_eq!((missing, kept.len(), kept[0].number), (0, 1, 4999));
        assert_eq!(log.after(5000, 10), (0, Vec::new()));
        assert_eq!(log.after(u64::MAX, 10), (0, Vec::new()));
        drop(events);
        taking.await.unwrap();
    }

    #[tokio::test]
    async fn what_does_not_fit_is_counted_and_nobody_waits() {
        let (events, log, intake) = new();
        told(&events, 5000);
        assert_eq!(log.lost(), 5000 - QUEUE_MAX as u64);
        tokio::spawn(intake.run());
        log.beyond(QUEUE_MAX as u64 - 1).await;
        assert_eq!(log.last(), QUEUE_MAX as u64);
    }

    #[tokio::test]
    async fn a_text_without_end_is_cut_where_a_letter_ends() {
        let (events, log, intake) = new();
        tokio::spawn(intake.run());
        events.tell(Level::Error, "ipvs", None, "ä".repeat(5000));
        log.beyond(0).await;
        let (_, kept) = log.after(0, 1);
        assert_eq!(kept[0].text.chars().count(), 1025);
    }
}
