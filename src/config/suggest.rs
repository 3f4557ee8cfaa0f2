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
