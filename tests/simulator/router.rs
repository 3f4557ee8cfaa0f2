//! One router: the engine, and beside it a kernel that keeps addresses whether it runs or not.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use vipd::config::Config;
use vipd::config::model::{Instance, Preempt, VirtualAddress};
use vipd::engine::failover::{Action, Failover, Input, Packet, StopKind};
use vipd::engine::shared::Role;
use vipd::net::{
    ADDRESS_PROTOCOL, AddressCommand, AddressKey, AddressSpec, Channel, Family, InterfaceIndex,
    Link, MacAddr, NetCommand, NetPicture, ObservedAddress,
};
use vipd::time::Time;
use vipd::units::{Priority, Vrid};
use vipd::vrrp::Start;

pub(crate) const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

/// What came in and was not handled yet.
pub(crate) enum News {
    Packet(Ipv4Addr, Arc<[u8]>),
    Link,
    Seen(AddressKey),
    Gone(AddressKey),
}

pub(crate) struct Router {
    pub(crate) config: Instance,
    pub(crate) source: Ipv4Addr,
    engine: Option<Failover>,
    /// Stands still until then; what comes in waits.
    pub(crate) frozen_until: Option<Time>,
    pub(crate) link_up: bool,
    news: VecDeque<News>,
    addresses: BTreeMap<AddressKey, ObservedAddress>,
    /// When the last advert went out as master, as the record on disk has it.
    pub(crate) record: Option<Time>,
    pub(crate) sent: Vec<Arc<[u8]>>,
    pub(crate) log: Vec<String>,
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

fn key(cidr: &str) -> AddressKey {
    AddressKey::new(index(), cidr.parse().expect("an address"))
}

pub(crate) fn vip() -> AddressKey {
    key("10.0.0.100/24")
}

fn observed(key: AddressKey, spec: AddressSpec, protocol: u8) -> ObservedAddress {
    ObservedAddress {
        key,
        spec,
        protocol,
        secondary: false,
    }
}

pub(crate) fn instance(priority: u8, preempt: Preempt) -> Instance {
    let vrid = Vrid::new(51).expect("a VRID");
    Instance {
        priority: Priority::new(priority).expect("a priority"),
        preempt,
        vips: vec![VirtualAddress::new(vip().cidr)],
        ..Instance::new("VI_1", "eth0".parse().expect("a name"), vrid)
    }
}

impl Router {
    pub(crate) fn new(number: u8, config: Instance) -> Router {
        let source = Ipv4Addr::new(10, 0, 0, number);
        let own = key(&format!("{source}/24"));
        let own = observed(own, AddressSpec::default(), 0);
        Router {
            config,
            source,
            engine: None,
            frozen_until: None,
            link_up: true,
            news: VecDeque::new(),
            addresses: [(own.key, own)].into(),
            record: None,
            sent: Vec::new(),
            log: Vec::new(),
        }
    }

    fn link(&self) -> Link {
        Link {
            index: index(),
            name: "eth0".parse().expect("a name"),
            mac: MacAddr([2, 0, 0, 0, 0, self.source.octets()[3]]),
            admin_up: true,
            running: self.link_up,
            loopback: false,
            no_arp: false,
            multicast: true,
            mtu: 1500,
            promote_secondaries: false,
        }
    }

    pub(crate) fn runs(&self) -> bool {
        self.engine.is_some()
    }

    /// As the daemon starts: from the kernel's picture and the record of a predecessor.
    pub(crate) fn start(&mut self, now: Time) {
        self.news.clear();
        let record = self.record;
        let config = Config {
            instances: vec![self.config.clone()],
            ..Config::default()
        };
        let mut engine = Failover::new(
            config,
            NetPicture {
                links: vec![self.link()],
                addresses: self.addresses.values().cloned().collect(),
            },
            |_, _| match record {
                None => Start::Fresh,
                Some(at) if now.since(at) < Duration::from_secs(2) => Start::Resume,
                Some(_) => Start::Keep,
            },
            false,
            now,
        );
        let actions = engine.start(now);
        self.engine = Some(engine);
        self.carry_out(actions, now);
    }

    pub(crate) fn crash(&mut self) {
        self.engine = None;
        self.frozen_until = None;
        self.news.clear();
    }

    /// It leaves in order, and ends when it has let go of everything.
    pub(crate) fn stop(&mut self, now: Time) {
        self.handle(Input::Stop(StopKind::Release), now);
    }

    pub(crate) fn is_master(&self) -> bool {
        let roles = self.engine.as_ref().map(Failover::roles);
        roles.is_some_and(|roles| roles.get("VI_1") == Some(&Role::Master))
    }

    /// Whether it only holds its addresses until somebody else has them.
    pub(crate) fn is_leaving(&self) -> bool {
        self.engine.as_ref().is_some_and(Failover::is_leaving)
    }

    pub(crate) fn has_vip(&self) -> bool {
        self.addresses.contains_key(&vip())
    }

    /// Somebody on this host deletes the VIP.
    pub(crate) fn lose_vip(&mut self) {
        if self.addresses.remove(&vip()).is_some() {
            self.news.push_back(News::Gone(vip()));
        }
    }

    pub(crate) fn tell(&mut self, news: News) {
        if self.runs() {
            self.news.push_back(news);
        }
    }

    /// When it has something to do; never while it stands still.
    pub(crate) fn next(&self, now: Time) -> Option<Time> {
        let engine = self.engine.as_ref()?;
        if let Some(until) = self.frozen_until {
            return Some(until);
        }
        if !self.news.is_empty() {
            return Some(now);
        }
        engine.next_deadline().map(|(at, _)| at.max(now))
    }

    /// Everything that came in, then timers, as the thread does it.
    pub(crate) fn turn(&mut self, now: Time) {
        if self.frozen_until.is_some_and(|until| now < until) {
            return;
        }
        self.frozen_until = None;
        while let Some(news) = self.news.pop_front() {
            match news {
                News::Packet(source, payload) => self.handle(
                    Input::Packet(Packet {
                        channel: channel(),
                        source: source.into(),
                        destination: GROUP.into(),
                        ttl: 255,
                        header: &[],
                        payload: &payload,
                    }),
                    now,
                ),
                News::Link => self.handle(Input::Link(self.link()), now),
                News::Seen(key) => {
                    // The kernel's message has what was then; it is the same in here.
                    let spec = AddressSpec::default();
                    self.handle(
                        Input::AddressSeen(observed(key, spec, ADDRESS_PROTOCOL)),
                        now,
                    );
                }
                News::Gone(key) => self.handle(Input::AddressGone(key), now),
            }
        }
        let deadline = self.engine.as_ref().and_then(Failover::next_deadline);
        if deadline.is_some_and(|(at, _)| at <= now) {
            self.handle(Input::Timer, now);
        }
    }

    fn handle(&mut self, input: Input<'_>, now: Time) {
        if let Some(engine) = &mut self.engine {
            let actions = engine.handle(input, now);
            let ended = actions.contains(&Action::Released);
            self.carry_out(actions, now);
            if ended {
                self.engine = None;
                self.news.clear();
            }
        }
    }

    fn carry_out(&mut self, actions: Vec<Action>, now: Time) {
        for action in actions {
            match action {
                Action::Send { beat, payload, .. } if self.link_up => {
                    self.sent.push(payload);
                    self.record = beat.alive.then_some(now);
                }
                Action::Ended(_) => self.record = None,
                Action::Net(commands) => {
                    commands.into_iter().for_each(|command| self.apply(command));
                }
                Action::LookAgain => {
                    let links = vec![self.link()];
                    let addresses = self.addresses.values().cloned().collect();
                    self.handle(Input::Kernel(NetPicture { links, addresses }), now);
                }
                Action::Event(event) => self.log.push(format!("{now} {} {event}", self.source)),
                _ => {}
            }
        }
    }

    /// The kernel does it and says so.
    fn apply(&mut self, command: NetCommand) {
        match command {
            NetCommand::Address(AddressCommand::Add(key, spec)) => {
                let address = observed(key, spec, ADDRESS_PROTOCOL);
                self.addresses.insert(key, address);
                self.news.push_back(News::Seen(key));
            }
            // The one address of each network here is its first.
            NetCommand::Link(_) => {}
            NetCommand::Address(AddressCommand::Delete(key)) => {
                if self.addresses.remove(&key).is_some() {
                    self.news.push_back(News::Gone(key));
                }
            }
        }
    }
}
