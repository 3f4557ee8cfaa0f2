//! `HTTP_GET` and `SSL_GET` with their `url` blocks.

use std::sync::Arc;

use crate::config::command;
use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::keywords::BlockKind;
use crate::config::model::{
    BackendTls, CheckerKind, ConnectOptions, HttpCheck, HttpMethod, HttpProtocol, HttpScheme,
    HttpUrl, Secret, ServerCertificate, TlsMode,
};
use crate::config::pattern::{Pattern, is_option};
use crate::config::source::Span;

use crate::config::lower::context::{Context, Draft, Handled, Line};
use crate::config::lower::value::Value;

use super::pattern;

pub(super) struct HttpDraft {
    scheme: HttpScheme,
    protocol: HttpProtocol,
    http2: bool,
    virtualhost: Option<String>,
    enable_sni: bool,
    sni_name: Option<String>,
    fast_recovery: bool,
    tls_compliant: bool,
    verify: bool,
    expiry_days: Option<u32>,
    ca: Option<String>,
    name: Option<String>,
    urls: Vec<HttpUrl>,
    urls_refused: bool,
}

impl HttpDraft {
    pub(super) fn new(scheme: HttpScheme) -> HttpDraft {
        HttpDraft {
            scheme,
            protocol: HttpProtocol::default(),
            http2: false,
            virtualhost: None,
            enable_sni: false,
            sni_name: None,
            fast_recovery: false,
            tls_compliant: false,
            verify: false,
            expiry_days: None,
            ca: None,
            name: None,
            urls: Vec::new(),
            urls_refused: false,
        }
    }

    pub(super) fn apply(
        &mut self,
        ctx: &mut Context<'_>,
        line: &Line<'_>,
        value: Value,
    ) -> Handled {
        match line.row.name {
            "url" => {
                let mut url = UrlDraft::default();
                ctx.read_block(BlockKind::Url, line.statement, &mut url);
                let url = url.finish(ctx, line.span);
                self.urls_refused |= url.is_none();
                self.urls.extend(url);
            }
            "virtualhost" => self.virtualhost = Some(value.text()),
            "http_protocol" => {
                self.protocol = match value {
                    Value::Choice("1.0C" | "1.0c") => HttpProtocol::V1_0Close,
                    Value::Choice("1.1") => HttpProtocol::V1_1,
                    _ => HttpProtocol::V1_0,
                }
            }
            "http2" => self.http2 = value.is_true(),
            "enable_sni" => self.enable_sni = value.is_true(),
            "sni_name" => self.sni_name = Some(value.text()),
            "fast_recovery" => self.fast_recovery = value.is_true(),
            "tls_compliant" => self.tls_compliant = value.is_true(),
            "tls_verify" => self.verify = value.is_true(),
            "tls_expiry_warning" => self.expiry_days = value.number(),
            "tls_ca" => self.ca = Some(value.text()),
            "tls_name" => self.name = Some(value.text()),
            _ => return Handled::No,
        }
        Handled::Yes
    }

    pub(super) fn finish(
        self,
        ctx: &mut Context<'_>,
        span: Span,
        connect: ConnectOptions,
        virtualhost: Option<&str>,
    ) -> Option<CheckerKind> {
        if self.urls.is_empty() {
            if !self.urls_refused {
                let message = "this check asks for no `url`";
                ctx.say(
                    Diagnostic::warning(Code::MissingKeyword, span, message)
                        .label("left out, as in keepalived: the server counts as up")
                        .hint("add `url { path / }`".to_owned()),
                );
            }
            return None;
        }
        if !self.verify && (self.ca.is_some() || self.name.is_some()) {
            let message = "`tls_ca` and `tls_name` do nothing: no certificate must be good";
            ctx.say(
                Diagnostic::warning(Code::Contradiction, span, message)
                    .hint("write `@vipd tls_verify`".to_owned()),
            );
        }
        let mode = match self.verify {
            true => TlsMode::Verify,
            false => TlsMode::On,
        };
        let certificate = (self.verify || self.expiry_days.is_some()).then(|| {
            Box::new(ServerCertificate {
                tls: BackendTls {
                    mode,
                    ca: self.ca,
                    name: self.name,
                },
                expiry_days: self.expiry_days,
            })
        });
        Some(CheckerKind::Http(Arc::new(HttpCheck {
            scheme: self.scheme,
            connect,
            protocol: match self.http2 {
                true => HttpProtocol::V2,
                false => self.protocol,
            },
            virtualhost: self.virtualhost.or(virtualhost.map(str::to_owned)),
            enable_sni: self.enable_sni,
            sni_name: self.sni_name,
            fast_recovery: self.fast_recovery,
            tls_compliant: self.tls_compliant,
            certificate,
            urls: self.urls.into(),
        })))
    }
}

#[derive(Default)]
pub(in crate::config::lower) struct UrlDraft {
    path: Option<String>,
    digest: Option<[u8; 16]>,
    status_codes: Vec<(u16, u16)>,
    virtualhost: Option<String>,
    regex: Option<String>,
    regex_no_match: bool,
    regex_options: Vec<String>,
    regex_min_offset: Option<u32>,
    regex_max_offset: Option<u32>,
    tls_compliant: Option<bool>,
    method: HttpMethod,
    headers: Vec<(String, Secret)>,
    regex_span: Option<Span>,
    pattern_refused: bool,
}

impl UrlDraft {
    fn finish(mut self, ctx: &mut Context<'_>, span: Span) -> Option<HttpUrl> {
        let Some(path) = self.path.take() else {
            let message = "this `url` has no `path`";
            ctx.say(
                Diagnostic::warning(Code::MissingKeyword, span, message)
                    .label("left out, as in keepalived")
                    .hint("add `path /`".to_owned()),
            );
            return None;
        };
        self.say_unused(ctx, span);
        if self.method == HttpMethod::Head && (self.digest.is_some() || self.regex.is_some()) {
            let message =
                "the answer to HEAD has no body: its `digest` and `regex` are those of nothing";
            ctx.say(Diagnostic::warning(Code::Contradiction, span, message));
        }
        let offsets = (self.regex_min_offset, self.regex_max_offset);
        let (regex_min_offset, regex_max_offset) = match offsets {
            (Some(min), Some(max)) if min > max => {
                let message =
                    format!("no match begins at {min} at the earliest and {max} at the latest");
                ctx.say(
                    Diagnostic::warning(Code::Conflict, span, message)
                        .label("both are ignored, as in keepalived"),
                );
                (None, None)
            }
            offsets => offsets,
        };
        Some(HttpUrl {
            path,
            digest: self.digest,
            status_codes: self.status_codes,
            virtualhost: self.virtualhost,
            regex: self.regex,
            regex_no_match: self.regex_no_match,
            regex_options: self.regex_options,
            regex_min_offset,
            regex_max_offset,
            tls_compliant: self.tls_compliant,
            method: self.method,
            headers: self.headers,
        })
    }

    /// Options of a pattern without one; and a pattern that cannot be searched for with its options.
    fn say_unused(&self, ctx: &mut Context<'_>, span: Span) {
        if self.regex.is_none() {
            let given = self.regex_no_match
                || !self.regex_options.is_empty()
                || self.regex_min_offset.is_some()
                || self.regex_max_offset.is_some();
            if given && !self.pattern_refused {
                let message = "this `url` says how to search, and has no `regex`";
                ctx.say(
                    Diagnostic::warning(Code::MissingKeyword, span, message)
                        .label("nothing is searched, as in keepalived"),
                );
            }
            return;
        }
        let Some(Err(why)) = self
            .regex
            .as_deref()
            .map(|regex| Pattern::new(regex, &self.regex_options))
        else {
            return;
        };
        let message = format!("this check cannot be run: its `regex` cannot be used, {why}");
        ctx.say(
            Diagnostic::refusal(self.regex_span.unwrap_or(span), message)
                .note("keepalived searches with PCRE; vipd with an engine that no answer can keep busy")
                .hint("write it without, or check with MISC_CHECK".to_owned()),
        );
    }

    /// `NAME VALUE`: one more line of the header.
    fn header(&mut self, ctx: &mut Context<'_>, line: &Line<'_>) {
        let Some((name, value)) = line.args.split_first() else {
            return;
        };
        let name = ctx.text(name).into_owned();
        let name = name.strip_suffix(':').unwrap_or(&name);
        let words: Vec<String> = value.iter().map(|w| ctx.text(w).into_owned()).collect();
        let value = words.join(" ");
        // RFC 9110 section 5.6.2.
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let ours = ["host", "connection", "content-length", "transfer-encoding"];
        let why = if name.is_empty() || !name.chars().all(token) {
            format!("`{name}` is no name of a header")
        } else if value.chars().any(char::is_control) {
            "the value of a header is one line".to_owned()
        } else if ours.contains(&name.to_ascii_lowercase().as_str()) {
            format!("`{name}` is not for this: say `virtualhost` and `http_protocol`")
        } else {
            return self.headers.push((name.to_owned(), Secret::new(value)));
        };
        ctx.say(Diagnostic::error(Code::InvalidValue, line.args_span(), why));
    }

    fn digest(&mut self, ctx: &mut Context<'_>, line: &Line<'_>, text: &str) {
        let bytes: Option<Vec<u8>> = super::other::hex(text);
        self.digest = bytes.and_then(|bytes| bytes.try_into().ok());
        if self.digest.is_none() {
            let message = format!("`{text}` is not an MD5 digest of 32 hexadecimal digits");
            let span = line.args_span();
            ctx.say(
                Diagnostic::warning(Code::InvalidValue, span, message)
                    .label("ignored, as in keepalived"),
            );
        }
    }

    fn status_codes(&mut self, ctx: &mut Context<'_>, line: &Line<'_>) {
        for word in line.args {
            let text = ctx.text(word);
            let (from, to) = text.split_once('-').unwrap_or((&text, &text));
            let in_range = |text: &str| text.parse().ok().filter(|n| (100..=599).contains(n));
            match (in_range(from), in_range(to)) {
                (Some(from), Some(to)) if from <= to => self.status_codes.push((from, to)),
                _ => {
                    let message = format!("`{text}` is not a status or a range from 100 to 599");
                    ctx.say(
                        Diagnostic::warning(Code::InvalidValue, word.span, message)
                            .label("ignored, as in keepalived"),
                    );
                }
            }
        }
    }

    fn pattern(&mut self, ctx: &mut Context<'_>, line: &Line<'_>) {
        let span = line.args_span();
        match command::split(ctx.raw(span)) {
            Ok(words) => {
                self.regex = words.into_iter().next();
                self.regex_span = Some(span);
                if let Some(fault) = self.regex.as_deref().and_then(pattern::fault) {
                    (self.regex, self.pattern_refused) = (None, true);
                    let message = format!("this pattern cannot be used: {fault}");
                    ctx.say(
                        Diagnostic::error(Code::InvalidValue, span, message)
                            .note("keepalived would say so and use it all the same"),
                    );
                }
            }
            Err(command::Unterminated) => {
                let message = "a quote in this pattern is never closed";
                ctx.say(Diagnostic::error(Code::UnterminatedQuote, span, message));
            }
        }
    }
}

impl<'t> Draft<'t> for UrlDraft {
    fn apply(&mut self, ctx: &mut Context<'_>, line: &Line<'t>, value: Value) -> Handled {
        match line.row.name {
            "path" => self.path = Some(value.text()),
            "digest" => self.digest(ctx, line, &value.text()),
            "status_code" => self.status_codes(ctx, line),
            "virtualhost" => self.virtualhost = Some(value.text()),
            "regex" => self.pattern(ctx, line),
            "regex_no_match" => self.regex_no_match = true,
            "regex_options" => {
                for word in line.args {
                    let option = ctx.text(word).into_owned();
                    if is_option(&option) {
                        self.regex_options.push(option);
                        continue;
                    }
                    let message = format!("`{option}` is no option of a pattern");
                    ctx.say(
                        Diagnostic::warning(Code::InvalidValue, word.span, message)
                            .label("ignored, as in keepalived"),
                    );
                }
            }
            "regex_min_offset" => self.regex_min_offset = value.number(),
            "regex_max_offset" => self.regex_max_offset = value.number(),
            "tls_compliant" => self.tls_compliant = Some(value.is_true()),
            "header" => self.header(ctx, line),
            "method" => {
                self.method = match value {
                    Value::Choice("HEAD") => HttpMethod::Head,
                    Value::Choice("OPTIONS") => HttpMethod::Options,
                    _ => HttpMethod::Get,
                }
            }
            _ => return Handled::No,
        }
        Handled::Yes
    }
}
