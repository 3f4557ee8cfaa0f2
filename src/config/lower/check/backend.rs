//! vipd's own checks.

use std::sync::Arc;

use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::keywords::BlockKind;
use crate::config::model::{
    Backend, BackendCheck, BackendTls, CheckerKind, ConnectOptions, Donor, MysqlWants, PgsqlRole,
    PgsqlWants, RedisRole, Secret, TlsMode,
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
            BlockKind::MysqlCheck => Backend::Mysql {
                database: None,
                wants: Box::default(),
            },
            BlockKind::PgsqlCheck => Backend::Pgsql {
                database: None,
                wants: Box::default(),
            },
            BlockKind::GrpcCheck => Backend::Grpc {
                service: String::new(),
                authority: None,
            },
            _ => return None,
        };
        let mut tls = BackendTls::default();
        if matches!(kind, BlockKind::MysqlCheck | BlockKind::PgsqlCheck) {
            tls.mode = TlsMode::Prefer;
        }
        Some(BackendDraft {
            user: None,
            password: None,
            password_file: None,
            tls,
            backend,
        })
    }

    pub(super) fn apply(
        &mut self,
        ctx: &mut Context<'_>,
        line: &Line<'_>,
        value: Value,
    ) -> Handled {
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
                Backend::Grpc { service, .. } if name == "service" => *service = value.text(),
                Backend::Grpc { authority, .. } if name == "authority" => {
                    *authority = Some(value.text());
                }
                Backend::Mysql { database, .. } | Backend::Pgsql { database, .. }
                    if name == "database" =>
                {
                    *database = Some(value.text());
                }
                Backend::Mysql { wants, .. } => return mysql(wants, ctx, line, value),
                Backend::Pgsql { wants, .. } => return pgsql(wants, name, value),
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
        if matches!(self.backend, Backend::Mysql { .. } | Backend::Pgsql { .. })
            && self.user.is_none()
        {
            let keyword = self.backend.keyword();
            let message = format!("`{keyword}` does not say who logs in");
            ctx.say(
                Diagnostic::error(Code::MissingKeyword, span, message)
                    .hint("add `@vipd user NAME`".to_owned()),
            );
            return None;
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

fn mysql(wants: &mut MysqlWants, ctx: &mut Context<'_>, line: &Line<'_>, value: Value) -> Handled {
    match line.row.name {
        "query" => wants.query = Some(value.text()),
        "read_only" => wants.read_only = Some(matches!(value, Value::Choice("on"))),
        "max_lag" => wants.max_lag = value.seconds(),
        "galera" if !value.is_true() => wants.galera = None,
        name => {
            let galera = wants.galera.get_or_insert_default();
            match name {
                "galera" => {}
                "donor" => {
                    galera.donor = match value {
                        Value::Choice("allow") => Donor::Allow,
                        Value::Choice("deny") => Donor::Deny,
                        _ => Donor::Auto,
                    }
                }
                "desynced" => galera.desynced = matches!(value, Value::Choice("allow")),
                "min_cluster_size" => galera.min_cluster_size = value.number().unwrap_or(0),
                "max_recv_queue" => {
                    galera.max_recv_queue = queue(ctx, line).or(galera.max_recv_queue);
                }
                "flow_control_weight" => galera.flow_control_weight = value.is_true(),
                _ => return Handled::No,
            }
        }
    }
    Handled::Yes
}

/// `HIGH [LOW]`.
fn queue(ctx: &mut Context<'_>, line: &Line<'_>) -> Option<(u32, u32)> {
    let mut numbers = line.args.iter().map(|word| ctx.text(word).parse().ok());
    let high: Option<u32> = numbers.next()?;
    let low = numbers.next().unwrap_or(high.map(|high| high / 2));
    match (high, low) {
        (Some(high), Some(low)) if low <= high => Some((high, low)),
        _ => {
            let message = "`max_recv_queue` takes HIGH, or HIGH and LOW, which is not above it";
            let problem = Diagnostic::error(Code::InvalidValue, line.args_span(), message);
            ctx.say(problem);
            None
        }
    }
}

fn pgsql(wants: &mut PgsqlWants, name: &str, value: Value) -> Handled {
    match name {
        "query" => wants.query = Some(value.text()),
        "role" => {
            wants.role = Some(match value {
                Value::Choice("primary") => PgsqlRole::Primary,
                _ => PgsqlRole::Standby,
            });
        }
        "max_lag" => wants.max_lag = value.seconds(),
        _ => return Handled::No,
    }
    Handled::Yes
}
