//! Words and braces with their places in the text. Everything else (blanks, comments, lines that do
//! not count) belongs to the word behind it, so that the pieces put together are the file again.
//!
//! It does not know keywords, except that braces on an `include` line are part of the file name, and
//! no variables: [`super::expand`] hands it what is left when those are replaced.
//!
//! The language is keepalived's (keepalived.conf(5)): words end at blanks; `#` and `!` begin a comment
//! anywhere outside double quotes unless a backslash stands before them; a brace outside quotes stands
//! for itself even in the middle of a word; quotes end on their line and know no escapes.

use nom::branch::alt;
use nom::bytes::complete::{tag, take_while, take_while1};
use nom::character::complete::{char, one_of};
use nom::combinator::{opt, recognize, rest, value};
use nom::multi::many1_count;
use nom::sequence::pair;
use nom::{IResult, Parser};

use super::Compat;
use super::diagnostic::{Code, Diagnostic, Diagnostics, Edit};
use super::source::{FileId, Span};

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

/// One word or brace. Of a large file there are hundreds of thousands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// Where it begins, in bytes.
    pub start: u32,
    /// One behind its last byte.
    pub end: u32,
    /// What it is.
    pub kind: TokenKind,
    /// Whether it was typed in the file that is read; otherwise definitions or loops made it.
    pub typed: bool,
    /// Whether it is the first on its line.
    pub first_on_line: bool,
    /// Whether its line began with `@vipd`.
    pub own: bool,
}

impl Token {
    /// Where it stands. `file`: the one that is read.
    pub fn span(&self, file: FileId) -> Span {
        Span {
            file: if self.typed { file } else { FileId::EXPANSION },
            start: self.start,
            end: self.end,
        }
    }
}

/// Longest line that keepalived reads, in bytes without the line end (MAXBUF is 1024).
const LINE_BYTES_MAX: usize = 1022;

/// A piece of one line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    pub(super) text: &'a str,
    /// Where it starts.
    pub(super) file: FileId,
    pub(super) offset: u32,
    /// Whether nothing of its line stands before it.
    pub(super) first: bool,
    /// Whether its line is for vipd alone.
    pub(super) own: bool,
}

/// Appends the tokens of a part. Nothing is refused: what is odd is said in `diagnostics`.
pub(super) fn lex_part(
    part: Part<'_>,
    compat: Compat,
    tokens: &mut Vec<Token>,
    diagnostics: &mut Diagnostics,
) {
    let mut lexer = Lexer {
        diagnostics,
        said_blank: None,
    };
    let mut input = part.text;
    let mut at = part.offset;
    let mut first = part.first;
    let mut braces = Braces::Split;
    let mut begins = true;
    while let Ok((remaining, piece)) = piece(input, compat, braces) {
        if remaining.len() == input.len() {
            break;
        }
        let start = at;
        let raw = &input[..input.len() - remaining.len()];
        at = at.saturating_add(len_u32(raw));
        input = remaining;
        let span = Span {
            file: part.file,
            start,
            end: at,
        };
        let kind = match piece {
            Piece::Blank => {
                lexer.check_blank(raw, span);
                continue;
            }
            Piece::Comment => continue,
            Piece::Token(kind) => kind,
        };
        if begins && is_include(raw) {
            braces = Braces::InWords;
        }
        lexer.check_word(kind, raw, span);
        tokens.push(Token {
            start: span.start,
            end: span.end,
            kind,
            typed: part.file != FileId::EXPANSION,
            first_on_line: first,
            own: part.own,
        });
        first = false;
        begins = matches!(kind, TokenKind::Open | TokenKind::Close);
    }
}

/// Says it when keepalived, and so vipd, does not read a line, or would not. Whether it counts.
pub(super) fn line_counts(
    line: &str,
    file: FileId,
    offset: u32,
    compat: Compat,
    diagnostics: &mut Diagnostics,
) -> bool {
    if let Some(nul) = line.find('\0') {
        let start = offset.saturating_add(u32::try_from(nul).unwrap_or(0));
        let span = Span {
            file,
            start,
            end: start.saturating_add(1),
        };
        let message = "a line with a NUL byte is not read";
        diagnostics.push(Diagnostic::warning(Code::InvalidText, span, message));
        return false;
    }
    if line.len() <= LINE_BYTES_MAX {
        return true;
    }
    let span = Span {
        file,
        start: offset,
        end: offset.saturating_add(1),
    };
    let message = format!("this line has {} bytes", line.len());
    let reads = compat == Compat::Vipd;
    diagnostics.push(
        Diagnostic::warning(Code::LongLine, span, message).note(match reads {
            true => "keepalived would ignore a line longer than 1022 bytes; vipd reads it",
            false => "keepalived ignores a line longer than 1022 bytes; so does vipd here",
        }),
    );
    reads
}

/// A line up to its comment.
pub(super) fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '#' | '!' if !quoted && !escaped => return &line[..at],
            _ => {}
        }
        escaped = c == '\\' && !escaped;
    }
    line
}

/// Whether a word begins a line that reads other files.
pub fn is_include(word: &str) -> bool {
    matches!(
        word,
        "include" | "includer" | "includem" | "includew" | "includeb" | "includea"
    )
}

struct Lexer<'a> {
    diagnostics: &'a mut Diagnostics,
    said_blank: Option<usize>,
}

impl Lexer<'_> {
    fn check_blank(&mut self, raw: &str, span: Span) {
        if raw.is_ascii() {
            return;
        }
        let odd = raw.chars().find(|&c| is_wide_blank(c));
        let Some(odd) = odd else {
            return;
        };
        let plain = raw.replace(is_wide_blank, " ");
        if let Some(index) = self.said_blank {
            // Once for each line, with all its corrections.
            if let Some(first) = self.diagnostics.get_mut(index) {
                first.edits.push(Edit { span, text: plain });
            }
            return;
        }
        self.said_blank = Some(self.diagnostics.len());
        let name = if odd == '\u{3000}' {
            "U+3000 (ideographic space)"
        } else {
            "U+00A0 (no-break space)"
        };
        self.diagnostics.push(
            Diagnostic::warning(Code::Slip, span, format!("{name} is taken as a blank"))
                .note("keepalived would take it for a part of the word")
                .hint("type a plain space".to_owned())
                .fix(span, plain),
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

    fn check_word(&mut self, kind: TokenKind, raw: &str, span: Span) {
        if kind == TokenKind::Quoted && (raw.len() < 2 || !raw.ends_with('"')) {
            self.unterminated(span);
        }
        if !raw.is_ascii() && raw.contains('\u{fffd}') {
            let message = "this is not UTF-8 text; the bytes are taken as U+FFFD";
            let odd = Diagnostic::warning(Code::InvalidText, span, message);
            self.diagnostics.push(odd);
        }
        if kind == TokenKind::Word && raw.contains('$') && raw.contains("${") {
            self.undefined(raw, span);
        }
    }

    /// `${...}` that nothing replaced: the braces would begin a block in keepalived.
    fn undefined(&mut self, raw: &str, span: Span) {
        let inside = raw.split_once("${").map_or("", |(_, rest)| rest);
        let inside = inside.split_once('}').map_or(inside, |(name, _)| name);
        let bytes = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let hint = match bytes(inside) {
            true => format!("define it in a line above: `${inside}=VALUE`"),
            false => "this looks like a template: write its value here".to_owned(),
        };
        let message = match bytes(inside) {
            true => format!("`${inside}` is not defined here"),
            false => format!("`${{{inside}}}` is no variable"),
        };
        self.diagnostics.push(
            Diagnostic::error(Code::UnknownName, span, message)
                .note("keepalived would take the braces for a block")
                .hint(hint),
        );
    }
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
    let blank = move |c: char| is_blank_in(compat, c);
    let plain = move |c: char| {
        !blank(c)
            && !matches!(c, '"' | '#' | '!' | '\\' | '$')
            && (braces == Braces::InWords || !matches!(c, '{' | '}'))
    };
    // What most of any file is: a word with nothing in it that has a meaning of its own.
    let whole = take_while1::<_, _, nom::error::Error<&str>>(plain)(input);
    if let Ok((remaining, _)) = whole
        && !remaining.starts_with(['\\', '$'])
    {
        return Ok((remaining, Piece::Token(TokenKind::Word)));
    }
    let inside = take_while1(move |c: char| !blank(c) && !matches!(c, '{' | '}' | '"' | '$'));
    let variable = recognize((tag("${"), inside, char('}')));
    let escaped = recognize(pair(char('\\'), one_of("#!\\")));
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

pub(super) fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\x0b' | '\x0c')
}

fn is_wide_blank(c: char) -> bool {
    matches!(c, '\u{3000}' | '\u{a0}')
}

/// Whether blanks are skipped here: wide ones are slips that are understood.
pub(super) fn is_blank_in(compat: Compat, c: char) -> bool {
    is_blank(c) || (compat == Compat::Vipd && is_wide_blank(c))
}

/// Lengths fit: [`super::source::FILE_BYTES_MAX`] bounds every text.
pub(super) fn len_u32(text: &str) -> u32 {
    u32::try_from(text.len()).unwrap_or(u32::MAX)
}

/// The tokens of a text without variables.
#[cfg(test)]
pub(crate) fn lex(
    text: &str,
    file: FileId,
    options: &super::Options,
    diagnostics: &mut Diagnostics,
) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let part = Part {
            text: line.trim_end_matches('\n'),
            file,
            offset,
            first: true,
            own: false,
        };
        if line_counts(part.text, file, offset, options.compat, diagnostics) {
            lex_part(part, options.compat, &mut tokens, diagnostics);
        }
        offset = offset.saturating_add(len_u32(line));
    }
    tokens
}

#[cfg(test)]
mod tests;
