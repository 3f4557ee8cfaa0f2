//! `regex` of a `url`: a pattern as PCRE reads it, for an engine that takes time in proportion to what it
//! searches, since what is searched comes from servers. What that engine cannot do (look-around, back
//! references) is said when the configuration is read.

mod class;
mod translate;

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};

use translate::{Options, translate};

/// Bytes that a compiled pattern may take, and those that a search may keep beside it.
const SIZE_MAX: usize = 1 << 20;
const SEARCH_MAX: usize = 1 << 18;

/// Options of PCRE that change nothing here: what they forbid or speed up does not concern the result.
const WITHOUT_EFFECT: &[&str] = &[
    "alt_verbnames",
    "auto_callout",
    "dupnames",
    "match_unset_backref",
    "never_backslash_c",
    "never_ucp",
    "never_utf",
    "no_auto_capture",
    "no_auto_possess",
    "no_dotstar_anchor",
    "no_start_optimize",
    "use_offset_limit",
];
/// Options of PCRE that are not understood.
const REFUSED: &[&str] = &["alt_bsux", "alt_circumflex"];

/// A pattern, ready to be searched for.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
    first_line: bool,
    looks_behind_end: bool,
}

/// Why a pattern cannot be searched for, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable(String);

impl Unusable {
    fn of(what: &str) -> Unusable {
        Unusable(format!("{what}, which vipd does not know"))
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unusable {}

/// Whether keepalived knows an option of `regex_options`.
pub fn is_option(word: &str) -> bool {
    let mut options = Options::default();
    WITHOUT_EFFECT.contains(&word) || REFUSED.contains(&word) || options.set(word)
}

impl Pattern {
    /// `options`: words of `regex_options`; those that nobody knows are passed over.
    ///
    /// # Errors
    /// [`Unusable`]: it is no pattern, or wants what the engine cannot do.
    pub fn new(pattern: &str, words: &[String]) -> Result<Pattern, Unusable> {
        let mut options = Options::default();
        for word in words {
            if REFUSED.contains(&word.as_str()) {
                return Err(Unusable::of(&format!("it has the option `{word}`")));
            }
            options.set(word);
        }
        if options.ucp && !options.utf {
            return Err(Unusable::of("it has the option `ucp` without `utf`"));
        }
        let translated = translate(pattern, options)?;
        let built = RegexBuilder::new(&translated.pattern)
            .unicode(options.utf)
            .case_insensitive(options.caseless)
            .multi_line(options.multiline)
            .dot_matches_new_line(options.dotall)
            .swap_greed(options.ungreedy)
            .size_limit(SIZE_MAX)
            .dfa_size_limit(SEARCH_MAX)
            .build();
        match built {
            Ok(regex) => Ok(Pattern {
                regex,
                first_line: options.first_line,
                looks_behind_end: translated.looks_behind_end,
            }),
            Err(regex::Error::CompiledTooBig(_)) => Err(Unusable("it is too large".to_owned())),
            Err(error) => {
                let text = error.to_string();
                let last = text.lines().last().unwrap_or_default();
                Err(Unusable(last.trim_start_matches("error: ").to_owned()))
            }
        }
    }

    /// Where the first match at or behind `start` begins and ends.
    pub fn find(&self, bytes: &[u8], start: usize) -> Option<(usize, usize)> {
        // `find_at` panics beyond the end.
        (start <= bytes.len()).then_some(())?;
        let found = self.regex.find_at(bytes, start)?;
        Some((found.start(), found.end()))
    }

    /// `firstline`: a match must begin on the first line.
    pub fn first_line(&self) -> bool {
        self.first_line
    }

    /// Whether a match that reaches the end of what is searched depends on there being nothing behind.
    pub fn looks_behind_end(&self) -> bool {
        self.looks_behind_end
    }
}

#[cfg(test)]
mod tests;
