//! Header fields as HTTP/2 has them (HPACK, RFC 7541): written plainly, and read without a dynamic table, which
//! the server is told not to use.

use std::borrow::Cow;

/// The longest value that is decoded: nobody asks for more than a status and a sentence.
const TEXT_MAX: usize = 16 * 1024;
/// Names of the static table (RFC 7541 appendix A) that are looked at; all others are of no interest.
const STATIC_COUNT: usize = 61;

const STATUS: [&str; 7] = ["200", "204", "206", "304", "400", "404", "500"];
const FIRST_STATUS: usize = 8;
const LAST_STATUS: usize = FIRST_STATUS + STATUS.len() - 1;

/// A field that is written whole: the table has nothing of it.
pub(in crate::wire) fn write_literal(name: &str, value: &str, block: &mut Vec<u8>) {
    block.push(0);
    write_text(name, block);
    write_text(value, block);
}

/// A field whose name stands in the static table.
pub(in crate::wire) fn write_named(index: usize, value: &str, block: &mut Vec<u8>) {
    write_number(index, 0, 4, block);
    write_text(value, block);
}

fn write_text(text: &str, block: &mut Vec<u8>) {
    write_number(text.len(), 0, 7, block);
    block.extend(text.as_bytes());
}

/// RFC 7541 section 5.1: a number in the last `bits` of a byte that begins with `first`, and in more bytes.
fn write_number(number: usize, first: u8, bits: u32, block: &mut Vec<u8>) {
    let most = (1usize << bits) - 1;
    let low = |n: usize| u8::try_from(n & 0xff).unwrap_or_default();
    if number < most {
        return block.push(first | low(number));
    }
    block.push(first | low(most));
    let mut rest = number - most;
    while rest >= 0x80 {
        block.push(low(rest & 0x7f) | 0x80);
        rest >>= 7;
    }
    block.push(low(rest));
}

/// Hands every field of a block to `each`: its name, which is empty where the static table has one that nobody
/// looks at, and its value.
///
/// # Errors
/// In words: it is no such block.
pub(super) fn read(mut block: &[u8], mut each: impl FnMut(&[u8], &[u8])) -> Result<(), String> {
    while let Some(&first) = block.first() {
        match first {
            0x80.. => {
                let index = number(&mut block, 7)?;
                let (name, value) = indexed(index)?;
                each(name.as_bytes(), value.as_bytes());
            }
            // The size of a table that stays empty.
            0x20..=0x3f => {
                number(&mut block, 5)?;
            }
            _ => {
                let index = number(&mut block, if first & 0x40 == 0 { 4 } else { 6 })?;
                let name = match index {
                    0 => text(&mut block)?,
                    index => Cow::Borrowed(indexed(index)?.0.as_bytes()),
                };
                each(&name, &text(&mut block)?);
            }
        }
    }
    Ok(())
}

/// Name and value of the static table, as far as they are looked at.
fn indexed(index: usize) -> Result<(&'static str, &'static str), String> {
    match index {
        FIRST_STATUS..=LAST_STATUS => {
            let status = STATUS.get(index - FIRST_STATUS).copied();
            Ok((":status", status.unwrap_or_default()))
        }
        31 => Ok(("content-type", "")),
        1..=STATIC_COUNT => Ok(("", "")),
        _ => Err(format!("there is no header field {index}")),
    }
}

fn number(block: &mut &[u8], bits: u32) -> Result<usize, String> {
    let most = (1usize << bits) - 1;
    let mut number = usize::from(byte(block)?) & most;
    if number < most {
        return Ok(number);
    }
    // Nothing here is longer than 2^28.
    for shift in [0, 7, 14, 21] {
        let more = byte(block)?;
        number += usize::from(more & 0x7f) << shift;
        if more & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err("a number in a header is too long".to_owned())
}

fn byte(block: &mut &[u8]) -> Result<u8, String> {
    let (first, rest) = block.split_first().ok_or_else(cut)?;
    *block = rest;
    Ok(*first)
}

fn cut() -> String {
    "a header is cut off".to_owned()
}

fn text<'a>(block: &mut &'a [u8]) -> Result<Cow<'a, [u8]>, String> {
    let packed = block.first().ok_or_else(cut)? & 0x80 != 0;
    let length = number(block, 7)?;
    let (text, rest) = block.split_at_checked(length).ok_or_else(cut)?;
    *block = rest;
    match packed {
        true => unpack(text).map(Cow::Owned),
        false => Ok(Cow::Borrowed(text)),
    }
}

/// Symbols: the bytes, and the end of a text, which is never written.
const SYMBOLS: usize = 257;
const END: u16 = 256;
const LONGEST: usize = 30;

/// Lengths of the codes of all symbols (RFC 7541 appendix B), whose codes follow from them: shorter codes come
/// before longer ones, and among those of one length smaller symbols before larger ones.
#[rustfmt::skip]
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

/// How many codes there are of each length.
const COUNTS: [usize; LONGEST + 1] = {
    let mut counts = [0; LONGEST + 1];
    let mut symbol = 0;
    while symbol < SYMBOLS {
        counts[LENGTHS[symbol] as usize] += 1;
        symbol += 1;
    }
    counts
};

/// Symbols in the order of their codes.
const IN_ORDER: [u16; SYMBOLS] = {
    let mut all = [0; SYMBOLS];
    let (mut length, mut at) = (0, 0);
    while length <= LONGEST {
        let mut symbol: u16 = 0;
        while symbol <= END {
            if LENGTHS[symbol as usize] as usize == length {
                all[at] = symbol;
                at += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    all
};

fn unpack(packed: &[u8]) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    let bits = packed
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1));
    // The code so far, its length, the first code of that length, and how many are shorter.
    let (mut code, mut length, mut first, mut shorter) = (0usize, 0usize, 0usize, 0usize);
    let mut ones = true;
    for bit in bits {
        code = code << 1 | usize::from(bit);
        first <<= 1;
        length += 1;
        ones &= bit == 1;
        let Some(&codes) = COUNTS.get(length) else {
            return Err("a header has a code that there is not".to_owned());
        };
        if code - first < codes {
            match IN_ORDER.get(shorter + code - first) {
                None | Some(&END) => return Err("a header has an end within a text".to_owned()),
                Some(symbol) => text.push(u8::try_from(*symbol).unwrap_or_default()),
            }
            if text.len() > TEXT_MAX {
                return Err("a header is too long".to_owned());
            }
            (code, length, first, shorter, ones) = (0, 0, 0, 0, true);
            continue;
        }
        first += codes;
        shorter += codes;
    }
    // What fills the last byte is the beginning of the longest code.
    match length < 8 && ones {
        true => Ok(text),
        false => Err("a header ends within a letter".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(block: &[u8]) -> Result<Vec<(String, String)>, String> {
        let mut fields = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        read(block, |name, value| fields.push((text(name), text(value))))?;
        Ok(fields)
    }

    fn bytes(hex: &str) -> Vec<u8> {
        let pairs = hex.as_bytes().chunks(2);
        let pairs = pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16));
        pairs.collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn texts_of_the_rfc_are_unpacked() {
        for (hex, text) in [
            ("f1e3c2e5f23a6ba0ab90f4ff", "www.example.com"),
            ("a8eb10649cbf", "no-cache"),
            ("25a849e95ba97d7f", "custom-key"),
            (
                "d07abe941054d444a8200595040b8166e082a62d1bff",
                "Mon, 21 Oct 2013 20:13:21 GMT",
            ),
        ] {
            assert_eq!(unpack(&bytes(hex)), Ok(text.as_bytes().to_vec()));
        }
        // Eight bits of nothing, zeros at the end, and the end within.
        for hex in ["ff", "f1e3c2e5f23a6ba0ab90f400", "ffffffffff"] {
            assert!(unpack(&bytes(hex)).is_err(), "{hex}");
        }
    }

    #[test]
    fn every_byte_has_a_code_and_all_codes_together_leave_none_over() {
        let all: u64 = LENGTHS
            .iter()
            .map(|l| 1 << (LONGEST - usize::from(*l)))
            .sum();
        assert_eq!(all, 1 << LONGEST);
    }

    #[test]
    fn what_is_written_is_read() {
        let mut block = Vec::new();
        let long = "x".repeat(300);
        write_literal("te", "trailers", &mut block);
        write_named(31, "application/grpc", &mut block);
        write_literal("long", &long, &mut block);
        block.extend([0x88, 0x3f, 0xe1, 0x1f]);
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected = [
            field("te", "trailers"),
            field("content-type", "application/grpc"),
            field("long", &long),
            field(":status", "200"),
        ];
        assert_eq!(fields(&block).unwrap(), expected);
        for wrong in ["80", "be", "0005", "00", "7fffffffff7f", "40"] {
            assert!(fields(&bytes(wrong)).is_err(), "{wrong}");
        }
    }
}
