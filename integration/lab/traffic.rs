//! Servers that say who they are, and clients that say how long they waited.
//!
//! All of them are threads of the case's own process whose sockets were made inside a host's
//! namespace; a server ends when it is dropped.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use super::check::{Doing, Outcome};
use super::net::Host;

/// How often a thread looks whether it should end.
const LOOK: Duration = Duration::from_millis(50);

fn endpoint(text: &str) -> Outcome<SocketAddr> {
    text.parse().doing(format!("the endpoint {text:?}"))
}

/// A server that is stopped and closed when dropped.
pub(crate) struct Server {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// TCP: greets each connection with `name`, then answers every line with `name: line`; `later N` after
    /// N seconds. It may listen on an address that the host does not have yet.
    pub(crate) fn tcp(host: &Host, at: &str, name: &str) -> Outcome<Self> {
        let at = endpoint(at)?;
        let bound = host.within(|| -> io::Result<TcpListener> {
            let socket = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP))?;
            socket.set_reuse_address(true)?;
            free_bind(&socket, at)?;
            socket.bind(&at.into())?;
            socket.listen(128)?;
            socket.set_nonblocking(true)?;
            Ok(socket.into())
        })?;
        let listener = bound.doing(format!("listen on {at} of {}", host.name()))?;
        let name = name.to_owned();
        Ok(Self::run(move |stop| serve_tcp(&listener, &name, stop)))
    }

    /// UDP: answers each datagram with `name`, from the address it was sent to.
    pub(crate) fn udp(host: &Host, at: &str, name: &str) -> Outcome<Self> {
        let at = endpoint(at)?;
        let bound = host.within(|| -> io::Result<UdpSocket> {
            let socket = Socket::new(Domain::for_address(at), Type::DGRAM, Some(Protocol::UDP))?;
            free_bind(&socket, at)?;
            socket.bind(&at.into())?;
            Ok(socket.into())
        })?;
        let socket = bound.doing(format!("bind to {at} of {}", host.name()))?;
        socket.set_read_timeout(Some(LOOK))?;
        let name = name.to_owned();
        Ok(Self::run(move |stop| {
            let mut buffer = [0; 2048];
            while !stop.load(Ordering::SeqCst) {
                if let Ok((_, from)) = socket.recv_from(&mut buffer) {
                    // Without a way back the client counts the gap; that is its job.
                    let _ = socket.send_to(name.as_bytes(), from);
                }
            }
        }))
    }

    fn run(work: impl FnOnce(&Arc<AtomicBool>) + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        Self {
            stop,
            thread: Some(thread::spawn(move || work(&seen))),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // A server that panicked serves nobody, which its clients report.
            let _ = thread.join();
        }
    }
}

fn free_bind(socket: &Socket, at: SocketAddr) -> io::Result<()> {
    match at {
        SocketAddr::V4(_) => socket.set_freebind_v4(true),
        SocketAddr::V6(_) => socket.set_freebind_v6(true),
    }
}

fn serve_tcp(listener: &TcpListener, name: &str, stop: &Arc<AtomicBool>) {
    while !stop.load(Ordering::SeqCst) {
        let Ok((stream, _)) = listener.accept() else {
            sleep(Duration::from_millis(10));
            continue;
        };
        let (name, stop) = (name.to_owned(), Arc::clone(stop));
        // The connection ends with its client, with an error, or with the server.
        thread::spawn(move || serve_connection(&stream, &name, &stop));
    }
}

fn serve_connection(stream: &TcpStream, name: &str, stop: &AtomicBool) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(LOOK))?;
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    writeln!(writer, "{name}")?;
    let mut line = String::new();
    while !stop.load(Ordering::SeqCst) {
        match reader.read_line(&mut line) {
            Ok(0) => return Ok(()),
            Ok(_) => {
                let later = line.strip_prefix("later ").map(|rest| rest.trim().parse());
                if let Some(Ok(seconds)) = later {
                    sleep(Duration::from_secs(seconds));
                }
                writeln!(writer, "{name}: {}", line.trim_end())?;
                line.clear();
            }
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// An open TCP connection to a [`Server::tcp`].
pub(crate) struct Conversation {
    reader: BufReader<TcpStream>,
    /// The name the server greeted with.
    pub(crate) server: String,
}

impl Conversation {
    /// Connects from `host`; the connection and each answer must come within `limit`.
    pub(crate) fn open(host: &Host, to: &str, limit: Duration) -> Outcome<Self> {
        let to = endpoint(to)?;
        let what = format!("{} to {to}", host.name());
        let connected = host.within(|| TcpStream::connect_timeout(&to, limit))?;
        let stream = connected.doing(format!("connect {what}"))?;
        stream.set_read_timeout(Some(limit))?;
        let mut conversation = Self {
            reader: BufReader::new(stream),
            server: String::new(),
        };
        conversation.server = conversation.hear().doing(format!("greeting {what}"))?;
        Ok(conversation)
    }

    /// Sends a line and returns the answer.
    pub(crate) fn say(&mut self, line: &str) -> Outcome<String> {
        writeln!(self.reader.get_mut(), "{line}").doing("send")?;
        self.hear()
    }

    fn hear(&mut self) -> Outcome<String> {
        let mut line = String::new();
        let n = self
            .reader
            .read_line(&mut line)
            .doing("wait for an answer")?;
        if n == 0 {
            Err("the connection was closed".into())
        } else {
            Ok(line.trim_end().into())
        }
    }
}

/// One answer to a [`Pulse`].
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// Since the pulse began.
    pub(crate) at: Duration,
    /// Name of the server.
    pub(crate) from: String,
}

/// A client that sends a datagram to a [`Server::udp`] again and again.
pub(crate) struct Pulse {
    answers: Arc<Mutex<Vec<Answer>>>,
    server: Server,
    began: Instant,
}

impl Pulse {
    /// From `host` to `to`, one datagram every `every`.
    pub(crate) fn start(host: &Host, to: &str, every: Duration) -> Outcome<Self> {
        let to = endpoint(to)?;
        let any: IpAddr = if to.is_ipv4() {
            [0, 0, 0, 0].into()
        } else {
            [0_u16; 8].into()
        };
        // Not connected: an ICMP error from a router that lost the address is no answer.
        let socket = host.within(|| UdpSocket::bind((any, 0)))?.doing("bind")?;
        socket.set_read_timeout(Some(every))?;
        let answers = Arc::new(Mutex::new(Vec::new()));
        let (seen, began) = (Arc::clone(&answers), Instant::now());
        let server = Server::run(move |stop| {
            let mut buffer = [0; 2048];
            let mut next = Instant::now();
            while !stop.load(Ordering::SeqCst) {
                if Instant::now() >= next {
                    // No route or no neighbour is part of the gap that is measured.
                    let _ = socket.send_to(b"who", to);
                    next += every;
                }
                let Ok((n, _)) = socket.recv_from(&mut buffer) else {
                    continue;
                };
                let from = String::from_utf8_lossy(buffer.get(..n).unwrap_or_default()).into();
                let answer = Answer {
                    at: began.elapsed(),
                    from,
                };
                seen.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(answer);
            }
        });
        Ok(Self {
            answers,
            server,
            began,
        })
    }

    /// All answers so far.
    pub(crate) fn answers(&self) -> Vec<Answer> {
        self.answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Name of the server that answered last, if one did within `within` from now.
    pub(crate) fn answered_by(&self, within: Duration) -> Option<String> {
        let now = self.began.elapsed();
        let last = self.answers().pop()?;
        (now.saturating_sub(last.at) <= within).then_some(last.from)
    }

    /// Ends it; the longest time without an answer, and all answers.
    pub(crate) fn stop(self) -> (Duration, Vec<Answer>) {
        drop(self.server);
        let answers = self
            .answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let gaps = answers.windows(2).map(|pair| match pair {
            [a, b] => b.at.saturating_sub(a.at),
            _ => Duration::ZERO,
        });
        (gaps.max().unwrap_or(Duration::MAX), answers)
    }
}
