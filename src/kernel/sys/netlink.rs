//! What neli's socket lacks: its descriptor as a borrowed one, and an option.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use neli::socket::NlSocket;

use super::option;

/// The descriptor of `socket`, for socket2 and poll.
pub(crate) fn as_fd(socket: &NlSocket) -> BorrowedFd<'_> {
    // SAFETY: the descriptor is open, and is closed no sooner than `socket` is dropped, which the
    // lifetime of the result forbids.
    unsafe { BorrowedFd::borrow_raw(socket.as_raw_fd()) }
}

/// NETLINK_CAP_ACK: errors come back without the whole request (netlink(7), Linux 4.3).
pub(crate) fn set_cap_ack(fd: BorrowedFd<'_>) -> io::Result<()> {
    option::set_int(fd, libc::SOL_NETLINK, libc::NETLINK_CAP_ACK, 1)
}
