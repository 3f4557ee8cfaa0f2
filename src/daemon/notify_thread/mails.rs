//! Mails: gathered here, sent by a thread that may wait for names and servers.

use std::sync::mpsc as std_mpsc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::config::Compat;
use crate::config::model::{MailSettings, SmtpServer};
use crate::kernel::poll::Waker;
use crate::notice::{Alerts, Correspondence, Envelope, Mail, Mailbox, Notice, Outcome, date};
use crate::notify::mailer::{self, MailError};
use crate::time::Time;

use super::Settings;

/// A message and where it goes.
struct Job {
    server: SmtpServer,
    settings: MailSettings,
    wait: Duration,
    envelope: Envelope,
}

/// Recipients who were refused, or why nobody got it.
type Sent = Result<Vec<String>, MailError>;

/// The thread that talks to the server; started with the first mail.
struct Mailer {
    jobs: mpsc::UnboundedSender<Job>,
    sent: std_mpsc::Receiver<Sent>,
}

/// Everything about mails.
pub(super) struct Mails {
    alerts: Alerts,
    mailbox: Mailbox,
    mailer: Option<Mailer>,
    waker: Waker,
    number: u64,
    ending: bool,
    failed_at_end: bool,
}

impl Mails {
    pub(super) fn new(waker: Waker) -> Mails {
        Mails {
            alerts: Alerts::default(),
            mailbox: Mailbox::default(),
            mailer: None,
            waker,
            number: 0,
            ending: false,
            failed_at_end: false,
        }
    }

    /// Takes a change in, if somebody wants a mail about it.
    pub(super) fn tell(&mut self, notice: &Notice, settings: &Settings, now: Time) {
        let globals = &settings.globals;
        if globals.notification_email.is_empty() || globals.smtp_server.is_none() {
            return;
        }
        self.mailbox.one_each = settings.compat == Compat::Keepalived;
        let Some(mut alert) = self.alerts.of(notice, globals) else {
            return;
        };
        if settings.compat == Compat::Keepalived {
            alert.detail = None;
        }
        let lost = self.mailbox.push(alert, now);
        tell_lost(lost);
    }

    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.mailbox.next_deadline()
    }

    /// Takes in what became of the last mail, and sends the next.
    pub(super) fn advance(&mut self, settings: &Settings, now: Time) {
        while let Some(sent) = self.mailer.as_ref().and_then(|m| m.sent.try_recv().ok()) {
            self.ended(sent, settings, now);
        }
        let (mail, lost) = self.mailbox.take_due(now);
        tell_lost(lost);
        let Some(mail) = mail else { return };
        let Some(job) = self.job(&mail, settings) else {
            // A reload took the server away.
            self.mailbox.ended(false, false, now);
            return;
        };
        let mailer = match self.mailer.take() {
            Some(mailer) => Ok(mailer),
            None => start(self.waker.clone()),
        };
        let handed_over = mailer.map(|mailer| self.mailer.insert(mailer).jobs.send(job).is_ok());
        match handed_over {
            Ok(true) => {}
            Ok(false) => {
                // It ended by a fault of ours; the next try starts another.
                self.mailer = None;
                self.mailbox.ended(false, true, now);
            }
            Err(error) => {
                warn!("send mail: start thread: {error}");
                self.mailbox.ended(false, true, now);
            }
        }
    }

    /// The end is near.
    pub(super) fn hurry(&mut self, now: Time) {
        self.mailbox.hurry(now);
        self.ending = true;
    }

    /// At the end: whether nothing is worth waiting for. A server that did not take a mail is not waited
    /// for again.
    pub(super) fn is_over(&self) -> bool {
        self.mailbox.is_empty() || self.failed_at_end
    }

    /// At the end: what is lost.
    pub(super) fn waiting(&self) -> usize {
        self.mailbox.waiting()
    }

    fn ended(&mut self, sent: Sent, settings: &Settings, now: Time) {
        let server = settings.globals.smtp_server.as_ref();
        let server = server.map_or_else(String::new, |s| format!("{}:{}", s.host, s.port));
        match sent {
            Ok(refused) => {
                self.mailbox.ended(true, false, now);
                info!("mail was sent to {server}");
                for refused in refused {
                    warn!("mail server {server} refused {refused}");
                }
            }
            Err(error) => {
                self.failed_at_end |= self.ending;
                match self.mailbox.ended(false, !error.is_permanent(), now) {
                    Outcome::Again(pause) => warn!(
                        "send mail by {server}: {error}; next try in {} s",
                        pause.as_secs()
                    ),
                    Outcome::Sent | Outcome::GivenUp => {
                        warn!("send mail by {server}: {error}; it is not tried again");
                    }
                };
            }
        }
    }

    fn job(&mut self, mail: &Mail, settings: &Settings) -> Option<Job> {
        let globals = &settings.globals;
        let server = globals.smtp_server.clone()?;
        let host = settings.host_name.as_str();
        let router_id = globals.router_id.as_deref().unwrap_or(host);
        let from = globals.notification_email_from.clone();
        let who = Correspondence {
            router_id: router_id.to_owned(),
            from: from.unwrap_or_else(|| format!("root@{host}")),
            to: globals.notification_email.clone(),
        };
        let unix = unix_now();
        self.number += 1;
        let id = format!("{}.{unix}.{}@{host}", std::process::id(), self.number);
        let helo = globals.mail.smtp_helo_name.as_deref().unwrap_or(host);
        let message = mail.message(&who, &date(unix), &id);
        let envelope = Envelope {
            helo: helo.to_owned(),
            from: who.from,
            to: who.to,
            message,
        };
        Some(Job {
            server,
            settings: globals.mail.clone(),
            wait: globals.smtp_connect_timeout,
            envelope,
        })
    }
}

fn tell_lost(lost: usize) {
    if lost > 0 {
        warn!("{lost} mails were left out: too many wait for the mail server");
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a mail carries the date that people have"
)]
fn unix_now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs())
}

fn start(waker: Waker) -> std::io::Result<Mailer> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (jobs, mut inbox) = mpsc::unbounded_channel::<Job>();
    let (outbox, sent) = std_mpsc::channel();
    // Waiting for a name may not end: nobody waits for this thread, it goes with the process.
    std::thread::Builder::new()
        .name("mail".into())
        .spawn(move || {
            runtime.block_on(async {
                while let Some(job) = inbox.recv().await {
                    let sent = mailer::send(&job.server, &job.settings, job.wait, job.envelope);
                    let sent = sent.await;
                    if outbox.send(sent).is_err() {
                        return;
                    }
                    waker.wake();
                }
            });
            runtime.shutdown_background();
        })?;
    Ok(Mailer { jobs, sent })
}
