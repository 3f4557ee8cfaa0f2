//! Servers that answer badly, beside keepalived.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{CALM, SETTLED, count};
use crate::lab::Lab;
use crate::lab::check::{Doing, Outcome, ensure, wait_until};
use crate::lab::daemon::{Daemon, Kind};
use crate::lab::net::{Host, Net};

/// How the server behaves: its number, what that is, whether it stays in the pool, and what vipd says.
const MOODS: &[(u8, &str, Option<bool>, &str)] = &[
    (0, "well", Some(true), ""),
    (1, "silent", Some(false), "no answer within 1s"),
    (0, "well again", Some(true), ""),
    (2, "busy", Some(false), "GET /x: status 503, not 200-299"),
    (0, "well again", Some(true), ""),
    (
        3,
        "another protocol",
        Some(false),
        "the answer is not HTTP, it begins with `SSH-2.0-test`",
    ),
    (0, "well again", Some(true), ""),
    (
        4,
        "half a header",
        Some(false),
        "the connection was closed within the header of the answer",
    ),
    (0, "well again", Some(true), ""),
    (
        5,
        "half a page",
        Some(true),
        "passed, but the page ended after 4 of 100 bytes",
    ),
    (6, "a reset", Some(false), "(ECONNRESET)"),
    (0, "well again", Some(true), ""),
    (
        7,
        "half a page, then silence",
        Some(false),
        "GET /x: the answer stopped for 1s",
    ),
    (0, "well again", Some(true), ""),
    // keepalived reads on and on, and leaves the server where it is.
    (
        8,
        "an endless page",
        None,
        "GET /x: the answer does not end within 10s",
    ),
];

const CONF: &str = "virtual_server 192.0.2.200 8001 {\n delay_loop 1\n delay_before_retry 1\n warmup 0\n \
    lb_algo wlc\n lb_kind NAT\n protocol TCP\n real_server 192.0.2.1 8001 {\n HTTP_GET {\n connect_timeout 1\n \
    url {\n path /x\n }\n }\n }\n}\n";

struct Server {
    mood: Arc<AtomicU8>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(host: &Host) -> Outcome<Self> {
        let listen = || TcpListener::bind("192.0.2.1:8001");
        let listener = host.within(listen)?.doing("listen on 8001")?;
        listener.set_nonblocking(true)?;
        let (mood, ended) = (Arc::new(AtomicU8::new(0)), Arc::new(AtomicBool::new(false)));
        let (theirs, end) = (Arc::clone(&mood), Arc::clone(&ended));
        let serve = move || {
            while !end.load(Ordering::SeqCst) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        let (mood, end) = (theirs.load(Ordering::SeqCst), Arc::clone(&end));
                        std::thread::spawn(move || answer(stream, mood, &end));
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        std::thread::sleep(Duration::from_millis(10));
                    }
                    Err(_) => return,
                }
            }
        };
        Ok(Self {
            mood,
            ended,
            thread: Some(std::thread::spawn(serve)),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(mut stream: TcpStream, mood: u8, end: &AtomicBool) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(3)))?;
    let mut heard = Vec::new();
    let mut byte = [0];
    while !heard.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? == 1 {
        heard.push(byte[0]);
    }
    match mood {
        1 => drop(stream.read(&mut byte)),
        2 => stream.write_all(b"HTTP/1.0 503 Busy\r\n\r\n")?,
        3 => stream.write_all(b"SSH-2.0-test\r\n")?,
        4 => stream.write_all(b"HTTP/1.0 200 OK\r\nServer: ha")?,
        5 => stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 100\r\n\r\nhalf")?,
        6 => {
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nsome")?;
            std::thread::sleep(Duration::from_millis(50));
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
        }
        7 => {
            stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 100\r\n\r\nhalf")?;
            drop(stream.read(&mut byte));
        }
        8 => {
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n")?;
            while !end.load(Ordering::SeqCst) && stream.write_all(b"on and ").is_ok() {
                std::thread::sleep(Duration::from_millis(300));
            }
        }
        _ => stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nwell\n")?,
    }
    Ok(())
}

pub(super) fn run(lab: &Lab) -> Outcome {
    let net = Net::new(lab)?;
    let mut sites = Vec::new();
    for (name, kind) in [("keepalived", Kind::Keepalived), ("subject", lab.subject())] {
        let lan = net.segment(&format!("{name}-l"))?;
        let host = net.host(name)?;
        net.plug(&host, "eth0", &lan, &["192.0.2.1/24"])?;
        let server = Server::start(&host)?;
        let daemon = Daemon::start(kind, &host, CONF)?;
        sites.push((host, server, daemon));
    }
    let [(reference, theirs, _), (subject, ours, daemon)] = &sites[..] else {
        return Err("two sites".into());
    };
    for (mood, what, stays, said) in MOODS {
        let before = daemon.log().len();
        for server in [theirs, ours] {
            server.mood.store(*mood, Ordering::SeqCst);
        }
        let (theirs, ours) = (stays.unwrap_or(true), stays.unwrap_or(false));
        let so =
            || Ok((count(&reference.ipvs()?) == 1, count(&subject.ipvs()?) == 1) == (theirs, ours));
        wait_until(
            format!("in keepalived's pool {theirs}, in vipd's {ours}: {what}"),
            SETTLED,
            so,
        )?;
        std::thread::sleep(CALM);
        ensure!(
            so()?,
            "in keepalived's pool {theirs}, in vipd's {ours}, and stays so: {what}"
        );
        let log = daemon.log();
        let log = log.get(before..).unwrap_or_default();
        ensure!(log.contains(said), "{what}: the log says {said:?}: {log}");
        lab.note(format!("{what}: in the pool {stays:?}, {said:?}"));
    }
    for (_, _, mut daemon) in sites {
        daemon.stop()?;
    }
    Ok(())
}
