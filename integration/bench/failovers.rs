//! False failovers: both pairs at the same time, every CPU busy with other work, and nothing fails.

use std::thread::sleep;
use std::time::Duration;

use super::pair::{Pair, TWENTIETH, wait_owner};
use super::sleeper::Sleeper;
use super::{Late, load, number};
use crate::lab::check::Outcome;
use crate::lab::daemon::Kind;
use crate::lab::{Case, Lab};

pub(super) const CASE: Case = Case {
    name: "failovers",
    proves: "how often a backup takes a busy master for dead",
    limit: Duration::from_secs(3 * 3600),
    run,
};

const MASTER: &str = "(V) Entering MASTER STATE";

fn run(lab: &Lab) -> Outcome {
    let minutes = number(lab, "minutes", 5)?;
    let mut pairs = Vec::new();
    for kind in [Kind::Vipd, Kind::Keepalived] {
        let mut pair = Pair::new(lab, kind.name(), kind, TWENTIETH)?;
        pair.start()?;
        wait_owner(&pair.better, Some(&pair.other))?;
        pairs.push((kind, pair));
    }
    // Scripts have run, and the second announcements are over.
    sleep(Duration::from_secs(6));
    let mut watched = Vec::new();
    for (kind, mut pair) in pairs {
        let before = pair.other.daemon()?.logged(MASTER);
        let capture = pair.capture()?;
        watched.push((kind, pair, capture, before));
    }
    let sleeper = Sleeper::start();
    let busy = watched
        .first()
        .map(|(_, pair, _, _)| load::every_cpu(&pair.client))
        .transpose()?;
    for minute in 1..=minutes {
        sleep(Duration::from_secs(60));
        lab.note(format!("minute {minute} of {minutes}"));
    }
    drop(busy);
    let bare = sleeper.late();
    let row = format!("{}: false failovers in {minutes} min", TWENTIETH.name);
    let late_row = format!("{}: advert late", TWENTIETH.name);
    for (kind, mut pair, capture, before) in watched {
        let after = pair.other.daemon()?.logged(MASTER);
        let count = u32::try_from(after - before).unwrap_or(u32::MAX);
        lab.sample(&row, kind.name(), "times", f64::from(count));
        let of_master = capture
            .adverts()
            .into_iter()
            .filter_map(|(frame, advert)| (advert.src == pair.better.address).then_some(frame.at));
        let times: Vec<Duration> = of_master.collect();
        Late::beyond(TWENTIETH.interval, &times).sample(lab, &late_row, kind.name());
    }
    bare.sample(lab, &late_row, "sleeper");
    Ok(())
}
