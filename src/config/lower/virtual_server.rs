//! `virtual_server`.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::keywords::BlockKind;
use crate::config::model::{
    Persistence, PoolSettings, SchedulerSpec, ServiceGroup, SorryServer, VirtualServer,
    VirtualServerAddress,
};
use crate::config::source::Span;
use crate::config::suggest::nearest;
use crate::config::tree::{Statement, Unpacker, Word};
use crate::net::{Endpoint, Family, FwMark, Protocol, Scheduler, SchedulerFlag};

use super::check::CheckWords;
use super::connections::{self, ConnectionWords};
use super::context::{Context, Draft, Handled, Line};
use super::forwarding::{self, Forwarding};
use super::globals::Defaults;
use super::group::{GroupAddress, Groups};
use super::real_server::{self, Pool, RealServerDraft};
use super::services::Services;
use super::value::Value;
use super::writers::{self, WriterWords};

/// Reads every `virtual_server`.
pub(super) fn lower(
    ctx: &mut Context<'_>,
    statements: &[&Statement],
    groups: &Groups,
    defaults: &Defaults,
) -> Vec<VirtualServer> {
    let mut services = Services::with_capacity(statements.len());
    let mut readers = Vec::new();
    // The same lists for all of them, one after the other.
    let (mut drafts, mut unpacker) = (Vec::new(), Unpacker::default());
    for statement in statements {
        let Some(span) = statement.span() else {
            continue;
        };
        let head = head(ctx, statement, groups);
        let mut draft = VirtualServerDraft {
            real_servers: std::mem::take(&mut drafts),
            ..VirtualServerDraft::default()
        };
        ctx.read_block(
            BlockKind::VirtualServer,
            &statement.unpacked(&mut unpacker),
            &mut draft,
        );
        if let Some(head) = head
            && let Some(mut server) = draft.finish(ctx, &head, span, defaults)
        {
            server.writers = draft.writers.own(ctx);
            readers.extend(draft.writers.readers(server.address));
            services.add(ctx, server, span);
        }
        drafts = std::mem::take(&mut draft.real_servers);
        drafts.clear();
    }
    let mut list = services.into_list();
    writers::find_writers(ctx, &mut list, readers);
    connections::spare_the_others(&mut list);
    list
}

/// What stands behind `virtual_server`.
struct Head {
    addresses: Vec<GroupAddress>,
    group: Option<String>,
}

impl Head {
    fn one(address: GroupAddress) -> Head {
        Head {
            addresses: vec![address],
            group: None,
        }
    }
}

fn head(ctx: &mut Context<'_>, statement: &Statement, groups: &Groups) -> Option<Head> {
    let (first, rest) = statement.words.get(1..)?.split_first()?;
    let text = ctx.text(first);
    match (text.as_ref(), rest.first()) {
        ("fwmark", Some(word)) => {
            let mark = fwmark(ctx, word)?;
            Some(Head::one(GroupAddress::FwMark { mark, family: None }))
        }
        ("group", Some(word)) => {
            let name = ctx.text(word).into_owned();
            let addresses = groups.find(ctx, &name, word.span)?;
            Some(Head {
                addresses,
                group: Some(name),
            })
        }
        ("fwmark" | "group", None) => {
            let message = format!("`virtual_server {text}` needs a value");
            let span = first.span;
            ctx.say(Diagnostic::error(Code::MissingValue, span, message));
            None
        }
        (_, port) => {
            let addr = ctx.address(first)?;
            let port = match port {
                Some(word) => port_of(ctx, word)?,
                None => 0,
            };
            Some(Head::one(GroupAddress::Endpoint(Endpoint::new(addr, port))))
        }
    }
}

/// A firewall mark, not 0.
pub(super) fn fwmark(ctx: &mut Context<'_>, word: &Word) -> Option<FwMark> {
    let text = ctx.text(word);
    let mark = text.parse().ok().and_then(FwMark::new);
    if mark.is_none() {
        let message = format!("`{text}` is not a firewall mark from 1 to {}", u32::MAX);
        let span = word.span;
        ctx.say(Diagnostic::error(Code::InvalidValue, span, message));
    }
    mark
}

/// A port, 0 to 65535.
pub(super) fn port_of(ctx: &mut Context<'_>, word: &Word) -> Option<u16> {
    let text = ctx.text(word);
    let port = text.parse().ok();
    if port.is_none() {
        let message = format!("`{text}` is not a port from 0 to 65535");
        let span = word.span;
        ctx.say(Diagnostic::error(Code::InvalidValue, span, message));
    }
    port
}

#[derive(Default)]
pub(super) struct VirtualServerDraft {
    protocol: Option<(Protocol, Span)>,
    scheduler: Option<Scheduler>,
    scheduler_written: bool,
    flags: BTreeSet<SchedulerFlag>,
    forwarding: Option<Forwarding>,
    forwarding_written: bool,
    one_packet: bool,
    persistence_timeout: Option<Duration>,
    persistence_granularity: Option<(Granularity, Span)>,
    persistence_engine: Option<String>,
    ip_family: Option<Family>,
    weight: Option<u32>,
    inhibit_on_failure: bool,
    check: CheckWords,
    connections: ConnectionWords,
    writers: WriterWords,
    sorry_server: Option<Endpoint>,
    sorry_forwarding: Option<Forwarding>,
    more: PoolSettings,
    real_servers: Vec<RealServerDraft>,
}

/// `persistence_granularity`, as it is written.
#[derive(Clone, Copy)]
enum Granularity {
    Prefix(u8),
    Netmask(Ipv4Addr),
}

impl<'t> Draft<'t> for VirtualServerDraft {
    fn apply(&mut self, ctx: &mut Context<'_>, line: &Line<'t>, value: Value) -> Handled {
        if self.check.apply(line.row.name, &value) == Handled::Yes
            || self.connections.apply(ctx, line, &value) == Handled::Yes
            || self.writers.apply(ctx, line, &value) == Handled::Yes
        {
            return Handled::Yes;
        }
        match line.row.name {
            "protocol" => self.protocol = protocol(&value).map(|p| (p, line.span)),
            "lvs_sched" => {
                self.scheduler_written = true;
                self.scheduler = scheduler(ctx, line).or(self.scheduler.take());
            }
            "lvs_method" => {
                self.forwarding_written = true;
                self.forwarding = forwarding::read(ctx, line, "NAT").or(self.forwarding);
            }
            "ops" => self.one_packet = true,
            "flag-1" => self.flag(SchedulerFlag::One),
            "flag-2" => self.flag(SchedulerFlag::Two),
            "flag-3" => self.flag(SchedulerFlag::Three),
            "persistence_timeout" => {
                let seconds = value.number().unwrap_or(PERSISTENCE_DEFAULT);
                self.persistence_timeout = Some(Duration::from_secs(seconds));
            }
            "persistence_granularity" => {
                let read = granularity(ctx, line, &value.text());
                self.persistence_granularity = read.map(|g| (g, line.args_span()));
            }
            "persistence_engine" => self.persistence_engine = Some(value.text()),
            "ip_family" => {
                self.ip_family = Some(match value {
                    Value::Choice("inet6") => Family::V6,
                    _ => Family::V4,
                });
            }
            "weight" => self.weight = value.number(),
            "inhibit_on_failure" => self.inhibit_on_failure = value.is_true(),
            "real_server" => {
                self.real_servers
                    .extend(RealServerDraft::read(ctx, line.statement));
            }
            "sorry_server" => self.sorry_server = sorry_server(ctx, line),
            "sorry_server_lvs_method" => {
                self.sorry_forwarding = forwarding::read(ctx, line, "as the virtual server");
            }
            name => return Handled::of(self.more.set(name, &ctx.setting(line, &value))),
        }
        Handled::Yes
    }
}

/// Destinations that one block may make: a short file must not cost memory without bound.
const DESTINATIONS_MAX: usize = 500_000;

/// `persistence_timeout` without a number, in seconds.
const PERSISTENCE_DEFAULT: u64 = 360;

impl VirtualServerDraft {
    fn flag(&mut self, flag: SchedulerFlag) {
        self.flags.insert(flag);
    }

    /// `None`: it was said why. What is left is the list of servers, empty.
    fn finish(
        &mut self,
        ctx: &mut Context<'_>,
        head: &Head,
        span: Span,
        defaults: &Defaults,
    ) -> Option<VirtualServer> {
        let addresses = self.addresses(ctx, head, span);
        let mut drafts = std::mem::take(&mut self.real_servers);
        let (&address, more) = addresses.split_first()?;
        if drafts.is_empty() {
            let message = "this virtual server has no real server";
            ctx.say(
                Diagnostic::warning(Code::EmptyBlock, span, message)
                    .label("left out, as in keepalived"),
            );
            return None;
        }
        let marked = head.group.is_some() && defaults.globals.filters.nftables_ipvs.is_some();
        if !marked && addresses.len().saturating_mul(drafts.len()) > DESTINATIONS_MAX {
            let message = format!(
                "{} addresses with {} real servers each are more than {DESTINATIONS_MAX}",
                addresses.len(),
                drafts.len()
            );
            ctx.say(Diagnostic::error(Code::OutOfRange, span, message).hint(
                "write `nftables_ipvs` into global_defs: a group is one service then".to_owned(),
            ));
            return None;
        }
        let family = family(&address);
        let forwarding = self.forwarding(ctx, span);
        let scheduler = self.scheduler(ctx, span);
        let pool = Pool {
            address,
            port: common_port(&addresses),
            family,
            forwarding,
            virtualhost: self.more.virtualhost.clone(),
            weight: self.weight.unwrap_or(1),
            inhibit_on_failure: self.inhibit_on_failure,
            check: self.check,
            connections: self.connections,
            log_all_failures: defaults.checker_log_all_failures,
        };
        let real_servers = real_server::finish(ctx, &pool, &mut drafts);
        self.real_servers = drafts;
        let sorry_forwarding = self.sorry_forwarding.unwrap_or(forwarding);
        Some(VirtualServer {
            address,
            scheduler,
            persistence: self.persistence(ctx, &addresses, family, span),
            one_packet: self.one_packet,
            real_servers,
            group: head.group.clone().map(|name| ServiceGroup {
                name,
                more: more.to_vec(),
                marked: Vec::new(),
            }),
            sorry_server: self.sorry_server.map(|endpoint| SorryServer {
                endpoint,
                forwarding: sorry_forwarding.method,
                tunnel: sorry_forwarding.tunnel,
            }),
            writers: None,
            pool: std::mem::take(&mut self.more).into(),
        })
    }

    fn forwarding(&self, ctx: &mut Context<'_>, span: Span) -> Forwarding {
        self.forwarding.unwrap_or_else(|| {
            if !self.forwarding_written {
                say_default(ctx, span, "lb_kind", "NAT");
            }
            Forwarding::NAT
        })
    }

    fn scheduler(&self, ctx: &mut Context<'_>, span: Span) -> SchedulerSpec {
        let name = self.scheduler.clone().unwrap_or_else(|| {
            if !self.scheduler_written {
                say_default(ctx, span, "lb_algo", "wlc");
            }
            Scheduler::wlc()
        });
        SchedulerSpec {
            name,
            flags: self.flags.clone(),
        }
    }

    fn addresses(
        &self,
        ctx: &mut Context<'_>,
        head: &Head,
        span: Span,
    ) -> Vec<VirtualServerAddress> {
        let mut marks = false;
        let mut protocol = None;
        let mut addresses = Vec::with_capacity(head.addresses.len());
        let mut seen = BTreeSet::new();
        for address in &head.addresses {
            let address = match *address {
                GroupAddress::Endpoint(endpoint) => VirtualServerAddress::Endpoint {
                    protocol: *protocol.get_or_insert_with(|| self.protocol(ctx, span)),
                    endpoint,
                },
                GroupAddress::FwMark { mark, family } => {
                    marks = true;
                    let first = self.real_servers.first().map(RealServerDraft::family);
                    let family = family.or(self.ip_family).or(first).unwrap_or(Family::V4);
                    VirtualServerAddress::FwMark { family, mark }
                }
            };
            if seen.insert(address) {
                addresses.push(address);
            }
        }
        if let (true, None, Some((_, span))) = (marks, protocol, self.protocol) {
            let message = "a firewall mark selects packets of every protocol";
            ctx.say(
                Diagnostic::warning(Code::NoEffect, span, message)
                    .label("ignored, as in keepalived"),
            );
        }
        addresses
    }

    fn protocol(&self, ctx: &mut Context<'_>, span: Span) -> Protocol {
        let written = self.protocol.map(|(protocol, _)| protocol);
        written.unwrap_or_else(|| {
            say_default(ctx, span, "protocol", "UDP");
            Protocol::Udp
        })
    }

    fn persistence(
        &self,
        ctx: &mut Context<'_>,
        addresses: &[VirtualServerAddress],
        family: Family,
        span: Span,
    ) -> Option<Persistence> {
        let every_port = addresses.iter().any(
            |a| matches!(a, VirtualServerAddress::Endpoint { endpoint, .. } if endpoint.port == 0),
        );
        let granularity = self
            .persistence_granularity
            .and_then(|(written, span)| prefix(ctx, written, family, span));
        let implied = self.persistence_granularity.is_some();
        if every_port && self.persistence_timeout.is_none() && !implied {
            let message = "a service on every port is persistent: `persistence_timeout` is 360";
            ctx.say(
                Diagnostic::warning(Code::Contradiction, span, message)
                    .note("keepalived does the same: IPVS takes port 0 only so"),
            );
        }
        let timeout = match self.persistence_timeout {
            Some(timeout) => timeout,
            None if every_port || implied => Duration::from_secs(PERSISTENCE_DEFAULT),
            None => return None,
        };
        Some(Persistence {
            timeout,
            granularity: granularity.unwrap_or(family.bits()),
            engine: self.persistence_engine.clone(),
        })
    }
}

/// The port of all addresses; 0 when they differ.
fn common_port(addresses: &[VirtualServerAddress]) -> u16 {
    let mut ports = addresses.iter().map(|address| match address {
        VirtualServerAddress::Endpoint { endpoint, .. } => endpoint.port,
        VirtualServerAddress::FwMark { .. } => 0,
    });
    let first = ports.next().unwrap_or(0);
    if ports.all(|port| port == first) {
        first
    } else {
        0
    }
}

fn family(address: &VirtualServerAddress) -> Family {
    match address {
        VirtualServerAddress::Endpoint { endpoint, .. } => endpoint.family(),
        VirtualServerAddress::FwMark { family, .. } => *family,
    }
}

fn sorry_server(ctx: &mut Context<'_>, line: &Line<'_>) -> Option<Endpoint> {
    let addr = ctx.address(line.args.first()?)?;
    let port = match line.args.get(1) {
        Some(word) => port_of(ctx, word)?,
        None => 0,
    };
    Some(Endpoint::new(addr, port))
}

fn say_default(ctx: &mut Context<'_>, span: Span, keyword: &str, default: &str) {
    let message = format!("this virtual server has no `{keyword}`: {default} is taken");
    ctx.say(
        Diagnostic::warning(Code::MissingKeyword, span, message)
            .note("keepalived does the same")
            .hint(format!("add `{keyword}`")),
    );
}

fn protocol(value: &Value) -> Option<Protocol> {
    match value {
        Value::Choice("TCP") => Some(Protocol::Tcp),
        Value::Choice("UDP") => Some(Protocol::Udp),
        Value::Choice("SCTP") => Some(Protocol::Sctp),
        _ => None,
    }
}

fn scheduler(ctx: &mut Context<'_>, line: &Line<'_>) -> Option<Scheduler> {
    let word = line.args.first()?;
    let text = ctx.text(word);
    if Scheduler::KNOWN.contains(&text.as_ref()) {
        return text.parse().ok();
    }
    let message = format!("`{text}` is not a scheduler that Linux has");
    let near = nearest(&text, Scheduler::KNOWN.into_iter());
    ctx.say(
        Diagnostic::warning(Code::InvalidValue, word.span, message)
            .label("the line is left out, so the default holds: wlc")
            .note("keepalived does the same")
            .hint(Some(match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("schedulers are {}", Scheduler::KNOWN.join(", ")),
            })),
    );
    None
}

fn granularity(ctx: &mut Context<'_>, line: &Line<'_>, text: &str) -> Option<Granularity> {
    let prefix = text.parse().ok().filter(|p| (1..=128).contains(p));
    let read = prefix
        .map(Granularity::Prefix)
        .or_else(|| text.parse().ok().map(Granularity::Netmask));
    if read.is_none() {
        let message = format!("`{text}` is neither a netmask nor a prefix length");
        let span = line.args_span();
        ctx.say(Diagnostic::error(Code::InvalidValue, span, message));
    }
    read
}

/// Length of the prefix; `None` after having said that there is none.
fn prefix(ctx: &mut Context<'_>, written: Granularity, family: Family, span: Span) -> Option<u8> {
    let length = match (written, family) {
        (Granularity::Prefix(length), _) if length <= family.bits() => Some(length),
        (Granularity::Netmask(mask), Family::V4) => {
            let bits = mask.to_bits();
            let length = bits.leading_ones();
            // All ones stand before all zeros.
            let contiguous = bits.count_ones() == length && length > 0;
            u8::try_from(length).ok().filter(|_| contiguous)
        }
        _ => None,
    };
    if length.is_none() {
        let message = "this is not a prefix of the virtual server's addresses";
        ctx.say(Diagnostic::error(Code::InvalidValue, span, message));
    }
    length
}
