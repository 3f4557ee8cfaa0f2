//! Rows of `global_defs` about buffers, reloads, dumps and what others ask.

use super::{Arguments, BOOL, FLAG, Keyword, TEXT, Type, integer, row};

const ANY: Arguments = Arguments::Words(0, usize::MAX);
const SOME: Arguments = Arguments::Words(1, usize::MAX);
const U32: Arguments = integer(0, 4_294_967_295);

const SIZED: &str = "vipd sizes its buffers itself";

pub(super) const OUTPUTS: &[Keyword] = &[
    row("vrrp_netlink_cmd_rcv_bufs", U32, "Size of a buffer.").no_effect(SIZED),
    row("vrrp_netlink_cmd_rcv_bufs_force", BOOL, "Size of a buffer.").no_effect(SIZED),
    row("vrrp_netlink_monitor_rcv_bufs", U32, "Size of a buffer.").no_effect(SIZED),
    row(
        "vrrp_netlink_monitor_rcv_bufs_force",
        BOOL,
        "Size of a buffer.",
    )
    .no_effect(SIZED),
    row("lvs_netlink_cmd_rcv_bufs", U32, "Size of a buffer.").no_effect(SIZED),
    row("lvs_netlink_cmd_rcv_bufs_force", BOOL, "Size of a buffer.").no_effect(SIZED),
    row("lvs_netlink_monitor_rcv_bufs", U32, "Size of a buffer.").no_effect(SIZED),
    row(
        "lvs_netlink_monitor_rcv_bufs_force",
        BOOL,
        "Size of a buffer.",
    )
    .no_effect(SIZED),
    row("process_monitor_rcv_bufs", U32, "Size of a buffer.").no_effect(SIZED),
    row("process_monitor_rcv_bufs_force", BOOL, "Size of a buffer.").no_effect(SIZED),
    row("snmp_socket", TEXT, "Socket of the SNMP agent.").no_effect("vipd has no SNMP agent"),
    row("enable_snmp_vrrp", FLAG, "SNMP.")
        .also(&["enable_snmp_keepalived"])
        .no_effect("vipd has no SNMP agent"),
    row("enable_snmp_checker", FLAG, "SNMP.").no_effect("vipd has no SNMP agent"),
    row("enable_snmp_rfc", FLAG, "SNMP.").no_effect("vipd has no SNMP agent"),
    row("enable_snmp_rfcv2", FLAG, "SNMP.").no_effect("vipd has no SNMP agent"),
    row("enable_snmp_rfcv3", FLAG, "SNMP.").no_effect("vipd has no SNMP agent"),
    row("enable_traps", FLAG, "SNMP traps.").no_effect("vipd has no SNMP agent"),
    row(
        "snmp_vs_stats_update_interval",
        Arguments::One(Type::Seconds(1_000, 30_000_000)),
        "SNMP.",
    )
    .default("5")
    .no_effect("vipd has no SNMP agent"),
    row(
        "snmp_rs_stats_update_interval",
        Arguments::One(Type::Seconds(1_000, 30_000_000)),
        "SNMP.",
    )
    .no_effect("vipd has no SNMP agent"),
    row("enable_dbus", FLAG, "D-Bus.").no_effect("vipd is not on the D-Bus"),
    row("dbus_service_name", TEXT, "D-Bus.").no_effect("vipd is not on the D-Bus"),
    row("dbus_no_interface_name", TEXT, "D-Bus.").no_effect("vipd is not on the D-Bus"),
    row(
        "reload_check_config",
        Arguments::Optional(Type::Text),
        "Check before a reload.",
    )
    .no_effect("vipd always checks before a reload"),
    row(
        "reload_time_file",
        TEXT,
        "A file whose first line says when to reload.",
    ),
    row(
        "reload_repeat",
        FLAG,
        "That file stays: a time without a date is one of every day.",
    ),
    row(
        "reload_file",
        Arguments::Optional(Type::Text),
        "A file that is there, and empty, while the configuration is read.",
    )
    .default("keepalived.reload in the run directory"),
    row(
        "include_check",
        ANY,
        "What must hold of files that are included from here on.",
    ),
    row(
        "tmp_config_directory",
        TEXT,
        "Where copies of the configuration lie.",
    )
    .no_effect("vipd makes no copies of the configuration"),
    row(
        "config_save_dir",
        TEXT,
        "Where files and states of reloads are kept.",
    ),
    row(
        "control_mode",
        TEXT,
        "Mode of the control socket, in octal.",
    )
    .strict()
    .default("0660")
    .own(),
    row(
        "control_group",
        TEXT,
        "Group whose members may look at the status.",
    )
    .default("that of vipd")
    .own(),
    row(
        "metrics_listen",
        TEXT,
        "ADDRESS:PORT for /metrics and /healthz.",
    )
    .strict()
    .own(),
    row(
        "page_listen",
        TEXT,
        "ADDRESS:PORT for the status page, with /metrics and /healthz.",
    )
    .strict()
    .own(),
    row(
        "watch_config",
        FLAG,
        "Reload when the configuration's files change.",
    )
    .own(),
    row("umask", SOME, "Mode bits that dump files do not get.").default("0177"),
    row("random_seed", U32, "Makes random numbers repeat."),
    row(
        "data_use_instance",
        BOOL,
        "`instance` stands in the name of the state dump.",
    ),
    row("state_dump_file", TEXT, "Where SIGUSR1 writes the state.").default("/tmp/keepalived.data"),
    row("stats_dump_file", TEXT, "Where SIGUSR2 writes counters.").default("/tmp/keepalived.stats"),
    row("json_dump_file", TEXT, "Where signal 36 writes JSON.").default("/tmp/keepalived.json"),
    row("json_version", integer(1, 2), "Shape of that JSON.").default("1"),
    row("iproute_usr_dir", TEXT, "Names of tables and scopes.").default("/usr/share/iproute2"),
    row("iproute_etc_dir", TEXT, "The same, first.").default("/etc/iproute2"),
];
