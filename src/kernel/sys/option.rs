//! Socket options that no crate has a function for.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// A length as the C library at hand counts it: musl's lengths of control messages have fewer bits than
/// glibc's. One that has no room is 0.
pub(super) fn length<Given: TryInto<Wanted>, Wanted: Default>(length: Given) -> Wanted {
    length.try_into().unwrap_or_default()
}

/// Sets an option whose value is an int.
pub(crate) fn set_int(
    fd: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the pointer is to an int that lives through the call, and the length is that of an
    // int; the kernel only reads it.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            option,
            std::ptr::from_ref(&value).cast(),
            socklen_of::<libc::c_int>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// SO_RCVBUFFORCE: a receive buffer beyond net.core.rmem_max; needs CAP_NET_ADMIN (socket(7)).
pub(crate) fn force_receive_buffer(fd: BorrowedFd<'_>, bytes: libc::c_int) -> io::Result<()> {
    set_int(fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, bytes)
}

/// The size of a C struct as socket calls want it.
pub(crate) const fn socklen_of<T>() -> libc::socklen_t {
    const { assert!(size_of::<T>() <= 128) };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "at most 128, checked when this is compiled"
    )]
    let len = size_of::<T>() as libc::socklen_t;
    len
}
