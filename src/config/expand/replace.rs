//! One use of a variable: `$NAME` before a blank, a comma, a `)` or the end of the line, or `${NAME}`.

use std::borrow::Cow;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use super::input::{Fragment, Input};
use super::{DEPTH_MAX, Expander, WORD_CHARS_MAX};
use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::source::Span;
use crate::config::source::expansion::{Cause, FrameId};
use crate::config::variables::{Definition, Kind, Predefined, Text, Typed, is_name, is_name_char};

/// How many variables may be replaced on one line, and in all.
const ON_A_LINE_MAX: usize = 10_000;
const IN_ALL_MAX: usize = 5_000_000;

/// What became of a `$`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replaced {
    /// Its value comes next.
    Yes,
    /// It and what belongs to it stand for themselves.
    No {
        /// From the `$`.
        chars: usize,
    },
}

/// What stands behind a `$`.
struct Use {
    name: String,
    /// Behind the name in the braces.
    words: String,
    /// All of it, from the `$`.
    chars: usize,
    /// What follows where nothing may, for a use without braces.
    disturbed_by: Option<char>,
}

impl Expander<'_, '_> {
    /// Replaces the variable that comes next, if it is one. Where it stands for several lines, the
    /// others are put into `pending`.
    pub(super) fn replace(
        &mut self,
        input: &mut Input,
        quoted: bool,
        pending: &mut Vec<(Rc<Definition>, FrameId)>,
    ) -> Replaced {
        let Some(found) = find(input) else {
            return Replaced::No {
                chars: literal(input),
            };
        };
        let kept = Replaced::No { chars: found.chars };
        let definition = self.reader.state.definitions.get(&found.name).cloned();
        if definition.is_none() && Predefined::find(&found.name).is_none() {
            return kept;
        }
        if let Some(c) = found.disturbed_by {
            self.not_replaced(input, &found, &format!("`{c}` follows"));
            return Replaced::No { chars: 1 };
        }
        let replaced = match definition {
            Some(definition) if found.words.is_empty() => {
                self.defined(input, &found, &definition, quoted, pending)
            }
            Some(_) => false,
            None => self.predefined(input, &found, quoted),
        };
        if !replaced {
            return kept;
        }
        self.count(input);
        Replaced::Yes
    }

    fn defined(
        &mut self,
        input: &mut Input,
        found: &Use,
        definition: &Rc<Definition>,
        quoted: bool,
        pending: &mut Vec<(Rc<Definition>, FrameId)>,
    ) -> bool {
        let Some(first) = definition.lines.first() else {
            return false;
        };
        let parent = input.frame();
        let used = input.span(found.chars).unwrap_or(self.here);
        let several = definition.lines.len() > 1;
        if several && input.ahead().skip(found.chars).any(|c| !c.is_whitespace()) {
            self.not_replaced(
                input,
                found,
                "it has several lines, and something follows it",
            );
            return false;
        }
        let name = found.name.clone();
        let expansion = &mut self.reader.sources.expansion;
        input.skip(found.chars);
        if several {
            let frame = expansion.frame(parent, Cause::Lines { name, used });
            input.push(Fragment::typed(first.clone(), frame));
            pending.push((Rc::clone(definition), frame));
            return true;
        }
        let frame = match definition.kind {
            Kind::Loop => parent,
            Kind::Defined => {
                let definition = definition.at;
                expansion.frame(parent, Cause::Value { name, definition })
            }
        };
        let value = match unescaped(first.as_str(), quoted) {
            Cow::Borrowed(_) => first.clone(),
            Cow::Owned(value) => text(&value, used),
        };
        input.push(Fragment::value(value, used, frame));
        true
    }

    fn predefined(&mut self, input: &mut Input, found: &Use, quoted: bool) -> bool {
        let Some(which) = Predefined::find(&found.name) else {
            return false;
        };
        if !found.words.is_empty() && !which.takes_words() {
            return false;
        }
        let value = match which {
            Predefined::Pwd => {
                let directory = self.path.parent().unwrap_or(Path::new(""));
                let directory = self.reader.files.absolute(directory);
                Ok(directory.to_string_lossy().into_owned())
            }
            Predefined::Instance => Ok(self.reader.options.config_id.clone()),
            Predefined::Random => self
                .reader
                .state
                .random
                .draw(&found.words)
                .map(|number| number.to_string())
                .ok_or_else(|| "it takes `[MIN [MAX]]`".to_owned()),
            Predefined::Env => {
                let value = self.reader.files.variable(&found.words);
                let missing = || format!("`{}` is not set in the environment", found.words);
                value.ok_or_else(missing)
            }
            // The backslash goes away with all others.
            Predefined::Hash => Ok(if quoted { "#" } else { "\\#" }.to_owned()),
            Predefined::Bang => Ok(if quoted { "!" } else { "\\!" }.to_owned()),
        };
        let used = input.span(found.chars).unwrap_or(self.here);
        let value = match value {
            Ok(value) => value,
            Err(why) => {
                let message = format!("`${}` has no value here: {why}", found.name);
                self.say(Diagnostic::error(Code::UnknownName, used, message), input);
                String::new()
            }
        };
        let parent = input.frame();
        let cause = Cause::Predefined {
            name: found.name.clone(),
            value: value.clone(),
        };
        let frame = self.reader.sources.expansion.frame(parent, cause);
        input.skip(found.chars);
        input.push(Fragment::value(text(&value, used), used, frame));
        true
    }

    fn count(&mut self, input: &Input) {
        let state = &mut self.reader.state;
        state.replaced += 1;
        state.replaced_here += 1;
        if state.replaced > IN_ALL_MAX {
            self.stop(format!("more than {IN_ALL_MAX} variables are replaced"));
        } else if state.replaced_here > ON_A_LINE_MAX {
            self.stop(format!(
                "more than {ON_A_LINE_MAX} variables are replaced on one line"
            ));
        } else if input.depth() > DEPTH_MAX {
            self.too_deep();
        }
    }

    /// Says that a name which is defined stands for itself, once for each place.
    fn not_replaced(&mut self, input: &Input, found: &Use, why: &str) {
        let span = input.span(found.chars);
        if !self.reader.state.not_replaced.insert(span) {
            return;
        }
        let message = format!("`${}` is not replaced here: {why}", found.name);
        let mut problem = Diagnostic::warning(Code::InvalidValue, span, message);
        if found.disturbed_by.is_some() {
            problem = problem.hint(format!("write `${{{}}}`", found.name));
        }
        self.say(problem, input);
    }
}

fn text(value: &str, used: Span) -> Text {
    Text {
        buffer: Arc::new(value.to_owned()),
        start: 0,
        end: value.len(),
        typed: Typed::From(used),
    }
}

/// A value where quotes make comment signs plain anyway.
fn unescaped(value: &str, quoted: bool) -> Cow<'_, str> {
    if quoted && (value.contains("\\#") || value.contains("\\!")) {
        return Cow::Owned(value.replace("\\#", "#").replace("\\!", "!"));
    }
    Cow::Borrowed(value)
}

/// The use of a variable that begins with the next character.
fn find(input: &Input) -> Option<Use> {
    let mut ahead = input.ahead().skip(1).peekable();
    if ahead.next_if_eq(&'{').is_some() {
        let inside: String = ahead
            .by_ref()
            .take(WORD_CHARS_MAX)
            .take_while(|&c| c != '}')
            .collect();
        let chars = inside.chars().count() + 3;
        let closed = input.ahead().nth(chars - 1) == Some('}');
        let (name, words) = inside.split_once([' ', '\t']).unwrap_or((&inside, ""));
        return (closed && is_name(name)).then(|| Use {
            name: name.to_owned(),
            words: words.trim().to_owned(),
            chars,
            disturbed_by: None,
        });
    }
    let mut name = String::new();
    while let Some(c) = ahead.next_if(|&c| is_name_char(c) && name.len() < WORD_CHARS_MAX) {
        name.push(c);
    }
    let ends = |c: &char| c.is_ascii_whitespace() || matches!(c, ',' | ')');
    is_name(&name).then(|| Use {
        chars: name.len() + 1,
        disturbed_by: ahead.next().filter(|c| !ends(c)),
        words: String::new(),
        name,
    })
}

/// How many characters stand for themselves from a `$` on that is no variable: with braces, up to
/// where those close, so that they are no block.
fn literal(input: &Input) -> usize {
    let mut ahead = input.ahead().skip(1);
    if ahead.next() != Some('{') {
        return 1;
    }
    let inside = ahead.clone().take(WORD_CHARS_MAX);
    let inside = inside.take_while(|&c| !c.is_whitespace() && !matches!(c, '{' | '}' | '"' | '$'));
    let length = inside.count();
    match (length, ahead.nth(length)) {
        (1.., Some('}')) => length + 3,
        _ => 1,
    }
}
