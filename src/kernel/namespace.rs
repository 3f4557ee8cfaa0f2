//! Network namespaces by the names that ip-netns(8) gives them, and that of process 1.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::errno::Words;

use super::sys;

/// Where ip-netns(8) keeps names.
const DIRECTORY: &str = "/run/netns";
/// Names that an error lists at most.
const LISTED_MAX: usize = 20;

/// A network namespace, open.
#[derive(Debug)]
pub struct Namespace {
    file: File,
    path: PathBuf,
}

/// Why a namespace cannot be used. Says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceError(String);

impl fmt::Display for NamespaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NamespaceError {}

impl Namespace {
    /// The one that `ip netns add NAME` made.
    ///
    /// # Errors
    /// There is none of that name, or it cannot be opened.
    pub fn named(name: &str) -> Result<Namespace, NamespaceError> {
        let path = Path::new(DIRECTORY).join(name);
        if matches!(name, "" | "." | "..") || name.contains('/') {
            let text = format!("`{name}` is no name of a network namespace");
            return Err(NamespaceError(text));
        }
        match File::open(&path) {
            Ok(file) => Ok(Namespace { file, path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(NamespaceError(format!(
                "network namespace {name} does not exist ({} is missing): correct the name, or make it \
                 before vipd starts with `ip netns add {name}`; {}",
                path.display(),
                those_there_are()
            ))),
            Err(error) => Err(NamespaceError(format!(
                "open network namespace {}: {}",
                path.display(),
                Words(&error)
            ))),
        }
    }

    /// That of process 1: the machine's own, or the container's.
    ///
    /// # Errors
    /// /proc is not mounted, or process 1 is somebody else's.
    pub fn first() -> Result<Namespace, NamespaceError> {
        Namespace::at("/proc/1/ns/net")
    }

    /// That of the thread that asks.
    ///
    /// # Errors
    /// /proc is not mounted.
    pub fn current() -> Result<Namespace, NamespaceError> {
        Namespace::at("/proc/thread-self/ns/net")
    }

    fn at(path: &str) -> Result<Namespace, NamespaceError> {
        let path = PathBuf::from(path);
        let file = File::open(&path).map_err(|error| {
            NamespaceError(format!(
                "open network namespace {}: {}; run vipd as root, with /proc mounted",
                path.display(),
                Words(&error)
            ))
        })?;
        Ok(Namespace { file, path })
    }

    /// Moves the calling thread there. Threads and processes that it starts from then on are there too;
    /// sockets stay where they were opened.
    ///
    /// # Errors
    /// It is no network namespace, or CAP_SYS_ADMIN is missing.
    pub fn enter(&self) -> Result<(), NamespaceError> {
        sys::watch::enter_net(self.file.as_fd()).map_err(|error| {
            let path = self.path.display();
            NamespaceError(match error.raw_os_error() {
                Some(libc::EINVAL) => {
                    format!("enter network namespace: {path} is no network namespace (EINVAL)")
                }
                Some(libc::EPERM) => format!(
                    "enter network namespace {path}: operation not permitted (EPERM); run vipd as root, \
                     or grant it CAP_SYS_ADMIN too (systemd: AmbientCapabilities=; Docker: --cap-add)"
                ),
                _ => format!("enter network namespace {path}: {}", Words(&error)),
            })
        })
    }

    /// What `work` gives on a thread that is there; the calling thread stays where it is and waits.
    ///
    /// # Errors
    /// It cannot be entered, or the kernel gives no thread.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, NamespaceError> {
        let broke = |why: String| NamespaceError(format!("{}: {why}", self.path.display()));
        std::thread::scope(|scope| {
            let inside = std::thread::Builder::new()
                .name("namespace".to_owned())
                .spawn_scoped(scope, || self.enter().map(|()| work()));
            let thread =
                inside.map_err(|error| broke(format!("start thread: {}", Words(&error))))?;
            let ended = thread.join();
            ended.unwrap_or_else(|_| Err(broke("the thread in it broke off".to_owned())))
        })
    }

    /// The number by which it is told from others as long as it exists.
    ///
    /// # Errors
    /// None that the kernel is known to give.
    pub fn inode(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.ino())
    }
}

fn those_there_are() -> String {
    let entries = std::fs::read_dir(DIRECTORY).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .take(LISTED_MAX)
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    if names.is_empty() {
        "there are none".to_owned()
    } else {
        format!("there are: {}", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_does_not_exist_is_told_with_what_to_do() {
        let error = Namespace::named("vipd-no-such").unwrap_err().to_string();
        assert!(
            error.contains("network namespace vipd-no-such does not exist"),
            "{error}"
        );
        assert!(error.contains("ip netns add vipd-no-such"), "{error}");
    }

    #[test]
    fn what_is_no_name_is_not_looked_for() {
        for name in ["", ".", "..", "a/b", "/etc"] {
            let error = Namespace::named(name).unwrap_err().to_string();
            assert!(error.contains("no name"), "{name}: {error}");
        }
    }

    #[test]
    fn a_file_that_is_no_namespace_is_not_entered() {
        let namespace = Namespace::at("/proc/self/stat").unwrap();
        let error = namespace.enter().unwrap_err().to_string();
        assert!(error.contains("no network namespace"), "{error}");
        assert!(namespace.within(|| ()).is_err());
    }

    #[test]
    fn the_current_one_has_the_number_that_the_process_shows() {
        let shown = std::fs::metadata("/proc/self/ns/net").unwrap().ino();
        assert_eq!(Namespace::current().unwrap().inode().unwrap(), shown);
    }
}
