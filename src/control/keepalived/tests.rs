//! The files as the programs that read them do it: types and layouts are those of the exporter for
//! Prometheus that most have.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use super::*;
use crate::config::model::Instance;
use crate::engine::failover::Failover;
use crate::net::NetPicture;
use crate::time::Time;
use crate::units::Vrid;
use crate::vrrp::Start;

fn config() -> Config {
    let mut instance = Instance::new("VI_1", "eth0".parse().unwrap(), Vrid::new(51).unwrap());
    instance.vips = vec![VirtualAddress::new("192.0.2.100/24".parse().unwrap())];
    instance.vips_excluded = vec![VirtualAddress::new("192.0.2.101".parse().unwrap())];
    Config {
        instances: vec![Arc::new(instance)],
        ..Config::default()
    }
}

fn view(config: &Config) -> View {
    let now = Time::from_millis(5000);
    let picture = NetPicture::default();
    let mut engine = Failover::new(config.clone(), picture, |_, _| Start::Fresh, false, now);
    engine.start(now);
    engine.view(now)
}

/// Whole numbers where the exporter has them: a `5.0` would end it.
#[derive(Deserialize)]
struct Read {
    data: Data,
    stats: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct Data {
    iname: String,
    state: i64,
    wantstate: i64,
    ifp_ifname: String,
    garp_delay: i64,
    vrid: i64,
    vips: Vec<String>,
    evips: Vec<String>,
}

fn check(read: &[Read]) {
    let Read { data, stats } = &read[0];
    assert_eq!(
        (data.iname.as_str(), data.ifp_ifname.as_str()),
        ("VI_1", "eth0")
    );
    // The interface does not exist.
    assert_eq!((data.state, data.wantstate), (3, 1));
    assert_eq!((data.garp_delay, data.vrid), (5, 51));
    assert_eq!(data.vips, ["192.0.2.100/24 dev eth0 scope global"]);
    assert_eq!(data.evips, ["192.0.2.101 dev eth0 scope global"]);
    assert_eq!(stats.len(), 14);
    assert_eq!(stats["advert_sent"], 0);
}

#[test]
fn an_exporter_reads_the_json() {
    let mut config = config();
    let first: Vec<Read> =
        serde_json::from_str(&text(Dump::Json, &config, &view(&config))).unwrap();
    check(&first);
    #[derive(Deserialize)]
    struct Second {
        vrrp: Vec<Read>,
        track_process: Vec<serde_json::Value>,
    }
    config.globals.outputs.json_version = Some(2);
    let second: Second = serde_json::from_str(&text(Dump::Json, &config, &view(&config))).unwrap();
    check(&second.vrrp);
    assert!(second.track_process.is_empty());
}

#[test]
fn an_exporter_reads_the_texts() {
    let config = config();
    let stats = text(Dump::Stats, &config, &view(&config));
    let mut lines = stats.lines();
    assert_eq!(lines.next(), Some("VRRP Instance: VI_1"));
    // Sections end with a colon, values are whole numbers behind one.
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        let depth = name.len() - name.trim_start().len();
        assert!(depth == 2 || depth == 4, "{line}");
        match value.trim() {
            "" => assert_eq!(depth, 2, "{line}"),
            number => drop(number.parse::<u64>().unwrap()),
        }
    }
    let state = text(Dump::State, &config, &view(&config));
    for line in [
        " VRRP Instance = VI_1",
        "   State = FAULT",
        "   Wantstate = FAULT",
        "   Interface = eth0",
        "   Gratuitous ARP delay = 5",
        "   Virtual Router ID = 51",
        "   Virtual IP (1):",
        "     192.0.2.100/24 dev eth0 scope global",
        "   Virtual IP Excluded :",
    ] {
        assert!(
            state.lines().any(|is| is == line),
            "{line:?} is missing in\n{state}"
        );
    }
}

#[test]
fn places_are_keepalived_s() {
    let mut config = config();
    let path = |config: &Config, dump| Place::of(dump, config).path.display().to_string();
    assert_eq!(path(&config, Dump::State), "/tmp/keepalived.data");
    assert_eq!(Place::of(Dump::Json, &config).mode, 0o600);
    config.globals.node.instance = Some("foo".into());
    assert_eq!(path(&config, Dump::State), "/tmp/keepalived.data");
    config.globals.outputs.data_use_instance = true;
    config.globals.outputs.umask = Some(0o022);
    assert_eq!(path(&config, Dump::State), "/tmp/keepalived.foo.data");
    assert_eq!(path(&config, Dump::Stats), "/tmp/keepalived.stats");
    assert_eq!(path(&config, Dump::Json), "/tmp/keepalived.json");
    assert_eq!(Place::of(Dump::Json, &config).mode, 0o644);
    config.globals.outputs.json_dump_file = Some("/run/x.json".into());
    assert_eq!(path(&config, Dump::Json), "/run/x.json");
}

#[test]
fn links_that_others_put_in_the_way_are_not_followed() {
    let dir = std::env::temp_dir().join(format!("vipd-dump-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    let victim = dir.join("victim");
    std::fs::write(&victim, "precious").unwrap();
    let place = Place {
        path: dir.join("keepalived.json"),
        mode: 0o600,
    };
    let beside = dir.join(format!("keepalived.json.{}", std::process::id()));
    std::os::unix::fs::symlink(&victim, &place.path).unwrap();
    std::os::unix::fs::symlink(&victim, &beside).unwrap();
    place.write("[]").unwrap();
    assert_eq!(std::fs::read_to_string(&place.path).unwrap(), "[]");
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
    assert!(!beside.exists());
    let mode = std::fs::metadata(&place.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let nowhere = Place {
        path: "/nonexistent/keepalived.json".into(),
        mode: 0o600,
    };
    assert!(
        nowhere
            .write("")
            .unwrap_err()
            .contains("/nonexistent/keepalived.json")
    );
    std::fs::remove_dir_all(&dir).unwrap();
}
