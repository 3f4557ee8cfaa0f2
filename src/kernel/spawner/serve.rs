//! The helper's loop: takes requests, starts programs, sees them end, ends those whose time is over.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use socket2::Socket;

use crate::config::model::{Capabilities, ScriptUser};
use crate::errno::Errno;
use crate::kernel::clock;
use crate::kernel::namespace::Namespace;
use crate::kernel::poll::{Interest, Poller, Slot};
use crate::kernel::sys::process::{self, KillSignal, OnParentDeath};
use crate::time::Time;

use super::message::{Asked, AtEnd, Finished, Outcome, Request};
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
    clients: Vec<Client>,
    poller: Poller,
    users: Users,
    running: BTreeMap<u64, Run>,
    next_run: u64,
    bytes: Vec<u8>,
    /// [`CHILDREN_MAX`], or less in a test.
    pub(super) children_max: usize,
}

/// A thread of vipd.
struct Client {
    socket: Socket,
    /// Answers that it has not taken yet.
    outbox: VecDeque<Finished>,
    peer: Peer,
    slot: Option<Slot>,
}

/// A program that was started and not yet waited for.
struct Run {
    /// Who asked for it, by its place among the clients.
    client: usize,
    id: u64,
    program: Program,
    child: Child,
    pidfd: Option<OwnedFd>,
    slot: Option<Slot>,
    at_end: AtEnd,
    stage: Stage,
}

/// Who runs what.
type Program = (Vec<String>, Option<ScriptUser>);

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

/// Whether a client is still there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Peer {
    There,
    Gone,
}

impl Server {
    pub(super) fn new(sockets: Vec<Socket>) -> io::Result<Server> {
        let client = |socket: Socket| {
            socket.set_nonblocking(true)?;
            Ok(Client {
                socket,
                outbox: VecDeque::new(),
                peer: Peer::There,
                slot: None,
            })
        };
        Ok(Server {
            clients: sockets.into_iter().map(client).collect::<io::Result<_>>()?,
            poller: Poller::new(),
            users: Users::default(),
            running: BTreeMap::new(),
            next_run: 0,
            bytes: vec![0; REQUEST_MAX],
            children_max: CHILDREN_MAX,
        })
    }

    /// Serves until vipd closes its ends, then ends what is to end with it.
    pub(super) fn run(mut self) -> io::Result<()> {
        while self.clients.iter().any(|client| client.peer == Peer::There) {
            self.wait()?;
            self.look_after_runs();
            for number in 0..self.clients.len() {
                self.serve(number);
            }
        }
        self.end()
    }

    /// Takes what a client asks for, and gives it what it waits for.
    fn serve(&mut self, number: usize) {
        let Some(client) = self.clients.get(number) else {
            return;
        };
        let asks = client
            .slot
            .is_some_and(|slot| self.poller.is_readable(slot));
        if asks && self.take_requests(number) == Peer::Gone {
            self.leave(number);
        }
        if let Some(client) = self.clients.get_mut(number)
            && client.deliver() == Peer::Gone
        {
            self.leave(number);
        }
    }

    fn leave(&mut self, number: usize) {
        if let Some(client) = self.clients.get_mut(number) {
            client.peer = Peer::Gone;
            client.outbox.clear();
        }
    }

    /// Waits for the clients, for the end of a program, or for the next deadline.
    fn wait(&mut self) -> io::Result<()> {
        self.poller.clear();
        for client in &mut self.clients {
            let interest = match client.outbox.len() {
                0 => Interest::Read,
                1..OUTBOX_MAX => Interest::ReadWrite,
                OUTBOX_MAX.. => Interest::Write,
            };
            let there = client.peer == Peer::There;
            client.slot = there.then(|| self.poller.watch(client.socket.as_fd(), interest));
        }
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
        self.poller.wait(deadline)
    }

    /// Reads what a client asks for, as long as there is room for the answers.
    fn take_requests(&mut self, number: usize) -> Peer {
        for _ in 0..READS_MAX {
            let Some(client) = self.clients.get(number) else {
                break;
            };
            if client.outbox.len() >= OUTBOX_MAX {
                break;
            }
            let read = match (&client.socket).read(&mut self.bytes) {
                Ok(0) => return Peer::Gone,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return Peer::Gone,
            };
            let request = self.bytes.get(..read).unwrap_or_default();
            // Both ends are the same program: what cannot be read is not from it.
            let Ok(asked) = Asked::decode(request) else {
                return Peer::Gone;
            };
            let (id, answer) = match asked {
                Asked::Run(request) => (request.id, self.start(number, request).err()),
                Asked::Enter { id, namespace } => (id, Some(enter(&namespace))),
            };
            if let Some(outcome) = answer
                && let Some(client) = self.clients.get_mut(number)
            {
                client.outbox.push_back(Finished { id, outcome });
            }
        }
        Peer::There
    }

    /// Starts a program; an error is the answer to give.
    fn start(&mut self, client: usize, request: Request) -> Result<(), Outcome> {
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
        // That the one before is still there after its time counts as its time being over once more:
        // there are never two of them.
        let hung = |run: &Run| {
            let (argv, user) = &run.program;
            !matches!(run.stage, Stage::Running(_))
                && *argv == request.argv
                && *user == request.user
        };
        if self.running.values().any(hung) {
            return Err(Outcome::TimedOut);
        }
        let spawn = |program: &str, arguments: &[&String]| {
            let mut command = Command::new(program);
            command
                .args(arguments)
                .current_dir("/")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .process_group(0);
            process::run_as(
                &mut command,
                identity.clone(),
                request.caps,
                on_parent_death,
            );
            command.spawn()
        };
        let arguments: Vec<&String> = arguments.iter().collect();
        let child = match spawn(program, &arguments) {
            // A script without `#!`: execvp of glibc does so by itself, that of musl does not.
            Err(error) if error.raw_os_error() == Some(libc::ENOEXEC) => {
                spawn("/bin/sh", &[&[program], &arguments[..]].concat())
            }
            spawned => spawned,
        };
        let child = child.map_err(|error| match &request.user {
            _ if error.raw_os_error() == Some(libc::EPERM) && request.caps != Capabilities::ALL => {
                let what = format!("run {program} (`script_caps` needs CAP_SETPCAP)");
                not_started(what, &error)
            }
            Some(user) => not_started(format_args!("run {program} as {}", user.user), &error),
            None => not_started(format_args!("run {program}"), &error),
        })?;
        let run = Run {
            client,
            id: request.id,
            program: (request.argv, request.user),
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
        let (poller, clients) = (&self.poller, &mut self.clients);
        self.running.retain(|_, run| {
            let leader = match run.slot {
                Some(slot) if poller.is_readable(slot) => Leader::Ended,
                Some(_) => Leader::Runs,
                None => Leader::Unknown,
            };
            let (outcome, standing) = run.look(leader, now);
            let id = run.id;
            if let Some(client) = clients
                .get_mut(run.client)
                .filter(|c| c.peer == Peer::There)
            {
                client
                    .outbox
                    .extend(outcome.map(|outcome| Finished { id, outcome }));
            }
            standing == Standing::Here
        });
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
            self.wait()?;
            self.look_after_runs();
        }
        Ok(())
    }
}

impl Client {
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

/// Goes to a network namespace: the helper has one thread.
fn enter(namespace: &str) -> Outcome {
    match Namespace::named(namespace).and_then(|namespace| namespace.enter()) {
        Ok(()) => Outcome::Exited(0),
        Err(error) => Outcome::NotStarted {
            errno: None,
            what: format!("script helper: {error}"),
        },
    }
}

fn outcome_of(status: ExitStatus) -> Outcome {
    match (status.code(), status.signal()) {
        (Some(code), _) => Outcome::Exited(u8::try_from(code).unwrap_or(u8::MAX)),
        (None, signal) => Outcome::Signaled(signal.unwrap_or_default()),
    }
}
