//! The packet filter: made before a configuration is in force, removed when everything is let go, and
//! found again after a crash by the name of its table, which a file remembers.

use std::path::PathBuf;

use tracing::{error, info, warn};

use crate::config::Config;
use crate::engine::failover::filter_of;
use crate::kernel::nftables::{Nftables, Table};
use crate::net::{Filter, Link};

/// The table where the configuration names none.
const TABLE: &str = "vipd";
/// keepalived's: before the filter of most people.
const PRIORITY: i32 = -1;

/// The packet filter as main sees it.
#[derive(Debug)]
pub struct Firewall {
    /// Remembers the table.
    file: PathBuf,
    /// The table that is there, or that a predecessor left.
    table: Option<String>,
}

impl Firewall {
    /// What a predecessor left is known by `file`.
    pub fn new(file: PathBuf) -> Firewall {
        let left = std::fs::read_to_string(&file).ok();
        let table = left.map(|name| name.trim().to_owned());
        Firewall {
            table: table.filter(|name| !name.is_empty()),
            file,
        }
    }

    /// Makes it what the configuration says. What cannot be done is told: the service behind the
    /// addresses matters more than what they should not answer.
    pub fn apply(&mut self, config: &Config, links: &[Link]) {
        let filter = filter_of(config);
        let settings = &config.globals.filters;
        let name = settings.nftables.clone().flatten();
        let table = Table {
            name: name.unwrap_or_else(|| TABLE.to_owned()),
            priority: settings.nftables_priority.unwrap_or(PRIORITY),
            counters: settings.nftables_counters,
        };
        let stale = self.table.as_ref() != Some(&table.name) || filter.is_empty();
        if stale {
            self.remove();
        }
        if filter.is_empty() {
            return;
        }
        // First the note: what a crash in between leaves must be found again.
        if let Err(error) = std::fs::write(&self.file, &table.name) {
            warn!("write {}: {error}", self.file.display());
        }
        self.table = Some(table.name.clone());
        match replace(&table, &filter, links) {
            Ok(()) => info!("nftables: table {} is in place", table.name),
            Err(why) => error!(
                "the packet filter that the configuration asks for (no_accept, strict_mode, use_vmac) \
                 cannot be made, traffic is not dropped: {why}"
            ),
        }
    }

    /// Removes what was made.
    pub fn remove(&mut self) {
        let Some(table) = self.table.take() else {
            return;
        };
        let removed = Nftables::open()
            .map_err(|error| error.to_string())
            .and_then(|mut nftables| nftables.remove(&table).map_err(|error| error.to_string()));
        if let Err(why) = removed {
            error!("nftables table {table} is left behind: {why}; nft delete table ip {table}");
        }
        let _ = std::fs::remove_file(&self.file);
    }
}

fn replace(table: &Table, filter: &Filter, links: &[Link]) -> Result<(), String> {
    let mut nftables = Nftables::open().map_err(|error| error.to_string())?;
    let index_of = |name: &_| {
        let link = links.iter().find(|link| link.name == *name);
        link.map(|link| link.index)
    };
    nftables
        .replace(table, filter, index_of)
        .map_err(|error| error.to_string())
}
