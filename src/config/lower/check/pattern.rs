//! What makes a `regex` unusable whatever it is to match: brackets that do not pair, nothing to repeat.
//! Not a compiler: what PCRE knows beyond that (look-around, verbs, named groups) passes.

use std::iter::Peekable;
use std::str::Chars;

/// What is wrong with a pattern, in words; `None` where nothing shows.
pub(super) fn fault(pattern: &str) -> Option<&'static str> {
    let mut chars = pattern.chars().peekable();
    let mut open = 0_usize;
    // Whether there is something before a quantifier that it can repeat.
    let mut repeatable = false;
    while let Some(c) = chars.next() {
        repeatable = match c {
            '\\' => match chars.next() {
                None => return Some("it ends with a `\\` that escapes nothing"),
                Some('Q') => {
                    skip_literal(&mut chars);
                    true
                }
                Some(_) => true,
            },
            '[' if !skip_class(&mut chars) => return Some("a `[` is never closed"),
            '(' => {
                open += 1;
                // `(?` and `(*` say what kind of group it is.
                chars.next_if(|next| matches!(next, '?' | '*'));
                false
            }
            ')' if open == 0 => return Some("a `)` closes nothing"),
            ')' => {
                open -= 1;
                true
            }
            '*' | '+' | '?' if !repeatable => {
                return Some("a quantifier has nothing before it to repeat");
            }
            '|' => false,
            // One that is lazy or possessive has another sign behind it, so that it stays true.
            _ => true,
        };
    }
    (open > 0).then_some("a `(` is never closed")
}

/// Behind `\Q`: everything up to `\E` or the end is meant literally.
fn skip_literal(chars: &mut Peekable<Chars<'_>>) {
    while let Some(c) = chars.next() {
        if c == '\\' && chars.next_if_eq(&'E').is_some() {
            return;
        }
    }
}

/// Behind `[`: up to the `]` that closes the class; `false` when there is none.
fn skip_class(chars: &mut Peekable<Chars<'_>>) -> bool {
    chars.next_if_eq(&'^');
    // A `]` in the first place is one of the characters.
    chars.next_if_eq(&']');
    while let Some(c) = chars.next() {
        match c {
            ']' => return true,
            '\\' => drop(chars.next()),
            '[' if chars.next_if_eq(&':').is_some() => {
                // A class by name, `[:alpha:]`; its `]` does not close ours.
                while chars.next_if(char::is_ascii_alphabetic).is_some() {}
                if chars.next_if_eq(&':').is_some() {
                    chars.next_if_eq(&']');
                }
            }
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_real_files_and_of_pcre_pass() {
        for fine in [
            "^o[k]\\d$",
            "(?i)up|(?<name>ok)",
            "a(?=b)(?!c)",
            "[]x]+[^]]*?",
            "[[:alpha:]_]{2,3}+",
            "\\Q(((\\E",
            "\\(\\[",
            "(*UTF8)x",
            "{",
            "",
        ] {
            assert_eq!(fault(fine), None, "{fine}");
        }
    }

    #[test]
    fn patterns_that_no_compiler_takes_are_told_apart() {
        for bad in ["a(b", "a)b", "[ab", "[[:alpha:]", "*a", "(+)", "a|?", "a\\"] {
            assert!(fault(bad).is_some(), "{bad}");
        }
    }
}
