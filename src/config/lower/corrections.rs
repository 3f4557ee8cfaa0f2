//! Corrections that are beyond doubt. What is likely and no more stays a hint.
//!
//! Whether a corrected text really reads better is seen by [`crate::config::fix`], which reads it again.

use crate::config::diagnostic::Edit;
use crate::config::keywords::{self, BlockKind, Body, Keyword};
use crate::config::source::Span;
use crate::config::suggest::misspelling_of;
use crate::config::tree::{Block, Item, Statement};

use super::context::{Context, Line};

/// A misspelt keyword whose correction waits for the end of its block: had the block the right one
/// too, nobody could say which of them is meant to count.
pub(super) struct Respelling {
    /// Its diagnostic.
    pub(super) index: usize,
    /// What it meant.
    pub(super) meant: &'static Keyword,
    pub(super) edit: Edit,
}

/// The keyword that an unknown one must have meant: the only one near it, of the same form, and the
/// word means nothing elsewhere.
pub(super) fn respelt(
    kind: BlockKind,
    statement: &Statement,
    word: &str,
) -> Option<(&'static Keyword, &'static str)> {
    if keywords::blocks_of(word).next().is_some() {
        return None;
    }
    let rows = keywords::rows(kind).flat_map(|row| row.names().map(move |name| (row, name)));
    let (meant, name) = misspelling_of(word, rows)?;
    let blocks = (statement.block.is_some(), meant.body != Body::None);
    (blocks.0 == blocks.1).then_some((meant, name))
}

/// Leaves of the respellings of a block those whose keyword the block does not have otherwise.
pub(super) fn settle(
    ctx: &Context<'_>,
    kind: BlockKind,
    items: &[Item],
    waiting: Vec<Respelling>,
) -> Vec<Respelling> {
    let mut counts = Vec::new();
    for respelling in &waiting {
        let again = waiting
            .iter()
            .filter(|w| w.meant.name == respelling.meant.name);
        counts.push(again.count() + count(ctx, kind, items, respelling.meant));
    }
    let repeats = |keyword: &Keyword| matches!(keyword.body, Body::Block(_));
    let pairs = waiting.into_iter().zip(counts);
    pairs
        .filter(|(respelling, count)| *count == 1 || repeats(respelling.meant))
        .map(|(respelling, _)| respelling)
        .collect()
}

fn count(ctx: &Context<'_>, kind: BlockKind, items: &[Item], wanted: &Keyword) -> usize {
    let one = |item: &Item| match item {
        Item::Stray(_) => 0,
        Item::Include(_, trees) => trees
            .iter()
            .map(|tree| count(ctx, kind, &tree.items, wanted))
            .sum(),
        Item::Statement(statement) => {
            let word = statement.words.first().map(|word| ctx.text(word));
            let row = word.and_then(|word| keywords::find(kind, &word));
            usize::from(row.is_some_and(|row| row.name == wanted.name))
        }
    };
    items.iter().map(one).sum()
}

/// `Configuration File for keepalived`: a title whose comment sign is missing.
pub(super) fn title<'a>(
    kind: BlockKind,
    statement: &Statement,
    raw: impl Fn(Span) -> &'a str,
) -> Option<Edit> {
    let [first, second, ..] = &*statement.words else {
        return None;
    };
    let is_title = kind == BlockKind::Root
        && statement.block.is_none()
        && raw(first.span).eq_ignore_ascii_case("configuration")
        && raw(second.span).eq_ignore_ascii_case("file");
    let end = first.span.start;
    let span = Span { end, ..first.span };
    let text = "! ".to_owned();
    is_title.then_some(Edit { span, text })
}

/// Puts `authentication` before a block of passwords that stands under another keyword: `known` keeps
/// its own line, a word that is no keyword makes room.
pub(super) fn stray_auth(
    ctx: &Context<'_>,
    statement: &Statement,
    block: &Block,
    known: Option<&Keyword>,
) -> Option<Edit> {
    let head = statement.span()?;
    let open = block.open;
    if known.is_none() {
        let text = "authentication".to_owned();
        return (statement.words.len() == 1).then_some(Edit { span: head, text });
    }
    if head.file != open.file {
        return None;
    }
    let gap = Span {
        start: head.end,
        end: open.start,
        ..open
    };
    if ctx.raw(gap).contains('\n') {
        let text = "authentication {".to_owned();
        return Some(Edit { span: open, text });
    }
    let line_start = ctx.line_start(head)?;
    let before = ctx.raw(line_start.to(Span {
        end: head.start,
        ..head
    }));
    let indent = before.chars().take_while(|c| c.is_whitespace());
    let text = format!("\n{}authentication {{", indent.collect::<String>());
    let span = gap.to(open);
    Some(Edit { span, text })
}

/// Drops what stands behind the first bytes of a line's only value.
pub(super) fn behind(ctx: &Context<'_>, line: &Line<'_>, bytes: usize) -> Option<Edit> {
    let [word] = line.args else {
        return None;
    };
    let span = word.span;
    let raw = ctx.raw(span);
    let quote = usize::from(word.quoted);
    let cut = quote + bytes;
    let end = raw.len().checked_sub(quote)?;
    // Where a sign is written with two, or a letter has several bytes, cutting is not as plain.
    if cut >= end || !raw.is_char_boundary(cut) || raw.contains(['\\', '$']) {
        return None;
    }
    let at = |offset: usize| Some(span.start.saturating_add(u32::try_from(offset).ok()?));
    let span = Span {
        start: at(cut)?,
        end: at(end)?,
        ..span
    };
    let text = String::new();
    Some(Edit { span, text })
}
