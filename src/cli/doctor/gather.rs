//! Gathers the facts: reads, asks and listens. Nothing is changed.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use caps::{CapSet, Capability};
use hyper::Method;

use crate::config::{self, Config, Style};
use crate::control::model::Status;
use crate::daemon::prepare;
use crate::daemon::vs_settings::VsSettings;
use crate::kernel::namespace::Namespace;
use crate::kernel::route::Route;
use crate::kernel::{clock, processes, sysctl};
use crate::net::{Family, NetPicture, RoutingInterest};

use super::super::client::Whom;
use super::facts::{Clock, Facts, InterfaceSettings, Manager, PidFile};
use super::{listen, rulesets};

/// How long a program that prints a ruleset may take.
const PROGRAM_MAX: Duration = Duration::from_secs(10);
const PROGRAM_STEP: Duration = Duration::from_millis(20);
/// Errors of the configuration that are told.
const ERRORS_MAX: usize = 10;
/// No clock that is right shows a time before this: the first day of 2026.
const MADE: Duration = Duration::from_secs(1_767_225_600);
/// Pid files that keepalived and vipd leave where they end badly.
const PID_FILES: [&str; 5] = [
    "/run/keepalived.pid",
    "/run/keepalived/keepalived.pid",
    "/run/keepalived/vrrp.pid",
    "/run/keepalived/checkers.pid",
    "/run/vipd/vipd.pid",
];

/// What is asked for.
pub(super) struct Ask<'a> {
    pub(super) file: Option<&'a Path>,
    pub(super) reading: config::Options,
    pub(super) whom: &'a Whom,
    pub(super) listen: Duration,
}

/// Everything that can be known.
pub(super) fn gather(ask: &Ask<'_>) -> Facts {
    let mut facts = Facts::default();
    live(&mut facts, ask.whom);
    configuration(&mut facts, ask);
    let config = facts.config.take().unwrap_or_default();
    if let Some(name) = &config.globals.node.net_namespace
        && let Err(error) = Namespace::named(name).and_then(|namespace| namespace.enter())
    {
        facts.config_errors.push(error.to_string());
    }
    capabilities(&mut facts, &config);
    modules(&mut facts, &config);
    let interest = RoutingInterest {
        protocols: Vec::new(),
        routes: false,
        rules: false,
    };
    match Route::open().map(|mut route| route.picture(&interest)) {
        Ok(Ok(picture)) => facts.picture = picture,
        Ok(Err(error)) => facts.unread.push(format!("links and addresses: {error}")),
        Err(error) => facts.unread.push(format!("links and addresses: {error}")),
    }
    facts.unmet = VsSettings::unmet(&config, &facts.picture);
    facts.settings = interface_settings(&config);
    firewalls(&mut facts);
    pid_files(&mut facts, ask.whom.run_dir());
    facts.managers = managers(&config, &facts.picture);
    facts.clock = wall_clock();
    listen::listen(&mut facts, &config, ask.listen);
    if facts.config_errors.is_empty() {
        facts.config = Some(config);
    }
    facts
}

fn live(facts: &mut Facts, whom: &Whom) {
    if !whom.is_there() {
        return;
    }
    let status = whom.ask(Method::GET, "/v1/status");
    facts.status = status.and_then(|answer| answer.done::<Status>()).ok();
    facts.mute = facts.status.is_none();
}

fn configuration(facts: &mut Facts, ask: &Ask<'_>) {
    let running = facts.status.as_ref();
    let running = running.map(|status| PathBuf::from(&status.daemon.configuration));
    let named = ask.file.map(Path::to_owned).or(running);
    let file = match prepare::config_file(named.as_deref()) {
        Ok(file) => file,
        Err(failure) => return facts.config_errors.push(failure.text),
    };
    let loaded = prepare::load(&file, &ask.reading);
    if loaded.has_errors() {
        let text = loaded.render(Style::Concise);
        let errors = text.lines().filter(|line| line.contains(": error"));
        facts
            .config_errors
            .extend(errors.take(ERRORS_MAX).map(str::to_owned));
        if facts.config_errors.is_empty() {
            let file = file.display();
            facts.config_errors.push(format!("{file} cannot be read"));
        }
    }
    facts.config = loaded.config;
}

fn capabilities(facts: &mut Facts, config: &Config) {
    let mut needed = vec![(
        Capability::CAP_NET_ADMIN,
        "addresses and IPVS cannot be set",
    )];
    if !config.instances.is_empty() {
        let what = "VRRP and ARP cannot be sent or received";
        needed.push((Capability::CAP_NET_RAW, what));
    }
    for (capability, what) in needed {
        if !caps::has_cap(None, CapSet::Effective, capability).unwrap_or(false) {
            facts.capabilities.push((capability.to_string(), what));
        }
    }
}

/// What of IPVS is neither in the kernel nor could be loaded.
fn modules(facts: &mut Facts, config: &Config) {
    if config.virtual_servers.is_empty() {
        return;
    }
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let dir = Path::new("/lib/modules").join(release.trim());
    let lists = ["modules.dep", "modules.builtin"].map(|name| {
        let text = fs::read_to_string(dir.join(name));
        text.unwrap_or_default()
    });
    let there = |name: &str| {
        let file = format!("/{name}.ko");
        Path::new("/sys/module").join(name).exists()
            || lists.iter().any(|list| list.contains(&file))
    };
    let core = there("ip_vs") || Path::new("/proc/net/ip_vs").exists();
    if !core {
        facts.modules.push("ip_vs".to_owned());
        return;
    }
    let used: BTreeSet<String> = config
        .virtual_servers
        .iter()
        .map(|vs| format!("ip_vs_{}", vs.scheduler.name))
        .collect();
    // A kernel with IPVS built in does not list each scheduler that came with it.
    let listed = lists.iter().any(|list| list.contains("/ip_vs_"));
    facts
        .modules
        .extend(used.into_iter().filter(|name| listed && !there(name)));
}

fn interface_settings(config: &Config) -> Vec<InterfaceSettings> {
    let names: BTreeSet<String> = config
        .instances
        .iter()
        .filter_map(|instance| instance.interface.as_ref().map(ToString::to_string))
        .collect();
    let number = |family: &str, interface: &str, key: &str| -> i64 {
        let text = sysctl::get(family, interface, key);
        text.and_then(|text| text.parse().ok()).unwrap_or(0)
    };
    let larger =
        |interface: &str, key: &str| number("ipv4", interface, key).max(number("ipv4", "all", key));
    let each = names.into_iter().map(|interface| InterfaceSettings {
        rp_filter: larger(&interface, "rp_filter"),
        arp_ignore: larger(&interface, "arp_ignore"),
        disable_ipv6: number("ipv6", &interface, "disable_ipv6") == 1,
        interface,
    });
    each.collect()
}

/// What every firewall has, as its own program prints it.
fn firewalls(facts: &mut Facts) {
    let nft = run("nft", &["-j", "list", "ruleset"]);
    let by_nft = nft.is_some();
    match nft.map(|text| text.map(|text| serde_json::from_str(&text))) {
        Some(Ok(Ok(json))) => facts.firewall.extend(rulesets::of_nft(&json)),
        Some(Ok(Err(error))) => facts.unread.push(format!("nft: {error}")),
        Some(Err(error)) => facts.unread.push(error),
        None => {}
    }
    for (program, other, family) in [
        ("iptables-legacy-save", "iptables-save", Family::V4),
        ("ip6tables-legacy-save", "ip6tables-save", Family::V6),
    ] {
        // Without `legacy` it shows what nft has shown.
        let saved = run(program, &[]).or_else(|| run(other, &[]).filter(|_| !by_nft));
        // What cannot be read is of a family that this kernel does not have.
        if let Some(Ok(text)) = saved {
            facts.firewall.extend(rulesets::of_iptables(&text, family));
        }
    }
    let tables = fs::read_to_string("/proc/net/ip_tables_names").unwrap_or_default();
    if !by_nft && facts.firewall.is_empty() && !tables.trim().is_empty() {
        let text = "there are tables of iptables, and no iptables-save to read them with";
        facts.unread.push(text.to_owned());
    }
}

/// What a program prints; `None`: there is none of that name.
fn run(program: &str, args: &[&str]) -> Option<Result<String, String>> {
    let dirs = ["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin"];
    let found = dirs.iter().map(|dir| Path::new(dir).join(program));
    let found = found.into_iter().find(|path| path.exists())?;
    let started = Command::new(found)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => return Some(Err(format!("start {program}: {error}"))),
    };
    let pipe = child.stdout.take();
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        let read = pipe.map(|mut pipe| pipe.read_to_end(&mut text));
        drop(read);
        String::from_utf8_lossy(&text).into_owned()
    });
    let mut waited = Duration::ZERO;
    let ended = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status.success(),
            Ok(None) if waited < PROGRAM_MAX => {
                #[expect(clippy::disallowed_methods, reason = "nobody waits for this process")]
                std::thread::sleep(PROGRAM_STEP);
                waited += PROGRAM_STEP;
            }
            Ok(None) | Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                break false;
            }
        }
    };
    let text = reader.join().unwrap_or_default();
    Some(match ended {
        true => Ok(text),
        false => Err(format!("{program} does not print its rules: run as root")),
    })
}

fn pid_files(facts: &mut Facts, run_dir: &Path) {
    let own = run_dir.join("vipd.pid");
    let paths: BTreeSet<PathBuf> = PID_FILES.iter().map(PathBuf::from).chain([own]).collect();
    for path in paths {
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        let pid = text.trim().parse().ok();
        let command = pid.and_then(|pid| processes::command(pid, 0));
        facts.pid_files.push(PidFile {
            path,
            pid,
            runs: command.map(|command| String::from_utf8_lossy(&command.comm).into_owned()),
        });
    }
    let place = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    let here = place(std::process::id());
    // The stand-in has that name too.
    let ours = facts.status.as_ref().map(|status| status.daemon.pid);
    let all = processes::running(0).unwrap_or_default().into_iter();
    let theirs = all.filter(|(pid, command)| {
        command.comm == b"keepalived" && Some(*pid) != ours && place(*pid) == here
    });
    facts.keepalived = theirs.map(|(pid, _)| pid).collect();
}

/// Programs that look after interfaces say so in files of theirs.
fn managers(config: &Config, picture: &NetPicture) -> Vec<Manager> {
    let mut found = Vec::new();
    let used: BTreeSet<&str> = config
        .instances
        .iter()
        .flat_map(|instance| {
            let devs = instance.all_vips().filter_map(|vip| vip.dev.as_ref());
            devs.chain(&instance.interface).map(|name| name.as_str())
        })
        .collect();
    for link in &picture.links {
        let interface = link.name.to_string();
        if !used.contains(interface.as_str()) {
            continue;
        }
        let file = format!("/run/NetworkManager/devices/{}", link.index);
        let text = fs::read_to_string(&file).unwrap_or_default();
        if text
            .lines()
            .any(|line| matches!(line.trim(), "managed=true" | "managed-type=full"))
        {
            found.push(Manager {
                name: "NetworkManager",
                interface: interface.clone(),
                file,
            });
        }
        let state = format!("/run/systemd/netif/links/{}", link.index);
        let text = fs::read_to_string(state).unwrap_or_default();
        let of = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
        if of("ADMIN_STATE=").is_none_or(|state| state == "unmanaged") {
            continue;
        }
        let file = of("NETWORK_FILE=").unwrap_or_default().to_owned();
        let mut settings = fs::read_to_string(&file).unwrap_or_default();
        let dirs = of("NETWORK_FILE_DROPINS=").unwrap_or_default();
        for more in dirs.split([':', ' ']).filter(|path| !path.is_empty()) {
            settings += &fs::read_to_string(more.trim_matches('"')).unwrap_or_default();
        }
        let kept = settings
            .lines()
            .rev()
            .find_map(|line| line.trim().strip_prefix("KeepConfiguration="));
        if !matches!(kept, Some("yes" | "static" | "true" | "1")) {
            found.push(Manager {
                name: "systemd-networkd",
                interface,
                file,
            });
        }
    }
    found
}

fn wall_clock() -> Clock {
    #[expect(clippy::disallowed_methods, reason = "this is about the wall clock")]
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    if now.is_ok_and(|now| now < MADE) {
        return Clock::Past;
    }
    match clock::is_synchronised() {
        Ok(false) => Clock::Alone,
        Ok(true) | Err(_) => Clock::Right,
    }
}

/// The groups that routers of VRRP speak to, unless a configuration says otherwise.
pub(super) const GROUPS: [IpAddr; 2] = [
    IpAddr::V4(std::net::Ipv4Addr::new(224, 0, 0, 18)),
    IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12)),
];
