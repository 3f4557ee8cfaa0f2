//! Addresses that are held until somebody else has announced them.

use super::*;

fn two_vips() -> Config {
    let mut vi = instance("VI_1", 51, "10.0.0.100");
    vi.vips.extend(instance("VI_1", 51, "10.0.0.101").vips);
    config(vec![vi])
}

fn seen(address: &str, mac: u8) -> Input<'static> {
    Input::AnnouncementSeen {
        interface: eth0(),
        address: address.parse().unwrap(),
        mac: MacAddr([2, 0, 0, 0, 0, mac]),
    }
}

#[test]
fn each_address_goes_when_it_is_announced_and_the_last_ends_it() {
    let mut bench = Bench::master(two_vips());
    bench.input(seen("10.0.0.100", 9));
    assert!(bench.has("10.0.0.100"), "a master believes nobody");
    bench.input(Input::Stop(StopKind::Release));
    assert!(bench.watching && bench.has("10.0.0.100"));
    bench.hear(50, 51, PASSWORD);
    bench.input(seen("10.0.0.100", 5));
    assert!(bench.has("10.0.0.100"), "that was our own announcement");
    bench.input(seen("10.0.0.99", 9));
    bench.input(seen("10.0.0.100", 9));
    assert!(!bench.has("10.0.0.100") && bench.has("10.0.0.101"));
    assert!(!bench.released);
    bench.input(seen("10.0.0.101", 9));
    assert!(!bench.has("10.0.0.101") && bench.released && !bench.watching);
}

#[test]
fn a_backup_is_released_at_once() {
    let mut bench = Bench::new(two_vips());
    bench.input(Input::Stop(StopKind::Release));
    assert!(bench.released && !bench.watching);
}

#[test]
fn a_stop_that_keeps_waits_for_nothing() {
    let mut bench = Bench::master(two_vips());
    let instance = "VI_1".to_owned();
    bench.input(Input::HandOver { instance });
    bench.input(Input::Stop(StopKind::Keep));
    assert!(bench.released && !bench.watching && bench.has("10.0.0.100"));
}

#[test]
fn the_end_waits_for_the_slowest() {
    let mut bench = Bench::master(config(vec![
        instance("VI_1", 51, "10.0.0.100"),
        instance("VI_2", 52, "10.0.0.101"),
    ]));
    bench.input(Input::Stop(StopKind::Release));
    bench.hear(50, 51, PASSWORD);
    bench.run_for(vrrp::ANNOUNCED_WITHIN);
    assert!(!bench.has("10.0.0.100") && bench.has("10.0.0.101"));
    assert!(!bench.released);
    bench.run(2);
    assert!(!bench.has("10.0.0.101") && bench.released);
}

#[test]
fn what_another_instance_holds_is_not_taken_from_it() {
    let mut bench = Bench::master(config(vec![
        instance("VI_1", 51, "10.0.0.100"),
        instance("VI_2", 52, "10.0.0.100"),
    ]));
    let only_one = config(vec![instance("VI_1", 51, "10.0.0.100")]);
    bench.input(Input::Reload(Arc::new(only_one)));
    bench.run(3);
    assert!(bench.has("10.0.0.100"));
}

#[test]
fn an_instance_that_comes_back_while_it_leaves_begins_anew() {
    let both = || {
        config(vec![
            instance("VI_1", 51, "10.0.0.100"),
            instance("VI_2", 52, "10.0.0.101"),
        ])
    };
    let mut bench = Bench::master(both());
    let one = config(vec![instance("VI_1", 51, "10.0.0.100")]);
    bench.input(Input::Reload(Arc::new(one)));
    bench.run_for(Duration::from_millis(500));
    bench.input(Input::Reload(Arc::new(both())));
    assert_eq!(bench.role("VI_2"), Role::Backup);
    bench.run(5);
    assert_eq!(
        (bench.role("VI_2"), bench.has("10.0.0.101")),
        (Role::Master, true)
    );
    assert_eq!((bench.role("VI_1"), bench.watching), (Role::Master, false));
}

#[test]
fn a_departed_instance_listens_until_its_successor_speaks() {
    let mut bench = Bench::master(config(vec![instance("VI_1", 51, "10.0.0.100")]));
    bench.input(Input::Reload(Arc::new(config(Vec::new()))));
    assert!(bench.has("10.0.0.100"));
    bench.input(Input::Kernel(NetPicture {
        links: bench.links.clone(),
        addresses: bench.kernel.values().cloned().collect(),
        ..NetPicture::default()
    }));
    assert!(
        bench.has("10.0.0.100"),
        "a look at the kernel changes nothing"
    );
    bench.hear(50, 51, PASSWORD);
    bench.run_for(vrrp::ANNOUNCED_WITHIN);
    assert!(!bench.has("10.0.0.100"));
}

#[test]
fn an_operator_hands_over_one_instance_and_makes_a_node_stand_by() {
    let mut bench = Bench::master(config(vec![
        instance("VI_1", 51, "10.0.0.100"),
        instance("VI_2", 52, "10.0.0.101"),
    ]));
    let instance = "VI_2".to_owned();
    bench.input(Input::HandOver { instance });
    assert_eq!(
        (bench.role("VI_1"), bench.role("VI_2")),
        (Role::Master, Role::Backup)
    );
    bench.run(2);
    assert_eq!(bench.role("VI_2"), Role::Master, "nobody took over");
    assert!(bench.has("10.0.0.101"));
    bench.input(Input::Standby(true));
    bench.run(30);
    assert_eq!(
        (bench.role("VI_1"), bench.role("VI_2")),
        (Role::Backup, Role::Backup)
    );
    assert!(!bench.has("10.0.0.100") && !bench.has("10.0.0.101"));
    // A reload does not end it, nor for an instance that is new.
    let other = config(vec![self::instance("VI_3", 53, "10.0.0.102")]);
    bench.input(Input::Reload(Arc::new(other)));
    bench.run(30);
    assert_eq!(bench.role("VI_3"), Role::Backup);
    bench.input(Input::Standby(false));
    bench.run(5);
    assert_eq!(bench.role("VI_3"), Role::Master);
}

#[test]
fn the_members_of_a_group_are_handed_over_and_taken_back_together() {
    let mut config = config(vec![
        instance("VI_1", 51, "10.0.0.100"),
        instance("VI_2", 52, "10.0.0.101"),
    ]);
    config.sync_groups = vec![crate::config::model::SyncGroup {
        name: "G".into(),
        members: vec!["VI_1".into(), "VI_2".into()],
        ..Default::default()
    }];
    let mut bench = Bench::master(config);
    let instance = "VI_1".to_owned();
    bench.input(Input::HandOver { instance });
    assert_eq!(bench.sent, [0, 0]);
    bench.run_for(Duration::from_millis(1200));
    let roles = (bench.role("VI_1"), bench.role("VI_2"));
    assert_eq!(roles, (Role::Master, Role::Master), "nobody took over");
    bench.run(1);
    assert!(bench.has("10.0.0.100") && bench.has("10.0.0.101"));
    assert!(!bench.watching);
}

#[test]
fn a_start_is_delayed_from_the_start_or_from_the_boot() {
    let delayed = |start: u64, boot: u64, now: u64| {
        let settings = crate::config::model::VrrpSettings {
            vrrp_startup_delay: (start != 0).then(|| Duration::from_secs(start)),
            vrrp_delay_after_boot: (boot != 0).then(|| Duration::from_secs(boot)),
            ..Default::default()
        };
        let until = super::super::hand_over::deaf_until(&settings, Time::from_millis(now * 1000));
        until.as_nanos() / 1_000_000_000
    };
    assert_eq!(delayed(0, 0, 100), 0);
    assert_eq!(delayed(5, 0, 100), 105);
    assert_eq!(delayed(5, 60, 30), 60);
    assert_eq!(delayed(5, 60, 58), 63);
    let mut config = config(vec![instance("VI_1", 51, "10.0.0.100")]);
    config.globals.vrrp.vrrp_startup_delay = Some(Duration::from_secs(5));
    let mut bench = Bench::new(config);
    assert_eq!(bench.said("Delaying startup for 5.000 s"), 1);
    bench.run(8);
    assert_eq!(bench.role("VI_1"), Role::Backup);
    bench.run(1);
    assert_eq!(bench.role("VI_1"), Role::Master);
}
