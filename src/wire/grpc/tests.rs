use proptest::prelude::*;

use super::*;
use crate::wire::http2::{FRAME_MAX, PREFACE, STREAM, flag, frame, kind};
use crate::wire::talk::hear_all;

const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

fn framed(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame(kind, flags, STREAM, payload, &mut bytes);
    bytes
}

/// Status 200 and the content type of gRPC.
fn head() -> Vec<u8> {
    let mut block = vec![0x88];
    write_named(31, "application/grpc", &mut block);
    block
}

fn trailer(code: &str, message: &str) -> Vec<u8> {
    let mut block = Vec::new();
    write_literal("grpc-status", code, &mut block);
    write_literal("grpc-message", message, &mut block);
    block
}

fn answer(message: &[u8]) -> Vec<u8> {
    let parts = [
        SETTINGS.to_vec(),
        framed(kind::HEADERS, flag::END_HEADERS, &head()),
        framed(kind::DATA, 0, message),
        framed(
            kind::HEADERS,
            flag::END_HEADERS | flag::END_STREAM,
            &trailer("0", ""),
        ),
    ];
    parts.concat()
}

fn said(server: &[u8]) -> Result<Next<Health>, String> {
    let asks = || Asks::new("shop", "10.0.0.1:50051", false);
    let whole = hear_all(&mut asks(), server, usize::MAX).0;
    for step in [1, 2, 7] {
        assert_eq!(hear_all(&mut asks(), server, step).0, whole, "{step}");
    }
    whole
}

#[test]
fn the_question_is_one_request_and_what_the_server_asks_is_answered() {
    let (_, said) = hear_all(&mut Asks::new("ab", "h", true), b"", 1);
    let question = [
        PREFACE,
        b"\0\0\x12\x04\0\0\0\0\0\0\x01\0\0\0\0\0\x02\0\0\0\0\0\x06\0\0\x40\0",
        b"\0\0\x4a\x01\x04\0\0\0\x01\x83\x87\x04\x1c/grpc.health.v1.Health/Check\x01\x01h",
        b"\x0f\x10\x10application/grpc\x0f\x2b\x04vipd\0\x02te\x08trailers",
        b"\0\0\x09\0\x01\0\0\0\x01\0\0\0\0\x04\x0a\x02ab",
    ];
    assert_eq!(said, question.concat());
    let ping = b"\0\0\x08\x06\0\0\0\0\0abcdefgh";
    let (_, said) = hear_all(
        &mut Asks::new("ab", "h", true),
        &[SETTINGS, ping].concat(),
        5,
    );
    let answers = [
        &question.concat(),
        &b"\0\0\0\x04\x01\0\0\0\0"[..],
        b"\0\0\x08\x06\x01\0\0\0\0abcdefgh",
    ];
    assert_eq!(said, answers.concat());
}

#[test]
fn every_status_is_read_and_what_else_is_in_the_message_passed_over() {
    let over = |status| Ok(Next::Over(Health::Status(status)));
    assert_eq!(said(&answer(b"\0\0\0\0\0")), over(0));
    assert_eq!(said(&answer(b"\0\0\0\0\x02\x08\x01")), over(1));
    assert_eq!(said(&answer(b"\0\0\0\0\x06\x12\x02hi\x08\x02")), over(2));
    for wrong in [
        &b""[..],
        b"\x01\0\0\0\0",
        b"\0\0\0\0\x02\x08",
        b"\0\0\0\0\x01\x0b",
    ] {
        let error = said(&answer(wrong)).unwrap_err();
        assert_eq!(error, "the answer is not the health of a service");
    }
}

#[test]
fn a_refusal_is_told_in_its_words() {
    let block = [head(), trailer("5", "no such%20service%")].concat();
    // Padded, with a priority, and in two pieces.
    let padded = [&[2, 0, 0, 0, 0, 9][..], &block[..10], b"\0\0"].concat();
    let flags = flag::PADDED | flag::PRIORITY | flag::END_STREAM;
    let parts = [
        SETTINGS.to_vec(),
        framed(kind::HEADERS, flags, &padded),
        framed(kind::CONTINUATION, flag::END_HEADERS, &block[10..]),
    ];
    let refused = Health::Refused {
        code: 5,
        message: "no such service%".to_owned(),
    };
    assert_eq!(said(&parts.concat()), Ok(Next::Over(refused)));
}

#[test]
fn what_is_no_such_answer_is_said_to_be_none() {
    let with = |frames: &[Vec<u8>]| said(&[SETTINGS, &frames.concat()].concat()).unwrap_err();
    let whole = flag::END_HEADERS | flag::END_STREAM;
    for server in [
        &b"HTTP/1.1 400 Bad Request\r\n"[..],
        b"220 mail ESMTP ready\r\n",
    ] {
        assert_eq!(
            said(server).unwrap_err(),
            "the server does not speak HTTP/2 here"
        );
    }
    assert_eq!(
        with(&[framed(kind::HEADERS, whole, &[0x8d])]),
        "the answer has HTTP status 404"
    );
    assert_eq!(
        with(&[framed(kind::HEADERS, whole, &[0x88])]),
        "the answer is not gRPC, it is ``"
    );
    assert_eq!(
        with(&[framed(kind::HEADERS, whole, &head())]),
        "the answer ends without a grpc-status"
    );
    assert_eq!(
        with(&[framed(kind::GOAWAY, 0, b"\0\0\0\0\0\0\0\x0benough")]),
        "the server goes away: HTTP/2 error 11 enough"
    );
    assert_eq!(
        with(&[framed(kind::RST_STREAM, 0, b"\0\0\0\x07")]),
        "the server ends the request: HTTP/2 error 7"
    );
    assert_eq!(
        with(&[framed(kind::DATA, 0, &[0; 5000])]),
        "the answer is longer than the health of a service"
    );
    let endless = framed(kind::CONTINUATION, 0, &[0; FRAME_MAX]);
    assert_eq!(
        with(&[framed(kind::HEADERS, 0, &[]), endless.repeat(5)]),
        "the header of the answer does not end"
    );
    // One that will take no more answers this one.
    let leaves = framed(kind::GOAWAY, 0, b"\x7f\xff\xff\xff\0\0\0\0");
    let well = answer(b"\0\0\0\0\x02\x08\x01");
    let both = [SETTINGS, &leaves, &well[SETTINGS.len()..]].concat();
    assert_eq!(said(&both), Ok(Next::Over(Health::Status(1))));
}

proptest! {
    #[test]
    fn any_bytes_are_read_the_same_however_they_come(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = said(&bytes);
        let _ = said(&[SETTINGS, &bytes].concat());
        let _ = said(&[SETTINGS, &framed(kind::HEADERS, 5, &bytes)].concat());
    }
}
