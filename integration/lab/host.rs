//! On this machine: boots guests, follows what they report, kills them when they hang. A native stage is
//! followed as a guest is.
//!
//! The exit status of a guest says nothing; the verdict of each case comes from a file. A guest
//! that dies or hangs costs the case it was in; the next cases run in a new one.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use super::check::{Doing, Failure, Outcome};
use super::daemon::Kind;
use super::guest::DIR_WORD;
use super::prepare::{memory_dir, preload, prepare, which};
use super::process::read_lossy;
use super::report::{self, Event, Job, Record, Totals, Verdict};
use super::stages::{Place, run_stages};
use super::{Case, native, sys};
use crate::{bench, cases, demo};

/// A guest boots in about 3 s; on a loaded machine in more.
const BOOT_LIMIT: Duration = Duration::from_secs(120);
/// Beyond its own limit, a case has this long to be cleaned up after.
const CLEAN_LIMIT: Duration = Duration::from_secs(60);
/// Memory of a guest in which Docker runs.
const LARGE_MB: u32 = 3072;
const CONSOLE_LINES_MAX: usize = 60;

/// How guests are run.
#[derive(Clone)]
pub(crate) struct Options {
    /// Memory of each guest.
    pub(crate) memory_mb: u32,
    /// Whether what a case says goes to the screen at once.
    pub(crate) stream: bool,
    /// The daemon under test.
    pub(crate) subject: Kind,
    /// So many guests side by side, dealt out to the CPUs.
    pub(crate) guests: usize,
    /// Told to the cases: [`Lab::words`](super::Lab::words).
    pub(crate) words: Vec<String>,
    /// Whether a case that fails among others runs once more, alone.
    pub(crate) second_try: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            memory_mb: 1024,
            stream: false,
            subject: Kind::Vipd,
            guests: 1,
            words: Vec::new(),
            second_try: false,
        }
    }
}

/// Every case, in the order of the report.
fn all_cases() -> impl Iterator<Item = &'static Case> {
    let stages = [cases::MEASURED, cases::BESIDE, cases::NATIVE, cases::ALL];
    stages.into_iter().flatten().copied().flatten()
}

/// The case of this name.
pub(crate) fn find_case(name: &str) -> Outcome<&'static Case> {
    let mut all = all_cases()
        .chain([&demo::CASE])
        .chain(bench::CASES)
        .chain(bench::GUEST);
    all.find(|case| case.name == name)
        .ok_or_else(|| format!("no case is named {name}").into())
}

enum Request {
    List,
    Run(Options, Vec<&'static Case>),
}

/// The command line of the tests.
pub(crate) fn main(args: &[String]) -> ExitCode {
    match parse(args) {
        Ok(Request::List) => {
            for case in all_cases() {
                println!("{:34} {}", case.name, case.proves);
            }
            ExitCode::SUCCESS
        }
        Ok(Request::Run(options, chosen)) => run(&chosen, &options),
        Err(e) => {
            eprintln!("integration: {e}");
            eprintln!(
                "usage: [--list] [--daemon vipd|keepalived] [--guests N] [NAME...] [KEY=VALUE...]"
            );
            ExitCode::from(2)
        }
    }
}

fn parse(args: &[String]) -> Outcome<Request> {
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let mut options = Options {
        // With more, those that start and restart whole systems come too late for their limits.
        guests: cpus.min(2),
        ..Options::default()
    };
    let mut names = Vec::new();
    let mut words = args.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--list" => return Ok(Request::List),
            "--daemon" => {
                options.subject = match words.next().map(String::as_str) {
                    Some("vipd") => Kind::Vipd,
                    Some("keepalived") => Kind::Keepalived,
                    _ => return Err("--daemon wants vipd or keepalived".into()),
                }
            }
            "--guests" => {
                let n = words
                    .next()
                    .and_then(|n| n.parse().ok())
                    .filter(|n| (1..=8).contains(n));
                options.guests = n.ok_or("--guests wants a number from 1 to 8")?;
            }
            flag if flag.starts_with('-') => return Err(format!("unknown option {flag}").into()),
            option if option.contains('=') => options.words.push(option.to_owned()),
            name => names.push(name),
        }
    }
    // Whoever names a case wants to see it fail.
    options.second_try = names.is_empty();
    let all = all_cases();
    let wanted = |case: &&Case| names.is_empty() || names.iter().any(|n| case.name.contains(n));
    let chosen: Vec<&Case> = all.filter(wanted).collect();
    if chosen.is_empty() {
        return Err(format!("no case has {} in its name; see --list", names.join(" or ")).into());
    }
    Ok(Request::Run(options, chosen))
}

/// One case with the screen for itself: the demonstration, a benchmark.
pub(crate) fn run_alone(case: &'static Case, options: Options) -> (ExitCode, Vec<Record>) {
    let options = Options {
        stream: true,
        guests: 1,
        ..options
    };
    let records = records(&[case], &options);
    (verdict(&[case], &records), records)
}

fn run(chosen: &[&'static Case], options: &Options) -> ExitCode {
    let records = records(chosen, options);
    let json = target_dir().join("results.json");
    if let Err(e) = report::write_json(&json, options.subject.name(), &records) {
        eprintln!("integration: {e}");
    }
    if std::env::var_os("VIPD_WRITE_DOCS").is_some()
        && let Err(e) = keep_pictures()
    {
        eprintln!("integration: pictures for docs/pictures: {e}");
    }
    for record in records.iter().filter(|r| r.verdict != Verdict::Passed) {
        println!("not passed: {}", record.name);
    }
    for record in records.iter().filter(|r| r.second_try) {
        println!("only at the second try: {}", record.name);
    }
    println!("{}", Totals::of(&records).line());
    verdict(chosen, &records)
}

/// Pictures that cases of this run have taken, `page-*`, become those of the documents.
fn keep_pictures() -> Outcome {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/pictures");
    let own = format!("guest-{}-", std::process::id());
    for guest in fs::read_dir(target_dir())?.flatten() {
        if !guest.file_name().to_string_lossy().starts_with(&own) {
            continue;
        }
        for file in fs::read_dir(guest.path())?.flatten() {
            let name = file.file_name();
            if name.to_string_lossy().starts_with("page-") {
                fs::copy(file.path(), docs.join(&name)).doing(file.path().display())?;
                println!("docs/pictures/{}", name.to_string_lossy());
            }
        }
    }
    Ok(())
}

fn records(chosen: &[&'static Case], options: &Options) -> Vec<Record> {
    let target = target_dir();
    match prepare(&target) {
        Ok(()) => run_stages(chosen, options, &target),
        Err(e) => chosen.iter().map(|case| skipped(case, &e)).collect(),
    }
}

fn verdict(chosen: &[&'static Case], records: &[Record]) -> ExitCode {
    if Totals::of(records).passed == chosen.len() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn skipped(case: &Case, why: &Failure) -> Record {
    let record = Record::without_run(case, Verdict::Skipped(why.to_string()));
    println!("{}", report::describe(case, &record, ""));
    record
}

/// `target/integration`, whatever the profile.
fn target_dir() -> PathBuf {
    let binary = Path::new(env!("CARGO_BIN_EXE_vipd"));
    binary
        .ancestors()
        .nth(2)
        .unwrap_or(Path::new("."))
        .join("integration")
}

/// A running guest; killed when dropped.
pub(super) struct Guest {
    number: usize,
    process: Child,
    dir: PathBuf,
    boots: Instant,
}

static BOOTS: AtomicUsize = AtomicUsize::new(0);

impl Guest {
    pub(super) fn boot(
        place: Place,
        lane: usize,
        cases: &[(usize, &'static Case)],
        options: &Options,
        target: &Path,
    ) -> Outcome<Self> {
        let number = BOOTS.fetch_add(1, Ordering::SeqCst);
        let dir = target.join(format!("guest-{}-{number}", std::process::id()));
        fs::create_dir_all(dir.join("bin")).doing(dir.display())?;
        let own = std::env::current_exe()?;
        for (from, to) in [
            (own.as_path(), "integration"),
            (env!("CARGO_BIN_EXE_vipd").as_ref(), "vipd"),
        ] {
            fs::copy(from, dir.join("bin").join(to)).doing(from.display())?;
        }
        // What packages hold; the repository itself may be where the guest has a file system of its own.
        let packaging = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging");
        let copied = Command::new("cp")
            .args(["-R", packaging])
            .arg(&dir)
            .status()?;
        if !copied.success() {
            return Err(format!("copy {packaging} to {}: {copied}", dir.display()).into());
        }
        let names = cases.iter().map(|(_, case)| case.name.to_owned()).collect();
        let job = Job {
            cases: names,
            subject: options.subject.name().to_owned(),
            words: options.words.clone(),
        };
        fs::write(dir.join("job.json"), serde_json::to_vec(&job)?)?;
        let console = File::create(dir.join("console.log"))?;
        let (mut command, cpu) = match place {
            Place::Guest => {
                let large = cases::LARGE.iter().copied().flatten();
                let is_large =
                    |(_, case): &(usize, &Case)| large.clone().any(|l| l.name == case.name);
                let memory_mb = match cases.iter().any(is_large) {
                    true => options.memory_mb.max(LARGE_MB),
                    false => options.memory_mb,
                };
                (guest_command(&dir, memory_mb)?, Some(lane))
            }
            Place::Native => (native::command(&dir.join("bin/integration"), &dir)?, None),
            Place::Beside => {
                let runner = dir.join("bin/integration");
                (native::command_beside(&runner, &dir)?, None)
            }
        };
        command
            .stdin(Stdio::null())
            .stdout(console.try_clone()?)
            .stderr(console);
        sys::isolate(&mut command, cpu);
        let process = command.spawn().doing(format!("start {command:?}"))?;
        sys::die_with(number, i32::try_from(process.id()).unwrap_or_default());
        Ok(Self {
            number,
            process,
            dir,
            boots: Instant::now(),
        })
    }

    /// Reports each case as it ends, until the guest does.
    pub(super) fn follow(
        &mut self,
        cases: &[(usize, &'static Case)],
        options: &Options,
        mut ended: impl FnMut(Record, String),
    ) -> Outcome {
        let (mut read, mut shown, mut done) = (0, 0, 0);
        let mut running: Option<String> = None;
        let mut deadline = self.boots + BOOT_LIMIT;
        loop {
            let gone = self.process.try_wait()?.is_some();
            let text = read_lossy(&self.dir.join("results.jsonl"));
            while let Some((line, _)) = text.get(read..).and_then(|t| t.split_once('\n')) {
                read += line.len() + 1;
                deadline = Instant::now() + CLEAN_LIMIT;
                match serde_json::from_str(line)? {
                    Event::Ready => {}
                    Event::Started(name) => {
                        deadline += find_case(&name)?.limit;
                        running = Some(name);
                    }
                    Event::Ended(record) => {
                        let file = self.dir.join(format!("{}.log", record.name));
                        let mut log = read_lossy(&file);
                        if options.stream {
                            // Only what came since the last look; the rest is on the screen.
                            show_more(&file, shown);
                            log.clear();
                        }
                        running = None;
                        done += 1;
                        ended(record, log);
                    }
                }
            }
            if let (true, Some(name)) = (options.stream, &running) {
                shown = show_more(&self.dir.join(format!("{name}.log")), shown);
            }
            if done == cases.len() {
                return Ok(());
            }
            if gone {
                return Err(self.lost("the guest ended before its cases", running.as_deref()));
            }
            if Instant::now() > deadline {
                return Err(self.lost("the guest hung and was killed", running.as_deref()));
            }
            sleep(Duration::from_millis(100));
        }
    }

    /// A failure with the end of the console and of the running case's output.
    fn lost(&self, what: &str, running: Option<&str>) -> Failure {
        let mut text = what.to_owned();
        let case = running.map(|name| format!("{name}.log"));
        for file in ["console.log".to_owned()].into_iter().chain(case) {
            let log = read_lossy(&self.dir.join(&file));
            let lines: Vec<&str> = log.lines().collect();
            let from = lines.len().saturating_sub(CONSOLE_LINES_MAX);
            text.push_str(&format!("\n--- {file}\n"));
            text.push_str(&lines.get(from..).unwrap_or_default().join("\n"));
        }
        Failure::Failed(text)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // A guest is several processes; the first one leads their group.
        if let Ok(pid) = i32::try_from(self.process.id()) {
            let started = Instant::now();
            // Having done its work it halts by itself, and removes what it keeps in its home.
            while started.elapsed() < Duration::from_secs(3)
                && matches!(self.process.try_wait(), Ok(None))
            {
                sleep(Duration::from_millis(20));
            }
            let _ = sys::kill(-pid, libc::SIGKILL);
        }
        let _ = self.process.wait();
        sys::die_with(self.number, 0);
        let _ = fs::remove_dir_all(self.dir.join("bin"));
    }
}

fn guest_command(dir: &Path, memory_mb: u32) -> Outcome<Command> {
    let mut command = Command::new(which("linux.uml").ok_or("linux.uml is gone")?);
    command.args([
        "rootfstype=hostfs",
        "rootflags=/",
        "ro",
        "quiet",
        "con0=fd:0,fd:1",
        "con=null",
    ]);
    command.arg(format!("mem={memory_mb}M"));
    command.arg(format!("init={}", dir.join("bin/integration").display()));
    command.arg(format!("{DIR_WORD}={}", dir.display()));
    // It keeps the socket of its console under its home.
    command.env("HOME", dir);
    command.env("TMPDIR", memory_dir(memory_mb, dir));
    if let Some(library) = dir.parent().and_then(preload) {
        command.env("LD_PRELOAD", library);
    }
    Ok(command)
}

/// Prints what was added to `file` since the first `shown` bytes, whole lines only.
fn show_more(file: &Path, shown: usize) -> usize {
    let text = read_lossy(file);
    let new = text.get(shown..).unwrap_or_default();
    let whole = new.rfind('\n').map_or(0, |at| at + 1);
    print!("{}", new.get(..whole).unwrap_or_default());
    shown + whole
}
