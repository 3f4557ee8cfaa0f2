//! Mails: which changes are worth one, and their words.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::config::model::Globals;

use super::{Change, Notice, State, Subject};

/// One change, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Behind `[ROUTER_ID] `.
    pub subject: String,
    /// keepalived's line.
    pub line: String,
    /// More that vipd knows.
    pub detail: Option<String>,
}

/// Which changes are told by mail, and what was told last.
#[derive(Debug, Default)]
pub struct Alerts {
    told: BTreeMap<Subject, State>,
}

impl Alerts {
    /// The words of a change; `None` for one that nobody wants a mail about.
    pub fn of(&mut self, notice: &Notice, globals: &Globals) -> Option<Alert> {
        match notice {
            Notice::Instance {
                instance, change, ..
            } => {
                let wanted = of_vrrp(instance.more.settings.smtp_alert, globals);
                let state = self.news(notice, *change, wanted, globals)?;
                let line = match state {
                    State::Master => "=> VRRP Instance is now owning VRRP VIPs <=",
                    State::Backup | State::Fault => {
                        "=> VRRP Instance is no longer owning VRRP VIPs <="
                    }
                    State::Stop => "=> VRRP Instance stopping <=",
                    State::Deleted => "=> VRRP Deleted at reload <=",
                };
                let subject = format!("VRRP Instance {} - {}", instance.name, phrase(state));
                Some(alert(subject, line))
            }
            Notice::Group { group, change } => {
                let wanted = of_vrrp(group.settings.smtp_alert, globals);
                let state = self.news(notice, *change, wanted, globals)?;
                let line = match state {
                    State::Stop | State::Deleted => {
                        "=> All VRRP group instances are now stopping <=".to_owned()
                    }
                    state => format!(
                        "=> All VRRP group instances are now in {} state <=",
                        state.as_str()
                    ),
                };
                let subject = format!("VRRP Group {} - {}", group.name, phrase(state));
                Some(alert(subject, line))
            }
            Notice::Server(server) => {
                let line = server.mail?;
                of_checker(server.smtp_alert, true, globals)
                    .then(|| alert(of_server(&server.server, &server.service, server.up), line))
            }
            Notice::Check(check) => {
                if !of_checker(check.smtp_alert, true, globals)
                    || (globals.mail.no_checker_emails && !check.changed)
                {
                    return None;
                }
                let mut alert = alert(
                    of_server(&check.server, &check.service, check.up),
                    check.mail.clone(),
                );
                alert.detail = check.reason.clone();
                Some(alert)
            }
            Notice::Service(service) => of_checker(service.smtp_alert, false, globals).then(|| {
                let state = if service.up { "UP" } else { "DOWN" };
                let subject = format!("Virtualserver {} - {state}", service.service);
                alert(subject, service.mail.clone())
            }),
        }
    }

    /// The state, if it is another than the one that a mail was about last.
    fn news(
        &mut self,
        notice: &Notice,
        change: Change,
        wanted: bool,
        globals: &Globals,
    ) -> Option<State> {
        let Change::Entered(state) = change else {
            return None;
        };
        if !wanted || (globals.mail.no_email_faults && state == State::Fault) {
            return None;
        }
        let subject = notice.subject();
        let before = match state {
            State::Stop | State::Deleted => self.told.remove(&subject),
            _ => self.told.insert(subject, state),
        };
        (before != Some(state)).then_some(state)
    }
}

fn alert(subject: String, line: impl Into<String>) -> Alert {
    Alert {
        subject,
        line: line.into(),
        detail: None,
    }
}

fn of_server(server: &str, service: &str, up: bool) -> String {
    let state = if up { "UP" } else { "DOWN" };
    format!("Realserver {server} of virtual server {service} - {state}")
}

fn phrase(state: State) -> String {
    match state {
        State::Stop => "Stopping".to_owned(),
        State::Deleted => "Deleted".to_owned(),
        state => format!("Entering {} state", state.as_str()),
    }
}

/// Its own `smtp_alert`, else the one for all instances, else the one for all; else none.
fn of_vrrp(own: Option<bool>, globals: &Globals) -> bool {
    let mail = &globals.mail;
    let asked = own.or(mail.smtp_alert_vrrp).or(mail.smtp_alert);
    asked.unwrap_or(false)
}

/// The same for servers, with another default: keepalived tells of real servers unasked.
fn of_checker(own: Option<bool>, default: bool, globals: &Globals) -> bool {
    let mail = &globals.mail;
    let asked = own.or(mail.smtp_alert_checker).or(mail.smtp_alert);
    asked.unwrap_or(default)
}

/// A mail before it has a date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Without `[ROUTER_ID] `.
    pub subject: String,
    /// Lines of the text.
    pub lines: Vec<String>,
}

/// Who writes to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correspondence {
    /// `router_id`, else the host's name.
    pub router_id: String,
    /// `notification_email_from`.
    pub from: String,
    /// `notification_email`.
    pub to: Vec<String>,
}

impl Mail {
    /// Header and text (RFC 5322). `date`: as its section 3.3 writes it; `id`: unique.
    pub fn message(&self, who: &Correspondence, date: &str, id: &str) -> String {
        let subject = format!("[{}] {}", who.router_id, self.subject);
        let mut text = format!(
            "Date: {date}\nFrom: {}\nSubject: {}\nMessage-ID: <{id}>\nX-Mailer: vipd\nTo: {}\n\
             MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\
             Content-Transfer-Encoding: 8bit\n\n",
            header(&who.from),
            header(&subject),
            who.to
                .iter()
                .map(|to| header(to))
                .collect::<Vec<_>>()
                .join(",\n ")
        );
        for line in &self.lines {
            let _ = writeln!(text, "{}", line.replace(['\r', '\n'], " "));
        }
        text
    }
}

/// Words of a header: of other letters than ASCII an encoded word (RFC 2047), and nothing that would begin
/// a header of its own.
fn header(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    if text.is_ascii() {
        return text;
    }
    // An encoded word has at most 75 characters, and ends between two letters.
    let mut words = Vec::new();
    let mut piece = String::new();
    for c in text.chars() {
        if piece.len() + c.len_utf8() > 42 {
            words.push(std::mem::take(&mut piece));
        }
        piece.push(c);
    }
    words.push(piece);
    let encoded: Vec<String> = words
        .iter()
        .map(|word| format!("=?UTF-8?B?{}?=", base64(word.as_bytes())))
        .collect();
    encoded.join("\n ")
}

/// RFC 4648 section 4.
pub(super) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let digit = (bits >> (18 - 6 * at)) & 63;
            let digit = usize::try_from(digit).ok().and_then(|d| DIGITS.get(d));
            match digit {
                Some(digit) if at <= chunk.len() => out.push(char::from(*digit)),
                _ => out.push('='),
            }
        }
    }
    out
}

/// A message as it goes over the wire: lines end with CR LF, a dot at the start of one is doubled, and a
/// dot alone ends it (RFC 5321 section 4.5.2).
pub(super) fn encode_body(message: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 64);
    for line in message.lines() {
        if line.starts_with('.') {
            out.push(b'.');
        }
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
    out
}

/// A date of RFC 5322 section 3.3, in UTC. `unix`: seconds since 1970.
pub fn date(unix: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (days, seconds) = (unix / 86_400, unix % 86_400);
    let weekday = usize::try_from(days % 7).unwrap_or(0);
    // Years begin in March here, so that the day that some have more is their last.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = (month + 2) % 12;
    let year = year_of_era + era * 400 + u64::from(month < 2);
    let name = |names: &[&'static str], at: usize| names.get(at).copied().unwrap_or_default();
    format!(
        "{}, {day:02} {} {year} {:02}:{:02}:{:02} +0000",
        name(&DAYS, weekday),
        name(&MONTHS, usize::try_from(month).unwrap_or(0)),
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

#[cfg(test)]
mod tests;
