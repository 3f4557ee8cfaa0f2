//! Network interfaces: names, indexes, hardware addresses.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// The kernel's number of an interface, never 0 (`netdevice(7)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceIndex(std::num::NonZeroU32);

impl InterfaceIndex {
    /// `None` for 0.
    pub fn new(index: u32) -> Option<InterfaceIndex> {
        std::num::NonZeroU32::new(index).map(InterfaceIndex)
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for InterfaceIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Name of an interface: 1 to 15 bytes, no slash, no blank (`dev_valid_name` in the kernel's
/// net/core/dev.c).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct InterfaceName(String);

impl InterfaceName {
    /// What most systems call their first interface, and keepalived its `default_interface`.
    pub fn eth0() -> InterfaceName {
        InterfaceName("eth0".to_owned())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text that no interface can be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceNameError;

impl fmt::Display for InterfaceNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an interface name has 1 to 15 bytes, no slash, no colon and no blank")
    }
}

impl std::error::Error for InterfaceNameError {}

impl FromStr for InterfaceName {
    type Err = InterfaceNameError;

    fn from_str(s: &str) -> Result<InterfaceName, InterfaceNameError> {
        let bad = s.is_empty()
            || s.len() > 15
            || s == "."
            || s == ".."
            || s.chars()
                .any(|c| c == '/' || c == ':' || c.is_whitespace() || c == '\0');
        if bad {
            Err(InterfaceNameError)
        } else {
            Ok(InterfaceName(s.to_owned()))
        }
    }
}

/// A 48-bit hardware address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// ff:ff:ff:ff:ff:ff.
    pub const BROADCAST: MacAddr = MacAddr([0xff; 6]);
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// As it prints.
impl Serialize for MacAddr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Six groups of two hexadecimal digits, colons between them.
impl FromStr for MacAddr {
    type Err = ();

    fn from_str(s: &str) -> Result<MacAddr, ()> {
        let mut octets = [0u8; 6];
        let mut parts = s.split(':');
        for octet in &mut octets {
            let part = parts.next().ok_or(())?;
            if part.len() != 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(());
            }
            *octet = u8::from_str_radix(part, 16).map_err(|_| ())?;
        }
        if parts.next().is_some() {
            Err(())
        } else {
            Ok(MacAddr(octets))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_kernel_would_refuse_are_refused() {
        for bad in ["", "a b", "a/b", "abcdefghijklmnop", ".", "eth0\u{3000}"] {
            assert!(bad.parse::<InterfaceName>().is_err(), "{bad:?}");
        }
        assert_eq!("eth0".parse::<InterfaceName>().unwrap().as_str(), "eth0");
    }

    #[test]
    fn hardware_addresses_read_back_as_they_print() {
        let mac: MacAddr = "00:00:5e:00:01:33".parse().unwrap();
        assert_eq!(mac.to_string(), "00:00:5e:00:01:33");
        for bad in [
            "00:00:5e:00:01",
            "00:00:5e:00:01:33:00",
            "0:0:5e:0:1:33",
            "+1:00:5e:00:01:33",
        ] {
            assert!(bad.parse::<MacAddr>().is_err(), "{bad:?}");
        }
    }
}
