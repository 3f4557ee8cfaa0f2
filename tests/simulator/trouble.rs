//! Trouble: whatever may happen, at any moment. Quiet: all of it is over, and the routers have had the
//! time that the RFCs give them.

use std::time::Duration;

use vipd::config::model::Preempt;

use crate::plan::some_priority;
use crate::world::World;

/// What happens at random, one of so many.
const KINDS: u64 = 16;
/// What a router that stood still listens longer than an interval.
const LISTEN_MARGIN: Duration = Duration::from_millis(100);

/// What a router that is told to stop waits for others beside a skew: promise 4, with room.
const LEAVING: Duration = Duration::from_millis(1_500);

impl World {
    /// Some things happen.
    pub(crate) fn trouble(&mut self) -> Result<(), String> {
        self.tell_story("trouble".to_owned());
        self.network.loss = self.seed.of(&[0, 2, 5, 20]);
        self.network.copies = self.seed.of(&[0, 0, 3]);
        self.network.late = self.seed.of(&[0, 0, 10]);
        for _ in 0..1 + self.seed.below(6) {
            self.happen();
            let pause = self.seed.within(self.plan.interval * 2);
            self.pass(pause)?;
        }
        Ok(())
    }

    fn happen(&mut self) {
        let count = u64::try_from(self.routers.len()).expect("few routers");
        let number = usize::try_from(self.seed.below(count)).expect("few routers");
        let other = usize::try_from(self.seed.below(count)).expect("few routers");
        let long = self.seed.within(self.plan.interval * 12);
        let kind = self.seed.below(KINDS);
        let runs = self.routers[number].runs();
        match kind {
            0 => self.crash(number),
            1 if !runs => self.start(number),
            1 => {
                self.crash(number);
                self.start(number);
            }
            2 => self.freeze(number, long, false),
            3 => self.freeze(number, long, true),
            4 => self.set_link(number, !self.routers[number].link_up),
            5 => {
                self.tell_story(format!("{number} loses its addresses"));
                let now = self.now;
                self.routers[number].lose_vip(now);
            }
            6 => self.stop(number),
            7 if number != other => {
                self.network.deaf.insert((number, other));
                self.network.deaf.insert((other, number));
                self.tell_story(format!("{number} and {other} are apart"));
            }
            8 if number != other => {
                self.network.deaf.insert((number, other));
                self.tell_story(format!("{other} does not hear {number}"));
            }
            9 => {
                self.network.deaf.clear();
                self.tell_story("everybody hears everybody".to_owned());
            }
            10 => self.set_process(number, !self.routers[number].process_up),
            11 => self.reload(number),
            12 => {
                self.routers[number].node.priority = some_priority(&mut self.seed);
                self.reload(number);
            }
            13 => {
                let node = &mut self.routers[number].node;
                node.one_vip = !node.one_vip;
                self.reload(number);
            }
            14 => {
                self.tell_story(format!("clock of {number} jumps by {long:?}"));
                self.routers[number].jump(long);
            }
            // The machine that all of them run on.
            15 => {
                for number in 0..self.routers.len() {
                    self.freeze(number, long, false);
                }
                self.now += long;
            }
            _ => {}
        }
    }

    /// Everything is mended.
    pub(crate) fn mend(&mut self) {
        self.tell_story("mended".to_owned());
        let network = &mut self.network;
        if network.loss != 1 {
            network.loss = 0;
        }
        (network.copies, network.late) = (0, 0);
        network.deaf.clear();
        network.well_since = self.now;
        for number in 0..self.routers.len() {
            if let Some(freeze) = &mut self.routers[number].frozen {
                freeze.until = self.now;
            }
            self.set_link(number, true);
            if !self.routers[number].process_up {
                self.set_process(number, true);
            }
        }
    }

    /// Everything is mended; once it has had the time, one router is master, and in the end the right one.
    pub(crate) fn quiet(&mut self) -> Result<(), String> {
        self.mend();
        // Who was told to stop does.
        self.pass(self.plan.interval + LEAVING)?;
        self.start_all();
        self.settle()
    }

    /// Starts who does not run.
    fn start_all(&mut self) {
        for number in 0..self.routers.len() {
            if !self.routers[number].runs() {
                self.start(number);
            }
        }
    }

    /// From whatever state of a network that is well: liveness, then the election as it must end.
    pub(crate) fn settle(&mut self) -> Result<(), String> {
        // Late packets of before; IPVS; one listening; the slowest election; one advert.
        let ready = self.routers.iter().filter_map(|r| r.ipvs_at).max();
        self.pass(ready.map_or(Duration::ZERO, |at| at.since(self.now)))?;
        let interval = self.plan.interval_max();
        let live = interval * 5 + LISTEN_MARGIN + self.plan.slowest();
        self.pass(live)?;
        if self.masters().is_empty() {
            return Err(self.failed(&format!(
                "nobody is master {live:?} after the faults stopped"
            )));
        }
        // Whoever may preempt does.
        self.pass(self.plan.preempt_delay() + self.plan.slowest() + interval * 2)?;
        self.judge()
    }

    /// One master, who has the addresses alone, and is the best where it may preempt.
    pub(crate) fn judge(&self) -> Result<(), String> {
        let masters = self.masters();
        let [master] = masters[..] else {
            return Err(self.failed(&format!("masters after quiet: {masters:?}")));
        };
        let spoke = self.routers[master].notes.sent.last();
        let most = self.routers[master].node.interval + self.plan.lag_max();
        if spoke.is_none_or(|(at, _)| self.now.since(*at) > most) {
            return Err(self.failed(&format!("{master} is master and silent: {spoke:?}")));
        }
        for (number, router) in self.routers.iter().enumerate() {
            if number != master && router.runs() && router.has_vip() {
                return Err(self.failed(&format!("master is {master}, addresses also at {number}")));
            }
        }
        if !self.routers[master].has_every_vip() {
            return Err(self.failed(&format!("{master} is master without all addresses")));
        }
        // Equal ones do not preempt each other.
        let running = self.routers.iter().filter(|r| r.runs());
        let best = running.map(|r| r.priority()).max().unwrap_or(0);
        let preempts = self.plan.preempt != Preempt::Never;
        if preempts && self.routers[master].priority() < best {
            return Err(self.failed(&format!("{master} is master and not the best")));
        }
        Ok(())
    }
}
