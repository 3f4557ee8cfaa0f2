//! Blocks that stay tokens until somebody looks at them.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Block, Builder, DEPTH_MAX, FileId, Frame, Item, Statement, Word};
use crate::config::lexer::{Token, TokenKind};
use crate::config::source::SourceMap;

/// What stands between two braces, as tokens; nothing is wrong with its braces.
#[derive(Clone, Debug)]
pub struct Packed {
    file: FileId,
    /// Of the whole file.
    tokens: Arc<Vec<Token>>,
    from: usize,
    to: usize,
}

/// Lists that are used for one block after the other: each would grow anew.
#[derive(Debug, Default)]
pub struct Unpacker {
    stack: Vec<Frame>,
    items: Vec<Item>,
    words: Vec<Word>,
}

impl Unpacker {
    fn items(&mut self, packed: &Packed) -> Box<[Item]> {
        let tokens = packed.tokens.get(packed.from..packed.to);
        let mut builder = Builder {
            stack: std::mem::take(&mut self.stack),
            items: std::mem::take(&mut self.items),
            words: std::mem::take(&mut self.words),
            ..Builder::new(packed.file, None)
        };
        builder.read(tokens.unwrap_or_default());
        let items = builder.items.drain(..).collect();
        (self.stack, self.items, self.words) = (builder.stack, builder.items, builder.words);
        items
    }
}

impl Statement {
    /// The same with all that its block holds.
    pub fn unpacked(&self, by: &mut Unpacker) -> Cow<'_, Statement> {
        let block = self.block.as_deref();
        let Some((block, packed)) = block.and_then(|block| Some((block, block.packed.as_ref()?)))
        else {
            return Cow::Borrowed(self);
        };
        Cow::Owned(Statement {
            words: self.words.clone(),
            block: Some(Box::new(Block {
                open: block.open,
                items: by.items(packed),
                packed: None,
                close: block.close,
            })),
            damaged: self.damaged,
        })
    }
}

/// Reads a file of which some blocks may stay packed; `None` when something is wrong with its braces.
pub(super) fn read(
    file: FileId,
    tokens: &Arc<Vec<Token>>,
    sources: &SourceMap,
    packs: fn(&str) -> bool,
) -> Option<Box<[Item]>> {
    if !is_balanced(tokens) {
        return None;
    }
    let mut builder = Builder::new(file, None);
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let begins = token.kind == TokenKind::Open && builder.stack.is_empty();
        let keyword = |words: &[Word]| words.first().map_or("", |word| sources.text(word.span));
        if begins && packs(keyword(&builder.words)) {
            let close = closing(tokens, at)?;
            let words = builder.take_words();
            builder.indent = None;
            builder.items.push(Item::Statement(Statement {
                words,
                block: Some(Box::new(Block {
                    open: token.span(file),
                    items: Box::default(),
                    packed: Some(Box::new(Packed {
                        file,
                        tokens: Arc::clone(tokens),
                        from: at + 1,
                        to: close,
                    })),
                    close: tokens.get(close).map(|token| token.span(file)),
                })),
                damaged: false,
            }));
            builder.last = Some(TokenKind::Close);
            at = close + 1;
            continue;
        }
        builder.take(token);
        at += 1;
    }
    builder.flush();
    Some(builder.finish().0)
}

/// Whether every brace belongs to another one, and every block has a keyword.
fn is_balanced(tokens: &[Token]) -> bool {
    let (mut depth, mut last) = (0_usize, None);
    for token in tokens {
        match token.kind {
            TokenKind::Word | TokenKind::Quoted => {}
            TokenKind::Open => {
                depth += 1;
                let keyword = matches!(last, Some(TokenKind::Word | TokenKind::Quoted));
                if depth > DEPTH_MAX || !keyword {
                    return false;
                }
            }
            TokenKind::Close => match depth.checked_sub(1) {
                Some(outer) => depth = outer,
                None => return false,
            },
        }
        last = Some(token.kind);
    }
    depth == 0
}

/// The brace that closes the one at `open`.
fn closing(tokens: &[Token], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.kind {
            TokenKind::Word | TokenKind::Quoted => {}
            TokenKind::Open => depth += 1,
            TokenKind::Close => depth = depth.checked_sub(1)?,
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}
