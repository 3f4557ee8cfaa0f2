//! `global_defs`.

use std::time::Duration;

use super::ScriptUser;

/// What holds for the whole configuration. Defaults that objects inherit were already copied into them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Globals {
    /// `router_id`: how this node calls itself in mails; the host name when absent.
    pub router_id: Option<String>,
    /// `notification_email`.
    pub notification_email: Vec<String>,
    /// `notification_email_from`.
    pub notification_email_from: Option<String>,
    /// `smtp_server`.
    pub smtp_server: Option<SmtpServer>,
    /// `smtp_connect_timeout`, 30 s when absent.
    pub smtp_connect_timeout: Duration,
    /// `script_user`; `None` means the user `keepalived_script` where there is one, else root.
    pub script_user: Option<ScriptUser>,
    /// `enable_script_security`: a script that another user than root could replace is not run.
    pub enable_script_security: bool,
}

impl Default for Globals {
    fn default() -> Globals {
        Globals {
            router_id: None,
            notification_email: Vec::new(),
            notification_email_from: None,
            smtp_server: None,
            smtp_connect_timeout: Duration::from_secs(30),
            script_user: None,
            enable_script_security: false,
        }
    }
}

/// `smtp_server HOST [PORT]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpServer {
    /// An address or a name.
    pub host: String,
    /// 25 when absent.
    pub port: u16,
}
