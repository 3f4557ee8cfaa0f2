//! Where text came from: files, spans in them, lines and columns.
//!
//! No reading happens here: whoever loads hands over the bytes. Text that definitions and loops made
//! has spans too; [`SourceMap::typed`] leads from them to what was typed.

pub(super) mod expansion;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use expansion::{Account, Expansion};

/// Which file of a [`SourceMap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId(u32);

/// A range of bytes in one file's text; `start <= end`, both on character boundaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// One behind the last byte.
    pub end: u32,
}

impl Span {
    /// Nothing, at the start of a file.
    pub(super) const fn empty(file: FileId) -> Span {
        Span {
            file,
            start: 0,
            end: 0,
        }
    }

    /// From the start of `self` to the end of `other`, which lies behind it in the same file.
    #[must_use]
    pub fn to(self, other: Span) -> Span {
        if other.file != self.file {
            return self;
        }
        Span {
            end: self.end.max(other.end),
            ..self
        }
    }
}

/// A place that a person can go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The file, as it was named.
    pub path: &'a Path,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.path.display(), self.line, self.column)
    }
}

/// One file.
#[derive(Clone, Debug)]
pub struct SourceFile {
    path: PathBuf,
    /// Not copied: it may be long.
    text: Arc<String>,
    /// Where its lines begin, once somebody asked.
    line_starts: OnceLock<Vec<u32>>,
}

impl SourceFile {
    /// As it was named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it holds; bytes that are not UTF-8 stand as U+FFFD.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The same, to hold on to.
    pub(super) fn shared_text(&self) -> Arc<String> {
        Arc::clone(&self.text)
    }

    /// Number of the line that holds a byte, from 0.
    pub fn line_of(&self, offset: u32) -> usize {
        self.line_starts()
            .partition_point(|&start| start <= offset)
            .saturating_sub(1)
    }

    /// The bytes of lines `first..=last` (from 0), their line ends included.
    pub fn lines(&self, first: usize, last: usize) -> std::ops::Range<usize> {
        let start = self.line_start(first);
        let end = match self.line_starts().get(last + 1) {
            Some(&next) => next as usize,
            None => self.text.len(),
        };
        start.min(end)..end
    }

    fn line_starts(&self) -> &[u32] {
        self.line_starts.get_or_init(|| {
            // Below 4 GiB, even if every byte became the three of U+FFFD: see FILE_BYTES_MAX.
            let newlines = self
                .text
                .bytes()
                .zip(1..)
                .filter(|&(byte, _)| byte == b'\n');
            std::iter::once(0)
                .chain(newlines.map(|(_, at)| at))
                .collect()
        })
    }

    fn line_start(&self, line: usize) -> usize {
        self.line_starts()
            .get(line)
            .map_or(self.text.len(), |&start| start as usize)
    }
}

/// Every file of one configuration.
#[derive(Clone, Debug, Default)]
pub struct SourceMap {
    files: Vec<SourceFile>,
    pub(super) expansion: Expansion,
}

/// Longest file that is read, in bytes: a configuration is text that people or scripts wrote.
pub const FILE_BYTES_MAX: usize = 256 << 20;

/// A file longer than [`FILE_BYTES_MAX`], or more files than can be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

impl std::fmt::Display for TooLarge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "longer than {} MiB", FILE_BYTES_MAX >> 20)
    }
}

impl std::error::Error for TooLarge {}

impl SourceMap {
    /// Takes a file in. Bytes that are not UTF-8 become U+FFFD.
    ///
    /// # Errors
    /// [`TooLarge`] when spans could not address it.
    pub fn add(&mut self, path: PathBuf, bytes: Vec<u8>) -> Result<FileId, TooLarge> {
        if bytes.len() > FILE_BYTES_MAX {
            return Err(TooLarge);
        }
        let id = u32::try_from(self.files.len()).map_err(|_| TooLarge)?;
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(e) => String::from_utf8_lossy(e.as_bytes()).into_owned(),
        };
        self.files.push(SourceFile {
            path,
            text: text.into(),
            line_starts: OnceLock::new(),
        });
        Ok(FileId(id))
    }

    /// A file; `None` for the id of another map.
    pub fn file(&self, id: FileId) -> Option<&SourceFile> {
        self.files.get(id.0 as usize)
    }

    /// Every file, in the order in which they were read.
    pub fn files(&self) -> impl Iterator<Item = &SourceFile> {
        self.files.iter()
    }

    /// The text of a span; empty for a span of another map.
    pub fn text(&self, span: Span) -> &str {
        let text = match span.file {
            FileId::EXPANSION => Some(self.expansion.text()),
            file => self.file(file).map(SourceFile::text),
        };
        text.and_then(|text| text.get(span.start as usize..span.end as usize))
            .unwrap_or("")
    }

    /// What was typed for a span: itself, unless a definition or a loop made its text.
    pub fn typed(&self, span: Span) -> Span {
        match span.file {
            FileId::EXPANSION => self.expansion.typed(span).unwrap_or(span),
            _ => span,
        }
    }

    /// How a span that was not typed came to be; nothing for one that was.
    pub(super) fn account(&self, span: Span) -> Account {
        match span.file {
            FileId::EXPANSION => self.expansion.account(span),
            _ => Account::default(),
        }
    }

    /// File, line and column of where a span starts; `None` for a span of another map.
    pub fn place(&self, span: Span) -> Option<Place<'_>> {
        let span = self.typed(span);
        let file = self.file(span.file)?;
        let line = file.line_of(span.start);
        let before = file
            .text
            .get(file.line_start(line)..span.start as usize)
            .unwrap_or("");
        Some(Place {
            path: &file.path,
            line: line + 1,
            column: before.chars().count() + 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_start_at_one() {
        let mut map = SourceMap::default();
        let file = map.add("k.conf".into(), "é a\nb".into()).unwrap();
        let span = |start, end| Span { file, start, end };
        assert_eq!(map.place(span(3, 4)).unwrap().to_string(), "k.conf:1:3");
        assert_eq!(map.place(span(5, 6)).unwrap().to_string(), "k.conf:2:1");
        assert_eq!(map.text(span(5, 6)), "b");
    }

    #[test]
    fn bytes_that_are_not_utf_8_do_not_stop_the_rest() {
        let mut map = SourceMap::default();
        let file = map
            .add("k.conf".into(), b"a \xff\xfe\nb\n".to_vec())
            .unwrap();
        assert_eq!(map.file(file).unwrap().line_of(9), 1);
        assert!(map.file(file).unwrap().text().ends_with("\nb\n"));
    }
}
