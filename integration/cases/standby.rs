//! `vipd standby`: a node that yields and stays so.

use std::time::Duration;

use super::daemon::only_vipd;
use super::hand_over::{PULSE, Waits};
use super::scene::{Instance, Lan, Router, answered_by, owner_stays, wait_owner};
use crate::lab::check::{Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::Kind;
use crate::lab::guest::vipd_path;
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "standby.moves",
        proves: "vipd standby on moves the VIP to the peer within 15 ms; the node stays yielded over a \
                 restart, a reload, a boot and the end of the peer, says since when and why, and takes \
                 part again after off",
        limit: Duration::from_secs(240),
        run: moves,
    },
    Case {
        name: "standby.nopreempt",
        proves: "after off a node with nopreempt leaves the VIP where it is",
        limit: Duration::from_secs(120),
        run: nopreempt,
    },
];

const LIMIT: Duration = Duration::from_secs(15);
const SERIES_MAX: usize = 5;

fn standby(router: &mut Router, words: &[&str]) -> Outcome<String> {
    let dir = router.daemon()?.state_dir().display().to_string();
    let program = vipd_path();
    let mut argv = vec![program.as_str(), "standby"];
    argv.extend(words);
    argv.extend(["--state-dir", &dir]);
    router.host.run(&argv)
}

fn moves(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let lan = Lan::new(lab)?;
    let mut a = lan.router("a", 1, lab.subject())?;
    let mut b = lan.router("b", 2, Kind::Keepalived)?;
    a.start(&Instance::plain(150))?;
    wait_owner(&a, &[])?;
    b.start(&Instance::plain(100))?;
    b.daemon()?
        .wait_log("(V) Entering BACKUP STATE", 1, LIMIT)?;
    let mut seen = Vec::new();
    for _ in 0..SERIES_MAX {
        // The second round of announcements of whoever came is over.
        std::thread::sleep(Duration::from_secs(6));
        let pulse = lan.pulse(PULSE)?;
        answered_by(&pulse, &a)?;
        standby(&mut a, &["on", "--reason", "new memory"])?;
        wait_owner(&b, &[&a])?;
        answered_by(&pulse, &b)?;
        std::thread::sleep(Duration::from_millis(200));
        let (_, answers) = pulse.stop();
        let waits = Waits::of(&answers)?;
        lab.note(format!("standby on: the client waited {waits}"));
        seen.push(waits);
        if waits.passes() {
            break;
        }
        standby(&mut a, &["off"])?;
        wait_owner(&a, &[&b])?;
    }
    ensure!(seen.iter().any(|waits| waits.passes()), "{seen:?}");
    a.daemon()?.wait_log(": new memory", 1, LIMIT)?;
    let said = standby(&mut a, &[])?;
    ensure!(said.starts_with("standby since 2"), "it says {said:?}");
    ensure!(said.ends_with(": new memory\n"), "it says {said:?}");

    // It stays so, whatever happens.
    a.daemon()?.reload(&Instance::plain(150))?;
    owner_stays(&b, &[&a], Duration::from_secs(5))?;
    a.stop()?;
    let logged = a.daemon()?.logged(": new memory");
    a.daemon()?.start_again()?;
    a.daemon()?.wait_log(": new memory", logged + 1, LIMIT)?;
    owner_stays(&b, &[&a], Duration::from_secs(6))?;
    a.daemon()?.kill()?;
    a.daemon()?.boot_again()?;
    owner_stays(&b, &[&a], Duration::from_secs(6))?;
    b.stop()?;
    a.daemon()?
        .wait_log("was told to stand by: nobody has the addresses", 1, LIMIT)?;
    ensure!(!a.has_vip()?, "it took the VIP when nobody was left");

    standby(&mut a, &["off"])?;
    wait_owner(&a, &[&b])?;
    ensure_eq!(
        standby(&mut a, &[])?,
        "this node takes part\n",
        "what it says"
    );
    Ok(())
}

fn nopreempt(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let lan = Lan::new(lab)?;
    let mut a = lan.router("a", 1, lab.subject())?;
    let mut b = lan.router("b", 2, lab.subject())?;
    let conf = |priority| {
        let lines = "state BACKUP\n    nopreempt";
        let unicast = None;
        Instance {
            priority,
            lines,
            unicast,
        }
        .text()
    };
    a.start(&conf(150))?;
    wait_owner(&a, &[])?;
    b.start(&conf(100))?;
    b.daemon()?
        .wait_log("(V) Entering BACKUP STATE", 1, LIMIT)?;
    standby(&mut a, &["on"])?;
    wait_owner(&b, &[&a])?;
    standby(&mut a, &["off"])?;
    a.daemon()?.wait_log("standby is over", 1, LIMIT)?;
    owner_stays(&b, &[&a], Duration::from_secs(6))?;
    b.stop()?;
    wait_until("a has the VIP", LIMIT, || a.has_vip()).map(drop)
}
