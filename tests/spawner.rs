//! The helper process that runs scripts, for real: forked, signalled, bereft of vipd.
//!
//! Not a `#[test]` harness: that has threads, and a process with threads cannot be forked soundly. Run
//! with `--as-vipd` this program plays a vipd that can be killed.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test without a harness reports by itself"
)]

use std::io::{BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::Duration;

use vipd::config::model::Capabilities;
use vipd::kernel::clock;
use vipd::kernel::poll::{Interest, Poller};
use vipd::kernel::spawner::{AtEnd, Outcome, Request, Spawner};

/// Nothing takes this long, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("--as-vipd") => return as_vipd(),
        Some("--with-descriptor-9") => return with_descriptor_9(),
        _ => {}
    }
    let cases: [(&str, fn()); 4] = [
        (
            "the_helper_runs_programs_that_inherit_nothing",
            the_helper_runs_programs_that_inherit_nothing,
        ),
        (
            "signals_meant_for_vipd_do_not_end_the_helper",
            signals_meant_for_vipd_do_not_end_the_helper,
        ),
        (
            "when_vipd_is_killed_the_helper_and_the_checks_end",
            when_vipd_is_killed_the_helper_and_the_checks_end,
        ),
        (
            "when_the_helper_is_killed_the_checks_end_and_vipd_is_told",
            when_the_helper_is_killed_the_checks_end_and_vipd_is_told,
        ),
    ];
    for (name, case) in cases {
        case();
        println!("test {name} ... ok");
    }
}

fn the_helper_runs_programs_that_inherit_nothing() {
    // With a descriptor that every program would inherit if the helper did not close it.
    let with_descriptor = format!(
        "exec 9</dev/zero; exec {} --with-descriptor-9",
        this_program().display()
    );
    let status = Command::new("sh")
        .args(["-c", &with_descriptor])
        .status()
        .unwrap();
    assert!(status.success());
}

/// The other half of the case above.
fn with_descriptor_9() {
    assert!(std::fs::read_link("/proc/self/fd/9").is_ok());
    let [mut spawner] = Spawner::start().unwrap();
    let script = "for fd in 0 1 2; do
            test \"$(readlink /proc/$$/fd/$fd)\" = /dev/null || exit 10
        done
        test ! -e /proc/$$/fd/9";
    assert_eq!(run(&mut spawner, &["sh", "-c", script]), Outcome::Exited(0));
    assert_eq!(comm(spawner.pid()).as_deref(), Some("vipd-spawner"));
    let open = std::fs::read_dir(format!("/proc/{}/fd", spawner.pid())).unwrap();
    let others = open
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter(|target| target.as_os_str() != "/dev/null");
    assert_eq!(others.count(), 1, "its socket and nothing else");
}

fn signals_meant_for_vipd_do_not_end_the_helper() {
    let [mut spawner] = Spawner::start().unwrap();
    assert_eq!(run(&mut spawner, &["true"]), Outcome::Exited(0));
    for signal in ["TERM", "INT", "HUP", "USR1"] {
        kill(signal, spawner.pid());
    }
    assert_eq!(run(&mut spawner, &["true"]), Outcome::Exited(0));
    // Programs do not inherit that: they can be ended.
    let script = "grep -q '^SigBlk:[[:space:]]*0*$' /proc/self/status && kill -TERM $$";
    assert_eq!(
        run(&mut spawner, &["sh", "-c", script]),
        Outcome::Signaled(15)
    );
}

fn when_vipd_is_killed_the_helper_and_the_checks_end() {
    let mut vipd = Command::new(this_program())
        .arg("--as-vipd")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(vipd.stdout.take().unwrap()).lines();
    let mut number = || -> u32 { lines.next().unwrap().unwrap().parse().unwrap() };
    let (helper, check) = (number(), number());
    assert!(is_running(helper) && is_running(check));
    vipd.kill().unwrap();
    vipd.wait().unwrap();
    eventually("the helper ended", || !is_running(helper));
    eventually("the check ended", || !is_running(check));
}

fn when_the_helper_is_killed_the_checks_end_and_vipd_is_told() {
    let [mut spawner] = Spawner::start().unwrap();
    let check = start_check(&mut spawner);
    kill("KILL", spawner.pid());
    eventually("the check ended", || !is_running(check));
    let error = answer(&mut spawner).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    assert!(spawner.send(&request(&["true"])).is_err());
}

/// Starts the helper and a check, says their numbers, and waits to be killed.
fn as_vipd() {
    let [mut spawner] = Spawner::start().unwrap();
    let check = start_check(&mut spawner);
    println!("{}\n{check}", spawner.pid());
    let _ = std::io::stdin().read(&mut [0]);
}

/// A check that never ends; its process.
fn start_check(spawner: &mut Spawner) -> u32 {
    let helper = spawner.pid();
    spawner.send(&request(&["sleep", "600"])).unwrap();
    let children = format!("/proc/{helper}/task/{helper}/children");
    let mut found = None;
    eventually("the check started", || {
        let children = std::fs::read_to_string(&children).unwrap_or_default();
        found = children
            .split_whitespace()
            .filter_map(|child| child.parse().ok())
            .find(|child| comm(*child).as_deref() == Some("sleep"));
        found.is_some()
    });
    found.unwrap()
}

fn request(argv: &[&str]) -> Request {
    Request {
        id: 1,
        argv: argv.iter().map(|&word| word.to_owned()).collect(),
        user: None,
        caps: Capabilities::ALL,
        timeout: Some(PATIENCE),
        at_end: AtEnd::Kill,
    }
}

fn run(spawner: &mut Spawner, argv: &[&str]) -> Outcome {
    spawner.send(&request(argv)).unwrap();
    answer(spawner).unwrap()
}

fn answer(spawner: &mut Spawner) -> std::io::Result<Outcome> {
    let deadline = clock::now() + PATIENCE;
    let mut poller = Poller::new();
    loop {
        if let Some(finished) = spawner.try_recv()? {
            return Ok(finished.outcome);
        }
        assert!(clock::now() < deadline, "no answer");
        poller.clear();
        poller.watch(spawner.as_fd(), Interest::Read);
        poller.wait(Some(deadline)).unwrap();
    }
}

fn this_program() -> std::path::PathBuf {
    std::env::current_exe().unwrap()
}

fn comm(pid: u32) -> Option<String> {
    let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(comm.trim().to_owned())
}

/// Dead ones that nobody has waited for do not count.
fn is_running(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('Z'))
    })
}

fn kill(signal: &str, pid: u32) {
    let status = Command::new("kill")
        .args(["-s", signal, &pid.to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

fn eventually(what: &str, mut look: impl FnMut() -> bool) {
    let deadline = clock::now() + PATIENCE;
    while !look() {
        assert!(clock::now() < deadline, "never: {what}");
        let soon = clock::now() + Duration::from_millis(5);
        Poller::new().wait(Some(soon)).unwrap();
    }
}
