use std::time::Duration;

use crate::config::model::{Checker, CheckerKind, ConnectOptions};
use crate::health::{CheckOutcome, ProbeId, Status};
use crate::net::Endpoint;
use crate::time::Time;

use super::{Monitor, Output};

fn checker(port: u16) -> Checker {
    Checker {
        kind: CheckerKind::Tcp(ConnectOptions {
            destination: Endpoint::new([10, 1, 0, 1].into(), port),
            bind_to: None,
            bind_port: 0,
            bind_if: None,
            mark: None,
            connect_timeout: Duration::from_secs(5),
        }),
        delay_loop: Duration::from_secs(10),
        retry: 1,
        delay_before_retry: Duration::from_secs(1),
        warmup: Duration::ZERO,
        alpha: false,
        log_all_failures: false,
    }
}

fn at(seconds: u64) -> Time {
    Time::from_millis(seconds * 1000)
}

fn failed() -> CheckOutcome {
    CheckOutcome::Failed("no".to_owned())
}

fn monitor(servers: &[(u8, &[Checker])]) -> Monitor<u8> {
    let mut monitor = Monitor::new(1);
    assert_eq!(monitor.configure(servers.iter().copied(), at(0)), []);
    monitor
}

/// Starts everything that is due and gives the ids.
fn start(monitor: &mut Monitor<u8>, now: Time) -> Vec<u64> {
    let out = monitor.timer(now).into_iter();
    out.map(|o| match o {
        Output::Start(ProbeId(id), _) => id,
        other => panic!("{other:?}"),
    })
    .collect()
}

fn changes(out: Vec<Output<u8>>) -> Vec<(u8, Status)> {
    let changed = out.into_iter().filter_map(|o| match o {
        Output::Changed { server, status } => Some((server, status)),
        _ => None,
    });
    changed.collect()
}

#[test]
fn a_server_is_down_at_its_first_failed_check_and_up_when_none_fails() {
    let mut m = monitor(&[(7, &[checker(80), checker(81)])]);
    assert_eq!(m.next_deadline(), Some(at(1)));
    assert_eq!(start(&mut m, at(1)), [0, 1]);
    assert_eq!(m.next_deadline(), None);
    let out = m.finished(ProbeId(0), failed(), at(1));
    assert_eq!(changes(out), [(7, Status::Down)]);
    assert_eq!(changes(m.finished(ProbeId(1), failed(), at(1))), []);
    assert_eq!(start(&mut m, at(11)), [0, 1]);
    let out = m.finished(ProbeId(0), CheckOutcome::Passed, at(11));
    assert_eq!(changes(out), []);
    assert_eq!(m.status(&7), Status::Down);
    let out = m.finished(ProbeId(1), CheckOutcome::Passed, at(11));
    assert_eq!(changes(out), [(7, Status::Up)]);
}

#[test]
fn a_server_without_checks_is_up() {
    let mut m = monitor(&[(7, &[])]);
    assert!(!m.assume_down(7, at(0)));
    assert_eq!(m.status(&7), Status::Up);
    assert_eq!(m.next_deadline(), None);
}

#[test]
fn reload_keeps_what_is_known_of_equal_checks_even_one_that_runs() {
    let mut m = monitor(&[(1, &[checker(80)]), (2, &[checker(80)])]);
    start(&mut m, at(1));
    m.finished(ProbeId(0), failed(), at(1));
    let again = [checker(80)];
    assert_eq!(m.configure([(2, &again[..]), (1, &again[..])], at(2)), []);
    assert_eq!(m.status(&1), Status::Down);
    // Server 1 is asked again when it would have been; the check of server 2 still runs.
    assert_eq!(m.next_deadline(), Some(at(11)));
    let out = m.finished(ProbeId(1), failed(), at(3));
    assert_eq!(changes(out), [(2, Status::Down)]);
    assert_eq!(start(&mut m, at(13)), [0, 1]);
}

#[test]
fn a_failed_server_with_a_new_check_stays_down_until_that_has_passed() {
    let mut m = monitor(&[(1, &[checker(80)])]);
    start(&mut m, at(1));
    m.finished(ProbeId(0), failed(), at(1));
    let slow = Checker {
        warmup: Duration::from_secs(1000),
        ..checker(81)
    };
    m.configure([(1, &[slow][..])], at(2));
    assert_eq!(m.status(&1), Status::Down);
    assert_eq!(start(&mut m, at(3)), [1]);
    let out = m.finished(ProbeId(1), CheckOutcome::Passed, at(3));
    assert_eq!(changes(out), [(1, Status::Up)]);
}

#[test]
fn the_running_check_of_a_server_that_left_is_cancelled_and_its_answer_ignored() {
    let mut m = monitor(&[(1, &[checker(80)]), (2, &[checker(80)])]);
    start(&mut m, at(1));
    m.finished(ProbeId(1), CheckOutcome::Passed, at(1));
    assert_eq!(m.configure([], at(2)), [Output::Cancel(ProbeId(0))]);
    assert_eq!(m.finished(ProbeId(0), failed(), at(3)), []);
    assert_eq!(m.next_deadline(), None);
}

#[test]
fn first_checks_are_spread_over_warmup_by_the_seed() {
    let slow = [Checker {
        warmup: Duration::from_secs(60),
        ..checker(80)
    }];
    let first = |seed| {
        let mut m = Monitor::new(seed);
        m.configure((0..100u8).map(|k| (k, &slow[..])), at(0));
        m.next_deadline()
    };
    assert_eq!(first(5), first(5));
    assert_ne!(first(5), first(6));
    assert!(first(5) >= Some(at(1)));
    assert!(first(5) < Some(at(10)));
}
