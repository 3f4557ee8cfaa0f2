//! From a file to everything that is needed to run it, before anything is changed: whatever fails here
//! leaves the machine, and a running configuration, as they were.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use caps::{CapSet, Capability};

use crate::config::model::Instance;
use crate::config::render::render_one;
use crate::config::{self, Code, Config, Diagnostic, Loaded, Severity, Style};
use crate::engine::failover::{Failover, addresses_within};
use crate::kernel::memory;
use crate::kernel::route::Route;
use crate::net::{InterfaceName, Link, NetPicture};

use super::failure::{Failure, Status};
use super::files::Disk;
use super::home::Home;
use super::options::{DEFAULT_FILES, Options, Parts};

/// Which file to read: the one that was named, else the first default that exists.
///
/// # Errors
/// When none was named and none of the defaults exists.
pub fn config_file(named: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(file) = named {
        return Ok(file.to_owned());
    }
    DEFAULT_FILES
        .iter()
        .map(PathBuf::from)
        .find(|file| file.exists())
        .ok_or_else(|| {
            Failure::new(
                Status::NoConfig,
                format!(
                    "there is no configuration: neither {} exists; name a file with -f FILE",
                    DEFAULT_FILES.join(" nor ")
                ),
            )
        })
}

/// The host's name, as the kernel has it.
pub fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}

/// Reads and checks the text. What is wrong with it stands in the result, rendered by the caller.
pub fn load(file: &Path, reading: &config::Options) -> Loaded {
    config::load(file, &Disk, reading)
}

/// The same for a start with these options: `-s` counts more than `net_namespace`, and `-u` more than
/// `umask`, as in keepalived.
///
/// # Errors
/// When there is no thread to be had.
pub(super) fn load_for(file: &Path, options: &Options) -> Result<Loaded, Failure> {
    let mut loaded = load_apart(file, &options.reading)?;
    if let (Some(config), Some(name)) = (&mut loaded.config, &options.namespace) {
        config.globals.node.net_namespace = Some(name.clone());
    }
    if let (Some(config), Some(umask)) = (&mut loaded.config, options.umask) {
        config.globals.outputs.umask = Some(umask);
    }
    Ok(loaded)
}

/// What a text, its words and what is made of them take while it is read, in multiples of its size: of virtual
/// servers, which are what makes files large; at least, and with servers about which little is said. And what
/// room is made for at most.
const ROOM_SURELY: usize = 6;
const ROOM_EACH: usize = 10;
const ROOM_MAX: usize = 48 * 1024 * 1024;

/// [`load`] on a thread of its own, and so with a heap of its own: what is made of a large text on the way
/// leaves no holes in the heap of those who stay.
fn load_apart(file: &Path, reading: &config::Options) -> Result<Loaded, Failure> {
    let fault = || {
        Failure::new(
            Status::Software,
            "the thread that read the file ended by a fault",
        )
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("reader".to_owned());
        let read = || {
            let size = std::fs::metadata(file).map_or(0, |file| file.len());
            let size = usize::try_from(size).unwrap_or(ROOM_MAX);
            let room = |each| size.saturating_mul(each).min(ROOM_MAX);
            let _room = memory::Room::make(room(ROOM_EACH), room(ROOM_SURELY));
            load(file, reading)
        };
        match thread.spawn_scoped(scope, read) {
            Ok(reader) => reader.join().map_err(|_| fault()),
            Err(error) => Err(Failure::fatal(format!("start thread: {error}"))),
        }
    })
}

/// Sockets by which links are seen.
pub struct Routes<'a> {
    /// Those of the instances.
    pub here: &'a mut Route,
    /// Those where IPVS is, if that is another network namespace.
    pub at_ipvs: Option<&'a mut Route>,
}

/// A configuration that may run, with the kernel's picture against which it was checked.
#[derive(Debug)]
pub struct Prepared {
    /// What runs: with `-P` no virtual servers, with `-C` no instances.
    pub config: Arc<Config>,
    /// What the kernel showed then.
    pub picture: NetPicture,
    /// What was said of the text without being an error.
    pub warnings: Vec<String>,
}

/// Reads the file and checks it against the kernel. What it says as `running` does is shared with that.
///
/// # Errors
/// Every error of the text at once; or every interface that does not exist; or the kernel's refusal.
pub fn prepare(
    file: &Path,
    options: &Options,
    (running, home): (&Config, &Home),
    routes: &mut Routes<'_>,
) -> Result<Prepared, Failure> {
    readable(file)?;
    let loaded = load_for(file, options)?;
    prepare_loaded(loaded, options, (running, home), routes)
}

/// The same for a daemon that runs, with sockets of its own; the one of its own namespace is handed on. `seen`
/// is shown what was read, as soon as it was.
///
/// # Errors
/// As for [`prepare`], and when the kernel gives no socket.
pub(super) fn prepare_anew(
    file: &Path,
    options: &Options,
    (running, home): (&Config, &Home),
    seen: impl FnOnce(&Loaded),
) -> Result<(Prepared, Route), Failure> {
    let mut route = Route::open()
        .map_err(|error| Failure::fatal(format!("open route netlink socket: {error}")))?;
    let mut at_ipvs = home.route_at_ipvs()?;
    let mut routes = Routes {
        here: &mut route,
        at_ipvs: at_ipvs.as_mut(),
    };
    readable(file)?;
    let loaded = load_for(file, options)?;
    seen(&loaded);
    let prepared = prepare_loaded(loaded, options, (running, home), &mut routes)?;
    Ok((prepared, route))
}

/// The same of a file that was read.
///
/// # Errors
/// As for [`prepare`].
pub(super) fn prepare_loaded(
    mut loaded: Loaded,
    options: &Options,
    (running, home): (&Config, &Home),
    routes: &mut Routes<'_>,
) -> Result<Prepared, Failure> {
    let Some(mut config) = loaded.config.take() else {
        return Err(refused(&loaded));
    };
    if !loaded.has_errors() {
        home.stays(&config)?;
    }
    match options.parts {
        Parts::All => {}
        Parts::Vrrp => config.virtual_servers.clear(),
        Parts::Checks => config.instances.clear(),
    }
    if options.without_bfd {
        config.bfd_instances.clear();
    }
    let read = |error| Failure::fatal(format!("read links and addresses: {error}"));
    let interest = Failover::routing_interest(&config).with_ours();
    let picture = routes.here.picture(&interest).map_err(read)?;
    let at_ipvs = match &mut routes.at_ipvs {
        None => None,
        Some(route) => Some(route.links().map_err(read)?),
    };
    let links = (&*picture.links, at_ipvs.as_deref());
    for missing in missing_interfaces(&config, links, &loaded) {
        loaded.diagnostics.push(missing);
    }
    if loaded.has_errors() {
        return Err(refused(&loaded));
    }
    let mut warnings = lines(&loaded, Severity::Warning);
    for instance in config.instances.iter_mut().map(Arc::make_mut) {
        warnings.extend(fit_advert(instance, &picture.links));
    }
    // Nobody asks any more where something stood.
    drop(loaded);
    Ok(Prepared {
        config: Arc::new(config.settled(running)),
        picture,
        warnings,
    })
}

/// Says plainly that a file is missing or closed to us, before anybody looks for errors inside it.
///
/// # Errors
/// [`Status::NoConfig`].
pub fn readable(file: &Path) -> Result<(), Failure> {
    let opened = std::fs::File::open(file).and_then(|file| file.metadata());
    let why = match opened {
        Ok(metadata) if metadata.is_dir() => "it is a directory".to_owned(),
        Ok(_) => return Ok(()),
        Err(error) => crate::errno::Words(&error).to_string(),
    };
    Err(Failure::new(
        Status::NoConfig,
        format!(
            "cannot read configuration {}: {why}; name a file with -f FILE",
            file.display()
        ),
    ))
}

/// The errors of a text, a line each; warnings would only hide them.
fn refused(loaded: &Loaded) -> Failure {
    Failure::new(Status::Config, lines(loaded, Severity::Error).join("\n"))
}

fn lines(loaded: &Loaded, severity: Severity) -> Vec<String> {
    loaded
        .diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.severity == severity)
        .map(|diagnostic| render_one(diagnostic, &loaded.sources, Style::Concise))
        .collect()
}

/// Addresses that an advert has no room for on its link are set like the others, but not named; as
/// keepalived does.
fn fit_advert(instance: &mut Instance, links: &[Link]) -> Option<String> {
    let name = instance.interface.as_ref()?;
    let link = links.iter().find(|link| link.name == *name)?;
    let room = addresses_within(instance, link.mtu);
    if instance.vips.len() <= room {
        return None;
    }
    let warning = format!(
        "warning: `{}`: an advert has room for {room} addresses within the MTU of {name}, {}: \
         the other {} are set, but not named in it",
        instance.name,
        link.mtu,
        instance.vips.len() - room
    );
    let rest = instance.vips.split_off(room);
    instance.vips_excluded.splice(0..0, rest);
    Some(warning)
}

/// Interfaces that do not exist: errors, but with `dynamic_interfaces` only where IPVS needs one; whoever
/// else names one waits for it.
fn missing_interfaces(
    config: &Config,
    (links, at_ipvs): (&[Link], Option<&[Link]>),
    loaded: &Loaded,
) -> Vec<Diagnostic> {
    let absent_from = |links: &[Link], name: &InterfaceName| links.iter().all(|l| l.name != *name);
    let absent = |name: &&InterfaceName| absent_from(links, name);
    let of_instances = config.instances.iter().flat_map(|instance| {
        let vips = instance.all_vips().filter_map(|vip| vip.dev.as_ref());
        let tracked = instance.more.track_interfaces.iter();
        let tracked = tracked.map(|tracked| &tracked.interface);
        let base = instance.interface.iter().chain(&instance.more.vrf);
        base.chain(vips).chain(tracked)
    });
    let groups = config.sync_groups.iter();
    let tracked = groups.flat_map(|group| &group.track_interfaces);
    let tracked = tracked.map(|tracked| &tracked.interface);
    let statics = config.statics.addresses.iter();
    let statics = statics.filter_map(|address| address.dev.as_ref());
    let routes = config.instances.iter().flat_map(|i| &i.more.routes);
    let hops = routes.chain(&config.statics.routes).flat_map(|r| &r.hops);
    let routed = hops.filter_map(|hop| hop.dev.as_ref());
    let instances = config.instances.iter();
    let sync = instances.filter_map(|instance| instance.more.lvs_sync_daemon_interface.as_ref());
    let globals = &config.globals;
    let sync = sync.chain(globals.lvs_sync_daemon.iter().map(|sync| &sync.interface));
    let needed: BTreeSet<&InterfaceName> = sync
        .filter(|name| absent_from(at_ipvs.unwrap_or(links), name))
        .collect();
    let named: BTreeSet<&InterfaceName> = of_instances
        .chain(tracked)
        .chain(statics)
        .chain(routed)
        .filter(absent)
        .collect();
    let have: Vec<&str> = links
        .iter()
        .filter(|link| !link.loopback)
        .map(|link| link.name.as_str())
        .collect();
    let have = if have.is_empty() {
        "none but loopback".to_owned()
    } else {
        have.join(", ")
    };
    let may_come = globals.vrrp.dynamic_interfaces.is_some();
    let diagnostic = |name: &InterfaceName| {
        let span = loaded.origins.interfaces.get(name).copied();
        let message = format!("interface {name} does not exist");
        if may_come && !needed.contains(name) {
            let label = "who needs it is in fault until it does";
            return Diagnostic::warning(Code::UnknownName, span, message).label(label);
        }
        Diagnostic::error(Code::UnknownName, span, message).hint(format!(
            "correct the name, bring the interface up first, or write `dynamic_interfaces`; \
             there are: {have}"
        ))
    };
    named.union(&needed).copied().map(diagnostic).collect()
}

/// Checks the capabilities that a configuration needs, before anything is tried.
///
/// # Errors
/// Names what is missing and how to grant it.
pub fn permissions(config: &Config) -> Result<(), Failure> {
    let mut needed = vec![(Capability::CAP_NET_ADMIN, "set addresses and program IPVS")];
    if !config.instances.is_empty() {
        needed.push((Capability::CAP_NET_RAW, "send and receive VRRP and ARP"));
    }
    for (capability, what_for) in needed {
        let have = caps::has_cap(None, CapSet::Effective, capability).unwrap_or(false);
        if !have {
            return Err(Failure::new(
                Status::Permission,
                format!(
                    "{capability} is missing, without which vipd cannot {what_for}: run it as root, \
                     or grant it (systemd: AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW; \
                     Docker: --cap-add NET_ADMIN --cap-add NET_RAW)"
                ),
            ));
        }
    }
    Ok(())
}
