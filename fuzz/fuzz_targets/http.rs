//! Any bytes as an answer to a request for a page, in pieces of any lengths: they are read to an end, the
//! same however they were cut, and no byte of a body is told twice.
//!
//! `cargo +nightly fuzz run http -- -max_total_time=600`

#![no_main]

use libfuzzer_sys::fuzz_target;
use vipd::wire::http::{Answer, Ending, HEAD_MAX, Part, Progress};

#[derive(Debug, Default, PartialEq, Eq)]
struct Read {
    status: Option<u16>,
    body: Vec<u8>,
    wire: Vec<u8>,
    whole: bool,
    fault: bool,
    ending: Option<Ending>,
}

fn read(bytes: &[u8], step: usize, head: bool) -> Read {
    let mut answer = Answer::to(if head { "HEAD" } else { "GET" });
    let mut read = Read::default();
    for piece in bytes.chunks(step.max(1)) {
        let (body, wire) = (&mut read.body, &mut read.wire);
        let mut sink = |part: Part<'_>| match part {
            Part::Head(head) => assert!(head.len() <= HEAD_MAX && head.starts_with(b"HTTP/")),
            Part::Body(bytes) => body.extend(bytes),
            Part::Wire(bytes) => wire.extend(bytes),
        };
        match answer.read(piece, &mut sink) {
            Ok(Progress::More) => {}
            Ok(Progress::Whole) => {
                read.whole = true;
                break;
            }
            Err(fault) => {
                drop(fault.to_string());
                read.fault = true;
                return read;
            }
        }
    }
    read.status = answer.status();
    read.ending = Some(answer.ended());
    read
}

fuzz_target!(|input: (u8, bool, &[u8])| {
    let (step, head, bytes) = input;
    let one = read(bytes, usize::from(step), head);
    assert_eq!(one, read(bytes, bytes.len(), head));
    assert!(!head || one.body.is_empty());
    assert!(one.body.len() <= bytes.len() && one.wire.len() <= bytes.len());
    if one.whole {
        assert_eq!(one.ending, Some(Ending::Whole));
    }
});
