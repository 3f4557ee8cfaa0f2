//! A cluster of databases in containers. Before it stand two more, h1 and h2, each with HAProxy and the daemon,
//! that share an address of Docker's network; the machine's own daemon leads an address of the LAN there.
//!
//! The author's keepalived.conf files and steps. MariaDB Galera stands for Percona XtraDB Cluster: both
//! replicate by wsrep. Where the author installs a package in a container, its files are copied there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::site::{PAIRS, named};
use super::steps::{Came, Step};
use super::timeline::{self, Played};
use crate::cases::daemon::only_vipd;
use crate::demo::client::{Client, Ledger};
use crate::demo::cluster::{self, Server};
use crate::demo::timeline::{Timeline, Who};
use crate::demo::{FRONT_DOOR, INNER, statistics_page};
use crate::lab::Lab;
use crate::lab::check::{Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::{Daemon, Kind};
use crate::lab::docker::Docker;
use crate::lab::machine::VIPD;
use crate::lab::net::{Host, Net};
use crate::lab::process::Process;

const H1: usize = 0;
const H2: usize = 1;
const LIMIT: Duration = Duration::from_secs(40);
/// For keepalived alone, where some step may never come to its end.
const REFERENCE_LIMIT: Duration = Duration::from_secs(12);
/// Rows of one pair; the next one's follow these.
const ROWS_MAX: u64 = 1_000_000;

/// What the files are made of that containers get.
const DIR: &str = "/srv/pxc";
/// The machine's own, in the place where the author has it.
const FRONT_FILE: &str = "/etc/keepalived/keepalived.conf";
/// Of the database servers DB1 to DB5.
const ADDRESSES: [&str; 5] = [
    "172.18.0.2",
    "172.18.0.3",
    "172.18.0.4",
    "172.18.0.5",
    "172.18.0.6",
];
/// How the author starts both.
const RUN: [&str; 2] = [
    "run -it -d -p 4001:8888 -p 4002:3306 -v /home/soft/haproxy:/usr/local/etc/haproxy --name h1 --privileged \
     --net=net1 --ip 172.18.0.7 haproxy",
    "run -it -d -p 4003:8888 -p 4004:3306 -v /home/soft/haproxy:/usr/local/etc/haproxy --name h2 --privileged \
     --net=net1 --ip 172.18.0.8 haproxy",
];
/// In a container that was started again.
const SERVICES: &str = "service haproxy start && service keepalived start";

const FILES: [(&str, &str); 4] = [
    (
        "/home/soft/haproxy/haproxy.cfg",
        include_str!("../../fixtures/scenarios/s4-haproxy.cfg"),
    ),
    (
        "/srv/pxc/h1/etc/keepalived/keepalived.conf",
        include_str!("../../fixtures/scenarios/s4-1.conf"),
    ),
    (
        "/srv/pxc/h2/etc/keepalived/keepalived.conf",
        include_str!("../../fixtures/scenarios/s4-2.conf"),
    ),
    (
        FRONT_FILE,
        include_str!("../../fixtures/scenarios/s4-3.conf"),
    ),
];

/// What the image has of this machine: both kinds of containers run of it. Its keepalived is Debian's, until the
/// stand-in takes that name.
const IMAGE: [&str; 24] = [
    "/bin/sh",
    "/usr/bin/basename",
    "/usr/bin/cat",
    "/usr/bin/chmod",
    "/usr/bin/chown",
    "/usr/bin/env",
    "/usr/bin/mkdir",
    "/usr/bin/mktemp",
    "/usr/bin/rm",
    "/usr/bin/run-parts",
    "/usr/bin/sleep",
    "/usr/sbin/ip",
    "/usr/sbin/haproxy",
    "/usr/sbin/keepalived",
    "/usr/sbin/vipd",
    "/usr/sbin/mariadbd",
    "/usr/lib/galera/libgalera_smm.so",
    "/usr/share/mysql/english/errmsg.sys",
    "/usr/share/mysql/charsets/Index.xml",
    "/usr/sbin/service",
    "/usr/sbin/start-stop-daemon",
    "/lib/lsb/init-functions",
    "/etc/init.d/haproxy",
    "/etc/init.d/keepalived",
];

pub(super) fn run(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let timeline = Timeline::new(false);
    let net = Net::new(lab)?;
    let lan = net.segment("lan")?;
    let (client, host) = (net.host("client")?, net.router("host")?);
    net.plug(&client, "eth0", &lan, &["192.168.1.10/24"])?;
    net.plug(&host, "eth1", &lan, &["192.168.1.150/24"])?;
    let dir = lab.dir().to_owned();
    // Docker starts while the database is made.
    let (docker, seed) = std::thread::scope(|scope| {
        let seed = scope.spawn(|| cluster::make_seed(&dir, &client));
        let docker = Docker::start(&host);
        let panicked = |_| Err("the thread that makes the database panicked".into());
        (docker, seed.join().unwrap_or_else(panicked))
    });
    let (docker, seed) = (docker?, seed?);
    timeline.say(Who::Stage, "Docker runs");
    prepare(&docker)?;
    timeline.say(Who::Stage, "the image is there");
    let servers = servers(&docker, &host, &seed)?;
    timeline.say(Who::Stage, "five servers are started");
    let members = servers.len();
    cluster::wait_for_all(members, timeline, || {
        let joined = servers.iter().filter(|server| server.has_joined(members));
        Ok(joined.count())
    })?;
    let site = Site {
        lab,
        docker,
        client,
        host,
        timeline,
    };
    let (steps, ledgers) = site.all_pairs()?;
    timeline::show(lab, &steps);
    site.unrest()?;
    settle_accounts(lab, &servers, &ledgers)
}

fn prepare(docker: &Docker) -> Outcome {
    let machine = docker.machine();
    machine.install(VIPD)?;
    docker.image("haproxy", &IMAGE)?;
    for (path, text) in FILES {
        machine.write(path, text)?;
    }
    let stand_in = "/run/host/packaging/stand-in";
    machine.sh(&format!(
        "mkdir -p {DIR}/vipd/usr/sbin {DIR}/vipd/etc/init.d {DIR}/vipd/etc/default {DIR}/h1/etc {DIR}/h2/etc\n\
         cp -P {stand_in}/keepalived {DIR}/vipd/usr/sbin\n\
         cp {stand_in}/keepalived.init {DIR}/vipd/etc/init.d/keepalived\n\
         chmod 755 {DIR}/vipd/etc/init.d/keepalived\n\
         echo 'DAEMON_ARGS=\"-D -G --log-file=/usr/local/etc/haproxy/$(cat /etc/hostname).log\"' > {DIR}/vipd/etc/default/keepalived\n\
         ln -s /usr/local/etc/haproxy {DIR}/h1/etc/haproxy\n\
         ln -s /usr/local/etc/haproxy {DIR}/h2/etc/haproxy\n\
         /usr/bin/docker network create --subnet=172.18.0.0/16 net1\n"
    ))?;
    Ok(())
}

/// Starts five servers, a container each.
fn servers(docker: &Docker, host: &Host, seed: &Path) -> Outcome<Vec<Server>> {
    let machine = docker.machine();
    let (mut all, mut script) = (Vec::new(), String::new());
    for (index, address) in ADDRESSES.iter().enumerate() {
        let name = format!("DB{}", index + 1);
        let data = machine.path(&format!("{DIR}/{name}"))?;
        cluster::plant(host, seed, &data, (index, ADDRESSES.len()))?;
        let words = cluster::command_line("/var/lib/mysql", &name, address, &ADDRESSES);
        script.push_str(&format!(
            "/usr/bin/docker run -d --name {name} --net=net1 --ip {address} -v {DIR}/{name}:/var/lib/mysql \
             haproxy '{}' &\npids=\"$pids $!\"\n",
            words.join("' '")
        ));
        all.push(Server::new(name, host, data));
    }
    machine.sh(&format!("{script}for pid in $pids; do wait $pid; done\n"))?;
    Ok(all)
}

/// What stays the same for all pairs.
struct Site<'a> {
    lab: &'a Lab,
    docker: Docker,
    client: Host,
    host: Host,
    timeline: Timeline,
}

impl<'a> Site<'a> {
    fn all_pairs(&'a self) -> Outcome<(Vec<Played>, Vec<Ledger>)> {
        let (mut steps, mut ledgers, mut tables) = (Vec::new(), Vec::new(), Vec::new());
        for (index, (pair, kinds)) in PAIRS.into_iter().enumerate() {
            self.timeline.say(Who::Event, format!("the pair {pair}"));
            let mut play = Play::begin(self, pair, kinds, index)?;
            let played = play.story();
            if played.is_err() {
                self.tell()?;
            }
            played?;
            tables.push(self.host.ipvs()?);
            steps.push((pair, play.steps));
            ledgers.push(play.client.finish()?);
            play.front.signal_tree(libc::SIGTERM)?;
            self.docker.docker("rm -f h1 h2")?;
            wait_until("the machine's daemon has left", LIMIT, || {
                Ok(!self.host.owns(FRONT_DOOR)? && self.host.ipvs()?.is_empty())
            })?;
        }
        let [vipd, keepalived, ..] = &tables[..] else {
            return Err("fewer pairs than two".into());
        };
        ensure_eq!(vipd, keepalived, "the machine's table");
        ensure_eq!(vipd.len(), 4, "two services with one server each");
        Ok((steps, ledgers))
    }

    /// When servers lost sight of each other, which holds every row up: on a processor that is shared with much
    /// else that happens without anybody's doing, and explains a gap that no address does.
    fn unrest(&self) -> Outcome {
        let said = self.docker.machine().sh(
            "grep -hoE '[0-9]+:[0-9:]+ [0-9]+ .*(suspecting|declaring inactive)' /var/lib/docker/containers/*/*-json.log | \
             sed -E 's/ .*(suspecting|inactive)$/ \\1/' | sort | uniq -c",
        )?;
        if !said.trim().is_empty() {
            let lines: Vec<&str> = said.lines().map(str::trim).collect();
            let first = lines.iter().take(8).copied().collect::<Vec<_>>().join("; ");
            self.lab
                .note(format!("the cluster itself was unwell: {first}"));
        }
        Ok(())
    }

    /// What is seen from the machine, where no container need do anything for it, goes to the case's logs.
    fn tell(&self) -> Outcome {
        let said = self.docker.machine().sh(
            "exec 2>&1; set +e; /usr/bin/docker ps -a; ip neigh; ipvsadm -Ln; ipvsadm -Lnc | tail -n 20; dmesg | tail -n 5\n\
             for log in /home/soft/haproxy/*.log; do echo \"--- $log\"; grep -v announcing $log | tail -n 25 | cut -c 1-200; done\n\
             for log in /var/lib/docker/containers/*/*-json.log; do echo \"--- $log\"; tail -n 2 $log | cut -c 1-200; done\n\
             for name in h1 h2; do timeout 5 /usr/bin/docker top $name; done\n\
             for name in DB1 DB5; do echo \"--- $name\"; timeout 5 mariadb --no-defaults -u root \
             --socket=/srv/pxc/$name/sock -e \"SHOW STATUS LIKE 'wsrep_cluster_st%'\"; done",
        )?;
        Ok(std::fs::write(
            self.lab.dir().join("log/machine.log"),
            said,
        )?)
    }
}

/// One pair at work.
struct Play<'a> {
    site: &'a Site<'a>,
    pair: &'static str,
    kinds: [Kind; 2],
    front: Process,
    client: Client,
    /// The networks of h1 and h2, and their names there; none of those that do not run.
    nodes: [Option<(Host, String)>; 2],
    /// Its kernel has what it had, and its processes stand still.
    paused: Option<usize>,
    began: Instant,
    steps: Vec<Step>,
}

impl<'a> Play<'a> {
    /// The machine's daemon is started, and the client tries to insert rows.
    fn begin(
        site: &'a Site<'a>,
        pair: &'static str,
        kinds: [Kind; 2],
        index: usize,
    ) -> Outcome<Self> {
        let [kind, _] = kinds;
        let words = Daemon::command_line(kind, &PathBuf::from(FRONT_FILE));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let front = site.docker.machine().spawn(kind.name(), &words)?;
        let row = u64::try_from(index).unwrap_or_default() * ROWS_MAX;
        Ok(Self {
            site,
            pair,
            kinds,
            front,
            client: Client::start(&site.client, site.timeline, row),
            nodes: [None, None],
            paused: None,
            began: Instant::now(),
            steps: Vec::new(),
        })
    }

    fn is_reference(&self) -> bool {
        self.kinds == [Kind::Keepalived; 2]
    }

    fn docker(&self, words: &str) -> Outcome<String> {
        self.site.docker.docker(words)
    }

    /// The network of a container that was started.
    fn look_at(&mut self, node: usize) -> Outcome {
        let name = ["h1", "h2"][node];
        self.nodes[node] = Some(self.site.docker.container(self.site.lab, name)?);
        Ok(())
    }

    fn story(&mut self) -> Outcome {
        self.step("h1, h2 and their services are started", Self::start, H1)?;
        self.ports()?;
        self.step(
            "docker pause h1",
            |play| {
                play.paused = Some(H1);
                play.docker("pause h1").map(drop)
            },
            H2,
        )?;
        self.step(
            "docker unpause h1",
            |play| {
                play.paused = None;
                play.docker("unpause h1").map(drop)
            },
            H1,
        )?;
        self.step(
            "docker stop h1",
            |play| {
                // The author's waits for 10 s before it kills: the shell minds no signal.
                play.docker("stop -t 1 h1")?;
                play.nodes[H1] = None;
                Ok(())
            },
            H2,
        )?;
        self.step(
            "docker start h1, and its services",
            |play| {
                play.docker(&format!(
                    "start h1; /usr/bin/docker exec h1 sh -c '{SERVICES}'"
                ))?;
                play.look_at(H1)
            },
            H1,
        )
    }

    fn start(&mut self) -> Outcome {
        for (node, kind) in self.kinds.into_iter().enumerate() {
            let name = ["h1", "h2"][node];
            let package = match kind {
                Kind::Vipd => format!("/usr/bin/docker cp {DIR}/vipd/. {name}:/; "),
                Kind::Keepalived => String::new(),
            };
            self.docker(&format!(
                "{}; {package}/usr/bin/docker cp {DIR}/{name}/. {name}:/\n\
                 /usr/bin/docker exec {name} sh -c \
                 'haproxy -f /usr/local/etc/haproxy/haproxy.cfg && service keepalived start'",
                RUN[node]
            ))?;
            self.look_at(node)?;
        }
        Ok(())
    }

    /// Each HAProxy has its page at a port of the machine, too, and both addresses answer `ping`.
    fn ports(&self) -> Outcome {
        for (port, node) in [(4001, H1), (4003, H2)] {
            self.page("192.168.1.150", port, node)?;
        }
        let ping = |host: &Host, address: &str| host.run(&["ping", "-c1", "-W5", address]);
        ping(&self.site.host, &INNER.to_string())?;
        ping(&self.site.client, &FRONT_DOOR.to_string()).map(drop)
    }

    /// The statistics page at this address of the LAN is of the HAProxy in this container.
    fn page(&self, address: &str, port: u16, node: usize) -> Outcome {
        let name = self.nodes[node].as_ref().map(|(_, name)| name.as_str());
        let name = name.ok_or("it does not run")?;
        let to = address.parse().map_err(|_| "no address")?;
        let what = format!("{}: {address}:{port} is the page of {name}", self.pair);
        wait_until(what, LIMIT, || {
            let page = self.site.client.within(|| statistics_page(to, port))??;
            Ok(page.starts_with("HTTP/1.1 200") && page.contains(name))
        })
        .map(drop)
    }

    /// Whether this one has the address, and no other one that runs has it.
    fn is_held_by(&self, node: usize) -> Outcome<bool> {
        for (at, other) in self.nodes.iter().enumerate() {
            let owns = match other {
                Some((host, _)) => host.owns(INNER)?,
                None => false,
            };
            if owns != (at == node) && self.paused != Some(at) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Who has the machine's address, and the one in Docker's network; a container that is paused has what it had.
    fn holders(&self) -> Outcome<Vec<String>> {
        let front: &[&str] = match self.site.host.owns(FRONT_DOOR)? {
            true => &["host"],
            false => &[],
        };
        let mut inner = Vec::new();
        for (at, node) in self.nodes.iter().enumerate() {
            let owns = match node {
                Some((host, _)) => host.owns(INNER)?,
                None => false,
            };
            if owns {
                let paused = self.paused == Some(at);
                inner.push(if paused { "(h1)" } else { ["h1", "h2"][at] });
            }
        }
        Ok(vec![named(front), named(&inner)])
    }

    /// Does `action`; then rows must be acknowledged through this container, and the page be its.
    fn step(
        &mut self,
        what: &'static str,
        action: impl FnOnce(&mut Self) -> Outcome,
        node: usize,
    ) -> Outcome {
        self.site.timeline.say(Who::Event, what);
        let began = Instant::now();
        action(self)?;
        let say = format!("{}: {what}: rows through h{}", self.pair, node + 1);
        let limit = if self.is_reference() {
            REFERENCE_LIMIT
        } else {
            LIMIT
        };
        let mut held = None;
        let arrived = wait_until(say, limit, || {
            if !self.is_held_by(node)? {
                held = None;
                return Ok(false);
            }
            let since = *held.get_or_insert_with(Instant::now);
            Ok(self.client.ledger().since(since) > 0)
        });
        let after = began.elapsed();
        match &arrived {
            Err(_) if self.is_reference() => {}
            Err(_) => return arrived.map(drop),
            Ok(_) => self.page(&FRONT_DOOR.to_string(), 8888, node)?,
        }
        // What fails once more has not arrived.
        sleep(Duration::from_millis(500));
        let (ledger, now) = (self.client.ledger(), Instant::now());
        let last = ledger.acknowledged.last();
        let waits = last.map_or(Duration::ZERO, |row| now - row.at.max(began));
        let first = self.steps.is_empty();
        let gap = if first {
            Duration::ZERO
        } else {
            ledger.longest_gap(began, now).max(waits)
        };
        self.site.timeline.say(
            Who::Client,
            format!(
                "{} rows so far, the longest gap {gap:.2?}",
                ledger.acknowledged.len()
            ),
        );
        self.steps.push(Step {
            what,
            at: began - self.began,
            came: match arrived {
                Ok(_) => Came::After(after),
                Err(_) => Came::Never,
            },
            gap,
            holders: self.holders()?,
        });
        Ok(())
    }
}

/// Every acknowledged row is on each of the servers, and none that was never sent.
fn settle_accounts(lab: &Lab, servers: &[Server], ledgers: &[Ledger]) -> Outcome {
    let acknowledged = ledgers.iter().flat_map(|ledger| &ledger.acknowledged);
    let acknowledged: BTreeSet<u64> = acknowledged.map(|row| row.id).collect();
    let unanswered = ledgers.iter().flat_map(|ledger| &ledger.unanswered);
    let unanswered: BTreeSet<u64> = unanswered.copied().collect();
    let mut counts = Vec::new();
    let mut by = BTreeSet::new();
    for server in servers {
        let rows = server.orders()?;
        by.extend(rows.iter().map(|(_, by)| by.clone()));
        let found: BTreeSet<u64> = rows.into_iter().map(|(id, _)| id).collect();
        let lost: Vec<&u64> = acknowledged.difference(&found).collect();
        ensure!(lost.is_empty(), "{} lacks rows: {lost:?}", server.name);
        let strange = found
            .difference(&acknowledged)
            .find(|id| !unanswered.contains(id));
        ensure!(strange.is_none(), "{} has the row {strange:?}", server.name);
        counts.push(found.len());
    }
    let same = counts.windows(2).all(|pair| pair[0] == pair[1]);
    ensure!(same, "the servers have {counts:?} rows");
    // HAProxy deals out connections, and the client makes one only where it lost the last.
    ensure!(by.len() > 1, "only {by:?} took rows");
    lab.note(format!(
        "{} rows acknowledged, {} without an answer; taken by {} servers, on each of the five: {}",
        acknowledged.len(),
        unanswered.len(),
        by.len(),
        counts.first().copied().unwrap_or_default()
    ));
    Ok(())
}
