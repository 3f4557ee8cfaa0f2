//! Any bytes as what a gRPC server says, in pieces of any lengths: the same is found however they were cut.
//!
//! `cargo +nightly fuzz run grpc -- -max_total_time=600`

#![no_main]

#[path = "shared/frames.rs"]
mod frames;

use libfuzzer_sys::fuzz_target;
use vipd::wire::grpc::Asks;
use vipd::wire::talk::hear_all;

fuzz_target!(|input: (u8, bool, Vec<(u8, u8, Vec<u8>)>, &[u8])| {
    let (step, begins, frames, rest) = input;
    let bytes = frames::bytes(begins, &frames, rest);
    let asks = || Asks::new("shop", "server", false);
    let (whole, _) = hear_all(&mut asks(), &bytes, usize::MAX);
    let (cut, _) = hear_all(&mut asks(), &bytes, usize::from(step));
    assert_eq!(cut, whole);
});
