//! Which servers operators have taken out, for the next start.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::warn;

use crate::engine::balancer::{Drained, Whom};

use super::run_dir::write_lasting;

/// Lines that are read at most.
const LINES_MAX: usize = 65_536;

/// The file `drained` in the state directory.
#[derive(Debug)]
pub(super) struct DrainedFile {
    path: PathBuf,
    /// What stands in it.
    written: Drained,
}

impl DrainedFile {
    /// With what an earlier run left in it.
    pub(super) fn within(state_dir: &Path) -> DrainedFile {
        let path = state_dir.join("drained");
        let written = match fs::read_to_string(&path) {
            Ok(text) => text.lines().take(LINES_MAX).filter_map(read).collect(),
            Err(error) => {
                if error.kind() != ErrorKind::NotFound {
                    warn!("read {}: {error}: no server is taken out", path.display());
                }
                Drained::new()
            }
        };
        DrainedFile { path, written }
    }

    /// What stands in it.
    pub(super) fn drained(&self) -> &Drained {
        &self.written
    }

    /// Writes what is taken out from now on, if that is something else.
    pub(super) fn keep(&mut self, drained: &Drained) {
        if *drained == self.written {
            return;
        }
        match self.write(drained) {
            Ok(()) => self.written = drained.clone(),
            Err(error) => warn!(
                "write {}: {error}: the next start will not know which servers are taken out",
                self.path.display()
            ),
        }
    }

    fn write(&self, drained: &Drained) -> io::Result<()> {
        if drained.is_empty() {
            return match fs::remove_file(&self.path) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        if let Some(dir) = self.path.parent() {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true).mode(0o755).create(dir)?;
        }
        let mut text = String::new();
        for (whom, limit) in drained {
            let _ = match limit {
                Some(limit) => writeln!(text, "{whom} {}", limit.as_secs()),
                None => writeln!(text, "{whom}"),
            };
        }
        write_lasting(&self.path, text.as_bytes())
    }
}

/// `SERVER [SECONDS]`; what is none is passed over.
fn read(line: &str) -> Option<(Whom, Option<Duration>)> {
    let mut words = line.split_whitespace();
    let whom = words.next()?.parse().ok()?;
    let limit = match words.next() {
        None => None,
        Some(seconds) => Some(Duration::from_secs(seconds.parse().ok()?)),
    };
    Some((whom, limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_again_and_rubbish_is_passed_over() {
        let dir = std::env::temp_dir().join(format!("vipd-drained-{}", std::process::id()));
        let mut file = DrainedFile::within(&dir);
        assert_eq!(file.drained(), &Drained::new());
        let drained = Drained::from([
            ("10.1.0.1:80".parse().unwrap(), None),
            (
                "2001:db8::1".parse().unwrap(),
                Some(Duration::from_secs(90)),
            ),
        ]);
        file.keep(&drained);
        assert_eq!(DrainedFile::within(&dir).drained(), &drained);
        let text = fs::read_to_string(&file.path).unwrap();
        fs::write(&file.path, format!("rubbish\n{text}10.1.0.2 x\n\n")).unwrap();
        assert_eq!(DrainedFile::within(&dir).drained(), &drained);
        file.keep(&Drained::new());
        assert!(!file.path.exists());
        fs::remove_dir(&dir).unwrap();
    }
}
