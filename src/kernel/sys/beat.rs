//! Asking a network device for its link: the ioctls that netlink has no message for, or that drivers answer
//! otherwise.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// linux/ethtool.h.
const ETHTOOL_GLINK: u32 = 0x0a;
/// linux/sockios.h.
const SIOCETHTOOL: libc::c_ulong = 0x8946;
const SIOCGMIIPHY: libc::c_ulong = 0x8947;
const SIOCGMIIREG: libc::c_ulong = 0x8948;
/// linux/mii.h: the status register, and its bit for the link.
const MII_BMSR: u16 = 1;
const BMSR_LSTATUS: u16 = 4;

/// struct ethtool_value.
#[repr(C)]
struct EthtoolValue {
    cmd: u32,
    data: u32,
}

/// struct mii_ioctl_data.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct MiiData {
    phy: u16,
    register: u16,
    value_in: u16,
    value_out: u16,
}

/// struct ifreq with one of its uses; the union has 24 bytes and the alignment of a pointer.
#[repr(C)]
struct Request<T> {
    name: [libc::c_char; libc::IFNAMSIZ],
    value: T,
}

/// Padding to the size of the union.
#[repr(C)]
struct Padded<T, const PAD: usize> {
    value: T,
    _align: [usize; 0],
    _pad: [u8; PAD],
}

fn name_of(interface: &str) -> io::Result<[libc::c_char; libc::IFNAMSIZ]> {
    let mut name = [0; libc::IFNAMSIZ];
    if interface.len() >= name.len() {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    for (to, from) in name.iter_mut().zip(interface.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    Ok(name)
}

fn ioctl<T>(
    fd: BorrowedFd<'_>,
    request: libc::c_ulong,
    argument: &mut Request<T>,
) -> io::Result<()> {
    const { assert!(size_of::<Request<T>>() >= size_of::<libc::ifreq>()) };
    // SAFETY: the argument is as large as a struct ifreq, begins with a name that ends with a zero, and
    // lives through the call; what its value points to, if it is a pointer, does so in the callers.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), request as _, std::ptr::from_mut(argument)) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Whether the driver sees a link (ETHTOOL_GLINK). EOPNOTSUPP: it cannot tell.
pub(crate) fn ethtool_link(fd: BorrowedFd<'_>, interface: &str) -> io::Result<bool> {
    let mut value = EthtoolValue {
        cmd: ETHTOOL_GLINK,
        data: 0,
    };
    let mut request = Request {
        name: name_of(interface)?,
        value: Padded::<_, 16> {
            value: std::ptr::from_mut(&mut value),
            _align: [],
            _pad: [0; 16],
        },
    };
    ioctl(fd, SIOCETHTOOL, &mut request)?;
    Ok(value.data != 0)
}

/// Whether the transceiver sees a link, by its status register. EOPNOTSUPP: the driver has none.
pub(crate) fn mii_link(fd: BorrowedFd<'_>, interface: &str) -> io::Result<bool> {
    let mut request = Request {
        name: name_of(interface)?,
        value: Padded::<_, 16> {
            value: MiiData::default(),
            _align: [],
            _pad: [0; 16],
        },
    };
    ioctl(fd, SIOCGMIIPHY, &mut request)?;
    request.value.value.register = MII_BMSR;
    // The bit stays down until it is read: the second time it is as it is now.
    ioctl(fd, SIOCGMIIREG, &mut request)?;
    ioctl(fd, SIOCGMIIREG, &mut request)?;
    Ok(request.value.value.value_out & BMSR_LSTATUS != 0)
}

/// Whether it is up and running (SIOCGIFFLAGS, netdevice(7)).
pub(crate) fn flags_up(fd: BorrowedFd<'_>, interface: &str) -> io::Result<bool> {
    let mut request = Request {
        name: name_of(interface)?,
        value: Padded::<_, 22> {
            value: 0_i16,
            _align: [],
            _pad: [0; 22],
        },
    };
    ioctl(fd, libc::SIOCGIFFLAGS, &mut request)?;
    let flags = i32::from(request.value.value);
    let wanted = libc::IFF_UP | libc::IFF_RUNNING;
    Ok(flags & wanted == wanted)
}
