//! The daemon as a process: going into the background, signals, a log that nobody reads, a stall.
//!
//! keepalived promises little of this: where it does, it may be the subject too.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::scene::{ELECTION, Instance, Lan, Router, VIP, answered_by, owner_stays, wait_owner};
use crate::lab::check::{Doing as _, Failure, Outcome, ensure, ensure_eq, holds_for, wait_until};
use crate::lab::daemon::Kind;
use crate::lab::guest::vipd_path;
use crate::lab::net::{Host, Net};
use crate::lab::netlink::Requests;
use crate::lab::wire::Capture;
use crate::lab::{Case, Lab, sys};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "daemon.background",
        proves: "without -n the command returns 0 when the daemon runs, free of its terminal, and \
                 not 0 with the error when it does not",
        limit: Duration::from_secs(90),
        run: background,
    },
    Case {
        name: "daemon.log_nobody_reads",
        proves: "a full pipe as standard error keeps vipd neither from its adverts nor from ending",
        limit: Duration::from_secs(120),
        run: log_nobody_reads,
    },
    Case {
        name: "daemon.hup_storm",
        proves: "100 HUPs in 5 s leave a master master: no goodbye, no address touched",
        limit: Duration::from_secs(90),
        run: hup_storm,
    },
    Case {
        name: "daemon.second",
        proves: "a second vipd on one run directory is refused with the pid of the first; on \
                 another one, elsewhere, it runs",
        limit: Duration::from_secs(90),
        run: second,
    },
    Case {
        name: "daemon.stall",
        proves: "a master that stood still for 8 s changes the owner once at most when it wakes, \
                 a backup never",
        limit: Duration::from_secs(120),
        run: stall,
    },
];

const LIMIT: Duration = Duration::from_secs(15);

/// Some of these are promises of vipd's own.
pub(super) fn only_vipd(lab: &Lab) -> Outcome {
    if lab.subject() == Kind::Vipd {
        return Ok(());
    }
    Err(Failure::skipped(
        "vipd's own promises; keepalived makes no such ones",
    ))
}

fn router(lab: &Lab) -> Outcome<Host> {
    only_vipd(lab)?;
    let net = Net::new(lab)?;
    let lan = net.segment("lan")?;
    let host = net.router("router")?;
    net.plug(&host, "eth0", &lan, &["192.0.2.1/24"])?;
    Ok(host)
}

/// Where a daemon in the background is told to keep things.
struct Place {
    conf: PathBuf,
    run_dir: PathBuf,
    pid: PathBuf,
}

impl Place {
    fn new(lab: &Lab, name: &str, conf: &str) -> Outcome<Self> {
        let dir = lab.dir().join(name);
        fs::create_dir_all(&dir)?;
        let at = |file: &str| dir.join(file);
        fs::write(at("daemon.conf"), conf)?;
        Ok(Self {
            conf: at("daemon.conf"),
            run_dir: at("run"),
            pid: at("pid"),
        })
    }

    fn command_line(&self) -> Vec<String> {
        let text = |path: &Path| path.display().to_string();
        let mut words = vec![vipd_path(), "-G".to_owned(), "-D".to_owned()];
        for (flag, path) in [
            ("--run-dir", &self.run_dir),
            ("-p", &self.pid),
            ("-f", &self.conf),
        ] {
            words.extend([flag.to_owned(), text(path)]);
        }
        words
    }

    /// The pid in its file, which must be there.
    fn pid(&self) -> Outcome<i32> {
        let text = fs::read_to_string(&self.pid).doing(self.pid.display())?;
        text.trim().parse().doing(format!("the pid {text:?}"))
    }
}

fn background(lab: &Lab) -> Outcome {
    let host = router(lab)?;
    let place = Place::new(lab, "good", &Instance::plain(255))?;
    let words = place.command_line();
    let argv: Vec<&str> = words.iter().map(String::as_str).collect();
    // Its output goes to a file: a pipe that the daemon kept would be read for ever.
    let mut command = host.spawn("command", &argv)?;
    let status = command.wait(LIMIT)?;
    let pid = place.pid()?;
    ensure!(status.success(), "the command ended with {status}");
    ensure!(pid != command.pid(), "the pid file names the command");
    let proc = PathBuf::from(format!("/proc/{pid}"));
    for fd in 0..=2 {
        let leads_to = fs::read_link(proc.join(format!("fd/{fd}"))).doing(format!("fd {fd}"))?;
        ensure_eq!(leads_to, Path::new("/dev/null"), "descriptor {fd}");
    }
    let log = command.log();
    ensure!(!log.contains("rror"), "the command says: {log}");
    wait_until("the VIP is there", LIMIT, || host.owns(VIP))?;
    sys::kill(pid, libc::SIGTERM)?;
    wait_until("the daemon has ended", LIMIT, || Ok(!proc.exists()))?;
    ensure!(!host.owns(VIP)?, "the VIP stays behind");
    ensure!(!place.pid.exists(), "the pid file stays behind");

    // Found before it goes into the background...
    let bad = Instance::plain(255).replacen(&VIP.to_string(), "192.0.2.999", 1);
    fails(&host, &Place::new(lab, "bad", &bad)?, "192.0.2.999")?;
    // ...and after.
    let mut blocked = Place::new(lab, "blocked", &Instance::plain(255))?;
    blocked.run_dir = blocked.conf.join("run");
    fails(&host, &blocked, "daemon.conf/run")?;
    ensure!(!host.owns(VIP)?, "a VIP of a daemon that failed");
    Ok(())
}

fn fails(host: &Host, place: &Place, word: &str) -> Outcome {
    let words = place.command_line();
    let argv: Vec<&str> = words.iter().map(String::as_str).collect();
    let ended = host.try_run(&argv)?;
    let told = ended.describe();
    ensure!(ended.code.is_some_and(|code| code != 0), "{told}");
    ensure!(ended.stderr.contains(word), "no {word:?} in: {told}");
    ensure!(!place.pid.exists(), "a pid file after: {told}");
    Ok(())
}

/// Each is a warning at every reload: a few reloads are more than any queue of lines.
const SLIPS: usize = 500;
const RELOADS: u8 = 12;

fn log_nobody_reads(lab: &Lab) -> Outcome {
    let host = router(lab)?;
    let wire = Capture::on(&host, "eth0")?;
    let fifo = lab.dir().join("stderr");
    host.run(&["mkfifo", &fifo.display().to_string()])?;
    // Open for reading too, so that it never breaks; but nobody reads.
    let mut full = File::options()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(&fifo)?;
    fill(&mut full)?;

    let slips: String = (0..SLIPS).map(|n| format!("    slip{n} 1\n")).collect();
    let conf = |priority: u8| Instance {
        priority,
        lines: &slips,
        unicast: None,
    };
    let place = Place::new(lab, "silent", &conf(100).text())?;
    let mut words = vec!["/bin/sh", "-ec", "exec \"$@\" 2>\"$0\""];
    let (fifo, line) = (fifo.display().to_string(), place.command_line());
    words.push(&fifo);
    words.extend(line.iter().map(String::as_str));
    words.extend(["-n", "-l"]);
    let mut daemon = host.spawn("vipd", &words)?;
    advertised(&wire, 100)?;
    for priority in 101..=100 + RELOADS {
        fs::write(&place.conf, conf(priority).text())?;
        daemon.signal(libc::SIGHUP)?;
        advertised(&wire, priority)?;
    }
    let before = wire.adverts().len();
    wait_until("five more adverts", LIMIT, || {
        Ok(wire.adverts().len() >= before + 5)
    })?;
    ensure!(host.owns(VIP)?, "the VIP is gone");
    daemon.signal(libc::SIGTERM)?;
    let status = daemon.wait(LIMIT)?;
    ensure!(status.success(), "it ended with {status}");
    ensure!(!host.owns(VIP)?, "the VIP stays behind");
    advertised(&wire, 0)?;
    let room = full.write(&[0]).map_err(|e| e.kind());
    ensure_eq!(room, Err(ErrorKind::WouldBlock), "the pipe is still full");
    Ok(())
}

fn fill(pipe: &mut File) -> Outcome {
    // Small pieces at the end: a write of a page or less is whole or not at all.
    for size in [4096, 1] {
        loop {
            match pipe.write(&vec![b'.'; size]) {
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => return Err(e.into()),
            }
        }
    }
    Ok(())
}

/// The last advert has this priority.
fn advertised(wire: &Capture, priority: u8) -> Outcome {
    let what = format!("an advert of priority {priority}");
    wait_until(what, LIMIT, || {
        let last = wire.adverts().pop();
        Ok(last.is_some_and(|(_, advert)| advert.priority == priority))
    })
    .map(drop)
}

const HUPS: u32 = 100;

fn hup_storm(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let lan = Lan::new(lab)?;
    let mut a = lan.router("a", 1, lab.subject())?;
    let mut b = lan.router("b", 2, Kind::Keepalived)?;
    a.start(&Instance::plain(150))?;
    b.start(&Instance::plain(100))?;
    wait_owner(&a, &[&b])?;
    b.daemon()?
        .wait_log("(V) Entering BACKUP STATE", 1, ELECTION)?;
    let requests = Requests::watch(&a.host)?;
    let wire = Capture::at(&lan.client_port)?;
    requests.forget();
    for hup in 0..HUPS {
        a.daemon()?.hang_up()?;
        ensure!(a.has_vip()?, "the VIP is gone after {hup} HUPs");
        std::thread::sleep(Duration::from_millis(50));
    }
    // Whatever is still to be made up for.
    holds_for("a has the VIP", Duration::from_secs(3), || a.has_vip())?;
    ensure_eq!(
        requests.sequence()?,
        Vec::<&str>::new(),
        "changes asked for"
    );
    let reloads = a.daemon()?.logged("reloaded ");
    lab.note(format!("{reloads} reloads of {HUPS} HUPs"));
    ensure!(reloads >= 2, "{reloads} reloads");
    ensure_eq!(masterships(&mut a)?, 1, "times a became master");
    ensure_eq!(masterships(&mut b)?, 0, "times b became master");
    let adverts = wire.adverts();
    ensure!(adverts.len() >= 5, "{} adverts in 8 s", adverts.len());
    for (_, advert) in adverts {
        let seen = (advert.src, advert.priority);
        ensure_eq!(seen, (a.address, 150), "an advert");
    }
    // Not deaf afterwards.
    a.daemon()?.reload(&Instance::plain(160))?;
    advertised(&wire, 160)
}

fn masterships(router: &mut Router) -> Outcome<usize> {
    Ok(router.daemon()?.logged("(V) Entering MASTER STATE"))
}

fn second(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let net = Net::new(lab)?;
    let make = |name: &str| -> Outcome<Host> {
        let host = net.router(name)?;
        let segment = net.segment(&format!("{name}-l"))?;
        net.plug(&host, "eth0", &segment, &["192.0.2.1/24"])?;
        Ok(host)
    };
    let (one, other) = (make("one")?, make("other")?);
    let mut place = Place::new(lab, "place", &Instance::plain(255))?;
    let words = place.command_line();
    let argv: Vec<&str> = words.iter().map(String::as_str).collect();
    let started = one.spawn("first", &argv)?.wait(LIMIT)?;
    ensure!(started.success(), "the first ended with {started}");
    let pid = place.pid()?;
    wait_until("the first has the VIP", LIMIT, || one.owns(VIP))?;

    // The same pid file does not change hands either.
    for (host, mode) in [(&one, Some("-n")), (&one, None), (&other, Some("-n"))] {
        let argv: Vec<&str> = argv.iter().copied().chain(mode).collect();
        let ended = host.try_run(&argv)?;
        let told = ended.describe();
        ensure!(ended.code.is_some_and(|code| code != 0), "{told}");
        for word in [format!("process {pid}"), "--run-dir".to_owned()] {
            ensure!(ended.stderr.contains(&word), "no {word:?} in: {told}");
        }
        ensure_eq!(place.pid()?, pid, "the pid in the file of the first");
        ensure!(one.owns(VIP)?, "the first lost its VIP");
        ensure!(!other.owns(VIP)?, "a VIP of one that was refused");
    }

    place.run_dir = lab.dir().join("another");
    place.pid = lab.dir().join("another.pid");
    let words = place.command_line();
    let argv: Vec<&str> = words.iter().map(String::as_str).collect();
    let started = other.spawn("second", &argv)?.wait(LIMIT)?;
    ensure!(started.success(), "the second ended with {started}");
    wait_until("the second has its VIP", LIMIT, || other.owns(VIP))?;
    let stay = || Ok(one.owns(VIP)? && other.owns(VIP)?);
    holds_for("both have their VIP", Duration::from_secs(3), stay)?;
    ensure!(place.pid()? != pid, "both have one pid");
    Ok(())
}

const STALL: Duration = Duration::from_secs(8);

fn stall(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut a = lan.router("a", 1, lab.subject())?;
    let mut b = lan.router("b", 2, Kind::Keepalived)?;
    a.start(&Instance::plain(150))?;
    b.start(&Instance::plain(100))?;
    wait_owner(&a, &[&b])?;
    let pulse = lan.pulse(Duration::from_millis(20))?;
    answered_by(&pulse, &a)?;
    let before = masterships(&mut a)?;
    a.daemon()?.freeze()?;
    std::thread::sleep(STALL);
    answered_by(&pulse, &b)?;
    let asleep = pulse.answers().len();
    a.daemon()?.thaw()?;
    wait_owner(&a, &[&b])?;
    owner_stays(&a, &[&b], Duration::from_secs(6))?;
    answered_by(&pulse, &a)?;
    let answers = pulse.answers();
    let mut owners: Vec<&str> = answers
        .iter()
        .skip(asleep)
        .map(|x| x.from.as_str())
        .collect();
    owners.dedup();
    ensure_eq!(owners.last(), Some(&a.name), "who answers in the end");
    ensure!(owners.len() <= 2, "owners after waking: {owners:?}");
    let times = masterships(&mut a)? - before;
    ensure!(times <= 1, "a became master {times} times after waking");
    ensure_eq!(masterships(&mut b)?, 1, "times b became master");
    stall_of_a_backup(&mut a, &mut b)
}

/// Its time to wait for an advert is over when it wakes; but it only did not listen.
fn stall_of_a_backup(a: &mut Router, b: &mut Router) -> Outcome {
    b.daemon()?.reload(&Instance::plain(200))?;
    wait_owner(b, &[a])?;
    let before = masterships(a)?;
    a.daemon()?.freeze()?;
    std::thread::sleep(STALL);
    a.daemon()?.thaw()?;
    owner_stays(b, &[a], Duration::from_secs(6))?;
    ensure_eq!(masterships(a)?, before, "times a became master");
    Ok(())
}
