//! Names with wildcards, as `include` takes them: `*`, `?`, `[a-z]`, `{a,b}` (glob(7)).
//!
//! Only the comparison: directories are read by whoever implements [`super::Files`].

/// How many names one pattern with braces may stand for.
const ALTERNATIVES_MAX: usize = 1024;

/// Whether a pattern needs a directory to be read.
pub fn has_wildcard(pattern: &str) -> bool {
    pattern.contains(['*', '?', '['])
}

/// Writes out `{a,b}`, nested ones too; a brace without a partner stands for itself. At most
/// 1024 names come out.
pub fn expand_braces(pattern: &str) -> Vec<String> {
    let mut done = Vec::new();
    let mut open = vec![pattern.to_owned()];
    while let Some(next) = open.pop() {
        if done.len() + open.len() >= ALTERNATIVES_MAX {
            break;
        }
        match split_braces(&next) {
            // The last alternative lies on top, so that the first comes out first.
            Some(names) => open.extend(names.into_iter().rev()),
            None => done.push(next),
        }
    }
    done
}

/// The alternatives of the first pair of braces.
fn split_braces(pattern: &str) -> Option<Vec<String>> {
    let open = pattern.find('{')?;
    let mut depth = 0usize;
    let mut starts = vec![open + 1];
    for (at, c) in pattern.char_indices().skip_while(|&(at, _)| at < open) {
        match c {
            '{' => depth += 1,
            ',' if depth == 1 => starts.push(at + 1),
            '}' if depth == 1 => {
                let ends = starts.iter().skip(1).map(|s| s - 1).chain([at]);
                let before = pattern.get(..open)?;
                let after = pattern.get(at + 1..)?;
                let names = starts.iter().zip(ends);
                return names
                    .map(|(&start, end)| {
                        Some(format!("{before}{}{after}", pattern.get(start..end)?))
                    })
                    .collect();
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Whether one component of a path matches one component of a pattern. A leading dot is matched only by
/// a dot. Takes time proportional to the product of both lengths at worst.
pub fn matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n) = (0, 0);
    // Where to go on after the last `*`: behind it, with one more character taken by it.
    let mut star: Option<(usize, usize)> = None;
    while let Some(&c) = name.get(n) {
        if pattern.get(p) == Some(&'*') {
            star = Some((p + 1, n));
            p += 1;
            continue;
        }
        match one(pattern.get(p..).unwrap_or(&[]), c) {
            Some(used) => {
                p += used;
                n += 1;
            }
            None => match star {
                Some((after, taken)) => {
                    star = Some((after, taken + 1));
                    p = after;
                    n = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).unwrap_or(&[]).iter().all(|&c| c == '*')
}

/// How many characters of the pattern match `c`; `None` when they do not.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match *pattern.first()? {
        '?' => Some(1),
        '[' => match class(pattern, c) {
            Some((used, true)) => Some(used),
            Some((_, false)) => None,
            None => (c == '[').then_some(1),
        },
        '\\' if pattern.len() > 1 => (pattern.get(1) == Some(&c)).then_some(2),
        plain => (plain == c).then_some(1),
    }
}

/// `[abc]`, `[a-z]`, `[!a]`: how long it is and whether it holds `c`; `None` when it is never closed.
fn class(pattern: &[char], c: char) -> Option<(usize, bool)> {
    let negated = matches!(pattern.get(1), Some('!' | '^'));
    let first = if negated { 2 } else { 1 };
    let close = (first + 1..pattern.len()).find(|&i| pattern.get(i) == Some(&']'))?;
    let set = pattern.get(first..close)?;
    let mut held = false;
    let mut i = 0;
    while let Some(&low) = set.get(i) {
        match (set.get(i + 1), set.get(i + 2)) {
            (Some('-'), Some(&high)) => {
                held |= (low..=high).contains(&c);
                i += 3;
            }
            _ => {
                held |= low == c;
                i += 1;
            }
        }
    }
    Some((close + 1, held != negated))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_are_written_out_in_order() {
        assert_eq!(
            expand_braces("a{b,c{d,e}}.conf"),
            ["ab.conf", "acd.conf", "ace.conf"]
        );
        assert_eq!(expand_braces("a{b"), ["a{b"]);
        assert!(expand_braces(&"{a,b}".repeat(40)).len() <= 1024);
    }

    #[test]
    fn wildcards_match_as_in_a_shell() {
        for (pattern, name) in [
            ("*.conf", "a.conf"),
            ("a?c*", "abcd"),
            ("[a-c]x", "bx"),
            ("[!a]x", "bx"),
            ("*a*b*", "xxaxxb"),
            ("[", "["),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("*.conf", ".conf"),
            ("*.conf", "a.conf~"),
            ("[a-c]x", "dx"),
            ("?", ""),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}
