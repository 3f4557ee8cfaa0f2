//! What an instance tracks: `track_script`, `track_interface`, and their weights.

use std::collections::BTreeSet;

use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::keywords::Keyword;
use crate::config::model::{TrackedInterface, TrackedScript, Weight};
use crate::config::suggest::nearest;
use crate::config::tree::Word;
use crate::net::InterfaceName;

use super::context::{Context, Line};
use super::script::Scripts;

/// Largest weight either way (keepalived: VRRP_PRIO_OWNER - 2).
const WEIGHT_MAX: i64 = 253;

/// `N [reverse|noreverse]`, behind `weight`. `None`: it was said why.
pub(super) fn read_weight(ctx: &mut Context<'_>, words: &[Word], row: &Keyword) -> Option<Weight> {
    let number = ctx.integer(words.first()?, -WEIGHT_MAX, WEIGHT_MAX, row)?;
    let mut reverse = false;
    if let Some(word) = words.get(1) {
        match ctx.text(word).as_ref() {
            "reverse" => reverse = true,
            "noreverse" => {}
            other => {
                let message = format!("`{other}` is not `reverse`");
                ctx.say(
                    Diagnostic::warning(Code::InvalidValue, word.leaf.span, message)
                        .label("ignored"),
                );
            }
        }
    }
    let delta = i16::try_from(number).ok()?;
    if delta == 0 {
        if reverse {
            // keepalived turns the meaning of failure round.
            let message = "`weight 0 reverse` is not supported by this version; \
                           a failure would be taken for a success";
            let span = words.first()?.leaf.span;
            ctx.say(Diagnostic::error(Code::Unsupported, span, message));
        }
        return Some(Weight::Fault);
    }
    Some(Weight::Priority {
        delta,
        when_up: (delta > 0) != reverse,
    })
}

/// The lines of `track_script`.
pub(super) fn scripts(
    ctx: &mut Context<'_>,
    line: &Line<'_>,
    instance: &str,
    scripts: &Scripts,
    tracked: &mut Vec<TrackedScript>,
) {
    let mut seen: BTreeSet<String> = tracked.iter().map(|t| t.script.clone()).collect();
    for entry in ctx.lines(line.statement) {
        let Some((first, words)) = entry.words.split_first() else {
            continue;
        };
        let name = ctx.text(first);
        let span = first.leaf.span;
        let Some(known) = scripts.get(name.as_ref()) else {
            let defined = ctx.origins().scripts.contains_key(name.as_ref());
            if !ctx.is_damaged() && !defined {
                let message = format!("no `vrrp_script {name}` is defined");
                let near = nearest(&name, scripts.keys().map(String::as_str));
                ctx.say(
                    Diagnostic::warning(Code::UnknownName, span, message)
                        .label(format!("`{instance}` will not track it"))
                        .note("keepalived does the same")
                        .hint(near.map(|near| format!("did you mean `{near}`?"))),
                );
            }
            continue;
        };
        if !seen.insert(name.to_string()) {
            let message = format!("`{instance}` tracks `{name}` twice");
            ctx.say(Diagnostic::warning(Code::Duplicate, span, message).label("left out"));
            continue;
        }
        let weight = own_weight(ctx, words, line.row).unwrap_or(known.weight);
        tracked.push(TrackedScript {
            script: name.into_owned(),
            weight,
        });
    }
}

/// The lines of `track_interface`.
pub(super) fn interfaces(
    ctx: &mut Context<'_>,
    line: &Line<'_>,
    instance: &str,
    tracked: &mut Vec<TrackedInterface>,
) {
    let known = tracked.iter().map(|t| t.interface.clone());
    let mut seen: BTreeSet<InterfaceName> = known.collect();
    for entry in ctx.lines(line.statement) {
        let Some((first, words)) = entry.words.split_first() else {
            continue;
        };
        let Some(interface) = ctx.interface(first) else {
            continue;
        };
        if !seen.insert(interface.clone()) {
            let message = format!("`{instance}` tracks `{interface}` twice");
            let span = first.leaf.span;
            ctx.say(Diagnostic::warning(Code::Duplicate, span, message).label("left out"));
            continue;
        }
        let weight = own_weight(ctx, words, line.row).unwrap_or(Weight::Fault);
        tracked.push(TrackedInterface { interface, weight });
    }
}

/// `weight N [reverse]` behind a name.
fn own_weight(ctx: &mut Context<'_>, words: &[Word], row: &Keyword) -> Option<Weight> {
    let (first, rest) = words.split_first()?;
    let text = ctx.text(first);
    if text != "weight" {
        let message = format!("`{text}` is not known behind a name in `{}`", row.name);
        ctx.say(
            Diagnostic::warning(Code::UnknownKeyword, first.leaf.span, message)
                .label("ignored")
                .hint("write `weight N`".to_owned()),
        );
        return None;
    }
    if rest.is_empty() {
        let span = first.leaf.span;
        let message = "`weight` needs a value";
        ctx.say(Diagnostic::error(Code::MissingValue, span, message));
        return None;
    }
    read_weight(ctx, rest, row)
}
