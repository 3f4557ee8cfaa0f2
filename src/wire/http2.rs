//! As much of HTTP/2 (RFC 9113) as one question takes: one request on one connection, and its answer, of which
//! nothing is kept here but a frame that is not whole and a header. The server is told to be simple.

mod hpack;
mod page;

pub use page::Answer;

pub(super) use hpack::{write_literal, write_named};

use super::talk::shown;

/// What begins a connection (RFC 9113 section 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The longest frame that we say we take (section 4.2), and header fields of one answer.
pub(super) const FRAME_MAX: usize = 16 * 1024;
const FIELDS_MAX: usize = 64 * 1024;
const FRAME_HEAD: usize = 9;
/// Of the only request.
pub(super) const STREAM: u32 = 1;
/// What a server is told in any case (section 6.5.2): no dynamic table for header fields, nothing unasked, and not
/// too many fields.
const SETTINGS: [(u16, u32); 3] = [(1, 0), (2, 0), (6, 16 * 1024)];
/// How much it may send of each answer without being told that there is room.
const INITIAL_WINDOW: u16 = 4;
const WINDOW_MAX: u32 = 0x7fff_ffff;
/// That of a connection at its beginning (section 6.9.2).
const WINDOW_FIRST: u32 = 65_535;

pub(super) mod kind {
    pub(in crate::wire) const DATA: u8 = 0;
    pub(in crate::wire) const HEADERS: u8 = 1;
    pub(in crate::wire) const RST_STREAM: u8 = 3;
    pub(in crate::wire) const SETTINGS: u8 = 4;
    pub(in crate::wire) const PUSH_PROMISE: u8 = 5;
    pub(in crate::wire) const PING: u8 = 6;
    pub(in crate::wire) const GOAWAY: u8 = 7;
    pub(in crate::wire) const WINDOW_UPDATE: u8 = 8;
    pub(in crate::wire) const CONTINUATION: u8 = 9;
}

pub(super) mod flag {
    /// The same as that of the end of a stream, of other frames.
    pub(in crate::wire) const ACK: u8 = 0x1;
    pub(in crate::wire) const END_STREAM: u8 = 0x1;
    pub(in crate::wire) const END_HEADERS: u8 = 0x4;
    pub(in crate::wire) const PADDED: u8 = 0x8;
    pub(in crate::wire) const PRIORITY: u8 = 0x20;
}

/// A piece of an answer.
pub(super) enum Part<'a> {
    /// A header field; its name is empty where nobody looks at it. Those of trailers come behind the data.
    Field(&'a [u8], &'a [u8]),
    /// Some of its content.
    Data(&'a [u8]),
}

/// One request, and what is heard of its answer.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    question: Vec<u8>,
    heard_settings: bool,
    /// A block of header fields that goes on in the next frame, and whether the answer ends with it.
    open_block: Option<(Vec<u8>, bool)>,
}

impl Exchange {
    /// `block`: the header fields of the request; `content`: what it has beside them. `large`: the answer may be
    /// of any length.
    pub(super) fn new(block: &[u8], content: Option<&[u8]>, large: bool) -> Exchange {
        let mut question = PREFACE.to_vec();
        let window = large.then_some((INITIAL_WINDOW, WINDOW_MAX));
        let mut settings = Vec::new();
        for (name, value) in SETTINGS.into_iter().chain(window) {
            settings.extend(name.to_be_bytes());
            settings.extend(value.to_be_bytes());
        }
        frame(kind::SETTINGS, 0, 0, &settings, &mut question);
        if large {
            let more = (WINDOW_MAX - WINDOW_FIRST).to_be_bytes();
            frame(kind::WINDOW_UPDATE, 0, 0, &more, &mut question);
        }
        let end = match content {
            Some(_) => 0,
            None => flag::END_STREAM,
        };
        let mut pieces = block.chunks(FRAME_MAX).peekable();
        let (mut kind, mut flags) = (kind::HEADERS, end);
        while let Some(piece) = pieces.next() {
            if pieces.peek().is_none() {
                flags |= flag::END_HEADERS;
            }
            frame(kind, flags, STREAM, piece, &mut question);
            (kind, flags) = (kind::CONTINUATION, 0);
        }
        if let Some(content) = content {
            frame(kind::DATA, flag::END_STREAM, STREAM, content, &mut question);
        }
        Exchange {
            question,
            heard_settings: false,
            open_block: None,
        }
    }

    /// Takes whole frames off the front of what was `heard`, hands what they say to `sink`, and adds to what is to
    /// be said: first of all the question. `true`: the answer is whole; nothing behind it is taken.
    ///
    /// # Errors
    /// In words: what the server says is wrong, or no; or those of `sink`.
    pub(super) fn hear(
        &mut self,
        heard: &mut Vec<u8>,
        say: &mut Vec<u8>,
        sink: &mut dyn FnMut(Part<'_>) -> Result<(), String>,
    ) -> Result<bool, String> {
        say.append(&mut self.question);
        let mut taken = 0;
        let mut over = false;
        while !over {
            let rest = heard.get(taken..).unwrap_or_default();
            // An answer in words has no frames.
            if !self.heard_settings && rest.starts_with(b"HTTP/") {
                return Err(not_http2());
            }
            let Some((head, rest)) = Head::read(rest) else {
                break;
            };
            if head.length > FRAME_MAX {
                return Err(match self.heard_settings {
                    true => "a frame is longer than it may be".to_owned(),
                    false => not_http2(),
                });
            }
            let Some(payload) = rest.get(..head.length) else {
                break;
            };
            over = self.take(head, payload, say, sink)?;
            taken += FRAME_HEAD + head.length;
        }
        heard.drain(..taken.min(heard.len()));
        Ok(over)
    }

    /// One frame; `true`: the answer ends with it.
    fn take(
        &mut self,
        head: Head,
        mut payload: &[u8],
        say: &mut Vec<u8>,
        sink: &mut dyn FnMut(Part<'_>) -> Result<(), String>,
    ) -> Result<bool, String> {
        if !self.heard_settings && head.kind != kind::SETTINGS {
            return Err(not_http2());
        }
        if self.open_block.is_some() && head.kind != kind::CONTINUATION {
            return Err("another frame comes before the end of a header".to_owned());
        }
        let ours = head.stream == STREAM;
        match head.kind {
            kind::SETTINGS => {
                self.heard_settings = true;
                if head.flags & flag::ACK == 0 {
                    frame(kind::SETTINGS, flag::ACK, 0, &[], say);
                }
            }
            kind::PING if head.flags & flag::ACK == 0 => {
                frame(kind::PING, flag::ACK, 0, payload, say);
            }
            kind::GOAWAY => goes_away(payload)?,
            kind::RST_STREAM if ours => {
                let code = u32_at(payload, 0).unwrap_or_default();
                return Err(format!("the server ends the request: HTTP/2 error {code}"));
            }
            kind::PUSH_PROMISE => return Err("the server answers what nobody asked".to_owned()),
            kind::DATA if ours => {
                sink(Part::Data(unpadded(head, payload)?))?;
                return Ok(head.flags & flag::END_STREAM != 0);
            }
            kind::HEADERS if ours => {
                payload = unpadded(head, payload)?;
                if head.flags & flag::PRIORITY != 0 {
                    payload = payload.get(5..).ok_or("a frame is too short")?;
                }
                let ends = head.flags & flag::END_STREAM != 0;
                self.open_block = Some((payload.to_vec(), ends));
                return self.close_block(head, sink);
            }
            kind::CONTINUATION => {
                let (block, _) = self
                    .open_block
                    .as_mut()
                    .ok_or("a header goes on that did not begin")?;
                block.extend(payload);
                if block.len() > FIELDS_MAX {
                    return Err("the header of the answer does not end".to_owned());
                }
                return self.close_block(head, sink);
            }
            // Windows, priorities, other streams, and what comes in later years.
            _ => {}
        }
        Ok(false)
    }

    fn close_block(
        &mut self,
        head: Head,
        sink: &mut dyn FnMut(Part<'_>) -> Result<(), String>,
    ) -> Result<bool, String> {
        if head.flags & flag::END_HEADERS == 0 {
            return Ok(false);
        }
        let Some((block, ends)) = self.open_block.take() else {
            return Ok(false);
        };
        let mut fault = Ok(());
        hpack::read(&block, |name, value| {
            if fault.is_ok() {
                fault = sink(Part::Field(name, value));
            }
        })?;
        fault.map(|()| ends)
    }
}

fn not_http2() -> String {
    "the server does not speak HTTP/2 here".to_owned()
}

/// The first bytes of a frame (RFC 9113 section 4.1).
#[derive(Clone, Copy, Debug)]
struct Head {
    length: usize,
    kind: u8,
    flags: u8,
    stream: u32,
}

impl Head {
    fn read(bytes: &[u8]) -> Option<(Head, &[u8])> {
        let (&[a, b, c, kind, flags, s, t, u, v], rest) =
            bytes.split_first_chunk::<FRAME_HEAD>()?;
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        let stream = u32::from_be_bytes([s & 0x7f, t, u, v]);
        let head = Head {
            length,
            kind,
            flags,
            stream,
        };
        Some((head, rest))
    }
}

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(payload.len()).unwrap_or_default();
    let [_, length @ ..] = length.to_be_bytes();
    out.extend(length);
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
}

fn unpadded(head: Head, payload: &[u8]) -> Result<&[u8], String> {
    if head.flags & flag::PADDED == 0 {
        return Ok(payload);
    }
    let padded = payload.split_first();
    let inner = padded.and_then(|(pad, rest)| rest.get(..rest.len().checked_sub((*pad).into())?));
    inner.ok_or_else(|| "a frame has more padding than it is long".to_owned())
}

/// Section 6.8: one that still answers the request is no news.
fn goes_away(payload: &[u8]) -> Result<(), String> {
    let (last, code) = (u32_at(payload, 0), u32_at(payload, 4));
    match (last, code) {
        (Some(last), Some(0)) if last & 0x7fff_ffff >= STREAM => Ok(()),
        (Some(_), Some(0)) => Err("the server goes away before it answers".to_owned()),
        (_, code) => {
            let code = code.unwrap_or_default();
            let why = shown(payload.get(8..).unwrap_or_default());
            Err(format!("the server goes away: HTTP/2 error {code} {why}")
                .trim_end()
                .to_owned())
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_be_bytes(*bytes))
}
