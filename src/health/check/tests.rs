use std::time::Duration;

use crate::config::model::{Checker, CheckerKind, ConnectOptions};
use crate::net::Endpoint;
use crate::time::Time;

use super::{Check, Status, Verdict};

fn settings(retry: u32) -> Checker {
    Checker {
        kind: CheckerKind::Tcp(ConnectOptions {
            destination: Endpoint::new([10, 1, 0, 1].into(), 80),
            bind_to: None,
            bind_port: 0,
            bind_if: None,
            mark: None,
            connect_timeout: Duration::from_secs(5),
        }),
        delay_loop: Duration::from_secs(10),
        retry,
        delay_before_retry: Duration::from_secs(3),
        warmup: Duration::from_secs(10),
        alpha: false,
        log_all_failures: false,
    }
}

/// Runs the answers (`+` passed, `-` failed, `?` not asked), each of which takes half a second, and gives one line for
/// each: when it was asked, the verdict, and what holds then.
fn run(settings: Checker, answers: &str) -> Vec<String> {
    let mut check = Check::new(settings.into(), Time::ZERO, Duration::from_secs(4));
    let mut lines = Vec::new();
    for answer in answers.chars() {
        let asked = check.due().expect("not running");
        assert!(check.start(asked));
        assert!(!check.start(asked), "started while it runs");
        let ended = asked + Duration::from_millis(500);
        let verdict = match answer {
            '+' => check.passed(ended),
            '?' => check.not_asked(ended),
            _ => check.failed(ended),
        };
        let verdict = verdict.expect("it was asked");
        lines.push(format!("{asked} {answer} {verdict:?} {:?}", check.status()));
    }
    lines.push(format!("{}", check.due().expect("not running")));
    lines
}

#[test]
fn retry_plus_one_failures_in_a_row_take_it_down_and_one_success_up() {
    assert_eq!(
        run(settings(2), "+--+---+"),
        [
            "5.000000s + Confirmed Up",
            "15.500000s - Retrying { failures: 1 } Up",
            "19.000000s - Retrying { failures: 2 } Up",
            "22.500000s + StillUp Up",
            "33.000000s - Retrying { failures: 1 } Up",
            "36.500000s - Retrying { failures: 2 } Up",
            "40.000000s - WentDown { retries: 2 } Down",
            "50.500000s + CameUp Up",
            "61.000000s",
        ]
    );
}

#[test]
fn while_down_it_is_asked_every_delay_loop() {
    assert_eq!(
        run(settings(1), "---+-"),
        [
            "5.000000s - WentDown { retries: 0 } Down",
            "15.500000s - StillDown { first: false } Down",
            "26.000000s - StillDown { first: false } Down",
            "36.500000s + CameUp Up",
            "47.000000s - Retrying { failures: 1 } Up",
            "50.500000s",
        ]
    );
}

#[test]
fn at_the_start_one_failure_is_enough_whatever_retry_says() {
    let lines = run(settings(9), "-");
    assert_eq!(lines[0], "5.000000s - WentDown { retries: 0 } Down");
}

#[test]
fn without_retries_the_first_failure_counts() {
    let lines = run(settings(0), "+-");
    assert_eq!(lines[1], "15.500000s - WentDown { retries: 0 } Down");
}

#[test]
fn alpha_is_down_until_it_passed_once() {
    let alpha = Checker {
        alpha: true,
        ..settings(1)
    };
    assert_eq!(
        run(alpha, "-+"),
        [
            "5.000000s - StillDown { first: true } Down",
            "15.500000s + CameUp Up",
            "26.000000s",
        ]
    );
}

#[test]
fn what_could_not_be_asked_says_nothing() {
    assert_eq!(
        run(settings(1), "?+??-?-"),
        [
            "5.000000s ? NotAsked { first: true } Up",
            "15.500000s + Confirmed Up",
            "26.000000s ? NotAsked { first: true } Up",
            "36.500000s ? NotAsked { first: false } Up",
            "47.000000s - Retrying { failures: 1 } Up",
            "50.500000s ? NotAsked { first: true } Up",
            "61.000000s - WentDown { retries: 1 } Down",
            "71.500000s",
        ]
    );
}

#[test]
fn a_late_timer_is_followed_by_one_check_and_not_by_those_missed() {
    let mut check = Check::new(settings(1).into(), Time::ZERO, Duration::ZERO);
    let late = Time::from_millis(3_600_000);
    assert!(!check.start(Time::from_millis(980)));
    assert!(check.start(late));
    assert_eq!(check.passed(late), Some(Verdict::Confirmed));
    assert_eq!(check.due(), Some(late + Duration::from_secs(10)));
    assert!(!check.start(late));
}

#[test]
fn an_answer_that_was_not_asked_for_changes_nothing() {
    let mut check = Check::new(settings(0).into(), Time::ZERO, Duration::ZERO);
    let due = check.due();
    assert_eq!(check.failed(Time::ZERO), None);
    assert_eq!(check.passed(Time::ZERO), None);
    assert_eq!((check.due(), check.status()), (due, Status::Up));
}

#[test]
fn shorter_times_count_at_once_and_longer_ones_from_the_next_check_on() {
    let mut check = Check::new(settings(1).into(), Time::ZERO, Duration::ZERO);
    check.start(Time::from_millis(1000));
    check.passed(Time::from_millis(1000));
    let shorter = Checker {
        delay_loop: Duration::from_secs(4),
        ..settings(1)
    };
    let longer = Checker {
        delay_loop: Duration::from_secs(60),
        ..settings(1)
    };
    check.change_settings(longer.into(), Time::from_millis(2000));
    assert_eq!(check.due(), Some(Time::from_millis(11_000)));
    check.change_settings(shorter.into(), Time::from_millis(2000));
    assert_eq!(check.due(), Some(Time::from_millis(6000)));
}

#[test]
fn thousands_of_checks_are_small() {
    assert!(size_of::<Check>() <= 128, "{}", size_of::<Check>());
}

#[test]
fn the_rhythm_is_that_of_the_answers_and_not_of_late_or_early_beginnings() {
    let mut check = Check::new(settings(1).into(), Time::ZERO, Duration::ZERO);
    let ms = Time::from_millis;
    // Late, early, and when it is due; the answers take 4, 8 and 100 ms.
    for (begins, ends, next) in [
        (1400, 1404, 11_004),
        (10_996, 11_004, 21_012),
        (21_012, 21_112, 31_112),
    ] {
        assert!(check.start(ms(begins)));
        check.passed(ms(ends));
        assert_eq!(check.due(), Some(ms(next)));
    }
    // Later than a quarter of the delay: a rhythm of its own.
    assert!(check.start(ms(34_000)));
    check.passed(ms(34_000));
    assert_eq!(check.due(), Some(ms(44_000)));
}
