//! Just enough of Rust's grammar to find the paths in a file: comments and texts are blanked, then words
//! joined by `::` are followed, through the braces of `use`.

use std::fmt;

/// A path somewhere in the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PathUse {
    /// From 1.
    pub(crate) line: usize,
    /// Its words; begins with `crate` for one of this crate, also where it was written with `super`.
    pub(crate) segments: Vec<String>,
}

impl PathUse {
    /// The module at the crate's root that it leads into.
    pub(crate) fn in_crate(&self) -> Option<&str> {
        match self.segments.as_slice() {
            [root, module, ..] if root == "crate" || root == "vipd" => Some(module),
            _ => None,
        }
    }

    pub(crate) fn begins_with(&self, path: &[&str]) -> bool {
        self.segments.len() >= path.len() && self.segments.iter().zip(path).all(|(a, b)| a == b)
    }

    pub(crate) fn ends_with(&self, path: &[&str]) -> bool {
        let reversed = self.segments.iter().rev().zip(path.iter().rev());
        self.segments.len() >= path.len() && reversed.into_iter().all(|(a, b)| a == b)
    }
}

impl fmt::Display for PathUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.segments.join("::"))
    }
}

/// The text with comments, texts and characters blanked; lines stay where they were.
pub(crate) fn code_of(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = end_of_blank(&chars, at);
        if end == at {
            code.push(chars[at]);
            at += 1;
        } else {
            let blanked = chars[at..end].iter();
            code.extend(blanked.map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    code
}

/// Where the comment, text or character that starts at `at` ends; `at` when none starts there.
fn end_of_blank(chars: &[char], at: usize) -> usize {
    let next = |offset: usize| chars.get(at + offset).copied();
    match chars[at] {
        '/' if next(1) == Some('/') => find(chars, at, |c| c == '\n'),
        '/' if next(1) == Some('*') => end_of_block_comment(chars, at),
        '"' => end_of_text(chars, at + 1),
        'r' if !is_word_before(chars, at) => end_of_raw_text(chars, at).unwrap_or(at),
        '\'' => match (next(1), next(2)) {
            (Some('\\'), _) => 1 + find(chars, at + 3, |c| c == '\''),
            (Some(_), Some('\'')) => at + 3,
            // A lifetime.
            _ => at,
        },
        _ => at,
    }
    .min(chars.len())
}

fn find(chars: &[char], from: usize, is: impl Fn(char) -> bool) -> usize {
    (from..chars.len())
        .find(|&i| is(chars[i]))
        .unwrap_or(chars.len())
}

/// They nest.
fn end_of_block_comment(chars: &[char], at: usize) -> usize {
    let mut depth = 0;
    let mut i = at;
    while i + 1 < chars.len() {
        match (chars[i], chars[i + 1]) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                i += 1;
                continue;
            }
        }
        i += 2;
        if depth == 0 {
            return i;
        }
    }
    chars.len()
}

fn end_of_text(chars: &[char], from: usize) -> usize {
    let mut i = from;
    while i < chars.len() {
        match chars[i] {
            '\\' => i += 2,
            '"' => return i + 1,
            _ => i += 1,
        }
    }
    chars.len()
}

/// `r"..."`, `r#"..."#`; a byte text's `b` stays in the code and does no harm.
fn end_of_raw_text(chars: &[char], at: usize) -> Option<usize> {
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    let open = at + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let closes = |i: &usize| {
        chars[*i] == '"'
            && chars[i + 1..]
                .iter()
                .take(hashes)
                .filter(|c| **c == '#')
                .count()
                == hashes
    };
    Some(
        (open + 1..chars.len())
            .find(closes)
            .map_or(chars.len(), |i| i + 1 + hashes),
    )
}

/// Whether a word goes on at `at`: `for"` ends in an r that begins no raw text. A byte text's prefix does
/// not count.
fn is_word_before(chars: &[char], at: usize) -> bool {
    let before = |offset: usize| at.checked_sub(offset).map(|i| chars[i]);
    match (before(1), before(2)) {
        (Some('b'), other) => other.is_some_and(is_word),
        (Some(c), _) => is_word(c),
        (None, _) => false,
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    /// `::`
    Join,
    Other(char),
}

fn tokens(code: &str) -> Vec<(usize, Token)> {
    let mut found = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let chars: Vec<char> = line.chars().collect();
        let mut at = 0;
        while at < chars.len() {
            let token = if is_word(chars[at]) {
                let end = find(&chars, at, |c| !is_word(c));
                let word = chars[at..end].iter().collect();
                at = end;
                Token::Word(word)
            } else if chars[at..].starts_with(&[':', ':']) {
                at += 2;
                Token::Join
            } else {
                at += 1;
                Token::Other(chars[at - 1])
            };
            if !matches!(&token, Token::Other(c) if c.is_whitespace()) {
                found.push((number + 1, token));
            }
        }
    }
    found
}

/// Every path of `code`, the braces of `use` resolved, `super` and `self` at its start followed up to the
/// crate's root where they lead there. `depth`: how many `super` lead from the file's module to the root.
pub(crate) fn paths_in(code: &str, depth: usize) -> Vec<PathUse> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    // The depth of braces in which each inline module that is open began.
    let mut inline = Vec::new();
    let mut braces = 0usize;
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at].1 {
            Token::Word(word) => {
                if word == "mod" && matches!(tokens.get(at + 2), Some((_, Token::Other('{')))) {
                    inline.push(braces);
                }
                let mut raw = Vec::new();
                at = follow(&tokens, at, &mut Vec::new(), &mut raw);
                let here = depth + inline.len();
                found.extend(raw.into_iter().map(|path| from_root(path, here)));
                continue;
            }
            Token::Other('{') => braces += 1,
            Token::Other('}') => {
                braces = braces.saturating_sub(1);
                if inline.last() == Some(&braces) {
                    inline.pop();
                }
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Follows the path that starts with the word at `at`; returns where it ends.
fn follow(
    tokens: &[(usize, Token)],
    at: usize,
    prefix: &mut Vec<String>,
    found: &mut Vec<PathUse>,
) -> usize {
    let before = prefix.len();
    let mut i = at;
    while let Some((_, Token::Word(word))) = tokens.get(i) {
        prefix.push(word.clone());
        i += 1;
        if !matches!(tokens.get(i), Some((_, Token::Join))) {
            break;
        }
        i += 1;
    }
    if matches!(tokens.get(i), Some((_, Token::Other('{'))))
        && matches!(tokens.get(i.wrapping_sub(1)), Some((_, Token::Join)))
    {
        i += 1;
        while let Some((_, token)) = tokens.get(i) {
            match token {
                Token::Word(_) => i = follow(tokens, i, prefix, found),
                Token::Other('}') => {
                    i += 1;
                    break;
                }
                _ => i += 1,
            }
        }
    } else {
        found.push(PathUse {
            line: tokens[at].0,
            segments: prefix.clone(),
        });
    }
    prefix.truncate(before);
    i.max(at + 1)
}

/// Replaces as many `super` as lead from `depth` to the root by `crate`.
fn from_root(mut path: PathUse, depth: usize) -> PathUse {
    if path.segments.first().is_some_and(|word| word == "self") {
        path.segments.remove(0);
    }
    let supers = path
        .segments
        .iter()
        .take_while(|word| *word == "super")
        .count();
    if supers > 0 && supers == depth {
        path.segments.splice(..supers, ["crate".to_owned()]);
    }
    path
}

/// Every macro that is called, with its line.
pub(crate) fn macros_in(code: &str) -> Vec<(usize, String)> {
    let tokens = tokens(code);
    let pairs = tokens.iter().zip(tokens.iter().skip(1));
    pairs
        .filter_map(|((line, word), (_, after))| match (word, after) {
            (Token::Word(word), Token::Other('!')) => Some((*line, word.clone())),
            _ => None,
        })
        .collect()
}

/// Lines on which one of `words` stands as a word of its own.
pub(crate) fn words_in(code: &str, words: &[&str]) -> Vec<usize> {
    let tokens = tokens(code);
    let hits = tokens
        .iter()
        .filter(|(_, token)| matches!(token, Token::Word(word) if words.contains(&word.as_str())));
    hits.map(|(line, _)| *line).collect()
}
