//! Any bytes as what a gRPC server says, in pieces of any lengths: the same is found however they were cut.
//!
//! `cargo +nightly fuzz run grpc -- -max_total_time=600`

#![no_main]

use libfuzzer_sys::fuzz_target;
use vipd::wire::grpc::Asks;
use vipd::wire::talk::hear_all;

/// What every server says first, so that most of what comes is more than that.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

fuzz_target!(|input: (u8, bool, Vec<(u8, u8, Vec<u8>)>, &[u8])| {
    let (step, begins, frames, rest) = input;
    let mut bytes = Vec::new();
    if begins {
        bytes.extend(SETTINGS);
    }
    for (kind, flags, payload) in &frames {
        let Ok(length) = u16::try_from(payload.len()) else {
            continue;
        };
        let [high, low] = length.to_be_bytes();
        // Of the stream of the question.
        bytes.extend([0, high, low, kind % 12, *flags, 0, 0, 0, 1]);
        bytes.extend(payload);
    }
    bytes.extend(rest);
    let asks = || Asks::new("shop", "server", false);
    let (whole, _) = hear_all(&mut asks(), &bytes, usize::MAX);
    let (cut, _) = hear_all(&mut asks(), &bytes, usize::from(step));
    assert_eq!(cut, whole);
});
