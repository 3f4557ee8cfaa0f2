//! What a run is about: the protocol, the intervals, who may preempt; and what the RFCs say of its times,
//! written down here once more, so that the engine's own arithmetic is not its judge.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use vipd::config::Config;
use vipd::config::model::{
    Auth, Instance, Preempt, SyncGroup, SyncGroupSettings, TrackProcess, TrackedProcess,
    VirtualAddress, Weight,
};
use vipd::net::InterfaceName;
use vipd::units::{AdvertInterval, Priority, Version, Vrid};

use crate::seed::Seed;

/// The process that instances with a weight track.
pub(crate) const PROCESS: &str = "web";
/// The VRID of the first instance; the second one has the next.
pub(crate) const VRID: u8 = 51;
/// The instances of a router that has a sync group.
const NAMES: [&str; 2] = ["VI_1", "VI_2"];

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) version: Version,
    /// The shortest interval; of version 2, everybody's.
    pub(crate) interval: Duration,
    /// Some speak half as often: version 3 has every backup follow its master's interval.
    pub(crate) mixed: bool,
    pub(crate) preempt: Preempt,
    /// Two instances of each router in a sync group.
    pub(crate) grouped: bool,
    pub(crate) auth: Option<Auth>,
    /// Lost by whoever's process is not running; 0: nobody tracks it.
    pub(crate) weight: i16,
    pub(crate) down_adverts: u8,
}

/// What one router was told.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) priority: u8,
    pub(crate) interval: Duration,
    pub(crate) preempt: Preempt,
    /// Whether the last reload left the second virtual address out.
    pub(crate) one_vip: bool,
}

impl Plan {
    pub(crate) fn new(seed: &mut Seed) -> Plan {
        let version = seed.of(&[Version::V2, Version::V2, Version::V3]);
        let interval = match version {
            Version::V2 => Duration::from_secs(1 + 2 * u64::from(seed.one_in(8))),
            Version::V3 => Duration::from_millis(seed.of(&[100, 300, 1_000])),
        };
        // As an operator would do it: all of one kind.
        let preempt = match seed.below(5) {
            0 => Preempt::Never,
            // Longer than a master-down time, so that the two can be told apart.
            1 => Preempt::After(interval * 6),
            _ => Preempt::After(Duration::ZERO),
        };
        let grouped = seed.one_in(4);
        let weight = if !grouped && seed.one_in(2) { 100 } else { 0 };
        Plan {
            version,
            interval,
            mixed: version == Version::V3 && seed.one_in(2),
            preempt,
            grouped,
            auth: (version == Version::V2 && seed.one_in(3)).then_some(Auth::Pass(*b"secret\0\0")),
            weight,
            down_adverts: if seed.one_in(6) { 2 } else { 3 },
        }
    }

    /// A router of this run; some of them are equal.
    pub(crate) fn node(&self, seed: &mut Seed) -> Node {
        Node {
            priority: some_priority(seed),
            interval: if self.mixed && seed.one_in(2) {
                self.interval * 2
            } else {
                self.interval
            },
            preempt: self.preempt,
            one_vip: false,
        }
    }

    /// How many instances each router has.
    pub(crate) fn instances(&self) -> usize {
        if self.grouped { 2 } else { 1 }
    }

    /// As the file of this router would say it.
    pub(crate) fn config(&self, node: &Node) -> Config {
        let instances = (0..self.instances())
            .map(|number| Arc::new(self.instance(node, number)))
            .collect();
        let mut config = Config {
            instances,
            ..Config::default()
        };
        if self.grouped {
            config.sync_groups.push(SyncGroup {
                name: "G".to_owned(),
                members: NAMES.map(str::to_owned).into(),
                track_interfaces: Vec::new(),
                track_scripts: Vec::new(),
                track_files: Vec::new(),
                track_processes: Vec::new(),
                track_bfds: Vec::new(),
                settings: SyncGroupSettings::default(),
            });
        }
        if self.weight != 0 {
            let process = TrackProcess {
                name: PROCESS.to_owned(),
                argv: vec![PROCESS.to_owned()],
                param_match: None,
                weight: self.tracked().weight,
                quorum: 1,
                quorum_max: None,
                fork_delay: Duration::ZERO,
                terminate_delay: Duration::ZERO,
                full_command: false,
            };
            config.track_processes.insert(PROCESS.to_owned(), process);
        }
        config
    }

    fn tracked(&self) -> TrackedProcess {
        TrackedProcess {
            process: PROCESS.to_owned(),
            weight: Weight::Priority {
                delta: -self.weight,
                when_up: false,
            },
        }
    }

    fn instance(&self, node: &Node, number: usize) -> Instance {
        let vrid = VRID + u8::try_from(number).expect("few instances");
        let vrid = Vrid::new(vrid).expect("a VRID");
        let mut instance = Instance {
            version: self.version,
            priority: Priority::new(node.priority).expect("a priority"),
            preempt: node.preempt,
            advert_int: AdvertInterval::new(node.interval).expect("an interval"),
            down_timer_adverts: self.down_adverts,
            auth: self.auth,
            vips: vec![VirtualAddress::new(vip(number, 0))],
            ..Instance::new(name(number), interface(), vrid)
        };
        if !node.one_vip {
            instance.vips_excluded = vec![VirtualAddress::new(vip(number, 1))];
        }
        if self.weight != 0 {
            instance.more.track_processes.push(self.tracked());
        }
        instance
    }

    /// RFC 3768 section 6.1: a share of a second; RFC 9568 section 6.1: of the master's interval.
    pub(crate) fn skew(&self, priority: u8, master: Duration) -> Duration {
        let unit = match self.version {
            Version::V2 => Duration::from_secs(1),
            Version::V3 => master,
        };
        unit * (256 - u32::from(priority)) / 256
    }

    /// After how long a silence a router of this priority takes a master with this interval for dead.
    pub(crate) fn master_down(&self, priority: u8, master: Duration) -> Duration {
        master * u32::from(self.down_adverts) + self.skew(priority, master)
    }

    /// How late a timer is at most; small beside the skew that tells two priorities apart.
    pub(crate) fn lag_max(&self) -> Duration {
        self.interval.min(Duration::from_secs(1)) / 100
    }

    /// How much later than due a takeover may be: members of a group wait for each other, and the adverts
    /// of one may come a while after those of the other.
    pub(crate) fn takeover_lag(&self) -> Duration {
        if self.grouped {
            self.interval_max() + self.lag_max() * 2 + self.delay_max()
        } else {
            self.lag_max()
        }
    }

    /// How long a packet is on its way at most, when the network is well.
    pub(crate) fn delay_max(&self) -> Duration {
        self.interval.min(Duration::from_secs(1)) / 200
    }

    /// The worst master-down time there is.
    pub(crate) fn slowest(&self) -> Duration {
        self.master_down(1, self.interval_max())
    }

    /// The longest interval of any router.
    pub(crate) fn interval_max(&self) -> Duration {
        if self.mixed {
            self.interval * 2
        } else {
            self.interval
        }
    }

    /// Who waits before it preempts, how long.
    pub(crate) fn preempt_delay(&self) -> Duration {
        match self.preempt {
            Preempt::After(delay) => delay,
            Preempt::Never => Duration::ZERO,
        }
    }
}

/// 1 to 253, in steps that the skew tells apart.
pub(crate) fn some_priority(seed: &mut Seed) -> u8 {
    u8::try_from(1 + seed.below(8) * 36).expect("1 to 253")
}

pub(crate) fn name(number: usize) -> &'static str {
    NAMES.get(number).expect("two instances at most")
}

pub(crate) fn interface() -> InterfaceName {
    "eth0".parse().expect("a name")
}

/// The virtual addresses of an instance.
pub(crate) fn vip(number: usize, which: u8) -> vipd::net::Cidr {
    let last = 100 + 10 * u8::try_from(number).expect("few instances") + which;
    vipd::net::Cidr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)), 24).expect("an address")
}
