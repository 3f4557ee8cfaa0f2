//! When the configuration is read again without being asked: `@vipd watch_config`, when one of its files has
//! changed, and `reload_time_file`, at a time.
//!
//! What is watched are the directories, not the files: editors, configuration managers and Kubernetes (whose
//! ConfigMaps are links through `..data`, which is renamed) put another file in the place of the old one.
//! What an event means is found out by looking; the same is done without one now and then, for file systems
//! that have none.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::config::glob::has_wildcard;
use crate::config::model::{Globals, ScriptUser};
use crate::config::{self, Audit, Files, ScriptFile, load};
use crate::errno::Words;
use crate::kernel::inotify::Inotify;

use super::files::Disk;
use super::reload_time::ReloadTime;

/// How long nothing more may happen before a change counts: several files are written one after the other.
const QUIET: Duration = Duration::from_millis(300);
/// How long it may go on happening.
const RESTLESS_MAX: Duration = Duration::from_secs(3);
/// How often it is looked without an event.
const LOOK: Duration = Duration::from_secs(10);
/// Links on the way to a file that are followed.
const LINKS_MAX: usize = 32;

/// Says when the files of the configuration have changed.
pub(super) struct ConfigWatch {
    file: PathBuf,
    reading: config::Options,
    /// When it was begun to be read, at the start.
    since: Option<Duration>,
    task: Option<JoinHandle<()>>,
    /// What waits for a time.
    timed: Option<(ReloadTime, JoinHandle<()>)>,
    say: mpsc::Sender<()>,
    changed: mpsc::Receiver<()>,
}

impl Drop for ConfigWatch {
    fn drop(&mut self) {
        self.watch_files(false);
        self.wait_for(None);
    }
}

impl ConfigWatch {
    /// Nothing is watched yet, and the file is about to be read.
    pub(super) fn new(file: &Path, reading: &config::Options) -> ConfigWatch {
        let (say, changed) = mpsc::channel(1);
        ConfigWatch {
            file: file.to_owned(),
            reading: reading.clone(),
            since: Some(wall()),
            task: None,
            timed: None,
            say,
            changed,
        }
    }

    /// Does what a configuration asks for, from now on. In a tokio runtime.
    pub(super) fn watch(&mut self, globals: &Globals) {
        self.watch_files(globals.control.watch_config);
        self.wait_for(ReloadTime::of(&globals.outputs));
    }

    fn wait_for(&mut self, wanted: Option<ReloadTime>) {
        if self.timed.as_ref().map(|(time, _)| time) == wanted.as_ref() {
            return;
        }
        if let Some((_, task)) = self.timed.take() {
            task.abort();
        }
        self.timed = wanted.map(|time| {
            let task = tokio::spawn(time.clone().wait(self.say.clone()));
            (time, task)
        });
    }

    fn watch_files(&mut self, wanted: bool) {
        let since = self.since.take();
        if !wanted {
            if let Some(task) = self.task.take() {
                task.abort();
            }
            return;
        }
        if self.task.is_none() {
            let (file, reading, say) = (self.file.clone(), self.reading.clone(), self.say.clone());
            self.task = Some(tokio::spawn(watch(file, reading, since, say)));
        }
    }

    /// Waits until the files have changed, or it is time. May be given up at any time.
    pub(super) async fn changed(&mut self) {
        // It holds an end itself, so that there is always somebody to wait for.
        if self.changed.recv().await.is_none() {
            std::future::pending().await
        }
    }
}

/// Watches for as long as somebody listens.
async fn watch(
    file: PathBuf,
    reading: config::Options,
    since: Option<Duration>,
    say: mpsc::Sender<()>,
) {
    let mut seen: Option<Seen> = None;
    let mut gone = false;
    loop {
        let (path, options) = (file.clone(), reading.clone());
        let Ok(fresh) = spawn_blocking(move || Seen::now(&path, &options)).await else {
            return;
        };
        // What changed while it was looked which files there are.
        let missed = match &seen {
            Some(before) => before.trail.clone().print().await != Some(before.print.clone()),
            // What changed while the daemon read it.
            None => since.is_some_and(|since| fresh.print.is_younger(since)),
        };
        if missed && say.send(()).await.is_err() {
            return;
        }
        let mut ears = Ears::open("watch_config", &fresh.directories);
        seen = loop {
            ears.wait().await;
            let Some(print) = fresh.trail.clone().print().await else {
                return;
            };
            if print == fresh.print {
                continue;
            }
            if print.files.first().is_none_or(Option::is_none) {
                if !std::mem::replace(&mut gone, true) {
                    let file = file.display();
                    warn!("{file} is gone: what runs goes on, and it is waited for");
                }
                continue;
            }
            gone = false;
            break Some(Seen { print, ..fresh });
        };
        info!("{} has changed", file.display());
        if say.send(()).await.is_err() {
            return;
        }
    }
}

/// What a configuration is made of, and how that was when it was looked at.
#[derive(Debug)]
struct Seen {
    trail: Trail,
    print: Print,
    directories: BTreeSet<PathBuf>,
}

impl Seen {
    fn now(file: &Path, reading: &config::Options) -> Seen {
        let trail = Trail::of(file, reading);
        let print = trail.look();
        let mut directories = BTreeSet::new();
        for file in &trail.files {
            directories_of(file, &mut directories);
        }
        for pattern in &trail.patterns {
            let fixed = pattern.components();
            let fixed = fixed.take_while(|part| !has_wildcard(&part.as_os_str().to_string_lossy()));
            directories_of(&fixed.collect::<PathBuf>().join("*"), &mut directories);
        }
        Seen {
            trail,
            print,
            directories,
        }
    }
}

/// Which files were asked for, the configuration itself first, and which patterns.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Trail {
    files: Vec<PathBuf>,
    patterns: Vec<PathBuf>,
}

/// What the clock on the wall says, since 1970: that of the file system.
pub(super) fn wall() -> Duration {
    #[expect(
        clippy::disallowed_methods,
        reason = "it is compared with the times of files"
    )]
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap_or_default()
}

/// Device, inode, size, and the time of the last change in seconds and nanoseconds.
type Look = (u64, u64, u64, i64, i64);

/// What of them can be seen without reading them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Print {
    /// `None`: it is not there.
    files: Vec<Option<Look>>,
    matches: Vec<Vec<PathBuf>>,
}

impl Print {
    /// Whether a file was changed since then.
    fn is_younger(&self, than: Duration) -> bool {
        let times = self.files.iter().flatten();
        let mut times = times.map(|(.., seconds, nanos)| {
            let parts = (u64::try_from(*seconds), u32::try_from(*nanos));
            Duration::new(parts.0.unwrap_or(0), parts.1.unwrap_or(0))
        });
        times.any(|time| time > than)
    }
}

impl Trail {
    fn of(file: &Path, reading: &config::Options) -> Trail {
        let noting = Noting::default();
        drop(load(file, &noting, reading));
        let asked = noting.asked.into_inner().unwrap_or_default();
        let absolute = |path: &PathBuf| Disk.absolute(path);
        let first = Disk.absolute(file);
        let others = asked.0.iter().map(absolute).filter(|path| *path != first);
        let others: BTreeSet<PathBuf> = others.collect();
        Trail {
            files: std::iter::once(first.clone()).chain(others).collect(),
            patterns: asked.1.iter().map(absolute).collect(),
        }
    }

    fn look(&self) -> Print {
        let print = |path: &PathBuf| {
            let found = fs::metadata(path).ok()?;
            Some((
                found.dev(),
                found.ino(),
                found.size(),
                found.ctime(),
                found.ctime_nsec(),
            ))
        };
        let matching = |pattern: &PathBuf| Disk.glob(pattern).unwrap_or_default();
        Print {
            files: self.files.iter().map(print).collect(),
            matches: self.patterns.iter().map(matching).collect(),
        }
    }

    /// How they are now; a file system may take its time. `None`: the runtime ends.
    async fn print(self) -> Option<Print> {
        spawn_blocking(move || self.look()).await.ok()
    }
}

/// The disk, and what was asked for of it.
#[derive(Default)]
struct Noting {
    asked: Mutex<(BTreeSet<PathBuf>, BTreeSet<PathBuf>)>,
}

impl Noting {
    fn note(&self, file: Option<&Path>, pattern: Option<&Path>) {
        if let Ok(mut asked) = self.asked.lock() {
            asked.0.extend(file.map(Path::to_owned));
            asked.1.extend(pattern.map(Path::to_owned));
        }
    }
}

impl Files for Noting {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.note(Some(path), None);
        Disk.read(path)
    }

    fn exists(&self, path: &Path) -> bool {
        self.note(Some(path), None);
        Disk.exists(path)
    }

    fn glob(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        self.note(None, Some(pattern));
        Disk.glob(pattern)
    }

    fn script(&self, _: &Path) -> Option<ScriptFile> {
        None
    }

    fn audit(&self, _: &str, _: Option<&ScriptUser>) -> Audit {
        Audit::default()
    }

    fn absolute(&self, path: &Path) -> PathBuf {
        Disk.absolute(path)
    }

    fn variable(&self, name: &str) -> Option<String> {
        Disk.variable(name)
    }
}

/// Every directory in which something may change what a path leads to: where it lies, and where the links
/// lie that are on the way.
fn directories_of(path: &Path, found: &mut BTreeSet<PathBuf>) {
    let mut left: Vec<OsString> = path.components().rev().map(word).collect();
    let mut at = PathBuf::new();
    let mut links = 0;
    while let Some(part) = left.pop() {
        let next = at.join(&part);
        match fs::read_link(&next) {
            Ok(target) if links < LINKS_MAX => {
                links += 1;
                found.insert(at.clone());
                left.extend(target.components().rev().map(word));
            }
            _ => {
                if left.is_empty() {
                    found.insert(at.clone());
                }
                at = next;
            }
        }
    }
}

fn word(component: Component<'_>) -> OsString {
    component.as_os_str().to_owned()
}

/// Hears that something happened in directories.
pub(super) struct Ears(Option<(Inotify, AsyncFd<OwnedFd>)>);

impl Ears {
    /// `keyword`: for what.
    pub(super) fn open(keyword: &str, directories: &BTreeSet<PathBuf>) -> Ears {
        let open = || {
            let inotify = Inotify::open()?;
            let mut none = None;
            for directory in directories {
                if let Err(error) = inotify.watch(directory) {
                    none = Some((directory, error));
                }
            }
            if let Some((directory, error)) = none {
                let (directory, error) = (directory.display(), Words(&error));
                warn!("{keyword}: watch {directory}: {error}; it is looked at now and then");
            }
            let readiness = inotify.readiness()?;
            Ok::<_, io::Error>((inotify, readiness))
        };
        Ears(open().map_or_else(
            |error| {
                let (error, every) = (Words(&error), LOOK.as_secs());
                warn!("{keyword}: {error}; files are looked at every {every} s only");
                None
            },
            Some,
        ))
    }

    /// Until something happened and it is quiet again, or for [`LOOK`].
    pub(super) async fn wait(&mut self) {
        let look = tokio::time::sleep(LOOK);
        let Some(ears) = &mut self.0 else {
            return look.await;
        };
        tokio::select! {
            () = hear(ears) => {}
            () = look => return,
        }
        let end = Instant::now() + RESTLESS_MAX;
        while Instant::now() < end && tokio::time::timeout(QUIET, hear(ears)).await.is_ok() {}
    }
}

async fn hear((inotify, readiness): &mut (Inotify, AsyncFd<OwnedFd>)) {
    let Ok(mut ready) = readiness.readable().await else {
        return std::future::pending().await;
    };
    ready.clear_ready();
    drop(inotify.read());
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let name = format!("vipd-config-watch-{name}-{}", std::process::id());
            let dir = std::env::temp_dir().join(name);
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir_all(&dir).unwrap();
            Scratch(dir)
        }

        fn put(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// Does things one after the other; after each a change is heard of, or none is.
    fn hears(file: &Path, steps: &[(bool, &dyn Fn())]) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut watch = ConfigWatch::new(file, &config::Options::default());
            watch.watch_files(true);
            let settle = Duration::from_millis(1500);
            let begun = tokio::time::timeout(settle, watch.changed()).await;
            assert!(begun.is_err(), "nothing has changed yet");
            for (number, (hears, step)) in steps.iter().enumerate() {
                step();
                if *hears {
                    // A busy machine takes its time.
                    let heard = tokio::time::timeout(settle * 20, watch.changed()).await;
                    assert!(heard.is_ok(), "nothing was heard of step {number}");
                }
                // It looks at the files that there are now; and one change is told once.
                let again = tokio::time::timeout(settle, watch.changed()).await;
                assert!(again.is_err(), "a change was heard of after step {number}");
            }
        })
    }

    #[test]
    fn a_config_map_that_is_swapped_is_heard_of() {
        let dir = Scratch::new("map");
        let at = |name: &str| dir.0.join(name);
        dir.put("..one/vipd.conf", "! one\n");
        symlink("..one", at("..data")).unwrap();
        symlink("..data/vipd.conf", at("vipd.conf")).unwrap();
        let swap = |to: &str| {
            dir.put(&format!("{to}/vipd.conf"), &format!("! {to}\n"));
            symlink(to, at("..data_tmp")).unwrap();
            fs::rename(at("..data_tmp"), at("..data")).unwrap();
        };
        let forget = || fs::remove_dir_all(at("..one")).unwrap();
        hears(
            &at("vipd.conf"),
            &[(true, &|| swap("..two")), (false, &forget)],
        );
    }

    #[test]
    fn files_that_are_included_count_and_those_that_come() {
        let dir = Scratch::new("include");
        let file = dir.put("vipd.conf", "include conf.d/*.conf\ninclude later.conf\n");
        fs::create_dir(dir.0.join("conf.d")).unwrap();
        let put = |name: &str, text: &str| drop(dir.put(name, text));
        hears(
            &file,
            &[
                (true, &|| put("conf.d/one.conf", "! one\n")),
                (true, &|| put("conf.d/one.conf", "! two\n")),
                (false, &|| put("conf.d/one.txt", "! three\n")),
                (true, &|| put("later.conf", "! four\n")),
                (false, &|| fs::remove_file(&file).unwrap()),
                (true, &|| put("vipd.conf", "! five\n")),
            ],
        );
    }

    #[test]
    fn links_on_the_way_to_a_file_are_watched_too() {
        let dir = Scratch::new("links");
        dir.put("releases/1/etc/vipd.conf", "");
        symlink("releases/1", dir.0.join("current")).unwrap();
        let mut found = BTreeSet::new();
        directories_of(&dir.0.join("current/etc/vipd.conf"), &mut found);
        let wanted = [dir.0.clone(), dir.0.join("releases/1/etc")];
        assert_eq!(found.into_iter().collect::<Vec<_>>(), wanted);
    }
}
