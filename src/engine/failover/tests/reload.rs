//! What a new configuration changes, and what it does not.

use super::*;

#[test]
fn the_same_configuration_again_changes_and_sends_nothing() {
    let config = config(vec![instance("VI_1", 51, "10.0.0.100")]);
    let mut bench = Bench::master(config.clone());
    let deadline = bench.engine.next_deadline();
    bench.input(Input::Reload(Arc::new(config)));
    assert_eq!(
        (bench.sent.len(), bench.commands, bench.announced.len()),
        (0, 0, 0)
    );
    assert_eq!(bench.engine.next_deadline(), deadline);
}

#[test]
fn a_reload_adds_and_removes_vips_of_a_master() {
    let mut bench = Bench::master(config(vec![instance("VI_1", 51, "10.0.0.100")]));
    bench.input(Input::Reload(Arc::new(config(vec![instance(
        "VI_1",
        51,
        "10.0.0.101",
    )]))));
    assert_eq!(bench.role("VI_1"), Role::Master);
    assert!(bench.has("10.0.0.101") && !bench.has("10.0.0.100"));
    assert_eq!(bench.announced, [("10.0.0.101".parse().unwrap(), 5)].into());
    assert!(bench.sent.is_empty());
}

#[test]
fn an_instance_that_is_renamed_goes_on() {
    let mut bench = Bench::master(config(vec![instance("VI_1", 51, "10.0.0.100")]));
    let renamed = config(vec![instance("VI_db", 51, "10.0.0.100")]);
    bench.input(Input::Reload(Arc::new(renamed)));
    assert_eq!((bench.sent.len(), bench.commands), (0, 0));
    assert_eq!(bench.role("VI_db"), Role::Master);
    assert_eq!(bench.engine.roles().len(), 1);
}

#[test]
fn an_instance_that_leaves_with_a_reload_says_goodbye() {
    let both = config(vec![
        instance("VI_1", 51, "10.0.0.100"),
        instance("VI_2", 52, "10.0.0.101"),
    ]);
    let mut bench = Bench::master(both);
    bench.input(Input::Reload(Arc::new(config(vec![instance(
        "VI_1",
        51,
        "10.0.0.100",
    )]))));
    assert_eq!(bench.sent, [0]);
    assert_eq!(bench.engine.roles().len(), 1);
    assert!(bench.has("10.0.0.101"), "nobody else has it yet");
    bench.run(2);
    assert!(bench.has("10.0.0.100") && !bench.has("10.0.0.101"));
}

#[test]
fn a_vip_that_moves_between_instances_in_a_reload_is_not_removed_in_between() {
    let one = config(vec![
        instance("VI_1", 51, "10.0.0.100"),
        instance("VI_2", 52, "10.0.0.101"),
    ]);
    let mut bench = Bench::master(one);
    let mut vi_1 = instance("VI_1", 51, "10.0.0.100");
    vi_1.vips.extend(instance("VI_2", 52, "10.0.0.101").vips);
    bench.input(Input::Reload(Arc::new(config(vec![vi_1]))));
    assert_eq!(bench.commands, 0);
    assert!(bench.has("10.0.0.101"));
}

#[test]
fn what_is_rehearsed_is_what_a_reload_does_and_what_leaves_later_is_named() {
    let both = config(vec![
        instance("VI_1", 51, "10.0.0.100"),
        instance("VI_2", 52, "10.0.0.101"),
    ]);
    let mut bench = Bench::master(both);
    let other = Arc::new(config(vec![instance("VI_1", 51, "10.0.0.102")]));
    let planned = bench.engine.clone().rehearse(Arc::clone(&other), bench.now);
    let words = planned.commands.iter().map(|command| match command {
        NetCommand::Address(AddressCommand::Add(key, _)) => format!("+address {}", key.cidr),
        NetCommand::Address(AddressCommand::Delete(key)) => format!("-address {}", key.cidr),
        other => other.to_string(),
    });
    let words: Vec<String> = words.collect();
    let leaving: Vec<String> = planned.leaving.iter().map(|k| k.cidr.to_string()).collect();
    assert_eq!(leaving, ["10.0.0.101/32"]);
    bench.changes.clear();
    bench.input(Input::Reload(other));
    assert_eq!(words, bench.changes);
    assert!(bench.has("10.0.0.102") && bench.has("10.0.0.101"));
}
