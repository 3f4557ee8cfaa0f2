//! What checks of servers cannot do without: a bare loop over epoll that makes the same connections, and the
//! servers that take them.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::lab::check::{Doing, Outcome};
use crate::lab::net::Host;
use crate::lab::sys::Epoll;

/// Where every server listens.
pub(super) const PORT: u16 = 8080;

/// Address of the server of this number: each has one of its own, all of one host.
pub(super) fn address(number: usize) -> Ipv4Addr {
    let number = u32::try_from(number).unwrap_or_default();
    Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 1).to_bits() + number)
}

/// Connects to so many servers, each once in an interval: socket, connect, wait, close; for so long. How late
/// each connection began.
pub(super) fn connect_for(
    count: u16,
    interval: Duration,
    lasts: Duration,
) -> Outcome<Vec<Duration>> {
    let epoll = Epoll::new()?;
    let start = Instant::now();
    // In the order of their turns, which come evenly.
    let mut turn = 0u32;
    let due = |turn: u32| start + interval.mul_f64(f64::from(turn) / f64::from(count));
    let mut under_way: Vec<Option<Socket>> = (0..count).map(|_| None).collect();
    let mut late = Vec::new();
    while start.elapsed() < lasts {
        let now = Instant::now();
        while due(turn) <= now {
            late.push(now - due(turn));
            let number = usize::from(u16::try_from(turn % u32::from(count)).unwrap_or_default());
            let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None)?;
            // That it is under way is what is expected.
            let _ = socket.connect(&SocketAddr::from((address(number), PORT)).into());
            epoll.watch_writable(&socket, number as u64)?;
            if let Some(slot) = under_way.get_mut(number) {
                *slot = Some(socket);
            }
            turn = turn.checked_add(1).ok_or("it has run for days")?;
        }
        for at in epoll.wait(due(turn).saturating_duration_since(Instant::now()))? {
            let done = under_way.get_mut(usize::try_from(at).unwrap_or(usize::MAX));
            if let Some(socket) = done.and_then(Option::take)
                && let Some(error) = socket.take_error()?
            {
                return Err(format!("connect: {error}").into());
            }
        }
    }
    Ok(late)
}

/// How often connections are taken that need no answer: many at once, for whoever is measured is not to share
/// the processor with somebody who wakes up for each.
const TAKEN_EVERY: Duration = Duration::from_millis(20);

/// Takes and closes what waits; how many that were.
fn take_all(listener: &TcpListener) -> usize {
    std::iter::from_fn(|| listener.accept().ok()).count()
}

fn listen(host: &Host) -> Outcome<TcpListener> {
    let socket = host.within(|| -> std::io::Result<Socket> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)).into())?;
        socket.listen(4096)?;
        Ok(socket)
    })?;
    Ok(TcpListener::from(socket.doing("listen")?))
}

/// What it takes to take one connection that is there and closed already: the wall's time, while nothing else
/// happens.
pub(super) fn cost_of_taking(host: &Host) -> Outcome<Duration> {
    const EACH: u16 = 2000;
    let listener = listen(host)?;
    listener.set_nonblocking(true)?;
    let mut took = Duration::MAX;
    for _ in 0..3 {
        host.within(|| -> std::io::Result<()> {
            for number in 0..EACH {
                let server = (address(number.into()), PORT);
                drop(std::net::TcpStream::connect(server)?);
            }
            Ok(())
        })?
        .doing("connect")?;
        let began = Instant::now();
        if take_all(&listener) < usize::from(EACH) {
            return Err("connections got lost".into());
        }
        took = took.min(began.elapsed() / EACH.into());
    }
    Ok(took)
}

/// Takes every connection to a host, and counts; answers with a page where it is asked for one.
pub(super) struct Listener {
    taken: Arc<AtomicUsize>,
}

impl Listener {
    /// It listens until the case ends. `pages`: it waits for a request.
    pub(super) fn open(host: &Host, pages: bool) -> Outcome<Self> {
        let listener = listen(host)?;
        listener.set_nonblocking(!pages)?;
        let taken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&taken);
        thread::spawn(move || {
            // While somebody asks how many they were.
            while !pages && Arc::strong_count(&count) > 1 {
                count.fetch_add(take_all(&listener), Ordering::Relaxed);
                thread::sleep(TAKEN_EVERY);
            }
            if !pages {
                return;
            }
            for mut stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::Relaxed);
                // Whoever asks for a page says so at once.
                let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
                let _ = stream.read(&mut [0; 1024]);
                let _ = stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nwell");
            }
        });
        Ok(Self { taken })
    }

    /// Connections so far.
    pub(super) fn taken(&self) -> f64 {
        f64::from(u32::try_from(self.taken.load(Ordering::Relaxed)).unwrap_or(u32::MAX))
    }
}
