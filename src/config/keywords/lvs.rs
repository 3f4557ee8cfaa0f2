//! Rows of `virtual_server` and `real_server`.

use super::{Arguments, BOOL, BlockKind, FLAG, Keyword, TEXT, Type, integer, row, whole_seconds};

const SOME: Arguments = Arguments::Words(1, usize::MAX);
const U32: Arguments = integer(0, 4_294_967_295);
const WEIGHT: Arguments = integer(0, 2_147_483_647);

pub(super) const ROOT: &[Keyword] = &[
    row(
        "virtual_server",
        Arguments::Words(1, 2),
        "A service that IPVS forwards: IP [PORT], fwmark N or group NAME.",
    )
    .block(BlockKind::VirtualServer),
    row(
        "virtual_server_group",
        TEXT,
        "Several addresses of one service.",
    )
    .lines(),
];

pub(super) const VIRTUAL_SERVER: &[Keyword] = &[
    row(
        "protocol",
        Arguments::One(Type::Choice(&["TCP", "UDP", "SCTP"])),
        "What is forwarded.",
    )
    .default("UDP")
    .strict(),
    row("lvs_sched", TEXT, "How a server is chosen.")
        .also(&["lb_algo"])
        .default("wlc"),
    row(
        "lvs_method",
        SOME,
        "How packets reach a server: NAT, DR or TUN.",
    )
    .also(&["lb_kind"])
    .default("NAT"),
    row("ops", FLAG, "Each UDP packet is scheduled on its own."),
    row("flag-1", FLAG, "First flag of the scheduler.").also(&["sh-fallback", "mh-fallback"]),
    row("flag-2", FLAG, "Second flag of the scheduler.").also(&["sh-port", "mh-port"]),
    row("flag-3", FLAG, "Third flag of the scheduler."),
    row("hashed", FLAG, "Nothing.").no_effect("the kernel ignores it"),
    row(
        "persistence_timeout",
        Arguments::Optional(Type::Integer(1, 2_678_400)),
        "Seconds for which a client keeps its server; 360 when no number stands there.",
    )
    .default("no persistence"),
    row(
        "persistence_granularity",
        TEXT,
        "Netmask or prefix length of clients that count as one.",
    ),
    row(
        "persistence_engine",
        TEXT,
        "Persistence engine, such as sip.",
    ),
    row(
        "ip_family",
        Arguments::One(Type::Choice(&["inet", "inet6"])),
        "Family of a fwmark's packets.",
    )
    .strict(),
    row(
        "real_server",
        Arguments::Words(1, 2),
        "A server of the pool.",
    )
    .block(BlockKind::RealServer),
    row(
        "weight",
        integer(1, 2_147_483_647),
        "Weight of servers that have none.",
    )
    .default("1"),
    row(
        "inhibit_on_failure",
        BOOL,
        "Failed servers keep their place with weight 0.",
    ),
    row(
        "quorum",
        integer(1, 4_294_967_295),
        "Weight that must be up.",
    )
    .default("1"),
    row("hysteresis", U32, "Weight above and below the quorum.").default("0"),
    row(
        "quorum_up",
        Arguments::Command,
        "Run when the quorum is reached.",
    ),
    row("quorum_down", Arguments::Command, "Run when it is lost."),
    row("omega", BOOL, "Run those at stop too."),
    row(
        "sorry_server",
        Arguments::Words(1, 2),
        "Takes over when the quorum is lost.",
    ),
    row(
        "sorry_server_inhibit",
        BOOL,
        "It keeps its place with weight 0.",
    ),
    row("sorry_server_lvs_method", SOME, "How packets reach it."),
    row(
        "ha_suspend",
        BOOL,
        "No checks while the address is elsewhere.",
    ),
    row("virtualhost", TEXT, "Host of HTTP requests."),
    row("snmp_name", TEXT, "Name in SNMP.").no_effect("vipd has no SNMP agent"),
    row("smtp_alert", BOOL, "Mails about it."),
    row("nat_mask", TEXT, "Netmask, in very old versions.")
        .no_effect("keepalived dropped it long ago and does not know it"),
];

/// vipd's own, of a virtual server and of its servers.
pub(super) const CONNECTIONS: &[Keyword] = &[
    row(
        "on_down",
        Arguments::Words(1, 2),
        "Connections to a server that fails: kill, or drain [SECONDS] and then kill.",
    )
    .default("left alone, as in keepalived: they hang until they time out")
    .own(),
    row(
        "on_remove",
        Arguments::Words(1, 2),
        "The same for a server that a reload removes.",
    )
    .default("as in keepalived; with drain_timeout they are drained")
    .own(),
    row(
        "slow_start",
        whole_seconds(1, 86_400),
        "Seconds in which a server that comes back gets its weight, in ten steps.",
    )
    .default("all of it at once")
    .own(),
    row(
        "flap_damping",
        Arguments::Words(2, 2),
        "COUNT SECONDS: who fails so often within that time must be well for as long.",
    )
    .default("as soon as its checks pass")
    .own(),
];

/// vipd's own, of a virtual server alone.
pub(super) const POOL: &[Keyword] = &[
    row(
        "drain_timeout",
        whole_seconds(1, 86_400),
        "Seconds for connections of drained servers; those that a reload removes are drained.",
    )
    .default("300, and no draining of removed servers")
    .own(),
    row(
        "masquerade",
        Arguments::Optional(Type::Choice(&["all"])),
        "Servers see this machine as the client: of clients in their network, or of all.",
    )
    .default("off")
    .own(),
    row(
        "one_writer",
        Arguments::One(Type::Choice(&["order", "index"])),
        "One server at a time: the first in the file, or that of the lowest cluster index.",
    )
    .default("every server that is up")
    .strict()
    .own(),
    row(
        "writer_failback",
        BOOL,
        "The writer changes too when one that comes first is well again.",
    )
    .default("off")
    .own(),
    row(
        "readers_of",
        Arguments::Words(1, 2),
        "IP PORT, fwmark N or group NAME: all but the writer there, it too if alone.",
    )
    .own(),
];

pub(super) const REAL_SERVER: &[Keyword] = &[
    row("weight", WEIGHT, "Its share of connections.").default("1"),
    row("lvs_method", SOME, "How packets reach it.")
        .also(&["lb_kind"])
        .default("as the virtual server"),
    row("uthreshold", U32, "No new connections at this many.").default("0, no limit"),
    row("lthreshold", U32, "New connections again below this many.").default("0"),
    row(
        "inhibit_on_failure",
        BOOL,
        "It keeps its place with weight 0 when it fails.",
    ),
    row("notify_up", Arguments::Command, "Run when it comes up."),
    row("notify_down", Arguments::Command, "Run when it fails."),
    row("smtp_alert", BOOL, "Mails about it.").default("true"),
    row("virtualhost", TEXT, "Host of HTTP requests."),
    row("snmp_name", TEXT, "Name in SNMP.").no_effect("vipd has no SNMP agent"),
];
