//! The failover thread: its sockets, its loop, and the engine that decides. It waits for its own
//! descriptors only, handles everything that has come in before any timer, and writes nothing but
//! packets, netlink requests and a few bytes of the record.

mod take;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use tokio::sync::{oneshot, watch};
use tracing::{Level, debug, enabled, error, warn};

use crate::config::Config;
use crate::config::model::ScriptDefaults;
use crate::control::Events;
use crate::engine::failover::{Action, Beat, Failover, Input, NetFailure, StopKind, View};
use crate::engine::shared::{Changes, Roles, SessionFacts};
use crate::kernel::announcement_socket::AnnouncementSocket;
use crate::kernel::announcement_watch::AnnouncementWatch;
use crate::kernel::clock;
use crate::kernel::namespace::Namespace;
use crate::kernel::poll::{Interest, Poller, Waker};
use crate::kernel::route::{Monitor, Route};
use crate::kernel::scheduling::Lateness;
use crate::kernel::spawner::Spawner;
use crate::kernel::vrrp_socket::BUFFER_LEN;
use crate::net::{InterfaceIndex, MacAddr, NetCommand};
use crate::time::Time;

use super::channels::{Channels, Sockets};
use super::logging;
use super::notify_thread::Notices;
use super::own_links;
use super::record::Masters;
use super::sessions::Sessions;
use super::trackers::{Facts, Trackers};

/// Events, packets and answers that are taken from one descriptor before the next has its turn.
const BUDGET: usize = 256;
/// The same for packets of BFD sessions, of which there may be many and each many times a second.
const SESSION_BUDGET: usize = 4096;

/// What main says to the thread.
#[derive(Debug)]
pub enum Command {
    /// IPVS is programmed.
    IpvsReady,
    /// Use this configuration; sockets for links that it names anew were opened before.
    Reload {
        /// The configuration.
        config: Arc<Config>,
        /// Sockets by interface.
        sockets: Sockets,
    },
    /// Yield everything and stay so, or take part again.
    Standby(bool),
    /// Answer with what the engine does and why.
    View(oneshot::Sender<View>),
    /// Answer, to show that the thread is not stuck.
    Answer(oneshot::Sender<()>),
    /// Answer with a copy of the engine.
    Copy(oneshot::Sender<Box<Failover>>),
    /// Counters of the instances begin at 0 again.
    ClearCounters,
    /// It has been quiet for a while: keep what is kept in as little memory as it takes.
    Pack,
    /// An operator hands an instance over.
    HandOver(String),
    /// An operator has an instance's addresses announced again.
    Announce(String),
    /// Let go and end.
    Stop(StopKind),
}

/// Sends commands; clones reach the same thread.
#[derive(Clone, Debug)]
pub struct Caller {
    commands: Sender<Command>,
    waker: Waker,
}

impl Caller {
    /// One, and where its commands arrive.
    ///
    /// # Errors
    /// The kernel gives no eventfd.
    pub fn new() -> io::Result<(Caller, Receiver<Command>)> {
        let (commands, inbox) = channel();
        let waker = Waker::new()?;
        Ok((Caller { commands, waker }, inbox))
    }

    /// Sends a command; a thread that has ended does not hear it.
    pub fn send(&self, command: Command) {
        let _ = self.commands.send(command);
        self.waker.wake();
    }
}

/// Everything that may fail, opened before the thread starts.
pub struct Resources {
    /// Requests about links and addresses.
    pub route: Route,
    /// What happens to them.
    pub monitor: Monitor,
    /// Gratuitous ARP and neighbour advertisements.
    pub announcements: AnnouncementSocket,
    /// Gratuitous ARP and neighbour advertisements of others.
    pub watch: AnnouncementWatch,
    /// One for each link that an instance is on.
    pub sockets: Sockets,
    /// Runs scripts.
    pub spawner: Spawner,
    /// What a successor reads.
    pub masters: Masters,
    /// The network namespace that the process was started in, if it is in another one by now.
    pub start: Option<Arc<Namespace>>,
}

/// The thread as main sees it.
#[derive(Debug)]
pub struct Handle {
    /// Tells it what to do.
    pub caller: Caller,
    /// Roles of the instances, newest value.
    pub roles: watch::Receiver<Roles>,
    /// What checks may know of BFD sessions, newest value.
    pub sessions: watch::Receiver<SessionFacts>,
    /// Becomes true when the thread has let go of everything.
    pub released: watch::Receiver<bool>,
    /// So many reloads are carried out, and nothing is held any more for instances that left with them.
    pub reloaded: watch::Receiver<u64>,
    /// Counts links of ours that had to be made again.
    pub links_made: watch::Receiver<u64>,
    /// Watches files and processes for it.
    pub trackers: Trackers,
    /// How late its timers were.
    pub lateness: Lateness,
    thread: JoinHandle<()>,
}

impl Handle {
    /// Sends a command; a thread that has ended does not hear it.
    pub fn send(&self, command: Command) {
        self.caller.send(command);
    }

    /// Waits for the thread's end; an error if it panicked.
    ///
    /// # Errors
    /// The panic's payload.
    pub fn join(self) -> std::thread::Result<()> {
        self.thread.join()
    }
}

/// Starts the thread.
///
/// # Errors
/// When the kernel gives no thread, no timer or no eventfd.
pub fn start(
    engine: Failover,
    resources: Resources,
    notices: Notices,
    events: Events,
) -> io::Result<Handle> {
    let (caller, inbox) = Caller::new()?;
    let waker = caller.waker.clone();
    let (roles_out, roles) = watch::channel(Roles::default());
    let (session_facts_out, session_facts) = watch::channel(SessionFacts::new());
    let (released_out, released) = watch::channel(false);
    let (links_made_out, links_made) = watch::channel(0);
    let (reloaded_out, reloaded) = watch::channel(0);
    let script_defaults = engine.script_defaults();
    let facts = Facts::default();
    let trackers = Trackers::new(facts.clone(), waker.clone(), resources.start);
    let lateness = Lateness::default();
    let state = Thread {
        lateness: lateness.clone(),
        engine,
        changes: Changes::default(),
        route: resources.route,
        monitor: resources.monitor,
        announcements: resources.announcements,
        watch: resources.watch,
        watching: false,
        channels: Channels::new(resources.sockets),
        sessions: Sessions::default(),
        spawner: resources.spawner,
        spawner_gone: false,
        masters: resources.masters,
        notices,
        events,
        inbox,
        waker,
        roles: roles_out,
        session_facts: session_facts_out,
        released: released_out,
        links_made: links_made_out,
        reloads: 0,
        reloaded: reloaded_out,
        facts,
        ended: false,
        runs: BTreeMap::new(),
        next_run: 0,
        script_defaults,
        poller: Poller::exact()?,
        packet: vec![0; BUFFER_LEN].into(),
    };
    let thread = std::thread::Builder::new()
        .name("failover".into())
        .spawn(move || state.run())?;
    Ok(Handle {
        caller,
        roles,
        sessions: session_facts,
        released,
        reloaded,
        links_made,
        trackers,
        lateness,
        thread,
    })
}

struct Thread {
    engine: Failover,
    changes: Changes,
    lateness: Lateness,
    route: Route,
    monitor: Monitor,
    announcements: AnnouncementSocket,
    watch: AnnouncementWatch,
    /// The engine wants to know what others announce.
    watching: bool,
    channels: Channels,
    sessions: Sessions,
    spawner: Spawner,
    spawner_gone: bool,
    masters: Masters,
    notices: Notices,
    events: Events,
    inbox: Receiver<Command>,
    waker: Waker,
    roles: watch::Sender<Roles>,
    session_facts: watch::Sender<SessionFacts>,
    released: watch::Sender<bool>,
    links_made: watch::Sender<u64>,
    /// Reloads that came.
    reloads: u64,
    reloaded: watch::Sender<u64>,
    /// What was found of files and processes.
    facts: Facts,
    /// The thread is to end: it has let go, or the process has to start again.
    ended: bool,
    /// Scripts that run, by the number of the run.
    runs: BTreeMap<u64, String>,
    next_run: u64,
    script_defaults: ScriptDefaults,
    poller: Poller,
    packet: Box<[u8]>,
}

impl Thread {
    fn run(mut self) {
        let actions = self.engine.start(clock::now());
        self.carry_out(actions);
        self.listen_to_routes();
        while !self.ended {
            if let Err(error) = self.wait() {
                error!("failover thread cannot wait for its sockets: {error}");
                break;
            }
            self.waker.drain();
            // Everything that came in before any timer: a late advert must not lose to its own timeout.
            self.take_facts();
            self.take_kernel_events();
            self.take_packets();
            self.take_session_packets();
            if self.watching {
                self.take_announcements();
            }
            self.take_script_ends();
            // Last: they may make a master, and somebody else may just have said that he is.
            self.take_commands();
            let now = clock::now();
            if let Some((at, _)) = self.engine.next_deadline()
                && at <= now
            {
                self.lateness.note(now.since(at));
                self.feed(Input::Timer, now);
            }
            self.tell_reloaded();
        }
        let _ = self.released.send(true);
    }

    fn wait(&mut self) -> io::Result<()> {
        self.poller.clear();
        self.poller.watch(self.waker.as_fd(), Interest::Read);
        self.poller.watch(self.monitor.as_fd(), Interest::Read);
        if !self.spawner_gone {
            self.poller.watch(self.spawner.as_fd(), Interest::Read);
        }
        if self.watching {
            for socket in self.watch.descriptors() {
                self.poller.watch(socket, Interest::Read);
            }
        }
        for socket in self.channels.descriptors() {
            self.poller.watch(socket, Interest::Read);
        }
        for socket in self.sessions.descriptors() {
            self.poller.watch(socket, Interest::Read);
        }
        self.poller
            .wait(self.engine.next_deadline().map(|(at, _)| at))
    }

    fn tell_reloaded(&self) {
        if *self.reloaded.borrow() != self.reloads && !self.engine.holds_for_departed() {
            let _ = self.reloaded.send(self.reloads);
        }
    }

    fn feed(&mut self, input: Input<'_>, now: Time) {
        let actions = self.engine.handle(input, now);
        self.carry_out(actions);
    }

    fn take_commands(&mut self) {
        while let Ok(command) = self.inbox.try_recv() {
            let now = clock::now();
            match command {
                Command::IpvsReady => self.feed(Input::IpvsReady, now),
                Command::Reload { config, sockets } => {
                    // Links that were made for it must be known before it is in force.
                    self.take_kernel_events();
                    self.reloads += 1;
                    self.channels.prepare(sockets);
                    self.script_defaults = config.globals.script_defaults();
                    self.feed(Input::Reload(config), now);
                    self.listen_to_routes();
                    self.channels.drop_prepared();
                }
                Command::Standby(on) => self.feed(Input::Standby(on), now),
                // Whoever asked may have gone; nobody waits for that.
                Command::View(reply) => {
                    let changes = self.changes;
                    let view = self.engine.view(now);
                    drop(reply.send(View { changes, ..view }));
                }
                Command::Answer(reply) => drop(reply.send(())),
                Command::Copy(reply) => drop(reply.send(Box::new(self.engine.clone()))),
                Command::ClearCounters => self.engine.clear_counters(),
                Command::Pack => self.engine.pack(),
                Command::HandOver(instance) => self.feed(Input::HandOver { instance }, now),
                Command::Announce(instance) => self.feed(Input::Announce { instance }, now),
                Command::Stop(kind) => self.feed(Input::Stop(kind), now),
            }
        }
    }

    /// Actions in their order; what an action brings back is handled after the ones before it. The log and
    /// the other threads hear of it last: one that is woken may take the processor from this one, while
    /// neighbours wait for an address to be announced.
    fn carry_out(&mut self, actions: Vec<Action>) {
        let mut queue = VecDeque::from(actions);
        let mut told = Vec::new();
        while let Some(action) = queue.pop_front() {
            match action {
                Action::Send { beat, .. } => {
                    if self.channels.send(&action) {
                        self.note(&beat);
                    }
                }
                Action::Announce {
                    interface,
                    mac,
                    address,
                } => {
                    self.announce(interface, mac, address);
                    if enabled!(Level::DEBUG) {
                        told.push(action);
                    }
                }
                Action::Probe {
                    interface,
                    mac,
                    address,
                } => {
                    if let Err(error) = self.announcements.probe(interface, mac, address) {
                        debug!("ask who has {address} on interface {interface}: {error}");
                    }
                }
                Action::MakeLink(_) | Action::RemoveLink(_) => {
                    let (input, made) = own_links::carry_out(&mut self.route, action);
                    if let Some(input) = input {
                        queue.extend(self.engine.handle(input, clock::now()));
                    }
                    self.links_made
                        .send_modify(|count| *count += u64::from(made));
                }
                Action::Net(commands) => self.apply(&commands, &mut queue),
                Action::OpenSocket {
                    channel,
                    name,
                    needs,
                } => {
                    let input = match self.channels.open(channel, name.as_ref(), needs) {
                        Ok(()) => Input::SocketOpened(channel),
                        Err(error) => Input::SocketFailed { channel, error },
                    };
                    queue.extend(self.engine.handle(input, clock::now()));
                }
                Action::CloseSocket(channel) => self.channels.close(channel),
                Action::LookAgain => self.look_again(),
                Action::RunScript {
                    name,
                    argv,
                    user,
                    timeout,
                } => {
                    self.run_script(name, argv, user, timeout);
                }
                Action::OpenSession { session, path } => {
                    if let Err(error) = self.sessions.open(session, path) {
                        let input = Input::SessionFailed { session, error };
                        queue.extend(self.engine.handle(input, clock::now()));
                    }
                }
                Action::CloseSession(session) => self.sessions.close(session),
                Action::SendSession { session, packet } => self.sessions.send(session, &packet),
                Action::Ended(beat) => self.note(&beat.ended()),
                Action::WatchAnnouncements(on) => self.watch_announcements(on),
                Action::Released => self.ended = true,
                Action::Sessions(_) | Action::Roles(_) | Action::Notice(_) | Action::Event(_) => {
                    told.push(action);
                }
            }
        }
        self.channels.drop_closed();
        for action in told {
            self.tell(action);
        }
    }

    fn tell(&mut self, action: Action) {
        match action {
            Action::Sessions(facts) => drop(self.session_facts.send(facts)),
            Action::Roles(roles) => drop(self.roles.send(roles)),
            Action::Notice(notice) => self.notices.send(notice),
            Action::Event(event) => {
                self.events.failover(&event);
                logging::failover(&event);
            }
            Action::Announce { mac, address, .. } => debug!("announcing {address} at {mac}"),
            _ => {}
        }
    }

    fn note(&mut self, beat: &Beat) {
        if let Err(error) = self.masters.note(beat, clock::now()) {
            debug!("write record of masters: {error}");
        }
    }

    fn announce(&mut self, interface: InterfaceIndex, mac: MacAddr, address: IpAddr) {
        if let Err(error) = self.announcements.announce(interface, mac, address) {
            warn!("announce {address} on interface {interface}: {error}");
        }
    }

    fn apply(&mut self, commands: &[NetCommand], queue: &mut VecDeque<Action>) {
        let failures: Vec<NetFailure> = self
            .route
            .apply(commands)
            .into_iter()
            .filter_map(|failure| {
                Some(NetFailure {
                    command: commands.get(failure.index)?.clone(),
                    disagreement: failure.error.is_disagreement(),
                    error: failure.error.to_string(),
                })
            })
            .collect();
        let stale = failures.iter().filter(|failure| failure.disagreement);
        let stale = stale.count();
        self.changes
            .add(commands.len(), failures.len() - stale, stale);
        if !failures.is_empty() {
            let actions = self.engine.handle(Input::NetFailed(failures), clock::now());
            queue.extend(actions);
        }
    }

    fn look_again(&mut self) {
        match self.route.picture(&self.engine.interest()) {
            Ok(picture) => self.feed(Input::Kernel(picture), clock::now()),
            Err(error) => {
                warn!("read links and addresses: {error}");
                self.feed(Input::KernelUnread, clock::now());
            }
        }
    }
}
