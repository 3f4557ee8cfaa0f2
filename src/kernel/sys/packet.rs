//! The address of a packet socket, which socket2 has no constructor for.

use std::io;

use socket2::SockAddr;

use crate::net::{InterfaceIndex, MacAddr};

/// Where a frame goes: out of `interface`, to `destination` on its link (packet(7), sockaddr_ll).
/// `protocol` is the EtherType.
pub(crate) fn link_address(
    interface: InterfaceIndex,
    destination: MacAddr,
    protocol: u16,
) -> io::Result<SockAddr> {
    let index = libc::c_int::try_from(interface.get())
        .map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?;
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
            *len = socklen_of::<libc::sockaddr_ll>();
            Ok(())
        })
    }?;
    Ok(address)
}

const fn socklen_of<T>() -> libc::socklen_t {
    const { assert!(size_of::<T>() <= 128) };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "at most 128, checked when this is compiled"
    )]
    let len = size_of::<T>() as libc::socklen_t;
    len
}
