//! Error numbers of the kernel as words and name: `connection refused (ECONNREFUSED)`.
//!
//! The words are those of glibc's strerror(3), which people search for, in lower case as all our messages
//! are. A table and not a call: other C libraries have other words.

use std::fmt;
use std::io;

/// An error number of the kernel (errno(3)), above 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Errno(pub i32);

impl Errno {
    /// The number in an IO error, where it came from the kernel.
    pub fn of(error: &io::Error) -> Option<Errno> {
        error.raw_os_error().map(Errno)
    }

    /// `ECONNREFUSED`; `None` for a number that no call of ours is known to give.
    pub fn name(self) -> Option<&'static str> {
        self.row().map(|row| row.1)
    }

    fn row(self) -> Option<&'static (i32, &'static str, &'static str)> {
        NAMES.iter().find(|row| row.0 == self.0)
    }
}

/// `connection refused (ECONNREFUSED)`, or `error 530` for a number without a name here.
impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.row() {
            Some((_, name, words)) => write!(f, "{words} ({name})"),
            None => write!(f, "error {}", self.0),
        }
    }
}

/// An IO error in the words of [`Errno`]; one that is not the kernel's in its own.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a>(pub &'a io::Error);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Errno::of(self.0) {
            Some(errno) => errno.fmt(f),
            None => self.0.fmt(f),
        }
    }
}

/// What sockets, netlink, files and processes answer.
const NAMES: &[(i32, &str, &str)] = &[
    (libc::EPERM, "EPERM", "operation not permitted"),
    (libc::ENOENT, "ENOENT", "no such file or directory"),
    (libc::ESRCH, "ESRCH", "no such process"),
    (libc::EINTR, "EINTR", "interrupted system call"),
    (libc::EIO, "EIO", "input/output error"),
    (libc::ENXIO, "ENXIO", "no such device or address"),
    (libc::E2BIG, "E2BIG", "argument list too long"),
    (libc::ENOEXEC, "ENOEXEC", "exec format error"),
    (libc::EBADF, "EBADF", "bad file descriptor"),
    (libc::ECHILD, "ECHILD", "no child processes"),
    (libc::EAGAIN, "EAGAIN", "resource temporarily unavailable"),
    (libc::ENOMEM, "ENOMEM", "cannot allocate memory"),
    (libc::EACCES, "EACCES", "permission denied"),
    (libc::EFAULT, "EFAULT", "bad address"),
    (libc::EBUSY, "EBUSY", "device or resource busy"),
    (libc::EEXIST, "EEXIST", "file exists"),
    (libc::EXDEV, "EXDEV", "invalid cross-device link"),
    (libc::ENODEV, "ENODEV", "no such device"),
    (libc::ENOTDIR, "ENOTDIR", "not a directory"),
    (libc::EISDIR, "EISDIR", "is a directory"),
    (libc::EINVAL, "EINVAL", "invalid argument"),
    (libc::ENFILE, "ENFILE", "too many open files in system"),
    (libc::EMFILE, "EMFILE", "too many open files"),
    (libc::ETXTBSY, "ETXTBSY", "text file busy"),
    (libc::EFBIG, "EFBIG", "file too large"),
    (libc::ENOSPC, "ENOSPC", "no space left on device"),
    (libc::EROFS, "EROFS", "read-only file system"),
    (libc::EMLINK, "EMLINK", "too many links"),
    (libc::EPIPE, "EPIPE", "broken pipe"),
    (libc::ERANGE, "ERANGE", "numerical result out of range"),
    (libc::ENAMETOOLONG, "ENAMETOOLONG", "file name too long"),
    (libc::ENOSYS, "ENOSYS", "function not implemented"),
    (libc::ENOTEMPTY, "ENOTEMPTY", "directory not empty"),
    (libc::ELOOP, "ELOOP", "too many levels of symbolic links"),
    (libc::ENODATA, "ENODATA", "no data available"),
    (libc::EPROTO, "EPROTO", "protocol error"),
    (libc::EBADMSG, "EBADMSG", "bad message"),
    (
        libc::EOVERFLOW,
        "EOVERFLOW",
        "value too large for defined data type",
    ),
    (libc::ENOTSOCK, "ENOTSOCK", "socket operation on non-socket"),
    (
        libc::EDESTADDRREQ,
        "EDESTADDRREQ",
        "destination address required",
    ),
    (libc::EMSGSIZE, "EMSGSIZE", "message too long"),
    (
        libc::EPROTOTYPE,
        "EPROTOTYPE",
        "protocol wrong type for socket",
    ),
    (libc::ENOPROTOOPT, "ENOPROTOOPT", "protocol not available"),
    (
        libc::EPROTONOSUPPORT,
        "EPROTONOSUPPORT",
        "protocol not supported",
    ),
    (
        libc::ESOCKTNOSUPPORT,
        "ESOCKTNOSUPPORT",
        "socket type not supported",
    ),
    (libc::EOPNOTSUPP, "EOPNOTSUPP", "operation not supported"),
    (
        libc::EAFNOSUPPORT,
        "EAFNOSUPPORT",
        "address family not supported by protocol",
    ),
    (libc::EADDRINUSE, "EADDRINUSE", "address already in use"),
    (
        libc::EADDRNOTAVAIL,
        "EADDRNOTAVAIL",
        "cannot assign requested address",
    ),
    (libc::ENETDOWN, "ENETDOWN", "network is down"),
    (libc::ENETUNREACH, "ENETUNREACH", "network is unreachable"),
    (
        libc::ENETRESET,
        "ENETRESET",
        "network dropped connection on reset",
    ),
    (
        libc::ECONNABORTED,
        "ECONNABORTED",
        "software caused connection abort",
    ),
    (libc::ECONNRESET, "ECONNRESET", "connection reset by peer"),
    (libc::ENOBUFS, "ENOBUFS", "no buffer space available"),
    (
        libc::EISCONN,
        "EISCONN",
        "transport endpoint is already connected",
    ),
    (
        libc::ENOTCONN,
        "ENOTCONN",
        "transport endpoint is not connected",
    ),
    (libc::ETIMEDOUT, "ETIMEDOUT", "connection timed out"),
    (libc::ECONNREFUSED, "ECONNREFUSED", "connection refused"),
    (libc::EHOSTDOWN, "EHOSTDOWN", "host is down"),
    (libc::EHOSTUNREACH, "EHOSTUNREACH", "no route to host"),
    (libc::EALREADY, "EALREADY", "operation already in progress"),
    (
        libc::EINPROGRESS,
        "EINPROGRESS",
        "operation now in progress",
    ),
    (libc::ESTALE, "ESTALE", "stale file handle"),
    (libc::EDQUOT, "EDQUOT", "disk quota exceeded"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_number_has_words_and_a_name() {
        let error = io::Error::from_raw_os_error(libc::ECONNREFUSED);
        assert_eq!(
            Words(&error).to_string(),
            "connection refused (ECONNREFUSED)"
        );
        assert_eq!(Errno(libc::EEXIST).to_string(), "file exists (EEXIST)");
    }

    #[test]
    fn an_unknown_number_stays_a_number() {
        assert_eq!(Errno(530).to_string(), "error 530");
        assert_eq!(Errno(530).name(), None);
    }

    #[test]
    fn an_error_that_is_not_the_kernels_keeps_its_words() {
        let error = io::Error::new(io::ErrorKind::InvalidData, "half a header");
        assert_eq!(Words(&error).to_string(), "half a header");
    }

    #[cfg(target_env = "gnu")]
    #[test]
    fn the_words_are_those_of_the_c_library() {
        for (number, name, words) in NAMES {
            let theirs = io::Error::from_raw_os_error(*number).to_string();
            let theirs = theirs.to_lowercase();
            assert_eq!(theirs.split(" (os error").next(), Some(*words), "{name}");
        }
    }

    #[test]
    fn no_number_stands_twice() {
        for (at, row) in NAMES.iter().enumerate() {
            assert!(
                NAMES.iter().skip(at + 1).all(|other| other.0 != row.0),
                "{}",
                row.1
            );
        }
    }
}
