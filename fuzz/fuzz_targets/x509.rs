//! Any bytes as a certificate: until when it is good is read or not, and whatever follows it changes nothing.
//!
//! `cargo +nightly fuzz run x509 -- -max_total_time=600`

#![no_main]

use libfuzzer_sys::fuzz_target;
use vipd::wire::x509::not_after;

fuzz_target!(|bytes: &[u8]| {
    if let Some(end) = not_after(bytes) {
        assert_eq!(not_after(&[bytes, b"more"].concat()), Some(end));
    }
});
