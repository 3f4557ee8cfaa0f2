//! What is tracked beside scripts and interfaces, and blocks that stand for themselves.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

use crate::net::InterfaceName;
use crate::units::{seconds, seconds_or_null};

use super::settings::settings;
use super::{ScriptUser, TrackedInterface, TrackedScript, Weight};

/// A command to be run: a notification, or a reader of a FIFO.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Run {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Who runs it; `script_user` when absent.
    pub user: Option<ScriptUser>,
}

/// `vrrp_sync_group NAME`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SyncGroup {
    /// Its name, unique.
    pub name: String,
    /// `group`: names of instances, each defined, in the order of the file.
    pub members: Vec<String>,
    /// `track_interface`.
    pub track_interfaces: Vec<TrackedInterface>,
    /// `track_script`.
    pub track_scripts: Vec<TrackedScript>,
    /// `track_file`.
    pub track_files: Vec<TrackedFile>,
    /// `track_process`.
    pub track_processes: Vec<TrackedProcess>,
    /// `track_bfd`.
    pub track_bfds: Vec<TrackedBfd>,
    /// Keywords that are a value each.
    pub settings: SyncGroupSettings,
}

settings! {
    /// Keywords of a group that are a value each.
    SyncGroupSettings {
        notify_master: Option<Run>,
        notify_backup: Option<Run>,
        notify_fault: Option<Run>,
        notify_stop: Option<Run>,
        notify: Option<Run>,
        notify_priority_changes: Option<bool>,
        smtp_alert: Option<bool>,
        sync_group_tracking_weight: bool,
        global_tracking: bool,
    }
}

/// `track_file NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TrackFile {
    /// Its name, unique.
    pub name: String,
    /// `file`.
    pub path: String,
    /// `weight`.
    pub weight: FileWeight,
    /// `init_file`: written at the start.
    pub init: Option<InitFile>,
}

/// The number in a file is multiplied by this and added to the priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct FileWeight {
    /// -254 to 254 (of a FILE_CHECK: -2147483647 to 2147483647), `reverse` applied to the sign; 1 when
    /// absent. 0: any number but 0 is a fault.
    pub factor: i32,
    /// `weight 0 reverse`: 0 is the fault, any other number is well.
    pub fault_at_zero: bool,
}

impl FileWeight {
    /// What holds without the keyword.
    pub const DEFAULT: FileWeight = FileWeight {
        factor: 1,
        fault_at_zero: false,
    };
    /// `weight 0`.
    pub const FAULT: FileWeight = FileWeight {
        factor: 0,
        fault_at_zero: false,
    };
}

/// `init_file [VALUE] [overwrite]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct InitFile {
    /// What is written; 0 when absent.
    pub value: i32,
    /// Whether a file that is there is written over.
    pub overwrite: bool,
}

/// `vrrp_track_process NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TrackProcess {
    /// Its name, unique.
    pub name: String,
    /// `process`: the command and its arguments.
    pub argv: Vec<String>,
    /// `param_match`; exact when `process` has arguments.
    pub param_match: Option<ParamMatch>,
    /// `weight`.
    pub weight: Weight,
    /// `quorum`: this many must run; 1 when absent, 0 with `quorum_max 0`.
    pub quorum: u32,
    /// `quorum_max`: more are a failure.
    pub quorum_max: Option<u32>,
    /// `fork_delay`, else `delay`.
    #[serde(serialize_with = "seconds")]
    pub fork_delay: Duration,
    /// `terminate_delay`, else `delay`.
    #[serde(serialize_with = "seconds")]
    pub terminate_delay: Duration,
    /// `full_command`, or arguments are compared: the first word of its command line is compared, as it
    /// was run. Otherwise the name that the kernel keeps, of 15 bytes.
    pub full_command: bool,
}

/// Which arguments must be those that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ParamMatch {
    /// All, and no more.
    Exact,
    /// `initial`: all, the last one may be longer, and more may follow.
    Initial,
    /// `partial`: all, and more may follow.
    Partial,
}

/// `bfd_instance NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BfdInstance {
    /// Its name, unique, at most 31 bytes.
    pub name: String,
    /// `neighbor_ip`.
    pub neighbor: IpAddr,
    /// `source_ip`.
    pub source: Option<IpAddr>,
    /// `min_rx`; 10 ms when absent.
    #[serde(serialize_with = "seconds")]
    pub min_rx: Duration,
    /// `min_tx`; 10 ms when absent.
    #[serde(serialize_with = "seconds")]
    pub min_tx: Duration,
    /// `idle_tx`; 1 s when absent.
    #[serde(serialize_with = "seconds")]
    pub idle_tx: Duration,
    /// `multiplier`; 5 when absent.
    pub multiplier: u8,
    /// `passive`: the other side begins.
    pub passive: bool,
    /// `ttl` or `hoplimit`; 255 (IPv6: 64) when absent.
    pub ttl: Option<u8>,
    /// `max_hops`, -1 to 255; 0 when absent.
    pub max_hops: i16,
    /// `multihop`: RFC 5883 on port 4784.
    pub multihop: bool,
    /// `weight`.
    pub weight: Weight,
    /// `vrrp`: instances may track it; both when neither keyword stands there.
    pub for_vrrp: bool,
    /// `checker`: BFD_CHECK may name it.
    pub for_checker: bool,
}

/// One name in `track_file`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TrackedFile {
    /// Key in [`super::Config::track_files`].
    pub file: String,
    /// Its own `weight`, else the file's.
    pub weight: FileWeight,
}

/// One name in `track_process`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TrackedProcess {
    /// Key in [`super::Config::track_processes`].
    pub process: String,
    /// Its own `weight`, else the process's.
    pub weight: Weight,
}

/// One name in `track_bfd`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TrackedBfd {
    /// Key in [`super::Config::bfd_instances`].
    pub session: String,
    /// Its own `weight`, else the session's.
    pub weight: Weight,
}

/// `garp_group`: how fast announcements leave.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GarpGroup {
    /// `garp_interval`.
    #[serde(serialize_with = "seconds_or_null")]
    pub garp_interval: Option<Duration>,
    /// `gna_interval`.
    #[serde(serialize_with = "seconds_or_null")]
    pub gna_interval: Option<Duration>,
    /// `interface` and `interfaces`.
    pub interfaces: Vec<InterfaceName>,
}

/// A line of `interface_up_down_delays`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LinkDelays {
    /// How long a link must be down.
    #[serde(serialize_with = "seconds")]
    pub down: Duration,
    /// How long it must be up; zero when absent.
    #[serde(serialize_with = "seconds")]
    pub up: Duration,
}

settings! {
    /// `SSL`: keys of SSL_GET.
    SslSettings {
        password: Option<String>,
        ca: Option<String>,
        certificate: Option<String>,
        key: Option<String>,
    }
}

/// How an interface is asked for its link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkBeat {
    /// `MII`: the status register of its transceiver.
    Mii,
    /// `ETHTOOL`: its driver.
    Ethtool,
    /// `IOCTL`: the flags of the kernel.
    Ioctl,
}

impl std::fmt::Display for LinkBeat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            LinkBeat::Mii => "MII",
            LinkBeat::Ethtool => "ETHTOOL",
            LinkBeat::Ioctl => "IOCTL",
        })
    }
}

/// Blocks that concern links.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LinkSettings {
    /// `linkbeat_interfaces` and, of interfaces that somebody tracks, `linkbeat_use_polling`: who is asked
    /// every second, and how; `None`: as it can be.
    pub linkbeat: BTreeMap<InterfaceName, Option<LinkBeat>>,
    /// `interface_up_down_delays`.
    pub up_down_delays: BTreeMap<InterfaceName, LinkDelays>,
    /// `garp_group`s.
    pub garp_groups: Vec<GarpGroup>,
}
