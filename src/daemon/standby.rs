//! `vipd standby`: whether this node yields until further notice. It is a file in the state directory, so
//! that it outlives restarts and reboots; who writes it need not reach the daemon, which watches it.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::unix::AsyncFd;
use tracing::warn;

use crate::errno::Words;
use crate::kernel::inotify::{Event, Inotify};

use super::run_dir::write_lasting;

/// Its name in the state directory.
const NAME: &str = "standby";
/// More than anybody writes into it.
const LEN_MAX: u64 = 64 << 10;
/// How often it is read where the directory cannot be watched.
const LOOK: Duration = Duration::from_secs(1);

/// Since when, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standby {
    /// As RFC 3339 has it.
    pub since: String,
    /// What whoever asked for it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl fmt::Display for Standby {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "standby since {}", self.since)?;
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}

/// What the file of a state directory says; `None`: this node takes part. A file that cannot be read says
/// standby all the same: somebody wanted it, and the other choice could put an address on two hosts.
pub fn read(dir: &Path) -> Option<Standby> {
    match read_file(&dir.join(NAME)) {
        Ok(standby) => Some(standby),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(Standby {
            since: "an unknown time".to_owned(),
            reason: Some(format!(
                "{} cannot be read: {}",
                dir.join(NAME).display(),
                Words(&error)
            )),
        }),
    }
}

/// A link is not followed, and a FIFO is not waited for.
fn read_file(path: &Path) -> io::Result<Standby> {
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::from(io::ErrorKind::InvalidData));
    }
    let mut text = Vec::new();
    file.take(LEN_MAX).read_to_end(&mut text)?;
    serde_json::from_slice(&text).map_err(io::Error::other)
}

/// Writes that this node stands by, whole and so that it outlives a loss of power, or that it does not;
/// makes the directory (mode 0755) if need be.
///
/// # Errors
/// What the file system says.
pub fn write(dir: &Path, standby: Option<&Standby>) -> io::Result<()> {
    let path = dir.join(NAME);
    if let Some(standby) = standby {
        make(dir)?;
        let mut text = serde_json::to_vec(standby).map_err(io::Error::other)?;
        text.push(b'\n');
        return write_lasting(&path, &text);
    }
    match fs::remove_file(&path) {
        Ok(()) => File::open(dir)?.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn make(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o755).create(dir)
}

/// Hears of changes of the file.
#[derive(Debug)]
pub(super) struct Watch {
    dir: PathBuf,
    known: Option<Standby>,
    watched: Option<(Inotify, AsyncFd<OwnedFd>)>,
}

impl Watch {
    /// In a tokio runtime; `known` is what was read at the start.
    pub(super) fn new(dir: &Path, known: Option<Standby>) -> Watch {
        let mut watch = Watch {
            dir: dir.to_owned(),
            known,
            watched: None,
        };
        if let Err(error) = make(dir).and_then(|()| watch.begin()) {
            warn!(
                "watch {} (for `vipd standby`): {}; it is looked at every second",
                dir.display(),
                Words(&error)
            );
        }
        watch
    }

    fn begin(&mut self) -> io::Result<()> {
        let inotify = Inotify::open()?;
        inotify.watch(&self.dir)?;
        let readiness = inotify.readiness()?;
        self.watched = Some((inotify, readiness));
        Ok(())
    }

    /// Waits until it says something else; what it says then. May be given up at any time.
    pub(super) async fn changed(&mut self) -> Option<Standby> {
        loop {
            let now = read(&self.dir);
            if now != self.known {
                self.known.clone_from(&now);
                return now;
            }
            self.wait().await;
        }
    }

    async fn wait(&mut self) {
        let Some((inotify, readiness)) = &mut self.watched else {
            tokio::time::sleep(LOOK).await;
            // It may be there by now.
            let _ = self.begin();
            return;
        };
        let Ok(mut ready) = readiness.readable().await else {
            return std::future::pending().await;
        };
        ready.clear_ready();
        let gone = |event: &Event| matches!(event, Event::Gone(_));
        let events = inotify.read().unwrap_or_default();
        if events.iter().any(gone) {
            self.watched = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("vipd-standby-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        dir
    }

    fn standby(reason: Option<&str>) -> Standby {
        Standby {
            since: "2026-01-02T03:04:05Z".to_owned(),
            reason: reason.map(str::to_owned),
        }
    }

    #[test]
    fn what_was_written_is_read_until_it_is_taken_back() {
        let dir = scratch("round").join("deep");
        assert_eq!(read(&dir), None);
        write(&dir, None).unwrap();
        for reason in [None, Some("new disk\nand \"memory\"")] {
            write(&dir, Some(&standby(reason))).unwrap();
            assert_eq!(read(&dir), Some(standby(reason)));
        }
        write(&dir, None).unwrap();
        write(&dir, None).unwrap();
        assert_eq!(read(&dir), None);
        fs::remove_dir_all(scratch("round")).unwrap_or_default();
    }

    #[test]
    fn a_link_is_neither_followed_nor_written_through_and_rubbish_means_standby() {
        let dir = scratch("link");
        fs::create_dir_all(&dir).unwrap();
        let victim = dir.join("victim");
        fs::write(&victim, "{\"since\": \"x\"}").unwrap();
        std::os::unix::fs::symlink(&victim, dir.join(NAME)).unwrap();
        let said = read(&dir).unwrap().to_string();
        assert!(said.contains("cannot be read"), "{said}");
        write(&dir, Some(&standby(None))).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "{\"since\": \"x\"}");
        assert_eq!(read(&dir), Some(standby(None)));
        fs::write(dir.join(NAME), b"\xff{").unwrap();
        let said = read(&dir).unwrap().to_string();
        assert!(said.starts_with("standby since an unknown time"), "{said}");
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn who_watches_hears_of_each_change_even_of_a_directory_that_comes_later() {
        let dir = scratch("watch");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut watch = Watch::new(&dir, None);
            for round in 0..3 {
                let on = standby(Some("why"));
                let (writer, text) = (dir.clone(), on.clone());
                std::thread::spawn(move || write(&writer, Some(&text)).unwrap());
                assert_eq!(watch.changed().await, Some(on), "{round}");
                if round == 1 {
                    fs::remove_dir_all(&dir).unwrap();
                } else {
                    write(&dir, None).unwrap();
                }
                assert_eq!(watch.changed().await, None);
            }
        });
        fs::remove_dir_all(&dir).unwrap();
    }
}
