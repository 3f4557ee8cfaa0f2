//! Processes: what runs (proc(5)), and hearing of it as it begins and ends (the process connector).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use neli::consts::socket::{Msg, NlFamily};
use neli::socket::NlSocket;
use neli::utils::Groups;

use crate::track::{Command, ProcessEvent};

use super::namespace::Namespace;
use super::netlink::connect;
use super::poll::{Interest, Poller};
use super::{clock, sys};

/// CN_IDX_PROC and CN_VAL_PROC (linux/connector.h).
const CONNECTOR: [u32; 2] = [1, 1];
/// PROC_CN_MCAST_LISTEN (linux/cn_proc.h).
const LISTEN: u32 = 1;
/// NLMSG_DONE, the type of the connector's messages.
const DONE: u16 = 3;
/// A netlink header, a struct cn_msg, and what, CPU and time of a struct proc_event.
const HEADERS: usize = 16 + 20 + 16;
/// How long the kernel may take to say that it will tell: it does so while it is asked.
const ANSWER_MAX: Duration = Duration::from_millis(50);
/// `/proc/PID/stat` up to the state.
const STAT_BYTES: u64 = 256;

/// What the connector tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// A process did something; of one that runs another program `command` is not known yet.
    Event(ProcessEvent),
    /// It will tell from now on.
    Listening,
    /// Events were lost: look at everything again.
    Lost,
}

/// The process connector: every fork, exec, new name and end on this machine. It needs CAP_NET_ADMIN
/// and the first namespaces of the machine, for processes and users, and for the network when it is
/// opened. Never blocks.
pub struct Connector {
    socket: NlSocket,
    buffer: Box<[u8]>,
}

impl Connector {
    /// Opens it and waits for the kernel to confirm. Where it does not in the network namespace of the
    /// calling thread, that moves into `other`, and then into that of process 1, and stays there.
    ///
    /// # Errors
    /// The kernel has none, or does not tell it here.
    pub fn open(other: Option<&Namespace>) -> io::Result<Connector> {
        if let Ok(connector) = Connector::listen() {
            return Ok(connector);
        }
        if other.is_some_and(|other| other.enter().is_ok())
            && let Ok(connector) = Connector::listen()
        {
            return Ok(connector);
        }
        // Not every container may look at it.
        let first = Namespace::first().map_err(io::Error::other)?;
        first.enter().map_err(io::Error::other)?;
        Connector::listen()
    }

    fn listen() -> io::Result<Connector> {
        let socket = connect(NlFamily::Connector, Groups::new_groups(&[CONNECTOR[0]]))?;
        socket.nonblock()?;
        socket
            .send(listen_message(), Msg::empty())
            .map_err(io::Error::other)?;
        let mut connector = Connector {
            socket,
            buffer: vec![0; 1024].into(),
        };
        let until = clock::now() + ANSWER_MAX;
        let mut poller = Poller::new();
        while clock::now() < until {
            poller.clear();
            poller.watch(connector.as_fd(), Interest::Read);
            poller.wait(Some(until))?;
            while let Some(told) = connector.next()? {
                if told == Told::Listening {
                    return Ok(connector);
                }
            }
        }
        let why = "the kernel does not tell of processes here";
        Err(io::Error::new(io::ErrorKind::Unsupported, why))
    }

    /// The next that was told; `None` when there is none now.
    ///
    /// # Errors
    /// Those of recv(2), other than that there is nothing and that something was lost.
    #[expect(
        clippy::should_implement_trait,
        reason = "`None` is not the end: more may come"
    )]
    pub fn next(&mut self) -> io::Result<Option<Told>> {
        loop {
            match self.socket.recv(&mut self.buffer, Msg::DONTWAIT) {
                Ok((length, _)) => {
                    let datagram = self.buffer.get(..length).unwrap_or(&[]);
                    if let Some(told) = parse(datagram) {
                        return Ok(Some(told));
                    }
                }
                Err(error) => {
                    return match error.raw_os_error() {
                        Some(libc::EAGAIN) => Ok(None),
                        Some(libc::ENOBUFS) => Ok(Some(Told::Lost)),
                        _ => Err(error),
                    };
                }
            }
        }
    }
}

impl AsFd for Connector {
    fn as_fd(&self) -> BorrowedFd<'_> {
        sys::netlink::as_fd(&self.socket)
    }
}

/// PROC_CN_MCAST_LISTEN behind a struct cn_msg behind a netlink header.
fn listen_message() -> Vec<u8> {
    let mut message = Vec::new();
    message.extend_from_slice(&40_u32.to_ne_bytes());
    message.extend_from_slice(&DONE.to_ne_bytes());
    message.extend_from_slice(&[0; 10]);
    for word in [CONNECTOR[0], CONNECTOR[1], 0, 0] {
        message.extend_from_slice(&word.to_ne_bytes());
    }
    message.extend_from_slice(&4_u16.to_ne_bytes());
    message.extend_from_slice(&[0; 2]);
    message.extend_from_slice(&LISTEN.to_ne_bytes());
    message
}

/// One datagram (linux/cn_proc.h, struct proc_event); `None` when it is of no interest.
fn parse(datagram: &[u8]) -> Option<Told> {
    let word = |at: usize| {
        let bytes = datagram.get(at..at + 4)?;
        Some(u32::from_ne_bytes(bytes.try_into().ok()?))
    };
    if [word(16)?, word(20)?] != CONNECTOR {
        return None;
    }
    let data = |index: usize| word(HEADERS + 4 * index);
    // Thread and process have the same number in a process's first thread; others are of no interest.
    let of_process = |index: usize| {
        let (thread, process) = (data(index)?, data(index + 1)?);
        (thread == process).then_some(process)
    };
    Some(Told::Event(match word(36)? {
        0 => return Some(Told::Listening),
        1 => ProcessEvent::Forked {
            parent: data(1)?,
            child: of_process(2)?,
        },
        2 => ProcessEvent::Executed {
            pid: of_process(0)?,
            command: None,
        },
        0x200 => {
            let comm = datagram.get(HEADERS + 8..HEADERS + 24)?;
            let comm = comm.split(|byte| *byte == 0).next()?;
            ProcessEvent::Renamed {
                pid: of_process(0)?,
                comm: comm.to_vec(),
            }
        }
        0x8000_0000 => ProcessEvent::Exited {
            pid: of_process(0)?,
        },
        _ => return None,
    }))
}

/// What a process is called, with up to `cmdline_bytes` of its command line. `None`: there is none, or
/// it has ended and nobody waited for it.
pub fn command(pid: u32, cmdline_bytes: usize) -> Option<Command> {
    let stat = read(&format!("/proc/{pid}/stat"), STAT_BYTES)?;
    let comm = comm_of_living(&stat)?.to_vec();
    let cmdline = match cmdline_bytes {
        0 => Vec::new(),
        bytes => read(&format!("/proc/{pid}/cmdline"), u64::try_from(bytes).ok()?)?,
    };
    Some(Command { comm, cmdline })
}

/// Every process.
///
/// # Errors
/// /proc is not there.
pub fn running(cmdline_bytes: usize) -> io::Result<BTreeMap<u32, Command>> {
    let pid = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    let pids = fs::read_dir("/proc")?.flatten().filter_map(pid);
    Ok(pids
        .filter_map(|pid: u32| Some((pid, command(pid, cmdline_bytes)?)))
        .collect())
}

fn read(path: &str, bytes: u64) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    let file = File::open(path).ok()?;
    file.take(bytes).read_to_end(&mut content).ok()?;
    Some(content)
}

/// `PID (NAME) STATE ...`, where the name may have anything in it.
fn comm_of_living(stat: &[u8]) -> Option<&[u8]> {
    let begin = stat.iter().position(|byte| *byte == b'(')? + 1;
    // Behind the name stand numbers and one letter.
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let ended = matches!(stat.get(end + 2), Some(b'Z' | b'X' | b'x') | None);
    if ended { None } else { stat.get(begin..end) }
}

/// Hears of the end of processes where there is no connector: one descriptor for each.
#[derive(Debug, Default)]
pub struct Ends {
    pidfds: BTreeMap<u32, OwnedFd>,
}

/// So many ends are heard of at once; of others the next look at what runs tells.
const ENDS_MAX: usize = 256;

impl Ends {
    /// Follows these processes and no others. A process that cannot be followed is left out.
    pub fn follow(&mut self, pids: &BTreeSet<u32>) {
        self.pidfds.retain(|pid, _| pids.contains(pid));
        for pid in pids {
            if self.pidfds.len() >= ENDS_MAX {
                return;
            }
            if !self.pidfds.contains_key(pid)
                && let Ok(fd) = sys::watch::pidfd(*pid)
            {
                self.pidfds.insert(*pid, fd);
            }
        }
    }

    /// What can be read when one of them has ended.
    pub fn fds(&self) -> impl Iterator<Item = (u32, BorrowedFd<'_>)> {
        self.pidfds.iter().map(|(pid, fd)| (*pid, fd.as_fd()))
    }
}

#[cfg(test)]
mod tests;
