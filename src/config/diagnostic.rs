//! What is wrong with a configuration, as data: code, severity, place, message, what to do.
//!
//! Every problem of a file comes out of one run. How it looks is [`super::render`]'s business.

use std::collections::BTreeMap;
use std::fmt;

use super::source::expansion::{Account, REPEATED};
use super::source::{SourceMap, Span};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration is used; somebody should look.
    Warning,
    /// The configuration is not used, no part of it.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        })
    }
}

/// Which kind of problem, with a name that stays the same from release to release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// A file cannot be read.
    CannotRead,
    /// It is understood, and this version cannot run it and must not pretend to.
    CannotRun,
    /// Two things that cannot both be, such as one VRID twice on a link.
    Conflict,
    /// A keyword means nothing beside another one and is cleared.
    Contradiction,
    /// A name or address that was already taken.
    Duplicate,
    /// Nothing would run.
    EmptyConfig,
    /// A block that holds nothing.
    EmptyBlock,
    /// More words than the keyword takes.
    ExtraWords,
    /// A `}` that closes nothing.
    ExtraBrace,
    /// Bytes that are not text.
    InvalidText,
    /// A word that is not what its place wants.
    InvalidValue,
    /// A line that keepalived would not read for its length.
    LongLine,
    /// A `{` is missing or never closed.
    MissingBrace,
    /// A keyword without which the block means nothing.
    MissingKeyword,
    /// A keyword without its value.
    MissingValue,
    /// A keyword that has no effect.
    NoEffect,
    /// A number outside its range.
    OutOfRange,
    /// It runs, and most likely does not do what was meant.
    Risk,
    /// A program that cannot be run.
    Script,
    /// A program that root runs and others may replace.
    ScriptSecurity,
    /// A slip that vipd understands and keepalived does not.
    Slip,
    /// Blocks or includes nested too deep.
    TooDeep,
    /// More problems than are shown.
    TooMany,
    /// A value that was cut.
    Truncated,
    /// A block where none belongs.
    UnexpectedBlock,
    /// A keyword nobody knows.
    UnknownKeyword,
    /// A name that is defined nowhere.
    UnknownName,
    /// What this version does not understand.
    Unsupported,
    /// A quote that is never closed.
    UnterminatedQuote,
    /// A definition that nobody uses.
    Unused,
}

impl Code {
    /// The name that stands in brackets.
    pub const fn as_str(self) -> &'static str {
        match self {
            Code::CannotRead => "cannot-read",
            Code::CannotRun => "cannot-run",
            Code::Conflict => "conflict",
            Code::Contradiction => "contradiction",
            Code::Duplicate => "duplicate",
            Code::EmptyConfig => "empty-config",
            Code::EmptyBlock => "empty-block",
            Code::ExtraWords => "extra-words",
            Code::ExtraBrace => "extra-brace",
            Code::InvalidText => "invalid-text",
            Code::InvalidValue => "invalid-value",
            Code::LongLine => "long-line",
            Code::MissingBrace => "missing-brace",
            Code::MissingKeyword => "missing-keyword",
            Code::MissingValue => "missing-value",
            Code::NoEffect => "no-effect",
            Code::OutOfRange => "out-of-range",
            Code::Risk => "risk",
            Code::Script => "script",
            Code::ScriptSecurity => "script-security",
            Code::Slip => "slip",
            Code::TooDeep => "too-deep",
            Code::TooMany => "too-many",
            Code::Truncated => "truncated",
            Code::UnexpectedBlock => "unexpected-block",
            Code::UnknownKeyword => "unknown-keyword",
            Code::UnknownName => "unknown-name",
            Code::Unsupported => "unsupported",
            Code::UnterminatedQuote => "unterminated-quote",
            Code::Unused => "unused",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A piece of a file and what to put in its place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edit {
    /// What goes; empty where text is put in.
    pub span: Span,
    /// What comes.
    pub text: String,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Which kind.
    pub code: Code,
    /// How bad.
    pub severity: Severity,
    /// One line, lower case, no full stop.
    pub message: String,
    /// Where; `None` when it is nowhere in a file.
    pub span: Option<Span>,
    /// What to say below the marked text; may be empty.
    pub label: String,
    /// Other places that belong to it, each with what to say there.
    pub related: Vec<(Span, String)>,
    /// What else is worth knowing, for instance what keepalived would do.
    pub notes: Vec<String>,
    /// What to do.
    pub hint: Option<String>,
    /// The correction, where there is no doubt about it; else empty.
    pub edits: Vec<Edit>,
}

impl Diagnostic {
    /// An error.
    pub fn error(code: Code, span: impl Into<Option<Span>>, message: impl Into<String>) -> Self {
        Diagnostic::new(Severity::Error, code, span.into(), message.into())
    }

    /// A refusal: an error that keeps a configuration from being run, while what it means is known.
    pub fn refusal(span: impl Into<Option<Span>>, message: impl Into<String>) -> Self {
        Diagnostic::new(
            Severity::Error,
            Code::CannotRun,
            span.into(),
            message.into(),
        )
    }

    /// A warning.
    pub fn warning(code: Code, span: impl Into<Option<Span>>, message: impl Into<String>) -> Self {
        Diagnostic::new(Severity::Warning, code, span.into(), message.into())
    }

    fn new(severity: Severity, code: Code, span: Option<Span>, message: String) -> Self {
        Diagnostic {
            code,
            severity,
            message,
            span,
            label: String::new(),
            related: Vec::new(),
            notes: Vec::new(),
            hint: None,
            edits: Vec::new(),
        }
    }

    /// Says something below the marked text.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Adds another place.
    #[must_use]
    pub fn related(mut self, span: Span, label: impl Into<String>) -> Self {
        self.related.push((span, label.into()));
        self
    }

    /// Adds a note.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Adds how its place came to be.
    #[must_use]
    pub(super) fn with(mut self, account: Account) -> Self {
        for note in account.notes {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
        self.related.extend(account.related);
        self
    }

    /// Leads all its places back to what was typed, and says how they came to be.
    fn traced(mut self, sources: &SourceMap) -> Self {
        let Some(span) = self.span else {
            return self;
        };
        let account = sources.account(span);
        let typed = sources.typed(span);
        self = self.with(account);
        self.span = Some(typed);
        for (place, _) in &mut self.related {
            *place = sources.typed(*place);
        }
        let line = |span: Span| {
            let file = sources.file(span.file);
            file.map(|file| (span.file, file.line_of(span.start)))
        };
        let mut seen = vec![line(typed)];
        let marked = self.related.split_off(0);
        for (place, label) in marked {
            let around = place.start <= typed.start && typed.end <= place.end;
            let told = place.file == typed.file && around;
            let beside = label == REPEATED && seen.contains(&line(place));
            if !told && !beside {
                seen.push(line(place));
                self.related.push((place, label));
            }
        }
        self
    }

    /// Adds a part of the correction: for what is certain, never for a guess.
    #[must_use]
    pub fn fix(mut self, span: Span, text: impl Into<String>) -> Self {
        let text = text.into();
        self.edits.push(Edit { span, text });
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Option<String>>) -> Self {
        self.hint = hint.into();
        self
    }
}

/// How many problems are kept: a file of garbage must not cost memory without bound.
pub const DIAGNOSTICS_MAX: usize = 1000;

/// All problems of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    errors: usize,
    refusals: usize,
    dropped: usize,
}

impl Diagnostics {
    /// Takes one in; beyond [`DIAGNOSTICS_MAX`] it is only counted.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.errors += usize::from(diagnostic.severity == Severity::Error);
        self.refusals += usize::from(diagnostic.code == Code::CannotRun);
        if self.is_full() {
            self.dropped += 1;
        } else {
            self.list.push(diagnostic);
        }
    }

    /// Whether more of them will only be counted.
    pub fn is_full(&self) -> bool {
        self.list.len() >= DIAGNOSTICS_MAX
    }

    /// Whether the configuration must not be used.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Whether it cannot even be said what the configuration means: some error is no refusal.
    pub fn is_broken(&self) -> bool {
        self.errors > self.refusals
    }

    /// Number of errors that are refusals ([`Code::CannotRun`]).
    pub fn refusals(&self) -> usize {
        self.refusals
    }

    /// Number of errors, refusals among them.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// Those that are kept.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }

    /// Number of those that are kept.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Diagnostic> {
        self.list.get_mut(index)
    }

    /// Leads everything back to what was typed. What is wrong in the same way at the same place in
    /// several expansions is said of the first.
    pub(super) fn trace(&mut self, sources: &SourceMap) {
        let mut first: BTreeMap<(Span, Code, String), (usize, usize)> = BTreeMap::new();
        let list = std::mem::take(&mut self.list);
        for diagnostic in list {
            let made = diagnostic.span.filter(|span| sources.typed(*span) != *span);
            let traced = diagnostic.traced(sources);
            if let Some(span) = traced.span.filter(|_| made.is_some()) {
                let key = (span, traced.code, traced.message.clone());
                let (_, times) = first.entry(key).or_insert((self.list.len(), 0));
                *times += 1;
                if *times > 1 {
                    continue;
                }
            }
            self.list.push(traced);
        }
        for (index, times) in first.into_values().filter(|(_, times)| *times > 1) {
            if let Some(diagnostic) = self.list.get_mut(index) {
                let more = times - 1;
                let word = if more == 1 { "expansion" } else { "expansions" };
                let note = format!("the same holds in {more} more {word} of this line");
                diagnostic.notes.push(note);
            }
        }
    }

    /// Puts them in the order of the text and says how many were dropped.
    pub(super) fn finish(&mut self) {
        self.list.sort_by_key(|d| d.span);
        if self.dropped > 0 {
            let message = format!("{} more problems are not shown", self.dropped);
            self.list
                .push(Diagnostic::warning(Code::TooMany, None, message));
        }
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
