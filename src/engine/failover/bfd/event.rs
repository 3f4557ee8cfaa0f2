//! What is told of a session.

use std::fmt;
use std::net::IpAddr;

use crate::bfd::{Note, Reason, Rejection};
use crate::wire::bfd::State;

/// One line about a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionEvent {
    /// Its name in the configuration.
    pub session: String,
    /// What happened.
    pub what: SessionChange,
}

/// What happened to a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionChange {
    /// Its state changed.
    Entered {
        /// The state entered.
        to: State,
        /// Why.
        reason: Reason,
    },
    /// Something about it.
    Note(Note),
    /// A packet was dropped, for the first time in this state.
    Rejected {
        /// Who sent it.
        source: IpAddr,
        /// Why.
        rejection: Rejection,
    },
    /// Its sockets could not be opened; told once.
    NoSocket {
        /// Why, in words.
        error: String,
    },
}

impl SessionEvent {
    /// Whether a person should look at it.
    pub fn is_warning(&self) -> bool {
        match &self.what {
            SessionChange::Entered { to, .. } => *to == State::Down,
            SessionChange::Note(note) => matches!(note, Note::Overslept(_)),
            SessionChange::Rejected { .. } | SessionChange::NoSocket { .. } => true,
        }
    }
}

impl fmt::Display for SessionEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}) ", self.session)?;
        match &self.what {
            SessionChange::Entered { to, reason } => write!(f, "Entering {to} state: {reason}"),
            SessionChange::Note(note) => note.fmt(f),
            SessionChange::Rejected { source, rejection } => {
                write!(f, "packet from {source} is ignored: {rejection}")
            }
            SessionChange::NoSocket { error } => write!(f, "{error}; it is tried again"),
        }
    }
}
