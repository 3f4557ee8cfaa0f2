//! Sockets: which ones the instances need, and what their absence means.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::config::model::{Auth, Instance, ReceiveBuffer, Transport};
use crate::net::{Channel, Family, InterfaceIndex, InterfaceName};

use crate::wire::{ah, ipv4, ipv6, vrrp as wire};

use super::{Action, Failover, SocketNeeds};

/// The sockets of an instance, the one that it sends from first; none while its interface is not there.
pub fn channels_of(
    instance: &Instance,
    index_of: impl Fn(&InterfaceName) -> Option<InterfaceIndex>,
) -> impl Iterator<Item = Channel> {
    let interface = match instance.advert_interface().or(instance.more.vrf.as_ref()) {
        Some(name) => index_of(name).map(Some),
        None => Some(None),
    };
    let family = instance.family;
    // Who expects sealed adverts also hears open ones, to say so.
    let kinds: &[bool] = match instance.auth {
        Some(Auth::Ah(_)) => &[true, false],
        _ => &[false],
    };
    let interface = interface.into_iter();
    interface.flat_map(move |interface| {
        kinds.iter().map(move |authenticated| Channel {
            interface,
            family,
            authenticated: *authenticated,
        })
    })
}

/// Bytes of an advert of this instance with every header.
fn packet_len(config: &Instance) -> usize {
    overhead(config) + wire::len_of(config.version, config.family, config.vips.len())
}

/// Bytes before the message.
fn overhead(config: &Instance) -> usize {
    let header = match config.family {
        Family::V4 => ipv4::HEADER_LEN,
        Family::V6 => ipv6::HEADER_LEN,
    };
    match config.auth {
        Some(Auth::Ah(_)) => header + ah::HEADER_LEN,
        _ => header,
    }
}

/// How many addresses an advert of this instance can name where packets have at most `mtu` bytes.
pub fn addresses_within(config: &Instance, mtu: u32) -> usize {
    let mtu = usize::try_from(mtu).unwrap_or(usize::MAX);
    let room = mtu.saturating_sub(overhead(config));
    wire::addresses_within(room, config.version, config.family)
}

impl Failover {
    /// Opens and closes sockets so that every instance has one.
    pub(super) fn refresh_sockets(&mut self, out: &mut Vec<Action>) {
        let mut wanted: BTreeMap<Channel, SocketNeeds> = BTreeMap::new();
        for slot in &self.slots {
            let config = slot.config();
            for channel in channels_of(config, |name| self.kernel.index_of(name)) {
                let needs = wanted.entry(channel).or_default();
                if let Transport::Multicast(group) = config.transport {
                    needs.groups.insert(group);
                }
                if let Some(share) = self.buffer_share(config, channel) {
                    let sum = needs.receive_buffer.unwrap_or(0).saturating_add(share);
                    needs.receive_buffer = Some(sum);
                }
            }
        }
        for (channel, needs) in &self.sockets {
            if wanted.get(channel) != Some(needs) {
                out.push(Action::CloseSocket(*channel));
            }
        }
        for (channel, needs) in &wanted {
            if self.sockets.get(channel) == Some(needs) {
                continue;
            }
            let link = channel.interface.and_then(|on| self.kernel.link_of(on));
            out.push(Action::OpenSocket {
                channel: *channel,
                name: link.map(|link| link.name.clone()),
                needs: needs.clone(),
            });
        }
        self.sockets = wanted;
    }

    /// What an instance adds to the receive buffer of its socket.
    fn buffer_share(&self, config: &Instance, channel: Channel) -> Option<u32> {
        let (len, times) = match config.adverts.receive_buffer {
            ReceiveBuffer::System => return None,
            ReceiveBuffer::Bytes(bytes) => return Some(bytes),
            ReceiveBuffer::Mtu(times) => {
                let link = channel.interface.and_then(|on| self.kernel.link_of(on))?;
                (link.mtu, times)
            }
            ReceiveBuffer::Advert(times) => {
                (u32::try_from(packet_len(config)).unwrap_or(u32::MAX), times)
            }
        };
        Some(len.saturating_mul(times))
    }

    /// Whether an address is one that an instance must not lose.
    pub(super) fn is_tracked_source(&self, address: IpAddr) -> bool {
        self.slots.iter().any(|slot| {
            let config = slot.config();
            config.adverts.track_source && config.src_ip == Some(address)
        })
    }

    /// What keeps an instance from sending and receiving.
    pub(super) fn channel_faults(&self, config: &Instance, source: Option<IpAddr>) -> Vec<String> {
        let index_of = |name: &InterfaceName| self.kernel.index_of(name);
        let mut faults: Vec<String> = channels_of(config, index_of)
            .filter_map(|channel| self.socket_errors.get(&channel).cloned())
            .collect();
        if let Some(vrf) = config
            .more
            .vrf
            .as_ref()
            .filter(|_| config.interface.is_none())
            && self.kernel.link(vrf).is_none()
        {
            faults.push(format!("interface {vrf} does not exist"));
        }
        if config.adverts.no_peer {
            faults.push("it has no unicast_peer to send to".to_owned());
        }
        if config.adverts.track_source
            && let Some(source) = config.src_ip
            && !self.kernel.has_source(config, source)
        {
            faults.push(format!("no interface has its source address {source}"));
        }
        if source.is_none()
            && let Some(name) = &config.interface
            && self.kernel.link(name).is_some()
        {
            let what = match config.family {
                Family::V4 => "IPv4",
                Family::V6 => "link-local IPv6",
            };
            faults.push(format!(
                "interface {name} has no {what} address to send from"
            ));
        }
        faults
    }
}
