//! Sets of characters: `[...]`, and those that have a name.

use std::iter::Peekable;
use std::str::Chars;

use super::Unusable;
use super::translate::{Options, Parsed, by_number, literal};

/// POSIX names that both languages know.
const POSIX: &[&str] = &[
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

/// The set that an escape names: whether it is everything but that, and its members as they stand in
/// brackets.
pub(super) fn named(c: char, options: Options) -> Option<(bool, &'static str)> {
    // Without `ucp` names mean ASCII, whatever the subject is.
    let unicode = options.ucp;
    let members = match c.to_ascii_lowercase() {
        'd' if unicode => "\\d",
        'w' if unicode => "\\w",
        's' if unicode => "\\s",
        'd' => "0-9",
        'w' => "0-9A-Z_a-z",
        's' => "\\t-\\r\\x20",
        'h' => "\\t\\x20",
        'v' => "\\n-\\r",
        'n' if c == 'N' => "\\n",
        _ => return None,
    };
    Some((c.is_ascii_uppercase(), members))
}

/// The character that an escape gives by its number; `c`: behind the backslash. `None`: it stands for
/// itself.
pub(super) fn number(c: char, chars: &mut Peekable<Chars<'_>>) -> Result<Option<u32>, Unusable> {
    let digits = |chars: &mut Peekable<Chars<'_>>, radix, most| {
        let mut number = 0;
        for _ in 0..most {
            let Some(digit) = chars.peek().and_then(|c| c.to_digit(radix)) else {
                break;
            };
            chars.next();
            number = number * radix + digit;
        }
        number
    };
    Ok(Some(match c {
        'a' => 0x07,
        'e' => 0x1b,
        'f' => 0x0c,
        'n' => 0x0a,
        'r' => 0x0d,
        't' => 0x09,
        '0' => digits(chars, 8, 2),
        'x' if chars.next_if_eq(&'{').is_some() => {
            let number = digits(chars, 16, 6);
            if chars.next() != Some('}') {
                return Err(Unusable("a `\\x{` is never closed".to_owned()));
            }
            number
        }
        'x' => digits(chars, 16, 2),
        'o' if chars.next_if_eq(&'{').is_some() => {
            let number = digits(chars, 8, 7);
            if chars.next() != Some('}') {
                return Err(Unusable("a `\\o{` is never closed".to_owned()));
            }
            number
        }
        'c' => match chars.next() {
            Some(c) if c.is_ascii() => u32::from(c.to_ascii_uppercase()) ^ 0x40,
            _ => return Err(Unusable("`\\c` wants a character behind it".to_owned())),
        },
        c if c.is_ascii_alphanumeric() => {
            return Err(Unusable::of(&format!("it has `\\{c}`")));
        }
        _ => return Ok(None),
    }))
}

/// A member of a set.
enum Member {
    Char(char),
    Number(u32),
    /// Several, as they stand in brackets.
    Set(String),
    /// `\E`, and `\Q` in front of it.
    Nothing,
}

/// Behind `[`, up to its `]`.
pub(super) fn translate(
    chars: &mut Peekable<Chars<'_>>,
    out: &mut String,
    options: Options,
) -> Parsed {
    out.push('[');
    if chars.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    if chars.peek() == Some(&']') {
        if options.allow_empty_class {
            chars.next();
            // Everything, or nothing of everything.
            let any = if options.utf {
                "\\x{0}-\\x{10ffff}"
            } else {
                "\\x00-\\xff"
            };
            let not = out.ends_with('^');
            out.truncate(out.len() - 1 - usize::from(not));
            out.push_str(&format!("[{}{any}]", if not { "" } else { "^" }));
            return Ok(());
        }
        chars.next();
        member(chars, out, options, Member::Char(']'))?;
    }
    let mut quoted = false;
    loop {
        let unclosed = || Unusable("a `[` is never closed".to_owned());
        let c = chars.next().ok_or_else(unclosed)?;
        if quoted {
            match c == '\\' && chars.next_if_eq(&'E').is_some() {
                true => quoted = false,
                false => literal(out, c, options.utf),
            }
            continue;
        }
        match c {
            ']' => break,
            '\\' if chars.next_if_eq(&'Q').is_some() => quoted = true,
            c => {
                let first = one(c, chars, options)?;
                member(chars, out, options, first)?;
            }
        }
    }
    out.push(']');
    Ok(())
}

/// The member that begins with this character.
fn one(c: char, chars: &mut Peekable<Chars<'_>>, options: Options) -> Result<Member, Unusable> {
    match c {
        '[' if chars.peek() == Some(&':') => {
            let ahead: String = chars.clone().skip(1).take_while(|c| *c != ']').collect();
            let Some(name) = ahead.strip_suffix(':') else {
                return Ok(Member::Char('['));
            };
            let plain = name.strip_prefix('^').unwrap_or(name);
            if !POSIX.contains(&plain) {
                return Err(Unusable(format!("there is no class `[:{name}:]`")));
            }
            // The colon in front, the text, and the bracket behind it.
            for _ in 0..ahead.chars().count() + 2 {
                chars.next();
            }
            Ok(Member::Set(format!("[:{name}:]")))
        }
        '\\' => {
            let c = chars
                .next()
                .ok_or_else(|| Unusable("it ends with a `\\`".to_owned()))?;
            if c == 'b' {
                return Ok(Member::Number(8));
            }
            if c == 'E' {
                return Ok(Member::Nothing);
            }
            if let Some((negated, members)) = named(c, options).filter(|_| c != 'N') {
                let not = if negated { "^" } else { "" };
                return Ok(Member::Set(format!("[{not}{members}]")));
            }
            if let '1'..='7' = c {
                let mut number = c.to_digit(8).unwrap_or(0);
                for _ in 0..2 {
                    let Some(digit) = chars.peek().and_then(|c| c.to_digit(8)) else {
                        break;
                    };
                    chars.next();
                    number = number * 8 + digit;
                }
                return Ok(Member::Number(number));
            }
            Ok(match number(c, chars)? {
                Some(number) => Member::Number(number),
                None => Member::Char(c),
            })
        }
        c => Ok(Member::Char(c)),
    }
}

/// Writes a member, or the range that begins with it.
fn member(
    chars: &mut Peekable<Chars<'_>>,
    out: &mut String,
    options: Options,
    first: Member,
) -> Parsed {
    let ends = |member: &Member| match member {
        Member::Char(c) => Some(u32::from(*c)),
        Member::Number(number) => Some(*number),
        Member::Set(_) | Member::Nothing => None,
    };
    let mut ahead = chars.clone();
    let is_range = ends(&first).is_some()
        && ahead.next() == Some('-')
        && ahead.peek().is_some_and(|c| *c != ']');
    if is_range {
        let last = match ahead.next() {
            Some(c) => one(c, &mut ahead, options)?,
            None => Member::Nothing,
        };
        if let (Some(from), Some(to)) = (ends(&first), ends(&last)) {
            *chars = ahead;
            by_number(out, from, options.utf)?;
            out.push('-');
            return by_number(out, to, options.utf);
        }
    }
    match first {
        Member::Char(c) => literal(out, c, options.utf),
        Member::Number(number) => by_number(out, number, options.utf)?,
        Member::Set(set) => out.push_str(&set),
        Member::Nothing => {}
    }
    Ok(())
}
