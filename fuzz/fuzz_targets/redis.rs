//! Any bytes as answers of Redis, in pieces of any lengths: the same is found however they were cut.
//!
//! `cargo +nightly fuzz run redis -- -max_total_time=600`

#![no_main]

use libfuzzer_sys::fuzz_target;
use vipd::wire::talk::hear_all;

fuzz_target!(|input: (u8, &[u8])| {
    let (step, bytes) = input;
    let asks = || vipd::wire::redis::Asks::new(Some("user"), Some("password"), true);
    let (whole, _) = hear_all(&mut asks(), bytes, usize::MAX);
    let (cut, _) = hear_all(&mut asks(), bytes, usize::from(step));
    assert_eq!(cut.map_err(drop), whole.map_err(drop));
});
