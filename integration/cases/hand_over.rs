//! What a client notices of a master that leaves on purpose.

mod ipv6;

use std::fmt;
use std::time::Duration;

use super::scene::{Instance, Lan, answered_by, wait_owner};
use crate::lab::check::{Failure, Outcome, ensure};
use crate::lab::daemon::Kind;
use crate::lab::traffic::Answer;
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "hand_over.stop",
        proves: "a client that asks every 5 ms waits 15 ms at most while a master is stopped, with \
                 vipd and with keepalived as the backup",
        limit: Duration::from_secs(180),
        run: stop,
    },
    Case {
        name: "hand_over.stop_ipv6",
        proves: "the same over IPv6, and both routers have the address no longer than the new one's \
                 neighbour advertisement takes",
        limit: Duration::from_secs(240),
        run: ipv6::stop,
    },
    Case {
        name: "hand_over.back",
        proves: "and as long at most when the better router comes back and takes over",
        limit: Duration::from_secs(120),
        run: back,
    },
    Case {
        name: "hand_over.reload",
        proves: "and when a reload takes the instance away from the master",
        limit: Duration::from_secs(120),
        run: reload,
    },
];

pub(super) const PULSE: Duration = Duration::from_millis(5);
const GAP_MAX: Duration = Duration::from_millis(15);
const ROUNDS: usize = 3;
/// Measured again while it fails: a stall of this machine is no verdict.
const SERIES_MAX: usize = 3;

/// What a client saw: how long it waited when the address moved, and the longest of all its other waits,
/// which are this machine's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Waits {
    moved: Duration,
    bare: Duration,
}

impl Waits {
    pub(super) fn of(answers: &[Answer]) -> Outcome<Waits> {
        let (mut moved, mut bare) = (Vec::new(), Duration::ZERO);
        for pair in answers.windows(2) {
            if let [before, after] = pair {
                let wait = after.at.saturating_sub(before.at);
                if before.from == after.from {
                    bare = bare.max(wait);
                } else {
                    moved.push(wait);
                }
            }
        }
        match moved[..] {
            [moved] => Ok(Waits { moved, bare }),
            _ => Err(Failure::failed(format!("it moved {} times", moved.len()))),
        }
    }

    pub(super) fn passes(self) -> bool {
        self.moved <= GAP_MAX.max(self.bare + PULSE)
    }
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1?} (bare {:.1?})", self.moved, self.bare)
    }
}

#[derive(Clone, Copy)]
enum Leave {
    Stop,
    ComeBack,
    Reload,
}

fn waits(lab: &Lab, leader: Kind, follower: Kind, leave: Leave) -> Outcome<Waits> {
    let lan = Lan::new(lab)?;
    let mut a = lan.router("a", 1, leader)?;
    let mut b = lan.router("b", 2, follower)?;
    let (master, backup) = (Instance::plain(150), Instance::plain(100));
    if !matches!(leave, Leave::ComeBack) {
        a.start(&master)?;
        wait_owner(&a, &[])?;
    }
    b.start(&backup)?;
    // The second round of announcements of whoever was first is over: nothing else happens.
    std::thread::sleep(Duration::from_secs(2));
    let first = if matches!(leave, Leave::ComeBack) {
        wait_owner(&b, &[&a])?;
        &b
    } else {
        &a
    };
    let pulse = lan.pulse(PULSE)?;
    answered_by(&pulse, first)?;
    let to = match leave {
        Leave::Stop => {
            let status = a.stop()?;
            ensure!(status.success(), "a stopped with {status}");
            wait_owner(&b, &[&a])?;
            &b
        }
        Leave::ComeBack => {
            a.start(&master)?;
            wait_owner(&a, &[&b])?;
            &a
        }
        Leave::Reload => {
            a.daemon()?.reload("global_defs {\n}\n")?;
            wait_owner(&b, &[&a])?;
            &b
        }
    };
    answered_by(&pulse, to)?;
    std::thread::sleep(Duration::from_millis(200));
    let (_, answers) = pulse.stop();
    lan.net.demolish()?;
    Waits::of(&answers)
}

/// The median of [`ROUNDS`] moves from the subject to a backup of a kind, as words.
fn judged(lab: &Lab, follower: Kind, leave: Leave) -> Outcome<String> {
    let mut failed = Failure::from("no series was run");
    for _ in 0..SERIES_MAX {
        let mut seen = Vec::new();
        for _ in 0..ROUNDS {
            seen.push(waits(lab, lab.subject(), follower, leave)?);
        }
        seen.sort();
        let words: Vec<String> = seen.iter().map(Waits::to_string).collect();
        let words = words.join(", ");
        if seen.get(ROUNDS / 2).is_some_and(|median| median.passes()) {
            return Ok(words);
        }
        lab.note(format!("measuring again: {words}"));
        failed = Failure::failed(format!(
            "backup {}: the client waited {words}",
            follower.name()
        ));
    }
    Err(failed)
}

fn stop(lab: &Lab) -> Outcome {
    let reference = waits(lab, Kind::Keepalived, Kind::Keepalived, Leave::Stop)?;
    lab.note(format!(
        "keepalived, with keepalived as the backup: {reference}"
    ));
    for follower in [lab.subject(), Kind::Keepalived] {
        let words = judged(lab, follower, Leave::Stop)?;
        lab.note(format!("with {} as the backup: {words}", follower.name()));
    }
    Ok(())
}

fn back(lab: &Lab) -> Outcome {
    judged(lab, lab.subject(), Leave::ComeBack).map(|words| lab.note(words))
}

fn reload(lab: &Lab) -> Outcome {
    judged(lab, lab.subject(), Leave::Reload).map(|words| lab.note(words))
}
