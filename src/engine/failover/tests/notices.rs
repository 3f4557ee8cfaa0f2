//! What scripts and FIFOs are told of instances.

use super::*;
use crate::config::model::{InitialState, Run};

fn told(bench: &mut Bench) -> Vec<String> {
    std::mem::take(&mut bench.notices)
}

#[test]
fn each_state_is_told_once_when_the_addresses_are_as_it_says() {
    let mut bench = Bench::new(config(vec![instance("VI_1", 51, "10.0.0.100")]));
    assert_eq!(told(&mut bench), ["INSTANCE \"VI_1\" BACKUP 100"]);
    let mut actions = Vec::new();
    while bench.role("VI_1") != Role::Master {
        bench.now += Duration::from_millis(100);
        actions = bench.engine.handle(Input::Timer, bench.now);
    }
    let net = actions.iter().position(|a| matches!(a, Action::Net(_)));
    let notice = actions.iter().position(|a| matches!(a, Action::Notice(_)));
    assert!(net.is_some() && net < notice, "{actions:?}");
    bench.carry_out(actions);
    assert_eq!(told(&mut bench), ["INSTANCE \"VI_1\" MASTER 100"]);
    bench.input(Input::Link(link(false)));
    assert_eq!(told(&mut bench), ["INSTANCE \"VI_1\" FAULT 100"]);
    bench.input(Input::Link(link(true)));
    assert_eq!(told(&mut bench), ["INSTANCE \"VI_1\" BACKUP 100"]);
    bench.input(Input::Stop(StopKind::Release));
    assert_eq!(told(&mut bench), ["INSTANCE \"VI_1\" STOP 100"]);
}

#[test]
fn an_owner_does_not_speak_of_the_moment_before_it_is_master() {
    let mut owner = instance("VI_1", 51, "10.0.0.100");
    owner.priority = Priority::new(255).unwrap();
    owner.state = InitialState::Master;
    let mut bench = Bench::new(config(vec![owner]));
    assert_eq!(told(&mut bench), ["INSTANCE \"VI_1\" MASTER 255"]);
}

#[test]
fn a_lower_priority_heard_by_a_master_is_told() {
    let mut bench = Bench::master(config(vec![instance("VI_1", 51, "10.0.0.100")]));
    told(&mut bench);
    bench.hear(50, 51, b"123456\0\0");
    assert_eq!(
        told(&mut bench),
        ["INSTANCE \"VI_1\" MASTER_RX_LOWER_PRI 100"]
    );
}

#[test]
fn a_master_that_finds_another_one_after_a_split_is_told_of_again_once() {
    let mut bench = Bench::master(config(vec![instance("VI_1", 51, "10.0.0.100")]));
    told(&mut bench);
    bench.run(10);
    assert_eq!(told(&mut bench), Vec::<String>::new());
    let lower = "INSTANCE \"VI_1\" MASTER_RX_LOWER_PRI 100";
    bench.hear(50, 51, b"123456\0\0");
    assert_eq!(told(&mut bench), ["INSTANCE \"VI_1\" MASTER 100", lower]);
    for _ in 0..5 {
        bench.run(1);
        bench.hear(50, 51, b"123456\0\0");
        assert_eq!(told(&mut bench), [lower], "the same split");
    }
    bench.run(10);
    bench.hear(50, 51, b"123456\0\0");
    assert_eq!(told(&mut bench).len(), 2, "another one");
}

#[test]
fn priorities_are_told_where_it_is_asked_for() {
    let weighted = |asked: Option<bool>| {
        let mut one = instance("VI_1", 51, "10.0.0.100");
        one.more.track_interfaces = vec![crate::config::model::TrackedInterface {
            interface: "eth1".parse().unwrap(),
            weight: Weight::Priority {
                delta: -20,
                when_up: false,
            },
        }];
        one.more.settings.notify_priority_changes = asked;
        config(vec![one])
    };
    let eth1 = |up| Link {
        index: InterfaceIndex::new(3).unwrap(),
        name: "eth1".parse().unwrap(),
        ..link(up)
    };
    for (asked, global, tells) in [
        (None, None, false),
        (None, Some(true), true),
        (Some(false), Some(true), false),
        (Some(true), None, true),
    ] {
        let mut config = weighted(asked);
        config.globals.scripts.vrrp_notify_priority_changes = global;
        let mut bench = Bench::new(config);
        bench.input(Input::Link(eth1(true)));
        told(&mut bench);
        bench.input(Input::Link(eth1(false)));
        bench.run(5);
        bench.input(Input::Link(eth1(true)));
        let seen = told(&mut bench);
        let mut expected = vec!["INSTANCE \"VI_1\" MASTER 80"];
        if tells {
            expected.insert(0, "INSTANCE \"VI_1\" BACKUP_PRIORITY 80");
            expected.push("INSTANCE \"VI_1\" MASTER_PRIORITY 100");
        }
        assert_eq!(seen, expected, "{asked:?} {global:?}");
    }
}

#[test]
fn an_instance_that_leaves_is_a_fault_or_deleted_where_that_is_asked_for() {
    let mut asks = instance("VI_2", 52, "10.0.0.101");
    asks.more.settings.notify_deleted = Some(Run {
        argv: vec!["/d".to_owned()],
        user: None,
    });
    let stays = instance("VI_3", 53, "10.0.0.102");
    let all = vec![instance("VI_1", 51, "10.0.0.100"), asks, stays.clone()];
    let mut bench = Bench::master(config(all.clone()));
    told(&mut bench);
    let mut rest = config(vec![stays]);
    bench.input(Input::Reload(Arc::new(rest.clone())));
    let mut seen = told(&mut bench);
    seen.sort();
    assert_eq!(
        seen,
        [
            "INSTANCE \"VI_1\" FAULT 100",
            "INSTANCE \"VI_2\" DELETED 100"
        ]
    );
    rest.globals.scripts.fifo_write_vrrp_states_on_reload = true;
    bench.input(Input::Reload(Arc::new(rest)));
    assert_eq!(told(&mut bench), ["INSTANCE \"VI_3\" MASTER 100"]);

    let mut bench = Bench::new(config(all));
    bench.input(Input::Link(link(false)));
    told(&mut bench);
    bench.input(Input::Reload(Arc::new(config(Vec::new()))));
    let seen = told(&mut bench);
    assert_eq!(seen, ["INSTANCE \"VI_2\" DELETED 100"], "no news of faults");
}
