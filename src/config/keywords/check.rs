//! Rows of the checkers and of what they inherit.

use super::{Arguments, BOOL, BlockKind, FLAG, Keyword, TEXT, TIMER_MAX, Type, integer, row};

const TIMER: Arguments = Arguments::One(Type::Seconds(0, TIMER_MAX));
const TIMER_SOME: Arguments = Arguments::One(Type::Seconds(1, TIMER_MAX));

/// What a virtual server, a real server and a checker take alike; the nearest one counts. keepalived takes
/// `retry 0` in a checker alone.
pub(super) const DEFAULTS: &[Keyword] = &defaults(0);
/// The same around checkers.
pub(super) const AROUND: &[Keyword] = &defaults(1);

const fn defaults(least_retry: i64) -> [Keyword; 6] {
    [
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
            integer(least_retry, 4_294_967_295),
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
    ]
}

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
    row(
        "log_all_failures",
        BOOL,
        "Log each failed try while it is up.",
    )
    .default("as checker_log_all_failures"),
];

pub(super) const TIMEOUT: &[Keyword] = &[row(
    "connect_timeout",
    TIMER_SOME,
    "Seconds a connection may take.",
)
.default("as the checker")];

pub(super) const CHECKERS: &[Keyword] = &[
    row("TCP_CHECK", FLAG, "A connection can be opened.").block(BlockKind::TcpCheck),
    row("HTTP_GET", FLAG, "A page answers.").block(BlockKind::HttpGet),
    row("SSL_GET", FLAG, "A page answers over TLS.").block(BlockKind::SslGet),
    row("SMTP_CHECK", FLAG, "A mail server answers.").block(BlockKind::SmtpCheck),
    row("DNS_CHECK", FLAG, "A name server answers.").block(BlockKind::DnsCheck),
    row("MISC_CHECK", FLAG, "A command succeeds.").block(BlockKind::MiscCheck),
    row("BFD_CHECK", FLAG, "A BFD session is up.").block(BlockKind::BfdCheck),
    row("UDP_CHECK", FLAG, "A datagram is answered.").block(BlockKind::UdpCheck),
    row("PING_CHECK", FLAG, "An echo is answered.").block(BlockKind::PingCheck),
    row("FILE_CHECK", FLAG, "A tracked file says so.").block(BlockKind::FileCheck),
];

pub(super) const HTTP: &[Keyword] = &[
    row("url", FLAG, "A page that is asked for; at least one.").block(BlockKind::Url),
    row(
        "nb_get_retry",
        integer(0, 4_294_967_295),
        "Old name of `retry`.",
    ),
    row("virtualhost", TEXT, "Host of the requests."),
    row(
        "http_protocol",
        Arguments::One(Type::Choice(&["1.0", "1.0C", "1.0c", "1.1"])),
        "Version of HTTP; C: with `Connection: close`.",
    )
    .default("1.0"),
    row("enable_sni", BOOL, "Name the host while TLS is set up."),
    row("sni_name", TEXT, "Name this host then."),
    row("fast_recovery", BOOL, "Ask all pages at once on recovery.").default("false"),
    row(
        "http2",
        BOOL,
        "HTTP/2 in place of `http_protocol`; without TLS the server has to know.",
    )
    .default("false")
    .own(),
];

pub(super) const TLS: &[Keyword] = &[row(
    "tls_compliant",
    BOOL,
    "That a connection ends without a TLS close is told.",
)
.default("false")];

/// vipd's own, of `SSL_GET`.
pub(super) const VERIFY: &[Keyword] = &[
    row("tls_verify", BOOL, "The server's certificate must be good.")
        .default("it is not looked at")
        .own(),
    row("tls_ca", TEXT, "File of those whom `tls_verify` trusts.")
        .default("those of the system")
        .own(),
    row("tls_name", TEXT, "Name of the server in its certificate.")
        .default("sni_name, else the virtualhost, else its address")
        .own(),
    row(
        "tls_expiry_warning",
        integer(1, 3_650),
        "The log says so each day when the server's certificate has fewer days left.",
    )
    .default("nobody looks")
    .own(),
];

/// vipd's own, of a `url`.
pub(super) const ASKING: &[Keyword] = &[
    row(
        "method",
        Arguments::One(Type::Choice(&["GET", "HEAD", "OPTIONS"])),
        "Method of the request.",
    )
    .default("GET")
    .strict()
    .own(),
    row(
        "header",
        Arguments::Words(2, usize::MAX),
        "NAME VALUE: another line in the header of the request; may stand several times.",
    )
    .own(),
];

const COUNT: Arguments = integer(0, 4_294_967_295);

pub(super) const URL: &[Keyword] = &[
    row("path", TEXT, "Path of the page."),
    row("digest", TEXT, "MD5 of its body, 32 hexadecimal digits.").strict(),
    row(
        "status_code",
        Arguments::Words(1, usize::MAX),
        "Statuses and ranges of them, 100 to 599.",
    )
    .default("200-299"),
    row("virtualhost", TEXT, "Host of this request."),
    row(
        "regex",
        Arguments::Words(1, usize::MAX),
        "Pattern that the body must match.",
    ),
    row("regex_no_match", FLAG, "It must not match."),
    row(
        "regex_options",
        Arguments::Words(1, usize::MAX),
        "Options of the pattern.",
    ),
    row(
        "regex_stack",
        Arguments::Words(2, 2),
        "Bytes of stack for it, at first and at most.",
    )
    .no_effect("the engine needs no stack"),
    row(
        "regex_min_offset",
        COUNT,
        "Where a match may begin at the earliest.",
    ),
    row("regex_max_offset", COUNT, "And at the latest."),
];

pub(super) const SMTP: &[Keyword] = &[
    row("helo_name", TEXT, "Name given to the server.").default("smtpchecker.keepalived.org"),
    row("host", FLAG, "Another server to ask, in old files.").block(BlockKind::SmtpHost),
];

pub(super) const DNS: &[Keyword] = &[
    row(
        "type",
        Arguments::One(Type::Choice(&[
            "A", "NS", "CNAME", "SOA", "MX", "TXT", "AAAA", "RRSIG", "DNSKEY",
        ])),
        "Type of the record.",
    )
    .default("SOA"),
    row("name", TEXT, "Name that is asked for.").default("."),
];

pub(super) const MISC: &[Keyword] = &[
    row(
        "misc_path",
        Arguments::Command,
        "The command; quote it when it has arguments.",
    ),
    row("misc_timeout", TIMER_SOME, "Seconds it may take.").default("as delay_loop"),
    row(
        "misc_dynamic",
        FLAG,
        "An exit status from 2 sets the weight.",
    ),
    row(
        "user",
        Arguments::Words(1, 2),
        "Who runs it: user and group.",
    )
    .default("as script_user"),
];

pub(super) const BFD: &[Keyword] = &[
    row("name", TEXT, "A `bfd_instance`."),
    row("alpha", BOOL, "Down until the session is up.").default("false"),
];

pub(super) const UDP: &[Keyword] = &[
    row("payload", TEXT, "What is sent, in hexadecimal.").default("nothing"),
    row(
        "require_reply",
        Arguments::Optional(Type::Text),
        "An answer must come, and begin so; X: any digit.",
    ),
    row(
        "min_reply_length",
        integer(0, 65535),
        "Shortest answer, in bytes.",
    )
    .default("0"),
    row(
        "max_reply_length",
        integer(0, 65535),
        "Longest answer, in bytes.",
    )
    .default("255"),
];

pub(super) const FILE: &[Keyword] = &[
    row("track_file", TEXT, "A `track_file` block."),
    row(
        "weight",
        Arguments::Words(1, 2),
        "What its number is multiplied by.",
    )
    .default("that of the file"),
];
