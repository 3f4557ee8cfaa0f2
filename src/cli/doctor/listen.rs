//! What can be heard on the network for a few seconds: adverts of others, and who answers for the virtual
//! addresses. The one thing that is sent is the question who has an address, as a host asks before it takes
//! one (RFC 5227 section 2.1.1).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::config::Config;
use crate::config::model::Transport;
use crate::kernel::advert_watch::{AdvertWatch, Heard};
use crate::kernel::announcement_socket::AnnouncementSocket;
use crate::kernel::announcement_watch::AnnouncementWatch;
use crate::kernel::clock;
use crate::net::{InterfaceIndex, Link};
use crate::wire::{PROTOCOL_AH, PROTOCOL_VRRP, ah, ipv4, vrrp};

use super::facts::{Facts, HeardAdvert, Owner};
use super::gather::GROUPS;

/// How often it is looked what has come.
const STEP: Duration = Duration::from_millis(20);
/// How often a question is asked.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// Adverts that are kept.
const HEARD_MAX: usize = 4096;
/// Octets of the header of IPv6.
const IPV6_HEADER: usize = 40;

/// Listens for so long.
pub(super) fn listen(facts: &mut Facts, config: &Config, time: Duration) {
    if time.is_zero() || config.instances.is_empty() {
        return;
    }
    if let Err(error) = hear(facts, config, time) {
        facts.deaf = Some(crate::errno::Words(&error).to_string());
    }
}

fn hear(facts: &mut Facts, config: &Config, time: Duration) -> std::io::Result<()> {
    let adverts = AdvertWatch::open(&groups(facts, config))?;
    let asking = AnnouncementSocket::open()?;
    let answers = AnnouncementWatch::open()?;
    answers.listen(true)?;
    let questions = questions(facts, config);
    let asked: BTreeSet<IpAddr> = questions.iter().map(|(_, address)| *address).collect();
    let mut owners = BTreeSet::new();
    let end = clock::now() + time;
    let mut next = clock::now();
    while clock::now() < end {
        if clock::now() >= next {
            next = clock::now() + ASK_EVERY;
            for (link, address) in &questions {
                // An interface that is down asks nobody.
                let _ = asking.probe(link.index, link.mac, *address);
            }
        }
        while let Some(heard) = adverts.next()? {
            if facts.heard.len() < HEARD_MAX {
                facts.heard.extend(understood(&heard));
            }
        }
        while let Some(said) = answers.next()? {
            if asked.contains(&said.address) {
                owners.insert(Owner {
                    address: said.address,
                    mac: said.mac,
                });
            }
        }
        #[expect(clippy::disallowed_methods, reason = "nobody waits for this process")]
        std::thread::sleep(STEP);
    }
    // What this machine says of itself is no news.
    let own: BTreeSet<_> = facts.picture.links.iter().map(|link| link.mac).collect();
    owners.retain(|owner| !own.contains(&owner.mac));
    facts.owners = owners.into_iter().collect();
    Ok(())
}

fn link<'a>(facts: &'a Facts, name: &str) -> Option<&'a Link> {
    let mut links = facts.picture.links.iter();
    links.find(|link| link.name.as_str() == name)
}

/// Interfaces of instances, each with every group that somebody may speak to there.
fn groups(facts: &Facts, config: &Config) -> Vec<(InterfaceIndex, IpAddr)> {
    let mut all = BTreeSet::new();
    for instance in &config.instances {
        let name = instance.interface.as_ref().map(|name| name.as_str());
        let Some(link) = name.and_then(|name| link(facts, name)) else {
            continue;
        };
        all.extend(GROUPS.map(|group| (link.index, group)));
        if let Transport::Multicast(group) = instance.transport {
            all.insert((link.index, group));
        }
    }
    all.into_iter().collect()
}

/// Each virtual address with the interface that it belongs to, unless it is set here.
fn questions(facts: &Facts, config: &Config) -> Vec<(Link, IpAddr)> {
    let mut all = Vec::new();
    let addresses = facts.picture.addresses.iter();
    let here: BTreeSet<IpAddr> = addresses.map(|address| address.key.cidr.addr()).collect();
    for instance in &config.instances {
        for vip in instance.all_vips() {
            let name = vip.dev.as_ref().or(instance.interface.as_ref());
            let found = name.and_then(|name| link(facts, name.as_str()));
            let address = vip.cidr.addr();
            if let Some(link) = found
                && !link.loopback
                && !link.no_arp
                && !here.contains(&address)
            {
                all.push((link.clone(), address));
            }
        }
    }
    all
}

/// What a packet says; none that is cut short or of another protocol.
fn understood(heard: &Heard) -> Option<HeardAdvert> {
    let packet = heard.packet.as_slice();
    let (source, destination, ttl, message): (IpAddr, IpAddr, u8, &[u8]) =
        match packet.first()? >> 4 {
            4 => {
                let header = ipv4::parse(packet).ok()?;
                let payload = packet.get(header.payload(packet.len()))?;
                let message = match header.protocol {
                    PROTOCOL_VRRP => payload,
                    PROTOCOL_AH => ah::Sealed::read(payload).ok()?.message,
                    _ => return None,
                };
                (
                    header.source.into(),
                    header.destination.into(),
                    header.ttl,
                    message,
                )
            }
            6 => {
                let address = |at: usize| -> Option<IpAddr> {
                    let octets: [u8; 16] = packet.get(at..at + 16)?.try_into().ok()?;
                    Some(Ipv6Addr::from(octets).into())
                };
                if *packet.get(6)? != PROTOCOL_VRRP {
                    return None;
                }
                (
                    address(8)?,
                    address(24)?,
                    *packet.get(7)?,
                    packet.get(IPV6_HEADER..)?,
                )
            }
            _ => return None,
        };
    Some(HeardAdvert {
        interface: heard.interface,
        source,
        destination,
        ttl,
        advert: vrrp::parse(message, source, destination).map_err(|error| error.to_string()),
    })
}
