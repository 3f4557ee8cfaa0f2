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
        name => match text.parse() {
            Ok(address) => {
                match name {
                    "page_listen" => settings.page_listen = Some(address),
                    _ => settings.metrics_listen = Some(address),
                }
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

/// Bits by the names that stat(2) has for them, without `S_`.
const BITS: [(&str, u32); 12] = [
    ("IRUSR", 0o400),
    ("IWUSR", 0o200),
    ("IXUSR", 0o100),
    ("IRWXU", 0o700),
    ("IRGRP", 0o040),
    ("IWGRP", 0o020),
    ("IXGRP", 0o010),
    ("IRWXG", 0o070),
    ("IROTH", 0o004),
    ("IWOTH", 0o002),
    ("IXOTH", 0o001),
    ("IRWXO", 0o007),
];

/// `umask 022` or `umask IWGRP | IWOTH`. A number is octal with a leading 0, as keepalived reads it.
pub(super) fn umask(ctx: &mut Context<'_>, line: &Line<'_>) -> Option<u32> {
    let words: Vec<String> = line
        .args
        .iter()
        .map(|word| ctx.text(word).into_owned())
        .collect();
    let text = words.join(" ");
    let number = match text.strip_prefix('0') {
        Some("") => Some(0),
        Some(octal) => u32::from_str_radix(octal, 8).ok(),
        None => text.parse().ok(),
    };
    let bit = |word: &str| {
        let name = word.trim().trim_start_matches("S_");
        BITS.iter()
            .find(|(known, _)| *known == name)
            .map(|(_, bit)| *bit)
    };
    let bits = || {
        text.split('|')
            .map(bit)
            .try_fold(0, |all, bit| Some(all | bit?))
    };
    let umask = number.or_else(bits).filter(|umask| *umask <= 0o777);
    if umask.is_none() {
        let message =
            format!("`umask` is a number up to 0777, or bits as IWGRP | IWOTH, not `{text}`");
        ctx.say(Diagnostic::warning(
            Code::InvalidValue,
            line.args_span(),
            message,
        ));
    }
    umask
}
