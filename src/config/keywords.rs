//! The one table of the language: for each keyword its block, arguments, range, default, what vipd does
//! with it, and a line of documentation. The parser, its suggestions and its messages come from it.
//!
//! Ranges and defaults are keepalived's, as its parser has them (where its manual differs, the parser
//! counts).

mod backend;
mod check;
mod globals;
mod lvs;
mod outputs;
mod track;
mod vrrp;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::tree::RootBlocks;

/// Where a keyword may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BlockKind {
    /// Outside all blocks.
    Root,
    /// `global_defs`.
    GlobalDefs,
    /// `track_group`.
    TrackGroup,
    /// `garp_group`.
    GarpGroup,
    /// `SSL`.
    Ssl,
    /// `vrrp_script`.
    VrrpScript,
    /// `track_file` of its own: `track_file NAME`.
    TrackFile,
    /// `vrrp_track_process`.
    TrackProcess,
    /// `bfd_instance`.
    BfdInstance,
    /// `vrrp_sync_group`.
    SyncGroup,
    /// `vrrp_instance`.
    VrrpInstance,
    /// `authentication` of an instance.
    Authentication,
    /// `auth_hmac` of an instance.
    AuthHmac,
    /// `virtual_server`.
    VirtualServer,
    /// `real_server`.
    RealServer,
    /// `TCP_CHECK`.
    TcpCheck,
    /// `HTTP_GET`.
    HttpGet,
    /// `SSL_GET`.
    SslGet,
    /// `url` of `HTTP_GET` and `SSL_GET`.
    Url,
    /// `SMTP_CHECK`.
    SmtpCheck,
    /// `host` of `SMTP_CHECK`.
    SmtpHost,
    /// `DNS_CHECK`.
    DnsCheck,
    /// `MISC_CHECK`.
    MiscCheck,
    /// `BFD_CHECK`.
    BfdCheck,
    /// `UDP_CHECK`.
    UdpCheck,
    /// `PING_CHECK`.
    PingCheck,
    /// `FILE_CHECK`.
    FileCheck,
    /// `REDIS_CHECK`.
    RedisCheck,
    /// `HAPROXY_CHECK`.
    HaproxyCheck,
    /// `MYSQL_CHECK`.
    MysqlCheck,
    /// `PGSQL_CHECK`.
    PgsqlCheck,
    /// `GRPC_CHECK`.
    GrpcCheck,
}

impl BlockKind {
    /// Every kind.
    pub const ALL: [BlockKind; 32] = [
        BlockKind::Root,
        BlockKind::GlobalDefs,
        BlockKind::TrackGroup,
        BlockKind::GarpGroup,
        BlockKind::Ssl,
        BlockKind::VrrpScript,
        BlockKind::TrackFile,
        BlockKind::TrackProcess,
        BlockKind::BfdInstance,
        BlockKind::SyncGroup,
        BlockKind::VrrpInstance,
        BlockKind::Authentication,
        BlockKind::AuthHmac,
        BlockKind::VirtualServer,
        BlockKind::RealServer,
        BlockKind::TcpCheck,
        BlockKind::HttpGet,
        BlockKind::SslGet,
        BlockKind::Url,
        BlockKind::SmtpCheck,
        BlockKind::SmtpHost,
        BlockKind::DnsCheck,
        BlockKind::MiscCheck,
        BlockKind::BfdCheck,
        BlockKind::UdpCheck,
        BlockKind::PingCheck,
        BlockKind::FileCheck,
        BlockKind::RedisCheck,
        BlockKind::HaproxyCheck,
        BlockKind::MysqlCheck,
        BlockKind::PgsqlCheck,
        BlockKind::GrpcCheck,
    ];

    /// The keyword that begins such a block; `None` for what stands outside all blocks.
    pub const fn keyword(self) -> Option<&'static str> {
        Some(match self {
            BlockKind::Root => return None,
            BlockKind::GlobalDefs => "global_defs",
            BlockKind::TrackGroup => "track_group",
            BlockKind::GarpGroup => "garp_group",
            BlockKind::Ssl => "SSL",
            BlockKind::VrrpScript => "vrrp_script",
            BlockKind::TrackFile => "track_file",
            BlockKind::TrackProcess => "vrrp_track_process",
            BlockKind::BfdInstance => "bfd_instance",
            BlockKind::SyncGroup => "vrrp_sync_group",
            BlockKind::VrrpInstance => "vrrp_instance",
            BlockKind::Authentication => "authentication",
            BlockKind::AuthHmac => "auth_hmac",
            BlockKind::VirtualServer => "virtual_server",
            BlockKind::RealServer => "real_server",
            BlockKind::TcpCheck => "TCP_CHECK",
            BlockKind::HttpGet => "HTTP_GET",
            BlockKind::SslGet => "SSL_GET",
            BlockKind::Url => "url",
            BlockKind::SmtpCheck => "SMTP_CHECK",
            BlockKind::SmtpHost => "host",
            BlockKind::DnsCheck => "DNS_CHECK",
            BlockKind::MiscCheck => "MISC_CHECK",
            BlockKind::BfdCheck => "BFD_CHECK",
            BlockKind::UdpCheck => "UDP_CHECK",
            BlockKind::PingCheck => "PING_CHECK",
            BlockKind::FileCheck => "FILE_CHECK",
            BlockKind::RedisCheck => "REDIS_CHECK",
            BlockKind::HaproxyCheck => "HAPROXY_CHECK",
            BlockKind::MysqlCheck => "MYSQL_CHECK",
            BlockKind::PgsqlCheck => "PGSQL_CHECK",
            BlockKind::GrpcCheck => "GRPC_CHECK",
        })
    }
}

/// What a word must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// A whole number within a range, ends included.
    Integer(i64, i64),
    /// Decimal seconds within a range of microseconds, ends included.
    Seconds(u64, u64),
    /// Decimal milliseconds within a range of microseconds, ends included.
    Millis(u64, u64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// An IPv4 or IPv6 address.
    Address,
    /// The name of an interface.
    Interface,
    /// Anything.
    Text,
}

/// What stands behind a keyword on its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arguments {
    /// Nothing.
    None,
    /// Nothing, which means true, or a word that means true or false.
    Bool,
    /// One word.
    One(Type),
    /// One word or nothing.
    Optional(Type),
    /// A command line, then perhaps user and group.
    Command,
    /// So many words that are read by hand.
    Words(usize, usize),
}

/// What stands in braces behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Nothing.
    None,
    /// Keywords.
    Block(BlockKind),
    /// Lines of values.
    Lines,
}

/// What vipd does with a keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// What keepalived does.
    Acts,
    /// Nothing, for good; why.
    NoEffect(&'static str),
    /// It cannot do it and would do harm by leaving it out: it is read, and a configuration with it is
    /// not run; why.
    Refused(&'static str),
    /// A keyword of vipd's own, on a line that begins with `@vipd`.
    VipdOwn,
}

/// What a value outside its range or choice means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// The line is left out and the default holds, as in keepalived.
    KeepDefault,
    /// Nothing is applied.
    Error,
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Keyword {
    /// Its name.
    pub name: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    /// What stands behind it.
    pub arguments: Arguments,
    /// What stands in braces behind that.
    pub body: Body,
    /// What holds without it, for people; empty when there is no such thing.
    pub default: &'static str,
    /// What a value outside its range means.
    pub invalid: Invalid,
    /// What vipd does with it.
    pub support: Support,
    /// One line about it.
    pub doc: &'static str,
}

impl Keyword {
    const fn also(mut self, aliases: &'static [&'static str]) -> Keyword {
        self.aliases = aliases;
        self
    }

    const fn block(mut self, kind: BlockKind) -> Keyword {
        self.body = Body::Block(kind);
        self
    }

    const fn lines(mut self) -> Keyword {
        self.body = Body::Lines;
        self
    }

    const fn default(mut self, default: &'static str) -> Keyword {
        self.default = default;
        self
    }

    const fn strict(mut self) -> Keyword {
        self.invalid = Invalid::Error;
        self
    }

    const fn no_effect(mut self, why: &'static str) -> Keyword {
        self.support = Support::NoEffect(why);
        self
    }

    const fn own(mut self) -> Keyword {
        self.support = Support::VipdOwn;
        self
    }

    const fn refused(mut self, why: &'static str) -> Keyword {
        self.support = Support::Refused(why);
        self
    }

    /// Its name and its other names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

/// A row that acts, with nothing in braces.
const fn row(name: &'static str, arguments: Arguments, doc: &'static str) -> Keyword {
    Keyword {
        name,
        aliases: &[],
        arguments,
        body: Body::None,
        default: "",
        invalid: Invalid::KeepDefault,
        support: Support::Acts,
        doc,
    }
}

/// Whole seconds. keepalived reads these as integers.
const fn whole_seconds(min: u64, max: u64) -> Arguments {
    Arguments::One(Type::Seconds(min * 1_000_000, max * 1_000_000))
}

const fn integer(min: i64, max: i64) -> Arguments {
    Arguments::One(Type::Integer(min, max))
}

const TEXT: Arguments = Arguments::One(Type::Text);
const FLAG: Arguments = Arguments::None;
const BOOL: Arguments = Arguments::Bool;
/// The longest time that keepalived's timers take, in microseconds (its TIMER_MAXIMUM: 2^31-1 s).
const TIMER_MAX: u64 = 2_147_483_647_000_000;

/// The rows of a block, in the order in which they are documented.
pub fn rows(kind: BlockKind) -> impl Iterator<Item = &'static Keyword> {
    let parts: &[&[Keyword]] = match kind {
        BlockKind::Root => &[globals::ROOT, track::ROOT, vrrp::ROOT, lvs::ROOT],
        BlockKind::GlobalDefs => &[
            globals::IDENTITY,
            globals::PROCESSES,
            globals::SCRIPTS,
            globals::VRRP,
            globals::FILTERS,
            globals::LVS,
            outputs::OUTPUTS,
        ],
        BlockKind::TrackGroup => &[track::GROUP],
        BlockKind::GarpGroup => &[track::GARP_GROUP],
        BlockKind::Ssl => &[track::SSL],
        BlockKind::VrrpScript => &[vrrp::SCRIPT],
        BlockKind::TrackFile => &[track::FILE],
        BlockKind::TrackProcess => &[track::PROCESS],
        BlockKind::BfdInstance => &[track::BFD],
        BlockKind::SyncGroup => &[track::GROUP, track::SYNC_GROUP],
        BlockKind::VrrpInstance => &[
            vrrp::INSTANCE,
            vrrp::INSTANCE_ADDRESSES,
            vrrp::INSTANCE_ELECTION,
            vrrp::INSTANCE_REST,
        ],
        BlockKind::Authentication => &[vrrp::AUTHENTICATION],
        BlockKind::AuthHmac => &[vrrp::AUTH_HMAC],
        BlockKind::VirtualServer => &[
            lvs::VIRTUAL_SERVER,
            lvs::CONNECTIONS,
            lvs::POOL,
            check::AROUND,
        ],
        BlockKind::RealServer => &[
            lvs::REAL_SERVER,
            lvs::CONNECTIONS,
            check::AROUND,
            check::CHECKERS,
            backend::CHECKERS,
        ],
        BlockKind::TcpCheck | BlockKind::PingCheck => &[check::COMMON, check::DEFAULTS],
        BlockKind::HttpGet => &[check::HTTP, check::COMMON, check::DEFAULTS],
        BlockKind::SslGet => &[
            check::HTTP,
            check::TLS,
            check::VERIFY,
            check::COMMON,
            check::DEFAULTS,
        ],
        BlockKind::Url => &[check::URL, check::TLS, check::ASKING],
        BlockKind::SmtpCheck => &[check::SMTP, check::COMMON, check::DEFAULTS],
        BlockKind::SmtpHost => &[check::COMMON, check::TIMEOUT],
        BlockKind::DnsCheck => &[check::DNS, check::COMMON, check::DEFAULTS],
        BlockKind::MiscCheck => &[check::MISC, check::DEFAULTS],
        BlockKind::BfdCheck => &[check::BFD],
        BlockKind::UdpCheck => &[check::UDP, check::COMMON, check::DEFAULTS],
        BlockKind::FileCheck => &[check::FILE, check::DEFAULTS],
        BlockKind::GrpcCheck => &[
            backend::GRPC,
            backend::TLS,
            backend::CERTIFICATE,
            &backend::COMMON,
            &backend::DEFAULTS,
        ],
        BlockKind::RedisCheck => &[
            backend::REDIS,
            backend::LOGIN,
            backend::TLS,
            backend::CERTIFICATE,
            &backend::COMMON,
            &backend::DEFAULTS,
        ],
        BlockKind::MysqlCheck => &[
            backend::MYSQL,
            backend::LOGIN,
            backend::TLS_OFFERED,
            backend::CERTIFICATE,
            &backend::COMMON,
            &backend::DEFAULTS,
        ],
        BlockKind::PgsqlCheck => &[
            backend::PGSQL,
            backend::LOGIN,
            backend::TLS_OFFERED,
            backend::CERTIFICATE,
            &backend::COMMON,
            &backend::DEFAULTS,
        ],
        BlockKind::HaproxyCheck => &[backend::AGENT, &backend::COMMON, &backend::DEFAULTS],
    };
    parts.iter().copied().flatten()
}

/// By length before by letters: few have the same, and only those are compared.
static INDEX: LazyLock<BTreeMap<(BlockKind, usize, &'static str), &'static Keyword>> =
    LazyLock::new(|| {
        let mut index = BTreeMap::new();
        for kind in BlockKind::ALL {
            for row in rows(kind) {
                index.extend(row.names().map(|name| ((kind, name.len(), name), row)));
            }
        }
        index
    });

/// The row of a word in a block.
pub fn find(kind: BlockKind, word: &str) -> Option<&'static Keyword> {
    // The key's lifetime is only that of the map's type: comparing needs no static text.
    let key: &(BlockKind, usize, &str) = &(kind, word.len(), word);
    INDEX.get(key).copied()
}

/// The blocks where a word would be known.
pub fn blocks_of(word: &str) -> impl Iterator<Item = BlockKind> {
    BlockKind::ALL
        .into_iter()
        .filter(move |&kind| find(kind, word).is_some())
}

/// The structure of a file.
pub const ROOT_BLOCKS: RootBlocks = RootBlocks {
    begins: is_root_block,
    packs: is_numerous_block,
};

/// Whether a word begins a block outside all others, and only there.
fn is_root_block(word: &str) -> bool {
    find(BlockKind::Root, word).is_some_and(|row| row.body != Body::None)
        && !BlockKind::ALL
            .into_iter()
            .any(|kind| kind != BlockKind::Root && find(kind, word).is_some())
}

/// Whether a word begins a block of which a file may have thousands.
fn is_numerous_block(word: &str) -> bool {
    matches!(word, "virtual_server" | "vrrp_instance")
}

#[cfg(test)]
mod tests;
