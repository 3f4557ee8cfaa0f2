//! The text that definitions and loops made, with the way back to what was typed.
//!
//! It is one text for all files, addressed by spans of [`FileId::EXPANSION`]. Each piece of it knows
//! the typed text it came from and the frame it was made in; frames nest.

use std::sync::Arc;

use super::{FileId, Span};

/// Which frame; the first one is that of the files themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::config) struct FrameId(u32);

impl FrameId {
    /// Outside all expansions.
    pub(in crate::config) const FILE: FrameId = FrameId(0);
}

/// Why a piece of text is there.
#[derive(Clone, Debug)]
pub(in crate::config) struct Frame {
    pub(in crate::config) parent: FrameId,
    pub(in crate::config) cause: Cause,
}

#[derive(Clone, Debug)]
pub(in crate::config) enum Cause {
    /// `$NAME` stands for a value.
    Value { name: String, definition: Span },
    /// `$NAME` stands for what vipd knows.
    Predefined { name: String, value: String },
    /// `$NAME` stands for several lines; `used` is where.
    Lines { name: String, used: Span },
    /// One turn of `~SEQ(...)` or `~LST(...)`.
    Turn { head: Span, binding: Binding },
}

/// What a turn sets.
#[derive(Clone, Debug)]
pub(in crate::config) struct Binding {
    /// `~SEQ(i, 1, 9)`.
    pub(in crate::config) head: Arc<str>,
    /// `i = 7`.
    pub(in crate::config) values: String,
}

/// How a piece of text relates to what was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Origin {
    /// Byte for byte what starts there.
    Copy(Span),
    /// It stands for that.
    Stands(Span),
}

impl Origin {
    fn span(self) -> Span {
        match self {
            Origin::Copy(span) | Origin::Stands(span) => span,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(in crate::config) struct Piece {
    /// Where it starts; it ends where the next one does.
    pub(in crate::config) start: u32,
    pub(in crate::config) origin: Origin,
    pub(in crate::config) frame: FrameId,
}

/// What was typed for a span, and how it came to be.
#[derive(Clone, Debug, Default)]
pub(in crate::config) struct Account {
    pub(in crate::config) notes: Vec<String>,
    pub(in crate::config) related: Vec<(Span, String)>,
}

/// Says of a loop that it made a line.
pub(in crate::config) const REPEATED: &str = "repeated by this";

/// How many frames of one span are told.
const TOLD_MAX: usize = 6;

#[derive(Clone, Debug, Default)]
pub(in crate::config) struct Expansion {
    text: String,
    pieces: Vec<Piece>,
    frames: Vec<Frame>,
}

impl Expansion {
    pub(in crate::config) fn text(&self) -> &str {
        &self.text
    }

    /// Opens a frame.
    pub(in crate::config) fn frame(&mut self, parent: FrameId, cause: Cause) -> FrameId {
        self.frames.push(Frame { parent, cause });
        FrameId(u32::try_from(self.frames.len()).unwrap_or(u32::MAX))
    }

    /// Takes in a part of a line, whose pieces start from 0; returns where it starts. The whole is
    /// bounded by [`super::super::Limits::bytes`].
    pub(in crate::config) fn push(&mut self, text: &str, pieces: &[Piece]) -> u32 {
        let base = u32::try_from(self.text.len()).unwrap_or(u32::MAX);
        self.text.push_str(text);
        self.text.push('\n');
        self.pieces.extend(pieces.iter().map(|piece| Piece {
            start: piece.start.saturating_add(base),
            ..*piece
        }));
        base
    }

    /// The typed text that a span stands for: from its first piece to its last, if those were typed in
    /// one place.
    pub(super) fn typed(&self, span: Span) -> Option<Span> {
        let (from, to) = self.range(span);
        let first = self.pieces.get(from)?;
        let last = self.pieces.get(to)?;
        let start = match first.origin {
            Origin::Copy(typed) => typed
                .start
                .saturating_add(span.start.saturating_sub(first.start)),
            Origin::Stands(typed) => typed.start,
        };
        let end = match last.origin {
            Origin::Copy(typed) => typed
                .start
                .saturating_add(span.end.saturating_sub(last.start)),
            Origin::Stands(typed) => typed.end,
        };
        let head = first.origin.span();
        let tail = last.origin.span();
        let joined = head.file == tail.file && head.start <= tail.start && start <= end;
        Some(Span {
            file: head.file,
            start,
            end: match joined {
                true => end.min(tail.end),
                false => head.end,
            },
        })
    }

    /// Indices of the first and the last piece of a span.
    fn range(&self, span: Span) -> (usize, usize) {
        let at = |offset: u32| {
            let behind = self.pieces.partition_point(|piece| piece.start <= offset);
            behind.saturating_sub(1)
        };
        let from = at(span.start);
        (from, at(span.end.saturating_sub(1)).max(from))
    }

    /// What led to a span, innermost first.
    pub(super) fn account(&self, span: Span) -> Account {
        let (from, to) = self.range(span);
        let mut seen = Vec::new();
        let mut account = Account::default();
        for piece in self.pieces.get(from..=to).unwrap_or_default() {
            self.tell(piece.frame, &mut seen, &mut account);
        }
        account
    }

    /// What led to a frame, innermost first.
    pub(in crate::config) fn account_of(&self, frame: FrameId) -> Account {
        let mut account = Account::default();
        self.tell(frame, &mut Vec::new(), &mut account);
        account
    }

    fn tell(&self, mut id: FrameId, seen: &mut Vec<FrameId>, account: &mut Account) {
        while let Some(index) = (id.0 as usize).checked_sub(1) {
            let Some(frame) = self.frames.get(index) else {
                return;
            };
            if seen.contains(&id) || seen.len() >= TOLD_MAX {
                return;
            }
            seen.push(id);
            match &frame.cause {
                Cause::Value { name, definition } => {
                    let label = format!("`${name}` is defined here");
                    account.notes.push(format!("in the expansion of `${name}`"));
                    account.related.push((*definition, label));
                }
                Cause::Predefined { name, value } => {
                    let note = format!("in the expansion of `${name}`, which is `{value}`");
                    account.notes.push(note);
                }
                Cause::Lines { name, used } => {
                    let label = format!("`${name}` is used here");
                    account.notes.push(format!("in the expansion of `${name}`"));
                    account.related.push((*used, label));
                }
                Cause::Turn { head, binding } => {
                    let note = format!("in the expansion of `{}`", binding.head);
                    account
                        .notes
                        .push(format!("{note} with {}", binding.values));
                    account.related.push((*head, REPEATED.to_owned()));
                }
            }
            id = frame.parent;
        }
    }
}

impl FileId {
    /// The text that definitions and loops made.
    pub(in crate::config) const EXPANSION: FileId = FileId(u32::MAX);
}
