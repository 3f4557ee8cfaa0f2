//! What follows a change: scripts, FIFO lines and mails. Pure: which command, which line, which words, and
//! in which order; whoever runs, writes and sends them is an edge.
//!
//! A [`Notice`] carries what its object's configuration says about it, as it was when the change
//! happened: a reload in between changes nothing about what was already decided.

mod change;
mod line;
mod queue;
mod scripts;

pub use change::{Change, Notice, ServerNotice, ServiceNotice, State, Subject};
pub use line::Audience;
pub use queue::{Kind, Limits, ScriptQueue, Step};
