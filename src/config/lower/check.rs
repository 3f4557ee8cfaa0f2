//! Checkers, and what they inherit from the real server and the virtual server.

mod backend;
mod http;
mod other;
mod pattern;

use std::net::IpAddr;
use std::time::Duration;

use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::keywords::BlockKind;
use crate::config::model::{Checker, CheckerKind, ConnectOptions, HttpScheme};
use crate::config::source::Span;
use crate::net::{Endpoint, FwMark, InterfaceName};

use super::context::{Context, Draft, Handled, Line};
use super::value::Value;

#[cfg(test)]
pub(super) use http::UrlDraft;
#[cfg(test)]
pub(super) use other::HostDraft;

use backend::BackendDraft;
use http::HttpDraft;
use other::{BfdDraft, DnsDraft, FileDraft, MiscDraft, SmtpDraft, UdpDraft};

/// What may stand in a checker, its real server or its virtual server; the nearest counts.
#[derive(Clone, Copy, Default)]
pub(super) struct CheckWords {
    delay_loop: Option<Duration>,
    connect_timeout: Option<Duration>,
    retry: Option<u32>,
    delay_before_retry: Option<Duration>,
    warmup: Option<Duration>,
    pub(super) alpha: Option<bool>,
}

impl CheckWords {
    pub(super) fn apply(&mut self, name: &str, value: &Value) -> Handled {
        match name {
            "delay_loop" => self.delay_loop = value.seconds(),
            "connect_timeout" => self.connect_timeout = value.seconds(),
            "retry" => self.retry = value.number(),
            "delay_before_retry" => self.delay_before_retry = value.seconds(),
            "warmup" => self.warmup = value.seconds(),
            "alpha" => self.alpha = Some(value.is_true()),
            _ => return Handled::No,
        }
        Handled::Yes
    }

    /// These words, and those of `outer` where these say nothing.
    pub(super) fn or(self, outer: CheckWords) -> CheckWords {
        CheckWords {
            delay_loop: self.delay_loop.or(outer.delay_loop),
            connect_timeout: self.connect_timeout.or(outer.connect_timeout),
            retry: self.retry.or(outer.retry),
            delay_before_retry: self.delay_before_retry.or(outer.delay_before_retry),
            warmup: self.warmup.or(outer.warmup),
            alpha: self.alpha.or(outer.alpha),
        }
    }
}

/// Whom to connect to, as it is written.
#[derive(Default)]
pub(super) struct ConnectWords {
    ip: Option<IpAddr>,
    port: Option<u16>,
    bind_to: Option<IpAddr>,
    bind_port: u16,
    bind_if: Option<InterfaceName>,
    mark: Option<FwMark>,
}

impl ConnectWords {
    fn apply(&mut self, name: &str, value: &Value) -> Handled {
        match name {
            "connect_ip" => self.ip = value.address(),
            "connect_port" => self.port = value.number(),
            "bindto" => self.bind_to = value.address(),
            "bind_port" => self.bind_port = value.number().unwrap_or(0),
            "bind_if" => {
                if let Value::Interface(name) = value {
                    self.bind_if = Some(name.clone());
                }
            }
            "fwmark" => self.mark = value.number().and_then(FwMark::new),
            _ => return Handled::No,
        }
        Handled::Yes
    }

    /// `server`: whom to connect to unless it is written. `None`: it was said why.
    fn finish(
        self,
        ctx: &mut Context<'_>,
        span: Span,
        server: Endpoint,
        connect_timeout: Duration,
    ) -> Option<ConnectOptions> {
        let destination = Endpoint::new(
            self.ip.unwrap_or(server.addr),
            self.port.unwrap_or(server.port),
        );
        if let Some(source) = self.bind_to
            && source.is_ipv4() != destination.addr.is_ipv4()
        {
            let message = format!("`bindto` {source} cannot reach {}", destination.addr);
            ctx.say(Diagnostic::error(Code::Conflict, span, message));
            return None;
        }
        Some(ConnectOptions {
            destination,
            bind_to: self.bind_to,
            bind_port: self.bind_port,
            bind_if: self.bind_if,
            mark: self.mark,
            connect_timeout,
        })
    }
}

/// What the server and the service say to a checker.
#[derive(Clone, Copy)]
pub(super) struct Above<'a> {
    /// Words of the server, then of the service.
    pub(super) words: CheckWords,
    /// Address and port of the server, as they are written.
    pub(super) server: Endpoint,
    /// `virtualhost` of the server, else of the service.
    pub(super) virtualhost: Option<&'a str>,
    /// `checker_log_all_failures`.
    pub(super) log_all_failures: bool,
}

/// Any checker.
pub(super) struct CheckerDraft {
    span: Span,
    words: CheckWords,
    connect: ConnectWords,
    log_all_failures: Option<bool>,
    asks: Asks,
}

/// What a checker has beside what all have.
enum Asks {
    Tcp,
    Ping,
    Http(HttpDraft),
    Smtp(SmtpDraft),
    Dns(DnsDraft),
    Misc(MiscDraft),
    Bfd(BfdDraft),
    Udp(UdpDraft),
    File(FileDraft),
    Backend(BackendDraft),
}

impl CheckerDraft {
    /// `None` for a block that is no checker.
    pub(super) fn new(kind: BlockKind, span: Span) -> Option<CheckerDraft> {
        Some(CheckerDraft {
            span,
            words: CheckWords::default(),
            connect: ConnectWords::default(),
            log_all_failures: None,
            asks: match kind {
                BlockKind::TcpCheck => Asks::Tcp,
                BlockKind::PingCheck => Asks::Ping,
                BlockKind::HttpGet => Asks::Http(HttpDraft::new(HttpScheme::Http)),
                BlockKind::SslGet => Asks::Http(HttpDraft::new(HttpScheme::Https)),
                BlockKind::SmtpCheck => Asks::Smtp(SmtpDraft::default()),
                BlockKind::DnsCheck => Asks::Dns(DnsDraft::default()),
                BlockKind::MiscCheck => Asks::Misc(MiscDraft::default()),
                BlockKind::BfdCheck => Asks::Bfd(BfdDraft::default()),
                BlockKind::UdpCheck => Asks::Udp(UdpDraft::default()),
                BlockKind::FileCheck => Asks::File(FileDraft::default()),
                _ => Asks::Backend(BackendDraft::new(kind)?),
            },
        })
    }

    /// `None`: it was said why.
    pub(super) fn finish(self, ctx: &mut Context<'_>, above: &Above<'_>) -> Option<Checker> {
        let words = self.words.or(above.words);
        let delay_loop = words.delay_loop.unwrap_or(Duration::from_secs(60));
        let (retry, delay_before_retry) = match self.asks {
            Asks::Http(_) => (1, Duration::from_secs(3)),
            Asks::Dns(_) => (3, delay_loop),
            Asks::Misc(_) => (0, Duration::from_secs(1)),
            _ => (1, Duration::from_secs(1)),
        };
        let log_all_failures = self.log_all_failures.unwrap_or(above.log_all_failures);
        let is_file = matches!(self.asks, Asks::File(_));
        Some(Checker {
            kind: self.kind(ctx, above, words, delay_loop)?,
            delay_loop,
            retry: words.retry.unwrap_or(retry),
            delay_before_retry: words.delay_before_retry.unwrap_or(delay_before_retry),
            warmup: words.warmup.unwrap_or(delay_loop),
            // What a file says is known from the start.
            alpha: words.alpha.unwrap_or(false) && !is_file,
            log_all_failures,
        })
    }

    fn kind(
        self,
        ctx: &mut Context<'_>,
        above: &Above<'_>,
        words: CheckWords,
        delay_loop: Duration,
    ) -> Option<CheckerKind> {
        let span = self.span;
        let timeout = words.connect_timeout.unwrap_or(Duration::from_secs(5));
        let asks = match self.asks {
            Asks::Misc(draft) => return draft.finish(ctx, span, delay_loop),
            Asks::Bfd(draft) => return draft.finish(ctx, span),
            Asks::File(draft) => return draft.finish(ctx, span),
            Asks::Smtp(draft) => {
                return draft.finish(ctx, span, self.connect, above.server, timeout);
            }
            asks => asks,
        };
        let connect = self.connect.finish(ctx, span, above.server, timeout)?;
        if !matches!(asks, Asks::Ping) && connect.destination.port == 0 {
            let message = "this check cannot be run: it does not know which port to connect to";
            ctx.say(
                Diagnostic::refusal(span, message)
                    .note("keepalived would connect to port 0, which fails")
                    .hint("add `connect_port`".to_owned()),
            );
        }
        match asks {
            Asks::Tcp => Some(CheckerKind::Tcp(connect)),
            Asks::Http(draft) => draft.finish(ctx, span, connect, above.virtualhost),
            Asks::Dns(draft) => Some(draft.finish(connect)),
            Asks::Udp(draft) => draft.finish(ctx, span, connect),
            Asks::Backend(draft) => draft.finish(ctx, span, connect),
            _ => Some(CheckerKind::Ping(connect)),
        }
    }
}

impl<'t> Draft<'t> for CheckerDraft {
    fn apply(&mut self, ctx: &mut Context<'_>, line: &Line<'t>, value: Value) -> Handled {
        let name = line.row.name;
        if self.words.apply(name, &value) == Handled::Yes
            || self.connect.apply(name, &value) == Handled::Yes
        {
            return Handled::Yes;
        }
        if name == "log_all_failures" {
            self.log_all_failures = Some(value.is_true());
            return Handled::Yes;
        }
        if name == "nb_get_retry" {
            return self.words.apply("retry", &value);
        }
        match &mut self.asks {
            Asks::Tcp | Asks::Ping => Handled::No,
            Asks::Http(draft) => draft.apply(ctx, line, value),
            Asks::Smtp(draft) => draft.apply(ctx, line, value),
            Asks::Dns(draft) => draft.apply(line, value),
            Asks::Misc(draft) => draft.apply(ctx, line, value),
            Asks::Bfd(draft) => draft.apply(line, value),
            Asks::Udp(draft) => draft.apply(ctx, line, value),
            Asks::File(draft) => draft.apply(ctx, line, value),
            Asks::Backend(draft) => draft.apply(ctx, line, value),
        }
    }
}
