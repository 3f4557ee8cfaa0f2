//! Servers that answer badly.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use super::{Site, service};
use crate::lab::Lab;
use crate::lab::check::{Doing, Outcome, ensure};

/// A check, the start of a good answer to it, and what it is told of a wrong one.
struct Kind {
    port: u16,
    check: &'static str,
    well: &'static [u8],
    /// Whether the server is asked before it says a word.
    asked: bool,
    /// What the log says of half an answer, and of a wrong one.
    half: &'static str,
    wrong: &'static str,
}

const KINDS: &[Kind] = &[
    Kind {
        port: 8001,
        check: "REDIS_CHECK",
        well: b"+PONG\r\n",
        asked: true,
        half: "the server closed the connection before its answer was whole",
        wrong: "the answer is not Redis, it begins with `HTTP/1.1 400 Bad",
    },
    Kind {
        port: 8002,
        check: "HAPROXY_CHECK",
        well: b"up\n",
        asked: false,
        half: "the line of the agent has no end: `u`",
        wrong: "`http/1.1` is nothing that an agent says",
    },
    Kind {
        port: 8003,
        check: "MYSQL_CHECK",
        well: MYSQL,
        asked: false,
        half: "the server closed the connection before its answer was whole",
        wrong: "the greeting is not MySQL",
    },
    Kind {
        port: 8004,
        check: "PGSQL_CHECK",
        well: PGSQL,
        asked: true,
        half: "the server closed the connection before its answer was whole",
        wrong: "the answer is not PostgreSQL",
    },
    Kind {
        port: 8005,
        check: "GRPC_CHECK",
        well: GRPC,
        asked: true,
        half: "the server closed the connection before its answer was whole",
        wrong: "the server does not speak HTTP/2 here",
    },
];

/// A greeting, that the login is well, and `SELECT 1`, in one go: nothing waits for what is asked.
const MYSQL: &[u8] =
    b"\x59\0\0\0\x0a5.5.5-10.11.6-MariaDB\0\x01\0\0\0abcdefgh\0\xfe\xf7\x21\x02\0\0\0\x15\
    \0\0\0\0\0\0\0\0\0\0ijklmnopqrst\0mysql_native_password\0\
    \x07\0\0\x02\0\0\0\x02\0\0\0\x07\0\0\x01\0\0\0\x02\0\0\0";

/// No TLS, nobody is asked for a password, and an answer without a row.
const PGSQL: &[u8] = b"NR\0\0\0\x08\0\0\0\0Z\0\0\0\x05IC\0\0\0\x0dSELECT 0\0Z\0\0\0\x05I";

/// Settings, the fields of an answer (`:status` 200, `content-type`), SERVING, and `grpc-status` 0.
const GRPC: &[u8] = b"\0\0\0\x04\0\0\0\0\0\
    \0\0\x14\x01\x04\0\0\0\x01\x88\x0f\x10\x10application/grpc\
    \0\0\x07\0\0\0\0\0\x01\0\0\0\0\x02\x08\x01\
    \0\0\x0f\x01\x05\0\0\0\x01\0\x0bgrpc-status\x010";

/// What a server does, and what the log says of it; empty: what each says itself.
const MOODS: &[(u8, &str, &str)] = &[
    (1, "nothing comes", "no answer within 1s"),
    (2, "half an answer, then silence", "no answer within 1s"),
    (3, "half an answer, then the end", ""),
    (4, "a wrong answer", ""),
    (5, "an endless answer", "_CHECK"),
    (6, "a reset", "(ECONNRESET)"),
];

fn answer(mut stream: TcpStream, kind: &Kind, mood: u8) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(3)))?;
    let mut bytes = [0; 256];
    let well = kind.well;
    // What is left unread would make a reset of the end.
    if kind.asked {
        let _ = stream.read(&mut bytes)?;
    }
    let half = well.get(..well.len() / 2).unwrap_or_default();
    match mood {
        0 => {
            stream.write_all(well)?;
            let _ = stream.read(&mut bytes)?;
        }
        1 => drop(
            stream
                .read(&mut bytes)
                .and_then(|_| stream.read(&mut bytes)),
        ),
        2 => {
            stream.write_all(half)?;
            drop(
                stream
                    .read(&mut bytes)
                    .and_then(|_| stream.read(&mut bytes)),
            );
        }
        3 => end_behind(&mut stream, half)?,
        4 => end_behind(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n")?,
        5 => {
            while stream
                .write_all(&[half.first().copied().unwrap_or(0); 4096])
                .is_ok()
            {}
        }
        _ => {
            stream.write_all(half)?;
            std::thread::sleep(Duration::from_millis(50));
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
        }
    }
    Ok(())
}

/// Says this and nothing more; what comes until the other end has seen that is read.
fn end_behind(stream: &mut TcpStream, said: &[u8]) -> std::io::Result<()> {
    stream.write_all(said)?;
    stream.shutdown(Shutdown::Write)?;
    let mut bytes = [0; 256];
    while stream.read(&mut bytes)? > 0 {}
    Ok(())
}

/// Serves on a port until the process of the case ends.
fn serve(listener: TcpListener, kind: &'static Kind, mood: Arc<AtomicU8>) {
    std::thread::spawn(move || {
        loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    let mood = mood.load(Ordering::SeqCst);
                    std::thread::spawn(move || answer(stream, kind, mood));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    });
}

pub(super) fn run(lab: &Lab) -> Outcome {
    let site = Site::new(lab)?;
    let mood = Arc::new(AtomicU8::new(0));
    let mut conf = String::new();
    let mut all = Vec::new();
    for kind in KINDS {
        let at = ("192.0.2.1", kind.port);
        let listener = site
            .host
            .within(|| TcpListener::bind(at))?
            .doing(kind.port)?;
        serve(listener, kind, Arc::clone(&mood));
        let user = match kind.check {
            "MYSQL_CHECK" | "PGSQL_CHECK" => "@vipd user vipd\n",
            _ => "",
        };
        let check = format!("@vipd {} {{\n{user}@vipd }}", kind.check);
        conf += &service(kind.port, &[kind.port], &check);
        all.push(format!("{0}>{0}*100", kind.port));
    }
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let mut daemon = site.start(lab, &conf)?;
    for (number, what, said) in MOODS {
        site.wait_pools(lab, "all are well", &all)?;
        let before = daemon.log().len();
        mood.store(*number, Ordering::SeqCst);
        site.wait_pools(lab, what, &[])?;
        let log = daemon.log();
        let log = log.get(before..).unwrap_or_default();
        for kind in KINDS {
            let said = match number {
                3 => kind.half,
                4 => kind.wrong,
                _ => said,
            };
            let told = log.lines().any(|line| {
                line.contains(&format!("{} on service", kind.check)) && line.contains(said)
            });
            ensure!(
                told,
                "{what}: the log says {said:?} of {}: {log}",
                kind.check
            );
        }
        mood.store(0, Ordering::SeqCst);
    }
    site.wait_pools(lab, "all are well at last", &all)?;
    let status = daemon.stop()?;
    ensure!(status.success(), "it stopped with {status}");
    Ok(())
}
