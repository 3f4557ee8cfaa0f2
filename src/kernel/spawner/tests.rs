//! The helper's loop over a real socket and real programs, on a thread of the test: a test harness has
//! threads, and a process with threads cannot be forked soundly. The fork itself, and what becomes of
//! programs when vipd dies, is tested by `tests/spawner.rs`, a program with a single thread.

use std::path::PathBuf;
use std::thread::JoinHandle;

use super::*;
use crate::config::model::{Capabilities, ScriptUser};
use crate::kernel::clock;
use crate::kernel::poll::{Interest, Poller};

/// No answer takes this long, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct Helper {
    spawner: Option<Spawner>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Helper {
    fn start() -> Helper {
        Helper::start_with(|_| ())
    }

    fn start_with(change: impl FnOnce(&mut serve::Server)) -> Helper {
        let (ours, theirs) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None).unwrap();
        let mut server = serve::Server::new(vec![theirs]).unwrap();
        change(&mut server);
        Helper {
            spawner: Some(Spawner::over(ours, std::process::id()).unwrap()),
            thread: Some(std::thread::spawn(|| server.run())),
        }
    }

    fn send(&mut self, request: &Request) {
        self.spawner.as_mut().unwrap().send(request).unwrap();
    }

    fn answer(&mut self) -> Finished {
        let spawner = self.spawner.as_mut().unwrap();
        let deadline = clock::now() + PATIENCE;
        let mut poller = Poller::new();
        loop {
            if let Some(finished) = spawner.try_recv().unwrap() {
                return finished;
            }
            assert!(clock::now() < deadline, "no answer");
            poller.clear();
            poller.watch(spawner.as_fd(), Interest::Read);
            poller.wait(Some(deadline)).unwrap();
        }
    }

    fn run(&mut self, argv: &[&str]) -> Outcome {
        self.send(&request(7, argv));
        let finished = self.answer();
        assert_eq!(finished.id, 7);
        finished.outcome
    }

    /// What vipd's death is to the helper; returns when the helper has ended.
    fn vipd_dies(mut self) {
        self.spawner.take();
        self.thread.take().unwrap().join().unwrap().unwrap();
    }
}

fn request(id: u64, argv: &[&str]) -> Request {
    Request {
        id,
        argv: argv.iter().map(|&word| word.to_owned()).collect(),
        user: None,
        caps: Capabilities::ALL,
        timeout: Some(PATIENCE),
        at_end: AtEnd::Kill,
    }
}

/// A script that writes its number where the test can read it, then does the rest.
struct Script {
    path: PathBuf,
    text: String,
}

impl Script {
    fn new(name: &str, rest: &str) -> Script {
        let path = std::env::temp_dir().join(format!("vipd-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let shown = path.display();
        let text = format!("echo $$ > {shown}.new; mv {shown}.new {shown}; {rest}");
        Script { path, text }
    }

    fn argv(&self) -> [&str; 3] {
        ["sh", "-c", &self.text]
    }

    /// Waits until it runs.
    fn pid(&self) -> u32 {
        eventually("the script started", || {
            std::fs::read_to_string(&self.path)
                .ok()?
                .trim()
                .parse()
                .ok()
        })
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = clock::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(clock::now() < deadline, "never: {what}");
        let soon = clock::now() + Duration::from_millis(5);
        Poller::new().wait(Some(soon)).unwrap();
    }
}

/// Whether no process of the group is left but dead ones that nobody has waited for.
fn group_is_gone(group: u32) -> bool {
    let members = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let stat = std::fs::read_to_string(entry.ok()?.path().join("stat")).ok()?;
        let (_, after_name) = stat.rsplit_once(") ")?;
        let mut words = after_name.split(' ');
        let state = words.next()?.to_owned();
        let of: u32 = words.nth(1)?.parse().ok()?;
        (of == group).then_some(state)
    });
    members.filter(|state| state != "Z").count() == 0
}

#[test]
fn the_status_of_a_program_is_its_answer() {
    let mut helper = Helper::start();
    assert_eq!(helper.run(&["/bin/true"]), Outcome::Exited(0));
    assert_eq!(helper.run(&["/bin/false"]), Outcome::Exited(1));
    assert_eq!(helper.run(&["true"]), Outcome::Exited(0), "by PATH");
    assert_eq!(helper.run(&["sh", "-c", "exit 255"]), Outcome::Exited(255));
    assert_eq!(
        helper.run(&["sh", "-c", "kill -9 $$"]),
        Outcome::Signaled(9)
    );
}

#[test]
fn arguments_reach_the_program_as_they_are_and_no_shell_sees_them() {
    let mut helper = Helper::start();
    let script =
        "test \"$#\" = 3 && test \"$1\" = 'a b' && test \"$2\" = '' && test \"$3\" = '$HOME;*'";
    let argv = ["sh", "-c", script, "name", "a b", "", "$HOME;*"];
    assert_eq!(helper.run(&argv), Outcome::Exited(0));
}

#[test]
fn a_program_runs_in_the_root_directory_and_talks_to_dev_null() {
    let mut helper = Helper::start();
    let script = "test \"$(pwd)\" = / || exit 10
        for fd in 0 1 2; do
            test \"$(readlink /proc/$$/fd/$fd)\" = /dev/null || exit 2$fd
        done";
    assert_eq!(helper.run(&["sh", "-c", script]), Outcome::Exited(0));
}

#[test]
fn a_program_that_does_not_exist_is_named() {
    let mut helper = Helper::start();
    let Outcome::NotStarted { errno, what } = helper.run(&["/no/such/program", "x"]) else {
        panic!("it ran");
    };
    assert_eq!(errno, Some(Errno(libc::ENOENT)));
    assert_eq!(
        what,
        "run /no/such/program: no such file or directory (ENOENT)"
    );
}

#[test]
fn a_user_that_does_not_exist_is_named_and_nothing_runs() {
    let mut helper = Helper::start();
    let script = Script::new("user", "true");
    let mut request = request(1, &script.argv());
    request.user = Some(ScriptUser {
        user: "no-such-user-here".to_owned(),
        group: None,
    });
    helper.send(&request);
    let Outcome::NotStarted { what, .. } = helper.answer().outcome else {
        panic!("it ran");
    };
    assert_eq!(what, "run sh: user no-such-user-here does not exist");
    assert_eq!(helper.run(&["true"]), Outcome::Exited(0));
    assert!(!script.path.exists());
}

#[test]
fn a_program_that_takes_too_long_is_ended_with_its_whole_group() {
    let mut helper = Helper::start();
    let script = Script::new("slow", "sleep 600 & sleep 600");
    let mut request = request(3, &script.argv());
    request.timeout = Some(Duration::from_millis(200));
    helper.send(&request);
    assert_eq!(helper.answer().outcome, Outcome::TimedOut);
    // With a busy machine the time may be over before the shell has begun.
    if let Ok(pid) = std::fs::read_to_string(&script.path) {
        let group = pid.trim().parse().unwrap();
        eventually("the group ended", || group_is_gone(group).then_some(()));
    }
    assert_eq!(helper.run(&["true"]), Outcome::Exited(0), "one answer only");
}

#[test]
fn a_group_that_ignores_sigterm_is_killed() {
    let mut helper = Helper::start();
    let script = Script::new("deaf", "trap '' TERM; while :; do sleep 1; done");
    let mut request = request(4, &script.argv());
    // Long enough that it has started even on a machine that is busy with other things.
    request.timeout = Some(Duration::from_secs(8));
    helper.send(&request);
    let group = script.pid();
    assert_eq!(helper.answer().outcome, Outcome::TimedOut);
    eventually("the group was killed", || {
        group_is_gone(group).then_some(())
    });
}

#[test]
fn there_are_never_two_of_one_program_while_the_first_is_being_ended() {
    let mut helper = Helper::start();
    let script = Script::new("deaf-twice", "trap '' TERM; while :; do sleep 1; done");
    let mut request = request(4, &script.argv());
    request.timeout = Some(Duration::from_secs(8));
    helper.send(&request);
    let group = script.pid();
    assert_eq!(helper.answer().outcome, Outcome::TimedOut);
    // It has two seconds now, and uses them.
    std::fs::remove_file(&script.path).unwrap();
    helper.send(&request);
    assert_eq!(helper.answer().outcome, Outcome::TimedOut);
    assert!(!group_is_gone(group) && !script.path.exists());
    assert_eq!(helper.run(&["true"]), Outcome::Exited(0), "others run");
    eventually("the group was killed", || {
        group_is_gone(group).then_some(())
    });
    helper.send(&request);
    let second = script.pid();
    assert_ne!(second, group, "it runs again");
    process::kill_group(second, process::KillSignal::Kill);
}

#[test]
fn a_script_without_an_interpreter_is_the_shells() {
    let mut helper = Helper::start();
    let script = Script::new("no-interpreter", "");
    std::fs::write(&script.path, "test \"$1\" = 'a b' && exit 5\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script.path, mode).unwrap();
    let path = script.path.to_str().unwrap();
    assert_eq!(helper.run(&[path, "a b"]), Outcome::Exited(5));
}

/// What a program of root's has and could get, by its own word.
#[test]
fn script_caps_bound_what_root_may_do() {
    if process::effective_uid() != 0 {
        return;
    }
    let mut helper = Helper::start();
    let script = "grep -q '^CapEff:.*0000000000003000$' /proc/self/status &&
        grep -q '^CapBnd:.*0000000000003000$' /proc/self/status";
    let mut request = request(5, &["sh", "-c", script]);
    let some = Capabilities::NONE.with("cap_net_admin").unwrap();
    request.caps = some.with("NET_RAW").unwrap();
    helper.send(&request);
    assert_eq!(helper.answer().outcome, Outcome::Exited(0));
    request.caps = Capabilities::ALL;
    helper.send(&request);
    assert_eq!(helper.answer().outcome, Outcome::Exited(1), "it has all");
    assert_eq!(Capabilities::NONE.with("net_magic"), None);
}

#[test]
fn finished_means_the_program_ended_not_that_its_descriptors_were_closed() {
    let mut helper = Helper::start();
    let script = Script::new("daemon", "sleep 600 & exit 3");
    let outcome = helper.run(&script.argv());
    assert_eq!(outcome, Outcome::Exited(3));
    let group = script.pid();
    assert!(!group_is_gone(group), "what it started goes on");
    crate::kernel::sys::process::kill_group(group, process::KillSignal::Kill);
}

#[test]
fn when_vipd_is_gone_checks_end_and_notifications_run_on() {
    let mut helper = Helper::start();
    let check = Script::new("check", "sleep 600 & sleep 600");
    let notification = Script::new("notification", "sleep 600");
    helper.send(&request(1, &check.argv()));
    let mut left = request(2, &notification.argv());
    left.at_end = AtEnd::Leave;
    left.timeout = None;
    helper.send(&left);
    let (check, notification) = (check.pid(), notification.pid());
    helper.vipd_dies();
    eventually("the check was ended", || group_is_gone(check).then_some(()));
    assert!(!group_is_gone(notification));
    process::kill_group(notification, process::KillSignal::Kill);
}

#[test]
fn many_programs_at_once_are_each_answered_once() {
    let mut helper = Helper::start();
    for id in 0..40 {
        helper.send(&request(id, &["sh", "-c", "exit 5"]));
    }
    let mut left: std::collections::BTreeSet<u64> = (0..40).collect();
    while !left.is_empty() {
        let finished = helper.answer();
        assert_eq!(finished.outcome, Outcome::Exited(5));
        assert!(left.remove(&finished.id), "answered twice");
    }
}

#[test]
fn one_program_too_many_is_refused_and_room_is_made_by_those_that_end() {
    let mut helper = Helper::start_with(|server| server.children_max = 2);
    let first = Script::new("first", "sleep 600");
    helper.send(&request(1, &first.argv()));
    helper.send(&request(2, &["sleep", "600"]));
    helper.send(&request(3, &["true"]));
    let refused = helper.answer();
    assert_eq!(refused.id, 3);
    assert_eq!(refused.outcome.to_string(), "2 scripts are running already");
    process::kill_group(first.pid(), process::KillSignal::Kill);
    assert_eq!(helper.answer().outcome, Outcome::Signaled(libc::SIGKILL));
    assert_eq!(helper.run(&["true"]), Outcome::Exited(0));
}

#[test]
fn a_request_that_no_message_can_hold_is_refused_and_counted() {
    let mut helper = Helper::start();
    let spawner = helper.spawner.as_mut().unwrap();
    let long = "x".repeat(REQUEST_MAX);
    let refused = spawner.send(&request(1, &["true", &long]));
    assert!(matches!(refused, Err(SendError::TooLong { .. })));
    assert!(matches!(
        spawner.send(&request(1, &[])),
        Err(SendError::Empty)
    ));
    assert_eq!(spawner.refused(), 2);
    let nearly = "x".repeat(REQUEST_MAX - 100);
    assert_eq!(helper.run(&["true", &nearly]), Outcome::Exited(0));
}

#[test]
fn a_full_socket_is_an_error_and_no_wait() {
    // Nobody reads at the other end.
    let (ours, theirs) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None).unwrap();
    let mut spawner = Spawner::over(ours, 0).unwrap();
    let full = (0..100_000).find_map(|id| spawner.send(&request(id, &["true"])).err());
    assert!(matches!(full, Some(SendError::Full)));
    assert_eq!(spawner.refused(), 1);
    drop(theirs);
    let gone = spawner.send(&request(1, &["true"]));
    assert!(matches!(gone, Err(SendError::Gone(_))));
    assert!(spawner.try_recv().is_err());
}

#[test]
fn each_end_gets_its_own_answers_and_one_that_closes_leaves_the_others() {
    let pair = || Socket::pair(Domain::UNIX, Type::SEQPACKET, None).unwrap();
    let ((first, a), (second, b)) = (pair(), pair());
    let server = serve::Server::new(vec![a, b]).unwrap();
    let thread = std::thread::spawn(|| server.run());
    let mut helper = Helper {
        spawner: Some(Spawner::over(first, 0).unwrap()),
        thread: Some(thread),
    };
    let mut other = Spawner::over(second, 0).unwrap();
    other
        .send(&request(1, &["/bin/sh", "-c", "exit 3"]))
        .unwrap();
    assert_eq!(helper.run(&["/bin/sh", "-c", "exit 4"]), Outcome::Exited(4));
    drop(other);
    assert_eq!(helper.run(&["/bin/sh", "-c", "exit 5"]), Outcome::Exited(5));
}
