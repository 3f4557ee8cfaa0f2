//! Rows of the checkers and of what they inherit.

use super::{Arguments, BOOL, BlockKind, FLAG, Keyword, TIMER_MAX, Type, integer, row};

const UP: &str = "the server would be taken as always up";
const TIMER: Arguments = Arguments::One(Type::Seconds(0, TIMER_MAX));
const TIMER_SOME: Arguments = Arguments::One(Type::Seconds(1, TIMER_MAX));

/// What a virtual server, a real server and a checker take alike; the nearest one counts.
pub(super) const DEFAULTS: &[Keyword] = &[
    row(
        "delay_loop",
        TIMER_SOME,
        "Seconds from one check to the next.",
    )
    .default("60"),
    row(
        "connect_timeout",
        TIMER_SOME,
        "Seconds a connection may take.",
    )
    .default("5"),
    row(
        "retry",
        integer(0, 4_294_967_295),
        "Failures after the first that are forgiven.",
    )
    .default("1"),
    row(
        "delay_before_retry",
        TIMER,
        "Seconds from a failure to the next try.",
    )
    .default("1"),
    row(
        "warmup",
        TIMER,
        "The first check is put off by a random part of this.",
    )
    .default("as delay_loop"),
    row("alpha", BOOL, "Down until a check has passed.").default("false"),
];

/// Whom a checker connects to, and how.
pub(super) const COMMON: &[Keyword] = &[
    row(
        "connect_ip",
        Arguments::One(Type::Address),
        "Address to connect to.",
    )
    .default("the server's"),
    row("connect_port", integer(1, 65535), "Port to connect to.")
        .default("the server's")
        .strict(),
    row("bindto", Arguments::One(Type::Address), "Source address."),
    row("bind_port", integer(1, 65535), "Source port.").strict(),
    row(
        "bind_if",
        Arguments::One(Type::Interface),
        "Interface to leave by.",
    ),
    row("fwmark", integer(1, 4_294_967_295), "Mark of the packets.").strict(),
    row("log_all_failures", BOOL, "Log each failure.").default("as checker_log_all_failures"),
];

pub(super) const CHECKERS: &[Keyword] = &[
    row("TCP_CHECK", FLAG, "A connection can be opened.").block(BlockKind::TcpCheck),
    row("HTTP_GET", FLAG, "A page answers.")
        .unread()
        .refused(UP),
    row("SSL_GET", FLAG, "A page answers over TLS.")
        .unread()
        .refused(UP),
    row("SMTP_CHECK", FLAG, "A mail server answers.")
        .unread()
        .refused(UP),
    row("DNS_CHECK", FLAG, "A name server answers.")
        .unread()
        .refused(UP),
    row("MISC_CHECK", FLAG, "A command succeeds.")
        .unread()
        .refused(UP),
    row("BFD_CHECK", FLAG, "A BFD session is up.")
        .unread()
        .refused(UP),
    row("UDP_CHECK", FLAG, "A datagram is answered.")
        .unread()
        .refused(UP),
    row("PING_CHECK", FLAG, "An echo is answered.")
        .unread()
        .refused(UP),
    row("FILE_CHECK", FLAG, "A tracked file says so.")
        .unread()
        .refused(UP),
];
