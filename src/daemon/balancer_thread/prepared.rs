//! What may fail of a configuration is done before it is put in force.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::config::Config;
use crate::daemon::{home, sequence};
use crate::kernel::ipvs::{Ipvs, OpenError};
use crate::lvs::Owned;
use crate::probe::Kit;

use super::Status;

/// A configuration with what it needs of the kernel.
pub struct Prepared {
    pub(super) config: Arc<Config>,
    pub(super) ipvs: Option<Ipvs>,
    /// What checks need, if that is something else.
    pub(super) kit: Option<Kit>,
}

impl Prepared {
    /// Opens IPVS ([`open_ipvs`]) unless the thread has it open ([`Status::ipvs_open`]).
    ///
    /// # Errors
    /// The kernel has no IPVS, or we may not use it; or what a check needs cannot be had. Nothing was
    /// changed.
    pub fn new(config: Arc<Config>, status: &Status) -> Result<Prepared, PrepareError> {
        let kit = Kit::new(&config).map_err(PrepareError::Kit)?;
        let ipvs = if status.ipvs_open {
            None
        } else {
            open_ipvs(&config, &Owned::named_by(&config)).map_err(PrepareError::Ipvs)?
        };
        let kit = Some(kit);
        Ok(Prepared { config, ipvs, kit })
    }

    /// The same, with what the checks of `running` need besides: its services stay for a while.
    pub fn equip_for(&mut self, running: &Config) {
        // What cannot be had for them any more they do without.
        let both = sequence::with_leaving(&self.config, running);
        if let Ok(kit) = Kit::new(&both) {
            self.kit = Some(kit);
        }
    }

    /// The same for another configuration, which names no other checks.
    pub fn with(self, config: Arc<Config>) -> Prepared {
        Prepared { config, ..self }
    }

    /// A configuration that needs nothing which the thread has not.
    pub fn part(config: Arc<Config>) -> Prepared {
        let (ipvs, kit) = (None, None);
        Prepared { config, ipvs, kit }
    }

    /// Names of the files that its checks ask for.
    pub(super) fn files_of_checks(&self) -> BTreeSet<String> {
        self.config.files_of_checks().map(str::to_owned).collect()
    }
}

/// Why a configuration cannot be put in force.
#[derive(Debug)]
pub enum PrepareError {
    /// IPVS cannot be used.
    Ipvs(OpenError),
    /// What a check needs cannot be had; in words.
    Kit(String),
}

impl fmt::Display for PrepareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PrepareError::Ipvs(error) => write!(f, "virtual servers cannot be programmed: {error}"),
            PrepareError::Kit(error) => write!(f, "checks cannot be made: {error}"),
        }
    }
}

impl std::error::Error for PrepareError {}

/// Opens IPVS where it is needed: for virtual servers it must be there; for sync daemons and to remove
/// what an earlier run left (both in `owned`) its absence is only a warning in the log.
///
/// # Errors
/// The kernel has no IPVS, or we may not use it, and the configuration has virtual servers.
pub fn open_ipvs(config: &Config, owned: &Owned) -> Result<Option<Ipvs>, OpenError> {
    if config.virtual_servers.is_empty() && owned.is_empty() {
        return Ok(None);
    }
    let opened = match home::ipvs_namespace(&config.globals.node) {
        Ok(None) => Ipvs::open(),
        Ok(Some(namespace)) => namespace
            .within(Ipvs::open)
            .unwrap_or_else(|e| Err(e.into())),
        Err(error) => Err(error.into()),
    };
    match opened {
        Ok(ipvs) => Ok(Some(ipvs)),
        Err(error) if config.virtual_servers.is_empty() => {
            tracing::warn!("{error}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
