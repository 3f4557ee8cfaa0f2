//! The link between the routers, what happens to them, and what must hold.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use vipd::config::model::Preempt;
use vipd::time::Time;

use crate::router::{News, Router, instance};
use crate::seed::Seed;

/// Longest time on the way, in microseconds.
const DELAY_MAX_US: u64 = 3_000;
/// Two masters that hear each other: one advert, its way there, the answer's way back, and a margin.
const TWO_MASTERS_MAX: Duration = Duration::from_millis(1_000 + 2 * 3 + 4);
/// Enough for the slowest election there is: 3 adverts, the longest skew, one listening after a stall.
const QUIET: Duration = Duration::from_secs(7);

/// The longest that a router that is stopped may still be there: the worst skew and 0.2 s.
const LEAVING: Duration = Duration::from_millis(1_200);

/// To whom, from whom, what.
type Packet = (usize, Ipv4Addr, Arc<[u8]>);

pub(crate) struct World {
    seed: Seed,
    now: Time,
    routers: Vec<Router>,
    /// By the time when they are there.
    on_the_way: BTreeMap<(Time, u64), Packet>,
    packets: u64,
    /// One packet in so many is lost; 0: none.
    loss: u64,
    /// Pairs that do not hear each other.
    apart: BTreeSet<(usize, usize)>,
    two_masters: BTreeMap<(usize, usize), Time>,
}

impl World {
    pub(crate) fn new(seed: u64) -> World {
        let mut seed = Seed::new(seed);
        let count = 2 + seed.below(3);
        // As an operator would do it: all of one kind.
        let preempt = match seed.below(4) {
            0 => Preempt::Never,
            1 => Preempt::After(Duration::from_secs(2)),
            _ => Preempt::After(Duration::ZERO),
        };
        let routers = (1..=count)
            .map(|number| {
                let number = u8::try_from(number).expect("few routers");
                // Equal ones among them.
                let priority = u8::try_from(1 + seed.below(8) * 36).expect("1 to 253");
                Router::new(number, instance(priority, preempt))
            })
            .collect();
        let mut world = World {
            seed,
            now: Time::from_millis(60_000),
            routers,
            on_the_way: BTreeMap::new(),
            packets: 0,
            loss: 0,
            apart: BTreeSet::new(),
            two_masters: BTreeMap::new(),
        };
        for number in 0..world.routers.len() {
            world.routers[number].start(world.now);
            world.post(number);
        }
        world
    }

    /// For good: nobody hears anybody.
    pub(crate) fn deafen(&mut self) {
        self.loss = 1;
    }

    pub(crate) fn trace(&self) -> String {
        let mut lines: Vec<&String> = self.routers.iter().flat_map(|r| &r.log).collect();
        lines.sort();
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    /// Up to 12 s in which things happen.
    pub(crate) fn trouble(&mut self) -> Result<(), String> {
        self.loss = [0, 2, 5, 20][usize::try_from(self.seed.below(4)).expect("below 4")];
        for _ in 0..1 + self.seed.below(6) {
            self.happen();
            let pause = self.seed.micros(2_000_000);
            self.pass(pause)?;
        }
        Ok(())
    }

    fn happen(&mut self) {
        let count = u64::try_from(self.routers.len()).expect("few routers");
        let number = usize::try_from(self.seed.below(count)).expect("few routers");
        let other = usize::try_from(self.seed.below(count)).expect("few routers");
        let now = self.now;
        let kind = self.seed.below(9);
        let long = self.seed.micros(12_000_000);
        let router = &mut self.routers[number];
        match kind {
            0 => router.crash(),
            1 if !router.runs() => router.start(now),
            1 => {
                router.crash();
                router.start(now);
            }
            2 if router.runs() => router.frozen_until = Some(now + long),
            3 => {
                router.link_up = !router.link_up;
                router.tell(News::Link);
            }
            4 => router.lose_vip(),
            5 if router.runs() && router.frozen_until.is_none() => router.stop(now),
            6 if number != other => {
                self.apart.insert((number.min(other), number.max(other)));
            }
            7 => self.apart.clear(),
            // The machine that all of them run on.
            8 => {
                for router in self.routers.iter_mut().filter(|router| router.runs()) {
                    router.frozen_until = Some(now + long);
                }
                self.now += long;
            }
            _ => {}
        }
        self.post(number);
    }

    /// Everything is mended; once it has had the time, one router is master.
    pub(crate) fn quiet(&mut self) -> Result<(), String> {
        if self.loss != 1 {
            self.loss = 0;
        }
        self.apart.clear();
        for number in 0..self.routers.len() {
            let router = &mut self.routers[number];
            router.frozen_until = None;
            if !router.link_up {
                router.link_up = true;
                router.tell(News::Link);
            }
            if !router.runs() {
                router.start(self.now);
                self.post(number);
            }
        }
        self.pass(LEAVING)?;
        for number in 0..self.routers.len() {
            if !self.routers[number].runs() {
                self.routers[number].start(self.now);
                self.post(number);
            }
        }
        self.pass(QUIET)?;
        let masters: Vec<usize> = (0..self.routers.len())
            .filter(|n| self.routers[*n].is_master())
            .collect();
        let [master] = masters[..] else {
            return Err(self.failed(&format!("masters after quiet: {masters:?}")));
        };
        let spoke = self.routers[master].record.map(|at| self.now.since(at));
        if spoke.is_none_or(|ago| ago > Duration::from_secs(1)) {
            return Err(self.failed(&format!("{master} is master and silent: {spoke:?}")));
        }
        for (number, router) in self.routers.iter().enumerate() {
            if router.has_vip() != (number == master) && !router.is_leaving() {
                return Err(self.failed(&format!("master is {master}, VIP also at {number}")));
            }
        }
        // Equal ones do not preempt each other.
        let best = self.routers.iter().map(|r| r.config.priority).max();
        let has = self.routers[master].config.clone();
        if has.preempt == Preempt::After(Duration::ZERO) && Some(has.priority) != best {
            return Err(self.failed(&format!("{master} is master and not the best")));
        }
        Ok(())
    }

    /// Lets time pass, event by event.
    fn pass(&mut self, time: Duration) -> Result<(), String> {
        let end = self.now + time;
        loop {
            let packet = self.on_the_way.keys().next().map(|(at, _)| *at);
            let routers = self.routers.iter().filter_map(|r| r.next(self.now));
            let Some(at) = routers.chain(packet).min().filter(|at| *at <= end) else {
                break;
            };
            self.now = at.max(self.now);
            while let Some(first) = self.on_the_way.first_entry() {
                if first.key().0 > self.now {
                    break;
                }
                let (to, source, payload) = first.remove();
                if self.routers[to].link_up {
                    self.routers[to].tell(News::Packet(source, payload));
                }
            }
            for number in 0..self.routers.len() {
                if self.routers[number]
                    .next(self.now)
                    .is_some_and(|at| at <= self.now)
                {
                    self.routers[number].turn(self.now);
                    self.post(number);
                }
            }
            self.check()?;
        }
        self.now = end;
        Ok(())
    }

    /// What a router has sent goes on its way to each of the others.
    fn post(&mut self, from: usize) {
        let source = self.routers[from].source;
        for payload in std::mem::take(&mut self.routers[from].sent) {
            for to in (0..self.routers.len()).filter(|to| *to != from) {
                let lost = self.loss != 0 && self.seed.one_in(self.loss);
                let delay = self.seed.micros(DELAY_MAX_US);
                if lost || self.apart.contains(&(from.min(to), from.max(to))) {
                    continue;
                }
                self.packets += 1;
                let at = self.now + delay;
                let packet = (to, source, Arc::clone(&payload));
                self.on_the_way.insert((at, self.packets), packet);
            }
        }
    }

    fn check(&mut self) -> Result<(), String> {
        for a in 0..self.routers.len() {
            for b in a + 1..self.routers.len() {
                let well = |n: usize| {
                    let router = &self.routers[n];
                    router.is_master() && router.link_up && router.frozen_until.is_none()
                };
                let hear = self.loss == 0 && !self.apart.contains(&(a, b));
                if !(hear && well(a) && well(b)) {
                    self.two_masters.remove(&(a, b));
                    continue;
                }
                let since = *self.two_masters.entry((a, b)).or_insert(self.now);
                if self.now.since(since) > TWO_MASTERS_MAX {
                    return Err(self.failed(&format!("{a} and {b} are master since {since}")));
                }
            }
        }
        Ok(())
    }

    fn failed(&self, what: &str) -> String {
        let rank = |r: &Router| {
            format!(
                "{} {:?} {:?}",
                r.source, r.config.priority, r.config.preempt
            )
        };
        let routers: Vec<String> = self.routers.iter().map(rank).collect();
        format!(
            "{} {what}\n{}\n{}",
            self.now,
            routers.join("\n"),
            self.trace()
        )
    }
}
