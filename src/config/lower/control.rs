//! `@vipd` keywords about the control socket.

use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::model::ControlSettings;

use super::context::{Context, Line};

/// Takes one of them in.
pub(super) fn apply(
    settings: &mut ControlSettings,
    ctx: &mut Context<'_>,
    line: &Line<'_>,
    text: &str,
) {
    let wanted = match line.row.name {
        "control_group" => {
            settings.group = Some(text.to_owned());
            return;
        }
        "control_mode" => match u32::from_str_radix(text, 8) {
            Ok(mode) if mode <= 0o777 => {
                settings.mode = mode;
                return;
            }
            _ => "an octal mode from 0 to 0777",
        },
        _ => match text.parse() {
            Ok(address) => {
                settings.metrics_listen = Some(address);
                return;
            }
            Err(_) => "ADDRESS:PORT, as 127.0.0.1:9165 or [::1]:9165",
        },
    };
    let message = format!("`{}` is {wanted}, not `{text}`", line.row.name);
    ctx.say(Diagnostic::error(
        Code::InvalidValue,
        line.args_span(),
        message,
    ));
}
