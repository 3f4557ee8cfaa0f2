use super::files::PAUSE;
use super::*;
use crate::config::model::{
    FileWeight, InitFile, Instance, ParamMatch, TrackedFile, TrackedProcess, Weight,
};
use crate::kernel::clock;
use crate::kernel::poll::{Interest, Poller};
use crate::time::Time;
use crate::units::Vrid;
use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

struct Bench {
    trackers: Trackers,
    facts: Facts,
    waker: Waker,
    dir: PathBuf,
}

impl Bench {
    fn new(name: &str) -> Bench {
        let dir = std::env::temp_dir().join(format!("vipd-{name}-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        let (waker, facts) = (Waker::new().unwrap(), Facts::default());
        Bench {
            trackers: Trackers::new(facts.clone(), waker.clone(), None),
            facts,
            waker,
            dir,
        }
    }

    /// The next facts that are told, within this time.
    fn next(&mut self, within: Duration) -> Vec<FactValue> {
        let until: Time = clock::now() + within;
        let mut poller = Poller::new();
        while clock::now() < until {
            self.waker.drain();
            let facts = self.facts.take();
            if !facts.is_empty() {
                return facts.into_values().collect();
            }
            poller.clear();
            poller.watch(self.waker.as_fd(), Interest::Read);
            poller.wait(Some(until)).unwrap();
        }
        Vec::new()
    }

    fn number(&mut self) -> Option<i32> {
        match self.next(Duration::from_secs(5)).as_slice() {
            [FactValue::Number(number)] => Some(*number),
            _ => None,
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn instance() -> Instance {
    Instance::new("VI", "eth0".parse().unwrap(), Vrid::new(1).unwrap())
}

fn file(path: &Path, init: Option<InitFile>) -> Config {
    let file = TrackFile {
        name: "load".into(),
        path: path.to_str().unwrap().into(),
        weight: FileWeight::DEFAULT,
        init,
    };
    let mut instance = instance();
    instance.more.track_files = vec![TrackedFile {
        file: "load".into(),
        weight: FileWeight::DEFAULT,
    }];
    Config {
        track_files: [("load".to_owned(), file)].into(),
        instances: vec![instance.into()],
        ..Config::default()
    }
}

#[test]
fn a_file_is_heard_of_as_it_comes_changes_is_replaced_and_goes() {
    let mut bench = Bench::new("file");
    let path = bench.dir.join("load");
    bench.trackers.watch(&file(&path, None), true).unwrap();
    assert_eq!(bench.number(), Some(0), "it is not there");
    fs::write(&path, "5\n").unwrap();
    assert_eq!(bench.number(), Some(5));
    fs::write(bench.dir.join("new"), "-7\n").unwrap();
    fs::rename(bench.dir.join("new"), &path).unwrap();
    assert_eq!(bench.number(), Some(-7));
    fs::remove_file(&path).unwrap();
    assert_eq!(bench.number(), Some(0));
    fs::write(&path, "9").unwrap();
    assert_eq!(bench.number(), Some(9));
    fs::remove_dir_all(&bench.dir).unwrap();
    assert_eq!(bench.number(), Some(0), "with its directory");
    fs::create_dir(&bench.dir).unwrap();
    fs::write(&path, "4").unwrap();
    assert_eq!(bench.number(), Some(4), "and there again");
}

#[test]
fn a_link_is_followed_to_where_it_leads_now() {
    let mut bench = Bench::new("link");
    let path = bench.dir.join("load");
    for (number, at) in [(1, "one"), (2, "two")] {
        let dir = bench.dir.join(at);
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("value"), number.to_string()).unwrap();
    }
    std::os::unix::fs::symlink("one/value", &path).unwrap();
    bench.trackers.watch(&file(&path, None), true).unwrap();
    assert_eq!(bench.number(), Some(1));
    fs::write(bench.dir.join("one/value"), "11").unwrap();
    assert_eq!(bench.number(), Some(11));
    std::os::unix::fs::symlink("two/value", bench.dir.join("next")).unwrap();
    fs::rename(bench.dir.join("next"), &path).unwrap();
    assert_eq!(bench.number(), Some(2));
    fs::write(bench.dir.join("two/value"), "22").unwrap();
    assert_eq!(bench.number(), Some(22));
}

#[test]
fn what_is_no_regular_file_is_not_opened_and_says_0() {
    let mut bench = Bench::new("fifo");
    let path = bench.dir.join("load");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    bench.trackers.watch(&file(&path, None), true).unwrap();
    assert_eq!(bench.number(), Some(0));
}

#[test]
fn init_file_makes_the_file_and_writes_over_it_only_when_asked_to() {
    let mut bench = Bench::new("init");
    let path = bench.dir.join("load");
    let init = |value, overwrite| Some(InitFile { value, overwrite });
    let mut watch = |init, fresh| {
        // A daemon that starts.
        bench.trackers = Trackers::new(bench.facts.clone(), bench.waker.clone(), None);
        bench.trackers.watch(&file(&path, init), fresh).unwrap();
        bench.number()
    };
    assert_eq!(watch(init(3, false), true), Some(3));
    assert_eq!(watch(init(4, false), true), Some(3));
    assert_eq!(watch(init(5, true), false), Some(3), "not with a reload");
    assert_eq!(watch(init(5, true), true), Some(5));
    assert_eq!(fs::read_to_string(&path).unwrap(), "5\n");
}

#[test]
fn a_file_that_is_written_all_the_time_is_not_told_all_the_time() {
    let mut bench = Bench::new("storm");
    let path = bench.dir.join("load");
    bench.trackers.watch(&file(&path, None), true).unwrap();
    bench.number();
    let until = clock::now() + Duration::from_millis(300);
    let storm = std::thread::spawn(move || {
        let mut written = 0;
        while clock::now() < until {
            written += 1;
            fs::write(&path, written.to_string()).unwrap();
        }
        written
    });
    let began = clock::now();
    let (mut told, mut last) = (0, None);
    while !storm.is_finished() {
        if let Some(number) = bench.number_within(Duration::from_millis(100)) {
            (told, last) = (told + 1, Some(number));
        }
    }
    let written = storm.join().unwrap();
    while last != Some(written) {
        last = Some(bench.number().expect("the last one is told"));
        told += 1;
    }
    let pauses = clock::now().since(began).as_millis() / PAUSE.as_millis();
    assert!(told <= pauses + 2, "{told} of {written} in {pauses} pauses");
}

impl Bench {
    fn number_within(&mut self, time: Duration) -> Option<i32> {
        match self.next(time).as_slice() {
            [FactValue::Number(number)] => Some(*number),
            _ => None,
        }
    }
}

fn sleeper(seconds: &str) -> Config {
    let argv = vec!["sleep".to_owned(), seconds.to_owned()];
    let process = TrackProcess {
        name: "sleeper".into(),
        argv,
        param_match: Some(ParamMatch::Exact),
        weight: Weight::Fault,
        quorum: 1,
        quorum_max: None,
        fork_delay: Duration::ZERO,
        terminate_delay: Duration::ZERO,
        full_command: true,
    };
    let mut instance = instance();
    instance.more.track_processes = vec![TrackedProcess {
        process: "sleeper".into(),
        weight: Weight::Fault,
    }];
    Config {
        instances: vec![instance.into()],
        track_processes: [("sleeper".to_owned(), process)].into(),
        ..Config::default()
    }
}

fn sleep(seconds: &str) -> std::process::Child {
    let mut sleep = std::process::Command::new("sleep");
    sleep.arg(seconds).stdin(Stdio::null()).spawn().unwrap()
}

#[test]
fn a_process_is_heard_of_as_it_begins_and_ends() {
    let mut bench = Bench::new("process");
    bench.trackers.watch(&sleeper("61.25"), true).unwrap();
    let limit = Duration::from_secs(10);
    assert_eq!(bench.next(limit), [FactValue::Down]);
    let mut child = sleep("61.25");
    let up = bench.next(limit);
    let _ = child.kill();
    let down = bench.next(limit);
    let _ = child.wait();
    assert_eq!(up, [FactValue::Up]);
    assert_eq!(down, [FactValue::Down]);
}

#[test]
fn a_process_that_begins_and_ends_all_the_time_is_not_told_all_the_time() {
    let mut bench = Bench::new("fork-storm");
    bench.trackers.watch(&sleeper("0.00025"), true).unwrap();
    assert_eq!(bench.next(Duration::from_secs(10)), [FactValue::Down]);
    let until = clock::now() + Duration::from_millis(500);
    let storm = std::thread::spawn(move || {
        let mut run = 0;
        while clock::now() < until {
            let _ = sleep("0.00025").wait();
            run += 1;
        }
        run
    });
    let began = clock::now();
    let mut told = 0;
    while !storm.is_finished() {
        told += bench.next(Duration::from_millis(100)).len();
    }
    let pauses = clock::now().since(began).as_millis() / processes::PAUSE.as_millis();
    let run = storm.join().unwrap();
    let told = u128::try_from(told).unwrap();
    assert!(told <= pauses + 2, "{told} of {run} in {pauses} pauses");
}

#[test]
fn files_that_checks_ask_for_are_told_to_them_and_watched_once() {
    let mut bench = Bench::new("checked");
    let path = bench.dir.join("f");
    fs::write(&path, "3").unwrap();
    let text = format!(
        "track_file f {{\n file {}\n}}\ntrack_file unused {{\n file /dev/null\n}}\n\
         virtual_server 192.0.2.1 80 {{\n lb_algo rr\n lb_kind NAT\n protocol TCP\n\
         real_server 192.0.2.2 80 {{\n FILE_CHECK {{\n track_file f\n }}\n }}\n}}\n",
        path.display()
    );
    let conf = bench.dir.join("conf");
    fs::write(&conf, text).unwrap();
    let files = crate::daemon::files::Disk;
    let loaded = crate::config::load(&conf, &files, &crate::config::Options::default());
    let config = loaded.config.expect("a good file");
    let files = bench.trackers.files();
    bench.trackers.watch(&config, true).unwrap();
    assert_eq!(bench.number(), Some(3));
    let known = files.borrow().clone();
    assert_eq!(known, [("f".to_owned(), FactValue::Number(3))].into());
    // A file that nobody asks for any more is not known.
    bench.trackers.watch(&Config::default(), false).unwrap();
    assert!(files.borrow().is_empty());
}
