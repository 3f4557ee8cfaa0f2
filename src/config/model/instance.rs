//! What an instance may say beyond its election: links of its own, routes, rules, trackers, notifications.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::net::{Cidr, InterfaceName, MacAddr};
use crate::units::seconds_or_null;

use super::settings::settings;
use super::{
    Route, Rule, Run, TrackedBfd, TrackedFile, TrackedInterface, TrackedProcess, TrackedScript,
};

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct InstanceMore {
    /// Keywords that are a value each.
    pub settings: InstanceSettings,
    /// `use_vmac`.
    pub vmac: Option<Vmac>,
    /// `use_ipvlan`.
    pub ipvlan: Option<Ipvlan>,
    /// `auth_hmac`.
    pub auth_hmac: Option<AuthHmac>,
    /// `vrf`: where an instance without `interface` is; in the VRF of the node when absent.
    pub vrf: Option<InterfaceName>,
    /// `lvs_sync_daemon_interface`: connections are sent out there as master and taken in as backup.
    pub lvs_sync_daemon_interface: Option<InterfaceName>,
    /// `track_script`, every name defined.
    pub track_scripts: Vec<TrackedScript>,
    /// `track_interface`.
    pub track_interfaces: Vec<TrackedInterface>,
    /// `virtual_routes`.
    pub routes: Vec<Route>,
    /// `virtual_rules`.
    pub rules: Vec<Rule>,
    /// `track_file`.
    pub track_files: Vec<TrackedFile>,
    /// `track_process`.
    pub track_processes: Vec<TrackedProcess>,
    /// `track_bfd`.
    pub track_bfds: Vec<TrackedBfd>,
}

settings! {
    /// Keywords of an instance that are a value each.
    InstanceSettings {
        linkbeat_use_polling: bool,
        promote_secondaries: bool,
        use_vmac_addr: bool,
        vmac_xmit_base: bool,
        notify_master: Option<Run>,
        notify_backup: Option<Run>,
        notify_fault: Option<Run>,
        notify_stop: Option<Run>,
        notify_deleted: Option<Run>,
        notify_master_rx_lower_pri: Option<Run>,
        notify: Option<Run>,
        notify_priority_changes: Option<bool>,
        smtp_alert: Option<bool>,
        #[serde(serialize_with = "seconds_or_null")]
        vip_lease: Option<Duration>,
    }
}

/// `use_vmac [[name] IF] [MAC] [netlink_notify_msg] [group G]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Vmac {
    /// Name of the interface; lowering makes one of `vmac_prefix` and the VRID when none was written.
    pub name: Option<InterfaceName>,
    /// Its address; lowering takes the virtual router's own (RFC 9568 section 7.3) when none was written.
    pub mac: Option<MacAddr>,
    /// Five octets were written: the VRID is the sixth.
    pub mac_ends_with_vrid: bool,
    /// `netlink_notify_msg`: the kernel is made to speak of the interface under it when it has come.
    pub netlink_notify_msg: bool,
    /// `group`: the interface's group in the kernel.
    pub group: Option<u32>,
}

/// `use_ipvlan [[name] IF] [ADDRESS] [bridge|private|vepa] [group G]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ipvlan {
    /// Name of the interface.
    pub name: Option<InterfaceName>,
    /// Its address.
    pub address: Option<Cidr>,
    /// How it meets others on its parent.
    pub mode: IpvlanMode,
    /// `group`.
    pub group: Option<u32>,
}

/// Whom an ipvlan interface can reach on its parent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IpvlanMode {
    /// `bridge`, the default: the others on it.
    #[default]
    Bridge,
    /// `private`: nobody.
    Private,
    /// `vepa`: those that the switch sends back.
    Vepa,
}

/// `auth_hmac`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AuthHmac {
    /// `key`: as written, by number.
    pub keys: BTreeMap<u8, String>,
    /// `active_key`.
    pub active_key: Option<u8>,
    /// `anti_replay`.
    pub anti_replay: AntiReplay,
    /// `time_window`.
    #[serde(serialize_with = "seconds_or_null")]
    pub time_window: Option<Duration>,
    /// `mode`.
    pub mode: HmacMode,
}

/// How an old advert is told from a new one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AntiReplay {
    /// `time`, the default.
    #[default]
    Time,
    /// `monotonic`.
    Monotonic,
}

/// What is done without a signature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HmacMode {
    /// `enforce`, the default: dropped.
    #[default]
    Enforce,
    /// `permissive`: taken.
    Permissive,
    /// `receive-only`: taken, and ours carry none.
    ReceiveOnly,
}
