//! Tracked processes as the kernel tells of them (the process connector), which it does in the first namespaces
//! of the machine only: vipd begins there and lives in a network namespace of its own.

use std::fs;
use std::time::{Duration, Instant};

use crate::cases::daemon::only_vipd;
use crate::cases::scene::{ELECTION, Instance, Lan};
use crate::lab::check::{Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::{Daemon, Kind};
use crate::lab::net::Host;
use crate::lab::process::Process;
use crate::lab::wire::Capture;
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[Case {
    name: "track.events",
    proves: "begun outside of its net_namespace, vipd hears at once of every start, fork, exec and end of a \
             tracked process, with quorum and fork_delay",
    limit: Duration::from_secs(90),
    run: events,
}];

const LIMIT: Duration = Duration::from_secs(15);
/// /proc would be looked at every second.
const AT_ONCE: Duration = Duration::from_millis(300);

/// A process whose log is looked at.
struct Watched<'a>(&'a Process);

impl Watched<'_> {
    fn said(&self, phrase: &str) -> usize {
        self.0.log().matches(phrase).count()
    }

    /// Waits for the quorum of a tracker to be `gained` or `lost` once more than `before`.
    fn hears(&self, what: &str, tracker: &str, before: usize) -> Outcome<Duration> {
        let phrase = format!("Quorum {what} for tracked process {tracker}");
        let begun = Instant::now();
        wait_until(format!("{phrase} ({before} before)"), LIMIT, || {
            Ok(self.said(&phrase) > before)
        })?;
        Ok(begun.elapsed())
    }
}

fn events(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let here = Host::here(lab)?;
    let lan = Lan::new(lab)?;
    let router = lan.router("router", 1, lab.subject())?;
    let program = |from: &str, name: &str| -> Outcome<String> {
        let path = lab.dir().join(name);
        fs::copy(from, &path)?;
        Ok(path.display().to_string())
    };
    // Names of their own: whatever else runs on this machine does not count.
    let sleeper = program("/usr/bin/sleep", "events-sleep")?;
    let shell = program("/bin/sh", "events-shell")?;
    let tracker = |name: &str, weight: u8, lines: &str| {
        format!("vrrp_track_process {name} {{\n    weight {weight}\n    {lines}\n}}\n")
    };
    let instance = Instance {
        priority: 100,
        lines: "track_process {\n    one\n    two\n    late\n    }",
        unicast: None,
    };
    let conf = [
        "net_namespace router\n".to_owned(),
        tracker("one", 10, "process events-sleep"),
        tracker("two", 20, "process events-shell\n    quorum 2"),
        tracker(
            "late",
            40,
            "process events-shell\n    quorum 2\n    fork_delay 2",
        ),
        instance.text(),
    ]
    .concat();
    let file = lab.dir().join("daemon.conf");
    fs::write(&file, conf)?;
    // Bounded, whatever becomes of this test: it is among the machine's processes.
    let bounded = ["timeout", "-s", "KILL", "80"].map(str::to_owned);
    let words = [&bounded[..], &Daemon::command_line(Kind::Vipd, &file)].concat();
    let argv: Vec<&str> = words.iter().map(String::as_str).collect();
    let wire = Capture::at(&router.port)?;
    let daemon = here.spawn("vipd", &argv)?;
    let vipd = Watched(&daemon);
    wait_until("it is master", ELECTION, || router.has_vip())?;
    ensure_eq!(vipd.said("does not tell of processes"), 0, "complaints");
    let run = |name: &str, argv: &[&str]| here.spawn(name, argv);

    // At the start none ran: each quorum was lost once.
    let mut slowest = Duration::ZERO;
    for round in 0..5 {
        let mut one = run("one", &[&sleeper, "80"])?;
        slowest = slowest.max(vipd.hears("gained", "one", round)?);
        one.kill()?;
        slowest = slowest.max(vipd.hears("lost", "one", 1 + round)?);
    }
    // A fork alone makes two of one; then one of them becomes another program.
    let script = format!("(sleep 60; :) & sleep 3; exec {sleeper} 80");
    let begun = Instant::now();
    let mut shells = run("shells", &[&shell, "-c", &script])?;
    slowest = slowest.max(vipd.hears("gained", "two", 0)?);
    vipd.hears("gained", "late", 0)?;
    let delayed = begun.elapsed();
    vipd.hears("gained", "one", 5)?;
    let became = begun.elapsed();
    slowest = slowest.max(vipd.hears("lost", "two", 1)?);
    lab.note(format!(
        "slowest of all: {slowest:.1?}; fork_delay {delayed:.2?}; exec after {became:.2?}"
    ));
    let about = |seconds: u64| {
        let exact = Duration::from_secs(seconds);
        exact - Duration::from_millis(100)..exact + 2 * AT_ONCE
    };
    ensure!(about(2).contains(&delayed), "fork_delay 2 was {delayed:?}");
    ensure!(
        about(3).contains(&became),
        "exec was heard of after {became:?}"
    );
    ensure!(slowest < AT_ONCE, "it was heard of only after {slowest:?}");
    let newest = || wire.adverts().pop().map(|(_, advert)| advert.priority);
    wait_until("what runs counts on the wire", LIMIT, || {
        Ok(newest() == Some(110))
    })?;
    shells.kill()?;
    wait_until("nothing counts on the wire", LIMIT, || {
        Ok(newest() == Some(100))
    })?;
    daemon.signal(libc::SIGTERM)?;
    wait_until("the VIP is gone", LIMIT, || Ok(!router.has_vip()?)).map(drop)
}
