//! What checks cost: CPU of TCP checks beside keepalived and beside a bare loop that makes the same
//! connections, and how many connections are made where many virtual servers share their servers. In a
//! guest with IPVS, where one is measured at a time.

use std::fmt::Write as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::connects::{self, Listener, PORT, address};
use super::{Late, monitor, number};
use crate::lab::check::{Doing as _, Outcome, ensure, wait_until};
use crate::lab::daemon::{Daemon, Kind};
use crate::lab::net::{Host, Net};
use crate::lab::process::{Process, tree};
use crate::lab::{Case, Lab};

pub(super) const CASE: Case = Case {
    name: "checks",
    proves: "what thousands of checks cost, and that equal ones are one",
    limit: Duration::from_secs(3 * 3600),
    run,
};

/// `delay_loop`.
const LOOP: Duration = Duration::from_secs(5);
const WATCHED: Duration = Duration::from_secs(20);
const LOADED: Duration = Duration::from_secs(60);
/// Ticks of the guest in a second (`getconf CLK_TCK`).
const TICKS: f64 = 100.0;

/// So many virtual servers with so many servers each; `shared`: the same ones.
pub(super) struct Size {
    pub(super) services: usize,
    pub(super) servers: usize,
    pub(super) shared: bool,
}

impl Size {
    /// All with this check; `interval` lies between two.
    pub(super) fn conf(&self, check: &str, interval: Duration) -> String {
        let mut text = String::new();
        for service in 0..self.services {
            let (high, low) = (service / 250, service % 250);
            let _ = writeln!(
                text,
                "virtual_server 10.{high}.{low}.1 80 {{\n delay_loop {}\n lb_algo wlc\n lb_kind NAT\n protocol TCP",
                interval.as_secs()
            );
            for server in 0..self.servers {
                let number = match self.shared {
                    true => server,
                    false => service * self.servers + server,
                };
                let _ = writeln!(
                    text,
                    " real_server {} {PORT} {{\n {check}\n }}",
                    address(number)
                );
            }
            text.push_str("}\n");
        }
        text
    }
}

pub(super) const TCP: &str = "TCP_CHECK {\n connect_timeout 3\n }";

/// Who is measured.
enum Subject {
    Daemon(Daemon),
    Loop(Process),
}

impl Subject {
    fn pid(&self) -> i32 {
        match self {
            Subject::Daemon(daemon) => daemon.pid(),
            Subject::Loop(process) => process.pid(),
        }
    }
}

/// Seconds of CPU that a process and its children have used.
fn cpu(root: i32) -> f64 {
    let ticks = tree(root).into_iter().filter_map(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<f64>().ok();
        Some(number(11)? + number(12)?)
    });
    ticks.sum::<f64>() / TICKS
}

/// Waits until as many servers are in the table.
pub(super) fn wait_programmed(host: &Host, size: &Size) -> Outcome {
    let wanted = size.services * size.servers;
    wait_until("every server is in the table", LOADED, || {
        let table = host.proc_net("ip_vs")?;
        Ok(table.matches("->").count() > wanted)
    })
    .map(drop)
}

/// Share of a CPU, and connections in a second, while all is well.
fn measure(lab: &Lab, who: &str, size: &Size) -> Outcome<(f64, f64)> {
    let net = Net::new(lab)?;
    let host = net.host(who)?;
    let listener = Listener::open(&host, false)?;
    let subject = match who {
        "loop" => {
            let own = std::env::current_exe()?.display().to_string();
            let count = (size.services * size.servers).to_string();
            let words = [own.as_str(), "bench", "role", "loop", &count, "5", "3600"];
            Subject::Loop(host.spawn(who, &words)?)
        }
        kind => {
            let kind = if kind == "vipd" {
                Kind::Vipd
            } else {
                Kind::Keepalived
            };
            let daemon = Daemon::start(kind, &host, &size.conf(TCP, LOOP))?;
            wait_programmed(&host, size)?;
            Subject::Daemon(daemon)
        }
    };
    // Past the first checks; a program takes its time to begin in a guest that is busy.
    let servers = match size.shared {
        true => size.servers,
        false => size.services * size.servers,
    };
    let servers = f64::from(u32::try_from(servers).unwrap_or(u32::MAX));
    wait_until("every server was asked once", LOADED, || {
        Ok(listener.taken() >= servers)
    })?;
    sleep(LOOP);
    let (began, before, taken) = (Instant::now(), cpu(subject.pid()), listener.taken());
    sleep(WATCHED);
    let passed = began.elapsed().as_secs_f64();
    let (used, made) = (cpu(subject.pid()) - before, listener.taken() - taken);
    if let Subject::Daemon(daemon) = &subject {
        let gone = host.proc_net("ip_vs")?.matches("->").count();
        let wanted = size.services * size.servers;
        ensure!(gone > wanted, "{who} took servers out: {}", daemon.log());
    }
    drop(subject);
    net.demolish()?;
    Ok((100.0 * used / passed, made / passed))
}

/// `loop|monitor COUNT INTERVAL SECONDS`: prints how late it was, in microseconds: the median, of 99 in 100,
/// the worst.
pub(super) fn role(words: &[&str]) -> Outcome {
    let [who, count, interval, lasts] = words else {
        return Err("who, how many, how often and how long?".into());
    };
    let seconds = |word: &str| word.parse().map(Duration::from_secs).doing(word);
    let (count, interval, lasts) = (
        count.parse().doing(count)?,
        seconds(interval)?,
        seconds(lasts)?,
    );
    let late = Late::of(match *who {
        "loop" => connects::connect_for(count, interval, lasts)?,
        _ => monitor::check_for(count.into(), interval, lasts)?,
    });
    let shares = [500, 990, 1000].map(|share| late.share(share).as_micros());
    println!("late: {} {} {}", shares[0], shares[1], shares[2]);
    Ok(())
}

fn run(lab: &Lab) -> Outcome {
    let apart = Size {
        services: 250,
        servers: 16,
        shared: false,
    };
    let shared = Size {
        services: 100,
        servers: 100,
        shared: true,
    };
    let subjects = ["vipd", "keepalived", "loop"];
    let rounds = usize::try_from(number(lab, "rounds", 5)?).unwrap_or_default();
    for round in 0..rounds {
        let mut cost = [0.0; 3];
        // The one that is first has the colder machine: they take turns.
        for turn in 0..subjects.len() {
            let at = (turn + round) % subjects.len();
            let (percent, made) = measure(lab, subjects[at], &apart)?;
            cost[at] = percent;
            lab.sample("4000 TCP checks: CPU", subjects[at], "%", percent);
            lab.sample("4000 TCP checks: connections", subjects[at], "1/s", made);
        }
        lab.sample(
            "4000 TCP checks: CPU, of the loop's",
            "vipd",
            "times",
            cost[0] / cost[2],
        );
        lab.sample(
            "4000 TCP checks: CPU, of the loop's",
            "keepalived",
            "times",
            cost[1] / cost[2],
        );
        lab.note(format!("round {}: {cost:.1?} %", round + 1));
    }
    for who in ["vipd", "keepalived"] {
        let (percent, made) = measure(lab, who, &shared)?;
        lab.sample(
            "100 VIPs, the same 100 servers: connections",
            who,
            "1/s",
            made,
        );
        lab.sample("100 VIPs, the same 100 servers: CPU", who, "%", percent);
    }
    Ok(())
}

pub(super) const ALONE: Case = Case {
    name: "checks_alone",
    proves: "what ten thousand checks cost on this machine, and how late they are",
    limit: Duration::from_secs(3600),
    run: run_alone,
};

const MANY: &str = "10000";

/// 10,000 TCP checks every 5 s, and the bare loop with as many connections; in turns.
fn run_alone(lab: &Lab) -> Outcome {
    let net = Net::new(lab)?;
    let host = net.host("checks")?;
    let _listener = Listener::open(&host, false)?;
    let own = std::env::current_exe()?.display().to_string();
    for _ in 0..number(lab, "rounds", 5)? {
        for (role, who) in [("monitor", "vipd"), ("loop", "loop")] {
            let lasts = (LOOP * 2 + WATCHED).as_secs().to_string();
            let words = [own.as_str(), "bench", "role", role, MANY, "5", &lasts];
            let mut process = host.spawn(who, &words)?;
            sleep(LOOP + Duration::from_secs(2));
            let (began, before) = (Instant::now(), cpu(process.pid()));
            sleep(WATCHED);
            let used = cpu(process.pid()) - before;
            let percent = 100.0 * used / began.elapsed().as_secs_f64();
            let status = process.wait(LOADED)?;
            ensure!(status.success(), "{who}: {}", process.log());
            lab.sample("10,000 TCP checks on the host: CPU", who, "%", percent);
            let log = process.log();
            let late = log
                .lines()
                .rev()
                .find_map(|line| line.strip_prefix("late: "));
            let late = late.ok_or("it does not say how late it was")?.split(' ');
            for (name, micros) in ["p50", "p99", "max"].iter().zip(late) {
                let ms = micros.parse::<f64>().doing(micros)? / 1e3;
                let row = format!("10,000 TCP checks on the host: late, {name}");
                lab.sample(&row, who, "ms", ms);
            }
        }
    }
    Ok(())
}
