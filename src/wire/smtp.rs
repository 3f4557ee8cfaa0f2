//! Replies of a mail server (RFC 5321 section 4.2): lines of a code, the last with a blank behind it.

/// What has been heard of a reply so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// More lines follow.
    Unfinished,
    /// It is whole, and this is its code (200 to 599), with the number of bytes that it took.
    Code(u16, usize),
    /// It is none.
    Broken,
}

/// Bytes of the longest line, its end apart; RFC 5321 section 4.5.3.1.5 has 512 for a reply.
pub const LINE_MAX: usize = 1024;

/// Reads the reply that `bytes` begin with.
pub fn reply(bytes: &[u8]) -> Reply {
    let mut start = 0;
    loop {
        let rest = bytes.get(start..).unwrap_or_default();
        let Some(length) = rest.iter().position(|b| *b == b'\n') else {
            let broken = rest.len() > LINE_MAX || (rest.len() >= 4 && code(rest).is_none());
            return if broken {
                Reply::Broken
            } else {
                Reply::Unfinished
            };
        };
        let line = rest.get(..length).unwrap_or_default();
        // However it was cut on the way, it is the same.
        let Some((code, last)) = code(line).filter(|_| length <= LINE_MAX) else {
            return Reply::Broken;
        };
        start += length + 1;
        if last {
            return Reply::Code(code, start);
        }
    }
}

/// The code of a line, and whether it is the last.
fn code(line: &[u8]) -> Option<(u16, bool)> {
    let (digits, rest) = line.split_at_checked(3)?;
    if !matches!(digits.first()?, b'2'..=b'5') || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let code = digits
        .iter()
        .fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    match rest.first() {
        Some(b'-') => Some((code, false)),
        None | Some(b' ' | b'\r') => Some((code, true)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn replies_end_with_a_line_without_a_dash() {
        assert_eq!(reply(b"220 here\r\n"), Reply::Code(220, 10));
        assert_eq!(
            reply(b"250-a\r\n250-b\r\n250 c\r\nmore"),
            Reply::Code(250, 21)
        );
        assert_eq!(reply(b"250\n"), Reply::Code(250, 4));
        assert_eq!(reply(b"250-a\r\n250"), Reply::Unfinished);
        assert_eq!(reply(b""), Reply::Unfinished);
    }

    #[test]
    fn other_protocols_are_no_replies() {
        for bytes in [
            &b"SSH-2.0-x\r\n"[..],
            b"HTTP/1.1 200 OK",
            b"120 x\r\n",
            b"2x0 a\r\n",
            b"2500\r\n",
        ] {
            assert_eq!(reply(bytes), Reply::Broken, "{bytes:?}");
        }
        assert_eq!(reply(&[b'2'; 600]), Reply::Broken);
        let long = format!("220 {}", "x".repeat(LINE_MAX));
        assert_eq!(reply(long.as_bytes()), Reply::Broken);
        assert_eq!(reply((long + "\r\n").as_bytes()), Reply::Broken);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            if let Reply::Code(code, length) = reply(&bytes) {
                prop_assert!((200..600).contains(&code) && length <= bytes.len());
            }
        }
    }
}
