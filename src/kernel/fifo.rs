//! A FIFO (fifo(7)) that lines are written to and nobody is waited for.
//!
//! It is open for reading too: so a line waits in it for a reader that comes later, and a reader that
//! goes is no error. When it is full, a line is lost, and the caller is told.

use std::ffi::CString;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};

use crate::errno::Words;

use super::sys::{file, process};

/// Its owner reads and writes, as in keepalived 2.2.
const MODE: u32 = 0o600;

/// User and group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Number of the user.
    pub uid: u32,
    /// Number of the group.
    pub gid: u32,
}

/// An open FIFO; removed when it is dropped, if it was made here.
#[derive(Debug)]
pub struct Fifo {
    path: PathBuf,
    file: File,
    made: bool,
}

/// It cannot be used.
#[derive(Debug)]
pub enum FifoError {
    /// It cannot be made.
    Make(PathBuf, io::Error),
    /// It cannot be opened.
    Open(PathBuf, io::Error),
    /// It is no FIFO.
    Other(PathBuf),
    /// It belongs to somebody else.
    Owner {
        /// Which.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
    },
}

impl fmt::Display for FifoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FifoError::Make(path, error) => {
                write!(f, "make FIFO {}: {}", path.display(), Words(error))
            }
            FifoError::Open(path, error) if error.raw_os_error() == Some(libc::ELOOP) => write!(
                f,
                "FIFO {} is a symbolic link: it is not followed; name the FIFO itself",
                path.display()
            ),
            FifoError::Open(path, error) => {
                write!(f, "open FIFO {}: {}", path.display(), Words(error))
            }
            FifoError::Other(path) => write!(
                f,
                "{} is no FIFO: remove it or name another path",
                path.display()
            ),
            FifoError::Owner { path, uid } => write!(
                f,
                "FIFO {} belongs to user {uid}, who is neither vipd's user nor the one that is \
                 configured for it: remove it or name its user",
                path.display()
            ),
        }
    }
}

impl std::error::Error for FifoError {}

/// Whether a line was written.
#[derive(Debug)]
pub enum Written {
    /// All of it.
    Whole,
    /// Nothing: it is full, nobody reads it.
    Full,
    /// Nothing, or not all.
    Failed(io::Error),
}

impl Fifo {
    /// Makes it, or takes one that is there and belongs to `owner` or to us. `owner` is given what is
    /// made.
    ///
    /// # Errors
    /// The path, and why.
    pub fn open(path: &Path, owner: Owner) -> Result<Fifo, FifoError> {
        let failed = |error| FifoError::Make(path.to_owned(), error);
        let name = CString::new(path.as_os_str().as_bytes())
            .map_err(|_| failed(io::Error::from_raw_os_error(libc::EINVAL)))?;
        let made = match file::mkfifo(&name, MODE) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(failed(error)),
        };
        let opened = Fifo::open_existing(path, owner, made);
        if made && opened.is_err() {
            let _ = std::fs::remove_file(path);
        }
        opened
    }

    fn open_existing(path: &Path, owner: Owner, made: bool) -> Result<Fifo, FifoError> {
        let failed = |error| FifoError::Open(path.to_owned(), error);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW)
            .open(path)
            .map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.file_type().is_fifo() {
            return Err(FifoError::Other(path.to_owned()));
        }
        let ours = process::effective_uid();
        let uid = metadata.uid();
        if uid != ours && uid != owner.uid {
            let path = path.to_owned();
            return Err(FifoError::Owner { path, uid });
        }
        if made && (uid, metadata.gid()) != (owner.uid, owner.gid) {
            fchown(&file, Some(owner.uid), Some(owner.gid)).map_err(failed)?;
        }
        Ok(Fifo {
            path: path.to_owned(),
            file,
            made,
        })
    }

    /// Writes a line whole or not at all, and never waits. Lines of up to 4096 bytes (PIPE_BUF).
    pub fn write(&mut self, line: &[u8]) -> Written {
        match self.file.write(line) {
            Ok(len) if len == line.len() => Written::Whole,
            Ok(_) => Written::Failed(io::Error::from_raw_os_error(libc::EMSGSIZE)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Written::Full,
            Err(error) => Written::Failed(error),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Fifo {
    fn drop(&mut self) {
        // Before it is closed: a reader that opens it again at its end must not find it.
        if self.made {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Dir {
            let dir = std::env::temp_dir().join(format!("vipd-fifo-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&dir).unwrap();
            Dir(dir)
        }

        fn at(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn us() -> Owner {
        Owner {
            uid: process::effective_uid(),
            gid: process::effective_gid(),
        }
    }

    #[test]
    fn a_line_waits_for_a_reader_and_the_fifo_goes_with_its_maker() {
        let dir = Dir::new("line");
        let path = dir.at("f");
        let mut fifo = Fifo::open(&path, us()).unwrap();
        assert!(matches!(fifo.write(b"one\n"), Written::Whole));
        let mut reader = File::open(&path).unwrap();
        // Taken over, it is not removed.
        drop(Fifo::open(&path, us()).unwrap());
        assert!(path.exists());
        drop(fifo);
        assert!(!path.exists());
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "one\n");
    }

    #[test]
    fn a_full_fifo_loses_lines_and_does_not_wait() {
        let dir = Dir::new("full");
        let mut fifo = Fifo::open(&dir.at("f"), us()).unwrap();
        let line = [b'x'; 1000];
        let mut whole = 0;
        let last = loop {
            match fifo.write(&line) {
                Written::Whole => whole += 1,
                other => break other,
            }
        };
        assert!(matches!(last, Written::Full), "{last:?}");
        assert!(whole > 10, "{whole}");
    }

    #[test]
    fn what_is_no_fifo_of_ours_is_left_alone() {
        let dir = Dir::new("other");
        let file = dir.at("file");
        std::fs::write(&file, "data").unwrap();
        let link = dir.at("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let told = Fifo::open(&file, us()).unwrap_err().to_string();
        assert!(told.contains("is no FIFO"), "{told}");
        let told = Fifo::open(&link, us()).unwrap_err().to_string();
        assert!(told.contains("symbolic link"), "{told}");
        assert_eq!(std::fs::read(&file).unwrap(), b"data");
        let told = Fifo::open(&dir.at("no/such"), us()).unwrap_err();
        assert!(matches!(told, FifoError::Make(..)), "{told}");
    }
}
