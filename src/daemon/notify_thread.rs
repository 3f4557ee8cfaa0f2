//! The thread that tells the outside what happened: scripts in order, lines for FIFOs, mails.
//!
//! The two engines only drop a [`Notice`] into a bounded queue and never wait. Here one may wait: for
//! the user data base, for a disk. Scripts run in a helper process of this thread's own, so that a
//! thousand notifications at once do not hold up the scripts that decide elections.

mod mails;
mod outlets;

use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc as std_mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tracing::{debug, error, warn};

use crate::config::Compat;
use crate::config::model::{Globals, Run};
use crate::kernel::clock;
use crate::kernel::poll::{Interest, Poller, Waker};
use crate::kernel::spawner::{AtEnd, Finished, Outcome, Request, Spawner};
use crate::notice::{Limits, Notice, ScriptQueue, Step};
use crate::time::Time;

use super::outer_scripts::{self, run_shutdown};
use mails::Mails;
use outlets::Outlets;

/// Changes that wait until this thread takes them.
const NOTICES_MAX: usize = 16_384;
/// What holds while the daemon runs: a script is waited for half a minute, and sixteen changes of one
/// object wait behind it.
const LIMITS: Limits = Limits {
    active: 256,
    pending: 16,
    wait: Duration::from_secs(30),
    strays: 4,
};
/// What holds at the end: as in keepalived a script has a second.
const LAST_LIMITS: Limits = Limits {
    active: 900,
    wait: Duration::from_secs(1),
    strays: 16,
    ..LIMITS
};
/// How long the last scripts together may hold up the end.
const STOP_MAX: Duration = Duration::from_secs(10);
/// How long the mail server may.
const MAILS_MAX: Duration = Duration::from_secs(5);
/// How long readers of FIFOs have after the last line.
const READERS_MAX: Duration = Duration::from_secs(1);

/// How long the end of the thread may take after [`Command::Stop`], beside the shutdown script.
const END_MAX: Duration = Duration::from_secs(15);

/// What main says to the thread.
#[derive(Debug)]
pub enum Command {
    /// Use these from now on.
    Reload(Box<Settings>),
    /// Carry out what waits, within bounds, and end.
    Stop,
}

/// What the thread needs to know of the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// FIFOs, mails, users.
    pub globals: Globals,
    /// Whose habits hold.
    pub compat: Compat,
    /// How this host calls itself.
    pub host_name: String,
}

/// Where the engines' threads drop what happened. Never blocks.
#[derive(Clone, Debug)]
pub struct Notices {
    queue: mpsc::Sender<Notice>,
    lost: Arc<AtomicU64>,
    waker: Option<Waker>,
}

impl Notices {
    /// Tells the thread; counts what does not fit.
    pub fn send(&self, notice: Notice) {
        match self.queue.try_send(notice) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
            // It has ended: so does the daemon.
            Err(mpsc::error::TrySendError::Closed(_)) => return,
        }
        if let Some(waker) = &self.waker {
            waker.wake();
        }
    }

    /// For an engine that nobody wants to hear of.
    pub fn to_nobody() -> Notices {
        Notices {
            queue: mpsc::channel(1).0,
            lost: Arc::default(),
            waker: None,
        }
    }
}

/// The thread as main sees it.
#[derive(Debug)]
pub struct Handle {
    commands: std_mpsc::Sender<Command>,
    waker: Waker,
    /// For the other threads.
    pub notices: Notices,
    /// Becomes true when everything was carried out, or its time was over.
    pub ended: watch::Receiver<bool>,
    _thread: JoinHandle<()>,
}

impl Handle {
    /// Has everything carried out that waits, within bounds, and the thread end; `false` when it did
    /// not in time.
    pub async fn stop(mut self, globals: &Globals) -> bool {
        self.send(Command::Stop);
        let within = END_MAX + outer_scripts::shutdown_max(globals);
        let ended = self.ended.wait_for(|ended| *ended);
        tokio::time::timeout(within, ended).await.is_ok()
    }

    /// Sends a command; a thread that has ended does not hear it.
    pub fn send(&self, command: Command) {
        let _ = self.commands.send(command);
        self.waker.wake();
    }
}

/// Starts the thread.
///
/// # Errors
/// When the kernel gives no thread or no eventfd.
pub fn start(settings: Settings, spawner: Spawner) -> io::Result<Handle> {
    let waker = Waker::new()?;
    let (commands, inbox) = std_mpsc::channel();
    let (queue, notices) = mpsc::channel(NOTICES_MAX);
    let (ended_out, ended) = watch::channel(false);
    let lost = Arc::new(AtomicU64::new(0));
    let state = Thread {
        settings,
        spawner,
        spawner_gone: false,
        queue: ScriptQueue::new(LIMITS),
        outlets: Outlets::default(),
        mails: Mails::new(waker.clone()),
        inbox,
        notices,
        lost: Arc::clone(&lost),
        waker: waker.clone(),
        poller: Poller::new(),
        stop_by: None,
        mails_by: None,
        fault: false,
    };
    let thread = std::thread::Builder::new()
        .name("notify".into())
        .spawn(move || {
            state.run();
            let _ = ended_out.send(true);
        })?;
    Ok(Handle {
        commands,
        waker: waker.clone(),
        notices: Notices {
            queue,
            lost,
            waker: Some(waker),
        },
        ended,
        _thread: thread,
    })
}

fn request(id: u64, run: Run, globals: &Globals, at_end: AtEnd) -> Request {
    Request {
        id,
        argv: run.argv,
        user: run.user.or_else(|| globals.script_user.clone()),
        caps: globals.script_caps,
        timeout: None,
        at_end,
    }
}

struct Thread {
    settings: Settings,
    spawner: Spawner,
    spawner_gone: bool,
    queue: ScriptQueue,
    outlets: Outlets,
    mails: Mails,
    inbox: std_mpsc::Receiver<Command>,
    notices: mpsc::Receiver<Notice>,
    lost: Arc<AtomicU64>,
    waker: Waker,
    poller: Poller,
    /// The end is near: when it comes, whatever still runs.
    stop_by: Option<Time>,
    /// Until when the last mails are waited for.
    mails_by: Option<Time>,
    /// It cannot do its work any more.
    fault: bool,
}

impl Thread {
    fn run(mut self) {
        self.outlets.configure(&self.settings, clock::now());
        loop {
            let now = clock::now();
            self.start_readers(now);
            self.mails.advance(&self.settings, now);
            if self.fault || self.is_over(now) {
                break;
            }
            if let Err(error) = self.wait() {
                error!("notify thread cannot wait: {error}");
                return;
            }
            self.waker.drain();
            // What happened before a command was said before it.
            self.take_notices();
            self.take_commands();
            self.take_ends();
            let mut steps = Vec::new();
            self.queue.timer(clock::now(), &mut steps);
            self.carry_out(steps);
        }
        if self.stop_by.is_some() {
            self.finish();
        }
    }

    fn wait(&mut self) -> io::Result<()> {
        self.poller.clear();
        self.poller.watch(self.waker.as_fd(), Interest::Read);
        if !self.spawner_gone {
            self.poller.watch(self.spawner.as_fd(), Interest::Read);
        }
        let now = clock::now();
        let mails_by = self.mails_by.filter(|by| *by > now);
        // At the end no reader is started any more.
        let readers = match self.stop_by {
            None => self.outlets.next_deadline(),
            Some(_) => None,
        };
        let deadlines = [
            self.queue.next_deadline(),
            readers,
            self.mails.next_deadline(),
            mails_by,
            self.stop_by,
        ];
        self.poller.wait(deadlines.into_iter().flatten().min())
    }

    fn is_over(&self, now: Time) -> bool {
        let mailed = self.mails.is_over() || self.mails_by.is_some_and(|by| now >= by);
        self.stop_by
            .is_some_and(|by| (self.queue.is_idle() && mailed) || now >= by)
    }

    fn take_commands(&mut self) {
        while let Ok(command) = self.inbox.try_recv() {
            match command {
                Command::Reload(settings) => {
                    self.settings = *settings;
                    self.outlets.configure(&self.settings, clock::now());
                }
                Command::Stop => {
                    // Both engines have ended: nothing more comes behind what is there.
                    self.take_notices();
                    let now = clock::now();
                    self.stop_by = Some(now + STOP_MAX);
                    self.mails_by = Some(now + MAILS_MAX);
                    let mut steps = Vec::new();
                    self.queue.set_limits(LAST_LIMITS, now, &mut steps);
                    self.mails.hurry(now);
                    self.carry_out(steps);
                }
            }
        }
    }

    fn take_notices(&mut self) {
        while let Ok(notice) = self.notices.try_recv() {
            self.tell(&notice);
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            warn!("{lost} changes were told to nobody: too many at once");
        }
    }

    /// Scripts first, then FIFOs, then mails, as keepalived does.
    fn tell(&mut self, notice: &Notice) {
        if self.settings.compat == Compat::Keepalived && !notice.is_keepalived_s() {
            return;
        }
        let mut steps = Vec::new();
        let what = (notice.what(), notice.kind());
        self.queue.push(
            notice.subject(),
            what,
            notice.runs(),
            clock::now(),
            &mut steps,
        );
        self.carry_out(steps);
        self.outlets.write(notice);
        self.mails.tell(notice, &self.settings, clock::now());
    }

    fn take_ends(&mut self) {
        while !self.spawner_gone {
            match self.spawner.try_recv() {
                Ok(Some(finished)) => self.script_ended(&finished),
                Ok(None) => return,
                Err(error) => self.lose_spawner(&error),
            }
        }
    }

    fn lose_spawner(&mut self, error: &dyn std::fmt::Display) {
        error!("no notify script can be run any more: {error}");
        self.spawner_gone = true;
        // A helper can be forked while there is one thread only: by a process that starts again.
        self.fault |= self.stop_by.is_none();
    }

    fn script_ended(&mut self, finished: &Finished) {
        let now = clock::now();
        if self.outlets.reader_ended(finished, now) {
            return;
        }
        let mut steps = Vec::new();
        if let Some(ended) = self.queue.ended(finished.id, now, &mut steps)
            && finished.outcome != Outcome::Exited(0)
        {
            let command = ended.argv.join(" ");
            warn!(
                "{} notify script {command} {}",
                ended.subject, finished.outcome
            );
        }
        self.carry_out(steps);
    }

    fn carry_out(&mut self, steps: Vec<Step>) {
        let mut queue = std::collections::VecDeque::from(steps);
        while let Some(step) = queue.pop_front() {
            match step {
                Step::Start { id, run } => {
                    debug!("running {}", run.argv.join(" "));
                    let request = request(id, run, &self.settings.globals, AtEnd::Leave);
                    if let Err(error) = self.spawner.send(&request) {
                        let mut more = Vec::new();
                        if let Some(ended) = self.queue.ended(id, clock::now(), &mut more) {
                            warn!("{} {error}: {}", ended.subject, ended.argv.join(" "));
                        }
                        queue.extend(more);
                    }
                }
                Step::Dropped { subject, what } => warn!(
                    "{subject} its scripts are behind: those of {what} are left out, a later change \
                     makes it obsolete"
                ),
                Step::Overdue {
                    subject,
                    argv,
                    after,
                } => warn!(
                    "{subject} notify script {} has run for {} s: it is not waited for any longer",
                    argv.join(" "),
                    after.as_secs()
                ),
            }
        }
    }

    fn start_readers(&mut self, now: Time) {
        if self.stop_by.is_some() {
            return;
        }
        for (id, run) in self.outlets.readers_to_start(now) {
            let request = request(id, run, &self.settings.globals, AtEnd::Kill);
            if let Err(error) = self.spawner.send(&request) {
                let outcome = Outcome::NotStarted {
                    errno: None,
                    what: error.to_string(),
                };
                self.outlets.reader_ended(&Finished { id, outcome }, now);
            }
        }
    }

    /// The queue is as empty as it gets. Readers see the end of their FIFO, then `shutdown_script` runs.
    fn finish(mut self) {
        let waiting = self.queue.waiting();
        if waiting > 0 {
            warn!("{waiting} changes were not told to their scripts in time");
        }
        let mails = self.mails.waiting();
        if mails > 0 {
            warn!("{mails} mails were not sent in time");
        }
        self.outlets.close();
        let by = clock::now() + READERS_MAX;
        while self.outlets.is_read() && clock::now() < by && !self.spawner_gone {
            self.poller.clear();
            self.poller.watch(self.spawner.as_fd(), Interest::Read);
            if self.poller.wait(Some(by)).is_err() {
                break;
            }
            self.take_ends();
        }
        if let Err(why) = run_shutdown(&mut self.spawner, &self.settings.globals) {
            warn!("{why}");
        }
    }
}
