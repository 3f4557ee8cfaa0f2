//! Facts: what the trackers know, as one small number for each name.
//!
//! Scripts, files, processes and BFD sessions each yield facts; instances and checks read them, so that
//! no tracker and no reader need to know each other.

use std::fmt;

/// What kind of tracker says it; part of the name, so that a script and a file may share a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FactKind {
    /// A network interface: up or down.
    Interface,
    /// What an interface's driver says of its link, where it is asked.
    Linkbeat,
    /// A `vrrp_script`: passing or failing.
    Script,
    /// A `track_file`: the number in it.
    File,
    /// A `vrrp_track_process`: whether as many run as should.
    Process,
    /// A `bfd_instance`: whether its session is up.
    Bfd,
}

/// The name of a fact.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FactName {
    /// Which kind of tracker.
    pub kind: FactKind,
    /// Its name in the configuration (of an interface: the kernel's).
    pub name: String,
}

/// What is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FactValue {
    /// Nothing yet: the tracker has not answered once.
    Unknown,
    /// All is well.
    Up,
    /// It failed.
    Down,
    /// The number in a file.
    Number(i32),
}

impl FactName {
    /// The name of a fact of this kind.
    pub fn new(kind: FactKind, name: impl Into<String>) -> FactName {
        FactName {
            kind,
            name: name.into(),
        }
    }
}

impl FactValue {
    /// [`FactValue::Up`] or [`FactValue::Down`].
    pub const fn of(up: bool) -> FactValue {
        if up { FactValue::Up } else { FactValue::Down }
    }
}

impl fmt::Display for FactName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            FactKind::Interface => "interface",
            FactKind::Linkbeat => "link of interface",
            FactKind::Script => "script",
            FactKind::File => "file",
            FactKind::Process => "process",
            FactKind::Bfd => "BFD session",
        };
        write!(f, "{kind} {}", self.name)
    }
}
