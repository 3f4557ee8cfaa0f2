//! When announcements leave, and when they no longer do.

use super::*;
use crate::config::model::ExtraAnnouncements;

fn announced(bench: &Bench, address: &str) -> u32 {
    let address = address.parse::<IpAddr>().unwrap();
    bench.announced.get(&address).copied().unwrap_or_default()
}

#[test]
fn an_interval_spreads_them_out_and_they_end_with_the_masters_time() {
    let mut slow = config(vec![instance("VI_1", 51, "10.0.0.100")]);
    slow.globals.vrrp.vrrp_garp_interval = Some(Duration::from_millis(400));
    let mut bench = Bench::new(slow);
    bench.run_for(Duration::from_millis(3700));
    assert_eq!(announced(&bench, "10.0.0.100"), 1);
    bench.run_for(Duration::from_millis(800));
    assert_eq!(announced(&bench, "10.0.0.100"), 3);
    bench.input(Input::Link(link(false)));
    bench.run(3);
    assert_eq!(
        announced(&bench, "10.0.0.100"),
        3,
        "not its address any more"
    );
}

#[test]
fn addresses_on_other_interfaces_are_told_of_again_and_again_while_master() {
    let mut vips = instance("VI_1", 51, "10.0.0.100");
    let mut elsewhere = VirtualAddress::new("10.0.0.101".parse().unwrap());
    elsewhere.dev = Some("eth1".parse().unwrap());
    vips.vips.push(elsewhere);
    vips.garp.extra_if = Some(ExtraAnnouncements {
        every: Duration::from_secs(60),
        all: true,
    });
    let mut bench = Bench::new(config(vec![vips]));
    bench.input(Input::Link(Link {
        index: InterfaceIndex::new(3).unwrap(),
        name: "eth1".parse().unwrap(),
        ..link(true)
    }));
    bench.links.push(Link {
        index: InterfaceIndex::new(3).unwrap(),
        name: "eth1".parse().unwrap(),
        ..link(true)
    });
    bench.run(10);
    assert_eq!(bench.role("VI_1"), Role::Master);
    bench.announced.clear();
    bench.run(125);
    assert_eq!(announced(&bench, "10.0.0.101"), 2);
    assert_eq!(announced(&bench, "10.0.0.100"), 0);
    bench.links[0] = link(false);
    bench.input(Input::Link(link(false)));
    bench.run(125);
    assert_eq!(announced(&bench, "10.0.0.101"), 2, "no master any more");
}
