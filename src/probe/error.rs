//! Why a probe failed, in words for the log.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::errno::Words;

/// Why a probe failed.
#[derive(Debug)]
pub enum ProbeError {
    /// It could not be attempted as configured; this says nothing about the server.
    Prepare {
        /// What was done, in words.
        operation: String,
        /// Why it failed.
        error: io::Error,
    },
    /// The attempt failed.
    Connect(io::Error),
    /// It went wrong after the connection was there.
    Talk {
        /// What was done, in words.
        operation: &'static str,
        /// Why it failed.
        error: io::Error,
    },
    /// The server answered, and not as it should; the whole sentence.
    Answer(String),
    /// There was no answer in time.
    Timeout(Duration),
}

impl ProbeError {
    /// Whether it failed for want of something on this node (descriptors, an address to bind to, a free
    /// port): the server was not asked.
    pub fn is_local(&self) -> bool {
        match self {
            ProbeError::Prepare { .. } => true,
            ProbeError::Connect(error) => matches!(
                error.raw_os_error(),
                Some(libc::EADDRNOTAVAIL | libc::EADDRINUSE | libc::EPERM)
            ),
            ProbeError::Talk { .. } | ProbeError::Answer(_) | ProbeError::Timeout(_) => false,
        }
    }

    pub(super) fn prepare(operation: impl FnOnce() -> String) -> impl FnOnce(io::Error) -> Self {
        |error| ProbeError::Prepare {
            operation: operation(),
            error,
        }
    }

    pub(super) fn talk(operation: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| ProbeError::Talk { operation, error }
    }
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProbeError::Prepare { operation, error } => {
                write!(f, "{operation}: {}", Words(error))
            }
            ProbeError::Connect(error) => Words(error).fmt(f),
            ProbeError::Talk { operation, error } => write!(f, "{operation}: {}", Words(error)),
            ProbeError::Answer(what) => f.write_str(what),
            ProbeError::Timeout(timeout) => write!(f, "no answer within {timeout:?}"),
        }
    }
}

impl std::error::Error for ProbeError {}
