//! Floods: a line that comes again and again is written a few times, then counted.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::Line;

/// How often the same line is written within [`WINDOW`].
const WRITTEN_MAX: u64 = 20;
const WINDOW: Duration = Duration::from_secs(10);
/// Different lines that are remembered; of more, none is counted.
const KNOWN_MAX: usize = 256;

#[derive(Default)]
pub(super) struct Fold {
    known: BTreeMap<String, Known>,
}

struct Known {
    since: SystemTime,
    times: u64,
    /// The last one that was not written.
    last: Option<Line>,
}

impl Fold {
    /// What is to be written when this line comes.
    pub(super) fn take(&mut self, line: Line) -> Option<Line> {
        let at = line.at;
        if !self.known.contains_key(&line.text) && self.known.len() >= KNOWN_MAX {
            return Some(line);
        }
        let known = self.known.entry(line.text.clone()).or_insert(Known {
            since: at,
            times: 0,
            last: None,
        });
        known.times += 1;
        if known.times <= WRITTEN_MAX {
            return Some(line);
        }
        known.last = Some(line);
        None
    }

    /// How often lines came that were not written, as far as their time is over.
    pub(super) fn over(&mut self, now: SystemTime) -> Vec<Line> {
        let mut over = Vec::new();
        self.known.retain(|_, known| {
            // A clock that was set back begins anew.
            let age = now.duration_since(known.since).unwrap_or(WINDOW);
            if age < WINDOW {
                return true;
            }
            if let Some(mut line) = known.last.take() {
                let more = known.times.saturating_sub(WRITTEN_MAX);
                let seconds = age.as_secs();
                line.text += &format!(" [{more} more of these lines within {seconds} s]");
                over.push(line);
            }
            false
        });
        over
    }

    /// When to look again; `None`: nothing is held back.
    pub(super) fn wait(&self) -> Option<Duration> {
        let held = self.known.values().any(|known| known.last.is_some());
        held.then_some(Duration::from_secs(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, millis: u64) -> Line {
        Line {
            at: SystemTime::UNIX_EPOCH + Duration::from_millis(millis),
            level: tracing::Level::WARN,
            text: text.to_owned(),
            fields: Vec::new(),
        }
    }

    #[test]
    fn the_first_are_written_and_the_rest_is_counted() {
        let mut fold = Fold::default();
        let mut written = 0;
        for at in 0..500 {
            let both = [line("a flood", at), line(&format!("line {at}"), at)];
            written += both.into_iter().filter_map(|l| fold.take(l)).count();
        }
        assert_eq!(written, 20 + 500);
        assert_eq!(fold.wait(), Some(Duration::from_secs(1)));
        let at = |millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        assert!(fold.over(at(9_999)).is_empty());
        let over: Vec<String> = fold.over(at(11_000)).into_iter().map(|l| l.text).collect();
        assert_eq!(over, ["a flood [480 more of these lines within 11 s]"]);
        assert_eq!(fold.wait(), None);
        assert!(
            fold.take(line("a flood", 12_000)).is_some(),
            "it begins anew"
        );
    }
}
