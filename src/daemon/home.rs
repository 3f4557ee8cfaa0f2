//! Where this vipd lives among several on one machine: the network namespaces that it works in, and the
//! name that it goes by. None of that can change while it runs.

use std::io;
use std::sync::Arc;

use crate::config::Config;
use crate::config::model::NodeSettings;
use crate::kernel::namespace::{Namespace, NamespaceError};
use crate::kernel::route::Route;
use crate::kernel::spawner::Spawner;

use super::failure::{Failure, Status};
use super::options::{Options, STAND_IN_PID_FILE};
use super::record::Place;

/// Where it lives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Home {
    /// `net_namespace`, or `-s`.
    net: Option<String>,
    /// `net_namespace_ipvs`.
    ipvs: Option<Option<String>>,
    /// `instance`.
    instance: Option<String>,
}

/// What there is to keep of other namespaces once the process lives where it should.
pub(super) struct Elsewhere {
    /// A socket for links where IPVS is, if that is not here.
    pub(super) ipvs: Option<Route>,
    /// Where the process was started, if that is not here.
    pub(super) start: Option<Arc<Namespace>>,
}

impl Home {
    /// As a configuration has it, in which `-s` has already taken the place of what was written.
    pub fn of(config: &Config) -> Home {
        let node = &config.globals.node;
        Home {
            net: node.net_namespace.clone(),
            ipvs: node.net_namespace_ipvs.clone(),
            instance: node.instance.clone(),
        }
    }

    /// Moves this process and its script helper there. To be called while there is one thread.
    ///
    /// # Errors
    /// A namespace does not exist or may not be entered.
    pub(super) fn enter(&self, helper: &mut Spawner) -> Result<Elsewhere, Failure> {
        let failed = |error: NamespaceError| Failure::fatal(error.to_string());
        let before = Namespace::current().map_err(failed)?;
        let mut elsewhere = Elsewhere {
            ipvs: None,
            start: None,
        };
        if let Some(ipvs) = open_ipvs_namespace(&self.ipvs).map_err(failed)? {
            // On the way, and not on a thread of its own: this process may still be forked.
            ipvs.enter().map_err(failed)?;
            elsewhere.ipvs = Some(open_route()?);
            before.enter().map_err(failed)?;
        }
        if let Some(name) = &self.net {
            let net = Namespace::named(name).map_err(failed)?;
            net.enter().map_err(failed)?;
            helper
                .enter_namespace(name)
                .map_err(|error| Failure::fatal(error.to_string()))?;
            elsewhere.start = Some(Arc::new(before));
        }
        Ok(elsewhere)
    }

    /// A socket for links where IPVS is, if that is somewhere else.
    ///
    /// # Errors
    /// The namespace is gone, or the kernel gives no socket.
    pub(super) fn route_at_ipvs(&self) -> Result<Option<Route>, Failure> {
        let failed = |error: NamespaceError| Failure::fatal(error.to_string());
        match open_ipvs_namespace(&self.ipvs).map_err(failed)? {
            None => Ok(None),
            Some(namespace) => namespace.within(open_route).map_err(failed)?.map(Some),
        }
    }

    /// Where IPVS is, for the record of what is ours there; `here` is where this process is.
    ///
    /// # Errors
    /// The namespace is gone.
    pub(super) fn place_of_ipvs(&self, here: &Place) -> Result<Place, Failure> {
        let number = |namespace: Namespace| {
            namespace
                .inode()
                .map_err(|error| Failure::fatal(format!("look at the namespace of IPVS: {error}")))
        };
        let ipvs = open_ipvs_namespace(&self.ipvs)
            .map_err(|error| Failure::fatal(error.to_string()))?
            .map(number)
            .transpose()?;
        Ok(Place {
            boot_id: here.boot_id.clone(),
            namespace: ipvs.unwrap_or(here.namespace),
        })
    }

    /// The options of a start that lives here: unless they were named, files are in a directory of its
    /// own; and its lines in syslog have a name of their own, as keepalived's have.
    pub(super) fn options(&self, options: &Options) -> Options {
        let mut options = options.clone();
        let names = [("namespace", &self.net), ("instance", &self.instance)];
        let names: Vec<(&str, &String)> = names
            .into_iter()
            .filter_map(|(kind, name)| Some((kind, name.as_ref()?)))
            .collect();
        if !options.run_dir_named && !names.is_empty() {
            let parts: Vec<String> = names
                .iter()
                .map(|(kind, name)| format!("{kind}-{name}"))
                .collect();
            options.run_dir.push(parts.join("-"));
        }
        if options.stand_in && options.pid_file.is_none() && names.is_empty() {
            options.pid_file = Some(STAND_IN_PID_FILE.into());
        }
        for (_, name) in names {
            options.log.ident.push('_');
            options.log.ident.push_str(name);
        }
        options
    }

    /// Whether a configuration that is read while this one runs lives here too.
    ///
    /// # Errors
    /// What it would change.
    pub(super) fn stays(&self, config: &Config) -> Result<(), Failure> {
        let new = Home::of(config);
        let or_none = |name: &Option<String>| name.clone().unwrap_or_else(|| "none".to_owned());
        let ipvs = |name: &Option<Option<String>>| match name {
            None => "none".to_owned(),
            Some(name) => name.clone().unwrap_or_else(|| "the first".to_owned()),
        };
        let changes = [
            ("net_namespace", or_none(&self.net), or_none(&new.net)),
            ("net_namespace_ipvs", ipvs(&self.ipvs), ipvs(&new.ipvs)),
            ("instance", or_none(&self.instance), or_none(&new.instance)),
        ];
        let changed: Vec<String> = changes
            .iter()
            .filter(|(_, old, new)| old != new)
            .map(|(keyword, old, new)| {
                format!(
                    "{keyword} cannot change by a reload (it is {old} and would be {new}): restart vipd"
                )
            })
            .collect();
        if changed.is_empty() {
            return Ok(());
        }
        Err(Failure::new(Status::Config, changed.join("\n")))
    }
}

fn open_route() -> Result<Route, Failure> {
    Route::open()
        .map_err(|error: io::Error| Failure::fatal(format!("open route netlink socket: {error}")))
}

/// The namespace that `net_namespace_ipvs` names; `None`: the one that the process is in.
fn open_ipvs_namespace(
    named: &Option<Option<String>>,
) -> Result<Option<Namespace>, NamespaceError> {
    match named {
        None => Ok(None),
        Some(None) => Namespace::first().map(Some),
        Some(Some(name)) => Namespace::named(name).map(Some),
    }
}

/// Where IPVS is to be programmed, if that is not the namespace that the process is in.
///
/// # Errors
/// There is no such namespace.
pub(super) fn ipvs_namespace(node: &NodeSettings) -> Result<Option<Namespace>, NamespaceError> {
    open_ipvs_namespace(&node.net_namespace_ipvs)
}

/// Works in that namespace: sockets and settings of the kernel are those of the one that a thread is in.
///
/// # Errors
/// There is no such namespace, in words.
pub(super) fn where_ipvs_is<T: Send>(
    node: &NodeSettings,
    work: impl FnOnce() -> T + Send,
) -> Result<T, String> {
    match ipvs_namespace(node) {
        Ok(None) => Ok(work()),
        Ok(Some(namespace)) => namespace.within(work).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Args;
    use clap::Parser as _;

    fn config(net: Option<&str>, ipvs: Option<Option<&str>>, instance: Option<&str>) -> Config {
        let mut config = Config::default();
        config.globals.node.net_namespace = net.map(str::to_owned);
        config.globals.node.net_namespace_ipvs = ipvs.map(|name| name.map(str::to_owned));
        config.globals.node.instance = instance.map(str::to_owned);
        config
    }

    #[test]
    fn each_has_a_directory_and_a_name_of_its_own_unless_it_was_named() {
        let options = Args::parse_from(["vipd"]).run.options();
        let both = Home::of(&config(Some("blue"), None, Some("one"))).options(&options);
        assert_eq!(
            both.run_dir.to_str(),
            Some("/run/vipd/namespace-blue-instance-one")
        );
        assert_eq!(both.log.ident, "vipd_blue_one");
        let plain = Home::default().options(&options);
        assert_eq!(plain.run_dir.to_str(), Some("/run/vipd"));
        assert_eq!(plain.log.ident, "vipd");
        let options = Args::parse_from(["vipd", "--run-dir", "/run/x"])
            .run
            .options();
        let stand_in = Options {
            stand_in: true,
            ..options.clone()
        };
        let of_stand_in = Home::default().options(&stand_in);
        assert_eq!(of_stand_in.pid_file, Some(STAND_IN_PID_FILE.into()));
        let other = Home::of(&config(Some("blue"), None, None)).options(&stand_in);
        assert_eq!(other.pid_file, None, "each has its own");
        let named = Home::of(&config(Some("blue"), None, None)).options(&options);
        assert_eq!(named.run_dir.to_str(), Some("/run/x"));
    }

    #[test]
    fn what_cannot_change_is_told_with_both_values() {
        let home = Home::of(&config(Some("blue"), None, None));
        assert!(home.stays(&config(Some("blue"), None, None)).is_ok());
        let refused = home
            .stays(&config(None, Some(None), Some("one")))
            .unwrap_err();
        let lines: Vec<&str> = refused.text.lines().collect();
        assert_eq!(
            lines,
            [
                "net_namespace cannot change by a reload (it is blue and would be none): restart vipd",
                "net_namespace_ipvs cannot change by a reload (it is none and would be the first): \
                 restart vipd",
                "instance cannot change by a reload (it is none and would be one): restart vipd",
            ]
        );
    }
}
