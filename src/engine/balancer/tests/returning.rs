//! Servers that come back slowly, or not yet.

use super::*;
use crate::config::model::{Connections, FlapDamping};

fn with(connections: Connections) -> Config {
    let mut config = config(vec![virtual_server(
        "10.0.0.1:80",
        vec![real("10.1.0.1:80", 110), real("10.1.0.2:80", 110)],
    )]);
    config.virtual_servers[0].pool.quorum = Some(220);
    config.virtual_servers[0].real_servers[0].connections = Some(Box::new(connections));
    config
}

const FIRST: &str = "10.1.0.1:80";

fn weight_now(rig: &Rig) -> Option<u32> {
    let service = rig.kernel.now.table.get(&key("10.0.0.1:80")).unwrap();
    service.destinations.get(&server(FIRST)).map(|d| d.weight)
}

#[test]
fn a_server_that_comes_back_gets_its_weight_step_by_step() {
    let mut rig = Rig::started(&with(Connections {
        slow_start: Some(Duration::from_secs(100)),
        ..Connections::default()
    }));
    assert_eq!(weight_now(&rig), Some(110), "not at the start");
    rig.pass(12_000, |e| e != endpoint(FIRST));
    assert_eq!(weight_now(&rig), None);
    rig.told.clear();
    let mut seen = Vec::new();
    for _ in 0..240 {
        rig.pass(500, |_| true);
        if seen.last() != Some(&weight_now(&rig)) {
            seen.push(weight_now(&rig));
        }
    }
    let weights: Vec<u32> = seen.into_iter().flatten().collect();
    assert_eq!(weights, [10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110]);
    let pool = "VS [10.0.0.1]:tcp:80 UP".to_owned();
    assert_eq!(rig.told.last(), Some(&pool), "its whole weight counts");
    assert_eq!(rig.told.len(), 2);
    rig.kernel.writes = 0;
    rig.pass(100_000, |_| true);
    assert_eq!(rig.kernel.writes, 0);
}

#[test]
fn a_reload_and_a_failure_in_the_middle_of_it() {
    let config = with(Connections {
        slow_start: Some(Duration::from_secs(100)),
        ..Connections::default()
    });
    let mut rig = Rig::started(&config);
    rig.pass(12_000, |e| e != endpoint(FIRST));
    rig.pass(30_000, |_| true);
    let half = weight_now(&rig).unwrap();
    assert!((10..110).contains(&half), "{half}");
    rig.input(Input::Reload(config.into()));
    assert_eq!(weight_now(&rig), Some(half));
    rig.pass(12_000, |e| e != endpoint(FIRST));
    assert_eq!(weight_now(&rig), None);
    rig.pass(10_500, |_| true);
    assert_eq!(weight_now(&rig), Some(10), "from the start");
}

#[test]
fn a_server_that_fails_again_and_again_is_held_back() {
    let mut rig = Rig::started(&with(Connections {
        flap_damping: Some(FlapDamping {
            count: 3,
            within: Duration::from_secs(120),
        }),
        ..Connections::default()
    }));
    for _ in 0..2 {
        rig.pass(12_000, |e| e != endpoint(FIRST));
        assert_eq!(weight_now(&rig), None);
        rig.pass(11_000, |_| true);
        assert_eq!(weight_now(&rig), Some(110));
    }
    rig.pass(12_000, |e| e != endpoint(FIRST));
    rig.told.clear();
    rig.log.clear();
    rig.pass(11_000, |_| true);
    assert_eq!(weight_now(&rig), None, "the third time within two minutes");
    let said = "Warning: service [10.1.0.1]:tcp:80 of VS [10.0.0.1]:tcp:80 failed 3 times lately: it is \
                held back until it was well for 120s";
    assert!(rig.log.contains(&said.to_owned()), "{:?}", rig.log);
    assert_eq!(rig.told, [""; 0], "nobody is told that it is back");
    // It fails once more meanwhile: from then on it has to be well for two minutes.
    rig.pass(30_000, |e| e != endpoint(FIRST));
    assert_eq!(rig.told, [""; 0], "nor that it is gone");
    rig.pass(100_000, |_| true);
    assert_eq!(weight_now(&rig), None);
    rig.pass(60_000, |_| true);
    assert_eq!(weight_now(&rig), Some(110));
    let last = [
        "RS [10.1.0.1]:tcp:80 [10.0.0.1]:tcp:80 UP",
        "VS [10.0.0.1]:tcp:80 UP",
    ];
    assert_eq!(rig.told, last);
}
