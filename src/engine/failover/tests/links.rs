//! Links and their sockets.

use super::*;
use crate::config::model::LinkDelays;

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

fn delayed(down: u64, up: u64) -> Config {
    let mut config = config(vec![instance("VI_1", 51, "10.0.0.100")]);
    let delays = LinkDelays {
        down: Duration::from_secs(down),
        up: Duration::from_secs(up),
    };
    let delays = ("eth0".parse().unwrap(), delays);
    config.links.up_down_delays = [delays].into();
    config
}

impl Bench {
    fn set_link(&mut self, up: bool) {
        self.links = vec![link(up)];
        self.input(Input::Link(link(up)));
    }
}

#[test]
fn a_link_counts_as_down_and_as_up_after_its_delays() {
    let mut bench = Bench::master(delayed(1, 3));
    bench.set_link(false);
    bench.run_for(Duration::from_millis(999));
    assert_eq!(bench.role("VI_1"), Role::Master);
    bench.run_for(Duration::from_millis(1));
    assert_eq!(bench.role("VI_1"), Role::Fault);
    bench.set_link(true);
    bench.run_for(Duration::from_millis(2999));
    assert_eq!(bench.role("VI_1"), Role::Fault);
    bench.run_for(Duration::from_millis(1));
    assert_eq!(bench.role("VI_1"), Role::Backup);
}

#[test]
fn a_link_that_is_back_within_its_delay_was_never_down() {
    let mut bench = Bench::master(delayed(1, 0));
    for _ in 0..5 {
        bench.set_link(false);
        bench.run_for(Duration::from_millis(900));
        bench.set_link(true);
        bench.run_for(Duration::from_millis(200));
    }
    assert_eq!(bench.role("VI_1"), Role::Master);
}

#[test]
fn a_link_that_goes_is_not_waited_for_and_counts_at_once_when_it_is_there_again() {
    let mut bench = Bench::master(delayed(1, 3));
    bench.links.clear();
    bench.kernel.clear();
    bench.input(Input::LinkGone(eth0()));
    assert_eq!(bench.role("VI_1"), Role::Fault);
    let own = address("10.0.0.5/24", 0);
    bench.kernel.insert(own.key, own.clone());
    bench.input(Input::AddressSeen(own));
    bench.set_link(true);
    bench.run_for(Duration::from_millis(10));
    assert_eq!(bench.role("VI_1"), Role::Backup);
}

#[test]
fn delays_that_a_reload_takes_away_hold_nothing_back() {
    let mut bench = Bench::master(delayed(2, 2));
    bench.set_link(false);
    let mut config = delayed(2, 2);
    config.links.up_down_delays.clear();
    bench.input(Input::Reload(Arc::new(config)));
    assert_eq!(bench.role("VI_1"), Role::Fault);
}

#[test]
fn an_interface_that_does_not_exist_yet_is_waited_for() {
    let mut vi = instance("VI_1", 51, "10.0.0.100");
    vi.interface = Some("eth7".parse().unwrap());
    let mut bench = Bench::new(config(vec![vi]));
    assert_eq!(bench.role("VI_1"), Role::Fault);
    assert_eq!(bench.said("interface eth7 does not exist"), 1);
    let opened = bench.opened;
    let renamed = Link {
        name: "eth7".parse().unwrap(),
        ..link(true)
    };
    bench.links = vec![renamed.clone()];
    bench.input(Input::Link(renamed));
    assert_eq!(
        (bench.role("VI_1"), bench.opened),
        (Role::Backup, opened + 1)
    );
    bench.run(4);
    assert!(bench.has("10.0.0.100"));
}

#[test]
fn a_driver_that_sees_no_link_is_believed_and_one_that_sees_one_is_not_enough() {
    let beat = |value| Input::Fact {
        name: FactName::new(FactKind::Linkbeat, "eth0"),
        value,
    };
    let mut config = config(vec![instance("VI_1", 51, "10.0.0.100")]);
    config.links.linkbeat = [("eth0".parse().unwrap(), None)].into();
    let mut bench = Bench::master(config.clone());
    bench.input(beat(FactValue::Up));
    assert_eq!(bench.role("VI_1"), Role::Master);
    bench.input(beat(FactValue::Down));
    assert_eq!(bench.role("VI_1"), Role::Fault);
    assert_eq!(bench.said("Linkbeat reports eth0 down"), 1);
    bench.input(beat(FactValue::Up));
    assert_eq!(bench.role("VI_1"), Role::Backup);
    bench.set_link(false);
    assert_eq!(bench.role("VI_1"), Role::Fault);
    bench.set_link(true);
    bench.input(beat(FactValue::Down));
    config.links.linkbeat.clear();
    bench.input(Input::Reload(Arc::new(config)));
    assert_eq!(bench.role("VI_1"), Role::Backup, "nobody asks any more");
}

#[test]
fn a_link_that_was_gone_and_is_no_fault_is_announced_on_when_it_is_back() {
    let mut vi = instance("VI_1", 51, "10.0.0.100");
    vi.dont_track_primary = true;
    let mut bench = Bench::master(config(vec![vi]));
    bench.input(Input::Link(link(false)));
    assert_eq!(bench.role("VI_1"), Role::Master);
    bench.announced.clear();
    bench.input(Input::Link(link(true)));
    bench.run(1);
    assert_eq!(bench.announced.values().sum::<u32>(), 5);
}
