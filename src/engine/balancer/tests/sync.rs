use super::*;

use crate::config::model::{Garp, InitialState, Instance, InstanceMore, Preempt, Transport};
use crate::engine::shared::{Role, Roles};
use crate::net::Family;
use crate::units::{AdvertInterval, Priority, Version, Vrid};

fn syncing() -> Config {
    let instance = Instance {
        name: "VI_1".to_owned(),
        version: Version::V2,
        family: Family::V4,
        state: InitialState::Backup,
        interface: "eth0".parse().unwrap(),
        vrid: Vrid::new(51).unwrap(),
        priority: Priority::DEFAULT,
        advert_int: AdvertInterval::new(Duration::from_secs(1)).unwrap(),
        down_timer_adverts: 3,
        preempt: Preempt::Never,
        transport: Transport::Multicast([224, 0, 0, 18].into()),
        src_ip: None,
        auth: None,
        vips: Vec::new(),
        vips_excluded: Vec::new(),
        garp: Garp::default(),
        lower_prio_no_advert: false,
        higher_prio_send_advert: false,
        track_scripts: Vec::new(),
        track_interfaces: Vec::new(),
        dont_track_primary: false,
        lvs_sync_daemon_interface: Some("eth1".parse().unwrap()),
        more: InstanceMore::default(),
    };
    Config {
        instances: vec![instance],
        ..Config::default()
    }
}

fn roles(role: Role) -> Input {
    Input::Roles(Roles::from([("VI_1".to_owned(), role)]))
}

#[test]
fn the_sync_daemon_follows_the_role() {
    let mut rig = Rig::started(&syncing());
    rig.input(roles(Role::Init));
    assert_eq!(rig.kernel.text(), "");
    rig.input(roles(Role::Backup));
    assert_eq!(rig.kernel.text(), "--start-daemon Backup eth1 0\n");
    rig.input(roles(Role::Master));
    assert_eq!(rig.kernel.text(), "--start-daemon Master eth1 0\n");
    rig.input(roles(Role::Fault));
    assert_eq!(rig.kernel.text(), "--start-daemon Backup eth1 0\n");
    rig.input(Input::Stop(StopKind::Remove));
    assert_eq!(rig.kernel.text(), "");
    assert_eq!(rig.log.last().unwrap(), "stopped");
}

#[test]
fn a_restarted_master_keeps_its_daemon_while_its_role_is_not_decided() {
    let mut first = Rig::started(&syncing());
    first.input(roles(Role::Master));
    let mut again = Rig::on(first.kernel, &syncing(), Owned::named_by(&syncing()));
    again.kernel.writes = 0;
    again.input(Input::Started);
    again.input(roles(Role::Init));
    again.input(roles(Role::Master));
    assert_eq!(again.kernel.writes, 0);
}

#[test]
fn a_daemon_that_no_instance_asks_for_is_somebody_elses() {
    let mut other = Rig::started(&syncing());
    other.input(roles(Role::Master));
    let mut rig = Rig::on(other.kernel, &two(), Owned::default());
    rig.input(Input::Started);
    rig.input(Input::Stop(StopKind::Remove));
    assert_eq!(rig.kernel.text(), "--start-daemon Master eth1 0\n");
}
