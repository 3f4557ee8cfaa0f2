//! Watching files and processes: inotify(7), pidfd_open(2), and setns(2) for the thread that watches.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// An inotify instance, non-blocking, closed on exec.
pub(crate) fn inotify() -> io::Result<OwnedFd> {
    // SAFETY: takes no pointers.
    let fd = unsafe { libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC) };
    owned(fd)
}

/// Watches `path` for the events of `mask`; the number of the watch, which is the same again for the
/// same inode.
pub(crate) fn inotify_add(fd: BorrowedFd<'_>, path: &CStr, mask: u32) -> io::Result<i32> {
    // SAFETY: `path` ends with a zero and lives through the call, which only reads it.
    let watch = unsafe { libc::inotify_add_watch(fd.as_raw_fd(), path.as_ptr(), mask) };
    if watch < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(watch)
}

/// Ends a watch.
pub(crate) fn inotify_remove(fd: BorrowedFd<'_>, watch: i32) -> io::Result<()> {
    // SAFETY: takes no pointers.
    match unsafe { libc::inotify_rm_watch(fd.as_raw_fd(), watch) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A descriptor that can be read when the process has ended. ESRCH: there is none; ENOSYS before Linux
/// 5.3.
pub(crate) fn pidfd(pid: u32) -> io::Result<OwnedFd> {
    let pid = libc::pid_t::try_from(pid).map_err(|_| io::Error::from_raw_os_error(libc::ESRCH))?;
    // SAFETY: takes no pointers; the result is a descriptor or -1, which fits an int.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    owned(libc::c_int::try_from(fd).unwrap_or(-1))
}

/// Moves the calling thread, and no other, into a network namespace.
pub(crate) fn enter_net(namespace: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: takes no pointers. Descriptors that are open stay in the namespace they were opened in.
    match unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn owned(fd: libc::c_int) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has just made this descriptor, nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
