//! What follows a change: scripts, FIFO lines and mails. Pure: which command, which line, which words, and
//! in which order; whoever runs, writes and sends them is an edge.
//!
//! A [`Notice`] carries what its object's configuration says about it, as it was when the change
//! happened: a reload in between changes nothing about what was already decided.

mod change;
mod line;
mod mail;
mod mailbox;
mod queue;
mod scripts;
mod smtp;

pub use change::{Change, CheckNotice, Notice, ServerNotice, ServiceNotice, State, Subject};
pub use line::Audience;
pub use mail::{Alert, Alerts, Correspondence, Mail, date};
pub use mailbox::{Mailbox, Outcome, TOGETHER};
pub use queue::{Kind, Limits, ScriptQueue, Step};
pub use smtp::{Dialogue, Envelope, Login, Next, SmtpError};
