//! Inside the guest: the init process, the runner of cases, and the process of one case. The native
//! stage ([`native`](super::native)) runs its cases the same way.
//!
//! The root file system is this machine's own, read-only. /run and /tmp are the guest's; the one
//! directory of the host that can be written is mounted on /run/host.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::check::{Doing, Failure, Outcome};
use super::daemon::Kind;
use super::host::find_case;
use super::process::{self, read_lossy};
use super::report::{Event, Job, Record, Verdict};
use super::sys::{self, MountKind};
use super::{Case, Lab, case_dir, native};

/// The word on the kernel's command line that names the host's directory for this guest; the
/// kernel hands it to init as a variable.
pub(crate) const DIR_WORD: &str = "vipd_lab";

/// Where the host's directory is seen inside.
pub(crate) const HOST_DIR: &str = "/run/host";
const MODULES: &str = "/usr/lib/uml/modules";
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How much of each log is shown when a case fails.
const LOG_LINES_MAX: usize = 150;

/// Whether this process is the init of a guest.
pub(crate) fn is_init() -> bool {
    std::process::id() == 1 && std::env::var_os(DIR_WORD).is_some()
}

/// Path of vipd inside the guest.
pub(crate) fn vipd_path() -> String {
    format!("{HOST_DIR}/bin/vipd")
}

/// The directory that the host shares with this guest.
pub(crate) fn host_dir() -> &'static Path {
    Path::new(HOST_DIR)
}

/// Init: mounts, starts the runner, buries every orphan until the runner ends, halts.
pub(crate) fn init() -> ExitCode {
    let native = native::is_native();
    let ready = if native { native::set_up() } else { set_up() };
    match ready.and_then(|()| Ok(Command::new(runner()).arg("--role=guest").spawn()?)) {
        Ok(runner) => {
            let runner = i32::try_from(runner.id()).unwrap_or_default();
            while let Ok((pid, status)) = sys::reap_one() {
                if pid == runner {
                    println!("guest: the runner ended with status {status:#x}");
                    break;
                }
            }
        }
        Err(e) => println!("guest: {e}"),
    }
    if !native {
        println!("guest: halt: {}", sys::power_off());
    }
    ExitCode::FAILURE
}

fn runner() -> PathBuf {
    host_dir().join("bin/integration")
}

fn set_up() -> Outcome {
    let shared = std::env::var(DIR_WORD).doing("the host's directory")?;
    let at = |path: &str, kind| sys::mount("lab", Path::new(path), kind);
    at("/proc", MountKind::Fs("proc", ""))?;
    at("/sys", MountKind::Fs("sysfs", ""))?;
    if let Err(e) = at("/dev", MountKind::Fs("devtmpfs", "")) {
        // Most kernels have mounted it before they start init; then it is busy.
        println!("guest: {e}");
    }
    fs::create_dir_all("/dev/shm")?;
    fs::create_dir_all("/dev/pts")?;
    at("/dev/shm", MountKind::Fs("tmpfs", ""))?;
    at("/dev/pts", MountKind::Fs("devpts", ""))?;
    at("/run", MountKind::Fs("tmpfs", "mode=0755"))?;
    at("/tmp", MountKind::Fs("tmpfs", "mode=1777"))?;
    for dir in ["/run/netns", "/run/lock", "/run/lab", HOST_DIR] {
        fs::create_dir_all(dir).doing(dir)?;
    }
    sys::mount("none", host_dir(), MountKind::Fs("hostfs", &shared))?;
    sys::mount(MODULES, Path::new("/lib/modules"), MountKind::Bind)?;
    fs::write("/proc/sys/kernel/hostname", "guest")?;
    // The kernel's own complaints belong on the console, that is, in the log the host shows.
    fs::write("/proc/sys/kernel/printk", "5")?;
    for link in [
        ("/proc/self/fd", "/dev/fd"),
        ("fd/0", "/dev/stdin"),
        ("fd/1", "/dev/stdout"),
    ] {
        // devtmpfs of some kernels has them.
        let _ = std::os::unix::fs::symlink(link.0, link.1);
    }
    // The kernel loads what it needs by itself, save for IPv6, whose sysctls must be there first.
    let script = "modprobe ipv6 && ip link set lo up";
    let done = Command::new("/bin/sh")
        .env("PATH", PATH)
        .args(["-c", script])
        .status()?;
    if done.success() {
        Ok(())
    } else {
        Err(format!("`{script}` failed").into())
    }
}

/// The first process of a stage among the machine's own processes, which is its runner too.
pub(crate) fn run_beside() -> ExitCode {
    match native::set_up() {
        Ok(()) => run_cases(),
        Err(e) => {
            println!("beside: {e}");
            ExitCode::FAILURE
        }
    }
}

/// The runner: each case of the job in turn, each in a process of its own.
pub(crate) fn run_cases() -> ExitCode {
    match run_job() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            println!("guest: {e}");
            ExitCode::FAILURE
        }
    }
}

fn read_job() -> Outcome<Job> {
    Ok(serde_json::from_str(&fs::read_to_string(
        host_dir().join("job.json"),
    )?)?)
}

fn run_job() -> Outcome {
    let job = read_job()?;
    let results = host_dir().join("results.jsonl");
    let mut results = File::options().create(true).append(true).open(results)?;
    let mut tell = |event: &Event| -> Outcome {
        let mut line = serde_json::to_string(event)?;
        line.push('\n');
        Ok(results.write_all(line.as_bytes())?)
    };
    tell(&Event::Ready)?;
    for name in &job.cases {
        tell(&Event::Started(name.clone()))?;
        let record = supervise(find_case(name)?)?;
        clean_up()?;
        tell(&Event::Ended(record))?;
    }
    Ok(())
}

/// Where the host finds what a case said.
fn output_file(name: &str) -> PathBuf {
    host_dir().join(format!("{name}.log"))
}

fn verdict_file(name: &str) -> PathBuf {
    Path::new("/run/lab").join(format!("{name}.json"))
}

fn supervise(case: &Case) -> Outcome<Record> {
    let output = File::create(output_file(case.name))?;
    let started = Instant::now();
    let mut command = Command::new(runner());
    command
        .args(["--role=case", case.name])
        .stdin(Stdio::null());
    command.env("PATH", PATH);
    command
        .env("HOME", "/run/lab")
        .env("RUST_BACKTRACE", "1")
        .env("LC_ALL", "C.UTF-8");
    let mut child = command.stdout(output.try_clone()?).stderr(output).spawn()?;
    let in_time = wait_within(&mut child, case.limit)?;
    let seconds = started.elapsed().as_secs_f64();
    let told = fs::read(verdict_file(case.name)).ok();
    let told = told.and_then(|bytes| serde_json::from_slice::<Record>(&bytes).ok());
    let mut record = told.unwrap_or_else(|| {
        let why = "the process of the case ended without a verdict";
        Record::without_run(case, Verdict::Failed(why.to_owned()))
    });
    if !in_time {
        let limit = case.limit.as_secs();
        record.verdict = Verdict::Failed(format!("did not end within its limit of {limit} s"));
    }
    record.seconds = seconds;
    if matches!(record.verdict, Verdict::Failed(_)) {
        append_logs(case.name)?;
    }
    Ok(record)
}

fn wait_within(child: &mut Child, limit: Duration) -> Outcome<bool> {
    let started = Instant::now();
    while child.try_wait()?.is_none() {
        if started.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            return Ok(false);
        }
        sleep(Duration::from_millis(20));
    }
    Ok(true)
}

/// The end of each daemon's log, after what the case itself said.
fn append_logs(name: &str) -> Outcome {
    let mut output = File::options().append(true).open(output_file(name))?;
    let logs = fs::read_dir(case_dir(name).join("log"))
        .into_iter()
        .flatten()
        .flatten();
    let mut logs: Vec<PathBuf> = logs.map(|entry| entry.path()).collect();
    logs.sort();
    for log in logs {
        let text = read_lossy(&log);
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(LOG_LINES_MAX);
        let title = log.file_name().unwrap_or_default().to_string_lossy();
        writeln!(output, "--- {title} ({from} earlier lines left out)")?;
        for line in lines.iter().skip(from) {
            writeln!(output, "{line}")?;
        }
    }
    Ok(())
}

/// Ends every process but init and this one, then deletes every namespace and private directory.
fn clean_up() -> Outcome {
    if native::is_beside() {
        end_descendants()?;
        return forget_case();
    }
    if std::os::unix::process::parent_id() != 1 || std::env::var_os(DIR_WORD).is_none() {
        return Err("refusing to kill everything: this is no guest".into());
    }
    if native::is_native() {
        native::ensure_inside()?;
    }
    let started = Instant::now();
    loop {
        let others = other_processes();
        if others.is_empty() {
            break;
        }
        if started.elapsed() > Duration::from_secs(20) {
            return Err(format!("processes of a case survive SIGKILL: {others:?}").into());
        }
        // All at once: no parent is left to start another child.
        sys::kill(-1, libc::SIGKILL).doing("kill everything")?;
        sleep(Duration::from_millis(10));
    }
    forget_case()
}

/// Ends what a case started, and nothing else: the machine's processes are there too.
fn end_descendants() -> Outcome {
    let started = Instant::now();
    loop {
        let below = process::descendants();
        if below.is_empty() {
            return Ok(());
        }
        if started.elapsed() > Duration::from_secs(20) {
            return Err(format!("processes of a case survive SIGKILL: {below:?}").into());
        }
        for pid in below {
            // One that ended in between needs no signal.
            let _ = sys::kill(pid, libc::SIGKILL);
        }
        sleep(Duration::from_millis(10));
    }
}

fn forget_case() -> Outcome {
    for entry in fs::read_dir("/run/netns")?.flatten() {
        sys::unmount(&entry.path()).doing(entry.path().display())?;
        fs::remove_file(entry.path())?;
    }
    fs::remove_dir_all("/run/lab")?;
    fs::create_dir_all("/run/lab")?;
    Ok(())
}

/// Pids of all processes but init, this one, kernel threads and the dead.
fn other_processes() -> Vec<i32> {
    let own = [1, i32::try_from(std::process::id()).unwrap_or_default()];
    let all = process::all();
    let counts = |p: &&process::Entry| !p.is_dead && !p.is_kernel_thread && !own.contains(&p.pid);
    all.iter().filter(counts).map(|p| p.pid).collect()
}

/// The process of one case: its verdict goes to a file, whatever it says to its output.
pub(crate) fn run_one_case(name: &str) -> ExitCode {
    match case_record(name) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            println!("{e}");
            ExitCode::FAILURE
        }
    }
}

fn case_record(name: &str) -> Outcome {
    let case = find_case(name)?;
    let job = read_job()?;
    let subject = match job.subject.as_str() {
        "keepalived" => Kind::Keepalived,
        _ => Kind::Vipd,
    };
    let lab = Lab::new(name, subject, job.words)?;
    println!("{}: {}", case.name, case.proves);
    let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (case.run)(&lab)));
    let verdict = match ran {
        Ok(Ok(())) => Verdict::Passed,
        Ok(Err(Failure::Failed(why))) => Verdict::Failed(why),
        Ok(Err(Failure::Skipped(why))) => Verdict::Skipped(why),
        Err(_) => Verdict::Failed("the case panicked (see its log)".to_owned()),
    };
    if verdict != Verdict::Passed {
        println!("{:9.3} {verdict:?}", lab.started.elapsed().as_secs_f64());
    }
    let record = Record {
        notes: lab.take_notes(),
        samples: lab.take_samples(),
        ..Record::without_run(case, verdict)
    };
    Ok(fs::write(verdict_file(name), serde_json::to_vec(&record)?)?)
}
