//! Reading netlink attributes in place (netlink(7), `struct nlattr`).
//!
//! neli writes our messages; for dumps of thousands of objects its reader, which copies every
//! attribute to the heap, is replaced by this one, which borrows. Any bytes are fine: reading ends
//! where they stop making sense.

/// Bits of `nla_type` that say how, not what: NLA_F_NESTED and NLA_F_NET_BYTEORDER.
const TYPE_MASK: u16 = 0x3fff;

/// One attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// `nla_type` without its flag bits.
    pub kind: u16,
    /// What it carries, padding left out.
    pub value: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// The attributes inside.
    pub const fn nested(self) -> Attributes<'a> {
        Attributes(self.value)
    }

    /// The value when it has exactly `N` bytes.
    pub fn bytes<const N: usize>(self) -> Option<[u8; N]> {
        self.value.try_into().ok()
    }

    /// A `u8`.
    pub fn u8(self) -> Option<u8> {
        self.bytes::<1>().map(|[b]| b)
    }

    /// A `u16` in the byte order of this machine.
    pub fn u16(self) -> Option<u16> {
        self.bytes().map(u16::from_ne_bytes)
    }

    /// A `u16` in network byte order, as ports are.
    pub fn be16(self) -> Option<u16> {
        self.bytes().map(u16::from_be_bytes)
    }

    /// A `u32` in the byte order of this machine.
    pub fn u32(self) -> Option<u32> {
        self.bytes().map(u32::from_ne_bytes)
    }

    /// A `u64` in the byte order of this machine.
    pub fn u64(self) -> Option<u64> {
        self.bytes().map(u64::from_ne_bytes)
    }

    /// A text that may end in a NUL; `None` when it is not UTF-8.
    pub fn text(self) -> Option<&'a str> {
        let end = self.value.iter().position(|b| *b == 0);
        let text = self.value.get(..end.unwrap_or(self.value.len()))?;
        std::str::from_utf8(text).ok()
    }
}

/// The attributes in a stretch of bytes, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// Of bytes that begin with an attribute.
    pub const fn new(bytes: &'a [u8]) -> Attributes<'a> {
        Attributes(bytes)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let (length, rest) = self.0.split_first_chunk::<2>()?;
        let (kind, _) = rest.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_ne_bytes(*length));
        let Some(value) = self.0.get(4..length) else {
            self.0 = &[];
            return None;
        };
        let next = length.next_multiple_of(4);
        self.0 = self.0.get(next..).unwrap_or(&[]);
        Some(Attribute {
            kind: u16::from_ne_bytes(*kind) & TYPE_MASK,
            value,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn padding_belongs_to_no_value() {
        let mut bytes = Vec::new();
        bytes.extend(5u16.to_ne_bytes());
        bytes.extend((0x8000u16 | 7).to_ne_bytes());
        bytes.extend([9, 0, 0, 0]);
        bytes.extend(6u16.to_ne_bytes());
        bytes.extend(8u16.to_ne_bytes());
        bytes.extend([1, 2]);
        let all: Vec<_> = Attributes::new(&bytes).map(|a| (a.kind, a.value)).collect();
        assert_eq!(all, [(7, &[9u8][..]), (8, &[1, 2][..])]);
    }

    #[test]
    fn an_attribute_longer_than_the_message_ends_reading() {
        let mut bytes = Vec::new();
        bytes.extend(9u16.to_ne_bytes());
        bytes.extend(1u16.to_ne_bytes());
        bytes.extend([1, 2, 3, 4]);
        assert_eq!(Attributes::new(&bytes).count(), 0);
        assert_eq!(Attributes::new(&[0; 64]).count(), 0);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let total: usize = Attributes::new(&bytes).map(|a| a.value.len() + 4).sum();
            prop_assert!(total <= bytes.len());
        }
    }
}
