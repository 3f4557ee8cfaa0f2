//! The words of a command line as scripts and notify keywords give it: single and double quotes, and
//! backslash escapes as in C (`\a \b \E \f \n \r \t \v \nnn \xXX \cC`; any other character stands for
//! itself). Nothing is expanded: no shell is asked.

/// What a command was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// Program and arguments; empty when there was nothing.
    pub argv: Vec<String>,
    /// What stood behind it: user and group.
    pub rest: Vec<String>,
}

/// A quote that is never closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unterminated;

/// Reads what stands behind the keyword. The first word is the whole command line; when it was quoted,
/// it is split again. What follows it is user and group.
///
/// # Errors
/// [`Unterminated`] when a quote is never closed.
pub fn parse(text: &str) -> Result<Command, Unterminated> {
    let mut outer = split(text)?.into_iter();
    let Some(first) = outer.next() else {
        return Ok(Command::default());
    };
    Ok(Command {
        argv: split(&first)?,
        rest: outer.collect(),
    })
}

/// Splits a line into words.
///
/// # Errors
/// [`Unterminated`] when a quote is never closed.
pub fn split(text: &str) -> Result<Vec<String>, Unterminated> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (_, '\\') => {
                let escaped = escape(&mut chars).unwrap_or('\\');
                word.get_or_insert_default().push(escaped);
            }
            (None, c) if c.is_ascii_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(Unterminated);
    }
    words.extend(word);
    Ok(words)
}

/// The character that stands for what follows a backslash; `None` at the end of the text.
fn escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    let c = chars.next()?;
    Some(match c {
        'a' => '\x07',
        'b' => '\x08',
        'E' => '\x1b',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        'c' => control(chars.next()?),
        'x' => number(chars, None, 16, 2).unwrap_or('x'),
        '0'..='7' => number(chars, c.to_digit(8), 8, 2).unwrap_or(c),
        other => other,
    })
}

fn control(c: char) -> char {
    match u8::try_from(c) {
        Ok(byte) => char::from(byte & 0x1f),
        Err(_) => c,
    }
}

fn number(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    first: Option<u32>,
    radix: u32,
    more: usize,
) -> Option<char> {
    let mut value = first;
    for _ in 0..more {
        let Some(digit) = chars.peek().and_then(|c| c.to_digit(radix)) else {
            break;
        };
        chars.next();
        value = Some(value.unwrap_or(0) * radix + digit);
    }
    // A NUL cannot stand in an argument.
    value.and_then(char::from_u32).filter(|&c| c != '\0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_command_is_split_again() {
        let command = parse(r#""killall -0 nginx" root adm"#).unwrap();
        assert_eq!(command.argv, ["killall", "-0", "nginx"]);
        assert_eq!(command.rest, ["root", "adm"]);
        assert_eq!(parse("/x/y.sh user").unwrap().argv, ["/x/y.sh"]);
        assert_eq!(parse("'killall -0 haproxy'").unwrap().argv.len(), 3);
        assert_eq!(parse("").unwrap(), Command::default());
    }

    #[test]
    fn inner_quotes_keep_blanks() {
        let command = parse(r#""/bin/sh -c 'a b' \\\"c d\\\"""#).unwrap();
        assert_eq!(command.argv, ["/bin/sh", "-c", "a b", "\"c", "d\""]);
    }

    #[test]
    fn escapes_are_those_of_c() {
        assert_eq!(split(r"\x41\102\t\q\cA").unwrap(), ["AB\tq\u{1}"]);
        assert_eq!(split(r"a\").unwrap(), ["a\\"]);
    }

    #[test]
    fn an_open_quote_is_an_error() {
        assert_eq!(parse("\"killall -0"), Err(Unterminated));
        assert_eq!(parse("\"a 'b\""), Err(Unterminated));
    }
}
