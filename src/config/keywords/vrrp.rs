//! Rows of `vrrp_script`, `vrrp_instance` and `vrrp_sync_group`.

use super::{
    Arguments, BOOL, BlockKind, FLAG, Keyword, TEXT, TIMER_MAX, Type, integer, row, whole_seconds,
};

const ADDRESS: Arguments = Arguments::One(Type::Address);
const INTERFACE: Arguments = Arguments::One(Type::Interface);
const ANY: Arguments = Arguments::Words(0, usize::MAX);
const U32: Arguments = integer(0, 4_294_967_295);
const DELAY: Arguments = whole_seconds(0, 4_294_967);

pub(super) const ROOT: &[Keyword] = &[
    row("vrrp_script", TEXT, "A command whose success is tracked.").block(BlockKind::VrrpScript),
    row("vrrp_instance", TEXT, "A virtual router on a link.").block(BlockKind::VrrpInstance),
];

pub(super) const SCRIPT: &[Keyword] = &[
    row(
        "script",
        Arguments::Command,
        "The command; quote it when it has arguments.",
    ),
    row(
        "interval",
        Arguments::One(Type::Seconds(1_000, TIMER_MAX)),
        "Seconds between two starts.",
    )
    .default("1"),
    row(
        "timeout",
        Arguments::One(Type::Seconds(1_000, TIMER_MAX)),
        "Seconds it may take. Without it, it has failed after the interval and is ended 10 s later.",
    )
    .default("as interval"),
    row(
        "weight",
        Arguments::Words(1, 2),
        "Added to the priority, -253 to 253, perhaps `reverse`.",
    )
    .default("0"),
    row(
        "rise",
        integer(1, 2_147_483_647),
        "Successes until it passes.",
    )
    .default("1"),
    row(
        "fall",
        integer(1, 2_147_483_647),
        "Failures until it fails.",
    )
    .default("1"),
    row(
        "user",
        Arguments::Words(1, 2),
        "Who runs it: user and group.",
    )
    .default("as script_user"),
    row("init_fail", FLAG, "It counts as failing until it passed."),
];

pub(super) const INSTANCE: &[Keyword] = &[
    row(
        "state",
        Arguments::One(Type::Choice(&["MASTER", "BACKUP"])),
        "Where it starts.",
    )
    .default("BACKUP"),
    row("interface", INTERFACE, "Where its adverts go."),
    row(
        "virtual_router_id",
        integer(1, 255),
        "Which virtual router it is.",
    )
    .strict(),
    row(
        "priority",
        integer(1, 255),
        "The highest wins; 255 owns the addresses.",
    )
    .default("100"),
    row(
        "advert_int",
        Arguments::One(Type::Seconds(10_000, 255_000_000)),
        "Seconds between adverts.",
    )
    .default("1"),
    row("version", integer(2, 3), "Version of the protocol.").default("as vrrp_version"),
    row(
        "vip_lease",
        whole_seconds(0, 86_400),
        "Seconds after which the kernel removes the VIPs of a vipd that hangs or died; 0: never.",
    )
    .default("as vip_lease in global_defs")
    .own(),
    row("native_ipv6", FLAG, "IPv6."),
    row("vrf", INTERFACE, "VRF of unicast."),
    row("authentication", FLAG, "Password of version 2.").block(BlockKind::Authentication),
    row("auth_hmac", FLAG, "Signed adverts.")
        .block(BlockKind::AuthHmac)
        .refused("adverts would leave without a signature"),
    row("virtual_ipaddress", FLAG, "Addresses of the master.").lines(),
    row(
        "virtual_ipaddress_excluded",
        FLAG,
        "Such addresses that no advert names.",
    )
    .lines(),
    row(
        "no_virtual_ipaddress",
        FLAG,
        "There are no addresses, on purpose.",
    ),
    row("virtual_routes", FLAG, "Routes of the master.").lines(),
    row("virtual_rules", FLAG, "Rules of the master.").lines(),
    row(
        "promote_secondaries",
        FLAG,
        "Set that sysctl on its interfaces while it is configured.",
    ),
];

pub(super) const INSTANCE_ADDRESSES: &[Keyword] = &[
    row("mcast_src_ip", ADDRESS, "Source address of its adverts.")
        .default("the interface's first address"),
    row("unicast_src_ip", ADDRESS, "Source address of its adverts.")
        .default("the interface's first address"),
    row("track_src_ip", FLAG, "Losing that address is a fault."),
    row("mcast_dst_ip", ADDRESS, "Group of its adverts.")
        .default("as vrrp_mcast_group4")
        .strict(),
    row(
        "unicast_peer",
        FLAG,
        "Routers that its adverts go to, instead of the group.",
    )
    .lines(),
    row("unicast_ttl", integer(0, 255), "TTL of unicast adverts.").default("255"),
    row("unicast_fault_no_peer", FLAG, "Having no peer is a fault."),
    row("check_unicast_src", FLAG, "Take adverts only from peers."),
    row(
        "old_unicast_checksum",
        Arguments::Optional(Type::Choice(&["never"])),
        "Old checksums.",
    ),
    row(
        "v3_checksum_as_v2",
        BOOL,
        "Checksum of version 3 without the pseudo header.",
    ),
    row("use_vmac", ANY, "Answer with the virtual router's own MAC."),
    row(
        "use_vmac_addr",
        FLAG,
        "The same on the interfaces of addresses.",
    ),
    row(
        "vmac_xmit_base",
        FLAG,
        "Adverts leave by the real interface.",
    ),
    row("use_ipvlan", ANY, "An ipvlan interface of its own."),
];

pub(super) const INSTANCE_ELECTION: &[Keyword] = &[
    row("nopreempt", FLAG, "Let a master with a lower priority be."),
    row("preempt", FLAG, "Take over from one.").default("yes"),
    row(
        "preempt_delay",
        Arguments::One(Type::Seconds(0, 1_000_000_000)),
        "Seconds before that.",
    )
    .default("0"),
    row(
        "down_timer_adverts",
        integer(1, 100),
        "Missed adverts until a master is dead.",
    )
    .default("as vrrp_down_timer_adverts"),
    row(
        "timer_expired_backup",
        Arguments::Optional(Type::Integer(1, 254)),
        "Let the others have it after a standstill, if one of them may have this priority.",
    )
    .also(&["thread_timer_expired"]),
    row(
        "lower_prio_no_advert",
        BOOL,
        "A master does not answer lower priorities.",
    )
    .default("as vrrp_lower_prio_no_advert"),
    row(
        "higher_prio_send_advert",
        BOOL,
        "A master that yields sends a last advert.",
    )
    .default("as vrrp_higher_prio_send_advert"),
    row("owner_ignore_adverts", BOOL, "An owner does not listen.")
        .default("as vrrp_owner_ignore_adverts"),
    row("accept", FLAG, "Answer on the addresses.").default("yes; under strict_mode no"),
    row("no_accept", FLAG, "Do not answer on the addresses."),
    row("strict_mode", BOOL, "Hold to the RFC.").default("as vrrp_strict"),
    row(
        "skip_check_adv_addr",
        BOOL,
        "Do not compare addresses in later adverts.",
    )
    .no_effect("vipd compares them at no cost"),
    row(
        "garp_master_delay",
        DELAY,
        "Seconds until the second round of announcements.",
    )
    .default("as vrrp_garp_master_delay"),
    row("garp_master_repeat", U32, "Announcements in each round.")
        .default("as vrrp_garp_master_repeat"),
    row(
        "garp_master_refresh",
        DELAY,
        "Seconds between rounds while master; 0: none.",
    )
    .default("as vrrp_garp_master_refresh"),
    row(
        "garp_master_refresh_repeat",
        U32,
        "Announcements in each of those.",
    )
    .default("as vrrp_garp_master_refresh_repeat"),
    row(
        "garp_lower_prio_delay",
        DELAY,
        "Seconds until the second round after a lower priority.",
    )
    .default("as vrrp_garp_lower_prio_delay"),
    row(
        "garp_lower_prio_repeat",
        U32,
        "Announcements after a lower priority was heard.",
    )
    .default("as vrrp_garp_lower_prio_repeat"),
    row(
        "garp_extra_if",
        Arguments::Words(1, 2),
        "Seconds between announcements on VMACs (`all`: interfaces) without adverts; 0: none.",
    )
    .default("as vrrp_garp_extra_if")
    .also(&["vmac_garp_intvl"]),
];

pub(super) const INSTANCE_REST: &[Keyword] = &[
    row(
        "dont_track_primary",
        FLAG,
        "Its interface going down is not a fault.",
    ),
    row("track_interface", FLAG, "Other interfaces that must be up.").lines(),
    row("track_script", FLAG, "Scripts that must pass.").lines(),
    row("track_file", FLAG, "Files whose number is added.").lines(),
    row("track_process", FLAG, "Processes that must run.").lines(),
    row("track_bfd", FLAG, "BFD sessions that must be up.").lines(),
    row(
        "linkbeat_use_polling",
        FLAG,
        "Ask its interface for its link every second.",
    ),
    row(
        "notify_master",
        Arguments::Command,
        "Run on becoming master.",
    ),
    row(
        "notify_backup",
        Arguments::Command,
        "Run on becoming backup.",
    ),
    row("notify_fault", Arguments::Command, "Run on a fault."),
    row("notify_stop", Arguments::Command, "Run at stop."),
    row(
        "notify_deleted",
        Arguments::Command,
        "Run when a reload removes it.",
    ),
    row(
        "notify_master_rx_lower_pri",
        Arguments::Command,
        "Run on hearing a lower priority.",
    ),
    row("notify", Arguments::Command, "Run on every change."),
    row(
        "notify_priority_changes",
        BOOL,
        "FIFOs are told of its priority.",
    ),
    row("smtp_alert", BOOL, "Mails about it."),
    row(
        "debug",
        Arguments::Optional(Type::Integer(0, 4)),
        "Nothing.",
    )
    .no_effect("it has none in keepalived either"),
    row("kernel_rx_buf_size", U32, "Size of its receive buffer."),
    row(
        "lvs_sync_daemon_interface",
        INTERFACE,
        "Where connections are sent to the backup.",
    ),
];

pub(super) const AUTHENTICATION: &[Keyword] = &[
    row(
        "auth_type",
        Arguments::One(Type::Choice(&["PASS", "AH"])),
        "How adverts are told apart.",
    )
    .strict(),
    row("auth_pass", TEXT, "The password: 8 bytes count."),
];

pub(super) const AUTH_HMAC: &[Keyword] = &[
    row(
        "key",
        Arguments::Words(2, 2),
        "Number 1 to 255 and key: text, hex:... or file:...",
    ),
    row(
        "active_key",
        integer(1, 255),
        "The key that adverts are signed with.",
    ),
    row(
        "anti_replay",
        Arguments::One(Type::Choice(&["time", "monotonic"])),
        "How old adverts are told.",
    )
    .default("time"),
    row(
        "time_window",
        whole_seconds(1, 300),
        "How old an advert may be.",
    )
    .default("3 times advert_int, at least 5"),
    row(
        "mode",
        Arguments::One(Type::Choice(&["enforce", "permissive", "receive-only"])),
        "What is done without a signature.",
    )
    .default("enforce"),
];
