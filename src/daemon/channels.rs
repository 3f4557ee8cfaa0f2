//! The sockets of adverts: opened before a configuration is put in force, kept over a reload, asked for
//! and given up by the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::os::fd::{AsFd as _, BorrowedFd};

use tracing::warn;

use crate::config::Config;
use crate::engine::failover::{Action, SocketNeeds, channels_of};
use crate::kernel::vrrp_socket::{Outgoing, VrrpSocket};
use crate::net::{Channel, InterfaceIndex, InterfaceName, Link};

/// Open sockets by what they are bound to.
pub type Sockets = BTreeMap<Channel, VrrpSocket>;

fn index_among(links: &[Link], name: &InterfaceName) -> Option<InterfaceIndex> {
    let link = links.iter().find(|link| link.name == *name)?;
    Some(link.index)
}

/// Every socket that a configuration needs on the links that are there.
pub fn needed(config: &Config, links: &[Link]) -> BTreeSet<Channel> {
    let index_of = |name: &InterfaceName| index_among(links, name);
    config
        .instances
        .iter()
        .flat_map(|instance| channels_of(instance, index_of))
        .collect()
}

/// Opens the sockets that `config` needs and that are not in `have`.
///
/// # Errors
/// In words, the first that cannot be opened.
pub fn open(config: &Config, links: &[Link], have: &BTreeSet<Channel>) -> Result<Sockets, String> {
    needed(config, links)
        .difference(have)
        .map(|channel| {
            let link = links
                .iter()
                .find(|link| channel.interface == Some(link.index));
            let name = link.map(|link| &link.name);
            let socket = VrrpSocket::open(*channel, name).map_err(|error| error.to_string())?;
            Ok((*channel, socket))
        })
        .collect()
}

/// The sockets of the running engine.
#[derive(Debug, Default)]
pub(super) struct Channels {
    open: Sockets,
    /// Opened by main, not yet asked for by the engine.
    prepared: Sockets,
    /// Given up by the engine within the actions that are being carried out.
    closing: Sockets,
    groups: BTreeMap<Channel, BTreeSet<IpAddr>>,
    /// Where sending fails and was told of.
    mute: BTreeSet<(Channel, IpAddr)>,
}

impl Channels {
    /// With what was opened before the start.
    pub(super) fn new(prepared: Sockets) -> Channels {
        Channels {
            prepared,
            ..Channels::default()
        }
    }

    /// Takes what was opened for a configuration that is about to be put in force.
    pub(super) fn prepare(&mut self, sockets: Sockets) {
        self.prepared.extend(sockets);
    }

    /// The configuration is in force: what it did not ask for is closed.
    pub(super) fn drop_prepared(&mut self) {
        self.prepared.clear();
    }

    /// What is open, for whoever waits and reads.
    pub(super) fn keys(&self) -> Vec<Channel> {
        self.open.keys().copied().collect()
    }

    pub(super) fn get(&self, channel: Channel) -> Option<&VrrpSocket> {
        self.open.get(&channel)
    }

    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.open.values().map(|socket| socket.as_fd())
    }

    /// As the engine asks for it: the one that is there already, else a new one, with these groups.
    ///
    /// # Errors
    /// In words.
    pub(super) fn open(
        &mut self,
        channel: Channel,
        name: Option<&InterfaceName>,
        needs: SocketNeeds,
    ) -> Result<(), String> {
        let socket = match self.closing.remove(&channel) {
            Some(socket) => socket,
            None => {
                self.groups.remove(&channel);
                match self.prepared.remove(&channel) {
                    Some(socket) => socket,
                    None => VrrpSocket::open(channel, name).map_err(|error| error.to_string())?,
                }
            }
        };
        if let Some(bytes) = needs.receive_buffer {
            let set = socket.set_receive_buffer(bytes);
            set.map_err(|error| error.to_string())?;
        }
        let groups = needs.groups;
        let joined = self.groups.remove(&channel).unwrap_or_default();
        for group in groups.difference(&joined) {
            socket.join(*group).map_err(|error| error.to_string())?;
        }
        for group in joined.difference(&groups) {
            socket.leave(*group).map_err(|error| error.to_string())?;
        }
        self.groups.insert(channel, groups);
        self.open.insert(channel, socket);
        Ok(())
    }

    /// Kept until the engine has said whether it wants it with other groups.
    pub(super) fn close(&mut self, channel: Channel) {
        if let Some(socket) = self.open.remove(&channel) {
            self.closing.insert(channel, socket);
        }
    }

    /// Not kept for later: a link that goes and comes back under the same number has left its groups.
    pub(super) fn drop_closed(&mut self) {
        for (channel, _) in std::mem::take(&mut self.closing) {
            if !self.open.contains_key(&channel) {
                self.groups.remove(&channel);
            }
        }
    }

    /// Sends an advert as [`Action::Send`] says; whether it left.
    pub(super) fn send(&mut self, action: &Action) -> bool {
        let Action::Send {
            beat,
            channel,
            source,
            destination,
            ttl,
            identification,
            payload,
        } = action
        else {
            return false;
        };
        let Some(socket) = self.open.get(channel) else {
            return false;
        };
        let advert = Outgoing {
            source: *source,
            destination: *destination,
            ttl: *ttl,
            identification: *identification,
            payload,
        };
        match socket.send(&advert) {
            Ok(()) => {
                self.mute.remove(&(*channel, *destination));
                true
            }
            Err(error) => {
                // A link that is down says so by itself; anything else is told once until it is over.
                if beat.alive && self.mute.insert((*channel, *destination)) {
                    warn!(
                        "send advert from {source} to {destination}{}: {error}",
                        socket.place()
                    );
                }
                false
            }
        }
    }
}
