//! From facts to findings about this machine: what is wrong, on which object, why it matters, what to do.
//! Pure.

use serde::Serialize;

use crate::config::model::{Instance, Transport};
use crate::net::{ADDRESS_PROTOCOL, Family, Link};

use super::facts::{Clock, Facts};
use super::passage;
use Severity::{Error, Note, Warning};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Severity {
    /// Something does not work, or will not.
    Error,
    /// Something may not work.
    Warning,
    /// Worth knowing.
    Note,
}

impl Severity {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    /// The same for the same fault, for programs.
    pub(super) code: &'static str,
    /// On which object.
    pub(super) on: String,
    /// What is wrong.
    pub(super) what: String,
    /// Why that matters.
    pub(super) why: String,
    /// What to do.
    #[serde(rename = "do")]
    pub(super) remedy: String,
}

/// Collects them.
#[derive(Debug, Default)]
pub(super) struct Findings(pub(super) Vec<Finding>);

impl Findings {
    pub(super) fn add(
        &mut self,
        (severity, code): (Severity, &'static str),
        on: impl ToString,
        what: impl Into<String>,
        why: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let finding = Finding {
            severity,
            code,
            on: on.to_string(),
            what: what.into(),
            why: why.into(),
            remedy: remedy.into(),
        };
        if !self.0.contains(&finding) {
            self.0.push(finding);
        }
    }
}

/// Everything about this machine.
pub(super) fn machine(facts: &Facts, out: &mut Findings) {
    process(facts, out);
    let Some(config) = &facts.config else {
        return;
    };
    for instance in &config.instances {
        interface(facts, instance, out);
        addresses(facts, instance, out);
        passage::vrrp_filter(facts, instance, out);
    }
    for setting in &facts.unmet {
        let now = setting.now.as_deref().unwrap_or("not there");
        let (name, wanted) = (&setting.name, &setting.wanted);
        out.add(
            (Error, "sysctl"),
            setting.whom.join(", "),
            format!("{name} is {now} instead of {wanted}"),
            setting.why.clone().unwrap_or_default(),
            format!("sysctl -w {name}={wanted}, and for the next boot a line in /etc/sysctl.d"),
        );
    }
    passage::service_filter(facts, config, out);
}

/// The daemon, what it needs, and what others left.
fn process(facts: &Facts, out: &mut Findings) {
    for error in &facts.config_errors {
        let why = "a start and a reload are refused";
        let remedy = "correct it; `vipd check` shows the lines";
        out.add(
            (Error, "configuration"),
            "configuration",
            error.clone(),
            why,
            remedy,
        );
    }
    for (capability, what_for) in &facts.capabilities {
        let remedy = "run as root, or grant it (systemd: AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW; \
                      Docker: --cap-add NET_ADMIN --cap-add NET_RAW)";
        let what = format!("{capability} is missing");
        out.add(
            (Error, "capability"),
            "this process",
            what,
            *what_for,
            remedy,
        );
    }
    for module in &facts.modules {
        out.add(
            (Error, "module"),
            format!("kernel module {module}"),
            "it is neither loaded nor installed",
            "virtual servers cannot be programmed",
            "install the kernel's extra modules, or boot a kernel that has IPVS (CONFIG_IP_VS); in a \
             container load it on the host: modprobe ip_vs",
        );
    }
    for text in &facts.unread {
        let why = "what it does to VRRP and to the services is not known here";
        let remedy = "run `vipd doctor` as root, with nft or iptables installed";
        out.add((Note, "unread"), "firewall", text.clone(), why, remedy);
    }
    if let Some(why) = &facts.deaf {
        let what = format!("nobody could listen: {why}");
        let remedy = "run as root (CAP_NET_RAW)";
        out.add(
            (Warning, "deaf"),
            "network",
            what,
            "routers that are wrong are not seen",
            remedy,
        );
    }
    if facts.mute {
        out.add(
            (Error, "mute"),
            "vipd",
            "it runs and does not answer on its control socket",
            "nobody can look at it or tell it anything",
            "look into its log; `vipd doctor` must run as root or as a member of control_group",
        );
    }
    if let Some(status) = &facts.status {
        live(status, out);
    }
    for file in &facts.pid_files {
        let (on, pid) = (file.path.display(), file.pid.unwrap_or(0));
        // Whatever the program file is called that runs.
        let ours = facts.status.as_ref().map(|status| status.daemon.pid);
        let what = match file.runs.as_deref() {
            _ if ours.is_some() && file.pid == ours => continue,
            Some("vipd" | "keepalived") => continue,
            Some(other) => format!("it says process {pid}, which is {other}"),
            None => format!("it says process {pid}, which does not run"),
        };
        let why = "keepalived does not start while one with a living number is there, and scripts signal \
                   whoever has that number";
        out.add(
            (Warning, "pid-file"),
            &on,
            what,
            why,
            format!("remove it: rm {on}"),
        );
    }
    for pid in &facts.keepalived {
        out.add(
            (Error, "keepalived"),
            format!("process {pid}"),
            "keepalived runs here too",
            "both set and remove the same addresses and services",
            "systemctl disable --now keepalived, or give each its own files and virtual routers",
        );
    }
    let clock = match facts.clock {
        Clock::Right => return,
        Clock::Alone => (
            Note,
            "nobody keeps it right",
            "install chrony, or enable systemd-timesyncd",
        ),
        Clock::Past => (
            Warning,
            "it shows a time before 2026",
            "set it, and install chrony",
        ),
    };
    let why = "VRRP does not need it; logs of several nodes cannot be compared, and checks by TLS that look at \
               certificates may fail";
    out.add((clock.0, "clock"), "clock", clock.1, why, clock.2);
}

/// What the vipd that runs complains of itself.
fn live(status: &crate::control::model::Status, out: &mut Findings) {
    if status.daemon.version != env!("CARGO_PKG_VERSION") {
        let what = format!(
            "version {} runs, version {} is installed",
            status.daemon.version,
            env!("CARGO_PKG_VERSION")
        );
        let why = "what was mended since is not in force";
        out.add(
            (Note, "version"),
            "vipd",
            what,
            why,
            "systemctl restart vipd: it keeps every connection",
        );
    }
    if let Some(reload) = status.daemon.reload.as_ref().filter(|reload| !reload.done) {
        out.add(
            (Error, "reload"),
            "vipd",
            format!("the last reload was refused: {}", reload.errors.join("; ")),
            "the configuration before it is in force, and the next start would fail",
            "correct the file, then vipd reload",
        );
    }
    for instance in status
        .instances
        .iter()
        .filter(|instance| instance.state == "FAULT")
    {
        let name = &instance.name;
        let why = "it cannot become master";
        let on = format!("vrrp_instance {name}");
        out.add(
            (Error, "fault"),
            on,
            instance.why.clone(),
            why,
            format!("vipd why {name}"),
        );
    }
    for server in status
        .virtual_servers
        .iter()
        .filter(|server| !server.quorum)
    {
        let name = &server.name;
        let on = format!("virtual_server {name}");
        let why = "clients get no answer, or that of the sorry server";
        out.add(
            (Warning, "quorum"),
            on,
            server.why.clone(),
            why,
            format!("vipd why {name}"),
        );
    }
}

pub(super) fn link<'a>(facts: &'a Facts, name: &str) -> Option<&'a Link> {
    let mut links = facts.picture.links.iter();
    links.find(|link| link.name.as_str() == name)
}

/// The interface that an instance speaks on.
fn interface(facts: &Facts, instance: &Instance, out: &mut Findings) {
    let Some(name) = instance.interface.as_ref().map(|name| name.as_str()) else {
        return;
    };
    let on = format!("vrrp_instance {}", instance.name);
    let Some(link) = link(facts, name) else {
        let have: Vec<&str> = facts
            .picture
            .links
            .iter()
            .map(|link| link.name.as_str())
            .collect();
        let what = format!("interface {name} does not exist");
        let why = "a start is refused, unless dynamic_interfaces lets it wait";
        let remedy = format!("correct the name; there are: {}", have.join(", "));
        return out.add((Error, "interface"), on, what, why, remedy);
    };
    if !link.is_up() {
        let (what, remedy) = match link.admin_up {
            false => ("is not up", format!("ip link set {name} up")),
            true => (
                "has no carrier",
                "look at the cable, the switch port, the bond or the bridge".into(),
            ),
        };
        let what = format!("interface {name} {what}");
        out.add(
            (Error, "link"),
            &on,
            what,
            "the instance is in FAULT and claims nothing",
            remedy,
        );
    }
    if matches!(instance.transport, Transport::Multicast(_)) && !link.multicast {
        let what = format!("interface {name} has multicast switched off");
        let why = "adverts to the group are neither sent nor heard: both routers become master";
        let remedy = format!("ip link set {name} multicast on, or use unicast_peer");
        out.add((Error, "multicast"), &on, what, why, remedy);
    }
    let mut own = facts.picture.addresses.iter();
    let has_own = own.any(|address| {
        address.key.interface == link.index
            && Family::of(address.key.cidr.addr()) == instance.family
            && address.protocol != ADDRESS_PROTOCOL
    });
    if !has_own && instance.src_ip.is_none() && link.is_up() {
        let family = match instance.family {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6 link-local",
        };
        let what = format!("interface {name} has no {family} address of its own");
        let why = "adverts have no source address";
        let remedy = format!("ip addr add ADDRESS/PREFIX dev {name}, or write mcast_src_ip");
        out.add((Error, "source"), &on, what, why, remedy);
    }
    let Some(settings) = facts
        .settings
        .iter()
        .find(|settings| settings.interface == name)
    else {
        return;
    };
    if settings.arp_ignore >= 8 && instance.family == Family::V4 {
        let what = format!("net.ipv4.conf.{name}.arp_ignore is {}", settings.arp_ignore);
        let why =
            "this machine answers no ARP request for any address: nobody finds the virtual one";
        let remedy = format!("sysctl -w net.ipv4.conf.{name}.arp_ignore=0 (and that of `all`)");
        out.add((Error, "arp-ignore"), &on, what, why, remedy);
    }
    if settings.disable_ipv6 && instance.all_vips().any(|vip| vip.cidr.addr().is_ipv6()) {
        let what = format!("net.ipv6.conf.{name}.disable_ipv6 is 1");
        let why = "virtual addresses of IPv6 cannot be set";
        let remedy = format!("sysctl -w net.ipv6.conf.{name}.disable_ipv6=0");
        out.add((Error, "disable-ipv6"), &on, what, why, remedy);
    }
    for manager in facts
        .managers
        .iter()
        .filter(|manager| manager.interface == name)
    {
        let file = &manager.file;
        let (why, remedy) = match manager.name {
            "systemd-networkd" => (
                "when it is restarted or configures the interface again it removes addresses that it did not set",
                format!(
                    "add KeepConfiguration=static to [Network] of {file} (netplan: docs/managers.md)"
                ),
            ),
            _ => (
                "when the connection is activated again it removes addresses that it did not set",
                format!(
                    "leave {name} to it and expect a gap of some milliseconds then, or have it left alone: \
                         nmcli device set {name} managed no (docs/managers.md)"
                ),
            ),
        };
        let what = format!("{} manages {name}", manager.name);
        out.add((Warning, "manager"), &on, what, why, remedy);
    }
}

/// Virtual addresses that are set here, though nobody of ours did.
fn addresses(facts: &Facts, instance: &Instance, out: &mut Findings) {
    // One that runs removes those that it finds.
    if facts.status.is_some() || facts.mute {
        return;
    }
    for vip in instance.all_vips() {
        let address = vip.cidr.addr();
        let mut all = facts.picture.addresses.iter();
        let found = all
            .find(|other| other.key.cidr.addr() == address && other.protocol != ADDRESS_PROTOCOL);
        let link = found.and_then(|found| {
            let mut links = facts.picture.links.iter();
            links.find(|link| link.index == found.key.interface && !link.loopback)
        });
        if let Some(link) = link {
            out.add(
                (Warning, "address"),
                format!("{address} of vrrp_instance {}", instance.name),
                format!("it is set on {} already, and no vipd runs", link.name),
                "both routers answer for it, if the other one is master",
                format!(
                    "take it out of the network's own configuration (netplan, interfaces, ifcfg) and: \
                     ip addr del {} dev {}",
                    vip.cidr, link.name
                ),
            );
        }
    }
}
