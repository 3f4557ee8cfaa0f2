//! The little of HTTP that a health check needs (RFC 9110, RFC 9112): one request out, one answer in.
//!
//! An answer is read as it comes, whatever its length: nothing of a body is kept here, and a header is
//! kept only up to [`HEAD_MAX`]. Servers behind a balancer are often old, so what RFC 9112 tells a
//! recipient to refuse is read as far as it makes sense.

mod chunks;

use std::fmt;

use chunks::Chunks;

/// Bytes of header lines, those of interim answers included; keepalived takes 4095.
pub const HEAD_MAX: usize = 64 * 1024;
/// How the first line of an answer begins.
const VERSION: &[u8] = b"HTTP/";

/// Which version of HTTP is asked for, and whether the connection is to be closed behind the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// 1.1 instead of 1.0.
    pub one_one: bool,
    /// `Connection: close`.
    pub close: bool,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `GET`.
    pub method: &'a str,
    /// Path and query.
    pub path: &'a str,
    /// As it is to stand in the header.
    pub host: &'a str,
    /// Of the protocol.
    pub version: Version,
}

/// A request with these lines in its header beside its own; a `User-Agent` among them takes the place of ours.
/// With GET and without lines it is byte for byte as keepalived sends it.
pub fn request(asked: Request<'_>, headers: &[(&str, &str)]) -> Vec<u8> {
    let Request {
        method,
        path,
        host,
        version,
    } = asked;
    let minor = u8::from(version.one_one);
    let close = match version.close {
        true => "Connection: close\r\n",
        false => "",
    };
    let named = |(name, _): &(&str, &str)| name.eq_ignore_ascii_case("User-Agent");
    let agent = match headers.iter().any(named) {
        true => "",
        false => "User-Agent: KeepAliveClient\r\n",
    };
    let mut text = format!("{method} {path} HTTP/1.{minor}\r\n{agent}{close}Host: {host}\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += "\r\n";
    text.into_bytes()
}

/// What a piece of an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// The whole header of the final answer, the empty line included.
    Head(&'a [u8]),
    /// Some bytes of the body, as the server means it.
    Body(&'a [u8]),
    /// Some bytes behind the header as they came, sizes of chunks included. Only where they differ from
    /// the body, and before the body's bytes that are in them.
    Wire(&'a [u8]),
}

/// Whether more is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is.
    More,
    /// The answer is whole.
    Whole,
}

/// An answer that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It does not begin like one; its first bytes.
    NotHttp(String),
    /// The header goes on and on.
    HeadTooLong,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::NotHttp(start) => write!(f, "the answer is not HTTP, it begins with `{start}`"),
            Fault::HeadTooLong => {
                write!(
                    f,
                    "the header of the answer is longer than {} KiB",
                    HEAD_MAX / 1024
                )
            }
        }
    }
}

impl std::error::Error for Fault {}

/// How an answer stands when nothing more comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Nothing has come at all.
    Nothing,
    /// Within the header.
    InHead,
    /// Whole.
    Whole,
    /// The body has fewer bytes than it said.
    Short {
        /// Bytes that came.
        came: u64,
        /// `Content-Length`.
        announced: u64,
    },
    /// Its last chunk is missing, or what came is no chunk.
    BrokenChunks,
}

/// An answer that is being read.
#[derive(Debug)]
pub struct Answer {
    head: Vec<u8>,
    /// Bytes of header so far, interim answers included.
    head_len: usize,
    status: Option<u16>,
    state: State,
    /// It answers HEAD: it ends with its header, whatever that says of a body.
    no_body: bool,
}

#[derive(Debug)]
enum State {
    Head,
    Length { left: u64, announced: u64 },
    Chunks(Chunks),
    UntilClose,
    Whole,
}

impl Default for Answer {
    fn default() -> Answer {
        Answer {
            head: Vec::new(),
            head_len: 0,
            status: None,
            state: State::Head,
            no_body: false,
        }
    }
}

impl Answer {
    /// To a request with this method.
    pub fn to(method: &str) -> Answer {
        Answer {
            no_body: method == "HEAD",
            ..Answer::default()
        }
    }

    /// Status of the final answer (RFC 9110 section 15), once its header is there.
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// Takes in what came, and hands its parts to `sink`. What follows the end of the answer is ignored.
    ///
    /// # Errors
    /// [`Fault`]; the answer is not to be read any further.
    pub fn read(
        &mut self,
        bytes: &[u8],
        sink: &mut dyn FnMut(Part<'_>),
    ) -> Result<Progress, Fault> {
        let mut rest = bytes;
        while let State::Head = self.state {
            if rest.is_empty() {
                return Ok(Progress::More);
            }
            rest = self.read_head(rest, sink)?;
        }
        match &mut self.state {
            State::Head | State::Whole => {}
            State::Length { left, .. } => {
                let wanted = usize::try_from(*left).unwrap_or(usize::MAX);
                let body = rest.get(..wanted).unwrap_or(rest);
                if !body.is_empty() {
                    sink(Part::Body(body));
                }
                *left -= body.len() as u64;
                if *left == 0 {
                    self.state = State::Whole;
                }
            }
            State::Chunks(chunks) => {
                if chunks.read(rest, sink) {
                    self.state = State::Whole;
                }
            }
            State::UntilClose => {
                if !rest.is_empty() {
                    sink(Part::Body(rest));
                }
            }
        }
        Ok(match self.state {
            State::Whole => Progress::Whole,
            _ => Progress::More,
        })
    }

    /// Nothing more comes: the connection was closed.
    pub fn ended(&self) -> Ending {
        match &self.state {
            State::Head if self.head_len == 0 => Ending::Nothing,
            State::Head => Ending::InHead,
            State::Length { left, announced } => Ending::Short {
                came: announced - left,
                announced: *announced,
            },
            State::Chunks(_) => Ending::BrokenChunks,
            State::UntilClose | State::Whole => Ending::Whole,
        }
    }

    /// Reads up to the end of a header at most; what is left behind it.
    fn read_head<'a>(
        &mut self,
        bytes: &'a [u8],
        sink: &mut dyn FnMut(Part<'_>),
    ) -> Result<&'a [u8], Fault> {
        let line_end = bytes.iter().position(|b| *b == b'\n');
        let (line, rest) = match line_end {
            Some(at) => bytes.split_at(at + 1),
            None => (bytes, &[][..]),
        };
        self.head.extend(line);
        self.head_len += line.len();
        let seen = self.head.len().min(VERSION.len());
        if self.head.get(..seen) != VERSION.get(..seen) {
            return Err(Fault::NotHttp(beginning(&self.head)));
        }
        if self.head_len > HEAD_MAX {
            return Err(Fault::HeadTooLong);
        }
        let whole = self.head.ends_with(b"\n\r\n") || self.head.ends_with(b"\n\n");
        if line_end.is_none() || !whole {
            return Ok(rest);
        }
        let head = std::mem::take(&mut self.head);
        let status = status_of(&head).ok_or_else(|| Fault::NotHttp(beginning(&head)))?;
        // Interim answers come before the final one (RFC 9110 section 15.2); 101 is final.
        if (100..200).contains(&status) && status != 101 {
            return Ok(rest);
        }
        self.status = Some(status);
        self.state = match self.no_body {
            true => State::Whole,
            false => body_of(status, &head),
        };
        sink(Part::Head(&head));
        Ok(rest)
    }
}

/// The first bytes of something, fit for a log.
fn beginning(bytes: &[u8]) -> String {
    let line = bytes.split(|b| *b == b'\r' || *b == b'\n').next();
    let line = line.unwrap_or_default();
    line.get(..line.len().min(32))
        .unwrap_or_default()
        .escape_ascii()
        .to_string()
}

/// Three digits behind the first blank of the status line (RFC 9112 section 4).
fn status_of(head: &[u8]) -> Option<u16> {
    let line = head.split(|b| *b == b'\n').next()?;
    let mut words = line.split(|b| *b == b' ' || *b == b'\r');
    let digits = words.nth(1)?;
    let [a, b, c] = digits else {
        return None;
    };
    let digit = |b: &u8| {
        char::from(*b)
            .to_digit(10)
            .and_then(|d| u16::try_from(d).ok())
    };
    Some(digit(a)? * 100 + digit(b)? * 10 + digit(c)?)
}

/// Where the body ends (RFC 9112 section 6.3).
fn body_of(status: u16, head: &[u8]) -> State {
    if matches!(status, 204 | 304) {
        return State::Whole;
    }
    let mut length = None;
    let mut encoding: &[u8] = &[];
    for line in head.split(|b| *b == b'\n').skip(1) {
        let Some(colon) = line.iter().position(|b| *b == b':') else {
            continue;
        };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        match name.trim_ascii() {
            name if name.eq_ignore_ascii_case(b"content-length") => {
                length = length.or_else(|| number(value));
            }
            name if name.eq_ignore_ascii_case(b"transfer-encoding") => encoding = value,
            _ => {}
        }
    }
    let last = encoding.rsplit(|b| *b == b',').next().unwrap_or_default();
    if last.trim_ascii().eq_ignore_ascii_case(b"chunked") {
        return State::Chunks(Chunks::default());
    }
    match length {
        _ if !encoding.is_empty() => State::UntilClose,
        Some(0) => State::Whole,
        Some(announced) => State::Length {
            left: announced,
            announced,
        },
        None => State::UntilClose,
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    text.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
    text.parse().ok()
}

#[cfg(test)]
mod tests;
