//! The checkers that are neither TCP nor HTTP.

use std::time::Duration;

use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::keywords::BlockKind;
use crate::config::model::{
    CheckerKind, ConnectOptions, DnsCheck, FileCheck, FileWeight, MaskedByte, MiscCheck,
    ScriptUser, SmtpCheck, UdpCheck,
};
use crate::config::source::Span;
use crate::config::suggest::nearest;
use crate::net::Endpoint;

use super::ConnectWords;
use crate::config::lower::context::{Context, Draft, Handled, Line};
use crate::config::lower::tracking::read_file_weight;
use crate::config::lower::value::Value;

/// The port of SMTP (IANA), where the server has none of its own.
const SMTP_PORT: u16 = 25;

#[derive(Default)]
pub(super) struct SmtpDraft {
    helo_name: Option<String>,
    hosts: Vec<HostDraft>,
}

impl SmtpDraft {
    pub(super) fn apply(
        &mut self,
        ctx: &mut Context<'_>,
        line: &Line<'_>,
        value: Value,
    ) -> Handled {
        match line.row.name {
            "helo_name" => self.helo_name = Some(value.text()),
            "host" => {
                let mut host = HostDraft::default();
                ctx.read_block(BlockKind::SmtpHost, line.statement, &mut host);
                self.hosts.push(host);
            }
            _ => return Handled::No,
        }
        Handled::Yes
    }

    pub(super) fn finish(
        self,
        ctx: &mut Context<'_>,
        span: Span,
        connect: ConnectWords,
        server: Endpoint,
        timeout: Duration,
    ) -> Option<CheckerKind> {
        let server = match server.port {
            0 => Endpoint::new(server.addr, SMTP_PORT),
            _ => server,
        };
        let own = connect.finish(ctx, span, server, timeout)?;
        let mut hosts = Vec::new();
        for host in self.hosts {
            let timeout = host.connect_timeout.unwrap_or(timeout);
            hosts.push(host.connect.finish(ctx, span, own.destination, timeout)?);
        }
        if hosts.is_empty() {
            hosts.push(own);
        }
        Some(CheckerKind::Smtp(Box::new(SmtpCheck {
            hosts,
            helo_name: self.helo_name,
        })))
    }
}

/// `host` of `SMTP_CHECK`.
#[derive(Default)]
pub(in crate::config::lower) struct HostDraft {
    connect: ConnectWords,
    connect_timeout: Option<Duration>,
    log_all_failures: Option<bool>,
}

impl<'t> Draft<'t> for HostDraft {
    fn apply(&mut self, _: &mut Context<'_>, line: &Line<'t>, value: Value) -> Handled {
        match line.row.name {
            "connect_timeout" => self.connect_timeout = value.seconds(),
            "log_all_failures" => self.log_all_failures = Some(value.is_true()),
            name => return self.connect.apply(name, &value),
        }
        Handled::Yes
    }
}

#[derive(Default)]
pub(super) struct DnsDraft {
    record_type: Option<&'static str>,
    name: Option<String>,
}

impl DnsDraft {
    pub(super) fn apply(&mut self, line: &Line<'_>, value: Value) -> Handled {
        match (line.row.name, value) {
            ("type", Value::Choice(record_type)) => self.record_type = Some(record_type),
            ("name", Value::Text(name)) => self.name = Some(name),
            _ => return Handled::No,
        }
        Handled::Yes
    }

    pub(super) fn finish(self, connect: ConnectOptions) -> CheckerKind {
        // IANA, DNS parameters, resource record types.
        let record_type = match self.record_type {
            Some("A") => 1,
            Some("NS") => 2,
            Some("CNAME") => 5,
            Some("MX") => 15,
            Some("TXT") => 16,
            Some("AAAA") => 28,
            Some("RRSIG") => 46,
            Some("DNSKEY") => 48,
            _ => 6,
        };
        CheckerKind::Dns(Box::new(DnsCheck {
            connect,
            record_type,
            name: self.name.unwrap_or_else(|| ".".to_owned()),
        }))
    }
}

#[derive(Default)]
pub(super) struct MiscDraft {
    argv: Vec<String>,
    timeout: Option<Duration>,
    dynamic: bool,
    user: Option<ScriptUser>,
}

impl MiscDraft {
    pub(super) fn apply(
        &mut self,
        ctx: &mut Context<'_>,
        line: &Line<'_>,
        value: Value,
    ) -> Handled {
        match (line.row.name, value) {
            ("misc_path", Value::Command(command)) => self.argv = command.argv,
            ("misc_timeout", value) => self.timeout = value.seconds(),
            ("misc_dynamic", _) => self.dynamic = true,
            ("user", _) => self.user = ctx.user(line),
            _ => return Handled::No,
        }
        Handled::Yes
    }

    pub(super) fn finish(
        self,
        ctx: &mut Context<'_>,
        span: Span,
        delay_loop: Duration,
    ) -> Option<CheckerKind> {
        if self.argv.is_empty() {
            missing(ctx, span, "misc_path");
            return None;
        }
        Some(CheckerKind::Misc(Box::new(MiscCheck {
            argv: self.argv,
            timeout: self.timeout.unwrap_or(delay_loop),
            dynamic: self.dynamic,
            user: self.user,
        })))
    }
}

fn missing(ctx: &mut Context<'_>, span: Span, keyword: &str) {
    let check = ctx.raw(span);
    let message = format!("`{check}` has no `{keyword}`");
    ctx.say(
        Diagnostic::warning(Code::MissingKeyword, span, message)
            .label("left out, as in keepalived: the server counts as up")
            .hint(format!("add `{keyword}`")),
    );
}

/// A name that no block defines; the check is left out, as in keepalived.
fn undefined<'n>(
    ctx: &mut Context<'_>,
    span: Span,
    block: &str,
    name: &str,
    known: impl Iterator<Item = &'n str>,
) {
    let message = format!("no `{block} {name}` is defined");
    let near = nearest(name, known);
    ctx.say(
        Diagnostic::warning(Code::UnknownName, span, message)
            .label("the check is left out, as in keepalived: the server counts as up")
            .hint(near.map(|near| format!("did you mean `{near}`?"))),
    );
}

#[derive(Default)]
pub(super) struct BfdDraft {
    name: Option<(String, Span)>,
}

impl BfdDraft {
    pub(super) fn apply(&mut self, line: &Line<'_>, value: Value) -> Handled {
        if line.row.name != "name" {
            return Handled::No;
        }
        self.name = Some((value.text(), line.args_span()));
        Handled::Yes
    }

    pub(super) fn finish(self, ctx: &mut Context<'_>, span: Span) -> Option<CheckerKind> {
        let Some((name, span)) = self.name else {
            missing(ctx, span, "name");
            return None;
        };
        if !ctx.is_damaged() && !ctx.origins().bfd_instances.contains_key(&name) {
            let known = ctx.origins().bfd_instances.clone();
            let names = known.keys().map(String::as_str);
            undefined(ctx, span, "bfd_instance", &name, names);
            return None;
        }
        Some(CheckerKind::Bfd(name))
    }
}

#[derive(Default)]
pub(super) struct FileDraft {
    track_file: Option<(String, Span)>,
    weight: Option<FileWeight>,
}

impl FileDraft {
    pub(super) fn apply(
        &mut self,
        ctx: &mut Context<'_>,
        line: &Line<'_>,
        value: Value,
    ) -> Handled {
        match line.row.name {
            "track_file" => self.track_file = Some((value.text(), line.args_span())),
            "weight" => self.weight = read_file_weight(ctx, line.args, line.row, i32::MAX),
            _ => return Handled::No,
        }
        Handled::Yes
    }

    pub(super) fn finish(self, ctx: &mut Context<'_>, span: Span) -> Option<CheckerKind> {
        let Some((track_file, span)) = self.track_file else {
            missing(ctx, span, "track_file");
            return None;
        };
        if !ctx.is_damaged() && !ctx.origins().track_files.contains_key(&track_file) {
            let known = ctx.origins().track_files.clone();
            let names = known.keys().map(String::as_str);
            undefined(ctx, span, "track_file", &track_file, names);
            return None;
        }
        Some(CheckerKind::File(FileCheck {
            track_file,
            weight: self.weight,
        }))
    }
}

#[derive(Default)]
pub(super) struct UdpDraft {
    payload: Vec<u8>,
    require_reply: Option<Vec<MaskedByte>>,
    min_reply_length: Option<u16>,
    max_reply_length: Option<u16>,
}

impl UdpDraft {
    pub(super) fn apply(
        &mut self,
        ctx: &mut Context<'_>,
        line: &Line<'_>,
        value: Value,
    ) -> Handled {
        let not_hex = |ctx: &mut Context<'_>, text: &str| {
            let message = format!("`{text}` is not bytes in hexadecimal");
            let span = line.args_span();
            ctx.say(Diagnostic::error(Code::InvalidValue, span, message));
        };
        match (line.row.name, value) {
            ("payload", Value::Text(text)) => match hex(&text) {
                Some(bytes) => self.payload = bytes,
                None => not_hex(ctx, &text),
            },
            ("require_reply", Value::Text(text)) => match masked_hex(&text) {
                Some(bytes) => self.require_reply = Some(bytes),
                None => not_hex(ctx, &text),
            },
            ("require_reply", _) => self.require_reply = Some(Vec::new()),
            ("min_reply_length", value) => self.min_reply_length = value.number(),
            ("max_reply_length", value) => self.max_reply_length = value.number(),
            _ => return Handled::No,
        }
        Handled::Yes
    }

    pub(super) fn finish(
        self,
        ctx: &mut Context<'_>,
        span: Span,
        connect: ConnectOptions,
    ) -> Option<CheckerKind> {
        let min_reply_length = self.min_reply_length.unwrap_or(0);
        let max_reply_length = self.max_reply_length.unwrap_or(255);
        if min_reply_length > max_reply_length {
            let message = format!(
                "no answer is {min_reply_length} bytes at least and {max_reply_length} at most"
            );
            ctx.say(Diagnostic::error(Code::Conflict, span, message));
            return None;
        }
        Some(CheckerKind::Udp(Box::new(UdpCheck {
            connect,
            payload: self.payload,
            require_reply: self.require_reply,
            min_reply_length,
            max_reply_length,
        })))
    }
}

/// Pairs of hexadecimal digits.
pub(super) fn hex(text: &str) -> Option<Vec<u8>> {
    let bytes = masked_hex(text)?;
    let whole = bytes.iter().all(|byte| byte.mask == 0xff);
    whole.then(|| bytes.into_iter().map(|byte| byte.value).collect())
}

/// Pairs of hexadecimal digits, of which `X` stands for any.
fn masked_hex(text: &str) -> Option<Vec<MaskedByte>> {
    let digit = |byte: u8| match byte {
        b'x' | b'X' => Some((0, 0)),
        _ => {
            let value = char::from(byte).to_digit(16)?;
            Some((u8::try_from(value).ok()?, 0xf))
        }
    };
    let bytes = text.as_bytes().chunks(2).map(|pair| match pair {
        &[high, low] => {
            let ((high, high_mask), (low, low_mask)) = (digit(high)?, digit(low)?);
            Some(MaskedByte {
                value: high << 4 | low,
                mask: high_mask << 4 | low_mask,
            })
        }
        _ => None,
    });
    bytes.collect()
}
