//! The kernel's links and addresses as last seen.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use crate::config::model::Instance;
use crate::net::{
    AddressKey, AddressSpec, Channel, Cidr, Family, InterfaceIndex, InterfaceName, Link, MacAddr,
    ObservedAddress,
};

use super::{Beat, channels_of};

/// What the kernel shows of an address, beside its key.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) spec: AddressSpec,
    pub(super) protocol: u8,
    secondary: bool,
}

impl Shown {
    fn of(address: ObservedAddress) -> (AddressKey, Shown) {
        let ObservedAddress {
            key,
            spec,
            protocol,
            secondary,
        } = address;
        let shown = Shown {
            spec,
            protocol,
            secondary,
        };
        (key, shown)
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct KernelView {
    links: BTreeMap<InterfaceIndex, Link>,
    by_name: BTreeMap<InterfaceName, InterfaceIndex>,
    addresses: BTreeMap<AddressKey, Shown>,
    /// Addresses of each interface in the order in which they came, which is the kernel's: the first that
    /// is not a VIP is where adverts come from.
    in_order: BTreeMap<(InterfaceIndex, Family), Vec<IpAddr>>,
    /// Addresses of any instance: never a source of adverts.
    vips: BTreeSet<IpAddr>,
    /// Channels on which a malformed packet was told of.
    bad_packets: BTreeSet<Channel>,
    /// VRIDs of others that were told of.
    unknown_vrids: BTreeSet<(Channel, u8)>,
}

impl KernelView {
    pub(super) fn replace(&mut self, links: Vec<Link>, addresses: Vec<ObservedAddress>) {
        self.by_name = links
            .iter()
            .map(|link| (link.name.clone(), link.index))
            .collect();
        self.links = links.into_iter().map(|link| (link.index, link)).collect();
        self.in_order.clear();
        for ObservedAddress { key, .. } in &addresses {
            let on = (key.interface, key.cidr.family());
            self.in_order.entry(on).or_default().push(key.cidr.addr());
        }
        // Made in one go, which takes half the room of one after the other.
        self.addresses.clear();
        self.addresses = addresses.into_iter().map(Shown::of).collect();
    }

    /// Addresses that came one after the other take twice the room of those that came together.
    pub(super) fn pack(&mut self) {
        let addresses = std::mem::take(&mut self.addresses);
        self.addresses = addresses.into_iter().collect();
        self.in_order.values_mut().for_each(Vec::shrink_to_fit);
    }

    pub(super) fn set_vips(&mut self, vips: BTreeSet<IpAddr>) {
        self.vips = vips;
    }

    /// Takes in a link; the one of before, if there was one.
    pub(super) fn set_link(&mut self, link: Link) -> Option<Link> {
        let before = self.links.get(&link.index).cloned();
        if let Some(before) = &before
            && before.name != link.name
            && self.by_name.get(&before.name) == Some(&link.index)
        {
            self.by_name.remove(&before.name);
        }
        self.by_name.insert(link.name.clone(), link.index);
        self.links.insert(link.index, link);
        before
    }

    pub(super) fn remove_link(&mut self, index: InterfaceIndex) {
        let Some(link) = self.links.remove(&index) else {
            return;
        };
        if self.by_name.get(&link.name) == Some(&index) {
            self.by_name.remove(&link.name);
        }
        self.addresses.retain(|key, _| key.interface != index);
        self.in_order.retain(|(on, _), _| *on != index);
        self.bad_packets.retain(|on| on.interface != Some(index));
        self.unknown_vrids
            .retain(|(on, _)| on.interface != Some(index));
    }

    /// Notes that we set `promote_secondaries`; true when it was otherwise.
    pub(super) fn set_promotes(&mut self, index: InterfaceIndex, on: bool) -> bool {
        let link = self.links.get_mut(&index);
        link.is_some_and(|link| std::mem::replace(&mut link.promote_secondaries, on) != on)
    }

    pub(super) fn link(&self, name: &InterfaceName) -> Option<&Link> {
        self.links.get(self.by_name.get(name)?)
    }

    pub(super) fn link_of(&self, index: InterfaceIndex) -> Option<&Link> {
        self.links.get(&index)
    }

    /// Whether a link of this host has this hardware address.
    pub(super) fn is_our_mac(&self, mac: MacAddr) -> bool {
        self.links.values().any(|link| link.mac == mac)
    }

    pub(super) fn index_of(&self, name: &InterfaceName) -> Option<InterfaceIndex> {
        self.by_name.get(name).copied()
    }

    /// Takes in an address; true when it was not there.
    pub(super) fn add(&mut self, address: ObservedAddress) -> bool {
        let (key, shown) = Shown::of(address);
        let new = self.addresses.insert(key, shown).is_none();
        if new {
            let on = (key.interface, key.cidr.family());
            self.in_order.entry(on).or_default().push(key.cidr.addr());
        }
        new
    }

    /// Forgets an address; true when it was there.
    pub(super) fn remove(&mut self, key: &AddressKey) -> bool {
        let known = self.addresses.remove(key).is_some();
        if known
            && let Some(list) = self.in_order.get_mut(&(key.interface, key.cidr.family()))
            && let Some(at) = list.iter().position(|a| *a == key.cidr.addr())
        {
            list.remove(at);
        }
        known
    }

    /// The other addresses of the IPv4 network that an address is in, on the same interface.
    fn network_of(&self, key: &AddressKey) -> impl Iterator<Item = (&AddressKey, &Shown)> {
        let range = network_range(key).map(|(first, last)| self.addresses.range(first..=last));
        let key = *key;
        range.into_iter().flatten().filter(move |(other, _)| {
            **other != key && other.peer.is_none() && other.cidr.prefix() == key.cidr.prefix()
        })
    }

    /// Whether this address is or would be another one's secondary.
    pub(super) fn is_secondary(&self, key: &AddressKey) -> bool {
        self.network_of(key).any(|(_, shown)| !shown.secondary)
    }

    /// Whether this address is the first of its IPv4 network.
    pub(super) fn is_first(&self, key: &AddressKey) -> bool {
        self.addresses.get(key).is_some_and(|a| !a.secondary)
    }

    /// Forgets an address that we remove, and says whether others of its network stay behind it: it was
    /// the first one, and the next is that now. The kernel would take them all along unless
    /// `promote_secondaries` is set.
    pub(super) fn remove_first(&mut self, key: &AddressKey) -> bool {
        let next = self.is_first(key).then(|| self.first_behind(key)).flatten();
        self.remove(key);
        let next = next.and_then(|next| self.addresses.get_mut(&next));
        match next {
            Some(next) => {
                next.secondary = false;
                true
            }
            None => false,
        }
    }

    /// The oldest of those that share a network with this address.
    fn first_behind(&self, key: &AddressKey) -> Option<AddressKey> {
        let behind = self.network_of(key).map(|(key, _)| key.cidr.addr());
        let behind: BTreeSet<IpAddr> = behind.collect();
        if behind.is_empty() {
            return None;
        }
        let order = self.in_order.get(&(key.interface, Family::V4))?;
        let addr = *order.iter().find(|addr| behind.contains(addr))?;
        Some(AddressKey::new(
            key.interface,
            Cidr::new(addr, key.cidr.prefix())?,
        ))
    }

    pub(super) fn has(&self, key: &AddressKey) -> bool {
        self.addresses.contains_key(key)
    }

    /// What is there.
    pub(super) fn addresses(&self) -> &BTreeMap<AddressKey, Shown> {
        &self.addresses
    }

    /// Where an instance's adverts come from: what was configured, else the first address of its
    /// interface that is no VIP.
    pub(super) fn source_of(&self, instance: &Instance) -> Option<IpAddr> {
        if let Some(source) = instance.src_ip {
            return Some(source);
        }
        let index = self.index_of(instance.interface.as_ref()?)?;
        self.source_on(index, instance.family)
    }

    /// Whether a configured source address is where it should be: on the instance's interface, or, for one
    /// without, on any.
    pub(super) fn has_source(&self, instance: &Instance, source: IpAddr) -> bool {
        let on = instance.interface.as_ref().map(|name| self.index_of(name));
        self.in_order
            .iter()
            .filter(|((index, _), _)| on.is_none_or(|on| on == Some(*index)))
            .any(|(_, addresses)| addresses.contains(&source))
    }

    /// The first address of an interface that is no VIP; of IPv6, the first link-local one (RFC 9568
    /// section 5.1.2.1).
    pub(super) fn source_on(&self, index: InterfaceIndex, family: Family) -> Option<IpAddr> {
        let fit = |addr: &&IpAddr| match addr {
            IpAddr::V4(_) => true,
            IpAddr::V6(addr) => addr.is_unicast_link_local(),
        };
        self.in_order
            .get(&(index, family))?
            .iter()
            .filter(fit)
            .find(|addr| !self.vips.contains(addr))
            .copied()
    }

    /// The socket that an instance sends from; `None` while its interface is not there.
    pub(super) fn channel_of(&self, instance: &Instance) -> Option<Channel> {
        channels_of(instance, |name| self.index_of(name)).next()
    }

    /// `None` while the interface is not there.
    pub(super) fn beat(&self, instance: &Instance) -> Option<Beat> {
        let link = match &instance.interface {
            Some(name) => Some(self.link(name)?),
            None => None,
        };
        Some(Beat {
            interface: link.map(|link| link.index),
            mac: link.map(|link| link.mac).unwrap_or_default(),
            vrid: instance.vrid.get(),
            family: instance.family,
            alive: true,
        })
    }

    /// Whether somebody else's VRID on this channel is news.
    pub(super) fn note_unknown_vrid(&mut self, channel: Channel, vrid: u8) -> bool {
        self.unknown_vrids.insert((channel, vrid))
    }

    /// Whether a malformed packet on this channel is news.
    pub(super) fn note_bad_packet(&mut self, channel: Channel) -> bool {
        self.bad_packets.insert(channel)
    }
}

/// Between which keys every address of an IPv4 network lies; `None` for IPv6, which has no secondaries,
/// and for an address with a peer, which has a network of its own.
fn network_range(key: &AddressKey) -> Option<(AddressKey, AddressKey)> {
    let (IpAddr::V4(addr), None) = (key.cidr.addr(), key.peer) else {
        return None;
    };
    let host_bits = u32::MAX
        .checked_shr(u32::from(key.cidr.prefix()))
        .unwrap_or(0);
    let end = |bits: u32, prefix: u8| {
        let cidr = Cidr::new(IpAddr::V4(Ipv4Addr::from_bits(bits)), prefix)?;
        Some(AddressKey::new(key.interface, cidr))
    };
    Some((
        end(addr.to_bits() & !host_bits, 0)?,
        end(addr.to_bits() | host_bits, 32)?,
    ))
}
