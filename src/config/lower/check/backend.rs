//! vipd's own checks.

use std::sync::Arc;

use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::keywords::BlockKind;
use crate::config::model::{
    Backend, BackendCheck, BackendTls, CheckerKind, ConnectOptions, RedisRole, Secret, TlsMode,
};
use crate::config::source::Span;

use crate::config::lower::context::{Context, Handled, Line};
use crate::config::lower::value::Value;

pub(super) struct BackendDraft {
    user: Option<String>,
    password: Option<Secret>,
    password_file: Option<String>,
    tls: BackendTls,
    backend: Backend,
}

impl BackendDraft {
    /// `None` for a block that is no checker.
    pub(super) fn new(kind: BlockKind) -> Option<BackendDraft> {
        let backend = match kind {
            BlockKind::RedisCheck => Backend::Redis { role: None },
            BlockKind::HaproxyCheck => Backend::Haproxy { send: None },
            _ => return None,
        };
        Some(BackendDraft {
            user: None,
            password: None,
            password_file: None,
            tls: BackendTls::default(),
            backend,
        })
    }

    pub(super) fn apply(&mut self, line: &Line<'_>, value: Value) -> Handled {
        match line.row.name {
            "user" => self.user = Some(value.text()),
            "password" => self.password = Some(Secret::new(value.text())),
            "password_file" => self.password_file = Some(value.text()),
            "tls" => {
                self.tls.mode = match value {
                    Value::Choice("prefer") => TlsMode::Prefer,
                    Value::Choice("on") => TlsMode::On,
                    Value::Choice("verify") => TlsMode::Verify,
                    _ => TlsMode::Off,
                }
            }
            "tls_ca" => self.tls.ca = Some(value.text()),
            "tls_name" => self.tls.name = Some(value.text()),
            name => match &mut self.backend {
                Backend::Redis { role } if name == "role" => {
                    *role = Some(match value {
                        Value::Choice("master") => RedisRole::Master,
                        _ => RedisRole::Replica,
                    });
                }
                Backend::Haproxy { send } if name == "send" => *send = Some(value.text()),
                _ => return Handled::No,
            },
        }
        Handled::Yes
    }

    pub(super) fn finish(
        self,
        ctx: &mut Context<'_>,
        span: Span,
        connect: ConnectOptions,
    ) -> Option<CheckerKind> {
        let verifies = self.tls.mode == TlsMode::Verify;
        if self.tls.ca.is_some() && !verifies {
            let message = "`tls_ca` does nothing: no certificate is looked at";
            ctx.say(
                Diagnostic::warning(Code::Contradiction, span, message)
                    .hint("write `@vipd tls verify`".to_owned()),
            );
        }
        let password = self.password.is_some() || self.password_file.is_some();
        let redis = matches!(self.backend, Backend::Redis { .. });
        if redis && self.user.is_some() && !password {
            let message = "`user` does nothing without a password";
            ctx.say(
                Diagnostic::warning(Code::Contradiction, span, message)
                    .hint("add `@vipd password_file FILE`".to_owned()),
            );
        }
        Some(CheckerKind::Backend(Arc::new(BackendCheck {
            connect,
            user: self.user,
            password: self.password,
            password_file: self.password_file,
            tls: self.tls,
            backend: self.backend,
        })))
    }
}
