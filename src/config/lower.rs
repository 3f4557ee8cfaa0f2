//! Trees to a typed [`Config`]: one file for each area, what they share in `context` and `value`.
//!
//! The rule for what is odd: where keepalived goes on with a definite meaning, vipd means the same and
//! says so in a warning; where keepalived would not run, where a value cannot be understood, or where
//! this version would do harm by leaving something out, it is an error.

mod addresses;
mod adverts;
mod auth;
mod auth_hmac;
mod check;
mod connections;
mod context;
mod control;
mod corrections;
mod election;
mod forwarding;
mod globals;
mod group;
mod hop;
mod instance;
mod links;
mod names;
mod own_links;
mod real_server;
mod route;
mod rule;
mod script;
mod services;
mod strict;
mod sync_daemon;
mod sync_group;
mod token;
mod track;
mod tracking;
mod value;
mod virtual_server;
mod vmac;
mod writers;

use std::sync::Arc;

use super::Files;
use super::Options;
use super::Origins;
use super::diagnostic::{Code, Diagnostic, Diagnostics};
use super::keywords::BlockKind;
use super::model::settings::Setting;
use super::model::{Config, NodeSettings};
use super::source::{SourceMap, Span};
use super::tree::{Statement, Tree};

use context::{Context, Draft, Handled, Line};
use tracking::Trackable;
use value::Value;

/// What lowering makes.
pub(super) struct Lowered {
    pub(super) config: Config,
    pub(super) origins: Origins,
}

/// Lowers a configuration. What it makes means nothing when there was an error.
pub(super) fn lower(
    tree: &Tree,
    sources: &SourceMap,
    options: &Options,
    files: &dyn Files,
    diagnostics: &mut Diagnostics,
) -> Lowered {
    let mut ctx = Context::new(sources, options, files, diagnostics);
    let mut root = Root::default();
    ctx.read_items(BlockKind::Root, &tree.items, &mut root);

    let mut config = Config::default();
    let node = std::mem::take(&mut root.node);
    let defaults = globals::lower(&mut ctx, &root.globals, node);
    config.globals = defaults.globals.clone();
    let outputs = &config.globals.outputs;
    let (etc, usr) = (&outputs.iproute_etc_dir, &outputs.iproute_usr_dir);
    ctx.iproute_names()
        .set_directories(etc.as_deref(), usr.as_deref());
    let interface = config.globals.vrrp.default_interface.clone();
    config.statics = links::statics(&mut ctx, &root, interface);
    let scripts = script::lower(&mut ctx, &root.scripts);
    config.track_files = track::files(&mut ctx, &root.track_files);
    config.track_processes = track::processes(&mut ctx, &root.track_processes);
    config.bfd_instances = track::bfd(&mut ctx, &root.bfd_instances);
    // keepalived: a session for checks alone is none that an instance could track.
    let mut sessions = config.bfd_instances.clone();
    sessions.retain(|_, session| session.for_vrrp);
    let trackable = Trackable {
        scripts: &scripts,
        files: &config.track_files,
        processes: &config.track_processes,
        sessions: &sessions,
    };
    let mut instances = instance::Instances::new(&defaults, trackable);
    for named in &root.instances {
        instances.lower(&mut ctx, named);
    }
    let (mut instances, mut used) = instances.finish();
    config.own_links = own_links::assign(&mut ctx, &mut instances, &config.globals.vrrp);
    let syncs = config.globals.lvs_sync_daemon.take();
    config.globals.lvs_sync_daemon = sync_daemon::resolve(&mut ctx, syncs, &instances);
    // Not into the room of the old list: that is a hundred times as large.
    config.instances.reserve_exact(instances.len());
    config.instances.extend(instances.into_iter().map(Arc::new));
    config.sync_groups = sync_group::lower(&mut ctx, &root.sync_groups, trackable, &mut used);
    config.scripts = script::used(&mut ctx, scripts, &used);
    config.statics.track_groups = links::track_groups(&mut ctx, &root);
    config.links = links::lower(&mut ctx, &root);
    links::linkbeats(&mut ctx, &root, &mut config);
    links::bound_delays(&mut ctx, &mut config.links, &config.instances);
    config.ssl = links::ssl(&mut ctx, &root.ssl);
    let groups = group::lower(&mut ctx, &root.groups);
    config.virtual_servers =
        virtual_server::lower(&mut ctx, &root.virtual_servers, &groups, &defaults);
    config.mark_groups();
    let marked = config
        .virtual_servers
        .iter()
        .flat_map(|vs| vs.group.iter().flat_map(|g| &g.marked));
    for marked in marked {
        ctx.origins().know_mark(marked);
    }
    say_if_empty(&mut ctx, &config, &root);
    Lowered {
        config,
        origins: ctx.finish(),
    }
}

fn say_if_empty(ctx: &mut Context<'_>, config: &Config, root: &Root<'_>) {
    let written = !root.instances.is_empty() || !root.virtual_servers.is_empty();
    let runs = !config.instances.is_empty() || !config.virtual_servers.is_empty();
    if !runs && !written && !ctx.has_errors() {
        let message = "there is no `vrrp_instance` and no `virtual_server`: nothing would run";
        ctx.say(Diagnostic::warning(Code::EmptyConfig, None, message));
    }
}

/// A block with a name.
pub(super) struct Named<'t> {
    name: String,
    statement: &'t Statement,
}

impl Named<'_> {
    /// Keyword and name.
    fn span(&self) -> Option<Span> {
        self.statement.span()
    }
}

/// The blocks of the file, sorted by what they are.
#[derive(Default)]
struct Root<'t> {
    globals: Vec<&'t Statement>,
    scripts: Vec<Named<'t>>,
    instances: Vec<Named<'t>>,
    virtual_servers: Vec<&'t Statement>,
    groups: Vec<Named<'t>>,
    sync_groups: Vec<Named<'t>>,
    track_files: Vec<Named<'t>>,
    track_processes: Vec<Named<'t>>,
    bfd_instances: Vec<Named<'t>>,
    track_groups: Vec<Named<'t>>,
    static_addresses: Vec<&'t Statement>,
    static_routes: Vec<&'t Statement>,
    static_rules: Vec<&'t Statement>,
    garp_groups: Vec<&'t Statement>,
    linkbeats: Vec<&'t Statement>,
    up_down_delays: Vec<&'t Statement>,
    ssl: Vec<&'t Statement>,
    node: NodeSettings,
}

impl<'t> Draft<'t> for Root<'t> {
    fn apply(&mut self, ctx: &mut Context<'_>, line: &Line<'t>, value: Value) -> Handled {
        let setting = ctx.setting(line, &value);
        let named = |value: Value| Named {
            name: value.text(),
            statement: line.statement,
        };
        match line.row.name {
            "global_defs" => self.globals.push(line.statement),
            "vrrp_script" => self.scripts.push(named(value)),
            "vrrp_instance" => self.instances.push(named(value)),
            "virtual_server" => self.virtual_servers.push(line.statement),
            "virtual_server_group" => self.groups.push(named(value)),
            "vrrp_sync_group" => self.sync_groups.push(named(value)),
            "track_file" => self.track_files.push(named(value)),
            "vrrp_track_process" => self.track_processes.push(named(value)),
            "bfd_instance" => self.bfd_instances.push(named(value)),
            "track_group" => self.track_groups.push(named(value)),
            "static_ipaddress" => self.static_addresses.push(line.statement),
            "static_routes" => self.static_routes.push(line.statement),
            "static_rules" => self.static_rules.push(line.statement),
            "garp_group" => self.garp_groups.push(line.statement),
            "linkbeat_interfaces" => self.linkbeats.push(line.statement),
            "interface_up_down_delays" => self.up_down_delays.push(line.statement),
            "SSL" => self.ssl.push(line.statement),
            "net_namespace" | "net_namespace_ipvs" | "instance" if !is_file_name(&setting) => {
                let message = format!("`{}` is no name: it is part of a path", value.text());
                let span = line.args_span();
                ctx.say(Diagnostic::error(Code::InvalidValue, span, message));
            }
            name => return Handled::of(self.node.set(name, &setting)),
        }
        Handled::Yes
    }
}

/// Whether a name, where there is one, can be that of a file.
fn is_file_name(setting: &Setting) -> bool {
    match setting {
        Setting::Text(name) => !matches!(name.as_str(), "" | "." | "..") && !name.contains('/'),
        _ => true,
    }
}

#[cfg(test)]
mod tests;
