//! Announcements (gratuitous ARP, unsolicited neighbour advertisements) on their way out: how many are
//! left of each address, and when the next one may leave where.
//!
//! `vrrp_garp_interval`, `vrrp_gna_interval` and `garp_group` say how far apart they are. An address is
//! told of once before any is told of again, so that the last of a thousand waits for a thousand, not
//! for five thousand. Without an interval they leave at once, but in portions: adverts of others are
//! read in between.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::config::Config;
use crate::config::model::ExtraAnnouncements;
use crate::net::{AddressKey, Family, InterfaceIndex, InterfaceName};
use crate::time::Time;
use crate::vrrp::State;

use super::slot::Slot;
use super::{Action, Failover, TimerOf};

/// Announcements that leave in one turn; then whatever came in is handled.
const PORTION: usize = 64;

/// Announcements that share one interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    /// No interval.
    Free,
    /// One interface.
    Interface(InterfaceIndex, Family),
    /// Every interface of this `garp_group`.
    Group(usize, Family),
}

/// In which order the addresses of a lane are told of: who was told of least, then who waits longest.
type Turn = (u32, u64, AddressKey);

#[derive(Clone, Debug, Default)]
struct Queue {
    turns: BTreeSet<Turn>,
    /// When the next one may leave.
    open_at: Time,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    lane: Lane,
    turn: Turn,
    left: u32,
}

/// The intervals of a configuration.
#[derive(Clone, Debug, Default)]
struct Pace {
    garp: Duration,
    gna: Duration,
    /// By interface: the group that names it, and its intervals.
    groups: BTreeMap<InterfaceName, (usize, Option<Duration>, Option<Duration>)>,
}

impl Pace {
    fn of(config: &Config) -> Pace {
        let vrrp = &config.globals.vrrp;
        let mut pace = Pace {
            garp: vrrp.vrrp_garp_interval.unwrap_or_default(),
            gna: vrrp.vrrp_gna_interval.unwrap_or_default(),
            groups: BTreeMap::new(),
        };
        for (number, group) in config.links.garp_groups.iter().enumerate() {
            for interface in &group.interfaces {
                let intervals = (number, group.garp_interval, group.gna_interval);
                pace.groups.entry(interface.clone()).or_insert(intervals);
            }
        }
        pace
    }

    /// Where the announcements of a family on an interface queue up, and how far apart they leave.
    fn lane(
        &self,
        index: InterfaceIndex,
        name: &InterfaceName,
        family: Family,
    ) -> (Lane, Duration) {
        let group = self.groups.get(name).and_then(|(number, garp, gna)| {
            let interval = match family {
                Family::V4 => *garp,
                Family::V6 => *gna,
            };
            Some((Lane::Group(*number, family), interval?))
        });
        let all = match family {
            Family::V4 => self.garp,
            Family::V6 => self.gna,
        };
        match group.unwrap_or((Lane::Interface(index, family), all)) {
            (_, Duration::ZERO) => (Lane::Free, Duration::ZERO),
            paced => paced,
        }
    }
}

/// What waits to leave.
#[derive(Clone, Debug, Default)]
pub(super) struct Announcer {
    pace: Pace,
    queues: BTreeMap<Lane, Queue>,
    waiting: BTreeMap<AddressKey, Waiting>,
    asked: u64,
}

impl Announcer {
    pub(super) fn new(config: &Config) -> Announcer {
        Announcer {
            pace: Pace::of(config),
            ..Announcer::default()
        }
    }

    /// Other intervals from now on; what waits goes on waiting, under them.
    fn repace(
        &mut self,
        config: &Config,
        name_of: impl Fn(InterfaceIndex) -> Option<InterfaceName>,
    ) {
        let waiting = std::mem::take(&mut self.waiting);
        self.queues.clear();
        self.pace = Pace::of(config);
        for (key, entry) in waiting {
            if let Some(name) = name_of(key.interface) {
                self.put(key, &name, entry.left, entry.turn.0);
            }
        }
    }

    /// An address is to be told of `repeat` times; where some are still to leave, no more than the larger
    /// number of the two. Its turn comes as that of one that was not told of yet.
    fn ask(&mut self, key: AddressKey, paced_by: &InterfaceName, repeat: u32) {
        let left = self.cancel(&key).max(repeat);
        self.put(key, paced_by, left, 0);
    }

    fn put(&mut self, key: AddressKey, paced_by: &InterfaceName, left: u32, told: u32) {
        if left == 0 {
            return;
        }
        let (lane, _) = self.pace.lane(key.interface, paced_by, key.cidr.family());
        self.asked += 1;
        let turn = (told, self.asked, key);
        self.queues.entry(lane).or_default().turns.insert(turn);
        self.waiting.insert(key, Waiting { lane, turn, left });
    }

    /// An address is not to be told of any more; how many announcements were left.
    fn cancel(&mut self, key: &AddressKey) -> u32 {
        let Some(entry) = self.waiting.remove(key) else {
            return 0;
        };
        if let Some(queue) = self.queues.get_mut(&entry.lane) {
            queue.turns.remove(&entry.turn);
        }
        entry.left
    }

    /// When the next one may leave.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        let open = self.queues.values().filter(|queue| !queue.turns.is_empty());
        open.map(|queue| queue.open_at).min()
    }

    /// What leaves now: at most [`PORTION`], and of a lane with an interval at most one. `paced_by` names
    /// the interface whose interval counts; `None` for an address that is not held any more.
    fn due(
        &mut self,
        now: Time,
        paced_by: impl Fn(&AddressKey) -> Option<InterfaceName>,
    ) -> Vec<AddressKey> {
        let mut due = Vec::new();
        let open: Vec<Lane> = self
            .queues
            .iter()
            .filter(|(_, queue)| queue.open_at <= now && !queue.turns.is_empty())
            .map(|(lane, _)| *lane)
            .collect();
        for lane in open {
            while due.len() < PORTION
                && let Some((told, _, key)) = self
                    .queues
                    .get(&lane)
                    .and_then(|q| q.turns.first().copied())
            {
                let left = self.cancel(&key);
                let Some(name) = paced_by(&key) else { continue };
                due.push(key);
                let (_, interval) = self.pace.lane(key.interface, &name, key.cidr.family());
                self.put(key, &name, left.saturating_sub(1), told.saturating_add(1));
                if lane != Lane::Free {
                    if let Some(queue) = self.queues.get_mut(&lane) {
                        queue.open_at = now + interval;
                    }
                    break;
                }
            }
        }
        // A lane stays for as long as its interval runs: what comes meanwhile waits for its end.
        self.queues
            .retain(|_, queue| !queue.turns.is_empty() || queue.open_at > now);
        due
    }
}

impl Failover {
    /// Asks for announcements of every address of an instance.
    pub(super) fn announce(&mut self, index: usize, repeat: u32) {
        let Some(slot) = self.slots.get(index) else {
            return;
        };
        let keys: Vec<AddressKey> = slot.keys(&self.kernel).map(|(key, _)| key).collect();
        for key in keys {
            self.announce_address(key, repeat);
        }
    }

    /// Asks for announcements of one address.
    pub(super) fn announce_address(&mut self, key: AddressKey, repeat: u32) {
        if let Some(name) = self.paced_by(key.interface) {
            self.announcer.ask(key, &name, repeat.max(1));
        }
    }

    /// An instance is no longer master: nobody is told any more that its addresses are here.
    pub(super) fn stop_announcing(&mut self, index: usize) {
        let Some(slot) = self.slots.get(index) else {
            return;
        };
        for (key, _) in slot.keys(&self.kernel) {
            self.announcer.cancel(&key);
        }
    }

    /// The interface whose interval counts, under a VMAC the one that it is on; `None` where nobody would
    /// hear it.
    fn paced_by(&self, index: InterfaceIndex) -> Option<InterfaceName> {
        let link = self.kernel.link_of(index)?;
        let heard = link.is_up() && !link.no_arp && !link.loopback;
        let own = self.own_links.get(&link.name);
        heard.then(|| own.map_or(&link.name, |own| &own.base).clone())
    }

    /// Lets leave what may.
    pub(super) fn send_announcements(&mut self, now: Time, out: &mut Vec<Action>) {
        if self.announcer.next_deadline().is_none_or(|at| at > now) {
            return;
        }
        let mut announcer = std::mem::take(&mut self.announcer);
        let due = announcer.due(now, |key| {
            let name = self.paced_by(key.interface);
            name.filter(|_| self.kernel.has(key))
        });
        self.announcer = announcer;
        for key in due {
            if let Some(link) = self.kernel.link_of(key.interface) {
                out.push(Action::Announce {
                    interface: link.index,
                    mac: link.mac,
                    address: key.cidr.addr(),
                });
            }
        }
    }

    pub(super) fn repace_announcements(&mut self) {
        let mut announcer = std::mem::take(&mut self.announcer);
        announcer.repace(&self.config, |index| self.paced_by(index));
        self.announcer = announcer;
    }

    /// `garp_extra_if`: begins or ends the rounds of an instance.
    pub(super) fn time_extra_announcements(&mut self, index: usize, now: Time) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        if let Some(old) = slot.extra_at.take() {
            self.timers.remove(&(old, TimerOf::Extra(index)));
        }
        if slot.machine.state() == State::Master
            && let Some(extra) = slot.config().garp.extra_if
        {
            let at = now + extra.every;
            slot.extra_at = Some(at);
            self.timers.insert((at, TimerOf::Extra(index)));
        }
    }

    /// A round: the addresses on interfaces from which no advert leaves, so that switches do not forget
    /// where those interfaces are.
    pub(super) fn extra_announcements(&mut self, index: usize, now: Time) {
        if let Some(slot) = self.slots.get(index)
            && let Some(extra) = slot.config().garp.extra_if
        {
            let keys: Vec<AddressKey> = slot
                .keys(&self.kernel)
                .map(|(key, _)| key)
                .filter(|key| self.is_extra(slot, extra, key.interface))
                .collect();
            for key in keys {
                self.announce_address(key, 1);
            }
        }
        self.time_extra_announcements(index, now);
    }

    fn is_extra(&self, slot: &Slot, extra: ExtraAnnouncements, index: InterfaceIndex) -> bool {
        let adverts = self.kernel.channel_of(slot.config());
        let elsewhere = adverts.and_then(|channel| channel.interface) != Some(index);
        elsewhere && (extra.all || self.is_own_link(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::GarpGroup;

    const MS: Duration = Duration::from_millis(1);

    fn index(number: u32) -> InterfaceIndex {
        InterfaceIndex::new(number).unwrap()
    }

    fn name(number: u32) -> InterfaceName {
        format!("eth{number}").parse().unwrap()
    }

    fn key(interface: u32, address: &str) -> AddressKey {
        AddressKey::new(index(interface), address.parse().unwrap())
    }

    fn paced(interval: Duration) -> Announcer {
        let mut config = Config::default();
        config.globals.vrrp.vrrp_garp_interval = Some(interval);
        Announcer::new(&config)
    }

    /// Everything that leaves until the queue is empty, with its time in milliseconds.
    fn run(announcer: &mut Announcer) -> Vec<(u64, String)> {
        let mut sent = Vec::new();
        for _ in 0..10_000 {
            let Some(at) = announcer.next_deadline() else {
                return sent;
            };
            for key in announcer.due(at, |key| Some(name(key.interface.get()))) {
                sent.push((at.as_nanos() / 1_000_000, key.cidr.addr().to_string()));
            }
        }
        panic!("it does not come to an end: {sent:?}");
    }

    #[test]
    fn without_an_interval_everything_leaves_at_once_in_portions_each_address_before_any_again() {
        let mut announcer = paced(Duration::ZERO);
        for last in 1..=100 {
            let key = key(1, &format!("10.0.0.{last}"));
            announcer.ask(key, &name(1), 2);
        }
        let first = announcer.due(Time::ZERO, |_| Some(name(1)));
        assert_eq!(first.len(), PORTION);
        let mut sent: Vec<String> = first
            .iter()
            .map(|key| key.cidr.addr().to_string())
            .collect();
        sent.extend(run(&mut announcer).into_iter().map(|(at, address)| {
            assert_eq!(at, 0);
            address
        }));
        assert_eq!(sent.len(), 200);
        let (round, again) = sent.split_at(100);
        assert_eq!(round.iter().collect::<BTreeSet<_>>().len(), 100);
        assert_eq!(round, again);
    }

    #[test]
    fn an_interval_stands_between_any_two_of_an_interface_and_not_between_interfaces() {
        let mut announcer = paced(10 * MS);
        announcer.ask(key(1, "10.0.0.1"), &name(1), 2);
        announcer.ask(key(1, "10.0.0.2"), &name(1), 1);
        announcer.ask(key(2, "10.0.0.3"), &name(2), 1);
        let sent = run(&mut announcer);
        let expected = [
            (0, "10.0.0.1"),
            (0, "10.0.0.3"),
            (10, "10.0.0.2"),
            (20, "10.0.0.1"),
        ];
        assert_eq!(sent, expected.map(|(at, a)| (at, a.to_owned())));
    }

    #[test]
    fn the_interval_holds_for_what_is_asked_for_after_the_queue_was_empty() {
        let mut announcer = paced(10 * MS);
        announcer.ask(key(1, "10.0.0.1"), &name(1), 1);
        assert_eq!(run(&mut announcer).len(), 1);
        announcer.ask(key(1, "10.0.0.2"), &name(1), 1);
        assert_eq!(run(&mut announcer), [(10, "10.0.0.2".to_owned())]);
    }

    #[test]
    fn arp_and_neighbour_advertisements_have_intervals_of_their_own() {
        let mut announcer = paced(10 * MS);
        announcer.ask(key(1, "10.0.0.1"), &name(1), 2);
        announcer.ask(key(1, "fd00::1"), &name(1), 2);
        let sent = run(&mut announcer);
        let at: Vec<u64> = sent.iter().map(|(at, _)| *at).collect();
        assert_eq!(at, [0, 0, 0, 10], "{sent:?}");
    }

    #[test]
    fn interfaces_of_a_group_share_its_interval_and_what_it_does_not_say_is_everybodys() {
        let mut config = Config::default();
        config.globals.vrrp.vrrp_gna_interval = Some(3 * MS);
        config.links.garp_groups.push(GarpGroup {
            garp_interval: Some(7 * MS),
            gna_interval: None,
            interfaces: vec![name(1), name(2)],
        });
        let mut announcer = Announcer::new(&config);
        for interface in 1..=3 {
            let v4 = key(interface, &format!("10.0.0.{interface}"));
            announcer.ask(v4, &name(interface), 1);
            let v6 = key(interface, &format!("fd00::{interface}"));
            announcer.ask(v6, &name(interface), 2);
        }
        let sent = run(&mut announcer);
        let times = |address: &str| -> Vec<u64> {
            let of = sent.iter().filter(|(_, a)| a == address);
            of.map(|(at, _)| *at).collect()
        };
        assert_eq!(times("10.0.0.1"), [0]);
        assert_eq!(times("10.0.0.2"), [7]);
        assert_eq!(times("10.0.0.3"), [0]);
        for interface in 1..=3 {
            assert_eq!(times(&format!("fd00::{interface}")), [0, 3]);
        }
    }

    #[test]
    fn asking_again_adds_no_more_than_was_asked_for_and_a_new_address_goes_before_repeats() {
        let mut announcer = paced(10 * MS);
        for _ in 0..1000 {
            announcer.ask(key(1, "10.0.0.1"), &name(1), 3);
        }
        assert_eq!(announcer.due(Time::ZERO, |_| Some(name(1))).len(), 1);
        announcer.ask(key(1, "10.0.0.2"), &name(1), 1);
        let sent: Vec<String> = run(&mut announcer).into_iter().map(|(_, a)| a).collect();
        assert_eq!(sent, ["10.0.0.2", "10.0.0.1", "10.0.0.1"]);
    }

    #[test]
    fn what_is_cancelled_or_not_held_any_more_does_not_leave() {
        let mut announcer = paced(10 * MS);
        announcer.ask(key(1, "10.0.0.1"), &name(1), 5);
        announcer.ask(key(1, "10.0.0.2"), &name(1), 5);
        announcer.cancel(&key(1, "10.0.0.1"));
        assert_eq!(announcer.due(Time::ZERO, |_| None), []);
        assert_eq!(announcer.next_deadline(), None);
    }

    #[test]
    fn a_reload_changes_the_interval_of_what_waits() {
        let mut announcer = paced(1000 * MS);
        announcer.ask(key(1, "10.0.0.1"), &name(1), 1);
        announcer.ask(key(1, "10.0.0.2"), &name(1), 1);
        assert_eq!(announcer.due(Time::ZERO, |_| Some(name(1))).len(), 1);
        announcer.repace(&Config::default(), |index| Some(name(index.get())));
        assert_eq!(run(&mut announcer), [(0, "10.0.0.2".to_owned())]);
    }
}
