//! Lines of addresses: `virtual_ipaddress` and `unicast_peer`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::keywords;
use crate::config::model::{
    AddressOptions, Broadcast, Lifetime, PeerOptions, Shared, VirtualAddress,
};
use crate::config::source::Span;
use crate::config::tree::{Statement, Word};
use crate::net::{Cidr, Family, ParseCidrError};

use super::context::{Context, Line};

/// A VIP and where it is written.
pub(super) struct WrittenVip {
    pub(super) vip: VirtualAddress,
    pub(super) span: Span,
}

/// The lines of `static_ipaddress`.
pub(super) fn statics(ctx: &mut Context<'_>, statement: &Statement) -> Vec<VirtualAddress> {
    let entries = ctx.lines(statement);
    let read = entries.iter().filter_map(|entry| vip(ctx, entry));
    read.map(|written| written.vip).collect()
}

/// The lines of `virtual_ipaddress` or `virtual_ipaddress_excluded`; whether there were any.
pub(super) fn vips(ctx: &mut Context<'_>, line: &Line<'_>, vips: &mut Vec<WrittenVip>) -> bool {
    let entries = ctx.lines(line.statement);
    for entry in &entries {
        vips.extend(vip(ctx, entry));
    }
    !entries.is_empty()
}

fn vip(ctx: &mut Context<'_>, entry: &Statement) -> Option<WrittenVip> {
    let (first, mut words) = entry.words.split_first()?;
    let span = first.span;
    let mut vip = VirtualAddress {
        cidr: cidr(ctx, first)?,
        dev: None,
        broadcast: None,
        scope: 0,
        label: None,
        no_track: false,
        vmac: None,
        more: Shared::default(),
    };
    while let Some((option, rest)) = words.split_first() {
        words = vip_option(ctx, &mut vip, option, rest)?;
    }
    check_options(ctx, &mut vip, span);
    Some(WrittenVip { vip, span })
}

/// Takes one option and gives back the words behind it; `None`: it was said why.
fn vip_option<'w>(
    ctx: &mut Context<'_>,
    vip: &mut VirtualAddress,
    option: &Word,
    rest: &'w [Word],
) -> Option<&'w [Word]> {
    let name = ctx.text(option);
    let takes_value = matches!(
        name.as_ref(),
        "brd" | "broadcast" | "dev" | "scope" | "label" | "peer" | "preferred_lft" | "track_group"
    );
    let (value, rest) = match rest.split_first() {
        Some((value, rest)) if takes_value => (Some(value), rest),
        None if takes_value => {
            let message = format!("`{name}` needs a value");
            let span = option.span;
            ctx.say(Diagnostic::error(Code::MissingValue, span, message));
            return None;
        }
        _ => (None, rest),
    };
    match (name.as_ref(), value) {
        ("brd" | "broadcast", Some(value)) => vip.broadcast = broadcast(ctx, vip, value),
        ("dev", Some(value)) => vip.dev = Some(ctx.interface(value)?),
        ("scope", Some(value)) => vip.scope = scope(ctx, value),
        ("label", Some(value)) => vip.label = label(ctx, vip, value),
        ("no_track", None) => vip.no_track = true,
        ("use_vmac", None) => vip.more.use_vmac = true,
        ("peer", Some(value)) => peer(ctx, vip, value),
        _ if kernel_option(ctx, &mut vip.more, &name, value) => {}
        _ => {
            let message = format!("`{name}` is not known behind an address");
            ctx.say(
                Diagnostic::warning(Code::UnknownKeyword, option.span, message)
                    .label("ignored with the rest of the line"),
            );
            return Some(&[]);
        }
    }
    Some(rest)
}

/// An option that goes to the kernel as it stands; whether it was one.
fn kernel_option(
    ctx: &mut Context<'_>,
    more: &mut AddressOptions,
    name: &str,
    value: Option<&Word>,
) -> bool {
    match (name, value) {
        ("preferred_lft", Some(value)) => more.preferred_lifetime = lifetime(ctx, value),
        ("track_group", Some(value)) => more.track_group = Some(ctx.text(value).into_owned()),
        ("home", _) => more.home = true,
        ("-nodad", _) => more.duplicate_address_detection = true,
        ("nodad", _) => more.duplicate_address_detection = false,
        ("mngtmpaddr", _) => more.manage_temporary = true,
        ("noprefixroute", _) => more.no_prefix_route = true,
        ("autojoin", _) => more.auto_join = true,
        _ => return false,
    }
    true
}

/// `peer`: the address has the prefix that stands behind the peer.
fn peer(ctx: &mut Context<'_>, vip: &mut VirtualAddress, word: &Word) {
    let Some(peer) = cidr(ctx, word) else {
        return;
    };
    let local = vip.cidr.addr();
    let span = word.span;
    if peer.family() != vip.cidr.family() {
        let message = format!("the peer {} is not of the family of {local}", peer.addr());
        ctx.say(Diagnostic::warning(Code::InvalidValue, span, message).label("ignored"));
        return;
    }
    if vip.cidr != Cidr::host(local) {
        let message = "an address with a peer has the prefix of the peer";
        let ours = format!("/{} behind {local} is ignored", vip.cidr.prefix());
        ctx.say(Diagnostic::warning(Code::NoEffect, span, message).note(ours));
    }
    vip.cidr = Cidr::new(local, peer.prefix()).unwrap_or(vip.cidr);
    vip.more.peer = Some(peer.addr());
}

/// What can only be said of an address and all of its options together.
fn check_options(ctx: &mut Context<'_>, vip: &mut VirtualAddress, span: Span) {
    let mut say = |message: String| {
        ctx.say(Diagnostic::warning(Code::NoEffect, span, message).label("ignored"));
    };
    let cidr = vip.cidr;
    let v6 = cidr.family() == Family::V6;
    if vip.broadcast.is_some() && vip.more.peer.is_some() {
        say("an address with a peer has no broadcast address".to_owned());
        vip.broadcast = None;
    }
    if cidr.prefix() > 30
        && let Some(Broadcast::AllOnes | Broadcast::AllZeros) = vip.broadcast
    {
        say(format!(
            "a network of /{} has no broadcast address",
            cidr.prefix()
        ));
        vip.broadcast = None;
    }
    if v6 && vip.scope != 0 {
        say("the scope of an IPv6 address follows from the address".to_owned());
        vip.scope = 0;
    }
    if !v6 && vip.more.preferred_lifetime.take().is_some() {
        say("`preferred_lft` has a meaning for IPv6 alone".to_owned());
    }
    if vip.more.manage_temporary && !(v6 && cidr.prefix() == 64) {
        say("`mngtmpaddr` is possible for IPv6 addresses with /64".to_owned());
        vip.more.manage_temporary = false;
    }
    if vip.more.auto_join && !cidr.addr().is_multicast() {
        say(format!(
            "`autojoin` is for multicast addresses, which {} is not",
            cidr.addr()
        ));
        vip.more.auto_join = false;
    }
}

fn lifetime(ctx: &mut Context<'_>, word: &Word) -> Option<Lifetime> {
    let text = ctx.text(word);
    if text == "forever" {
        return Some(Lifetime::Forever);
    }
    let seconds = text.parse().ok().map(Duration::from_secs);
    if seconds.is_none() {
        let message = format!("`{text}` is not `forever` or a number of seconds");
        let span = word.span;
        ctx.say(Diagnostic::error(Code::InvalidValue, span, message));
    }
    seconds.map(Lifetime::For)
}

fn cidr(ctx: &mut Context<'_>, word: &Word) -> Option<Cidr> {
    let text = ctx.text(word);
    match text.parse() {
        Ok(cidr) => Some(cidr),
        Err(why) => {
            let span = word.span;
            let error = |message| Diagnostic::error(Code::InvalidValue, span, message);
            ctx.say(match why {
                _ if keywords::blocks_of(&text).next().is_some() => {
                    error(format!("keyword `{text}` cannot stand among addresses"))
                        .hint("close the block above first".to_owned())
                }
                ParseCidrError::Address => error(format!("`{text}` is not an IP address"))
                    .note("keepalived would leave this address out"),
                ParseCidrError::Prefix => error(format!("`{text}`: {why}"))
                    .note("keepalived would take the longest prefix"),
            });
            None
        }
    }
}

fn broadcast(ctx: &mut Context<'_>, vip: &VirtualAddress, word: &Word) -> Option<Broadcast> {
    let text = ctx.text(word);
    let read = match text.as_ref() {
        "+" => Some(Broadcast::AllOnes),
        "-" => Some(Broadcast::AllZeros),
        address => address.parse::<Ipv4Addr>().ok().map(Broadcast::Address),
    };
    let span = word.span;
    if read.is_none() {
        let message = format!("`{text}` is not a broadcast address");
        ctx.say(Diagnostic::error(Code::InvalidValue, span, message));
    } else if vip.cidr.family() == Family::V6 {
        let message = "IPv6 has no broadcast addresses";
        ctx.say(Diagnostic::warning(Code::NoEffect, span, message).label("ignored"));
        return None;
    }
    read
}

/// rtnetlink(7): the names that iproute2 gives these numbers.
fn scope(ctx: &mut Context<'_>, word: &Word) -> u8 {
    let text = ctx.text(word);
    match text.as_ref() {
        "global" => 0,
        "site" => 200,
        "link" => 253,
        "host" => 254,
        "nowhere" => 255,
        number => number.parse().unwrap_or_else(|_| {
            let message = format!("`{text}` is not a scope");
            ctx.say(
                Diagnostic::warning(Code::InvalidValue, word.span, message)
                    .label("ignored: the scope is global")
                    .hint("scopes are global, site, link, host or 0 to 255".to_owned()),
            );
            0
        }),
    }
}

/// IFNAMSIZ less its zero.
const LABEL_BYTES_MAX: usize = 15;

fn label(ctx: &mut Context<'_>, vip: &VirtualAddress, word: &Word) -> Option<String> {
    let text = ctx.text(word);
    let why = if text.len() > LABEL_BYTES_MAX {
        format!("the label `{text}` has more than {LABEL_BYTES_MAX} bytes")
    } else if vip.cidr.family() == Family::V6 {
        "IPv6 addresses have no label".to_owned()
    } else {
        return Some(text.into_owned());
    };
    ctx.say(Diagnostic::warning(Code::InvalidValue, word.span, why).label("ignored"));
    None
}

/// The lines of `unicast_peer`.
pub(super) fn peers(
    ctx: &mut Context<'_>,
    line: &Line<'_>,
    peers: &mut Vec<(IpAddr, Span)>,
    options_of: &mut BTreeMap<IpAddr, PeerOptions>,
) {
    let mut seen: BTreeSet<IpAddr> = peers.iter().map(|&(address, _)| address).collect();
    for entry in ctx.lines(line.statement) {
        let Some((first, options)) = entry.words.split_first() else {
            continue;
        };
        if let Some(address) = ctx.address(first) {
            if !seen.insert(address) {
                let message = format!("peer {address} stands here twice");
                let span = first.span;
                ctx.say(Diagnostic::warning(Code::Duplicate, span, message).label("left out"));
                continue;
            }
            peers.push((address, first.span));
            if !options.is_empty() {
                options_of.insert(address, peer_options(ctx, line, options));
            }
        }
    }
}

/// `[min_ttl N] [max_ttl N]`.
fn peer_options(ctx: &mut Context<'_>, line: &Line<'_>, words: &[Word]) -> PeerOptions {
    let mut read = PeerOptions::default();
    for pair in words.chunks(2) {
        let (Some(name), value) = (pair.first(), pair.get(1)) else {
            continue;
        };
        let ttl = value
            .and_then(|word| ctx.integer(word, 0, 255, line.row))
            .and_then(|ttl| u8::try_from(ttl).ok());
        match ctx.text(name).as_ref() {
            "min_ttl" => read.min_ttl = ttl,
            "max_ttl" => read.max_ttl = ttl,
            other => {
                let message = format!("`{other}` is not known behind a peer");
                let span = name.span;
                ctx.say(Diagnostic::warning(Code::UnknownKeyword, span, message).label("ignored"));
            }
        }
    }
    read
}
