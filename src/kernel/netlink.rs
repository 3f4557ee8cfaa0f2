//! One netlink socket: batches of changes, dumps, single questions (netlink(7)).
//!
//! Used for generic netlink (IPVS) and route netlink alike. The kernel works while `send` runs, so
//! answers are there when it returns; receiving is bounded in time all the same. Nothing here knows
//! what the messages mean.
//!
//! **Batches**: up to [`BATCH`] messages in one `send`, NLM_F_ACK on the last only. The kernel
//! carries each out whatever happens to the others and answers every error under the sequence number
//! of its own message, so silence about one means success. Larger batches gain nothing and can
//! overflow the receive buffer.

mod error;
mod frame;
mod transaction;

use std::fmt::Display;
use std::io::{self, Cursor};
use std::time::Duration;

use neli::consts::nl::NlmF;
use neli::consts::socket::{Msg, NlFamily};
use neli::nl::{NlPayload, NlmsghdrBuilder};
use neli::socket::NlSocket;
use neli::utils::Groups;
use neli::{Size, ToBytes};
use socket2::SockRef;

use super::sys;
use crate::errno::Errno;

pub use error::{Error, Failure};
pub(crate) use frame::{Body, Frames};

/// Messages in one `send`: 64 cost as little for each as any larger number, and their errors fit
/// into the smallest receive buffer.
const BATCH: usize = 64;

/// How often a dump is begun again when what it lists changes meanwhile.
const DUMP_ATTEMPTS: usize = 8;

/// How long an answer may take. The kernel gives it before `send` returns; this only ends a wait
/// for an answer that was lost.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// Receive buffer that is asked for. Memory is used only while messages wait in it.
const RECEIVE_BUFFER: i32 = 4 << 20;

/// First size of the buffer that messages are read into: twice what the kernel puts into one
/// datagram of a dump.
const DATAGRAM: usize = 64 << 10;

/// No message of the kernel is larger than this; a buffer does not grow beyond.
const DATAGRAM_LIMIT: usize = 16 << 20;

/// Calls of `recv` for one answer, so that no flood of foreign messages holds us.
const RECEIVE_LIMIT: usize = 100_000;

/// A message to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Request<P> {
    /// `nlmsg_type`.
    pub(crate) kind: u16,
    /// Beyond NLM_F_REQUEST, NLM_F_ACK and NLM_F_DUMP, which are set here.
    pub(crate) flags: NlmF,
    /// What follows the header.
    pub(crate) payload: P,
}

/// Whether to wait for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Until [`ANSWER_LIMIT`].
    Bounded,
    /// Not at all.
    No,
}

/// What sends and receives datagrams: the kernel's socket, or a script in tests.
pub(crate) trait Wire {
    /// Sends all of it.
    fn send(&self, bytes: &[u8]) -> io::Result<()>;
    /// Length of the next datagram, which may be more than fits.
    fn receive(&self, buffer: &mut [u8], wait: Wait) -> io::Result<usize>;
}

impl Wire for NlSocket {
    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        NlSocket::send(self, bytes, Msg::empty()).map(|_| ())
    }

    fn receive(&self, buffer: &mut [u8], wait: Wait) -> io::Result<usize> {
        let flags = match wait {
            Wait::Bounded => Msg::TRUNC,
            Wait::No => Msg::TRUNC | Msg::DONTWAIT,
        };
        let (length, _groups) = self.recv(buffer, flags)?;
        Ok(length)
    }
}

/// A socket of the network namespace that the thread was in when it was opened.
pub(crate) struct Socket<W = NlSocket> {
    wire: W,
    /// Port that the kernel gave: its answers carry it.
    port: u32,
    /// Of the last message sent.
    sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens and binds one.
    ///
    /// # Errors
    /// Those of socket(2) and bind(2).
    pub(crate) fn open(family: NlFamily) -> io::Result<Socket> {
        let wire = connect(family, Groups::empty())?;
        SockRef::from(&sys::netlink::as_fd(&wire)).set_read_timeout(Some(ANSWER_LIMIT))?;
        if family == NlFamily::Route {
            // Before Linux 4.20 there is none; dumps are then not filtered and the same.
            let _ = wire.enable_strict_checking(true);
        }
        let port = wire.pid()?;
        Ok(Socket::new(wire, port))
    }
}

/// A bound socket with a port that the kernel chose, words for errors, and a large receive buffer.
pub(crate) fn connect(family: NlFamily, groups: Groups) -> io::Result<NlSocket> {
    let socket = NlSocket::connect(family, None, groups)?;
    // Older kernels lack these two; errors are then bare numbers with the request behind them.
    let _ = socket.enable_ext_ack(true);
    let fd = sys::netlink::as_fd(&socket);
    let _ = sys::netlink::set_cap_ack(fd);
    if sys::option::force_receive_buffer(fd, RECEIVE_BUFFER).is_err() {
        let bytes = usize::try_from(RECEIVE_BUFFER).unwrap_or(DATAGRAM);
        SockRef::from(&fd).set_recv_buffer_size(bytes)?;
    }
    Ok(socket)
}

/// What an exchange came to when the kernel did not refuse it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Completeness {
    /// All was seen, of one moment.
    Whole,
    /// Something changed or was lost meanwhile.
    Torn,
}

impl<W: Wire> Socket<W> {
    pub(crate) fn new(wire: W, port: u32) -> Socket<W> {
        Socket {
            wire,
            port,
            sequence: 0,
            buffer: vec![0; DATAGRAM],
        }
    }

    /// Carries all commands out, each whatever happens to the others, and says which failed.
    pub(crate) fn batch<C, P, E>(
        &mut self,
        commands: &[C],
        encode: impl Fn(&C) -> Result<Request<P>, E>,
    ) -> Vec<Failure>
    where
        C: Display,
        P: Size + ToBytes,
        E: Display,
    {
        let mut failures = Vec::new();
        for (number, chunk) in commands.chunks(BATCH).enumerate() {
            let mut out = Cursor::new(Vec::with_capacity(chunk.len() * 192));
            let mut sent = Sent::new(self.sequence.wrapping_add(1));
            for (place, command) in chunk.iter().enumerate() {
                let index = number * BATCH + place;
                match self.write(&mut out, encode(command), NlmF::empty()) {
                    Ok(offset) => sent.push(index, offset),
                    Err(why) => {
                        let action = command.to_string();
                        let error = Error::Message { action, why };
                        failures.push(Failure { index, error });
                    }
                }
            }
            let mut out = out.into_inner();
            let action = |index: usize| commands.get(index).map(C::to_string).unwrap_or_default();
            if sent.ask_for_ack(&mut out) {
                self.deliver(&out, &sent, &action, &mut failures);
            }
        }
        failures.sort_by_key(|f| f.index);
        failures
    }

    /// Lists: one dump, begun again while it is torn. `parse` sees type and payload of each message.
    pub(crate) fn dump<P, T>(
        &mut self,
        action: &dyn Display,
        request: &Request<P>,
        mut parse: impl FnMut(u16, &[u8]) -> Option<T>,
    ) -> Result<Vec<T>, Error>
    where
        P: Size + ToBytes + Clone,
    {
        for _ in 0..DUMP_ATTEMPTS {
            let mut items = Vec::new();
            let sequence = self.send_one(action, request.clone(), NlmF::DUMP)?;
            let mut each = |kind, payload: &[u8]| items.extend(parse(kind, payload));
            match self.exchange(action, sequence, &mut each) {
                Ok(Completeness::Whole) => return Ok(items),
                Ok(Completeness::Torn) => {}
                // A dump that we gave up waiting for is still there: read it to its end.
                Err(Error::Refused { errno, .. }) if errno.0 == libc::EBUSY => self.drain(),
                Err(error) => return Err(error),
            }
        }
        let action = action.to_string();
        Err(Error::Changing { action })
    }

    /// Asks for one object; what comes before the acknowledgement is parsed.
    pub(crate) fn ask<P, T>(
        &mut self,
        action: &dyn Display,
        request: Request<P>,
        mut parse: impl FnMut(u16, &[u8]) -> Option<T>,
    ) -> Result<Vec<T>, Error>
    where
        P: Size + ToBytes,
    {
        let mut items = Vec::new();
        let sequence = self.send_one(action, request, NlmF::ACK)?;
        let mut each = |kind, payload: &[u8]| items.extend(parse(kind, payload));
        self.exchange(action, sequence, &mut each)?;
        Ok(items)
    }

    fn send_one<P: Size + ToBytes>(
        &mut self,
        action: &dyn Display,
        request: Request<P>,
        flags: NlmF,
    ) -> Result<u32, Error> {
        let mut out = Cursor::new(Vec::with_capacity(256));
        self.write(&mut out, Ok::<_, String>(request), flags)
            .map_err(|why| Error::Message {
                action: action.to_string(),
                why,
            })?;
        self.wire
            .send(&out.into_inner())
            .map_err(|e| socket_error(action, &e))?;
        Ok(self.sequence)
    }

    /// Appends a message under the next sequence number; says where it begins.
    fn write<P: Size + ToBytes, E: Display>(
        &mut self,
        out: &mut Cursor<Vec<u8>>,
        request: Result<Request<P>, E>,
        flags: NlmF,
    ) -> Result<usize, String> {
        let request = request.map_err(|e| e.to_string())?;
        let start = out.get_ref().len();
        let message = NlmsghdrBuilder::default()
            .nl_type(request.kind)
            .nl_flags(NlmF::REQUEST | request.flags | flags)
            .nl_seq(self.sequence.wrapping_add(1))
            .nl_payload(NlPayload::Payload(request.payload))
            .build()
            .map_err(|e| e.to_string())?;
        if let Err(error) = message.to_bytes(out) {
            out.get_mut().truncate(start);
            out.set_position(u64::try_from(start).unwrap_or(u64::MAX));
            return Err(error.to_string());
        }
        self.sequence = self.sequence.wrapping_add(1);
        Ok(start)
    }

    /// Sends a batch and hears it out.
    fn deliver(
        &mut self,
        out: &[u8],
        sent: &Sent,
        action: &dyn Fn(usize) -> String,
        failures: &mut Vec<Failure>,
    ) {
        let mut open: Vec<bool> = vec![true; sent.indexes.len()];
        let result = match self.wire.send(out) {
            Ok(()) => self.hear(sent, &mut open, action, failures),
            Err(error) => Err(error),
        };
        // What the kernel did not speak of is done, if all that it said was heard.
        let Err(error) = result else { return };
        for (&index, open) in sent.indexes.iter().zip(open) {
            let action = action(index);
            let error = match error.kind() {
                io::ErrorKind::WouldBlock => Error::NoAnswer { action },
                _ if error.raw_os_error() == Some(libc::ENOBUFS) => Error::Lost { action },
                _ => socket_error(&action, &error),
            };
            if open {
                failures.push(Failure { index, error });
            }
        }
    }

    /// Until the last message of a batch is answered. `open` keeps those without an answer.
    fn hear(
        &mut self,
        sent: &Sent,
        open: &mut [bool],
        action: &dyn Fn(usize) -> String,
        failures: &mut Vec<Failure>,
    ) -> io::Result<()> {
        let mut lost = None;
        for _ in 0..RECEIVE_LIMIT {
            // Once something was lost, perhaps the last answer, what is there is all there is.
            let wait = if lost.is_none() {
                Wait::Bounded
            } else {
                Wait::No
            };
            let length = match receive(&self.wire, &mut self.buffer, wait) {
                Ok(length) => length,
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => {
                    lost = Some(e);
                    continue;
                }
                Err(e) => return Err(lost.unwrap_or(e)),
            };
            for frame in Frames::new(self.buffer.get(..length).unwrap_or(&[])) {
                let Some((place, index)) = sent.find(frame.sequence) else {
                    continue;
                };
                if frame.port != self.port || !matches!(frame.body, Body::Ack | Body::Error(..)) {
                    continue;
                }
                if let Some(open) = open.get_mut(place) {
                    *open = false;
                }
                if let Body::Error(errno, text) = frame.body {
                    let error = Error::Refused {
                        action: action(index),
                        errno,
                        text: text.map(str::to_owned),
                    };
                    failures.push(Failure { index, error });
                }
                if place + 1 == sent.indexes.len() {
                    return lost.map_or(Ok(()), Err);
                }
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Until the request `sequence` is answered to its end.
    fn exchange(
        &mut self,
        action: &dyn Display,
        sequence: u32,
        each: &mut dyn FnMut(u16, &[u8]),
    ) -> Result<Completeness, Error> {
        let mut completeness = Completeness::Whole;
        for _ in 0..RECEIVE_LIMIT {
            let length = match receive(&self.wire, &mut self.buffer, Wait::Bounded) {
                Ok(length) => length,
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => {
                    completeness = Completeness::Torn;
                    continue;
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => return Err(socket_error(action, &e)),
            };
            for frame in Frames::new(self.buffer.get(..length).unwrap_or(&[])) {
                if frame.sequence != sequence || frame.port != self.port {
                    continue;
                }
                if frame.interrupted {
                    completeness = Completeness::Torn;
                }
                match frame.body {
                    Body::Ack | Body::Done => return Ok(completeness),
                    Body::Data(kind, payload) => each(kind, payload),
                    Body::Nothing => {}
                    Body::Error(errno, text) => {
                        return Err(Error::Refused {
                            action: action.to_string(),
                            errno,
                            text: text.map(str::to_owned),
                        });
                    }
                }
            }
        }
        let action = action.to_string();
        Err(Error::NoAnswer { action })
    }

    /// Reads and forgets what is there.
    fn drain(&mut self) {
        for _ in 0..RECEIVE_LIMIT {
            match receive(&self.wire, &mut self.buffer, Wait::No) {
                Ok(_) => {}
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => {}
                Err(_) => return,
            }
        }
    }
}

/// The messages of one batch: consecutive sequence numbers, each with the command behind it.
struct Sent {
    first: u32,
    indexes: Vec<usize>,
    last_offset: usize,
}

impl Sent {
    const fn new(first: u32) -> Sent {
        Sent {
            first,
            indexes: Vec::new(),
            last_offset: 0,
        }
    }

    fn push(&mut self, index: usize, offset: usize) {
        self.indexes.push(index);
        self.last_offset = offset;
    }

    /// Place in the batch and index of the command; `None` for what was not part of it.
    fn find(&self, sequence: u32) -> Option<(usize, usize)> {
        let place = usize::try_from(sequence.wrapping_sub(self.first)).ok()?;
        self.indexes.get(place).map(|index| (place, *index))
    }

    /// Sets NLM_F_ACK in the last message; `false` when there is none.
    fn ask_for_ack(&self, out: &mut [u8]) -> bool {
        let flags = out.get_mut(self.last_offset + 6..).unwrap_or(&mut []);
        let Some(flags) = flags.first_chunk_mut::<2>() else {
            return false;
        };
        *flags = (u16::from_ne_bytes(*flags) | NlmF::ACK.bits()).to_ne_bytes();
        !self.indexes.is_empty()
    }
}

/// The next datagram, whatever signals come. One that does not fit counts as lost (ENOBUFS), and the
/// buffer grows for its like.
pub(crate) fn receive<W: Wire>(wire: &W, buffer: &mut Vec<u8>, wait: Wait) -> io::Result<usize> {
    for _ in 0..RECEIVE_LIMIT {
        match wire.receive(buffer, wait) {
            Ok(length) if length > buffer.len() => {
                buffer.resize(length.min(DATAGRAM_LIMIT).max(buffer.len()), 0);
                return Err(io::Error::from_raw_os_error(libc::ENOBUFS));
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
    Err(io::ErrorKind::WouldBlock.into())
}

fn socket_error(action: &dyn Display, error: &io::Error) -> Error {
    let action = action.to_string();
    match Errno::of(error) {
        Some(errno) => Error::Socket { action, errno },
        None => Error::NoAnswer { action },
    }
}

#[cfg(test)]
mod tests;
