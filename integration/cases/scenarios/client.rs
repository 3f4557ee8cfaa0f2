//! Somebody who loads the page of each virtual address, over and over.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::lab::check::{Doing, Outcome};
use crate::lab::native;
use crate::lab::net::Host;

/// From the end of one question to the next, on this machine's kernel and in a guest, whose one processor has
/// more to do.
const EVERY: Duration = Duration::from_millis(10);
const EVERY_IN_GUEST: Duration = Duration::from_millis(50);
/// Whoever has not answered by then is asked again; a guest that stalls must come in time.
const PATIENCE: Duration = Duration::from_millis(500);

/// A page that came.
#[derive(Clone)]
struct Answer {
    asked: Duration,
    at: Duration,
    from: String,
}

type Answers = Arc<Mutex<Vec<Answer>>>;

/// One thread for each address; they end when it is dropped.
pub(super) struct Client {
    began: Instant,
    answers: Vec<Answers>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Client {
    /// Begins to ask `addresses` for their pages.
    pub(super) fn start(host: &Host, addresses: &[&str]) -> Outcome<Self> {
        let mut client = Self {
            began: Instant::now(),
            answers: Vec::new(),
            stop: Arc::default(),
            threads: Vec::new(),
        };
        let pause = match native::is_native() {
            true => EVERY,
            false => EVERY_IN_GUEST,
        };
        for address in addresses {
            let to: SocketAddr = address.parse().doing(address)?;
            let answers = Answers::default();
            client.answers.push(Arc::clone(&answers));
            let (host, stop, began) = (host.clone(), Arc::clone(&client.stop), client.began);
            client.threads.push(thread::spawn(move || {
                // A thread that cannot enter the namespace finds nobody, and every step fails.
                let _ = host.within(|| {
                    while !stop.load(Ordering::SeqCst) {
                        let asked = began.elapsed();
                        if let Some(from) = page(to) {
                            let at = began.elapsed();
                            let mut answers =
                                answers.lock().unwrap_or_else(PoisonError::into_inner);
                            answers.push(Answer { asked, at, from });
                        }
                        thread::sleep(pause);
                    }
                });
            }));
        }
        Ok(client)
    }

    /// Time since it began.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Whether the last page of each address came just now, was asked for after `moment`, and is of this machine.
    pub(super) fn served_by(&self, names: &[&str], moment: Duration) -> bool {
        let now = self.now();
        let mut all = self.answers.iter().zip(names);
        all.all(|(answers, name)| {
            let answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
            let last = answers.last();
            let new =
                |last: &Answer| last.asked >= moment && now.saturating_sub(last.at) < PATIENCE;
            last.is_some_and(|last| last.from == *name && new(last))
        })
    }

    /// When the last address got to its machine and stayed, from `moment` on.
    pub(super) fn settled(&self, moment: Duration, names: &[&str]) -> Duration {
        let mut after = Duration::ZERO;
        for (answers, name) in self.answers.iter().zip(names) {
            let answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
            let first_here = answers
                .iter()
                .rposition(|a| a.from != *name)
                .map_or(0, |at| at + 1);
            if let Some(first) = answers.get(first_here) {
                after = after.max(first.at.saturating_sub(moment));
            }
        }
        after
    }

    /// The longest time between two pages of one address since `moment`.
    pub(super) fn gap(&self, moment: Duration) -> Duration {
        let mut gap = Duration::ZERO;
        for answers in &self.answers {
            let answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
            let pairs = answers
                .windows(2)
                .filter(|pair| pair.iter().any(|a| a.at >= moment));
            let waits = pairs.map(|pair| match pair {
                [one, two] => two.at.saturating_sub(one.at),
                _ => Duration::ZERO,
            });
            gap = gap.max(waits.max().unwrap_or_default());
            // Whoever gets nothing any more waits still.
            let last = answers.last().map_or(moment, |last| last.at);
            gap = gap.max(self.now().saturating_sub(last));
        }
        gap
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// The page at this address, as this host sees it; none if there is no answer.
pub(super) fn page_at(host: &Host, address: &str) -> Outcome<Option<String>> {
    let to = address.parse().doing(address)?;
    host.within(|| page(to))
}

/// The first line of the page at `to`.
fn page(to: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    stream
        .write_all(b"GET / HTTP/1.0\r\nHost: lab\r\n\r\n")
        .ok()?;
    let mut text = String::new();
    stream.take(1 << 16).read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let fine = head
        .lines()
        .next()
        .is_some_and(|line| line.contains(" 200"));
    fine.then(|| body.trim().to_owned())
}
