use super::*;

use crate::config::model::Instance;
use crate::engine::shared::{Role, Roles};
use crate::units::Vrid;

fn syncing() -> Config {
    let instance = Instance {
        lvs_sync_daemon_interface: Some("eth1".parse().unwrap()),
        ..Instance::new("VI_1", "eth0".parse().unwrap(), Vrid::new(51).unwrap())
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
