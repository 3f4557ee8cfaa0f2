//! What scripts and FIFOs are told of servers.

use super::*;
use crate::config::model::Run;

const ONE: &str = "RS [10.1.0.1]:tcp:80 [10.0.0.1]:tcp:80";

fn only(rig: &mut Rig, address: &str) -> Vec<String> {
    let told = std::mem::take(&mut rig.told);
    told.into_iter()
        .filter_map(|line| {
            line.strip_prefix(address)
                .map(|rest| rest.trim().to_owned())
        })
        .collect()
}

#[test]
fn a_server_that_fails_and_comes_back_is_told_once_each() {
    let mut rig = Rig::started(&two());
    rig.pass(60_000, |_| true);
    assert_eq!(
        rig.told,
        ["VS [10.0.0.1]:tcp:80 UP"],
        "a quorum from the start"
    );
    rig.told.clear();
    rig.pass(120_000, |e| e != endpoint("10.1.0.1:80"));
    assert_eq!(only(&mut rig, ONE), ["DOWN"]);
    rig.pass(120_000, |_| true);
    assert_eq!(only(&mut rig, ONE), ["UP"]);
}

#[test]
fn rs_init_notifies_tells_of_servers_that_begin_up() {
    let mut config = two();
    config.globals.scripts.rs_init_notifies = true;
    let mut rig = Rig::new(&config);
    rig.input(Input::Started);
    assert_eq!(only(&mut rig, ONE), ["UP"]);
    rig.told.clear();
    rig.input(Input::Reload(Arc::new(config.clone())));
    assert_eq!(rig.told, [""; 0], "no news at a reload");
    let new = real("10.1.0.77:80", 1);
    config.virtual_servers[0].real_servers.push(new);
    rig.input(Input::Reload(Arc::new(config)));
    let told = only(&mut rig, "RS [10.1.0.77]:tcp:80 [10.0.0.1]:tcp:80");
    assert_eq!(told, ["UP"]);
}

#[test]
fn the_first_failure_of_an_alpha_server_is_told() {
    let mut config = two();
    let server = &mut config.virtual_servers[0].real_servers[0];
    server.checkers[0].alpha = true;
    let mut rig = Rig::started(&config);
    rig.pass(400_000, |e| e != endpoint("10.1.0.1:80"));
    assert_eq!(only(&mut rig, ONE), ["DOWN"]);
}

#[test]
fn servers_that_leave_are_down_and_at_the_end_those_with_omega() {
    let mut config = two();
    let run = Run {
        argv: vec!["/down".to_owned()],
        user: None,
    };
    config.virtual_servers[0].real_servers[0].more.notify_down = Some(run);
    let mut rig = Rig::started(&config);
    let mut less = config.clone();
    less.virtual_servers[0].real_servers.remove(0);
    rig.input(Input::Reload(Arc::new(less)));
    assert_eq!(only(&mut rig, ONE), ["DOWN"]);
    rig.input(Input::Stop(StopKind::Remove));
    assert_eq!(rig.told, [""; 0]);

    let mut rig = Rig::started(&config);
    rig.told.clear();
    rig.input(Input::Reload(Arc::default()));
    assert_eq!(only(&mut rig, "VS [10.0.0.1]:tcp:80"), ["DOWN"]);

    config.virtual_servers[0].pool.omega = true;
    let mut rig = Rig::started(&config);
    rig.told.clear();
    rig.input(Input::Stop(StopKind::Remove));
    let told = std::mem::take(&mut rig.told);
    assert_eq!(told[0], format!("{ONE} DOWN"));
    assert_eq!(told.last().unwrap(), "VS [10.0.0.1]:tcp:80 DOWN");
}

#[test]
fn a_quorum_that_is_lost_and_gained_is_told_behind_its_servers() {
    let mut config = two();
    config.virtual_servers[0].pool.quorum = Some(2);
    let mut rig = Rig::started(&config);
    rig.pass(60_000, |_| true);
    rig.told.clear();
    rig.pass(120_000, |e| e != endpoint("10.1.0.1:80"));
    rig.pass(120_000, |_| true);
    let vs = "VS [10.0.0.1]:tcp:80";
    let expected = [
        format!("{ONE} DOWN"),
        format!("{vs} DOWN"),
        format!("{ONE} UP"),
        format!("{vs} UP"),
    ];
    assert_eq!(rig.told, expected);
}

#[test]
fn mails_about_servers_and_pools_have_keepalived_s_words() {
    let mut config = two();
    config.virtual_servers[0].pool.smtp_alert = Some(true);
    config.virtual_servers[0].pool.omega = true;
    let mut rig = Rig::started(&config);
    rig.pass(120_000, |e| e != endpoint("10.1.0.1:80"));
    rig.pass(120_000, |_| true);
    rig.input(Input::Stop(StopKind::Remove));
    let server = "Realserver [10.1.0.1]:tcp:80 of virtual server [10.0.0.1]:tcp:80";
    let mails: Vec<(&str, &str, bool)> = rig
        .mails
        .iter()
        .filter(|mail| mail.subject.contains("[10.1.0.1]") || mail.subject.starts_with("Virtual"))
        .map(|mail| {
            (
                mail.subject.as_str(),
                mail.line.as_str(),
                mail.detail.is_some(),
            )
        })
        .collect();
    let (down, up) = (format!("{server} - DOWN"), format!("{server} - UP"));
    let pool = "Virtualserver [10.0.0.1]:tcp:80";
    let (pool_up, pool_down) = (format!("{pool} - UP"), format!("{pool} - DOWN"));
    let start = mails[0].1;
    assert!(
        start.starts_with("=> Starting with quorum up 1+0=1 <= "),
        "{start}"
    );
    assert_eq!(
        mails,
        [
            (pool_up.as_str(), start, false),
            (down.as_str(), "=> TCP CHECK failed on service <=", true),
            (up.as_str(), "=> TCP CHECK succeed on service <=", false),
            (down.as_str(), "=> Shutting down <=", false),
            (pool_down.as_str(), "=> Shutting down <=", false),
        ]
    );
}
