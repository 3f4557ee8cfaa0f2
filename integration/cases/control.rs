//! The control socket and the commands that ask it: status, reasons, orders, and clients that are stuck.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::scene::{ELECTION, Instance, Lan, Router, VIP, owner_stays, wait_owner};
use crate::lab::check::{Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::Kind;
use crate::lab::guest::vipd_path;
use crate::lab::process::Finished;
use crate::lab::wire::Capture;
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "control.why",
        proves: "status and why of a pair with a failing script name the other master, both priorities, the \
                 script, its exit and since when",
        limit: Duration::from_secs(90),
        run: why,
    },
    Case {
        name: "control.orders",
        proves: "failover moves the VIP once and for good, announce tells the LAN, and reload answers with \
                 what it changed or with the error and its place",
        limit: Duration::from_secs(90),
        run: orders,
    },
    Case {
        name: "control.stuck_clients",
        proves: "sixty clients of the socket and the page that say nothing, ask by halves or do not read \
                 delay no advert and no other client",
        limit: Duration::from_secs(90),
        run: stuck_clients,
    },
    Case {
        name: "control.services",
        proves: "status says of a service its quorum and of each server the result of its last check, and \
                 /metrics has both with the counters of the kernel",
        limit: Duration::from_secs(90),
        run: services,
    },
    Case {
        name: "control.dumps",
        proves: "SIGUSR1, SIGUSR2 and signal 36 write keepalived's files: JSON with the same keys, types and \
                 values as keepalived's own, and counters that signal 63 clears",
        limit: Duration::from_secs(90),
        run: dumps,
    },
];

/// Many requests on one connection, whose answers are never read.
const ASKS_WITHOUT_END: &[u8] = &PIPELINE;
const PIPELINE: [u8; ONE_REQUEST.len() * 64] = {
    let mut all = [0; ONE_REQUEST.len() * 64];
    let mut at = 0;
    while at < all.len() {
        all[at] = ONE_REQUEST[at % ONE_REQUEST.len()];
        at += 1;
    }
    all
};
const ONE_REQUEST: &[u8] = b"GET /page.js HTTP/1.1\r\nHost: v\r\n\r\n";
const HIGH: u8 = 150;
const LOW: u8 = 130;

fn run_dir(router: &mut Router) -> Outcome<PathBuf> {
    let file = router.daemon()?.file().to_owned();
    Ok(file.parent().unwrap_or(&file).join("run"))
}

/// Runs a command against the vipd of a router.
fn ask(router: &mut Router, words: &[&str]) -> Outcome<Finished> {
    let (vipd, dir) = (vipd_path(), run_dir(router)?.display().to_string());
    let mut argv = vec![vipd.as_str()];
    argv.extend(words);
    argv.extend(["--run-dir", &dir]);
    router.host.try_run(&argv)
}

fn said(router: &mut Router, words: &[&str]) -> Outcome<String> {
    Ok(ask(router, words)?.success()?.stdout)
}

fn why(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut high = lan.router("high", 1, lab.subject())?;
    let mut low = lan.router("low", 2, lab.subject())?;
    let healthy = lab.dir().join("healthy");
    fs::write(&healthy, "")?;
    let script = format!(
        "vrrp_script chk_nginx {{\n    script \"/usr/bin/test -e {}\"\n    interval 1\n    weight -30\n}}\n",
        healthy.display()
    );
    let tracks = Instance {
        priority: HIGH,
        lines: "track_script {\n        chk_nginx\n    }",
        unicast: None,
    };
    high.start(&format!("{script}{}", tracks.text()))?;
    low.start(&Instance::plain(LOW))?;
    wait_owner(&high, &[&low])?;
    let text = said(&mut high, &["status"])?;
    ensure!(
        text.contains("V  MASTER since "),
        "status of the master:\n{text}"
    );
    fs::remove_file(&healthy)?;
    wait_owner(&low, &[&high])?;
    let sentence =
        "BACKUP: 192.0.2.2 advertises 130, ours is 120 because chk_nginx fails: exit 1, since ";
    // The first advert of the new master may still be on its way.
    wait_until("why says the sentence", ELECTION, || {
        Ok(said(&mut high, &["why", "V"])?.contains(sentence))
    })?;
    let text = said(&mut high, &["why", "V"])?;
    ensure!(
        text.contains("priority 150 -30 (script chk_nginx) = 120"),
        "why V:\n{text}"
    );
    let json = said(&mut high, &["status", "--json"])?;
    let json: serde_json::Value = serde_json::from_str(&json)?;
    let vi = &json["instances"][0];
    ensure_eq!(
        vi["master"]["address"].as_str(),
        Some("192.0.2.2"),
        "master"
    );
    ensure_eq!(
        vi["addresses"][0]["held"].as_bool(),
        Some(false),
        "the VIP is held"
    );
    let text = vi["why"].as_str().unwrap_or_default();
    ensure!(text.starts_with(sentence), "why in JSON: {text}");
    let text = said(&mut high, &["events"])?;
    ensure!(
        text.contains("VRRP_Script(chk_nginx) failed (exit 1)"),
        "events:\n{text}"
    );
    let nobody = ask(&mut high, &["why", "W"])?;
    ensure!(
        nobody.code == Some(1) && nobody.stderr.contains("nothing is called W"),
        "{}",
        nobody.describe()
    );
    high.stop()?;
    let gone = ask(&mut high, &["status"])?;
    ensure!(
        gone.code == Some(1)
            && gone.stderr.contains("control.sock")
            && gone.stderr.contains("start it"),
        "{}",
        gone.describe()
    );
    Ok(())
}

fn orders(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut high = lan.router("high", 1, lab.subject())?;
    let mut low = lan.router("low", 2, lab.subject())?;
    high.start(&Instance::plain(HIGH))?;
    low.start(&Instance::plain(LOW))?;
    wait_owner(&high, &[&low])?;
    let backup = ask(&mut low, &["failover", "V"])?;
    ensure!(
        backup.code == Some(1) && backup.stderr.contains("it is BACKUP here"),
        "{}",
        backup.describe()
    );
    let text = said(&mut high, &["failover", "V"])?;
    ensure!(text.contains("192.0.2.2 is master"), "failover: {text}");
    wait_owner(&low, &[&high])?;
    // Three times its master-down time: with preemption alone it would have come back.
    owner_stays(&low, &[&high], Duration::from_secs(10))?;
    let wire = Capture::at(&lan.client_port)?;
    let before = wire.gratuitous(VIP).len();
    said(&mut low, &["announce", "V"])?;
    wait_until("the VIP is announced five times", ELECTION, || {
        Ok(wire.gratuitous(VIP).len() >= before + 5)
    })?;
    let good = Instance::plain(LOW + 1);
    low.daemon()?.rewrite(&good)?;
    let text = said(&mut low, &["reload"])?;
    ensure!(text.contains("vrrp_instance V changed"), "reload: {text}");
    // The answer comes when the file was accepted; services and addresses follow in their order.
    wait_until("the new priority is in force", ELECTION, || {
        Ok(said(&mut low, &["status"])?.contains("priority 131"))
    })?;
    low.daemon()?
        .rewrite(&good.replace("advert_int 1", "advert_int often"))?;
    let refused = ask(&mut low, &["reload"])?;
    ensure!(
        refused.code == Some(2)
            && refused.stderr.contains("daemon.conf:5:")
            && refused.stderr.contains("stays in force"),
        "{}",
        refused.describe()
    );
    let text = said(&mut low, &["status"])?;
    ensure!(
        text.contains("RELOAD REFUSED") && text.contains("priority 131"),
        "status:\n{text}"
    );
    owner_stays(&low, &[&high], Duration::from_secs(2))
}

fn stuck_clients(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut only = lan.router("only", 1, lab.subject())?;
    let page = "global_defs {\n    @vipd page_listen 127.0.0.1:9166\n}\n";
    only.start(&format!("{page}{}", Instance::plain(HIGH)))?;
    wait_owner(&only, &[])?;
    let socket = run_dir(&mut only)?.join("control.sock");
    let page = SocketAddr::from(([127, 0, 0, 1], 9166));
    let connect = |router: &Router| router.host.within(|| TcpStream::connect(page));
    let wire = Capture::at(&lan.client_port)?;
    let (mut stuck, mut stuck_at_page) = (Vec::new(), Vec::new());
    let until = Instant::now() + Duration::from_secs(12);
    let (mut slowest, mut slowest_page) = (Duration::ZERO, Duration::ZERO);
    while Instant::now() < until {
        while stuck.len() < 30 {
            let mut stream = UnixStream::connect(&socket)?;
            let said: &[u8] = match stuck.len() % 3 {
                0 => b"",
                1 => b"GET /v1/status HTTP/1.1\r\nHos",
                _ => b"GET /v1/events?follow=true HTTP/1.1\r\nHost: vipd\r\n\r\n",
            };
            // The daemon may have closed it already: more than there are seats.
            let _ = stream.write_all(said);
            stuck.push(stream);
        }
        while stuck_at_page.len() < 30 {
            let mut stream = connect(&only)??;
            let _ = stream.write_all(match stuck_at_page.len() % 3 {
                0 => b"GET / HTTP/1.1\r\nHos",
                // Answers without end that nobody reads.
                _ => ASKS_WITHOUT_END,
            });
            stuck_at_page.push(stream);
        }
        // Some of them go, so that seats become free and are taken again.
        stuck.drain(..15);
        stuck_at_page.drain(..3);
        let begun = Instant::now();
        let answered = ask(&mut only, &["status"])?;
        if answered.code == Some(0) {
            slowest = slowest.max(begun.elapsed());
        }
        let begun = Instant::now();
        let mut stream = connect(&only)??;
        stream.set_read_timeout(Some(ELECTION))?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: vipd\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        ensure!(answer.ends_with("</html>\n"), "the page: {answer}");
        slowest_page = slowest_page.max(begun.elapsed());
        std::thread::sleep(Duration::from_millis(200));
    }
    drop((stuck, stuck_at_page));
    said(&mut only, &["status"])?;
    lab.note(format!(
        "the slowest status of a busy socket took {} ms, the slowest page {} ms",
        slowest.as_millis(),
        slowest_page.as_millis()
    ));
    let sent: Vec<Duration> = wire.adverts().iter().map(|(frame, _)| frame.at).collect();
    let gaps = sent
        .windows(2)
        .filter_map(|pair| Some(pair.get(1)?.saturating_sub(*pair.first()?)));
    let longest = gaps.max().unwrap_or_default();
    ensure!(sent.len() >= 10, "{} adverts in 12 s", sent.len());
    ensure!(
        longest < Duration::from_millis(1500),
        "two adverts are {longest:?} apart"
    );
    lab.note(format!(
        "the longest time between two adverts was {} ms",
        longest.as_millis()
    ));
    ensure_eq!(
        only.daemon()?.logged("Entering BACKUP STATE:"),
        0,
        "times it lost the VIP"
    );
    Ok(())
}

fn services(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut only = lan.router("only", 1, lab.subject())?;
    let listens = crate::lab::traffic::Server::tcp(&only.host, "127.0.0.1:8080", "one")?;
    let conf = "virtual_server 192.0.2.1 80 {\n    lb_algo rr\n    lb_kind NAT\n    protocol TCP\n    \
                delay_loop 1\n    real_server 127.0.0.1 8080 {\n        TCP_CHECK {\n            \
                connect_timeout 1\n        }\n    }\n    real_server 127.0.0.1 8081 {\n        TCP_CHECK \
                {\n            connect_timeout 1\n        }\n    }\n}\n";
    only.start(conf)?;
    wait_until("one server is down", ELECTION, || {
        let text = said(&mut only, &["status"]).unwrap_or_default();
        Ok(text.contains("1 of 2 servers up, weight 1, quorum 1"))
    })?;
    let text = said(&mut only, &["status", "192.0.2.1:80"])?;
    ensure!(
        text.contains("down since ")
            && text.contains("TCP_CHECK 127.0.0.1:8081: connection refused"),
        "status of the service:\n{text}"
    );
    let dir = run_dir(&mut only)?
        .join("control.sock")
        .display()
        .to_string();
    let metrics = only
        .host
        .run(&["curl", "-s", "--unix-socket", &dir, "http://vipd/metrics"])?;
    for line in [
        "vipd_service_quorum{service=\"192.0.2.1:80/tcp\"} 1",
        "vipd_server_up{service=\"192.0.2.1:80/tcp\",server=\"127.0.0.1:8081\"} 0",
        "vipd_server_connections_total{service=\"192.0.2.1:80/tcp\",server=\"127.0.0.1:8080\"} 0",
        "vipd_checks_total{check=\"TCP_CHECK\",result=\"failed\"}",
        "vipd_check_duration_seconds_bucket{le=\"+Inf\",check=\"TCP_CHECK\"} ",
        // The service, its two servers, and the one that left.
        "vipd_kernel_changes_total{of=\"ipvs\",result=\"done\"} 4",
        "vipd_kernel_changes_total{of=\"ipvs\",result=\"failed\"} 0",
    ] {
        ensure!(metrics.contains(line), "{line} is missing in\n{metrics}");
    }
    drop(listens);
    Ok(())
}

const DUMPED: &str = "\
vrrp_instance V {
    interface eth0
    virtual_router_id 51
    priority 150
    garp_master_refresh 30
    nopreempt
    authentication {
        auth_type PASS
        auth_pass letmein
    }
    virtual_ipaddress {
        192.0.2.100/24
        192.0.2.101 label eth0:v
    }
    virtual_ipaddress_excluded {
        192.0.2.102
    }
}
";

/// The daemon's JSON, and its counters as text.
fn dumped(lab: &Lab, kind: Kind) -> Outcome<(serde_json::Value, String)> {
    let lan = Lan::new(lab)?;
    let mut only = lan.router("only", 1, kind)?;
    for name in ["keepalived.json", "keepalived.stats", "keepalived.data"] {
        let _ = fs::remove_file(Path::new("/tmp").join(name));
    }
    only.start(DUMPED)?;
    wait_owner(&only, &[])?;
    let json = Path::new("/tmp/keepalived.json");
    only.daemon()?.signal(36)?;
    wait_until("the JSON is there", ELECTION, || Ok(json.exists()))?;
    std::thread::sleep(Duration::from_millis(500));
    only.daemon()?.signal(libc::SIGUSR2)?;
    only.daemon()?.signal(libc::SIGUSR1)?;
    let (stats, data) = (
        Path::new("/tmp/keepalived.stats"),
        Path::new("/tmp/keepalived.data"),
    );
    wait_until("the texts are there", ELECTION, || {
        Ok(stats.exists() && data.exists())
    })?;
    std::thread::sleep(Duration::from_millis(500));
    let read = (
        serde_json::from_str(&fs::read_to_string(json)?)?,
        fs::read_to_string(stats)?,
    );
    let state = fs::read_to_string(data)?;
    ensure!(
        state.contains(" VRRP Instance = V\n") && state.contains("   State = MASTER\n"),
        "state of {}:\n{state}",
        kind.name()
    );
    if kind == Kind::Vipd {
        only.daemon()?.signal(63)?;
        std::thread::sleep(Duration::from_millis(500));
        only.daemon()?.signal(libc::SIGUSR2)?;
        wait_until("the counters were cleared", ELECTION, || {
            Ok(fs::read_to_string(stats)?.contains("Became master: 0"))
        })?;
    }
    lan.net.demolish()?;
    Ok(read)
}

fn dumps(lab: &Lab) -> Outcome {
    let (theirs, their_stats) = dumped(lab, Kind::Keepalived)?;
    let (ours, our_stats) = dumped(lab, Kind::Vipd)?;
    for part in ["data", "stats"] {
        let (theirs, ours) = (&theirs[0][part], &ours[0][part]);
        let fields = theirs.as_object().into_iter().flatten();
        for (key, value) in fields {
            let own = &ours[key.as_str()];
            // Those differ from run to run.
            let differs = ["last_transition", "advert_sent"].contains(&key.as_str());
            let same = if differs {
                own.is_number()
            } else {
                own == value
            };
            ensure!(same, "{part}.{key}: keepalived has {value}, vipd {own}");
        }
        let count = |of: &serde_json::Value| of.as_object().map_or(0, serde_json::Map::len);
        ensure_eq!(count(ours), count(theirs), "keys of {part}");
    }
    let names = |text: &str| -> Vec<String> {
        let lines = text
            .lines()
            .map(|line| line.split(':').next().unwrap_or_default().to_owned());
        lines.collect()
    };
    ensure_eq!(
        names(&our_stats),
        names(&their_stats),
        "lines of the counters"
    );
    Ok(())
}
