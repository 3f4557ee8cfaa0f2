use std::time::Duration;

use super::*;
use crate::cli::status::tests::status;

fn moment() -> Moment {
    let at = |seconds: u64| Time::ZERO + Duration::from_secs(seconds);
    let count = |connections, bytes_in| {
        Some(Traffic {
            active: 7,
            connections,
            bytes_in,
            ..Traffic::default()
        })
    };
    let mut before = status();
    before.virtual_servers[0].real_servers[0].traffic = count(100, 0);
    let mut now = before.clone();
    now.virtual_servers[0].real_servers[0].traffic = count(150, 400_000);
    Moment {
        status: now,
        at: at(12),
        before: Some(Box::new((at(10), before))),
        events: vec![Event {
            number: 9,
            time: "2001-09-09T01:46:40.000Z".to_owned(),
            level: "warning".to_owned(),
            kind: "vrrp".to_owned(),
            name: None,
            text: "(VI_1) Entering BACKUP STATE\u{1b}[2J".to_owned(),
        }],
        error: None,
    }
}

fn shown(screen: &mut Screen, width: usize, height: usize) -> String {
    let lines = screen.lines(&moment(), width, height);
    assert_eq!(lines.len(), height);
    for line in &lines {
        assert!(line.chars().count() <= width, "{line}");
    }
    lines.join("\n")
}

#[test]
fn everything_is_on_one_screen_with_rates_of_the_last_look() {
    let text = shown(&mut Screen::new(false), 160, 30);
    for part in [
        "vipd 1.2.3 on lb1, since ",
        "VI_1                 ▽ BACKUP  120  0/1   ",
        "  10.1.0.1:80                ▲ up            1        7        0       25   200k        0  ✔ TCP_CHECK: 0.3 ms",
        "  10.1.0.22:80               ▼ down        out        -        -        -        -        -  ✖ TCP_CHECK: connection refused",
        "◆ (VI_1) Entering BACKUP STATE[2J",
        "everything; arrows move",
    ] {
        let plain: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let part = part.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(plain.contains(&part), "{part}\nis not in\n{text}");
    }
}

#[test]
fn a_small_terminal_is_moved_over_and_never_overrun() {
    let mut screen = Screen::new(true);
    for (width, height) in [(20, 4), (1, 3), (80, 5)] {
        let lines = screen.lines(&moment(), width, height.max(4));
        assert_eq!(lines.len(), height.max(4));
    }
    let mut screen = Screen::new(false);
    assert!(shown(&mut screen, 60, 6).contains("lines below"));
    screen.step(Step::Last, 6);
    let end = shown(&mut screen, 60, 6);
    assert!(
        end.contains("(VI_1) Entering") && !end.contains("lines below"),
        "{end}"
    );
    screen.step(Step::Up, 6);
    assert!(shown(&mut screen, 60, 6).contains("1 lines below"));
    screen.step(Step::First, 6);
    assert!(shown(&mut screen, 60, 6).contains("INSTANCE"));
    screen.step(Step::Part, 6);
    assert!(!shown(&mut screen, 60, 30).contains("EVENTS"));
}

#[test]
fn keys_are_what_terminals_send() {
    assert_eq!(Step::of(b"q"), Some(Step::End));
    assert_eq!(Step::of(b"\x03"), Some(Step::End));
    assert_eq!(Step::of(b"\x1b[A"), Some(Step::Up));
    assert_eq!(Step::of(b"\x1bOB"), Some(Step::Down));
    assert_eq!(Step::of(b"\x1b[99~"), None);
}

#[test]
fn who_does_not_answer_is_said_above() {
    let mut moment = moment();
    moment.error = Some("vipd broke off".to_owned());
    let lines = Screen::new(false).lines(&moment, 80, 10);
    assert_eq!(lines[1], "NO ANSWER: vipd broke off");
}
