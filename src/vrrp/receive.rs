//! Whether an advert that came in may be believed: everything that does not depend on the state.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use crate::config::model::{Auth, Instance, OldChecksum, Transport};
use crate::units::Version;
use crate::wire::ah::Sealed;
use crate::wire::vrrp::{AdvertError, AuthField, Cover, Message, TYPE_ADVERTISEMENT};

use super::Heard;
use super::rejection::{Counters, OwnCounters, Rejection};

/// A packet about one virtual router, as it came in.
#[derive(Clone, Copy, Debug)]
pub struct Arrived<'a> {
    /// Who sent it, by its own word.
    pub source: IpAddr,
    /// The group or us.
    pub destination: IpAddr,
    /// Time to live, or hop limit, as it came in.
    pub ttl: u8,
    /// The IP header; empty for IPv6.
    pub header: &'a [u8],
    /// The authentication header before the message, not yet believed.
    pub sealed: Option<Sealed<'a>>,
    /// The message.
    pub payload: &'a [u8],
}

/// An advert that may be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// What it says.
    pub heard: Heard,
    /// It names other addresses than ours, for the first time: ours and theirs, in numbers.
    pub other_addresses: Option<(usize, usize)>,
}

/// What an instance remembers of the adverts that it got.
#[derive(Clone, Debug, Default)]
pub struct Receiver {
    /// What it did itself: of a master that is alone the only counts that are not 0.
    pub own: OwnCounters,
    /// The number of the last packet that anybody sent, we among them.
    sequence: u32,
    /// A master that is alone has heard nobody.
    heard: Option<Box<Memory>>,
}

/// What is remembered of others.
#[derive(Clone, Debug, Default)]
struct Memory {
    counters: Counters,
    told: Vec<Rejection>,
    /// Authenticated peers: the number of the last packet of each.
    sequences: BTreeMap<Ipv4Addr, u32>,
    /// Peers whose checksums are those of old keepalived, and who get such from us.
    old_sums: BTreeSet<IpAddr>,
    /// The list of addresses judged last, and whether it is ours.
    addresses: Vec<u8>,
    other_addresses: bool,
}

impl Receiver {
    /// Different rejections that are told apart between two changes of state.
    const TOLD_MAX: usize = 8;
    /// Peers whose numbers are kept; only who knows the password is counted.
    const SEQUENCES_MAX: usize = 256;

    /// Numbers of authenticated adverts begin behind `sequence`: a router that comes back must not begin
    /// where its peers have heard it before.
    pub fn new(sequence: u32) -> Receiver {
        Receiver {
            sequence,
            ..Receiver::default()
        }
    }

    /// The number of the next authenticated advert of ours: higher than any that was heard, so that a
    /// peer which has one count for everybody (keepalived) takes it.
    pub fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.saturating_add(1);
        self.sequence
    }

    /// What the checksum of an advert covers.
    pub fn cover(&self, config: &Instance, source: IpAddr, destination: IpAddr) -> Cover {
        let adverts = &config.adverts;
        let of = |destination| Cover::of(config.version, source, destination);
        if config.version == Version::V2 || source.is_ipv6() {
            return of(destination);
        }
        if adverts.v3_checksum_as_v2 {
            return Cover::Message;
        }
        let unicast = matches!(config.transport, Transport::Unicast(_));
        let old = match adverts.old_checksum {
            OldChecksum::Always => true,
            OldChecksum::Detect => {
                let heard = self.heard.as_ref();
                heard.is_some_and(|heard| heard.old_sums.contains(&destination))
            }
            OldChecksum::Never => false,
        };
        of(if unicast && old {
            adverts.group
        } else {
            destination
        })
    }

    /// How many of each kind there were.
    pub fn counters(&self) -> Counters {
        let heard = self.heard.as_ref().map(|heard| heard.counters);
        self.own.with(heard.unwrap_or_default())
    }

    /// Counts from 0 again.
    pub fn clear_counters(&mut self) {
        self.own = OwnCounters::default();
        if let Some(heard) = &mut self.heard {
            heard.counters = Counters::default();
        }
    }

    /// So many adverts of the master did not come.
    pub fn count_lost(&mut self, lost: u64) {
        self.heard.get_or_insert_default().counters.advert_lost += lost;
    }

    /// The state changed: each rejection may be told again.
    pub fn forget(&mut self) {
        if let Some(heard) = &mut self.heard {
            heard.told.clear();
        }
    }

    /// Counts a rejection; true when it should be told: each once between two changes of state, not with
    /// every advert.
    pub fn count(&mut self, rejection: Rejection) -> bool {
        let heard = self.heard.get_or_insert_default();
        heard.counters.count(rejection);
        let news = !heard.told.contains(&rejection) && heard.told.len() < Self::TOLD_MAX;
        if news {
            heard.told.push(rejection);
        }
        news
    }

    /// Checks a packet in keepalived's order: authentication header, length, TTL, version, authentication,
    /// interval, type, checksum, how it was sent, addresses, sender.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn check(
        &mut self,
        config: &Instance,
        arrived: &Arrived<'_>,
    ) -> Result<Accepted, Rejection> {
        if matches!(config.auth, Some(Auth::Ah(_))) != arrived.sealed.is_some() {
            return Err(Rejection::AuthType);
        }
        let message =
            Message::read(arrived.payload, config.family).map_err(Rejection::Malformed)?;
        check_ttl(config, arrived)?;
        if message.version != config.version {
            return Err(Rejection::Version(message.version));
        }
        if config.version == Version::V2 {
            self.check_authentication(config, arrived, message.auth)?;
        }
        let interval_differs = message.interval != config.advert_int.get();
        if message.interval.is_zero() || (config.version == Version::V2 && interval_differs) {
            return Err(Rejection::Interval {
                theirs: message.interval,
            });
        }
        if message.kind != TYPE_ADVERTISEMENT {
            return Err(Rejection::Malformed(AdvertError::BadType(message.kind)));
        }
        self.check_sum(config, arrived, &message)
            .map_err(Rejection::Malformed)?;
        check_destination(config, arrived.destination)?;
        let other_addresses = self.check_addresses(config, &message);
        check_source(config, arrived.source)?;
        let counters = &mut self.heard.get_or_insert_default().counters;
        counters.advert_rcvd += 1;
        counters.pri_zero_rcvd += u64::from(message.priority == 0);
        let heard = Heard {
            source: arrived.source,
            priority: message.priority,
            interval: message.interval,
        };
        Ok(Accepted {
            heard,
            other_addresses,
        })
    }

    /// RFC 2338 section 5.3.6; without authentication the field is not looked at.
    fn check_authentication(
        &mut self,
        config: &Instance,
        arrived: &Arrived<'_>,
        auth: AuthField,
    ) -> Result<(), Rejection> {
        match (config.auth, auth) {
            (None, AuthField::None) => Ok(()),
            (Some(Auth::Pass(ours)), AuthField::Pass(theirs)) if ours == theirs => Ok(()),
            (Some(Auth::Pass(_)), AuthField::Pass(_)) => Err(Rejection::AuthPassword),
            (Some(Auth::Ah(key)), AuthField::Ah) => self.check_seal(arrived, &key),
            (_, AuthField::Other { kind, .. }) => Err(Rejection::AuthTypeUnknown(kind)),
            _ => Err(Rejection::AuthType),
        }
    }

    fn check_seal(&mut self, arrived: &Arrived<'_>, key: &[u8]) -> Result<(), Rejection> {
        let (Some(sealed), IpAddr::V4(source)) = (arrived.sealed, arrived.source) else {
            return Err(Rejection::AuthType);
        };
        sealed
            .verify(arrived.header, key)
            .map_err(Rejection::Seal)?;
        let sequences = &mut self.heard.get_or_insert_default().sequences;
        let last = sequences.get(&source);
        if last.is_some_and(|last| sealed.sequence <= *last) {
            return Err(Rejection::Replayed);
        }
        if sequences.len() >= Self::SEQUENCES_MAX && last.is_none() {
            sequences.clear();
        }
        sequences.insert(source, sealed.sequence);
        self.sequence = self.sequence.max(sealed.sequence);
        Ok(())
    }

    fn check_sum(
        &mut self,
        config: &Instance,
        arrived: &Arrived<'_>,
        message: &Message<'_>,
    ) -> Result<(), AdvertError> {
        let (source, adverts) = (arrived.source, &config.adverts);
        let by_rfc = message.check_sum(Cover::of(config.version, source, arrived.destination));
        if config.version == Version::V2 || source.is_ipv6() {
            return by_rfc;
        }
        if by_rfc.is_ok() {
            if let Some(heard) = &mut self.heard {
                heard.old_sums.remove(&source);
            }
            return Ok(());
        }
        if adverts.v3_checksum_as_v2 && message.check_sum(Cover::Message).is_ok() {
            return Ok(());
        }
        let of_group = Cover::of(config.version, source, adverts.group);
        let peer =
            matches!(&config.transport, Transport::Unicast(peers) if peers.contains(&source));
        if peer && adverts.old_checksum != OldChecksum::Never && message.check_sum(of_group).is_ok()
        {
            let heard = self.heard.get_or_insert_default();
            heard.old_sums.insert(source);
            return Ok(());
        }
        by_rfc
    }

    /// What it names and we have not or the other way round is told and counted, no more: keepalived
    /// follows such a master too.
    fn check_addresses(
        &mut self,
        config: &Instance,
        message: &Message<'_>,
    ) -> Option<(usize, usize)> {
        let mut news = None;
        let heard = self.heard.get_or_insert_default();
        if heard.addresses != message.address_bytes {
            heard.addresses.clear();
            heard.addresses.extend_from_slice(message.address_bytes);
            let ours: BTreeSet<IpAddr> = config.vips.iter().map(|vip| vip.cidr.addr()).collect();
            let theirs: BTreeSet<IpAddr> = message.addresses().collect();
            heard.other_addresses = ours != theirs;
            news = heard.other_addresses.then_some((ours.len(), theirs.len()));
        }
        heard.counters.addr_list_err += u64::from(heard.other_addresses);
        news
    }

    /// The configuration changed: addresses are compared anew.
    pub fn reconfigured(&mut self) {
        if let Some(heard) = &mut self.heard {
            heard.addresses.clear();
            heard.other_addresses = false;
        }
    }
}

fn check_ttl(config: &Instance, arrived: &Arrived<'_>) -> Result<(), Rejection> {
    let ttl = arrived.ttl;
    match &config.transport {
        // RFC 9568 section 7.1.
        Transport::Multicast(_) if ttl != 255 => Err(Rejection::Ttl(ttl)),
        Transport::Multicast(_) => Ok(()),
        // keepalived: unicast adverts may have crossed routers unless min_ttl says otherwise.
        Transport::Unicast(_) => {
            let options = config.adverts.peers.get(&arrived.source);
            let options = options.copied().unwrap_or_default();
            let min = options.min_ttl.unwrap_or(0);
            let max = options.max_ttl.unwrap_or(255);
            if (min..=max).contains(&ttl) {
                Ok(())
            } else {
                Err(Rejection::TtlOfPeer(ttl))
            }
        }
    }
}

fn check_destination(config: &Instance, destination: IpAddr) -> Result<(), Rejection> {
    match (&config.transport, destination.is_multicast()) {
        (Transport::Multicast(_), false) => Err(Rejection::UnicastUnexpected),
        (Transport::Unicast(_), true) => Err(Rejection::MulticastUnexpected),
        (Transport::Multicast(group), true) if *group != destination => {
            Err(Rejection::OtherGroup(destination))
        }
        _ => Ok(()),
    }
}

fn check_source(config: &Instance, source: IpAddr) -> Result<(), Rejection> {
    match &config.transport {
        Transport::Unicast(peers) if config.adverts.check_source && !peers.contains(&source) => {
            Err(Rejection::NoPeer)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
