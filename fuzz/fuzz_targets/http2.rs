//! Any frames as an answer to a request for a page over HTTP/2, in pieces of any lengths: they are read the same
//! however they were cut, and no byte of a body is told twice.
//!
//! `cargo +nightly fuzz run http2 -- -max_total_time=600`

#![no_main]

#[path = "shared/frames.rs"]
mod frames;

use libfuzzer_sys::fuzz_target;
use vipd::wire::http::{Ending, Part, Progress, Request, Version};
use vipd::wire::http2::Answer;

#[derive(Debug, PartialEq, Eq)]
struct Read {
    whole: Result<bool, String>,
    status: Option<u16>,
    body: Vec<u8>,
    ending: Result<Ending, String>,
}

fn read(bytes: &[u8], step: usize) -> Read {
    let version = Version {
        one_one: true,
        close: true,
    };
    let asked = Request {
        method: "GET",
        path: "/",
        host: "server",
        version,
    };
    let (mut answer, mut body) = (Answer::to(asked, &[], false), Vec::new());
    let mut whole = Ok(false);
    for piece in bytes.chunks(step.max(1)) {
        let mut sink = |part: Part<'_>| match part {
            Part::Body(bytes) => body.extend(bytes),
            Part::Head(_) | Part::Wire(_) => panic!("{part:?}"),
        };
        let progress = answer.read(piece, &mut Vec::new(), &mut sink);
        whole = progress.map(|progress| progress == Progress::Whole);
        if whole != Ok(false) {
            break;
        }
    }
    Read {
        whole,
        status: answer.status(),
        body,
        ending: answer.ended(),
    }
}

fuzz_target!(|input: (u8, bool, Vec<(u8, u8, Vec<u8>)>, &[u8])| {
    let (step, begins, frames, rest) = input;
    let bytes = frames::bytes(begins, &frames, rest);
    let one = read(&bytes, usize::from(step));
    assert_eq!(one, read(&bytes, usize::MAX));
    assert!(one.body.len() <= bytes.len());
    if one.whole == Ok(true) {
        assert_eq!(one.ending, Ok(Ending::Whole));
    }
});
