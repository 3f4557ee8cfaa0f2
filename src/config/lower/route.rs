//! Lines of `virtual_routes` and `static_routes`: tokens as iproute2 has them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::model::{Route, RouteHop, Table};
use crate::config::tree::{Statement, Word};
use crate::net::{Cidr, Family, MAIN_TABLE, Placement, UNICAST};

use super::context::Context;
use super::hop;
use super::names::Kind;
use super::token::{OneFamily, Tokens, network};

const TOKENS: &[&str] = &[
    "src",
    "from",
    "via",
    "gw",
    "to",
    "inet",
    "inet6",
    "dev",
    "oif",
    "table",
    "protocol",
    "scope",
    "metric",
    "priority",
    "preference",
    "tos",
    "dsfield",
    "mtu",
    "hoplimit",
    "advmss",
    "rtt",
    "rttvar",
    "reordering",
    "window",
    "cwnd",
    "ssthresh",
    "realms",
    "rto_min",
    "initcwnd",
    "initrwnd",
    "features",
    "quickack",
    "congctl",
    "pref",
    "expires",
    "ttl-propagate",
    "fastopen_no_cookie",
    "encap",
    "nexthop",
    "onlink",
    "vrf",
    "add",
    "prepend",
    "append",
    "no_track",
    "track_group",
    "or",
    "as",
];

/// Types of routes and their numbers (rtnetlink(7), RTN_*), and the scope that each asks for.
const KINDS: [(&str, u8, u8); 9] = [
    ("unicast", UNICAST, 0),
    ("local", 2, 254),
    ("broadcast", 3, 253),
    ("anycast", 4, 253),
    ("multicast", 5, 253),
    ("blackhole", 6, 0),
    ("unreachable", 7, 0),
    ("prohibit", 8, 0),
    ("throw", 9, 0),
];

/// RTAX_* of plain numbers, the largest value, and whether `lock` may stand before it.
const METRICS: [(&str, u16, u32, bool); 13] = [
    ("mtu", 2, u32::MAX, true),
    ("window", 3, u32::MAX, false),
    ("ssthresh", 6, u32::MAX, true),
    ("cwnd", 7, u32::MAX, true),
    ("advmss", 8, u32::MAX, true),
    ("reordering", 9, u32::MAX, true),
    ("hoplimit", 10, 255, false),
    ("initcwnd", 11, u32::MAX, false),
    ("initrwnd", 14, u32::MAX, false),
    ("quickack", 15, 1, false),
    ("fastopen_no_cookie", 17, 1, false),
    ("rtt", 4, u32::MAX, true),
    ("rttvar", 5, u32::MAX, true),
];
const RTO_MIN: u16 = 13;
const FEATURES: u16 = 12;
const CONGESTION: u16 = 16;
/// RTAX_FEATURE_ECN.
const ECN: u32 = 1;

/// TCP_RTO_MIN and TCP_RTO_MAX of the kernel, in milliseconds.
const TIME_MIN_MS: u32 = 200;
const TIME_MAX_MS: u32 = 120_000;

/// The lines of `virtual_routes` or `static_routes`.
pub(super) fn routes(ctx: &mut Context<'_>, statement: &Statement) -> Vec<Route> {
    let lines = ctx.lines(statement);
    let routes = lines.iter().filter_map(|line| {
        let mut draft = RouteDraft::default();
        draft.read(ctx, line)?;
        draft.finish(ctx, line)
    });
    routes.collect()
}

/// A route, token by token.
#[derive(Default)]
struct RouteDraft {
    family: OneFamily,
    kind: Option<(u8, u8)>,
    /// `Some(None)` is `default`.
    destination: Option<Option<Cidr>>,
    from: Option<Cidr>,
    table: Option<Table>,
    tos: u8,
    metric: u32,
    protocol: Option<u8>,
    scope: Option<u8>,
    source_address: Option<IpAddr>,
    hop: RouteHop,
    next_hops: Vec<RouteHop>,
    metrics: BTreeMap<u16, u32>,
    locked: u32,
    congestion: Option<String>,
    expires: Option<u32>,
    preference: Option<u8>,
    ttl_propagate: Option<bool>,
    placement: Placement,
    no_track: bool,
    track_group: Option<String>,
}

impl RouteDraft {
    fn read(&mut self, ctx: &mut Context<'_>, line: &Statement) -> Option<()> {
        let mut tokens = Tokens::new(&line.words);
        while let Some((name, word)) = tokens.token(ctx) {
            self.token(ctx, &name, word, &mut tokens)?;
        }
        Some(())
    }

    fn token(
        &mut self,
        ctx: &mut Context<'_>,
        name: &str,
        word: &Word,
        tokens: &mut Tokens<'_>,
    ) -> Option<()> {
        if let Some((_, kind, scope)) = KINDS.iter().find(|(kind, ..)| *kind == name) {
            self.kind = Some((*kind, *scope));
            return Some(());
        }
        // The destination may stand anywhere, with or without `to`.
        if let Some(destination) = network(name) {
            return self.to(ctx, destination, word);
        }
        match name {
            "to" => {
                if tokens
                    .peek(ctx)
                    .is_some_and(|next| KINDS.iter().any(|(kind, ..)| *kind == next))
                {
                    return Some(());
                }
                let destination = tokens.network(ctx)?;
                self.to(ctx, destination, word)?;
            }
            "inet" => self.family.note(ctx, Family::V4, word)?,
            "inet6" => self.family.note(ctx, Family::V6, word)?,
            "src" => {
                let (address, word) = tokens.address(ctx)?;
                self.family.note(ctx, Family::of(address), word)?;
                self.source_address = Some(address);
            }
            "from" => {
                self.from = tokens.network(ctx)?;
                self.family.note(ctx, Family::V6, word)?;
            }
            "or" => {
                let (via, word) = tokens.address(ctx)?;
                self.family.note(ctx, Family::of(via), word)?;
                self.or(via);
            }
            "nexthop" => self.next_hops = hop::next_hops(ctx, tokens, &mut self.family)?,
            "no_track" => self.no_track = true,
            "track_group" => self.track_group = Some(tokens.value(ctx)?.0),
            "add" => self.placement = Placement::Add,
            "prepend" => self.placement = Placement::Prepend,
            "append" => self.placement = Placement::Append,
            _ => {
                let hop = &mut self.hop;
                if hop::option(ctx, name, tokens, hop, &mut self.family)?.is_none()
                    && self.attribute(ctx, name, word, tokens)?.is_none()
                    && self.metric(ctx, name, tokens)?.is_none()
                {
                    tokens.unknown(ctx, word, TOKENS.iter().copied());
                    return None;
                }
            }
        }
        Some(())
    }

    fn to(&mut self, ctx: &mut Context<'_>, to: Option<Cidr>, word: &Word) -> Option<()> {
        if let Some(to) = to {
            self.family.note(ctx, to.family(), word)?;
        }
        self.destination = Some(to);
        Some(())
    }

    /// `via A or B`, as it was before `nexthop`.
    fn or(&mut self, via: IpAddr) {
        let first = RouteHop {
            via: self.hop.via.take(),
            dev: self.hop.dev.clone(),
            weight: 1,
            ..RouteHop::default()
        };
        let second = RouteHop {
            via: Some(via),
            ..first.clone()
        };
        self.next_hops = vec![first, second];
    }

    /// What the route itself has; `None` inside: it is none of these.
    fn attribute(
        &mut self,
        ctx: &mut Context<'_>,
        name: &str,
        word: &Word,
        tokens: &mut Tokens<'_>,
    ) -> Option<Option<()>> {
        match name {
            "table" => self.table = Some(Table::Number(tokens.named(ctx, Kind::Table)?)),
            "vrf" => self.table = Some(Table::Vrf(tokens.interface(ctx)?)),
            "protocol" => self.protocol = Some(tokens.named_byte(ctx, Kind::Protocol)?),
            "scope" => self.scope = Some(tokens.named_byte(ctx, Kind::Scope)?),
            "metric" | "priority" | "preference" => {
                self.metric = tokens.number(ctx, 0, u32::MAX)?;
            }
            "tos" | "dsfield" => self.tos = tokens.named_byte(ctx, Kind::Dsfield)?,
            "expires" => {
                self.family.note(ctx, Family::V6, word)?;
                self.expires = Some(tokens.number(ctx, 0, u32::MAX)?);
            }
            "pref" => {
                self.family.note(ctx, Family::V6, word)?;
                self.preference = Some(tokens.read(ctx, "it takes low, medium or high", pref)?);
            }
            "ttl-propagate" => {
                let hint = "it takes enabled or disabled";
                let on = |text: &str| match text {
                    "enabled" => Some(true),
                    "disabled" => Some(false),
                    _ => None,
                };
                self.ttl_propagate = Some(tokens.read(ctx, hint, on)?);
            }
            "as" => {
                let message = "`as` is for routes of MPLS, which vipd does not set";
                let _ = tokens.skip(ctx, "to");
                tokens.value(ctx)?;
                let span = word.span;
                ctx.say(Diagnostic::warning(Code::NoEffect, span, message).label("ignored"));
            }
            _ => return Some(None),
        }
        Some(Some(()))
    }

    /// Metrics (RTAX_*); `None` inside: it is none of these.
    fn metric(
        &mut self,
        ctx: &mut Context<'_>,
        name: &str,
        tokens: &mut Tokens<'_>,
    ) -> Option<Option<()>> {
        match name {
            "features" => {
                tokens.read(ctx, "vipd knows ecn", |text| (text == "ecn").then_some(()))?;
                self.metrics.insert(FEATURES, ECN);
            }
            "congctl" => {
                self.lock(ctx, CONGESTION, tokens);
                self.congestion = Some(tokens.value(ctx)?.0);
            }
            "rto_min" => {
                self.lock(ctx, RTO_MIN, tokens);
                let time = self.time(ctx, 1, tokens)?;
                self.metrics.insert(RTO_MIN, time);
            }
            _ => {
                let row = METRICS.iter().find(|(metric, ..)| *metric == name);
                let Some(&(_, number, max, may_lock)) = row else {
                    return Some(None);
                };
                if may_lock {
                    self.lock(ctx, number, tokens);
                }
                let value = match name {
                    "rtt" => self.time(ctx, 8, tokens)?,
                    "rttvar" => self.time(ctx, 4, tokens)?,
                    _ => tokens.number(ctx, 0, max)?,
                };
                self.metrics.insert(number, value);
            }
        }
        Some(Some(()))
    }

    fn lock(&mut self, ctx: &Context<'_>, metric: u16, tokens: &mut Tokens<'_>) {
        if tokens.skip(ctx, "lock") {
            self.locked |= 1 << metric;
        }
    }

    /// A time in so many parts of a millisecond: a bare number counts those, with `s` or `ms` behind it
    /// it says what it is. The kernel takes 0.2 to 120 seconds.
    fn time(&self, ctx: &mut Context<'_>, parts: u32, tokens: &mut Tokens<'_>) -> Option<u32> {
        let (text, word) = tokens.value(ctx)?;
        let (number, per) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
            (Some(millis), _) => (millis, f64::from(parts)),
            (None, Some(seconds)) => (seconds, f64::from(parts) * 1000.0),
            (None, None) => (text.as_str(), 1.0),
        };
        let plain = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let Some(number) = number.parse::<f64>().ok().filter(|_| plain) else {
            tokens.refuse(
                ctx,
                word,
                "it takes a number, perhaps with `s` or `ms` behind it",
            );
            return None;
        };
        let (min, max) = (TIME_MIN_MS * parts, TIME_MAX_MS * parts);
        let value = number * per;
        let within = value.clamp(f64::from(min), f64::from(max));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it lies within the two bounds, which are u32"
        )]
        let rounded = within.round() as u32;
        if within != value {
            let millis = rounded / parts;
            let message = format!("the kernel takes times from {TIME_MIN_MS} ms to 120 s here");
            let warning = Diagnostic::warning(Code::OutOfRange, word.span, message);
            ctx.say(warning.label(format!("taken as {millis} ms, as in keepalived")));
        }
        Some(rounded)
    }

    fn finish(self, ctx: &mut Context<'_>, line: &Statement) -> Option<Route> {
        let Some(destination) = self.destination else {
            let message = "this route does not say where to";
            ctx.say(
                Diagnostic::error(Code::MissingValue, line.span(), message)
                    .hint("begin it with a network or `default`".to_owned()),
            );
            return None;
        };
        let family = self.family.get();
        let all = match family {
            Family::V4 => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            Family::V6 => IpAddr::from(Ipv6Addr::UNSPECIFIED),
        };
        let (kind, scope) = self.kind.unwrap_or((UNICAST, 0));
        let hops = match self.next_hops.is_empty() {
            true if self.hop == RouteHop::default() => Vec::new(),
            true => vec![RouteHop {
                weight: 1,
                ..self.hop
            }],
            false => self.next_hops,
        };
        let v4 = family == Family::V4;
        Some(Route {
            family,
            kind,
            destination: destination.or(Cidr::new(all, 0))?.network(),
            from: self.from,
            table: self.table.unwrap_or(Table::Number(MAIN_TABLE)),
            tos: if v4 { self.tos } else { 0 },
            metric: self.metric,
            protocol: self.protocol,
            scope: if v4 { self.scope.unwrap_or(scope) } else { 0 },
            source_address: self.source_address,
            hops,
            metrics: self.metrics,
            locked: self.locked,
            congestion: self.congestion,
            expires: self.expires,
            preference: self.preference,
            ttl_propagate: self.ttl_propagate,
            placement: self.placement,
            no_track: self.no_track,
            track_group: self.track_group,
        })
    }
}

/// RFC 4191: 00 medium, 01 high, 11 low.
fn pref(text: &str) -> Option<u8> {
    match text {
        "medium" => Some(0),
        "high" => Some(1),
        "low" => Some(3),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
