//! What checks cost: CPU of TCP checks beside keepalived and beside a bare loop that makes the same
//! connections, and how many connections are made where many virtual servers share their servers. In a
//! guest with IPVS, where one is measured at a time.

use std::collections::BTreeMap;
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
/// How long an idle guest is watched, and for how long system calls are counted.
const GLANCE: Duration = Duration::from_secs(5);
/// Ticks in a second (`getconf CLK_TCK`).
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

/// How busy the guest is. Its kernel counts the time of a process in ticks of 10 ms: what runs for a moment eight
/// times in each, in step with it, is found always or never. How long its one processor was idle it knows to the
/// microsecond.
struct Busy {
    began: Instant,
    idle: f64,
}

impl Busy {
    fn begin() -> Outcome<Busy> {
        let (began, idle) = (Instant::now(), idle()?);
        Ok(Busy { began, idle })
    }

    /// Share of the processor since then, in seconds of a second.
    fn share(&self) -> Outcome<f64> {
        Ok(1.0 - (idle()? - self.idle) / self.began.elapsed().as_secs_f64())
    }
}

/// Seconds for which the processor was idle: proc(5), `uptime`.
fn idle() -> Outcome<f64> {
    let text = std::fs::read_to_string("/proc/uptime").doing("/proc/uptime")?;
    let idle = text.split_whitespace().nth(1).ok_or("no idle time")?;
    idle.parse().doing(idle)
}

/// System calls of a process and its children for each connection they make, by name; none without strace.
fn calls(host: &Host, pid: i32, listener: &Listener) -> Outcome<Option<BTreeMap<String, f64>>> {
    let seconds = GLANCE.as_secs().to_string();
    let mut words = vec!["timeout", "-s", "INT", &seconds, "strace", "-f", "-c"];
    let pids: Vec<String> = tree(pid).iter().map(i32::to_string).collect();
    words.extend(pids.iter().flat_map(|pid| ["-p", pid.as_str()]));
    let taken = listener.taken();
    let mut strace = host.spawn("strace", &words)?;
    strace.wait(LOADED)?;
    let (made, log) = (listener.taken() - taken, strace.log());
    // `% time  seconds  usecs/call  calls  [errors]  syscall`
    let row = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (name, count) = (*fields.last()?, fields.get(3)?.parse::<f64>().ok()?);
        (name != "total").then(|| (name.to_owned(), count / made))
    };
    let calls: BTreeMap<String, f64> = log.lines().filter_map(row).collect();
    Ok((!calls.is_empty()).then_some(calls))
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

/// What was measured while all was well.
struct Measured {
    /// Share of a processor in percent, of the subject and of the kernel for it.
    percent: f64,
    /// Connections in a second.
    made: f64,
    /// System calls for each of them.
    calls: Option<BTreeMap<String, f64>>,
}

/// What the guest does by itself and what taking the connections costs is not counted.
fn measure(lab: &Lab, who: &str, size: &Size, accept: Duration) -> Outcome<Measured> {
    let net = Net::new(lab)?;
    let host = net.host(who)?;
    let listener = Listener::open(&host, false)?;
    let busy = Busy::begin()?;
    sleep(GLANCE);
    let nobody = busy.share()?;
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
    let (busy, taken) = (Busy::begin()?, listener.taken());
    sleep(WATCHED);
    let passed = busy.began.elapsed().as_secs_f64();
    let (share, made) = (busy.share()?, (listener.taken() - taken) / passed);
    let calls = calls(&host, subject.pid(), &listener)?;
    if let Subject::Daemon(daemon) = &subject {
        let gone = host.proc_net("ip_vs")?.matches("->").count();
        let wanted = size.services * size.servers;
        ensure!(gone > wanted, "{who} took servers out: {}", daemon.log());
    }
    drop(subject);
    net.demolish()?;
    Ok(Measured {
        percent: 100.0 * (share - nobody - made * accept.as_secs_f64()),
        made,
        calls,
    })
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
    let accept = {
        let net = Net::new(lab)?;
        let accept = connects::cost_of_taking(&net.host("listener")?)?;
        net.demolish()?;
        accept
    };
    let micros = accept.as_secs_f64() * 1e6;
    lab.note(format!(
        "{micros:.1} µs to take one connection, not counted"
    ));
    let subjects = ["vipd", "keepalived", "loop"];
    let rounds = usize::try_from(number(lab, "rounds", 5)?).unwrap_or_default();
    for round in 0..rounds {
        let mut cost = [0.0; 3];
        // The one that is first has the colder machine: they take turns.
        for turn in 0..subjects.len() {
            let at = (turn + round) % subjects.len();
            let who = subjects[at];
            let measured = measure(lab, who, &apart, accept)?;
            cost[at] = measured.percent;
            lab.sample("4000 TCP checks: CPU", who, "%", measured.percent);
            lab.sample("4000 TCP checks: connections", who, "1/s", measured.made);
            if let Some(calls) = measured.calls {
                let all = calls.values().sum();
                lab.sample("4000 TCP checks: system calls of each", who, "", all);
                lab.note(format!("{who}: {calls:.2?}"));
            }
        }
        for (at, who) in [(0, "vipd"), (1, "keepalived")] {
            let row = "4000 TCP checks: CPU, of the loop's";
            lab.sample(row, who, "times", cost[at] / cost[2]);
        }
        lab.note(format!("round {}: {cost:.1?} %", round + 1));
    }
    for who in ["vipd", "keepalived"] {
        let measured = measure(lab, who, &shared, accept)?;
        let (percent, made) = (measured.percent, measured.made);
        let row = "100 VIPs, the same 100 servers: connections";
        lab.sample(row, who, "1/s", made);
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
