//! The lab: a guest kernel with IPVS, networks of namespaces in it, daemons to compare.
//!
//! [`host`] boots the guest and reports; [`guest`] is the inside: init, then one process for each
//! case. A case gets a [`Lab`], builds a [`net::Net`] of [`net::Host`]s, starts [`daemon::Daemon`]s
//! on them and looks: at addresses and tables through commands, at the wire through
//! [`wire::Capture`], at the service through [`traffic`]. Nothing is left behind: after each case
//! the guest kills every process and deletes every namespace.
//!
//! Most cases run in the guest. What needs times below its tick of 10 ms, or a feature that its kernel
//! lacks, is a native case: it runs on this machine's kernel in namespaces of its own ([`native`]).
//! A native case is written like any other; it stands in [`cases::NATIVE`](crate::cases::NATIVE), whose
//! cases run side by side, because they wait most of the time, or in
//! [`cases::MEASURED`](crate::cases::MEASURED), whose cases have the machine for themselves. There is no
//! IPVS on most machines; `lab.is_native()` tells a scene where it is.
//!
//! The guest has one CPU and slow system calls: wait for levels with generous limits, compare
//! within one run, never assert an absolute time that is shorter than a protocol timer.

pub(crate) mod browser;
pub(crate) mod check;
pub(crate) mod daemon;
pub(crate) mod docker;
pub(crate) mod guest;
pub(crate) mod host;
pub(crate) mod machine;
pub(crate) mod native;
pub(crate) mod net;
pub(crate) mod netlink;
pub(crate) mod prepare;
pub(crate) mod process;
pub(crate) mod report;
mod stages;
pub(crate) mod sys;
pub(crate) mod systemd;
pub(crate) mod terminal;
pub(crate) mod traffic;
pub(crate) mod wire;

use std::cell::RefCell;
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use check::{Doing as _, Outcome};
use daemon::Kind;
use report::Sample;

/// One case: one name, one sentence saying what it proves.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    /// `group.name`, unique.
    pub(crate) name: &'static str,
    /// The sentence that its success proves.
    pub(crate) proves: &'static str,
    /// Killed and failed after this long in the guest.
    pub(crate) limit: Duration,
    /// The case itself; runs in a process of its own.
    pub(crate) run: fn(&Lab) -> Outcome,
}

/// What a running case has: a private directory, the daemon under test, a place for notes.
pub(crate) struct Lab {
    dir: PathBuf,
    subject: Kind,
    words: Vec<String>,
    started: Instant,
    notes: RefCell<Vec<String>>,
    samples: RefCell<Vec<Sample>>,
}

impl Lab {
    /// For the guest: the lab of the case `name`, with an empty directory on the guest's tmpfs.
    pub(crate) fn new(name: &str, subject: Kind, words: Vec<String>) -> Outcome<Self> {
        let dir = case_dir(name);
        fs::create_dir_all(dir.join("log"))?;
        Ok(Self {
            dir,
            subject,
            words,
            started: Instant::now(),
            notes: RefCell::default(),
            samples: RefCell::default(),
        })
    }

    /// Private directory of this case, on a tmpfs; whatever lies in its `log/` is shown when the
    /// case fails.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The daemon under test: vipd, or keepalived with `--daemon keepalived`, which proves the case.
    pub(crate) fn subject(&self) -> Kind {
        self.subject
    }

    /// Whether this is the native stage and not a guest.
    pub(crate) fn is_native(&self) -> bool {
        native::is_native()
    }

    /// Options that the host was given for the cases, `KEY=VALUE` for the most part.
    pub(crate) fn words(&self) -> &[String] {
        &self.words
    }

    /// The number behind `KEY=` among them.
    pub(crate) fn number(&self, key: &str, default: u32) -> Outcome<u32> {
        let mut words = self.words.iter();
        match words.find_map(|word| word.strip_prefix(key)?.strip_prefix('=')) {
            Some(text) => text.parse().doing(format!("{key}={text}")),
            None => Ok(default),
        }
    }

    /// A measured value: stands under the case in the report, whether it passed or not.
    pub(crate) fn note(&self, line: impl Display) {
        println!("{:9.3} note: {line}", self.started.elapsed().as_secs_f64());
        self.notes.borrow_mut().push(line.to_string());
    }

    /// A value of a benchmark: one of several of `row`, from which the table is made.
    pub(crate) fn sample(&self, row: &str, who: &str, unit: &str, value: f64) {
        let at = self.started.elapsed().as_secs_f64();
        println!("{at:9.3} {row}: {who} {value:.3} {unit}");
        self.samples.borrow_mut().push(Sample {
            row: row.to_owned(),
            who: who.to_owned(),
            unit: unit.to_owned(),
            value,
        });
    }

    fn take_notes(&self) -> Vec<String> {
        self.notes.take()
    }

    fn take_samples(&self) -> Vec<Sample> {
        self.samples.take()
    }
}

/// Where the private directory of the case `name` is in the guest.
pub(crate) fn case_dir(name: &str) -> PathBuf {
    Path::new("/run/lab").join(name)
}
