//! Virtual servers: whether packets find a server, and answers their way back.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use crate::config::diagnostic::Diagnostics;
use crate::config::model::{CheckerKind, VirtualServer, VirtualServerAddress};
use crate::config::source::Span;
use crate::config::{Config, Origins};
use crate::net::{Cidr, ForwardingMethod, Protocol};

use super::risk;

pub(super) fn lint(config: &Config, origins: &Origins, diagnostics: &mut Diagnostics) {
    let mut vips: BTreeMap<IpAddr, (Cidr, &str)> = BTreeMap::new();
    for instance in &config.instances {
        for vip in instance.all_vips() {
            vips.insert(vip.cidr.addr(), (vip.cidr, &instance.name));
        }
    }
    for server in &config.virtual_servers {
        let span = origins.virtual_servers.get(&server.address).copied();
        real_servers(server, span, &vips, diagnostics);
        quorum(server, span, diagnostics);
        slow_start(server, span, diagnostics);
        marked(server, span, diagnostics);
        weighing(server, span, diagnostics);
        super::writers::lint(server, &config.virtual_servers, span, diagnostics);
        idle(server, config.globals.lvs_timeouts.tcp, span, diagnostics);
    }
}

/// What IPVS makes of ports behind a mark (net/netfilter/ipvs/ip_vs_core.c, ip_vs_sched_persist).
fn marked(server: &VirtualServer, span: Option<Span>, diagnostics: &mut Diagnostics) {
    let marked = server.group.iter().flat_map(|group| &group.marked);
    let asked: BTreeSet<u16> = marked
        .flat_map(|m| m.endpoints.iter().map(|e| e.port))
        .collect();
    if server.persistence.is_none() || asked.is_empty() {
        return;
    }
    let other = server.real_servers.iter().find(|rs| {
        let port = rs.endpoint.port;
        rs.forwarding == ForwardingMethod::Masquerading
            && port != 0
            && asked.iter().any(|p| *p != port)
    });
    let Some(other) = other else { return };
    let endpoint = other.endpoint;
    let message = format!(
        "with a mark and persistence packets keep their port, whatever that of {endpoint} is"
    );
    let hint = "have the servers listen on the ports of the group, or do without persistence";
    diagnostics.push(risk(span, message).hint(hint.to_owned()));
}

/// What the kernel's schedulers make of a weight that grows.
fn slow_start(server: &VirtualServer, span: Option<Span>, diagnostics: &mut Diagnostics) {
    let mut slow = server.real_servers.iter().filter(|rs| {
        let said = rs.connections.as_deref();
        said.is_some_and(|said| said.slow_start.is_some())
    });
    let Some(first) = slow.next() else { return };
    let name = server.scheduler.name.to_string();
    let message = match name.as_str() {
        "rr" | "lc" | "dh" => {
            format!("`slow_start` does nothing: `{name}` does not look at weights")
        }
        "sh" | "mh" => {
            format!("`slow_start`: with `{name}` each of its steps sends some clients elsewhere")
        }
        "fo" => "`slow_start`: `fo` takes the server with the highest weight alone".to_owned(),
        _ if first.weight <= 1 && slow.all(|rs| rs.weight <= 1) => {
            "`slow_start` does nothing: a weight of 1 has no steps".to_owned()
        }
        _ => return,
    };
    let hint = "use `wrr` or `wlc` and weights such as 100";
    diagnostics.push(risk(span, message).hint(hint.to_owned()));
}

/// What they make of the weights that checks give.
fn weighing(server: &VirtualServer, span: Option<Span>, diagnostics: &mut Diagnostics) {
    let checkers = server.real_servers.iter().flat_map(|rs| &rs.checkers);
    let mut weighing = checkers.filter(|checker| match &checker.kind {
        CheckerKind::Backend(check) => check.backend.weighs(),
        _ => false,
    });
    let Some(first) = weighing.next() else { return };
    let keyword = first.kind.keyword();
    let name = server.scheduler.name.to_string();
    let message = match name.as_str() {
        "rr" | "lc" | "dh" => format!(
            "of the weights that `{keyword}` gives only 0 counts: `{name}` does not look at others"
        ),
        "sh" | "mh" => {
            format!(
                "`{keyword}`: with `{name}` each weight that it gives sends some clients elsewhere"
            )
        }
        "fo" => format!("`{keyword}`: `fo` takes the server with the highest weight alone"),
        _ => return,
    };
    diagnostics.push(risk(span, message).hint("use `wrr` or `wlc`".to_owned()));
}

/// How long IPVS remembers an idle TCP connection unless it is told (net/netfilter/ipvs/ip_vs_proto_tcp.c).
const IPVS_IDLE: Duration = Duration::from_secs(900);
/// MySQL's `wait_timeout`.
const MYSQL_IDLE: Duration = Duration::from_secs(28_800);

/// Connections that lie idle in a pool of a client are forgotten without a word, and hang when they are
/// used again.
fn idle(
    server: &VirtualServer,
    tcp: Option<Duration>,
    span: Option<Span>,
    diagnostics: &mut Diagnostics,
) {
    let mysql = server.addresses().any(|address| {
        matches!(address, VirtualServerAddress::Endpoint { protocol: Protocol::Tcp, endpoint }
            if endpoint.port == 3306)
    });
    if !mysql || tcp.unwrap_or(IPVS_IDLE) >= MYSQL_IDLE {
        return;
    }
    let idle = tcp.map_or("15 minutes".to_owned(), |tcp| {
        format!("{} s", tcp.as_secs())
    });
    let message =
        format!("IPVS forgets an idle connection after {idle}, MySQL keeps it for 8 hours");
    diagnostics.push(
        risk(span, message)
            .label("a connection of a client's pool hangs when it is used again")
            .hint("write `lvs_timeouts tcp 28800` into `global_defs`".to_owned()),
    );
}

fn real_servers(
    server: &VirtualServer,
    span: Option<Span>,
    vips: &BTreeMap<IpAddr, (Cidr, &str)>,
    diagnostics: &mut Diagnostics,
) {
    let addresses = server.addresses().filter_map(|address| match address {
        VirtualServerAddress::Endpoint { endpoint, .. } => Some(endpoint.addr),
        VirtualServerAddress::FwMark { .. } => None,
    });
    let addresses: BTreeSet<IpAddr> = addresses.collect();
    let networks = addresses.iter().filter_map(|address| vips.get(address));
    let networks: BTreeSet<Cidr> = networks.map(|(cidr, _)| *cidr).collect();
    let mut neighbours = Vec::new();
    for real in &server.real_servers {
        let addr = real.endpoint.addr;
        if addr.is_loopback() && real.forwarding == ForwardingMethod::Masquerading {
            let message = format!("with NAT, the real server {addr} serves this host alone");
            diagnostics.push(
                risk(span, message)
                    .label("no packet of anybody else may go to a loopback address")
                    .hint("name an address of this host on which the service listens".to_owned()),
            );
            continue;
        }
        let whose = match vips.get(&addr) {
            _ if addresses.contains(&addr) => "the virtual server's own address".to_owned(),
            Some((_, instance)) => format!("a virtual address of `{instance}`"),
            None => {
                let near = networks.iter().any(|network| network.contains(addr));
                if near && real.forwarding == ForwardingMethod::Masquerading {
                    neighbours.push(addr);
                }
                continue;
            }
        };
        let message = format!("the real server {addr} is {whose}");
        diagnostics.push(
            risk(span, message)
                .label("packets would come back to this node")
                .hint("name the server's own address".to_owned()),
        );
    }
    let (Some(first), more) = (neighbours.first(), neighbours.len().saturating_sub(1)) else {
        return;
    };
    let others = match more {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    let message =
        format!("with NAT, {first}{others} has no way back to clients of its own network");
    diagnostics.push(
        risk(span, message)
            .label("it is in the network of the virtual address and answers them itself")
            .hint("use `lb_kind DR`, or put the servers behind this node".to_owned()),
    );
}

fn quorum(server: &VirtualServer, span: Option<Span>, diagnostics: &mut Diagnostics) {
    let weights = server.real_servers.iter();
    let sum: u64 = weights.map(|real| u64::from(real.weight)).sum();
    let Some(quorum) = server.pool.quorum.map(u64::from) else {
        return;
    };
    if quorum > sum {
        let message = format!("the quorum of {quorum} is above the sum of all weights, {sum}");
        diagnostics.push(
            risk(span, message)
                .note(format!("keepalived takes {sum} instead"))
                .hint("count weights, not servers".to_owned()),
        );
    }
    let quorum = quorum.min(sum);
    let hysteresis = server.pool.hysteresis.map_or(0, u64::from);
    if hysteresis > 0 && hysteresis >= quorum {
        let message = format!("the hysteresis of {hysteresis} is not below the quorum, {quorum}");
        let note = format!("keepalived takes {} instead", quorum.saturating_sub(1));
        diagnostics.push(risk(span, message).note(note));
    } else if quorum + hysteresis > sum {
        let message = format!(
            "a quorum of {quorum} that was lost never comes back: with the hysteresis it needs {}, \
             and all weights are {sum}",
            quorum + hysteresis
        );
        diagnostics.push(risk(span, message).note("keepalived does the same"));
    }
}
