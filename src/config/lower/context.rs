//! What every area needs: texts of words and the walk through a block.

mod own;
mod unknown;

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::config::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::config::keywords::{self, Arguments, BlockKind, Body, Keyword, Support};
use crate::config::source::{SourceMap, Span};
use crate::config::tree::{Block, Item, Statement, Word};
use crate::config::{Compat, Files, Options, Origins};
use crate::net::{Family, InterfaceName};

use super::corrections::{self, Respelling};
use super::names::Names;

use super::value::Value;
use own::Said;

/// One line with a known keyword.
pub(super) struct Line<'t> {
    pub(super) row: &'static Keyword,
    pub(super) statement: &'t Statement,
    /// The keyword.
    pub(super) span: Span,
    /// The words behind it.
    pub(super) args: &'t [Word],
}

impl Line<'_> {
    /// The words behind the keyword, or the keyword when there are none.
    pub(super) fn args_span(&self) -> Span {
        match (self.args.first(), self.args.last()) {
            (Some(first), Some(last)) => first.span.to(last.span),
            _ => self.span,
        }
    }
}

/// Whether an area knew a row; a row that acts and is known nowhere is a hole in vipd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handled {
    Yes,
    No,
}

impl Handled {
    pub(super) fn of(known: bool) -> Handled {
        match known {
            true => Handled::Yes,
            false => Handled::No,
        }
    }
}

/// What a block is read into.
pub(super) trait Draft<'t> {
    /// Takes one keyword with its value.
    fn apply(&mut self, ctx: &mut Context<'_>, line: &Line<'t>, value: Value) -> Handled;

    /// Hears of a keyword whose value could not be used, which was said.
    fn refused(&mut self, _: &Line<'t>) {}

    /// Takes a block that stands under the wrong keyword, if its meaning is plain.
    fn take_stray_block(&mut self, _: &mut Context<'_>, _: &'t Block) -> Handled {
        Handled::No
    }
}

/// Something that is said once, with the number of places.
struct Notice {
    index: usize,
    more: usize,
}

pub(super) struct Context<'a> {
    sources: &'a SourceMap,
    options: &'a Options,
    diagnostics: &'a mut Diagnostics,
    origins: Origins,
    notices: BTreeMap<(Code, BlockKind, &'static str), Notice>,
    damaged: bool,
    respellings: Vec<Respelling>,
    names: Names<'a>,
    preferences: BTreeMap<Family, u32>,
}

impl<'a> Context<'a> {
    pub(super) fn new(
        sources: &'a SourceMap,
        options: &'a Options,
        files: &'a dyn Files,
        diagnostics: &'a mut Diagnostics,
    ) -> Context<'a> {
        Context {
            sources,
            options,
            diagnostics,
            origins: Origins::default(),
            notices: BTreeMap::new(),
            damaged: false,
            respellings: Vec::new(),
            names: Names::new(files),
            preferences: BTreeMap::new(),
        }
    }

    /// Names of routing tables and the like.
    pub(super) fn iproute_names(&mut self) -> &mut Names<'a> {
        &mut self.names
    }

    /// Where a rule stands that does not say so: 16384, and each further one of its family before it.
    pub(super) fn next_preference(&mut self, family: Family) -> u32 {
        let next = self.preferences.entry(family).or_insert(16384);
        std::mem::replace(next, next.saturating_sub(1))
    }

    /// Ends the work: counts what was said once.
    pub(super) fn finish(self) -> Origins {
        for notice in self.notices.values().filter(|n| n.more > 0) {
            if let Some(diagnostic) = self.diagnostics.get_mut(notice.index) {
                let times = notice.more;
                let places = if times == 1 { "place" } else { "places" };
                diagnostic
                    .notes
                    .push(format!("the same holds for {times} more {places}"));
            }
        }
        self.origins
    }

    pub(super) fn origins(&mut self) -> &mut Origins {
        &mut self.origins
    }

    /// Remembers where an interface is named.
    pub(super) fn saw_interface(&mut self, name: &InterfaceName, span: Span) {
        self.origins.interfaces.entry(name.clone()).or_insert(span);
    }

    /// Whether a part of the file was left out because its braces do not match.
    pub(super) fn is_damaged(&self) -> bool {
        self.damaged
    }

    /// Whether an error was said so far.
    pub(super) fn has_errors(&self) -> bool {
        self.diagnostics.has_errors()
    }

    pub(super) fn say(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Says something once for each keyword of a kind of block.
    fn say_once(&mut self, kind: BlockKind, name: &'static str, diagnostic: Diagnostic) {
        let key = (diagnostic.code, kind, name);
        if let Some(notice) = self.notices.get_mut(&key) {
            notice.more += 1;
            if let Some(first) = self.diagnostics.get_mut(notice.index) {
                first.edits.extend(diagnostic.edits);
            }
            return;
        }
        let index = self.diagnostics.len();
        self.diagnostics.push(diagnostic);
        self.notices.insert(key, Notice { index, more: 0 });
    }

    /// The text as it stands in the file.
    pub(super) fn raw(&self, span: Span) -> &'a str {
        self.sources.text(span)
    }

    /// The empty start of the line that holds the start of a span; `None` where no file does.
    pub(super) fn line_start(&self, span: Span) -> Option<Span> {
        let file = self.sources.file(span.file)?;
        let line = file.line_of(span.start);
        let start = u32::try_from(file.lines(line, line).start).ok()?;
        Some(Span {
            start,
            end: start,
            ..span
        })
    }

    /// What a word says: without its quotes, escaped comment signs as themselves.
    pub(super) fn text(&self, word: &Word) -> Cow<'a, str> {
        let raw = self.raw(word.span);
        if word.quoted {
            let inner = raw.strip_prefix('"').unwrap_or(raw);
            return Cow::Borrowed(inner.strip_suffix('"').unwrap_or(inner));
        }
        if raw.contains("\\#") || raw.contains("\\!") {
            return Cow::Owned(raw.replace("\\#", "#").replace("\\!", "!"));
        }
        Cow::Borrowed(raw)
    }

    /// Reads the keywords of a block into a draft.
    pub(super) fn read_block<'t>(
        &mut self,
        kind: BlockKind,
        statement: &'t Statement,
        draft: &mut dyn Draft<'t>,
    ) {
        if let Some(block) = &statement.block {
            self.read_items(kind, &block.items, draft);
        }
    }

    /// Reads keywords into a draft, included files as if they stood there.
    pub(super) fn read_items<'t>(
        &mut self,
        kind: BlockKind,
        items: &'t [Item],
        draft: &mut dyn Draft<'t>,
    ) {
        let outer = std::mem::take(&mut self.respellings);
        self.read_parts(kind, items, draft);
        let waiting = std::mem::replace(&mut self.respellings, outer);
        for misspelt in corrections::settle(self, kind, items, waiting) {
            if let Some(unknown) = self.diagnostics.get_mut(misspelt.index) {
                unknown.edits.push(misspelt.edit);
            }
        }
    }

    fn read_parts<'t>(&mut self, kind: BlockKind, items: &'t [Item], draft: &mut dyn Draft<'t>) {
        let mut orphans = None;
        for item in items {
            match item {
                Item::Stray(_) => {}
                Item::Include(_, trees) => {
                    for tree in trees {
                        self.read_parts(kind, &tree.items, draft);
                    }
                }
                Item::Statement(statement) if statement.damaged => self.damaged = true,
                Item::Statement(statement) => {
                    self.read_statement(kind, statement, draft, &mut orphans);
                }
            }
        }
    }

    /// `orphans`: the kind of a block whose `{` is missing, so that its keywords stand here.
    fn read_statement<'t>(
        &mut self,
        kind: BlockKind,
        statement: &'t Statement,
        draft: &mut dyn Draft<'t>,
        orphans: &mut Option<BlockKind>,
    ) {
        let Some((first, args)) = statement.words.split_first() else {
            return;
        };
        let span = first.span;
        let word = self.text(first);
        let found = keywords::find(kind, &word);
        let row = match self.own_row(found, first.own, &word, span) {
            Ok(Some(own)) => Some(own),
            Ok(None) => found.or_else(|| self.slip(kind, &word, span)),
            Err(Said) => return,
        };
        let Some(row) = row else {
            if !orphans.is_some_and(|inner| keywords::find(inner, &word).is_some()) {
                self.unknown(kind, statement, span, &word, draft);
            }
            return;
        };
        let line = Line {
            row,
            statement,
            span,
            args,
        };
        match (row.body, &statement.block) {
            (Body::None, Some(block)) => self.unexpected_block(&line, block, draft),
            (Body::Block(_) | Body::Lines, None) => {
                self.missing_block(&line);
                *orphans = match row.body {
                    Body::Block(inner) => Some(inner),
                    _ => *orphans,
                };
                return;
            }
            _ => {}
        }
        let value = self.value(&line);
        self.say_support(kind, &line);
        match value {
            None => draft.refused(&line),
            Some(_) if matches!(row.support, Support::NoEffect(_)) => {}
            Some(value) => {
                draft.apply(self, &line, value);
            }
        }
    }

    /// Whether the file is read as keepalived reads it.
    pub(super) fn compat(&self) -> Compat {
        self.options.compat
    }

    /// The row that a word of none must have meant: slips that are understood.
    fn slip(&mut self, kind: BlockKind, word: &str, span: Span) -> Option<&'static Keyword> {
        if self.options.compat == Compat::Keepalived {
            return None;
        }
        let (slip, meant) = match (kind, word) {
            (BlockKind::TcpCheck, "nb_get_retry") => ("nb_get_retry", "retry"),
            (BlockKind::VrrpInstance, "lvs_sync_daemon_inteface") => {
                ("lvs_sync_daemon_inteface", "lvs_sync_daemon_interface")
            }
            _ => return None,
        };
        let message = format!("`{slip}` is taken as `{meant}`");
        let slipped = Diagnostic::warning(Code::Slip, span, message)
            .note("keepalived would ignore the line: it does not know this keyword here")
            .hint(format!("write `{meant}`"))
            .fix(span, meant);
        self.say_once(kind, slip, slipped);
        keywords::find(kind, meant)
    }

    /// The lines of a block of values, included files as if they stood there.
    pub(super) fn lines<'t>(&mut self, statement: &'t Statement) -> Vec<&'t Statement> {
        let mut lines = Vec::new();
        if let Some(block) = &statement.block {
            self.collect_lines(&block.items, &mut lines);
        }
        lines
    }

    /// The words of such a block, each with its place: names that may share a line.
    pub(super) fn names(&mut self, statement: &Statement) -> Vec<(String, Span)> {
        let lines = self.lines(statement);
        let words = lines.iter().flat_map(|line| &line.words);
        words
            .map(|word| (self.text(word).into_owned(), word.span))
            .collect()
    }

    fn collect_lines<'t>(&mut self, items: &'t [Item], lines: &mut Vec<&'t Statement>) {
        for item in items {
            match item {
                Item::Stray(_) => {}
                Item::Include(_, trees) => {
                    for tree in trees {
                        self.collect_lines(&tree.items, lines);
                    }
                }
                Item::Statement(line) => match &line.block {
                    Some(block) => self.say(
                        Diagnostic::error(
                            Code::UnexpectedBlock,
                            block.open,
                            "a line of values takes no block",
                        )
                        .hint("close the block above first".to_owned()),
                    ),
                    None => match line.words.first() {
                        Some(first) if first.own => {
                            let word = self.text(first);
                            self.unknown_own(first.span, &word);
                        }
                        _ => lines.push(line),
                    },
                },
            }
        }
    }
}

/// Whether a row takes at least one word.
pub(super) fn wants_value(arguments: Arguments) -> bool {
    match arguments {
        Arguments::One(_) | Arguments::Command => true,
        Arguments::Words(min, _) => min > 0,
        Arguments::None | Arguments::Bool | Arguments::Optional(_) => false,
    }
}
