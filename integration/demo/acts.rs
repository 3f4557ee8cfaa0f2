//! What happens on the stage, and what is counted when it is over.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::client::{Client, Ledger};
use super::strip;
use super::timeline::{Timeline, Who, seconds};
use super::{INNER, Stage};
use crate::lab::check::{Failure, Outcome, ensure};

/// So long the client works undisturbed, first and after each event.
const CALM: Duration = Duration::from_secs(4);
/// So long a holder must have been the only one to be called that.
const SETTLED: Duration = Duration::from_millis(2500);
/// The consequences of an event are over within this.
const LIMIT: Duration = Duration::from_secs(30);

/// One thing that happened, and how long it was looked at.
pub(super) struct Act {
    /// A few words.
    pub(super) what: String,
    pub(super) from: Instant,
    pub(super) to: Instant,
}

struct Play<'a> {
    stage: &'a mut Stage,
    timeline: Timeline,
    client: Client,
    acts: Vec<Act>,
}

/// Everything in turn, then the sum.
pub(super) fn play(stage: &mut Stage, timeline: Timeline) -> Outcome {
    timeline.say(Who::Client, "begins to insert rows, one after the other");
    let client = Client::start(&stage.client, timeline, 0);
    let mut play = Play {
        stage,
        timeline,
        client,
        acts: Vec::new(),
    };
    play.calm()?;
    play.pause_and_unpause()?;
    play.kill_and_start()?;
    let Play {
        stage,
        client,
        acts,
        ..
    } = play;
    let ledger = client.finish()?;
    timeline.say(
        Who::Client,
        "stops; every server of the database is asked for its rows",
    );
    settle_accounts(stage, &ledger, &acts, timeline)
}

impl Play<'_> {
    /// From now on what the client notices is counted for this event.
    fn begin(&mut self, what: String, tell: &str) {
        let now = Instant::now();
        self.end();
        if !tell.is_empty() {
            self.timeline.say(Who::Event, tell);
        }
        self.acts.push(Act {
            what,
            from: now,
            to: now,
        });
    }

    fn end(&mut self) {
        if let Some(last) = self.acts.last_mut() {
            last.to = Instant::now();
        }
    }

    fn calm(&mut self) -> Outcome {
        self.begin("nothing happens".to_owned(), "");
        self.watch_the_client()
    }

    /// The client must get rows acknowledged for a while, and no program may end.
    fn watch_the_client(&mut self) -> Outcome {
        let from = Instant::now();
        let client = &self.client;
        self.stage
            .wait("the client gets rows acknowledged", LIMIT, |_| {
                client.ledger().since(from) > 0
            })?;
        sleep(CALM);
        self.stage.check()?;
        let Some(act) = self.acts.last() else {
            return Ok(());
        };
        let rows = self.client.ledger().since(act.from);
        let secs = act.from.elapsed().as_secs_f64();
        let holder = self.stage.watch.working_holder(INNER);
        let through = holder.as_deref().unwrap_or("more than one");
        let text = format!("{rows} rows acknowledged in {secs:.1} s, now through {through}");
        self.timeline.say(Who::Client, text);
        self.end();
        Ok(())
    }

    fn holder(&self) -> Outcome<String> {
        let holder = self.stage.watch.settled_holder(INNER, SETTLED);
        holder.ok_or_else(|| Failure::failed(format!("no single machine holds {INNER}")))
    }

    fn position(&self, name: &str) -> Outcome<usize> {
        let at = self
            .stage
            .containers
            .iter()
            .position(|c| c.host.name() == name);
        at.ok_or_else(|| Failure::failed(format!("{name}, which holds {INNER}, is no container")))
    }

    fn pause_and_unpause(&mut self) -> Outcome {
        let name = self.holder()?;
        let at = self.position(&name)?;
        self.begin(
            format!("{name} is frozen"),
            &format!("{name} is frozen, as docker pause does: its HAProxy and daemon stand still"),
        );
        self.stage.containers[at].pause()?;
        self.stage.watch.frozen(&name);
        let what = format!("another container works in the place of {name}");
        self.stage.wait(&what, LIMIT, |stage| {
            let working = stage.watch.working_holder(INNER);
            working.is_some_and(|holder| holder != name)
        })?;
        self.watch_the_client()?;

        self.begin(
            format!("{name} is thawed"),
            &format!("{name} is thawed: it wakes up and still has {INNER}"),
        );
        self.stage.watch.thawed(&name);
        self.stage.containers[at].unpause()?;
        self.wait_for_one("either", |_| true)?;
        self.watch_the_client()
    }

    fn kill_and_start(&mut self) -> Outcome {
        let name = self.holder()?;
        let at = self.position(&name)?;
        self.begin(
            format!("{name} is killed"),
            &format!("{name} is killed: all of its processes die at once, its network is gone"),
        );
        let stage = &mut *self.stage;
        stage.containers[at].kill(&stage.bridge)?;
        self.wait_for_one("the other", |holder| holder != name)?;
        self.watch_the_client()?;

        self.begin(
            format!("{name} is started"),
            &format!("{name} is started again"),
        );
        let stage = &mut *self.stage;
        stage.containers[at].start(&stage.bridge)?;
        // That with the higher priority, whichever was killed.
        let first = self.stage.containers[0].host.name().to_owned();
        self.wait_for_one(&first, |holder| holder == first)?;
        self.watch_the_client()
    }

    /// Waits until one container alone has held the inner address for a while, and it is `right`.
    fn wait_for_one(&mut self, who: &str, right: impl Fn(&str) -> bool) -> Outcome {
        let what = format!("{INNER} is held by {who} of the containers alone, and stays there");
        self.stage.wait(&what, LIMIT, |stage| {
            let settled = stage.watch.settled_holder(INNER, SETTLED);
            settled.is_some_and(|holder| right(&holder))
        })
    }
}

/// Counts, compares, prints; an error if a row is missing.
fn settle_accounts(stage: &Stage, ledger: &Ledger, acts: &[Act], timeline: Timeline) -> Outcome {
    let mut tables = Vec::new();
    for node in &stage.nodes {
        let server = &node.server;
        tables.push((&server.name, server.orders()?));
    }
    let (_, rows) = tables.first().ok_or("no database server")?;
    let found: BTreeSet<u64> = rows.iter().map(|(id, _)| *id).collect();
    let acknowledged: BTreeSet<u64> = ledger.acknowledged.iter().map(|row| row.id).collect();
    let unanswered: BTreeSet<u64> = ledger.unanswered.iter().copied().collect();
    let kept = acknowledged.intersection(&found).count();
    let unknown = found.intersection(&unanswered).count();
    let strange = found.len() - kept - unknown;
    let same = tables.iter().all(|(_, table)| table == rows);

    timeline.show(strip::draw(ledger, &stage.watch.history(), acts));
    timeline.show("  longest time without an acknowledged row, event by event");
    let gaps: Vec<_> = acts
        .iter()
        .map(|act| (ledger.longest_gap(act.from, act.to), &act.what))
        .collect();
    for (gap, what) in &gaps {
        timeline.show(format!("    {what:20} {:>8}", seconds(*gap)));
    }
    let whole = rows.len();
    let each: Vec<String> = tables
        .iter()
        .map(|(name, table)| format!("{name} {}", table.len()))
        .collect();
    let mut by: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, node) in rows {
        *by.entry(node).or_default() += 1;
    }
    let by: Vec<String> = by.iter().map(|(name, n)| format!("{name} {n}")).collect();
    let word = if same {
        "the same rows on each"
    } else {
        "NOT THE SAME"
    };
    let (longest, cause) = gaps.iter().max().ok_or("no event")?;
    let good = kept == acknowledged.len() && strange == 0 && same;
    let count = format!("{kept:6}");
    timeline.show(format!(
        "
  rows acknowledged to the client      {:6}
  of these, found in the database      {}
  rows sent without an answer          {:6}, of which {unknown} had been stored all the same
  rows in the database                 {whole:6} = {kept} + {unknown}   ({}: {word})
  stored by                                     {}
  connections that the client opened   {:6}
  longest gap                         {:>8}   ({cause})
",
        acknowledged.len(),
        timeline.verdict(good, &count),
        unanswered.len(),
        each.join(", "),
        by.join(", "),
        ledger.connections,
        seconds(*longest),
    ));
    ensure!(same, "the servers of the database differ");
    ensure!(
        strange == 0,
        "{strange} rows are in the database that the client never sent"
    );
    let lost: Vec<u64> = acknowledged.difference(&found).copied().collect();
    ensure!(
        lost.is_empty(),
        "{} acknowledged rows are lost: {lost:?}",
        lost.len()
    );
    let all = timeline.verdict(true, "nothing acknowledged was lost");
    timeline.show(format!("  {all}; {} in all\n", seconds(timeline.elapsed())));
    Ok(())
}
