//! Any bytes as the reply of a mail server that is checked: whole, unfinished or none, and what is whole
//! stays so whatever follows.
//!
//! `cargo +nightly fuzz run smtp -- -max_total_time=60`

#![no_main]

use libfuzzer_sys::fuzz_target;
use vipd::wire::smtp::{Reply, reply};

fuzz_target!(|input: (&[u8], &[u8])| {
    let (bytes, more) = input;
    let longer = [bytes, more].concat();
    match reply(bytes) {
        Reply::Code(code, length) => {
            assert!((200..600).contains(&code) && length <= bytes.len());
            assert_eq!(reply(&longer), Reply::Code(code, length));
            assert_eq!(reply(&bytes[..length]), Reply::Code(code, length));
            assert_eq!(reply(&bytes[..length - 1]), Reply::Unfinished);
        }
        Reply::Broken => assert!(!matches!(reply(&longer), Reply::Code(..))),
        Reply::Unfinished => {}
    }
});
