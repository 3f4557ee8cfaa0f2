//! Files that std cannot make.

use std::ffi::CStr;
use std::io;

/// mkfifo(3): the mode is `mode` without the bits of the process's umask.
pub(crate) fn mkfifo(path: &CStr, mode: u32) -> io::Result<()> {
    // SAFETY: the pointer is to a string with its NUL that lives through the call, which only reads it.
    if unsafe { libc::mkfifo(path.as_ptr(), mode) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
