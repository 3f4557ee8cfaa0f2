//! `lvs_sync_daemon` and `lvs_timeouts`: words and values in any order.

use std::net::IpAddr;
use std::time::Duration;

use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::model::{Instance, LvsSyncDaemon, LvsTimeouts};
use crate::config::suggest::nearest;
use crate::config::tree::Word;

use super::context::{Context, Line};

const OPTIONS: [&str; 6] = ["inst", "id", "maxlen", "port", "ttl", "group"];
const TIMEOUTS: [&str; 3] = ["tcp", "tcpfin", "udp"];
/// What one UDP datagram over IPv4 holds.
const MAX_LEN_MAX: i64 = 65_507;
/// 31 days, as the persistence of a service (ipvsadm(8), -p).
const TIMEOUT_MAX: i64 = 2_678_400;

/// `None`: it was said why.
pub(super) fn daemon(ctx: &mut Context<'_>, line: &Line<'_>) -> Option<LvsSyncDaemon> {
    let (first, mut words) = line.args.split_first()?;
    let mut daemon = LvsSyncDaemon {
        interface: ctx.interface(first)?,
        instance: None,
        id: None,
        max_len: None,
        port: None,
        ttl: None,
        group: None,
    };
    // An older way to write it: the name of the instance alone, perhaps its number behind it.
    if let Some((name, rest)) = words.split_first()
        && !OPTIONS.contains(&ctx.text(name).as_ref())
    {
        daemon.instance = Some(ctx.text(name).into_owned());
        words = rest;
        if let Some((number, rest)) = words.split_first()
            && ctx.text(number).bytes().all(|b| b.is_ascii_digit())
        {
            daemon.id = ranged(ctx, line, number, 0, 255);
            words = rest;
        }
    }
    while let Some((word, value, rest)) = pair(ctx, line, words, &OPTIONS)? {
        words = rest;
        match word {
            "inst" => daemon.instance = Some(ctx.text(value).into_owned()),
            "id" => daemon.id = ranged(ctx, line, value, 0, 255),
            "maxlen" => daemon.max_len = ranged(ctx, line, value, 1, MAX_LEN_MAX),
            "port" => daemon.port = ranged(ctx, line, value, 1, 65_535),
            "ttl" => daemon.ttl = ranged(ctx, line, value, 1, 255),
            _ => daemon.group = group(ctx, value),
        }
    }
    Some(daemon)
}

/// Those that could be read.
pub(super) fn timeouts(ctx: &mut Context<'_>, line: &Line<'_>) -> LvsTimeouts {
    let mut timeouts = LvsTimeouts::default();
    let mut words = line.args;
    while let Some(Some((word, value, rest))) = pair(ctx, line, words, &TIMEOUTS) {
        words = rest;
        let seconds = ranged(ctx, line, value, 0, TIMEOUT_MAX).filter(|&s: &u64| s > 0);
        let time = seconds.map(Duration::from_secs);
        match word {
            "tcp" => timeouts.tcp = time,
            "tcpfin" => timeouts.tcpfin = time,
            _ => timeouts.udp = time,
        }
    }
    timeouts
}

/// The daemon of an instance that is not there cannot run: says so, and it does not.
pub(super) fn resolve(
    ctx: &mut Context<'_>,
    daemon: Option<LvsSyncDaemon>,
    instances: &[Instance],
) -> Option<LvsSyncDaemon> {
    let daemon = daemon?;
    let Some(name) = &daemon.instance else {
        return Some(daemon);
    };
    if instances.iter().any(|instance| instance.name == *name) {
        return Some(daemon);
    }
    let near = nearest(name, instances.iter().map(|i| i.name.as_str()));
    let message = format!("`lvs_sync_daemon` names the instance `{name}`, which is not defined");
    ctx.say(
        Diagnostic::warning(Code::UnknownName, None, message)
            .label("no connections are synchronised")
            .hint(near.map(|near| format!("did you mean `{near}`?"))),
    );
    None
}

/// An option, its value, and what follows.
type Pair<'w> = (&'static str, &'w Word, &'w [Word]);

/// The next option; `Some(None)`: there is none, `None`: it was said what is wrong.
fn pair<'w>(
    ctx: &mut Context<'_>,
    line: &Line<'_>,
    words: &'w [Word],
    known: &[&'static str],
) -> Option<Option<Pair<'w>>> {
    let Some((word, rest)) = words.split_first() else {
        return Some(None);
    };
    let text = ctx.text(word);
    let Some(option) = known.iter().copied().find(|&option| option == text) else {
        let message = format!("`{text}` is not known behind `{}`", line.row.name);
        let hint = match nearest(&text, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("options are {}", known.join(", ")),
        };
        ctx.say(Diagnostic::error(Code::InvalidValue, word.span, message).hint(hint));
        return None;
    };
    let Some((value, rest)) = rest.split_first() else {
        let message = format!("`{option}` of `{}` needs a value", line.row.name);
        ctx.say(Diagnostic::error(Code::MissingValue, word.span, message));
        return None;
    };
    Some(Some((option, value, rest)))
}

fn ranged<T: TryFrom<i64>>(
    ctx: &mut Context<'_>,
    line: &Line<'_>,
    word: &Word,
    min: i64,
    max: i64,
) -> Option<T> {
    let number = ctx.integer(word, min, max, line.row)?;
    T::try_from(number).ok()
}

fn group(ctx: &mut Context<'_>, word: &Word) -> Option<IpAddr> {
    let text = ctx.text(word);
    let group = text.parse().ok().filter(IpAddr::is_multicast);
    if group.is_none() {
        let message = format!("`{text}` is not a multicast address");
        ctx.say(Diagnostic::error(Code::InvalidValue, word.span, message));
    }
    group
}
