//! Payloads of route netlink, written byte by byte: a header that the kernel's struct prescribes, then
//! attributes, some of them with attributes inside (netlink(7), `struct rtattr`).

use neli::types::Buffer;

/// A payload that grows.
#[derive(Debug, Default)]
pub(in crate::kernel) struct Payload {
    bytes: Vec<u8>,
    /// An attribute is longer than its 16 bits of length can say.
    too_long: bool,
}

impl Payload {
    /// Begins with these parts of a header.
    pub(in crate::kernel) fn new(header: &[&[u8]]) -> Payload {
        Payload {
            bytes: header.concat(),
            too_long: false,
        }
    }

    /// An attribute.
    pub(in crate::kernel) fn bytes(&mut self, kind: u16, value: &[u8]) {
        self.with(kind, |payload| payload.bytes.extend_from_slice(value));
    }

    /// An attribute of 8 bits.
    pub(in crate::kernel) fn u8(&mut self, kind: u16, value: u8) {
        self.bytes(kind, &[value]);
    }

    /// An attribute of 32 bits, in the byte order of this machine.
    pub(in crate::kernel) fn u32(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_ne_bytes());
    }

    /// Bytes that are no attribute of their own.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// A text, with the NUL that ends it.
    pub(in crate::kernel) fn text(&mut self, kind: u16, text: &str) {
        self.with(kind, |payload| {
            payload.bytes.extend_from_slice(text.as_bytes());
            payload.bytes.push(0);
        });
    }

    /// An attribute with whatever `fill` appends inside.
    pub(in crate::kernel) fn with(&mut self, kind: u16, fill: impl FnOnce(&mut Payload)) {
        self.counted(|payload| {
            payload.raw(&kind.to_ne_bytes());
            fill(payload);
        });
    }

    /// A piece that begins with its length in 16 bits, and `fill` behind that.
    pub(super) fn counted(&mut self, fill: impl FnOnce(&mut Payload)) {
        self.pad();
        let start = self.bytes.len();
        self.raw(&[0; 2]);
        fill(self);
        let length = u16::try_from(self.bytes.len() - start);
        self.too_long |= length.is_err();
        if let Some(place) = self.bytes.get_mut(start..start + 2) {
            place.copy_from_slice(&length.unwrap_or(0).to_ne_bytes());
        }
        self.pad();
    }

    fn pad(&mut self) {
        let length = self.bytes.len().next_multiple_of(4);
        self.bytes.resize(length, 0);
    }

    /// The payload; `None` when an attribute is too long.
    pub(in crate::kernel) fn finish(self) -> Option<Buffer> {
        (!self.too_long).then(|| Buffer::from(self.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipvs::Attributes;

    /// NLA_F_NESTED.
    const NESTED: u16 = 1 << 15;

    #[test]
    fn what_is_written_reads_back() {
        let mut payload = Payload::new(&[&[2, 24], &[0; 2]]);
        payload.u8(1, 7);
        payload.with(NESTED | 2, |inner| {
            inner.u32(1, 9);
            inner.text(2, "ab");
        });
        payload.u32(3, 5);
        let bytes = payload.finish().unwrap();
        let bytes: &[u8] = bytes.as_ref();
        let all: Vec<_> = Attributes::new(&bytes[4..]).collect();
        let kinds: Vec<u16> = all.iter().map(|a| a.kind).collect();
        assert_eq!(kinds, [1, 2, 3]);
        let inner: Vec<_> = all[1].nested().collect();
        assert_eq!((inner[0].u32(), inner[1].text()), (Some(9), Some("ab")));
        assert_eq!(all[2].u32(), Some(5));
    }

    #[test]
    fn an_attribute_that_cannot_say_its_length_is_not_written() {
        let mut payload = Payload::default();
        payload.bytes(1, &[0; 70_000]);
        assert!(payload.finish().is_none());
    }
}
