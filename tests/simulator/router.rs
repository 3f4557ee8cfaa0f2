//! One router: the engine, and beside it a kernel that keeps addresses whether it runs or not, and a clock
//! of its own.

#[path = "router/hands.rs"]
mod hands;

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use vipd::engine::failover::{Failover, Input, StopKind};
use vipd::engine::shared::Role;
use vipd::fact::{FactKind, FactName, FactValue};
use vipd::net::{
    ADDRESS_PROTOCOL, AddressKey, AddressSpec, Channel, Family, InterfaceIndex, Link, MacAddr,
    NetPicture, ObservedAddress,
};
use vipd::time::Time;
use vipd::units::Priority;
use vipd::vrrp::Start;

use crate::news::{Freeze, News, Notes};
use crate::plan::{Node, PROCESS, Plan, interface, name, vip};

pub(crate) struct Router {
    pub(crate) plan: Plan,
    pub(crate) node: Node,
    pub(crate) source: Ipv4Addr,
    engine: Option<Failover>,
    pub(crate) frozen: Option<Freeze>,
    /// Was told to stop, and has not let go of everything.
    pub(crate) stopping: Option<Time>,
    pub(crate) started: Time,
    pub(crate) ipvs_at: Option<Time>,
    /// Since when it is awake after a stall that it cannot have overlooked, until it has heard somebody.
    pub(crate) listens_since: Option<Time>,
    /// The same, where it depends on more whether it found out.
    pub(crate) may_listen_since: Option<Time>,
    pub(crate) link_up: bool,
    /// Whether the process that it tracks runs.
    pub(crate) process_up: bool,
    /// Its clock is ahead of the world's by so much.
    offset: Duration,
    /// How late its next timer is.
    pub(crate) lag: Duration,
    news: VecDeque<News>,
    addresses: BTreeMap<AddressKey, ObservedAddress>,
    /// When the last advert went out as master, by its clock, as the record on disk has it.
    record: Option<Time>,
    pub(crate) sent: Vec<News>,
    /// Wants to know what others announce.
    watches: bool,
    pub(crate) notes: Notes,
    pub(crate) log: Vec<String>,
    /// What it did that nobody may do.
    pub(crate) wrong: Option<String>,
    /// Has addresses of a predecessor, and heard nobody who is master.
    pub(crate) keeps: bool,
    /// Was told to yield.
    pub(crate) yielded: bool,
    /// When somebody took its addresses away.
    pub(crate) taken: Vec<Time>,
}

fn index() -> InterfaceIndex {
    InterfaceIndex::new(2).expect("2 is a number of an interface")
}

fn channel() -> Channel {
    Channel {
        interface: Some(index()),
        family: Family::V4,
        authenticated: false,
    }
}

fn observed(key: AddressKey, spec: AddressSpec, protocol: u8) -> ObservedAddress {
    ObservedAddress {
        key,
        spec,
        protocol,
        secondary: false,
    }
}

impl Router {
    pub(crate) fn new(number: u8, plan: Plan, node: Node, offset: Duration) -> Router {
        let source = Ipv4Addr::new(10, 0, 0, number);
        let own = format!("{source}/24").parse().expect("an address");
        let key = AddressKey::new(index(), own);
        let own = observed(key, AddressSpec::default(), 0);
        Router {
            plan,
            node,
            source,
            engine: None,
            frozen: None,
            stopping: None,
            started: Time::ZERO,
            ipvs_at: None,
            listens_since: None,
            may_listen_since: None,
            link_up: true,
            process_up: true,
            offset,
            lag: Duration::ZERO,
            news: VecDeque::new(),
            addresses: [(own.key, own)].into(),
            record: None,
            sent: Vec::new(),
            watches: false,
            notes: Notes::default(),
            log: Vec::new(),
            wrong: None,
            keeps: false,
            yielded: false,
            taken: Vec::new(),
        }
    }

    fn mac(&self) -> MacAddr {
        MacAddr([2, 0, 0, 0, 0, self.source.octets()[3]])
    }

    fn link(&self) -> Link {
        Link {
            index: index(),
            name: interface(),
            mac: self.mac(),
            admin_up: true,
            running: self.link_up,
            loopback: false,
            no_arp: false,
            multicast: true,
            mtu: 1500,
            promote_secondaries: false,
            vrf_table: None,
            bridge: false,
        }
    }

    /// What its clock shows.
    pub(crate) fn local(&self, now: Time) -> Time {
        now + self.offset
    }

    /// Its clock jumps ahead: a suspended machine was told how long it slept.
    pub(crate) fn jump(&mut self, ahead: Duration) {
        self.offset += ahead;
        // By this clock it may have listened for long enough.
        self.listens_since = None;
        // By this clock IPVS may have been waited for long enough.
        self.ipvs_at = self.ipvs_at.map(|_| Time::ZERO);
    }

    pub(crate) fn runs(&self) -> bool {
        self.engine.is_some()
    }

    /// Runs, and nothing holds it up.
    pub(crate) fn is_well(&self) -> bool {
        self.runs() && self.stopping.is_none() && self.link_up && self.frozen.is_none()
    }

    /// The priority that counts.
    pub(crate) fn priority(&self) -> u8 {
        let sum = if self.process_up {
            0
        } else {
            -self.plan.weight
        };
        let base = Priority::new(self.node.priority).expect("a priority");
        base.weighted(sum.into()).get()
    }

    /// Who wins between two masters.
    pub(crate) fn rank(&self) -> (u8, Ipv4Addr) {
        (self.priority(), self.source)
    }

    /// As the daemon starts: from the kernel's picture and the record of a predecessor.
    pub(crate) fn start(&mut self, ipvs_after: Duration, now: Time) {
        self.crash();
        self.started = now;
        self.ipvs_at = (!ipvs_after.is_zero()).then(|| now + ipvs_after);
        let local = self.local(now);
        let resumes = self.node.interval * 2;
        let start = match self.record {
            None => Start::Fresh,
            Some(at) if local.since(at) < resumes => Start::Resume,
            Some(_) => Start::Keep,
        };
        self.keeps = start != Start::Fresh && self.has_vip();
        if start == Start::Resume {
            self.ipvs_at = None;
        }
        let picture = NetPicture {
            links: vec![self.link()],
            addresses: self.addresses.values().cloned().collect(),
            ..NetPicture::default()
        };
        let config = self.plan.config(&self.node);
        let ipvs_needed = self.ipvs_at.is_some();
        let mut engine = Failover::new(config, picture, |_, _| start, ipvs_needed, local);
        let actions = engine.start(local);
        self.engine = Some(engine);
        self.carry_out(false, actions, now);
        self.tell(News::Process);
    }

    pub(crate) fn crash(&mut self) {
        self.engine = None;
        self.frozen = None;
        self.stopping = None;
        self.listens_since = None;
        self.ipvs_at = None;
        self.watches = false;
        self.yielded = false;
        self.news.clear();
    }

    /// The machine loses power; what it kept in memory is gone when it boots.
    pub(crate) fn power_off(&mut self) {
        self.crash();
        self.record = None;
        self.link_up = false;
        self.addresses.retain(|_, address| address.protocol == 0);
    }

    /// It is told to end, which it does when it has let go of everything.
    pub(crate) fn terminate(&mut self, now: Time) {
        if self.runs() && self.frozen.is_some() {
            self.news.push_back(News::Stop);
        } else {
            self.stop(now);
        }
    }

    fn stop(&mut self, now: Time) {
        if self.runs() && self.stopping.is_none() {
            self.stopping = Some(now);
            self.handle(Input::Stop(StopKind::Release), now);
        }
    }

    pub(crate) fn hand_over(&mut self, now: Time) {
        self.yielded = true;
        let instance = name(0).to_owned();
        self.handle(Input::HandOver { instance }, now);
    }

    pub(crate) fn stand_by(&mut self, on: bool, now: Time) {
        self.yielded = on;
        self.handle(Input::Standby(on), now);
    }

    /// It is told that its file changed; one that stands still finds out later.
    pub(crate) fn hang_up(&mut self, now: Time) {
        if self.runs() && self.frozen.is_some() {
            self.news.push_back(News::Reload);
        } else if self.stopping.is_none() {
            self.reload(now);
        }
    }

    fn reload(&mut self, now: Time) {
        let config = self.plan.config(&self.node);
        self.handle(Input::Reload(Arc::new(config)), now);
    }

    pub(crate) fn is_master(&self, number: usize) -> bool {
        let roles = self.engine.as_ref().map(Failover::roles);
        self.stopping.is_none()
            && roles.is_some_and(|roles| roles.get(name(number)) == Some(&Role::Master))
    }

    fn vips(&self) -> impl Iterator<Item = AddressKey> + use<> {
        let which = if self.node.one_vip { 1 } else { 2 };
        let numbers = 0..self.plan.instances();
        numbers.flat_map(move |number| {
            (0..which).map(move |which| AddressKey::new(index(), vip(number, which)))
        })
    }

    /// Any of them.
    pub(crate) fn has_vip(&self) -> bool {
        self.addresses
            .values()
            .any(|a| a.protocol == ADDRESS_PROTOCOL)
    }

    pub(crate) fn has_every_vip(&self) -> bool {
        self.vips().all(|key| self.addresses.contains_key(&key))
    }

    /// Somebody on this host deletes the virtual addresses.
    pub(crate) fn lose_vip(&mut self, now: Time) {
        let mut taken = false;
        for key in self.vips() {
            if self.addresses.remove(&key).is_some() {
                self.news.push_back(News::Gone(key));
                taken = true;
            }
        }
        if taken {
            self.taken.push(now);
        }
    }

    pub(crate) fn taken_within_a_minute(&self, now: Time) -> usize {
        let minute = Duration::from_secs(60);
        self.taken
            .iter()
            .filter(|at| now.since(**at) < minute)
            .count()
    }

    /// Has handled everything that came in.
    pub(crate) fn is_idle(&self) -> bool {
        self.news.is_empty()
    }

    pub(crate) fn tell(&mut self, news: News) {
        // A machine that is paused hears nothing; its own kernel tells it later.
        let paused = self.frozen.is_some_and(|freeze| freeze.unseen);
        let lost = paused && matches!(news, News::Packet(_) | News::Announced(..));
        if self.runs() && !lost {
            self.news.push_back(news);
        }
    }

    /// When it has something to do; never while it stands still.
    pub(crate) fn next(&self, now: Time) -> Option<Time> {
        let engine = self.engine.as_ref()?;
        if let Some(freeze) = self.frozen {
            return Some(freeze.until);
        }
        if !self.news.is_empty() {
            return Some(now);
        }
        let timer = engine.next_deadline().map(|(at, _)| {
            let at = Time::from_nanos(at.as_nanos()).since(Time::ZERO + self.offset);
            Time::ZERO + at + self.lag
        });
        let next = [timer, self.ipvs_at].into_iter().flatten().min();
        next.map(|at| at.max(now))
    }

    /// Everything that came in, then timers, as the thread does it.
    pub(crate) fn turn(&mut self, now: Time) {
        if let Some(freeze) = self.frozen {
            if now < freeze.until {
                return;
            }
            self.thaw(now);
        }
        if self.ipvs_at.is_some_and(|at| at <= now) {
            self.ipvs_at = None;
            self.news.push_back(News::IpvsReady);
        }
        while let Some(news) = self.news.pop_front() {
            self.take(news, now);
        }
        let deadline = self.engine.as_ref().and_then(Failover::next_deadline);
        if deadline.is_some_and(|(at, _)| at <= self.local(now)) {
            self.handle(Input::Timer, now);
        }
    }

    pub(crate) fn thaw(&mut self, now: Time) {
        let Some(freeze) = self.frozen.take() else {
            return;
        };
        let time = now.since(freeze.since);
        if freeze.unseen {
            self.offset = self.offset.saturating_sub(time);
            // By its own clock it has listened no longer than it had before.
            let shift = |since| since + time;
            self.listens_since = self.listens_since.map(shift);
            self.may_listen_since = self.may_listen_since.map(shift);
            return;
        }
        self.may_listen_since = Some(now);
        if time > self.plan.slowest() * 2 + self.plan.interval_max() * 2 {
            self.listens_since = Some(now);
        }
    }

    fn take(&mut self, news: News, now: Time) {
        match news {
            News::Packet(datagram) => self.hear(&datagram, now),
            News::Link => self.handle(Input::Link(self.link()), now),
            // The kernel's message has what was then; it is the same in here.
            News::Seen(key) => {
                let address = observed(key, AddressSpec::default(), ADDRESS_PROTOCOL);
                self.handle(Input::AddressSeen(address), now);
            }
            News::Gone(key) => self.handle(Input::AddressGone(key), now),
            News::Process => {
                let name = FactName::new(FactKind::Process, PROCESS);
                let value = FactValue::of(self.process_up);
                self.handle(Input::Fact { name, value }, now);
            }
            News::Reload if self.stopping.is_none() => self.reload(now),
            News::Reload => {}
            News::Stop => self.stop(now),
            News::Announced(address, mac) if self.watches => {
                let interface = index();
                let input = Input::AnnouncementSeen {
                    interface,
                    address,
                    mac,
                };
                self.handle(input, now);
            }
            News::Announced(..) => {}
            News::IpvsReady => self.handle(Input::IpvsReady, now),
        }
    }
}
