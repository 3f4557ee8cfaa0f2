//! The two daemons under comparison, run the same way: [`Daemon::start`] with a [`Kind`].

use std::fs;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use super::check::{Outcome, wait_until};
use super::guest::vipd_path;
use super::net::Host;
use super::process::Process;

/// Which daemon.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Debian's keepalived: the reference.
    Keepalived,
    /// The vipd that was built with this test.
    Vipd,
}

impl Kind {
    /// Its name, as in `--daemon`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Keepalived => "keepalived",
            Self::Vipd => "vipd",
        }
    }
}

/// A daemon on a host with one configuration file, killed when dropped.
pub(crate) struct Daemon {
    kind: Kind,
    host: Host,
    file: PathBuf,
    more: Vec<String>,
    process: Process,
}

/// Name of vipd's state directory, beside its configuration.
const STATE: &str = "state";
/// Long enough for a guest that is busy with everything else.
const STOP_LIMIT: Duration = Duration::from_secs(30);

impl Daemon {
    /// Starts `kind` on `host` with `conf` as its whole configuration.
    pub(crate) fn start(kind: Kind, host: &Host, conf: &str) -> Outcome<Self> {
        Self::start_with(kind, host, conf, &[])
    }

    /// The same, with more words on its command line.
    pub(crate) fn start_with(kind: Kind, host: &Host, conf: &str, more: &[&str]) -> Outcome<Self> {
        let dir = host.dir().join(format!("{}.{}", host.name(), kind.name()));
        fs::create_dir_all(&dir)?;
        let file = dir.join("daemon.conf");
        fs::write(&file, conf)?;
        let process = Self::launch(kind, host, &file, more)?;
        Ok(Self {
            kind,
            host: host.clone(),
            file,
            more: more.iter().map(|&word| word.to_owned()).collect(),
            process,
        })
    }

    /// The command line of `kind` for the configuration `file`; what it keeps lies beside it.
    pub(crate) fn command_line(kind: Kind, file: &std::path::Path) -> Vec<String> {
        let dir = file.parent().unwrap_or(file);
        let beside = |name: &str| dir.join(name).display().to_string();
        let mut words = match kind {
            Kind::Keepalived => vec!["keepalived".to_owned(), "-G".to_owned()],
            Kind::Vipd => vec![
                vipd_path(),
                "--run-dir".to_owned(),
                beside("run"),
                "--state-dir".to_owned(),
                beside(STATE),
            ],
        };
        words.extend(["-n", "-l", "-D", "-f"].map(str::to_owned));
        words.push(file.display().to_string());
        for (flag, name) in [
            ("-p", "main.pid"),
            ("-r", "vrrp.pid"),
            ("-c", "checkers.pid"),
            ("-b", "bfd.pid"),
        ] {
            words.extend([flag.to_owned(), beside(name)]);
        }
        words
    }

    fn launch(kind: Kind, host: &Host, file: &std::path::Path, more: &[&str]) -> Outcome<Process> {
        let words = Self::command_line(kind, file);
        let mut argv: Vec<&str> = words.iter().map(String::as_str).collect();
        argv.extend(more);
        host.spawn(kind.name(), &argv)
    }

    /// Which daemon it is.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Its configuration.
    pub(crate) fn file(&self) -> &std::path::Path {
        &self.file
    }

    /// Its first process.
    pub(crate) fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// All it has logged, over restarts too.
    pub(crate) fn log(&self) -> String {
        self.process.log()
    }

    /// How often `phrase` stands in the log.
    pub(crate) fn logged(&self, phrase: &str) -> usize {
        self.log().matches(phrase).count()
    }

    /// Waits until `phrase` stands in the log at least `times` times.
    pub(crate) fn wait_log(&self, phrase: &str, times: usize, limit: Duration) -> Outcome {
        let what = format!(
            "{} on {} logs {phrase:?} ({times} times)",
            self.kind.name(),
            self.host.name()
        );
        wait_until(what, limit, || Ok(self.logged(phrase) >= times)).map(drop)
    }

    /// Its exit status if it has ended.
    pub(crate) fn ended(&mut self) -> Outcome<Option<ExitStatus>> {
        self.process.ended()
    }

    /// Writes `conf` in place of the configuration; the daemon does not look.
    pub(crate) fn rewrite(&self, conf: &str) -> Outcome {
        Ok(fs::write(&self.file, conf)?)
    }

    /// Writes `conf` in place of the configuration, and HUP.
    pub(crate) fn reload(&self, conf: &str) -> Outcome {
        self.rewrite(conf)?;
        self.process.signal(libc::SIGHUP)
    }

    /// Any signal, to its first process.
    pub(crate) fn signal(&self, signal: i32) -> Outcome {
        self.process.signal(signal)
    }

    /// HUP: it reads its configuration again, which is as it was.
    pub(crate) fn hang_up(&self) -> Outcome {
        self.process.signal(libc::SIGHUP)
    }

    /// TERM, and its end.
    pub(crate) fn stop(&mut self) -> Outcome<ExitStatus> {
        self.process.signal(libc::SIGTERM)?;
        self.process.wait(STOP_LIMIT)
    }

    /// KILL to all of its processes at once: none of them can clean up.
    pub(crate) fn kill(&mut self) -> Outcome {
        self.process.kill()
    }

    /// All of its processes stand still, as under `docker pause`.
    pub(crate) fn freeze(&self) -> Outcome {
        self.process.signal_tree(libc::SIGSTOP)
    }

    /// Undoes [`Daemon::freeze`].
    pub(crate) fn thaw(&self) -> Outcome {
        self.process.signal_tree(libc::SIGCONT)
    }

    /// The directory of what outlives a reboot.
    pub(crate) fn state_dir(&self) -> PathBuf {
        self.file.with_file_name(STATE)
    }

    /// Starts it again after its end as a machine that boots does: with its configuration and its state
    /// directory, and without anything else it kept.
    pub(crate) fn boot_again(&mut self) -> Outcome {
        for entry in fs::read_dir(self.file.parent().unwrap_or(&self.file))?.flatten() {
            let path = entry.path();
            if path == self.state_dir() {
                continue;
            }
            if path.is_dir() {
                fs::remove_dir_all(&path)?;
            } else if path != self.file {
                fs::remove_file(&path)?;
            }
        }
        self.start_again()
    }

    /// Starts it again with the same file, after its end.
    pub(crate) fn start_again(&mut self) -> Outcome {
        if self.process.ended()?.is_none() {
            return Err("start_again: the daemon still runs".into());
        }
        let more: Vec<&str> = self.more.iter().map(String::as_str).collect();
        self.process = Self::launch(self.kind, &self.host, &self.file, &more)?;
        Ok(())
    }
}
