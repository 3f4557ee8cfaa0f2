//! Reads the root file and every file it includes into trees.
//!
//! keepalived pastes text; here an included file is a tree of its own, so that a brace missing in it
//! is said in it. How deep and how often files include each other is bounded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::diagnostic::{Code, Diagnostic, Diagnostics, Severity};
use super::expand::{self, Expanded, State};
use super::glob::{expand_braces, has_wildcard};
use super::keywords::ROOT_BLOCKS;
use super::source::expansion::FrameId;
use super::source::{SourceMap, Span};
use super::tree::{Item, Statement, Tree};
use super::{Files, Options};

/// How deep files may include each other.
const INCLUDE_DEPTH_MAX: usize = 16;

/// How many files one configuration may have.
const FILES_MAX: usize = 10_000;

/// What must hold of the files that an include names (keepalived.conf(5)).
#[derive(Clone, Copy, PartialEq, Eq)]
struct Demands {
    /// `includer`: each can be read.
    read: bool,
    /// `includem`: there is one.
    found: bool,
    /// `includew`: a wildcard matches something.
    wildcard: bool,
    /// `includeb`: each alternative in braces matches something.
    brace: bool,
}

impl Demands {
    fn of(keyword: &str, every: bool) -> Demands {
        let all = every || keyword == "includea";
        Demands {
            read: all || keyword == "includer",
            found: all || keyword == "includem",
            wildcard: all || keyword == "includew",
            brace: all || keyword == "includeb",
        }
    }
}

/// Reads files into trees.
pub(super) struct Reader<'a> {
    pub(super) files: &'a dyn Files,
    pub(super) options: &'a Options,
    pub(super) sources: SourceMap,
    pub(super) diagnostics: Diagnostics,
    pub(super) state: State,
    /// Whether blocks may stay packed.
    packs: bool,
    /// The files that are being read, outermost first.
    open: Vec<PathBuf>,
    count: usize,
}

impl<'a> Reader<'a> {
    /// `packs`: whether blocks may stay packed.
    pub(super) fn new(files: &'a dyn Files, options: &'a Options, packs: bool) -> Reader<'a> {
        Reader {
            files,
            options,
            sources: SourceMap::default(),
            diagnostics: Diagnostics::default(),
            state: State::new(options),
            packs,
            open: Vec::new(),
            count: 0,
        }
    }

    /// The root file; `None` when it cannot be read or expands without bound, which was said.
    pub(super) fn root(&mut self, path: &Path) -> Option<Tree> {
        match self.read(path, FrameId::FILE) {
            Ok(tree) => Some(tree).filter(|_| !self.state.stopped),
            Err(why) => {
                let message = format!("read {}: {why}", path.display());
                self.diagnostics.push(
                    Diagnostic::error(Code::CannotRead, None, message)
                        .hint("name the configuration with `-f FILE`".to_owned()),
                );
                None
            }
        }
    }

    fn read(&mut self, path: &Path, frame: FrameId) -> Result<Tree, String> {
        let bytes = self.files.read(path).map_err(|e| e.to_string())?;
        let file = self
            .sources
            .add(path.to_path_buf(), bytes)
            .map_err(|e| e.to_string())?;
        self.open.push(path.to_path_buf());
        let Expanded {
            tokens,
            mut includes,
        } = expand::expand(self, file, path, frame);
        self.open.pop();
        // What was read up to a bound has braces that are open.
        let tokens = if self.state.stopped {
            Vec::new()
        } else {
            tokens
        };
        let mut tree = Tree::parse(
            file,
            tokens,
            &self.sources,
            // What is included is attached inside.
            match self.packs && includes.is_empty() {
                true => ROOT_BLOCKS,
                false => ROOT_BLOCKS.all_read(),
            },
            &mut self.diagnostics,
        );
        if !includes.is_empty() {
            attach(&mut tree.items, &mut includes);
        }
        Ok(tree)
    }

    /// Reads what an include line names. `keyword`, `word`, `whole`: its words, the second, all;
    /// `frame`: where it stands.
    pub(super) fn include(
        &mut self,
        keyword: Span,
        word: Option<Span>,
        whole: Span,
        from: &Path,
        frame: FrameId,
    ) -> Vec<Tree> {
        let demands = Demands::of(self.sources.text(keyword), self.options.every_file);
        let Some(at) = word else {
            let message = "`include` needs the name of a file";
            self.say(
                Severity::Error,
                Code::MissingValue,
                whole,
                message.to_owned(),
            );
            return Vec::new();
        };
        if self.open.len() >= INCLUDE_DEPTH_MAX {
            let message = format!("files include each other deeper than {INCLUDE_DEPTH_MAX}");
            self.say(Severity::Error, Code::TooDeep, at, message);
            return Vec::new();
        }
        let pattern = self.sources.text(at).trim_matches('"').to_owned();
        let mut trees = Vec::new();
        for path in self.matching(&pattern, demands, from, at) {
            trees.extend(self.include_one(&path, demands, at, frame));
        }
        trees
    }

    /// The files that a pattern names, in order.
    fn matching(&mut self, pattern: &str, demands: Demands, from: &Path, at: Span) -> Vec<PathBuf> {
        let base = from.parent().unwrap_or(Path::new(""));
        let alternatives = expand_braces(pattern);
        let braces = alternatives.len() > 1;
        let mut paths = Vec::new();
        for alternative in alternatives {
            let full = base.join(&alternative);
            let found = match has_wildcard(&alternative) {
                true => self.files.glob(&full).unwrap_or_default(),
                false if self.files.exists(&full) => vec![full],
                false => Vec::new(),
            };
            let wanted =
                (demands.wildcard && has_wildcard(&alternative)) || (demands.brace && braces);
            if found.is_empty() && wanted {
                let message = format!("no file matches `{alternative}`");
                self.say(Severity::Error, Code::CannotRead, at, message);
            }
            paths.extend(found);
        }
        if paths.is_empty() {
            let severity = match demands.found {
                true => Severity::Error,
                false => Severity::Warning,
            };
            let message = format!("no file matches `{pattern}`");
            self.say(severity, Code::CannotRead, at, message);
        }
        paths
    }

    fn include_one(
        &mut self,
        path: &Path,
        demands: Demands,
        at: Span,
        frame: FrameId,
    ) -> Option<Tree> {
        if self.open.iter().any(|open| open == path) {
            let message = format!("`{}` includes itself", path.display());
            self.say(Severity::Error, Code::TooDeep, at, message);
            return None;
        }
        self.count += 1;
        if self.count > FILES_MAX {
            if self.count == FILES_MAX + 1 {
                let message = format!("more than {FILES_MAX} files");
                self.say(Severity::Error, Code::TooDeep, at, message);
            }
            return None;
        }
        match self.read(path, frame) {
            Ok(tree) => Some(tree),
            Err(why) => {
                let severity = match demands.read {
                    true => Severity::Error,
                    false => Severity::Warning,
                };
                let message = format!("read {}: {why}", path.display());
                self.say(severity, Code::CannotRead, at, message);
                None
            }
        }
    }

    fn say(&mut self, severity: Severity, code: Code, span: Span, message: String) {
        self.diagnostics.push(match severity {
            Severity::Error => Diagnostic::error(code, span, message),
            Severity::Warning => Diagnostic::warning(code, span, message),
        });
    }
}

/// Puts the included trees where the include lines stand.
fn attach(items: &mut [Item], includes: &mut BTreeMap<Span, Vec<Tree>>) {
    for item in items {
        let Item::Statement(statement) = item else {
            continue;
        };
        if let Some(block) = &mut statement.block {
            attach(&mut block.items, includes);
            continue;
        }
        let first = statement.words.first();
        if let Some(trees) = first.and_then(|word| includes.remove(&word.span)) {
            let statement = Statement {
                words: std::mem::take(&mut statement.words),
                block: None,
                damaged: false,
            };
            *item = Item::Include(statement, trees.into());
        }
    }
}
