//! Links of ours on the daemon's side: made while a configuration is prepared, so that what fails there
//! changes nothing; made and removed for the engine later; and the settings of the interfaces that they
//! are on, which are put back at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use tracing::{info, warn};

use crate::config::Config;
use crate::engine::failover::{Action, Failover, Input};
use crate::kernel::route::{Monitor, Route};
use crate::kernel::{own_link, sysctl};
use crate::net::{InterfaceName, Link, OwnLink};

use super::failure::Failure;
use super::prepare::Prepared;

/// Links that were made for a configuration that is not in force yet. They go with this, unless they
/// are kept.
#[derive(Debug, Default)]
pub struct Made(Vec<OwnLink>);

impl Made {
    /// The configuration is in force: its links stay.
    pub fn keep(mut self) {
        self.0.clear();
    }

    /// Takes over what was made for a configuration that does not come into force any more, as far as
    /// `config` names it; the rest goes.
    pub fn take_over(&mut self, mut other: Made, config: &Config) {
        let made = std::mem::take(&mut other.0).into_iter();
        let (named, gone): (Vec<_>, Vec<_>) =
            made.partition(|link| config.own_links.contains(link));
        self.0.extend(named);
        other.0 = gone;
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if self.0.is_empty() {
            return;
        }
        let Ok(mut route) = Route::open() else { return };
        for link in self.0.drain(..).rev() {
            if let Err(error) = own_link::remove(&mut route, &link) {
                warn!("{error}");
            }
        }
    }
}

/// Events that are passed over at most.
const OLD_NEWS_MAX: usize = 100_000;

/// Makes the links of a configuration that are not there, and takes them into its picture, which is newer
/// then than anything that `monitor` had to say.
///
/// # Errors
/// The first that cannot be made; none of those made for it is left then.
pub fn make(
    route: &mut Route,
    monitor: Option<&mut Monitor>,
    prepared: &mut Prepared,
) -> Result<Made, Failure> {
    let mut made = Made::default();
    for link in &prepared.config.own_links {
        // One that may come later: the engine makes the link then.
        if !prepared.picture.links.iter().any(|l| l.name == link.base) {
            continue;
        }
        match own_link::make(route, link) {
            Ok((new, warnings)) => {
                if new {
                    made.0.push(link.clone());
                }
                warnings.iter().for_each(|warning| warn!("{warning}"));
            }
            Err(error) => return Err(Failure::fatal(error.to_string())),
        }
    }
    if !prepared.config.own_links.is_empty() {
        // How they came to be is no news to whoever sees them as they are.
        if let Some(monitor) = monitor {
            for _ in 0..OLD_NEWS_MAX {
                if !matches!(monitor.next(), Ok(Some(_))) {
                    break;
                }
            }
        }
        let interest = Failover::routing_interest(&prepared.config).with_ours();
        prepared.picture = route
            .picture(&interest)
            .map_err(|error| Failure::fatal(format!("read links and addresses: {error}")))?;
    }
    Ok(made)
}

/// Does what the engine wants done to a link; what that brings back, and whether a link was made.
pub(super) fn carry_out(route: &mut Route, action: Action) -> (Option<Input<'static>>, bool) {
    match action {
        Action::MakeLink(link) => match own_link::make(route, &link) {
            Ok((_, warnings)) => {
                info!("interface {} was made on {}", link.name, link.base);
                warnings.iter().for_each(|warning| warn!("{warning}"));
                (None, true)
            }
            Err(error) => {
                let input = Input::LinkFailed {
                    name: link.name,
                    error: error.to_string(),
                };
                (Some(input), false)
            }
        },
        Action::RemoveLink(link) => {
            if let Err(error) = own_link::remove(route, &link) {
                warn!("{error}");
            }
            (None, false)
        }
        _ => (None, false),
    }
}

/// A setting: family, interface, key.
type Key = (String, String, String);

/// Settings of the interfaces under our links, without which those would answer for addresses of a VMAC with a
/// hardware address that is not its own, and of interfaces with `promote_secondaries`.
#[derive(Debug)]
pub struct Bases {
    /// Remembers what was there before, for a successor.
    file: PathBuf,
    before: BTreeMap<Key, String>,
}

impl Bases {
    /// What a predecessor changed is known by `file`.
    pub fn new(file: PathBuf) -> Bases {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let before = text.lines().filter_map(|line| {
            let mut words = line.split(' ').map(str::to_owned);
            let mut word = || words.next();
            Some(((word()?, word()?, word()?), word()?))
        });
        Bases {
            before: before.collect(),
            file,
        }
    }

    /// Sets what the links of a configuration need, and puts back what they need no more.
    pub fn apply(&mut self, config: &Config, links: &[Link]) {
        let wanted = wanted(config, links);
        let over: Vec<Key> = self.before.keys().cloned().collect();
        for key in over.into_iter().filter(|key| !wanted.contains_key(key)) {
            self.put_back(&key);
        }
        for (key, value) in &wanted {
            let (family, interface, name) = key;
            let Some(now) = sysctl::get(family, interface, name) else {
                continue;
            };
            if now != *value {
                self.before.entry(key.clone()).or_insert(now);
            }
        }
        // First the note: what a crash in between leaves must be known.
        self.remember();
        for ((family, interface, name), value) in &wanted {
            if let Err(error) = sysctl::set_of(family, interface, name, value) {
                warn!("{error}");
            }
        }
    }

    /// Puts everything back as it was found.
    pub fn restore(&mut self) {
        let keys: Vec<Key> = self.before.keys().cloned().collect();
        keys.iter().for_each(|key| self.put_back(key));
        self.remember();
    }

    fn put_back(&mut self, key: &Key) {
        let Some(value) = self.before.remove(key) else {
            return;
        };
        let (family, interface, name) = key;
        // An interface that is gone has taken its settings along.
        if sysctl::get(family, interface, name).is_some()
            && let Err(error) = sysctl::set_of(family, interface, name, &value)
        {
            warn!("{error}");
        }
    }

    fn remember(&self) {
        let done = if self.before.is_empty() {
            match std::fs::remove_file(&self.file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        } else {
            let mut text = String::new();
            for ((family, interface, name), value) in &self.before {
                let _ = writeln!(text, "{family} {interface} {name} {value}");
            }
            std::fs::write(&self.file, text)
        };
        if let Err(error) = done {
            warn!("write {}: {error}", self.file.display());
        }
    }
}

/// Interfaces on which `promote_secondaries` is asked for, but for links of ours, which have it anyway.
fn promoting(config: &Config) -> impl Iterator<Item = &InterfaceName> {
    let asks = config.instances.iter();
    let asks = asks.filter(|instance| instance.more.settings.promote_secondaries);
    asks.flat_map(|instance| {
        let vips = instance.all_vips().filter_map(|vip| vip.dev.as_ref());
        vips.chain(&instance.interface)
    })
}

/// What the interfaces should have: answer for their own addresses only, and by the interface that has
/// them. `all.rp_filter` counts for every interface, a VMAC too, which must have none: it is given to
/// each of the others instead, as keepalived does.
fn wanted(config: &Config, links: &[Link]) -> BTreeMap<Key, String> {
    let key =
        |interface: &str, name: &str| ("ipv4".to_owned(), interface.to_owned(), name.to_owned());
    let mut wanted = BTreeMap::new();
    // The engine sets it too, where links come later. What it was before is known here, and after a crash.
    for name in promoting(config) {
        if links.iter().any(|link| link.name == *name) {
            let promotes = key(name.as_str(), "promote_secondaries");
            wanted.insert(promotes, "1".to_owned());
        }
    }
    if config.globals.vrrp.disable_local_igmp {
        let reports = key(sysctl::ALL_OF_FAMILY, "igmp_link_local_mcast_reports");
        wanted.insert(reports, "0".to_owned());
    }
    let vmacs: Vec<&OwnLink> = config
        .own_links
        .iter()
        .filter(|link| link.v4 && link.mac().is_some())
        .collect();
    for vmac in &vmacs {
        // The last is not keepalived's: an answer to a neighbour that is not known yet asks for it, and
        // would do so with the VIP and the hardware address of this interface.
        for (name, value) in [
            ("arp_ignore", "1"),
            ("arp_filter", "1"),
            ("arp_announce", "2"),
        ] {
            wanted.insert(key(vmac.base.as_str(), name), value.to_owned());
        }
    }
    let number = |interface: &str| -> u8 {
        let text = sysctl::get("ipv4", interface, "rp_filter");
        text.and_then(|text| text.parse().ok()).unwrap_or(0)
    };
    let all = number("all");
    if vmacs.is_empty() || all == 0 {
        return wanted;
    }
    let ours: BTreeSet<&str> = config.own_links.iter().map(|l| l.name.as_str()).collect();
    let others = links.iter().map(|link| link.name.as_str());
    let others = others.filter(|name| !ours.contains(name));
    for interface in others.chain(["default"]) {
        let value = number(interface).max(all).to_string();
        wanted.insert(key(interface, "rp_filter"), value);
    }
    wanted.insert(key("all", "rp_filter"), "0".to_owned());
    wanted
}
