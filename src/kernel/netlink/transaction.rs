//! Transactions of nfnetlink: messages of which the kernel takes all or none.

use std::fmt::Display;
use std::io::{self, Cursor};

use neli::consts::nl::NlmF;
use neli::{Size, ToBytes};

use super::{
    Body, Error, Frames, RECEIVE_LIMIT, Request, Socket, Wait, Wire, receive, socket_error,
};

impl<W: Wire> Socket<W> {
    /// Carries out messages that count only together, between the two that begin and end them (nfnetlink):
    /// the first error is that of all.
    pub(crate) fn transaction<P>(
        &mut self,
        action: &dyn Display,
        begin: Request<P>,
        messages: Vec<Request<P>>,
        end: Request<P>,
    ) -> Result<(), Error>
    where
        P: Size + ToBytes,
    {
        let unwritten = |why| Error::Message {
            action: action.to_string(),
            why,
        };
        let mut out = Cursor::new(Vec::with_capacity(4096));
        self.write(&mut out, Ok::<_, String>(begin), NlmF::empty())
            .map_err(unwritten)?;
        let first = self.sequence;
        let count = messages.len();
        for (place, message) in messages.into_iter().enumerate() {
            // Not the end: kernels before 6.10 do not answer to that.
            let last = place + 1 == count;
            let flags = if last { NlmF::ACK } else { NlmF::empty() };
            self.write(&mut out, Ok::<_, String>(message), flags)
                .map_err(unwritten)?;
        }
        let last = self.sequence;
        self.write(&mut out, Ok::<_, String>(end), NlmF::empty())
            .map_err(unwritten)?;
        self.wire
            .send(&out.into_inner())
            .map_err(|error| socket_error(action, &error))?;
        self.conclude(action, first, last)
    }

    /// Until the last message of a transaction is answered, or its first, which means that nobody looked
    /// at the others.
    fn conclude(&mut self, action: &dyn Display, first: u32, last: u32) -> Result<(), Error> {
        let mut refused = None;
        for _ in 0..RECEIVE_LIMIT {
            let length = match receive(&self.wire, &mut self.buffer, Wait::Bounded) {
                Ok(length) => length,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => return Err(socket_error(action, &e)),
            };
            for frame in Frames::new(self.buffer.get(..length).unwrap_or(&[])) {
                let place = frame.sequence.wrapping_sub(first);
                if place > last.wrapping_sub(first) || frame.port != self.port {
                    continue;
                }
                if let Body::Error(errno, text) = frame.body {
                    refused.get_or_insert(Error::Refused {
                        action: action.to_string(),
                        errno,
                        text: text.map(str::to_owned),
                    });
                }
                if place == 0 || frame.sequence == last {
                    return refused.map_or(Ok(()), Err);
                }
            }
        }
        let action = action.to_string();
        Err(refused.unwrap_or(Error::NoAnswer { action }))
    }
}
