//! Servers that come and go, and when each daemon sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::servers::{Mood, Servers};
use crate::lab::Lab;
use crate::lab::check::{Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::{Daemon, Kind};
use crate::lab::net::{Host, Net};

/// `delay_loop`, in seconds.
const LOOP: u64 = 2;
/// What one guest adds that is busy with two daemons.
const SLACK: Duration = Duration::from_millis(1200);
/// How often the guest is asked how late everything is.
const PULSE: Duration = Duration::from_millis(400);
/// Until both have seen it.
const SEEN: Duration = Duration::from_secs(40);
/// What has not changed for a check and its retry stays.
const CALM: Duration = Duration::from_millis(3500);

/// Port of the server, the check, and how often the server comes and goes in all of [`STEPS`].
const CHECKS: &[(u16, &str, usize)] = &[
    (
        8001,
        "UDP_CHECK {\n payload 68656c6c6f\n require_reply 61XX63\n connect_timeout 1\n }",
        6,
    ),
    (8002, "UDP_CHECK {\n connect_timeout 1\n }", 3),
    (
        8053,
        "DNS_CHECK {\n type A\n name www.example.org\n connect_timeout 1\n retry 0\n delay_before_retry 1\n }",
        6,
    ),
    (
        8025,
        "SMTP_CHECK {\n connect_timeout 1\n helo_name lab.example.org\n }",
        6,
    ),
    (8080, "TCP_CHECK {\n connect_timeout 1\n }", 3),
    (
        8081,
        "HTTP_GET {\n connect_timeout 1\n delay_before_retry 1\n url {\n path /x\n }\n }",
        6,
    ),
    (
        8091,
        "MISC_CHECK {\n misc_path \"STATUS\"\n misc_timeout 1\n }",
        6,
    ),
    (
        8099,
        "PING_CHECK {\n connect_ip 192.0.2.77\n connect_timeout 1\n }",
        3,
    ),
];

fn conf(status: &str) -> String {
    let mut text = "global_defs {\n script_user root\n}\n".to_owned();
    for (port, check, _) in CHECKS {
        let check = check.replace("STATUS", status);
        text += &format!(
            "virtual_server 192.0.2.200 {port} {{\n delay_loop {LOOP}\n warmup 0\n lb_algo wlc\n \
             lb_kind NAT\n protocol TCP\n real_server 192.0.2.1 {port} {{\n {check}\n }}\n}}\n"
        );
    }
    text
}

/// A server came into the pool or left it.
type Change = (Instant, u16, bool);

struct Site {
    host: Host,
    daemon: Daemon,
    servers: Option<Servers>,
    status: String,
    changes: Arc<Mutex<Vec<Change>>>,
    ended: Arc<AtomicBool>,
    watcher: Option<JoinHandle<()>>,
}

impl Site {
    fn new(lab: &Lab, net: &Net<'_>, name: &str, kind: Kind) -> Outcome<Self> {
        let lan = net.segment(&format!("{name}-l"))?;
        let host = net.host(name)?;
        net.plug(&host, "eth0", &lan, &["192.0.2.1/24", "192.0.2.77/24"])?;
        let servers = Some(Servers::start(&host)?);
        let status = lab.dir().join(format!("{name}.status"));
        let status = status.display().to_string();
        std::fs::write(&status, "exit 0\n")?;
        let (changes, ended) = (Arc::<Mutex<Vec<Change>>>::default(), Arc::default());
        let watcher = watch(&host, &changes, &ended);
        let compat: &[&str] = match kind {
            Kind::Keepalived => &[],
            Kind::Vipd => &["--compat", "keepalived"],
        };
        let conf = conf(&format!("/bin/sh {status}"));
        Ok(Self {
            daemon: Daemon::start_with(kind, &host, &conf, compat)?,
            host,
            servers,
            status,
            changes,
            ended,
            watcher: Some(watcher),
        })
    }

    fn set(&self, mood: Mood) -> Outcome {
        self.servers.iter().for_each(|servers| servers.set(mood));
        let text = match mood {
            Mood::Well => "exit 0\n",
            Mood::Silent => "exec sleep 30\n",
            Mood::Wrong => "exit 1\n",
        };
        Ok(std::fs::write(&self.status, text)?)
    }

    /// Ports whose server is in its pool.
    fn pooled(&self) -> Vec<u16> {
        let changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut last = BTreeMap::new();
        last.extend(changes.iter().map(|(_, port, up)| (*port, *up)));
        last.retain(|_, up| *up);
        last.into_keys().collect()
    }

    /// What became of the server with this port, and when.
    fn story(&self, port: u16) -> Vec<(Instant, bool)> {
        let changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let of = changes.iter().filter(|change| change.1 == port);
        of.map(|(at, _, up)| (*at, *up)).collect()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        if let Some(watcher) = self.watcher.take() {
            let _ = watcher.join();
        }
    }
}

/// Notes each change of the pools, as /proc/net/ip_vs shows them.
fn watch(
    host: &Host,
    changes: &Arc<Mutex<Vec<Change>>>,
    ended: &Arc<AtomicBool>,
) -> JoinHandle<()> {
    let (host, changes, ended) = (host.clone(), Arc::clone(changes), Arc::clone(ended));
    std::thread::spawn(move || {
        let mut last = BTreeSet::new();
        while !ended.load(Ordering::SeqCst) {
            let table = host.proc_net("ip_vs").unwrap_or_default();
            let servers = table.lines().filter_map(|line| {
                let address = line.trim_start().strip_prefix("-> C0000201:")?;
                u16::from_str_radix(address.split_whitespace().next()?, 16).ok()
            });
            let now: BTreeSet<u16> = servers.collect();
            let at = Instant::now();
            let mut changes = changes.lock().unwrap_or_else(PoisonError::into_inner);
            changes.extend(now.difference(&last).map(|port| (at, *port, true)));
            changes.extend(last.difference(&now).map(|port| (at, *port, false)));
            drop(changes);
            last = now;
            std::thread::sleep(Duration::from_millis(25));
        }
    })
}

/// A check that is nobody's: how late it comes, at the most, is what the guest and this machine add.
struct Bare {
    late: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
}

impl Bare {
    /// As a `MISC_CHECK` does, it waits, and starts a shell.
    fn start(host: &Host) -> Bare {
        let bare = Bare {
            late: Arc::default(),
            ended: Arc::default(),
        };
        let (host, late, ended) = (
            host.clone(),
            Arc::clone(&bare.late),
            Arc::clone(&bare.ended),
        );
        std::thread::spawn(move || {
            while !ended.load(Ordering::SeqCst) {
                let began = Instant::now();
                std::thread::sleep(PULSE);
                let _ = host.try_run(&["/bin/sh", "-c", "exit 0"]);
                let took = began.elapsed().saturating_sub(PULSE).as_millis();
                late.fetch_max(u64::try_from(took).unwrap_or(u64::MAX), Ordering::SeqCst);
            }
        });
        bare
    }

    fn late(&self) -> Duration {
        Duration::from_millis(self.late.load(Ordering::SeqCst))
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
    }
}

/// Something that is done to both sites at once, and the ports whose servers are well then.
type Step = (fn(&mut Site) -> Outcome, &'static [u16]);

const ALL: &[u16] = &[8001, 8002, 8025, 8053, 8080, 8081, 8091, 8099];
/// Those that only see whether anybody is there.
const PRESENT: &[u16] = &[8002, 8080, 8099];

const STEPS: &[Step] = &[
    (|_| Ok(()), ALL),
    (|site| site.set(Mood::Silent), PRESENT),
    (|site| site.set(Mood::Well), ALL),
    (|site| site.set(Mood::Wrong), PRESENT),
    // Straight from one trouble to the next, in which more fail.
    (
        |site| {
            site.servers = None;
            site.host.ip("addr del 192.0.2.77/24 dev eth0\n")
        },
        &[],
    ),
    (
        |site| {
            site.servers = Some(Servers::start(&site.host)?);
            site.set(Mood::Well)?;
            site.host.ip("addr add 192.0.2.77/24 dev eth0\n")
        },
        ALL,
    ),
    (|site| site.set(Mood::Wrong), PRESENT),
];

pub(super) fn run(lab: &Lab) -> Outcome {
    let net = Net::new(lab)?;
    let mut reference = Site::new(lab, &net, "keepalived", Kind::Keepalived)?;
    let mut subject = Site::new(lab, &net, "subject", lab.subject())?;
    let bare = Bare::start(&subject.host);
    for (number, (act, wanted)) in STEPS.iter().enumerate() {
        act(&mut reference)?;
        act(&mut subject)?;
        for site in [&reference, &subject] {
            let seen = || Ok(site.pooled() == *wanted);
            if wait_until("it was seen", SEEN, seen).is_err() {
                let kind = site.daemon.kind().name();
                ensure_eq!(site.pooled(), *wanted, "pools of {kind} in step {number}");
            }
        }
        std::thread::sleep(CALM);
    }
    // A server that fails is asked twice before it leaves.
    let late = bare.late() * 2;
    let mut worst = BTreeMap::new();
    for (port, check, times) in CHECKS {
        let (expected, found) = (reference.story(*port), subject.story(*port));
        let ups = |story: &[(Instant, bool)]| story.iter().map(|(_, up)| *up).collect::<Vec<_>>();
        let name = check.split_whitespace().next().unwrap_or_default();
        ensure_eq!(ups(&found), ups(&expected), "{name} on {port}: up and down");
        ensure_eq!(expected.len(), *times, "{name} on {port}: changes");
        // The start apart: each daemon takes its own time to read its file.
        for (ours, theirs) in found.iter().zip(&expected).skip(1) {
            let apart = ours.0.max(theirs.0) - ours.0.min(theirs.0);
            let worst = worst.entry(name).or_insert(Duration::ZERO);
            *worst = apart.max(*worst);
            let limit = Duration::from_secs(LOOP) + SLACK + late;
            ensure!(
                apart <= limit,
                "{name} on {port}: a change to {} came {apart:?} apart, at most {limit:?}",
                if ours.1 { "up" } else { "down" }
            );
        }
    }
    lab.note(format!(
        "the largest distance of two changes: {worst:?}; a bare check is late by {:?}",
        bare.late()
    ));
    for site in [&mut reference, &mut subject] {
        let status = site.daemon.stop()?;
        ensure!(status.success(), "it stopped with {status}");
    }
    Ok(())
}
