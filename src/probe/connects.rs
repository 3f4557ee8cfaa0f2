//! `TCP_CHECK`: opens a connection and closes it again, thousands of times in a few seconds.
//!
//! It does not go through tokio as the other checks do. There each connection is a task, a timer and an entry in
//! the runtime's epoll that has to be taken out again, which together cost more than the connection itself. Here
//! those that begin together are looked at together, by one poll(2): a server on this machine has answered
//! before connect(2) returns, one next to it often before the last of them was begun. Only the others go into
//! an epoll, one for all, that the runtime waits for as for any descriptor; to close a socket takes it out of there.
//! A socket is asked for its error only when it is said to have one.
//!
//! Other checks open a connection too, but go on to talk, so that tokio has to know theirs: [`tcp`](super::tcp)
//! opens them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use socket2::{Protocol, Socket, Type};
use tokio::io::unix::AsyncFd;

use crate::config::model::ConnectOptions;
use crate::health::{CheckOutcome, ProbeId};
use crate::time::Time;

use super::socket::prepare;
use super::{ProbeError, outcome};

/// How a check ended.
pub type Answer = (ProbeId, CheckOutcome);

const NO_TIME: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};
/// So many connections are taken from the epoll by one call.
const FOUND_AT_ONCE: usize = 64;

/// Connections that are being opened.
#[derive(Debug)]
pub struct Connects {
    epoll: AsyncFd<OwnedFd>,
    clock: fn() -> Time,
    /// Begun since the last look.
    fresh: Vec<Fresh>,
    /// Not there at the first look. The epoll knows them by the numbers of their probes.
    slow: BTreeMap<ProbeId, Slow>,
    /// When the time of those is over.
    ends: BTreeSet<(Time, ProbeId)>,
    answers: Vec<Answer>,
}

#[derive(Debug)]
struct Fresh {
    probe: ProbeId,
    socket: Socket,
    limit: Duration,
}

#[derive(Debug)]
struct Slow {
    socket: Socket,
    limit: Duration,
    end: Time,
}

impl Connects {
    /// None yet. `wait_for`: how the runtime waits for a descriptor; `clock`: what time it is.
    ///
    /// # Errors
    /// Too many open files, or no memory.
    pub fn open(
        wait_for: impl FnOnce(OwnedFd) -> io::Result<AsyncFd<OwnedFd>>,
        clock: fn() -> Time,
    ) -> io::Result<Connects> {
        Ok(Connects {
            epoll: wait_for(epoll::create(epoll::CreateFlags::CLOEXEC)?)?,
            clock,
            fresh: Vec::new(),
            slow: BTreeMap::new(),
            ends: BTreeSet::new(),
            answers: Vec::new(),
        })
    }

    /// How many are under way: each is an open file.
    pub fn len(&self) -> usize {
        self.fresh.len() + self.slow.len()
    }

    /// None is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Begins to open one, as configured. [`Connects::answered`] says how that ended, once it was [looked
    /// at](Connects::look).
    pub fn begin(&mut self, probe: ProbeId, options: &ConnectOptions) {
        match start(options) {
            Ok(socket) => self.fresh.push(Fresh {
                probe,
                socket,
                limit: options.connect_timeout,
            }),
            Err(error) => self.answers.push((probe, outcome(Err(error)))),
        }
    }

    /// The answer of this one is not wanted any more; whether it was under way.
    pub fn cancel(&mut self, probe: ProbeId) -> bool {
        let before = self.len();
        self.fresh.retain(|fresh| fresh.probe != probe);
        if let Some(slow) = self.slow.remove(&probe) {
            self.ends.remove(&(slow.end, probe));
        }
        self.len() < before
    }

    /// When [`Connects::expire`] is wanted next, of those that were [looked at](Connects::look).
    pub fn next_deadline(&self) -> Option<Time> {
        self.ends.first().map(|&(end, _)| end)
    }

    /// Gives up those whose time is over.
    pub fn expire(&mut self, now: Time) {
        while let Some(&(end, probe)) = self.ends.first()
            && end <= now
        {
            if let Some(slow) = self.take(probe) {
                let error = ProbeError::Timeout(slow.limit);
                self.answers.push((probe, outcome(Err(error))));
            }
        }
    }

    /// Waits until some have ended; their answers. Nothing is lost when this is not waited for.
    pub async fn answered(&mut self) -> Vec<Answer> {
        loop {
            if !self.answers.is_empty() {
                return std::mem::take(&mut self.answers);
            }
            match self.epoll.readable().await {
                Ok(mut ready) => ready.clear_ready(),
                // The runtime ends.
                Err(_) => std::future::pending().await,
            }
            self.gather();
        }
    }

    /// The first look at those that were begun; the time of those that are not there yet begins.
    pub fn look(&mut self) {
        if self.fresh.is_empty() {
            return;
        }
        let fresh = std::mem::take(&mut self.fresh);
        let mut polled: Vec<PollFd<'_>> = fresh
            .iter()
            .map(|fresh| PollFd::new(&fresh.socket, PollFlags::OUT))
            .collect();
        // One that fails finds nothing; then the epoll does.
        let _ = poll(&mut polled, Some(&NO_TIME));
        let found: Vec<PollFlags> = polled.iter().map(PollFd::revents).collect();
        let mut now = None;
        for (fresh, found) in fresh.into_iter().zip(found) {
            if found.is_empty() {
                let now = *now.get_or_insert_with(self.clock);
                self.wait(fresh, now);
            } else {
                let well = found == PollFlags::OUT;
                self.answers.push((fresh.probe, end(&fresh.socket, well)));
            }
        }
    }

    fn wait(&mut self, fresh: Fresh, now: Time) {
        let (probe, end) = (fresh.probe, now + fresh.limit);
        // Told once: it is closed then.
        let flags = epoll::EventFlags::OUT | epoll::EventFlags::ET;
        let data = epoll::EventData::new_u64(probe.0);
        if let Err(error) = epoll::add(self.epoll.get_ref(), fresh.socket.as_fd(), data, flags) {
            let error = ProbeError::prepare(|| "wait for the socket".to_owned())(error.into());
            return self.answers.push((probe, outcome(Err(error))));
        }
        self.ends.insert((end, probe));
        let (socket, limit) = (fresh.socket, fresh.limit);
        self.slow.insert(probe, Slow { socket, limit, end });
    }

    /// Takes what the epoll has found.
    fn gather(&mut self) {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(FOUND_AT_ONCE);
        loop {
            events.clear();
            let room = spare_capacity(&mut events);
            let found = epoll::wait(self.epoll.get_ref(), room, Some(&NO_TIME));
            for event in &events {
                let (data, flags) = (event.data, event.flags);
                let (probe, well) = (ProbeId(data.u64()), flags == epoll::EventFlags::OUT);
                if let Some(slow) = self.take(probe) {
                    self.answers.push((probe, end(&slow.socket, well)));
                }
            }
            // When fewer came than there was room for, the next that comes wakes the runtime again.
            if found.unwrap_or(0) < FOUND_AT_ONCE {
                return;
            }
        }
    }

    fn take(&mut self, probe: ProbeId) -> Option<Slow> {
        let slow = self.slow.remove(&probe)?;
        self.ends.remove(&(slow.end, probe));
        Some(slow)
    }
}

/// A connection on its way.
fn start(options: &ConnectOptions) -> Result<Socket, ProbeError> {
    let socket = prepare(options, Type::STREAM, Protocol::TCP)?;
    match socket.connect(&SocketAddr::from(options.destination).into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => {
            Err(ProbeError::Connect(error))
        }
        _ => Ok(socket),
    }
}

/// How it ended; `well`: nothing was found but that it can be written to.
fn end(socket: &Socket, well: bool) -> CheckOutcome {
    let error = match well {
        true => None,
        false => socket.take_error().unwrap_or_else(Some),
    };
    outcome(error.map_or(Ok(()), |error| Err(ProbeError::Connect(error))))
}

#[cfg(test)]
mod tests;
