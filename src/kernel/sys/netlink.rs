//! What neli's socket lacks: its descriptor as a borrowed one, and two options.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use neli::socket::NlSocket;

/// The descriptor of `socket`, for socket2 and poll.
pub(crate) fn as_fd(socket: &NlSocket) -> BorrowedFd<'_> {
    // SAFETY: the descriptor is open, and is closed no sooner than `socket` is dropped, which the
    // lifetime of the result forbids.
    unsafe { BorrowedFd::borrow_raw(socket.as_raw_fd()) }
}

/// NETLINK_CAP_ACK: errors come back without the whole request (netlink(7), Linux 4.3).
pub(crate) fn set_cap_ack(fd: BorrowedFd<'_>) -> io::Result<()> {
    set_int(fd, libc::SOL_NETLINK, libc::NETLINK_CAP_ACK, 1)
}

/// SO_RCVBUFFORCE: a receive buffer beyond net.core.rmem_max; needs CAP_NET_ADMIN (socket(7)).
pub(crate) fn force_receive_buffer(fd: BorrowedFd<'_>, bytes: libc::c_int) -> io::Result<()> {
    set_int(fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, bytes)
}

/// Of an int.
const LENGTH: libc::socklen_t = 4;

fn set_int(
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
            LENGTH,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
