//! Where log lines go: the console, the journal, syslog, a file. Never in the way of the protocol.
//!
//! A line is handed to a bounded queue; one thread of its own writes. A slow console or a full disk
//! fills the queue, then lines are counted instead of kept, and the count is logged. Nothing waits.

mod fold;
mod journal;
mod subject;

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, SystemTime};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use fold::Fold;
use journal::Journal;

pub use subject::{balancer, failover};

/// Lines that wait to be written; more are counted and dropped.
const QUEUE_LINES: u64 = 4096;
/// Where syslog daemons and journald listen.
const SYSLOG_SOCKET: &str = "/dev/log";

/// What to log, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// `-l`: to standard error.
    pub console: bool,
    /// Not `-G`: to syslog, if there is one.
    pub syslog: bool,
    /// `-S`: syslog facility, 0 to 23; 3 (daemon) as keepalived.
    pub facility: u8,
    /// `-g`: to this file.
    pub file: Option<PathBuf>,
    /// `-D`: details too.
    pub detail: bool,
    /// What lines in syslog begin with.
    pub ident: String,
    /// Lines on standard error and in the file are JSON.
    pub json: bool,
}

struct Line {
    at: SystemTime,
    level: Level,
    text: String,
    /// What it is about.
    fields: Vec<(&'static str, String)>,
}

/// How long an end waits for lines that are still queued, and how often it looks.
const FLUSH_MAX: Duration = Duration::from_secs(1);
const FLUSH_STEP: Duration = Duration::from_millis(2);

/// Ends the log: what was queued is written first, unless whoever should read it does not.
#[derive(Debug)]
pub struct Guard {
    queued: Arc<AtomicU64>,
    console: bool,
}

impl Guard {
    /// Waits until everything is written, a second at most: nobody may keep the daemon from ending, or
    /// from starting again, by not reading its log.
    pub fn flush(&self) {
        let mut waited = Duration::ZERO;
        while self.queued.load(Ordering::Acquire) > 0 && waited < FLUSH_MAX {
            #[expect(
                clippy::disallowed_methods,
                reason = "nobody waits for this thread, and it for nothing that can be polled"
            )]
            std::thread::sleep(FLUSH_STEP);
            waited += FLUSH_STEP;
        }
    }

    /// Whether lines go to standard error, or to where that goes.
    pub fn on_console(&self) -> bool {
        self.console
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Panics go to the log like everything else. The standard hook would write to standard error itself,
/// and a thread that has to wait there never ends, so that nobody notices that it panicked.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("unnamed");
        tracing::error!("thread {name}: {panic}");
    }));
}

struct QueueLayer {
    queue: Sender<Line>,
    queued: Arc<AtomicU64>,
    dropped: Arc<AtomicU64>,
    most: Level,
}

/// Starts the log for the whole process.
///
/// # Errors
/// When the file cannot be opened, or the thread not started.
pub fn start(options: &Options) -> std::io::Result<Guard> {
    let file = match &options.file {
        None => None,
        Some(path) => Some(File::options().append(true).create(true).open(path)?),
    };
    // Standard error and syslog would both end up there, without the fields.
    let journal = match options.syslog || options.console {
        true => Journal::behind_standard_error(options.facility, &options.ident),
        false => None,
    };
    let syslog = if options.syslog && journal.is_none() {
        Syslog::connect(options.facility, options.ident.clone())
    } else {
        None
    };
    // Somebody has to say why it does not start: without any other place, standard error it is.
    let nowhere = syslog.is_none() && file.is_none();
    let console = journal.is_none() && (options.console || nowhere);
    let told = console || journal.is_some();
    // Bounded by `queued`: a queue with a bound of its own takes the room of all of them at once.
    let (queue, lines) = channel();
    let dropped = Arc::new(AtomicU64::new(0));
    let queued = Arc::new(AtomicU64::new(0));
    let outputs = Outputs {
        console,
        journal,
        syslog,
        file,
        json: options.json,
    };
    std::thread::Builder::new().name("log".into()).spawn({
        let (dropped, queued) = (Arc::clone(&dropped), Arc::clone(&queued));
        move || write_lines(&lines, outputs, &dropped, &queued)
    })?;
    let most = if options.detail {
        Level::DEBUG
    } else {
        Level::INFO
    };
    let layer = QueueLayer {
        queue,
        queued: Arc::clone(&queued),
        dropped,
        most,
    };
    // A second start in one process (only tests do that) keeps the first.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer));
    log_panics();
    let console = told;
    Ok(Guard { queued, console })
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for QueueLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = *event.metadata().level();
        if level > self.most {
            return;
        }
        let mut text = Text::default();
        event.record(&mut text);
        #[expect(clippy::disallowed_methods, reason = "the wall clock of a log line")]
        let line = Line {
            at: SystemTime::now(),
            level,
            text: text.message,
            fields: text.fields,
        };
        let before = self.queued.fetch_add(1, Ordering::AcqRel);
        if before >= QUEUE_LINES || self.queue.send(line).is_err() {
            self.queued.fetch_sub(1, Ordering::AcqRel);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What a line says, and what it is about.
#[derive(Default)]
struct Text {
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.push((field.name(), value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
        } else {
            self.fields.push((field.name(), format!("{value:?}")));
        }
    }
}

struct Outputs {
    console: bool,
    json: bool,
    journal: Option<Journal>,
    syslog: Option<Syslog>,
    file: Option<File>,
}

fn write_lines(
    lines: &Receiver<Line>,
    mut outputs: Outputs,
    dropped: &AtomicU64,
    queued: &AtomicU64,
) {
    let mut fold = Fold::default();
    // The sending end is the process's, so this thread ends with the process.
    loop {
        let received = match fold.wait() {
            Some(wait) => lines.recv_timeout(wait),
            None => lines.recv().map_err(RecvTimeoutError::from),
        };
        #[expect(clippy::disallowed_methods, reason = "the wall clock of a log line")]
        let now = SystemTime::now();
        for line in fold.over(now) {
            outputs.write(&line);
        }
        let line = match received {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if let Some(line) = fold.take(line) {
            outputs.write(&line);
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            outputs.write(&Line {
                at: now,
                level: Level::WARN,
                text: format!("{lost} log lines were dropped: the log's target is too slow"),
                fields: Vec::new(),
            });
        }
        queued.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Outputs {
    fn write(&mut self, line: &Line) {
        if let Some(journal) = &self.journal {
            journal.send(line);
        }
        if let Some(syslog) = &self.syslog {
            syslog.send(line);
        }
        if !self.console && self.file.is_none() {
            return;
        }
        let text = match self.json {
            true => line.json(),
            false => line.words(),
        };
        if self.console {
            let _ = std::io::stderr().write_all(text.as_bytes());
        }
        if let Some(file) = &mut self.file {
            let _ = file.write_all(text.as_bytes());
        }
    }
}

impl Line {
    /// `2026-11-21T14:02:11.000Z  INFO (VI_1) Entering MASTER STATE: ...`
    fn words(&self) -> String {
        let at = humantime::format_rfc3339_millis(self.at);
        format!("{at} {:>5} {}\n", self.level, self.text)
    }

    /// An object in one line, for programs.
    fn json(&self) -> String {
        let level = match self.level {
            Level::ERROR => "error",
            Level::WARN => "warning",
            Level::INFO => "info",
            _ => "debug",
        };
        let mut object = serde_json::Map::new();
        let at = humantime::format_rfc3339_millis(self.at).to_string();
        object.insert("time".to_owned(), at.into());
        object.insert("level".to_owned(), level.into());
        object.insert("message".to_owned(), self.text.as_str().into());
        for (name, value) in &self.fields {
            object.insert((*name).to_owned(), value.as_str().into());
        }
        let mut text = serde_json::Value::Object(object).to_string();
        text.push('\n');
        text
    }
}

/// As syslog(3) counts.
fn severity(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

struct Syslog {
    socket: UnixDatagram,
    facility: u8,
    ident: String,
    pid: u32,
}

impl Syslog {
    /// `None` where nobody listens, as in most containers.
    fn connect(facility: u8, ident: String) -> Option<Syslog> {
        let socket = UnixDatagram::unbound().ok()?;
        socket.connect(SYSLOG_SOCKET).ok()?;
        socket.set_nonblocking(true).ok()?;
        Some(Syslog {
            socket,
            facility,
            ident,
            pid: std::process::id(),
        })
    }

    /// RFC 3164 without time and host, which the local daemon adds, as syslog(3) sends it.
    fn send(&self, line: &Line) {
        let severity = severity(line.level);
        let priority = self.facility.saturating_mul(8).saturating_add(severity);
        let text = format!("<{priority}>{}[{}]: {}", self.ident, self.pid, line.text);
        let _ = self.socket.send(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes lines as [`QueueLayer`] does.
    fn lines(say: impl FnOnce()) -> Vec<Line> {
        let (queue, lines) = channel();
        let layer = QueueLayer {
            queue,
            queued: Arc::default(),
            dropped: Arc::default(),
            most: Level::INFO,
        };
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, say);
        lines.try_iter().collect()
    }

    #[test]
    fn a_line_in_json_says_what_it_is_about_and_one_in_words_does_not() {
        let event = crate::engine::failover::Event::State {
            instance: "VI \"1\"".to_owned(),
            from: crate::vrrp::State::Backup,
            to: crate::vrrp::State::Fault,
            reason: crate::vrrp::Reason::Started,
        };
        let mut said = lines(|| failover(&event));
        let mut line = said.remove(0);
        line.at = SystemTime::UNIX_EPOCH;
        assert_eq!(
            line.words(),
            format!("1970-01-01T00:00:00.000Z  WARN {event}\n")
        );
        let json: serde_json::Value = serde_json::from_str(&line.json()).unwrap();
        let expected = serde_json::json!({
            "time": "1970-01-01T00:00:00.000Z",
            "level": "warning",
            "message": event.to_string(),
            "kind": "vrrp",
            "instance": "VI \"1\"",
            "state": "FAULT",
            "before": "BACKUP"
        });
        assert_eq!(json, expected);
        assert!(line.json().ends_with("}\n") && line.json().lines().count() == 1);
    }
}
