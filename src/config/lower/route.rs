//! Lines of `virtual_routes`, `virtual_rules` and their static kin: tokens as iproute2 has them.

use std::time::Duration;

use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::model::{Route, RouteOption, RouteValue, Rule};
use crate::config::suggest::nearest;
use crate::config::tree::{Statement, Word};

use crate::net::Cidr;

use super::context::Context;

/// What stands behind a token.
#[derive(Clone, Copy)]
enum Takes {
    Nothing,
    Number,
    /// Milliseconds, or with `s` or `ms` behind the number.
    Time,
    Address,
    Network,
    Interface,
    Word,
    /// Two numbers, or words that belong together, up to the end of the line.
    Rest,
    /// `lock` may stand before its number.
    Locked,
}

/// A token: its names, of which the first counts, and what stands behind it.
type Token = (&'static [&'static str], Takes);

const ROUTE: &[Token] = &[
    (&["from", "src"], Takes::Address),
    (&["as"], Takes::Address),
    (&["via", "gw"], Takes::Address),
    (&["or"], Takes::Address),
    (&["to"], Takes::Network),
    (&["inet"], Takes::Nothing),
    (&["inet6"], Takes::Nothing),
    (&["dev", "oif"], Takes::Interface),
    (&["table"], Takes::Word),
    (&["protocol"], Takes::Word),
    (&["scope"], Takes::Word),
    (&["metric", "priority", "preference"], Takes::Number),
    (&["tos", "dsfield"], Takes::Word),
    (&["mtu"], Takes::Locked),
    (&["hoplimit"], Takes::Locked),
    (&["advmss"], Takes::Locked),
    (&["rtt"], Takes::Time),
    (&["rttvar"], Takes::Time),
    (&["reordering"], Takes::Locked),
    (&["window"], Takes::Number),
    (&["cwnd"], Takes::Locked),
    (&["ssthresh"], Takes::Locked),
    (&["realms"], Takes::Word),
    (&["rto_min"], Takes::Time),
    (&["initcwnd"], Takes::Number),
    (&["initrwnd"], Takes::Number),
    (&["features"], Takes::Word),
    (&["quickack"], Takes::Number),
    (&["congctl"], Takes::Word),
    (&["pref"], Takes::Word),
    (&["expires"], Takes::Number),
    (&["ttl-propagate"], Takes::Word),
    (&["fastopen_no_cookie"], Takes::Number),
    (&["encap"], Takes::Rest),
    (&["nexthop"], Takes::Rest),
    (&["onlink"], Takes::Nothing),
    (&["weight"], Takes::Number),
    (&["vrf"], Takes::Interface),
    (&["add"], Takes::Nothing),
    (&["prepend"], Takes::Nothing),
    (&["append"], Takes::Nothing),
    (&["no_track"], Takes::Nothing),
    (&["track_group"], Takes::Word),
];

const RULE: &[Token] = &[
    (&["from"], Takes::Network),
    (&["to"], Takes::Network),
    (&["inet"], Takes::Nothing),
    (&["inet6"], Takes::Nothing),
    (&["not"], Takes::Nothing),
    (&["table", "lookup"], Takes::Word),
    (&["preference", "order", "priority"], Takes::Number),
    (&["tos", "dsfield"], Takes::Word),
    (&["fwmark"], Takes::Word),
    (&["realms"], Takes::Word),
    (&["suppress_prefixlength", "sup_pl"], Takes::Number),
    (&["suppress_ifgroup", "sup_group"], Takes::Word),
    (&["iif", "dev"], Takes::Interface),
    (&["oif"], Takes::Interface),
    (&["tunnel-id"], Takes::Number),
    (&["uidrange"], Takes::Word),
    (&["l3mdev"], Takes::Nothing),
    (&["protocol"], Takes::Word),
    (&["ipproto"], Takes::Word),
    (&["sport"], Takes::Word),
    (&["dport"], Takes::Word),
    (&["goto"], Takes::Number),
    (&["nop"], Takes::Nothing),
    (&["type"], Takes::Word),
    (&["blackhole"], Takes::Nothing),
    (&["unreachable"], Takes::Nothing),
    (&["prohibit"], Takes::Nothing),
    (&["no_track"], Takes::Nothing),
    (&["track_group"], Takes::Word),
];

/// Types of routes (rtnetlink(7), RTN_*).
const KINDS: [&str; 11] = [
    "unicast",
    "local",
    "broadcast",
    "anycast",
    "multicast",
    "blackhole",
    "unreachable",
    "prohibit",
    "throw",
    "nat",
    "xresolve",
];

/// The lines of `virtual_routes` or `static_routes`.
pub(super) fn routes(ctx: &mut Context<'_>, statement: &Statement) -> Vec<Route> {
    let lines = ctx.lines(statement);
    lines.iter().filter_map(|line| route(ctx, line)).collect()
}

/// The lines of `virtual_rules` or `static_rules`.
pub(super) fn rules(ctx: &mut Context<'_>, statement: &Statement) -> Vec<Rule> {
    let lines = ctx.lines(statement);
    let rules = lines.iter().filter_map(|line| {
        let options = options(ctx, RULE, &line.words)?;
        Some(Rule { options })
    });
    rules.collect()
}

fn route(ctx: &mut Context<'_>, line: &Statement) -> Option<Route> {
    let mut words = line.words.as_slice();
    let first = words.first()?;
    let text = ctx.text(first);
    let kind = KINDS.into_iter().find(|kind| *kind == text);
    if kind.is_some() {
        words = words.get(1..)?;
    }
    let mut options = options(ctx, ROUTE, words)?;
    let named = options.iter().position(|option| option.name == "to");
    let destination = match named.map(|at| options.remove(at).value) {
        Some(RouteValue::Network(destination)) => destination,
        _ => {
            let message = "this route does not say where to";
            ctx.say(
                Diagnostic::error(Code::MissingValue, line.span(), message)
                    .hint("begin it with a network or `default`".to_owned()),
            );
            return None;
        }
    };
    Some(Route {
        kind: kind.unwrap_or("unicast"),
        destination,
        options,
    })
}

/// The tokens of a line. `None`: it was said why.
fn options(
    ctx: &mut Context<'_>,
    tokens: &[Token],
    mut words: &[Word],
) -> Option<Vec<RouteOption>> {
    let mut options = Vec::new();
    while let Some((word, rest)) = words.split_first() {
        let text = ctx.text(word);
        // The destination of a route may stand anywhere, with or without `to`.
        if let Some(destination) = network(&text)
            && tokens.iter().any(|(names, _)| names.contains(&"via"))
        {
            options.push(RouteOption {
                name: "to",
                value: RouteValue::Network(destination),
            });
            words = rest;
            continue;
        }
        let token = tokens
            .iter()
            .find(|(names, _)| names.contains(&text.as_ref()));
        let Some((name, takes)) = token.and_then(|(names, takes)| Some((names.first()?, takes)))
        else {
            let known = tokens.iter().flat_map(|(names, _)| names.iter().copied());
            let near = nearest(&text, known).map(|near| format!("did you mean `{near}`?"));
            let message = format!("`{text}` is not known here");
            let span = word.leaf.span;
            ctx.say(Diagnostic::error(Code::UnknownKeyword, span, message).hint(near));
            return None;
        };
        let (value, rest) = value(ctx, word, *takes, rest)?;
        options.push(RouteOption { name, value });
        words = rest;
    }
    Some(options)
}

/// What stands behind a token, and the words behind that.
fn value<'w>(
    ctx: &mut Context<'_>,
    token: &Word,
    takes: Takes,
    rest: &'w [Word],
) -> Option<(RouteValue, &'w [Word])> {
    match takes {
        Takes::Nothing => return Some((RouteValue::Flag, rest)),
        Takes::Rest => {
            let words = rest.iter().map(|word| ctx.text(word).into_owned());
            return Some((RouteValue::Words(words.collect()), &[]));
        }
        _ => {}
    }
    let Some((mut word, mut rest)) = rest.split_first() else {
        let name = ctx.text(token);
        let message = format!("`{name}` needs a value");
        let span = token.leaf.span;
        ctx.say(Diagnostic::error(Code::MissingValue, span, message));
        return None;
    };
    if matches!(takes, Takes::Locked | Takes::Address) {
        let text = ctx.text(word);
        // A family or a lock before the value changes nothing about the value.
        if matches!(text.as_ref(), "lock" | "inet" | "inet6")
            && let Some((behind, more)) = rest.split_first()
        {
            (word, rest) = (behind, more);
        }
    }
    let text = ctx.text(word);
    let read = match takes {
        Takes::Number | Takes::Locked => text.parse().ok().map(RouteValue::Number),
        Takes::Time => time(&text).map(RouteValue::Time),
        Takes::Address => return Some((RouteValue::Address(ctx.address(word)?), rest)),
        Takes::Interface => return Some((RouteValue::Interface(ctx.interface(word)?), rest)),
        Takes::Network => network(&text).map(RouteValue::Network),
        _ => Some(RouteValue::Word(text.clone().into_owned())),
    };
    let Some(read) = read else {
        let name = ctx.text(token);
        let message = format!("`{text}` is not a value of `{name}`");
        let span = word.leaf.span;
        ctx.say(Diagnostic::error(Code::InvalidValue, span, message));
        return None;
    };
    Some((read, rest))
}

/// A network, or a word for all of them.
fn network(text: &str) -> Option<Option<Cidr>> {
    match text {
        "default" | "all" | "any" => Some(None),
        network => network.parse().ok().map(Some),
    }
}

/// iproute2: milliseconds, or with the unit behind it.
fn time(text: &str) -> Option<Duration> {
    if let Some(millis) = text.strip_suffix("ms") {
        return millis.parse().ok().map(Duration::from_millis);
    }
    match text.strip_suffix('s') {
        Some(seconds) => seconds.parse().ok().map(Duration::from_secs),
        None => text.parse().ok().map(Duration::from_millis),
    }
}
