//! Commands that are run to their end, and processes that are kept and killed when dropped.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use super::check::{Doing, Failure, Outcome};
use super::sys;

/// A command that ended.
#[derive(Debug, Clone)]
pub(crate) struct Finished {
    /// What was run, for messages.
    pub(crate) command: String,
    /// Exit code; none when a signal ended it.
    pub(crate) code: Option<i32>,
    /// All it wrote to standard output.
    pub(crate) stdout: String,
    /// All it wrote to standard error.
    pub(crate) stderr: String,
}

impl Finished {
    /// Itself, or a failure with everything it said unless it exited with 0.
    pub(crate) fn success(self) -> Outcome<Self> {
        if self.code == Some(0) {
            Ok(self)
        } else {
            Err(Failure::failed(self.describe()))
        }
    }

    /// Command, exit code and output, for a message.
    pub(crate) fn describe(&self) -> String {
        let code = self
            .code
            .map_or("a signal".to_owned(), |code| format!("exit {code}"));
        let (out, err) = (self.stdout.trim_end(), self.stderr.trim_end());
        format!(
            "`{}` ended with {code}\n  stdout: {out}\n  stderr: {err}",
            self.command
        )
    }
}

/// How a command is run.
pub(crate) struct Run<'a> {
    /// Program and arguments.
    pub(crate) argv: &'a [&'a str],
    /// Written to its standard input.
    pub(crate) stdin: &'a str,
    /// It is killed, and the case fails, after this long.
    pub(crate) limit: Duration,
}

/// Starts `command` from a thread inside the network namespace `ns`, so that it is born there.
fn spawn_within(ns: Option<&File>, command: &mut Command) -> Outcome<Child> {
    let Some(ns) = ns else {
        return Ok(command.spawn()?);
    };
    let spawned = thread::scope(|scope| {
        let born = scope.spawn(|| sys::enter_net_namespace(ns).and_then(|()| command.spawn()));
        born.join()
    });
    match spawned {
        Ok(child) => Ok(child?),
        Err(_) => Err(Failure::failed("the thread that starts a command panicked")),
    }
}

/// Runs a command to its end inside `ns`.
pub(crate) fn run(ns: Option<&File>, how: &Run<'_>) -> Outcome<Finished> {
    let words = how.argv.join(" ");
    let (program, args) = how.argv.split_first().ok_or("an empty command")?;
    let mut command = Command::new(program);
    command.args(args).process_group(0);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = spawn_within(ns, &mut command).doing(format!("start `{words}`"))?;
    if let Some(mut input) = child.stdin.take() {
        // A command that ends without reading closes the pipe; its exit code says what is wrong.
        let _ = input.write_all(how.stdin.as_bytes());
    }
    let (out, err) = (drain(child.stdout.take()), drain(child.stderr.take()));
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if started.elapsed() > how.limit {
            kill_group(&child);
            child.wait()?;
            let (out, err) = (out.join(), err.join());
            return Err(Failure::failed(format!(
                "`{words}` did not end within {:.1} s\n  said: {out:?} {err:?}",
                how.limit.as_secs_f64()
            )));
        }
        sleep(Duration::from_millis(2));
    };
    let joined = |reader: thread::JoinHandle<String>| reader.join().unwrap_or_default();
    let (stdout, stderr) = (joined(out), joined(err));
    Ok(Finished {
        command: words,
        code: status.code(),
        stdout,
        stderr,
    })
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // Whatever was read before an error is still worth showing.
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Sends KILL to the process group that `child` leads.
fn kill_group(child: &Child) {
    if let Ok(pid) = i32::try_from(child.id()) {
        // Already gone is what is wanted.
        let _ = sys::kill(-pid, libc::SIGKILL);
    }
}

/// A process that is kept: it leads its own group, writes to a log, and is killed when dropped.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `argv` inside `ns`; standard output and error go to the end of the file `log`.
    pub(crate) fn start(ns: &File, name: &str, argv: &[&str], log: PathBuf) -> Outcome<Self> {
        let (program, args) = argv.split_first().ok_or("an empty command")?;
        let file = File::options().create(true).append(true).open(&log)?;
        let mut command = Command::new(program);
        command.args(args).process_group(0).stdin(Stdio::null());
        command.stdout(file.try_clone()?).stderr(file);
        let child = spawn_within(Some(ns), &mut command).doing(format!("start {argv:?}"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log,
        })
    }

    /// Process id of the first process.
    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or(i32::MAX)
    }

    /// All it wrote so far.
    pub(crate) fn log(&self) -> String {
        read_lossy(&self.log)
    }

    /// Its exit status if it has ended.
    pub(crate) fn ended(&mut self) -> Outcome<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Sends `signal` to the first process.
    pub(crate) fn signal(&self, signal: i32) -> Outcome {
        sys::kill(self.pid(), signal).doing(format!("signal {signal} to {}", self.name))
    }

    /// Sends `signal` to the first process and all its descendants, parents first.
    pub(crate) fn signal_tree(&self, signal: i32) -> Outcome {
        for pid in tree(self.pid()) {
            // One that ended in between needs no signal.
            let _ = sys::kill(pid, signal);
        }
        Ok(())
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self, limit: Duration) -> Outcome<ExitStatus> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if started.elapsed() > limit {
                let secs = limit.as_secs_f64();
                return Err(format!("{} did not end within {secs:.1} s", self.name).into());
            }
            sleep(Duration::from_millis(5));
        }
    }

    /// KILL to the whole tree at once, and its end.
    pub(crate) fn kill(&mut self) -> Outcome {
        // Stopped, no parent can act on the death of its child; and children go first, because the
        // kernel sends them TERM (PR_SET_PDEATHSIG), HUP and CONT when the parent dies.
        self.signal_tree(libc::SIGSTOP)?;
        for pid in tree(self.pid()).into_iter().rev() {
            // Already gone is what is wanted.
            let _ = sys::kill(pid, libc::SIGKILL);
        }
        let status = self.wait(Duration::from_secs(20))?;
        if status.signal() == Some(libc::SIGKILL) {
            return Ok(());
        }
        Err(format!(
            "{} ended with {status} before it could be killed",
            self.name
        )
        .into())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.kill();
        }
    }
}

/// A process as /proc/PID/stat shows it.
pub(crate) struct Entry {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    /// It ended, and only waits to be asked how.
    pub(crate) is_dead: bool,
    pub(crate) is_kernel_thread: bool,
}

/// Every process there is.
pub(crate) fn all() -> Vec<Entry> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|e| e.file_name().to_str().and_then(|n| n.parse().ok()));
    pids.filter_map(entry).collect()
}

fn entry(pid: i32) -> Option<Entry> {
    /// PF_KTHREAD of include/linux/sched.h.
    const KERNEL_THREAD: u64 = 0x0020_0000;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in the second field may hold blanks and brackets; the fields after it do not.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let flags: u64 = fields.get(6)?.parse().ok()?;
    Some(Entry {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        is_dead: matches!(*fields.first()?, "Z" | "X"),
        is_kernel_thread: flags & KERNEL_THREAD != 0,
    })
}

/// All descendants of this process that are not dead.
pub(crate) fn descendants() -> Vec<i32> {
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    let dead: Vec<i32> = all().iter().filter(|p| p.is_dead).map(|p| p.pid).collect();
    let mut below = tree(own);
    below.retain(|pid| *pid != own && !dead.contains(pid));
    below
}

/// `root` and all its descendants, parents before children.
pub(crate) fn tree(root: i32) -> Vec<i32> {
    let all = all();
    let mut found = vec![root];
    let mut at = 0;
    while let Some(&parent) = found.get(at) {
        found.extend(all.iter().filter(|p| p.parent == parent).map(|p| p.pid));
        at += 1;
    }
    found
}

/// A file as text; empty when it cannot be read.
pub(crate) fn read_lossy(path: &Path) -> String {
    fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}
