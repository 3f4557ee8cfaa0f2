//! The address probe. A router that claims addresses in silence asks on the link whether somebody has them
//! of whom no advert told (RFC 5227 section 2.1.1; IPv6: RFC 4862 section 5.4.2). It claims them all the
//! same, and at once: the answer is for a person, who is told where the other one is.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use crate::net::{AddressKey, InterfaceIndex, MacAddr};
use crate::notice::Change;
use crate::time::Time;
use crate::vrrp::State;

use super::{Action, Event, Failover};

/// Probes that leave at once...
const PORTION: usize = 16;
/// ...and how long the next ones wait: a thousand instances that claim together are asked for within a
/// second, and no switch is flooded.
const PAUSE: Duration = Duration::from_millis(10);
/// How long an answer is waited for.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);

/// What waits to be asked for, and what was.
#[derive(Clone, Debug, Default)]
pub(super) struct Prober {
    queue: VecDeque<(AddressKey, usize)>,
    /// When the next ones may leave.
    open_at: Time,
    /// Asked for, and whose it is.
    asked: BTreeMap<(InterfaceIndex, IpAddr), usize>,
    /// When nobody is waited for any longer.
    until: Option<Time>,
}

impl Prober {
    /// Whether answers matter.
    pub(super) fn listens(&self) -> bool {
        !self.asked.is_empty()
    }

    pub(super) fn next_deadline(&self) -> Option<Time> {
        let next = (!self.queue.is_empty()).then_some(self.open_at);
        next.or(self.until)
    }
}

impl Failover {
    /// An instance claims its addresses and has heard nobody.
    pub(super) fn probe(&mut self, index: usize) {
        let Some(slot) = self.slots.get(index) else {
            return;
        };
        let keys = slot.keys(&self.kernel).map(|(key, _)| (key, index));
        self.prober.queue.extend(keys);
    }

    /// Lets leave what may.
    pub(super) fn send_probes(&mut self, now: Time, out: &mut Vec<Action>) {
        if self.prober.next_deadline().is_none_or(|at| at > now) {
            return;
        }
        if self.prober.queue.is_empty() {
            self.prober.asked.clear();
            self.prober.until = None;
            return;
        }
        self.prober.open_at = now + PAUSE;
        self.prober.until = Some(now + ANSWERED_WITHIN);
        // Heard from before the question is asked.
        if !self.watching {
            self.watching = true;
            out.push(Action::WatchAnnouncements(true));
        }
        let portion = self.prober.queue.len().min(PORTION);
        let due: Vec<(AddressKey, usize)> = self.prober.queue.drain(..portion).collect();
        for (key, index) in due {
            let slot = self.slots.get(index);
            let claims = slot.is_some_and(|slot| slot.state() == State::Master);
            let link = self.kernel.link_of(key.interface);
            let heard = link.filter(|link| link.is_up() && !link.no_arp && !link.loopback);
            if let Some(link) = heard.filter(|_| claims) {
                let address = key.cidr.addr();
                out.push(Action::Probe {
                    interface: link.index,
                    mac: link.mac,
                    address,
                });
                self.prober.asked.insert((link.index, address), index);
            }
        }
    }

    /// An advert was heard: whoever has the addresses of this instance is no secret any more.
    pub(super) fn forget_probes(&mut self, index: usize) {
        if self.prober.listens() {
            self.prober.asked.retain(|_, of| *of != index);
        }
    }

    /// Somebody says that an address is his that was asked for.
    pub(super) fn on_probe_answered(
        &mut self,
        interface: InterfaceIndex,
        address: IpAddr,
        mac: MacAddr,
        out: &mut Vec<Action>,
    ) {
        // Ours, sent back by the network or by another interface of this host on the same link.
        if self.kernel.is_our_mac(mac) {
            return;
        }
        let Some(index) = self.prober.asked.remove(&(interface, address)) else {
            return;
        };
        let slot = self.slots.get(index);
        let Some(slot) = slot.filter(|slot| slot.state() == State::Master) else {
            return;
        };
        let link = self.kernel.link_of(interface).map(|link| link.name.clone());
        out.push(Action::Event(Event::HeldElsewhere {
            instance: slot.config().name.clone(),
            address,
            mac,
            interface: link,
        }));
        self.tell(index, vec![Change::HeldElsewhere], out);
    }
}
