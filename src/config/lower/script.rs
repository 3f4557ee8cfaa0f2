//! `vrrp_script`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::config::Compat;
use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::keywords::BlockKind;
use crate::config::model::{Script, ScriptUser, Weight};
use crate::config::source::Span;

use super::Named;
use super::context::{Context, Draft, Handled, Line};
use super::tracking::read_weight;
use super::value::Value;

/// What [`Script::linger`] is where nobody wrote `timeout`.
const LINGER: Duration = Duration::from_secs(10);

/// A script and what its failure does to those who name no weight.
pub(super) struct Weighted {
    pub(super) script: Script,
    pub(super) weight: Weight,
}

/// Every script, by name.
pub(super) type Scripts = BTreeMap<String, Weighted>;

/// Reads every `vrrp_script`.
pub(super) fn lower(ctx: &mut Context<'_>, blocks: &[Named<'_>]) -> Scripts {
    let mut scripts = Scripts::new();
    for block in blocks {
        let Some(span) = block.span() else { continue };
        if let Some(&first) = ctx.origins().scripts.get(&block.name) {
            ctx.say(duplicate("vrrp_script", &block.name, span, first));
            continue;
        }
        ctx.origins().scripts.insert(block.name.clone(), span);
        let mut draft = ScriptDraft::default();
        ctx.read_block(BlockKind::VrrpScript, block.statement, &mut draft);
        if let Some(weighted) = draft.finish(ctx, &block.name, span) {
            scripts.insert(block.name.clone(), weighted);
        }
    }
    scripts
}

/// A block whose name was taken.
pub(super) fn duplicate(keyword: &str, name: &str, span: Span, first: Span) -> Diagnostic {
    let message = format!("`{keyword} {name}` is defined twice");
    Diagnostic::warning(Code::Duplicate, span, message)
        .label("this one is left out, as in keepalived")
        .related(first, "first defined here")
}

/// The scripts that somebody tracks; of the others it is said that they are never run.
pub(super) fn used(
    ctx: &mut Context<'_>,
    scripts: Scripts,
    used: &BTreeSet<String>,
) -> BTreeMap<String, Script> {
    let mut kept = BTreeMap::new();
    for (name, weighted) in scripts {
        if used.contains(&name) {
            kept.insert(name, weighted.script);
        } else if !ctx.is_damaged() {
            let span = ctx.origins().scripts.get(&name).copied();
            let message = format!("`vrrp_script {name}` is never run: no instance tracks it");
            ctx.say(
                Diagnostic::warning(Code::Unused, span, message)
                    .hint("name it in `track_script` of an instance".to_owned()),
            );
        }
    }
    kept
}

#[derive(Default)]
pub(super) struct ScriptDraft {
    argv: Option<Vec<String>>,
    script_refused: bool,
    interval: Option<Duration>,
    timeout: Option<Duration>,
    weight: Option<Weight>,
    rise: Option<u32>,
    fall: Option<u32>,
    user: Option<ScriptUser>,
    init_fail: bool,
}

impl<'t> Draft<'t> for ScriptDraft {
    fn apply(&mut self, ctx: &mut Context<'_>, line: &Line<'t>, value: Value) -> Handled {
        match line.row.name {
            "script" => self.script(ctx, line, value),
            "interval" => self.interval = value.seconds(),
            "timeout" => self.timeout = value.seconds(),
            "weight" => self.weight = read_weight(ctx, line.args, line.row),
            "rise" => self.rise = value.number(),
            "fall" => self.fall = value.number(),
            "user" => self.user = ctx.user(line),
            "init_fail" => self.init_fail = true,
            _ => return Handled::No,
        }
        Handled::Yes
    }

    fn refused(&mut self, line: &Line<'t>) {
        self.script_refused |= line.row.name == "script";
    }
}

impl ScriptDraft {
    fn script(&mut self, ctx: &mut Context<'_>, line: &Line<'_>, value: Value) {
        let Value::Command(command) = value else {
            return;
        };
        if let (false, Some(extra)) = (command.rest.is_empty(), line.args.get(1)) {
            let span = extra.span.to(line.args_span());
            let message = "only the first word is the command";
            ctx.say(
                Diagnostic::warning(Code::ExtraWords, span, message)
                    .label("ignored, as keepalived ignores it")
                    .hint("put the command and its arguments in quotes".to_owned()),
            );
        }
        self.argv = Some(command.argv).filter(|argv| !argv.is_empty());
    }

    fn finish(self, ctx: &mut Context<'_>, name: &str, span: Span) -> Option<Weighted> {
        let Some(argv) = self.argv else {
            if self.script_refused {
                return None;
            }
            let message = format!("`vrrp_script {name}` has no `script`");
            ctx.say(
                Diagnostic::error(Code::MissingKeyword, span, message)
                    .hint("say what to run: `script \"COMMAND ARGUMENTS\"`".to_owned()),
            );
            return None;
        };
        let interval = self.interval.unwrap_or(Duration::from_secs(1));
        Some(Weighted {
            script: Script {
                name: name.to_owned(),
                argv,
                interval,
                timeout: self.timeout.unwrap_or(interval),
                linger: match (self.timeout, ctx.compat()) {
                    (None, Compat::Vipd) => LINGER,
                    (Some(_), _) | (None, Compat::Keepalived) => Duration::ZERO,
                },
                rise: self.rise.unwrap_or(1),
                fall: self.fall.unwrap_or(1),
                user: self.user,
                init_fail: self.init_fail,
            },
            weight: self.weight.unwrap_or(Weight::Fault),
        })
    }
}
