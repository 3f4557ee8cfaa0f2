//! The election: one pure state machine for each virtual router (RFC 3768, RFC 9568, and keepalived
//! where it differs). No socket, no clock, no address is touched here: events and the time come in,
//! [`Action`]s go out, and [`Machine::next_deadline`] says when to come back.

mod event;
mod machine;
mod receive;
mod rejection;
mod timers;

pub use event::{Action, Heard, Input, Note, Reason, Standing, Start, State};
pub use machine::{ANNOUNCED_WITHIN, Machine, hold_time};
pub use receive::{Accepted, Arrived, Receiver};
pub use rejection::{Counters, OwnCounters, Rejection};
pub use timers::{Timer, master_down_interval, skew_time};
