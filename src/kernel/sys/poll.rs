//! Reading the clock, waiting for descriptors, waking a waiter.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use tokio::io::unix::AsyncFd;

/// Nanoseconds of `CLOCK_BOOTTIME` (clock_gettime(2)): since boot, suspended time included.
pub(crate) fn boottime_ns() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a timespec of ours that lives through the call, which only writes it.
    // The call cannot fail: the clock exists since Linux 2.6.39 and the pointer is good.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut now) };
    let secs = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    secs.saturating_mul(1_000_000_000).saturating_add(nanos)
}

/// ppoll(2) without a signal mask: waits until a descriptor is ready or `timeout` is over (`None`: as
/// long as it takes), and says how many are ready. An interruption by a signal is an error, EINTR.
pub(crate) fn ppoll(fds: &mut [libc::pollfd], timeout: Option<Duration>) -> io::Result<usize> {
    let timeout = timeout.map(|timeout| libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(timeout.subsec_nanos().cast_signed()),
    });
    let timeout = timeout
        .as_ref()
        .map_or(std::ptr::null(), std::ptr::from_ref);
    let count = libc::nfds_t::try_from(fds.len()).map_err(io::Error::other)?;
    // SAFETY: `fds` is a slice of `count` pollfds that the call reads and writes; `timeout` is null or
    // points to a timespec that lives through the call; a null mask means none. A number in `fds` that
    // is no open descriptor is reported in its entry (POLLNVAL), it is not memory that could be bad.
    let ready = unsafe { libc::ppoll(fds.as_mut_ptr(), count, timeout, std::ptr::null()) };
    usize::try_from(ready).map_err(|_| io::Error::last_os_error())
}

/// An eventfd(2) at zero, non-blocking, closed on exec.
pub(crate) fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: takes no pointers.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has just made this descriptor, nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A timer (timerfd_create(2)) of `CLOCK_BOOTTIME`, not set, non-blocking, closed on exec.
pub(crate) fn timerfd() -> io::Result<OwnedFd> {
    let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
    // SAFETY: takes no pointers.
    let fd = unsafe { libc::timerfd_create(libc::CLOCK_BOOTTIME, flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has just made this descriptor, nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sets a [`timerfd`] to expire once, when [`boottime_ns`] is `nanos`, which must not be 0. Until then
/// nothing can be read from it.
pub(crate) fn expire_at(timer: BorrowedFd<'_>, nanos: u64) -> io::Result<()> {
    let never = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let at = libc::timespec {
        tv_sec: libc::time_t::try_from(nanos / 1_000_000_000).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::try_from(nanos % 1_000_000_000).unwrap_or(0),
    };
    let when = libc::itimerspec {
        it_interval: never,
        it_value: at,
    };
    // SAFETY: the pointer is to an itimerspec of ours that lives through the call, which only reads it;
    // nothing is asked to be written.
    let set = unsafe {
        libc::timerfd_settime(
            timer.as_raw_fd(),
            libc::TFD_TIMER_ABSTIME,
            &raw const when,
            std::ptr::null_mut(),
        )
    };
    if set < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// A descriptor of our own to wait for in a tokio runtime, in whose context this must be called.
pub(crate) fn wait_for(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd gives the same number for as long as it lives, and closes it only when the
    // AsyncFd that has taken it is dropped, after it was deregistered.
    Ok(unsafe { AsyncFd::register(fd) }?)
}
