//! Settings of the kernel that virtual servers need: which are set because of a configuration, for whom, and what
//! they were before, to be put back at the end; and which are not as they should be.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use tracing::{info, warn};

use crate::config::Config;
use crate::control::model::KernelSetting;
use crate::kernel::sysctl;
use crate::lvs::{Here, KernelSettings, Need, bypasses, kernel_settings, needs};
use crate::net::{NetPicture, Sysctl};

use super::home;
use super::run_dir::write_whole;

/// Those who ask for a setting that a line names.
const NAMED_MAX: usize = 5;
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
    /// Clients that get no answers, as it was told.
    bypassed: Vec<String>,
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
            bypassed: Vec::new(),
        }
    }

    /// Sets what a configuration asks for, puts back what it asks for no more, and tells of what its virtual
    /// servers need and do not have. IPVS must be there already.
    pub fn apply(&mut self, config: &Config, picture: &NetPicture) -> Vec<KernelSetting> {
        let here = here(picture);
        let links = picture.links.iter().filter(|link| !link.loopback);
        self.links = links.map(|link| link.name.to_string()).collect();
        let wanted = kernel_settings(config, &here);
        if !wanted.is_empty() || !self.before.is_empty() {
            where_ipvs_is(config, || self.bring_about(&wanted));
            self.on = wanted;
        }
        self.needs = needs(config, &here);
        self.tell_bypassed(config, &here);
        self.look(config)
    }

    /// What the virtual servers of a configuration need of the kernel and do not have, where vipd would not
    /// set it itself. Changes nothing.
    pub fn unmet(config: &Config, picture: &NetPicture) -> Vec<KernelSetting> {
        let mut settings = VsSettings::new(PathBuf::new());
        let here = here(picture);
        let links = picture.links.iter().filter(|link| !link.loopback);
        settings.links = links.map(|link| link.name.to_string()).collect();
        settings.on = kernel_settings(config, &here);
        settings.needs = needs(config, &here);
        let mut found = Vec::new();
        where_ipvs_is(config, || found = settings.compare());
        found.retain(|setting| setting.why.is_some());
        found
    }

    /// How everything is now; what is not as it should be is told once.
    pub fn look(&mut self, config: &Config) -> Vec<KernelSetting> {
        let mut found = Vec::new();
        where_ipvs_is(config, || found = self.compare());
        found
    }

    /// Whether it is worth while to look.
    pub fn matters(&self) -> bool {
        !self.needs.is_empty() || !self.on.is_empty()
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

    fn tell_bypassed(&mut self, config: &Config, here: &Here) {
        let found: Vec<String> = bypasses(config, here)
            .into_iter()
            .map(|(service, network)| {
                format!(
                    "{service} has servers behind NAT in {network}, where its own address is: clients in that \
                     network get their answers from the servers themselves and drop them; masquerade such \
                     connections, with net.ipv4.vs.conntrack 1 (docs/lvs.md)"
                )
            })
            .collect();
        for line in found.iter().filter(|line| !self.bypassed.contains(line)) {
            warn!("{line}");
        }
        self.bypassed = found;
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

/// What is known of this machine.
fn here(picture: &NetPicture) -> Here {
    let loopback = |address: &&crate::net::ObservedAddress| {
        let mut links = picture.links.iter();
        links.any(|link| link.index == address.key.interface && link.loopback)
    };
    let addresses = picture.addresses.iter();
    let on_loopback = addresses.clone().filter(loopback);
    let networks = addresses.filter(|address| !loopback(address));
    let networks = networks.map(|address| address.key.cidr);
    Here {
        on_loopback: on_loopback.map(|address| address.key.cidr.addr()).collect(),
        networks: networks
            .filter(|cidr| *cidr != crate::net::Cidr::host(cidr.addr()))
            .collect(),
        has_tunnel: picture.links.iter().any(|l| l.name.as_str() == TUNNEL),
        old_kernel: is_old(
            &std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default(),
        ),
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
    let done = match home::ipvs_namespace(&config.globals.node) {
        Ok(None) => {
            work();
            return;
        }
        Ok(Some(namespace)) => namespace.within(work),
        Err(error) => Err(error),
    };
    if let Err(error) = done {
        warn!("settings of the kernel: {error}");
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
