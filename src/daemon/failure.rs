//! Why the daemon ends, in words for a person and as an exit status.

use std::fmt;

/// Exit statuses, keepalived's where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It cannot run.
    Fatal = 1,
    /// The configuration has errors.
    Config = 2,
    /// Permissions are missing.
    Permission = 4,
    /// There is no configuration.
    NoConfig = 6,
    /// A fault of our own (EX_SOFTWARE of sysexits.h).
    Software = 70,
}

/// A failure with its status.
#[derive(Debug)]
pub struct Failure {
    /// How the process ends.
    pub status: Status,
    /// What failed, on what, why, and what to do.
    pub text: String,
}

impl Failure {
    /// Of a status and a text.
    pub fn new(status: Status, text: impl Into<String>) -> Failure {
        Failure {
            status,
            text: text.into(),
        }
    }

    /// The daemon cannot run.
    pub fn fatal(text: impl Into<String>) -> Failure {
        Failure::new(Status::Fatal, text)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

impl std::error::Error for Failure {}
