//! The run directory: everything that one vipd keeps while it runs, and nothing of any other.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::errno::Words;

/// How long a process that was killed may take to be gone: who starts the next at once is not told that
/// the directory is in use.
const DYING_MAX: Duration = Duration::from_secs(1);
const DYING_STEP: Duration = Duration::from_millis(20);

/// The run directory, locked for as long as this value lives.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    _lock: File,
}

/// Why there is no run directory.
#[derive(Debug)]
pub enum RunDirError {
    /// It cannot be made or written to.
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        error: io::Error,
    },
    /// Another vipd uses it.
    InUse {
        /// The directory.
        path: PathBuf,
        /// Its process id, if it says.
        pid: Option<u32>,
    },
}

impl fmt::Display for RunDirError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunDirError::Io { doing, path, error } => {
                write!(f, "{doing} {}: {}", path.display(), Words(error))
            }
            RunDirError::InUse { path, pid } => {
                write!(f, "another vipd ")?;
                if let Some(pid) = pid {
                    write!(f, "(process {pid}) ")?;
                }
                write!(
                    f,
                    "uses {}: stop it first, or give this one a directory of its own with --run-dir",
                    path.display()
                )
            }
        }
    }
}

impl std::error::Error for RunDirError {}

impl RunDir {
    /// Makes the directory (mode 0755) if need be and locks it. The lock ends with the process, however
    /// it ends, so a killed vipd leaves nothing that keeps the next from starting.
    ///
    /// # Errors
    /// See [`RunDirError`].
    pub fn lock(path: &Path) -> Result<RunDir, RunDirError> {
        let failed = |doing, path: &Path| {
            let path = path.to_owned();
            move |error| RunDirError::Io { doing, path, error }
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(path)
            .map_err(failed("make run directory", path))?;
        let lock_path = path.join("lock");
        let mut lock = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(failed("open lock file", &lock_path))?;
        let mut waited = Duration::ZERO;
        let mut locked = lock.try_lock();
        while matches!(locked, Err(TryLockError::WouldBlock)) && waited < DYING_MAX {
            #[expect(
                clippy::disallowed_methods,
                reason = "nobody waits for this thread, and it for nothing that can be polled"
            )]
            std::thread::sleep(DYING_STEP);
            waited += DYING_STEP;
            locked = lock.try_lock();
        }
        match locked {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let pid = fs::read_to_string(&lock_path)
                    .ok()
                    .and_then(|s| s.trim().parse().ok());
                return Err(RunDirError::InUse {
                    path: path.to_owned(),
                    pid,
                });
            }
            Err(TryLockError::Error(error)) => {
                return Err(failed("lock", &lock_path)(error));
            }
        }
        lock.set_len(0)
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .map_err(failed("write lock file", &lock_path))?;
        Ok(RunDir {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Whether a vipd runs that has it.
    pub fn in_use(path: &Path) -> bool {
        let lock = File::open(path.join("lock"));
        lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// The path of a file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// Pid files that were asked for; removed when this value goes.
#[derive(Debug, Default)]
pub struct PidFiles(Vec<PathBuf>);

impl PidFiles {
    /// Writes our process id into each. A file that is there already says nothing: what keeps two
    /// daemons apart is the lock.
    ///
    /// # Errors
    /// The file that could not be written; those before it stay until the value is dropped.
    pub fn write(&mut self, path: PathBuf) -> Result<(), RunDirError> {
        write_whole(&path, format!("{}\n", std::process::id()).as_bytes()).map_err(|error| {
            RunDirError::Io {
                doing: "write pid file",
                path: path.clone(),
                error,
            }
        })?;
        self.0.push(path);
        Ok(())
    }
}

impl Drop for PidFiles {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}

/// Writes a file so that nobody ever reads half of it: beside it, then renamed into place. A link in
/// its place is replaced, not followed.
///
/// # Errors
/// What the file system says.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, |file| file.write_all(bytes))
}

/// The same with what `write` writes, bit by bit.
///
/// # Errors
/// What the file system says, and `write`.
pub fn write_whole_by(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    replace(path, |file| {
        let mut file = BufWriter::new(file);
        write(&mut file)?;
        file.flush()
    })
}

/// The same, and it is on the disk when this returns.
///
/// # Errors
/// What the file system says.
pub fn write_lasting(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, |file| {
        file.write_all(bytes)?;
        file.sync_all()
    })?;
    let dir = path.parent().unwrap_or(Path::new("/"));
    File::open(dir)?.sync_all()
}

fn replace(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    // Of a predecessor that died here with the same number, as in a container.
    let _ = fs::remove_file(&beside);
    let written = File::options()
        .write(true)
        .create_new(true)
        .open(&beside)
        .and_then(|mut file| write(&mut file))
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("vipd-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        dir
    }

    #[test]
    fn a_run_directory_has_one_owner_at_a_time() {
        let dir = scratch("run-dir");
        assert!(!RunDir::in_use(&dir), "nobody has it yet");
        let first = RunDir::lock(&dir).unwrap();
        assert!(RunDir::in_use(&dir));
        match RunDir::lock(&dir) {
            Err(RunDirError::InUse { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("{other:?}"),
        }
        drop(first);
        assert!(!RunDir::in_use(&dir));
        RunDir::lock(&dir).unwrap();
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_directory_is_had_as_soon_as_its_owner_is_gone() {
        let dir = scratch("dying");
        let owner = RunDir::lock(&dir).unwrap();
        let (ready, started) = std::sync::mpsc::channel();
        let dying = std::thread::spawn(move || {
            started.recv().unwrap();
            drop(owner);
        });
        ready.send(()).unwrap();
        RunDir::lock(&dir).unwrap();
        dying.join().unwrap();
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn half_a_file_of_a_predecessor_with_our_number_is_in_nobodys_way() {
        let dir = scratch("half");
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("pid");
        fs::write(dir.join(format!("pid.{}", std::process::id())), "half").unwrap();
        write_whole(&path, b"whole").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole");
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn pid_files_go_with_their_owner_and_do_not_follow_links() {
        let dir = scratch("pid");
        fs::create_dir_all(&dir).unwrap();
        let victim = dir.join("victim");
        fs::write(&victim, "precious").unwrap();
        let pid = dir.join("pid");
        std::os::unix::fs::symlink(&victim, &pid).unwrap();
        let mut files = PidFiles::default();
        files.write(pid.clone()).unwrap();
        assert_eq!(
            fs::read_to_string(&pid).unwrap(),
            format!("{}\n", std::process::id())
        );
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        drop(files);
        assert!(!pid.exists());
        fs::remove_dir_all(&dir).unwrap();
    }
}
