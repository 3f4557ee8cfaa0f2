//! Any bytes as the answer of a name server: a code, and only to the question that was asked.
//!
//! `cargo +nightly fuzz run dns -- -max_total_time=60`

#![no_main]

use libfuzzer_sys::fuzz_target;
use vipd::wire::dns::{code_name, query, response_code};

fuzz_target!(|input: (u16, u16, &str, &[u8])| {
    let (id, record_type, name, bytes) = input;
    if let Ok(question) = query(id, name, record_type) {
        assert_eq!(response_code(id, &question), None, "a question is no answer");
    }
    if let Some(code) = response_code(id, bytes) {
        assert!(code < 16 && bytes.len() >= 12 && bytes.starts_with(&id.to_be_bytes()));
        assert_eq!(response_code(id.wrapping_add(1), bytes), None);
        assert!(!code_name(code).is_empty());
    }
});
