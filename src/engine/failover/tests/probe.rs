//! Asking who has an address that is claimed in silence.

use super::*;

const VIP: &str = "10.0.0.100";
const OTHER: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xbb]);

fn probing(count: u8) -> Config {
    let one = |number: u8| {
        let mut one = instance(&format!("VI_{number}"), number, &format!("10.0.0.{number}"));
        one.garp.probe = true;
        one
    };
    config((100..100 + count).map(one).collect())
}

impl Bench {
    fn answer(&mut self, address: &str, mac: MacAddr) {
        self.input(Input::AnnouncementSeen {
            interface: eth0(),
            address: address.parse().unwrap(),
            mac,
        });
    }
}

#[test]
fn who_claims_in_silence_asks_at_that_moment_and_tells_who_answers() {
    let mut bench = Bench::new(probing(1));
    bench.run(3);
    assert!(bench.probed.is_empty() && !bench.watching);
    bench.run(1);
    assert_eq!(bench.probed, [VIP.parse::<IpAddr>().unwrap()]);
    assert!(bench.watching && bench.has(VIP), "it claims all the same");
    bench.notices.clear();
    bench.answer(VIP, link(true).mac);
    bench.answer("10.0.0.77", OTHER);
    assert_eq!(
        bench.said("another host has"),
        0,
        "ours, and another address"
    );
    bench.answer(VIP, OTHER);
    let said =
        "(VI_100) another host has 10.0.0.100, too: it is at 02:00:00:00:00:bb on interface eth0";
    assert_eq!(bench.said(said), 1, "{:?}", bench.events);
    assert_eq!(
        bench.notices,
        ["INSTANCE \"VI_100\" MASTER_ADDRESS_CONFLICT 100"]
    );
    bench.answer(VIP, OTHER);
    assert_eq!(bench.said("another host has"), 1, "told once");
    assert_eq!(bench.role("VI_100"), Role::Master);
    bench.run(5);
    assert!(!bench.watching);
}

#[test]
fn an_answer_that_comes_late_is_no_news() {
    let mut bench = Bench::master(probing(1));
    bench.run(2);
    bench.answer(VIP, OTHER);
    assert_eq!(bench.said("another host has"), 0);
}

#[test]
fn who_takes_over_from_somebody_he_heard_does_not_ask() {
    for farewell in [true, false] {
        let mut bench = Bench::new(probing(1));
        for _ in 0..5 {
            // With a lower priority: it is preempted in the second case.
            bench.hear(if farewell { 200 } else { 50 }, 100, PASSWORD);
            bench.run(1);
        }
        if farewell {
            bench.hear(0, 100, PASSWORD);
        }
        bench.run(2);
        assert_eq!(bench.role("VI_100"), Role::Master);
        assert!(bench.probed.is_empty());
    }
}

#[test]
fn an_advert_that_comes_before_the_answer_has_told_of_the_other_one() {
    let mut bench = Bench::master(probing(1));
    bench.hear(50, 100, PASSWORD);
    bench.answer(VIP, OTHER);
    assert_eq!(bench.said("another host has"), 0);
}

#[test]
fn many_ask_one_after_the_other() {
    let mut bench = Bench::new(probing(100));
    bench.run(3);
    let due = bench.engine.next_deadline().unwrap().0;
    bench.run_for(due.since(bench.now) + Duration::from_millis(1));
    assert_eq!(bench.probed.len(), 16);
    bench.run_for(Duration::from_millis(30));
    assert_eq!(bench.probed.len(), 64);
    bench.run(1);
    assert_eq!(bench.probed.len(), 100);
    assert!(
        bench
            .engine
            .roles()
            .values()
            .all(|role| *role == Role::Master)
    );
}
