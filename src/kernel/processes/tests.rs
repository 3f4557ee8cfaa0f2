use super::*;
use std::process::{Child, Stdio};

/// A child that lives until it is dropped.
struct Sleeper(Child);

impl Sleeper {
    fn new() -> Sleeper {
        let mut sleep = std::process::Command::new("sleep");
        let child = sleep.arg("60").stdin(Stdio::null()).spawn().unwrap();
        Sleeper(child)
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_for(mut done: impl FnMut() -> bool) -> bool {
    let until = clock::now() + Duration::from_secs(5);
    while clock::now() < until {
        if done() {
            return true;
        }
        Poller::new()
            .wait(Some(clock::now() + Duration::from_millis(5)))
            .unwrap();
    }
    false
}

#[test]
fn a_process_is_known_by_name_and_command_line_until_it_ends() {
    let mut sleeper = Sleeper::new();
    let pid = sleeper.0.id();
    assert!(wait_for(
        || command(pid, 0).is_some_and(|c| c.comm == b"sleep")
    ));
    // It is there a moment after the name.
    let whole = b"sleep\x0060\0";
    assert!(wait_for(
        || command(pid, 100).is_some_and(|c| c.cmdline == whole)
    ));
    assert_eq!(command(pid, 3).unwrap().cmdline, b"sle");
    assert!(running(0).unwrap().contains_key(&pid));
    sleeper.kill();
    assert!(
        wait_for(|| command(pid, 0).is_none()),
        "though nobody waited for it"
    );
    assert!(!running(0).unwrap().contains_key(&pid));
}

#[test]
fn the_end_of_a_process_is_heard_by_its_descriptor() {
    let mut sleeper = Sleeper::new();
    let mut ends = Ends::default();
    ends.follow(&[sleeper.0.id(), u32::MAX].into());
    assert_eq!(ends.fds().count(), 1);
    let mut poller = Poller::new();
    let (_, fd) = ends.fds().next().unwrap();
    let slot = poller.watch(fd, Interest::Read);
    poller.wait(Some(clock::now())).unwrap();
    assert!(!poller.is_readable(slot));
    sleeper.kill();
    poller
        .wait(Some(clock::now() + Duration::from_secs(5)))
        .unwrap();
    assert!(poller.is_readable(slot));
    ends.follow(&BTreeSet::new());
    assert_eq!(ends.fds().count(), 0);
}

#[test]
fn a_name_may_have_anything_in_it() {
    assert_eq!(comm_of_living(b"7 (a) b) S 1 7"), Some(&b"a) b"[..]));
    assert_eq!(comm_of_living(b"7 (a) Z 1 7"), None);
    for broken in [&b""[..], b"7 (a", b"7 (a)", b"7 )a( S"] {
        assert_eq!(comm_of_living(broken), None);
    }
}

/// A datagram as the kernel sends it.
fn datagram(what: u32, data: &[u32]) -> Vec<u8> {
    let mut bytes = vec![0; 16];
    let words = [1, 1, 0, 0, 0, what, 0, 0, 0];
    for word in words.iter().chain(data) {
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    bytes
}

#[test]
fn datagrams_of_processes_are_understood_and_those_of_threads_left_out() {
    let event = |what, data: &[u32]| match parse(&datagram(what, data)) {
        Some(Told::Event(event)) => Some(event),
        _ => None,
    };
    let (parent, child) = (5, 7);
    assert_eq!(
        event(1, &[6, 5, 7, 7]),
        Some(ProcessEvent::Forked { parent, child })
    );
    assert_eq!(event(1, &[5, 5, 7, 5]), None, "a thread");
    let command = None;
    assert_eq!(
        event(2, &[7, 7]),
        Some(ProcessEvent::Executed { pid: 7, command })
    );
    assert_eq!(
        event(0x8000_0000, &[7, 7, 0, 0]),
        Some(ProcessEvent::Exited { pid: 7 })
    );
    assert_eq!(event(0x8000_0000, &[8, 7, 0, 0]), None, "a thread");
    let name = [b"mail", b"er\0\0"].map(|word| u32::from_ne_bytes(*word));
    let renamed = ProcessEvent::Renamed {
        pid: 7,
        comm: b"mailer".to_vec(),
    };
    assert_eq!(event(0x200, &[7, 7, name[0], name[1], 0, 0]), Some(renamed));
    assert_eq!(parse(&datagram(0, &[0])), Some(Told::Listening));
    assert_eq!(parse(&datagram(4, &[7, 7])), None);
    for length in 0..datagram(1, &[6, 5, 7]).len() {
        assert_eq!(parse(&datagram(1, &[6, 5, 7, 7])[..length]), None);
    }
}

#[test]
fn the_connector_tells_of_a_program_and_its_end_where_there_is_one() {
    let Ok(mut connector) = Connector::open(None) else {
        return; // no right to it, or none here
    };
    let mut sleeper = Sleeper::new();
    let pid = sleeper.0.id();
    let mut hears = |wanted: ProcessEvent| {
        wait_for(|| {
            while let Some(told) = connector.next().unwrap() {
                if told == Told::Event(wanted.clone()) {
                    return true;
                }
            }
            false
        })
    };
    let command = None;
    assert!(hears(ProcessEvent::Executed { pid, command }));
    sleeper.kill();
    assert!(hears(ProcessEvent::Exited { pid }));
}
