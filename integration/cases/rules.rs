//! Keywords of the election that need two routers that disagree, a standstill or a late start.

use std::time::{Duration, Instant};

use super::scene::{ELECTION, Instance, Lan, owner_stays, wait_owner};
use crate::lab::check::{Outcome, ensure, ensure_eq};
use crate::lab::wire::Capture;
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "rules.two_owners",
        proves: "of two routers with 255 the one with the lower address yields at once; if it has \
                 owner_ignore_adverts and does not, the other goes down to 254",
        limit: Duration::from_secs(60),
        run: two_owners,
    },
    Case {
        name: "rules.timer_expired_backup",
        proves: "a master with nopreempt that stood still longer than the others would wait is \
                 backup when it wakes, without a goodbye",
        limit: Duration::from_secs(60),
        run: timer_expired,
    },
    Case {
        name: "rules.startup_delay",
        proves: "with vrrp_startup_delay nothing is sent before it is over, and then the wait begins",
        limit: Duration::from_secs(60),
        run: startup_delay,
    },
];

fn with_lines(priority: u8, lines: &str) -> String {
    Instance {
        priority,
        lines,
        unicast: None,
    }
    .text()
}

fn two_owners(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut lower = lan.router("lower", 1, lab.subject())?;
    let mut higher = lan.router("higher", 2, lab.subject())?;
    higher.start(&with_lines(255, "state MASTER"))?;
    wait_owner(&higher, &[&lower])?;
    lower.start(&with_lines(255, "state MASTER"))?;
    lower
        .daemon()?
        .wait_log("(V) Entering BACKUP STATE", 2, ELECTION)?;
    wait_owner(&higher, &[&lower])?;
    owner_stays(&higher, &[&lower], Duration::from_secs(4))?;
    ensure_eq!(
        higher.daemon()?.logged("from 255 to 254"),
        0,
        "steps down of the router with the higher address"
    );
    lower.stop()?;
    lower.start(&with_lines(255, "state MASTER\n    owner_ignore_adverts"))?;
    let stepped = "Changing effective priority from 255 to 254";
    higher.daemon()?.wait_log(stepped, 1, ELECTION)?;
    wait_owner(&lower, &[&higher])?;
    owner_stays(&lower, &[&higher], Duration::from_secs(4))?;
    // It hears another priority: it owns the addresses again.
    lower.stop()?;
    wait_owner(&higher, &[&lower])?;
    let restored = "Changing effective priority from 254 to 255";
    higher.daemon()?.wait_log(restored, 1, ELECTION)
}

fn timer_expired(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut router = lan.router("router", 1, lab.subject())?;
    let wire = Capture::at(&router.port)?;
    router.start(&with_lines(150, "nopreempt\n    timer_expired_backup"))?;
    wait_owner(&router, &[])?;
    // 3 s after its last advert another with 254 would be master; 2 s late is not that late.
    std::thread::sleep(Duration::from_millis(500));
    router.daemon()?.freeze()?;
    std::thread::sleep(Duration::from_millis(1500));
    router.daemon()?.thaw()?;
    owner_stays(&router, &[], Duration::from_secs(2))?;
    router.daemon()?.freeze()?;
    std::thread::sleep(Duration::from_millis(4500));
    router.daemon()?.thaw()?;
    router
        .daemon()?
        .wait_log("(V) Entering BACKUP STATE", 2, ELECTION)?;
    ensure!(!router.has_vip()?, "it kept the address");
    let goodbyes = wire
        .adverts()
        .iter()
        .filter(|(_, a)| a.priority == 0)
        .count();
    ensure_eq!(goodbyes, 0, "goodbyes");
    wait_owner(&router, &[]).map(drop)
}

fn startup_delay(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut router = lan.router("router", 1, lab.subject())?;
    let wire = Capture::at(&router.port)?;
    let begun = Instant::now();
    let delayed = "global_defs {\n    vrrp_startup_delay 2\n}\n";
    router.start(&format!("{delayed}{}", with_lines(255, "state MASTER")))?;
    wait_owner(&router, &[])?;
    let waited = begun.elapsed();
    let range = Duration::from_secs(2)..Duration::from_secs(5);
    ensure!(
        range.contains(&waited),
        "an owner was master after {waited:.2?}"
    );
    let first = wire.adverts().first().map(|(frame, _)| frame.at);
    ensure!(first.is_some(), "no advert was sent");
    router.stop()?;
    // 3 adverts and the skew of 150 after the delay.
    let begun = Instant::now();
    router.start(&format!("{delayed}{}", with_lines(150, "")))?;
    wait_owner(&router, &[])?;
    let waited = begun.elapsed();
    let range = Duration::from_millis(5400)..Duration::from_secs(8);
    ensure!(range.contains(&waited), "it was master after {waited:.2?}");
    Ok(())
}
