//! What is left of a line while it is read: typed text, and in front of it the values that stand for
//! variables in it.

use std::sync::Arc;

use crate::config::source::Span;
use crate::config::source::expansion::{FrameId, Origin};
use crate::config::variables::{Text, Typed};

/// Some of it, from one place.
#[derive(Clone, Debug)]
pub(super) struct Fragment {
    text: Text,
    /// How far it was read, in bytes of its buffer.
    at: usize,
    pub(super) frame: FrameId,
    /// What was typed for all of it, where that is not the text itself.
    stands_for: Option<Span>,
}

impl Fragment {
    pub(super) fn typed(text: Text, frame: FrameId) -> Fragment {
        let stands_for = match text.typed {
            Typed::In(_) => None,
            Typed::From(span) => Some(span),
        };
        Fragment {
            at: text.start,
            text,
            frame,
            stands_for,
        }
    }

    /// A value that stands for `used`.
    pub(super) fn value(text: Text, used: Span, frame: FrameId) -> Fragment {
        Fragment {
            at: text.start,
            text,
            frame,
            stands_for: Some(used),
        }
    }

    fn rest(&self) -> &str {
        self.text.buffer.get(self.at..self.text.end).unwrap_or("")
    }

    /// What was typed for its next bytes.
    fn origin(&self, bytes: usize) -> Origin {
        match self.stands_for {
            Some(span) => Origin::Stands(span),
            None => Origin::Copy(self.text.span(self.at, self.at + bytes)),
        }
    }
}

/// Fragments, the next one last. Used up ones stay until more is read, so that their number bounds
/// how deep values stand in values.
#[derive(Clone, Debug)]
pub(super) struct Input {
    stack: Vec<Fragment>,
}

impl Input {
    pub(super) fn new(fragment: Fragment) -> Input {
        Input {
            stack: vec![fragment],
        }
    }

    /// Puts a value in front.
    pub(super) fn push(&mut self, fragment: Fragment) {
        self.stack.push(fragment);
    }

    pub(super) fn depth(&self) -> usize {
        self.stack.len()
    }

    /// The next character.
    pub(super) fn peek(&self) -> Option<char> {
        self.ahead().next()
    }

    /// All characters that are left.
    pub(super) fn ahead(&self) -> impl Iterator<Item = char> + Clone + '_ {
        self.stack.iter().rev().flat_map(|f| f.rest().chars())
    }

    /// Reads `count` characters away.
    pub(super) fn skip(&mut self, count: usize) {
        for _ in 0..count {
            self.settle();
            if let Some(fragment) = self.stack.last_mut() {
                fragment.at += fragment.rest().chars().next().map_or(0, char::len_utf8);
            }
        }
    }

    pub(super) fn skip_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&wanted) {
            self.skip(1);
        }
    }

    /// Reads from the first fragment as long as `wanted`: the text, what was typed for it, its frame.
    pub(super) fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> Option<Taken> {
        self.settle();
        let fragment = self.stack.last_mut()?;
        let rest = fragment.rest();
        let bytes = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        Some(fragment.take(bytes))
    }

    /// Reads one character.
    pub(super) fn take_one(&mut self) -> Option<Taken> {
        self.settle();
        let fragment = self.stack.last_mut()?;
        let bytes = fragment.rest().chars().next()?.len_utf8();
        Some(fragment.take(bytes))
    }

    /// Takes used up fragments away.
    pub(super) fn settle(&mut self) {
        while self.stack.len() > 1 && self.stack.last().is_some_and(|f| f.rest().is_empty()) {
            self.stack.pop();
        }
    }

    /// The fragment that is read next, even when values before it are used up.
    fn next(&self) -> Option<&Fragment> {
        let mut left = self.stack.iter().rev().filter(|f| !f.rest().is_empty());
        left.next().or(self.stack.first())
    }

    pub(super) fn frame(&self) -> FrameId {
        self.next().map_or(FrameId::FILE, |fragment| fragment.frame)
    }

    /// Puts all that is left into a frame.
    pub(super) fn set_frame(&mut self, frame: FrameId) {
        for fragment in &mut self.stack {
            fragment.frame = frame;
        }
    }

    /// What was typed for the next `chars` characters.
    pub(super) fn span(&self, chars: usize) -> Option<Span> {
        let fragment = self.next()?;
        let bytes = fragment
            .rest()
            .chars()
            .take(chars)
            .map(char::len_utf8)
            .sum();
        Some(match fragment.origin(bytes) {
            Origin::Copy(span) | Origin::Stands(span) => span,
        })
    }

    /// Where the next character stands in the typed text, if all that is left stands there.
    pub(super) fn typed_at(&self) -> Option<usize> {
        let [fragment] = self.stack.as_slice() else {
            return None;
        };
        (fragment.stands_for.is_none() && fragment.frame == FrameId::FILE).then_some(fragment.at)
    }

    /// All that is left as one text, without blanks around it.
    pub(super) fn remainder(mut self) -> Option<Text> {
        self.settle();
        let span = self.span(usize::MAX)?;
        if self.stack.iter().rev().skip(1).all(|f| f.rest().is_empty()) {
            let fragment = self.stack.pop()?;
            let mut text = fragment.text;
            text.start = fragment.at;
            if let Some(used) = fragment.stands_for {
                text.typed = Typed::From(used);
            }
            return Some(text.trimmed());
        }
        let text = Arc::new(self.ahead().collect::<String>());
        let whole = Text {
            start: 0,
            end: text.len(),
            buffer: text,
            typed: Typed::From(span),
        };
        Some(whole.trimmed())
    }
}

impl Fragment {
    fn take(&mut self, bytes: usize) -> Taken {
        let start = self.at;
        let origin = self.origin(bytes);
        self.at += bytes;
        Taken {
            buffer: Arc::clone(&self.text.buffer),
            start,
            end: self.at,
            origin,
            frame: self.frame,
        }
    }
}

/// Text that was read.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    buffer: Arc<String>,
    start: usize,
    end: usize,
    pub(super) origin: Origin,
    pub(super) frame: FrameId,
}

impl Taken {
    pub(super) fn as_str(&self) -> &str {
        self.buffer.get(self.start..self.end).unwrap_or("")
    }
}
