//! Loops: `~SEQ(...) rest` and `~LST(...) rest` read `rest` again for each value.

use std::sync::Arc;

use super::input::Input;
use super::replace::Replaced;
use super::{Expander, LINE_BYTES_MAX, Line, WORD_CHARS_MAX};
use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::sequence::{self, LoopKind, Turns};
use crate::config::source::Span;
use crate::config::source::expansion::{Binding, Cause};
use crate::config::variables::{Definition, Kind, Text, Typed};

impl Expander<'_, '_> {
    /// `~SEQ(...) rest` and `~LST(...) rest`.
    pub(super) fn repeat(&mut self, input: &mut Input, line: &Line) {
        let typed: usize = input.ahead().take_while(|&c| c != ')').count() + 1;
        let head = input.span(typed).unwrap_or(self.here);
        let parsed = self.loop_head(input);
        if self.reader.state.stopped {
            return;
        }
        let (text, turns) = match parsed {
            Ok(parsed) => parsed,
            Err(why) => {
                let message = format!("this loop cannot be understood: {why}");
                let hint = "write `~SEQ(NAME, START, END)` or `~LST(NAME, VALUE, VALUE)` before \
                            what is to be repeated";
                let problem = Diagnostic::error(Code::InvalidValue, head, message)
                    .note("keepalived would leave the line out");
                self.say(problem.hint(hint.to_owned()), input);
                return;
            }
        };
        let head_text: Arc<str> = text.into();
        let parent = input.frame();
        let mut index = 0;
        while let Some(values) = turns.turn(index) {
            index += 1;
            self.set_loop_variables(&turns, &values, head);
            let pairs = turns.names().iter().zip(&values);
            let pairs: Vec<String> = pairs.map(|(n, v)| format!("{n} = {v}")).collect();
            let binding = Binding {
                head: Arc::clone(&head_text),
                values: pairs.join(", "),
            };
            let cause = Cause::Turn { head, binding };
            let frame = self.reader.sources.expansion.frame(parent, cause);
            let mut rest = input.clone();
            rest.set_frame(frame);
            self.line(rest, Line::new(line.own, line.depth + 1));
            if self.reader.state.stopped {
                return;
            }
        }
    }

    fn set_loop_variables(&mut self, turns: &Turns, values: &[String], head: Span) {
        for (name, value) in turns.names().iter().zip(values) {
            let definition = Definition {
                kind: Kind::Loop,
                lines: vec![Text {
                    buffer: Arc::new(value.clone()),
                    start: 0,
                    end: value.len(),
                    typed: Typed::From(head),
                }],
                at: head,
            };
            self.reader.state.definitions.set(name, definition);
        }
    }

    /// Reads `~SEQ(...)`: what it says, and what it means. Variables in a `~SEQ` count; in the values of
    /// a `~LST` they are replaced where those are used.
    fn loop_head(&mut self, input: &mut Input) -> Result<(String, Turns), String> {
        let blank = |c: char| c.is_ascii_whitespace();
        let word: String = input
            .ahead()
            .take(WORD_CHARS_MAX)
            .take_while(|&c| c != '(' && !blank(c))
            .collect();
        let kind = LoopKind::find(&word).ok_or_else(|| format!("`{word}` is no kind of loop"))?;
        input.skip(word.chars().count());
        input.skip_while(blank);
        if input.peek() != Some('(') {
            return Err("no `(` follows".to_owned());
        }
        input.skip(1);
        let mut inside = String::new();
        loop {
            match input.peek() {
                None => return Err("its `)` is missing".to_owned()),
                Some(')') => break,
                Some('$') if kind != LoopKind::List => {
                    let replaced = self.replace(input, false, &mut Vec::new());
                    if self.reader.state.stopped {
                        return Err("it never ends".to_owned());
                    }
                    if replaced == Replaced::Yes {
                        continue;
                    }
                }
                Some(_) => {}
            }
            if inside.len() > LINE_BYTES_MAX {
                return Err("it is too long".to_owned());
            }
            inside.extend(input.peek());
            input.skip(1);
        }
        input.skip(1);
        let turns = sequence::parse(kind, &inside)?;
        Ok((format!("{word}({inside})"), turns))
    }
}
