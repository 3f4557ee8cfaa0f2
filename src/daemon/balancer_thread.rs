//! The balancer's thread: it carries out what [`engine::balancer`](crate::engine::balancer) decides. IPVS
//! is written here and now; checks run beside each other on one current-thread runtime, those that only open a
//! connection without a task.
//!
//! Orders come over a queue, roles in a latest-value cell, and what others wait for (the table is in
//! place, everything is removed, which keys are ours) leaves in one. A panic ends the thread: its
//! `JoinHandle` says so, and whoever started it may start another, which adopts the table.

mod followed;
mod kernel;
mod prepared;
mod scripts;
mod told;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, LocalSet, spawn_local};

use crate::config::model::{CheckerKind, MiscCheck, ScriptDefaults};
use crate::control::Events;
use crate::engine::balancer::{
    Action, Balancer, Failure, FailureKind, Input, Kind, Override, Overrides, Scope, StopKind, View,
};
use crate::engine::shared::{FileFacts, Roles, SessionFacts};
use crate::health::{CheckOutcome, ProbeId, Question};
use crate::ipvs::Command;
use crate::kernel::ipvs::{Ipvs, Snapshot};
use crate::kernel::runtime::{Alarm, wait_for};
use crate::kernel::spawner::Spawner;
use crate::kernel::{clock, memory};
use crate::lvs::Owned;
use crate::probe::{Answer, Connects, Kit};
use crate::time::Time;

use super::logging;
use super::notify_thread::Notices;
use followed::{Followed, changed};
use scripts::Scripts;
use told::{Report, Told};

pub use kernel::{Kernel, Seen};
pub use prepared::{PrepareError, Prepared, open_ipvs};

/// Checks that run at once unless main knows better: fits into the usual soft limit of 1024 files.
pub const PROBES_MAX: usize = 512;
/// What each service and each destination takes here until they are in the kernel, in bytes.
const ROOM_EACH: usize = 600;
/// So many answers are taken in at a time; then orders have their turn.
const ANSWERS_AT_ONCE: usize = 64;
/// How long a start waits for the files that checks ask for to be read, so that no server is taken in
/// that a file keeps out; and how long a reload does. Beyond that a file system hangs.
const START_WAIT: Duration = Duration::from_secs(1);
const RELOAD_WAIT: Duration = Duration::from_millis(200);

/// What main tells the thread.
pub enum Order {
    /// Use this from now on. Everything that can fail has been done.
    Reload(Prepared),
    /// Answer with what the engine knows.
    View(oneshot::Sender<View>),
    /// Answer with a copy of the engine, and with all that the kernel shows.
    Copy(oneshot::Sender<Copied>),
    /// Answer with the kernel's counters, if they can be read.
    Traffic(oneshot::Sender<Option<Snapshot>>),
    /// An operator orders something; how many servers of the configuration that is about.
    Override(Scope, Override, oneshot::Sender<usize>),
    /// Somebody takes such orders back; how many servers of the configuration that is about.
    Lift(Kind, Scope, String, oneshot::Sender<usize>),
    /// End; [`Status::stopped`] follows, and the thread ends.
    Stop(StopKind),
}

/// What a rehearsal needs.
#[derive(Debug)]
pub struct Copied {
    /// The engine as it is.
    pub balancer: Balancer,
    /// What the kernel shows; the error is a whole sentence; `None`: no socket to IPVS is open.
    pub seen: Option<Result<Seen, String>>,
}

/// How the thread is reached and what it may use.
pub struct Inbox {
    /// Orders, in order. When the other end is dropped the thread ends and leaves everything as it is.
    pub orders: mpsc::UnboundedReceiver<Order>,
    /// The role of every VRRP instance.
    pub roles: watch::Receiver<Roles>,
    /// What is known of BFD sessions.
    pub sessions: watch::Receiver<SessionFacts>,
    /// What is known of tracked files.
    pub files: watch::Receiver<FileFacts>,
    /// What the checks of the configuration need.
    pub kit: Kit,
    /// What others wait for.
    pub status: watch::Sender<Status>,
    /// Runs commands; without it none can be run.
    pub spawner: Option<Spawner>,
    /// Who is told of servers.
    pub notices: Notices,
    /// Who keeps what happened.
    pub events: Events,
    /// How many checks may run at once, at least 1; others wait, their timeout not running yet.
    /// [`PROBES_MAX`], or more where the limit of open files was raised.
    pub probes_max: usize,
}

/// What others wait for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// IPVS is in place, or has been waited for long enough: VIPs may be claimed.
    pub ready: bool,
    /// So many orders to reload are carried out: of the last of them the same can be said.
    pub placed: u64,
    /// The end.
    pub stopped: bool,
    /// Whether a socket to IPVS is open.
    pub ipvs_open: bool,
    /// Which keys of IPVS are ours, for the record.
    pub owned: Arc<Owned>,
    /// What operators ordered, once that has changed.
    pub overrides: Option<Overrides>,
}

/// Starts the thread. `ipvs` may be absent where [`Balancer::needs_ipvs`] is false.
///
/// # Errors
/// The kernel gives no thread or no file for the runtime.
pub fn start(ipvs: Option<Ipvs>, balancer: Balancer, inbox: Inbox) -> io::Result<JoinHandle<()>> {
    let kernel = ipvs.map(|ipvs| Box::new(ipvs) as Box<dyn Kernel>);
    start_with(kernel, balancer, inbox, |question, kit| async move {
        crate::probe::ask(&question, &kit).await
    })
}

/// [`start`] with another kernel or other checks. `ask` is called for each check but `TCP_CHECK`.
///
/// # Errors
/// As for [`start`].
pub fn start_with<A, F>(
    kernel: Option<Box<dyn Kernel>>,
    balancer: Balancer,
    inbox: Inbox,
    ask: A,
) -> io::Result<JoinHandle<()>>
where
    A: Fn(Question, Arc<Kit>) -> F + Send + 'static,
    F: Future<Output = CheckOutcome> + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let context = runtime.enter();
    let (connects, alarm) = (Connects::open(wait_for, clock::now)?, Alarm::new()?);
    drop(context);
    let body = move || {
        let room = balancer.size() * ROOM_EACH;
        let room = memory::Room::make(room, room);
        let (answers, answered) = mpsc::unbounded_channel();
        let context = runtime.enter();
        let thread = Thread {
            followed: None,
            scripts: inbox.spawner.and_then(scripts_of),
            script_defaults: balancer.script_defaults(),
            kernel,
            balancer,
            status: inbox.status,
            notices: inbox.notices,
            events: inbox.events,
            ask: Rc::new(ask),
            kit: Arc::new(inbox.kit),
            connects,
            running: BTreeMap::new(),
            answers,
            waiting: VecDeque::new(),
            probes_max: inbox.probes_max.max(1),
            reloads: 0,
            room: Some(room),
        };
        drop(context);
        let local = LocalSet::new();
        let told = Told::new(inbox.roles, inbox.sessions, inbox.files);
        runtime.block_on(local.run_until(thread.run(inbox.orders, told, alarm, answered)));
    };
    std::thread::Builder::new()
        .name("balancer".to_owned())
        .spawn(body)
}

struct Thread<A> {
    /// Hears of addresses, while the configuration asks after some.
    followed: Option<Followed>,
    scripts: Option<Scripts>,
    /// How commands run that say nothing about it.
    script_defaults: ScriptDefaults,
    kernel: Option<Box<dyn Kernel>>,
    balancer: Balancer,
    status: watch::Sender<Status>,
    notices: Notices,
    events: Events,
    ask: Rc<A>,
    kit: Arc<Kit>,
    /// The `TCP_CHECK`s among the checks that run.
    connects: Connects,
    /// The others.
    running: BTreeMap<ProbeId, AbortHandle>,
    answers: mpsc::UnboundedSender<Answer>,
    /// Checks whose turn has not come, in the order of their times.
    waiting: VecDeque<(ProbeId, Question)>,
    probes_max: usize,
    /// Orders to reload that came.
    reloads: u64,
    /// Until the table is in place.
    room: Option<memory::Room>,
}

impl<A, F> Thread<A>
where
    A: Fn(Question, Arc<Kit>) -> F + 'static,
    F: Future<Output = CheckOutcome> + 'static,
{
    async fn run(
        mut self,
        mut orders: mpsc::UnboundedReceiver<Order>,
        mut told: Told,
        mut alarm: Alarm,
        mut answered: mpsc::UnboundedReceiver<Answer>,
    ) {
        let ipvs_open = self.kernel.is_some();
        self.status.send_modify(|s| s.ipvs_open = ipvs_open);
        self.balancer.set_ipvs(ipvs_open);
        if let Some(input) = told
            .known_files(self.balancer.files_of_checks(), START_WAIT)
            .await
        {
            self.input(input);
        }
        self.input(Input::Started);
        self.follow();
        told.begin();
        let mut ended = Vec::new();
        while !self.status.borrow().stopped {
            self.connects.look();
            alarm.set(self.next_deadline());
            let follows = match self.followed {
                Some(_) => self.balancer.follows(),
                None => BTreeSet::new(),
            };
            // In this order: whatever was said comes before any timer.
            let input = tokio::select! {
                biased;
                order = orders.recv() => match order {
                    Some(Order::Reload(prepared)) => {
                        let files = prepared.files_of_checks();
                        if let Some(input) = told.known_files(files, RELOAD_WAIT).await {
                            self.input(input);
                        }
                        let input = self.take(prepared);
                        self.input(input);
                        self.follow();
                        continue;
                    }
                    // Whoever asked may have gone; nobody waits for that.
                    Some(Order::View(reply)) => {
                        let _ = reply.send(self.balancer.view(clock::now()));
                        continue;
                    }
                    Some(Order::Copy(reply)) => {
                        let seen = self.kernel.as_mut().map(|kernel| kernel.see());
                        let balancer = self.balancer.clone();
                        let _ = reply.send(Copied { balancer, seen });
                        continue;
                    }
                    Some(Order::Traffic(reply)) => {
                        let kernel = self.kernel.as_mut();
                        let _ = reply.send(kernel.and_then(|kernel| kernel.traffic()));
                        continue;
                    }
                    Some(Order::Override(scope, order, reply)) => {
                        let _ = reply.send(self.balancer.count(&scope));
                        Input::Override(scope, order)
                    }
                    Some(Order::Lift(kind, scope, by, reply)) => {
                        let _ = reply.send(self.balancer.count(&scope));
                        Input::Lift(kind, scope, by)
                    }
                    Some(Order::Stop(kind)) => Input::Stop(kind),
                    None => Input::Stop(StopKind::Keep),
                },
                input = told.changed() => input,
                here = changed(self.followed.as_mut(), &follows) => Input::Addresses(here),
                (probe, outcome) = scripts::ended(self.scripts.as_mut()) => {
                    Input::CheckFinished { probe, outcome }
                }
                ended = self.connects.answered() => {
                    self.answers(ended.into_iter());
                    continue;
                }
                _ = answered.recv_many(&mut ended, ANSWERS_AT_ONCE) => {
                    self.answers(ended.drain(..));
                    continue;
                }
                () = alarm.rings() => {
                    self.connects.expire(clock::now());
                    Input::Timer
                }
            };
            self.input(input);
        }
    }

    fn next_deadline(&self) -> Option<Time> {
        let engine = self.balancer.next_deadline().map(|(time, _)| time);
        engine
            .into_iter()
            .chain(self.connects.next_deadline())
            .min()
    }

    /// Begins to hear of addresses when the configuration asks after some, and ends when it does not.
    fn follow(&mut self) {
        let follows = self.balancer.follows();
        if follows.is_empty() {
            self.followed = None;
            return;
        }
        if self.followed.is_none() {
            match Followed::open() {
                Ok(followed) => self.followed = Some(followed),
                Err(error) => {
                    tracing::error!(
                        "ha_suspend: addresses cannot be followed: {error}; servers are checked all the same"
                    );
                    return self.input(Input::Addresses(follows));
                }
            }
        }
        if let Some(here) = self.followed.as_mut().and_then(|f| f.read(&follows)) {
            self.input(Input::Addresses(here));
        }
    }

    fn take(&mut self, prepared: Prepared) -> Input {
        if let Some(ipvs) = prepared.ipvs {
            self.kernel = Some(Box::new(ipvs));
            self.balancer.set_ipvs(true);
            self.status.send_modify(|s| s.ipvs_open = true);
        }
        self.reloads += 1;
        self.script_defaults = prepared.config.globals.script_defaults();
        if let Some(kit) = prepared.kit {
            self.kit = Arc::new(kit);
        }
        Input::Reload(prepared.config)
    }

    /// Checks have ended, which make room for others.
    fn answers(&mut self, ended: impl Iterator<Item = Answer>) {
        let mut inputs = VecDeque::new();
        for (probe, outcome) in ended {
            self.running.remove(&probe);
            inputs.push_back(Input::CheckFinished { probe, outcome });
        }
        self.start_waiting();
        self.inputs(inputs);
    }

    fn input(&mut self, input: Input) {
        self.inputs(VecDeque::from([input]));
    }

    /// Hands in what happens now, carries out what follows, and hands in what the kernel says to that. Others are
    /// told when all that is done: each of them wakes a thread, which then takes the time.
    fn inputs(&mut self, mut inputs: VecDeque<Input>) {
        let mut told = Vec::new();
        let mut now = clock::now();
        while let Some(input) = inputs.pop_front() {
            for action in self.balancer.handle(input, now) {
                match action {
                    // The end is the last thing that is told.
                    Action::Notice(_) | Action::Event(_) | Action::Stopped => told.push(action),
                    action => {
                        if let Some(answer) = self.act(action) {
                            inputs.push_back(answer);
                            now = clock::now();
                        }
                    }
                }
            }
        }
        for action in told {
            self.act(action);
        }
    }

    fn act(&mut self, action: Action) -> Option<Input> {
        match action {
            Action::StartCheck { probe, question } => match question.kind() {
                CheckerKind::Misc(check) => return self.run_command(probe, check),
                _ => self.start_check(probe, question),
            },
            Action::CancelCheck { probe } => {
                if let Some(scripts) = &mut self.scripts {
                    scripts.forget(probe);
                }
                match self.running.remove(&probe) {
                    Some(running) => running.abort(),
                    None if self.connects.cancel(probe) => {}
                    None => self.waiting.retain(|(waits, _)| *waits != probe),
                }
                self.start_waiting();
            }
            Action::Observe => {
                return Some(Input::Observed(match &mut self.kernel {
                    Some(kernel) => kernel.observe(),
                    None => Err(NO_IPVS.to_owned()),
                }));
            }
            Action::Apply(commands) => {
                return Some(Input::Applied(match &mut self.kernel {
                    Some(kernel) => kernel.apply(&commands),
                    None => commands.iter().enumerate().map(refused).collect(),
                }));
            }
            Action::Owned(owned) => self.status.send_modify(|s| s.owned = owned),
            Action::Overrides(all) => {
                self.status.send_modify(|s| s.overrides = Some(all));
            }
            Action::Ready => {
                self.room = None;
                let placed = self.reloads;
                self.status.send_modify(|s| {
                    s.ready = true;
                    s.placed = placed;
                });
            }
            Action::Stopped => self.status.send_modify(|s| s.stopped = true),
            Action::Notice(notice) => self.notices.send(notice),
            Action::Event(event) if event.is_told() => {
                self.events.balancer(&event);
                logging::balancer(&event);
            }
            Action::Event(_) => {}
        }
        None
    }

    /// The answer comes when the command has ended, at once if it cannot be started.
    fn run_command(&mut self, probe: ProbeId, check: &MiscCheck) -> Option<Input> {
        let (probe, outcome) = match &mut self.scripts {
            Some(scripts) => scripts.start(probe, check, &self.script_defaults)?,
            None => (
                probe,
                CheckOutcome::NotAsked("there is no script helper".to_owned()),
            ),
        };
        Some(Input::CheckFinished { probe, outcome })
    }

    /// Now, or when its turn comes.
    fn start_check(&mut self, probe: ProbeId, question: Question) {
        self.waiting.push_back((probe, question));
        self.start_waiting();
    }

    /// A check has a task or a socket only while it runs.
    fn start_waiting(&mut self) {
        while self.running.len() + self.connects.len() < self.probes_max
            && let Some((probe, question)) = self.waiting.pop_front()
        {
            self.run_check(probe, question);
        }
    }

    fn run_check(&mut self, probe: ProbeId, question: Question) {
        if let CheckerKind::Tcp(options) = question.kind() {
            return self.connects.begin(probe, options);
        }
        let report = Report {
            probe,
            outcome: None,
            answers: self.answers.clone(),
        };
        let (ask, kit) = (Rc::clone(&self.ask), Arc::clone(&self.kit));
        let task = spawn_local(async move {
            report.done(ask(question, kit).await);
        });
        self.running.insert(probe, task.abort_handle());
    }
}

const NO_IPVS: &str = "use IPVS: it could not be opened before";

fn refused((index, command): (usize, &Command)) -> Failure {
    Failure {
        index,
        kind: FailureKind::Refused,
        error: format!("{command}: IPVS could not be opened before"),
    }
}

fn scripts_of(spawner: Spawner) -> Option<Scripts> {
    Scripts::new(spawner)
        .inspect_err(|error| tracing::error!("commands of MISC_CHECKs cannot be run: {error}"))
        .ok()
}

#[cfg(test)]
mod tests;
