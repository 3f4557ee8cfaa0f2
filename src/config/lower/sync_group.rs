//! `vrrp_sync_group`.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::keywords::BlockKind;
use crate::config::model::{SyncGroup, SyncGroupSettings};
use crate::config::source::Span;
use crate::config::suggest::nearest;

use super::Named;
use super::context::{Context, Draft, Handled, Line};
use super::script::duplicate;
use super::tracking::{Trackable, Tracked};
use super::value::Value;

/// Reads every group. `used` gains the scripts that they track.
pub(super) fn lower(
    ctx: &mut Context<'_>,
    blocks: &[Named<'_>],
    known: Trackable<'_>,
    used: &mut BTreeSet<String>,
) -> Vec<SyncGroup> {
    let mut groups = Vec::new();
    let mut taken = BTreeMap::new();
    for block in blocks {
        let Some(span) = block.span() else { continue };
        if let Some(&first) = ctx.origins().sync_groups.get(&block.name) {
            ctx.say(duplicate("vrrp_sync_group", &block.name, span, first));
            continue;
        }
        ctx.origins().sync_groups.insert(block.name.clone(), span);
        let mut draft = GroupDraft::new(&block.name, known);
        ctx.read_block(BlockKind::SyncGroup, block.statement, &mut draft);
        used.extend(draft.tracked.scripts.iter().map(|t| t.script.clone()));
        groups.extend(draft.finish(ctx, span, &mut taken));
    }
    groups
}

pub(super) struct GroupDraft<'k> {
    name: String,
    known: Trackable<'k>,
    members: Vec<(String, Span)>,
    tracked: Tracked,
    settings: SyncGroupSettings,
}

impl<'k> GroupDraft<'k> {
    pub(super) fn new(name: &str, known: Trackable<'k>) -> GroupDraft<'k> {
        GroupDraft {
            name: name.to_owned(),
            known,
            members: Vec::new(),
            tracked: Tracked::default(),
            settings: SyncGroupSettings::default(),
        }
    }

    fn finish(
        self,
        ctx: &mut Context<'_>,
        span: Span,
        taken: &mut BTreeMap<String, (String, Span)>,
    ) -> Option<SyncGroup> {
        let name = self.name;
        let mut members = Vec::new();
        for (member, place) in self.members {
            let instances = &ctx.origins().instances;
            if !instances.contains_key(&member) {
                let near = nearest(&member, instances.keys().map(String::as_str));
                let near = near.map(|near| format!("did you mean `{near}`?"));
                if !ctx.is_damaged() {
                    let message = format!("no `vrrp_instance {member}` is defined");
                    ctx.say(
                        Diagnostic::warning(Code::UnknownName, place, message)
                            .label("left out of the group, as in keepalived")
                            .hint(near),
                    );
                }
                continue;
            }
            if let Some((other, first)) = taken.get(&member) {
                let message = format!("`{member}` is in `{other}` already");
                ctx.say(
                    Diagnostic::warning(Code::Duplicate, place, message)
                        .label("left out")
                        .related(*first, "first named here"),
                );
                continue;
            }
            taken.insert(member.clone(), (name.clone(), place));
            members.push(member);
        }
        if members.len() < 2 && !ctx.is_damaged() {
            let message = match members.len() {
                0 => format!("`{name}` has no member"),
                _ => format!("`{name}` has one member only: there is nothing to keep in step"),
            };
            ctx.say(Diagnostic::warning(Code::EmptyBlock, span, message));
        }
        (!members.is_empty()).then_some(SyncGroup {
            name,
            members,
            track_interfaces: self.tracked.interfaces,
            track_scripts: self.tracked.scripts,
            track_files: self.tracked.files,
            track_processes: self.tracked.processes,
            track_bfds: self.tracked.sessions,
            settings: self.settings,
        })
    }
}

impl<'t> Draft<'t> for GroupDraft<'_> {
    fn apply(&mut self, ctx: &mut Context<'_>, line: &Line<'t>, value: Value) -> Handled {
        let name = line.row.name;
        if name == "group" {
            self.members.extend(ctx.names(line.statement));
            return Handled::Yes;
        }
        if self.settings.set(name, &ctx.setting(line, &value)) {
            return Handled::Yes;
        }
        self.tracked.apply(ctx, line, &self.name, self.known)
    }
}
