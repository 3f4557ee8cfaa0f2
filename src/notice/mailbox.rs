//! Mails that wait: changes that come together go out together, and a server that does not take them is
//! tried again.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Time;

use super::mail::{Alert, Mail};

/// How long a change waits for others to share its mail.
pub const TOGETHER: Duration = Duration::from_secs(1);
/// Changes in one mail; of those beyond it only the number is told.
const CHANGES_MAX: usize = 200;
/// Mails that wait for the server.
const MAILS_MAX: usize = 64;
/// How soon the server is tried again; twice as long each time...
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// ...up to this.
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(300);
/// When a mail is given up.
const TRIED_FOR: Duration = Duration::from_secs(3600);

/// Every mail that was not sent yet.
#[derive(Debug, Default)]
pub struct Mailbox {
    /// One change, one mail.
    pub one_each: bool,
    gathered: Vec<Alert>,
    /// Changes that found no room.
    more: usize,
    send_at: Option<Time>,
    outgoing: VecDeque<Waiting>,
    /// The first of `outgoing` is with the server.
    under_way: bool,
    again_at: Option<Time>,
    pause: Duration,
}

#[derive(Debug)]
struct Waiting {
    mail: Mail,
    since: Time,
}

/// What became of a mail, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was taken.
    Sent,
    /// It is tried again so soon.
    Again(Duration),
    /// It is not.
    GivenUp,
}

impl Mailbox {
    /// Takes a change in; the number of mails that were left out for it.
    pub fn push(&mut self, alert: Alert, now: Time) -> usize {
        if self.one_each {
            return self.enqueue(single(alert), now);
        }
        if self.gathered.len() >= CHANGES_MAX {
            // The newest is what the subject says.
            self.gathered.pop();
            self.more += 1;
        }
        self.gathered.push(alert);
        self.send_at.get_or_insert(now + TOGETHER);
        0
    }

    /// When to look for a mail to send.
    pub fn next_deadline(&self) -> Option<Time> {
        let next = match self.outgoing.front() {
            Some(_) if !self.under_way => Some(self.again_at.unwrap_or(Time::ZERO)),
            _ => None,
        };
        [self.send_at, next].into_iter().flatten().min()
    }

    /// The mail to send now, if it is time, and how many were left out for want of room;
    /// [`Mailbox::ended`] says what became of it.
    pub fn take_due(&mut self, now: Time) -> (Option<Mail>, usize) {
        let mut lost = 0;
        if self.send_at.is_some_and(|at| at <= now) {
            lost = self.gather(now);
        }
        if self.under_way || self.again_at.is_some_and(|at| at > now) {
            return (None, lost);
        }
        let mail = self.outgoing.front().map(|waiting| waiting.mail.clone());
        self.under_way = mail.is_some();
        (mail, lost)
    }

    /// The server took the mail, or did not; `try_again`: it may later.
    pub fn ended(&mut self, taken: bool, try_again: bool, now: Time) -> Outcome {
        self.under_way = false;
        if taken {
            self.outgoing.pop_front();
            (self.again_at, self.pause) = (None, Duration::ZERO);
            return Outcome::Sent;
        }
        let old = |waiting: &Waiting| now.since(waiting.since) >= TRIED_FOR;
        if !try_again || self.outgoing.front().is_some_and(old) {
            self.outgoing.pop_front();
            return Outcome::GivenUp;
        }
        self.pause = (self.pause * 2).clamp(AGAIN_AFTER, AGAIN_AFTER_MAX);
        self.again_at = Some(now + self.pause);
        Outcome::Again(self.pause)
    }

    /// The end is near: what was gathered goes now, whatever was to be tried later is tried once more.
    pub fn hurry(&mut self, now: Time) {
        if !self.gathered.is_empty() {
            self.send_at = Some(now);
        }
        self.again_at = None;
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.gathered.is_empty() && self.outgoing.is_empty()
    }

    /// Mails that wait, the one that is gathered included.
    pub fn waiting(&self) -> usize {
        self.outgoing.len() + usize::from(!self.gathered.is_empty())
    }

    /// Makes one mail of what was gathered.
    fn gather(&mut self, now: Time) -> usize {
        self.send_at = None;
        let more = std::mem::take(&mut self.more);
        let mut alerts = std::mem::take(&mut self.gathered);
        match alerts.pop() {
            None => 0,
            Some(only) if alerts.is_empty() => self.enqueue(single(only), now),
            Some(newest) => {
                let subject = newest.subject.clone();
                alerts.push(newest);
                let mut lines = Vec::new();
                for alert in alerts {
                    lines.push(alert.subject);
                    lines.push(format!("  {}", alert.line));
                    lines.extend(alert.detail.map(|detail| format!("  {detail}")));
                }
                if more > 0 {
                    lines.push(format!("and {more} more changes"));
                }
                self.enqueue(Mail { subject, lines }, now)
            }
        }
    }

    fn enqueue(&mut self, mail: Mail, now: Time) -> usize {
        self.outgoing.push_back(Waiting { mail, since: now });
        if self.outgoing.len() <= MAILS_MAX {
            return 0;
        }
        // Not the one that is with the server.
        let oldest = usize::from(self.under_way);
        self.outgoing.remove(oldest);
        1
    }
}

fn single(alert: Alert) -> Mail {
    Mail {
        subject: alert.subject,
        lines: std::iter::once(alert.line).chain(alert.detail).collect(),
    }
}

#[cfg(test)]
mod tests;
