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
        checkers: checkers.into_iter().map(Shared::from).collect(),
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

mod files {
    use super::*;
    use crate::config::model::{FileCheck, FileWeight, TrackFile};

    fn with_file(weight: Option<FileWeight>, own: FileWeight) -> Config {
        let checker = Checker {
            kind: CheckerKind::File(FileCheck {
                track_file: "f".to_owned(),
                weight,
            }),
            ..bfd_check(false)
        };
        let mut config = with(vec![checker]);
        let file = TrackFile {
            name: "f".to_owned(),
            path: "/f".to_owned(),
            weight: own,
            init: None,
        };
        config.track_files.insert("f".to_owned(), file);
        config
    }

    fn says(number: i32) -> Input {
        let fact = ("f".to_owned(), FactValue::Number(number));
        Input::Files([fact].into())
    }

    fn factor(factor: i32) -> FileWeight {
        FileWeight {
            factor,
            ..FileWeight::DEFAULT
        }
    }

    #[test]
    fn a_file_takes_its_server_out_and_in_and_weighs_it() {
        let mut rig = Rig::started(&with_file(None, FileWeight::FAULT));
        assert!(rig.has_server());
        rig.input(says(1));
        assert!(!rig.has_server());
        let log = rig.take_log().join("\n");
        assert!(log.contains("track_file f says 1"), "{log}");
        rig.input(says(0));
        assert!(rig.has_server());
        // Its own weight counts before that of the file.
        let reload = with_file(Some(factor(2)), FileWeight::FAULT);
        rig.input(Input::Reload(Arc::new(reload)));
        rig.input(says(5));
        assert!(rig.kernel.text().contains("-w 11"), "{}", rig.kernel.text());
        rig.input(says(-100));
        assert!(rig.kernel.text().contains("-w 0"), "{}", rig.kernel.text());
    }

    #[test]
    fn what_is_known_before_the_start_keeps_a_server_out_from_the_start() {
        let config = with_file(None, FileWeight::FAULT);
        let mut rig = Rig::new(&config);
        rig.input(says(1));
        rig.input(Input::Started);
        assert!(!rig.has_server());
        rig.input(says(0));
        assert!(rig.has_server());
    }
}
