//! Names of tables, protocols, scopes and the like, from the files of iproute2 where it has some.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config::Files;

/// Where iproute2 has them unless `iproute_etc_dir` and `iproute_usr_dir` say otherwise; the first that
/// has a file counts.
const ETC: &str = "/etc/iproute2";
const USR: [&str; 2] = ["/usr/share/iproute2", "/usr/lib/iproute2"];

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Table,
    Protocol,
    Scope,
    Realm,
    Dsfield,
    Group,
}

impl Kind {
    fn file(self) -> &'static str {
        match self {
            Kind::Table => "rt_tables",
            Kind::Protocol => "rt_protos",
            Kind::Scope => "rt_scopes",
            Kind::Realm => "rt_realms",
            Kind::Dsfield => "rt_dsfield",
            Kind::Group => "group",
        }
    }

    pub(super) fn noun(self) -> &'static str {
        match self {
            Kind::Table => "routing table",
            Kind::Protocol => "routing protocol",
            Kind::Scope => "scope",
            Kind::Realm => "realm",
            Kind::Dsfield => "type of service",
            Kind::Group => "group of interfaces",
        }
    }

    pub(super) const fn max(self) -> u32 {
        match self {
            Kind::Table | Kind::Group => u32::MAX,
            Kind::Realm => u16::MAX as u32,
            Kind::Protocol | Kind::Scope | Kind::Dsfield => u8::MAX as u32,
        }
    }

    /// Names that need no file (rtnetlink(7)).
    fn known(self) -> &'static [(&'static str, u32)] {
        match self {
            Kind::Table => &[("default", 253), ("main", 254), ("local", 255)],
            Kind::Protocol => &[
                ("redirect", 1),
                ("kernel", 2),
                ("boot", 3),
                ("static", 4),
                ("ra", 9),
                ("zebra", 11),
                ("bird", 12),
                ("dhcp", 16),
                ("keepalived", 18),
                ("bgp", 186),
                ("ospf", 188),
                ("rip", 189),
            ],
            Kind::Scope => &[
                ("global", 0),
                ("site", 200),
                ("link", 253),
                ("host", 254),
                ("nowhere", 255),
            ],
            Kind::Realm => &[("cosmos", 0)],
            Kind::Group => &[("default", 0)],
            Kind::Dsfield => &[],
        }
    }
}

/// The names of this machine, each file read when it is first asked for.
pub(super) struct Names<'a> {
    files: &'a dyn Files,
    etc: PathBuf,
    usr: Vec<PathBuf>,
    read: BTreeMap<Kind, BTreeMap<String, u32>>,
}

impl<'a> Names<'a> {
    pub(super) fn new(files: &'a dyn Files) -> Names<'a> {
        Names {
            files,
            etc: PathBuf::from(ETC),
            usr: USR.iter().map(PathBuf::from).collect(),
            read: BTreeMap::new(),
        }
    }

    /// `iproute_etc_dir` and `iproute_usr_dir`.
    pub(super) fn set_directories(&mut self, etc: Option<&str>, usr: Option<&str>) {
        if let Some(etc) = etc {
            self.etc = PathBuf::from(etc);
        }
        if let Some(usr) = usr {
            self.usr = vec![PathBuf::from(usr)];
        }
        self.read.clear();
    }

    /// The number that a text is or stands for, if it is in range.
    pub(super) fn number(&mut self, kind: Kind, text: &str) -> Option<u32> {
        let number = number(text, if kind == Kind::Dsfield { 16 } else { 10 }).or_else(|| {
            let known = kind.known().iter().find(|(name, _)| *name == text);
            known
                .map(|(_, number)| *number)
                .or_else(|| self.names(kind).get(text).copied())
        });
        number.filter(|number| *number <= kind.max())
    }

    /// Every name, for suggestions.
    pub(super) fn all(&mut self, kind: Kind) -> Vec<String> {
        let known = kind.known().iter().map(|(name, _)| (*name).to_owned());
        known.chain(self.names(kind).keys().cloned()).collect()
    }

    fn names(&mut self, kind: Kind) -> &BTreeMap<String, u32> {
        let (files, etc, usr) = (self.files, &self.etc, &self.usr);
        self.read.entry(kind).or_insert_with(|| {
            let mut names = BTreeMap::new();
            let directories = std::iter::once(etc).chain(usr);
            let mut whole = directories.clone().map(|dir| dir.join(kind.file()));
            if let Some(bytes) = whole.find_map(|path| files.read(&path).ok()) {
                read(&bytes, &mut names);
            }
            // Those of /etc count where both have the same name.
            for dir in directories.rev() {
                let pieces = dir.join(format!("{}.d", kind.file())).join("*.conf");
                for piece in files.glob(&pieces).unwrap_or_default() {
                    read_file(files, &piece, &mut names);
                }
            }
            names
        })
    }
}

fn read_file(files: &dyn Files, path: &Path, names: &mut BTreeMap<String, u32>) {
    if let Ok(bytes) = files.read(path) {
        read(&bytes, names);
    }
}

/// Lines of a number and a name; what is none is passed over, as iproute2 does it.
fn read(bytes: &[u8], names: &mut BTreeMap<String, u32>) {
    for line in String::from_utf8_lossy(bytes).lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        if let (Some(id), Some(name)) = (words.next(), words.next())
            && let Some(id) = number(id, 10)
        {
            names.insert(name.to_owned(), id);
        }
    }
}

/// A number, with `0x` before it in base 16, else in the base that is usual.
pub(super) fn number(text: &str, base: u32) -> Option<u32> {
    let (digits, base) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (text, base),
    };
    let signed = digits.starts_with(['+', '-']);
    (!signed).then(|| u32::from_str_radix(digits, base).ok())?
}
