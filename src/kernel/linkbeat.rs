//! Asking devices for their link, where what the kernel tells of them is not believed.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsFd;

use crate::config::model::LinkBeat;
use crate::net::InterfaceName;

use super::sys::beat;

/// A socket to ask through; no packet goes over it.
#[derive(Debug)]
pub struct Prober(UdpSocket);

impl Prober {
    /// Opens one, in the network namespace that the thread is in.
    ///
    /// # Errors
    /// Too many open files.
    pub fn open() -> io::Result<Prober> {
        UdpSocket::bind(("127.0.0.1", 0))
            .or_else(|_| UdpSocket::bind(("0.0.0.0", 0)))
            .map(Prober)
    }

    /// Whether it has a link, and the kernel counts it as running.
    ///
    /// # Errors
    /// ENODEV: there is no such interface; EOPNOTSUPP: it cannot be asked so.
    pub fn ask(&self, interface: &InterfaceName, how: LinkBeat) -> io::Result<bool> {
        let (fd, name) = (self.0.as_fd(), interface.as_str());
        let link = match how {
            LinkBeat::Mii => beat::mii_link(fd, name)?,
            LinkBeat::Ethtool => beat::ethtool_link(fd, name)?,
            LinkBeat::Ioctl => true,
        };
        Ok(link && beat::flags_up(fd, name)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_a_link_and_no_transceiver() {
        let (prober, lo) = (Prober::open().unwrap(), "lo".parse().unwrap());
        assert!(prober.ask(&lo, LinkBeat::Ethtool).unwrap());
        assert!(prober.ask(&lo, LinkBeat::Ioctl).unwrap());
        let error = prober.ask(&lo, LinkBeat::Mii).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EOPNOTSUPP));
        let absent = "nosuch0".parse().unwrap();
        for how in [LinkBeat::Mii, LinkBeat::Ethtool, LinkBeat::Ioctl] {
            let error = prober.ask(&absent, how).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
        }
    }
}
