//! Trees to a typed [`Config`]: one file for each area, what they share in `context` and `value`.
//!
//! The rule for what is odd: where keepalived goes on with a definite meaning, vipd means the same and
//! says so in a warning; where keepalived would not run, where a value cannot be understood, or where
//! this version would do harm by leaving something out, it is an error.

mod addresses;
mod auth;
mod check;
mod context;
mod globals;
mod instance;
mod real_server;
mod script;
mod tracking;
mod value;
mod virtual_server;

use super::Options;
use super::Origins;
use super::diagnostic::{Code, Diagnostic, Diagnostics};
use super::keywords::BlockKind;
use super::model::Config;
use super::source::{SourceMap, Span};
use super::tree::{Statement, Tree};

use context::{Context, Draft, Handled, Line};
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
    diagnostics: &mut Diagnostics,
) -> Lowered {
    let mut ctx = Context::new(sources, options, diagnostics);
    let mut root = Root::default();
    ctx.read_items(BlockKind::Root, &tree.items, &mut root);

    let mut config = Config::default();
    let defaults = globals::lower(&mut ctx, &root.globals);
    config.globals = defaults.globals.clone();
    let scripts = script::lower(&mut ctx, &root.scripts);
    let mut instances = instance::Instances::new(&defaults, &scripts);
    for named in &root.instances {
        instances.lower(&mut ctx, named);
    }
    let (instances, used) = instances.finish();
    config.instances = instances;
    config.scripts = script::used(&mut ctx, scripts, &used);
    config.virtual_servers = virtual_server::lower(&mut ctx, &root.virtual_servers, &defaults);
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
}

impl<'t> Draft<'t> for Root<'t> {
    fn apply(&mut self, _: &mut Context<'_>, line: &Line<'t>, value: Value) -> Handled {
        let named = |value: Value| Named {
            name: value.text(),
            statement: line.statement,
        };
        match line.row.name {
            "global_defs" => self.globals.push(line.statement),
            "vrrp_script" => self.scripts.push(named(value)),
            "vrrp_instance" => self.instances.push(named(value)),
            "virtual_server" => self.virtual_servers.push(line.statement),
            _ => return Handled::No,
        }
        Handled::Yes
    }
}

#[cfg(test)]
mod tests;
