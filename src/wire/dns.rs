//! The little of DNS that a health check needs (RFC 1035): one question out, the header of an answer in.

use std::fmt;

/// Bytes of the header.
const HEADER_LEN: usize = 12;
/// QTYPE and QCLASS behind the name.
const QUESTION_TAIL_LEN: usize = 4;
/// IN.
const CLASS_INTERNET: u16 = 1;
const RESPONSE: u8 = 0x80;
const RECURSION_DESIRED: u8 = 0x01;
const LABEL_MAX: usize = 63;
const NAME_MAX: usize = 255;

/// A name that DNS cannot carry: a label longer than 63 bytes or empty, or more than 255 bytes in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameError;

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a name that DNS can carry")
    }
}

impl std::error::Error for NameError {}

/// A question for one record type, recursion desired.
///
/// # Errors
/// [`NameError`].
pub fn query(id: u16, name: &str, record_type: u16) -> Result<Vec<u8>, NameError> {
    let mut bytes = Vec::with_capacity(HEADER_LEN + name.len() + 2 + QUESTION_TAIL_LEN);
    bytes.extend(id.to_be_bytes());
    bytes.extend([RECURSION_DESIRED, 0]);
    // One question, no records.
    bytes.extend([0, 1, 0, 0, 0, 0, 0, 0]);
    let name = name.strip_suffix('.').unwrap_or(name);
    for label in name.split('.').filter(|_| !name.is_empty()) {
        let length = u8::try_from(label.len()).map_err(|_| NameError)?;
        if label.is_empty() || label.len() > LABEL_MAX {
            return Err(NameError);
        }
        bytes.push(length);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    if bytes.len() - HEADER_LEN > NAME_MAX {
        return Err(NameError);
    }
    bytes.extend(record_type.to_be_bytes());
    bytes.extend(CLASS_INTERNET.to_be_bytes());
    Ok(bytes)
}

/// RCODE of the answer to a question of this id (RFC 1035 section 4.1.1); `None` for anything else.
pub fn response_code(id: u16, bytes: &[u8]) -> Option<u8> {
    let &[id_high, id_low, flags, code, ..] = bytes.get(..HEADER_LEN)? else {
        return None;
    };
    let ours = u16::from_be_bytes([id_high, id_low]) == id && flags & RESPONSE != 0;
    ours.then_some(code & 0x0f)
}

/// The name of an RCODE (IANA DNS RCODEs).
pub fn code_name(code: u8) -> &'static str {
    match code {
        0 => "NOERROR",
        1 => "FORMERR",
        2 => "SERVFAIL",
        3 => "NXDOMAIN",
        4 => "NOTIMP",
        5 => "REFUSED",
        _ => "an unusual code",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_question_is_as_rfc_1035_draws_it() {
        let bytes = query(0x1234, "a.example.", 6).unwrap();
        let mut expected = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        expected.extend(b"\x01a\x07example\x00\x00\x06\x00\x01");
        assert_eq!(bytes, expected);
        let root = query(1, ".", 6).unwrap();
        assert_eq!(root[HEADER_LEN..], [0, 0, 6, 0, 1]);
    }

    #[test]
    fn names_that_cannot_be_are_refused() {
        let label = "x".repeat(64);
        for name in [label.as_str(), "a..b", &"abcdefgh.".repeat(30)] {
            assert_eq!(query(1, name, 1), Err(NameError), "{name}");
        }
    }

    #[test]
    fn only_an_answer_to_this_question_counts() {
        let answer = [0, 7, 0x81, 0x83, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(response_code(7, &answer), Some(3));
        assert_eq!(response_code(8, &answer), None);
        let question = [0, 7, 0x01, 0x00, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(response_code(7, &question), None);
        assert_eq!(response_code(7, &answer[..11]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_no_panic(id: u16, bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert!(response_code(id, &bytes).is_none_or(|code| code < 16));
        }

        #[test]
        fn any_name_is_written_or_refused(name in ".{0,300}") {
            if let Ok(bytes) = query(1, &name, 1) {
                prop_assert!(bytes.len() <= HEADER_LEN + NAME_MAX + QUESTION_TAIL_LEN);
            }
        }
    }
}
