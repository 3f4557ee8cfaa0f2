//! What is said of keywords that are unknown, misplaced, or not acted on.

use crate::config::Compat;
use crate::config::diagnostic::{Code, Diagnostic, Edit, Severity};
use crate::config::keywords::{self, BlockKind, Keyword, Support};
use crate::config::source::Span;
use crate::config::suggest::nearest;
use crate::config::tree::{Block, Statement};

use super::super::corrections::{self, Respelling};
use super::{Context, Draft, Handled, Line};

const CUTS_OFF: &str =
    "keepalived would end the enclosing block at this block's `}` and lose what follows";

impl Context<'_> {
    pub(super) fn unknown_own(&mut self, span: Span, word: &str) {
        let message = format!("this version has no keyword `@vipd {word}` here");
        self.say(
            Diagnostic::warning(Code::UnknownKeyword, span, message).label("the line is skipped"),
        );
    }

    pub(super) fn unknown<'t>(
        &mut self,
        kind: BlockKind,
        statement: &'t Statement,
        span: Span,
        word: &str,
        draft: &mut dyn Draft<'t>,
    ) {
        if let Some(block) = &statement.block
            && self.options.compat == Compat::Vipd
            && draft.take_stray_block(self, block) == Handled::Yes
        {
            let edit = corrections::stray_auth(self, statement, block, None);
            self.stray_auth(block, word, edit);
            return;
        }
        let place = kind.keyword().map(|k| format!(" in `{k}`"));
        let message = format!("unknown keyword `{word}`{}", place.unwrap_or_default());
        let label = match &statement.block {
            Some(_) => "not known here; skipped with its whole block",
            None => "not known here",
        };
        let nested_block = statement.block.is_some() && kind != BlockKind::Root;
        let severity = match self.options.compat {
            Compat::Keepalived if nested_block => Severity::Error,
            _ => Severity::Warning,
        };
        let mut unknown = match severity {
            Severity::Error => Diagnostic::error(Code::UnknownKeyword, span, message),
            Severity::Warning => Diagnostic::warning(Code::UnknownKeyword, span, message),
        }
        .label(label);
        if nested_block {
            unknown = unknown.note(CUTS_OFF);
        }
        if !self.diagnostics.is_full() {
            unknown = unknown.hint(unknown_hint(kind, statement, word));
            match corrections::respelt(kind, statement, word) {
                Some((meant, name)) => self.respellings.push(Respelling {
                    index: self.diagnostics.len(),
                    meant,
                    edit: Edit {
                        span,
                        text: name.to_owned(),
                    },
                }),
                None => unknown
                    .edits
                    .extend(corrections::title(kind, statement, |span| self.raw(span))),
            }
        }
        self.say(unknown);
    }

    fn stray_auth(&mut self, block: &Block, keyword: &str, edit: Option<Edit>) {
        let message = format!("the password stands in a block of `{keyword}`");
        let mut stray = Diagnostic::warning(Code::Slip, block.open, message)
            .label("taken as `authentication`")
            .note(CUTS_OFF)
            .hint("write `authentication` before this `{`, on a line of its own".to_owned());
        stray.edits.extend(edit);
        self.say(stray);
    }

    pub(super) fn unexpected_block<'t>(
        &mut self,
        line: &Line<'t>,
        block: &'t Block,
        draft: &mut dyn Draft<'t>,
    ) {
        let name = line.row.name;
        if self.options.compat == Compat::Vipd
            && draft.take_stray_block(self, block) == Handled::Yes
        {
            let edit = corrections::stray_auth(self, line.statement, block, Some(line.row));
            self.stray_auth(block, name, edit);
            return;
        }
        let message = format!("`{name}` takes no block");
        let span = block.open;
        self.say(match self.options.compat {
            Compat::Vipd => Diagnostic::warning(Code::UnexpectedBlock, span, message)
                .label("skipped up to its `}`")
                .note(CUTS_OFF),
            Compat::Keepalived => {
                Diagnostic::error(Code::UnexpectedBlock, span, message).note(CUTS_OFF)
            }
        });
    }

    pub(super) fn missing_block(&mut self, line: &Line<'_>) {
        let name = line.row.name;
        let message = format!("`{name}` needs a block in braces");
        self.say(
            Diagnostic::error(Code::MissingBrace, line.span, message)
                .label("no `{` follows")
                .hint("put a `{` behind it".to_owned()),
        );
    }

    pub(super) fn say_support(&mut self, kind: BlockKind, line: &Line<'_>) {
        let name = line.row.name;
        let said = self.raw(line.span);
        let diagnostic = match line.row.support {
            Support::Acts | Support::VipdOwn => return,
            Support::NoEffect(why) => Diagnostic::warning(
                Code::NoEffect,
                line.span,
                format!("`{said}` has no effect: {why}"),
            ),
            Support::Refused(why) => Diagnostic::refusal(
                line.span,
                format!("this version of vipd cannot run `{said}`: {why}"),
            ),
        };
        self.say_once(kind, name, diagnostic);
    }
}

/// What an unknown keyword most likely meant.
fn unknown_hint(kind: BlockKind, statement: &Statement, word: &str) -> Option<String> {
    let here = keywords::rows(kind).flat_map(Keyword::names);
    if let Some(near) = nearest(word, here) {
        return Some(format!("did you mean `{near}`?"));
    }
    if let Some(place) = keywords::blocks_of(word).next() {
        return Some(match place.keyword() {
            Some(block) => format!("`{word}` belongs in `{block}`"),
            None => format!("`{word}` stands outside all blocks"),
        });
    }
    let text = kind == BlockKind::Root && statement.words.len() > 1 && statement.block.is_none();
    text.then(|| "begin the line with `#` or `!` to make it a comment".to_owned())
}
