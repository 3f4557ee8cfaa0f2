//! What a person would want to hear before a failover teaches it: configurations that are understood, that
//! run, and that will not do what they were written for. Warnings only.
//!
//! Each check says what it can prove from the text; what the peer is told, what the kernel routes, and who
//! asks the servers is not known here. What is plain already while a line is read is said there.

mod instances;
mod pools;
mod routers;
mod scripts;
mod trackers;
mod writers;

pub use routers::compare;

use super::diagnostic::{Code, Diagnostic, Diagnostics};
use super::model::{Instance, Weight};
use super::{Config, Files, Origins};

/// Looks at a whole configuration, and through [`Files::script`] at what it runs.
pub(super) fn lint(
    config: &Config,
    origins: &Origins,
    files: &dyn Files,
    diagnostics: &mut Diagnostics,
) {
    instances::lint(config, origins, diagnostics);
    pools::lint(config, origins, diagnostics);
    scripts::lint(config, origins, files, diagnostics);
    trackers::lint(config, origins, diagnostics);
}

/// A warning that names no line of its own but the block it is about.
fn risk(span: Option<super::Span>, message: impl Into<String>) -> Diagnostic {
    Diagnostic::warning(Code::Risk, span, message)
}

/// What an instance tracks with a weight or as a fault, but for files, whose content counts.
fn weights(instance: &Instance) -> impl Iterator<Item = (&str, Weight)> {
    let scripts = instance.more.track_scripts.iter();
    let interfaces = instance.more.track_interfaces.iter();
    let processes = instance.more.track_processes.iter();
    let sessions = instance.more.track_bfds.iter();
    scripts
        .map(|t| (t.script.as_str(), t.weight))
        .chain(interfaces.map(|t| (t.interface.as_str(), t.weight)))
        .chain(processes.map(|t| (t.process.as_str(), t.weight)))
        .chain(sessions.map(|t| (t.session.as_str(), t.weight)))
}

#[cfg(test)]
mod tests;
