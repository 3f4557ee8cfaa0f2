//! Adverts as packets: which instance one that came in is about, and how one leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::config::model::{Auth, Instance, Transport};
use crate::net::{Channel, Family};
use crate::time::Time;
use crate::vrrp::{self, Arrived, State};
use crate::wire::ah::{self, Sealed};
use crate::wire::vrrp::{self as wire, Advert, AuthField, Cover};
use crate::wire::{PROTOCOL_AH, ipv4};

use super::kernel_view::KernelView;
use super::slot::Slot;
use super::{Action, Event, Failover, Packet};

/// Time to live of adverts to the group (RFC 9568 section 5.1.1.3).
const TTL: u8 = 255;

/// Channel (whatever stands before the advert), VRID, and slot: more than one slot only where peers or
/// groups tell them apart.
pub(super) type ByWire = BTreeSet<(Channel, u8, usize)>;

/// The channel under which an instance is found.
fn plain(channel: Channel) -> Channel {
    Channel {
        authenticated: false,
        ..channel
    }
}

/// Messages sent last, ready made: those of one priority, one for each way to sum.
#[derive(Clone, Debug, Default)]
pub(super) struct Ready {
    priority: u8,
    /// Of version 2 over IPv4 there is this one alone.
    plain: Option<Arc<[u8]>>,
    others: Vec<(Cover, Arc<[u8]>)>,
}

impl Ready {
    /// The message, built once and kept while the priority stays. `None` for one that cannot be said on
    /// the wire, which the configuration has refused before.
    fn message(&mut self, config: &Instance, priority: u8, cover: Cover) -> Option<Arc<[u8]>> {
        if self.priority != priority {
            self.clear();
            self.priority = priority;
        }
        if let Some(message) = self.known(cover) {
            return Some(Arc::clone(message));
        }
        let advert = Advert {
            version: config.version,
            vrid: config.vrid,
            priority,
            interval: config.advert_int.get(),
            addresses: config.vips.iter().map(|vip| vip.cidr.addr()).collect(),
            auth: match config.auth {
                None => AuthField::None,
                Some(Auth::Pass(password)) => AuthField::Pass(password),
                Some(Auth::Ah(_)) => AuthField::Ah,
            },
        };
        let mut bytes = Vec::new();
        wire::encode(&advert, config.family, cover, &mut bytes).ok()?;
        let message: Arc<[u8]> = bytes.into();
        self.keep(cover, Arc::clone(&message));
        Some(message)
    }

    fn known(&self, cover: Cover) -> Option<&Arc<[u8]>> {
        if cover == Cover::Message {
            return self.plain.as_ref();
        }
        let found = self.others.iter().find(|(of, _)| *of == cover)?;
        Some(&found.1)
    }

    fn keep(&mut self, cover: Cover, message: Arc<[u8]>) {
        if cover == Cover::Message {
            self.plain = Some(message);
            return;
        }
        // A source that changed leaves its messages behind.
        if self.others.len() > wire::MAX_ADDRESSES {
            self.others.clear();
        }
        // Mostly there is no second one.
        self.others.reserve_exact(1);
        self.others.push((cover, message));
    }

    /// The configuration changed: nothing of it is good any more.
    pub(super) fn clear(&mut self) {
        self.plain = None;
        self.others.clear();
    }
}

/// A message behind an authentication header, and the identification that it leaves with.
fn sealed(
    message: &[u8],
    envelope: ipv4::Envelope,
    sequence: u32,
    key: &[u8],
) -> Option<(Arc<[u8]>, u16)> {
    let envelope = ipv4::Envelope {
        protocol: PROTOCOL_AH,
        identification: ah::identification(sequence),
        ..envelope
    };
    let header = ipv4::advert_header(envelope, ah::HEADER_LEN + message.len())?;
    let mut out = Vec::new();
    ah::seal(header, envelope.source, sequence, key, message, &mut out);
    Some((out.into(), envelope.identification))
}

/// Makes the messages ready that a master sends, before it is one: then it is in a hurry, and what lasts
/// would come to lie in memory between what does not.
pub(super) fn prepare(slot: &mut Slot, kernel: &KernelView) {
    let config = Arc::clone(slot.config());
    let Some(source) = kernel.source_of(&config) else {
        return;
    };
    let priority = slot.machine.priority().get();
    for destination in receivers(&config) {
        let cover = slot.receiver.cover(&config, source, *destination);
        slot.ready.message(&config, priority, cover);
    }
}

/// Whom an instance speaks to.
fn receivers(config: &Instance) -> &[IpAddr] {
    match &config.transport {
        Transport::Multicast(group) => std::slice::from_ref(group),
        Transport::Unicast(peers) => peers,
    }
}

/// Sends an advert to everybody whom the instance speaks to.
pub(super) fn send(slot: &mut Slot, kernel: &KernelView, priority: u8, out: &mut Vec<Action>) {
    let config = Arc::clone(slot.config());
    let (Some(mut beat), Some(channel)) = (kernel.beat(&config), kernel.channel_of(&config)) else {
        return;
    };
    let mut source = kernel.source_of(&config);
    if source.is_none() && priority == 0 {
        // It leaves because its address is gone. The others need not find that out by waiting; the
        // goodbye comes from the address that they know, as every advert did.
        source = slot.machine.source();
    }
    let Some(source) = source else {
        return;
    };
    // A backup may have a last word too.
    beat.alive = priority != 0 && slot.machine.state() == State::Master;
    let ttl = match &config.transport {
        Transport::Multicast(_) => TTL,
        Transport::Unicast(_) => config.adverts.ttl,
    };
    for destination in receivers(&config) {
        let cover = slot.receiver.cover(&config, source, *destination);
        let Some(message) = slot.ready.message(&config, priority, cover) else {
            return;
        };
        let (payload, identification) = match (config.auth, source, *destination) {
            (Some(Auth::Ah(key)), IpAddr::V4(source), IpAddr::V4(destination)) => {
                let envelope = ipv4::Envelope {
                    source,
                    destination,
                    ttl,
                    protocol: PROTOCOL_AH,
                    identification: 0,
                };
                let sequence = slot.receiver.next_sequence();
                match sealed(&message, envelope, sequence, &key) {
                    Some(sealed) => sealed,
                    None => return,
                }
            }
            _ => (message, 0),
        };
        out.push(Action::Send {
            beat,
            channel,
            source,
            destination: *destination,
            ttl,
            identification,
            payload,
        });
    }
    let counters = &mut slot.receiver.own;
    counters.advert_sent += 1;
    counters.pri_zero_sent += u64::from(priority == 0);
}

impl Failover {
    /// What each instance sent and got, by its name.
    pub fn counters(&self) -> BTreeMap<&str, vrrp::Counters> {
        self.slots
            .iter()
            .map(|slot| (slot.config().name.as_str(), slot.receiver.counters()))
            .collect()
    }

    /// (Re)builds what finds a slot by a packet.
    pub(super) fn index_by_wire(&mut self) {
        let slots = self.slots.iter().enumerate();
        let placed = slots.filter_map(|(index, slot)| {
            let config = slot.config();
            let channel = self.kernel.channel_of(config)?;
            Some((plain(channel), config.vrid.get(), index))
        });
        self.by_wire = placed.collect();
    }

    /// The instance of a VRID that a packet is for; where there are several, the one that speaks to its
    /// group or its sender.
    fn slot_for(&self, channel: Channel, vrid: u8, packet: &Packet<'_>) -> Option<usize> {
        let channel = plain(channel);
        let several = self
            .by_wire
            .range((channel, vrid, 0)..=(channel, vrid, usize::MAX))
            .map(|(_, _, index)| *index);
        let meant = |index: &usize| {
            let slot = self.slots.get(*index);
            slot.is_some_and(|slot| match &slot.config().transport {
                Transport::Multicast(group) => *group == packet.destination,
                Transport::Unicast(peers) => {
                    !packet.destination.is_multicast() && peers.contains(&packet.source)
                }
            })
        };
        let first = several.clone().next();
        several.clone().find(meant).or(first)
    }

    /// A packet of protocol 112, or 51 where the channel says so.
    pub(super) fn on_packet(&mut self, packet: &Packet<'_>, now: Time, out: &mut Vec<Action>) {
        let (channel, source) = (packet.channel, packet.source);
        if Family::of(source) != channel.family {
            return; // no socket of that family hands it over
        }
        let seal = match channel.authenticated {
            true => Some(Sealed::read(packet.payload)),
            false => None,
        };
        let (sealed, payload) = match seal {
            None => (None, Some(packet.payload)),
            Some(Ok(sealed)) => (Some(sealed), Some(sealed.message)),
            Some(Err(_)) => (None, None),
        };
        let Some((_, vrid)) = payload.and_then(wire::peek) else {
            if self.kernel.note_bad_packet(channel) {
                out.push(Action::Event(Event::BadPacket { channel, source }));
            }
            return;
        };
        let Some(index) = self.slot_for(channel, vrid.get(), packet) else {
            self.on_unknown_vrid(channel, vrid.get(), source, out);
            return;
        };
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        // Our own, looped back by a bridge or a switch.
        if self.kernel.source_of(slot.config()) == Some(source) {
            return;
        }
        let arrived = Arrived {
            source,
            destination: packet.destination,
            ttl: packet.ttl,
            header: packet.header,
            sealed,
            payload: payload.unwrap_or_default(),
        };
        let config = Arc::clone(slot.config());
        let instance = || config.name.clone();
        match slot.receiver.check(&config, &arrived) {
            Ok(accepted) => {
                slot.note_heard(accepted.heard, now);
                if let Some((ours, theirs)) = accepted.other_addresses {
                    out.push(Action::Event(Event::OtherAddresses {
                        instance: instance(),
                        source,
                        ours,
                        theirs,
                    }));
                }
                self.drive(index, vrrp::Input::Heard(accepted.heard), now, out);
                self.forget_probes(index);
                if accepted.heard.priority != 0 {
                    self.note_heard(index);
                }
            }
            Err(rejection) => {
                if slot.receiver.count(rejection) {
                    out.push(Action::Event(Event::Rejected {
                        instance: instance(),
                        source,
                        rejection,
                    }));
                }
            }
        }
    }

    /// `log_unknown_vrids`; each is told once.
    fn on_unknown_vrid(
        &mut self,
        channel: Channel,
        vrid: u8,
        source: IpAddr,
        out: &mut Vec<Action>,
    ) {
        if self.config.globals.vrrp.log_unknown_vrids
            && self.kernel.note_unknown_vrid(channel, vrid)
        {
            out.push(Action::Event(Event::UnknownVrid {
                channel,
                vrid,
                source,
            }));
        }
    }
}
