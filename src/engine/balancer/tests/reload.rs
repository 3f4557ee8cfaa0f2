use super::*;

fn reload(rig: &mut Rig, config: &Config) {
    rig.log.clear();
    rig.kernel.writes = 0;
    rig.input(Input::Reload(Arc::new(config.clone())));
}

#[test]
fn the_same_file_again_writes_nothing() {
    let mut rig = Rig::started(&two());
    rig.pass(3000, |_| true);
    reload(&mut rig, &two());
    assert_eq!(rig.log, ["observe", "ready"]);
    assert_eq!(rig.kernel.writes, 0);
}

#[test]
fn a_new_weight_is_one_write() {
    let mut rig = Rig::started(&two());
    let mut config = two();
    config.virtual_servers[0].real_servers[1].weight = 5;
    reload(&mut rig, &config);
    assert_eq!(rig.kernel.writes, 1);
    assert!(rig.kernel.text().contains("10.1.0.2:80 -m -w 5"));
}

#[test]
fn a_failed_server_stays_out_over_a_reload_even_with_other_timing() {
    let mut rig = Rig::started(&two());
    rig.pass(1000, |e| e != endpoint("10.1.0.1:80"));
    let mut config = two();
    config.virtual_servers[0].real_servers[0].checkers[0].delay_loop = Duration::from_secs(2);
    reload(&mut rig, &config);
    assert_eq!(rig.kernel.writes, 0);
    assert!(!rig.kernel.text().contains("10.1.0.1:80"));
    rig.pass(2000, |_| true);
    assert_eq!(rig.kernel.text(), TWO);
}

#[test]
fn checks_that_run_go_on_over_a_reload() {
    let mut rig = Rig::started(&two());
    rig.now += Duration::from_secs(1);
    rig.input(Input::Timer);
    assert_eq!(rig.running.len(), 2);
    reload(&mut rig, &two());
    assert_eq!(rig.running.len(), 2);
    rig.pass(0, |_| true);
    let (probe, _) = rig.running.pop_first().unwrap();
    let outcome = CheckOutcome::Failed("no".to_owned());
    rig.input(Input::CheckFinished { probe, outcome });
    assert!(!rig.kernel.text().contains("10.1.0.1:80"));
}

#[test]
fn what_the_new_file_does_not_name_goes_and_is_then_nobodys() {
    let mut rig = Rig::started(&two());
    let other = config(vec![virtual_server(
        "10.0.0.2:80",
        vec![real("10.1.0.1:80", 1)],
    )]);
    reload(&mut rig, &other);
    assert_eq!(
        rig.take_log(),
        [
            "owned 10.0.0.1:80/tcp 10.0.0.2:80/tcp",
            "add service 10.0.0.2:80/tcp",
            "add destination 10.1.0.1:80 to 10.0.0.2:80/tcp",
            "delete service 10.0.0.1:80/tcp",
            "Info: IPVS programmed: services 1 added, 0 changed, 1 removed; servers 1 added, 0 \
             changed, 0 removed",
            "owned 10.0.0.2:80/tcp",
            "observe",
            "ready",
        ]
    );
    let spec = rig.kernel.now.table[&key("10.0.0.2:80")].spec.clone();
    rig.by_hand(Command::NewService(key("10.0.0.1:80"), spec));
    rig.pass(60_000, |_| true);
    assert!(rig.kernel.text().contains("-A 10.0.0.1:80/tcp"));
}

#[test]
fn a_removal_that_the_kernel_refuses_is_remembered() {
    let mut rig = Rig::started(&two());
    rig.refuse = Some(("delete", FailureKind::Refused));
    reload(&mut rig, &Config::default());
    assert!(rig.balancer.needs_ipvs());
    rig.refuse = None;
    rig.pass(1000, |_| true);
    assert_eq!(rig.kernel.text(), "");
    assert!(!rig.balancer.needs_ipvs());
    assert_eq!(rig.balancer.next_deadline(), None);
}

#[test]
fn a_weight_set_by_hand_survives_a_reload_that_does_not_touch_it() {
    let mut rig = Rig::started(&two());
    rig.by_hand(Command::SetDestination(
        key("10.0.0.1:80"),
        server("10.1.0.2:80"),
        weight(7),
    ));
    reload(&mut rig, &two());
    assert_eq!(rig.kernel.writes, 0);
    let mut config = two();
    config.virtual_servers[0].real_servers[1].weight = 2;
    reload(&mut rig, &config);
    assert!(rig.kernel.text().contains("10.1.0.2:80 -m -w 2"));
}

#[test]
fn a_reload_that_brings_the_first_virtual_server_programs_it() {
    let mut rig = Rig::started(&Config::default());
    reload(&mut rig, &two());
    assert_eq!(rig.kernel.text(), TWO);
}
