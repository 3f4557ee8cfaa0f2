//! How late adverts are, by the kernel's times of the packets: while every CPU is busy, and while a
//! large configuration is read again and again. Both daemons run at the same time.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::sleeper::Sleeper;
use super::{Late, load, number};
use crate::lab::check::{Outcome, ensure, wait_until};
use crate::lab::daemon::{Daemon, Kind};
use crate::lab::net::{Host, Net, Port};
use crate::lab::process::Process;
use crate::lab::wire::Capture;
use crate::lab::{Case, Lab};

pub(super) const CASE: Case = Case {
    name: "jitter",
    proves: "how late adverts are while the machine, or the daemon, is busy",
    limit: Duration::from_secs(3 * 3600),
    run,
};

const INTERVAL: Duration = Duration::from_millis(20);
/// Each with this many servers: 10,000 together.
const VIRTUAL_SERVERS: usize = 625;
const REAL_SERVERS: usize = 16;
const RELOAD_EVERY: Duration = Duration::from_secs(1);
const VIP: &str = "192.0.2.100";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Burden {
    Busy,
    Reload,
}

/// One master, alone on its segment.
struct Master<'a> {
    kind: Kind,
    net: Net<'a>,
    host: Host,
    port: Port,
    file: PathBuf,
    process: Process,
}

impl<'a> Master<'a> {
    /// Only VRRP (-P): there need be no IPVS here, and none of its work is measured.
    fn start(lab: &'a Lab, kind: Kind, conf: &str) -> Outcome<Self> {
        let net = Net::with_switch(lab, &format!("{}-switch", kind.name()))?;
        let segment = net.segment("lan")?;
        let host = net.host(&format!("{}-master", kind.name()))?;
        let port = net.plug(&host, "eth0", &segment, &["192.0.2.1/24"])?;
        let dir = lab.dir().join(kind.name());
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir)?;
        let file = dir.join("daemon.conf");
        fs::write(&file, conf)?;
        let mut words = Daemon::command_line(kind, &file);
        words.push("-P".to_owned());
        let argv: Vec<&str> = words.iter().map(String::as_str).collect();
        let process = host.spawn(kind.name(), &argv)?;
        let master = Self {
            kind,
            net,
            host,
            port,
            file,
            process,
        };
        let vip: std::net::Ipv4Addr = VIP.parse().map_err(|_| "an address")?;
        wait_until("it is master", Duration::from_secs(20), || {
            master.host.owns(vip)
        })?;
        Ok(master)
    }
}

/// `stamp` makes a file another one.
fn conf(burden: Burden, real_time: bool, stamp: usize) -> String {
    let mut text = String::from("global_defs {\n    vrrp_garp_master_delay 0\n");
    if real_time {
        // Reading a large file takes longer than the 10 ms that keepalived gives to such a thread unless
        // it is told.
        text.push_str("    vrrp_rt_priority 50\n    vrrp_rlimit_rttime 5000000\n");
    }
    let _ = write!(
        text,
        "}}\nvrrp_instance V {{\n    interface eth0\n    virtual_router_id 51\n    version 3\n    \
         priority 150\n    advert_int {}\n    virtual_ipaddress {{\n        {VIP}\n    }}\n}}\n",
        INTERVAL.as_secs_f64()
    );
    if burden == Burden::Busy {
        return text;
    }
    for service in 0..VIRTUAL_SERVERS {
        let (high, low) = (service / 256, service % 256);
        let _ = writeln!(
            text,
            "virtual_server 10.{high}.{low}.1 80 {{\n    delay_loop 5\n    lb_algo wrr\n    lb_kind NAT\n    \
             protocol TCP"
        );
        for server in 1..=REAL_SERVERS {
            // Half of them are others each time.
            let weight = if server % 2 == 0 { 1 } else { 1 + stamp % 100 };
            let _ = writeln!(
                text,
                "    real_server 172.{}.{low}.{server} 80 {{\n        weight {weight}\n        TCP_CHECK {{\n            \
                 connect_timeout 3\n        }}\n    }}",
                16 + high
            );
        }
        text.push_str("}\n");
    }
    text
}

fn run(lab: &Lab) -> Outcome {
    let rounds = number(lab, "rounds", 5)?;
    let period = Duration::from_secs(number(lab, "seconds", 20)?.into());
    for _ in 0..rounds {
        for burden in [Burden::Busy, Burden::Reload] {
            for real_time in [false, true] {
                stage(lab, burden, real_time, period)?;
            }
        }
    }
    Ok(())
}

fn stage(lab: &Lab, burden: Burden, real_time: bool, period: Duration) -> Outcome {
    let text = conf(burden, real_time, 0);
    let mut masters = Vec::new();
    for kind in [Kind::Vipd, Kind::Keepalived] {
        masters.push(Master::start(lab, kind, &text)?);
    }
    sleep(Duration::from_secs(1));
    let mut captures = Vec::new();
    for master in &masters {
        captures.push(Capture::at(&master.port)?);
    }
    let began = Instant::now();
    let sleeper = Sleeper::start();
    match (burden, masters.first()) {
        (Burden::Busy, Some(master)) => {
            let busy = load::every_cpu(&master.host)?;
            sleep(period);
            drop(busy);
        }
        _ => reload_for(&masters, real_time, period)?,
    }
    let bare = sleeper.late();
    let expected = began.elapsed().div_duration_f64(INTERVAL);
    let what = match burden {
        Burden::Busy => "both cores busy",
        Burden::Reload => "reload of 10,000 servers",
    };
    let row = format!("{what}, {}", if real_time { "rt 50" } else { "plain" });
    for (master, capture) in masters.iter().zip(captures) {
        let times: Vec<Duration> = capture.adverts().into_iter().map(|(f, _)| f.at).collect();
        ensure!(times.len() > 10, "{} sent no adverts", master.kind.name());
        Late::beyond(INTERVAL, &times).sample(lab, &row, master.kind.name());
        let missing = 100.0 * (1.0 - f64::from(u32::try_from(times.len()).unwrap_or(0)) / expected);
        let missing_row = format!("{row}, adverts not sent");
        lab.sample(&missing_row, master.kind.name(), "%", missing.max(0.0));
    }
    bare.sample(lab, &row, "sleeper");
    let nets: Vec<Net<'_>> = masters.into_iter().map(|master| master.net).collect();
    // The first takes the names of all away.
    nets.into_iter().next().map_or(Ok(()), Net::demolish)
}

/// HUP to one after the other, each time with another file.
fn reload_for(masters: &[Master<'_>], real_time: bool, period: Duration) -> Outcome {
    let began = Instant::now();
    let mut stamp = 0;
    while began.elapsed() < period {
        stamp += 1;
        let text = conf(Burden::Reload, real_time, stamp);
        for master in masters {
            // The writing is not the daemon's work.
            fs::write(&master.file, &text)?;
            sleep(RELOAD_EVERY / 10);
            master.process.signal(libc::SIGHUP)?;
            sleep(RELOAD_EVERY * 9 / 10);
        }
    }
    Ok(())
}
