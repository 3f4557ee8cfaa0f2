//! Health checks of real servers.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::net::{Endpoint, FwMark, InterfaceName};
use crate::units::seconds;

use super::{BackendCheck, BackendTls, FileWeight, Run, ScriptUser, Secret, Shared};

/// One check of one real server; what it inherits from `real_server` and `virtual_server` is filled in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Checker {
    /// What is asked.
    pub kind: CheckerKind,
    /// `delay_loop`: from one check to the next; 60 s when absent.
    #[serde(serialize_with = "seconds")]
    pub delay_loop: Duration,
    /// `retry`: failures after the first before the server is taken for down; 1 when absent (3 for
    /// DNS_CHECK, 0 for MISC_CHECK).
    pub retry: u32,
    /// `delay_before_retry`: from a failure to the next try while the server still counts as up; 1 s
    /// when absent (3 s for HTTP_GET and SSL_GET, `delay_loop` for DNS_CHECK).
    #[serde(serialize_with = "seconds")]
    pub delay_before_retry: Duration,
    /// `warmup`: the first check is put off by a random part of this; `delay_loop` when absent.
    #[serde(serialize_with = "seconds")]
    pub warmup: Duration,
    /// `alpha`: down until it has passed once.
    pub alpha: bool,
    /// `log_all_failures`: each failed try is logged, not only the last.
    pub log_all_failures: bool,
}

/// Checkers, keepalived's ten and vipd's own; each names its question.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckerKind {
    /// `TCP_CHECK`: a connection can be opened.
    Tcp(ConnectOptions),
    /// `HTTP_GET` and `SSL_GET`: pages answer as they should. Shared: it is large, and whoever checks has
    /// it several times.
    Http(Arc<HttpCheck>),
    /// `SMTP_CHECK`: a mail server greets.
    Smtp(Box<SmtpCheck>),
    /// `DNS_CHECK`: a name server answers.
    Dns(Box<DnsCheck>),
    /// `MISC_CHECK`: a command succeeds.
    Misc(Box<MiscCheck>),
    /// `BFD_CHECK`: the BFD session of this name is up.
    Bfd(String),
    /// `UDP_CHECK`: a datagram is not refused, or is answered.
    Udp(Box<UdpCheck>),
    /// `PING_CHECK`: an echo is answered; the port counts for nothing.
    Ping(ConnectOptions),
    /// `FILE_CHECK`: a tracked file says so.
    File(FileCheck),
    /// vipd's own, which speak the language of what stands behind front doors. Shared, as pages are.
    Backend(Arc<BackendCheck>),
}

impl CheckerKind {
    /// Its keyword.
    pub fn keyword(&self) -> &'static str {
        match self {
            CheckerKind::Tcp(_) => "TCP_CHECK",
            CheckerKind::Http(check) => match check.scheme {
                HttpScheme::Http => "HTTP_GET",
                HttpScheme::Https => "SSL_GET",
            },
            CheckerKind::Smtp(_) => "SMTP_CHECK",
            CheckerKind::Dns(_) => "DNS_CHECK",
            CheckerKind::Misc(_) => "MISC_CHECK",
            CheckerKind::Bfd(_) => "BFD_CHECK",
            CheckerKind::Udp(_) => "UDP_CHECK",
            CheckerKind::Ping(_) => "PING_CHECK",
            CheckerKind::File(_) => "FILE_CHECK",
            CheckerKind::Backend(check) => check.backend.keyword(),
        }
    }

    /// How many questions make one check: the URLs of an HTTP check are asked one by one.
    pub fn stages(&self) -> usize {
        match self {
            CheckerKind::Http(check) => check.urls.len().max(1),
            _ => 1,
        }
    }

    /// Whether the answer comes by itself when something changes, and nobody is asked.
    pub const fn is_told(&self) -> bool {
        matches!(self, CheckerKind::Bfd(_) | CheckerKind::File(_))
    }

    /// Whom it asks over the network, if anybody.
    pub fn destination(&self) -> Option<Endpoint> {
        match self {
            CheckerKind::Tcp(connect) | CheckerKind::Ping(connect) => Some(connect),
            CheckerKind::Http(check) => Some(&check.connect),
            CheckerKind::Smtp(check) => check.hosts.first(),
            CheckerKind::Dns(check) => Some(&check.connect),
            CheckerKind::Udp(check) => Some(&check.connect),
            CheckerKind::Backend(check) => Some(&check.connect),
            CheckerKind::Misc(_) | CheckerKind::Bfd(_) | CheckerKind::File(_) => None,
        }
        .map(|connect| connect.destination)
    }
}

/// Whom to connect to, from where, for how long.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ConnectOptions {
    /// `connect_ip` and `connect_port`, else the real server's.
    pub destination: Endpoint,
    /// `bindto`: source address.
    pub bind_to: Option<IpAddr>,
    /// `bind_port`: source port; 0: any.
    pub bind_port: u16,
    /// `bind_if`: leave by this interface.
    pub bind_if: Option<InterfaceName>,
    /// `fwmark`: mark of the packets sent.
    pub mark: Option<FwMark>,
    /// `connect_timeout`; 5 s when absent.
    #[serde(serialize_with = "seconds")]
    pub connect_timeout: Duration,
}

/// `HTTP_GET` or `SSL_GET`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct HttpCheck {
    /// Which of the two.
    pub scheme: HttpScheme,
    /// Where to.
    pub connect: ConnectOptions,
    /// `http_protocol`.
    pub protocol: HttpProtocol,
    /// `virtualhost`, else that of the real server, else that of the virtual server.
    pub virtualhost: Option<String>,
    /// `enable_sni`: the name of the host is told while TLS is set up.
    pub enable_sni: bool,
    /// `sni_name`: this name instead.
    pub sni_name: Option<String>,
    /// `fast_recovery`: the remaining URLs are asked at once.
    pub fast_recovery: bool,
    /// `tls_compliant`: that a connection ends without a TLS close is told.
    pub tls_compliant: bool,
    /// What is asked of the server's certificate; `None`: it is not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Box<ServerCertificate>>,
    /// `url` blocks, in the order of the file, at least one.
    pub urls: Shared<Vec<HttpUrl>>,
}

/// What is asked of a server's certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ServerCertificate {
    /// `tls_verify`, `tls_ca`, `tls_name`: whether it must be good, and for whom.
    pub tls: BackendTls,
    /// `tls_expiry_warning`: with fewer days left it passes, and the log says so.
    pub expiry_days: Option<u32>,
}

/// With or without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HttpScheme {
    /// `HTTP_GET`.
    Http,
    /// `SSL_GET`.
    Https,
}

/// `http_protocol`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HttpProtocol {
    /// `1.0`, the default.
    #[default]
    V1_0,
    /// `1.0C`: 1.0 with `Connection: close`.
    V1_0Close,
    /// `1.1`, with `Connection: close`.
    V1_1,
    /// `http2`: 2, told by ALPN or known before.
    V2,
}

/// `url` of an HTTP check.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct HttpUrl {
    /// `path`.
    pub path: String,
    /// `digest`: MD5 of the body.
    pub digest: Option<[u8; 16]>,
    /// `status_code`: ranges, ends included, within 100 to 599; empty means 200 to 299.
    pub status_codes: Vec<(u16, u16)>,
    /// `virtualhost` of this URL.
    pub virtualhost: Option<String>,
    /// `regex`.
    pub regex: Option<String>,
    /// `regex_no_match`: it must not match.
    pub regex_no_match: bool,
    /// `regex_options`.
    pub regex_options: Vec<String>,
    /// `regex_min_offset`: where in the body a match may begin at the earliest, in bytes.
    pub regex_min_offset: Option<u32>,
    /// `regex_max_offset`: and at the latest.
    pub regex_max_offset: Option<u32>,
    /// `tls_compliant`.
    pub tls_compliant: Option<bool>,
    /// `method`.
    pub method: HttpMethod,
    /// `header`, of every line: name and value. Values may be secrets.
    pub headers: Vec<(String, Secret)>,
}

/// `method`: RFC 9110 section 9.3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    /// `GET`, the default.
    #[default]
    Get,
    /// `HEAD`: its answer has no body.
    Head,
    /// `OPTIONS`.
    Options,
}

impl HttpMethod {
    /// As it stands in a request.
    pub const fn word(self) -> &'static str {
        match self {
            HttpMethod::Get => "GET",
            HttpMethod::Head => "HEAD",
            HttpMethod::Options => "OPTIONS",
        }
    }
}

impl HttpUrl {
    /// With nothing but its path.
    pub fn new(path: impl Into<String>) -> HttpUrl {
        HttpUrl {
            path: path.into(),
            digest: None,
            status_codes: Vec::new(),
            virtualhost: None,
            regex: None,
            regex_no_match: false,
            regex_options: Vec::new(),
            regex_min_offset: None,
            regex_max_offset: None,
            tls_compliant: None,
            method: HttpMethod::default(),
            headers: Vec::new(),
        }
    }
}

/// `SMTP_CHECK`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SmtpCheck {
    /// Whom to ask: the `host` blocks, else one that the checker itself describes.
    pub hosts: Vec<ConnectOptions>,
    /// `helo_name`; `smtpchecker.keepalived.org` when absent.
    pub helo_name: Option<String>,
}

/// `DNS_CHECK`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct DnsCheck {
    /// Where to.
    pub connect: ConnectOptions,
    /// `type`: number of the record type (IANA DNS parameters); SOA, 6, when absent.
    pub record_type: u16,
    /// `name`; `.` when absent.
    pub name: String,
}

/// `MISC_CHECK`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct MiscCheck {
    /// `misc_path` with its arguments.
    pub argv: Vec<String>,
    /// `misc_timeout`; `delay_loop` of the virtual server when absent.
    #[serde(serialize_with = "seconds")]
    pub timeout: Duration,
    /// `misc_dynamic`: an exit status from 2 to 255 sets the weight to it less 2.
    pub dynamic: bool,
    /// `user`; `script_user` when absent.
    pub user: Option<ScriptUser>,
}

impl MiscCheck {
    /// As a command.
    pub fn run(&self) -> Run {
        Run {
            argv: self.argv.clone(),
            user: self.user.clone(),
        }
    }
}

/// `UDP_CHECK`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct UdpCheck {
    /// Where to.
    pub connect: ConnectOptions,
    /// `payload`: what is sent; empty for an empty datagram.
    pub payload: Vec<u8>,
    /// `require_reply`: an answer must come, and begin with these bytes.
    pub require_reply: Option<Vec<MaskedByte>>,
    /// `min_reply_length`: bytes, 0 when absent.
    pub min_reply_length: u16,
    /// `max_reply_length`: bytes, 255 when absent.
    pub max_reply_length: u16,
}

/// A byte of which not every half counts (`X` in `require_reply`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct MaskedByte {
    /// Its bits.
    pub value: u8,
    /// Which of them count.
    pub mask: u8,
}

/// `FILE_CHECK`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct FileCheck {
    /// `track_file`: key in [`super::Config::track_files`].
    pub track_file: String,
    /// `weight`; the file's own when absent.
    pub weight: Option<FileWeight>,
}
