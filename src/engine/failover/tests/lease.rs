//! `vip_lease`: addresses that the kernel removes by itself.

use super::*;
use crate::net::ADDRESS_PROTOCOL;

const VIP: &str = "10.0.0.100";

/// With these seconds of lease.
fn leased(seconds: u64) -> Config {
    let mut one = instance("VI_1", 51, VIP);
    one.more.settings.vip_lease = (seconds > 0).then(|| Duration::from_secs(seconds));
    config(vec![one])
}

fn key() -> AddressKey {
    address(VIP, 0).key
}

impl Bench {
    fn lifetime(&self) -> Option<u32> {
        self.kernel[&key()].spec.valid_lifetime
    }

    /// The process stands still for so many milliseconds, more than its lease; that the kernel has taken
    /// the address away is news when it wakes.
    fn stand_still(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        self.lose(key());
        self.input(Input::Timer);
    }
}

#[test]
fn a_lease_is_renewed_every_third_of_it_and_changes_nothing_else() {
    let mut bench = Bench::master(leased(9));
    assert_eq!(bench.lifetime(), Some(9));
    bench.sent.clear();
    bench.events.clear();
    bench.commands = 0;
    bench.run(60);
    assert_eq!(bench.commands, 20, "renewals in a minute");
    assert!(
        bench
            .changes
            .iter()
            .all(|change| !change.starts_with("del"))
    );
    assert_eq!(bench.sent.len(), 60);
    assert_eq!(bench.events, Vec::<String>::new());
    // What the kernel says of a renewal is no news either.
    let seen = bench.kernel[&key()].clone();
    bench.input(Input::AddressSeen(seen));
    assert_eq!(bench.commands, 20);
}

#[test]
fn without_the_keyword_an_address_lasts() {
    let mut bench = Bench::master(leased(0));
    bench.run(60);
    assert_eq!((bench.lifetime(), bench.commands), (None, 0));
}

#[test]
fn a_short_standstill_puts_the_address_back_and_blames_nobody() {
    let mut bench = Bench::master(leased(3));
    for _ in 0..5 {
        bench.stand_still(3500);
        bench.run(1);
        assert!(bench.has(VIP));
        assert_eq!(bench.role("VI_1"), Role::Master);
        assert!(bench.announced[&VIP.parse().unwrap()] >= 5);
        bench.run(5);
    }
    assert_eq!(bench.said("did not run for as long as vip_lease"), 5);
    assert_eq!(bench.said("by somebody else"), 0);
}

#[test]
fn after_a_long_standstill_it_listens_before_it_takes_the_address_back() {
    let mut bench = Bench::master(leased(9));
    bench.stand_still(40_000);
    bench.run_for(Duration::from_millis(1000));
    assert!(!bench.has(VIP), "somebody else may be master");
    bench.run_for(Duration::from_millis(200));
    assert!(bench.has(VIP));
    assert_eq!(
        (bench.lifetime(), bench.role("VI_1")),
        (Some(9), Role::Master)
    );
    bench.commands = 0;
    bench.run(30);
    assert_eq!(bench.commands, 10, "renewals");

    let mut bench = Bench::master(leased(9));
    bench.stand_still(40_000);
    bench.hear(200, 51, PASSWORD);
    bench.run(3);
    assert!(!bench.has(VIP));
    assert_eq!(bench.role("VI_1"), Role::Backup);
    assert_eq!(bench.said("by somebody else"), 0);
}

#[test]
fn where_only_our_clock_went_on_the_address_is_kept_and_renewed() {
    let mut bench = Bench::master(leased(9));
    bench.commands = 0;
    bench.now += Duration::from_secs(100);
    bench.input(Input::Timer);
    bench.input(Input::Timer);
    assert!(bench.has(VIP));
    assert_eq!(bench.commands, 1, "renewed once the kernel was asked");
}

#[test]
fn one_that_somebody_removes_within_its_lease_is_defended_as_ever() {
    let mut bench = Bench::master(leased(9));
    for _ in 0..3 {
        bench.lose(key());
        bench.run(1);
        assert!(bench.has(VIP));
    }
    assert_eq!(
        bench.said("was removed by somebody else: it is put back"),
        3
    );
    bench.lose(key());
    bench.run(1);
    assert_eq!(bench.role("VI_1"), Role::Backup);
}

#[test]
fn a_successor_renews_at_once_what_a_crash_left() {
    let mut there = address(VIP, ADDRESS_PROTOCOL);
    there.spec.preferred_lifetime = Some(1);
    there.spec.valid_lifetime = Some(1);
    for start in [vrrp::Start::Resume, vrrp::Start::Keep] {
        let mut bench = Bench::with(leased(9), &[there.clone()], start, false);
        bench.input(Input::Timer);
        assert_eq!(bench.lifetime(), Some(9), "{start:?}");
        assert!(!bench.changes.iter().any(|change| change.starts_with("del")));
    }
}

#[test]
fn a_reload_changes_leases_in_place_and_the_same_file_writes_nothing() {
    let mut bench = Bench::master(leased(9));
    bench.run(1);
    bench.commands = 0;
    bench.input(Input::Reload(Arc::new(leased(9))));
    assert_eq!(bench.commands, 0, "the same file");
    bench.changes.clear();
    bench.input(Input::Reload(Arc::new(leased(0))));
    assert_eq!(bench.lifetime(), None);
    bench.run(30);
    assert_eq!(bench.commands, 1, "it lasts from now on");
    bench.input(Input::Reload(Arc::new(leased(60))));
    assert_eq!(bench.lifetime(), Some(60));
    bench.input(Input::Reload(Arc::new(leased(6))));
    bench.run(2);
    assert_eq!(bench.lifetime(), Some(6));
    assert!(!bench.changes.iter().any(|change| change.starts_with("del")));
    bench.hear(200, 51, PASSWORD);
    bench.run(1);
    assert!(!bench.has(VIP));
    bench.commands = 0;
    bench.run(2);
    assert_eq!(bench.commands, 0, "a backup renews nothing");
}

#[test]
fn an_address_that_two_instances_name_has_no_lease() {
    let mut two = leased(9);
    two.instances.push(Arc::new(instance("VI_2", 52, VIP)));
    let mut bench = Bench::master(two);
    bench.run(30);
    assert_eq!((bench.lifetime(), bench.commands), (None, 0));
}
