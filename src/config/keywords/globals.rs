//! Rows of `global_defs` and of what stands beside it.

use super::{
    Arguments, BOOL, BlockKind, FLAG, Keyword, TEXT, TIMER_MAX, Type, integer, row, whole_seconds,
};

const ADDRESS: Arguments = Arguments::One(Type::Address);
const ANY: Arguments = Arguments::Words(0, usize::MAX);
const SOME: Arguments = Arguments::Words(1, usize::MAX);
/// A path, a user and a group.
const FIFO: Arguments = Arguments::Words(1, 3);
const U32: Arguments = integer(0, 4_294_967_295);

pub(super) const ROOT: &[Keyword] = &[
    row("global_defs", FLAG, "What holds for everything.").block(BlockKind::GlobalDefs),
    row(
        "net_namespace",
        TEXT,
        "Network namespace of VRRP and checks.",
    ),
    row(
        "net_namespace_ipvs",
        Arguments::Optional(Type::Text),
        "Network namespace of IPVS; without a name that of process 1.",
    )
    .default("as net_namespace"),
    row("namespace_with_ipsets", FLAG, "Use ipsets in a namespace.")
        .no_effect("kernels have ipsets in every network namespace since 3.13"),
    row("instance", TEXT, "Name of this vipd among several."),
    row(
        "use_pid_dir",
        FLAG,
        "Pid files in a directory of their own.",
    )
    .no_effect("`--run-dir` says where files go"),
    row(
        "linkbeat_use_polling",
        FLAG,
        "Ask tracked interfaces for their link every second.",
    ),
    row(
        "child_wait_time",
        whole_seconds(0, 4_294_967),
        "How long child processes may take to stop.",
    )
    .no_effect("vipd has no child processes that hold state"),
];

pub(super) const IDENTITY: &[Keyword] = &[
    row("router_id", TEXT, "How this node calls itself.").default("the host name"),
    row("notification_email", FLAG, "Who is told by mail.").lines(),
    row("notification_email_from", TEXT, "Sender of mails."),
    row(
        "smtp_server",
        Arguments::Words(1, 2),
        "Mail server: address or name, and port.",
    )
    .default("port 25"),
    row("smtp_helo_name", TEXT, "Name given to the mail server.").default("the host name"),
    row(
        "smtp_tls",
        Arguments::One(Type::Choice(&["off", "starttls", "tls"])),
        "How the way to the mail server is encrypted: by STARTTLS, or from the first byte on.",
    )
    .default("off")
    .strict()
    .own(),
    row(
        "smtp_tls_ca",
        TEXT,
        "File of certificates (PEM) that the mail server's is checked with.",
    )
    .default("those of the system")
    .own(),
    row(
        "smtp_tls_verify",
        BOOL,
        "Whether the mail server's certificate is checked.",
    )
    .default("on")
    .own(),
    row(
        "smtp_user",
        TEXT,
        "Name to log in to the mail server with (AUTH PLAIN or LOGIN); needs smtp_tls.",
    )
    .own(),
    row(
        "smtp_password_file",
        TEXT,
        "File whose first line is the password for it.",
    )
    .own(),
    row(
        "smtp_connect_timeout",
        whole_seconds(1, 4_294_967),
        "How long the mail server may take.",
    )
    .default("30"),
    row("smtp_alert", BOOL, "Mails about everything."),
    row("smtp_alert_vrrp", BOOL, "Mails about instances."),
    row("smtp_alert_checker", BOOL, "Mails about real servers."),
    row("no_email_faults", FLAG, "No mails about faults."),
    row("no_checker_emails", FLAG, "No mails about real servers."),
    row(
        "checker_log_all_failures",
        BOOL,
        "Log each failed try of a check that is up.",
    )
    .default("false"),
];

pub(super) const PROCESSES: &[Keyword] = &[
    row(
        "process_names",
        FLAG,
        "Name threads as keepalived names processes.",
    ),
    row("process_name", TEXT, "Name of the process."),
    row("vrrp_process_name", TEXT, "Name of the thread of VRRP."),
    row(
        "checker_process_name",
        TEXT,
        "Name of the thread of checks.",
    )
    .also(&["lvs_process_name"]),
    row("bfd_process_name", TEXT, "Name of the BFD process.")
        .no_effect("BFD lives on the thread of VRRP"),
    row("vrrp_priority", integer(-20, 19), "Nice value of VRRP."),
    row(
        "checker_priority",
        integer(-20, 19),
        "Nice value of checks.",
    ),
    row("bfd_priority", integer(-20, 19), "Nice value of BFD."),
    row(
        "vrrp_rt_priority",
        integer(1, 99),
        "Real-time priority of VRRP.",
    ),
    row(
        "checker_rt_priority",
        integer(1, 99),
        "Real-time priority of checks.",
    ),
    row(
        "bfd_rt_priority",
        integer(1, 99),
        "Real-time priority of BFD.",
    ),
    row(
        "vrrp_rlimit_rttime",
        U32,
        "Microseconds between two blocking calls.",
    )
    .also(&["vrrp_rlimit_rtime"]),
    row(
        "checker_rlimit_rttime",
        U32,
        "Microseconds between two blocking calls.",
    )
    .also(&["checker_rlimit_rtime"]),
    row(
        "bfd_rlimit_rttime",
        U32,
        "Microseconds between two blocking calls.",
    )
    .also(&["bfd_rlimit_rtime"]),
    row("vrrp_no_swap", FLAG, "Keep VRRP in memory."),
    row("checker_no_swap", FLAG, "Keep checks in memory."),
    row("bfd_no_swap", FLAG, "Keep BFD in memory."),
    row("vrrp_cpu_affinity", SOME, "Processors of VRRP."),
    row("checker_cpu_affinity", SOME, "Processors of checks."),
    row("bfd_cpu_affinity", SOME, "Processors of BFD."),
    row(
        "max_auto_priority",
        Arguments::Optional(Type::Integer(-1, 99)),
        "Raise priority when late.",
    )
    .default("0"),
    row(
        "min_auto_priority_delay",
        integer(1, 10_000_000),
        "How late, in microseconds.",
    )
    .default("1000000"),
];

pub(super) const SCRIPTS: &[Keyword] = &[
    row(
        "script_user",
        Arguments::Words(1, 2),
        "Who runs scripts: user and group.",
    )
    .default("keepalived_script if there is such a user, else root"),
    row(
        "script_caps",
        SOME,
        "What scripts that run as root may do: names of capabilities(7), or `none`.",
    )
    .default("all that vipd may do")
    .strict()
    .own(),
    row(
        "enable_script_security",
        FLAG,
        "Run no script that others than root could change.",
    ),
    row(
        "set_supplementary_groups",
        FLAG,
        "Scripts have all groups of their user.",
    )
    .no_effect("scripts always have the groups of their user"),
    row(
        "use_symlink_paths",
        FLAG,
        "Call scripts by the links that name them.",
    )
    .no_effect("scripts are always called by the path that is written"),
    row(
        "startup_script",
        Arguments::Command,
        "Run before everything.",
    ),
    row(
        "startup_script_timeout",
        whole_seconds(1, 1000),
        "How long it may take.",
    )
    .default("10"),
    row(
        "shutdown_script",
        Arguments::Command,
        "Run after everything.",
    ),
    row(
        "shutdown_script_timeout",
        whole_seconds(1, 1000),
        "How long it may take.",
    )
    .default("10"),
    row("notify_fifo", FIFO, "FIFO that is told of every change."),
    row("notify_fifo_script", Arguments::Command, "Reads that FIFO."),
    row("vrrp_notify_fifo", FIFO, "FIFO that is told of instances."),
    row(
        "vrrp_notify_fifo_script",
        Arguments::Command,
        "Reads that FIFO.",
    ),
    row("lvs_notify_fifo", FIFO, "FIFO that is told of servers."),
    row(
        "lvs_notify_fifo_script",
        Arguments::Command,
        "Reads that FIFO.",
    ),
    row(
        "vrrp_notify_priority_changes",
        BOOL,
        "FIFOs are told of priorities.",
    ),
    row(
        "fifo_write_vrrp_states_on_reload",
        FLAG,
        "FIFOs are told again on reload.",
    ),
    row(
        "rs_init_notifies",
        BOOL,
        "Notifications about servers at start.",
    ),
];

const DELAY: Arguments = whole_seconds(0, 4_294_967);
const REPEAT: Arguments = U32;

pub(super) const VRRP: &[Keyword] = &[
    row("vrrp_version", integer(2, 3), "Version of the protocol.").default("2"),
    row("vrrp_mcast_group4", ADDRESS, "Group of VRRP over IPv4.")
        .default("224.0.0.18")
        .strict(),
    row("vrrp_mcast_group6", ADDRESS, "Group of VRRP over IPv6.").default("ff02::12"),
    row(
        "default_interface",
        Arguments::One(Type::Interface),
        "Interface of static addresses.",
    )
    .default("eth0"),
    row(
        "vrrp_garp_master_delay",
        DELAY,
        "Seconds until the second round of announcements.",
    )
    .default("5"),
    row(
        "vrrp_garp_master_repeat",
        REPEAT,
        "Announcements in each round.",
    )
    .default("5"),
    row(
        "vrrp_garp_master_refresh",
        DELAY,
        "Seconds between rounds while master; 0: none.",
    )
    .default("60; 0 with `vrrp_min_garp`"),
    row(
        "vrrp_garp_master_refresh_repeat",
        REPEAT,
        "Announcements in each of those.",
    )
    .default("1"),
    row(
        "vrrp_garp_lower_prio_delay",
        DELAY,
        "Seconds until the second round after a lower priority.",
    )
    .default("as vrrp_garp_master_delay"),
    row(
        "vrrp_garp_lower_prio_repeat",
        REPEAT,
        "Announcements after a lower priority was heard.",
    )
    .default("as vrrp_garp_master_repeat"),
    row(
        "vrrp_garp_interval",
        Arguments::One(Type::Seconds(0, TIMER_MAX)),
        "Seconds between two ARPs.",
    )
    .default("0"),
    row(
        "vrrp_gna_interval",
        Arguments::One(Type::Seconds(0, TIMER_MAX)),
        "Seconds between two NAs.",
    )
    .default("0"),
    row("vrrp_min_garp", BOOL, "One announcement, once.").default("false"),
    row(
        "vrrp_garp_extra_if",
        Arguments::Words(1, 2),
        "Seconds between announcements on VMACs (`all`: interfaces) without adverts.",
    )
    .also(&["vrrp_vmac_garp_intvl"]),
    row(
        "vrrp_down_timer_adverts",
        integer(1, 100),
        "Missed adverts until a master is dead.",
    )
    .default("3"),
    row(
        "vrrp_lower_prio_no_advert",
        BOOL,
        "A master does not answer lower priorities.",
    )
    .default("false"),
    row(
        "vrrp_higher_prio_send_advert",
        BOOL,
        "A master that yields sends a last advert.",
    )
    .default("false"),
    row("vrrp_owner_ignore_adverts", BOOL, "Owners do not listen."),
    row(
        "v3_checksum_as_v2",
        BOOL,
        "Checksum of version 3 without the pseudo header.",
    ),
    row(
        "vrrp_check_unicast_src",
        FLAG,
        "Take adverts only from peers.",
    ),
    row(
        "vrrp_skip_check_adv_addr",
        BOOL,
        "Do not compare addresses in later adverts.",
    )
    .no_effect("vipd compares them at no cost"),
    row("vrrp_strict", FLAG, "Hold to the RFC."),
    row(
        "vrrp_startup_delay",
        Arguments::One(Type::Seconds(1_000, TIMER_MAX)),
        "Seconds after the start in which nobody is listened to and nothing is sent.",
    ),
    row(
        "vrrp_delay_after_boot",
        Arguments::One(Type::Seconds(1_000, TIMER_MAX)),
        "The same, counted from the boot of the machine.",
    ),
    row(
        "vip_lease",
        whole_seconds(0, 86_400),
        "Seconds after which the kernel removes the VIPs of a vipd that hangs or died; 0: never.",
    )
    .default("0")
    .own(),
    row("log_unknown_vrids", FLAG, "Log adverts of others."),
    row("vmac_prefix", TEXT, "Names of VMAC interfaces.").default("vrrp"),
    row(
        "vmac_addr_prefix",
        TEXT,
        "Names of VMAC address interfaces.",
    )
    .default("as vmac_prefix"),
    row(
        "dynamic_interfaces",
        Arguments::Optional(Type::Choice(&["allow_if_changes"])),
        "Interfaces may come later.",
    ),
    row(
        "disable_local_igmp",
        FLAG,
        "The host reports no group of 224.0.0.0/24.",
    ),
    row("vrrp_rx_bufs_policy", SOME, "Size of receive buffers."),
    row("vrrp_rx_bufs_multiplier", U32, "Size of receive buffers."),
];

pub(super) const FILTERS: &[Keyword] = &[
    row(
        "nftables",
        Arguments::Optional(Type::Text),
        "Table of nftables.",
    )
    .default("vipd"),
    row(
        "nftables_priority",
        integer(-2_147_483_648, 2_147_483_647),
        "Priority of its chains.",
    )
    .default("-1"),
    row("nftables_counters", FLAG, "Count packets."),
    row("nftables_ifindex", FLAG, "Match interfaces by number.")
        .no_effect("rules name interfaces, and hold for one that is made anew"),
    row(
        "nftables_ipvs",
        Arguments::Optional(Type::Text),
        "Groups are one service each, found by marks that this table of nftables gives.",
    )
    .default("a service for each address; the table: vipd_ipvs"),
    row(
        "nftables_ipvs_priority",
        integer(-2_147_483_648, 2_147_483_647),
        "Priority of the chains that mark.",
    )
    .default("-150"),
    row("nftables_ipvs_start_fwmark", U32, "First mark.").default("1000"),
    row(
        "vrrp_iptables",
        Arguments::Words(0, 2),
        "Chains of iptables from which rules are called, with iptables instead of nftables.",
    )
    .default("INPUT and OUTPUT"),
    row("vrrp_ipsets", ANY, "Names of ipsets.")
        .no_effect("rules stand in chains of vipd's own and name addresses one by one"),
];

pub(super) const LVS: &[Keyword] = &[
    row(
        "lvs_sync_daemon",
        SOME,
        "Sends connections on: IF [[inst] NAME] [id N] [maxlen N] [port N] [ttl N] [group ADDRESS].",
    ),
    row(
        "lvs_timeouts",
        SOME,
        "How long idle connections are remembered: [tcp S] [tcpfin S] [udp S].",
    )
    .default("the kernel's"),
    row(
        "outside_changes",
        Arguments::One(Type::Choice(&["keep", "revert"])),
        "What becomes of weights and servers that somebody sets with ipvsadm.",
    )
    .default("keep, until there is a reason of vipd's own to write that server")
    .own(),
    row(
        "set_kernel_settings",
        FLAG,
        "What virtual servers need of the kernel is set, and put back at the stop.",
    )
    .own(),
    row(
        "sysctl",
        Arguments::Words(2, 2),
        "A setting of the kernel to be kept: NAME VALUE; on any number of lines.",
    )
    .own(),
    row("lvs_flush", FLAG, "Empty the IPVS table at start."),
    row(
        "lvs_flush_on_stop",
        Arguments::Optional(Type::Choice(&["VS"])),
        "Empty it at stop.",
    )
    .also(&["lvs_flush_onstop"]),
];
