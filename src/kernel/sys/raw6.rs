//! What raw IPv6 sockets tell beside the payload, since they hand over no header (ipv6(7)).

use std::io;
use std::net::Ipv6Addr;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::net::InterfaceIndex;

use super::option;

/// A packet that was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet {
    /// Bytes of the payload in the buffer.
    pub(crate) len: usize,
    /// Who sent it.
    pub(crate) source: Ipv6Addr,
    /// To whom; [`want_destination`] was called before it came in.
    pub(crate) destination: Option<Ipv6Addr>,
    /// Where it came in; known with the destination.
    pub(crate) interface: Option<InterfaceIndex>,
    /// Hop limit as it came in, if the socket wants it (IPV6_RECVHOPLIMIT).
    pub(crate) hop_limit: Option<u8>,
}

/// IPV6_RECVPKTINFO.
pub(crate) fn want_destination(fd: BorrowedFd<'_>) -> io::Result<()> {
    option::set_int(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)
}

/// ICMP6_FILTER (RFC 3542 section 3.2): of ICMPv6 messages none but those of this type are let in; none
/// at all without one. The kernel drops the others before it copies them.
pub(crate) fn let_in(fd: BorrowedFd<'_>, kind: Option<u8>) -> io::Result<()> {
    // A bit for each type; set: kept out (linux/icmpv6.h).
    let mut filter = [u32::MAX; 8];
    if let Some(kind) = kind
        && let Some(word) = filter.get_mut(usize::from(kind / 32))
    {
        *word &= !(1 << (kind % 32));
    }
    // SAFETY: the pointer and the length are those of eight words, which is what a struct icmp6_filter is;
    // they live through the call, which only reads them, and the descriptor is borrowed and so open.
    let done = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::IPPROTO_ICMPV6,
            ICMPV6_FILTER,
            std::ptr::from_ref(&filter).cast(),
            option::socklen_of::<[u32; 8]>(),
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// ICMPV6_FILTER (linux/icmpv6.h).
const ICMPV6_FILTER: libc::c_int = 1;

/// Room for both pieces of ancillary data, and for one that we did not ask for.
const CONTROL_WORDS: usize = 16;

/// The next packet, without waiting.
pub(crate) fn receive(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Packet> {
    // SAFETY: zeros are a value of each of these C structs.
    let (mut from, mut message) = unsafe {
        (
            std::mem::zeroed::<libc::sockaddr_in6>(),
            std::mem::zeroed::<libc::msghdr>(),
        )
    };
    let mut control = [0u64; CONTROL_WORDS];
    let mut part = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    message.msg_name = std::ptr::from_mut(&mut from).cast();
    message.msg_namelen = option::socklen_of::<libc::sockaddr_in6>();
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = option::length(size_of_val(&control));
    // SAFETY: every pointer in the message is to memory of the length beside it, which lives through the
    // call and is not used otherwise meanwhile.
    let read = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT) };
    let len = usize::try_from(read).map_err(|_| io::Error::last_os_error())?;
    let mut packet = Packet {
        len: len.min(buffer.len()),
        source: Ipv6Addr::from(from.sin6_addr.s6_addr),
        destination: None,
        interface: None,
        hop_limit: None,
    };
    // SAFETY: recvmsg filled in a control buffer of this length, aligned for cmsghdr, and it is alive.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR give headers that lie whole within the buffer, or null.
    while let Some(header) = unsafe { next.as_ref() } {
        // SAFETY: the data of a header lies behind it; it is copied out by `read_data` only as far as the
        // header says that it goes.
        let data = unsafe { libc::CMSG_DATA(header) };
        match (header.cmsg_level, header.cmsg_type) {
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                let info: Option<libc::in6_pktinfo> = read_data(header, data);
                packet.destination = info.map(|info| Ipv6Addr::from(info.ipi6_addr.s6_addr));
                packet.interface = info.and_then(|info| InterfaceIndex::new(info.ipi6_ifindex));
            }
            (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                let hops: Option<libc::c_int> = read_data(header, data);
                packet.hop_limit = hops.and_then(|hops| u8::try_from(hops).ok());
            }
            _ => {}
        }
        // SAFETY: as for CMSG_FIRSTHDR.
        next = unsafe { libc::CMSG_NXTHDR(&raw const message, header) };
    }
    Ok(packet)
}

/// The data behind a header, if there is as much as a `T` of it.
fn read_data<T: Copy>(header: &libc::cmsghdr, data: *const u8) -> Option<T> {
    let head = data.addr().checked_sub(std::ptr::from_ref(header).addr())?;
    let there = option::length::<_, usize>(header.cmsg_len).checked_sub(head)?;
    if there < size_of::<T>() {
        return None;
    }
    // SAFETY: the kernel wrote `there` bytes at `data`, at least as many as a T has; the callers' T are
    // plain C structs, of which any bytes are a value; unaligned is read as such.
    Some(unsafe { data.cast::<T>().read_unaligned() })
}
