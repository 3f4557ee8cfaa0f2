mod addresses;
mod adverts;
mod announce;
mod bfd;
mod hand_over;
mod kernel;
mod lease;
mod links;
mod notices;
mod own_links;
mod probe;
mod reload;
mod routing;
mod sync;
mod tracked;
mod view;

use super::*;
use crate::config::model::{Auth, Instance, Script, TrackedScript, VirtualAddress, Weight};
use crate::engine::shared::Role;
use crate::net::{
    AddressCommand, AddressSpec, Cidr, Family, InterfaceIndex, Link, LinkCommand, MacAddr,
    NetCommand, ObservedAddress, ObservedRoute, RouteCommand, RouteKey, RouteSpec, Rule,
    RuleCommand,
};
use crate::units::{Priority, Version, Vrid};
use crate::wire;
use std::net::IpAddr;
use std::sync::Arc;

fn instance(name: &str, vrid: u8, vip: &str) -> Instance {
    Instance {
        auth: Some(Auth::Pass(*b"123456\0\0")),
        vips: vec![VirtualAddress::new(vip.parse().unwrap())],
        ..Instance::new(name, "eth0".parse().unwrap(), Vrid::new(vrid).unwrap())
    }
}

fn config(instances: Vec<Instance>) -> Config {
    Config {
        instances: instances.into_iter().map(Arc::new).collect(),
        ..Config::default()
    }
}

fn eth0() -> InterfaceIndex {
    InterfaceIndex::new(2).unwrap()
}

fn channel(family: Family) -> Channel {
    Channel {
        interface: Some(eth0()),
        family,
        authenticated: false,
    }
}

fn link(up: bool) -> Link {
    Link {
        index: eth0(),
        name: "eth0".parse().unwrap(),
        mac: MacAddr([2, 0, 0, 0, 0, 5]),
        admin_up: up,
        running: up,
        loopback: false,
        no_arp: false,
        multicast: true,
        mtu: 1500,
        promote_secondaries: false,
        vrf_table: None,
        bridge: false,
    }
}

fn address(cidr: &str, protocol: u8) -> ObservedAddress {
    let cidr: Cidr = cidr.parse().unwrap();
    ObservedAddress {
        key: AddressKey::new(eth0(), cidr),
        spec: AddressSpec::default(),
        protocol,
        secondary: false,
    }
}

fn same_network(a: &AddressKey, b: &AddressKey) -> bool {
    a.interface == b.interface
        && a.cidr.prefix() == b.cidr.prefix()
        && a.cidr.contains(b.cidr.addr())
}

/// The engine with a kernel beside it that does what it is told.
struct Bench {
    engine: Failover,
    now: Time,
    kernel: BTreeMap<AddressKey, ObservedAddress>,
    links: Vec<Link>,
    sent: Vec<u8>,
    events: Vec<String>,
    announced: BTreeMap<IpAddr, u32>,
    notices: Vec<String>,
    commands: usize,
    scripts_run: Vec<String>,
    /// What was asked for.
    probed: Vec<IpAddr>,
    opened: usize,
    watching: bool,
    /// What was asked for BFD sessions.
    sessions: Vec<Action>,
    promotes: bool,
    routes: BTreeMap<RouteKey, RouteSpec>,
    rules: BTreeSet<Rule>,
    /// Changes to addresses, routes and rules, in their order.
    changes: Vec<String>,
    released: bool,
}

impl Bench {
    fn with(config: Config, there: &[ObservedAddress], start: vrrp::Start, ipvs: bool) -> Bench {
        let mut addresses = vec![address("10.0.0.5/24", 0)];
        addresses.extend_from_slice(there);
        let kernel = addresses.iter().map(|a| (a.key, a.clone())).collect();
        let engine = Failover::new(
            config,
            NetPicture {
                links: vec![link(true)],
                addresses,
                ..NetPicture::default()
            },
            |_, _| start,
            ipvs,
            Time::ZERO,
        );
        let mut bench = Bench {
            engine,
            now: Time::ZERO,
            kernel,
            links: vec![link(true)],
            sent: Vec::new(),
            events: Vec::new(),
            announced: BTreeMap::new(),
            notices: Vec::new(),
            commands: 0,
            scripts_run: Vec::new(),
            probed: Vec::new(),
            opened: 0,
            watching: false,
            sessions: Vec::new(),
            promotes: false,
            routes: BTreeMap::new(),
            rules: BTreeSet::new(),
            changes: Vec::new(),
            released: false,
        };
        let actions = bench.engine.start(bench.now);
        bench.carry_out(actions);
        bench
    }

    fn new(config: Config) -> Bench {
        Bench::with(config, &[], vrrp::Start::Fresh, false)
    }

    fn master(config: Config) -> Bench {
        let mut bench = Bench::new(config);
        bench.run(4);
        assert!(
            bench
                .engine
                .roles()
                .values()
                .all(|role| *role == Role::Master)
        );
        bench.sent.clear();
        bench.announced.clear();
        bench.commands = 0;
        bench
    }

    fn input(&mut self, input: Input<'_>) {
        let actions = self.engine.handle(input, self.now);
        self.carry_out(actions);
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send { payload, .. } => {
                    self.sent.push(payload[2]);
                }
                Action::Announce { address, .. } => {
                    *self.announced.entry(address).or_default() += 1;
                }
                Action::Probe { address, .. } => self.probed.push(address),
                Action::Net(commands) => {
                    self.commands += commands.len();
                    for command in commands {
                        self.obey(command);
                    }
                }
                Action::RunScript { name, .. } => self.scripts_run.push(name),
                Action::Event(event) => self.events.push(event.to_string()),
                Action::LookAgain => {
                    let addresses = self.kernel.values().cloned().collect();
                    self.input(Input::Kernel(NetPicture {
                        links: self.links.clone(),
                        addresses,
                        routes: self.shown_routes(),
                        rules: self.rules.iter().cloned().collect(),
                    }));
                }
                Action::Released => self.released = true,
                Action::OpenSocket { .. } => self.opened += 1,
                Action::WatchAnnouncements(on) => self.watching = on,
                Action::OpenSession { .. }
                | Action::CloseSession(_)
                | Action::SendSession { .. }
                | Action::Sessions(_) => self.sessions.push(action),
                Action::Notice(notice) => self
                    .notices
                    .push(notice.line().unwrap().trim_end().to_owned()),
                Action::MakeLink(_) | Action::RemoveLink(_) => self.obey_about_link(action),
                Action::CloseSocket(_) | Action::Roles(_) | Action::Ended(_) => {}
            }
        }
    }

    /// Lets so many seconds pass, deadline by deadline.
    fn run(&mut self, seconds: u64) {
        self.run_for(Duration::from_secs(seconds));
    }

    fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some((at, _)) = self.engine.next_deadline().filter(|(at, _)| *at <= end) {
            self.now = at.max(self.now);
            self.input(Input::Timer);
        }
        self.now = end;
    }

    fn hear(&mut self, priority: u8, vrid: u8, password: &[u8; 8]) {
        let advert = wire::vrrp::Advert {
            version: Version::V2,
            vrid: Vrid::new(vrid).unwrap(),
            priority,
            interval: Duration::from_secs(1),
            addresses: vec!["10.0.0.100".parse().unwrap()],
            auth: wire::vrrp::AuthField::Pass(*password),
        };
        let mut payload = Vec::new();
        wire::vrrp::encode(
            &advert,
            Family::V4,
            wire::vrrp::Cover::Message,
            &mut payload,
        )
        .unwrap();
        self.input(Input::Packet(Packet {
            channel: channel(Family::V4),
            source: IpAddr::from([10, 0, 0, 9]),
            destination: IpAddr::from([224, 0, 0, 18]),
            ttl: 255,
            header: &[],
            payload: &payload,
        }));
    }

    /// The kernel loses an address and says so.
    fn lose(&mut self, key: AddressKey) {
        self.kernel.remove(&key);
        self.input(Input::AddressGone(key));
    }

    fn said(&self, text: &str) -> usize {
        self.events.iter().filter(|e| e.contains(text)).count()
    }

    fn has(&self, cidr: &str) -> bool {
        self.kernel.contains_key(&address(cidr, 0).key)
    }

    fn role(&self, name: &str) -> Role {
        self.engine.roles()[name]
    }
}

const PASSWORD: &[u8; 8] = b"123456\0\0";

#[test]
fn silence_puts_the_vip_on_the_interface_and_announces_it() {
    let mut bench = Bench::new(config(vec![instance("VI_1", 51, "10.0.0.100")]));
    assert!(!bench.has("10.0.0.100"));
    bench.run(4);
    assert!(bench.has("10.0.0.100"));
    assert_eq!(bench.role("VI_1"), Role::Master);
    assert_eq!(bench.sent, [100]);
    assert_eq!(bench.announced, [("10.0.0.100".parse().unwrap(), 5)].into());
    assert!(
        bench
            .events
            .iter()
            .any(|e| e.starts_with("(VI_1) Entering MASTER STATE"))
    );
}

#[test]
fn stop_says_goodbye_and_removes_the_vip() {
    let mut bench = Bench::master(config(vec![instance("VI_1", 51, "10.0.0.100")]));
    bench.input(Input::Stop(StopKind::Release));
    assert_eq!(bench.sent, [0]);
    bench.run(2);
    assert!(!bench.has("10.0.0.100") && bench.has("10.0.0.5/24"));
    assert!(bench.released);
}

#[test]
fn stop_that_keeps_says_nothing_and_removes_nothing() {
    let mut bench = Bench::master(config(vec![instance("VI_1", 51, "10.0.0.100")]));
    bench.input(Input::Stop(StopKind::Keep));
    assert_eq!((bench.sent.as_slice(), bench.commands), ([].as_slice(), 0));
    assert!(bench.released && bench.has("10.0.0.100"));
}

#[test]
fn a_higher_priority_takes_the_vip_away() {
    let mut bench = Bench::master(config(vec![instance("VI_1", 51, "10.0.0.100")]));
    bench.hear(200, 51, PASSWORD);
    assert_eq!(bench.role("VI_1"), Role::Backup);
    bench.run_for(vrrp::ANNOUNCED_WITHIN);
    assert!(!bench.has("10.0.0.100"));
}

#[test]
fn another_password_is_told_once_and_not_believed() {
    let mut bench = Bench::master(config(vec![instance("VI_1", 51, "10.0.0.100")]));
    for _ in 0..5 {
        bench.hear(200, 51, b"wrong\0\0\0");
    }
    assert_eq!(bench.role("VI_1"), Role::Master);
    assert_eq!(
        bench
            .events
            .iter()
            .filter(|e| e.contains("auth_pass"))
            .count(),
        1
    );
}

#[test]
fn adverts_of_other_virtual_routers_are_nobodys_business() {
    let mut bench = Bench::master(config(vec![instance("VI_1", 51, "10.0.0.100")]));
    bench.hear(200, 52, PASSWORD);
    assert_eq!(bench.role("VI_1"), Role::Master);
}

#[test]
fn a_vip_found_while_not_master_is_removed() {
    let left = [address("10.0.0.100", 0)];
    let config = config(vec![instance("VI_1", 51, "10.0.0.100")]);
    let bench = Bench::with(config, &left, vrrp::Start::Fresh, false);
    assert!(!bench.has("10.0.0.100") && bench.has("10.0.0.5/24"));
}

#[test]
fn what_carries_our_tag_and_is_not_configured_any_more_is_removed() {
    let left = [
        address("10.0.0.101", crate::net::ADDRESS_PROTOCOL),
        address("10.0.0.102", 0),
    ];
    let config = config(vec![instance("VI_1", 51, "10.0.0.100")]);
    let bench = Bench::with(config, &left, vrrp::Start::Fresh, false);
    assert!(!bench.has("10.0.0.101"), "ours");
    assert!(bench.has("10.0.0.102"), "somebody else's");
}

#[test]
fn a_crashed_master_is_resumed_without_touching_the_vip() {
    let left = [address("10.0.0.100", crate::net::ADDRESS_PROTOCOL)];
    let config = config(vec![instance("VI_1", 51, "10.0.0.100")]);
    let bench = Bench::with(config, &left, vrrp::Start::Resume, true);
    assert_eq!(bench.role("VI_1"), Role::Master);
    assert_eq!(
        (bench.sent.as_slice(), bench.commands),
        ([100].as_slice(), 0)
    );
}

#[test]
fn a_vip_kept_after_a_long_absence_goes_at_the_first_advert_of_another() {
    let left = [address("10.0.0.100", crate::net::ADDRESS_PROTOCOL)];
    let config = config(vec![instance("VI_1", 51, "10.0.0.100")]);
    let mut bench = Bench::with(config, &left, vrrp::Start::Keep, false);
    assert_eq!(bench.role("VI_1"), Role::Backup);
    assert!(bench.has("10.0.0.100"));
    bench.hear(50, 51, PASSWORD);
    assert!(!bench.has("10.0.0.100"));
}

#[test]
fn nothing_is_resumed_when_the_vip_is_not_there() {
    let config = config(vec![instance("VI_1", 51, "10.0.0.100")]);
    let bench = Bench::with(config, &[], vrrp::Start::Resume, false);
    assert_eq!(bench.role("VI_1"), Role::Backup);
}

#[test]
fn claiming_waits_for_ipvs_but_not_for_ever() {
    let config = config(vec![instance("VI_1", 51, "10.0.0.100")]);
    let mut bench = Bench::with(config.clone(), &[], vrrp::Start::Fresh, true);
    bench.run(5);
    assert_eq!(bench.role("VI_1"), Role::Backup);
    bench.input(Input::IpvsReady);
    assert_eq!(bench.role("VI_1"), Role::Master);
    let mut bench = Bench::with(config, &[], vrrp::Start::Fresh, true);
    bench.run(11);
    assert_eq!(bench.role("VI_1"), Role::Master);
    assert!(
        bench
            .events
            .iter()
            .any(|e| e.contains("IPVS is not programmed"))
    );
}

#[test]
fn a_link_that_goes_down_is_a_fault_until_it_is_back() {
    let mut bench = Bench::master(config(vec![instance("VI_1", 51, "10.0.0.100")]));
    bench.input(Input::Link(link(false)));
    assert_eq!(bench.role("VI_1"), Role::Fault);
    assert!(!bench.has("10.0.0.100"));
    assert!(
        bench
            .events
            .iter()
            .any(|e| e.contains("FAULT STATE: interface eth0 is down"))
    );
    bench.input(Input::Link(link(true)));
    assert_eq!(bench.role("VI_1"), Role::Backup);
    bench.run(4);
    assert!(bench.has("10.0.0.100"));
}

#[test]
fn a_link_that_is_deleted_and_made_again_serves_again() {
    let mut bench = Bench::master(config(vec![instance("VI_1", 51, "10.0.0.100")]));
    bench.kernel.clear();
    bench.input(Input::LinkGone(eth0()));
    assert_eq!(bench.role("VI_1"), Role::Fault);
    let index = InterfaceIndex::new(9).unwrap();
    bench.input(Input::Link(Link {
        index,
        ..link(true)
    }));
    let key = AddressKey::new(index, "10.0.0.5/24".parse().unwrap());
    bench.input(Input::AddressSeen(ObservedAddress {
        key,
        ..address("10.0.0.5/24", 0)
    }));
    assert_eq!(bench.role("VI_1"), Role::Backup);
}

#[test]
fn two_engines_on_one_segment_agree_on_one_master_and_hand_over() {
    let mut low = Bench::new(config(vec![instance("VI_1", 51, "10.0.0.100")]));
    let mut high = {
        let mut vi = instance("VI_1", 51, "10.0.0.100");
        vi.priority = Priority::new(150).unwrap();
        Bench::new(config(vec![vi]))
    };
    for step in 0..400 {
        low.run_for(Duration::from_millis(100));
        high.run_for(Duration::from_millis(100));
        for priority in std::mem::take(&mut high.sent) {
            low.hear(priority, 51, PASSWORD);
        }
        if step == 200 {
            high.input(Input::Stop(StopKind::Release));
        }
    }
    assert_eq!(low.role("VI_1"), Role::Master);
    let low_master = low
        .events
        .iter()
        .filter(|e| e.contains("Entering MASTER"))
        .count();
    assert_eq!(
        low_master, 1,
        "only after the other had left: {:?}",
        low.events
    );
    assert!(
        low.events
            .iter()
            .any(|e| e.contains("left with priority 0"))
    );
}
