//! Any datagram as a reply to a `UDP_CHECK`, and any reply that is required: what passes is what a plain comparison
//! lets pass, and bits that do not count make no difference.
//!
//! `cargo +nightly fuzz run udp -- -max_total_time=600`

#![no_main]

use libfuzzer_sys::fuzz_target;
use vipd::config::model::MaskedByte;
use vipd::health::reply::judge;

fuzz_target!(|input: (u16, u16, Vec<(u8, u8)>, u8, &[u8])| {
    let (min, max, wanted, noise, bytes) = input;
    let wanted: Vec<MaskedByte> = wanted
        .into_iter()
        .map(|(value, mask)| MaskedByte { value, mask })
        .collect();
    let fits = (usize::from(min)..=usize::from(max)).contains(&bytes.len());
    let equal = wanted.len() <= bytes.len()
        && wanted.iter().zip(bytes).all(|(w, b)| (w.value ^ b) & w.mask == 0);
    let judged = judge((min, max), &wanted, bytes);
    assert_eq!(judged.is_ok(), fits && equal, "{judged:?}");
    // Other bits where the mask has none.
    let masks = wanted.iter().map(|w| w.mask).chain(std::iter::repeat(u8::MAX));
    let other: Vec<u8> = bytes.iter().zip(masks).map(|(b, mask)| b ^ (noise & !mask)).collect();
    assert_eq!(judge((min, max), &wanted, &other), judged);
});
