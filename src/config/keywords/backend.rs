//! Rows of vipd's own checks: every line of them begins with `@vipd`.

use super::{Arguments, BlockKind, FLAG, Keyword, TEXT, Type, check, row};

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

pub(super) const TLS: &[Keyword] = &[
    row(
        "tls",
        Arguments::One(Type::Choice(&["off", "on", "verify"])),
        "TLS; verify: with a certificate that is good.",
    )
    .default("off")
    .strict()
    .own(),
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

pub(super) const AGENT: &[Keyword] = &[row(
    "send",
    TEXT,
    "Line that the agent is sent first, as HAProxy's agent-send.",
)
.default("nothing")
.own()];
