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

pub use routers::compare;

use super::diagnostic::{Code, Diagnostic, Diagnostics};
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

#[cfg(test)]
mod tests;
