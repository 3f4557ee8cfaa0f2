//! Health checks of real servers.

use std::net::IpAddr;
use std::time::Duration;

use crate::net::{Endpoint, FwMark, InterfaceName};

/// One check of one real server; what it inherits from `real_server` and `virtual_server` is filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checker {
    /// What is asked.
    pub kind: CheckerKind,
    /// `delay_loop`: from one check to the next; 60 s when absent.
    pub delay_loop: Duration,
    /// `retry`: failures after the first before the server is taken for down; 1 when absent.
    pub retry: u32,
    /// `delay_before_retry`: from a failure to the next try while the server still counts as up; 1 s
    /// when absent.
    pub delay_before_retry: Duration,
    /// `warmup`: the first check is put off by a random part of this; `delay_loop` when absent.
    pub warmup: Duration,
    /// `alpha`: down until it has passed once.
    pub alpha: bool,
    /// `log_all_failures`: each failed try is logged, not only the last.
    pub log_all_failures: bool,
}

/// The ten checkers will stand here; each names its question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckerKind {
    /// `TCP_CHECK`: a connection can be opened.
    Tcp(ConnectOptions),
}

/// Whom to connect to, from where, for how long.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    pub connect_timeout: Duration,
}
