//! The client: inserts rows through the front door, one after the other, for as long as it runs.
//!
//! It does what an application with a connection pool of one does: a connection is kept, an answer
//! is awaited for [`ANSWER_LIMIT`], and then the connection is given up and a new one made, once a server says
//! something at the address: a program that starts slowly must not be taken for a server that does not answer. A row
//! counts as acknowledged only when the server's OK for it was read. A row without an answer is
//! never sent again under the same number: nobody can know whether it was stored.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use super::timeline::{Timeline, Who, seconds};
use super::{DB_PASSWORD, DB_USER, FRONT_DOOR};
use crate::lab::check::Outcome;
use crate::lab::net::Host;

/// How long the client waits for an answer.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(1);
/// The first answer of a session comes after its program has started, which takes a second on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(5);
/// A pause of the answers longer than this is told.
pub(super) const GAP: Duration = Duration::from_millis(900);
/// Between two rows.
const PACE: Duration = Duration::from_millis(40);

/// A row whose insert was answered with OK.
#[derive(Clone, Copy)]
pub(crate) struct Acknowledged {
    pub(crate) id: u64,
    pub(crate) at: Instant,
}

/// What the client knows.
#[derive(Default, Clone)]
pub(crate) struct Ledger {
    /// Rows that the server said it had stored, in order.
    pub(crate) acknowledged: Vec<Acknowledged>,
    /// Rows that were sent and never answered, or refused.
    pub(crate) unanswered: Vec<u64>,
    /// Connections that were opened.
    pub(crate) connections: usize,
}

impl Ledger {
    /// The longest pause between two acknowledged rows that ended between `from` and `to`.
    pub(crate) fn longest_gap(&self, from: Instant, to: Instant) -> Duration {
        let pairs = self
            .acknowledged
            .iter()
            .zip(self.acknowledged.iter().skip(1));
        let ended = pairs.filter(|(_, after)| after.at > from && after.at <= to);
        let gaps = ended.map(|(before, after)| after.at - before.at);
        gaps.max().unwrap_or_default()
    }

    /// How many rows were acknowledged since `from`.
    pub(crate) fn since(&self, from: Instant) -> usize {
        self.acknowledged.iter().filter(|row| row.at > from).count()
    }
}

/// The running client; ends when dropped.
pub(crate) struct Client {
    ledger: Arc<Mutex<Ledger>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Client {
    /// Starts it on `host`; its first row is the one after `row`.
    pub(crate) fn start(host: &Host, timeline: Timeline, row: u64) -> Self {
        let (ledger, stop) = (
            Arc::<Mutex<Ledger>>::default(),
            Arc::<AtomicBool>::default(),
        );
        let worker = Worker {
            host: host.clone(),
            timeline,
            row,
            ledger: Arc::clone(&ledger),
            stop: Arc::clone(&stop),
        };
        let thread = Some(thread::spawn(move || worker.run()));
        Self {
            ledger,
            stop,
            thread,
        }
    }

    /// What it knows now.
    pub(crate) fn ledger(&self) -> Ledger {
        lock(&self.ledger).clone()
    }

    /// Lets it end with the row it is at, and returns all it knows.
    pub(crate) fn finish(mut self) -> Outcome<Ledger> {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().map_err(|_| "the client panicked")?;
        }
        Ok(self.ledger())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // Its panic was printed; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Worker {
    host: Host,
    timeline: Timeline,
    row: u64,
    ledger: Arc<Mutex<Ledger>>,
    stop: Arc<AtomicBool>,
}

impl Worker {
    fn run(&self) {
        let mut session: Option<Session> = None;
        let mut id = self.row;
        // The complaint about the first row that got no answer, until one does.
        let mut silent = false;
        while !self.stop.load(Ordering::SeqCst) {
            id += 1;
            let result = self.insert(&mut session, id);
            let mut ledger = lock(&self.ledger);
            match result {
                Ok(()) => {
                    let now = Instant::now();
                    let gap = ledger.acknowledged.last().map(|last| now - last.at);
                    ledger.acknowledged.push(Acknowledged { id, at: now });
                    if let Some(gap) = gap.filter(|gap| silent || *gap >= GAP) {
                        let text = format!("answers again (row {id}), after {}", seconds(gap));
                        self.timeline.say(Who::Client, text);
                    }
                    silent = false;
                }
                Err(why) => {
                    ledger.unanswered.push(id);
                    if !silent {
                        let text = format!("row {id} was not acknowledged: {why}; trying on");
                        self.timeline.say(Who::Client, text);
                    }
                    (silent, session) = (true, None);
                }
            }
            drop(ledger);
            sleep(PACE);
        }
    }

    fn insert(&self, session: &mut Option<Session>, id: u64) -> Result<(), String> {
        let (open, limit) = match session {
            Some(open) => (open, ANSWER_LIMIT),
            none => {
                lock(&self.ledger).connections += 1;
                let greeted = self.host.within(greeting).map_err(|e| e.to_string())?;
                greeted.map_err(|e| format!("no server answers: {e}"))?;
                let new = Session::open(&self.host).map_err(|e| format!("mariadb: {e}"))?;
                (none.insert(new), START_LIMIT)
            }
        };
        open.insert(id, limit)
    }
}

/// Waits for what a server says first to whoever connects.
fn greeting() -> io::Result<()> {
    let to = SocketAddr::from((FRONT_DOOR, 3306));
    let mut stream = TcpStream::connect_timeout(&to, ANSWER_LIMIT)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    stream.read_exact(&mut [0; 1])
}

/// One connection: a `mariadb` command-line client that is fed statements.
struct Session {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Session {
    fn open(host: &Host) -> Outcome<Self> {
        let mut command = Command::new("mariadb");
        // Twice verbose, it prints the server's OK; without reconnecting, it never repeats an insert.
        command.args(["--no-defaults", "-vv", "--unbuffered", "--skip-reconnect"]);
        command.args(["--protocol=tcp", "--connect-timeout=2", "--port=3306"]);
        command
            .arg(format!("--host={FRONT_DOOR}"))
            .arg(format!("--user={DB_USER}"));
        command.env("MYSQL_PWD", DB_PASSWORD);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = host.within(|| command.spawn())??;
        let (sender, lines) = channel();
        if let Some(out) = child.stdout.take() {
            forward(out, sender.clone());
        }
        if let Some(err) = child.stderr.take() {
            forward(err, sender);
        }
        let input = child.stdin.take().ok_or("mariadb has no standard input")?;
        Ok(Self {
            child,
            input,
            lines,
        })
    }

    /// Inserts the row `id`; `Ok` only when the server said so within `limit`.
    fn insert(&mut self, id: u64, limit: Duration) -> Result<(), String> {
        let sent = Instant::now();
        let statement = format!("INSERT INTO shop.orders VALUES ({id}, @@wsrep_node_name);\n");
        let written = self.input.write_all(statement.as_bytes());
        written.map_err(|_| "the connection is gone".to_owned())?;
        loop {
            match self
                .lines
                .recv_timeout(limit.saturating_sub(sent.elapsed()))
            {
                Ok(line) if line.starts_with("Query OK, 1 row affected") => return Ok(()),
                Ok(line) if line.starts_with("ERROR") => return Err(line),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {
                    return Err(format!("no answer within {}", seconds(limit)));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err("the connection was closed".to_owned());
                }
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Either may fail when it has ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends each line of `pipe`, until its end, from a thread.
fn forward(pipe: impl Read + Send + 'static, lines: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines() {
            let Ok(line) = line else { return };
            if lines.send(line).is_err() {
                return;
            }
        }
    });
}
