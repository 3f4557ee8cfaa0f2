//! `config_save_dir`: what was read at each reload, and the state before and after it, for whoever looks for
//! what went wrong between two of them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use tracing::warn;

use crate::config::{Config, SourceMap};
use crate::control;
use crate::control::keepalived::Place;
use crate::errno::Words;

/// Reloads that are kept; those before are removed.
const KEPT: usize = 100;
/// Configurations have passwords.
const MODE: u32 = 0o600;
const DIR_MODE: u32 = 0o700;
/// What a file of a reload is called behind its time.
const ENDS: [&str; 4] = [".before.json", ".conf", ".after.json", ".refused"];

/// Where one reload is kept: `DIR/TIME.before.json`, `.conf`, `.after.json`, or `.refused`.
#[derive(Clone, Debug)]
pub(super) struct Saving {
    dir: PathBuf,
    /// When it began.
    at: String,
}

impl Saving {
    /// Begins one; nothing: the configuration does not ask for it.
    pub(super) fn of(config: &Config) -> Option<Saving> {
        let dir = config.globals.outputs.config_save_dir.as_ref()?;
        Some(Saving {
            dir: PathBuf::from(dir),
            at: control::now(),
        })
    }

    /// The files as they were read, one after the other.
    pub(super) fn files(&self, sources: &SourceMap) {
        let mut text = String::new();
        for file in sources.files() {
            let end = if file.text().ends_with('\n') {
                ""
            } else {
                "\n"
            };
            let _ = write!(text, "# {}\n{}{end}", file.path().display(), file.text());
        }
        self.write("conf", &text);
    }

    /// Writes one of its files. What cannot be written is told, and is no reason not to reload.
    pub(super) fn write(&self, end: &str, text: &str) {
        let dir = self.dir.display();
        match fs::DirBuilder::new().mode(DIR_MODE).create(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return warn!("config_save_dir: make {dir}: {}", Words(&error));
            }
            _ => {}
        }
        let path = self.dir.join(format!("{}.{end}", self.at));
        if let Err(error) = Place::at(path, MODE).write(text) {
            return warn!("config_save_dir: {error}");
        }
        if let Err(error) = forget(&self.dir) {
            warn!("config_save_dir: look through {dir}: {}", Words(&error));
        }
    }
}

/// Removes what is older than the last [`KEPT`]; files with other names are somebody else's.
fn forget(dir: &Path) -> io::Result<()> {
    let mut times = BTreeSet::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let time = name.to_str().and_then(|name| {
            let mut times = ENDS.iter().filter_map(|end| name.strip_suffix(end));
            times.find(|time| humantime::parse_rfc3339(time).is_ok())
        });
        times.extend(time.map(str::to_owned));
    }
    let old = times.len().saturating_sub(KEPT);
    for time in times.iter().take(old) {
        for end in ENDS {
            match fs::remove_file(dir.join(format!("{time}{end}"))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_hundred_stay_and_what_is_somebody_elses() {
        let dir = std::env::temp_dir().join(format!("vipd-config-save-{}", std::process::id()));
        let saving = |number: usize| Saving {
            dir: dir.clone(),
            at: format!("2026-11-22T03:{:02}:{:02}.000Z", number / 60, number % 60),
        };
        saving(0).write("conf", "! one\n");
        fs::write(dir.join("notes.conf"), "").unwrap();
        for number in 1..=KEPT {
            saving(number).write("before.json", "{}");
            saving(number).write("refused", "x");
        }
        let left = fs::read_dir(&dir).unwrap().count();
        let first = dir.join("2026-11-22T03:00:00.000Z.conf").exists();
        let notes = dir.join("notes.conf").exists();
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!((left, first, notes), (2 * KEPT + 1, false, true));
    }
}
