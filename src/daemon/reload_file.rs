//! `reload_file`: a file that is there, and empty, while the configuration is read. Who writes the
//! configuration makes it before the reload, and waits until it has gone.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use tracing::warn;

use crate::config::Config;
use crate::errno::Words;

use super::options::{Options, STAND_IN_PID_FILE};
use super::run_dir::RunDir;

/// What it is called where the configuration does not say.
const NAME: &str = "keepalived.reload";

/// Which file that is; none: the configuration asks for none.
pub(super) fn path(config: &Config, options: &Options, run_dir: &RunDir) -> Option<PathBuf> {
    let said = config.globals.outputs.reload_file.as_ref()?;
    Some(match said {
        Some(path) => PathBuf::from(path),
        None if options.stand_in => Path::new(STAND_IN_PID_FILE).with_file_name(NAME),
        None => run_dir.file(NAME),
    })
}

/// It is there as long as this value lives.
pub(super) struct ReloadFile(Option<PathBuf>);

impl ReloadFile {
    /// Makes it; one that is there becomes empty. What cannot be made is told, and is no reason not to reload.
    pub(super) fn make(path: Option<PathBuf>) -> ReloadFile {
        if let Some(path) = &path {
            let made = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o644)
                // Nobody else's file is emptied by a link in its place; a FIFO waits for nobody.
                .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
                .open(path);
            if let Err(error) = made {
                warn!("make reload_file {}: {}", path.display(), Words(&error));
            }
        }
        ReloadFile(path)
    }

    /// Removes it, if there is one.
    pub(super) fn remove(path: Option<&Path>) {
        let Some(path) = path else {
            return;
        };
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                warn!("remove reload_file {}: {}", path.display(), Words(&error));
            }
            _ => {}
        }
    }
}

impl Drop for ReloadFile {
    fn drop(&mut self) {
        ReloadFile::remove(self.0.as_deref());
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn it_becomes_empty_and_goes_and_a_link_is_not_followed() {
        let dir = std::env::temp_dir().join(format!("vipd-reload-file-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (file, link, other) = (dir.join("file"), dir.join("link"), dir.join("other"));
        std::fs::write(&file, "full").unwrap();
        std::fs::write(&other, "another's").unwrap();
        symlink(&other, &link).unwrap();
        let held = ReloadFile::make(Some(file.clone()));
        let while_held = std::fs::read(&file);
        drop(held);
        drop(ReloadFile::make(Some(link.clone())));
        let (gone, untouched) = (!file.exists(), std::fs::read(&other));
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!(while_held.unwrap(), b"");
        assert!(gone);
        assert_eq!(untouched.unwrap(), b"another's");
    }
}
