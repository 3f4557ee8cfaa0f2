//! Every state and everything that may be heard in it (RFC 5880 section 6.8.6).

use super::*;

use State::{AdminDown, Down, Init, Up};

#[test]
fn every_state_and_every_word_of_the_neighbor() {
    let none = Diagnostic::NONE;
    let signaled = Diagnostic::NEIGHBOR_SIGNALED_DOWN;
    let admin = Diagnostic::ADMINISTRATIVELY_DOWN;
    let table = [
        (Down, AdminDown, Down, none),
        (Down, Down, Init, none),
        (Down, Init, Up, none),
        (Down, Up, Down, none),
        (Init, AdminDown, Down, signaled),
        (Init, Down, Init, none),
        (Init, Init, Up, none),
        (Init, Up, Up, none),
        (Up, AdminDown, Down, signaled),
        (Up, Down, Down, signaled),
        (Up, Init, Up, none),
        (Up, Up, Up, none),
        (AdminDown, AdminDown, AdminDown, admin),
        (AdminDown, Down, AdminDown, admin),
        (AdminDown, Init, AdminDown, admin),
        (AdminDown, Up, AdminDown, admin),
    ];
    for (state, heard, then, diagnostic) in table {
        let mut bench = Bench::in_state(state, config());
        let out = bench.hears(from_neighbor(heard));
        let what = format!("{state} hears {heard}: {out:?}");
        assert_eq!(bench.session.state(), then, "{what}");
        assert_eq!(bench.session.diagnostic, diagnostic, "{what}");
        let entered = out.iter().filter(|a| matches!(a, Action::Entered { .. }));
        assert_eq!(entered.count(), usize::from(state != then), "{what}");
        // News are sent at once, and nothing else is.
        let said: Vec<State> = sent(&out).iter().map(|packet| packet.state).collect();
        let expected = if state == then { vec![] } else { vec![then] };
        assert_eq!(said, expected, "{what}");
    }
}

#[test]
fn every_state_and_silence() {
    for (state, then) in [
        (AdminDown, AdminDown),
        (Down, Down),
        (Init, Down),
        (Up, Down),
    ] {
        let mut bench = Bench::in_state(state, config());
        let before = bench.session.diagnostic;
        let done = bench.pass(60_000);
        assert_eq!(bench.session.state(), then, "{state}");
        let speaks = done
            .iter()
            .any(|(_, action)| matches!(action, Action::Send(_)));
        assert_eq!(speaks, state != AdminDown, "{state}");
        let expected = match state {
            Init | Up => Diagnostic::EXPIRED,
            AdminDown | Down => before,
        };
        assert_eq!(bench.session.diagnostic, expected, "{state}");
    }
}

#[test]
fn every_state_and_a_poll() {
    for state in [Down, Init, Up] {
        for heard in [AdminDown, Down, Init, Up] {
            let mut bench = Bench::in_state(state, config());
            let out = bench.hears(Packet {
                poll: true,
                ..from_neighbor(heard)
            });
            let answers = sent(&out);
            assert_eq!(answers.len(), 1, "{state} hears {heard}: {out:?}");
            assert!(answers[0].is_final && !answers[0].poll);
            assert_eq!(answers[0].state, bench.session.state());
        }
    }
}

#[test]
fn every_state_and_the_stop() {
    for state in [AdminDown, Down, Init, Up] {
        let mut bench = Bench::in_state(state, config());
        let said = sent(&bench.input(Input::Stop));
        assert_eq!(said.len(), usize::from(state != AdminDown), "{state}");
        assert_eq!(bench.session.state(), AdminDown);
        assert_eq!(bench.session.next_deadline(), None);
    }
}
