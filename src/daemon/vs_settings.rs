//! Settings of the kernel that virtual servers need: which are set because of a configuration, for whom, and what
//! they were before, to be put back at the end; and which are not as they should be.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;

use tracing::{info, warn};

use crate::config::Config;
use crate::control::model::KernelSetting;
use crate::kernel::route::Route;
use crate::kernel::sysctl;
use crate::lvs::{self, Here, KernelSettings, Need, kernel_settings, needs};
use crate::net::{Cidr, Link, NetPicture, ObservedAddress, ServiceRules, Sysctl};

use super::home;
use super::run_dir::write_whole;

/// Those who ask for a setting that a line names.
const NAMED_MAX: usize = 5;
/// Addresses that the kernel is asked about.
const ASKED_MAX: usize = 16;
/// The interface through which tunnels come in.
const TUNNEL: &str = "tunl0";
/// Where a setting of all interfaces is.
const ALL: &str = "all";

/// The settings that were changed.
#[derive(Debug)]
pub struct VsSettings {
    /// Remembers what was there before, for a successor.
    file: PathBuf,
    before: BTreeMap<Sysctl, String>,
    /// What is set, and for whom.
    on: KernelSettings,
    /// What the virtual servers need.
    needs: Vec<Need>,
    /// Of that, what was not met and was told.
    unmet: BTreeSet<Sysctl>,
    /// Interfaces whose settings count beside those of all.
    links: Vec<String>,
    /// This machine, as it was found.
    here: Here,
    /// What is likely not to work, as it was told; `None`: that is still to be looked at.
    doubts: Option<Vec<String>>,
    /// As it was told before.
    told: Vec<String>,
}

impl VsSettings {
    /// What a predecessor changed is known by `file`.
    pub fn new(file: PathBuf) -> VsSettings {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let before = text.lines().filter_map(|line| {
            let (key, value) = line.split_once(' ')?;
            let key = key.parse().unwrap_or_else(|_| Sysctl::of_ipvs(key));
            Some((key, value.to_owned()))
        });
        VsSettings {
            before: before.collect(),
            file,
            on: KernelSettings::new(),
            needs: Vec::new(),
            unmet: BTreeSet::new(),
            links: Vec::new(),
            here: Here::default(),
            doubts: None,
            told: Vec::new(),
        }
    }

    /// Sets what a configuration asks for, puts back what it asks for no more, and tells of what its virtual
    /// servers need and do not have. IPVS must be there already.
    pub fn apply(&mut self, config: &Config, picture: &NetPicture) -> Vec<KernelSetting> {
        let here = here_of(config, picture);
        self.links.clone_from(&here.links);
        let wanted = kernel_settings(config, &here.of_lvs);
        if !wanted.is_empty() || !self.before.is_empty() {
            where_ipvs_is(config, || self.bring_about(&wanted));
            self.on = wanted;
        }
        self.needs = needs(config, &here.of_lvs);
        self.here = here.of_lvs;
        self.doubts = None;
        self.compared(config)
    }

    /// What the virtual servers of a configuration need of the kernel and do not have, where vipd would not
    /// set it itself. Changes nothing.
    pub fn unmet(config: &Config, picture: &NetPicture) -> Vec<KernelSetting> {
        let mut settings = VsSettings::new(PathBuf::new());
        let here = here_of(config, picture);
        settings.links = here.links;
        settings.on = kernel_settings(config, &here.of_lvs);
        settings.needs = needs(config, &here.of_lvs);
        let mut found = Vec::new();
        where_ipvs_is(config, || found = settings.compare());
        found.retain(|setting| setting.why.is_some());
        found
    }

    /// What virtual servers ask of the packet filter.
    pub fn rules(&self, config: &Config) -> ServiceRules {
        lvs::service_rules(config, &self.here)
    }

    /// How everything is now; what is not as it should be, and what is likely not to work, is told once.
    pub fn look(&mut self, config: &Config) -> Vec<KernelSetting> {
        if self.doubts.is_none() {
            self.tell_doubts(config);
        }
        self.compared(config)
    }

    fn compared(&mut self, config: &Config) -> Vec<KernelSetting> {
        let mut found = Vec::new();
        where_ipvs_is(config, || found = self.compare());
        found
    }

    /// Whether nobody has looked since the last configuration.
    pub fn is_new(&self) -> bool {
        self.doubts.is_none()
    }

    /// Whether it is worth while to look.
    pub fn matters(&self) -> bool {
        !self.needs.is_empty() || !self.on.is_empty() || self.doubts.is_none()
    }

    /// Puts everything back as it was found.
    pub fn restore(&mut self, config: &Config) {
        if !self.before.is_empty() {
            where_ipvs_is(config, || self.bring_about(&KernelSettings::new()));
        }
        self.on.clear();
    }

    fn compare(&mut self) -> Vec<KernelSetting> {
        let mut found: Vec<KernelSetting> = self
            .on
            .iter()
            .map(|(key, asked)| KernelSetting {
                name: key.to_string(),
                now: sysctl::read(key),
                wanted: asked.value.clone(),
                set: true,
                before: self.before.get(key).cloned(),
                whom: asked.whom.clone(),
                why: None,
            })
            .collect();
        let mut unmet = BTreeSet::new();
        for need in &self.needs {
            let Some(now) = self.effective(&need.key) else {
                continue;
            };
            // Who named a value knows why.
            if need.values.contains(&now.as_str()) || self.on.contains_key(&need.key) {
                continue;
            }
            let wanted = need.values.first().copied().unwrap_or_default();
            if !self.unmet.contains(&need.key) {
                let (key, why, whom) = (&need.key, need.why, names(&need.whom));
                warn!(
                    "{key} is {now}: {why} ({whom}); set it to {wanted}, or write `@vipd \
                     set_kernel_settings` into global_defs"
                );
            }
            unmet.insert(need.key.clone());
            found.push(KernelSetting {
                name: need.key.to_string(),
                now: Some(now),
                wanted: wanted.to_owned(),
                set: false,
                before: None,
                whom: need.whom.clone(),
                why: Some(need.why.to_owned()),
            });
        }
        self.unmet = unmet;
        found
    }

    /// What holds: of the value for all interfaces and that of each the greater one counts (ip-sysctl.rst);
    /// where it is about all, the least of them.
    fn effective(&self, key: &Sysctl) -> Option<String> {
        let own = sysctl::read(key)?;
        let Some(all) = key.on(ALL) else {
            return Some(own);
        };
        let number = |key: &Sysctl| sysctl::read(key).and_then(|text| text.parse::<i64>().ok());
        let of_all = number(&all)?;
        if *key != all {
            return Some(number(key)?.max(of_all).to_string());
        }
        let links = self.links.iter().filter_map(|link| number(&key.on(link)?));
        let least = links.map(|of_link| of_link.max(of_all)).min();
        Some(least.unwrap_or(of_all).to_string())
    }

    fn tell_doubts(&mut self, config: &Config) {
        let unknown = lvs::nowhere(config, &self.here);
        let asked: Vec<IpAddr> = unknown.iter().copied().take(ASKED_MAX).collect();
        let mut local = Vec::new();
        where_ipvs_is(config, || local = local_of(&asked));
        self.here.own.extend(local);
        // Of those that were not asked for nothing is known.
        self.here.own.extend(unknown.into_iter().skip(ASKED_MAX));
        let doubts = lvs::doubts(config, &self.here).into_iter();
        let doubts: Vec<String> = doubts.map(|doubt| doubt.to_string()).collect();
        for line in doubts.iter().filter(|line| !self.told.contains(line)) {
            warn!("{line}");
        }
        self.told.clone_from(&doubts);
        self.doubts = Some(doubts);
    }

    fn bring_about(&mut self, wanted: &KernelSettings) {
        let over: Vec<Sysctl> = self.before.keys().cloned().collect();
        for key in over {
            if !wanted.contains_key(&key) {
                self.put_back(&key);
            }
        }
        for (key, asked) in wanted {
            if let Some(now) = sysctl::read(key)
                && now != asked.value
            {
                self.before.entry(key.clone()).or_insert(now);
            }
        }
        // First the note: what a crash in between leaves must be known.
        self.remember();
        for (key, asked) in wanted {
            match sysctl::write(key, &asked.value) {
                Err(error) => warn!("{error}, which {} asks for", names(&asked.whom)),
                Ok(()) if self.on.get(key) == Some(asked) => {}
                Ok(()) => {
                    let was = self.before.get(key);
                    let was = was.map_or("as it was", String::as_str);
                    info!(
                        "{key} is {} (before: {was}), for {}",
                        asked.value,
                        names(&asked.whom)
                    );
                }
            }
        }
    }

    fn put_back(&mut self, key: &Sysctl) {
        let Some(value) = self.before.remove(key) else {
            return;
        };
        match sysctl::write(key, &value) {
            Ok(()) => info!("{key} is {value} again"),
            Err(error) => warn!("{error}"),
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
            for (key, value) in &self.before {
                let _ = writeln!(text, "{} {value}", key.path());
            }
            write_whole(&self.file, text.as_bytes())
        };
        if let Err(error) = done {
            warn!("write {}: {error}", self.file.display());
        }
    }
}

/// Those of these addresses that packets to are for this machine.
fn local_of(asked: &[IpAddr]) -> Vec<IpAddr> {
    let Ok(mut route) = Route::open() else {
        return asked.to_vec();
    };
    let asked = asked.iter().copied();
    // No way there at all is an error.
    asked
        .filter(|address| route.is_local(*address).unwrap_or(false))
        .collect()
}

/// Links and addresses where IPVS is, if that is another network namespace.
fn read_elsewhere(config: &Config) -> Option<(Vec<Link>, Vec<ObservedAddress>)> {
    config.globals.node.net_namespace_ipvs.as_ref()?;
    let mut found = None;
    where_ipvs_is(config, || {
        found = Route::open().ok().and_then(|mut route| {
            let links = route.links().ok()?;
            Some((links, route.addresses().ok()?))
        });
    });
    found
}

/// What is known of this machine.
struct Machine {
    of_lvs: Here,
    /// All but the loopback.
    links: Vec<String>,
}

fn here_of(config: &Config, picture: &NetPicture) -> Machine {
    match read_elsewhere(config) {
        None => here(&picture.links, &picture.addresses),
        Some((links, addresses)) => here(&links, &addresses),
    }
}

fn here(links: &[Link], addresses: &[ObservedAddress]) -> Machine {
    let link_of = |address: &ObservedAddress| {
        let mut links = links.iter();
        links.find(|link| link.index == address.key.interface)
    };
    let mut here = Here {
        has_tunnel: links.iter().any(|l| l.name.as_str() == TUNNEL),
        old_kernel: is_old(
            &std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default(),
        ),
        ..Here::default()
    };
    for address in addresses {
        let cidr = address.key.cidr;
        here.own.insert(cidr.addr());
        let Some(link) = link_of(address) else {
            continue;
        };
        let is_network = cidr != Cidr::host(cidr.addr());
        if link.loopback {
            here.on_loopback.insert(cidr.addr());
            here.loopback_networks.insert(cidr);
        } else if is_network {
            here.networks.insert(cidr);
        }
        if link.bridge && is_network {
            here.bridges.insert((link.name.to_string(), cidr));
        }
    }
    let links = links.iter().filter(|link| !link.loopback);
    Machine {
        of_lvs: here,
        links: links.map(|link| link.name.to_string()).collect(),
    }
}

/// Older than 5.9.
fn is_old(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut next = || numbers.next().and_then(|n| n.parse::<u32>().ok());
    matches!((next(), next()), (Some(major), Some(minor)) if (major, minor) < (5, 9))
}

fn names(whom: &[String]) -> String {
    let (named, more) = whom.split_at(whom.len().min(NAMED_MAX));
    match more.len() {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// Settings are those of the network namespace that the thread is in.
fn where_ipvs_is(config: &Config, work: impl FnOnce() + Send) {
    if let Err(why) = home::where_ipvs_is(&config.globals.node, work) {
        warn!("settings of the kernel: {why}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_told_apart_by_their_release() {
        for (release, old) in [
            ("4.19.0-27-amd64", true),
            ("5.8.18", true),
            ("5.9.0", false),
            ("6.1.0-38-amd64", false),
            ("", false),
        ] {
            assert_eq!(is_old(release), old, "{release}");
        }
    }
}
