//! What can go wrong between us and the kernel.

use std::fmt;

use crate::errno::Errno;

/// Something asked of the kernel that did not happen, or is not known to have happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The kernel said no.
    Refused {
        /// What was asked: operation and object.
        action: String,
        /// Its error number.
        errno: Errno,
        /// Its words, where it had any (NLMSGERR_ATTR_MSG).
        text: Option<String>,
    },
    /// The socket would not take or give a message.
    Socket {
        /// What was asked.
        action: String,
        /// Error of the call.
        errno: Errno,
    },
    /// The kernel's answer was lost in a full buffer (ENOBUFS). The action may have happened.
    Lost {
        /// What was asked.
        action: String,
    },
    /// No answer came in time. The action may have happened.
    NoAnswer {
        /// What was asked.
        action: String,
    },
    /// What was listed kept changing while it was read (NLM_F_DUMP_INTR).
    Changing {
        /// What was asked.
        action: String,
    },
    /// The request cannot be written, or the answer cannot be read.
    Message {
        /// What was asked.
        action: String,
        /// Why.
        why: String,
    },
}

impl Error {
    /// Whether the kernel's picture is another than the one that the request was made from, or is
    /// not known: "look at that key again", not a failure. EEXIST, ENOENT, ESRCH, lost answers, and
    /// EADDRNOTAVAIL, which is what RTM_DELADDR says of an address that is not there, and ENODEV, of a
    /// link that is gone.
    pub fn is_disagreement(&self) -> bool {
        match self {
            Error::Refused { errno, .. } => matches!(
                errno.0,
                libc::EEXIST | libc::ENOENT | libc::ESRCH | libc::EADDRNOTAVAIL | libc::ENODEV
            ),
            Error::Lost { .. } | Error::NoAnswer { .. } | Error::Changing { .. } => true,
            Error::Socket { .. } | Error::Message { .. } => false,
        }
    }

    /// Whether the kernel was built without what was asked for.
    pub fn is_unsupported(&self) -> bool {
        let errno = self.errno().map(|errno| errno.0);
        matches!(errno, Some(libc::EOPNOTSUPP | libc::EAFNOSUPPORT))
    }

    /// The kernel's error number, where there is one.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Error::Refused { errno, .. } | Error::Socket { errno, .. } => Some(*errno),
            Error::Lost { .. } => Some(Errno(libc::ENOBUFS)),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Refused {
                action,
                errno,
                text: Some(text),
            } => write!(f, "{action}: {errno}: {text}"),
            Error::Refused { action, errno, .. } => write!(f, "{action}: {errno}"),
            Error::Socket { action, errno } => write!(f, "{action}: netlink socket: {errno}"),
            Error::Lost { action } => {
                let errno = Errno(libc::ENOBUFS);
                write!(f, "{action}: the kernel's answer was lost: {errno}")
            }
            Error::NoAnswer { action } => write!(f, "{action}: no answer from the kernel"),
            Error::Changing { action } => {
                write!(f, "{action}: it kept changing while it was read")
            }
            Error::Message { action, why } => write!(f, "{action}: {why}"),
        }
    }
}

impl std::error::Error for Error {}

/// One of many commands that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Place of the command in the slice that was given.
    pub index: usize,
    /// Why.
    pub error: Error,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}
