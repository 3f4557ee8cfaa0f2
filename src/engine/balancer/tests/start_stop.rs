use super::*;

#[test]
fn a_start_programs_the_table_and_then_lets_vips_be_claimed() {
    let mut rig = Rig::new(&two());
    rig.input(Input::Started);
    assert_eq!(
        rig.log,
        [
            "owned 10.0.0.1:80/tcp",
            "observe",
            "add service 10.0.0.1:80/tcp",
            "add destination 10.1.0.1:80 to 10.0.0.1:80/tcp",
            "add destination 10.1.0.2:80 to 10.0.0.1:80/tcp",
            "Info: IPVS programmed: services 1 added, 0 changed, 0 removed; servers 2 added, 0 \
             changed, 0 removed",
            "ready",
        ]
    );
    assert_eq!(rig.kernel.text(), TWO);
}

#[test]
fn a_restart_writes_nothing_when_all_is_as_desired() {
    let config = two();
    let first = Rig::started(&config);
    let mut again = Rig::on(first.kernel, &config, Owned::named_by(&config));
    again.kernel.writes = 0;
    again.input(Input::Started);
    assert_eq!(again.log, ["owned 10.0.0.1:80/tcp", "observe", "ready"]);
    again.pass(120_000, |_| true);
    assert_eq!(again.kernel.writes, 0);
}

#[test]
fn a_restart_leaves_a_failed_server_out_until_it_has_passed() {
    let config = two();
    let mut first = Rig::started(&config);
    first.pass(1000, |e| e != endpoint("10.1.0.1:80"));
    let mut again = Rig::on(first.kernel.clone(), &config, Owned::named_by(&config));
    again.input(Input::Started);
    assert_eq!(again.kernel.text(), first.kernel.text());
    assert_eq!(
        again.log[2],
        "Info: service [10.1.0.1]:tcp:80 was out of VS [10.0.0.1]:tcp:80 before this start and stays \
         out until its checks have passed"
    );
    again.pass(1000, |_| true);
    assert_eq!(again.kernel.text(), TWO);
    // Without a record it is a fresh start, as keepalived's is.
    let mut fresh = Rig::on(first.kernel, &config, Owned::default());
    fresh.input(Input::Started);
    assert_eq!(fresh.kernel.text(), TWO);
}

#[test]
fn what_the_record_lists_and_nobody_wants_any_more_goes() {
    let old = config(vec![virtual_server(
        "10.0.0.9:80",
        vec![real("10.1.0.1:80", 1)],
    )]);
    let first = Rig::started(&old);
    let mut rig = Rig::on(first.kernel, &two(), Owned::named_by(&old));
    rig.input(Input::Started);
    assert_eq!(rig.kernel.text(), TWO);
    assert_eq!(rig.log.last().unwrap(), "ready");
    assert!(
        rig.log.contains(&"owned 10.0.0.1:80/tcp".to_owned()),
        "{:?}",
        rig.log
    );
}

#[test]
fn a_stop_that_removes_takes_what_is_ours_and_nothing_else() {
    let foreign = config(vec![virtual_server(
        "10.0.0.9:80",
        vec![real("10.1.0.1:80", 1)],
    )]);
    let others = Rig::started(&foreign).kernel;
    let before = others.text();
    let mut rig = Rig::on(others, &two(), Owned::default());
    rig.input(Input::Started);
    rig.log.clear();
    rig.input(Input::Stop(StopKind::Remove));
    assert_eq!(
        rig.log,
        [
            "delete service 10.0.0.1:80/tcp",
            "Info: IPVS programmed: services 0 added, 0 changed, 1 removed; servers 0 added, 0 \
             changed, 0 removed",
            "owned ",
            "stopped",
        ]
    );
    assert_eq!(rig.kernel.text(), before);
    assert_eq!(rig.balancer.next_deadline(), None);
}

#[test]
fn a_stop_that_keeps_leaves_the_table_and_ends_the_checks() {
    let mut rig = Rig::started(&two());
    rig.now += Duration::from_secs(1);
    rig.input(Input::Timer);
    assert_eq!(rig.running.len(), 2);
    rig.input(Input::Stop(StopKind::Keep));
    assert_eq!(rig.log, ["stopped"]);
    assert!(rig.running.is_empty());
    assert_eq!(rig.kernel.text(), TWO);
}

#[test]
fn a_stop_that_the_kernel_refuses_ends_all_the_same() {
    let mut rig = Rig::started(&two());
    rig.refuse = Some(("delete", FailureKind::Refused));
    rig.input(Input::Stop(StopKind::Remove));
    assert!(!rig.log.contains(&"stopped".to_owned()));
    rig.pass(2999, |_| true);
    assert!(!rig.log.contains(&"stopped".to_owned()));
    rig.pass(1, |_| true);
    let end = &rig.log[rig.log.len() - 2..];
    assert_eq!(
        end,
        [
            "Error: 1 services could not be removed from IPVS in time",
            "stopped"
        ]
    );
}

#[test]
fn without_virtual_servers_ipvs_is_not_asked_for() {
    let mut rig = Rig::new(&Config::default());
    assert!(!rig.balancer.needs_ipvs());
    rig.input(Input::Started);
    assert_eq!(rig.log, ["ready"]);
    assert_eq!(rig.balancer.next_deadline(), None);
    rig.input(Input::Stop(StopKind::Remove));
    assert_eq!(rig.log, ["ready", "stopped"]);
}

#[test]
fn vips_wait_five_seconds_for_a_table_that_cannot_be_read() {
    let mut rig = Rig::new(&two());
    rig.blind = true;
    rig.input(Input::Started);
    rig.pass(4999, |_| true);
    assert!(!rig.log.contains(&"ready".to_owned()));
    let failures = rig.log.iter().filter(|l| l.starts_with("Error"));
    let failures: Vec<&String> = failures.collect();
    assert_eq!(failures, ["Error: list services: no; next try in 100ms"]);
    rig.pass(1, |_| true);
    let end = &rig.log[rig.log.len() - 2..];
    assert_eq!(
        end,
        [
            "Error: IPVS is not programmed in time: virtual addresses do not wait for it",
            "ready"
        ]
    );
    rig.blind = false;
    rig.pass(60_000, |_| true);
    assert_eq!(rig.kernel.text(), TWO);
    assert!(
        rig.log
            .contains(&"Info: the IPVS table can be read again".to_owned())
    );
    assert_eq!(rig.log.iter().filter(|l| *l == "ready").count(), 1);
}
