//! Sockets: which ones the instances need, and what their absence means.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::config::model::{Instance, Transport};
use crate::net::{Channel, Family, InterfaceIndex, InterfaceName};

use super::{Action, Failover};

/// The sockets of an instance, the one that it sends from first; none while its interface is not there.
pub fn channels_of(
    instance: &Instance,
    index_of: impl Fn(&InterfaceName) -> Option<InterfaceIndex>,
) -> impl Iterator<Item = Channel> {
    let interface = match &instance.interface {
        Some(name) => index_of(name).map(Some),
        None => Some(None),
    };
    let family = instance.family;
    interface.into_iter().map(move |interface| Channel {
        interface,
        family,
        authenticated: false,
    })
}

impl Failover {
    /// Opens and closes sockets so that every instance has one.
    pub(super) fn refresh_sockets(&mut self, out: &mut Vec<Action>) {
        let mut wanted: BTreeMap<Channel, BTreeSet<IpAddr>> = BTreeMap::new();
        for slot in &self.slots {
            let config = slot.config();
            let Some(channel) = self.kernel.channel_of(config) else {
                continue;
            };
            let groups = wanted.entry(channel).or_default();
            if let Transport::Multicast(group) = config.transport {
                groups.insert(group);
            }
        }
        for (channel, groups) in &self.sockets {
            if wanted.get(channel) != Some(groups) {
                out.push(Action::CloseSocket(*channel));
            }
        }
        for (channel, groups) in &wanted {
            if self.sockets.get(channel) == Some(groups) {
                continue;
            }
            let link = channel.interface.and_then(|on| self.kernel.link_of(on));
            out.push(Action::OpenSocket {
                channel: *channel,
                name: link.map(|link| link.name.clone()),
                groups: groups.clone(),
            });
        }
        self.sockets = wanted;
    }

    /// What keeps an instance from sending and receiving.
    pub(super) fn channel_faults(
        &self,
        config: &Instance,
        channel: Channel,
        source: Option<IpAddr>,
    ) -> Vec<String> {
        let mut faults: Vec<String> = self
            .socket_errors
            .get(&channel)
            .cloned()
            .into_iter()
            .collect();
        if source.is_none()
            && let Some(name) = &config.interface
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
