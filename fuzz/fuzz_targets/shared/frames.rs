//! Bytes of one end of HTTP/2, for the targets that hear such.

/// What every server says first, so that most of what comes is more than that.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// Frames of the stream of the question, by kind, flags and payload, and what comes after them.
pub fn bytes(begins: bool, frames: &[(u8, u8, Vec<u8>)], rest: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    if begins {
        bytes.extend(SETTINGS);
    }
    for (kind, flags, payload) in frames {
        let Ok(length) = u16::try_from(payload.len()) else {
            continue;
        };
        let [high, low] = length.to_be_bytes();
        bytes.extend([0, high, low, kind % 12, *flags, 0, 0, 0, 1]);
        bytes.extend(payload);
    }
    bytes.extend(rest);
    bytes
}
