//! The addresses of packet sockets, which socket2 neither makes nor reads.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use socket2::SockAddr;

use crate::net::{InterfaceIndex, MacAddr};

use super::option;

/// Where a frame goes: out of `interface`, to `destination` on its link (packet(7), sockaddr_ll).
/// `protocol` is the EtherType.
pub(crate) fn link_address(
    interface: InterfaceIndex,
    destination: MacAddr,
    protocol: u16,
) -> io::Result<SockAddr> {
    let index = libc::c_int::try_from(interface.get())
        .map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?;
    address(index, destination, protocol)
}

/// What a packet socket is bound to that hears `protocol`, an EtherType, on every interface.
pub(crate) fn every_link(protocol: u16) -> io::Result<SockAddr> {
    address(0, MacAddr([0; 6]), protocol)
}

fn address(index: libc::c_int, destination: MacAddr, protocol: u16) -> io::Result<SockAddr> {
    let family = libc::sa_family_t::try_from(libc::AF_PACKET).map_err(io::Error::other)?;
    let mut octets = [0; 8];
    let [a, b, c, d, e, f, ..] = &mut octets;
    [*a, *b, *c, *d, *e, *f] = destination.0;
    let address = libc::sockaddr_ll {
        sll_family: family,
        sll_protocol: protocol.to_be(),
        sll_ifindex: index,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 6,
        sll_addr: octets,
    };
    // SAFETY: the storage is larger than a sockaddr_ll and aligned for every kind of address; the
    // length written is that of what was written, and the family is the one of the type.
    let ((), address) = unsafe {
        SockAddr::try_init(|storage, len| {
            storage.cast::<libc::sockaddr_ll>().write(address);
            *len = option::socklen_of::<libc::sockaddr_ll>();
            Ok(())
        })
    }?;
    Ok(address)
}

/// recvfrom(2) on a packet socket: the length of what was put into `buffer`, and the interface that it
/// came in at.
pub(crate) fn receive(
    fd: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> io::Result<(usize, Option<InterfaceIndex>)> {
    // SAFETY: all zeros is a value of this plain structure.
    let mut from: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    let mut len = option::socklen_of::<libc::sockaddr_ll>();
    // SAFETY: the kernel writes at most `buffer.len()` bytes to the buffer and at most `len` bytes, the
    // size of `from`, to the address; both live through the call.
    let read = unsafe {
        libc::recvfrom(
            fd.as_raw_fd(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            libc::MSG_DONTWAIT,
            (&raw mut from).cast(),
            &raw mut len,
        )
    };
    let read = usize::try_from(read).map_err(|_| io::Error::last_os_error())?;
    let index = u32::try_from(from.sll_ifindex).ok();
    Ok((read, index.and_then(InterfaceIndex::new)))
}

/// The name that an interface has now (if_indextoname(3)).
pub(crate) fn interface_name(index: InterfaceIndex) -> io::Result<String> {
    let mut name = [0u8; libc::IF_NAMESIZE];
    // SAFETY: the buffer has IF_NAMESIZE bytes, as the function wants it, and lives through the call.
    let found = unsafe { libc::if_indextoname(index.get(), name.as_mut_ptr().cast()) };
    if found.is_null() {
        return Err(io::Error::last_os_error());
    }
    let name = std::ffi::CStr::from_bytes_until_nul(&name).map_err(io::Error::other)?;
    Ok(name.to_string_lossy().into_owned())
}
