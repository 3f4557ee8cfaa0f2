//! `authentication` of an instance.

use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::model::Auth;
use crate::config::source::Span;
use crate::net::Family;
use crate::units::Version;

use super::context::{Context, Draft, Handled, Line};
use super::corrections;
use super::value::Value;

#[derive(Default)]
pub(super) struct AuthDraft {
    /// Where the block stands.
    pub(super) written: Option<Span>,
    kind: Option<(&'static str, Span)>,
    pass: Option<[u8; PASS_BYTES]>,
}

/// RFC 2338 section 5.3.10: the authentication data of a simple password.
const PASS_BYTES: usize = 8;

impl<'t> Draft<'t> for AuthDraft {
    fn apply(&mut self, ctx: &mut Context<'_>, line: &Line<'t>, value: Value) -> Handled {
        match (line.row.name, value) {
            ("auth_type", Value::Choice(kind)) => self.kind = Some((kind, line.span)),
            ("auth_pass", Value::Text(text)) => {
                let mut pass = [0; PASS_BYTES];
                for (byte, given) in pass.iter_mut().zip(text.bytes()) {
                    *byte = given;
                }
                self.pass = Some(pass);
                if text.len() > PASS_BYTES {
                    let span = line.args_span();
                    let message = format!("`auth_pass` is cut to its first {PASS_BYTES} bytes");
                    let mut cut = Diagnostic::warning(Code::Truncated, span, message)
                        .note("keepalived does the same: the wire has room for no more");
                    cut.edits.extend(corrections::behind(ctx, line, PASS_BYTES));
                    ctx.say(cut);
                }
            }
            _ => return Handled::No,
        }
        Handled::Yes
    }
}

impl AuthDraft {
    pub(super) fn finish(
        &self,
        ctx: &mut Context<'_>,
        name: &str,
        version: Version,
        family: Family,
    ) -> Option<Auth> {
        let written = self.written?;
        if version == Version::V3 || family == Family::V6 {
            let message = format!("`{name}` has no authentication: only version 2 over IPv4 has");
            ctx.say(
                Diagnostic::warning(Code::NoEffect, written, message)
                    .label("ignored, as in keepalived")
                    .hint("take `authentication` out".to_owned()),
            );
            return None;
        }
        let without = |ctx: &mut Context<'_>, what: &str| {
            let message = format!("`{name}` has no `{what}`: its adverts carry no password");
            ctx.say(
                Diagnostic::warning(Code::MissingKeyword, written, message)
                    .note("keepalived does the same")
                    .hint(format!("add `{what}` to `authentication`")),
            );
        };
        match (self.kind, self.pass) {
            (Some(("AH", _)), Some(pass)) => Some(Auth::Ah(pass)),
            (Some(_), Some(pass)) => Some(Auth::Pass(pass)),
            (Some(_), None) => {
                without(ctx, "auth_pass");
                None
            }
            (None, _) => {
                without(ctx, "auth_type");
                None
            }
        }
    }
}
