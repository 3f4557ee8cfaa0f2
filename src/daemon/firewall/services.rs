//! What the packet filter does for virtual servers: marks for groups, connections that are masqueraded. Where IPVS
//! is, which may be another network namespace.

use std::path::PathBuf;

use tracing::{error, info, warn};

use crate::config::Config;
use crate::config::model::Globals;
use crate::daemon::home;
use crate::kernel::iptables::Ruleset;
use crate::kernel::nftables::Nftables;
use crate::net::ServiceRules;

use super::iptables_chains::{self, IptablesChains, Part};
use super::{NftablesError, missing_or_refused, socket_error};

/// The table where `nftables_ipvs` names none.
const TABLE: &str = "vipd_ipvs";
/// NF_IP_PRI_MANGLE.
const PRIORITY: i32 = -150;
/// What it is for, in messages.
const FOR: &str = "nftables_ipvs, masquerade";

/// What is there.
#[derive(Debug)]
pub(super) struct Services {
    /// Remembers the table.
    file: PathBuf,
    /// The table that is there, or that a predecessor left.
    table: Option<String>,
    /// What was made last.
    made: Option<Made>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Made {
    rules: ServiceRules,
    table: (String, i32),
}

impl Services {
    /// What a predecessor left is known by `file`.
    pub(super) fn new(file: PathBuf) -> Services {
        let left = std::fs::read_to_string(&file).ok();
        let table = left.map(|name| name.trim().to_owned());
        Services {
            table: table.filter(|name| !name.is_empty()),
            file,
            made: None,
        }
    }

    /// What was made last, for whoever leaves nothing of it yet.
    pub(super) fn rules(&self) -> ServiceRules {
        let made = self.made.as_ref();
        made.map(|made| made.rules.clone()).unwrap_or_default()
    }

    pub(super) fn apply(
        &mut self,
        config: &Config,
        rules: ServiceRules,
        chains: &mut IptablesChains,
    ) {
        let table = table_of(&config.globals);
        let now = Made { rules, table };
        if self.made.as_ref() == Some(&now) {
            return;
        }
        self.made = None;
        if now.rules.is_empty() {
            return self.remove(config, chains);
        }
        match self.make(config, &now, chains) {
            Ok(()) => self.made = Some(now),
            Err(why) => error!(
                "the packet filter that virtual servers ask for ({FOR}) cannot be made: {why}"
            ),
        }
    }

    fn make(
        &mut self,
        config: &Config,
        now: &Made,
        chains: &mut IptablesChains,
    ) -> Result<(), String> {
        let instance = config.globals.node.instance.as_deref();
        match self.make_table(config, now) {
            Ok(()) => {
                chains.remove(Part::Services);
                Ok(())
            }
            Err(NftablesError::Refused(why)) => Err(why),
            Err(NftablesError::Missing(why)) => {
                // The programs run where vipd is.
                if config.globals.node.net_namespace_ipvs.is_some() {
                    return Err(why);
                }
                let rulesets: Vec<Ruleset> = iptables_chains::for_services(&now.rules, instance);
                if !iptables_chains::are_installed(&rulesets) {
                    return Err(why);
                }
                info!("{why}; iptables is used instead");
                self.remove_table(config);
                chains.apply(Part::Services, &rulesets)
            }
        }
    }

    fn make_table(&mut self, config: &Config, now: &Made) -> Result<(), NftablesError> {
        let (name, priority) = &now.table;
        if self.table.as_ref() != Some(name) {
            self.remove_table(config);
        }
        // First the note: what a crash in between leaves must be found again.
        if let Err(error) = std::fs::write(&self.file, name) {
            warn!("write {}: {error}", self.file.display());
        }
        self.table = Some(name.clone());
        let make = || {
            let mut nftables = Nftables::open().map_err(|error| socket_error(&error))?;
            let made = nftables.replace_services(name, *priority, &now.rules);
            made.map_err(|error| missing_or_refused(&error))
        };
        let made = home::where_ipvs_is(&config.globals.node, make);
        made.unwrap_or_else(|why| Err(NftablesError::Refused(why)))?;
        info!("nftables: table {name} is in place");
        Ok(())
    }

    pub(super) fn remove(&mut self, config: &Config, chains: &mut IptablesChains) {
        self.made = None;
        self.remove_table(config);
        chains.remove(Part::Services);
    }

    fn remove_table(&mut self, config: &Config) {
        let Some(table) = self.table.take() else {
            return;
        };
        let remove = || {
            let mut nftables = Nftables::open().map_err(|error| error.to_string())?;
            nftables.remove(&table).map_err(|error| error.to_string())
        };
        let removed = home::where_ipvs_is(&config.globals.node, remove);
        if let Err(why) = removed.unwrap_or_else(Err) {
            error!("nftables table {table} is left behind: {why}; nft delete table ip {table}");
        }
        let _ = std::fs::remove_file(&self.file);
    }
}

/// `nftables_ipvs`; without a name several instances in one network namespace have one each.
fn table_of(globals: &Globals) -> (String, i32) {
    let settings = &globals.filters;
    let own = || match &globals.node.instance {
        None => TABLE.to_owned(),
        Some(instance) => format!("{TABLE}_{instance}"),
    };
    let name = settings.nftables_ipvs.clone().flatten();
    let priority = settings.nftables_ipvs_priority.unwrap_or(PRIORITY);
    (name.unwrap_or_else(own), priority)
}
