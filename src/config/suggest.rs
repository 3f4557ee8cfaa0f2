//! "did you mean".

/// The candidate that a misspelt word most likely meant: at most a third of its letters wrong.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    if !(3..=64).contains(&length) {
        return None;
    }
    let allowed = (length / 3).clamp(1, 4);
    candidates
        .filter(|c| c.chars().count().abs_diff(length) <= allowed)
        .map(|c| (strsim::damerau_levenshtein(word, c), c))
        .filter(|&(distance, _)| distance > 0 && distance <= allowed)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// The candidate that a word is without doubt a misspelling of: one or two letters wrong, no other near,
/// and the difference is none that tells two keywords apart (`min` and `max`, `rx` and `tx`, digits, `no`).
pub(super) fn misspelling_of<'a, T: Copy + NamedRow>(
    word: &str,
    candidates: impl Iterator<Item = (T, &'a str)>,
) -> Option<(T, &'a str)> {
    if !(4..=64).contains(&word.len()) {
        return None;
    }
    let mut near: Vec<(usize, T, &'a str)> = candidates
        .filter(|(_, c)| c.len().abs_diff(word.len()) <= NEAR_MAX)
        .map(|(row, c)| (strsim::damerau_levenshtein(word, c), row, c))
        .filter(|(distance, ..)| *distance <= NEAR_MAX)
        .collect();
    near.sort_by_key(|(distance, ..)| *distance);
    let &(distance, row, name) = near.first()?;
    let rival = near
        .iter()
        .any(|(other, rival, _)| rival.row_name() != row.row_name() && *other < distance + 2);
    (!rival && is_misspelling(word, name)).then_some((row, name))
}

/// How far the runner-up is looked for.
const NEAR_MAX: usize = 3;

/// What has one identity under several names.
pub(super) trait NamedRow {
    /// Its identity.
    fn row_name(&self) -> &str;
}

impl NamedRow for &crate::config::keywords::Keyword {
    fn row_name(&self) -> &str {
        self.name
    }
}

fn is_misspelling(word: &str, name: &str) -> bool {
    let digits = |text: &str| -> String { text.chars().filter(char::is_ascii_digit).collect() };
    if digits(word) != digits(name) || word.starts_with("no") != name.starts_with("no") {
        return false;
    }
    let joined = |text: &str| text.replace(['_', '-'], "");
    if joined(word) == joined(name) {
        return true;
    }
    let (ours, theirs): (Vec<_>, Vec<_>) = (word.split('_').collect(), name.split('_').collect());
    let mut wrong = 0;
    for (our, their) in ours.iter().zip(&theirs) {
        let distance = strsim::damerau_levenshtein(our, their);
        // Short parts tell keywords apart.
        let allowed = match our.len().min(their.len()) {
            0..=3 => 0,
            4..=6 => 1,
            _ => 2,
        };
        if distance > allowed {
            return false;
        }
        wrong += distance;
    }
    ours.len() == theirs.len() && wrong <= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_finger_are_recognised() {
        let known = ["priority", "state", "router_id", "mcast_src_ip"];
        let near = |word| nearest(word, known.into_iter());
        assert_eq!(near("priorty"), Some("priority"));
        assert_eq!(near("route_id"), Some("router_id"));
        assert_eq!(near("master_src_ip"), Some("mcast_src_ip"));
        assert_eq!(near("zebra"), None);
    }
}
