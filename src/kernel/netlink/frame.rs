//! Netlink messages in a datagram: headers, errors, ends of dumps (netlink(7)).
//!
//! neli writes messages; it is not used to read them because its reader takes an error for a whole
//! copy of the request, which NETLINK_CAP_ACK saves, and subtracts lengths without looking.

use crate::errno::Errno;
use crate::ipvs::Attributes;

/// NLM_F_* that matter in answers.
const DUMP_INTERRUPTED: u16 = 0x10;
const CAPPED: u16 = 0x100;
const HAS_ATTRIBUTES: u16 = 0x200;

/// NLMSG_* below which no protocol has its own types.
const ERROR: u16 = 2;
const DONE: u16 = 3;
const FIRST_OWN: u16 = 0x10;

/// NLMSGERR_ATTR_MSG.
const ATTRIBUTE_TEXT: u16 = 1;

/// Bytes of `struct nlmsghdr`.
const HEADER: usize = 16;

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    /// `nlmsg_seq`: of the request that it answers.
    pub(crate) sequence: u32,
    /// `nlmsg_pid`: port of the socket that asked.
    pub(crate) port: u32,
    /// NLM_F_DUMP_INTR: what is dumped changed since the dump began.
    pub(crate) interrupted: bool,
    /// What it says.
    pub(crate) body: Body<'a>,
}

/// What a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body<'a> {
    /// NLMSG_ERROR with 0: done.
    Ack,
    /// NLMSG_ERROR, or NLMSG_DONE with an error in it.
    Error(Errno, Option<&'a str>),
    /// NLMSG_DONE: end of a dump.
    Done,
    /// A message of the protocol: its type and what follows the header.
    Data(u16, &'a [u8]),
    /// NLMSG_NOOP and what else is to be passed over.
    Nothing,
}

/// The messages in a datagram. Reading ends where the bytes stop making sense.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frames<'a>(&'a [u8]);

impl<'a> Frames<'a> {
    pub(crate) const fn new(datagram: &'a [u8]) -> Frames<'a> {
        Frames(datagram)
    }

    /// How many bytes are still to be read.
    pub(crate) const fn left(&self) -> usize {
        self.0.len()
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        let bytes = self.0;
        let length = usize::try_from(u32_at(bytes, 0)?).ok()?;
        let payload = bytes.get(HEADER..length);
        let next = length.checked_next_multiple_of(4).unwrap_or(usize::MAX);
        self.0 = bytes.get(next..).unwrap_or(&[]);
        let Some(payload) = payload else {
            self.0 = &[];
            return None;
        };
        let (kind, flags) = (u16_at(bytes, 4)?, u16_at(bytes, 6)?);
        Some(Frame {
            sequence: u32_at(bytes, 8)?,
            port: u32_at(bytes, 12)?,
            interrupted: flags & DUMP_INTERRUPTED != 0,
            body: body(kind, flags, payload),
        })
    }
}

fn body(kind: u16, flags: u16, payload: &[u8]) -> Body<'_> {
    match kind {
        ERROR => match u32_at(payload, 0).map(u32::cast_signed) {
            Some(0) => Body::Ack,
            Some(code) => {
                // Behind the code: the header of the request, and all of it unless capped.
                let request = if flags & CAPPED == 0 {
                    u32_at(payload, 4).and_then(|n| usize::try_from(n).ok())
                } else {
                    Some(HEADER)
                };
                let text = request.and_then(|n| text(flags, payload, n.checked_add(4)?));
                Body::Error(Errno(code.saturating_neg()), text)
            }
            None => Body::Nothing,
        },
        DONE => match u32_at(payload, 0).map(u32::cast_signed) {
            Some(code) if code < 0 => {
                Body::Error(Errno(code.saturating_neg()), text(flags, payload, 4))
            }
            _ => Body::Done,
        },
        FIRST_OWN.. => Body::Data(kind, payload),
        _ => Body::Nothing,
    }
}

fn text(flags: u16, payload: &[u8], offset: usize) -> Option<&str> {
    if flags & HAS_ATTRIBUTES == 0 {
        return None;
    }
    let attributes = payload.get(offset.checked_next_multiple_of(4)?..)?;
    Attributes::new(attributes)
        .find(|a| a.kind == ATTRIBUTE_TEXT)
        .and_then(|a| a.text())
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|b| u16::from_ne_bytes(*b))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|b| u32::from_ne_bytes(*b))
}

#[cfg(test)]
mod tests;
