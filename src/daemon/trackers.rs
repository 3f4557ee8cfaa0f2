//! Watching files, processes and links, each on a thread of its own: a file system that hangs, a machine
//! that starts thousands of processes or a slow driver must not hold the failover thread up. What they find waits in one cell,
//! the latest value of each fact.

mod files;
mod links;
mod processes;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::config::Config;
use crate::config::model::{TrackFile, TrackProcess};
use crate::engine::shared::FileFacts;
use crate::fact::{FactKind, FactName, FactValue};
use crate::kernel::namespace::Namespace;
use crate::kernel::poll::Waker;

/// Facts that wait for their reader, newest values. There are never more than there are trackers.
#[derive(Clone, Debug, Default)]
pub struct Facts(Arc<Mutex<BTreeMap<FactName, FactValue>>>);

impl Facts {
    /// What was found since. Held by others for no longer than an entry takes.
    pub fn take(&self) -> BTreeMap<FactName, FactValue> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The writers' end.
#[derive(Clone, Debug)]
struct Cell {
    facts: Facts,
    reader: Waker,
    /// What checks may know of files, newest values.
    files: watch::Sender<FileFacts>,
}

impl Cell {
    fn tell(&self, kind: FactKind, name: &str, value: FactValue) {
        let mut facts = self.facts.0.lock().unwrap_or_else(PoisonError::into_inner);
        facts.insert(FactName::new(kind, name), value);
        drop(facts);
        if kind == FactKind::File {
            self.files.send_modify(|files| {
                files.insert(name.to_owned(), value);
            });
        }
        self.reader.wake();
    }
}

/// What a thread is to watch from now on.
#[derive(Debug)]
struct Order<T> {
    trackers: Vec<T>,
    /// The daemon has just been started: files are made that are to be there.
    fresh: bool,
}

/// One thread as the others see it.
#[derive(Debug)]
struct Thread<T> {
    orders: Sender<Order<T>>,
    waker: Waker,
}

impl<T: Send + 'static> Thread<T> {
    fn start(name: &str, run: impl FnOnce(Inbox<T>) + Send + 'static) -> io::Result<Thread<T>> {
        let (orders, inbox) = channel();
        let waker = Waker::new()?;
        let inbox = Inbox {
            orders: inbox,
            waker: waker.clone(),
        };
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || run(inbox))?;
        Ok(Thread { orders, waker })
    }

    fn send(&self, order: Order<T>) {
        let _ = self.orders.send(order);
        self.waker.wake();
    }
}

impl<T> Drop for Thread<T> {
    fn drop(&mut self) {
        // It ends when nobody can send it orders any more.
        self.orders = channel().0;
        self.waker.wake();
    }
}

/// Where a thread finds its orders.
struct Inbox<T> {
    orders: Receiver<Order<T>>,
    waker: Waker,
}

/// What a look into the inbox found.
enum News<T> {
    None,
    Order(Order<T>),
    /// Nobody is there any more.
    End,
}

impl<T> Inbox<T> {
    /// The newest order; `fresh` is kept from the ones before.
    fn take(&self) -> News<T> {
        self.waker.drain();
        let mut news = News::None;
        loop {
            match self.orders.try_recv() {
                Ok(mut order) => {
                    if let News::Order(before) = &news {
                        order.fresh |= before.fresh;
                    }
                    news = News::Order(order);
                }
                Err(std::sync::mpsc::TryRecvError::Empty) => return news,
                Err(std::sync::mpsc::TryRecvError::Disconnected) => return News::End,
            }
        }
    }
}

/// The threads, which are started when there is something for them to watch.
#[derive(Debug)]
pub struct Trackers {
    cell: Cell,
    files: Option<Thread<TrackFile>>,
    processes: Option<Thread<TrackProcess>>,
    links: Option<Thread<links::Asked>>,
    /// Where the kernel may tell of processes, if not here.
    start: Option<Arc<Namespace>>,
}

impl Trackers {
    /// None yet. `reader` is woken when there are `facts` to take. `start`: the network namespace that the
    /// process was started in, if it is in another one by now.
    pub fn new(facts: Facts, reader: Waker, start: Option<Arc<Namespace>>) -> Trackers {
        Trackers {
            cell: Cell {
                facts,
                reader,
                files: watch::Sender::default(),
            },
            files: None,
            processes: None,
            links: None,
            start,
        }
    }

    /// What checks may know of files, newest values.
    pub fn files(&self) -> watch::Receiver<FileFacts> {
        self.cell.files.subscribe()
    }

    /// Watches what a configuration tracks, and nothing else. `fresh`: the daemon has just been started
    /// and takes nothing over. Never waits.
    ///
    /// # Errors
    /// When the kernel gives no thread.
    pub fn watch(&mut self, config: &Config, fresh: bool) -> io::Result<()> {
        let (files, processes) = used(config);
        // A file that nobody watched in between is not known.
        self.cell.files.send_if_modified(|known| {
            known.retain(|name, _| files.iter().any(|file| file.name == *name));
            false
        });
        let trackers: Vec<_> = files.into_iter().cloned().collect();
        if self.files.is_none() && !trackers.is_empty() {
            let cell = self.cell.clone();
            let run = move |inbox| files::run(&inbox, &cell);
            self.files = Some(Thread::start("track-files", run)?);
        }
        if let Some(thread) = &self.files {
            thread.send(Order { trackers, fresh });
        }
        let trackers: Vec<_> = processes.into_iter().cloned().collect();
        if self.processes.is_none() && !trackers.is_empty() {
            let cell = self.cell.clone();
            let start = self.start.clone();
            let run = move |inbox| processes::run(&inbox, &cell, start.as_deref());
            self.processes = Some(Thread::start("track-processes", run)?);
        }
        if let Some(thread) = &self.processes {
            thread.send(Order { trackers, fresh });
        }
        let asked = &config.links.linkbeat;
        let trackers: Vec<_> = asked
            .iter()
            .map(|(name, how)| (name.clone(), *how))
            .collect();
        if self.links.is_none() && !trackers.is_empty() {
            let cell = self.cell.clone();
            let run = move |inbox| links::run(&inbox, &cell);
            self.links = Some(Thread::start("linkbeat", run)?);
        }
        if let Some(thread) = &self.links {
            thread.send(Order { trackers, fresh });
        }
        Ok(())
    }
}

/// What somebody reads, of what is defined.
fn used(config: &Config) -> (Vec<&TrackFile>, Vec<&TrackProcess>) {
    let instances = config.instances.iter().map(|instance| &instance.more);
    let groups = &config.sync_groups;
    let files: BTreeSet<&str> = instances
        .clone()
        .flat_map(|more| &more.track_files)
        .chain(groups.iter().flat_map(|group| &group.track_files))
        .map(|tracked| tracked.file.as_str())
        .chain(config.files_of_checks())
        .collect();
    let processes: BTreeSet<&str> = instances
        .flat_map(|more| &more.track_processes)
        .chain(groups.iter().flat_map(|group| &group.track_processes))
        .map(|tracked| tracked.process.as_str())
        .collect();
    let file = |file: &&TrackFile| files.contains(file.name.as_str());
    let process = |process: &&TrackProcess| processes.contains(process.name.as_str());
    (
        config.track_files.values().filter(file).collect(),
        config.track_processes.values().filter(process).collect(),
    )
}

#[cfg(test)]
mod tests;
