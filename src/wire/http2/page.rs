//! A page over HTTP/2 (`@vipd http2`).

use crate::wire::http::{Ending, Part, Progress, Request};

use super::{Exchange, Part as Piece, write_literal, write_named};

/// A request for a page, and its answer as it is read.
#[derive(Debug)]
pub struct Answer {
    exchange: Exchange,
    heard: Vec<u8>,
    heard_any: bool,
    status: Option<u16>,
    whole: bool,
}

impl Answer {
    /// To this request, whose version counts for nothing, with these header fields beside its own; a `User-Agent`
    /// among them takes the place of ours. `tls`: it is asked in private.
    pub fn to(asked: Request<'_>, headers: &[(&str, &str)], tls: bool) -> Answer {
        // http or https, and GET: fields 6, 7 and 2 of the static table.
        let mut block = vec![if tls { 0x87 } else { 0x86 }];
        match asked.method {
            "GET" => block.push(0x82),
            other => write_named(2, other, &mut block),
        }
        write_named(4, asked.path, &mut block);
        write_named(1, asked.host, &mut block);
        let named = |(name, _): &(&str, &str)| name.eq_ignore_ascii_case("User-Agent");
        if !headers.iter().any(named) {
            write_named(58, "KeepAliveClient", &mut block);
        }
        for (name, value) in headers {
            // RFC 9113 section 8.2.1.
            write_literal(&name.to_ascii_lowercase(), value, &mut block);
        }
        Answer {
            exchange: Exchange::new(&block, None, true),
            heard: Vec::new(),
            heard_any: false,
            status: None,
            whole: false,
        }
    }

    /// Status of the final answer, once its header is there.
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// Takes in what came, hands the body to `sink`, and adds to what is to be said: first of all the request, for
    /// which nothing need have come. What follows the end of the answer is ignored.
    ///
    /// # Errors
    /// In words: what the server says is wrong, or no.
    pub fn read(
        &mut self,
        bytes: &[u8],
        say: &mut Vec<u8>,
        sink: &mut dyn FnMut(Part<'_>),
    ) -> Result<Progress, String> {
        if self.whole {
            return Ok(Progress::Whole);
        }
        self.heard.extend(bytes);
        self.heard_any |= !bytes.is_empty();
        let status = &mut self.status;
        let mut take = |piece: Piece<'_>| {
            match piece {
                Piece::Field(b":status", value) => *status = final_status(value)?,
                Piece::Field(..) => {}
                Piece::Data(_) if status.is_none() => {
                    return Err("the answer has no status".to_owned());
                }
                Piece::Data(bytes) => {
                    if !bytes.is_empty() {
                        sink(Part::Body(bytes));
                    }
                }
            }
            Ok(())
        };
        self.whole = self.exchange.hear(&mut self.heard, say, &mut take)?;
        match (self.whole, self.status) {
            (true, None) => Err("the answer has no status".to_owned()),
            (true, Some(_)) => Ok(Progress::Whole),
            (false, _) => Ok(Progress::More),
        }
    }

    /// Nothing more comes: the connection was closed.
    ///
    /// # Errors
    /// In words: it was, within the body. Nobody who speaks HTTP/2 ends an answer in this way.
    pub fn ended(&self) -> Result<Ending, String> {
        match (self.whole, self.status) {
            (true, _) => Ok(Ending::Whole),
            (false, Some(_)) => {
                Err("the server closed the connection before its answer was whole".to_owned())
            }
            (false, None) if self.heard_any => Ok(Ending::InHead),
            (false, None) => Ok(Ending::Nothing),
        }
    }
}

/// `None`: of an interim answer (RFC 9110 section 15.2), before the final one.
fn final_status(value: &[u8]) -> Result<Option<u16>, String> {
    let status = std::str::from_utf8(value).ok();
    let status = status.filter(|text| text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit()));
    let status: Option<u16> = status.and_then(|text| text.parse().ok());
    let status = status.ok_or("the answer has a status that is none")?;
    Ok((status >= 200).then_some(status))
}

#[cfg(test)]
mod tests {
    use super::super::{SETTINGS, STREAM, flag, frame, kind};
    use super::*;
    use crate::wire::http::Version;

    const FIRST: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    const WHOLE: u8 = flag::END_HEADERS | flag::END_STREAM;

    fn framed(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        frame(kind, flags, STREAM, payload, &mut bytes);
        bytes
    }

    fn asks(method: &str) -> Answer {
        let asked = Request {
            method,
            path: "/a",
            host: "h",
            version: Version {
                one_one: false,
                close: false,
            },
        };
        Answer::to(asked, &[("X-Ask", "b")], true)
    }

    /// Status, body and how it ended, the same in pieces of any length.
    fn said(frames: &[Vec<u8>]) -> Result<(Option<u16>, Vec<u8>, Progress), String> {
        let bytes = [FIRST, &frames.concat()].concat();
        let run = |step: usize| {
            let (mut answer, mut body) = (asks("GET"), Vec::new());
            let mut progress = Progress::More;
            for piece in bytes.chunks(step) {
                progress = answer.read(piece, &mut Vec::new(), &mut |part| match part {
                    Part::Body(bytes) => body.extend(bytes),
                    Part::Head(_) | Part::Wire(_) => panic!("{part:?}"),
                })?;
            }
            Ok((answer.status(), body, progress))
        };
        let whole = run(usize::MAX);
        for step in [1, 3] {
            assert_eq!(run(step), whole, "{step}");
        }
        whole
    }

    #[test]
    fn the_request_has_room_for_a_large_answer_and_ends_with_its_header() {
        let mut say = Vec::new();
        asks("GET").read(b"", &mut say, &mut |_| {}).unwrap();
        let question = [
            &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
            b"\0\0\x18\x04\0\0\0\0\0\0\x01\0\0\0\0\0\x02\0\0\0\0\0\x06\0\0\x40\0\0\x04\x7f\xff\xff\xff",
            b"\0\0\x04\x08\0\0\0\0\0\x7f\xff\0\0",
            b"\0\0\x24\x01\x05\0\0\0\x01\x87\x82\x04\x02/a\x01\x01h\x0f\x2b\x0fKeepAliveClient\0\x05x-ask\x01b",
        ];
        assert_eq!(say, question.concat());
        let mut say = Vec::new();
        asks("HEAD").read(b"", &mut say, &mut |_| {}).unwrap();
        assert!(say.windows(7).any(|bytes| bytes == b"\x87\x02\x04HEAD"));
        assert_eq!(SETTINGS.len(), 3);
    }

    #[test]
    fn interim_answers_and_trailers_are_passed_over() {
        let mut interim = Vec::new();
        write_literal(":status", "103", &mut interim);
        let mut trailer = Vec::new();
        write_literal("x-sum", "1", &mut trailer);
        let frames = [
            framed(kind::HEADERS, flag::END_HEADERS, &interim),
            framed(kind::HEADERS, flag::END_HEADERS, &[0x88]),
            framed(kind::DATA, 0, b"he"),
            framed(kind::DATA, flag::PADDED, b"\x02llo__"),
            framed(kind::HEADERS, WHOLE, &trailer),
        ];
        let whole = (Some(200), b"hello".to_vec(), Progress::Whole);
        assert_eq!(said(&frames), Ok(whole));
        let none = (Some(404), Vec::new(), Progress::Whole);
        assert_eq!(said(&[framed(kind::HEADERS, WHOLE, &[0x8d])]), Ok(none));
    }

    #[test]
    fn half_an_answer_and_none_are_told_apart() {
        let ended = |frames: &[Vec<u8>]| {
            let mut answer = asks("GET");
            let bytes = frames.concat();
            answer.read(&bytes, &mut Vec::new(), &mut |_| {})?;
            answer.ended()
        };
        let head = framed(kind::HEADERS, flag::END_HEADERS, &[0x88]);
        assert_eq!(ended(&[]), Ok(Ending::Nothing));
        assert_eq!(ended(&[FIRST.to_vec()]), Ok(Ending::InHead));
        let half = ended(&[FIRST.to_vec(), head]).unwrap_err();
        assert_eq!(
            half,
            "the server closed the connection before its answer was whole"
        );
    }

    #[test]
    fn what_is_no_answer_is_said_to_be_none() {
        let mut odd = Vec::new();
        write_literal(":status", "2000", &mut odd);
        for (frame, why) in [
            (
                framed(kind::DATA, flag::END_STREAM, b"a"),
                "the answer has no status",
            ),
            (
                framed(kind::HEADERS, WHOLE, &[]),
                "the answer has no status",
            ),
            (
                framed(kind::HEADERS, WHOLE, &odd),
                "the answer has a status that is none",
            ),
            (
                framed(kind::RST_STREAM, 0, &[0, 0, 0, 2]),
                "the server ends the request: HTTP/2 error 2",
            ),
        ] {
            assert_eq!(said(&[frame]).unwrap_err(), why);
        }
        let mut answer = asks("GET");
        let old = answer.read(
            b"HTTP/1.1 400 Bad Request\r\n",
            &mut Vec::new(),
            &mut |_| {},
        );
        assert_eq!(old.unwrap_err(), "the server does not speak HTTP/2 here");
    }
}
