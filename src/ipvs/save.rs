//! A [`Table`] as the text of `ipvsadm -Sn`: what `ipvsadm -R` takes back.
//!
//! Same lines in the same order, so that two tables can be compared with `diff` (ipvsadm(8)).

use std::cmp::Ordering;
use std::fmt::Write;
use std::net::IpAddr;

use crate::net::{Endpoint, Family, ForwardingMethod, Protocol};

use super::{
    Command, DestinationKey, DestinationSpec, Persistence, ServiceFlags, ServiceKey, ServiceSpec,
    SyncDaemon, SyncRole, Table, Timeouts, TunnelChecksum, TunnelKind,
};

/// What `ipvsadm -Sn` prints of `table`, one command on each line. As ipvsadm's own, it leaves out
/// thresholds, and the third flag of `sh` and `mh`.
pub fn save(table: &Table) -> String {
    text(table, Detail::AsIpvsadm)
}

/// The commands that make `table`, thresholds and all flags included, for `ipvsadm -R`.
pub fn save_complete(table: &Table) -> String {
    text(table, Detail::Complete)
}

/// The arguments with which ipvsadm does what `command` does. Those that change the table may stand in the
/// text for `ipvsadm -R`; those about sync daemons and timeouts are command lines of their own.
pub fn line(command: &Command) -> String {
    let mut text = String::new();
    let mut about = |option: &str, key: &ServiceKey| {
        let _ = write!(text, "{option} {}", service_words(*key));
    };
    match command {
        Command::NewService(key, spec) => {
            about("-A", key);
            spec_words(&mut text, key.family(), spec, Detail::Complete);
        }
        Command::SetService(key, spec) => {
            about("-E", key);
            spec_words(&mut text, key.family(), spec, Detail::Complete);
        }
        Command::DelService(key) => about("-D", key),
        Command::NewDestination(key, at, spec) => {
            about("-a", key);
            destination_words(&mut text, *at, spec, Detail::Complete);
        }
        Command::SetDestination(key, at, spec) => {
            about("-e", key);
            destination_words(&mut text, *at, spec, Detail::Complete);
        }
        Command::DelDestination(key, at) => {
            about("-d", key);
            let _ = write!(text, " -r {at}");
        }
        Command::NewDaemon(role, daemon) => daemon_words(&mut text, *role, daemon),
        Command::DelDaemon(role) => {
            let _ = write!(text, "--stop-daemon {}", role_word(*role));
        }
        Command::SetTimeouts(timeouts) => timeout_words(&mut text, timeouts),
    }
    text
}

const fn role_word(role: SyncRole) -> &'static str {
    match role {
        SyncRole::Master => "master",
        SyncRole::Backup => "backup",
    }
}

fn daemon_words(text: &mut String, role: SyncRole, daemon: &SyncDaemon) {
    let SyncDaemon {
        interface,
        sync_id,
        packets,
    } = daemon;
    let role = role_word(role);
    let _ = write!(
        text,
        "--start-daemon {role} --mcast-interface {interface} --syncid {sync_id}"
    );
    if let Some(length) = packets.max_len {
        let _ = write!(text, " --sync-maxlen {length}");
    }
    if let Some(group) = packets.group {
        let _ = write!(text, " --mcast-group {group}");
    }
    if let Some(port) = packets.port {
        let _ = write!(text, " --mcast-port {port}");
    }
    if let Some(ttl) = packets.ttl {
        let _ = write!(text, " --mcast-ttl {ttl}");
    }
}

/// 0 leaves a timeout as it is.
fn timeout_words(text: &mut String, timeouts: &Timeouts) {
    let Timeouts { tcp, tcp_fin, udp } = timeouts;
    let [tcp, tcp_fin, udp] = [tcp, tcp_fin, udp].map(|time| time.map_or(0, |time| time.as_secs()));
    let _ = write!(text, "--set {tcp} {tcp_fin} {udp}");
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Detail {
    AsIpvsadm,
    Complete,
}

fn text(table: &Table, detail: Detail) -> String {
    let mut services: Vec<_> = table.iter().collect();
    services.sort_by(|(a, _), (b, _)| service_order(**a, **b));
    let mut text = String::new();
    for (key, service) in services {
        let name = service_words(*key);
        let _ = write!(text, "-A {name}");
        spec_words(&mut text, key.family(), &service.spec, detail);
        text.push('\n');
        let mut destinations: Vec<_> = service.destinations.iter().collect();
        destinations.sort_by(|(a, _), (b, _)| endpoint_order(a.0, b.0));
        for (at, spec) in destinations {
            let _ = write!(text, "-a {name}");
            destination_words(&mut text, *at, spec, detail);
            text.push('\n');
        }
    }
    text
}

fn service_words(key: ServiceKey) -> String {
    match key {
        ServiceKey::Endpoint { protocol, endpoint } => {
            let option = match protocol {
                Protocol::Tcp => "-t",
                Protocol::Udp => "-u",
                Protocol::Sctp => "--sctp-service",
            };
            format!("{option} {endpoint}")
        }
        ServiceKey::FwMark { family, mark } => match family {
            Family::V4 => format!("-f {mark}"),
            Family::V6 => format!("-f {mark} -6"),
        },
    }
}

fn spec_words(text: &mut String, family: Family, spec: &ServiceSpec, detail: Detail) {
    let _ = write!(text, " -s {}", spec.scheduler);
    if let Some(persistence) = &spec.persistence {
        persistence_words(text, family, persistence);
    }
    if spec.flags.one_packet {
        text.push_str(" -o");
    }
    flag_words(text, spec.scheduler.as_str(), spec.flags, detail);
}

fn persistence_words(text: &mut String, family: Family, persistence: &Persistence) {
    let _ = write!(text, " -p {}", persistence.timeout.as_secs());
    if persistence.granularity < family.bits() {
        let shift = 32u32.saturating_sub(u32::from(persistence.granularity));
        let mask = u32::MAX.checked_shl(shift).unwrap_or(0);
        let _ = match family {
            Family::V4 => write!(text, " -M {}", std::net::Ipv4Addr::from_bits(mask)),
            Family::V6 => write!(text, " -M {}", persistence.granularity),
        };
    }
    if let Some(engine) = &persistence.engine {
        let _ = write!(text, " --pe {engine}");
    }
}

fn flag_words(text: &mut String, scheduler: &str, flags: ServiceFlags, detail: Detail) {
    let named = matches!(scheduler, "sh" | "mh");
    let (one, two) = match scheduler {
        "sh" => ("sh-fallback", "sh-port"),
        "mh" => ("mh-fallback", "mh-port"),
        _ => ("flag-1", "flag-2"),
    };
    // ipvsadm has no name for the third flag of these two; it then prints a bare `-b `.
    let three = flags.sched_3 && (!named || detail == Detail::Complete);
    let set = [
        (flags.sched_1, one),
        (flags.sched_2, two),
        (three, "flag-3"),
    ];
    let words: Vec<&str> = set.iter().filter(|(on, _)| *on).map(|(_, w)| *w).collect();
    if flags.sched_1 || flags.sched_2 || flags.sched_3 {
        let _ = write!(text, " -b {}", words.join(","));
    }
}

fn destination_words(
    text: &mut String,
    key: DestinationKey,
    spec: &DestinationSpec,
    detail: Detail,
) {
    let method = match spec.forwarding {
        ForwardingMethod::Masquerading => "-m",
        ForwardingMethod::Tunnel => "-i",
        // ipvsadm has no word for the kernel's `Local`: it prints what makes it again.
        ForwardingMethod::DirectRoute | ForwardingMethod::Local => "-g",
    };
    let _ = write!(text, " -r {key} {method} -w {}", spec.weight);
    if detail == Detail::Complete {
        if spec.upper_threshold != 0 {
            let _ = write!(text, " -x {}", spec.upper_threshold);
        }
        if spec.lower_threshold != 0 {
            let _ = write!(text, " -y {}", spec.lower_threshold);
        }
    }
    if spec.forwarding == ForwardingMethod::Tunnel {
        tunnel_words(text, spec.tunnel);
    }
}

fn tunnel_words(text: &mut String, tunnel: TunnelKind) {
    let checksum = match tunnel {
        TunnelKind::Ipip => {
            text.push_str(" --tun-type ipip");
            return;
        }
        TunnelKind::Gue { port, checksum } => {
            let _ = write!(text, " --tun-type gue --tun-port {port}");
            checksum
        }
        TunnelKind::Gre { checksum } => {
            text.push_str(" --tun-type gre");
            checksum
        }
    };
    text.push_str(match checksum {
        TunnelChecksum::Off => " --tun-nocsum",
        TunnelChecksum::On => " --tun-csum",
        TunnelChecksum::Remote => " --tun-remcsum",
    });
}

fn service_order(a: ServiceKey, b: ServiceKey) -> Ordering {
    let parts = |key: ServiceKey| match key {
        ServiceKey::Endpoint { protocol, endpoint } => {
            (0, key.family(), protocol.number(), Some(endpoint))
        }
        ServiceKey::FwMark { family, mark } => (mark.get(), family, 0, None),
    };
    let ((mark_a, family_a, protocol_a, at_a), (mark_b, family_b, protocol_b, at_b)) =
        (parts(a), parts(b));
    (mark_a, family_a, protocol_a)
        .cmp(&(mark_b, family_b, protocol_b))
        .then_with(|| match (at_a, at_b) {
            (Some(a), Some(b)) => endpoint_order(a, b),
            _ => Ordering::Equal,
        })
}

fn endpoint_order(a: Endpoint, b: Endpoint) -> Ordering {
    match (a.addr, b.addr) {
        (IpAddr::V4(x), IpAddr::V4(y)) => x.cmp(&y),
        (IpAddr::V6(x), IpAddr::V6(y)) => x.cmp(&y),
        (x, y) => Family::of(x).cmp(&Family::of(y)),
    }
    .then(a.port.cmp(&b.port))
}

#[cfg(test)]
mod tests;
