//! Hearing of changes in directories (inotify(7)).

use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use tokio::io::unix::AsyncFd;

use super::sys;

/// A file is there, is gone, was written and closed; the directory itself is gone.
const MASK: u32 = libc::IN_CREATE
    | libc::IN_CLOSE_WRITE
    | libc::IN_MOVED_TO
    | libc::IN_MOVED_FROM
    | libc::IN_DELETE
    | libc::IN_DELETE_SELF
    | libc::IN_MOVE_SELF
    | libc::IN_ONLYDIR;

/// A directory that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Watch(i32);

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Something happened to this name in a directory.
    Name(Watch, OsString),
    /// A directory is not watched any more, or is another one.
    Gone(Watch),
    /// Events were lost.
    Overrun,
}

/// Watches directories; never blocks.
#[derive(Debug)]
pub struct Inotify {
    file: File,
    buffer: Box<[u8]>,
}

impl Inotify {
    /// Opens one.
    ///
    /// # Errors
    /// Too many of them (fs.inotify.max_user_instances), or too many open files.
    pub fn open() -> io::Result<Inotify> {
        Ok(Inotify {
            file: File::from(sys::watch::inotify()?),
            buffer: vec![0; 16 << 10].into(),
        })
    }

    /// Watches a directory; the same directory again gives the same watch.
    ///
    /// # Errors
    /// ENOENT, ENOTDIR, EACCES, or ENOSPC when there are too many (fs.inotify.max_user_watches).
    pub fn watch(&self, directory: &Path) -> io::Result<Watch> {
        let path = CString::new(directory.as_os_str().as_bytes())?;
        sys::watch::inotify_add(self.file.as_fd(), &path, MASK).map(Watch)
    }

    /// Ends a watch; one that has ended by itself is no error.
    pub fn forget(&self, watch: Watch) {
        let _ = sys::watch::inotify_remove(self.file.as_fd(), watch.0);
    }

    /// Its readiness in a tokio runtime, in whose context this must be called.
    ///
    /// # Errors
    /// The kernel gives no descriptor.
    pub fn readiness(&self) -> io::Result<AsyncFd<OwnedFd>> {
        sys::poll::wait_for(self.as_fd().try_clone_to_owned()?)
    }

    /// What has happened since, as much as one read gives; empty when nothing has.
    ///
    /// # Errors
    /// Those of read(2), other than that there is nothing.
    pub fn read(&mut self) -> io::Result<Vec<Event>> {
        match self.file.read(&mut self.buffer) {
            Ok(length) => Ok(parse(self.buffer.get(..length).unwrap_or(&[]))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Inotify {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// struct inotify_event: int watch, then mask, cookie and length of the name that follows.
fn parse(mut bytes: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<16>() {
        let word = |at: usize| {
            let bytes = head.get(at..at + 4).and_then(|b| b.try_into().ok());
            u32::from_ne_bytes(bytes.unwrap_or_default())
        };
        let (watch, mask) = (Watch(word(0).cast_signed()), word(4));
        let length = usize::try_from(word(12)).unwrap_or(usize::MAX);
        let Some((name, rest)) = rest.split_at_checked(length) else {
            break;
        };
        bytes = rest;
        let gone = libc::IN_IGNORED | libc::IN_DELETE_SELF | libc::IN_MOVE_SELF;
        events.push(if mask & libc::IN_Q_OVERFLOW != 0 {
            Event::Overrun
        } else if mask & gone != 0 {
            Event::Gone(watch)
        } else {
            let name = name.split(|byte| *byte == 0).next().unwrap_or(&[]);
            Event::Name(watch, OsStr::from_bytes(name).to_owned())
        });
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn names(inotify: &mut Inotify) -> Vec<String> {
        let events = inotify.read().unwrap().into_iter();
        let name = |event| match event {
            Event::Name(_, name) => name.into_string().unwrap(),
            Event::Gone(_) => "(gone)".to_owned(),
            Event::Overrun => "(overrun)".to_owned(),
        };
        events.map(name).collect()
    }

    #[test]
    fn files_that_come_change_and_go_are_told_by_name() {
        let dir = std::env::temp_dir().join(format!("vipd-inotify-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        let mut inotify = Inotify::open().unwrap();
        let watch = inotify.watch(&dir).unwrap();
        assert_eq!(inotify.watch(&dir).unwrap(), watch);
        assert_eq!(names(&mut inotify), [""; 0]);
        fs::write(dir.join("a"), "1").unwrap();
        assert_eq!(names(&mut inotify), ["a", "a"], "made, then closed");
        fs::rename(dir.join("a"), dir.join("b")).unwrap();
        assert_eq!(names(&mut inotify), ["a", "b"]);
        fs::remove_file(dir.join("b")).unwrap();
        assert_eq!(names(&mut inotify), ["b"]);
        fs::remove_dir(&dir).unwrap();
        assert_eq!(names(&mut inotify), ["(gone)", "(gone)"], "and ignored");
        assert!(inotify.watch(&dir).is_err());
        inotify.forget(watch);
    }

    #[test]
    fn any_bytes_are_taken() {
        for length in 0..64 {
            let _ = parse(&vec![0xff; length]);
        }
        let mut event = Vec::new();
        for word in [3_u32, libc::IN_Q_OVERFLOW, 0, 0] {
            event.extend_from_slice(&word.to_ne_bytes());
        }
        assert_eq!(parse(&event), [Event::Overrun]);
    }
}
