//! Sync groups.

use super::*;
use crate::config::model::{SyncGroup, TrackedInterface};

fn group(members: &[&str]) -> SyncGroup {
    SyncGroup {
        name: "G".into(),
        members: members.iter().map(|&name| name.to_owned()).collect(),
        ..SyncGroup::default()
    }
}

fn two() -> Config {
    let mut config = config(vec![
        instance("VI_1", 51, "10.0.0.100"),
        instance("VI_2", 52, "10.0.0.101"),
    ]);
    config.sync_groups = vec![group(&["VI_1", "VI_2"])];
    config
}

impl Bench {
    fn roles(&self) -> (Role, Role) {
        (self.role("VI_1"), self.role("VI_2"))
    }
}

#[test]
fn members_become_master_together_when_the_last_one_wants_to() {
    let mut config = two();
    std::sync::Arc::make_mut(&mut config.instances[1]).down_timer_adverts = 8;
    let mut bench = Bench::new(config);
    bench.run(5);
    assert_eq!(
        bench.roles(),
        (Role::Backup, Role::Backup),
        "VI_2 waits still"
    );
    assert!(bench.sent.is_empty());
    bench.run(5);
    assert_eq!(bench.roles(), (Role::Master, Role::Master));
    assert_eq!(
        bench.said("VRRP_Group(G) Syncing instances to MASTER state"),
        1
    );
    assert!(bench.has("10.0.0.100") && bench.has("10.0.0.101"));
}

#[test]
fn a_member_that_hears_its_master_keeps_the_others_back() {
    let mut bench = Bench::new(two());
    for _ in 0..10 {
        bench.run(1);
        bench.hear(200, 52, PASSWORD);
    }
    assert_eq!(bench.roles(), (Role::Backup, Role::Backup));
    assert!(bench.sent.is_empty());
    bench.run(4);
    assert_eq!(bench.roles(), (Role::Master, Role::Master));
}

#[test]
fn a_member_that_yields_takes_the_others_along() {
    let mut bench = Bench::master(two());
    bench.hear(200, 52, PASSWORD);
    assert_eq!(bench.roles(), (Role::Backup, Role::Backup));
    assert_eq!(bench.sent, [0], "VI_1 says that it leaves");
    bench.run(2);
    assert!(!bench.has("10.0.0.100") && !bench.has("10.0.0.101"));
    assert_eq!(
        bench.said("VRRP_Group(G) Syncing instances to BACKUP state"),
        2
    );
    assert_eq!(bench.said("VI_2 of sync group G is not master"), 1);
}

#[test]
fn a_group_is_told_once_of_a_split_that_has_healed() {
    let mut bench = Bench::master(two());
    bench.run(10);
    bench.notices.clear();
    bench.hear(50, 51, PASSWORD);
    bench.hear(50, 52, PASSWORD);
    let of_group = |bench: &Bench| {
        let group = bench.notices.iter().filter(|n| n.starts_with("GROUP"));
        group.cloned().collect::<Vec<String>>()
    };
    assert_eq!(of_group(&bench), ["GROUP \"G\" MASTER 0"]);
    bench.run(20);
    bench.hear(50, 52, PASSWORD);
    assert_eq!(of_group(&bench).len(), 2, "another one");
}

#[test]
fn a_fault_of_one_is_a_fault_of_all() {
    let mut config = two();
    std::sync::Arc::make_mut(&mut config.instances[1]).vips[0].dev = Some("eth9".parse().unwrap());
    let mut bench = Bench::new(config);
    bench.run(10);
    assert_eq!(bench.roles(), (Role::Fault, Role::Fault));
    let why = "interface eth9 does not exist (of VI_2 in its sync group)";
    assert_eq!(bench.said(why), 1);
    let eth9 = Link {
        index: InterfaceIndex::new(9).unwrap(),
        name: "eth9".parse().unwrap(),
        ..link(true)
    };
    bench.links.push(eth9.clone());
    bench.input(Input::Link(eth9));
    assert_eq!(bench.roles(), (Role::Backup, Role::Backup));
    bench.run(4);
    assert_eq!(bench.roles(), (Role::Master, Role::Master));
}

#[test]
fn what_the_group_tracks_counts_for_every_member() {
    let mut config = two();
    config.sync_groups[0].track_interfaces = vec![TrackedInterface {
        interface: "eth9".parse().unwrap(),
        weight: Weight::Priority {
            delta: -30,
            when_up: false,
        },
    }];
    let bench = Bench::master_of(config);
    assert_eq!(bench, [70, 70]);
}

#[test]
fn weights_of_members_count_only_with_sync_group_tracking_weight() {
    let mut config = two();
    std::sync::Arc::make_mut(&mut config.instances[0])
        .more
        .track_scripts = Vec::new();
    std::sync::Arc::make_mut(&mut config.instances[0])
        .more
        .track_interfaces = vec![TrackedInterface {
        interface: "eth0".parse().unwrap(),
        weight: Weight::Priority {
            delta: 30,
            when_up: true,
        },
    }];
    assert_eq!(Bench::master_of(config.clone()), [100, 100]);
    config.sync_groups[0].settings.sync_group_tracking_weight = true;
    assert_eq!(Bench::master_of(config), [130, 100]);
}

impl Bench {
    /// The first adverts of a group of which nobody else is heard.
    fn master_of(config: Config) -> Vec<u8> {
        let mut bench = Bench::new(config);
        bench.run_for(Duration::from_millis(4300));
        bench.sent
    }
}

#[test]
fn a_lower_priority_heard_by_one_is_answered_by_announcements_of_all() {
    let mut bench = Bench::master(two());
    bench.hear(50, 51, PASSWORD);
    assert_eq!(bench.sent, [100]);
    let announced: Vec<String> = bench.announced.keys().map(|a| a.to_string()).collect();
    assert_eq!(announced, ["10.0.0.100", "10.0.0.101"]);
}

#[test]
fn a_stop_says_goodbye_for_all() {
    let mut bench = Bench::master(two());
    bench.input(Input::Stop(StopKind::Release));
    assert_eq!(bench.sent, [0, 0]);
}

#[test]
fn ipvs_is_waited_for_once() {
    let mut bench = Bench::with(two(), &[], vrrp::Start::Fresh, true);
    bench.run(6);
    assert_eq!(bench.roles(), (Role::Backup, Role::Backup));
    bench.input(Input::IpvsReady);
    assert_eq!(bench.roles(), (Role::Master, Role::Master));
}

#[test]
fn members_resume_together_or_not_at_all() {
    let ours = crate::net::ADDRESS_PROTOCOL;
    let left = [address("10.0.0.100", ours), address("10.0.0.101", ours)];
    let bench = Bench::with(two(), &left, vrrp::Start::Resume, false);
    assert_eq!(bench.roles(), (Role::Master, Role::Master));
    assert_eq!(bench.commands, 0);
    let bench = Bench::with(two(), &left[..1], vrrp::Start::Resume, false);
    assert_eq!(bench.roles(), (Role::Backup, Role::Backup));
    assert!(bench.has("10.0.0.100"), "kept until somebody is heard");
}

fn with_third(members: &[&str]) -> Config {
    let mut config = two();
    config
        .instances
        .push(instance("VI_3", 53, "10.0.0.102").into());
    config.sync_groups = vec![group(members)];
    config
}

#[test]
fn the_same_group_again_changes_and_sends_nothing() {
    let mut bench = Bench::master(two());
    let deadline = bench.engine.next_deadline();
    bench.events.clear();
    bench.input(Input::Reload(Arc::new(two())));
    assert_eq!((bench.sent.len(), bench.commands), (0, 0));
    assert_eq!(bench.engine.next_deadline(), deadline);
    assert!(bench.events.is_empty(), "{:?}", bench.events);
}

#[test]
fn a_member_that_comes_with_a_reload_joins_masters_in_silence() {
    let mut bench = Bench::master(two());
    bench.input(Input::Reload(Arc::new(with_third(&[
        "VI_1", "VI_2", "VI_3",
    ]))));
    bench.run(1);
    assert_eq!(bench.roles(), (Role::Master, Role::Master));
    assert_eq!(bench.role("VI_3"), Role::Backup);
    bench.run(4);
    assert_eq!(bench.role("VI_3"), Role::Master);
    assert_eq!(bench.said("Entering BACKUP STATE: VI_3"), 0);
}

#[test]
fn a_member_that_comes_and_hears_a_better_master_takes_the_others_along() {
    let mut bench = Bench::master(two());
    bench.input(Input::Reload(Arc::new(with_third(&[
        "VI_1", "VI_2", "VI_3",
    ]))));
    bench.hear(200, 53, PASSWORD);
    assert_eq!(bench.roles(), (Role::Backup, Role::Backup));
}

#[test]
fn a_member_that_leaves_its_group_stands_for_itself() {
    let mut bench = Bench::new(with_third(&["VI_1", "VI_3"]));
    for _ in 0..6 {
        bench.run(1);
        bench.hear(200, 53, PASSWORD);
    }
    assert_eq!(bench.roles(), (Role::Backup, Role::Master));
    bench.input(Input::Reload(Arc::new(with_third(&["VI_3"]))));
    assert_eq!(bench.roles(), (Role::Master, Role::Master));
    bench.hear(200, 53, PASSWORD);
    assert_eq!(bench.role("VI_1"), Role::Master);
}
