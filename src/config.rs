//! The configuration language: text in, a typed [`Config`] and diagnostics out.
//!
//! [`load`] reads a file and what it includes through [`Files`], so that nothing in here does IO.
//! `expand` puts in what variables, loops and includes stand for, `lexer` makes words with places,
//! `tree` makes blocks of them and loses nothing, `keywords` is the one table of what may stand where,
//! `lower` makes the [`Config`], `lint` looks at it as a whole. All problems come out of one run;
//! a configuration with an error is not used, no part of it.

pub mod command;
pub mod diagnostic;
mod expand;
pub mod fix;
pub mod glob;
mod include;
pub mod keywords;
pub mod lexer;
mod lint;
mod lower;
pub mod model;
pub mod pattern;
pub mod render;
mod scripts;
mod sequence;
pub mod source;
mod suggest;
pub mod tree;
mod variables;

pub use diagnostic::{Code, Diagnostic, Diagnostics, Edit, Severity};
pub use lint::compare;
pub use model::Config;
pub use render::Style;
pub use source::{Place, SourceMap, Span};
pub use suggest::nearest;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::net::InterfaceName;
use model::{ScriptUser, VirtualServerAddress};

/// The machine, as far as a configuration needs it.
pub trait Files {
    /// The bytes of a file.
    ///
    /// # Errors
    /// What the system says.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Whether `include` may take this file: it is a regular file and not executable, as keepalived
    /// wants it.
    fn exists(&self, path: &Path) -> bool;

    /// The files that [`Files::exists`] and whose path matches a pattern with wildcards
    /// ([`glob::matches`] for each component), sorted.
    ///
    /// # Errors
    /// What the system says.
    fn glob(&self, pattern: &Path) -> io::Result<Vec<PathBuf>>;

    /// A script that the configuration runs, to be looked at, if it is a regular file that can be read.
    fn script(&self, _path: &Path) -> Option<ScriptFile> {
        None
    }

    /// What keeps a program from being run by a user, or from being trusted.
    fn audit(&self, _program: &str, _user: Option<&ScriptUser>) -> Audit {
        Audit::default()
    }

    /// The same path from the root of the file system, for `${_PWD}`.
    fn absolute(&self, path: &Path) -> PathBuf {
        path.to_path_buf()
    }

    /// A variable of the environment, for `${_ENV NAME}`.
    fn variable(&self, _name: &str) -> Option<String> {
        None
    }
}

/// What is wrong with a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Why it cannot be run: it does not exist, or its user may not execute it.
    pub broken: Option<String>,
    /// Why somebody else than root may replace it although root runs it, and what to do.
    pub replaceable: Option<(String, String)>,
}

/// What can be known of a script without running it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScriptFile {
    /// Its first bytes, at most [`ScriptFile::HEAD_MAX`].
    pub head: Vec<u8>,
    /// Whether its mode lets everybody write.
    pub writable_by_all: bool,
}

impl ScriptFile {
    /// How much of a script is looked at, in bytes.
    pub const HEAD_MAX: u64 = 65_536;
}

/// Whose reading counts where the two differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compat {
    /// Slips whose meaning is plain are understood, each with a warning.
    #[default]
    Vipd,
    /// `--compat keepalived`: they are not.
    Keepalived,
}

/// How to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Whose reading counts.
    pub compat: Compat,
    /// `-i`, else the host name up to its first dot: lines `@id ...` count if it is `id`.
    pub config_id: String,
    /// What `${_RANDOM}` draws from where the file has no `random_seed`: the same seed gives the same
    /// numbers.
    pub random_seed: u64,
    /// `-e`: every file that an include names must be there, as with `includea`.
    pub every_file: bool,
    /// How much may be made.
    pub limits: Limits,
}

/// How much definitions and loops may make; beyond that the configuration is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Lines.
    pub lines: usize,
    /// Words and braces.
    pub words: usize,
    /// Bytes, below 4 GiB.
    pub bytes: usize,
}

impl Default for Limits {
    /// Enough for 65,000 instances of 30 lines each.
    fn default() -> Limits {
        Limits {
            lines: 2_000_000,
            words: 8_000_000,
            bytes: 128 << 20,
        }
    }
}

/// What came out.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration; `None` when it cannot be said what the text means. There may be refusals
    /// all the same ([`Loaded::has_errors`]): what is understood is not always what can be run.
    pub config: Option<Config>,
    /// Everything that is wrong, in the order of the text.
    pub diagnostics: Diagnostics,
    /// The files that were read.
    pub sources: SourceMap,
    /// Where in them things stood.
    pub origins: Origins,
}

impl Loaded {
    /// All diagnostics as text.
    pub fn render(&self, style: Style) -> String {
        render::render(&self.diagnostics, &self.sources, style)
    }

    /// Whether the configuration must not be run.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.has_errors()
    }
}

/// Where things were written, for errors that only show against the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// The name of each `vrrp_instance`.
    pub instances: BTreeMap<String, Span>,
    /// Each interface, where it is first named (`interface`, `dev`, `track_interface` ...).
    pub interfaces: BTreeMap<InterfaceName, Span>,
    /// The name of each `vrrp_script`.
    pub scripts: BTreeMap<String, Span>,
    /// The name of each `vrrp_sync_group`.
    pub sync_groups: BTreeMap<String, Span>,
    /// The name of each `track_file`.
    pub track_files: BTreeMap<String, Span>,
    /// The name of each `vrrp_track_process`.
    pub track_processes: BTreeMap<String, Span>,
    /// The name of each `bfd_instance`.
    pub bfd_instances: BTreeMap<String, Span>,
    /// The head of each `virtual_server`.
    pub virtual_servers: BTreeMap<VirtualServerAddress, Span>,
}

impl Origins {
    /// A mark stands where the first of its addresses does.
    fn know_mark(&mut self, marked: &model::MarkedAddresses) {
        let protocol = marked.protocol;
        let first = marked.endpoints.first();
        let first =
            first.map(|&endpoint| model::VirtualServerAddress::Endpoint { protocol, endpoint });
        if let Some(span) = first
            .and_then(|first| self.virtual_servers.get(&first))
            .copied()
        {
            self.virtual_servers.insert(marked.address(), span);
        }
    }

    /// Leads them back to what was typed.
    fn trace(&mut self, sources: &SourceMap) {
        let spans = self.instances.values_mut();
        let spans = spans.chain(self.interfaces.values_mut());
        let spans = spans.chain(self.scripts.values_mut());
        let spans = spans.chain(self.sync_groups.values_mut());
        let spans = spans.chain(self.track_files.values_mut());
        let spans = spans.chain(self.track_processes.values_mut());
        let spans = spans.chain(self.bfd_instances.values_mut());
        for span in spans.chain(self.virtual_servers.values_mut()) {
            *span = sources.typed(*span);
        }
    }
}

/// What a file says, before anybody looks what it means.
#[derive(Clone, Debug)]
pub struct Read {
    /// Its statements, included files in their places; `None` when there is nothing to go on with.
    pub tree: Option<tree::Tree>,
    /// The files that were read.
    pub sources: SourceMap,
    /// What is wrong so far.
    pub diagnostics: Diagnostics,
}

/// Reads a configuration without asking what it means.
pub fn read(root: &Path, files: &dyn Files, options: &Options) -> Read {
    read_with(include::Reader::new(files, options, false), root)
}

fn read_with(mut reader: include::Reader<'_>, root: &Path) -> Read {
    let tree = reader.root(root);
    Read {
        tree,
        sources: reader.sources,
        diagnostics: reader.diagnostics,
    }
}

/// Reads a configuration.
pub fn load(root: &Path, files: &dyn Files, options: &Options) -> Loaded {
    let Read {
        tree,
        sources,
        mut diagnostics,
    } = read_with(include::Reader::new(files, options, true), root);
    let mut config = None;
    let mut origins = Origins::default();
    if let Some(tree) = tree {
        let mut lowered = lower::lower(&tree, &sources, options, files, &mut diagnostics);
        origins = std::mem::take(&mut lowered.origins);
        if !diagnostics.is_broken() {
            lint::lint(&lowered.config, &origins, files, &mut diagnostics);
            scripts::disable(&mut lowered.config, &origins, files, &mut diagnostics);
        }
        config = Some(lowered.config);
    }
    origins.trace(&sources);
    diagnostics.trace(&sources);
    diagnostics.finish();
    Loaded {
        config: config.filter(|_| !diagnostics.is_broken()),
        diagnostics,
        sources,
        origins,
    }
}
