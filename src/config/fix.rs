//! Corrects what is certain: takes the edits of diagnostics, reads the corrected text again, and keeps an
//! edit only where nothing reads worse for it. Nothing is written here: new texts come out.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::diagnostic::{Code, Diagnostic, Edit, Severity};
use super::{Files, Loaded, Options, ScriptFile, load};

/// A file with its corrections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corrected {
    /// As it was named.
    pub path: PathBuf,
    /// What it holds.
    pub before: String,
    /// What it should hold.
    pub after: String,
    /// What was corrected, in the order of the text, in the words of the diagnostics.
    pub done: Vec<String>,
}

/// What came out.
#[derive(Clone, Debug)]
pub struct Fixed {
    /// The files that change; none when nothing is certain.
    pub files: Vec<Corrected>,
    /// The configuration as it reads with them.
    pub loaded: Loaded,
}

/// How often corrected text is corrected again: what was skipped with an unknown block may show more.
const ROUNDS_MAX: usize = 8;

/// Reads a configuration and corrects it.
pub fn fix(root: &Path, files: &dyn Files, options: &Options) -> Fixed {
    let mut texts = Texts::default();
    let mut loaded = load(root, files, options);
    for _ in 0..ROUNDS_MAX {
        let corrections = corrections(&loaded);
        // With problems that are not shown, nobody sees whether there are more of them afterwards.
        if corrections.is_empty() || hides_some(&loaded) {
            break;
        }
        let mut round = Round {
            root,
            files,
            options,
            loaded: &loaded,
            base: &texts,
            kept: Vec::new(),
            best: None,
        };
        round.keep(&corrections);
        let Some((better, reread)) = round.best else {
            break;
        };
        texts = better;
        loaded = reread;
    }
    Fixed {
        files: texts.0.into_values().collect(),
        loaded,
    }
}

/// The edits of a diagnostic that lie in files, rather than in what was made from them.
pub fn edits<'a>(diagnostic: &'a Diagnostic, loaded: &'a Loaded) -> impl Iterator<Item = &'a Edit> {
    let edits = diagnostic.edits.iter();
    edits.filter(|edit| loaded.sources.file(edit.span.file).is_some())
}

/// The corrected texts by path.
#[derive(Clone, Debug, Default)]
struct Texts(BTreeMap<PathBuf, Corrected>);

/// The edits of one diagnostic, which belong together.
#[derive(Clone, Debug)]
struct Correction {
    edits: BTreeSet<Piece>,
    message: String,
    key: Key,
}

/// An edit by path: a file that is included twice is one file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Piece {
    path: PathBuf,
    start: usize,
    end: usize,
    text: String,
}

impl Piece {
    fn overlaps(&self, other: &Piece) -> bool {
        let apart = self.end <= other.start || other.end <= self.start;
        let same_start = self.start == other.start;
        self.path == other.path && self != other && (!apart || same_start)
    }
}

/// What makes two diagnostics the same although lines moved.
type Key = (Severity, Code, String);

fn key(diagnostic: &Diagnostic) -> Key {
    let Diagnostic {
        severity,
        code,
        message,
        ..
    } = diagnostic;
    (*severity, *code, message.clone())
}

fn corrections(loaded: &Loaded) -> Vec<Correction> {
    let one = |diagnostic: &Diagnostic| {
        let pieces = edits(diagnostic, loaded).filter_map(|edit| {
            let path = loaded.sources.file(edit.span.file)?.path().to_path_buf();
            Some(Piece {
                path,
                start: edit.span.start as usize,
                end: edit.span.end as usize,
                text: edit.text.clone(),
            })
        });
        Correction {
            edits: pieces.collect(),
            message: diagnostic.message.clone(),
            key: key(diagnostic),
        }
    };
    let all = loaded.diagnostics.iter().map(one);
    all.filter(|correction| !correction.edits.is_empty())
        .collect()
}

fn hides_some(loaded: &Loaded) -> bool {
    loaded.diagnostics.iter().any(|d| d.code == Code::TooMany)
}

/// One reading and what is corrected in it.
struct Round<'a> {
    root: &'a Path,
    files: &'a dyn Files,
    options: &'a Options,
    loaded: &'a Loaded,
    base: &'a Texts,
    kept: Vec<Correction>,
    best: Option<(Texts, Loaded)>,
}

impl Round<'_> {
    /// Keeps all that make nothing worse; where some do, looks for them in the halves.
    fn keep(&mut self, candidates: &[Correction]) {
        let mut trial = self.kept.clone();
        for candidate in candidates {
            let mut pieces = trial.iter().flat_map(|kept| &kept.edits);
            if !pieces.any(|kept| candidate.edits.iter().any(|piece| piece.overlaps(kept))) {
                trial.push(candidate.clone());
            }
        }
        if trial.len() == self.kept.len() {
            return;
        }
        if let Some(texts) = self.base.with(&trial, self.loaded) {
            let overlay = Overlay {
                files: self.files,
                texts: &texts,
            };
            let reread = load(self.root, &overlay, self.options);
            if is_better(self.loaded, &reread, &trial) {
                self.kept = trial;
                self.best = Some((texts, reread));
                return;
            }
        }
        if candidates.len() > 1 {
            let (left, right) = candidates.split_at(candidates.len() / 2);
            self.keep(left);
            self.keep(right);
        }
    }
}

/// Whether each corrected problem is gone and nothing came that is worse than what was not read before.
fn is_better(before: &Loaded, after: &Loaded, corrected: &[Correction]) -> bool {
    if hides_some(after) {
        return false;
    }
    let mut allowed: BTreeMap<Key, usize> = BTreeMap::new();
    for diagnostic in &before.diagnostics {
        *allowed.entry(key(diagnostic)).or_default() += 1;
    }
    for correction in corrected {
        if let Some(count) = allowed.get_mut(&correction.key) {
            *count = count.saturating_sub(1);
        }
    }
    after.diagnostics.iter().all(|diagnostic| {
        let harmless = matches!(diagnostic.code, Code::NoEffect | Code::Risk | Code::Unused);
        let fixable = edits(diagnostic, after).next().is_some();
        let known = allowed.get_mut(&key(diagnostic)).is_some_and(|count| {
            let left = *count > 0;
            *count = count.saturating_sub(1);
            left
        });
        let warns = diagnostic.severity == Severity::Warning;
        known || (warns && (harmless || fixable))
    })
}

impl Texts {
    /// These with more corrections, which were found in `loaded`; `None` when one fits nowhere.
    fn with(&self, corrections: &[Correction], loaded: &Loaded) -> Option<Texts> {
        let mut texts = self.clone();
        let mut by_path: BTreeMap<&Path, BTreeMap<&Piece, &str>> = BTreeMap::new();
        for correction in corrections {
            for piece in &correction.edits {
                let pieces = by_path.entry(&piece.path).or_default();
                pieces.insert(piece, &correction.message);
            }
        }
        for (path, pieces) in by_path {
            let mut sources = loaded.sources.files();
            let text = sources.find(|file| file.path() == path)?.text();
            let entry = texts.0.entry(path.to_path_buf());
            let corrected = entry.or_insert_with(|| Corrected {
                path: path.to_path_buf(),
                before: text.to_owned(),
                after: String::new(),
                done: Vec::new(),
            });
            let (mut after, mut at) = (String::new(), 0);
            for (piece, message) in pieces {
                after.push_str(text.get(at..piece.start)?);
                after.push_str(&piece.text);
                at = piece.end;
                let line = 1 + text.get(..piece.start)?.matches('\n').count();
                let done = format!("{}:{line}: {message}", path.display());
                corrected.done.push(done);
            }
            after.push_str(text.get(at..)?);
            corrected.after = after;
        }
        Some(texts)
    }
}

/// The files with corrected texts in the place of those that have some.
struct Overlay<'a> {
    files: &'a dyn Files,
    texts: &'a Texts,
}

impl Files for Overlay<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match self.texts.0.get(path) {
            Some(corrected) => Ok(corrected.after.clone().into_bytes()),
            None => self.files.read(path),
        }
    }

    fn exists(&self, path: &Path) -> bool {
        self.files.exists(path)
    }

    fn glob(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        self.files.glob(pattern)
    }

    fn script(&self, path: &Path) -> Option<ScriptFile> {
        self.files.script(path)
    }

    fn absolute(&self, path: &Path) -> PathBuf {
        self.files.absolute(path)
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.files.variable(name)
    }
}

#[cfg(test)]
mod tests;
