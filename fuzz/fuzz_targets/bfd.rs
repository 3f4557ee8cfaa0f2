//! Any bytes as a BFD packet: they are read or refused, and what is read is written the same again.
//!
//! `cargo +nightly fuzz run bfd -- -max_total_time=600`

#![no_main]

use libfuzzer_sys::fuzz_target;
use vipd::wire::bfd::{LEN, encode, parse};

fuzz_target!(|bytes: &[u8]| {
    match parse(bytes) {
        Ok(packet) => {
            let written = encode(&packet);
            // The length field may have been longer than the packet.
            assert_eq!(written.get(..3), bytes.get(..3));
            assert_eq!(written.get(4..), bytes.get(4..LEN));
        }
        Err(error) => drop(error.to_string()),
    }
});
