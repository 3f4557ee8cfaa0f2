//! What an instance tracks: `track_script`, `track_interface`, and their weights.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::keywords::Keyword;
use crate::config::model::{
    BfdInstance, FileWeight, TrackFile, TrackProcess, TrackedBfd, TrackedFile, TrackedInterface,
    TrackedProcess, TrackedScript, Weight,
};
use crate::config::source::Span;
use crate::config::suggest::nearest;
use crate::config::tree::Word;
use crate::net::InterfaceName;

use super::context::{Context, Handled, Line};
use super::script::Scripts;

/// Largest weight either way (keepalived: VRRP_PRIO_OWNER - 2).
const WEIGHT_MAX: i64 = 253;

/// What can be tracked by name.
#[derive(Clone, Copy)]
pub(super) struct Trackable<'a> {
    pub(super) scripts: &'a Scripts,
    pub(super) files: &'a BTreeMap<String, TrackFile>,
    pub(super) processes: &'a BTreeMap<String, TrackProcess>,
    pub(super) sessions: &'a BTreeMap<String, BfdInstance>,
}

/// What somebody tracks by name.
#[derive(Default)]
pub(super) struct Tracked {
    pub(super) scripts: Vec<TrackedScript>,
    pub(super) interfaces: Vec<TrackedInterface>,
    pub(super) files: Vec<TrackedFile>,
    pub(super) processes: Vec<TrackedProcess>,
    pub(super) sessions: Vec<TrackedBfd>,
}

impl Tracked {
    /// Takes a `track_...` block; `owner` is who tracks, for messages.
    pub(super) fn apply(
        &mut self,
        ctx: &mut Context<'_>,
        line: &Line<'_>,
        owner: &str,
        known: Trackable<'_>,
    ) -> Handled {
        match line.row.name {
            "track_script" => scripts(ctx, line, owner, known.scripts, &mut self.scripts),
            "track_interface" => interfaces(ctx, line, owner, &mut self.interfaces),
            "track_file" => {
                for (file, weight) in names(ctx, line, owner, "track_file", known.files) {
                    let own =
                        weight.and_then(|w| read_file_weight(ctx, w, line.row, FILE_WEIGHT_MAX));
                    let weight = own.unwrap_or(file.weight);
                    let file = file.name.clone();
                    self.files.push(TrackedFile { file, weight });
                }
            }
            "track_process" => {
                let block = "vrrp_track_process";
                for (process, weight) in names(ctx, line, owner, block, known.processes) {
                    let own = weight.and_then(|w| read_weight(ctx, w, line.row));
                    let weight = own.unwrap_or(process.weight);
                    let process = process.name.clone();
                    self.processes.push(TrackedProcess { process, weight });
                }
            }
            "track_bfd" => {
                for (session, weight) in names(ctx, line, owner, "bfd_instance", known.sessions) {
                    let own = weight.and_then(|w| read_weight(ctx, w, line.row));
                    let weight = own.unwrap_or(session.weight);
                    let session = session.name.clone();
                    self.sessions.push(TrackedBfd { session, weight });
                }
            }
            _ => return Handled::No,
        }
        Handled::Yes
    }
}

/// The lines of a block of names: each known thing once, with the words of its own weight.
fn names<'t, 'k, T>(
    ctx: &mut Context<'_>,
    line: &Line<'t>,
    owner: &str,
    block: &str,
    known: &'k BTreeMap<String, T>,
) -> Vec<(&'k T, Option<&'t [Word]>)> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for entry in ctx.lines(line.statement) {
        let Some((first, words)) = entry.words.split_first() else {
            continue;
        };
        let name = ctx.text(first);
        let span = first.span;
        let Some(thing) = known.get(name.as_ref()) else {
            if !ctx.is_damaged() {
                let near = nearest(&name, known.keys().map(String::as_str));
                say_undefined(ctx, span, block, &name, owner, near);
            }
            continue;
        };
        if !seen.insert(name.clone()) {
            let message = format!("`{owner}` tracks `{name}` twice");
            ctx.say(Diagnostic::warning(Code::Duplicate, span, message).label("left out"));
            continue;
        }
        found.push((thing, weight_words(ctx, words, line.row)));
    }
    found
}

fn say_undefined(
    ctx: &mut Context<'_>,
    span: Span,
    block: &str,
    name: &str,
    owner: &str,
    near: Option<&str>,
) {
    let message = format!("no `{block} {name}` is defined");
    ctx.say(
        Diagnostic::warning(Code::UnknownName, span, message)
            .label(format!("`{owner}` will not track it"))
            .note("keepalived does the same")
            .hint(near.map(|near| format!("did you mean `{near}`?"))),
    );
}

/// The most that a `track_file` may be weighed with.
pub(super) const FILE_WEIGHT_MAX: i32 = 254;

/// `N [reverse]` of a file, from `-most` to `most`. `None`: it was said why.
pub(super) fn read_file_weight(
    ctx: &mut Context<'_>,
    words: &[Word],
    row: &Keyword,
    most: i32,
) -> Option<FileWeight> {
    let number = ctx.integer(words.first()?, i64::from(-most), i64::from(most), row)?;
    let number = i32::try_from(number).ok()?;
    let reverse = reversed(ctx, words);
    Some(FileWeight {
        factor: if reverse { -number } else { number },
        fault_at_zero: reverse && number == 0,
    })
}

/// `N [reverse|noreverse]`, behind `weight`. `None`: it was said why.
pub(super) fn read_weight(ctx: &mut Context<'_>, words: &[Word], row: &Keyword) -> Option<Weight> {
    let number = ctx.integer(words.first()?, -WEIGHT_MAX, WEIGHT_MAX, row)?;
    let reverse = reversed(ctx, words);
    let number = i16::try_from(number).ok()?;
    Some(match (number, reverse) {
        (0, false) => Weight::Fault,
        (0, true) => Weight::FaultWhenUp,
        (number, reverse) => Weight::Priority {
            delta: if reverse { -number } else { number },
            when_up: number > 0,
        },
    })
}

/// Whether `reverse` stands behind a number.
fn reversed(ctx: &mut Context<'_>, words: &[Word]) -> bool {
    let mut reverse = false;
    if let Some(word) = words.get(1) {
        match ctx.text(word).as_ref() {
            "reverse" => reverse = true,
            "noreverse" => {}
            other => {
                let message = format!("`{other}` is not `reverse`");
                ctx.say(
                    Diagnostic::warning(Code::InvalidValue, word.span, message).label("ignored"),
                );
            }
        }
    }
    reverse
}

/// The lines of `track_script`.
fn scripts(
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
        let span = first.span;
        let Some(known) = scripts.get(name.as_ref()) else {
            let defined = ctx.origins().scripts.contains_key(name.as_ref());
            if !ctx.is_damaged() && !defined {
                let near = nearest(&name, scripts.keys().map(String::as_str));
                say_undefined(ctx, span, "vrrp_script", &name, instance, near);
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
fn interfaces(
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
            let span = first.span;
            ctx.say(Diagnostic::warning(Code::Duplicate, span, message).label("left out"));
            continue;
        }
        let weight = own_weight(ctx, words, line.row).unwrap_or(Weight::Fault);
        tracked.push(TrackedInterface { interface, weight });
    }
}

/// `weight N [reverse]` behind a name.
fn own_weight(ctx: &mut Context<'_>, words: &[Word], row: &Keyword) -> Option<Weight> {
    let words = weight_words(ctx, words, row)?;
    read_weight(ctx, words, row)
}

/// What stands behind `weight`, at least one word.
fn weight_words<'w>(ctx: &mut Context<'_>, words: &'w [Word], row: &Keyword) -> Option<&'w [Word]> {
    let (first, rest) = words.split_first()?;
    let text = ctx.text(first);
    if text != "weight" {
        let message = format!("`{text}` is not known behind a name in `{}`", row.name);
        ctx.say(
            Diagnostic::warning(Code::UnknownKeyword, first.span, message)
                .label("ignored")
                .hint("write `weight N`".to_owned()),
        );
        return None;
    }
    if rest.is_empty() {
        let span = first.span;
        let message = "`weight` needs a value";
        ctx.say(Diagnostic::error(Code::MissingValue, span, message));
        return None;
    }
    Some(rest)
}
