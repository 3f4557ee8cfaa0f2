//! The thread that watches processes.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::time::Duration;

use tracing::{info, warn};

use crate::config::model::TrackProcess;
use crate::errno::Words;
use crate::fact::{FactKind, FactValue};
use crate::kernel::clock;
use crate::kernel::namespace::Namespace;
use crate::kernel::poll::{Interest, Poller};
use crate::kernel::processes::{Connector, Ends, Told, command, running};
use crate::time::Time;
use crate::track::{ProcessEvent, Processes};

use super::{Cell, Inbox, News};

/// How often everything that runs is looked at where the kernel tells of it: for what may have been
/// missed.
const LOOK: Duration = Duration::from_secs(30);
/// The same where it does not. Ends are heard of at once even there.
const LOOK_UNTOLD: Duration = Duration::from_secs(1);
/// How soon after events were lost.
const LOOK_LOST: Duration = Duration::from_millis(200);
/// Events that are taken before facts are told.
const BUDGET: usize = 4096;
/// When facts changed, those that change again within this time are told together.
pub(super) const PAUSE: Duration = Duration::from_millis(5);

/// `start`: another network namespace in which the kernel may tell of processes.
pub(super) fn run(inbox: &Inbox<TrackProcess>, cell: &Cell, start: Option<&Namespace>) {
    let connector = match Connector::open(start) {
        Ok(connector) => Some(connector),
        Err(error) => {
            info!(
                "the kernel does not tell of processes ({}): tracked processes are looked for every {} s",
                Words(&error),
                LOOK_UNTOLD.as_secs()
            );
            None
        }
    };
    let now = clock::now();
    let mut watch = Watch {
        connector,
        ends: Ends::default(),
        processes: Processes::default(),
        cell: cell.clone(),
        look_at: None,
        quiet_until: now,
        ended: Vec::new(),
    };
    let mut poller = Poller::new();
    loop {
        if let Err(error) = watch.wait(inbox, &mut poller) {
            warn!("tracked processes are not watched any more: {error}");
            return;
        }
        match inbox.take() {
            News::None => {}
            News::Order(order) => {
                let processes = std::mem::take(&mut watch.processes);
                let tracks = !order.trackers.is_empty();
                watch.processes = processes.reconfigured(order.trackers.into_iter());
                watch.look_at = tracks.then(clock::now);
            }
            News::End => return,
        }
        watch.turn();
    }
}

struct Watch {
    connector: Option<Connector>,
    ends: Ends,
    processes: Processes,
    cell: Cell,
    /// `None`: nothing is tracked.
    look_at: Option<Time>,
    quiet_until: Time,
    /// Followed processes of which the last wait found that they ended.
    ended: Vec<u32>,
}

impl Watch {
    fn wait(&mut self, inbox: &Inbox<TrackProcess>, poller: &mut Poller) -> std::io::Result<()> {
        poller.clear();
        poller.watch(inbox.waker.as_fd(), Interest::Read);
        let quiet = clock::now() < self.quiet_until;
        let connector = self.connector.as_ref().filter(|_| !quiet);
        if let Some(connector) = connector {
            poller.watch(connector.as_fd(), Interest::Read);
        }
        let ends = self.ends.fds().filter(|_| !quiet);
        let slots: Vec<_> = ends
            .map(|(pid, fd)| (pid, poller.watch(fd, Interest::Read)))
            .collect();
        let deadlines = [
            self.look_at,
            quiet.then_some(self.quiet_until),
            self.processes.next_deadline(),
        ];
        poller.wait(deadlines.into_iter().flatten().min())?;
        let ended = slots.iter().filter(|(_, slot)| poller.is_readable(*slot));
        self.ended = ended.map(|(pid, _)| *pid).collect();
        Ok(())
    }

    fn turn(&mut self) {
        let now = clock::now();
        let mut changed = Vec::new();
        if now >= self.quiet_until {
            self.take_events(now, &mut changed);
        }
        for pid in std::mem::take(&mut self.ended) {
            changed.extend(self.processes.handle(&ProcessEvent::Exited { pid }, now));
        }
        if self.look_at.is_some_and(|at| at <= now) {
            self.look(now, &mut changed);
        }
        changed.extend(self.processes.on_timer(now));
        if self.connector.is_none() {
            self.ends.follow(&self.processes.pids());
        }
        if !changed.is_empty() {
            self.quiet_until = now + PAUSE;
        }
        // Only what holds now: the reader may be faster than this loop.
        for (name, value) in BTreeMap::from_iter(changed) {
            self.cell.tell(FactKind::Process, &name, value);
        }
    }

    fn look(&mut self, now: Time, changed: &mut Vec<(String, FactValue)>) {
        let pause = if self.connector.is_some() {
            LOOK
        } else {
            LOOK_UNTOLD
        };
        self.look_at = Some(now + pause);
        match running(self.processes.cmdline_bytes()) {
            Ok(running) => changed.extend(self.processes.look(&running, now)),
            Err(error) => warn!("read /proc: {}; mount it", Words(&error)),
        }
    }

    fn take_events(&mut self, now: Time, changed: &mut Vec<(String, FactValue)>) {
        for _ in 0..BUDGET {
            let Some(connector) = &mut self.connector else {
                return;
            };
            let told = match connector.next() {
                Ok(Some(told)) => told,
                Ok(None) => return,
                Err(error) => {
                    warn!("hear of processes: {}", Words(&error));
                    self.connector = None;
                    Told::Lost
                }
            };
            // Nothing is tracked: it is only taken off the queue.
            let Some(look_at) = self.look_at else {
                continue;
            };
            let event = match told {
                Told::Listening => continue,
                Told::Lost => {
                    self.look_at = Some(look_at.min(now + LOOK_LOST));
                    continue;
                }
                Told::Event(ProcessEvent::Executed { pid, .. }) => ProcessEvent::Executed {
                    pid,
                    command: command(pid, self.processes.cmdline_bytes()),
                },
                Told::Event(event) => event,
            };
            changed.extend(self.processes.handle(&event, now));
        }
    }
}
