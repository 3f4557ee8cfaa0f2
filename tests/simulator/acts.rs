//! One thing happens to routers that have settled, in a network that is well; what must come of it, and
//! when, follows from the RFCs and from keepalived's manual.

use std::time::Duration;

use vipd::config::model::Preempt;
use vipd::time::Time;

use crate::news::Notes;
use crate::plan::some_priority;
use crate::world::World;

/// A master that nobody disturbs is watched for so many adverts.
const WATCHED: u32 = 40;

type Act = fn(&mut World, usize) -> Result<(), String>;

const ACTS: &[Act] = &[
    World::death,
    World::death,
    World::planned_stop,
    World::planned_stop,
    World::join,
    World::join,
    World::split,
    World::stall,
    World::everybody_stalls,
    World::clock_jump,
    World::weight,
    World::same_file_again,
    World::other_priority,
    World::lost_addresses,
    World::other_addresses,
    World::link_down,
    World::crash_and_return,
    World::hand_over,
    World::stand_by,
    World::rogue,
    World::nothing,
];

impl World {
    /// One act, and the return to what was before.
    pub(crate) fn act(&mut self) -> Result<(), String> {
        let [master] = self.masters()[..] else {
            return Err(self.failed("an act wants one master"));
        };
        let act = self.seed.of(ACTS);
        self.forget();
        act(self, master)?;
        self.quiet()
    }

    fn forget(&mut self) {
        for router in &mut self.routers {
            // All but what the next takeover is counted from.
            let heard = router.notes.heard.last().copied();
            router.notes = Notes {
                heard: heard.into_iter().collect(),
                ..Notes::default()
            };
        }
    }

    fn others(&self, than: usize) -> Vec<usize> {
        let all = 0..self.routers.len();
        all.filter(|n| *n != than && self.routers[*n].is_well())
            .collect()
    }

    /// The best of them; some are, when they are equal.
    fn best(&self, among: &[usize]) -> Vec<usize> {
        let priority = |n: &usize| self.routers[*n].priority();
        let best = among.iter().map(priority).max();
        among
            .iter()
            .copied()
            .filter(|n| Some(priority(n)) == best)
            .collect()
    }

    /// Of `among`, the best became master `wait` after the last advert that it had heard, and nobody else
    /// did.
    fn heir(&self, among: &[usize], wait: impl Fn(u8) -> Duration) -> Result<(), String> {
        let best = self.best(among);
        for number in among {
            let notes = &self.routers[*number].notes;
            let Some(became) = notes.became.first() else {
                continue;
            };
            if !best.contains(number) {
                return Err(self.failed(&format!(
                    "{number} became master before the best of {best:?}"
                )));
            }
            let before = notes.heard.iter().rev().find(|(at, _)| at < became);
            let last = before.map_or(Time::ZERO, |(at, _)| *at);
            let (took, due) = (became.since(last), wait(self.routers[*number].priority()));
            if took < due || took > due + self.plan.takeover_lag() {
                return Err(self.failed(&format!(
                    "{number} took over after {took:?}, due after {due:?}"
                )));
            }
        }
        let heirs = best
            .iter()
            .filter(|n| !self.routers[**n].notes.became.is_empty());
        if !among.is_empty() && heirs.count() == 0 {
            return Err(self.failed(&format!("nobody of {best:?} took over")));
        }
        Ok(())
    }

    fn same_master(&self, master: usize, what: &str) -> Result<(), String> {
        let notes = |n: usize| &self.routers[n].notes;
        let became = (0..self.routers.len()).any(|n| !notes(n).became.is_empty());
        if became || !notes(master).left.is_empty() || self.masters() != [master] {
            return Err(self.failed(&format!("{what} changed the master {master}")));
        }
        Ok(())
    }

    /// The machine of the master dies.
    fn death(&mut self, master: usize) -> Result<(), String> {
        let pause = self.seed.within(self.plan.interval);
        self.pass(pause)?;
        self.tell_story(format!("{master} loses power"));
        self.routers[master].power_off();
        let among = self.others(master);
        let interval = self.routers[master].node.interval;
        self.pass(self.plan.slowest() + self.plan.interval_max())?;
        let plan = self.plan.clone();
        self.heir(&among, |p| plan.master_down(p, interval))
    }

    /// The master is told to stop: it says so, and the best of the others waits for its skew only.
    fn planned_stop(&mut self, master: usize) -> Result<(), String> {
        let pause = self.seed.within(self.plan.interval);
        self.pass(pause)?;
        let among = self.others(master);
        let interval = self.routers[master].node.interval;
        self.covered = !among.is_empty();
        self.stop(master);
        let plan = self.plan.clone();
        self.pass(plan.skew(1, interval) + interval)?;
        self.covered = false;
        self.heir(&among, |p| plan.skew(p, interval))?;
        // It has seen its successor's first advert.
        if !among.is_empty() && self.routers[master].has_vip() {
            return Err(self.failed(&format!("{master} has stopped and keeps its addresses")));
        }
        Ok(())
    }

    /// A backup stops, which changes nothing, and comes back.
    fn join(&mut self, master: usize) -> Result<(), String> {
        let others = self.others(master);
        let number = self.seed.of(&others);
        self.stop(number);
        let interval = self.plan.interval_max();
        self.pass(interval * 6)?;
        self.same_master(master, "the stop of a backup")?;
        self.forget();
        let (began, mine) = (self.now, self.routers[number].node.interval);
        self.start(number);
        let ready = self.routers[number].ipvs_at.unwrap_or(began);
        let all = self.plan.preempt_delay() + self.plan.slowest() + interval * 2;
        self.pass(all.max(ready.since(began) + interval))?;
        let (own, masters) = (
            self.routers[number].priority(),
            self.routers[master].priority(),
        );
        if own <= masters || self.plan.preempt == Preempt::Never {
            return self.same_master(master, "a router that may not preempt");
        }
        let Some(became) = self.routers[number].notes.became.first().copied() else {
            return Err(self.failed(&format!("{number} did not preempt {master}")));
        };
        let heard = self.routers[number].notes.heard.iter();
        let heard = heard.map(|(at, _)| *at).find(|at| *at >= began);
        let heard = heard.unwrap_or(began);
        let delay = self.plan.preempt_delay();
        let (earliest, latest) = if delay.is_zero() {
            let due = began + self.plan.master_down(own, mine);
            (due, due.max(ready) + self.plan.takeover_lag())
        } else {
            (
                heard + delay,
                heard + delay + self.plan.slowest() + interval,
            )
        };
        if became < earliest || became > latest {
            return Err(self.failed(&format!(
                "{number} preempted at {became}, due {earliest} to {latest}"
            )));
        }
        Ok(())
    }

    /// The master and the others do not hear each other, in one direction or both; then they do again.
    fn split(&mut self, master: usize) -> Result<(), String> {
        let one_way = self.seed.one_in(2);
        for other in self.others(master) {
            self.network.deaf.insert((master, other));
            if !one_way {
                self.network.deaf.insert((other, master));
            }
        }
        self.tell_story(format!("nobody hears {master}, one way: {one_way}"));
        let interval = self.plan.interval_max();
        self.pass(self.plan.slowest() + interval * 3)?;
        let masters = self.masters();
        let best = masters
            .iter()
            .copied()
            .max_by_key(|n| self.routers[*n].rank());
        let Some(best) = best.filter(|n| masters.len() > 1 || *n != master) else {
            return Err(self.failed(&format!(
                "nobody took over from {master}, whom nobody hears"
            )));
        };
        self.forget();
        self.network.deaf.clear();
        self.tell_story("healed".to_owned());
        self.pass(interval + self.plan.lag_max() * 2 + self.plan.delay_max() * 2)?;
        if self.masters() != [best] || !self.routers[best].notes.left.is_empty() {
            return Err(self.failed(&format!(
                "{best} is the best of {masters:?} and not the only master"
            )));
        }
        Ok(())
    }

    /// The master stands still for so long that another one takes over, and wakes up.
    fn stall(&mut self, master: usize) -> Result<(), String> {
        let unseen = self.seed.one_in(3);
        let interval = self.plan.interval_max();
        let time = self.plan.slowest() * 2 + interval * 3;
        self.freeze(master, time, unseen);
        self.pass(time - interval / 2)?;
        let [heir] = self
            .masters()
            .into_iter()
            .filter(|n| *n != master)
            .collect::<Vec<_>>()[..]
        else {
            return Err(self.failed(&format!(
                "nobody took over from {master}, which stands still"
            )));
        };
        self.forget();
        let wakes = self.now + interval / 2;
        self.pass(self.plan.slowest() + interval * 2)?;
        if unseen || self.plan.preempt == Preempt::After(Duration::ZERO) {
            return Ok(());
        }
        let left = self.routers[heir].notes.left.first();
        let too_soon = match self.plan.preempt {
            Preempt::Never => left.is_some(),
            Preempt::After(delay) => left.is_some_and(|at| *at < wakes + delay),
        };
        if too_soon {
            return Err(self.failed(&format!(
                "{master} woke up and took over from {heir} at once"
            )));
        }
        Ok(())
    }

    /// All of them stand still and wake up together: nobody was away.
    fn everybody_stalls(&mut self, master: usize) -> Result<(), String> {
        let interval = self.plan.interval_max();
        let time = self.plan.slowest() * 2 + interval * 3;
        for number in 0..self.routers.len() {
            self.freeze(number, time, false);
        }
        self.pass(time + interval * 4)?;
        self.same_master(master, "a stall of everybody")
    }

    /// The clock of one jumps ahead, by more than can be lateness.
    fn clock_jump(&mut self, master: usize) -> Result<(), String> {
        let all: Vec<usize> = (0..self.routers.len()).collect();
        let number = self.seed.of(&all);
        let least = self.plan.slowest() * 2 + self.plan.interval_max();
        let ahead = least + self.seed.within(self.plan.interval * 100);
        self.tell_story(format!("clock of {number} jumps by {ahead:?}"));
        self.routers[number].jump(ahead);
        self.pass(self.plan.slowest() * 2)?;
        // What it listens for is longer than the others wait, when adverts are that fast.
        if self.plan.interval < Duration::from_millis(200) {
            return Ok(());
        }
        self.same_master(master, "a clock that jumped")
    }

    /// The master's process dies, which costs it priority, and comes back.
    fn weight(&mut self, master: usize) -> Result<(), String> {
        if self.plan.weight == 0 {
            return self.nothing(master);
        }
        self.set_process(master, false);
        self.settle()?;
        if self.plan.preempt == Preempt::Never {
            self.same_master(master, "a lower priority, with nopreempt,")?;
        }
        self.set_process(master, true);
        self.settle()
    }

    /// A reload with the same file sends nothing, writes nothing, changes nothing.
    fn same_file_again(&mut self, master: usize) -> Result<(), String> {
        for number in 0..self.routers.len() {
            self.reload(number);
        }
        for (number, router) in self.routers.iter().enumerate() {
            let notes = &router.notes;
            if !notes.sent.is_empty() || notes.commands + notes.announced > 0 {
                return Err(self.failed(&format!("the same file again made {number} do something")));
            }
        }
        self.nothing(master)
    }

    fn other_priority(&mut self, master: usize) -> Result<(), String> {
        let all: Vec<usize> = (0..self.routers.len()).collect();
        let number = self.seed.of(&all);
        self.routers[number].node.priority = some_priority(&mut self.seed);
        self.reload(number);
        self.settle()?;
        if self.plan.preempt == Preempt::Never {
            self.same_master(master, "another priority, with nopreempt,")?;
        }
        Ok(())
    }

    /// The master has one address more or less: it goes on as if nothing was.
    fn other_addresses(&mut self, master: usize) -> Result<(), String> {
        let interval = self.routers[master].node.interval;
        let pause = self.seed.within(interval);
        self.pass(interval + pause)?;
        let node = &mut self.routers[master].node;
        node.one_vip = !node.one_vip;
        self.reload(master);
        self.pass(interval * 3)?;
        self.same_master(master, "another list of addresses")?;
        let notes = &self.routers[master].notes;
        let gaps = notes.sent.windows(2).map(|pair| pair[1].0.since(pair[0].0));
        let longest = gaps.max().unwrap_or(Duration::MAX);
        if longest > interval + self.plan.lag_max() || notes.commands == 0 {
            return Err(self.failed(&format!(
                "{master} was silent for {longest:?} when its addresses changed"
            )));
        }
        Ok(())
    }

    /// Somebody removes the addresses of the master: they are back at once, and announced.
    fn lost_addresses(&mut self, master: usize) -> Result<(), String> {
        let now = self.now;
        if self.routers[master].taken_within_a_minute(now) >= 3 {
            return Ok(());
        }
        self.tell_story(format!("{master} loses its addresses"));
        self.routers[master].lose_vip(now);
        self.pass(Duration::from_millis(100) + self.plan.lag_max() * 2)?;
        let router = &self.routers[master];
        if !router.has_every_vip() || router.notes.announced == 0 {
            return Err(self.failed(&format!("{master} did not defend its addresses")));
        }
        self.pass(self.plan.interval * 2)?;
        self.same_master(master, "a removed address")
    }

    /// The master's link goes, and returns.
    fn link_down(&mut self, master: usize) -> Result<(), String> {
        let among = self.others(master);
        let interval = self.routers[master].node.interval;
        self.set_link(master, false);
        self.pass(self.plan.lag_max())?;
        if self.routers[master].is_master(0) || self.routers[master].has_vip() {
            return Err(self.failed(&format!(
                "{master} has no link, and is master or has addresses"
            )));
        }
        self.pass(self.plan.slowest() + interval)?;
        let plan = self.plan.clone();
        self.heir(&among, |p| plan.master_down(p, interval))
    }

    /// The master's process is killed, its addresses stay; it is started again, sooner or later.
    fn crash_and_return(&mut self, master: usize) -> Result<(), String> {
        self.crash(master);
        let interval = self.routers[master].node.interval;
        let soon = self.seed.one_in(2);
        let most = if soon {
            interval
        } else {
            self.plan.slowest() * 2
        };
        let pause = self.seed.within(most / 2);
        self.pass(pause)?;
        self.start(master);
        self.pass(self.plan.slowest() + interval * 2)?;
        if soon {
            // It goes on where it was.
            let became: Vec<usize> = self
                .others(master)
                .into_iter()
                .filter(|n| !self.routers[*n].notes.became.is_empty())
                .collect();
            if !became.is_empty() {
                return Err(self.failed(&format!(
                    "{became:?} took over from {master}, which was back at once"
                )));
            }
        }
        Ok(())
    }

    /// The master is told to hand over, once: whoever takes over is let be.
    fn hand_over(&mut self, master: usize) -> Result<(), String> {
        self.yields(master, |world| world.routers[master].hand_over(world.now))?;
        // Started again, it has forgotten that.
        self.crash(master);
        Ok(())
    }

    /// The master is told to yield and to stay yielded, whoever dies.
    fn stand_by(&mut self, master: usize) -> Result<(), String> {
        self.yields(master, |world| {
            world.routers[master].stand_by(true, world.now)
        })?;
        for other in self.others(master) {
            self.crash(other);
        }
        self.pass(self.plan.slowest() * 2)?;
        if self.routers[master].is_master(0) {
            return Err(self.failed(&format!("{master} stands by, and took over")));
        }
        self.tell_story(format!("{master} takes part again"));
        let now = self.now;
        self.routers[master].stand_by(false, now);
        self.post(master);
        Ok(())
    }

    fn yields(&mut self, master: usize, order: impl FnOnce(&mut World)) -> Result<(), String> {
        let among = self.others(master);
        let interval = self.routers[master].node.interval;
        self.tell_story(format!("{master} is told to yield"));
        self.covered = true;
        order(self);
        self.post(master);
        let plan = self.plan.clone();
        self.pass(plan.skew(0, interval) + interval * 20)?;
        self.covered = false;
        self.heir(&among, |p| plan.skew(p, interval))?;
        if self.routers[master].is_master(0) || self.routers[master].has_vip() {
            return Err(self.failed(&format!("{master} was told to yield, and did not")));
        }
        Ok(())
    }

    /// Nobody does anything: the master speaks on time, and nobody else does.
    fn nothing(&mut self, master: usize) -> Result<(), String> {
        self.forget();
        let interval = self.routers[master].node.interval;
        self.pass(interval * WATCHED)?;
        self.same_master(master, "nothing")?;
        for (number, router) in self.routers.iter().enumerate() {
            let sent: Vec<Time> = router.notes.sent.iter().map(|(at, _)| *at).collect();
            if number != master && !sent.is_empty() {
                return Err(self.failed(&format!("{number} is no master and speaks")));
            }
            let count = u32::try_from(sent.len()).unwrap_or(u32::MAX);
            // From the first one on, each at its time, however late the ones before it were.
            let first = sent.first().copied().unwrap_or(Time::ZERO);
            let lag = self.plan.lag_max();
            let due = (0..).map(|n| first + interval * n);
            let on_time = |(at, due): (&Time, Time)| at.since(due) <= lag && due.since(*at) <= lag;
            let punctual = sent.iter().zip(due).all(on_time);
            if number == master && (!punctual || !(WATCHED - 1..=WATCHED + 1).contains(&count)) {
                return Err(self.failed(&format!(
                    "{master} sent {count} adverts in {WATCHED} intervals, each on time: {punctual}"
                )));
            }
            if router.notes.commands > 0 {
                return Err(self.failed(&format!("{number} changes addresses for nothing")));
            }
        }
        Ok(())
    }
}
