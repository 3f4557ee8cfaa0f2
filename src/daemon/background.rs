//! Going into the background, as keepalived does without `-n`: the command returns when the daemon runs
//! or has failed, with its status.

use std::io::{self, Read as _, Write as _};

use crate::kernel::background::{Detached, detach_process, to_null};
pub(super) use crate::kernel::background::{
    forget_children, hold_ends, hold_signals, take_signals,
};

use super::failure::Failure;

/// Tells whoever waits for the daemon that it runs.
#[derive(Debug)]
pub struct Report(Option<io::PipeWriter>);

impl Report {
    /// Nobody waits: it runs in the foreground.
    pub fn to_nobody() -> Report {
        Report(None)
    }

    /// The same word once more, to be held or let go on its own.
    pub fn another(&self) -> Report {
        Report(self.0.as_ref().and_then(|pipe| pipe.try_clone().ok()))
    }

    /// It runs: the command returns, and the terminal is let go.
    pub fn ready(self) {
        if let Some(mut pipe) = self.0 {
            to_null();
            let _ = pipe.write_all(&[0]);
        }
    }
}

/// Forks. The process that was called waits in here for the word of the other and ends with it; what
/// returns is the daemon.
///
/// # Errors
/// When the kernel gives no process or pipe.
pub fn detach() -> Result<Report, Failure> {
    let failed = |error| Failure::fatal(format!("go into the background: {error}"));
    let (mut reader, writer) = io::pipe().map_err(failed)?;
    match detach_process().map_err(failed)? {
        Detached::Daemon => {
            drop(reader);
            Ok(Report(Some(writer)))
        }
        Detached::Caller(leave) => {
            drop(writer);
            let mut word = [1];
            // The end without a word: it failed, and has said why on standard error.
            let _ = reader.read(&mut word);
            leave.exit(word[0])
        }
    }
}
