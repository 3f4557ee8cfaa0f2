//! What happens to a session, what it does about it, and both in words.

use std::fmt;
use std::time::Duration;

use crate::wire::bfd::{Diagnostic, Packet, State};

/// What happens to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A deadline may have come.
    Timer,
    /// A well-formed packet for this session came from its neighbor.
    Received(Packet),
    /// The daemon stops, or the session goes: tell the neighbor and be silent from then on.
    Stop,
}

/// What to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send this to the neighbor.
    Send(Packet),
    /// The state changed.
    Entered {
        /// The state left.
        from: State,
        /// The state entered.
        to: State,
        /// Why.
        reason: Reason,
    },
    /// Worth a line in the log.
    Note(Note),
}

/// Why a state was entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The neighbor says that it is in this state.
    Heard(State),
    /// Nothing was heard for the detection time.
    Expired {
        /// The detection time.
        detection: Duration,
        /// How long it really was.
        silence: Duration,
    },
    /// The neighbor says that it is down or was taken down.
    NeighborDown {
        /// Its state.
        state: State,
        /// Why it is.
        diagnostic: Diagnostic,
    },
    /// Our own end.
    Stopped,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Heard(state) => write!(f, "the neighbor is {state}"),
            Reason::Expired { detection, silence } => write!(
                f,
                "nothing was heard for {} ms, the detection time is {} ms",
                silence.as_millis(),
                detection.as_millis()
            ),
            Reason::NeighborDown { state, diagnostic } => {
                write!(f, "the neighbor is {state} ({diagnostic})")
            }
            Reason::Stopped => f.write_str("it is stopped"),
        }
    }
}

/// Something worth a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// A deadline was found past by this much: we stood still, and the neighbor is given one more
    /// detection time.
    Overslept(Duration),
    /// The neighbor is taken for dead after another time than before.
    DetectionTime(Duration),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::Overslept(late) => write!(
                f,
                "vipd stood still for {} ms: the session is kept for one more detection time",
                late.as_millis()
            ),
            Note::DetectionTime(time) => write!(f, "detection time is {} ms", time.as_millis()),
        }
    }
}

/// Why a session wants to be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// The neighbor has been silent for the detection time.
    Detect,
    /// The next packet is due.
    Transmit,
}
