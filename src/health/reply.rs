//! `UDP_CHECK`: whether a reply is the required one.

use crate::config::model::MaskedByte;

/// `lengths`: the fewest and the most bytes it may have; `wanted`: what it begins with.
///
/// # Errors
/// In words: how it differs.
pub fn judge(lengths: (u16, u16), wanted: &[MaskedByte], bytes: &[u8]) -> Result<(), String> {
    let (min, max) = lengths;
    let length = bytes.len();
    if length < usize::from(min) || length > usize::from(max) {
        let more = if length > usize::from(max) {
            " or more"
        } else {
            ""
        };
        return Err(format!(
            "the reply has {length} bytes{more}, not {min} to {max}"
        ));
    }
    let differs = |(at, want): (usize, &MaskedByte)| {
        let have = bytes.get(at).copied();
        have.is_none_or(|have| have & want.mask != want.value & want.mask)
            .then_some(at)
    };
    match wanted.iter().enumerate().find_map(differs) {
        Some(at) => Err(format!(
            "the reply differs from `require_reply` at byte {at}"
        )),
        None => Ok(()),
    }
}
