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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Demands {
    /// `includer`: each can be read.
    read: bool,
    /// `includem`: the one that is named is there.
    found: bool,
    /// `includew`: a wildcard matches something.
    wildcard: bool,
    /// `includeb`: each that is named by alternatives in braces is there.
    brace: bool,
}

impl Demands {
    const ALL: Demands = Demands {
        read: true,
        found: true,
        wildcard: true,
        brace: true,
    };

    /// `self` and what the keyword of the line adds. The others ask for what can be read, too.
    fn and(mut self, keyword: &str) -> Demands {
        match keyword {
            "includea" => return Demands::ALL,
            "includer" => self.read = true,
            "includem" => self.found = true,
            "includew" => self.wildcard = true,
            "includeb" => self.brace = true,
            _ => {}
        }
        self.read |= self.found || self.wildcard || self.brace;
        self
    }

    /// `include_check`: the words that count instead of those before, or that are added behind a `+` and
    /// taken away behind a `-`; none: all. With what it does not know.
    fn checked<'w>(self, words: &[&'w str]) -> (Demands, Vec<&'w str>) {
        let signed = |word: &&str| word.starts_with(['+', '-']);
        let mut demands = match words.first() {
            None => return (Demands::ALL, Vec::new()),
            Some(word) if signed(word) => self,
            Some(_) => Demands::default(),
        };
        let (mut wanted, mut unknown) = (true, Vec::new());
        for word in words {
            if signed(word) {
                wanted = word.starts_with('+');
            }
            match word.trim_start_matches(['+', '-']) {
                "" => {}
                // The manual and the parser of keepalived have a name each.
                "read" | "readable" => demands.read = wanted,
                "match" => demands.found = wanted,
                "wildcard_match" => demands.wildcard = wanted,
                "brace_match" => demands.brace = wanted,
                _ => unknown.push(*word),
            }
        }
        demands.read |= demands.found || demands.wildcard || demands.brace;
        (demands, unknown)
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
    /// `include_check`, in the file that is being read.
    demands: Demands,
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
            demands: match options.every_file {
                true => Demands::ALL,
                false => Demands::default(),
            },
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
        let demands = self.demands;
        let Expanded {
            tokens,
            mut includes,
        } = expand::expand(self, file, path, frame);
        // What a file asks for holds in it and in those that it includes.
        self.demands = demands;
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
        let demands = self.demands.and(self.sources.text(keyword));
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

    /// Heeds an `include_check` line with these words behind it.
    pub(super) fn include_check(&mut self, words: &[Span]) {
        if self.options.every_file {
            return;
        }
        let texts: Vec<&str> = words.iter().map(|word| self.sources.text(*word)).collect();
        let (demands, unknown) = self.demands.checked(&texts);
        let unknown: Vec<(Span, String)> = words
            .iter()
            .zip(&texts)
            .filter(|(_, text)| unknown.contains(text))
            .map(|(word, text)| {
                let known = "read, match, wildcard_match and brace_match";
                (
                    *word,
                    format!("`include_check` knows {known}, not `{text}`"),
                )
            })
            .collect();
        self.demands = demands;
        for (word, message) in unknown {
            self.say(Severity::Warning, Code::InvalidValue, word, message);
        }
    }

    /// The files that a pattern names, in order.
    fn matching(&mut self, pattern: &str, demands: Demands, from: &Path, at: Span) -> Vec<PathBuf> {
        let base = from.parent().unwrap_or(Path::new(""));
        let alternatives = expand_braces(pattern);
        let braces = alternatives.len() > 1;
        let (mut paths, mut said) = (Vec::new(), false);
        for alternative in alternatives {
            let full = base.join(&alternative);
            let found = match has_wildcard(&alternative) {
                true => self.files.glob(&full).unwrap_or_default(),
                false if self.files.exists(&full) => vec![full],
                false => Vec::new(),
            };
            let severity = match (has_wildcard(&alternative), braces) {
                (true, _) => demands.wildcard.then_some(Severity::Error),
                (false, true) if demands.brace => Some(Severity::Error),
                (false, false) if demands.found => Some(Severity::Error),
                (false, _) => Some(Severity::Warning),
            };
            if let Some(severity) = severity.filter(|_| found.is_empty()) {
                let message = format!("no file matches `{alternative}`");
                self.say(severity, Code::CannotRead, at, message);
                said = true;
            }
            paths.extend(found);
        }
        if paths.is_empty() && !said {
            let message = format!("no file matches `{pattern}`");
            self.say(Severity::Warning, Code::CannotRead, at, message);
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
