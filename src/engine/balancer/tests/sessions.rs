//! BFD_CHECK: checks that nobody asks.

use crate::engine::shared::SessionFacts;
use crate::fact::FactValue;

use super::*;

fn bfd_check(alpha: bool) -> Checker {
    Checker {
        kind: CheckerKind::Bfd("peer".to_owned()),
        // Of those that are asked; here they must not count.
        retry: 3,
        alpha,
        ..tcp_check(endpoint("10.1.0.1:80"))
    }
}

/// One service with one server.
fn with(checkers: Vec<Checker>) -> Config {
    let server = RealServer {
        checkers,
        ..real("10.1.0.1:80", 1)
    };
    config(vec![virtual_server("10.0.0.1:80", vec![server])])
}

fn facts(value: FactValue) -> Input {
    Input::Sessions(SessionFacts::from([("peer".to_owned(), value)]))
}

impl Rig {
    fn has_server(&self) -> bool {
        self.kernel.text().contains("-r 10.1.0.1:80")
    }
}

#[test]
fn the_server_follows_the_session_at_once() {
    let mut rig = Rig::started(&with(vec![bfd_check(false)]));
    assert!(
        rig.has_server(),
        "as in keepalived, until the session has been up"
    );
    rig.input(facts(FactValue::Unknown));
    assert!(rig.has_server());
    for (value, there) in [
        (FactValue::Up, true),
        (FactValue::Down, false),
        (FactValue::Up, true),
        (FactValue::Down, false),
    ] {
        rig.take_log();
        rig.input(facts(value));
        assert_eq!(rig.has_server(), there, "{value:?}");
    }
    let log = rig.take_log().join("\n");
    assert!(log.contains("BFD session peer is down"), "{log}");
    // The same again is no news.
    rig.input(facts(FactValue::Down));
    assert_eq!(rig.take_log(), Vec::<String>::new());
}

#[test]
fn with_alpha_it_waits_for_the_session() {
    let mut rig = Rig::started(&with(vec![bfd_check(true)]));
    assert!(!rig.has_server());
    rig.input(facts(FactValue::Unknown));
    assert!(!rig.has_server());
    rig.input(facts(FactValue::Up));
    assert!(rig.has_server());
}

#[test]
fn nobody_is_asked_and_no_timer_runs() {
    let mut rig = Rig::started(&with(vec![bfd_check(false)]));
    rig.input(facts(FactValue::Down));
    rig.pass(25_000, |_| panic!("somebody was asked"));
    assert!(!rig.has_server());
}

#[test]
fn it_counts_beside_other_checks() {
    let tcp = tcp_check(endpoint("10.1.0.1:80"));
    let mut rig = Rig::started(&with(vec![tcp, bfd_check(false)]));
    rig.pass(2_000, |_| true);
    rig.input(facts(FactValue::Down));
    rig.pass(30_000, |_| true);
    assert!(!rig.has_server());
    rig.input(facts(FactValue::Up));
    assert!(rig.has_server());
    rig.pass(30_000, |_| false);
    assert!(!rig.has_server());
}

#[test]
fn a_reload_and_a_check_that_is_new_know_what_was_told_before() {
    let mut rig = Rig::started(&with(vec![]));
    rig.input(facts(FactValue::Down));
    assert!(rig.has_server());
    rig.input(Input::Reload(Arc::new(with(vec![bfd_check(false)]))));
    assert!(!rig.has_server());
    rig.input(Input::Reload(Arc::new(with(vec![bfd_check(true)]))));
    assert!(!rig.has_server());
    rig.input(facts(FactValue::Up));
    assert!(rig.has_server());
}
