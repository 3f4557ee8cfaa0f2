//! The one question of gRPC's health protocol (`grpc.health.v1.Health/Check`), over HTTP/2.

use super::http2::{Exchange, Part, write_literal, write_named};
use super::talk::{Conversation, Next, shown};

const PATH: &str = "/grpc.health.v1.Health/Check";
/// The longest message of an answer.
const MESSAGE_MAX: usize = 4 * 1024;

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
    exchange: Exchange,
    answer: Answer,
}

#[derive(Clone, Debug, Default)]
struct Answer {
    status: Option<String>,
    content_type: String,
    grpc_status: Option<String>,
    grpc_message: String,
    message: Vec<u8>,
}

impl Asks {
    /// `service`: empty, for the server as a whole. `authority`: whom the server is to think it is. `tls`: it is
    /// asked in private.
    pub fn new(service: &str, authority: &str, tls: bool) -> Asks {
        // POST, http or https: fields 3, 6 and 7 of the static table.
        let mut block = vec![0x83, if tls { 0x87 } else { 0x86 }];
        write_named(4, PATH, &mut block);
        write_named(1, authority, &mut block);
        write_named(31, "application/grpc", &mut block);
        write_named(58, "vipd", &mut block);
        write_literal("te", "trailers", &mut block);
        // HealthCheckRequest: its first field is the service, which is not written when it is empty.
        let mut request = Vec::new();
        if !service.is_empty() {
            request.push(0x0a);
            varint(service.len(), &mut request);
            request.extend(service.as_bytes());
        }
        let length = u32::try_from(request.len()).unwrap_or(u32::MAX);
        let message = [&[0][..], &length.to_be_bytes(), &request].concat();
        Asks {
            exchange: Exchange::new(&block, Some(&message), false),
            answer: Answer::default(),
        }
    }
}

impl Answer {
    fn take(&mut self, part: Part<'_>) -> Result<(), String> {
        match part {
            Part::Field(b":status", value) => self.status = Some(shown(value)),
            Part::Field(b"content-type", value) => self.content_type = shown(value),
            Part::Field(b"grpc-status", value) => self.grpc_status = Some(shown(value)),
            Part::Field(b"grpc-message", value) => self.grpc_message = shown(&unescaped(value)),
            Part::Field(..) => {}
            Part::Data(bytes) => {
                self.message.extend(bytes);
                if self.message.len() > MESSAGE_MAX {
                    return Err("the answer is longer than the health of a service".to_owned());
                }
            }
        }
        Ok(())
    }

    fn judge(&self) -> Result<Health, String> {
        match self.status.as_deref() {
            Some("200") => {}
            Some(status) => return Err(format!("the answer has HTTP status {status}")),
            None => return Err("the answer has no status".to_owned()),
        }
        if !self.content_type.starts_with("application/grpc") {
            let kind = &self.content_type;
            return Err(format!("the answer is not gRPC, it is `{kind}`"));
        }
        let code = self.grpc_status.as_deref();
        let code = code.ok_or("the answer ends without a grpc-status")?;
        let code: u32 = code
            .parse()
            .map_err(|_| format!("`{code}` is no grpc-status"))?;
        if code != 0 {
            let message = self.grpc_message.clone();
            return Ok(Health::Refused { code, message });
        }
        serving_status(&self.message).map(Health::Status)
    }
}

impl Conversation for Asks {
    type Found = Health;

    fn hear(&mut self, heard: &mut Vec<u8>, say: &mut Vec<u8>) -> Result<Next<Health>, String> {
        let Asks { exchange, answer } = self;
        match exchange.hear(heard, say, &mut |part| answer.take(part))? {
            true => Ok(Next::Over(answer.judge()?)),
            false => Ok(Next::More),
        }
    }
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
