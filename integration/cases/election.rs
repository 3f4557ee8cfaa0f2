//! Who is master: priorities, preemption, ties, links, scripts, and how the LAN is told.

use std::fs;
use std::time::Duration;

use super::scene::{ELECTION, Instance, Lan, VIP, answered_by, owner_stays, wait_owner};
use crate::lab::check::{Outcome, ensure, ensure_eq, wait_until};
use crate::lab::wire::Capture;
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "election.preempt",
        proves: "a router with a higher priority takes the VIP from the one that has it",
        limit: Duration::from_secs(60),
        run: preempt,
    },
    Case {
        name: "election.nopreempt",
        proves: "with nopreempt it leaves the VIP where it is until the master dies",
        limit: Duration::from_secs(60),
        run: nopreempt,
    },
    Case {
        name: "election.equal_priority",
        proves: "of two masters with one priority the higher address stays",
        limit: Duration::from_secs(60),
        run: equal_priority,
    },
    Case {
        name: "election.link_down",
        proves: "a lost link means FAULT and no VIP; when it returns, so does the VIP",
        limit: Duration::from_secs(60),
        run: link_down,
    },
    Case {
        name: "election.track_script",
        proves: "a failing script moves the VIP after `fall` runs, a succeeding one brings it back",
        limit: Duration::from_secs(90),
        run: track_script,
    },
    Case {
        name: "election.gratuitous_arp",
        proves: "a new master announces the VIP five times at once and after garp_master_delay",
        limit: Duration::from_secs(60),
        run: gratuitous_arp,
    },
];

const HIGH: u8 = 150;
const LOW: u8 = 100;

fn with_lines(priority: u8, lines: &str) -> String {
    Instance {
        priority,
        lines,
        unicast: None,
    }
    .text()
}

fn preempt(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut high = lan.router("high", 1, lab.subject())?;
    let mut low = lan.router("low", 2, lab.subject())?;
    low.start(&Instance::plain(LOW))?;
    wait_owner(&low, &[&high])?;
    high.start(&Instance::plain(HIGH))?;
    wait_owner(&high, &[&low])?;
    low.daemon()?
        .wait_log("(V) Entering BACKUP STATE", 2, ELECTION)?;
    owner_stays(&high, &[&low], Duration::from_secs(5))
}

fn nopreempt(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut high = lan.router("high", 1, lab.subject())?;
    let mut low = lan.router("low", 2, lab.subject())?;
    low.start(&Instance::plain(LOW))?;
    wait_owner(&low, &[&high])?;
    high.start(&with_lines(HIGH, "state BACKUP\n    nopreempt"))?;
    high.daemon()?
        .wait_log("(V) Entering BACKUP STATE", 1, ELECTION)?;
    // Its own master-down time is 3.4 s: in twice that it would have preempted.
    owner_stays(&low, &[&high], Duration::from_secs(7))?;
    low.power_off()?;
    wait_owner(&high, &[])?;
    low.power_on()?;
    owner_stays(&high, &[&low], Duration::from_secs(5))
}

fn equal_priority(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut lower = lan.router("lower", 1, lab.subject())?;
    let mut higher = lan.router("higher", 2, lab.subject())?;
    lower.port.black_hole()?;
    lower.start(&Instance::plain(LOW))?;
    higher.start(&Instance::plain(LOW))?;
    let both = || Ok(lower.has_vip()? && higher.has_vip()?);
    wait_until("each of the parted routers is master", ELECTION, both)?;
    lower.port.forward()?;
    wait_owner(&higher, &[&lower])?;
    owner_stays(&higher, &[&lower], Duration::from_secs(4))?;
    let masters = higher.daemon()?.logged("(V) Entering MASTER STATE");
    ensure_eq!(masters, 1, "times the higher address became master");
    Ok(())
}

fn link_down(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut high = lan.router("high", 1, lab.subject())?;
    let mut low = lan.router("low", 2, lab.subject())?;
    high.start(&Instance::plain(HIGH))?;
    low.start(&Instance::plain(LOW))?;
    wait_owner(&high, &[&low])?;
    let pulse = lan.pulse(Duration::from_millis(20))?;
    answered_by(&pulse, &high)?;
    high.port.unplug()?;
    high.daemon()?
        .wait_log("(V) Entering FAULT STATE", 1, ELECTION)?;
    wait_owner(&low, &[&high])?;
    answered_by(&pulse, &low)?;
    high.port.plug_in()?;
    wait_owner(&high, &[&low])?;
    answered_by(&pulse, &high)
}

fn track_script(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut high = lan.router("high", 1, lab.subject())?;
    let mut low = lan.router("low", 2, lab.subject())?;
    let healthy = lab.dir().join("healthy");
    fs::write(&healthy, "")?;
    let script = format!(
        "vrrp_script healthy {{\n    script \"/usr/bin/test -e {}\"\n    interval 1\n    timeout 2\n    \
         weight -60\n    rise 2\n    fall 3\n}}\n",
        healthy.display()
    );
    let instance = with_lines(HIGH, "track_script {\n        healthy\n    }");
    high.start(&format!("{script}{instance}"))?;
    low.start(&Instance::plain(LOW))?;
    wait_owner(&high, &[&low])?;
    owner_stays(&high, &[&low], Duration::from_secs(3))?;
    fs::remove_file(&healthy)?;
    // The third failure comes two intervals after the first, and then the election takes its time.
    owner_stays(&high, &[&low], Duration::from_millis(1800))?;
    wait_owner(&low, &[&high])?;
    owner_stays(&low, &[&high], Duration::from_secs(3))?;
    fs::write(&healthy, "")?;
    wait_owner(&high, &[&low])?;
    owner_stays(&high, &[&low], Duration::from_secs(2))
}

fn gratuitous_arp(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut router = lan.router("router", 1, lab.subject())?;
    let wire = Capture::at(&lan.client_port)?;
    router.start(&with_lines(HIGH, "garp_master_delay 3"))?;
    wait_owner(&router, &[])?;
    let ten = || Ok(wire.gratuitous(VIP).len() >= 10);
    wait_until("ten announcements", Duration::from_secs(10), ten)?;
    std::thread::sleep(Duration::from_millis(1500));
    let seen = wire.gratuitous(VIP);
    ensure_eq!(seen.len(), 10, "announcements in all");
    let Some(first) = seen.first() else {
        return Err("no announcement".into());
    };
    let broadcast = seen.iter().all(|frame| frame.dst_mac == [0xff; 6]);
    ensure!(broadcast, "an announcement was not broadcast");
    let after: Vec<Duration> = seen.iter().map(|f| f.at.saturating_sub(first.at)).collect();
    let (at_once, later) = after.split_at(5);
    lab.note(format!("announcements after {after:.2?}"));
    ensure!(
        at_once.iter().all(|t| *t < Duration::from_secs(1)),
        "five at once: {after:?}"
    );
    let delayed = Duration::from_millis(2800)..Duration::from_millis(4500);
    ensure!(
        later.iter().all(|t| delayed.contains(t)),
        "five after 3 s: {after:?}"
    );
    Ok(())
}
