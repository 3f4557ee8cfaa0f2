//! The routers, the link between them, and time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use vipd::time::Time;

use crate::news::{Freeze, News};
use crate::plan::Plan;
use crate::router::Router;
use crate::seed::Seed;
use crate::watch::Watch;

pub(crate) struct World {
    pub(crate) seed: Seed,
    pub(crate) plan: Plan,
    pub(crate) now: Time,
    pub(crate) routers: Vec<Router>,
    pub(crate) network: Network,
    /// To whom, by the time when it is there.
    on_the_way: BTreeMap<(Time, u64), (usize, News)>,
    packets: u64,
    /// When the last packet of one to another is there.
    arrivals: BTreeMap<(Option<usize>, usize), Time>,
    watch: Watch,
    /// Somebody must have the addresses at every moment.
    pub(crate) covered: bool,
    pub(crate) story: Vec<String>,
}

/// What the link does to packets.
#[derive(Default)]
pub(crate) struct Network {
    /// One packet in so many is lost; 0: none.
    pub(crate) loss: u64,
    /// One packet in so many comes twice; 0: none.
    pub(crate) copies: u64,
    /// One packet in so many comes after others that were sent later; 0: none.
    pub(crate) late: u64,
    /// Who (second) does not hear whom (first).
    pub(crate) deaf: BTreeSet<(usize, usize)>,
    /// Since when nothing of this is so.
    pub(crate) well_since: Time,
}

impl Network {
    pub(crate) fn is_well(&self) -> bool {
        self.loss == 0 && self.late == 0 && self.copies == 0
    }
}

impl World {
    pub(crate) fn new(seed: u64) -> World {
        let mut seed = Seed::new(seed);
        let count = 2 + seed.below(3);
        let plan = Plan::new(&mut seed);
        let routers = (1..=count)
            .map(|number| {
                let number = u8::try_from(number).expect("few routers");
                let node = plan.node(&mut seed);
                let offset = Duration::from_secs(seed.below(100_000));
                Router::new(number, plan.clone(), node, offset)
            })
            .collect();
        let mut world = World {
            seed,
            plan,
            now: Time::from_millis(60_000),
            routers,
            network: Network::default(),
            on_the_way: BTreeMap::new(),
            packets: 0,
            arrivals: BTreeMap::new(),
            watch: Watch::default(),
            covered: false,
            story: Vec::new(),
        };
        for number in 0..world.routers.len() {
            world.start(number);
        }
        world
    }

    /// Starts a router whose IPVS may take a moment.
    pub(crate) fn start(&mut self, number: usize) {
        let ipvs = if self.seed.one_in(3) {
            // Less than what it waits for at most.
            let most = self.plan.interval * 6;
            self.seed.within(most.min(Duration::from_secs(9)))
        } else {
            Duration::ZERO
        };
        self.tell_story(format!("{number} starts"));
        self.routers[number].start(ipvs, self.now);
        self.post(number);
    }

    pub(crate) fn stop(&mut self, number: usize) {
        self.tell_story(format!("{number} stops"));
        self.routers[number].terminate(self.now);
        self.post(number);
    }

    pub(crate) fn crash(&mut self, number: usize) {
        self.tell_story(format!("{number} is killed"));
        self.routers[number].crash();
    }

    pub(crate) fn set_link(&mut self, number: usize, up: bool) {
        let router = &mut self.routers[number];
        if router.link_up != up {
            router.link_up = up;
            router.tell(News::Link);
            self.tell_story(format!("link of {number} is up: {up}"));
        }
    }

    pub(crate) fn set_process(&mut self, number: usize, up: bool) {
        self.routers[number].process_up = up;
        self.routers[number].tell(News::Process);
        self.tell_story(format!("process of {number} runs: {up}"));
    }

    /// Stands still from now on; `unseen`: its clock too.
    pub(crate) fn freeze(&mut self, number: usize, time: Duration, unseen: bool) {
        let router = &mut self.routers[number];
        if router.runs() && router.frozen.is_none() {
            router.frozen = Some(Freeze {
                since: self.now,
                until: self.now + time,
                unseen,
            });
            self.watch.stands_still(number);
            self.tell_story(format!(
                "{number} stands still for {time:?}, clock too: {unseen}"
            ));
        }
    }

    pub(crate) fn reload(&mut self, number: usize) {
        let node = self.routers[number].node.clone();
        self.tell_story(format!("{number} reloads: {node:?}"));
        self.routers[number].hang_up(self.now);
        self.post(number);
    }

    pub(crate) fn tell_story(&mut self, line: String) {
        self.story.push(format!("{} --- {line}", self.now));
    }

    /// Who is master, of those that are well.
    pub(crate) fn masters(&self) -> Vec<usize> {
        let all = 0..self.routers.len();
        all.filter(|n| self.routers[*n].is_master(0)).collect()
    }

    pub(crate) fn trace(&self) -> String {
        let mut lines: Vec<&String> = self.routers.iter().flat_map(|r| &r.log).collect();
        lines.extend(&self.story);
        lines.sort_by_key(|line| {
            let seconds = line
                .split_once('s')
                .and_then(|(at, _)| at.parse::<f64>().ok());
            seconds.map(f64::to_bits)
        });
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    /// Lets time pass, event by event.
    pub(crate) fn pass(&mut self, time: Duration) -> Result<(), String> {
        let end = self.now + time;
        loop {
            let packet = self.on_the_way.keys().next().map(|(at, _)| *at);
            let routers = self.routers.iter().filter_map(|r| r.next(self.now));
            let Some(at) = routers.chain(packet).min().filter(|at| *at <= end) else {
                break;
            };
            self.now = at.max(self.now);
            self.deliver();
            for number in 0..self.routers.len() {
                let next = self.routers[number].next(self.now);
                if next.is_some_and(|at| at <= self.now) {
                    self.routers[number].turn(self.now);
                    self.routers[number].lag = self.seed.within(self.plan.lag_max());
                    self.post(number);
                }
            }
            self.check()?;
        }
        self.now = end;
        Ok(())
    }

    fn deliver(&mut self) {
        while let Some(first) = self.on_the_way.first_entry() {
            if first.key().0 > self.now {
                break;
            }
            let (to, news) = first.remove();
            if self.routers[to].link_up {
                self.routers[to].tell(news);
            }
        }
    }

    /// What a router has sent goes on its way to each of the others.
    pub(crate) fn post(&mut self, from: usize) {
        for news in std::mem::take(&mut self.routers[from].sent) {
            if !self.routers[from].link_up {
                continue;
            }
            for to in (0..self.routers.len()).filter(|to| *to != from) {
                if !self.network.deaf.contains(&(from, to)) {
                    self.send(Some(from), to, &news);
                }
            }
        }
    }

    /// One packet to one router, as the network lets it: in the order in which they were sent, unless it
    /// is one that comes late.
    pub(crate) fn send(&mut self, from: Option<usize>, to: usize, news: &News) {
        let chance = |seed: &mut Seed, one_in: u64| one_in != 0 && seed.one_in(one_in);
        if chance(&mut self.seed, self.network.loss) {
            return;
        }
        let copies = 1 + u64::from(chance(&mut self.seed, self.network.copies));
        for _ in 0..copies {
            let late = chance(&mut self.seed, self.network.late);
            let most = if late {
                self.plan.interval * 2
            } else {
                self.plan.delay_max()
            };
            let mut at = self.now + self.seed.within(most);
            if !late {
                let before = self.arrivals.entry((from, to)).or_insert(at);
                at = at.max(*before);
                *before = at;
            }
            self.packets += 1;
            self.on_the_way
                .insert((at, self.packets), (to, news.clone()));
        }
    }

    fn check(&mut self) -> Result<(), String> {
        let mut watch = std::mem::take(&mut self.watch);
        let found = watch.look(self);
        self.watch = watch;
        found.map_err(|what| self.failed(&what))
    }

    pub(crate) fn failed(&self, what: &str) -> String {
        let routers: Vec<String> = self
            .routers
            .iter()
            .enumerate()
            .map(|(number, r)| {
                let master = if r.is_master(0) { "master" } else { "" };
                format!("{number} {} {:?} {master}", r.source, r.node)
            })
            .collect();
        format!(
            "{} {what}\n{:?}\n{}\n{}",
            self.now,
            self.plan,
            routers.join("\n"),
            self.trace()
        )
    }
}
