//! Words and braces with their places in the text. Everything else (blanks, comments, lines that do
//! not count) belongs to the word behind it, so that the pieces put together are the file again.
//!
//! It does not know keywords, except that braces on an `include` line are part of the file name.
//!
//! The language is keepalived's (keepalived.conf(5)): words end at blanks; `#` and `!` begin a comment
//! anywhere outside double quotes unless a backslash stands before them; a brace outside quotes stands
//! for itself even in the middle of a word, except in `${NAME}`; quotes end on their line and know no
//! escapes. Definitions and generated lines are not understood yet, which is said.

use nom::branch::alt;
use nom::bytes::complete::{tag, take_while, take_while1};
use nom::character::complete::{char, one_of};
use nom::combinator::{opt, recognize, rest, value};
use nom::multi::many1_count;
use nom::sequence::pair;
use nom::{IResult, Parser};

use super::diagnostic::{Code, Diagnostic, Diagnostics};
use super::source::{FileId, Span};
use super::{Compat, Options};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A bare word.
    Word,
    /// A word in double quotes; its span includes them.
    Quoted,
    /// `{`.
    Open,
    /// `}`.
    Close,
}

/// One word or brace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Where it stands.
    pub span: Span,
    /// Where the blanks and comments before it begin: the end of the token before.
    pub lead: u32,
    /// Whether it is the first on its line.
    pub first_on_line: bool,
    /// Whether its line began with `@vipd`.
    pub own: bool,
}

/// Longest line that keepalived reads, in bytes without the line end (MAXBUF is 1024).
const LINE_BYTES_MAX: usize = 1022;

/// The tokens of a text. Nothing is refused: what is odd is said in `diagnostics`.
pub fn lex(
    text: &str,
    file: FileId,
    options: &Options,
    diagnostics: &mut Diagnostics,
) -> Vec<Token> {
    let mut lexer = Lexer {
        file,
        options,
        diagnostics,
        tokens: Vec::new(),
        lead: 0,
    };
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        lexer.line(line.trim_end_matches('\n'), offset);
        offset = offset.saturating_add(len_u32(line));
    }
    lexer.tokens
}

/// Whether a word begins a line that reads other files.
pub fn is_include(word: &str) -> bool {
    matches!(
        word,
        "include" | "includer" | "includem" | "includew" | "includeb" | "includea"
    )
}

struct Lexer<'a> {
    file: FileId,
    options: &'a Options,
    diagnostics: &'a mut Diagnostics,
    tokens: Vec<Token>,
    /// End of the last token.
    lead: u32,
}

impl Lexer<'_> {
    fn line(&mut self, line: &str, offset: u32) {
        if !self.line_counts(line, offset) {
            return;
        }
        let mut input = line;
        let mut at = offset;
        let mut first = true;
        let mut own = false;
        let mut braces = Braces::Split;
        let mut said_blank = false;
        while let Ok((remaining, piece)) = piece(input, self.options.compat, braces) {
            if remaining.len() == input.len() {
                break;
            }
            let start = at;
            let raw = &input[..input.len() - remaining.len()];
            at = at.saturating_add(len_u32(raw));
            input = remaining;
            let span = Span {
                file: self.file,
                start,
                end: at,
            };
            match piece {
                Piece::Blank => self.check_blank(raw, span, &mut said_blank),
                Piece::Comment => {}
                Piece::Token(TokenKind::Word) if first && raw.starts_with('@') => {
                    match self.condition(raw, span) {
                        Condition::Drop => return,
                        Condition::Keep => {}
                        Condition::Own => own = true,
                    }
                }
                Piece::Token(TokenKind::Word) if first && is_preprocessor(raw) => {
                    self.unsupported_line(line, offset, raw);
                    return;
                }
                Piece::Token(kind) => {
                    if first && is_include(raw) {
                        braces = Braces::InWords;
                    }
                    if kind == TokenKind::Quoted && (raw.len() < 2 || !raw.ends_with('"')) {
                        self.unterminated(span);
                    }
                    self.check_variable(raw, span);
                    if raw.contains('\u{fffd}') {
                        let message = "this is not UTF-8 text; the bytes are taken as U+FFFD";
                        self.diagnostics.push(Diagnostic::warning(
                            Code::InvalidText,
                            span,
                            message,
                        ));
                    }
                    self.tokens.push(Token {
                        kind,
                        span,
                        lead: self.lead,
                        first_on_line: first,
                        own,
                    });
                    self.lead = at;
                    first = false;
                }
            }
        }
    }

    /// Whether keepalived, and so vipd, reads a line at all.
    fn line_counts(&mut self, line: &str, offset: u32) -> bool {
        let whole = Span {
            file: self.file,
            start: offset,
            end: offset.saturating_add(len_u32(line)),
        };
        if let Some(nul) = line.find('\0') {
            let start = offset.saturating_add(u32::try_from(nul).unwrap_or(0));
            let span = Span {
                start,
                end: start.saturating_add(1),
                ..whole
            };
            let message = "a line with a NUL byte is not read";
            self.diagnostics
                .push(Diagnostic::warning(Code::InvalidText, span, message));
            return false;
        }
        if line.len() <= LINE_BYTES_MAX {
            return true;
        }
        let span = Span {
            end: offset.saturating_add(1),
            ..whole
        };
        let message = format!("this line has {} bytes", line.len());
        let reads = self.options.compat == Compat::Vipd;
        self.diagnostics
            .push(
                Diagnostic::warning(Code::LongLine, span, message).note(match reads {
                    true => "keepalived would ignore a line longer than 1022 bytes; vipd reads it",
                    false => "keepalived ignores a line longer than 1022 bytes; so does vipd here",
                }),
            );
        reads
    }

    fn check_blank(&mut self, raw: &str, span: Span, said: &mut bool) {
        let odd = raw.chars().find(|&c| is_wide_blank(c));
        let Some(odd) = odd.filter(|_| !*said) else {
            return;
        };
        *said = true;
        let name = if odd == '\u{3000}' {
            "U+3000 (ideographic space)"
        } else {
            "U+00A0 (no-break space)"
        };
        self.diagnostics.push(
            Diagnostic::warning(Code::Slip, span, format!("{name} is taken as a blank"))
                .note("keepalived would take it for a part of the word")
                .hint("type a plain space".to_owned()),
        );
    }

    fn unterminated(&mut self, span: Span) {
        self.diagnostics.push(
            Diagnostic::error(Code::UnterminatedQuote, span, "this quote is never closed")
                .label("a quote ends on the line where it begins")
                .note("keepalived would cut the value, or crash if this is a script")
                .hint("close it with `\"` on the same line".to_owned()),
        );
    }

    fn unsupported_line(&mut self, line: &str, offset: u32, word: &str) {
        let (what, hint) = match word.starts_with('$') {
            true => ("definitions (`$NAME=value`)", "write the values out"),
            false => ("`~SEQ` and `~LST`", "write the lines out"),
        };
        let start = line.len() - line.trim_start().len();
        let start = offset.saturating_add(u32::try_from(start).unwrap_or(0));
        let span = Span {
            file: self.file,
            start,
            end: offset.saturating_add(len_u32(line.trim_end())),
        };
        let message = format!("{what} are not supported by this version");
        self.diagnostics
            .push(Diagnostic::error(Code::Unsupported, span, message).hint(hint.to_owned()));
    }

    /// A variable in a word: those that keepalived knows by itself, and braces that it would take for a
    /// block. Other words with a `$` stand for themselves, as undefined variables do there.
    fn check_variable(&mut self, word: &str, span: Span) {
        let Some((_, behind)) = word.split_once('$') else {
            return;
        };
        let name = behind.strip_prefix('{').unwrap_or(behind);
        let (code, message) = if PREDEFINED.iter().any(|known| name.starts_with(known)) {
            let message = "predefined variables are not supported by this version";
            (Code::Unsupported, message)
        } else if behind.starts_with('{') && !word.starts_with('"') {
            (Code::UnknownName, "this variable is not defined")
        } else {
            return;
        };
        self.diagnostics
            .push(Diagnostic::error(code, span, message).hint("write its value here".to_owned()));
    }

    /// `@id`: the line counts if the config id is `id`; `@^id`: if it is not.
    fn condition(&mut self, word: &str, span: Span) -> Condition {
        let name = word.trim_start_matches('@');
        let id = self.options.config_id.as_str();
        if name == "vipd" && self.options.compat == Compat::Vipd {
            if id == "vipd" {
                let message = "the config id is `vipd`: keepalived would read `@vipd` lines too";
                self.diagnostics.push(
                    Diagnostic::error(Code::Conflict, span, message)
                        .hint("choose another config id with `-i`".to_owned()),
                );
            }
            return Condition::Own;
        }
        let (name, wanted) = match name.strip_prefix('^') {
            Some(name) => (name, false),
            None => (name, true),
        };
        // Without a config id, keepalived drops both kinds.
        if !id.is_empty() && (name == id) == wanted {
            Condition::Keep
        } else {
            Condition::Drop
        }
    }
}

const PREDEFINED: [&str; 6] = ["_PWD", "_INSTANCE", "_RANDOM", "_ENV", "_HASH", "_BANG"];

/// Whether a line that begins with this word is for the preprocessor.
fn is_preprocessor(word: &str) -> bool {
    let defines = word
        .strip_prefix('$')
        .and_then(|rest| rest.split_once('='))
        .is_some_and(|(name, _)| is_name(name));
    defines || word.starts_with("~SEQ") || word.starts_with("~LST")
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

enum Condition {
    Keep,
    Drop,
    Own,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Braces {
    Split,
    InWords,
}

#[derive(Clone, Copy)]
enum Piece {
    Blank,
    Comment,
    Token(TokenKind),
}

fn piece(input: &str, compat: Compat, braces: Braces) -> IResult<&str, Piece> {
    let blank = move |c: char| is_blank(c) || (compat == Compat::Vipd && is_wide_blank(c));
    let plain = move |c: char| {
        !blank(c)
            && !matches!(c, '"' | '#' | '!' | '\\' | '$')
            && (braces == Braces::InWords || !matches!(c, '{' | '}'))
    };
    let name = take_while1(|c: char| c.is_ascii_alphanumeric() || c == '_');
    let variable = recognize((tag("${"), name, char('}')));
    let escaped = recognize(pair(char('\\'), one_of("#!")));
    let dollar = tag("$");
    let word = many1_count(alt((
        variable,
        escaped,
        dollar,
        tag("\\"),
        take_while1(plain),
    )));
    let quoted = (char('"'), take_while(|c| c != '"'), opt(char('"')));
    let comment = pair(one_of("#!"), rest);
    alt((
        value(Piece::Blank, take_while1(blank)),
        value(Piece::Token(TokenKind::Word), word),
        value(Piece::Token(TokenKind::Open), char('{')),
        value(Piece::Token(TokenKind::Close), char('}')),
        value(Piece::Token(TokenKind::Quoted), quoted),
        value(Piece::Comment, comment),
    ))
    .parse(input)
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\x0b' | '\x0c')
}

fn is_wide_blank(c: char) -> bool {
    matches!(c, '\u{3000}' | '\u{a0}')
}

/// Lengths fit: [`super::source::FILE_BYTES_MAX`] bounds every text.
fn len_u32(text: &str) -> u32 {
    u32::try_from(text.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
