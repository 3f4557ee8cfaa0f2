//! The one question of gRPC's health protocol (`grpc.health.v1.Health/Check`), with as much of HTTP/2 (RFC 9113)
//! as that takes: one request on one connection, which is told to be small.

mod hpack;

use super::talk::{Conversation, Next, shown};

/// What begins a connection (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const PATH: &str = "/grpc.health.v1.Health/Check";
/// The longest frame that we say we take (section 4.2), header fields of one answer, and its message.
const FRAME_MAX: usize = 16 * 1024;
const FIELDS_MAX: usize = 64 * 1024;
const MESSAGE_MAX: usize = 4 * 1024;
const FRAME_HEAD: usize = 9;
/// Of the only request.
const STREAM: u32 = 1;

mod kind {
    pub(super) const DATA: u8 = 0;
    pub(super) const HEADERS: u8 = 1;
    pub(super) const RST_STREAM: u8 = 3;
    pub(super) const SETTINGS: u8 = 4;
    pub(super) const PUSH_PROMISE: u8 = 5;
    pub(super) const PING: u8 = 6;
    pub(super) const GOAWAY: u8 = 7;
    pub(super) const CONTINUATION: u8 = 9;
}

mod flag {
    /// The same as that of the end of a stream, of other frames.
    pub(super) const ACK: u8 = 0x1;
    pub(super) const END_STREAM: u8 = 0x1;
    pub(super) const END_HEADERS: u8 = 0x4;
    pub(super) const PADDED: u8 = 0x8;
    pub(super) const PRIORITY: u8 = 0x20;
}

/// What a server says of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// `ServingStatus`: 0 UNKNOWN, 1 SERVING, 2 NOT_SERVING, 3 SERVICE_UNKNOWN.
    Status(u64),
    /// It did not answer that question.
    Refused {
        /// `grpc-status`, not 0.
        code: u32,
        /// `grpc-message`, in words; may be empty.
        message: String,
    },
}

/// `GRPC_CHECK`.
#[derive(Clone, Debug)]
pub struct Asks {
    question: Vec<u8>,
    heard_settings: bool,
    /// A block of header fields that goes on in the next frame, and whether the answer ends with it.
    open_block: Option<(Vec<u8>, bool)>,
    fields: Fields,
    message: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
struct Fields {
    status: Option<String>,
    content_type: String,
    grpc_status: Option<String>,
    grpc_message: String,
}

impl Asks {
    /// `service`: empty, for the server as a whole. `authority`: whom the server is to think it is. `tls`: it is
    /// asked in private.
    pub fn new(service: &str, authority: &str, tls: bool) -> Asks {
        let mut question = PREFACE.to_vec();
        // No dynamic table for header fields, nothing unasked, and not too many fields (RFC 9113 section 6.5.2).
        let mut settings = Vec::new();
        for (name, value) in [(1u16, 0u32), (2, 0), (6, 16 * 1024)] {
            settings.extend(name.to_be_bytes());
            settings.extend(value.to_be_bytes());
        }
        frame(kind::SETTINGS, 0, 0, &settings, &mut question);
        // POST, http or https: fields 3, 6 and 7 of the static table.
        let mut block = vec![0x83, if tls { 0x87 } else { 0x86 }];
        hpack::write_named(4, PATH, &mut block);
        hpack::write_named(1, authority, &mut block);
        hpack::write_named(31, "application/grpc", &mut block);
        hpack::write_named(58, "vipd", &mut block);
        hpack::write_literal("te", "trailers", &mut block);
        frame(
            kind::HEADERS,
            flag::END_HEADERS,
            STREAM,
            &block,
            &mut question,
        );
        // HealthCheckRequest: its first field is the service, which is not written when it is empty.
        let mut request = Vec::new();
        if !service.is_empty() {
            request.push(0x0a);
            varint(service.len(), &mut request);
            request.extend(service.as_bytes());
        }
        let length = u32::try_from(request.len()).unwrap_or(u32::MAX);
        let message = [&[0][..], &length.to_be_bytes(), &request].concat();
        frame(
            kind::DATA,
            flag::END_STREAM,
            STREAM,
            &message,
            &mut question,
        );
        Asks {
            question,
            heard_settings: false,
            open_block: None,
            fields: Fields::default(),
            message: Vec::new(),
        }
    }

    /// One frame; `true`: the answer ends with it.
    fn take(&mut self, head: Head, mut payload: &[u8], say: &mut Vec<u8>) -> Result<bool, String> {
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
                self.message.extend(unpadded(head, payload)?);
                if self.message.len() > MESSAGE_MAX {
                    return Err("the answer is longer than the health of a service".to_owned());
                }
                return Ok(head.flags & flag::END_STREAM != 0);
            }
            kind::HEADERS if ours => {
                payload = unpadded(head, payload)?;
                if head.flags & flag::PRIORITY != 0 {
                    payload = payload.get(5..).ok_or("a frame is too short")?;
                }
                let ends = head.flags & flag::END_STREAM != 0;
                self.open_block = Some((payload.to_vec(), ends));
                return self.close_block(head);
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
                return self.close_block(head);
            }
            // Windows, priorities, other streams, and what comes in later years.
            _ => {}
        }
        Ok(false)
    }

    fn close_block(&mut self, head: Head) -> Result<bool, String> {
        if head.flags & flag::END_HEADERS == 0 {
            return Ok(false);
        }
        let Some((block, ends)) = self.open_block.take() else {
            return Ok(false);
        };
        let fields = &mut self.fields;
        hpack::read(&block, |name, value| {
            let text = || shown(value);
            match name {
                b":status" => fields.status = Some(text()),
                b"content-type" => fields.content_type = text(),
                b"grpc-status" => fields.grpc_status = Some(text()),
                b"grpc-message" => fields.grpc_message = shown(&unescaped(value)),
                _ => {}
            }
        })?;
        Ok(ends)
    }

    fn judge(&self) -> Result<Health, String> {
        let fields = &self.fields;
        match fields.status.as_deref() {
            Some("200") => {}
            Some(status) => return Err(format!("the answer has HTTP status {status}")),
            None => return Err("the answer has no status".to_owned()),
        }
        if !fields.content_type.starts_with("application/grpc") {
            let kind = &fields.content_type;
            return Err(format!("the answer is not gRPC, it is `{kind}`"));
        }
        let code = fields.grpc_status.as_deref();
        let code = code.ok_or("the answer ends without a grpc-status")?;
        let code: u32 = code
            .parse()
            .map_err(|_| format!("`{code}` is no grpc-status"))?;
        if code != 0 {
            let message = fields.grpc_message.clone();
            return Ok(Health::Refused { code, message });
        }
        serving_status(&self.message).map(Health::Status)
    }
}

impl Conversation for Asks {
    type Found = Health;

    fn hear(&mut self, heard: &mut Vec<u8>, say: &mut Vec<u8>) -> Result<Next<Health>, String> {
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
            over = self.take(head, payload, say)?;
            taken += FRAME_HEAD + head.length;
        }
        heard.drain(..taken.min(heard.len()));
        match over {
            true => Ok(Next::Over(self.judge()?)),
            false => Ok(Next::More),
        }
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

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8], out: &mut Vec<u8>) {
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

/// `grpc-message` has what is not printable as `%20`.
fn unescaped(value: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut rest = value;
    while let Some((first, behind)) = rest.split_first() {
        let hex = behind.get(..2).filter(|_| *first == b'%');
        let hex = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        text.push(hex.unwrap_or(*first));
        rest = match hex {
            Some(_) => behind.get(2..).unwrap_or_default(),
            None => behind,
        };
    }
    text
}

/// `HealthCheckResponse`: field 1 is its status; 0 where it is not written.
fn serving_status(message: &[u8]) -> Result<u64, String> {
    let wrong = || "the answer is not the health of a service".to_owned();
    let (&[compressed, a, b, c, d], mut rest) = message.split_first_chunk().ok_or_else(wrong)?;
    let length = u32::from_be_bytes([a, b, c, d]);
    if compressed != 0 || usize::try_from(length) != Ok(rest.len()) {
        return Err(wrong());
    }
    let mut status = 0;
    while !rest.is_empty() {
        let key = read_varint(&mut rest).ok_or_else(wrong)?;
        match (key >> 3, key & 7) {
            (1, 0) => status = read_varint(&mut rest).ok_or_else(wrong)?,
            (_, 0) => drop(read_varint(&mut rest).ok_or_else(wrong)?),
            (_, 1) => rest = rest.get(8..).ok_or_else(wrong)?,
            (_, 2) => {
                let length = read_varint(&mut rest).ok_or_else(wrong)?;
                let length = usize::try_from(length).map_err(|_| wrong())?;
                rest = rest.get(length..).ok_or_else(wrong)?;
            }
            (_, 5) => rest = rest.get(4..).ok_or_else(wrong)?,
            _ => return Err(wrong()),
        }
    }
    Ok(status)
}

fn varint(mut number: usize, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(u8::try_from(number & 0x7f).unwrap_or_default() | 0x80);
        number >>= 7;
    }
    out.push(u8::try_from(number).unwrap_or_default());
}

fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(first & 0x7f).checked_shl(shift)?;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests;
