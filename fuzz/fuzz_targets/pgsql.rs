//! Any bytes as what a server of PostgreSQL says, in pieces of any lengths: the same is found however they were cut.
//!
//! `cargo +nightly fuzz run pgsql -- -max_total_time=600`

#![no_main]

use libfuzzer_sys::fuzz_target;
use vipd::wire::pgsql::{Asks, Login};
use vipd::wire::talk::hear_all;

fuzz_target!(|input: (u8, &[u8])| {
    let (step, bytes) = input;
    let asks = || {
        let login = Login {
            tls: Some(false),
            password: Some("x".to_owned()),
            ..Login::default()
        };
        Asks::new(login, vec!["SELECT 1".to_owned(), "SELECT 2".to_owned()])
    };
    let (whole, _) = hear_all(&mut asks(), bytes, usize::MAX);
    let (cut, _) = hear_all(&mut asks(), bytes, usize::from(step));
    assert_eq!(cut.map_err(drop), whole.map_err(drop));
});
