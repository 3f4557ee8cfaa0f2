use super::*;

#[test]
fn a_server_that_fails_leaves_and_one_that_recovers_returns() {
    let mut rig = Rig::started(&two());
    rig.pass(2000, |_| true);
    rig.log.clear();
    rig.pass(10_500, |e| e != endpoint("10.1.0.2:80"));
    assert_eq!(
        rig.take_log(),
        [
            "Info: TCP_CHECK on service [10.1.0.2]:tcp:80 failed after 1 retries. (connection refused)",
            "Info: Removing service [10.1.0.2]:tcp:80 from VS [10.0.0.1]:tcp:80",
            "delete destination 10.1.0.2:80 of 10.0.0.1:80/tcp",
        ]
    );
    rig.pass(10_000, |_| true);
    assert_eq!(
        rig.take_log(),
        [
            "Info: TCP connection to [10.1.0.2]:tcp:80 success.",
            "Info: Adding service [10.1.0.2]:tcp:80 to VS [10.0.0.1]:tcp:80",
            "add destination 10.1.0.2:80 to 10.0.0.1:80/tcp",
        ]
    );
    assert_eq!(rig.kernel.text(), TWO);
}

#[test]
fn with_inhibit_on_failure_a_failed_server_gets_weight_0() {
    let mut config = two();
    let rs = &mut config.virtual_servers[0].real_servers[0];
    rs.inhibit_on_failure = true;
    rs.checkers[0].log_all_failures = true;
    let mut rig = Rig::started(&config);
    rig.pass(1000, |_| true);
    rig.log.clear();
    rig.pass(12_000, |e| e != endpoint("10.1.0.1:80"));
    assert_eq!(
        rig.take_log(),
        [
            "Info: TCP connection to [10.1.0.1]:tcp:80 failed. (connection refused)",
            "Info: TCP_CHECK on service [10.1.0.1]:tcp:80 failed after 1 retries. (connection refused)",
            "Info: Disabling service [10.1.0.1]:tcp:80 of VS [10.0.0.1]:tcp:80",
            "change destination 10.1.0.1:80 of 10.0.0.1:80/tcp",
        ]
    );
    assert!(rig.kernel.text().contains("10.1.0.1:80 -m -w 0"));
    rig.pass(10_000, |_| true);
    assert_eq!(
        rig.log[1],
        "Info: Enabling service [10.1.0.1]:tcp:80 of VS [10.0.0.1]:tcp:80"
    );
    assert_eq!(rig.kernel.text(), TWO);
}

#[test]
fn what_is_refused_is_tried_again_with_longer_and_longer_waits_and_told_once() {
    let mut rig = Rig::new(&two());
    rig.refuse = Some(("add destination 10.1.0.2", FailureKind::Refused));
    rig.input(Input::Started);
    // One destination that is refused does not keep the others nor the VIP waiting.
    assert_eq!(rig.log.last().unwrap(), "ready");
    rig.pass(10_000, |_| true);
    let tries = rig.log.iter().filter(|l| l.starts_with("failed:")).count();
    assert_eq!(tries, 7, "at 0, 0.1, 0.3, 0.7, 1.5, 3.1, 6.3 s");
    let told: Vec<&String> = rig.log.iter().filter(|l| l.starts_with("Error")).collect();
    assert_eq!(
        told,
        ["Error: add destination 10.1.0.2:80 to 10.0.0.1:80/tcp: no; next try in 100ms"]
    );
    rig.refuse = None;
    rig.pass(20_000, |_| true);
    assert_eq!(rig.kernel.text(), TWO);
    let end = "Info: add destination 10.1.0.2:80 to 10.0.0.1:80/tcp: done now";
    assert!(rig.log.contains(&end.to_owned()), "{:?}", rig.log);
}

#[test]
fn servers_of_a_refused_service_wait_with_it() {
    let mut rig = Rig::new(&two());
    rig.refuse = Some(("add service", FailureKind::Refused));
    rig.input(Input::Started);
    rig.pass(5_000, |_| true);
    let told: Vec<&String> = rig.log.iter().filter(|l| l.starts_with("Error")).collect();
    assert_eq!(
        told,
        ["Error: add service 10.0.0.1:80/tcp: no; next try in 100ms"]
    );
    rig.refuse = None;
    rig.pass(20_000, |_| true);
    assert_eq!(rig.kernel.text(), TWO);
}

#[test]
fn a_wiped_table_is_found_by_the_next_event_and_put_back_at_once() {
    let mut rig = Rig::started(&two());
    rig.pass(2000, |_| true);
    rig.by_hand(Command::DelService(key("10.0.0.1:80")));
    rig.log.clear();
    rig.pass(10_500, |e| e != endpoint("10.1.0.2:80"));
    assert_eq!(
        rig.take_log()[2..],
        [
            "failed: delete destination 10.1.0.2:80 of 10.0.0.1:80/tcp",
            "observe",
            "Warning: IPVS was changed by somebody else: 2 changes put it back, the first: add service \
             10.0.0.1:80/tcp",
            "add service 10.0.0.1:80/tcp",
            "add destination 10.1.0.1:80 to 10.0.0.1:80/tcp",
        ]
    );
}

#[test]
fn a_missing_server_is_restored_within_30_seconds() {
    let mut rig = Rig::started(&two());
    rig.by_hand(Command::DelDestination(
        key("10.0.0.1:80"),
        server("10.1.0.1:80"),
    ));
    rig.pass(30_000, |_| true);
    assert_eq!(rig.kernel.text(), TWO);
}

#[test]
fn a_weight_set_by_hand_stays_until_there_is_a_reason_of_our_own() {
    let mut rig = Rig::started(&two());
    rig.pass(5000, |_| true);
    rig.by_hand(Command::SetDestination(
        key("10.0.0.1:80"),
        server("10.1.0.2:80"),
        weight(7),
    ));
    rig.log.clear();
    rig.pass(100_000, |_| true);
    let said: Vec<&String> = rig.log.iter().filter(|l| *l != "observe").collect();
    assert_eq!(
        said,
        [
            "Warning: weight of 10.1.0.2:80 in 10.0.0.1:80/tcp is 7 instead of 1, set by hand: kept \
             until its checks or the configuration change it"
        ]
    );
    assert!(rig.kernel.text().contains("10.1.0.2:80 -m -w 7"));
    // The other server's failure is no reason to write this one.
    rig.pass(12_000, |e| e != endpoint("10.1.0.1:80"));
    assert!(rig.kernel.text().contains("10.1.0.2:80 -m -w 7"));
    rig.pass(12_000, |e| e != endpoint("10.1.0.2:80"));
    rig.pass(12_000, |_| true);
    assert_eq!(rig.kernel.text(), TWO);
}

#[test]
fn what_others_put_beside_ours_stays() {
    let mut rig = Rig::started(&two());
    rig.by_hand(Command::NewDestination(
        key("10.0.0.1:80"),
        server("10.1.0.9:80"),
        weight(1),
    ));
    let spec = rig.kernel.now.table[&key("10.0.0.1:80")].spec.clone();
    rig.by_hand(Command::NewService(key("10.0.0.7:80"), spec));
    let before = rig.kernel.text();
    rig.log.clear();
    rig.pass(95_000, |_| true);
    assert_eq!(rig.kernel.text(), before);
    let said = rig.log.iter().filter(|l| l.starts_with("Warning"));
    assert_eq!(
        said.collect::<Vec<_>>(),
        ["Warning: destination 10.1.0.9:80 of 10.0.0.1:80/tcp was added by hand: kept"]
    );
}
