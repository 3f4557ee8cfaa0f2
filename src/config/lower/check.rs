//! Checkers, and what they inherit from the real server and the virtual server.

use std::net::IpAddr;
use std::time::Duration;

use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::model::{Checker, CheckerKind, ConnectOptions};
use crate::config::source::Span;
use crate::net::{Endpoint, FwMark, InterfaceName};

use super::context::{Context, Draft, Handled, Line};
use super::value::Value;

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

/// `TCP_CHECK`.
pub(super) struct TcpDraft {
    span: Span,
    words: CheckWords,
    connect_ip: Option<IpAddr>,
    connect_port: Option<u16>,
    bind_to: Option<IpAddr>,
    bind_port: u16,
    bind_if: Option<InterfaceName>,
    mark: Option<FwMark>,
    log_all_failures: Option<bool>,
}

impl TcpDraft {
    pub(super) fn new(span: Span) -> TcpDraft {
        TcpDraft {
            span,
            words: CheckWords::default(),
            connect_ip: None,
            connect_port: None,
            bind_to: None,
            bind_port: 0,
            bind_if: None,
            mark: None,
            log_all_failures: None,
        }
    }

    pub(super) fn finish(
        self,
        ctx: &mut Context<'_>,
        inherited: CheckWords,
        server: Endpoint,
        log_all_failures: bool,
    ) -> Option<Checker> {
        let destination = Endpoint::new(
            self.connect_ip.unwrap_or(server.addr),
            self.connect_port.unwrap_or(server.port),
        );
        if destination.port == 0 {
            let message = "this check does not know which port to connect to";
            ctx.say(
                Diagnostic::error(Code::MissingKeyword, self.span, message)
                    .hint("add `connect_port`".to_owned()),
            );
            return None;
        }
        if let Some(source) = self.bind_to
            && source.is_ipv4() != destination.addr.is_ipv4()
        {
            let message = format!("`bindto` {source} cannot reach {}", destination.addr);
            ctx.say(Diagnostic::error(Code::Conflict, self.span, message));
            return None;
        }
        let words = self.words.or(inherited);
        let delay_loop = words.delay_loop.unwrap_or(Duration::from_secs(60));
        Some(Checker {
            kind: CheckerKind::Tcp(ConnectOptions {
                destination,
                bind_to: self.bind_to,
                bind_port: self.bind_port,
                bind_if: self.bind_if,
                mark: self.mark,
                connect_timeout: words.connect_timeout.unwrap_or(Duration::from_secs(5)),
            }),
            delay_loop,
            retry: words.retry.unwrap_or(1),
            delay_before_retry: words.delay_before_retry.unwrap_or(Duration::from_secs(1)),
            warmup: words.warmup.unwrap_or(delay_loop),
            alpha: words.alpha.unwrap_or(false),
            log_all_failures: self.log_all_failures.unwrap_or(log_all_failures),
        })
    }
}

impl<'t> Draft<'t> for TcpDraft {
    fn apply(&mut self, _: &mut Context<'_>, line: &Line<'t>, value: Value) -> Handled {
        if self.words.apply(line.row.name, &value) == Handled::Yes {
            return Handled::Yes;
        }
        match line.row.name {
            "connect_ip" => self.connect_ip = value.address(),
            "connect_port" => self.connect_port = value.number(),
            "bindto" => self.bind_to = value.address(),
            "bind_port" => self.bind_port = value.number().unwrap_or(0),
            "bind_if" => {
                if let Value::Interface(name) = value {
                    self.bind_if = Some(name);
                }
            }
            "fwmark" => self.mark = value.number().and_then(FwMark::new),
            "log_all_failures" => self.log_all_failures = Some(value.is_true()),
            _ => return Handled::No,
        }
        Handled::Yes
    }
}
