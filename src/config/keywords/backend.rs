//! Rows of vipd's own checks: every line of them begins with `@vipd`.

use super::{
    Arguments, BOOL, BlockKind, FLAG, Keyword, TEXT, Type, check, integer, row, whole_seconds,
};

/// The same rows for blocks that keepalived does not have.
const fn own<const N: usize>(rows: &[Keyword]) -> [Keyword; N] {
    let mut all = [row("", FLAG, ""); N];
    let mut at = 0;
    while at < N {
        all[at] = rows[at].own();
        at += 1;
    }
    all
}

/// Whom a checker connects to, and how.
pub(super) const COMMON: [Keyword; check::COMMON.len()] = own(check::COMMON);
/// Times and counts.
pub(super) const DEFAULTS: [Keyword; check::DEFAULTS.len()] = own(check::DEFAULTS);

pub(super) const CHECKERS: &[Keyword] = &[
    row("REDIS_CHECK", FLAG, "Redis answers PING and has a role.")
        .block(BlockKind::RedisCheck)
        .own(),
    row(
        "MYSQL_CHECK",
        FLAG,
        "MySQL, MariaDB or a node of Galera is as it should be.",
    )
    .block(BlockKind::MysqlCheck)
    .own(),
    row("PGSQL_CHECK", FLAG, "PostgreSQL is as it should be.")
        .block(BlockKind::PgsqlCheck)
        .own(),
    row(
        "GRPC_CHECK",
        FLAG,
        "A gRPC server says that it serves (grpc.health.v1).",
    )
    .block(BlockKind::GrpcCheck)
    .own(),
    row(
        "HAPROXY_CHECK",
        FLAG,
        "An agent as HAProxy has them says so.",
    )
    .block(BlockKind::HaproxyCheck)
    .own(),
];

pub(super) const LOGIN: &[Keyword] = &[
    row("user", TEXT, "Who logs in.").own(),
    row("password", TEXT, "Password; better in a file.").own(),
    row(
        "password_file",
        TEXT,
        "File whose first line is the password; read at a start and a reload.",
    )
    .own(),
];

pub(super) const TLS: &[Keyword] = &[row(
    "tls",
    Arguments::One(Type::Choice(&["off", "on", "verify"])),
    "TLS; verify: with a certificate that is good.",
)
.default("off")
.strict()
.own()];

/// Of servers that say whether they have TLS.
pub(super) const TLS_OFFERED: &[Keyword] = &[row(
    "tls",
    Arguments::One(Type::Choice(&["off", "prefer", "on", "verify"])),
    "TLS; prefer: if the server has it; verify: with a certificate that is good.",
)
.default("prefer")
.strict()
.own()];

pub(super) const CERTIFICATE: &[Keyword] = &[
    row("tls_ca", TEXT, "File of those whom `tls verify` trusts.")
        .default("those of the system")
        .own(),
    row("tls_name", TEXT, "Name of the server in its certificate.")
        .default("its address")
        .own(),
];

pub(super) const REDIS: &[Keyword] = &[row(
    "role",
    Arguments::One(Type::Choice(&["master", "replica"])),
    "What it must be; a replica with its link up.",
)
.default("either")
.strict()
.own()];

pub(super) const GRPC: &[Keyword] = &[
    row("service", TEXT, "Name of the service that is asked for.")
        .default("the server as a whole")
        .own(),
    row("authority", TEXT, "Whom the server is to think it is.")
        .default("its address and port")
        .own(),
];

const ALLOWED: Arguments = Arguments::One(Type::Choice(&["allow", "deny"]));
const COUNT: Arguments = integer(0, 4_294_967_295);

pub(super) const MYSQL: &[Keyword] = &[
    row("database", TEXT, "Schema that is used.").own(),
    row("query", TEXT, "Statement that must be answered.")
        .default("SELECT 1")
        .own(),
    row(
        "read_only",
        Arguments::One(Type::Choice(&["on", "off"])),
        "What the variable of this name must be.",
    )
    .default("either")
    .strict()
    .own(),
    row(
        "max_lag",
        whole_seconds(0, 86_400),
        "How far a replica may be behind its source; its replication must run.",
    )
    .default("not asked")
    .own(),
    row(
        "galera",
        BOOL,
        "It must be a synced node of a Galera cluster.",
    )
    .default("on with any of the following")
    .own(),
    row(
        "donor",
        Arguments::One(Type::Choice(&["auto", "allow", "deny"])),
        "Whether a donor is well; auto: as its wsrep_sst_donor_rejects_queries says.",
    )
    .default("auto")
    .strict()
    .own(),
    row(
        "desynced",
        ALLOWED,
        "Whether a node with wsrep_desync is well.",
    )
    .default("deny")
    .strict()
    .own(),
    row(
        "min_cluster_size",
        COUNT,
        "Nodes that its cluster must have.",
    )
    .default("0")
    .own(),
    row(
        "max_recv_queue",
        Arguments::Words(1, 2),
        "HIGH [LOW]: out with more transactions waiting than HIGH, in again with LOW.",
    )
    .default("not asked; LOW: half of HIGH")
    .own(),
    row(
        "flow_control_weight",
        BOOL,
        "Its weight is the part of the time without a pause by flow control.",
    )
    .default("off")
    .own(),
];

pub(super) const PGSQL: &[Keyword] = &[
    row("database", TEXT, "Database that is used.")
        .default("postgres")
        .own(),
    row("query", TEXT, "Statement that must be answered.")
        .default("SELECT 1")
        .own(),
    row(
        "role",
        Arguments::One(Type::Choice(&["primary", "standby"])),
        "What it must be; a standby is in recovery.",
    )
    .default("either")
    .strict()
    .own(),
    row(
        "max_lag",
        whole_seconds(0, 86_400),
        "How far a standby may be behind.",
    )
    .default("not asked")
    .own(),
];

pub(super) const AGENT: &[Keyword] = &[row(
    "send",
    TEXT,
    "Line that the agent is sent first, as HAProxy's agent-send.",
)
.default("nothing")
.own()];
