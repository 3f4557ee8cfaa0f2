//! The demonstration: vipd's main job, with real parts, while those parts fail.
//!
//! A client on 192.168.1.0/24 inserts rows through 192.168.1.156. The machine that holds this
//! address forwards to 172.18.0.201 (IPVS), which two HAProxy containers hold in turn; behind them
//! stand three MariaDB servers, a Galera cluster. The container that holds 172.18.0.201 is frozen,
//! thawed, killed and started again. At the end every row that was acknowledged to the client must
//! be in the database, on each of its servers.
//!
//! It runs in a guest kernel that is a process of this machine: nothing here is touched. This file
//! is the stage and its command line; [`acts`] is what happens on it.

mod acts;
pub(crate) mod client;
pub(crate) mod cluster;
mod container;
mod strip;
pub(crate) mod timeline;
mod watch;

use std::fs;
use std::io::{IsTerminal, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::lab::check::{Doing, Outcome, ensure};
use crate::lab::daemon::{Daemon, Kind};
use crate::lab::net::{Host, Net};
use crate::lab::process::{Process, read_lossy};
use crate::lab::{Case, Lab, guest, host};
use cluster::{Node, Place};
use container::{Bridge, Container};
use timeline::{Timeline, Who};
use watch::Watch;

/// What the clients connect to; the machine holds it.
pub(crate) const FRONT_DOOR: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 156);
/// What the containers hold in turn.
pub(crate) const INNER: Ipv4Addr = Ipv4Addr::new(172, 18, 0, 201);
const DB_USER: &str = "app";
const DB_PASSWORD: &str = "abc123456";
/// The word to the guest that the screen shows colours.
const COLOUR: &str = "colour";

/// The demonstration as the guest runs it.
pub(crate) const CASE: Case = Case {
    name: "demo",
    proves: "no acknowledged row is lost while the holder of the virtual address fails",
    limit: Duration::from_secs(240),
    run,
};

const USAGE: &str = "\
usage: scripts/demo [--daemon vipd|keepalived]

  --daemon keepalived   the same with the real keepalived in vipd's place, for comparison";

/// What `scripts/demo` calls.
pub(crate) fn main(args: &[String]) -> ExitCode {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let subject = match words.as_slice() {
        [] | ["--daemon", "vipd"] => Kind::Vipd,
        ["--daemon", "keepalived"] => Kind::Keepalived,
        ["--help" | "-h"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("demo: cannot understand `{}`\n{USAGE}", words.join(" "));
            return ExitCode::from(2);
        }
    };
    let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    let colour = std::io::stdout().is_terminal() && !plain;
    let words = if colour {
        vec![COLOUR.to_owned()]
    } else {
        Vec::new()
    };
    println!("booting the guest: a Linux kernel with IPVS that runs as a process of this machine");
    host::run_alone(
        &CASE,
        host::Options {
            memory_mb: 1536,
            subject,
            words,
            ..host::Options::default()
        },
    )
    .0
}

/// Everything that the demonstration runs on.
struct Stage {
    /// Dropped first, so that it does not tell of the end of the others.
    watch: Watch,
    client: Host,
    machine: Host,
    bridge: Bridge,
    containers: [Container; 2],
    nodes: Vec<Node>,
    /// The machine's own daemon; must not end.
    front: Process,
}

fn run(lab: &Lab) -> Outcome {
    let timeline = Timeline::new(lab.words().iter().any(|word| word == COLOUR));
    timeline.show(picture(lab.subject().name()));
    let result = perform(lab, timeline);
    let logs = keep_logs(lab)?;
    timeline.show(format!("  the log of every program: {logs}"));
    result
}

fn perform(lab: &Lab, timeline: Timeline) -> Outcome {
    let mut stage = Stage::build(lab, timeline)?;
    timeline.say(Who::Stage, "the IPVS table of host (ipvsadm -Ln):");
    for line in stage.machine.run(&["ipvsadm", "-Ln"])?.lines() {
        timeline.show(format!("          {}", line.trim_end()));
    }
    acts::play(&mut stage, timeline)
}

/// Copies the logs to where they can be read when the guest is gone, and leaves the end of each for
/// the report of a failure; the path of the copies.
fn keep_logs(lab: &Lab) -> Outcome<String> {
    let to = guest::host_dir().join("log");
    fs::create_dir_all(&to)?;
    for entry in fs::read_dir(lab.dir().join("log"))?.flatten() {
        fs::copy(entry.path(), to.join(entry.file_name()))?;
        fs::write(entry.path(), tail(&read_lossy(&entry.path()), 12))?;
    }
    let outside = std::env::var(guest::DIR_WORD).doing("the host's directory")?;
    Ok(format!("{outside}/log"))
}

fn picture(daemon: &str) -> String {
    format!(
        "
  client  192.168.1.10
     |
     |    192.168.1.0/24
     |
   host   {daemon}: holds {FRONT_DOOR} on eth1; IPVS sends 3306 and 8888 on to {INNER}
     |
     +-- net1, 172.18.0.0/16: a bridge in host, as docker makes it
     |
     +-- h1   172.18.0.7  HAProxy and {daemon} (priority 101)  \\ one of them
     +-- h2   172.18.0.8  HAProxy and {daemon} (priority 100)  / holds {INNER}
     |
     +-- db1  172.18.0.2  MariaDB  \\
     +-- db2  172.18.0.3  MariaDB   > one Galera cluster
     +-- db3  172.18.0.4  MariaDB  /
"
    )
}

impl Stage {
    fn build(lab: &Lab, timeline: Timeline) -> Outcome<Self> {
        let net = Net::new(lab)?;
        let lan = net.segment("lan")?;
        let (machine, client) = (net.router("host")?, net.host("client")?);
        net.plug(&machine, "eth1", &lan, &["192.168.1.150/24"])?;
        net.plug(&client, "eth0", &lan, &["192.168.1.10/24"])?;
        container::prepare()?;
        let bridge = Bridge::new(&machine)?;
        let names = [
            ("db1", "172.18.0.2"),
            ("db2", "172.18.0.3"),
            ("db3", "172.18.0.4"),
        ];
        let mut databases = Vec::new();
        for (name, address) in names {
            let host = net.host(name)?;
            bridge.plug(&host, address)?;
            databases.push((host, address));
        }
        timeline.say(
            Who::Stage,
            "the networks are there: the clients', and the containers'",
        );
        let places: Vec<Place<'_>> = databases
            .iter()
            .map(|(host, address)| Place { host, address })
            .collect();
        let nodes = cluster::start(lab, &places, timeline)?;

        let (one, two) = (
            include_str!("../conf/pxc-haproxy-1.conf"),
            include_str!("../conf/pxc-haproxy-2.conf"),
        );
        let h1 = haproxy(lab, net.host("h1")?, "172.18.0.7", one)?;
        let h2 = haproxy(lab, net.host("h2")?, "172.18.0.8", two)?;
        let mut containers = [h1, h2];
        let watched = [
            (&machine, FRONT_DOOR),
            (&containers[0].host, INNER),
            (&containers[1].host, INNER),
        ];
        let watch = Watch::start(&watched, timeline);
        let kind = lab.subject();
        let text = "with their conf/pxc-*.conf";
        timeline.say(
            Who::Stage,
            format!("starting HAProxy and {} {text}", kind.name()),
        );
        for container in &mut containers {
            container.start(&bridge)?;
        }
        let command = daemon_command(lab, &machine, include_str!("../conf/pxc-host.conf"))?;
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        let front = machine.spawn(kind.name(), &command)?;
        let mut stage = Self {
            client,
            machine,
            bridge,
            containers,
            nodes,
            watch,
            front,
        };
        stage.wait_until_open(timeline)?;
        Ok(stage)
    }

    /// Waits until both virtual addresses are held by one machine each, and both services answer.
    fn wait_until_open(&mut self, timeline: Timeline) -> Outcome {
        let limit = Duration::from_secs(60);
        self.wait(
            "each virtual address is held by one machine",
            limit,
            |stage| {
                let calm = Duration::from_secs(2);
                let settled = |address| stage.watch.settled_holder(address, calm).is_some();
                settled(FRONT_DOOR) && settled(INNER)
            },
        )?;
        let what = "the statistics page answers through the front door";
        self.wait(what, limit, |stage| {
            let page = stage.client.within(|| statistics_page(FRONT_DOOR, 8888));
            page.is_ok_and(|page| page.is_ok_and(|text| text.starts_with("HTTP/1.1 200")))
        })?;
        let page = format!("http://{FRONT_DOOR}:8888/dbs");
        timeline.say(
            Who::Client,
            format!("HAProxy's statistics page answers: {page}"),
        );
        Ok(())
    }

    /// Waits for `level`; ends early, with its log, when a program has ended that should run.
    fn wait(
        &mut self,
        what: &str,
        limit: Duration,
        mut level: impl FnMut(&Self) -> bool,
    ) -> Outcome {
        let started = Instant::now();
        while !level(self) {
            self.check()?;
            let secs = limit.as_secs();
            ensure!(started.elapsed() < limit, "not within {secs} s: {what}");
            sleep(Duration::from_millis(20));
        }
        self.check()
    }

    /// An error if a program has ended that should run.
    fn check(&mut self) -> Outcome {
        for container in &mut self.containers {
            container.check()?;
        }
        for node in &mut self.nodes {
            node.check()?;
        }
        must_run("the daemon on host", &mut self.front)
    }
}

/// An error, with the end of its log, if `process` has ended.
fn must_run(name: &str, process: &mut Process) -> Outcome {
    let Some(status) = process.ended()? else {
        return Ok(());
    };
    let log = tail(&process.log(), 25);
    Err(format!("{name} ended with {status}; the last of its log:\n{log}").into())
}

/// The last `lines` lines of `text`.
fn tail(text: &str, lines: usize) -> String {
    let from = text.lines().count().saturating_sub(lines);
    text.lines().skip(from).collect::<Vec<_>>().join("\n")
}

/// One HAProxy container, not started.
fn haproxy(lab: &Lab, host: Host, address: &'static str, conf: &str) -> Outcome<Container> {
    let file = lab.dir().join("haproxy.cfg");
    fs::write(&file, include_str!("demo/haproxy.cfg"))?;
    let file = file.display().to_string();
    let haproxy = ["haproxy", "-db", "-f", &file].map(str::to_owned).to_vec();
    let daemon = daemon_command(lab, &host, conf)?;
    let programs = vec![
        ("haproxy".to_owned(), haproxy),
        (lab.subject().name().to_owned(), daemon),
    ];
    Container::new(host, address, programs)
}

/// The command line of the daemon for `host`, whose configuration is `conf` to the letter.
fn daemon_command(lab: &Lab, host: &Host, conf: &str) -> Outcome<Vec<String>> {
    let dir = lab.dir().join(format!("{}.daemon", host.name()));
    fs::create_dir_all(&dir)?;
    let file = dir.join("daemon.conf");
    fs::write(&file, conf)?;
    Ok(Daemon::command_line(lab.subject(), &file))
}

/// Asks HAProxy for its page, as the user of its configuration.
pub(crate) fn statistics_page(address: Ipv4Addr, port: u16) -> std::io::Result<String> {
    let limit = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&(address, port).into(), limit)?;
    stream.set_read_timeout(Some(limit))?;
    // admin:abc123456 in base64
    let login = "Authorization: Basic YWRtaW46YWJjMTIzNDU2";
    write!(
        stream,
        "GET /dbs HTTP/1.0\r\nHost: {address}\r\n{login}\r\n\r\n"
    )?;
    let mut page = Vec::new();
    stream.read_to_end(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}
