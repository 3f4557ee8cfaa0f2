//! Lines into tokens, with everything replaced that stands for something else: `@id` lines,
//! definitions and their uses, `~SEQ` and `~LST`, included files (keepalived.conf(5), "Advanced
//! configuration").
//!
//! A line, and what follows a brace on it, is looked at from its start: a condition, a definition, a
//! loop, or words. Words that were typed as they are keep their place in the file; others stand in a
//! text of their own ([`super::source::expansion`]) that knows what was typed for them. What
//! definitions make of each other is bounded in depth, lines and bytes; beyond that all expanding ends
//! with an error, and nothing is applied.

mod define;
mod input;
mod repeat;
mod replace;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::diagnostic::{Code, Diagnostic};
use super::include::Reader;
use super::lexer::{
    self, Part, Token, TokenKind, is_blank_in, is_include, len_u32, line_counts, without_comment,
};
use super::source::expansion::{FrameId, Origin, Piece};
use super::source::{FileId, SourceFile, Span};
use super::tree::Tree;
use super::variables::{Definition, Definitions, Random, Text, Typed};
use super::{Compat, Options};
use define::{OpenDefinition, defined_name};
use input::{Fragment, Input, Taken};
use replace::Replaced;

/// How deep definitions and loops may stand in each other.
const DEPTH_MAX: usize = 32;

/// Longest line that variables may make, in bytes; keepalived's is 1022.
const LINE_BYTES_MAX: usize = 64 << 10;

/// Longest word that is looked at as a whole, in characters.
const WORD_CHARS_MAX: usize = 1024;

/// What files have in common.
pub(super) struct State {
    definitions: Definitions,
    random: Random,
    /// Lines that were made so far.
    lines: usize,
    /// Words and braces that were made so far.
    words: usize,
    /// Variables that were replaced so far, in all and on this line.
    replaced: usize,
    replaced_here: usize,
    /// Whether a bound was passed, which was said.
    pub(super) stopped: bool,
    said_own: bool,
    /// Names that stand for themselves, which was said.
    not_replaced: BTreeSet<Option<Span>>,
}

impl State {
    pub(super) fn new(options: &Options) -> State {
        State {
            definitions: Definitions::default(),
            random: Random::new(options.random_seed),
            lines: 0,
            words: 0,
            replaced: 0,
            replaced_here: 0,
            stopped: false,
            said_own: false,
            not_replaced: BTreeSet::new(),
        }
    }
}

/// The tokens of a file, and the trees that its include lines stand for, by the span of their keyword.
#[derive(Default)]
pub(super) struct Expanded {
    pub(super) tokens: Vec<Token>,
    pub(super) includes: BTreeMap<Span, Vec<Tree>>,
}

/// Bytes of text for each word or brace, the blanks before it included: at least so many in most files.
const BYTES_PER_TOKEN: usize = 6;

/// Reads one file; `frame` is where its include line stands.
pub(super) fn expand(
    reader: &mut Reader<'_>,
    file: FileId,
    path: &Path,
    frame: FrameId,
) -> Expanded {
    let text = reader.sources.file(file).map(SourceFile::shared_text);
    let Some(text) = text else {
        return Expanded::default();
    };
    let mut expander = Expander {
        reader,
        path,
        file,
        text: Arc::clone(&text),
        frame,
        done: Expanded {
            // A list that grows is copied, and takes twice as much memory.
            tokens: Vec::with_capacity(text.len() / BYTES_PER_TOKEN),
            ..Expanded::default()
        },
        here: Span::empty(file),
        continues: false,
        open: None,
    };
    let mut offset = 0usize;
    for line in text.split_inclusive('\n') {
        expander.typed_line(line.trim_end_matches('\n'), offset);
        offset += line.len();
    }
    expander.close_definition();
    expander.done
}

struct Expander<'r, 'a> {
    reader: &'r mut Reader<'a>,
    path: &'r Path,
    file: FileId,
    text: Arc<String>,
    frame: FrameId,
    done: Expanded,
    /// The line that is being read, as it was typed.
    here: Span,
    /// Whether that line ends with a backslash.
    continues: bool,
    open: Option<OpenDefinition>,
}

/// How far a line was read.
struct Line {
    /// Whether nothing came before.
    first: bool,
    own: bool,
    depth: usize,
    /// Definitions of which the first line stands at the end of this one.
    pending: Vec<(std::rc::Rc<Definition>, FrameId)>,
}

/// Whether something is left of a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    More,
    Done,
}

/// What is put together of a line up to its first brace.
#[derive(Default)]
struct Made {
    text: String,
    pieces: Vec<Piece>,
    /// Whether it differs from what was typed, or is not only typed once.
    changed: bool,
    quoted: bool,
}

impl Made {
    fn push(&mut self, taken: &Taken) {
        let copied = matches!(taken.origin, Origin::Copy(_));
        self.changed |= !copied || taken.frame != FrameId::FILE;
        self.pieces.push(Piece {
            start: len_u32(&self.text),
            origin: taken.origin,
            frame: taken.frame,
        });
        self.text.push_str(taken.as_str());
    }
}

impl Expander<'_, '_> {
    fn typed_line(&mut self, line: &str, offset: usize) {
        let at = u32::try_from(offset).unwrap_or(u32::MAX);
        let compat = self.reader.options.compat;
        let diagnostics = &mut self.reader.diagnostics;
        if self.reader.state.stopped || !line_counts(line, self.file, at, compat, diagnostics) {
            return;
        }
        if self.open.is_none() && self.frame == FrameId::FILE && is_plain(line) {
            self.lex(line, self.file, at, &Line::new(false, 0));
            return;
        }
        let counts = without_comment(line);
        let text = Text {
            buffer: Arc::clone(&self.text),
            start: offset,
            end: offset + counts.len(),
            typed: Typed::In(self.file),
        }
        .trimmed();
        self.continues = line.trim_end().ends_with('\\');
        if self.open.is_some() {
            self.continuation(line, text);
            return;
        }
        self.here = text.whole();
        let input = Input::new(Fragment::typed(text, self.frame));
        self.line(input, Line::new(false, 0));
    }

    /// A line, typed or made.
    fn line(&mut self, mut input: Input, mut line: Line) {
        self.reader.state.replaced_here = 0;
        if line.depth > 0 && !self.count_line() {
            return;
        }
        if line.depth > DEPTH_MAX {
            self.too_deep();
            return;
        }
        while !self.reader.state.stopped && self.step(&mut input, &mut line) == Rest::More {}
        for (definition, frame) in line.pending.into_iter().rev() {
            for text in definition.lines.iter().skip(1) {
                if self.reader.state.stopped {
                    return;
                }
                let input = Input::new(Fragment::typed(text.clone(), frame));
                self.line(input, Line::new(line.own, line.depth + 1));
            }
        }
    }

    /// Reads a line up to its next brace.
    fn step(&mut self, input: &mut Input, line: &mut Line) -> Rest {
        let compat = self.reader.options.compat;
        input.skip_while(|c| is_blank_in(compat, c));
        input.settle();
        match input.peek() {
            None => return Rest::Done,
            Some('@') => return self.condition(input, line),
            Some('~') => {
                let word: String = input.ahead().take(5).take_while(|&c| c != '(').collect();
                if word.starts_with("~SEQ") || word.starts_with("~LST") {
                    self.repeat(input, line);
                    return Rest::Done;
                }
            }
            Some('$') => {
                if let Some((name, chars)) = defined_name(input) {
                    self.define(input, name, chars);
                    return Rest::Done;
                }
                if self.replace(input, false, &mut line.pending) == Replaced::Yes {
                    return Rest::More;
                }
            }
            Some(_) => {}
        }
        self.words(input, line)
    }

    /// `@id`: the line counts if the config id is `id`; `@^id`: if it is not.
    fn condition(&mut self, input: &mut Input, line: &mut Line) -> Rest {
        let compat = self.reader.options.compat;
        let word: String = input
            .ahead()
            .take_while(|&c| !is_blank_in(compat, c))
            .take(WORD_CHARS_MAX)
            .collect();
        let chars = word.chars().count();
        let name = word.trim_start_matches('@');
        let id = self.reader.options.config_id.as_str();
        if name == "vipd" && compat == Compat::Vipd {
            if id == "vipd" && !self.reader.state.said_own {
                self.reader.state.said_own = true;
                let message = "the config id is `vipd`: keepalived would read `@vipd` lines too";
                let problem = Diagnostic::error(Code::Conflict, input.span(chars), message);
                self.say(
                    problem.hint("choose another config id with `-i`".to_owned()),
                    input,
                );
            }
            line.own = true;
            input.skip(chars);
            return Rest::More;
        }
        let (name, wanted) = match name.strip_prefix('^') {
            Some(name) => (name, false),
            None => (name, true),
        };
        // Without a config id, keepalived drops both kinds.
        if id.is_empty() || (name == id) != wanted {
            return Rest::Done;
        }
        input.skip(chars);
        Rest::More
    }

    /// Words, up to the next brace and with it.
    fn words(&mut self, input: &mut Input, line: &mut Line) -> Rest {
        let frame = input.frame();
        let start = input.typed_at();
        let head: String = input
            .ahead()
            .take_while(|c| c.is_alphabetic())
            .take(16)
            .collect();
        let splits = !is_include(&head);
        let mut made = Made {
            changed: start.is_none(),
            ..Made::default()
        };
        let mut rest = Rest::Done;
        while let Some(c) = input.peek().filter(|_| !self.reader.state.stopped) {
            match c {
                '#' | '!' if !made.quoted => break,
                '$' => {
                    self.variable(input, &mut made, line);
                    continue;
                }
                '"' => made.quoted = !made.quoted,
                '\\' if !made.quoted => {
                    input.take_one().iter().for_each(|taken| made.push(taken));
                    if !matches!(input.peek(), Some('#' | '!' | '\\')) {
                        continue;
                    }
                }
                '{' | '}' if !made.quoted && splits => rest = Rest::More,
                _ => {
                    let plain = |c| !matches!(c, '#' | '!' | '$' | '"' | '\\' | '{' | '}');
                    if plain(c) {
                        let taken = input.take_while(plain);
                        taken.iter().for_each(|taken| made.push(taken));
                        continue;
                    }
                }
            }
            input.take_one().iter().for_each(|taken| made.push(taken));
            if rest == Rest::More {
                break;
            }
        }
        let end = input.typed_at();
        let before = self.done.tokens.len();
        self.emit(made, start.zip(end), line);
        line.first = false;
        self.act(before, frame);
        rest
    }

    /// A `$` among words.
    fn variable(&mut self, input: &mut Input, made: &mut Made, line: &mut Line) {
        let literal = match self.replace(input, made.quoted, &mut line.pending) {
            Replaced::Yes => {
                made.changed = true;
                if made.text.len() > LINE_BYTES_MAX {
                    let message = format!("this makes a line longer than {LINE_BYTES_MAX} bytes");
                    self.stop(message);
                }
                return;
            }
            Replaced::No { chars } => chars,
        };
        for _ in 0..literal {
            input.take_one().iter().for_each(|taken| made.push(taken));
        }
    }

    /// Makes tokens. `typed`: where it stands in the file, if nothing was replaced.
    fn emit(&mut self, made: Made, typed: Option<(usize, usize)>, line: &Line) {
        if self.reader.state.stopped {
            return;
        }
        if let Some((start, end)) = typed.filter(|_| !made.changed) {
            let text = Arc::clone(&self.text);
            let offset = u32::try_from(start).unwrap_or(u32::MAX);
            self.lex(text.get(start..end).unwrap_or(""), self.file, offset, line);
            return;
        }
        let expansion = &mut self.reader.sources.expansion;
        let offset = expansion.push(&made.text, &made.pieces);
        if expansion.text().len() > self.reader.options.limits.bytes {
            let limit = self.reader.options.limits.bytes;
            self.stop(format!(
                "definitions and loops make more than {limit} bytes"
            ));
            return;
        }
        let before = self.done.tokens.len();
        self.lex(&made.text, FileId::EXPANSION, offset, line);
        let limit = self.reader.options.limits.words;
        self.reader.state.words += self.done.tokens.len().saturating_sub(before);
        if self.reader.state.words > limit {
            self.stop(format!(
                "definitions and loops make more than {limit} words"
            ));
        }
    }

    fn lex(&mut self, text: &str, file: FileId, offset: u32, line: &Line) {
        let part = Part {
            text,
            file,
            offset,
            first: line.first,
            own: line.own,
        };
        let compat = self.reader.options.compat;
        let (tokens, diagnostics) = (&mut self.done.tokens, &mut self.reader.diagnostics);
        lexer::lex_part(part, compat, tokens, diagnostics);
    }

    /// Does what the words from a token on ask the reader to do.
    fn act(&mut self, from: usize, frame: FrameId) {
        let mut words = self.done.tokens.get(from..).unwrap_or_default().iter();
        let Some(first) = words.next().filter(|token| token.kind == TokenKind::Word) else {
            return;
        };
        let file = self.file;
        let (key, next) = (first.span(file), words.next().map(|token| token.span(file)));
        let last = self
            .done
            .tokens
            .last()
            .map_or(key, |token| token.span(file));
        let keyword = self.reader.sources.text(key);
        if keyword == "random_seed" {
            let seed = next.map_or("", |span| self.reader.sources.text(span));
            if let Ok(seed) = seed.parse() {
                self.reader.state.random = Random::new(seed);
            }
        } else if keyword == "include_check" {
            let words = self.done.tokens.get(from + 1..).unwrap_or_default().iter();
            let words = words.take_while(|token| token.kind == TokenKind::Word);
            let words: Vec<Span> = words.map(|token| token.span(file)).collect();
            self.reader.include_check(&words);
        } else if is_include(keyword) {
            let trees = self
                .reader
                .include(key, next, key.to(last), self.path, frame);
            self.done.includes.insert(key, trees);
        }
    }

    /// Counts a line that was made; whether there may be more.
    fn count_line(&mut self) -> bool {
        let limit = self.reader.options.limits.lines;
        self.reader.state.lines += 1;
        if self.reader.state.lines > limit {
            self.stop(format!(
                "definitions and loops make more than {limit} lines"
            ));
        }
        !self.reader.state.stopped
    }

    fn too_deep(&mut self) {
        self.stop(format!(
            "definitions and loops stand in each other deeper than {DEPTH_MAX}"
        ));
    }

    /// Ends all expanding, with an error at the line that was typed.
    fn stop(&mut self, message: String) {
        if self.reader.state.stopped {
            return;
        }
        self.reader.state.stopped = true;
        self.reader.diagnostics.push(
            Diagnostic::error(Code::TooDeep, self.here, message)
                .note("nothing is read from here on")
                .hint(
                    "look for a definition that uses itself, or a loop without a sensible end"
                        .to_owned(),
                ),
        );
    }

    /// Says something about what comes next in the input.
    fn say(&mut self, diagnostic: Diagnostic, input: &Input) {
        let account = self.reader.sources.expansion.account_of(input.frame());
        self.reader.diagnostics.push(diagnostic.with(account));
    }
}

impl Line {
    fn new(own: bool, depth: usize) -> Line {
        Line {
            first: true,
            own,
            depth,
            pending: Vec::new(),
        }
    }
}

/// Whether nothing on a line can stand for something else.
fn is_plain(line: &str) -> bool {
    let bytes = line.as_bytes();
    // Asked of every line, of which few have one of these letters at all.
    let has = |word: &[u8], first: u8| {
        bytes
            .iter()
            .enumerate()
            .any(|(at, &byte)| byte == first && bytes[at..].starts_with(word))
    };
    !bytes.iter().any(|byte| matches!(byte, b'$' | b'~' | b'@'))
        && !has(b"include", b'i')
        && !has(b"random_seed", b'r')
}

#[cfg(test)]
mod tests;
