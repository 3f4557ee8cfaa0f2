//! The helper's loop: takes requests, starts programs, sees them end, ends those whose time is over.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use socket2::Socket;

use crate::errno::Errno;
use crate::kernel::clock;
use crate::kernel::poll::{Interest, Poller, Slot};
use crate::kernel::sys::process::{self, KillSignal, OnParentDeath};
use crate::time::Time;

use super::message::{AtEnd, Finished, Outcome, Request};
use super::user::Users;
use super::{CHILDREN_MAX, GRACE, REQUEST_MAX, not_started};

/// Answers that vipd has not taken yet; beyond it no request is read until it has.
const OUTBOX_MAX: usize = 2 * CHILDREN_MAX;

/// Requests read in a row before ended programs are looked at.
const READS_MAX: usize = 64;

/// How often programs are looked at where the kernel cannot tell that they ended (before 5.3).
const WITHOUT_PIDFD: Duration = Duration::from_millis(20);

/// State of the helper.
pub(super) struct Server {
    socket: Socket,
    poller: Poller,
    users: Users,
    running: BTreeMap<u64, Run>,
    next_run: u64,
    outbox: VecDeque<Finished>,
    bytes: Vec<u8>,
    /// [`CHILDREN_MAX`], or less in a test.
    pub(super) children_max: usize,
}

/// A program that was started and not yet waited for.
struct Run {
    id: u64,
    child: Child,
    pidfd: Option<OwnedFd>,
    slot: Option<Slot>,
    at_end: AtEnd,
    stage: Stage,
}

/// How far a run is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Runs; its time is over at this point, if ever.
    Running(Option<Time>),
    /// SIGTERM was sent; SIGKILL follows at this point. Nothing more is answered.
    Terminated(Time),
    /// SIGKILL was sent; it ends when the kernel lets it.
    Killed,
}

/// What the kernel says of the first process of a run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leader {
    Runs,
    Ended,
    /// It cannot say.
    Unknown,
}

/// Whether there is still something to look after.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Here,
    Gone,
}

/// Whether vipd is still there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Peer {
    There,
    Gone,
}

impl Server {
    pub(super) fn new(socket: Socket) -> io::Result<Server> {
        socket.set_nonblocking(true)?;
        Ok(Server {
            socket,
            poller: Poller::new(),
            users: Users::default(),
            running: BTreeMap::new(),
            next_run: 0,
            outbox: VecDeque::new(),
            bytes: vec![0; REQUEST_MAX],
            children_max: CHILDREN_MAX,
        })
    }

    /// Serves until vipd closes its end, then ends what is to end with it.
    pub(super) fn run(mut self) -> io::Result<()> {
        loop {
            let socket = self.wait(Peer::There)?;
            let readable = socket.is_some_and(|slot| self.poller.is_readable(slot));
            self.look_after_runs();
            if readable && self.take_requests() == Peer::Gone {
                break;
            }
            if self.deliver() == Peer::Gone {
                break;
            }
        }
        self.end()
    }

    /// Waits for the socket, for the end of a program, or for the next deadline.
    fn wait(&mut self, peer: Peer) -> io::Result<Option<Slot>> {
        self.poller.clear();
        let socket = (peer == Peer::There).then(|| {
            let interest = match self.outbox.len() {
                0 => Interest::Read,
                1..OUTBOX_MAX => Interest::ReadWrite,
                OUTBOX_MAX.. => Interest::Write,
            };
            self.poller.watch(self.socket.as_fd(), interest)
        });
        let mut deadline: Option<Time> = None;
        let mut sooner = |at: Time| deadline = Some(deadline.map_or(at, |other| other.min(at)));
        for run in self.running.values_mut() {
            run.slot = run
                .pidfd
                .as_ref()
                .map(|pidfd| self.poller.watch(pidfd.as_fd(), Interest::Read));
            if run.slot.is_none() {
                sooner(clock::now() + WITHOUT_PIDFD);
            }
            match run.stage {
                Stage::Running(Some(at)) | Stage::Terminated(at) => sooner(at),
                Stage::Running(None) | Stage::Killed => {}
            }
        }
        self.poller.wait(deadline)?;
        Ok(socket)
    }

    /// Reads what vipd asks for, as long as there is room for the answers.
    fn take_requests(&mut self) -> Peer {
        for _ in 0..READS_MAX {
            if self.outbox.len() >= OUTBOX_MAX {
                break;
            }
            let read = match (&self.socket).read(&mut self.bytes) {
                Ok(0) => return Peer::Gone,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return Peer::Gone,
            };
            let request = self.bytes.get(..read).unwrap_or_default();
            // Both ends are the same program: what cannot be read is not from it.
            let Ok(request) = Request::decode(request) else {
                return Peer::Gone;
            };
            let id = request.id;
            if let Err(outcome) = self.start(request) {
                self.outbox.push_back(Finished { id, outcome });
            }
        }
        Peer::There
    }

    /// Starts a program; an error is the answer to give.
    fn start(&mut self, request: Request) -> Result<(), Outcome> {
        let now = clock::now();
        let refused = |what: String| Outcome::NotStarted { errno: None, what };
        if self.running.len() >= self.children_max {
            return Err(Outcome::NotStarted {
                errno: Some(Errno(libc::EAGAIN)),
                what: format!("{} scripts are running already", self.children_max),
            });
        }
        let Some((program, arguments)) = request.argv.split_first() else {
            return Err(refused("no program was named".to_owned()));
        };
        let identity = self
            .users
            .identity(request.user.as_ref(), now)
            .map_err(|why| refused(format!("run {program}: {why}")))?;
        let on_parent_death = match request.at_end {
            AtEnd::Kill => OnParentDeath::Kill,
            AtEnd::Leave => OnParentDeath::Nothing,
        };
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        process::run_as(&mut command, identity, on_parent_death);
        let child = command.spawn().map_err(|error| match &request.user {
            Some(user) => not_started(format_args!("run {program} as {}", user.user), &error),
            None => not_started(format_args!("run {program}"), &error),
        })?;
        let run = Run {
            id: request.id,
            pidfd: process::pidfd_open(child.id()).ok(),
            slot: None,
            child,
            at_end: request.at_end,
            stage: Stage::Running(request.timeout.map(|timeout| now + timeout)),
        };
        self.running.insert(self.next_run, run);
        self.next_run += 1;
        Ok(())
    }

    /// Sees which programs have ended and which have run out of time.
    fn look_after_runs(&mut self) {
        let now = clock::now();
        let (poller, outbox) = (&self.poller, &mut self.outbox);
        self.running.retain(|_, run| {
            let leader = match run.slot {
                Some(slot) if poller.is_readable(slot) => Leader::Ended,
                Some(_) => Leader::Runs,
                None => Leader::Unknown,
            };
            let (outcome, standing) = run.look(leader, now);
            let id = run.id;
            outbox.extend(outcome.map(|outcome| Finished { id, outcome }));
            standing == Standing::Here
        });
    }

    /// Hands over as many answers as the socket takes.
    fn deliver(&mut self) -> Peer {
        let mut bytes = Vec::new();
        while let Some(finished) = self.outbox.front() {
            finished.encode(&mut bytes);
            match self.socket.send_with_flags(&bytes, libc::MSG_NOSIGNAL) {
                Ok(_) => drop(self.outbox.pop_front()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => break,
                Err(_) => return Peer::Gone,
            }
        }
        Peer::There
    }

    /// vipd is gone: ends what is to end with it, within the grace.
    fn end(mut self) -> io::Result<()> {
        let kill_at = clock::now() + GRACE;
        self.running.retain(|_, run| run.at_end == AtEnd::Kill);
        for run in self.running.values_mut() {
            if matches!(run.stage, Stage::Running(_)) {
                process::kill_group(run.child.id(), KillSignal::Term);
                run.stage = Stage::Terminated(kill_at);
            }
        }
        // A program that the kernel does not let die (waiting for a dead disk) must not keep us.
        let give_up_at = kill_at + GRACE;
        while !self.running.is_empty() && clock::now() < give_up_at {
            self.wait(Peer::Gone)?;
            self.look_after_runs();
        }
        Ok(())
    }
}

impl Run {
    /// Does what is due; the answer, when it is time for it, and whether there is still something to
    /// look after.
    fn look(&mut self, leader: Leader, now: Time) -> (Option<Outcome>, Standing) {
        let group = self.child.id();
        // Until the leader is waited for, the group's number cannot become somebody else's: whoever of
        // a group that had SIGTERM outlives its leader is killed before that.
        let may_wait = match (leader, self.stage) {
            (Leader::Ended, Stage::Terminated(_)) => {
                process::kill_group(group, KillSignal::Kill);
                true
            }
            (Leader::Ended, _) => true,
            (Leader::Unknown, stage) => !matches!(stage, Stage::Terminated(_)),
            (Leader::Runs, _) => false,
        };
        if may_wait && let Some(outcome) = self.wait() {
            let wanted = matches!(self.stage, Stage::Running(_));
            return (wanted.then_some(outcome), Standing::Gone);
        }
        match self.stage {
            Stage::Running(Some(at)) if at <= now => {
                process::kill_group(group, KillSignal::Term);
                self.stage = Stage::Terminated(now + GRACE);
                (Some(Outcome::TimedOut), Standing::Here)
            }
            Stage::Terminated(at) if at <= now => {
                process::kill_group(group, KillSignal::Kill);
                self.stage = Stage::Killed;
                (None, Standing::Here)
            }
            _ => (None, Standing::Here),
        }
    }

    /// How it ended; `None` while it runs.
    fn wait(&mut self) -> Option<Outcome> {
        match self.child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(outcome_of(status)),
            // Somebody else has waited for it: nobody can say any more how it ended.
            Err(error) => Some(not_started("wait for the script to end", &error)),
        }
    }
}

fn outcome_of(status: ExitStatus) -> Outcome {
    match (status.code(), status.signal()) {
        (Some(code), _) => Outcome::Exited(u8::try_from(code).unwrap_or(u8::MAX)),
        (None, signal) => Outcome::Signaled(signal.unwrap_or_default()),
    }
}
