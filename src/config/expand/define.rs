//! Definitions as they are read: `$NAME=value`, and further lines after a backslash.

use super::Expander;
use super::WORD_CHARS_MAX;
use super::input::Input;
use crate::config::variables::{Definition, Kind, Text, is_name, is_name_char};

/// A definition of which more lines follow.
pub(super) struct OpenDefinition {
    name: String,
    definition: Definition,
}

impl Expander<'_, '_> {
    /// `$NAME=value`.
    pub(super) fn define(&mut self, input: &mut Input, name: String, chars: usize) {
        let start = input.span(chars);
        input.skip(chars);
        let Some(mut value) = input.clone().remainder() else {
            return;
        };
        if self.continues && value.as_str().ends_with('\\') {
            value = value.shortened(1).trimmed();
        }
        let at = start.map_or_else(|| value.whole(), |start| start.to(value.whole()));
        let definition = Definition {
            kind: Kind::Defined,
            lines: vec![value],
            at,
        };
        if self.continues {
            self.open = Some(OpenDefinition { name, definition });
        } else {
            self.reader.state.definitions.set(&name, definition);
        }
    }

    /// A further line of a definition. A comment is left out, an empty line ends it.
    pub(super) fn continuation(&mut self, line: &str, text: Text) {
        let only_comment = text.as_str().is_empty();
        if line.trim().is_empty() {
            self.close_definition();
            return;
        }
        if only_comment {
            return;
        }
        let text = match text.as_str().ends_with('\\') {
            true => text.shortened(1).trimmed(),
            false => text,
        };
        if let Some(open) = &mut self.open {
            open.definition.lines.push(text);
        }
        if !self.continues {
            self.close_definition();
        }
    }

    pub(super) fn close_definition(&mut self) {
        let Some(OpenDefinition {
            name,
            mut definition,
        }) = self.open.take()
        else {
            return;
        };
        let first = definition.lines.first().map_or("", Text::as_str);
        if first.is_empty() && definition.lines.len() > 1 {
            definition.lines.remove(0);
        }
        self.reader.state.definitions.set(&name, definition);
    }
}

/// The name that a line defines, and how many characters `$NAME=` has.
pub(super) fn defined_name(input: &Input) -> Option<(String, usize)> {
    let mut chars = input.ahead().skip(1);
    let mut name = String::new();
    let behind = loop {
        match chars.next() {
            Some(c) if is_name_char(c) && name.len() < WORD_CHARS_MAX => name.push(c),
            other => break other,
        }
    };
    let names = behind == Some('=') && is_name(&name);
    let chars = name.len() + 2;
    names.then_some((name, chars))
}
