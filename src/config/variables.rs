//! What `$NAME` stands for: definitions of the file, and what is known without one.
//!
//! The rules are those of keepalived.conf(5), "Parameter substitution" and "Pre-defined definitions".
//! Nothing is replaced here; that is [`super::expand`]'s work.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::source::{FileId, Span};

/// A piece of text that is shared with where it came from.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub(super) buffer: Arc<String>,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) typed: Typed,
}

/// Where a text was typed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Typed {
    /// The buffer is this file.
    In(FileId),
    /// The text was put together out of what stands there.
    From(Span),
}

impl Text {
    pub(super) fn as_str(&self) -> &str {
        self.buffer.get(self.start..self.end).unwrap_or("")
    }

    /// The place of a part of it, in bytes of the buffer.
    pub(super) fn span(&self, start: usize, end: usize) -> Span {
        match self.typed {
            Typed::From(span) => span,
            Typed::In(file) => Span {
                file,
                start: u32::try_from(start).unwrap_or(u32::MAX),
                end: u32::try_from(end).unwrap_or(u32::MAX),
            },
        }
    }

    /// The place of all of it.
    pub(super) fn whole(&self) -> Span {
        self.span(self.start, self.end)
    }

    /// Without blanks at both ends.
    pub(super) fn trimmed(mut self) -> Text {
        let text = self.as_str();
        let before = text.len() - text.trim_start().len();
        let behind = text.len() - text.trim_end().len();
        self.start = (self.start + before).min(self.end);
        self.end = self.end.saturating_sub(behind).max(self.start);
        self
    }

    /// Without the last `bytes` bytes, which are whole characters.
    pub(super) fn shortened(mut self, bytes: usize) -> Text {
        self.end = self.end.saturating_sub(bytes).max(self.start);
        self
    }
}

/// How a variable came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `$NAME=value`.
    Defined,
    /// `~SEQ(NAME, ...)`.
    Loop,
}

/// What a name stands for.
#[derive(Clone, Debug)]
pub(super) struct Definition {
    pub(super) kind: Kind,
    /// One line, or several.
    pub(super) lines: Vec<Text>,
    /// Where it was defined.
    pub(super) at: Span,
}

/// All definitions, as they stand at one point of the file.
#[derive(Debug, Default)]
pub(super) struct Definitions {
    by_name: BTreeMap<String, Rc<Definition>>,
}

impl Definitions {
    pub(super) fn get(&self, name: &str) -> Option<&Rc<Definition>> {
        self.by_name.get(name)
    }

    /// Defines a name, or gives it another meaning from here on.
    pub(super) fn set(&mut self, name: &str, definition: Definition) {
        match self.by_name.get_mut(name) {
            Some(old) => *old = Rc::new(definition),
            None => {
                self.by_name.insert(name.to_owned(), Rc::new(definition));
            }
        }
    }
}

/// Whether a word may be the name of a variable.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(is_name_char)
}

pub(super) fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// What is known without a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Predefined {
    /// The directory of the file.
    Pwd,
    /// The config id.
    Instance,
    /// A number, `[MIN [MAX]]`.
    Random,
    /// A variable of the environment.
    Env,
    /// `#`, which does not begin a comment.
    Hash,
    /// `!`, likewise.
    Bang,
}

impl Predefined {
    pub(super) fn find(name: &str) -> Option<Predefined> {
        Some(match name {
            "_PWD" => Predefined::Pwd,
            "_INSTANCE" => Predefined::Instance,
            "_RANDOM" => Predefined::Random,
            "_ENV" => Predefined::Env,
            "_HASH" => Predefined::Hash,
            "_BANG" => Predefined::Bang,
            _ => return None,
        })
    }

    /// Whether words may stand behind its name in the braces.
    pub(super) const fn takes_words(self) -> bool {
        matches!(self, Predefined::Random | Predefined::Env)
    }
}

/// Numbers for `_RANDOM`: the same seed gives the same ones. Not for secrets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Random(u64);

/// The highest number that `_RANDOM` gives when none is named.
const RANDOM_MAX: u64 = 32_767;

impl Random {
    pub(super) const fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// A number for `[MIN [MAX]]`; `None` when those are no numbers or the wrong way round.
    pub(super) fn draw(&mut self, words: &str) -> Option<u64> {
        let mut bounds = [0, RANDOM_MAX];
        let mut words = words.split_whitespace();
        for (bound, word) in bounds.iter_mut().zip(&mut words) {
            *bound = u64::from(word.parse::<u32>().ok()?);
        }
        let [min, max] = bounds;
        if words.next().is_some() || min > max {
            return None;
        }
        Some(min + self.next() % (max - min + 1))
    }

    /// splitmix64 (Steele, Lea and Flood, 2014).
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers_in_their_range() {
        let drawn = |seed| {
            let mut random = Random::new(seed);
            (0..50).map(|_| random.draw("5 7")).collect::<Vec<_>>()
        };
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
        for n in 5..=7 {
            assert!(drawn(1).contains(&Some(n)), "{n}");
        }
        assert!(drawn(1).iter().all(|n| matches!(n, Some(5..=7))));
    }

    #[test]
    fn bounds_that_mean_nothing_draw_nothing() {
        let mut random = Random::new(0);
        for words in ["7 5", "x", "1 2 3", "-1", "40000"] {
            assert_eq!(random.draw(words), None, "{words}");
        }
        assert!(random.draw("").is_some_and(|n| n <= 32_767));
    }
}
