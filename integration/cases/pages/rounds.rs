//! A server that answers by number: which page is asked for when, and whether the server is in the pool
//! then, beside keepalived.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::lab::Lab;
use crate::lab::check::{Doing, Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::{Daemon, Kind};
use crate::lab::net::{Host, Net};

/// Checks: port, how many pages, more keywords, and which requests are answered well (`+`) or not (`-`).
const CHECKS: &[(u16, usize, &str, &str)] = &[
    (8001, 1, "", "++-+---+++"),
    (8002, 2, "", "+++-+---+++"),
    (8003, 3, "fast_recovery", "++++---++++++"),
    (8004, 2, "retry 2", "-++++-+---++"),
    (8005, 2, "alpha", "+-++++++"),
    (8006, 2, "", "+++--+-+++"),
];
/// `delay_loop` and `delay_before_retry`, in seconds: what lies between requests tells them apart.
const LOOP: u64 = 4;
const RETRY: u64 = 2;
const LIMIT: Duration = Duration::from_secs(100);

fn conf() -> String {
    let mut text = String::new();
    for (port, pages, more, _) in CHECKS {
        let (alpha, more) = match *more {
            "alpha" => ("alpha\n", ""),
            more => ("", more),
        };
        let urls: String = (0..*pages)
            .map(|n| format!("url {{\n path /{n}\n }}\n"))
            .collect();
        text += &format!(
            "virtual_server 192.0.2.200 {port} {{\n delay_loop {LOOP}\n delay_before_retry {RETRY}\n warmup 0\n \
             {alpha} lb_algo wlc\n lb_kind NAT\n protocol TCP\n real_server 192.0.2.1 {port} {{\n \
             HTTP_GET {{\n {more}\n {urls} }}\n }}\n}}\n"
        );
    }
    text
}

/// What each server saw: the page, what came since the request before, and whether it was in the pool.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    page: String,
    gap: u64,
    pooled: bool,
}

type Log = Arc<Mutex<Vec<Seen>>>;

struct Servers {
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    logs: Vec<Log>,
}

impl Servers {
    fn start(host: &Host) -> Outcome<Self> {
        let mut servers = Self {
            ended: Arc::default(),
            threads: Vec::new(),
            logs: Vec::new(),
        };
        for &(port, _, _, script) in CHECKS {
            let listen = move || TcpListener::bind(("192.0.2.1", port));
            let listener = host.within(listen)?.doing(format!("listen on {port}"))?;
            listener.set_nonblocking(true)?;
            let (log, ended, host) = (Log::default(), Arc::clone(&servers.ended), host.clone());
            servers.logs.push(Arc::clone(&log));
            let serve = move || serve(&listener, &host, port, script, &log, &ended);
            servers.threads.push(std::thread::spawn(serve));
        }
        Ok(servers)
    }

    fn seen(&self) -> Vec<Vec<Seen>> {
        let read = |log: &Log| log.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.logs.iter().map(read).collect()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn serve(
    listener: &TcpListener,
    host: &Host,
    port: u16,
    script: &str,
    log: &Log,
    ended: &AtomicBool,
) {
    let mut last: Option<Instant> = None;
    let mut answers = script.chars();
    while !ended.load(Ordering::SeqCst) {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            }
            Err(_) => return,
        };
        let now = Instant::now();
        let since = last.replace(now).map_or(Duration::ZERO, |last| now - last);
        let Some(answer) = answers.next() else { return };
        // As /proc/net/ip_vs shows it, which takes less than a command.
        let destination = format!("C0000201:{port:04X} ");
        let table = host.proc_net("ip_vs").unwrap_or_default();
        let pooled = table
            .lines()
            .any(|line| line.contains(&destination) && line.contains("->"));
        let Ok(page) = reply(stream, answer == '+') else {
            return;
        };
        // Which of the two times it was: what the guest adds is less than a second.
        let gap = match since.as_secs() {
            0 => 0,
            1 | 2 => RETRY,
            _ => LOOP,
        };
        let seen = Seen { page, gap, pooled };
        log.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(seen);
    }
}

fn reply(mut stream: TcpStream, well: bool) -> std::io::Result<String> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(3)))?;
    let mut heard = Vec::new();
    let mut byte = [0];
    while !heard.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? == 1 {
        heard.push(byte[0]);
    }
    let status = if well { "200 OK" } else { "503 Busy" };
    stream.write_all(format!("HTTP/1.0 {status}\r\n\r\npage\n").as_bytes())?;
    let heard = String::from_utf8_lossy(&heard);
    Ok(heard.split(' ').nth(1).unwrap_or_default().to_owned())
}

struct Site {
    servers: Servers,
    daemon: Daemon,
}

pub(super) fn run(lab: &Lab) -> Outcome {
    let net = Net::new(lab)?;
    let mut sites = Vec::new();
    for (name, kind) in [("keepalived", Kind::Keepalived), ("subject", lab.subject())] {
        let lan = net.segment(&format!("{name}-l"))?;
        let host = net.host(name)?;
        net.plug(&host, "eth0", &lan, &["192.0.2.1/24"])?;
        let servers = Servers::start(&host)?;
        let daemon = Daemon::start(kind, &host, &conf())?;
        sites.push(Site { servers, daemon });
    }
    let wanted: Vec<usize> = CHECKS.iter().map(|(.., script)| script.len()).collect();
    let all = || {
        let whole = |site: &Site| {
            let lengths = site.servers.seen();
            lengths.iter().map(Vec::len).eq(wanted.iter().copied())
        };
        Ok(sites.iter().all(whole))
    };
    let waited = wait_until("all requests came", LIMIT, all);
    let [reference, subject] = &sites[..] else {
        return Err("two sites".into());
    };
    let (expected, found) = (reference.servers.seen(), subject.servers.seen());
    for (number, (port, _, more, script)) in CHECKS.iter().enumerate() {
        let line = |seen: &[Seen]| {
            let word = |s: &Seen| {
                format!(
                    "{}s{}{}",
                    s.gap,
                    s.page,
                    if s.pooled { "" } else { "(out)" }
                )
            };
            seen.iter().map(word).collect::<Vec<_>>().join(" ")
        };
        lab.note(format!(
            "{port} {more} {script}: {}",
            line(&expected[number])
        ));
        ensure_eq!(
            line(&found[number]),
            line(&expected[number]),
            "requests to {port} {more} {script}"
        );
    }
    waited?;
    let out = |site: &[Vec<Seen>]| site.iter().flatten().filter(|s| !s.pooled).count();
    ensure!(
        out(&expected) > 10,
        "servers were out of the pool: {expected:?}"
    );
    for mut site in sites {
        site.daemon.stop()?;
    }
    Ok(())
}
