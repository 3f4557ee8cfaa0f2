use super::*;

use crate::config::model::{Instance, LvsSyncDaemon};
use crate::engine::shared::{Role, Roles};
use crate::units::Vrid;

fn syncing() -> Config {
    let vrid = Vrid::new(51).unwrap();
    let mut instance = Instance::new("VI_1", "eth0".parse().unwrap(), vrid);
    instance.more.lvs_sync_daemon_interface = Some("eth1".parse().unwrap());
    Config {
        instances: vec![instance.into()],
        ..Config::default()
    }
}

fn roles(role: Role) -> Input {
    Input::Roles(Roles::new([("VI_1".to_owned(), role)].into()))
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

fn everywhere(instance: Option<&str>) -> Config {
    let mut config = syncing();
    std::sync::Arc::make_mut(&mut config.instances[0])
        .more
        .lvs_sync_daemon_interface = None;
    config.globals.lvs_sync_daemon = Some(LvsSyncDaemon {
        interface: "eth2".parse().unwrap(),
        instance: instance.map(str::to_owned),
        id: None,
        max_len: None,
        port: Some(9000),
        ttl: None,
        group: None,
    });
    config
}

#[test]
fn without_an_instance_both_daemons_run() {
    let rig = Rig::started(&everywhere(None));
    assert_eq!(
        rig.kernel.text(),
        "--start-daemon Master eth2 0\n--start-daemon Backup eth2 0\n"
    );
}

#[test]
fn with_an_instance_the_daemon_has_its_vrid_and_follows_it() {
    let mut rig = Rig::started(&everywhere(Some("VI_1")));
    rig.input(roles(Role::Backup));
    assert_eq!(rig.kernel.text(), "--start-daemon Backup eth2 51\n");
    rig.input(roles(Role::Master));
    assert_eq!(rig.kernel.text(), "--start-daemon Master eth2 51\n");
}

#[test]
fn a_daemon_whose_options_change_is_started_again() {
    let mut rig = Rig::started(&everywhere(None));
    rig.kernel.writes = 0;
    rig.input(Input::Reload(Arc::new(everywhere(None))));
    assert_eq!(rig.kernel.writes, 0);
    let mut other = everywhere(None);
    other.globals.lvs_sync_daemon.as_mut().unwrap().port = None;
    rig.input(Input::Reload(Arc::new(other)));
    assert_eq!(rig.kernel.writes, 4, "{}", rig.kernel.text());
}

#[test]
fn timeouts_are_set_once_and_again_when_they_change() {
    let mut config = two();
    config.globals.lvs_timeouts.tcp = Some(Duration::from_secs(28_800));
    let mut rig = Rig::started(&config);
    let set = |rig: &Rig| rig.kernel.now.timeouts.tcp;
    assert_eq!(set(&rig), Some(Duration::from_secs(28_800)));
    rig.kernel.writes = 0;
    rig.input(Input::Reload(Arc::new(config.clone())));
    assert_eq!(rig.kernel.writes, 0);
    config.globals.lvs_timeouts.tcp = Some(Duration::from_secs(60));
    rig.input(Input::Reload(Arc::new(config)));
    assert_eq!(set(&rig), Some(Duration::from_secs(60)));
    assert_eq!(rig.kernel.writes, 1);
    // keepalived leaves them as well.
    rig.input(Input::Stop(StopKind::Remove));
    assert_eq!(set(&rig), Some(Duration::from_secs(60)));
}
