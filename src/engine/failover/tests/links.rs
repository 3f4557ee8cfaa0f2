//! Links and their sockets.

use super::*;

#[test]
fn a_socket_that_cannot_be_had_is_a_fault_and_tried_again_until_it_opens() {
    let mut bench = Bench::new(config(vec![instance("VI_1", 51, "10.0.0.100")]));
    assert_eq!(bench.opened, 1);
    let failed = || Input::SocketFailed {
        channel: channel(Family::V4),
        error: "join 224.0.0.18 on eth0: no buffer space available (ENOBUFS)".to_owned(),
    };
    bench.input(failed());
    assert_eq!(bench.role("VI_1"), Role::Fault);
    bench.run(31);
    assert_eq!(bench.opened, 2);
    assert_eq!(bench.role("VI_1"), Role::Fault, "not before it is open");
    bench.input(failed());
    assert_eq!(bench.said("FAULT STATE"), 1, "no news");
    bench.run(31);
    assert_eq!(bench.opened, 3);
    bench.input(Input::SocketOpened(channel(Family::V4)));
    assert_eq!(bench.role("VI_1"), Role::Backup);
    bench.run(31);
    assert_eq!(bench.opened, 3);
}

#[test]
fn a_picture_that_could_not_be_read_is_asked_for_again_soon() {
    let mut bench = Bench::master(config(vec![instance("VI_1", 51, "10.0.0.100")]));
    // Lost without a word, as after an overrun.
    bench.kernel.remove(&address("10.0.0.100", 0).key);
    bench.input(Input::KernelUnread);
    bench.run(1);
    assert!(bench.has("10.0.0.100"));
}

#[test]
fn links_that_nobody_names_and_news_without_news_change_nothing() {
    let mut bench = Bench::master(config(vec![instance("VI_1", 51, "10.0.0.100")]));
    let deadline = bench.engine.next_deadline();
    for n in 10..20 {
        let other = Link {
            index: InterfaceIndex::new(n).unwrap(),
            name: format!("veth{n}").parse().unwrap(),
            ..link(true)
        };
        assert_eq!(bench.engine.handle(Input::Link(other), bench.now), []);
        assert_eq!(bench.engine.handle(Input::Link(link(true)), bench.now), []);
    }
    let gone = Input::LinkGone(InterfaceIndex::new(12).unwrap());
    assert_eq!(bench.engine.handle(gone, bench.now), []);
    assert_eq!(bench.engine.next_deadline(), deadline);
}

#[test]
fn a_vip_left_on_a_link_that_was_renamed_away_is_removed() {
    let mut bench = Bench::master(config(vec![instance("VI_1", 51, "10.0.0.100")]));
    let renamed = Link {
        name: "lan0".parse().unwrap(),
        ..link(true)
    };
    bench.links = vec![renamed.clone()];
    bench.input(Input::Link(renamed));
    assert_eq!(bench.role("VI_1"), Role::Fault);
    bench.run(1);
    assert!(!bench.has("10.0.0.100"));
    bench.links = vec![link(true)];
    bench.input(Input::Link(link(true)));
    assert_eq!(bench.role("VI_1"), Role::Backup);
}
