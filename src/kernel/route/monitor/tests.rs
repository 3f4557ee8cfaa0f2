use super::*;
use crate::kernel::route::Route;

#[test]
fn a_monitor_with_nothing_to_tell_does_not_block() {
    let mut monitor = Monitor::open().unwrap();
    // Others may change this machine's links meanwhile; news must come to an end all the same.
    for _ in 0..10_000 {
        if monitor.next().unwrap().is_none() {
            return;
        }
    }
    panic!("news without end");
}

#[test]
fn the_loopback_link_and_its_address_are_listed() {
    let mut route = Route::open().unwrap();
    let links = route.links().unwrap();
    let lo = links.iter().find(|l| l.loopback).unwrap();
    assert_eq!(lo.name.as_str(), "lo");
    let addresses = route.addresses().unwrap();
    if lo.admin_up {
        let of_lo = |a: &&ObservedAddress| a.key.interface == lo.index;
        assert!(
            addresses
                .iter()
                .find(of_lo)
                .is_some_and(|a| a.key.cidr.addr().is_loopback())
        );
    }
}
