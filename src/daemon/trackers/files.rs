//! The thread that watches files.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::{debug, warn};

use crate::config::model::{InitFile, TrackFile};
use crate::errno::Words;
use crate::fact::{FactKind, FactValue};
use crate::kernel::clock;
use crate::kernel::inotify::{Event, Inotify, Watch};
use crate::kernel::poll::{Interest, Poller};
use crate::time::Time;
use crate::track::{FILE_BYTES_MAX, number_in};

use super::{Cell, Inbox, News};

/// How often files are read whatever was heard of them: file systems without events, links that lead
/// elsewhere, directories that are made.
const LOOK: Duration = Duration::from_secs(1);
/// A number that was found without an event counts when it is still there after this time: a file that is
/// being written is empty for a moment.
const CONFIRM: Duration = Duration::from_millis(50);
/// A file that is written again and again is read this often.
pub(super) const PAUSE: Duration = Duration::from_millis(10);
/// Links from file to file that are followed.
const LINKS_MAX: usize = 8;

/// O_NOFOLLOW and O_NONBLOCK, of which std has no name.
const WRITE_FLAGS: i32 = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;

pub(super) fn run(inbox: &Inbox<TrackFile>, cell: &Cell) {
    let inotify = Inotify::open();
    if let Err(error) = &inotify {
        warn!(
            "watch files: {}; tracked files are read every {} s only",
            Words(error),
            LOOK.as_secs()
        );
    }
    let mut files = Files {
        inotify: inotify.ok(),
        files: Vec::new(),
        watched: BTreeMap::new(),
        cell: cell.clone(),
    };
    let mut poller = Poller::new();
    let mut look_at = clock::now();
    let mut quiet_until = clock::now();
    loop {
        poller.clear();
        poller.watch(inbox.waker.as_fd(), Interest::Read);
        let quiet = clock::now() < quiet_until;
        if let Some(inotify) = files.inotify.as_ref().filter(|_| !quiet) {
            poller.watch(inotify.as_fd(), Interest::Read);
        }
        let confirm = files.files.iter().filter_map(|file| file.confirm_at).min();
        let deadlines = [
            (!files.files.is_empty()).then_some(look_at),
            quiet.then_some(quiet_until),
            confirm,
        ];
        if let Err(error) = poller.wait(deadlines.into_iter().flatten().min()) {
            warn!("tracked files are not watched any more: {error}");
            return;
        }
        match inbox.take() {
            News::None => {}
            News::Order(order) => {
                files.order(order.trackers, order.fresh);
                look_at = clock::now() + LOOK;
            }
            News::End => return,
        }
        let now = clock::now();
        if now >= quiet_until && files.take_events() {
            quiet_until = now + PAUSE;
        }
        if now >= look_at {
            look_at = now + LOOK;
            files.look(|_| true, now);
        } else {
            files.look(|file| file.confirm_at.is_some_and(|at| at <= now), now);
        }
    }
}

struct Files {
    inotify: Option<Inotify>,
    files: Vec<Watched>,
    /// Which names in which directories matter, and to which files.
    watched: BTreeMap<Watch, BTreeMap<OsString, BTreeSet<usize>>>,
    cell: Cell,
}

struct Watched {
    config: TrackFile,
    said: Option<i32>,
    /// Found without an event, and not yet believed.
    doubtful: Option<i32>,
    confirm_at: Option<Time>,
    /// It was said that it cannot be read, or is out of range.
    complained: bool,
}

impl Files {
    fn order(&mut self, trackers: Vec<TrackFile>, fresh: bool) {
        let mut old: BTreeMap<(String, String), Watched> = std::mem::take(&mut self.files)
            .into_iter()
            .map(|file| ((file.config.name.clone(), file.config.path.clone()), file))
            .collect();
        for config in trackers {
            if let Some(init) = config.init.filter(|_| fresh) {
                match initialise(Path::new(&config.path), init) {
                    Ok(()) => {}
                    Err(error) => warn!(
                        "track_file {}: write {}: {}",
                        config.name,
                        config.path,
                        Words(&error)
                    ),
                }
            }
            let old = old.remove(&(config.name.clone(), config.path.clone()));
            self.files.push(Watched {
                said: old.and_then(|old| old.said),
                doubtful: None,
                confirm_at: None,
                complained: false,
                config,
            });
        }
        self.watch_all();
        for index in 0..self.files.len() {
            self.read(index, true, clock::now());
        }
    }

    /// Watches the directory of every file, and of what it links to.
    fn watch_all(&mut self) {
        let Some(inotify) = &self.inotify else { return };
        let mut wanted: BTreeMap<Watch, BTreeMap<OsString, BTreeSet<usize>>> = BTreeMap::new();
        for (index, file) in self.files.iter().enumerate() {
            for (directory, name) in places(Path::new(&file.config.path)) {
                match inotify.watch(&directory) {
                    Ok(watch) => {
                        let names = wanted.entry(watch).or_default();
                        names.entry(name).or_default().insert(index);
                    }
                    Err(error) => debug!("watch {}: {error}", directory.display()),
                }
            }
        }
        for watch in self.watched.keys().filter(|w| !wanted.contains_key(w)) {
            inotify.forget(*watch);
        }
        self.watched = wanted;
    }

    /// True when there were some.
    fn take_events(&mut self) -> bool {
        let Some(inotify) = &mut self.inotify else {
            return false;
        };
        let events = match inotify.read() {
            Ok(events) => events,
            Err(error) => {
                warn!("read events of tracked files: {error}");
                Vec::new()
            }
        };
        let mut touched = BTreeSet::new();
        for event in &events {
            match event {
                Event::Name(watch, name) => {
                    let names = self.watched.get(watch);
                    touched.extend(
                        names
                            .and_then(|names| names.get(name))
                            .into_iter()
                            .flatten(),
                    );
                }
                Event::Gone(_) | Event::Overrun => touched.extend(0..self.files.len()),
            }
        }
        if touched.is_empty() {
            return !events.is_empty();
        }
        // A file that was a link may be one to elsewhere now.
        self.watch_all();
        let now = clock::now();
        for index in touched {
            self.read(index, true, now);
        }
        true
    }

    /// Reads files though nothing was heard of them.
    fn look(&mut self, which: impl Fn(&Watched) -> bool, now: Time) {
        let chosen: Vec<usize> = (0..self.files.len())
            .filter(|index| self.files.get(*index).is_some_and(&which))
            .collect();
        if chosen.is_empty() {
            return;
        }
        self.watch_all();
        for index in chosen {
            self.read(index, false, now);
        }
    }

    /// `sure`: an event says that it was just closed, or is not there any more.
    fn read(&mut self, index: usize, sure: bool, now: Time) {
        let Some(file) = self.files.get_mut(index) else {
            return;
        };
        let name = &file.config.name;
        let number = match number_of(Path::new(&file.config.path)) {
            Ok(Some(number)) => number,
            Ok(None) => {
                if !std::mem::replace(&mut file.complained, true) {
                    let path = &file.config.path;
                    warn!("track_file {name}: the number in {path} is too large: it is left out");
                }
                file.said.unwrap_or(0)
            }
            // What is not there says 0.
            Err(error) => {
                let absent = error.kind() == io::ErrorKind::NotFound;
                if !absent && !std::mem::replace(&mut file.complained, true) {
                    let path = &file.config.path;
                    warn!(
                        "track_file {name}: read {path}: {}; it counts as 0",
                        Words(&error)
                    );
                }
                0
            }
        };
        if file.said == Some(number) {
            (file.doubtful, file.confirm_at) = (None, None);
            return;
        }
        if !sure && file.said.is_some() && file.doubtful != Some(number) {
            (file.doubtful, file.confirm_at) = (Some(number), Some(now + CONFIRM));
            return;
        }
        (file.doubtful, file.confirm_at) = (None, None);
        file.said = Some(number);
        let value = FactValue::Number(number);
        self.cell.tell(FactKind::File, name, value);
    }
}

/// The directory and name of a file, of what it links to, and so on.
fn places(path: &Path) -> Vec<(PathBuf, OsString)> {
    let mut places = Vec::new();
    let mut path = path.to_owned();
    for _ in 0..=LINKS_MAX {
        let directory = match path.parent() {
            Some(directory) if directory != OsStr::new("") => directory.to_owned(),
            _ => PathBuf::from("."),
        };
        let Some(name) = path.file_name() else { break };
        places.push((directory.clone(), name.to_owned()));
        let Ok(target) = fs::read_link(&path) else {
            break;
        };
        path = directory.join(target);
    }
    places
}

/// The number in a file; `None` when it is out of range. Nothing but a regular file is opened, no more
/// than a few bytes are read, and no open waits.
fn number_of(path: &Path) -> io::Result<Option<i32>> {
    let regular = |metadata: &fs::Metadata| match metadata.is_file() {
        true => Ok(()),
        false => Err(io::Error::other("it is not a regular file")),
    };
    regular(&fs::metadata(path)?)?;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NONBLOCK);
    let file: File = options.open(path)?;
    regular(&file.metadata()?)?;
    let mut content = Vec::with_capacity(FILE_BYTES_MAX);
    let most = u64::try_from(FILE_BYTES_MAX).unwrap_or(0);
    file.take(most).read_to_end(&mut content)?;
    Ok(number_in(&content))
}

/// `init_file`: the file is made, or written over where that was asked for. A link is not followed, and
/// what is no regular file is left alone.
fn initialise(path: &Path, init: InitFile) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o644).custom_flags(WRITE_FLAGS);
    let mut file = match options.create_new(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if !init.overwrite {
                return Ok(());
            }
            let mut options = OpenOptions::new();
            options.write(true).custom_flags(WRITE_FLAGS);
            let file = options.open(path)?;
            if !file.metadata()?.is_file() {
                return Err(io::Error::other("it is not a regular file"));
            }
            file.set_len(0)?;
            file
        }
        made => made?,
    };
    file.write_all(format!("{}\n", init.value).as_bytes())
}
