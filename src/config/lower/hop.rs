//! Where a route goes: `via`, `dev`, `nexthop`, `encap`.

use std::net::IpAddr;

use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::model::RouteHop;
use crate::config::tree::Word;
use crate::net::{Encap, Family, Tunnel};

use super::context::Context;
use super::token::{OneFamily, Tokens};

/// Labels of MPLS in one route, and the largest (RFC 3032).
const LABELS_MAX: usize = 16;
const LABEL_MAX: u32 = (1 << 20) - 1;

const TOKENS: &[&str] = &[
    "via", "dev", "oif", "weight", "onlink", "realms", "encap", "nexthop",
];

/// A token of a hop; `None` inside: it is none of these.
pub(super) fn option(
    ctx: &mut Context<'_>,
    name: &str,
    tokens: &mut Tokens<'_>,
    hop: &mut RouteHop,
    family: &mut OneFamily,
) -> Option<Option<()>> {
    match name {
        "via" | "gw" => {
            let inet6 = tokens.peek(ctx).is_some_and(|word| word == "inet6");
            let (via, word) = tokens.address(ctx)?;
            // An IPv4 route may lead to an IPv6 neighbour (RFC 5549) when that is said.
            if !(inet6 && via.is_ipv6()) {
                family.note(ctx, Family::of(via), word)?;
            }
            hop.via = Some(via);
        }
        "dev" | "oif" => hop.dev = Some(tokens.interface(ctx)?),
        "onlink" => hop.onlink = true,
        "realms" => hop.realms = tokens.realms(ctx)?,
        "encap" => hop.encap = Some(encap(ctx, tokens)?),
        _ => return Some(None),
    }
    Some(Some(()))
}

/// `nexthop ... nexthop ...` up to the end of the line; the first `nexthop` was read.
pub(super) fn next_hops(
    ctx: &mut Context<'_>,
    tokens: &mut Tokens<'_>,
    family: &mut OneFamily,
) -> Option<Vec<RouteHop>> {
    let new = || RouteHop {
        weight: 1,
        ..RouteHop::default()
    };
    let mut hops = vec![new()];
    while let Some((name, word)) = tokens.token(ctx) {
        if name == "nexthop" {
            hops.push(new());
            continue;
        }
        let hop = hops.last_mut()?;
        if name == "weight" {
            hop.weight = u16::try_from(tokens.number(ctx, 1, 256)?).ok()?;
        } else if option(ctx, &name, tokens, hop, family)?.is_none() {
            tokens.unknown(ctx, word, TOKENS.iter().copied());
            return None;
        }
    }
    Some(hops)
}

/// `encap ip|ip6|mpls ...`.
fn encap(ctx: &mut Context<'_>, tokens: &mut Tokens<'_>) -> Option<Encap> {
    let (kind, word) = tokens.value(ctx)?;
    match kind.as_str() {
        "ip" => {
            let read = |addr| match addr {
                IpAddr::V4(addr) => Some(addr),
                IpAddr::V6(_) => None,
            };
            tunnel(ctx, tokens, word, read).map(Encap::Ip)
        }
        "ip6" => {
            let read = |addr| match addr {
                IpAddr::V6(addr) => Some(addr),
                IpAddr::V4(_) => None,
            };
            tunnel(ctx, tokens, word, read).map(Encap::Ip6)
        }
        "mpls" => {
            let hint = "labels are numbers below 1048576 with slashes between them, at most 16";
            tokens.read(ctx, hint, labels).map(Encap::Mpls)
        }
        _ => {
            tokens.refuse(ctx, word, "vipd knows ip, ip6 and mpls");
            None
        }
    }
}

fn labels(text: &str) -> Option<Vec<u32>> {
    let labels: Option<Vec<u32>> = text.split('/').map(|label| label.parse().ok()).collect();
    labels.filter(|l| l.len() <= LABELS_MAX && l.iter().all(|label| *label <= LABEL_MAX))
}

/// `[id N] [dst A] [src A] [ttl|hoplimit N] [tos|dsfield|tc N] [flags N]`.
fn tunnel<A: Copy + Ends>(
    ctx: &mut Context<'_>,
    tokens: &mut Tokens<'_>,
    kind: &Word,
    read: impl Fn(IpAddr) -> Option<A>,
) -> Option<Tunnel<A>> {
    let mut dst = None;
    let mut tunnel = Tunnel {
        id: 0,
        dst: A::NONE,
        src: A::NONE,
        ttl: 0,
        tos: 0,
        flags: 0,
    };
    while let Some(name) = tokens.peek(ctx) {
        match name.as_str() {
            "id" | "dst" | "src" | "ttl" | "hoplimit" | "tos" | "dsfield" | "tc" | "flags" => {
                tokens.token(ctx)?;
            }
            _ => break,
        }
        let end = |tokens: &mut Tokens<'_>, ctx: &mut Context<'_>| {
            let hint = "the ends of a tunnel have the family of the tunnel";
            tokens.read(ctx, hint, |text| read(text.parse().ok()?))
        };
        match name.as_str() {
            "id" => tunnel.id = tokens.read(ctx, "it takes a number", |t| t.parse().ok())?,
            "dst" => dst = Some(end(tokens, ctx)?),
            "src" => tunnel.src = end(tokens, ctx)?,
            "ttl" | "hoplimit" => tunnel.ttl = tokens.byte(ctx)?,
            "flags" => tunnel.flags = u16::try_from(tokens.number(ctx, 0, 65535)?).ok()?,
            _ => tunnel.tos = tokens.named_byte(ctx, super::names::Kind::Dsfield)?,
        }
    }
    let Some(dst) = dst else {
        let message = "`encap` does not say where the tunnel ends";
        let error = Diagnostic::error(Code::MissingValue, kind.span, message);
        ctx.say(error.hint("add `dst ADDRESS`".to_owned()));
        return None;
    };
    Some(Tunnel { dst, ..tunnel })
}

/// The address that means none.
trait Ends {
    const NONE: Self;
}

impl Ends for std::net::Ipv4Addr {
    const NONE: Self = std::net::Ipv4Addr::UNSPECIFIED;
}

impl Ends for std::net::Ipv6Addr {
    const NONE: Self = std::net::Ipv6Addr::UNSPECIFIED;
}
