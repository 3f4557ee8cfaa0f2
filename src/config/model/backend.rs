//! vipd's own checks of what stands behind front doors.

use std::fmt;

use serde::{Serialize, Serializer};

use super::ConnectOptions;

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
}

impl Backend {
    /// The keyword of the check.
    pub const fn keyword(&self) -> &'static str {
        match self {
            Backend::Redis { .. } => "REDIS_CHECK",
            Backend::Haproxy { .. } => "HAPROXY_CHECK",
        }
    }

    /// Whether its answers may change the weight of a server.
    pub const fn weighs(&self) -> bool {
        match self {
            Backend::Redis { .. } => false,
            Backend::Haproxy { .. } => true,
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
