//! Words to values, by the types of the keyword table.

use std::net::IpAddr;
use std::time::Duration;

use crate::config::command::{self, Command};
use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::keywords::{Arguments, Invalid, Keyword, Type};
use crate::config::model::settings::Setting;
use crate::config::model::{Run, ScriptUser};
use crate::config::suggest::nearest;
use crate::config::tree::Word;
use crate::net::InterfaceName;

use super::context::{Context, Line, wants_value};

/// What stood behind a keyword.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Nothing; or words that the area reads itself.
    None,
    Bool(bool),
    Integer(i64),
    Seconds(Duration),
    Choice(&'static str),
    Address(IpAddr),
    Interface(InterfaceName),
    Text(String),
    Command(Command),
}

impl Value {
    /// Its text, if it is one.
    pub(super) fn text(self) -> String {
        match self {
            Value::Text(text) => text,
            _ => String::new(),
        }
    }

    /// Whether a keyword that may say no says yes.
    pub(super) fn is_true(&self) -> bool {
        !matches!(self, Value::Bool(false))
    }

    /// As a number that fits; the table's range made sure that it does.
    pub(super) fn number<T: TryFrom<i64>>(&self) -> Option<T> {
        match self {
            Value::Integer(n) => T::try_from(*n).ok(),
            _ => None,
        }
    }

    pub(super) fn seconds(&self) -> Option<Duration> {
        match self {
            Value::Seconds(duration) => Some(*duration),
            _ => None,
        }
    }

    pub(super) fn address(&self) -> Option<IpAddr> {
        match self {
            Value::Address(address) => Some(*address),
            _ => None,
        }
    }
}

/// How far a number could be read.
enum Read<T> {
    /// To its end.
    All(T),
    /// Up to something else.
    Start(T),
    /// Not at all.
    Nothing,
}

impl Context<'_> {
    /// Reads what stands behind a keyword. `None`: it was said why, and the line is left out.
    pub(super) fn value(&mut self, line: &Line<'_>) -> Option<Value> {
        let Some(first) = line.args.first() else {
            if wants_value(line.row.arguments) {
                self.missing_value(line);
                return None;
            }
            return Some(Value::None);
        };
        if let Arguments::Words(min, _) = line.row.arguments
            && line.args.len() < min
        {
            self.missing_value(line);
            return None;
        }
        self.extra_words(line);
        match line.row.arguments {
            Arguments::None | Arguments::Words(..) => Some(Value::None),
            Arguments::Bool => self.boolean(first, line.row),
            Arguments::One(kind) | Arguments::Optional(kind) => self.typed(first, kind, line.row),
            Arguments::Command => self.command(line),
        }
    }

    fn missing_value(&mut self, line: &Line<'_>) {
        let name = self.raw(line.span);
        let message = format!("`{name}` needs a value");
        let mut missing = Diagnostic::error(Code::MissingValue, line.span, message)
            .label("nothing stands behind it")
            .note("keepalived would end here");
        if let Arguments::One(kind) = line.row.arguments {
            missing = missing.hint(format!("give it {}", expected(kind)));
        }
        self.say(missing);
    }

    fn extra_words(&mut self, line: &Line<'_>) {
        let max = match line.row.arguments {
            Arguments::None => 0,
            Arguments::Bool | Arguments::One(_) | Arguments::Optional(_) => 1,
            Arguments::Words(_, max) => max,
            Arguments::Command => return,
        };
        let (Some(first), Some(last)) = (line.args.get(max), line.args.last()) else {
            return;
        };
        let name = self.raw(line.span);
        let message = match max {
            0 => format!("`{name}` takes no value"),
            1 => format!("`{name}` takes one value"),
            max => format!("`{name}` takes {max} values"),
        };
        let span = first.span.to(last.span);
        self.say(
            Diagnostic::warning(Code::ExtraWords, span, message)
                .label("ignored, as keepalived ignores it"),
        );
    }

    fn boolean(&mut self, word: &Word, row: &Keyword) -> Option<Value> {
        let text = self.text(word);
        match text.as_ref() {
            "on" | "true" | "yes" => Some(Value::Bool(true)),
            "off" | "false" | "no" => Some(Value::Bool(false)),
            _ => {
                let message = format!("`{}` wants on or off, not `{text}`", row.name);
                self.invalid(word, row, Code::InvalidValue, message, None);
                None
            }
        }
    }

    fn typed(&mut self, word: &Word, kind: Type, row: &Keyword) -> Option<Value> {
        let text = self.text(word);
        match kind {
            Type::Text => Some(Value::Text(text.into_owned())),
            Type::Integer(min, max) => self.integer(word, min, max, row).map(Value::Integer),
            Type::Seconds(min, max) => self.seconds(word, min, max, row).map(Value::Seconds),
            Type::Millis(min, max) => self.millis(word, min, max, row).map(Value::Seconds),
            Type::Choice(words) => match words.iter().find(|&&w| w == text) {
                Some(found) => Some(Value::Choice(found)),
                None => {
                    let message = format!("`{}` wants {}, not `{text}`", row.name, list(words));
                    let upper = text.to_uppercase();
                    let near = match words.iter().find(|&&w| w == upper) {
                        Some(same) => Some(*same),
                        None => nearest(&text, words.iter().copied()),
                    };
                    self.invalid(word, row, Code::InvalidValue, message, near);
                    None
                }
            },
            Type::Address => self.address(word).map(Value::Address),
            Type::Interface => self.interface(word).map(Value::Interface),
        }
    }

    /// Says that a value is not what its row wants: a warning when the default holds then.
    fn invalid(
        &mut self,
        word: &Word,
        row: &Keyword,
        code: Code,
        message: String,
        near: Option<&str>,
    ) {
        let span = word.span;
        let hint = near.map(|near| format!("did you mean `{near}`?"));
        self.say(match row.invalid {
            Invalid::Error => Diagnostic::error(code, span, message).hint(hint),
            Invalid::KeepDefault => Diagnostic::warning(code, span, message)
                .label(match row.default {
                    "" => "the line is left out".to_owned(),
                    default => format!("the line is left out, so the default holds: {default}"),
                })
                .note("keepalived does the same")
                .hint(hint),
        });
    }

    /// A whole number within a range.
    pub(super) fn integer(
        &mut self,
        word: &Word,
        min: i64,
        max: i64,
        row: &Keyword,
    ) -> Option<i64> {
        let text = self.text(word);
        let number = match read_integer(&text) {
            Read::All(number) => number,
            Read::Start(number) if (min..=max).contains(&number) => {
                self.say_start(word, &text, &number.to_string());
                number
            }
            Read::Start(number) => number,
            Read::Nothing => {
                self.not_a_value(word, Type::Integer(min, max), row);
                return None;
            }
        };
        if (min..=max).contains(&number) {
            return Some(number);
        }
        let message = format!("`{}` must be {min} to {max}, not {number}", row.name);
        self.invalid(word, row, Code::OutOfRange, message, None);
        None
    }

    fn seconds(&mut self, word: &Word, min: u64, max: u64, row: &Keyword) -> Option<Duration> {
        let text = self.text(word);
        let micros = match read_seconds(&text) {
            Read::All(micros) => micros,
            Read::Start(micros) => {
                let read = Duration::from_micros(micros).as_secs_f64().to_string();
                self.say_start(word, &text, &read);
                micros
            }
            Read::Nothing => {
                self.not_a_value(word, Type::Seconds(min, max), row);
                return None;
            }
        };
        if (min..=max).contains(&micros) {
            return Some(Duration::from_micros(micros));
        }
        let message = format!("`{}` must be {}, not {text}", row.name, range(min, max));
        self.invalid(word, row, Code::OutOfRange, message, None);
        None
    }

    /// Decimal milliseconds. keepalived leaves the line out when anything stands behind the number.
    fn millis(&mut self, word: &Word, min: u64, max: u64, row: &Keyword) -> Option<Duration> {
        let text = self.text(word);
        let Read::All(nanos) = read_seconds(&text) else {
            self.not_a_value(word, Type::Millis(min, max), row);
            return None;
        };
        let micros = nanos / 1000;
        if (min..=max).contains(&micros) {
            return Some(Duration::from_micros(micros));
        }
        let (least, most) = (in_millis(min), in_millis(max));
        let message = format!("`{}` must be {least} to {most}, not {text}", row.name);
        self.invalid(word, row, Code::OutOfRange, message, None);
        None
    }

    fn say_start(&mut self, word: &Word, text: &str, read: &str) {
        let message = format!("`{text}` is read as {read}");
        self.say(
            Diagnostic::warning(Code::InvalidValue, word.span, message)
                .note("keepalived reads the same"),
        );
    }

    fn not_a_value(&mut self, word: &Word, kind: Type, row: &Keyword) {
        let text = self.text(word);
        let message = format!("`{}` wants {}, not `{text}`", row.name, expected(kind));
        self.say(Diagnostic::error(Code::InvalidValue, word.span, message));
    }

    /// An address without a prefix.
    pub(super) fn address(&mut self, word: &Word) -> Option<IpAddr> {
        let text = self.text(word);
        let parsed = text.parse().ok();
        if parsed.is_none() {
            let message = format!("`{text}` is not an IP address");
            self.say(Diagnostic::error(Code::InvalidValue, word.span, message));
        }
        parsed
    }

    /// The name of an interface, which is remembered.
    pub(super) fn interface(&mut self, word: &Word) -> Option<InterfaceName> {
        let text = self.text(word);
        match text.parse::<InterfaceName>() {
            Ok(name) => {
                self.saw_interface(&name, word.span);
                Some(name)
            }
            Err(why) => {
                let message = format!("`{text}` cannot be an interface: {why}");
                self.say(Diagnostic::error(Code::InvalidValue, word.span, message));
                None
            }
        }
    }

    fn command(&mut self, line: &Line<'_>) -> Option<Value> {
        let span = line.args_span();
        match command::parse(self.raw(span)) {
            Ok(command) => Some(Value::Command(command)),
            Err(command::Unterminated) => {
                // Of a double quote the lexer spoke already.
                if !self.open_double_quote(line) {
                    self.say(
                        Diagnostic::error(
                            Code::UnterminatedQuote,
                            span,
                            "a quote in this command is never closed",
                        )
                        .note("keepalived crashes here"),
                    );
                }
                None
            }
        }
    }

    fn open_double_quote(&self, line: &Line<'_>) -> bool {
        line.args.iter().any(|word| {
            let raw = self.raw(word.span);
            word.quoted && (raw.len() < 2 || !raw.ends_with('"'))
        })
    }

    /// What stood behind a keyword, for a field of its name.
    pub(super) fn setting(&self, line: &Line<'_>, value: &Value) -> Setting {
        match value {
            Value::None if line.row.arguments == Arguments::None => Setting::Present,
            Value::None if line.args.is_empty() => Setting::Present,
            Value::None => {
                let words = line.args.iter();
                Setting::Words(words.map(|word| self.text(word).into_owned()).collect())
            }
            Value::Bool(on) => Setting::Bool(*on),
            Value::Integer(number) => Setting::Integer(*number),
            Value::Seconds(time) => Setting::Time(*time),
            Value::Choice(word) => Setting::Text((*word).to_owned()),
            Value::Address(address) => Setting::Address(*address),
            Value::Interface(name) => Setting::Interface(name.clone()),
            Value::Text(text) => Setting::Text(text.clone()),
            Value::Command(command) => Setting::Run(run(command)),
        }
    }

    /// `NAME [GROUP]`.
    pub(super) fn user(&mut self, line: &Line<'_>) -> Option<ScriptUser> {
        let user = self.text(line.args.first()?).into_owned();
        let group = line.args.get(1).map(|word| self.text(word).into_owned());
        Some(ScriptUser { user, group })
    }
}

/// A command with who runs it.
fn run(command: &Command) -> Run {
    let mut behind = command.rest.iter().cloned();
    Run {
        argv: command.argv.clone(),
        user: behind.next().map(|user| ScriptUser {
            user,
            group: behind.next(),
        }),
    }
}

fn expected(kind: Type) -> String {
    match kind {
        Type::Integer(min, max) => format!("a whole number from {min} to {max}"),
        Type::Seconds(min, max) => format!("seconds, {}", range(min, max)),
        Type::Millis(min, max) => {
            format!("milliseconds, {} to {}", in_millis(min), in_millis(max))
        }
        Type::Choice(words) => list(words),
        Type::Address => "an IP address".to_owned(),
        Type::Interface => "the name of an interface".to_owned(),
        Type::Text => "a word".to_owned(),
    }
}

/// Microseconds in milliseconds.
fn in_millis(micros: u64) -> String {
    (Duration::from_micros(micros).as_secs_f64() * 1000.0).to_string()
}

/// A range of microseconds, in seconds.
fn range(min: u64, max: u64) -> String {
    let seconds = |micros| Duration::from_micros(micros).as_secs_f64();
    format!("{} to {}", seconds(min), seconds(max))
}

/// `a, b or c`.
fn list(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// Digits with a sign perhaps, as strtol(3) reads them; too many of them stand for the largest number.
fn read_integer(text: &str) -> Read<i64> {
    let digits_at = usize::from(text.starts_with(['+', '-']));
    let digits = text.get(digits_at..).unwrap_or("");
    let count = digits.bytes().take_while(u8::is_ascii_digit).count();
    if count == 0 {
        return Read::Nothing;
    }
    let (number, junk) = text.split_at(digits_at + count);
    let saturated = match number.starts_with('-') {
        true => i64::MIN,
        false => i64::MAX,
    };
    let number = number.parse().unwrap_or(saturated);
    match junk.is_empty() {
        true => Read::All(number),
        false => Read::Start(number),
    }
}

/// Decimal seconds in microseconds; further digits are cut.
fn read_seconds(text: &str) -> Read<u64> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let whole = text.bytes().take_while(u8::is_ascii_digit).count();
    let (seconds, rest) = text.split_at(whole);
    let (fraction, junk) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count()),
        None => ("", rest),
    };
    if seconds.is_empty() && fraction.is_empty() {
        return Read::Nothing;
    }
    let micros = fraction
        .bytes()
        .chain(std::iter::repeat(b'0'))
        .take(6)
        .fold(0u64, |n, digit| n * 10 + u64::from(digit - b'0'));
    let seconds = match seconds {
        "" => 0,
        digits => digits.parse().unwrap_or(u64::MAX),
    };
    let total = seconds.saturating_mul(1_000_000).saturating_add(micros);
    match junk.is_empty() {
        true => Read::All(total),
        false => Read::Start(total),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_as_far_as_they_go() {
        assert!(matches!(read_integer("-20"), Read::All(-20)));
        assert!(matches!(read_integer("+5x"), Read::Start(5)));
        assert!(matches!(read_integer("x5"), Read::Nothing));
        assert!(matches!(read_integer("-"), Read::Nothing));
        assert!(matches!(
            read_integer("99999999999999999999"),
            Read::All(i64::MAX)
        ));
    }

    #[test]
    fn seconds_have_microseconds() {
        assert!(matches!(read_seconds("1"), Read::All(1_000_000)));
        assert!(matches!(read_seconds("0.25"), Read::All(250_000)));
        assert!(matches!(read_seconds(".0000019"), Read::All(1)));
        assert!(matches!(read_seconds("3s"), Read::Start(3_000_000)));
        assert!(matches!(read_seconds("-1"), Read::Nothing));
        assert!(matches!(read_seconds("."), Read::Nothing));
        assert!(matches!(
            read_seconds("99999999999999999999"),
            Read::All(u64::MAX)
        ));
    }
}
