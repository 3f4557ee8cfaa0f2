//! Network interfaces: names, indexes, hardware addresses.

use std::cmp::Ordering;
use std::fmt;
use std::num::NonZeroU8;
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
///
/// Held in place, as the kernel has it: thousands of objects name an interface.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct InterfaceName {
    len: NonZeroU8,
    /// Zeros behind the name.
    bytes: [u8; InterfaceName::MAX],
}

impl InterfaceName {
    /// IFNAMSIZ of linux/if.h, less the zero at the end.
    const MAX: usize = 15;

    /// What most systems call their first interface, and keepalived its `default_interface`.
    pub fn eth0() -> InterfaceName {
        let mut bytes = [0; InterfaceName::MAX];
        bytes[..4].copy_from_slice(b"eth0");
        let len = NonZeroU8::MIN.saturating_add(3);
        InterfaceName { len, bytes }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        let name = self.bytes.get(..usize::from(self.len.get()));
        // It was made of a text.
        str::from_utf8(name.unwrap_or_default()).unwrap_or_default()
    }
}

/// As texts.
impl Ord for InterfaceName {
    fn cmp(&self, other: &InterfaceName) -> Ordering {
        // No name has a zero in it: a shorter one comes first.
        self.bytes.cmp(&other.bytes)
    }
}

impl PartialOrd for InterfaceName {
    fn partial_cmp(&self, other: &InterfaceName) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Debug for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InterfaceName")
            .field(&self.as_str())
            .finish()
    }
}

impl Serialize for InterfaceName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
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
        let bad = s == "."
            || s == ".."
            || s.chars()
                .any(|c| c == '/' || c == ':' || c.is_whitespace() || c == '\0');
        let mut bytes = [0; InterfaceName::MAX];
        let room = bytes.get_mut(..s.len()).filter(|_| !bad);
        room.ok_or(InterfaceNameError)?
            .copy_from_slice(s.as_bytes());
        let len = u8::try_from(s.len()).ok().and_then(NonZeroU8::new);
        let len = len.ok_or(InterfaceNameError)?;
        Ok(InterfaceName { len, bytes })
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
        for good in ["eth0", "a", "abcdefghijklmno", "stra\u{df}e"] {
            assert_eq!(good.parse::<InterfaceName>().unwrap().as_str(), good);
        }
        assert_eq!(InterfaceName::eth0(), "eth0".parse().unwrap());
    }

    #[test]
    fn names_are_in_the_order_of_their_texts() {
        let texts = [
            "a", "ab", "abc", "b", "eth0", "eth0.1", "eth1", "eth10", "\u{e4}",
        ];
        let names = texts.map(|text| text.parse::<InterfaceName>().unwrap());
        assert!(names.is_sorted() && texts.is_sorted());
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
