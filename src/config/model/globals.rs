//! `global_defs`, and the keywords that stand beside it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::Serialize;

use crate::net::InterfaceName;
use crate::units::{seconds, seconds_or_null};

use super::settings::settings;
use super::{Capabilities, LvsSyncDaemon, LvsTimeouts, OutsideChanges, Run, ScriptUser, Sysctls};

/// What holds for the whole configuration. Defaults that objects inherit were already copied into them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
    #[serde(serialize_with = "seconds")]
    pub smtp_connect_timeout: Duration,
    /// `script_user`; `None` means the user `keepalived_script` where there is one, else root.
    pub script_user: Option<ScriptUser>,
    /// `script_caps`: what scripts that run as root may do.
    pub script_caps: Capabilities,
    /// `enable_script_security`: a script that another user than root could replace is not run.
    pub enable_script_security: bool,
    /// Keywords outside all blocks.
    pub node: NodeSettings,
    /// More about mails.
    pub mail: MailSettings,
    /// How the process is scheduled.
    pub scheduling: SchedulingSettings,
    /// Scripts and FIFOs.
    pub scripts: ScriptSettings,
    /// What holds for every instance.
    pub vrrp: VrrpSettings,
    /// Packet filters.
    pub filters: FilterSettings,
    /// `lvs_sync_daemon`.
    pub lvs_sync_daemon: Option<LvsSyncDaemon>,
    /// `lvs_timeouts`.
    pub lvs_timeouts: LvsTimeouts,
    /// What holds for the whole of IPVS.
    pub lvs: LvsSettings,
    /// SNMP, D-Bus, reloads and files.
    pub outputs: OutputSettings,
    /// How the control socket is reached.
    pub control: ControlSettings,
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
            script_caps: Capabilities::ALL,
            enable_script_security: false,
            node: NodeSettings::default(),
            mail: MailSettings::default(),
            scheduling: SchedulingSettings::default(),
            scripts: ScriptSettings::default(),
            vrrp: VrrpSettings::default(),
            filters: FilterSettings::default(),
            lvs_sync_daemon: None,
            lvs_timeouts: LvsTimeouts::default(),
            lvs: LvsSettings::default(),
            outputs: OutputSettings::default(),
            control: ControlSettings::default(),
        }
    }
}

impl Globals {
    /// How scripts run that say nothing about it.
    pub fn script_defaults(&self) -> ScriptDefaults {
        ScriptDefaults {
            user: self.script_user.clone(),
            caps: self.script_caps,
        }
    }
}

/// How scripts run that say nothing about it themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScriptDefaults {
    /// `script_user`.
    pub user: Option<ScriptUser>,
    /// `script_caps`.
    pub caps: Capabilities,
}

/// `@vipd` keywords about the control socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ControlSettings {
    /// `control_mode`.
    pub mode: u32,
    /// `control_group`.
    pub group: Option<String>,
    /// `metrics_listen`.
    pub metrics_listen: Option<SocketAddr>,
    /// `page_listen`.
    pub page_listen: Option<SocketAddr>,
    /// `watch_config`.
    pub watch_config: bool,
}

impl Default for ControlSettings {
    fn default() -> ControlSettings {
        ControlSettings {
            mode: 0o660,
            group: None,
            metrics_listen: None,
            page_listen: None,
            watch_config: false,
        }
    }
}

/// `smtp_server HOST [PORT]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SmtpServer {
    /// An address or a name.
    pub host: String,
    /// 25 when absent.
    pub port: u16,
}

/// `smtp_tls`: how the way to the mail server is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SmtpTls {
    /// `off`: it is not.
    #[default]
    Off,
    /// `starttls`: after a word in the clear (RFC 3207); without it nothing is sent.
    Starttls,
    /// `tls`: from the first byte on (RFC 8314).
    Tls,
}

/// `notify_fifo PATH [USER [GROUP]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotifyFifo {
    /// Where it is.
    pub path: String,
    /// Whose it is; `script_user` when absent.
    pub owner: Option<ScriptUser>,
}

settings! {
    /// Keywords outside all blocks.
    NodeSettings {
        linkbeat_use_polling: bool,
        net_namespace: Option<String>,
        net_namespace_ipvs: Option<Option<String>>,
        namespace_with_ipsets: bool,
        instance: Option<String>,
    }
}

settings! {
    /// More about mails.
    MailSettings {
        smtp_helo_name: Option<String>,
        smtp_alert: Option<bool>,
        smtp_alert_vrrp: Option<bool>,
        smtp_alert_checker: Option<bool>,
        no_email_faults: bool,
        no_checker_emails: bool,
        smtp_tls: SmtpTls,
        smtp_tls_ca: Option<String>,
        smtp_tls_verify: Option<bool>,
        smtp_user: Option<String>,
        smtp_password_file: Option<String>,
    }
}

settings! {
    /// How the process is scheduled; times in microseconds where the keyword is a bare number.
    SchedulingSettings {
        process_names: bool,
        process_name: Option<String>,
        vrrp_process_name: Option<String>,
        checker_process_name: Option<String>,
        vrrp_priority: Option<i8>,
        checker_priority: Option<i8>,
        bfd_priority: Option<i8>,
        vrrp_rt_priority: Option<u8>,
        checker_rt_priority: Option<u8>,
        bfd_rt_priority: Option<u8>,
        vrrp_rlimit_rttime: Option<u32>,
        checker_rlimit_rttime: Option<u32>,
        bfd_rlimit_rttime: Option<u32>,
        vrrp_no_swap: bool,
        checker_no_swap: bool,
        bfd_no_swap: bool,
        vrrp_cpu_affinity: Vec<String>,
        checker_cpu_affinity: Vec<String>,
        bfd_cpu_affinity: Vec<String>,
        max_auto_priority: Option<Option<i8>>,
        min_auto_priority_delay: Option<u32>,
    }
}

settings! {
    /// Scripts and FIFOs.
    ScriptSettings {
        set_supplementary_groups: bool,
        use_symlink_paths: bool,
        startup_script: Option<Run>,
        #[serde(serialize_with = "seconds_or_null")]
        startup_script_timeout: Option<Duration>,
        shutdown_script: Option<Run>,
        #[serde(serialize_with = "seconds_or_null")]
        shutdown_script_timeout: Option<Duration>,
        notify_fifo: Option<NotifyFifo>,
        notify_fifo_script: Option<Run>,
        vrrp_notify_fifo: Option<NotifyFifo>,
        vrrp_notify_fifo_script: Option<Run>,
        lvs_notify_fifo: Option<NotifyFifo>,
        lvs_notify_fifo_script: Option<Run>,
        vrrp_notify_priority_changes: Option<bool>,
        fifo_write_vrrp_states_on_reload: bool,
        rs_init_notifies: bool,
    }
}

settings! {
    /// What holds for every instance.
    VrrpSettings {
        vrrp_mcast_group6: Option<IpAddr>,
        default_interface: Option<InterfaceName>,
        #[serde(serialize_with = "seconds_or_null")]
        vrrp_garp_interval: Option<Duration>,
        #[serde(serialize_with = "seconds_or_null")]
        vrrp_gna_interval: Option<Duration>,
        vrrp_owner_ignore_adverts: bool,
        v3_checksum_as_v2: bool,
        vrrp_check_unicast_src: bool,
        vrrp_strict: bool,
        #[serde(serialize_with = "seconds_or_null")]
        vrrp_startup_delay: Option<Duration>,
        #[serde(serialize_with = "seconds_or_null")]
        vrrp_delay_after_boot: Option<Duration>,
        #[serde(serialize_with = "seconds_or_null")]
        vip_lease: Option<Duration>,
        log_unknown_vrids: bool,
        vmac_prefix: Option<String>,
        vmac_addr_prefix: Option<String>,
        dynamic_interfaces: Option<Option<String>>,
        disable_local_igmp: bool,
        vrrp_rx_bufs_multiplier: Option<u32>,
    }
}

settings! {
    /// Packet filters.
    FilterSettings {
        nftables: Option<Option<String>>,
        nftables_priority: Option<i32>,
        nftables_counters: bool,
        nftables_ifindex: bool,
        nftables_ipvs: Option<Option<String>>,
        nftables_ipvs_priority: Option<i32>,
        nftables_ipvs_start_fwmark: Option<u32>,
        vrrp_iptables: Option<Vec<String>>,
        vrrp_ipsets: Option<Vec<String>>,
    }
}

settings! {
    /// What holds for the whole of IPVS.
    LvsSettings {
        lvs_flush: bool,
        set_kernel_settings: bool,
        sysctl: Sysctls,
        outside_changes: OutsideChanges,
        lvs_flush_on_stop: Option<Option<String>>,
    }
}

settings! {
    /// SNMP, D-Bus, reloads and files.
    OutputSettings {
        snmp_socket: Option<String>,
        enable_snmp_vrrp: bool,
        enable_snmp_checker: bool,
        enable_snmp_rfc: bool,
        enable_snmp_rfcv2: bool,
        enable_snmp_rfcv3: bool,
        enable_traps: bool,
        #[serde(serialize_with = "seconds_or_null")]
        snmp_vs_stats_update_interval: Option<Duration>,
        #[serde(serialize_with = "seconds_or_null")]
        snmp_rs_stats_update_interval: Option<Duration>,
        enable_dbus: bool,
        dbus_service_name: Option<String>,
        dbus_no_interface_name: Option<String>,
        reload_time_file: Option<String>,
        reload_repeat: bool,
        reload_file: Option<Option<String>>,
        include_check: Option<Vec<String>>,
        config_save_dir: Option<String>,
        umask: Option<u32>,
        random_seed: Option<u32>,
        data_use_instance: bool,
        state_dump_file: Option<String>,
        stats_dump_file: Option<String>,
        json_dump_file: Option<String>,
        json_version: Option<u8>,
        iproute_usr_dir: Option<String>,
        iproute_etc_dir: Option<String>,
    }
}
