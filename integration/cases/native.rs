//! The native stage itself: what its other cases take for granted.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use super::scene::{Instance, Lan, answered_by, wait_owner};
use crate::lab::check::{Outcome, ensure, ensure_eq};
use crate::lab::process;
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "native.isolated",
        proves: "a native case sees no process, no interface and no file under /run of this machine",
        limit: Duration::from_secs(30),
        run: isolated,
    },
    Case {
        name: "native.pair",
        proves: "two routers in namespaces of this machine's kernel share a VIP, and one takes over",
        limit: Duration::from_secs(60),
        run: pair,
    },
];

fn isolated(lab: &Lab) -> Outcome {
    ensure!(lab.is_native(), "this is no native stage");
    let links: BTreeSet<String> = fs::read_to_string("/proc/net/dev")?
        .lines()
        .filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned()))
        // Every new namespace has these, where their modules are loaded.
        .filter(|name| !name.starts_with("ifb") && !name.ends_with("tnl0"))
        .collect();
    ensure_eq!(links, BTreeSet::from(["lo".to_owned()]), "interfaces");
    // Init, the runner, and the process of this case.
    ensure_eq!(process::all().len(), 3, "processes");
    let mut run: Vec<String> = fs::read_dir("/run")?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    run.sort();
    ensure_eq!(run, ["host", "lab", "lock", "netns"], "files under /run");
    let slept: Vec<Duration> = (0..50)
        .map(|_| sleep_of(Duration::from_millis(1)))
        .collect();
    lab.note(format!(
        "sleeps of 1 ms took {:.2?} to {:.2?}",
        slept.iter().min().unwrap_or(&Duration::MAX),
        slept.iter().max().unwrap_or(&Duration::MAX)
    ));
    Ok(())
}

fn sleep_of(time: Duration) -> Duration {
    let began = Instant::now();
    std::thread::sleep(time);
    began.elapsed()
}

fn pair(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut high = lan.router("high", 1, lab.subject())?;
    let mut low = lan.router("low", 2, lab.subject())?;
    high.start(&Instance::plain(150))?;
    low.start(&Instance::plain(100))?;
    wait_owner(&high, &[&low])?;
    let pulse = lan.pulse(Duration::from_millis(5))?;
    answered_by(&pulse, &high)?;
    high.power_off()?;
    wait_owner(&low, &[])?;
    answered_by(&pulse, &low)?;
    let (gap, _) = pulse.stop();
    lab.note(format!("the client waited {gap:.2?}"));
    Ok(())
}
