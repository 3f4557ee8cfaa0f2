//! Leaving the terminal: the fork, the session of one's own, and the standard descriptors.

use std::io;

use super::sys::process::{self, Fork, Mask};

/// Which of the two processes goes on.
pub enum Detached {
    /// The new one, in a session of its own.
    Daemon,
    /// The one that was called.
    Caller(Leave),
}

/// How the caller's process ends: at once, without running anything that belongs to the daemon.
#[derive(Debug)]
pub struct Leave(());

impl Leave {
    /// Ends the process with this status.
    pub fn exit(self, status: u8) -> ! {
        process::exit_child(status)
    }
}

/// fork(2) and setsid(2), while there is one thread.
///
/// # Errors
/// When there are more threads, or the kernel has no room.
pub fn detach_process() -> io::Result<Detached> {
    match process::fork_single_threaded()? {
        Fork::Parent(_) => Ok(Detached::Caller(Leave(()))),
        Fork::Child => {
            process::new_session()?;
            Ok(Detached::Daemon)
        }
    }
}

/// What asks for something while the daemon runs; two are keepalived's own, SIGRTMIN+2 and SIGRTMAX-1 as
/// glibc counts them.
const REQUESTS: [libc::c_int; 5] = [libc::SIGHUP, libc::SIGUSR1, libc::SIGUSR2, 36, 63];
/// What asks for its end; the last for one that keeps everything.
const ENDS: [libc::c_int; 3] = [libc::SIGTERM, libc::SIGINT, 40];

/// Has SIGHUP, SIGUSR1 and SIGUSR2 wait, which would end a process that does not handle them yet.
///
/// # Errors
/// None that the kernel is known to give.
pub fn hold_signals() -> io::Result<()> {
    process::mask(Mask::Block, &REQUESTS)
}

/// Has SIGTERM and SIGINT wait too: from here on the end has something to clear up. To be called before there
/// are threads, one of which would be ended in place of the one that waits.
///
/// # Errors
/// As there.
pub fn hold_ends() -> io::Result<()> {
    process::mask(Mask::Block, &ENDS)
}

/// Lets the signals of [`hold_signals`] and [`hold_ends`] in, those that waited too.
///
/// # Errors
/// As there.
pub fn take_signals() -> io::Result<()> {
    process::mask(Mask::Unblock, &REQUESTS)?;
    process::mask(Mask::Unblock, &ENDS)
}

/// Children that end leave nothing behind: a script helper outlives the process that starts itself again
/// in place, and that one does not know it.
///
/// # Errors
/// None that the kernel is known to give.
pub fn forget_children() -> io::Result<()> {
    process::forget_children()
}

/// Standard input, output and error become /dev/null. Where that fails they stay as they are, which
/// hurts nobody.
pub fn to_null() {
    let _ = process::standard_to_null();
}
