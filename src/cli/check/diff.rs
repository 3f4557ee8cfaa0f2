//! A unified diff of two texts that differ in few lines. Any diff it prints is right; where much was
//! changed it is longer than need be.

use std::path::Path;

/// Lines of context.
const CONTEXT: usize = 3;

/// How far ahead equal lines are looked for.
const AHEAD_MAX: usize = 32;

/// A run of lines that differ: where it starts and how many lines it has, before and after.
struct Change {
    before: (usize, usize),
    after: (usize, usize),
}

/// The diff; empty for equal texts.
pub(super) fn unified(path: &Path, before: &str, after: &str) -> String {
    let old: Vec<&str> = before.split_inclusive('\n').collect();
    let new: Vec<&str> = after.split_inclusive('\n').collect();
    let mut hunks: Vec<Vec<Change>> = Vec::new();
    for change in changes(&old, &new) {
        let near = hunks.last_mut().filter(|hunk| {
            hunk.last()
                .is_some_and(|last| change.before.0 <= last.before.0 + last.before.1 + 2 * CONTEXT)
        });
        match near {
            Some(hunk) => hunk.push(change),
            None => hunks.push(vec![change]),
        }
    }
    let mut out = String::new();
    for hunk in &hunks {
        if out.is_empty() {
            out = format!("--- {0}\n+++ {0}\n", path.display());
        }
        print_hunk(hunk, &old, &new, &mut out);
    }
    out
}

fn changes(old: &[&str], new: &[&str]) -> Vec<Change> {
    let mut changes = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < old.len() || j < new.len() {
        if i < old.len() && old.get(i) == new.get(j) {
            (i, j) = (i + 1, j + 1);
            continue;
        }
        let (skip_old, skip_new) = meeting(old.get(i..), new.get(j..));
        changes.push(Change {
            before: (i, skip_old),
            after: (j, skip_new),
        });
        (i, j) = (i + skip_old, j + skip_new);
    }
    changes
}

/// How many lines to pass over in each text until they agree again.
fn meeting(old: Option<&[&str]>, new: Option<&[&str]>) -> (usize, usize) {
    let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
    for total in 1..=2 * AHEAD_MAX {
        let mut pairs = (0..=total).map(|skip_old| (skip_old, total - skip_old));
        let agree = |&(a, b): &(usize, usize)| match (old.get(a), new.get(b)) {
            (Some(left), Some(right)) => left == right,
            _ => a == old.len() && b == new.len(),
        };
        if let Some(found) = pairs.find(agree) {
            return found;
        }
    }
    (old.len(), new.len())
}

fn print_hunk(hunk: &[Change], old: &[&str], new: &[&str], out: &mut String) {
    let (Some(first), Some(last)) = (hunk.first(), hunk.last()) else {
        return;
    };
    let lead = first.before.0.min(CONTEXT);
    let old_from = first.before.0 - lead;
    let old_to = (last.before.0 + last.before.1 + CONTEXT).min(old.len());
    let tail = old_to - last.before.0 - last.before.1;
    let new_from = first.after.0.saturating_sub(lead);
    let new_to = last.after.0 + last.after.1 + tail;
    let range = |from: usize, to: usize| match to - from {
        0 => format!("{from},0"),
        count => format!("{},{count}", from + 1),
    };
    out.push_str(&format!(
        "@@ -{} +{} @@\n",
        range(old_from, old_to),
        range(new_from, new_to)
    ));
    let mut put = |sign: char, lines: &[&str], from: usize, count: usize| {
        for line in lines.iter().skip(from).take(count) {
            out.push(sign);
            out.push_str(line);
            if !line.ends_with('\n') {
                out.push_str("\n\\ No newline at end of file\n");
            }
        }
    };
    let mut at = old_from;
    for change in hunk {
        put(' ', old, at, change.before.0 - at);
        put('-', old, change.before.0, change.before.1);
        put('+', new, change.after.0, change.after.1);
        at = change.before.0 + change.before.1;
    }
    put(' ', old, at, old_to - at);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_and_added_lines_stand_between_their_neighbours() {
        let before = "1\n2\n3\n4\n5\n6\nx\n8\n9\nend";
        let after = "1\n2\n3\n4\n5\n6\ny\nz\n8\n9\nend";
        assert_eq!(
            unified(Path::new("k"), before, after),
            "--- k\n+++ k\n@@ -4,7 +4,8 @@\n 4\n 5\n 6\n-x\n+y\n+z\n 8\n 9\n end\n\
             \\ No newline at end of file\n"
        );
    }

    #[test]
    fn changes_far_apart_have_hunks_of_their_own() {
        let lines: Vec<String> = (0..30).map(|n| format!("{n}\n")).collect();
        let before = lines.concat();
        let after = before
            .replace("\n2\n", "\ntwo\n")
            .replace("\n28\n", "\nmany\n");
        let diff = unified(Path::new("k"), &before, &after);
        assert_eq!(diff.matches("@@ -").count(), 2, "{diff}");
        assert!(
            diff.contains("@@ -26,5 +26,5 @@\n 25\n 26\n 27\n-28\n+many\n 29\n"),
            "{diff}"
        );
    }

    #[test]
    fn equal_texts_have_no_diff() {
        assert_eq!(unified(Path::new("k"), "a\n", "a\n"), "");
    }
}
