//! What others do to our addresses, and what the kernel says of our own doing.

use super::*;

fn five_vips(label: &str) -> Config {
    let mut vi = instance("VI_1", 51, "10.0.0.100");
    let vip = |n: u8| VirtualAddress {
        cidr: format!("10.0.0.{n}/24").parse().unwrap(),
        label: Some(label.to_owned()),
        ..vi.vips[0].clone()
    };
    vi.vips = (100..105).map(vip).collect();
    config(vec![vi])
}

fn keys(config: &Config) -> Vec<AddressKey> {
    let vips = config.instances[0].all_vips();
    vips.map(|vip| AddressKey::new(eth0(), vip.cidr)).collect()
}

#[test]
fn what_we_replace_ourselves_was_taken_by_nobody() {
    let (before, after) = (five_vips("eth0:a"), five_vips("eth0:b"));
    let mut bench = Bench::master(before);
    bench.input(Input::Reload(Arc::new(after.clone())));
    assert_eq!(bench.commands, 10, "a label cannot be changed in place");
    // The kernel tells of each deletion, then of each addition.
    for key in keys(&after) {
        bench.input(Input::AddressGone(key));
        let seen = bench.kernel[&key].clone();
        bench.input(Input::AddressSeen(seen));
    }
    bench.run(3);
    assert_eq!(bench.role("VI_1"), Role::Master);
    assert_eq!((bench.said("removed by somebody"), bench.commands), (0, 10));
}

#[test]
fn addresses_that_go_together_count_as_one_removal_and_come_back_together() {
    let config = five_vips("eth0:a");
    let mut bench = Bench::master(config.clone());
    for _ in 0..3 {
        keys(&config).into_iter().for_each(|key| bench.lose(key));
        bench.run_for(RESTORE_AFTER);
        assert!(
            keys(&config)
                .iter()
                .all(|key| bench.kernel.contains_key(key))
        );
    }
    assert_eq!(bench.role("VI_1"), Role::Master);
    assert!(bench.announced.values().all(|times| *times == 3 * 5));
    keys(&config).into_iter().for_each(|key| bench.lose(key));
    bench.run_for(RESTORE_AFTER);
    assert_eq!(bench.role("VI_1"), Role::Backup);
}

#[test]
fn a_vip_does_not_come_back_before_the_address_of_the_interface() {
    let mut bench = Bench::master(config(vec![instance("VI_1", 51, "10.0.0.100/24")]));
    // Deleting the first address of a network takes the others with it, these first.
    bench.lose(address("10.0.0.100/24", 0).key);
    bench.lose(address("10.0.0.5/24", 0).key);
    assert_eq!(bench.role("VI_1"), Role::Fault);
    assert_eq!(bench.sent, [0], "goodbye, from the address that is gone");
    bench.run(1);
    assert!(!bench.has("10.0.0.100/24"));
    assert_eq!(bench.said("removed by somebody"), 0);
    let own = address("10.0.0.5/24", 0);
    bench.kernel.insert(own.key, own.clone());
    bench.input(Input::AddressSeen(own));
    bench.run(4);
    assert!(bench.has("10.0.0.100/24"));
}

#[test]
fn what_the_kernel_refuses_again_and_again_is_told_once_and_tried_less_and_less() {
    let mut bench = Bench::master(config(vec![instance("VI_1", 51, "10.0.0.100")]));
    let key = address("10.0.0.100", 0).key;
    let started = bench.now;
    let mut tries = 0;
    while bench.now.since(started) < Duration::from_secs(120) {
        if bench.kernel.remove(&key).is_some() {
            tries += 1;
            let failure = NetFailure {
                command: AddressCommand::Add(key, AddressSpec::default()).into(),
                disagreement: false,
                error: "add address 10.0.0.100/32 to interface 2: no (EACCES)".to_owned(),
            };
            bench.input(Input::NetFailed(vec![failure]));
        }
        bench.run_for(Duration::from_millis(100));
    }
    assert_eq!(bench.said("EACCES"), 1);
    assert!((5..=15).contains(&tries), "{tries}");
    // It works again, and fails again: that is news.
    bench.run(60);
    assert!(bench.has("10.0.0.100"));
    let failure = NetFailure {
        command: AddressCommand::Add(key, AddressSpec::default()).into(),
        disagreement: false,
        error: "add address 10.0.0.100/32 to interface 2: no (EACCES)".to_owned(),
    };
    bench.input(Input::NetFailed(vec![failure]));
    assert_eq!(bench.said("EACCES"), 2);
}

/// VIPs in a network of which the host has no address of its own: the first of them is the primary.
fn foreign_network(addresses: &[u8]) -> Config {
    let vip = |n: &u8| VirtualAddress::new(format!("198.51.100.{n}/24").parse().unwrap());
    let mut vi = instance("VI_1", 51, "10.0.0.100");
    vi.vips = addresses.iter().map(vip).collect();
    config(vec![vi])
}

#[test]
fn a_reload_that_removes_the_first_vip_of_a_network_keeps_the_others() {
    let mut bench = Bench::master(foreign_network(&[1, 2, 3]));
    bench.input(Input::Reload(Arc::new(foreign_network(&[2, 3]))));
    assert!(!bench.has("198.51.100.1/24"));
    assert!(bench.has("198.51.100.2/24") && bench.has("198.51.100.3/24"));
    for key in keys(&foreign_network(&[1, 2, 3])) {
        bench.input(Input::AddressGone(key));
        if let Some(seen) = bench.kernel.get(&key).cloned() {
            bench.input(Input::AddressSeen(seen));
        }
    }
    bench.run(3);
    assert_eq!(bench.said("removed by somebody"), 0);
    assert_eq!(bench.role("VI_1"), Role::Master);
}

#[test]
fn an_instance_that_leaves_does_not_take_the_vips_of_another_along() {
    let vi = |name: &str, vrid, n: u8| {
        let mut vi = instance(name, vrid, "10.0.0.100");
        vi.vips = foreign_network(&[n]).instances[0].vips.clone();
        vi
    };
    let mut bench = Bench::master(config(vec![vi("VI_1", 51, 1), vi("VI_2", 52, 2)]));
    bench.hear(200, 51, PASSWORD);
    assert_eq!(bench.role("VI_1"), Role::Backup);
    bench.run_for(vrrp::ANNOUNCED_WITHIN);
    assert!(!bench.has("198.51.100.1/24") && bench.has("198.51.100.2/24"));
}

/// The host has an address in the network of the VIP, which was there first.
fn own_behind(vip: &str) -> Bench {
    let mut bench = Bench::master(config(vec![instance("VI_1", 51, vip)]));
    let mut own = address("198.51.100.1/24", 0);
    own.secondary = true;
    bench.kernel.insert(own.key, own.clone());
    bench.input(Input::AddressSeen(own));
    bench
}

#[test]
fn a_vip_that_was_first_in_its_network_does_not_take_the_own_address_of_the_host_along() {
    let mut bench = own_behind("198.51.100.100/24");
    bench.hear(200, 51, PASSWORD);
    bench.run_for(Duration::from_millis(500));
    assert!(bench.has("198.51.100.1/24") && !bench.has("198.51.100.100/24"));
    assert!(!bench.promotes, "for that moment alone");
    let mut bench = own_behind("198.51.100.100/24");
    bench.input(Input::Stop(StopKind::Release));
    bench.run(5);
    assert!(bench.has("198.51.100.1/24") && !bench.has("198.51.100.100/24"));
}

#[test]
fn the_last_of_a_network_goes_without_any_setting_of_the_link() {
    let mut bench = Bench::master(foreign_network(&[1, 2, 3]));
    bench.hear(200, 51, PASSWORD);
    bench.run_for(Duration::from_millis(500));
    assert!(!bench.has("198.51.100.1/24") && !bench.has("198.51.100.3/24"));
    assert_eq!(bench.commands, 3);
}

#[test]
fn promote_secondaries_holds_while_it_is_configured_and_is_put_back() {
    let plain = instance("VI_1", 51, "10.0.0.100");
    let mut promoting = plain.clone();
    promoting.more.settings.promote_secondaries = true;
    let mut bench = Bench::new(config(vec![promoting.clone()]));
    assert!(bench.promotes);
    bench.input(Input::Reload(Arc::new(config(vec![plain]))));
    assert!(!bench.promotes);
    bench.input(Input::Reload(Arc::new(config(vec![promoting]))));
    assert!(bench.promotes);
    bench.input(Input::Stop(StopKind::Release));
    bench.run(5);
    assert!(!bench.promotes);
}

#[test]
fn a_prefix_of_ipv6_changes_by_removing_the_old_one_first() {
    let with = |cidr: &str| {
        let mut vi = instance("VI_1", 51, "10.0.0.100");
        vi.vips_excluded = vec![VirtualAddress::new(cidr.parse().unwrap())];
        config(vec![vi])
    };
    let mut bench = Bench::master(with("2001:db8::1/64"));
    let actions = bench
        .engine
        .handle(Input::Reload(Arc::new(with("2001:db8::1/128"))), bench.now);
    let batch = actions.into_iter().find_map(|action| match action {
        Action::Net(batch) => Some(batch.iter().map(ToString::to_string).collect::<Vec<_>>()),
        _ => None,
    });
    let expected = [
        "delete address 2001:db8::1/64 of interface 2",
        "add address 2001:db8::1/128 to interface 2",
    ];
    assert_eq!(batch.unwrap(), expected);
}

#[test]
fn a_vip_that_somebody_removes_is_put_back_three_times() {
    let mut bench = Bench::master(config(vec![instance("VI_1", 51, "10.0.0.100")]));
    let key = address("10.0.0.100", 0).key;
    for _ in 0..3 {
        bench.lose(key);
        bench.run_for(RESTORE_AFTER);
        assert!(bench.has("10.0.0.100"));
    }
    assert_eq!(bench.announced.values().sum::<u32>(), 3 * 5);
    bench.lose(key);
    bench.run_for(RESTORE_AFTER);
    assert_eq!(
        (bench.role("VI_1"), bench.has("10.0.0.100")),
        (Role::Backup, false)
    );
}
