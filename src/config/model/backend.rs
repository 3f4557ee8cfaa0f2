//! vipd's own checks of what stands behind front doors.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::ConnectOptions;
use crate::units::seconds_or_null;

/// A check that speaks the language of a database, a cache or an agent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct BackendCheck {
    /// Where to.
    pub connect: ConnectOptions,
    /// `user`.
    pub user: Option<String>,
    /// `password`.
    pub password: Option<Secret>,
    /// `password_file`: its first line counts before `password`.
    pub password_file: Option<String>,
    /// `tls`, `tls_ca`, `tls_name`.
    pub tls: BackendTls,
    /// Whom, and what is asked.
    pub backend: Backend,
}

/// A kind of backend with what is wanted of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// `REDIS_CHECK`.
    Redis {
        /// `role`: what it must be.
        role: Option<RedisRole>,
    },
    /// `HAPROXY_CHECK`.
    Haproxy {
        /// `send`: what the agent is told first, without the end of the line.
        send: Option<String>,
    },
    /// `MYSQL_CHECK`.
    Mysql {
        /// `database`.
        database: Option<String>,
        /// All else.
        wants: Box<MysqlWants>,
    },
    /// `PGSQL_CHECK`.
    Pgsql {
        /// `database`; `postgres` when absent.
        database: Option<String>,
        /// All else.
        wants: Box<PgsqlWants>,
    },
    /// `GRPC_CHECK`.
    Grpc {
        /// `service`; empty: the server as a whole.
        service: String,
        /// `authority`; its address and port when absent.
        authority: Option<String>,
    },
}

impl Backend {
    /// The keyword of the check.
    pub const fn keyword(&self) -> &'static str {
        match self {
            Backend::Redis { .. } => "REDIS_CHECK",
            Backend::Haproxy { .. } => "HAPROXY_CHECK",
            Backend::Mysql { .. } => "MYSQL_CHECK",
            Backend::Pgsql { .. } => "PGSQL_CHECK",
            Backend::Grpc { .. } => "GRPC_CHECK",
        }
    }

    /// Whether its answers may change the weight of a server.
    pub fn weighs(&self) -> bool {
        match self {
            Backend::Redis { .. } | Backend::Pgsql { .. } | Backend::Grpc { .. } => false,
            Backend::Haproxy { .. } => true,
            Backend::Mysql { wants, .. } => {
                let galera = wants.galera.as_ref();
                galera.is_some_and(|galera| galera.flow_control_weight)
            }
        }
    }
}

/// `role` of `REDIS_CHECK`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RedisRole {
    /// It takes writes.
    Master,
    /// It follows a master, and its link to it is up.
    Replica,
}

/// What a server of MySQL or MariaDB must be.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct MysqlWants {
    /// `query`: must be answered; `SELECT 1` when absent.
    pub query: Option<String>,
    /// `read_only`: on or off.
    pub read_only: Option<bool>,
    /// `max_lag`: how far behind its source a replica may be.
    #[serde(serialize_with = "seconds_or_null")]
    pub max_lag: Option<Duration>,
    /// `galera` and what goes with it.
    pub galera: Option<GaleraWants>,
}

/// What a node of a Galera cluster must be, beside synced and in the primary component.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct GaleraWants {
    /// `donor`.
    pub donor: Donor,
    /// `desynced`: whether it may be.
    pub desynced: bool,
    /// `min_cluster_size`: nodes, with this one; 0 when absent.
    pub min_cluster_size: u32,
    /// `max_recv_queue`: with more transactions waiting it is out, with as many as the second it is in
    /// again.
    pub max_recv_queue: Option<(u32, u32)>,
    /// `flow_control_weight`: its weight is the part of the time in which flow control did not pause it.
    pub flow_control_weight: bool,
}

/// `donor`: whether a node that gives its state to another one is well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Donor {
    /// As its wsrep_sst_donor_rejects_queries says.
    #[default]
    Auto,
    /// It is.
    Allow,
    /// It is not.
    Deny,
}

/// What a server of PostgreSQL must be.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PgsqlWants {
    /// `query`: must be answered; `SELECT 1` when absent.
    pub query: Option<String>,
    /// `role`.
    pub role: Option<PgsqlRole>,
    /// `max_lag`: how far behind a standby may be.
    #[serde(serialize_with = "seconds_or_null")]
    pub max_lag: Option<Duration>,
}

/// `role` of `PGSQL_CHECK`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PgsqlRole {
    /// It takes writes.
    Primary,
    /// It is in recovery.
    Standby,
}

/// How TLS is used.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct BackendTls {
    /// `tls`.
    pub mode: TlsMode,
    /// `tls_ca`: file of those whom `verify` trusts; those of the system when absent.
    pub ca: Option<String>,
    /// `tls_name`: the name of the server; its address when absent.
    pub name: Option<String>,
}

/// `tls`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TlsMode {
    /// Never.
    #[default]
    Off,
    /// Where the server offers it; its certificate is not looked at.
    Prefer,
    /// Always; its certificate is not looked at.
    On,
    /// Always, and the certificate must be good.
    Verify,
}

/// A word that is nobody's business: it is neither shown nor written down.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Secret(String);

impl Secret {
    /// Keeps a word.
    pub fn new(word: impl Into<String>) -> Secret {
        Secret(word.into())
    }

    /// The word itself, for whoever has to say it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("(hidden)")
    }
}
