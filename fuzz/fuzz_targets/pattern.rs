//! Any text as a `regex`, searched in any bytes: it is a pattern or is not, and what it finds lies inside.
//!
//! `cargo +nightly fuzz run pattern -- -max_total_time=600`

#![no_main]

use libfuzzer_sys::fuzz_target;
use vipd::config::pattern::Pattern;

const OPTIONS: [&str; 8] = [
    "caseless",
    "multiline",
    "dotall",
    "extended",
    "ungreedy",
    "utf",
    "allow_empty_class",
    "dollar_endonly",
];

fuzz_target!(|input: (u8, &str, &[u8])| {
    let (bits, text, bytes) = input;
    let chosen = OPTIONS.iter().enumerate().filter(|(n, _)| bits & (1 << n) != 0);
    let words: Vec<String> = chosen.map(|(_, word)| (*word).to_owned()).collect();
    match Pattern::new(text, &words) {
        Ok(pattern) => {
            if let Some((begins, ends)) = pattern.find(bytes, bytes.len() / 2) {
                assert!(bytes.len() / 2 <= begins && begins <= ends && ends <= bytes.len());
            }
        }
        Err(error) => drop(error.to_string()),
    }
});
