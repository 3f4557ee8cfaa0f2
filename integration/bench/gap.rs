//! How long a client gets no answer when the virtual address moves, for each reason why it may.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::pair::{Node, Pair, Questions, SPEEDS, Speed, VIP, wait_owner};
use super::sleeper::Sleeper;
use super::{ms, number, word};
use crate::lab::check::{Outcome, ensure};
use crate::lab::daemon::Kind;
use crate::lab::wire::Packet;
use crate::lab::{Case, Lab};

pub(super) const CASE: Case = Case {
    name: "gap",
    proves: "how long a client waits when the address moves",
    limit: Duration::from_secs(3 * 3600),
    run,
};

/// Why the address moves from the better router to the other, or back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Event {
    PlannedStop,
    Failback,
    ScriptFails,
    PriorityFalls,
    TrackedLinkDown,
    LinkDown,
    Killed,
    HostDeath,
}

/// From where the wait is counted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    /// The answer before it.
    LastAnswer,
    /// The last advert of the old master, which is what the new one counts from.
    LastAdvert,
}

impl Event {
    /// In an order in which each begins where the one before has ended.
    const ALL: [Event; 8] = [
        Event::PlannedStop,
        Event::Failback,
        Event::ScriptFails,
        Event::PriorityFalls,
        Event::TrackedLinkDown,
        Event::LinkDown,
        Event::Killed,
        Event::HostDeath,
    ];

    /// The rows that it gives.
    fn rows(self) -> &'static [(&'static str, From)] {
        match self {
            Event::PlannedStop => &[("planned stop", From::LastAnswer)],
            Event::Failback => &[("failback", From::LastAnswer)],
            Event::ScriptFails => &[("check fails, fault", From::LastAnswer)],
            Event::PriorityFalls => &[("check fails, weight", From::LastAnswer)],
            Event::TrackedLinkDown => &[("tracked interface down", From::LastAnswer)],
            Event::LinkDown => &[("interface down, from advert", From::LastAdvert)],
            Event::Killed => &[
                ("process killed", From::LastAnswer),
                ("process killed, from advert", From::LastAdvert),
            ],
            Event::HostDeath => &[("host death, from advert", From::LastAdvert)],
        }
    }

    fn happen(self, better: &mut Node) -> Outcome {
        match self {
            Event::PlannedStop => {
                let status = better.daemon()?.stop()?;
                ensure!(status.success(), "it stopped with {status}");
                Ok(())
            }
            Event::Failback => better.start(),
            Event::ScriptFails => Ok(fs::remove_file(better.fault_file())?),
            Event::PriorityFalls => Ok(fs::remove_file(better.weight_file())?),
            Event::TrackedLinkDown => better.other_port.unplug(),
            Event::LinkDown => better.port.unplug(),
            Event::Killed => better.daemon()?.kill(),
            Event::HostDeath => {
                better.port.unplug()?;
                better.daemon()?.kill()
            }
        }
    }

    /// Afterwards the better router can be master again.
    fn mend(self, better: &mut Node) -> Outcome {
        match self {
            Event::PlannedStop | Event::Failback | Event::HostDeath => Ok(()),
            Event::ScriptFails => Ok(fs::write(better.fault_file(), "")?),
            Event::PriorityFalls => Ok(fs::write(better.weight_file(), "")?),
            Event::TrackedLinkDown => better.other_port.plug_in(),
            Event::LinkDown => better.port.plug_in(),
            Event::Killed => better.start_clean(),
        }
    }
}

fn run(lab: &Lab) -> Outcome {
    let rounds = number(lab, "rounds", 5)?;
    let only = word(lab, "only");
    let sleeper = Sleeper::start();
    for round in 0..rounds {
        for speed in SPEEDS {
            if only.is_some_and(|only| !speed.name.contains(only)) {
                continue;
            }
            let mut order = [Kind::Vipd, Kind::Keepalived];
            if round % 2 == 1 {
                order.reverse();
            }
            for kind in order {
                scene(lab, kind, speed, &sleeper)?;
            }
        }
    }
    Ok(())
}

/// One pair through everything that may happen.
fn scene(lab: &Lab, kind: Kind, speed: Speed, sleeper: &Sleeper) -> Outcome {
    let mut pair = Pair::new(lab, kind.name(), kind, speed)?;
    pair.start()?;
    // The other one has heard of the better one, and has looked at its scripts.
    sleep(Duration::from_millis(1_500).max(speed.interval * 2));
    for event in Event::ALL {
        let seen = observe(&mut pair, event, speed, sleeper)?;
        for (row, from) in event.rows() {
            let row = format!("{}: {row}", speed.name);
            lab.sample(&row, kind.name(), "ms", ms(seen.wait(*from)?));
            lab.sample(&row, "sleeper", "ms", ms(seen.bare));
        }
        if event == Event::HostDeath || event == Event::PlannedStop {
            continue;
        }
        event.mend(&mut pair.better)?;
        wait_owner(&pair.better, Some(&pair.other))?;
        sleep(Duration::from_millis(300));
    }
    pair.demolish()
}

/// What the client saw, and when.
struct Seen {
    began: Duration,
    /// When an answer came, and whether it came from the new master.
    answers: Vec<(Duration, bool)>,
    /// Adverts of the old master.
    adverts: Vec<Duration>,
    /// The worst wake-up of a bare sleeper in the same time.
    bare: Duration,
}

impl Seen {
    fn wait(&self, from: From) -> Outcome<Duration> {
        let first = self
            .answers
            .iter()
            .find(|(at, new)| *new && *at >= self.began);
        let first = first.ok_or("the new master never answered")?.0;
        match from {
            From::LastAdvert => {
                let heard = self.adverts.iter().rfind(|at| **at < first);
                let last = heard.ok_or("no advert of the old master was seen")?;
                Ok(first - *last)
            }
            From::LastAnswer => {
                // Around the move only: in the seconds before it this machine stalls by itself. A little
                // longer: the address may fall silent again.
                let until = first + Duration::from_millis(50);
                let waits = self.answers.windows(2).filter_map(|pair| match pair {
                    [(a, _), (b, _)] if *b >= first && *a < until => Some(b.saturating_sub(*a)),
                    _ => None,
                });
                Ok(waits.max().unwrap_or_default())
            }
        }
    }
}

fn observe(pair: &mut Pair<'_>, event: Event, speed: Speed, sleeper: &Sleeper) -> Outcome<Seen> {
    let capture = pair.capture()?;
    let questions = Questions::ask(&pair.client, speed.pulse)?;
    // Answers, and adverts, before anything happens.
    sleep(Duration::from_millis(200).max(speed.interval.mul_f64(1.1)));
    sleeper.late();
    let began = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(|e| e.to_string())?;
    event.happen(&mut pair.better)?;
    let (new, old) = match event {
        Event::Failback => (&pair.better, &pair.other),
        _ => (&pair.other, &pair.better),
    };
    // Who is killed leaves the address behind.
    let gone = !matches!(event, Event::Killed | Event::HostDeath);
    wait_owner(new, gone.then_some(old))?;
    sleep(Duration::from_millis(400));
    let bare = sleeper.late().worst();
    drop(questions);
    let (mut answers, mut adverts) = (Vec::new(), Vec::new());
    for frame in capture.frames() {
        match frame.packet {
            Packet::EchoReply { src, .. } if src == VIP => {
                answers.push((frame.at, frame.src_mac == new.mac));
            }
            Packet::Advert(advert) if advert.src == old.address && advert.priority != 0 => {
                adverts.push(frame.at);
            }
            _ => {}
        }
    }
    ensure!(
        answers.first().is_some_and(|(at, new)| *at < began && !new),
        "the client was not answered by the old master before {began:?}"
    );
    Ok(Seen {
        began,
        answers,
        adverts,
        bare,
    })
}
