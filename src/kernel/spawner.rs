//! The helper process that runs scripts.
//!
//! It is forked before any thread exists. From then on no thread of vipd forks: a fork copies page
//! tables, holds the memory lock and stops the others for as long as that takes, and vipd's memory may
//! be locked. The helper is small and has one thread, so forking it is quick, and it alone needs to be
//! able to become another user.
//!
//! Requests and answers are messages over a socket; neither side ever blocks on it. A run is finished
//! when its program has ended, whoever may still hold its descriptors. When vipd ends, however it ends,
//! the socket closes, and the helper ends every program that is to end with vipd, then itself.
//!
//! It is not a policy: when to run what, and what a failure means, is decided by who asks.

mod message;
mod serve;
mod user;

pub use message::{AtEnd, Finished, Outcome, Request};
pub use user::{group_of, own_user, owner_of};

use std::fmt;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::io::unix::AsyncFd;

use crate::errno::{Errno, Words};

use super::poll::{Interest, Poller};
use super::sys;
use super::sys::process::{self, Fork};

/// Programs that run at the same time; a request beyond it is answered with
/// [`Outcome::NotStarted`].
pub const CHILDREN_MAX: usize = 1024;

/// Bytes of the longest request: program, arguments and names.
pub const REQUEST_MAX: usize = 64 * 1024;

/// How long a program has to end after SIGTERM before it is killed, as in keepalived.
pub const GRACE: Duration = Duration::from_secs(2);

/// What the helper is called in lists of processes.
const NAME: &std::ffi::CStr = c"vipd-spawner";

/// vipd's end of the helper.
#[derive(Debug)]
pub struct Spawner {
    socket: Socket,
    pid: u32,
    request: Vec<u8>,
    answer: Vec<u8>,
    refused: u64,
}

/// A request that did not reach the helper.
#[derive(Debug)]
pub enum SendError {
    /// The helper is so far behind that the socket is full.
    Full,
    /// The command line is longer than [`REQUEST_MAX`] bytes in all.
    TooLong {
        /// Bytes it has.
        len: usize,
    },
    /// No program was named.
    Empty,
    /// The helper is gone.
    Gone(io::Error),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("run script: ")?;
        match self {
            SendError::Full => f.write_str("too many requests are waiting for the script helper"),
            SendError::TooLong { len } => {
                write!(f, "the command line has {len} bytes, at most {REQUEST_MAX}")
            }
            SendError::Empty => f.write_str("no program was named"),
            SendError::Gone(error) => write!(f, "the script helper is gone: {}", Words(error)),
        }
    }
}

impl std::error::Error for SendError {}

impl Spawner {
    /// Forks the helper, with as many ends of ours as there are threads that run scripts. To be called
    /// before any thread is started. It ends when all its ends are closed.
    ///
    /// # Errors
    /// When this process has threads already, /proc is not mounted, or the kernel has no room.
    pub fn start<const N: usize>() -> io::Result<[Spawner; N]> {
        let mut ours = Vec::with_capacity(N);
        let mut theirs = Vec::with_capacity(N);
        for _ in 0..N {
            let (our, their) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None)?;
            ours.push(our);
            theirs.push(their);
        }
        match process::fork_single_threaded()? {
            Fork::Parent(pid) => {
                drop(theirs);
                let ours = ours.into_iter().map(|our| Spawner::over(our, pid));
                let ours: Vec<Spawner> = ours.collect::<io::Result<_>>()?;
                ours.try_into()
                    .map_err(|_| io::Error::other("an end of the helper was lost"))
            }
            Fork::Child => {
                // A copy of a start that goes on elsewhere: it needs little of that.
                super::memory::give_back();
                super::memory::unmap_program();
                // Nothing may return into main's frames in this copy of it, not even a panic.
                let ran = std::panic::catch_unwind(move || run_helper(theirs));
                process::exit_child(u8::from(!matches!(ran, Ok(Ok(())))));
            }
        }
    }

    fn over(socket: Socket, pid: u32) -> io::Result<Spawner> {
        socket.set_nonblocking(true)?;
        Ok(Spawner {
            socket,
            pid,
            request: Vec::new(),
            answer: vec![0; message::FINISHED_MAX],
            refused: 0,
        })
    }

    /// The helper's process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// How many requests did not reach the helper so far.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Asks for a program to be run. Never blocks; asking for the same again allocates nothing.
    ///
    /// # Errors
    /// The request was not taken, nothing will be answered.
    pub fn send(&mut self, request: &Request) -> Result<(), SendError> {
        let sent = self.try_send(request);
        if sent.is_err() {
            self.refused = self.refused.saturating_add(1);
        }
        sent
    }

    fn try_send(&mut self, request: &Request) -> Result<(), SendError> {
        if request.argv.is_empty() {
            return Err(SendError::Empty);
        }
        request.encode(&mut self.request);
        self.send_encoded()
    }

    fn send_encoded(&mut self) -> Result<(), SendError> {
        let len = self.request.len();
        if len > REQUEST_MAX {
            return Err(SendError::TooLong { len });
        }
        match self
            .socket
            .send_with_flags(&self.request, libc::MSG_NOSIGNAL)
        {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(SendError::Full),
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Err(SendError::Full),
            Err(error) => Err(SendError::Gone(error)),
        }
    }

    /// Runs a program to its end and waits for that; of the answers to others none may be under way.
    ///
    /// # Errors
    /// The helper is gone or takes no request.
    pub fn run(&mut self, request: &Request) -> io::Result<Outcome> {
        self.send(request).map_err(io::Error::other)?;
        self.wait_for(request.id)
    }

    /// Has the helper go to the network namespace of this name, for all whose end of it this is one, and
    /// waits until it is there. Of the answers to others none may be under way.
    ///
    /// # Errors
    /// It stays where it is: there is no such namespace, or it may not go there.
    pub fn enter_namespace(&mut self, name: &str) -> io::Result<()> {
        message::encode_enter(u64::MAX, name, &mut self.request);
        self.send_encoded().map_err(io::Error::other)?;
        match self.wait_for(u64::MAX)? {
            Outcome::Exited(0) => Ok(()),
            outcome => Err(io::Error::other(outcome.to_string())),
        }
    }

    fn wait_for(&mut self, id: u64) -> io::Result<Outcome> {
        let mut poller = Poller::new();
        loop {
            poller.clear();
            poller.watch(self.as_fd(), Interest::Read);
            poller.wait(None)?;
            match self.try_recv()? {
                Some(finished) if finished.id == id => return Ok(finished.outcome),
                _ => {}
            }
        }
    }

    /// The next answer, `None` when there is none yet. Never blocks.
    ///
    /// # Errors
    /// `UnexpectedEof` when the helper is gone: no script can be run any more.
    pub fn try_recv(&mut self) -> io::Result<Option<Finished>> {
        let read = match self.socket.read(&mut self.answer) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(None),
            Err(error) => return Err(error),
        };
        if read == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the script helper has ended",
            ));
        }
        let answer = self.answer.get(..read).unwrap_or_default();
        Finished::decode(answer)
            .map(Some)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

impl Spawner {
    /// Its readiness in a tokio runtime, in whose context this must be called.
    ///
    /// # Errors
    /// The kernel gives no descriptor.
    pub fn readiness(&self) -> io::Result<AsyncFd<OwnedFd>> {
        sys::poll::wait_for(self.as_fd().try_clone_to_owned()?)
    }
}

/// Readable when an answer has come or the helper is gone.
impl AsFd for Spawner {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The helper's life.
fn run_helper(sockets: Vec<Socket>) -> io::Result<()> {
    // Signals to the terminal's or the service's processes are vipd's to act on: the helper has to
    // outlive vipd by as much as it takes to end what it runs.
    process::block_signals()?;
    process::keep_children()?;
    let ends: Vec<BorrowedFd<'_>> = sockets.iter().map(AsFd::as_fd).collect();
    process::keep_only(&ends)?;
    process::set_name(NAME);
    std::env::set_current_dir("/")?;
    serve::Server::new(sockets)?.run()
}

/// `NotStarted` for a kernel error.
fn not_started(what: impl fmt::Display, error: &io::Error) -> Outcome {
    Outcome::NotStarted {
        errno: Errno::of(error),
        what: format!("{what}: {}", Words(error)),
    }
}

#[cfg(test)]
mod tests;
