//! When what failed is tried again: each object of the kernel on its own, so that one destination that is
//! refused for ever delays no other; 100 ms first, twice as long each time, at most a minute.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::ipvs::{Command, DestinationKey, ServiceKey, SyncRole};
use crate::time::Time;

use super::FailureKind;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(60);

/// What can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Object {
    /// Reading the whole table.
    Table,
    Service(ServiceKey),
    Destination(ServiceKey, DestinationKey),
    Daemon(SyncRole),
    Timeouts,
}

impl Object {
    pub(super) fn of(command: &Command) -> Object {
        match command {
            Command::NewService(key, _)
            | Command::SetService(key, _)
            | Command::DelService(key) => Object::Service(*key),
            Command::NewDestination(key, d, _)
            | Command::SetDestination(key, d, _)
            | Command::DelDestination(key, d) => Object::Destination(*key, *d),
            Command::NewDaemon(role, _) | Command::DelDaemon(role) => Object::Daemon(*role),
            Command::SetTimeouts(_) => Object::Timeouts,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    failures: u32,
    next: Time,
    shown: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Backoff {
    entries: BTreeMap<Object, Entry>,
    due: BTreeSet<(Time, Object)>,
}

impl Backoff {
    /// Notes a failure. `Some`: nobody was told yet that this object fails; how long it now waits.
    ///
    /// A first `Stale` only means that our picture was old: it may be tried again as soon as the table
    /// was read, and is nobody's news.
    pub(super) fn failed(
        &mut self,
        object: Object,
        kind: FailureKind,
        now: Time,
    ) -> Option<Duration> {
        let old = self.entries.get(&object).copied();
        if let Some(old) = old {
            self.due.remove(&(old.next, object));
        }
        let failures = old.map_or(0, |e| e.failures).saturating_add(1);
        let forgiven = kind == FailureKind::Stale && failures == 1;
        let delay = if forgiven {
            Duration::ZERO
        } else {
            delay(failures)
        };
        let next = now + delay;
        let shown = old.is_some_and(|e| e.shown);
        let entry = Entry {
            failures,
            next,
            shown: shown || !forgiven,
        };
        self.entries.insert(object, entry);
        self.due.insert((next, object));
        (!shown && !forgiven).then_some(delay)
    }

    /// Notes a success. Whether somebody was told of failures before.
    pub(super) fn succeeded(&mut self, object: Object) -> bool {
        self.forget(object).is_some_and(|e| e.shown)
    }

    /// There is a new reason to try: what failed before does not count.
    pub(super) fn reset(&mut self, object: Object) {
        self.forget(object);
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.due.clear();
    }

    pub(super) fn is_failing(&self, object: Object) -> bool {
        self.entries.contains_key(&object)
    }

    /// Whether it must not be tried yet.
    pub(super) fn holds(&self, object: Object, now: Time) -> bool {
        self.entries.get(&object).is_some_and(|e| e.next > now)
    }

    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.due.first().map(|&(time, _)| time)
    }

    /// Those whose time has come; each is named once.
    pub(super) fn take_due(&mut self, now: Time) -> Vec<Object> {
        let mut objects = Vec::new();
        while let Some(&(time, object)) = self.due.first() {
            if time > now {
                break;
            }
            self.due.pop_first();
            objects.push(object);
        }
        objects
    }

    fn forget(&mut self, object: Object) -> Option<Entry> {
        let entry = self.entries.remove(&object)?;
        self.due.remove(&(entry.next, object));
        Some(entry)
    }
}

fn delay(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    FIRST.saturating_mul(1 << doublings).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_from_100_ms_to_a_minute_and_tells_once() {
        let mut backoff = Backoff::default();
        let mut waits = Vec::new();
        for n in 0..12 {
            let told = backoff.failed(Object::Table, FailureKind::Refused, Time::ZERO);
            assert_eq!(told.is_some(), n == 0);
            waits.push(backoff.next_deadline().unwrap().as_nanos() / 1_000_000);
        }
        assert_eq!(waits[..4], [100, 200, 400, 800]);
        assert_eq!(waits[9..], [51_200, 60_000, 60_000]);
        assert!(backoff.succeeded(Object::Table));
        assert!(!backoff.succeeded(Object::Table));
        assert_eq!(backoff.next_deadline(), None);
    }

    #[test]
    fn an_old_picture_is_forgiven_once() {
        let mut backoff = Backoff::default();
        let object = Object::Daemon(SyncRole::Master);
        assert_eq!(backoff.failed(object, FailureKind::Stale, Time::ZERO), None);
        assert!(!backoff.holds(object, Time::ZERO));
        let told = backoff.failed(object, FailureKind::Stale, Time::ZERO);
        assert_eq!(told, Some(Duration::from_millis(200)));
        assert!(backoff.holds(object, Time::from_millis(199)));
        assert_eq!(backoff.take_due(Time::from_millis(200)), [object]);
        assert_eq!(backoff.take_due(Time::from_millis(200)), []);
        assert!(backoff.is_failing(object));
    }
}
