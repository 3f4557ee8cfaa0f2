//! The virtual server of the compose project (DR, persistence, `TCP_CHECK`) before servers that answer and then one
//! that does not, vipd and keepalived side by side, without Docker: what the kernel has, and for how long.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use crate::lab::check::{Doing as _, Failure, Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::{Daemon, Kind};
use crate::lab::net::{Host, Net};

/// The author's servers, which nobody else has either.
pub(super) const SERVERS: [&str; 2] = ["172.16.16.177", "172.16.16.178"];
/// What the file of the first container comes to in the kernel, sorted.
pub(super) const TABLE: [&str; 3] = [
    "-A -t 172.20.128.2:80 -s rr -p 50",
    "-a -t 172.20.128.2:80 -r 172.16.16.177:80 -g -w 1",
    "-a -t 172.20.128.2:80 -r 172.16.16.178:80 -g -w 1",
];
const CONF: &str = include_str!("../../fixtures/scenarios/s2-master.conf");
/// `delay_loop`, `delay_before_retry` and `nb_get_retry` of the file.
const LOOP: Duration = Duration::from_secs(15);
const RETRY: Duration = Duration::from_secs(4);
const RETRIES: u32 = 3;
const LIMIT: Duration = Duration::from_secs(90);
/// By how much a guest that does much else may be late.
const LATE: Duration = Duration::from_secs(4);

/// Takes connections on port 80 and notes when; closed when it is dropped.
pub(super) struct Web {
    last: Arc<Mutex<Option<Instant>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Web {
    /// On an address of this host.
    pub(super) fn start(host: &Host, address: &str) -> Outcome<Self> {
        let listener = host.within(|| TcpListener::bind((address, 80)))?;
        let listener = listener.doing(format!("listen on {address}"))?;
        listener.set_nonblocking(true)?;
        let (last, stop) = (Arc::default(), Arc::default());
        let (seen, ends) = (Arc::clone(&last), Arc::clone(&stop));
        Ok(Self {
            last,
            stop,
            thread: Some(thread::spawn(move || take(&listener, &seen, &ends))),
        })
    }

    fn last(&self) -> Option<Instant> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take(listener: &TcpListener, last: &Mutex<Option<Instant>>, stop: &AtomicBool) {
    while !stop.load(Ordering::SeqCst) {
        match listener.accept() {
            Ok(_) => *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now()),
            Err(e) if e.kind() == ErrorKind::WouldBlock => sleep(Duration::from_millis(5)),
            // Whoever waits for a connection says so.
            Err(_) => return,
        }
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Gives a host the addresses of the servers.
pub(super) fn become_servers(host: &Host) -> Outcome {
    let lines = SERVERS.map(|server| format!("addr add {server}/32 dev lo\n"));
    host.ip(&lines.concat())
}

/// A director with the author's file, and a host that is its servers.
struct Side {
    kind: Kind,
    director: Host,
    servers: Host,
}

/// Both daemons' directors.
pub(super) struct Sides(Vec<Side>);

impl Sides {
    /// Their networks.
    pub(super) fn new(net: &Net<'_>) -> Outcome<Self> {
        let side = |kind: Kind| {
            let name = kind.name();
            let segment = net.segment(&format!("dr-{}", &name[..4]))?;
            let director = net.router(&format!("director-{name}"))?;
            let servers = net.router(&format!("servers-{name}"))?;
            net.plug(&director, "eth0", &segment, &["172.20.128.2/16"])?;
            net.plug(&servers, "eth0", &segment, &["172.20.0.1/16"])?;
            director.ip("route add default via 172.20.0.1\n")?;
            become_servers(&servers)?;
            Ok(Side {
                kind,
                director,
                servers,
            })
        };
        let sides = [Kind::Vipd, Kind::Keepalived].into_iter().map(side);
        Ok(Self(sides.collect::<Outcome<_>>()?))
    }

    /// Both at the same time; a line for the report.
    pub(super) fn play(&self) -> Outcome<String> {
        let kept: Vec<Outcome<Duration>> = thread::scope(|scope| {
            let sides: Vec<_> = self
                .0
                .iter()
                .map(|side| scope.spawn(|| side.play()))
                .collect();
            let panicked = |_| Err(Failure::failed("a director panicked"));
            let ended = sides
                .into_iter()
                .map(|side| side.join().unwrap_or_else(panicked));
            ended.collect()
        });
        let kept = kept.into_iter().collect::<Outcome<Vec<_>>>()?;
        let [vipd, keepalived] = kept[..] else {
            return Err("not two directors".into());
        };
        let meant = LOOP + RETRY * RETRIES;
        ensure!(
            vipd > meant.saturating_sub(Duration::from_secs(1)) && vipd < meant + LATE,
            "vipd kept a dead server for {vipd:.1?}, not {meant:.1?}"
        );
        Ok(format!(
            "the virtual server with servers that answer: the same table; one that was good for the last time is \
             taken out {:.1} s later by vipd (nb_get_retry 3), {:.1} s by keepalived (which ignores it)",
            vipd.as_secs_f64(),
            keepalived.as_secs_f64()
        ))
    }
}

impl Side {
    /// How long a server that stops to answer is kept after its last good check.
    fn play(&self) -> Outcome<Duration> {
        let name = self.kind.name();
        let [first, second] = SERVERS;
        let web = Web::start(&self.servers, first)?;
        let _other = Web::start(&self.servers, second)?;
        let mut daemon = Daemon::start(self.kind, &self.director, CONF)?;
        wait_until(format!("{name}: a check of {first}"), LIMIT, || {
            Ok(web.last().is_some())
        })?;
        wait_until(format!("{name}: both servers"), LIMIT, || {
            Ok(self.director.ipvs()?.len() == TABLE.len())
        })?;
        ensure_eq!(self.director.ipvs()?, TABLE, "{name}: the virtual server");
        let last = web.last().ok_or("no check")?;
        drop(web);
        wait_until(format!("{name}: {first} is taken out"), LIMIT, || {
            let table = self.director.proc_net("ip_vs")?;
            // As the kernel writes 172.16.16.177.
            Ok(!table.contains("AC1010B1"))
        })?;
        let kept = last.elapsed();
        let [service, _, other] = TABLE;
        ensure_eq!(
            self.director.ipvs()?,
            [service, other],
            "{name}: after that"
        );
        daemon.stop()?;
        Ok(kept)
    }
}
