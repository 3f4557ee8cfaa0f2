//! `track_file`: the number that stands in a file.

/// As many bytes of a file are read at most: blanks, a sign and every digit of any number that counts.
pub const FILE_BYTES_MAX: usize = 127;

/// The number at the beginning of what was read, as strtol(3) reads it with base 0: blanks, a sign, then
/// decimal, hexadecimal (0x) or octal (0) digits; what follows does not matter, and no number at all
/// means 0. `None`: it is out of range, and what was known before holds.
pub fn number_in(bytes: &[u8]) -> Option<i32> {
    let bytes = bytes
        .get(..FILE_BYTES_MAX)
        .unwrap_or(bytes)
        .trim_ascii_start();
    let (negative, digits) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (radix, digits) = match digits {
        [b'0', b'x' | b'X', rest @ ..] if rest.first().is_some_and(u8::is_ascii_hexdigit) => {
            (16, rest)
        }
        [b'0', ..] => (8, digits),
        _ => (10, digits),
    };
    let mut value: i64 = 0;
    for digit in digits
        .iter()
        .map_while(|&byte| char::from(byte).to_digit(radix))
    {
        // Beyond any number that counts it only has to stay there.
        value = (value * i64::from(radix) + i64::from(digit)).min(1 << 40);
    }
    i32::try_from(if negative { -value } else { value }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_strtol_reads_them() {
        for (text, number) in [
            ("5\n", Some(5)),
            ("  -17 and more", Some(-17)),
            ("+3", Some(3)),
            ("0x1F", Some(31)),
            ("010", Some(8)),
            ("0x", Some(0)),
            ("0xg", Some(0)),
            ("08", Some(0)),
            ("", Some(0)),
            ("\n", Some(0)),
            ("up", Some(0)),
            ("-", Some(0)),
            ("2147483647", Some(i32::MAX)),
            ("-2147483648", Some(i32::MIN)),
            ("2147483648", None),
            ("-2147483649", None),
            ("99999999999999999999999999999999", None),
        ] {
            assert_eq!(number_in(text.as_bytes()), number, "{text:?}");
        }
    }

    #[test]
    fn only_the_beginning_counts() {
        let mut text = vec![b' '; FILE_BYTES_MAX];
        text.push(b'7');
        assert_eq!(number_in(&text), Some(0));
    }
}
