use std::sync::Arc;
use std::time::Duration;

use crate::config::model::{
    Checker, CheckerKind, ConnectOptions, HttpCheck, HttpProtocol, HttpScheme, HttpUrl, Shared,
};
use crate::health::{CheckOutcome, ProbeId, Status, Weighing};
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
    assert_eq!(configure(&mut monitor, servers, at(0)), []);
    monitor
}

fn configure(
    monitor: &mut Monitor<u8>,
    servers: &[(u8, &[Checker])],
    now: Time,
) -> Vec<Output<u8>> {
    let shared = |checkers: &[Checker]| checkers.iter().cloned().map(Shared::from).collect();
    let servers: Vec<(u8, Vec<Shared<Checker>>)> =
        servers.iter().map(|(k, c)| (*k, shared(c))).collect();
    monitor.configure(servers.iter().map(|(k, c)| (*k, &c[..])), now)
}

/// Starts everything that is due and gives the ports that are asked, each with its probe.
fn start(monitor: &mut Monitor<u8>, now: Time) -> Vec<(u16, ProbeId)> {
    let out = monitor.timer(now).into_iter();
    out.map(|o| match o {
        Output::Start(probe, question) => (question.kind().destination().unwrap().port, probe),
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
    let [(80, a), (81, b)] = start(&mut m, at(1))[..] else {
        panic!("both are asked");
    };
    assert_eq!(m.next_deadline(), None);
    let out = m.finished(a, failed(), at(1));
    assert_eq!(changes(out), [(7, Status::Down)]);
    assert_eq!(changes(m.finished(b, failed(), at(1))), []);
    let [(80, a), (81, b)] = start(&mut m, at(11))[..] else {
        panic!("both are asked again");
    };
    let out = m.finished(a, CheckOutcome::Passed, at(11));
    assert_eq!(changes(out), []);
    assert_eq!(m.status(&7), Status::Down);
    let out = m.finished(b, CheckOutcome::Passed, at(11));
    assert_eq!(changes(out), [(7, Status::Up)]);
}

#[test]
fn checks_whose_times_are_next_to_each_other_begin_together_and_none_begins_alone_before_its_time()
{
    let mut m = monitor(&[
        (1, &[checker(80)]),
        (2, &[checker(81)]),
        (3, &[checker(82)]),
    ]);
    let probes = start(&mut m, at(1));
    for ((_, probe), millis) in probes.into_iter().zip([1000, 1009, 1025]) {
        let out = m.finished(probe, CheckOutcome::Passed, Time::from_millis(millis));
        assert_eq!(changes(out), []);
    }
    assert_eq!(m.next_deadline(), Some(at(11)));
    assert_eq!(start(&mut m, Time::from_millis(10_980)), []);
    let ports: Vec<u16> = start(&mut m, at(11))
        .iter()
        .map(|(port, _)| *port)
        .collect();
    assert_eq!(ports, [80, 81]);
    assert_eq!(m.next_deadline(), Some(Time::from_millis(11_025)));
}

#[test]
fn a_server_without_checks_is_up() {
    let mut m = monitor(&[(7, &[])]);
    assert!(!m.assume_down(7, at(0)));
    assert_eq!(m.status(&7), Status::Up);
    assert_eq!(m.next_deadline(), None);
}

#[test]
fn servers_that_are_asked_the_same_share_a_probe_and_its_answer() {
    let slow = [Checker {
        warmup: Duration::from_secs(60),
        ..checker(80)
    }];
    let all: Vec<_> = (0..100u8).map(|server| (server, &slow[..])).collect();
    let mut m = monitor(&all);
    let mut probes = 0;
    for second in 1..=120 {
        for (_, probe) in start(&mut m, at(second)) {
            probes += 1;
            let out = m.finished(probe, CheckOutcome::Passed, at(second));
            assert_eq!(out.len(), 100, "everybody has the answer");
        }
    }
    assert!(
        (7..=12).contains(&probes),
        "{probes} probes in 120 s, every 10 s"
    );
}

#[test]
fn each_server_has_its_own_retries_and_they_meet_again() {
    let patient = [Checker {
        retry: 3,
        ..checker(80)
    }];
    let mut m = monitor(&[(1, &[checker(80)]), (2, &patient)]);
    // One passes, so that a single failure does not count.
    let probes = start(&mut m, at(1));
    assert_eq!(probes.len(), 1);
    m.finished(probes[0].1, CheckOutcome::Passed, at(1));
    let mut down = Vec::new();
    for (second, passes) in [(11, false), (12, false), (13, false), (14, true)] {
        for (_, probe) in start(&mut m, at(second)) {
            let outcome = if passes {
                CheckOutcome::Passed
            } else {
                failed()
            };
            down.extend(changes(m.finished(probe, outcome, at(second))));
        }
    }
    assert_eq!(down, [(1, Status::Down)]);
    // The first would be asked at 22, the second at 24: one probe for both.
    let probes = start(&mut m, at(22));
    assert_eq!(probes.len(), 1);
    let out = m.finished(probes[0].1, CheckOutcome::Passed, at(22));
    assert_eq!(changes(out), [(1, Status::Up)]);
    assert_eq!(m.next_deadline(), Some(at(32)));
    assert_eq!(start(&mut m, at(32)).len(), 1);
}

#[test]
fn reload_keeps_what_is_known_of_equal_checks_even_one_that_runs() {
    let mut m = monitor(&[(1, &[checker(80)]), (2, &[checker(81)])]);
    let probes = start(&mut m, at(1));
    m.finished(probes[0].1, failed(), at(1));
    let (first, second) = ([checker(80)], [checker(81)]);
    assert_eq!(configure(&mut m, &[(2, &second), (1, &first)], at(2)), []);
    assert_eq!(m.status(&1), Status::Down);
    // Server 1 is asked again when it would have been; the check of server 2 still runs.
    assert_eq!(m.next_deadline(), Some(at(11)));
    let out = m.finished(probes[1].1, failed(), at(3));
    assert_eq!(changes(out), [(2, Status::Down)]);
    assert_eq!(start(&mut m, at(13)).len(), 2);
}

#[test]
fn a_check_in_another_rhythm_is_another_question() {
    let mut m = monitor(&[(1, &[checker(80)]), (2, &[checker(80)])]);
    let probes = start(&mut m, at(1));
    assert_eq!(probes.len(), 1);
    let quick = [Checker {
        delay_loop: Duration::from_secs(3),
        ..checker(80)
    }];
    let slow = [checker(80)];
    let out = configure(&mut m, &[(1, &quick), (2, &slow)], at(1));
    let [Output::Start(other, _)] = out[..] else {
        panic!("the one that waits is asked in its own rhythm: {out:?}");
    };
    assert_eq!(
        changes(m.finished(probes[0].1, failed(), at(1))),
        [(2, Status::Down)]
    );
    assert_eq!(
        changes(m.finished(other, failed(), at(1))),
        [(1, Status::Down)]
    );
    assert_eq!(m.next_deadline(), Some(at(4)));
}

#[test]
fn a_failed_server_with_a_new_check_stays_down_until_that_has_passed() {
    let mut m = monitor(&[(1, &[checker(80)])]);
    let probes = start(&mut m, at(1));
    m.finished(probes[0].1, failed(), at(1));
    let slow = Checker {
        warmup: Duration::from_secs(1000),
        ..checker(81)
    };
    configure(&mut m, &[(1, &[slow])], at(2));
    assert_eq!(m.status(&1), Status::Down);
    let probes = start(&mut m, at(3));
    let out = m.finished(probes[0].1, CheckOutcome::Passed, at(3));
    assert_eq!(changes(out), [(1, Status::Up)]);
}

#[test]
fn a_running_probe_is_cancelled_when_nobody_waits_for_it_any_more() {
    let mut m = monitor(&[(1, &[checker(80)]), (2, &[checker(80)])]);
    let probe = start(&mut m, at(1))[0].1;
    assert_eq!(configure(&mut m, &[(2, &[checker(80)])], at(2)), []);
    assert_eq!(configure(&mut m, &[], at(2)), [Output::Cancel(probe)]);
    assert_eq!(m.finished(probe, failed(), at(3)), []);
    assert_eq!(m.next_deadline(), None);
}

#[test]
fn first_checks_are_spread_over_warmup_by_the_seed() {
    let slow = |port| Checker {
        warmup: Duration::from_secs(60),
        ..checker(port)
    };
    let first = |seed| {
        let mut m = Monitor::new(seed);
        let servers: Vec<(u8, [Checker; 1])> =
            (0..100u8).map(|k| (k, [slow(u16::from(k) + 1)])).collect();
        let servers: Vec<_> = servers.iter().map(|(k, c)| (*k, &c[..])).collect();
        configure(&mut m, &servers, at(0));
        m.next_deadline()
    };
    assert_eq!(first(5), first(5));
    assert_ne!(first(5), first(6));
    assert!(first(5) >= Some(at(1)));
    assert!(first(5) < Some(at(10)));
}

fn pages(count: usize, fast_recovery: bool) -> Checker {
    let url = HttpUrl::new("/");
    let CheckerKind::Tcp(connect) = checker(80).kind else {
        panic!("a TCP check");
    };
    Checker {
        kind: CheckerKind::Http(Arc::new(HttpCheck {
            scheme: HttpScheme::Http,
            connect,
            protocol: HttpProtocol::V1_0,
            virtualhost: None,
            enable_sni: false,
            sni_name: None,
            fast_recovery,
            tls_compliant: false,
            certificate: None,
            urls: vec![url; count].into(),
        })),
        ..checker(80)
    }
}

/// Which page is asked when, and what the server is after each answer.
fn browse(checker: Checker, answers: &str) -> Vec<String> {
    let mut m = monitor(&[(1, &[checker])]);
    let mut lines = Vec::new();
    for answer in answers.chars() {
        let now = m.next_deadline().unwrap();
        let [Output::Start(probe, question)] = &m.timer(now)[..] else {
            panic!("one page at a time");
        };
        let (probe, page) = (*probe, question.stage());
        let outcome = if answer == '+' {
            CheckOutcome::Passed
        } else {
            failed()
        };
        m.finished(probe, outcome, now);
        lines.push(format!("{now} {page}{answer} {:?}", m.status(&1)));
    }
    lines
}

#[test]
fn pages_are_asked_one_by_one_and_all_again_after_a_failure() {
    assert_eq!(
        browse(pages(2, false), "+++--++++"),
        [
            "1.000000s 0+ Up",
            "11.000000s 1+ Up",
            "21.000000s 0+ Up",
            "31.000000s 1- Up",
            "32.000000s 1- Down",
            "42.000000s 1+ Down",
            "52.000000s 0+ Down",
            "62.000000s 1+ Up",
            "72.000000s 0+ Up",
        ]
    );
    assert_eq!(
        browse(pages(3, true), "+++-+--++++"),
        [
            "1.000000s 0+ Up",
            "1.000000s 1+ Up",
            "1.000000s 2+ Up",
            "11.000000s 0- Up",
            "12.000000s 0+ Up",
            "22.000000s 1- Up",
            "23.000000s 1- Down",
            "33.000000s 1+ Down",
            "33.000000s 0+ Down",
            "33.000000s 1+ Down",
            "33.000000s 2+ Up",
        ]
    );
}

#[test]
fn a_server_with_one_page_comes_back_when_it_was_well_twice() {
    assert_eq!(
        browse(pages(1, false), "+--+++"),
        [
            "1.000000s 0+ Up",
            "11.000000s 0- Up",
            "12.000000s 0- Down",
            "22.000000s 0+ Down",
            "32.000000s 0+ Up",
            "42.000000s 0+ Up",
        ]
    );
}

#[test]
fn the_first_round_forgives_nothing_and_a_round_that_fails_goes_on() {
    assert_eq!(
        browse(pages(2, false), "+-+-+-+"),
        [
            "1.000000s 0+ Up",
            "11.000000s 1- Down",
            "21.000000s 1+ Down",
            "31.000000s 0- Down",
            "32.000000s 0+ Down",
            "42.000000s 1- Down",
            "43.000000s 1+ Up",
        ]
    );
}

#[test]
fn what_is_odd_about_an_answer_is_said_once_for_each_page() {
    let mut m = monitor(&[(1, &[pages(2, false)])]);
    let mut remarks = Vec::new();
    for odd in [true, true, true, true, false, true, true] {
        let now = m.next_deadline().unwrap();
        let [Output::Start(probe, question)] = &m.timer(now)[..] else {
            panic!("one page at a time");
        };
        let (probe, stage) = (*probe, question.stage());
        let outcome = match odd {
            true => CheckOutcome::PassedBut(format!("page {stage}")),
            false => CheckOutcome::Passed,
        };
        let out = m.finished(probe, outcome, now);
        let said = out.into_iter().find_map(|output| match output {
            Output::Remarked { remark, .. } => Some(remark),
            _ => None,
        });
        remarks.push(said.unwrap_or_default());
    }
    assert_eq!(remarks, ["page 0", "page 1", "", "", "", "", "page 0"]);
}

#[test]
fn what_is_watched_says_so_itself_and_may_weigh() {
    let watched = Checker {
        kind: CheckerKind::Bfd("peer".to_owned()),
        alpha: true,
        ..checker(80)
    };
    let mut m = monitor(&[(1, std::slice::from_ref(&watched)), (2, &[])]);
    assert_eq!((m.next_deadline(), m.status(&1)), (None, Status::Down));
    let tell = |m: &mut Monitor<u8>, outcome: CheckOutcome| {
        m.told(|_, kind| {
            matches!(kind, CheckerKind::Bfd(name) if name == "peer").then(|| outcome.clone())
        })
    };
    assert_eq!(
        changes(tell(&mut m, CheckOutcome::Passed)),
        [(1, Status::Up)]
    );
    let out = tell(&mut m, CheckOutcome::Weighs(Weighing::More(-3)));
    assert!(out.contains(&Output::Weighed { server: 1 }));
    assert_eq!(m.weighings(&1).collect::<Vec<_>>(), [Weighing::More(-3)]);
    assert_eq!(changes(tell(&mut m, failed())), [(1, Status::Down)]);
}
