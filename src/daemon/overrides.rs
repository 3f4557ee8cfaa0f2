//! What operators ordered, for the next start: a file in the state directory, which outlives a reboot. In it
//! points in time are those of the wall clock.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::engine::balancer::{Kind, Override, Overrides, Scope, Set};
use crate::errno::Words;
use crate::kernel::clock;
use crate::time::Time;

use super::run_dir::write_lasting;

/// Bytes that are read at most.
const LEN_MAX: u64 = 16 << 20;

/// An order as it stands in the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    what: String,
    /// One of these two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    server: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    /// Seconds for connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grace: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weight: Option<u32>,
    by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Seconds since 1970.
    since: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<u64>,
}

/// This moment by both clocks.
#[derive(Clone, Copy, Debug)]
struct Now {
    boot: Time,
    wall: u64,
}

impl Now {
    fn is() -> Now {
        #[expect(
            clippy::disallowed_methods,
            reason = "what outlives a reboot is told by the wall clock"
        )]
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Now {
            boot: clock::now(),
            wall: wall.unwrap_or_default().as_secs(),
        }
    }

    /// An end by the wall clock; one that is over is now.
    fn time(self, until: u64) -> Time {
        self.boot + Duration::from_secs(until.saturating_sub(self.wall))
    }

    fn wall(self, until: Time) -> u64 {
        let left = until.until(self.boot);
        let more = u64::from(left.subsec_nanos() > 0);
        self.wall
            .saturating_add(left.as_secs())
            .saturating_add(more)
    }
}

impl Line {
    fn of((_, scope): &(Kind, Scope), order: &Override, now: Now) -> Line {
        let (what, grace, weight) = match order.set {
            Set::Drain(grace) => ("drain", grace, None),
            Set::Weight(weight) => ("weight", None, Some(weight)),
            Set::Pause => ("pause", None, None),
        };
        let (server, service) = match scope {
            Scope::Server(whom) => (Some(whom.to_string()), None),
            Scope::Service(name) => (None, Some(name.clone())),
        };
        Line {
            what: what.to_owned(),
            server,
            service,
            grace: grace.map(|grace| grace.as_secs()),
            weight,
            by: order.by.clone(),
            reason: order.reason.clone(),
            since: order.since,
            until: order.until.map(|until| now.wall(until)),
        }
    }

    /// `None`: it is none that this version knows.
    fn order(self, now: Now) -> Option<((Kind, Scope), Override)> {
        let set = match (self.what.as_str(), self.weight) {
            ("drain", None) => Set::Drain(self.grace.map(Duration::from_secs)),
            ("weight", Some(weight)) => Set::Weight(weight),
            ("pause", None) => Set::Pause,
            _ => return None,
        };
        let scope = match (self.server, self.service) {
            (Some(server), None) => Scope::Server(server.parse().ok()?),
            (None, Some(service)) => Scope::Service(service),
            _ => return None,
        };
        let order = Override {
            set,
            by: self.by,
            reason: self.reason,
            since: self.since,
            until: self.until.map(|until| now.time(until)),
        };
        Some(((set.kind(), scope), order))
    }
}

/// The file `overrides` in the state directory: an order in each line, as JSON.
#[derive(Debug)]
pub(super) struct OverridesFile {
    path: PathBuf,
    /// What stands in it.
    written: Overrides,
}

impl OverridesFile {
    /// With what an earlier run left in it.
    pub(super) fn within(state_dir: &Path) -> OverridesFile {
        let path = state_dir.join("overrides");
        let now = Now::is();
        let mut written = Overrides::new();
        match read(&path) {
            Ok(text) => {
                for (at, line) in text.lines().enumerate() {
                    let order = serde_json::from_str(line).ok();
                    match order.and_then(|line: Line| line.order(now)) {
                        Some((key, order)) => drop(written.insert(key, order)),
                        None => warn!(
                            "{}:{}: this is no order of an operator: it is passed over",
                            path.display(),
                            at + 1
                        ),
                    }
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => warn!(
                "read {}: {}: what operators ordered (drain, weight, pause) does not hold",
                path.display(),
                Words(&error)
            ),
        }
        OverridesFile { path, written }
    }

    /// What stands in it.
    pub(super) fn known(&self) -> &Overrides {
        &self.written
    }

    /// Writes what holds from now on, if that is something else.
    pub(super) fn keep(&mut self, overrides: &Overrides) {
        if *overrides == self.written {
            return;
        }
        match self.write(overrides) {
            Ok(()) => self.written = overrides.clone(),
            Err(error) => warn!(
                "write {}: {}: the next start will not know what operators ordered",
                self.path.display(),
                Words(&error)
            ),
        }
    }

    fn write(&self, overrides: &Overrides) -> io::Result<()> {
        if overrides.is_empty() {
            return match fs::remove_file(&self.path) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        if let Some(dir) = self.path.parent() {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true).mode(0o755).create(dir)?;
        }
        let now = Now::is();
        let mut text = Vec::new();
        for (key, order) in overrides {
            serde_json::to_writer(&mut text, &Line::of(key, order, now))?;
            text.push(b'\n');
        }
        write_lasting(&self.path, &text)
    }
}

/// A link is not followed, and a FIFO is not waited for.
fn read(path: &Path) -> io::Result<String> {
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::from(ErrorKind::InvalidData));
    }
    let mut text = String::new();
    file.take(LEN_MAX).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(set: Set, until: Option<Time>) -> Override {
        Override {
            set,
            by: "ann".to_owned(),
            reason: Some("new disk: \"two\"\u{2028}".to_owned()),
            since: 1_700_000_000,
            until,
        }
    }

    #[test]
    fn what_is_kept_is_read_again_and_rubbish_is_passed_over() {
        let dir = std::env::temp_dir().join(format!("vipd-overrides-{}", std::process::id()));
        let mut file = OverridesFile::within(&dir);
        assert_eq!(file.known(), &Overrides::new());
        let one = Scope::Server("10.1.0.1:80".parse().unwrap());
        let six = Scope::Server("2001:db8::1".parse().unwrap());
        let pool = Scope::Service("10.0.0.1:80/tcp".to_owned());
        let grace = Some(Duration::from_secs(90));
        let mut wanted = Overrides::from([
            ((Kind::Drain, one.clone()), order(Set::Drain(grace), None)),
            ((Kind::Weight, six), order(Set::Weight(7), None)),
            ((Kind::Pause, pool), order(Set::Pause, None)),
        ]);
        file.keep(&wanted);
        assert_eq!(OverridesFile::within(&dir).known(), &wanted);
        let text = fs::read_to_string(&file.path).unwrap();
        fs::write(&file.path, format!("rubbish\n{text}{{}}\n\n")).unwrap();
        assert_eq!(OverridesFile::within(&dir).known(), &wanted);
        // An end stays when it was, to the second.
        let until = clock::now() + Duration::from_secs(600);
        let key = (Kind::Pause, one);
        wanted.insert(key.clone(), order(Set::Pause, Some(until)));
        file.keep(&wanted);
        let again = OverridesFile::within(&dir);
        let read = again.known()[&key].until.unwrap();
        let apart = read.since(until).max(until.since(read));
        assert!(apart <= Duration::from_secs(2), "{apart:?}");
        file.keep(&Overrides::new());
        assert!(!file.path.exists());
        fs::remove_dir(&dir).unwrap();
    }

    #[test]
    fn what_is_over_ends_at_once() {
        let now = Now::is();
        assert_eq!(now.time(5), now.boot);
        assert_eq!(now.wall(now.boot + Duration::from_millis(1)), now.wall + 1);
    }
}
