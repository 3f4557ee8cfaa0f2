//! Rows of what is tracked, of groups, of static objects and of links.

use super::{Arguments, BOOL, BlockKind, FLAG, Keyword, TEXT, TIMER_MAX, Type, integer, row};

pub(super) const ROOT: &[Keyword] = &[
    row(
        "linkbeat_interfaces",
        FLAG,
        "Interfaces asked for their link every second: IF [MII, ETHTOOL or IOCTL].",
    )
    .lines(),
    row(
        "interface_up_down_delays",
        FLAG,
        "How long a change of link must last: IF DOWN [UP], seconds.",
    )
    .lines(),
    row(
        "track_group",
        TEXT,
        "Instances that fail with a static address, route or rule.",
    )
    .block(BlockKind::TrackGroup),
    row("static_ipaddress", FLAG, "Addresses that are always set.").lines(),
    row("static_routes", FLAG, "Routes that are always set.").lines(),
    row("static_rules", FLAG, "Rules that are always set.").lines(),
    row(
        "garp_group",
        FLAG,
        "How fast announcements may leave an interface.",
    )
    .block(BlockKind::GarpGroup),
    row(
        "track_file",
        TEXT,
        "A number in a file that is added to priorities.",
    )
    .also(&["vrrp_track_file"])
    .block(BlockKind::TrackFile),
    row("vrrp_track_process", TEXT, "Processes that must run.")
        .also(&["track_process"])
        .block(BlockKind::TrackProcess),
    row(
        "bfd_instance",
        TEXT,
        "A BFD session: RFC 5880, asynchronous, without authentication.",
    )
    .block(BlockKind::BfdInstance),
    row(
        "vrrp_sync_group",
        TEXT,
        "Instances that change state together.",
    )
    .block(BlockKind::SyncGroup),
    row("SSL", FLAG, "Keys of SSL_GET.").block(BlockKind::Ssl),
];

// Of rows in blocks that are not acted on as a whole nothing more is said.

pub(super) const GROUP: &[Keyword] = &[row("group", FLAG, "Names of instances.").lines()];

pub(super) const SYNC_GROUP: &[Keyword] = &[
    row(
        "track_interface",
        FLAG,
        "Interfaces that must be up for all.",
    )
    .lines(),
    row("track_script", FLAG, "Scripts that must pass for all.").lines(),
    row("track_file", FLAG, "Files whose number is added for all.").lines(),
    row("track_process", FLAG, "Processes that must run for all.").lines(),
    row("track_bfd", FLAG, "BFD sessions that must be up for all.").lines(),
    row(
        "notify_master",
        Arguments::Command,
        "Run when all are master.",
    ),
    row(
        "notify_backup",
        Arguments::Command,
        "Run on becoming backup.",
    ),
    row("notify_fault", Arguments::Command, "Run on a fault."),
    row("notify_stop", Arguments::Command, "Run at stop."),
    row("notify", Arguments::Command, "Run on every change."),
    row(
        "notify_priority_changes",
        BOOL,
        "FIFOs are told of priorities.",
    ),
    row("smtp_alert", BOOL, "Mails about it."),
    row(
        "sync_group_tracking_weight",
        FLAG,
        "Members may have weights of their own.",
    ),
    row("global_tracking", FLAG, "Old name of that."),
];

const INTERVAL: Arguments = Arguments::One(Type::Seconds(0, TIMER_MAX));

pub(super) const GARP_GROUP: &[Keyword] = &[
    row("garp_interval", INTERVAL, "Seconds between two ARPs."),
    row("gna_interval", INTERVAL, "Seconds between two NAs."),
    row(
        "interface",
        Arguments::One(Type::Interface),
        "Interface it holds for.",
    ),
    row("interfaces", FLAG, "Interfaces it holds for together.").lines(),
];

pub(super) const SSL: &[Keyword] = &[
    row("password", TEXT, "Password of the key.").no_effect("an encrypted key is refused"),
    row("ca", TEXT, "File of certificates that are trusted.")
        .no_effect("no certificate is compared with it, in keepalived neither"),
    row("certificate", TEXT, "File of the certificate."),
    row("key", TEXT, "File of the key."),
];

pub(super) const FILE: &[Keyword] = &[
    row("file", TEXT, "The file."),
    row(
        "weight",
        Arguments::Words(1, 2),
        "Factor of its number, -254 to 254, perhaps `reverse`.",
    )
    .default("1"),
    row(
        "init_file",
        Arguments::Words(0, 2),
        "Write it at the start: [NUMBER] [overwrite].",
    ),
];

const DELAY: Arguments = Arguments::One(Type::Seconds(1, 3_600_000_000));

pub(super) const PROCESS: &[Keyword] = &[
    row(
        "process",
        Arguments::Words(1, usize::MAX),
        "The command and its arguments.",
    ),
    row(
        "param_match",
        Arguments::Optional(Type::Choice(&["initial", "partial"])),
        "Its arguments must be those.",
    ),
    row(
        "weight",
        Arguments::Words(1, 2),
        "Added to the priority, -254 to 254, perhaps `reverse`.",
    )
    .default("0"),
    row("quorum", integer(1, 65535), "So many must run.").default("1"),
    row("quorum_max", integer(0, 65535), "And no more than so many.").default("no limit"),
    row("fork_delay", DELAY, "Seconds before a start counts.").default("0"),
    row("terminate_delay", DELAY, "Seconds before an end counts.").default("0"),
    row("delay", DELAY, "Both."),
    row("full_command", FLAG, "The whole path counts."),
];

/// keepalived: the largest number of whole milliseconds that fits into the packet.
const MILLIS_MAX: u64 = 4_294_967_000;
const MILLIS: Arguments = Arguments::One(Type::Millis(1000, MILLIS_MAX));
const ADDRESS: Arguments = Arguments::One(Type::Address);

pub(super) const BFD: &[Keyword] = &[
    row("neighbor_ip", ADDRESS, "The other side.").also(&["neighbour_ip"]),
    row("source_ip", ADDRESS, "Source address."),
    row("min_rx", MILLIS, "Milliseconds between packets we take.").default("10"),
    row("min_tx", MILLIS, "Milliseconds between packets we send.").default("10"),
    row(
        "idle_tx",
        Arguments::One(Type::Millis(1_000_000, MILLIS_MAX)),
        "The same while the session is down.",
    )
    .default("1000"),
    row("multiplier", integer(1, 255), "Packets that may be missed.").default("5"),
    row("passive", FLAG, "The other side begins."),
    row("ttl", integer(1, 255), "TTL of our packets.")
        .also(&["hoplimit"])
        .default("255; IPv6: 64"),
    row(
        "max_hops",
        integer(-1, 255),
        "Routers that theirs may have crossed.",
    )
    .default("0"),
    row("multihop", BOOL, "RFC 5883, port 4784.").default("false"),
    row(
        "weight",
        Arguments::Words(1, 2),
        "Added to the priority, -253 to 253, perhaps `reverse`.",
    )
    .default("0"),
    row("vrrp", FLAG, "For instances."),
    row("checker", FLAG, "For BFD_CHECK."),
];
