//! Packets and the values in them.

/// A packet: three bytes of length, its number, and what it says.
pub(super) fn packet(sequence: u8, body: &[u8]) -> Vec<u8> {
    // Nothing that a check says is near the 16 MiB that a packet may have.
    let length = u32::try_from(body.len()).unwrap_or(0).to_le_bytes();
    let mut bytes = length.get(..3).unwrap_or_default().to_vec();
    bytes.push(sequence);
    bytes.extend(body);
    bytes
}

/// The packet at the front: its number, what it says, and its length in all. `None`: it is not whole.
pub(super) fn take(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let &[a, b, c, sequence, ..] = bytes else {
        return None;
    };
    let length = usize::try_from(u32::from_le_bytes([a, b, c, 0])).ok()?;
    let body = bytes.get(4..4 + length)?;
    Some((sequence, body, 4 + length))
}

/// How long the packet at the front will be, as far as that is known.
pub(super) fn promised(bytes: &[u8]) -> usize {
    match bytes {
        &[a, b, c, ..] => usize::try_from(u32::from_le_bytes([a, b, c, 0])).unwrap_or(usize::MAX),
        _ => 0,
    }
}

/// What is left of a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        match self.bytes(2)? {
            &[low, high] => Some(u16::from_le_bytes([low, high])),
            _ => None,
        }
    }

    /// Up to a zero, which is taken off too.
    pub(super) fn text_to_zero(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|b| *b == 0)?;
        let text = self.bytes(end)?;
        self.bytes(1)?;
        Some(text)
    }

    /// A number of one to nine bytes ("length-encoded integer").
    pub(super) fn number(&mut self) -> Option<u64> {
        let width = match self.bytes(1)?.first()? {
            0xfc => 2,
            0xfd => 3,
            0xfe => 8,
            first @ 0..=0xfa => return Some(u64::from(*first)),
            _ => return None,
        };
        let mut bytes = [0; 8];
        bytes.get_mut(..width)?.copy_from_slice(self.bytes(width)?);
        Some(u64::from_le_bytes(bytes))
    }

    /// A text with its length before it, or NULL; `None`: there is none.
    pub(super) fn nullable(&mut self) -> Option<Option<&'a [u8]>> {
        if self.0.first() == Some(&0xfb) {
            self.bytes(1)?;
            return Some(None);
        }
        let length = usize::try_from(self.number()?).ok()?;
        self.bytes(length).map(Some)
    }
}
