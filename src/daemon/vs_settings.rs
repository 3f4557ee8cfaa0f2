//! Settings of the kernel under net.ipv4.vs: which are on because of a configuration, for whom, and what they
//! were before. They are put back at the end.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use tracing::{info, warn};

use crate::config::Config;
use crate::kernel::sysctl;
use crate::lvs::{KernelSettings, kernel_settings};

use super::home;
use super::run_dir::write_whole;

/// Those who ask for a setting that a line names.
const NAMED_MAX: usize = 5;

/// The settings that were changed.
#[derive(Debug)]
pub struct VsSettings {
    /// Remembers what was there before, for a successor.
    file: PathBuf,
    before: BTreeMap<String, String>,
    /// What is on, and for whom.
    on: KernelSettings,
}

impl VsSettings {
    /// What a predecessor changed is known by `file`.
    pub fn new(file: PathBuf) -> VsSettings {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let before = text.lines().filter_map(|line| {
            let (key, value) = line.split_once(' ')?;
            Some((key.to_owned(), value.to_owned()))
        });
        VsSettings {
            before: before.collect(),
            file,
            on: KernelSettings::new(),
        }
    }

    /// Sets what a configuration needs, and puts back what it needs no more. IPVS must be there already.
    pub fn apply(&mut self, config: &Config) {
        let wanted = kernel_settings(config);
        if wanted.is_empty() && self.before.is_empty() {
            return;
        }
        where_ipvs_is(config, || self.bring_about(&wanted));
        self.on = wanted;
    }

    /// Puts everything back as it was found.
    pub fn restore(&mut self, config: &Config) {
        if !self.before.is_empty() {
            where_ipvs_is(config, || self.bring_about(&KernelSettings::new()));
        }
        self.on.clear();
    }

    fn bring_about(&mut self, wanted: &KernelSettings) {
        let over: Vec<String> = self.before.keys().cloned().collect();
        for key in over {
            if !wanted.contains_key(key.as_str()) {
                self.put_back(&key);
            }
        }
        for &key in wanted.keys() {
            if let Some(now) = sysctl::get_vs(key)
                && now != "1"
            {
                self.before.entry(key.to_owned()).or_insert(now);
            }
        }
        // First the note: what a crash in between leaves must be known.
        self.remember();
        for (&key, whom) in wanted {
            match sysctl::set_vs(key, "1") {
                Err(error) => warn!("{error}: connections of servers that go may hang"),
                Ok(()) if self.on.get(key) == Some(whom) => {}
                Ok(()) => {
                    let was = self.before.get(key);
                    let was = was.map_or("as it was", String::as_str);
                    info!(
                        "net.ipv4.vs.{key} is 1 (before: {was}), for {}",
                        names(whom)
                    );
                }
            }
        }
    }

    fn put_back(&mut self, key: &str) {
        let Some(value) = self.before.remove(key) else {
            return;
        };
        match sysctl::set_vs(key, &value) {
            Ok(()) => info!("net.ipv4.vs.{key} is {value} again"),
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
                let _ = writeln!(text, "{key} {value}");
            }
            write_whole(&self.file, text.as_bytes())
        };
        if let Err(error) = done {
            warn!("write {}: {error}", self.file.display());
        }
    }
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
        warn!("settings of IPVS: {error}");
    }
}
