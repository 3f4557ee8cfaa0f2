//! The packaged units under systemd: what a restart, a reload, a stop and a fault do to those who use the
//! service.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use crate::cases::daemon::only_vipd;
use crate::lab::check::{Failure, Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::{Daemon, Kind};
use crate::lab::guest::HOST_DIR;
use crate::lab::machine::{STAND_IN, VIPD};
use crate::lab::net::{Host, Net};
use crate::lab::process::Process;
use crate::lab::systemd::Systemd;
use crate::lab::traffic::{Conversation, Pulse, Server};
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "unit.restart",
        proves: "systemctl restart ends no connection through NAT, DR and TUN: idle, in mid-transfer, \
                 waiting for an answer, persistent, UDP; nor does a kill; a reload with an error fails with \
                 the reason; stop hands over and empties the table; the journal has fields for each line",
        limit: Duration::from_secs(300),
        run: restart,
    },
    Case {
        name: "unit.stand_in",
        proves: "the stand-in goes by keepalived's name, has its init script, and takes vipd's place and \
                 back; a vipd that is stuck is started again; the strict options let it run; \
                 with an error in the file a restart hands over",
        limit: Duration::from_secs(300),
        run: stand_in,
    },
];

const LIMIT: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(10);
const VIP: std::net::Ipv4Addr = std::net::Ipv4Addr::new(192, 0, 2, 100);
const FILE: &str = "/etc/keepalived/keepalived.conf";
/// Ports of the services by NAT, DR and TUN.
const METHODS: [(&str, &str, &str); 3] = [
    ("80", "NAT", "198.51.100.11"),
    ("81", "DR", "192.0.2.21"),
    ("82", "TUN", "192.0.2.22"),
];

/// Seconds between adverts: where a restart has to fit between two, and where nothing has to.
const SLOW: &str = "2";
const FAST: &str = "0.3";

fn instance(state: &str, priority: u8, advert_int: &str) -> String {
    format!(
        "global_defs {{\n vrrp_version 3\n}}\nvrrp_instance VI_1 {{\n state {state}\n interface eth0\n virtual_router_id 51\n priority \
         {priority}\n advert_int {advert_int}\n virtual_ipaddress {{\n  {VIP}\n }}\n}}\n"
    )
}

fn conf(advert_int: &str) -> String {
    let mut text = instance("MASTER", 150, advert_int);
    let mut service = |port: &str, lines: &str, servers: &[&str]| {
        text.push_str(&format!(
            "virtual_server {VIP} {port} {{\n delay_loop 5\n lb_algo rr\n {lines}\n"
        ));
        for server in servers {
            text.push_str(&format!(
                " real_server {server} {port} {{\n weight 1\n }}\n"
            ));
        }
        text.push_str("}\n");
    };
    for (port, method, server) in METHODS {
        service(port, &format!("lb_kind {method}\n protocol TCP"), &[server]);
    }
    let nat = ["198.51.100.11", "198.51.100.12"];
    let persistent = "lb_kind NAT\n protocol TCP\n persistence_timeout 300";
    service("83", persistent, &nat);
    service("53", "lb_kind NAT\n protocol UDP", &nat[..1]);
    text
}

/// A client, a director under systemd, a keepalived as its backup, and servers by each method.
struct Site<'a> {
    _net: Net<'a>,
    client: Host,
    director: Host,
    systemd: Systemd,
    backup: Daemon,
    peer: Host,
    monitor: Process,
    _servers: Vec<Server>,
}

impl<'a> Site<'a> {
    fn new(lab: &'a Lab, advert_int: &str) -> Outcome<Self> {
        only_vipd(lab)?;
        let net = Net::new(lab)?;
        let (front, behind) = (net.segment("front")?, net.segment("back")?);
        let (client, peer) = (net.host("client")?, net.host("peer")?);
        let director = net.router("director")?;
        let (nat, dr, tun) = (net.host("nat")?, net.host("dr")?, net.host("tun")?);
        net.plug(&client, "eth0", &front, &["192.0.2.10/24"])?;
        net.plug(&peer, "eth0", &front, &["192.0.2.2/24"])?;
        net.plug(&director, "eth0", &front, &["192.0.2.1/24"])?;
        net.plug(&director, "eth1", &behind, &["198.51.100.1/24"])?;
        let both = ["198.51.100.11/24", "198.51.100.12/24"];
        net.plug(&nat, "eth0", &behind, &both)?;
        nat.ip("route add default via 198.51.100.1\n")?;
        net.plug(&dr, "eth0", &front, &["192.0.2.21/24"])?;
        net.plug(&tun, "eth0", &front, &["192.0.2.22/24"])?;
        for server in [&dr, &tun] {
            server.sysctl("net.ipv4.conf.all.arp_ignore", "1")?;
            server.sysctl("net.ipv4.conf.all.arp_announce", "2")?;
            server.ip(&format!("addr add {VIP}/32 dev lo\n"))?;
        }
        tun.ip("link add ipip1 type ipip local 192.0.2.22\nlink set ipip1 up\n")?;
        for dev in ["all", "ipip1"] {
            tun.sysctl(&format!("net.ipv4.conf.{dev}.rp_filter"), "0")?;
        }
        let servers = vec![
            Server::tcp(&nat, "198.51.100.11:80", "nat")?,
            Server::tcp(&nat, "198.51.100.11:83", "first")?,
            Server::tcp(&nat, "198.51.100.12:83", "second")?,
            Server::udp(&nat, "198.51.100.11:53", "udp")?,
            Server::tcp(&dr, &format!("{VIP}:81"), "dr")?,
            Server::tcp(&tun, &format!("{VIP}:82"), "tun")?,
        ];
        let backup = Daemon::start(
            Kind::Keepalived,
            &peer,
            &instance("BACKUP", 100, advert_int),
        )?;
        let monitor = director.spawn("addresses", &["ip", "monitor", "address"])?;
        let booted = Instant::now();
        let systemd = Systemd::boot(&director)?;
        systemd.install(VIPD)?;
        let took = booted.elapsed().as_secs_f64();
        lab.note(format!("systemd booted in {took:.1} s"));
        systemd.write(FILE, &conf(advert_int))?;
        let site = Site {
            _net: net,
            client,
            director,
            systemd,
            backup,
            peer,
            monitor,
            _servers: servers,
        };
        site.systemctl("start", "vipd")?;
        site.wait_vip(true)?;
        Ok(site)
    }

    fn systemctl(&self, verb: &str, unit: &str) -> Outcome {
        self.systemd.run(&["systemctl", verb, unit]).map(drop)
    }

    fn wait_vip(&self, here: bool) -> Outcome {
        let what = format!("the director has the address: {here}");
        wait_until(what, LIMIT, || Ok(self.director.owns(VIP)? == here)).map(drop)
    }

    fn wait_active(&self, unit: &str) -> Outcome {
        wait_until(format!("{unit} runs"), LIMIT, || {
            let active = self.systemd.show(unit, "ActiveState")?;
            Ok(active == "active")
        })
        .map(drop)
    }

    fn talk(&self, port: &str) -> Outcome<Conversation> {
        Conversation::open(&self.client, &format!("{VIP}:{port}"), PATIENCE)
    }

    /// How often the address went from the director.
    fn lost(&self) -> usize {
        let line = |line: &&str| line.starts_with("Deleted") && line.contains("192.0.2.100/");
        self.monitor.log().lines().filter(line).count()
    }

    fn backup_became_master(&self) -> usize {
        self.backup.logged("Entering MASTER STATE")
    }
}

/// One that sends and receives all the time, until it is told to end; how often it did.
fn transfer(mut talk: Conversation, end: &Arc<AtomicBool>) -> JoinHandle<Outcome<u32>> {
    let end = Arc::clone(end);
    thread::spawn(move || {
        let mut times = 0;
        while !end.load(Ordering::SeqCst) {
            talk.say("more")?;
            times += 1;
            sleep(Duration::from_millis(20));
        }
        Ok(times)
    })
}

fn joined<T>(thread: JoinHandle<Outcome<T>>) -> Outcome<T> {
    thread
        .join()
        .map_err(|_| Failure::from("a client panicked"))?
}

fn restart(lab: &Lab) -> Outcome {
    let site = Site::new(lab, SLOW)?;
    let table = site.director.ipvs()?;
    let end = Arc::new(AtomicBool::new(false));
    let mut idle = Vec::new();
    let mut moving = Vec::new();
    let mut waiting = Vec::new();
    for (port, method, _) in METHODS {
        idle.push(site.talk(port)?);
        moving.push((method, transfer(site.talk(port)?, &end)));
        let mut talk = site.talk(port)?;
        waiting.push((method, thread::spawn(move || talk.say("later 4"))));
    }
    let persistent = site.talk("83")?.server;
    let pulse = Pulse::start(
        &site.client,
        &format!("{VIP}:53"),
        Duration::from_millis(50),
    )?;
    let masters = site.backup_became_master();

    let begun = Instant::now();
    let before = site.systemd.show("vipd", "MainPID")?;
    site.systemctl("restart", "vipd")?;
    lab.note(format!(
        "systemctl restart took {:.2} s",
        begun.elapsed().as_secs_f64()
    ));
    let after = site.systemd.show("vipd", "MainPID")?;
    ensure!(before != after, "the same process {after} after a restart");
    // Its next advert is on the wire then: silence would add up.
    sleep(Duration::from_secs(3));
    // One that is killed is started again, and nobody notices either.
    site.systemd.sh(&format!("kill -KILL {after}"))?;
    wait_until("it is started again", LIMIT, || {
        let pid = site.systemd.show("vipd", "MainPID")?;
        Ok(pid != after && pid != "0")
    })?;
    site.wait_active("vipd")?;
    for (method, thread) in waiting {
        let answer = joined(thread)?;
        ensure!(answer.ends_with("later 4"), "{method}: {answer}");
    }
    // Longer than the backup waits.
    sleep(Duration::from_secs(8));
    end.store(true, Ordering::SeqCst);
    for (method, thread) in moving {
        let times = joined(thread)?;
        lab.note(format!("{method}: {times} answers on one connection"));
        ensure!(times > 20, "{method}: {times} answers");
    }
    for talk in &mut idle {
        talk.say("still there?")?;
    }
    let (gap, answers) = pulse.stop();
    lab.note(format!(
        "UDP: {} answers, longest gap {} ms",
        answers.len(),
        gap.as_millis()
    ));
    ensure!(gap < Duration::from_secs(2), "UDP: a gap of {gap:?}");
    ensure_eq!(site.talk("83")?.server, persistent, "the persistent server");
    ensure_eq!(site.director.ipvs()?, table, "the table");
    ensure_eq!(site.lost(), 0, "the address went");
    ensure_eq!(site.backup_became_master(), masters, "the backup took over");

    refused(&site)?;
    in_the_journal(&site)?;
    site.systemctl("stop", "vipd")?;
    ensure!(!site.director.owns(VIP)?, "the address stays after a stop");
    ensure_eq!(site.director.ipvs()?, Vec::<String>::new(), "the table");
    ensure!(site.peer.owns(VIP)?, "nobody has the address");
    ensure_eq!(site.systemd.show("vipd", "Result")?, "success", "the end");
    Ok(())
}

/// A reload with an error fails and says why; what runs goes on.
fn refused(site: &Site<'_>) -> Outcome {
    let pid = site.systemd.show("vipd", "MainPID")?;
    let broken = conf(SLOW).replace("virtual_router_id 51", "virtual_router_id 510");
    site.systemd.write(FILE, &broken)?;
    let reload = site.systemd.try_run(&["systemctl", "reload", "vipd"])?;
    ensure!(reload.code != Some(0), "it was taken: {reload:?}");
    wait_until("the journal has the reason", LIMIT, || {
        let journal = site.systemd.journal("vipd")?;
        Ok(journal.contains("virtual_router_id") && journal.contains("refused"))
    })?;
    ensure_eq!(site.systemd.show("vipd", "MainPID")?, pid, "the process");
    site.wait_active("vipd")?;
    ensure!(site.director.owns(VIP)?, "the address went");
    site.systemd.write(FILE, &conf(SLOW))?;
    site.systemctl("reload", "vipd")
}

/// What a line is about can be asked for, and each line is there once.
fn in_the_journal(site: &Site<'_>) -> Outcome {
    let fields = ["VIPD_INSTANCE=VI_1", "VIPD_STATE=MASTER", "VIPD_KIND=vrrp"];
    let mut words = vec!["journalctl", "--no-pager", "-o", "json"];
    words.extend(fields);
    let found = site.systemd.run(&words)?;
    let entries = found.lines().map(serde_json::from_str);
    let entries: Result<Vec<serde_json::Value>, _> = entries.collect();
    let entries = entries?;
    let is_told = |entry: &serde_json::Value| {
        let text = entry["MESSAGE"].as_str().unwrap_or_default();
        text.starts_with("(VI_1) Entering MASTER STATE")
            && entry["PRIORITY"] == "6"
            && entry["_SYSTEMD_UNIT"] == "vipd.service"
            && entry["SYSLOG_IDENTIFIER"] == "vipd"
    };
    ensure!(
        !entries.is_empty() && entries.iter().all(is_told),
        "entries with {fields:?}: {found}"
    );
    let whole = site.systemd.journal("vipd")?;
    let told = whole.matches("(VI_1) Entering MASTER STATE").count();
    ensure_eq!(told, entries.len(), "lines in the journal");
    Ok(())
}

/// With a file that the next one refuses, a restart hands over: nobody would be behind the address.
fn restart_with_an_error(site: &Site<'_>) -> Outcome {
    site.systemd.write(FILE, "vrrp_instance {\n")?;
    let keep = site.systemd.try_run(&["vipd", "stop", "--keep"])?;
    ensure!(
        keep.code == Some(1) && keep.stderr.contains("it goes on"),
        "vipd stop --keep: {keep:?}"
    );
    ensure!(site.director.owns(VIP)?, "the address went");
    let restart = site.systemd.try_run(&["systemctl", "restart", "vipd"])?;
    ensure!(restart.code != Some(0), "it started: {restart:?}");
    site.wait_vip(false)?;
    ensure!(site.peer.owns(VIP)?, "nobody has the address");
    ensure_eq!(site.director.ipvs()?, Vec::<String>::new(), "the table");
    Ok(())
}

fn stand_in(lab: &Lab) -> Outcome {
    let site = Site::new(lab, FAST)?;
    let systemd = &site.systemd;
    systemd.install(STAND_IN)?;
    site.systemctl("start", "keepalived")?;
    site.wait_vip(true)?;
    ensure_eq!(
        systemd.show("vipd", "ActiveState")?,
        "inactive",
        "vipd's own unit"
    );
    let pid = systemd.show("keepalived", "MainPID")?;
    let named = systemd.run(&["pgrep", "-x", "keepalived"])?;
    ensure_eq!(named.trim(), pid, "who is called keepalived");
    let written = systemd.sh("cat /run/keepalived.pid")?;
    ensure_eq!(written.trim(), pid, "the pid file");
    systemd.run(&["/etc/init.d/keepalived", "status"])?;
    systemd.run(&["vipd", "status"])?;
    let masters = site.backup_became_master();
    systemd.run(&["/etc/init.d/keepalived", "restart"])?;
    ensure!(
        site.backup_became_master() > masters,
        "a restart by the init script did not hand over"
    );
    site.wait_vip(true)?;

    // Without systemd the script does the same by itself.
    site.systemctl("stop", "keepalived")?;
    systemd.sh("mv /run/systemd/system /run/systemd/away")?;
    let init = |verb| systemd.run(&["/etc/init.d/keepalived", verb]);
    init("start")?;
    site.wait_vip(true)?;
    init("status")?;
    init("reload")?;
    init("stop")?;
    ensure!(!site.director.owns(VIP)?, "the address stays after a stop");
    ensure_eq!(site.director.ipvs()?, Vec::<String>::new(), "the table");
    let status = systemd.try_run(&["/etc/init.d/keepalived", "status"])?;
    ensure_eq!(status.code, Some(3), "the status of one that does not run");
    systemd.sh("mv /run/systemd/away /run/systemd/system")?;

    // All that a configuration without scripts can do without, and a watchdog that waits less long.
    let strict = format!("{HOST_DIR}/packaging/systemd/strict.conf");
    systemd.sh(&format!(
        "mkdir -p /etc/systemd/system/vipd.service.d; cp {strict} /etc/systemd/system/vipd.service.d/"
    ))?;
    systemd.write(
        "/etc/systemd/system/vipd.service.d/watchdog.conf",
        "[Service]\nWatchdogSec=2\n",
    )?;
    systemd.run(&["systemctl", "daemon-reload"])?;
    site.systemctl("start", "vipd")?;
    site.wait_vip(true)?;
    ensure_eq!(
        site.director.ipvs()?.is_empty(),
        false,
        "the table is empty"
    );
    sleep(Duration::from_secs(3));
    let pid = systemd.show("vipd", "MainPID")?;
    ensure_eq!(systemd.show("vipd", "NRestarts")?, "0", "it is fed");
    systemd.sh(&format!("kill -STOP {pid}"))?;
    wait_until("the watchdog starts it again", LIMIT, || {
        Ok(systemd.show("vipd", "NRestarts")? == "1")
    })?;
    site.wait_active("vipd")?;
    site.wait_vip(true)?;
    restart_with_an_error(&site)
}
