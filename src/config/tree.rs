//! Statements and blocks of a file. What stands between words belongs to the word behind it, so that
//! [`Tree::print`] gives the file back.
//!
//! Building never fails. Braces that do not match are said, each at the brace that was never closed,
//! and what they damage is marked so that nobody reads meaning into it.
//!
//! Large files are thousands of blocks of a few kinds, and each of them is looked at once: those are left as
//! tokens ([`Packed`]) until then. Otherwise their trees would be most of what reading a file takes.

mod packed;

use std::sync::Arc;

use super::diagnostic::{Code, Diagnostic, Diagnostics};
use super::lexer::{Token, TokenKind};
use super::source::{FileId, SourceMap, Span};

pub use packed::{Packed, Unpacker};

/// How deep blocks may be nested.
pub const DEPTH_MAX: usize = 32;

/// One file.
#[derive(Clone, Debug)]
pub struct Tree {
    /// Which.
    pub file: FileId,
    /// What stands in it outside all blocks.
    pub items: Box<[Item]>,
}

/// One piece of a block. Of a large file there are hundreds of thousands: nothing in it has room to spare.
#[derive(Clone, Debug)]
pub enum Item {
    /// A keyword with its words and perhaps a block.
    Statement(Statement),
    /// A statement that reads other files, and what they hold.
    Include(Statement, Box<[Tree]>),
    /// A brace that belongs to nothing.
    Stray(Span),
}

/// Words on one line, and the block behind them.
#[derive(Clone, Debug)]
pub struct Statement {
    /// Empty only before a block without a keyword.
    pub words: Box<[Word]>,
    /// `{ ... }`, also when the brace stands on the next line.
    pub block: Option<Box<Block>>,
    /// Whether a brace in it was never closed, so that nobody knows where it ends.
    pub damaged: bool,
}

/// A word.
#[derive(Clone, Debug)]
pub struct Word {
    /// Where it stands.
    pub span: Span,
    /// Whether it stands in double quotes.
    pub quoted: bool,
    /// Whether its line began with `@vipd`.
    pub own: bool,
}

/// What stands between two braces.
#[derive(Clone, Debug)]
pub struct Block {
    /// `{`.
    pub open: Span,
    /// What is inside; nothing while it is packed.
    pub items: Box<[Item]>,
    /// The same, as long as nobody has looked at it: see [`Statement::unpacked`].
    pub packed: Option<Box<Packed>>,
    /// `}`; `None` when it is missing.
    pub close: Option<Span>,
}

impl Statement {
    /// All its words, without the block.
    pub fn span(&self) -> Option<Span> {
        let first = self.words.first()?;
        let last = self.words.last()?;
        Some(first.span.to(last.span))
    }
}

/// The keywords that a file's structure depends on.
#[derive(Clone, Copy, Debug)]
pub struct RootBlocks {
    /// Begins a block outside all others, and only there: where braces do not balance, they show where the
    /// damage ends.
    pub begins: fn(&str) -> bool,
    /// Its block may stay packed.
    pub packs: fn(&str) -> bool,
}

impl RootBlocks {
    /// The same, with nothing packed.
    #[must_use]
    pub fn all_read(self) -> RootBlocks {
        RootBlocks {
            packs: |_| false,
            ..self
        }
    }
}

impl Tree {
    /// Builds the tree of a file.
    pub fn parse(
        file: FileId,
        tokens: Vec<Token>,
        sources: &SourceMap,
        root_blocks: RootBlocks,
        diagnostics: &mut Diagnostics,
    ) -> Tree {
        let tokens = Arc::new(tokens);
        if let Some(items) = packed::read(file, &tokens, sources, root_blocks.packs) {
            return Tree { file, items };
        }
        let mut builder = Builder::new(file, None);
        builder.read(&tokens);
        if !builder.stack.is_empty() {
            let unbalanced = Unbalanced {
                sources,
                begins_root_block: root_blocks.begins,
            };
            builder = Builder::new(file, Some(unbalanced));
            builder.read(&tokens);
        }
        let (items, problems) = builder.finish();
        for problem in problems {
            diagnostics.push(problem);
        }
        Tree { file, items }
    }

    /// The file again, without the files it includes.
    pub fn print(&self, sources: &SourceMap) -> String {
        let text = sources.file(self.file).map_or("", |f| f.text());
        let mut out = String::with_capacity(text.len());
        let mut end = 0;
        for_each_span(&self.items, &mut |span| {
            // What was not typed belongs to what was typed around it.
            if span.file != self.file {
                return;
            }
            out.push_str(text.get(end..span.end as usize).unwrap_or(""));
            end = span.end as usize;
        });
        out.push_str(text.get(end..).unwrap_or(""));
        out
    }
}

fn for_each_span(items: &[Item], see: &mut dyn FnMut(Span)) {
    for item in items {
        match item {
            Item::Stray(span) => see(*span),
            Item::Statement(statement) | Item::Include(statement, _) => {
                let statement = statement.unpacked(&mut Unpacker::default());
                for word in &statement.words {
                    see(word.span);
                }
                if let Some(block) = &statement.block {
                    see(block.open);
                    for_each_span(&block.items, see);
                    block.close.into_iter().for_each(&mut *see);
                }
            }
        }
    }
}

/// A block that is being read.
#[derive(Debug)]
struct Frame {
    head: Box<[Word]>,
    open: Span,
    /// Column of the line on which its keyword stands, when the keyword begins that line.
    indent: Option<usize>,
    /// Where its items begin among those of the builder.
    first: usize,
}

/// What shows where braces are missing.
struct Unbalanced<'a> {
    sources: &'a SourceMap,
    begins_root_block: fn(&str) -> bool,
}

struct Builder<'a> {
    file: FileId,
    /// Set when braces are known not to balance.
    unbalanced: Option<Unbalanced<'a>>,
    stack: Vec<Frame>,
    /// What was read of the blocks that are open, the outer ones' first.
    items: Vec<Item>,
    /// Words of the statement that is being read, which belongs to the innermost block.
    words: Vec<Word>,
    /// Column where its line begins.
    indent: Option<usize>,
    /// Blocks whose closing brace stands further left than the line that opened them: most likely it
    /// was meant for the block around them, and their own is missing.
    suspects: Vec<Span>,
    too_deep: usize,
    last: Option<TokenKind>,
    problems: Vec<Diagnostic>,
}

impl<'a> Builder<'a> {
    fn new(file: FileId, unbalanced: Option<Unbalanced<'a>>) -> Builder<'a> {
        Builder {
            file,
            unbalanced,
            stack: Vec::new(),
            items: Vec::new(),
            words: Vec::new(),
            indent: None,
            suspects: Vec::new(),
            too_deep: 0,
            last: None,
            problems: Vec::new(),
        }
    }

    fn read(&mut self, tokens: &[Token]) {
        for token in tokens {
            self.take(token);
        }
        self.flush();
    }

    fn take(&mut self, token: &Token) {
        let span = token.span(self.file);
        match token.kind {
            TokenKind::Word | TokenKind::Quoted => self.word(token, span),
            TokenKind::Open => self.open(span),
            TokenKind::Close => self.close(span, token.first_on_line),
        }
        self.last = Some(token.kind);
    }

    /// Ends the statement that is being read.
    fn flush(&mut self) {
        self.indent = None;
        if self.words.is_empty() {
            return;
        }
        let words = self.take_words();
        self.items.push(Item::Statement(Statement {
            words,
            block: None,
            damaged: false,
        }));
    }

    fn take_words(&mut self) -> Box<[Word]> {
        self.words.drain(..).collect()
    }

    fn word(&mut self, token: &Token, span: Span) {
        let begins = token.first_on_line
            || matches!(self.last, None | Some(TokenKind::Open | TokenKind::Close));
        if begins {
            self.flush();
            self.recover(span);
        }
        let column = match token.first_on_line {
            true => self.column(span),
            false => None,
        };
        if self.words.is_empty() {
            self.indent = column;
        }
        self.words.push(Word {
            span,
            quoted: token.kind == TokenKind::Quoted,
            own: token.own,
        });
    }

    fn open(&mut self, span: Span) {
        if self.stack.len() >= DEPTH_MAX {
            self.flush();
            if self.too_deep == 0 {
                let message = format!("blocks are nested deeper than {DEPTH_MAX}");
                self.problems
                    .push(Diagnostic::error(Code::TooDeep, span, message));
            }
            self.too_deep += 1;
            self.items.push(Item::Stray(span));
            return;
        }
        let indent = self.indent.take();
        let head = self.take_words();
        if head.is_empty() {
            self.problems.push(
                Diagnostic::error(Code::MissingKeyword, span, "a block without a keyword")
                    .label("nothing stands before this `{`")
                    .hint("say what the block is, or remove it".to_owned()),
            );
        }
        self.stack.push(Frame {
            head,
            open: span,
            indent,
            first: self.items.len(),
        });
    }

    fn close(&mut self, span: Span, first_on_line: bool) {
        self.flush();
        if self.too_deep > 0 {
            self.too_deep -= 1;
            self.items.push(Item::Stray(span));
            return;
        }
        let Some(frame) = self.stack.pop() else {
            self.problems.push(
                Diagnostic::error(Code::ExtraBrace, span, "this `}` closes nothing")
                    .label("no block is open here")
                    .hint("remove it, or look for a missing `{` above".to_owned()),
            );
            self.items.push(Item::Stray(span));
            return;
        };
        if first_on_line {
            let outdented = self
                .column(span)
                .zip(frame.indent)
                .is_some_and(|(c, h)| c < h);
            if outdented {
                self.suspects.push(frame.open);
            }
        }
        self.attach(frame, Some(span), false);
    }

    fn attach(&mut self, frame: Frame, close: Option<Span>, damaged: bool) {
        let items: Box<[Item]> = self.items.drain(frame.first..).collect();
        let damaged = damaged || items.iter().any(is_damaged);
        self.items.push(Item::Statement(Statement {
            words: frame.head,
            block: Some(Box::new(Block {
                open: frame.open,
                items,
                packed: None,
                close,
            })),
            damaged,
        }));
        // Everything inside it did close, however it is indented.
        if close.is_some() && self.stack.is_empty() {
            self.suspects.clear();
        }
    }

    /// A keyword that only stands outside all blocks shows that the open ones were never closed.
    fn recover(&mut self, span: Span) {
        let Some(unbalanced) = &self.unbalanced else {
            return;
        };
        let name = unbalanced.sources.text(span);
        let begins = || (unbalanced.begins_root_block)(name);
        if self.stack.is_empty() || self.too_deep > 0 || !begins() {
            return;
        }
        let label = format!("`{name}` begins inside it");
        self.unclosed(Some((span, label)));
    }

    /// Closes every open block, and says which brace was most likely forgotten.
    fn unclosed(&mut self, next: Option<(Span, String)>) {
        self.too_deep = 0;
        let innermost = self.stack.last().map(|frame| frame.open);
        let suspect = self.suspects.first().copied();
        let Some(open) = suspect.or(innermost) else {
            return;
        };
        self.suspects.clear();
        let mut problem = Diagnostic::error(Code::MissingBrace, open, "this `{` is never closed")
            .label("its `}` is missing")
            .note("keepalived would take what follows as a part of this block")
            .hint("add the missing `}`".to_owned());
        if let Some((span, label)) = next {
            problem = problem.related(span, label);
        }
        if suspect.is_none() {
            for outer in self.stack.iter().rev().skip(1) {
                problem = problem.related(outer.open, "nor is this one");
            }
        }
        self.problems.push(problem);
        while let Some(frame) = self.stack.pop() {
            self.attach(frame, None, true);
        }
    }

    /// Asked for only where braces do not balance.
    fn column(&self, span: Span) -> Option<usize> {
        let sources = self.unbalanced.as_ref()?.sources;
        sources.place(span).map(|place| place.column)
    }

    fn finish(mut self) -> (Box<[Item]>, Vec<Diagnostic>) {
        if !self.stack.is_empty() {
            self.unclosed(None);
        }
        self.flush();
        (self.items.into(), self.problems)
    }
}

fn is_damaged(item: &Item) -> bool {
    matches!(item, Item::Statement(statement) if statement.damaged)
}

#[cfg(test)]
mod tests;
