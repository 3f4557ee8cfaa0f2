//! Datagrams with what the IP header around them said: socket2 has no reader of control messages.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};

use socket2::SockAddr;

use super::option;

/// Where a datagram came from and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Datagram {
    /// Bytes in the buffer.
    pub(crate) len: usize,
    /// Who sent it.
    pub(crate) source: SocketAddr,
    /// The address of this node that it was sent to.
    pub(crate) destination: IpAddr,
    /// TTL or hop limit as it came in.
    pub(crate) hops: u8,
}

/// Asks for what [`receive`] needs: TTL and destination of IPv4 datagrams (ip(7)).
pub(crate) fn ask_v4(socket: BorrowedFd<'_>) -> io::Result<()> {
    switch_on(socket, libc::IPPROTO_IP, libc::IP_RECVTTL)?;
    switch_on(socket, libc::IPPROTO_IP, libc::IP_PKTINFO)
}

/// The same for IPv6 (RFC 3542).
pub(crate) fn ask_v6(socket: BorrowedFd<'_>) -> io::Result<()> {
    switch_on(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT)?;
    switch_on(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)
}

fn switch_on(socket: BorrowedFd<'_>, level: libc::c_int, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    let len = libc::socklen_t::try_from(size_of_val(&on)).map_err(io::Error::other)?;
    // SAFETY: the pointer and the length are those of an int that lives through the call, which only
    // reads it; the descriptor is borrowed and so open.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const on).cast(),
            len,
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Room for the control messages that were asked for, aligned as their headers must be.
#[repr(C, align(16))]
struct Control([u8; 128]);

/// The next datagram (recvmsg(2)) without waiting. What a short buffer has no room for is lost.
///
/// # Errors
/// `EAGAIN` when there is none; `InvalidData` for one without what was asked for.
pub(crate) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Datagram> {
    let mut control = Control([0; 128]);
    let mut part = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: a msghdr is plain data for which all zeros is valid: null pointers and no lengths.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = option::length(size_of::<Control>());
    // SAFETY: the storage is large enough for an address of every family, and its length is handed over
    // with it; the call writes at most that many bytes and says how many it wrote. The other pointers of
    // `message` are to `part`, which describes `buffer`, and to `control`; all live through the call.
    let (len, source) = unsafe {
        SockAddr::try_init(|storage, storage_len| {
            message.msg_name = storage.cast();
            message.msg_namelen = *storage_len;
            let len = libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT);
            let len = usize::try_from(len).map_err(|_| io::Error::last_os_error())?;
            *storage_len = message.msg_namelen;
            Ok(len)
        })
    }?;
    let incomplete = || io::Error::from(io::ErrorKind::InvalidData);
    let (hops, destination) = read_control(&message);
    Ok(Datagram {
        len: len.min(buffer.len()),
        source: source.as_socket().ok_or_else(incomplete)?,
        destination: destination.ok_or_else(incomplete)?,
        hops: hops.ok_or_else(incomplete)?,
    })
}

/// TTL or hop limit, and destination. `message` has to be as recvmsg(2) left it.
fn read_control(message: &libc::msghdr) -> (Option<u8>, Option<IpAddr>) {
    let (mut hops, mut destination) = (None, None);
    // SAFETY: the control buffer of `message` and its length are what the kernel wrote, so the macros
    // give null or a whole header inside it, and the kernel writes the data of each type in full: an int
    // for the two limits, the structure of that name for the two others. They are copied out without
    // assuming an alignment.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(message);
        while let Some(head) = header.as_ref() {
            let data = libc::CMSG_DATA(header);
            match (head.cmsg_level, head.cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                    let limit = data.cast::<libc::c_int>().read_unaligned();
                    hops = u8::try_from(limit).ok();
                }
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info = data.cast::<libc::in_pktinfo>().read_unaligned();
                    let octets = info.ipi_addr.s_addr.to_ne_bytes();
                    destination = Some(IpAddr::V4(Ipv4Addr::from(octets)));
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info = data.cast::<libc::in6_pktinfo>().read_unaligned();
                    destination = Some(IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr)));
                }
                _ => {}
            }
            header = libc::CMSG_NXTHDR(message, header);
        }
    }
    (hops, destination)
}
