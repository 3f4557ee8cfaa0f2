//! `auth_hmac` of an instance.

use std::time::Duration;

use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::keywords::BlockKind;
use crate::config::model::{AntiReplay, AuthHmac, HmacMode};
use crate::config::tree::Statement;

use super::context::{Context, Draft, Handled, Line};
use super::value::Value;

#[derive(Default)]
pub(super) struct HmacDraft(AuthHmac);

/// Reads the block.
pub(super) fn read(ctx: &mut Context<'_>, statement: &Statement) -> AuthHmac {
    let mut draft = HmacDraft::default();
    ctx.read_block(BlockKind::AuthHmac, statement, &mut draft);
    draft.0
}

impl<'t> Draft<'t> for HmacDraft {
    fn apply(&mut self, ctx: &mut Context<'_>, line: &Line<'t>, value: Value) -> Handled {
        match (line.row.name, value) {
            ("key", _) => self.key(ctx, line),
            ("active_key", value) => self.0.active_key = value.number(),
            ("anti_replay", value) => {
                self.0.anti_replay = match value {
                    Value::Choice("monotonic") => AntiReplay::Monotonic,
                    _ => AntiReplay::Time,
                }
            }
            ("time_window", value) => {
                let whole = |window: Duration| Duration::from_secs(window.as_secs());
                self.0.time_window = value.seconds().map(whole);
            }
            ("mode", value) => {
                self.0.mode = match value {
                    Value::Choice("permissive") => HmacMode::Permissive,
                    Value::Choice("receive-only") => HmacMode::ReceiveOnly,
                    _ => HmacMode::Enforce,
                }
            }
            _ => return Handled::No,
        }
        Handled::Yes
    }
}

impl HmacDraft {
    fn key(&mut self, ctx: &mut Context<'_>, line: &Line<'_>) {
        let [number, key] = line.args else { return };
        let Some(id) = ctx.integer(number, 1, 255, line.row) else {
            return;
        };
        let text = ctx.text(key).into_owned();
        let id = u8::try_from(id).unwrap_or(u8::MAX);
        if self.0.keys.insert(id, text).is_some() {
            let message = format!("key {id} stands here twice");
            let span = line.args_span();
            ctx.say(Diagnostic::warning(Code::Duplicate, span, message).label("this one counts"));
        }
    }
}
