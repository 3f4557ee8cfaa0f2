//! How late adverts are while 1000 requests a second are answered on the control socket and the page, and
//! without them; a bare sleeper beside both.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use super::sleeper::Sleeper;
use super::{Late, number};
use crate::lab::check::{Outcome, ensure, wait_until};
use crate::lab::daemon::{Daemon, Kind};
use crate::lab::net::Net;
use crate::lab::wire::Capture;
use crate::lab::{Case, Lab};

pub(super) const CASE: Case = Case {
    name: "page",
    proves: "how late adverts are while a thousand requests a second are answered",
    limit: Duration::from_secs(3 * 3600),
    run,
};

const INTERVAL: Duration = Duration::from_millis(20);
const PAGE: &str = "192.0.2.1:9165";
const VIP: &str = "192.0.2.100";
/// What is asked, one after the other.
const PATHS: [&str; 5] = [
    "/v1/status?traffic=true",
    "/metrics",
    "/v1/events?after=0",
    "/healthz",
    "/v1/status",
];
/// Connections of each kind, and how often each asks: together 1000 a second.
const CONNECTIONS: u64 = 4;
const EVERY: Duration = Duration::from_millis(8);

fn run(lab: &Lab) -> Outcome {
    let rounds = number(lab, "rounds", 3)?;
    let period = Duration::from_secs(number(lab, "seconds", 60)?.into());
    for _ in 0..rounds {
        for asked in [false, true] {
            stage(lab, asked, period)?;
        }
    }
    Ok(())
}

fn stage(lab: &Lab, asked: bool, period: Duration) -> Outcome {
    let net = Net::new(lab)?;
    let segment = net.segment("lan")?;
    let (host, client) = (net.host("master")?, net.host("client")?);
    let port = net.plug(&host, "eth0", &segment, &["192.0.2.1/24"])?;
    net.plug(&client, "eth0", &segment, &["192.0.2.10/24"])?;
    let conf = format!(
        "global_defs {{\n    vrrp_garp_master_delay 0\n    @vipd page_listen {PAGE}\n}}\nvrrp_instance V {{\n    \
         interface eth0\n    virtual_router_id 51\n    version 3\n    priority 150\n    advert_int {}\n    \
         virtual_ipaddress {{\n        {VIP}\n    }}\n}}\n",
        INTERVAL.as_secs_f64()
    );
    let mut daemon = Daemon::start(Kind::Vipd, &host, &conf)?;
    let vip: std::net::Ipv4Addr = VIP.parse().map_err(|_| "an address")?;
    wait_until("it is master", Duration::from_secs(20), || host.owns(vip))?;
    sleep(Duration::from_secs(1));
    let page: SocketAddr = PAGE.parse().map_err(|_| "an address")?;
    let socket = daemon.file().with_file_name("run").join("control.sock");
    let (end, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
    let mut askers = Vec::new();
    for _ in 0..if asked { CONNECTIONS } else { 0 } {
        let (end, answered) = (Arc::clone(&end), Arc::clone(&answered));
        let stream = UnixStream::connect(&socket)?;
        askers.push(thread::spawn(move || ask(stream, &end, &answered)));
    }
    for _ in 0..if asked { CONNECTIONS } else { 0 } {
        let (end, answered) = (Arc::clone(&end), Arc::clone(&answered));
        let stream = client.within(|| TcpStream::connect(page))??;
        stream.set_nodelay(true)?;
        askers.push(thread::spawn(move || ask(stream, &end, &answered)));
    }
    let capture = Capture::at(&port)?;
    let began = Instant::now();
    let sleeper = Sleeper::start();
    let (before, cpu) = (answered.load(Ordering::Relaxed), used(daemon.pid())?);
    sleep(period);
    let bare = sleeper.late();
    let took = began.elapsed();
    let count = answered.load(Ordering::Relaxed) - before;
    let cpu = used(daemon.pid())?.saturating_sub(cpu);
    end.store(true, Ordering::Relaxed);
    for asker in askers {
        asker.join().map_err(|_| "a client panicked")??;
    }
    let times: Vec<Duration> = capture
        .adverts()
        .into_iter()
        .map(|(frame, _)| frame.at)
        .collect();
    ensure!(times.len() > 10, "no adverts were sent");
    let row = if asked {
        "1000 requests a second"
    } else {
        "no requests"
    };
    Late::beyond(INTERVAL, &times).sample(lab, row, "vipd");
    bare.sample(lab, row, "sleeper");
    let per_second = f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / took.as_secs_f64();
    lab.sample(&format!("{row}, answered"), "vipd", "1/s", per_second);
    let share = 100.0 * cpu.as_secs_f64() / took.as_secs_f64();
    lab.sample(&format!("{row}, CPU"), "vipd", "%", share);
    daemon.stop()?;
    net.demolish()
}

/// CPU time of a process (proc_pid_stat(5)), at 100 ticks in a second.
fn used(pid: i32) -> Outcome<Duration> {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"))?;
    let rest = stat.rsplit(')').next().unwrap_or_default();
    let mut fields = rest.split_whitespace().skip(11);
    let mut ticks = || {
        fields
            .next()
            .and_then(|field| field.parse::<u64>().ok())
            .unwrap_or(0)
    };
    Ok(Duration::from_millis((ticks() + ticks()) * 10))
}

/// Asks at its times, and reads each answer to its end.
fn ask<S: Read + Write>(mut stream: S, end: &AtomicBool, answered: &AtomicU64) -> Outcome {
    let began = Instant::now();
    let mut buffer = vec![0; 1 << 16];
    for (path, turn) in PATHS.iter().cycle().zip(1u32..) {
        if end.load(Ordering::Relaxed) {
            return Ok(());
        }
        write!(stream, "GET {path} HTTP/1.1\r\nHost: vipd\r\n\r\n")?;
        let mut text = Vec::new();
        while !is_whole(&text) {
            let read = stream.read(&mut buffer)?;
            ensure!(read > 0, "the connection was closed");
            text.extend_from_slice(buffer.get(..read).unwrap_or_default());
        }
        ensure!(
            text.starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&text)
        );
        answered.fetch_add(1, Ordering::Relaxed);
        // One that comes late is made up for.
        sleep((EVERY * turn).saturating_sub(began.elapsed()));
    }
    Ok(())
}

/// Whether an answer has come to its end: by its length, or by its last chunk.
fn is_whole(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    match length.and_then(|length| length.parse::<usize>().ok()) {
        Some(length) => body.len() >= length,
        None => body == "0\r\n\r\n" || body.ends_with("\r\n0\r\n\r\n"),
    }
}
