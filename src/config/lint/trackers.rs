//! Trackers that nobody reads, and sync groups whose members pull apart.

use std::collections::BTreeSet;

use crate::config::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::config::model::{CheckerKind, FileWeight, Instance, SyncGroup, Weight};
use crate::config::source::Span;
use crate::config::{Config, Origins};

use super::risk;

pub(super) fn lint(config: &Config, origins: &Origins, diagnostics: &mut Diagnostics) {
    unused(config, origins, diagnostics);
    for group in &config.sync_groups {
        let span = origins.sync_groups.get(&group.name).copied();
        let is_member = |instance: &&Instance| group.members.contains(&instance.name);
        let members: Vec<&Instance> = config
            .instances
            .iter()
            .map(|instance| &**instance)
            .filter(is_member)
            .collect();
        priorities(group, &members, span, diagnostics);
        for member in members {
            let span = origins.instances.get(&member.name).copied();
            weights(group, member, span, diagnostics);
        }
    }
}

/// Definitions that nobody names.
fn unused(config: &Config, origins: &Origins, diagnostics: &mut Diagnostics) {
    let mut say = |block: &str, name: &str, span: Option<Span>| {
        let message = format!("nobody tracks `{block} {name}`");
        let diagnostic = Diagnostic::warning(Code::Unused, span, message);
        diagnostics.push(diagnostic.label("left out, as in keepalived"));
    };
    let (instances, groups) = (&config.instances, &config.sync_groups);
    let servers = config.virtual_servers.iter();
    let checkers = servers
        .flat_map(|server| &server.real_servers)
        .flat_map(|real| &real.checkers);
    let mut files: BTreeSet<&str> = BTreeSet::new();
    let mut sessions: BTreeSet<&str> = BTreeSet::new();
    for checker in checkers {
        match &checker.kind {
            CheckerKind::File(check) => drop(files.insert(check.track_file.as_str())),
            CheckerKind::Bfd(name) => drop(sessions.insert(name.as_str())),
            _ => {}
        }
    }
    let more = instances.iter().map(|instance| &instance.more);
    let tracked = more.clone().flat_map(|more| &more.track_files);
    let tracked = tracked.chain(groups.iter().flat_map(|group| &group.track_files));
    files.extend(tracked.map(|tracked| tracked.file.as_str()));
    let tracked = more.clone().flat_map(|more| &more.track_bfds);
    let tracked = tracked.chain(groups.iter().flat_map(|group| &group.track_bfds));
    sessions.extend(tracked.map(|tracked| tracked.session.as_str()));
    let tracked = more.flat_map(|more| &more.track_processes);
    let tracked = tracked.chain(groups.iter().flat_map(|group| &group.track_processes));
    let processes: BTreeSet<&str> = tracked.map(|tracked| tracked.process.as_str()).collect();
    for name in config.track_files.keys() {
        if !files.contains(name.as_str()) {
            say("track_file", name, origins.track_files.get(name).copied());
        }
    }
    for name in config.track_processes.keys() {
        if !processes.contains(name.as_str()) {
            let span = origins.track_processes.get(name).copied();
            say("vrrp_track_process", name, span);
        }
    }
    for name in config.bfd_instances.keys() {
        if !sessions.contains(name.as_str()) {
            say(
                "bfd_instance",
                name,
                origins.bfd_instances.get(name).copied(),
            );
        }
    }
}

/// Two routers would each want a part of the group.
fn priorities(
    group: &SyncGroup,
    members: &[&Instance],
    span: Option<Span>,
    diagnostics: &mut Diagnostics,
) {
    let Some((first, others)) = members.split_first() else {
        return;
    };
    let Some(other) = others.iter().find(|m| m.priority != first.priority) else {
        return;
    };
    let message = format!(
        "`{}` and `{}` of sync group `{}` have different priorities",
        first.name, other.name, group.name
    );
    diagnostics.push(
        risk(span, message)
            .label("the group is master only where each of them outranks its peer")
            .hint("give the members one priority".to_owned()),
    );
}

/// Weights that are not taken because of the group.
fn weights(
    group: &SyncGroup,
    member: &Instance,
    span: Option<Span>,
    diagnostics: &mut Diagnostics,
) {
    let settings = &group.settings;
    if settings.sync_group_tracking_weight || settings.global_tracking {
        return;
    }
    let weighted = |weight: Weight| matches!(weight, Weight::Priority { .. });
    let more = &member.more;
    let scripts = member
        .more
        .track_scripts
        .iter()
        .filter(|t| weighted(t.weight));
    let mut ignored: Vec<&str> = scripts.map(|t| t.script.as_str()).collect();
    let processes = more.track_processes.iter().filter(|t| weighted(t.weight));
    ignored.extend(processes.map(|t| t.process.as_str()));
    let sessions = more.track_bfds.iter().filter(|t| weighted(t.weight));
    ignored.extend(sessions.map(|t| t.session.as_str()));
    let mut faults: Vec<&str> = Vec::new();
    for tracked in &more.track_files {
        match tracked.weight {
            FileWeight::DEFAULT => faults.push(&tracked.file),
            FileWeight { factor: 0, .. } => {}
            _ => ignored.push(&tracked.file),
        }
    }
    let interfaces = member.more.track_interfaces.iter();
    let interfaces = interfaces.filter(|t| weighted(t.weight));
    faults.extend(interfaces.map(|t| t.interface.as_str()));
    let meant = [
        (ignored, "it is not tracked, as in keepalived"),
        (faults, "it counts as weight 0, a fault, as in keepalived"),
    ];
    for (names, label) in meant {
        for tracked in names {
            let message = format!(
                "`{}` is in sync group `{}`, which takes no weights: `{tracked}` has one",
                member.name, group.name
            );
            let hint = "track it in the group, or write `sync_group_tracking_weight` there";
            diagnostics.push(risk(span, message).label(label).hint(hint.to_owned()));
        }
    }
}
