//! `track_file`, `vrrp_track_process` and `bfd_instance`: what can be tracked by name beside scripts.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::config::Origins;
use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::keywords::BlockKind;
use crate::config::model::{
    BfdInstance, FileWeight, InitFile, ParamMatch, TrackFile, TrackProcess, Weight,
};
use crate::config::source::Span;

use super::Named;
use super::context::{Context, Draft, Handled, Line};
use super::script::duplicate;
use super::tracking::{FILE_WEIGHT_MAX, read_file_weight, read_weight};
use super::value::Value;

type Places = fn(&mut Origins) -> &mut BTreeMap<String, Span>;

/// Where a block stands, if its name was not taken.
fn place(ctx: &mut Context<'_>, keyword: &str, block: &Named<'_>, places: Places) -> Option<Span> {
    let span = block.span()?;
    if let Some(&first) = places(ctx.origins()).get(&block.name) {
        ctx.say(duplicate(keyword, &block.name, span, first));
        return None;
    }
    places(ctx.origins()).insert(block.name.clone(), span);
    Some(span)
}

fn say_missing(ctx: &mut Context<'_>, span: Span, block: &str, name: &str, keyword: &str) {
    let message = format!("`{block} {name}` has no `{keyword}`");
    ctx.say(
        Diagnostic::error(Code::MissingKeyword, span, message)
            .note("keepalived would leave this block out")
            .hint(format!("add `{keyword}`")),
    );
}

/// Every `track_file`.
pub(super) fn files(ctx: &mut Context<'_>, blocks: &[Named<'_>]) -> BTreeMap<String, TrackFile> {
    let mut files = BTreeMap::new();
    for block in blocks {
        let Some(span) = place(ctx, "track_file", block, |o| &mut o.track_files) else {
            continue;
        };
        let mut draft = FileDraft::default();
        ctx.read_block(BlockKind::TrackFile, block.statement, &mut draft);
        let name = block.name.clone();
        let Some(path) = draft.path else {
            say_missing(ctx, span, "track_file", &name, "file");
            continue;
        };
        let file = TrackFile {
            name: name.clone(),
            path,
            weight: draft.weight.unwrap_or(FileWeight::DEFAULT),
            init: draft.init,
        };
        files.insert(name, file);
    }
    files
}

#[derive(Default)]
pub(super) struct FileDraft {
    path: Option<String>,
    weight: Option<FileWeight>,
    init: Option<InitFile>,
}

impl<'t> Draft<'t> for FileDraft {
    fn apply(&mut self, ctx: &mut Context<'_>, line: &Line<'t>, value: Value) -> Handled {
        match line.row.name {
            "file" => self.path = Some(value.text()),
            "weight" => self.weight = read_file_weight(ctx, line.args, line.row, FILE_WEIGHT_MAX),
            "init_file" => {
                let mut init = InitFile::default();
                for word in line.args {
                    if ctx.text(word) == "overwrite" {
                        init.overwrite = true;
                    } else if let Some(number) =
                        ctx.integer(word, i64::from(i32::MIN), i64::from(i32::MAX), line.row)
                    {
                        init.value = i32::try_from(number).unwrap_or(0);
                    }
                }
                self.init = Some(init);
            }
            _ => return Handled::No,
        }
        Handled::Yes
    }
}

/// Every `vrrp_track_process`.
pub(super) fn processes(
    ctx: &mut Context<'_>,
    blocks: &[Named<'_>],
) -> BTreeMap<String, TrackProcess> {
    let mut processes = BTreeMap::new();
    for block in blocks {
        let keyword = "vrrp_track_process";
        let Some(span) = place(ctx, keyword, block, |o| &mut o.track_processes) else {
            continue;
        };
        let mut draft = ProcessDraft::default();
        ctx.read_block(BlockKind::TrackProcess, block.statement, &mut draft);
        if draft.argv.is_empty() {
            say_missing(ctx, span, keyword, &block.name, "process");
            continue;
        }
        // keepalived: none may run, whatever `quorum` says.
        let none = draft.quorum_max == Some(0);
        let quorum = if none { 0 } else { draft.quorum.unwrap_or(1) };
        if draft.quorum_max.is_some_and(|max| max < quorum) {
            let message = format!(
                "`{}` can never run: `quorum_max` is below `quorum`",
                block.name
            );
            ctx.say(Diagnostic::warning(Code::Contradiction, span, message));
        }
        // keepalived: arguments are compared where there are some, and then the whole command line is.
        let has_arguments = draft.argv.len() > 1;
        let param_match = draft
            .param_match
            .or(has_arguments.then_some(ParamMatch::Exact));
        let process = TrackProcess {
            name: block.name.clone(),
            argv: draft.argv,
            param_match,
            weight: draft.weight.unwrap_or(Weight::Fault),
            quorum,
            quorum_max: draft.quorum_max,
            fork_delay: draft.fork_delay.or(draft.delay).unwrap_or_default(),
            terminate_delay: draft.terminate_delay.or(draft.delay).unwrap_or_default(),
            full_command: draft.full_command || param_match.is_some(),
        };
        processes.insert(block.name.clone(), process);
    }
    processes
}

#[derive(Default)]
pub(super) struct ProcessDraft {
    argv: Vec<String>,
    param_match: Option<ParamMatch>,
    weight: Option<Weight>,
    quorum: Option<u32>,
    quorum_max: Option<u32>,
    fork_delay: Option<Duration>,
    terminate_delay: Option<Duration>,
    delay: Option<Duration>,
    full_command: bool,
}

impl<'t> Draft<'t> for ProcessDraft {
    fn apply(&mut self, ctx: &mut Context<'_>, line: &Line<'t>, value: Value) -> Handled {
        match line.row.name {
            "process" => {
                let words = line.args.iter();
                self.argv = words.map(|word| ctx.text(word).into_owned()).collect();
            }
            "param_match" => {
                self.param_match = Some(match value {
                    Value::Choice("initial") => ParamMatch::Initial,
                    Value::Choice("partial") => ParamMatch::Partial,
                    _ => ParamMatch::Exact,
                });
            }
            "weight" => self.weight = read_weight(ctx, line.args, line.row),
            "quorum" => self.quorum = value.number(),
            "quorum_max" => self.quorum_max = value.number(),
            "fork_delay" => self.fork_delay = value.seconds(),
            "terminate_delay" => self.terminate_delay = value.seconds(),
            "delay" => self.delay = value.seconds(),
            "full_command" => self.full_command = true,
            _ => return Handled::No,
        }
        Handled::Yes
    }
}

/// keepalived's BFD_INAME_MAX less its zero.
const BFD_NAME_BYTES_MAX: usize = 31;
/// Of `min_rx` and `min_tx`.
const MIN_INTERVAL: Duration = Duration::from_millis(10);
/// Of `idle_tx`.
const IDLE_INTERVAL: Duration = Duration::from_secs(1);

/// Every `bfd_instance`.
pub(super) fn bfd(ctx: &mut Context<'_>, blocks: &[Named<'_>]) -> BTreeMap<String, BfdInstance> {
    let mut sessions = BTreeMap::new();
    for block in blocks {
        let keyword = "bfd_instance";
        let Some(span) = place(ctx, keyword, block, |o| &mut o.bfd_instances) else {
            continue;
        };
        let name = &block.name;
        if name.len() > BFD_NAME_BYTES_MAX {
            let message = format!("the name has more than {BFD_NAME_BYTES_MAX} bytes");
            ctx.say(Diagnostic::error(Code::InvalidValue, span, message));
        }
        let mut draft = BfdDraft::default();
        ctx.read_block(BlockKind::BfdInstance, block.statement, &mut draft);
        let Some(session) = draft.finish(ctx, name, span) else {
            continue;
        };
        if let Some(first) = sessions.values().find(|other| collide(other, &session)) {
            say_collision(ctx, span, &session, first);
            continue;
        }
        sessions.insert(name.clone(), session);
    }
    // keepalived: a session for instances alone is none that a check could name.
    let for_checks = |name: &String| sessions.get(name).is_none_or(|s| s.for_checker);
    ctx.origins()
        .bfd_instances
        .retain(|name, _| for_checks(name));
    sessions
}

/// Whether one cannot tell by its addresses whose a packet is.
fn collide(one: &BfdInstance, other: &BfdInstance) -> bool {
    let same_source = one.source == other.source || one.source.is_none() || other.source.is_none();
    one.neighbor == other.neighbor && one.multihop == other.multihop && same_source
}

fn say_collision(ctx: &mut Context<'_>, span: Span, second: &BfdInstance, first: &BfdInstance) {
    let (name, other) = (&second.name, &first.name);
    let message = format!("`bfd_instance {name}` has the neighbor of `{other}`");
    ctx.say(
        Diagnostic::error(Code::Duplicate, span, message)
            .note("keepalived would leave this block out")
            .hint(format!(
                "remove one of them, and track `{other}` where `{name}` is tracked; \
                 or give both their own `source_ip`"
            )),
    );
}

#[derive(Default)]
pub(super) struct BfdDraft {
    neighbor: Option<IpAddr>,
    neighbor_refused: bool,
    source: Option<IpAddr>,
    min_rx: Option<Duration>,
    min_tx: Option<Duration>,
    idle_tx: Option<Duration>,
    multiplier: Option<u8>,
    passive: bool,
    ttl: Option<u8>,
    max_hops: Option<i16>,
    multihop: bool,
    weight: Option<Weight>,
    vrrp: bool,
    checker: bool,
}

impl BfdDraft {
    fn finish(self, ctx: &mut Context<'_>, name: &str, span: Span) -> Option<BfdInstance> {
        let Some(neighbor) = self.neighbor else {
            if !self.neighbor_refused {
                say_missing(ctx, span, "bfd_instance", name, "neighbor_ip");
            }
            return None;
        };
        if let Some(source) = self.source
            && source.is_ipv4() != neighbor.is_ipv4()
        {
            let message = format!("`source_ip` {source} cannot reach {neighbor}");
            ctx.say(Diagnostic::error(Code::Conflict, span, message));
            return None;
        }
        if self.multihop && self.max_hops.unwrap_or(0) == 0 {
            let message = format!("`bfd_instance {name}` takes no packet that a router passed on");
            ctx.say(
                Diagnostic::warning(Code::Contradiction, span, message)
                    .label("it is `multihop`, and `max_hops` is 0")
                    .hint("add `max_hops N`; 255: any number of routers".to_owned()),
            );
        }
        Some(BfdInstance {
            name: name.to_owned(),
            neighbor,
            source: self.source,
            min_rx: self.min_rx.unwrap_or(MIN_INTERVAL),
            min_tx: self.min_tx.unwrap_or(MIN_INTERVAL),
            idle_tx: self.idle_tx.unwrap_or(IDLE_INTERVAL),
            multiplier: self.multiplier.unwrap_or(5),
            passive: self.passive,
            ttl: self.ttl,
            max_hops: self.max_hops.unwrap_or(0),
            multihop: self.multihop,
            weight: self.weight.unwrap_or(Weight::Fault),
            for_vrrp: self.vrrp || !self.checker,
            for_checker: self.checker || !self.vrrp,
        })
    }
}

impl<'t> Draft<'t> for BfdDraft {
    fn apply(&mut self, ctx: &mut Context<'_>, line: &Line<'t>, value: Value) -> Handled {
        match line.row.name {
            "neighbor_ip" => self.neighbor = value.address(),
            "source_ip" => self.source = value.address(),
            "min_rx" => self.min_rx = value.seconds(),
            "min_tx" => self.min_tx = value.seconds(),
            "idle_tx" => self.idle_tx = value.seconds(),
            "multiplier" => self.multiplier = value.number(),
            "passive" => self.passive = true,
            "ttl" => self.ttl = value.number(),
            "max_hops" => self.max_hops = value.number(),
            "multihop" => self.multihop = value.is_true(),
            "weight" => self.weight = read_weight(ctx, line.args, line.row),
            "vrrp" => self.vrrp = true,
            "checker" => self.checker = true,
            _ => return Handled::No,
        }
        Handled::Yes
    }

    fn refused(&mut self, line: &Line<'t>) {
        self.neighbor_refused |= line.row.name == "neighbor_ip";
    }
}
