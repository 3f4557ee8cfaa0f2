//! `real_server`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::keywords::BlockKind;
use crate::config::keywords::Body;
use crate::config::model::{RealServer, ServerSettings, Shared, VirtualServerAddress};
use crate::config::source::Span;
use crate::config::tree::Statement;
use crate::net::{Endpoint, Family, ForwardingMethod};

use super::check::{Above, CheckWords, CheckerDraft};
use super::connections::ConnectionWords;
use super::context::{Context, Draft, Handled, Line};
use super::forwarding::{self, Forwarding};
use super::value::Value;
use super::virtual_server::port_of;

/// What the virtual server says to its real servers.
pub(super) struct Pool {
    /// Of a group the first.
    pub(super) address: VirtualServerAddress,
    /// The port of all its addresses; 0: every port, or each has its own.
    pub(super) port: u16,
    pub(super) family: Family,
    pub(super) forwarding: Forwarding,
    pub(super) virtualhost: Option<String>,
    pub(super) weight: u32,
    pub(super) inhibit_on_failure: bool,
    pub(super) check: CheckWords,
    pub(super) connections: ConnectionWords,
    pub(super) log_all_failures: bool,
}

pub(super) struct RealServerDraft {
    addr: IpAddr,
    /// The port as it is written.
    port: Option<(u16, Span)>,
    span: Span,
    weight: Option<u32>,
    forwarding: Option<Forwarding>,
    upper_threshold: u32,
    lower_threshold: u32,
    inhibit_on_failure: Option<bool>,
    check: CheckWords,
    connections: ConnectionWords,
    checkers: Vec<CheckerDraft>,
    more: ServerSettings,
}

impl RealServerDraft {
    pub(super) fn new(addr: IpAddr, port: Option<(u16, Span)>, span: Span) -> RealServerDraft {
        RealServerDraft {
            addr,
            port,
            span,
            weight: None,
            forwarding: None,
            upper_threshold: 0,
            lower_threshold: 0,
            inhibit_on_failure: None,
            check: CheckWords::default(),
            connections: ConnectionWords::default(),
            checkers: Vec::new(),
            more: ServerSettings::default(),
        }
    }

    /// Reads a block; `None`: it was said why.
    pub(super) fn read(ctx: &mut Context<'_>, statement: &Statement) -> Option<Self> {
        let address = statement.words.get(1)?;
        let addr = ctx.address(address);
        let port = match statement.words.get(2) {
            Some(word) => port_of(ctx, word).map(|port| Some((port, word.span))),
            None => Some(None),
        };
        let mut draft = RealServerDraft::new(addr?, port?, statement.span()?);
        ctx.read_block(BlockKind::RealServer, statement, &mut draft);
        Some(draft)
    }

    pub(super) fn family(&self) -> Family {
        Family::of(self.addr)
    }

    /// `before`: the server that stands before it in the pool.
    fn finish(
        self,
        ctx: &mut Context<'_>,
        pool: &Pool,
        before: Option<&RealServer>,
    ) -> Option<RealServer> {
        let Forwarding {
            method: forwarding,
            tunnel,
        } = self.forwarding.unwrap_or(pool.forwarding);
        if self.family() != pool.family && forwarding != ForwardingMethod::Tunnel {
            let message = "this server and its virtual server are of different families";
            ctx.say(
                Diagnostic::error(Code::Conflict, self.span, message)
                    .hint("only `lb_kind TUN` joins IPv4 and IPv6".to_owned()),
            );
            return None;
        }
        let endpoint = Endpoint::new(self.addr, self.port(ctx, pool, forwarding));
        let alpha = self.check.alpha.or(pool.check.alpha).unwrap_or(false);
        let written = match self.port {
            Some((port, _)) => Endpoint::new(self.addr, port),
            None => endpoint,
        };
        let virtualhost = self.more.virtualhost.as_deref();
        let above = Above {
            words: self.check.or(pool.check),
            server: written,
            virtualhost: virtualhost.or(pool.virtualhost.as_deref()),
            log_all_failures: pool.log_all_failures,
        };
        let mut checkers = Vec::with_capacity(self.checkers.len());
        for checker in self.checkers {
            checkers.extend(checker.finish(ctx, &above).map(Shared::from));
        }
        Some(RealServer {
            endpoint,
            weight: self.weight.unwrap_or(pool.weight),
            forwarding,
            tunnel,
            inhibit_on_failure: self.inhibit_on_failure.unwrap_or(pool.inhibit_on_failure),
            upper_threshold: self.upper_threshold,
            lower_threshold: self.lower_threshold,
            alpha,
            connections: self.connections.within(pool.connections),
            checkers,
            more: Shared::or_as(self.more, before.map(|before| &before.more)),
        })
    }

    /// The port that IPVS gets: with DR and TUN packets keep theirs.
    fn port(&self, ctx: &mut Context<'_>, pool: &Pool, forwarding: ForwardingMethod) -> u16 {
        let nat = forwarding == ForwardingMethod::Masquerading;
        match (&pool.address, self.port) {
            (VirtualServerAddress::FwMark { .. }, port) => {
                port.filter(|_| nat).map_or(0, |(port, _)| port)
            }
            (VirtualServerAddress::Endpoint { .. }, None) => pool.port,
            (VirtualServerAddress::Endpoint { endpoint, .. }, Some((port, span))) => {
                // Where addresses differ in their ports, each service takes its own.
                let differ = pool.port != endpoint.port;
                if nat || differ || port == endpoint.port {
                    return port;
                }
                let message = format!(
                    "DR and TUN cannot change the port: {} is taken",
                    endpoint.port
                );
                ctx.say(
                    Diagnostic::warning(Code::Contradiction, span, message)
                        .note("keepalived does the same")
                        .hint(
                            "use `lb_kind NAT`, or let the server listen on that port".to_owned(),
                        ),
                );
                endpoint.port
            }
        }
    }
}

impl<'t> Draft<'t> for RealServerDraft {
    fn apply(&mut self, ctx: &mut Context<'_>, line: &Line<'t>, value: Value) -> Handled {
        if self.check.apply(line.row.name, &value) == Handled::Yes
            || self.connections.apply(ctx, line, &value) == Handled::Yes
        {
            return Handled::Yes;
        }
        match line.row.name {
            "weight" => self.weight = value.number(),
            "lvs_method" => {
                let default = "as the virtual server";
                self.forwarding = forwarding::read(ctx, line, default).or(self.forwarding);
            }
            "uthreshold" => self.upper_threshold = value.number().unwrap_or(0),
            "lthreshold" => self.lower_threshold = value.number().unwrap_or(0),
            "inhibit_on_failure" => self.inhibit_on_failure = Some(value.is_true()),
            name => {
                let Body::Block(kind) = line.row.body else {
                    return Handled::of(self.more.set(name, &ctx.setting(line, &value)));
                };
                let Some(mut checker) = CheckerDraft::new(kind, line.span) else {
                    return Handled::No;
                };
                ctx.read_block(kind, line.statement, &mut checker);
                self.checkers.push(checker);
            }
        }
        Handled::Yes
    }
}

/// The servers of a pool, out of the list; of two with one endpoint the first counts.
pub(super) fn finish(
    ctx: &mut Context<'_>,
    pool: &Pool,
    drafts: &mut Vec<RealServerDraft>,
) -> Vec<RealServer> {
    let mut seen: BTreeMap<Endpoint, Span> = BTreeMap::new();
    let mut servers = Vec::with_capacity(drafts.len());
    for draft in drafts.drain(..) {
        let span = draft.span;
        let Some(server) = draft.finish(ctx, pool, servers.last()) else {
            continue;
        };
        if let Some(&first) = seen.get(&server.endpoint) {
            let message = format!("{} stands twice in this pool", server.endpoint);
            ctx.say(
                Diagnostic::warning(Code::Duplicate, span, message)
                    .label("left out")
                    .related(first, "first written here"),
            );
            continue;
        }
        seen.insert(server.endpoint, span);
        servers.push(server);
    }
    servers
}
