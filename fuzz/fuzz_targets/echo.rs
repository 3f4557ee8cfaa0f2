//! Any bytes as an echo reply: only one that carries all of what was sent is one.
//!
//! `cargo +nightly fuzz run echo -- -max_total_time=60`

#![no_main]

use libfuzzer_sys::fuzz_target;
use vipd::net::Family;
use vipd::wire::echo::{is_reply, request};

fuzz_target!(|input: (bool, u16, u16, &[u8], &[u8])| {
    let (six, id, sequence, data, packet) = input;
    let family = if six { Family::V6 } else { Family::V4 };
    assert!(!is_reply(Family::V6, &request(family, id, sequence, data), id, sequence, data));
    if is_reply(family, packet, id, sequence, data) {
        assert!(packet.ends_with(data) && packet.len() >= 8 + data.len());
        assert!(!is_reply(family, packet, id, sequence.wrapping_add(1), data));
        assert!(!is_reply(family, packet, id.wrapping_add(1), sequence, data));
    }
});
