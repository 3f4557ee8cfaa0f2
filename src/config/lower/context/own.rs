//! Lines that begin with `@vipd`: keepalived drops them, and vipd's own keywords stand on them.

use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::keywords::{Keyword, Support};
use crate::config::source::Span;

use super::Context;

/// The line is of no use, and why was said.
pub(super) struct Said;

impl Context<'_> {
    /// The row of one of vipd's own keywords; `None`: it is a line as keepalived has them. `found`: the row of
    /// its word; `own`: whether it begins with `@vipd`.
    pub(super) fn own_row(
        &mut self,
        found: Option<&'static Keyword>,
        own: bool,
        word: &str,
        span: Span,
    ) -> Result<Option<&'static Keyword>, Said> {
        let row = found.filter(|row| row.support == Support::VipdOwn);
        match (own, row) {
            (true, Some(row)) => Ok(Some(row)),
            (false, None) => Ok(None),
            (true, None) => {
                self.unknown_own(span, word);
                Err(Said)
            }
            (false, Some(_)) => {
                let message = format!("`{word}` is a keyword of vipd's own");
                let problem = Diagnostic::warning(Code::UnknownKeyword, span, message);
                self.say(
                    problem
                        .label("the line is skipped: keepalived does not know it")
                        .hint(format!(
                            "write `@vipd {word}`, which keepalived passes over"
                        ))
                        .fix(span, format!("@vipd {word}")),
                );
                Err(Said)
            }
        }
    }
}
