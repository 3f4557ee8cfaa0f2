use super::*;
use crate::config::model::Weight;
use FactValue::{Down, Up};

fn config(words: &[&str]) -> TrackProcess {
    TrackProcess {
        name: "p".into(),
        argv: words.iter().map(|&word| word.to_owned()).collect(),
        param_match: (words.len() > 1).then_some(ParamMatch::Exact),
        weight: Weight::Fault,
        quorum: 1,
        quorum_max: None,
        fork_delay: Duration::ZERO,
        terminate_delay: Duration::ZERO,
        full_command: words.len() > 1,
    }
}

fn command(words: &[&str]) -> Command {
    let mut cmdline = Vec::new();
    for word in words {
        cmdline.extend_from_slice(word.as_bytes());
        cmdline.push(0);
    }
    let comm = words[0].rsplit('/').next().unwrap().as_bytes();
    Command {
        comm: comm[..comm.len().min(COMM_BYTES)].to_vec(),
        cmdline,
    }
}

/// With the clock at this many milliseconds.
fn at(millis: u64) -> Time {
    Time::from_millis(millis)
}

fn processes(config: TrackProcess, running: &[u32]) -> Processes {
    let mut processes = Processes::default().reconfigured([config.clone()].into_iter());
    let words: Vec<&str> = config.argv.iter().map(String::as_str).collect();
    let running = running.iter().map(|pid| (*pid, command(&words))).collect();
    let said = processes.look(&running, at(0));
    assert_eq!(said.len(), 1, "the first look always says something");
    processes
}

fn values(said: Vec<(String, FactValue)>) -> Vec<FactValue> {
    said.into_iter().map(|(_, value)| value).collect()
}

fn exec(pid: u32, words: &[&str]) -> ProcessEvent {
    ProcessEvent::Executed {
        pid,
        command: Some(command(words)),
    }
}

#[test]
fn one_that_starts_and_one_that_ends_move_the_quorum() {
    let mut db = processes(config(&["mysqld"]), &[]);
    assert_eq!(
        values(db.handle(&exec(7, &["/usr/sbin/mysqld"]), at(1))),
        [Up]
    );
    assert_eq!(
        values(db.handle(&exec(8, &["/usr/sbin/mysqld"]), at(2))),
        []
    );
    assert_eq!(
        values(db.handle(&ProcessEvent::Exited { pid: 7 }, at(3))),
        []
    );
    assert_eq!(
        values(db.handle(&ProcessEvent::Exited { pid: 9 }, at(4))),
        []
    );
    assert_eq!(
        values(db.handle(&ProcessEvent::Exited { pid: 8 }, at(5))),
        [Down]
    );
}

#[test]
fn another_program_or_name_is_another_process() {
    let mut db = processes(config(&["mysqld"]), &[7]);
    assert_eq!(values(db.handle(&exec(7, &["sh"]), at(1))), [Down]);
    let renamed = |comm: &str| ProcessEvent::Renamed {
        pid: 7,
        comm: comm.into(),
    };
    assert_eq!(values(db.handle(&renamed("mysqld"), at(2))), [Up]);
    assert_eq!(values(db.handle(&renamed("other"), at(3))), [Down]);
    let gone = ProcessEvent::Executed {
        pid: 7,
        command: None,
    };
    assert_eq!(values(db.handle(&gone, at(4))), []);
}

#[test]
fn names_are_compared_as_far_as_the_kernel_keeps_them() {
    let mut long = processes(config(&["a-very-long-process-name"]), &[]);
    assert_eq!(
        values(long.handle(&exec(3, &["/bin/a-very-long-process-name"]), at(1))),
        [Up]
    );
}

#[test]
fn the_whole_command_line_may_count() {
    let run = ["/usr/bin/worker", "-q", "mail"];
    let more = ["/usr/bin/worker", "-q", "mail", "-v"];
    let longer = ["/usr/bin/worker", "-q", "mailbox"];
    let other = ["/usr/bin/worker", "-q"];
    let elsewhere = ["worker", "-q", "mail"];
    for (how, matching) in [
        (ParamMatch::Exact, &[run.as_slice()][..]),
        (ParamMatch::Partial, &[run.as_slice(), more.as_slice()]),
        (
            ParamMatch::Initial,
            &[run.as_slice(), more.as_slice(), longer.as_slice()],
        ),
    ] {
        for words in [&run[..], &more, &longer, &other, &elsewhere] {
            let mut config = config(&run);
            config.param_match = Some(how);
            let mut worker = processes(config, &[]);
            let said = values(worker.handle(&exec(5, words), at(1)));
            assert_eq!(
                !said.is_empty(),
                matching.contains(&words),
                "{how:?} {words:?}"
            );
        }
    }
    let mut bare = config(&["/usr/bin/worker"]);
    bare.full_command = true;
    assert_eq!(processes(bare.clone(), &[]).cmdline_bytes(), 17);
    let mut bare = processes(bare, &[]);
    assert_eq!(values(bare.handle(&exec(5, &run), at(1))), [Up]);
}

#[test]
fn quorum_and_quorum_max_bound_the_number() {
    let mut config = config(&["w"]);
    (config.quorum, config.quorum_max) = (2, Some(3));
    let mut w = processes(config, &[1]);
    let fork = |child| ProcessEvent::Forked { parent: 1, child };
    assert_eq!(values(w.handle(&fork(2), at(1))), [Up]);
    assert_eq!(values(w.handle(&fork(3), at(1))), []);
    assert_eq!(values(w.handle(&fork(4), at(1))), [Down]);
    assert_eq!(
        values(w.handle(&ProcessEvent::Exited { pid: 3 }, at(2))),
        [Up]
    );
}

#[test]
fn quorum_max_0_means_that_none_may_run() {
    let mut config = config(&["w"]);
    (config.quorum, config.quorum_max) = (0, Some(0));
    let mut w = processes(config, &[]);
    assert_eq!(values(w.handle(&exec(4, &["w"]), at(1))), [Down]);
    assert_eq!(
        values(w.handle(&ProcessEvent::Exited { pid: 4 }, at(1))),
        [Up]
    );
}

#[test]
fn children_of_others_do_not_count() {
    let mut w = processes(config(&["w"]), &[1]);
    let stranger = ProcessEvent::Forked {
        parent: 9,
        child: 10,
    };
    assert_eq!(values(w.handle(&stranger, at(1))), []);
    assert_eq!(w.pids(), [1].into());
}

#[test]
fn delays_bridge_a_restart_and_a_child_on_its_way_to_another_program() {
    let mut config = config(&["w"]);
    config.terminate_delay = Duration::from_millis(500);
    config.fork_delay = Duration::from_millis(200);
    config.quorum_max = Some(1);
    let mut w = processes(config, &[1]);
    let fork = ProcessEvent::Forked {
        parent: 1,
        child: 2,
    };
    assert_eq!(values(w.handle(&fork, at(0))), []);
    assert_eq!(w.next_deadline(), Some(at(200)));
    assert_eq!(values(w.handle(&exec(2, &["sh"]), at(10))), []);
    assert_eq!(w.next_deadline(), None);

    assert_eq!(
        values(w.handle(&ProcessEvent::Exited { pid: 1 }, at(1000))),
        []
    );
    assert_eq!(w.next_deadline(), Some(at(1500)));
    assert_eq!(values(w.handle(&exec(3, &["w"]), at(1400))), []);
    assert_eq!(w.next_deadline(), None);
    assert_eq!(
        values(w.handle(&ProcessEvent::Exited { pid: 3 }, at(2000))),
        []
    );
    assert_eq!(values(w.on_timer(at(2499))), []);
    assert_eq!(values(w.on_timer(at(2500))), [Down]);
    assert_eq!(values(w.handle(&exec(4, &["w"]), at(3000))), [Up]);
}

#[test]
fn what_changes_nothing_does_not_end_a_delay() {
    let mut config = config(&["w"]);
    config.quorum = 2;
    config.fork_delay = Duration::from_millis(200);
    config.terminate_delay = Duration::from_millis(500);
    let mut w = processes(config, &[1]);
    for child in [2, 3] {
        let fork = ProcessEvent::Forked { parent: 1, child };
        assert_eq!(values(w.handle(&fork, at(0))), []);
    }
    // One of three becomes another program: two are enough.
    assert_eq!(values(w.handle(&exec(3, &["sh"]), at(10))), []);
    assert_eq!(values(w.on_timer(at(199))), []);
    assert_eq!(values(w.on_timer(at(200))), [Up]);
    // Both end, and one of them is there again: that is not enough.
    for pid in [1, 2] {
        assert_eq!(
            values(w.handle(&ProcessEvent::Exited { pid }, at(1000))),
            []
        );
    }
    assert_eq!(values(w.handle(&exec(4, &["w"]), at(1100))), []);
    assert_eq!(values(w.on_timer(at(1499))), []);
    assert_eq!(values(w.handle(&exec(5, &["w"]), at(1499))), []);
    assert_eq!(w.next_deadline(), None);
}

#[test]
fn a_look_corrects_what_was_missed() {
    let mut w = processes(config(&["w"]), &[1]);
    assert_eq!(values(w.look(&BTreeMap::new(), at(1))), [Down]);
    let running = [(5, command(&["w"])), (6, command(&["x"]))].into();
    assert_eq!(values(w.look(&running, at(2))), [Up]);
    assert_eq!(w.pids(), [5].into());
}

#[test]
fn a_look_does_not_end_a_delay() {
    let mut config = config(&["w"]);
    config.terminate_delay = Duration::from_millis(500);
    let mut w = processes(config, &[1]);
    assert_eq!(
        values(w.handle(&ProcessEvent::Exited { pid: 1 }, at(0))),
        []
    );
    assert_eq!(values(w.look(&BTreeMap::new(), at(100))), []);
    assert_eq!(w.next_deadline(), Some(at(500)));
    assert_eq!(values(w.on_timer(at(500))), [Down]);
}

#[test]
fn what_is_known_stays_over_a_reload() {
    let w = processes(config(&["w"]), &[1]);
    let mut w = w.reconfigured([config(&["w"])].into_iter());
    let running = [(1, command(&["w"]))].into();
    assert_eq!(values(w.look(&running, at(1))), []);
    let mut other = config(&["w"]);
    other.name = "q".into();
    let mut w = w.reconfigured([other].into_iter());
    assert_eq!(
        values(w.look(&running, at(1))),
        [Up],
        "nobody spoke of q yet"
    );
}
