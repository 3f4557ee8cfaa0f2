//! From PCRE's way of writing a pattern to that of the `regex` crate. Every character that stands for
//! itself is written by its number, so that neither language finds a meaning in it.

use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;

use super::Unusable;
use super::class;

/// What `regex_options` ask for, of what changes a result.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Options {
    pub(super) caseless: bool,
    pub(super) multiline: bool,
    pub(super) dotall: bool,
    pub(super) ungreedy: bool,
    pub(super) utf: bool,
    pub(super) ucp: bool,
    pub(super) first_line: bool,
    extended: bool,
    dollar_endonly: bool,
    pub(super) allow_empty_class: bool,
}

impl Options {
    /// False for a word that is none of them.
    pub(super) fn set(&mut self, word: &str) -> bool {
        let option = match word {
            "caseless" => &mut self.caseless,
            "multiline" => &mut self.multiline,
            "dotall" => &mut self.dotall,
            "ungreedy" => &mut self.ungreedy,
            "utf" => &mut self.utf,
            "ucp" => &mut self.ucp,
            "firstline" => &mut self.first_line,
            "extended" => &mut self.extended,
            "dollar_endonly" => &mut self.dollar_endonly,
            "allow_empty_class" => &mut self.allow_empty_class,
            _ => return false,
        };
        *option = true;
        true
    }
}

pub(super) struct Translated {
    pub(super) pattern: String,
    /// Something in it asks what comes behind (`$`, `\b`).
    pub(super) looks_behind_end: bool,
}

/// Options that may change inside a pattern, for the group they stand in.
#[derive(Clone, Copy)]
struct Mode {
    extended: bool,
    multiline: bool,
}

struct Translator<'p> {
    chars: Peekable<Chars<'p>>,
    options: Options,
    mode: Mode,
    around: Vec<Mode>,
    out: Translated,
}

pub(super) type Parsed = Result<(), Unusable>;

pub(super) fn translate(pattern: &str, options: Options) -> Result<Translated, Unusable> {
    let mut translator = Translator {
        chars: pattern.chars().peekable(),
        options,
        mode: Mode {
            extended: options.extended,
            multiline: options.multiline,
        },
        around: Vec::new(),
        out: Translated {
            pattern: String::new(),
            looks_behind_end: false,
        },
    };
    while let Some(c) = translator.chars.next() {
        translator.item(c)?;
    }
    Ok(translator.out)
}

/// A byte or character that stands for itself.
pub(super) fn literal(out: &mut String, c: char, utf: bool) {
    // Writing to a String cannot fail.
    if c.is_ascii_alphanumeric() {
        out.push(c);
    } else if utf || c.is_ascii() {
        let _ = write!(out, "\\x{{{:x}}}", u32::from(c));
    } else {
        let mut bytes = [0; 4];
        for byte in c.encode_utf8(&mut bytes).bytes() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
}

/// One byte by its number.
pub(super) fn by_number(out: &mut String, number: u32, utf: bool) -> Parsed {
    let fits = if utf {
        char::from_u32(number).is_some()
    } else {
        number < 0x100
    };
    if !fits {
        return Err(Unusable(format!("there is no character {number:#x}")));
    }
    let _ = match utf {
        true => write!(out, "\\x{{{number:x}}}"),
        false => write!(out, "\\x{number:02x}"),
    };
    Ok(())
}

impl Translator<'_> {
    fn item(&mut self, c: char) -> Parsed {
        match c {
            c if self.mode.extended && c.is_ascii_whitespace() => {}
            '#' if self.mode.extended => while self.chars.next().is_some_and(|c| c != '\n') {},
            '\\' => self.escape()?,
            '[' => class::translate(&mut self.chars, &mut self.out.pattern, self.options)?,
            '(' => self.open()?,
            ')' => {
                if let Some(mode) = self.around.pop() {
                    self.mode = mode;
                }
                self.push(")");
            }
            '$' if self.mode.multiline => self.at_end("$"),
            '$' if self.options.dollar_endonly => self.at_end("\\z"),
            '$' => self.at_end("(?:\\n?\\z)"),
            '|' | '^' | '.' => self.out.pattern.push(c),
            '*' | '+' | '?' => {
                self.out.pattern.push(c);
                self.behind_quantifier()?;
            }
            '{' => self.brace()?,
            c => literal(&mut self.out.pattern, c, self.options.utf),
        }
        Ok(())
    }

    fn push(&mut self, text: &str) {
        self.out.pattern.push_str(text);
    }

    fn at_end(&mut self, text: &str) {
        self.out.looks_behind_end = true;
        self.push(text);
    }

    fn behind_quantifier(&mut self) -> Parsed {
        if self.chars.next_if_eq(&'+').is_some() {
            return Err(Unusable::of("it has a possessive quantifier (`*+`)"));
        }
        if self.chars.next_if_eq(&'?').is_some() {
            self.push("?");
        }
        Ok(())
    }

    /// `{2,3}` repeats, any other brace is one.
    fn brace(&mut self) -> Parsed {
        let mut ahead = self.chars.clone();
        let inside: String = ahead.by_ref().take_while(|c| *c != '}').collect();
        let closed = self.chars.clone().any(|c| c == '}');
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let counts = match inside.split_once(',') {
            Some((from, to)) => digits(from) && (to.is_empty() || digits(to)),
            None => digits(&inside),
        };
        if !(closed && counts) {
            literal(&mut self.out.pattern, '{', self.options.utf);
            return Ok(());
        }
        self.chars = ahead;
        self.push(&format!("{{{inside}}}"));
        self.behind_quantifier()
    }

    /// Behind `(`. Groups are not counted: nothing refers to them.
    fn open(&mut self) -> Parsed {
        let before = self.mode;
        if self.chars.next_if_eq(&'*').is_some() {
            return Err(Unusable::of("it has a verb (`(*`)"));
        }
        if self.chars.next_if_eq(&'?').is_none() {
            self.around.push(before);
            self.push("(?:");
            return Ok(());
        }
        let two: String = self.chars.clone().take(2).collect();
        match two.as_str() {
            text if text.starts_with('#') => {
                while self.chars.next().is_some_and(|c| c != ')') {}
                return Ok(());
            }
            "<=" | "<!" => return Err(Unusable::of("it looks behind (`(?<=`)")),
            text if text.starts_with(['=', '!']) => {
                return Err(Unusable::of("it looks ahead (`(?=` or `(?!`)"));
            }
            text if text.starts_with('>') => {
                return Err(Unusable::of("it has an atomic group (`(?>`)"));
            }
            text if text.starts_with([':', '|']) => {
                self.chars.next();
            }
            "P<" => self.skip_name('>'),
            text if text.starts_with('<') => self.skip_name('>'),
            text if text.starts_with('\'') => {
                self.chars.next();
                self.skip_name('\'');
            }
            text if text.starts_with(['i', 'm', 's', 'x', 'n', 'J', 'U', '^', '-']) => {
                return self.inline_options(before);
            }
            _ => return Err(Unusable::of("it has a group that refers to others")),
        }
        self.around.push(before);
        self.push("(?:");
        Ok(())
    }

    fn skip_name(&mut self, end: char) {
        while self.chars.next().is_some_and(|c| c != end) {}
    }

    /// `(?i)`, `(?s-m:...`.
    fn inline_options(&mut self, before: Mode) -> Parsed {
        let (mut on, mut off, mut unset) = (String::new(), String::new(), false);
        let ends_with = loop {
            match self.chars.next() {
                Some('-') => unset = true,
                Some('^') => {
                    off.push_str("ims");
                    (self.mode.extended, self.mode.multiline) = (false, false);
                }
                Some('x') => self.mode.extended = !unset,
                Some('n' | 'J') => {}
                Some(c @ ('i' | 'm' | 's' | 'U')) => {
                    if c == 'm' {
                        self.mode.multiline = !unset;
                    }
                    off.retain(|other| other != c);
                    on.retain(|other| other != c);
                    match unset {
                        true => off.push(c),
                        false => on.push(c),
                    }
                }
                Some(c @ (')' | ':')) => break c,
                _ => return Err(Unusable::of("it has a group that refers to others")),
            }
        };
        let minus = if off.is_empty() { "" } else { "-" };
        let flags = format!("(?{on}{minus}{off}");
        match ends_with {
            ':' => {
                self.around.push(before);
                self.push(&flags);
                self.push(":");
            }
            _ if on.is_empty() && off.is_empty() => {}
            _ => {
                self.push(&flags);
                self.push(")");
            }
        }
        Ok(())
    }

    fn escape(&mut self) -> Parsed {
        let Some(c) = self.chars.next() else {
            return Err(Unusable("it ends with a `\\`".to_owned()));
        };
        let utf = self.options.utf;
        if let Some(set) = class::named(c, self.options) {
            let (negated, members) = set;
            let not = if negated { "^" } else { "" };
            self.push(&format!("[{not}{members}]"));
            return Ok(());
        }
        match c {
            'b' | 'B' if utf && !self.options.ucp => self.at_end(&format!("(?-u:\\{c})")),
            'b' | 'B' => self.at_end(&format!("\\{c}")),
            'A' => self.push("\\A"),
            'z' => self.at_end("\\z"),
            'Z' => self.at_end("(?:\\n?\\z)"),
            'R' => self.push("(?:\\r\\n|[\\n-\\r])"),
            'Q' => self.quoted(),
            'E' => {}
            '1'..='9' | 'k' | 'g' => {
                return Err(Unusable::of("it refers back to a group"));
            }
            'p' | 'P' | 'X' => return Err(Unusable::of("it has a Unicode property")),
            'G' | 'K' | 'C' | 'u' | 'U' | 'L' | 'l' => {
                return Err(Unusable::of(&format!("it has `\\{c}`")));
            }
            c => {
                let number = class::number(c, &mut self.chars)?;
                match number {
                    Some(number) => by_number(&mut self.out.pattern, number, utf)?,
                    None => literal(&mut self.out.pattern, c, utf),
                }
            }
        }
        Ok(())
    }

    /// Behind `\Q`: everything up to `\E` stands for itself.
    fn quoted(&mut self) {
        while let Some(c) = self.chars.next() {
            if c == '\\' && self.chars.next_if_eq(&'E').is_some() {
                return;
            }
            literal(&mut self.out.pattern, c, self.options.utf);
        }
    }
}
