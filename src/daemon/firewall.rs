//! The packet filter: made before a configuration is in force, removed when everything is let go, and
//! found again after a crash by what files remember.
//!
//! It is one of nftables, unless `vrrp_iptables` asks for the other, or the kernel has only that.

mod iptables_chains;
mod services;

use std::path::PathBuf;

use tracing::{error, info, warn};

use crate::config::Config;
use crate::config::model::Globals;
use crate::engine::failover::filter_of;
use crate::kernel::iptables::Iptables;
use crate::kernel::netlink::Error;
use crate::kernel::nftables::{Nftables, Table};
use crate::kernel::spawner::Spawner;
use crate::net::{Filter, InterfaceIndex, Link, ServiceRules};

use super::run_dir::RunDir;
use iptables_chains::{IptablesChains, Part};
use services::Services;

/// The table where the configuration names none.
const TABLE: &str = "vipd";
/// keepalived's: before the filter of most people.
const PRIORITY: i32 = -1;
/// What a filter is for, in messages.
const FOR: &str = "no_accept, strict_mode, use_vmac";

/// The packet filter as main sees it.
#[derive(Debug)]
pub struct Firewall {
    /// Remembers the table.
    file: PathBuf,
    /// The table that is there, or that a predecessor left.
    table: Option<String>,
    chains: IptablesChains,
    /// What was made last: the same need not be made again.
    made: Option<Made>,
    /// What virtual servers have of it.
    services: Services,
}

/// All that rules depend on.
#[derive(Debug, PartialEq, Eq)]
struct Made {
    filter: Filter,
    globals: (Table, Option<Vec<String>>),
    /// Of the interfaces under VMACs.
    indexes: Vec<Option<InterfaceIndex>>,
}

/// Why nftables cannot make it.
enum NftablesError {
    /// The kernel has no such thing, or not for this family.
    Missing(String),
    Refused(String),
}

impl Firewall {
    /// What a predecessor left is known by files in `run_dir`.
    pub fn new(run_dir: &RunDir, spawner: Spawner) -> Firewall {
        let file = run_dir.file("firewall");
        let left = std::fs::read_to_string(&file).ok();
        let table = left.map(|name| name.trim().to_owned());
        let iptables = Iptables::new(spawner, run_dir.file("iptables.rules"));
        Firewall {
            table: table.filter(|name| !name.is_empty()),
            file,
            chains: IptablesChains::new(run_dir.file("iptables"), iptables),
            made: None,
            services: Services::new(run_dir.file("firewall-ipvs")),
        }
    }

    /// Makes it what virtual servers ask for.
    pub fn apply_services(&mut self, config: &Config, rules: ServiceRules) {
        self.services.apply(config, rules, &mut self.chains);
    }

    /// The same, and leaves what virtual servers have had until now: they may still be there.
    pub fn extend_services(&mut self, config: &Config, rules: &ServiceRules) {
        let both = rules.with(&self.services.rules());
        self.apply_services(config, both);
    }

    /// Removes what virtual servers have of it.
    pub fn remove_services(&mut self, config: &Config) {
        self.services.remove(config, &mut self.chains);
    }

    /// Makes it what the configuration says. What cannot be done is told: the service behind the
    /// addresses matters more than what they should not answer.
    pub fn apply(&mut self, config: &Config, links: &[Link]) {
        let filter = filter_of(config);
        let table = table_of(&config.globals);
        let index_of = |name: &_| {
            let link = links.iter().find(|link| link.name == *name);
            link.map(|link| link.index)
        };
        let now = Made {
            globals: (table, config.globals.filters.vrrp_iptables.clone()),
            indexes: filter.vmacs.values().map(|(_, on)| index_of(on)).collect(),
            filter,
        };
        if self.made.as_ref() == Some(&now) {
            return;
        }
        self.made = None;
        if now.filter.is_empty() {
            self.remove();
            return;
        }
        let done = self.make(config, &now, &index_of);
        match done {
            Ok(()) => self.made = Some(now),
            Err(why) => error!(
                "the packet filter that the configuration asks for ({FOR}) cannot be made, traffic is \
                 not dropped: {why}"
            ),
        }
    }

    fn make(
        &mut self,
        config: &Config,
        now: &Made,
        index_of: &impl Fn(&crate::net::InterfaceName) -> Option<InterfaceIndex>,
    ) -> Result<(), String> {
        let filters = &config.globals.filters;
        let instance = config.globals.node.instance.as_deref();
        let table = &now.globals.0;
        let chains = iptables_chains::named(filters.vrrp_iptables.as_deref(), instance);
        let rulesets = iptables_chains::for_filter(&chains, &now.filter);
        if filters.nftables.is_none() && filters.vrrp_iptables.is_some() {
            if iptables_chains::are_installed(&rulesets) {
                self.remove_table();
                return self.chains.apply(Part::Filter, &rulesets);
            }
            warn!("vrrp_iptables: iptables is not installed; nftables is used instead");
        }
        match self.make_table(table, &now.filter, index_of) {
            Ok(()) => {
                self.chains.remove(Part::Filter);
                Ok(())
            }
            Err(NftablesError::Missing(why))
                if filters.nftables.is_none() && iptables_chains::are_installed(&rulesets) =>
            {
                info!("{why}; iptables is used instead");
                self.remove_table();
                self.chains.apply(Part::Filter, &rulesets)
            }
            Err(NftablesError::Missing(why) | NftablesError::Refused(why)) => Err(why),
        }
    }

    fn make_table(
        &mut self,
        table: &Table,
        filter: &Filter,
        index_of: &impl Fn(&crate::net::InterfaceName) -> Option<InterfaceIndex>,
    ) -> Result<(), NftablesError> {
        if self.table.as_ref() != Some(&table.name) {
            self.remove_table();
        }
        // First the note: what a crash in between leaves must be found again.
        if let Err(error) = std::fs::write(&self.file, &table.name) {
            warn!("write {}: {error}", self.file.display());
        }
        self.table = Some(table.name.clone());
        let mut nftables = Nftables::open().map_err(|error| socket_error(&error))?;
        let made = nftables.replace(table, filter, index_of);
        made.map_err(|error| missing_or_refused(&error))?;
        info!("nftables: table {} is in place", table.name);
        Ok(())
    }

    /// Removes what was made.
    pub fn remove(&mut self) {
        self.made = None;
        self.remove_table();
        self.chains.remove(Part::Filter);
    }

    fn remove_table(&mut self) {
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

impl NftablesError {
    fn of(missing: bool, why: String) -> NftablesError {
        match missing {
            true => NftablesError::Missing(why),
            false => NftablesError::Refused(why),
        }
    }
}

fn socket_error(error: &std::io::Error) -> NftablesError {
    let missing = error.raw_os_error().is_some_and(is_missing);
    NftablesError::of(missing, error.to_string())
}

fn missing_or_refused(error: &Error) -> NftablesError {
    let missing = matches!(error, Error::Refused { errno, .. } if is_missing(errno.0));
    NftablesError::of(missing, error.to_string())
}

fn is_missing(errno: i32) -> bool {
    matches!(
        errno,
        libc::EOPNOTSUPP | libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT
    )
}

/// `nftables`; without a name several instances in one network namespace have one each.
fn table_of(globals: &Globals) -> Table {
    let settings = &globals.filters;
    let own = || match &globals.node.instance {
        None => TABLE.to_owned(),
        Some(instance) => format!("{TABLE}_{instance}"),
    };
    Table {
        name: settings.nftables.clone().flatten().unwrap_or_else(own),
        priority: settings.nftables_priority.unwrap_or(PRIORITY),
        counters: settings.nftables_counters,
    }
}
