//! A real Galera cluster of two MariaDB nodes, of which the first outweighs the second.
//!
//! `one_writer index` chooses among them, so the first is the writer though it stands behind the other in the
//! file: UUIDs of nodes begin with the time.

use std::fs;
use std::time::Duration;

use super::super::daemon::only_vipd;
use super::pools_of;
use crate::lab::Lab;
use crate::lab::check::{Failure, Outcome, ensure, wait_until};
use crate::lab::daemon::Daemon;
use crate::lab::net::{Host, Net, Segment};
use crate::lab::process::{Finished, Process, Run};

const KEY: &str = include_str!("../../../src/probe/http/test_key.pem");
/// A guest boots two servers slowly.
const STARTED: Duration = Duration::from_secs(90);
/// `delay_loop`, in seconds.
const LOOP: u64 = 2;
/// What it may take until a change is in the table: the loop, the check and a look at the table.
const ONE_LOOP: Duration = Duration::from_secs(LOOP + 2);
/// A guest that stalls must not make the nodes think each other dead: one that is in the middle of a state
/// transfer then does not come back.
const PATIENT: &str =
    "evs.suspect_timeout=PT15S;evs.inactive_timeout=PT30S;evs.install_timeout=PT15S";
/// Where they are to notice that they do not hear each other.
const IMPATIENT: &str =
    "evs.install_timeout=PT4S;evs.suspect_timeout=PT2S;evs.inactive_timeout=PT4S";
const PASSWORD: &str = "open sesame";

/// A state transfer by rsync that the donor begins only when the file `hold` is gone.
const TRANSFER: &str = r#"#!/bin/sh
case "$*" in
    *"--role donor"*) while [ -e /tmp/transfer/hold ]; do sleep 0.2; done;;
esac
exec /usr/bin/wsrep_sst_rsync "$@"
"#;

struct Node {
    host: Host,
    dir: String,
    process: Option<Process>,
}

impl Node {
    fn new(net: &Net<'_>, lan: &Segment, number: u8) -> Outcome<Node> {
        let host = net.host(&format!("node{number}"))?;
        net.plug(&host, "eth0", lan, &[&format!("192.0.2.1{number}/24")])?;
        let dir = format!("/tmp/node{number}");
        fs::create_dir_all(&dir)?;
        Ok(Node {
            host,
            dir,
            process: None,
        })
    }

    fn start(&mut self, number: u8, more: &[&str]) -> Outcome {
        let dir = &self.dir;
        let weight = 3 - number;
        let options =
            format!("gcache.size=8M;pc.weight={weight};{PATIENT};evs.keepalive_period=PT0.5S");
        let own = [
            format!("--datadir={dir}/data"),
            format!("--socket={dir}/sock"),
            format!("--pid-file={dir}/pid"),
            format!("--bind-address=192.0.2.1{number}"),
            format!("--tmpdir={dir}"),
            format!("--wsrep-node-address=192.0.2.1{number}"),
            format!("--wsrep-provider-options={options}"),
            format!("--ssl-cert={dir}/key.pem"),
            format!("--ssl-key={dir}/key.pem"),
        ];
        let all = [
            "env",
            "PATH=/tmp/transfer:/usr/sbin:/usr/bin:/sbin:/bin",
            "mariadbd",
            "--no-defaults",
            "--user=mysql",
            "--innodb-buffer-pool-size=8M",
            "--innodb-buffer-pool-size-max=16M",
            "--skip-name-resolve",
            "--innodb-use-native-aio=0",
            "--innodb-log-file-size=8M",
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-doublewrite=0",
            "--performance-schema=0",
            "--binlog-format=ROW",
            "--innodb-autoinc-lock-mode=2",
            "--wsrep-on=ON",
            "--wsrep-provider=/usr/lib/galera/libgalera_smm.so",
            "--wsrep-sst-method=lab",
            "--wsrep-cluster-address=gcomm://192.0.2.11,192.0.2.12",
        ];
        let argv: Vec<&str> = all
            .into_iter()
            .chain(own.iter().map(String::as_str))
            .chain(more.iter().copied())
            .collect();
        self.process = Some(self.host.spawn(&format!("mariadbd-{number}"), &argv)?);
        Ok(())
    }

    fn ask(&self, statement: &str) -> Outcome<Finished> {
        let socket = format!("--socket={}/sock", self.dir);
        let client = ["mariadb", "--no-defaults", &socket, "-u", "root"];
        let rows = ["-N", "-B", "-e", statement];
        self.host.try_run(&[&client[..], &rows].concat())
    }

    fn sql(&self, statement: &str) -> Outcome<String> {
        let done = self.ask(statement)?.success()?;
        Ok(done.stdout)
    }

    /// Whether a variable of its status has this value; not while it cannot be asked.
    fn says(&self, variable: &str, value: &str) -> Outcome<bool> {
        let done = self.ask(&format!("SHOW STATUS LIKE '{variable}'"))?;
        Ok(done.stdout.trim_end().ends_with(value))
    }

    fn wait_synced(&self) -> Outcome {
        let synced = || self.says("wsrep_local_state_comment", "Synced");
        wait_until("the node is synced", STARTED, synced).map(drop)
    }
}

fn conf(password_file: &str) -> String {
    let service = |port: u16, pool: &str, more: &str| {
        let mut text = format!(
            "virtual_server 192.0.2.200 {port} {{\n delay_loop {LOOP}\n retry 0\n warmup 0\n connect_timeout 5\n \
             lb_algo wlc\n lb_kind NAT\n protocol TCP\n{pool}"
        );
        for node in [2, 1] {
            text += &format!(
                " real_server 192.0.2.1{node} 3306 {{\n weight 100\n@vipd MYSQL_CHECK {{\n@vipd user vipd\n\
                 {more}@vipd }}\n }}\n"
            );
        }
        text + "}\n"
    };
    let file = format!("@vipd password_file {password_file}\n");
    let galera = format!("{file}@vipd galera\n@vipd max_recv_queue 100\n");
    "global_defs {\n lvs_timeouts tcp 28800\n}\n".to_owned()
        + &service(3306, "", &galera)
        + &service(
            3307,
            "",
            &format!("{file}@vipd tls on\n@vipd read_only off\n"),
        )
        + &service(3308, "", "@vipd password wrong\n@vipd tls off\n")
        + &service(
            3309,
            "",
            &format!("{file}@vipd min_cluster_size 2\n@vipd desynced allow\n"),
        )
        + &service(3310, "", &format!("{file}@vipd donor deny\n"))
        + &service(3311, "@vipd one_writer index\n", &galera)
        + &service(3312, "@vipd readers_of 192.0.2.200 3311\n", &galera)
}

struct Cluster<'a> {
    nodes: [Node; 2],
    director: Host,
    _net: Net<'a>,
}

impl<'a> Cluster<'a> {
    fn new(lab: &'a Lab) -> Outcome<Cluster<'a>> {
        let net = Net::new(lab)?;
        let lan = net.segment("lan")?;
        let director = net.host("director")?;
        net.plug(&director, "eth0", &lan, &["192.0.2.1/24"])?;
        let nodes = [Node::new(&net, &lan, 1)?, Node::new(&net, &lan, 2)?];
        let [first, second] = &nodes;
        let install = format!(
            "mariadb-install-db --no-defaults --user=mysql --datadir={0}/data --skip-test-db \
             --auth-root-authentication-method=normal --innodb-log-file-size=8M \
             --innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=0 --skip-name-resolve \
             --innodb-buffer-pool-size-max=64M --innodb-use-native-aio=0 >{0}/install.log 2>&1\n\
             mkdir -p {1}/data\n",
            first.dir, second.dir
        );
        director.run_with(&Run {
            argv: &["/bin/sh", "-ec", &install],
            stdin: "",
            limit: STARTED,
        })?;
        let user = format!(
            "CREATE USER IF NOT EXISTS vipd@'%' IDENTIFIED VIA mysql_native_password USING PASSWORD('{PASSWORD}');\n"
        );
        for node in &nodes {
            fs::write(format!("{}/key.pem", node.dir), KEY)?;
            fs::write(format!("{}/init.sql", node.dir), &user)?;
            node.host.sh(&format!("chown -R mysql {}", node.dir))?;
        }
        fs::create_dir_all("/tmp/transfer")?;
        fs::write("/tmp/transfer/wsrep_sst_lab", TRANSFER)?;
        fs::write("/tmp/transfer/hold", "")?;
        director.sh("chmod 0755 /tmp/transfer/wsrep_sst_lab && chown -R mysql /tmp/transfer")?;
        Ok(Cluster {
            nodes,
            director,
            _net: net,
        })
    }
}

/// Who writes, and who reads beside it.
fn roles(writer: u8, others: &[u8]) -> Vec<String> {
    let mut all = vec![format!("3311>1{writer}*100")];
    let weight = if others.is_empty() { 100 } else { 0 };
    all.push(format!("3312>1{writer}*{weight}"));
    all.extend(others.iter().map(|node| format!("3312>1{node}*100")));
    all
}

/// The pools of both nodes with these services, and the roles.
fn pools(first: &[u16], second: &[u16], roles: Vec<String>) -> Vec<String> {
    let with = |node: u8, ports: &[u16]| {
        let pool = move |port: &u16| format!("{port}>1{node}*100");
        ports.iter().map(pool).collect::<Vec<String>>()
    };
    let mut all = [with(1, first), with(2, second), roles].concat();
    all.sort();
    all
}

/// Waits until the pools are so, and looks at every table on the way: whoever writes does so alone.
fn wait(
    lab: &Lab,
    director: &Host,
    (limit, what): (Duration, &str),
    expected: &[String],
) -> Outcome {
    let so = || {
        let pools = pools_of(director)?;
        let writers = pools.iter().filter(|pool| pool.starts_with("3311>"));
        match writers.count() {
            0 | 1 => Ok(pools == expected),
            more => Err(Failure::failed(format!("{what}: {more} write: {pools:?}"))),
        }
    };
    match wait_until(format!("{what}: {expected:?}"), limit, so) {
        Ok(took) => lab.note(format!("{what}: after {took:.1?}")),
        Err(error) => {
            return Err(Failure::failed(format!(
                "{error}; they are {:?}",
                pools_of(director)?
            )));
        }
    }
    Ok(())
}

const ALL: &[u16] = &[3306, 3307, 3309, 3310];

pub(super) fn run(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let mut cluster = Cluster::new(lab)?;
    lab.note("the first data directory is there");
    let init = format!("--init-file={}/init.sql", cluster.nodes[0].dir);
    cluster.nodes[0].start(1, &["--wsrep-new-cluster", &init])?;
    cluster.nodes[0].wait_synced()?;
    lab.note("the first node is synced");
    let file = cluster.director.dir().join("password");
    fs::write(&file, format!("{PASSWORD}\n"))?;
    let conf = conf(&file.display().to_string());
    let mut daemon = Daemon::start(lab.subject(), &cluster.director, &conf)?;
    let director = cluster.director.clone();
    let is = |what: &str, expected: &[String]| wait(lab, &director, (STARTED, what), expected);
    let soon = |what: &str, expected: &[String]| wait(lab, &director, (ONE_LOOP, what), expected);
    is("one node", &pools(&[3306, 3307, 3310], &[], roles(1, &[])))?;
    cluster.nodes[1].start(2, &[])?;
    is(
        "the first is the donor of the second",
        &pools(&[3306, 3307, 3309], &[], roles(1, &[])),
    )?;
    cluster.nodes[0].sql("SET GLOBAL wsrep_sst_donor_rejects_queries=ON")?;
    soon(
        "a donor that rejects queries",
        &pools(&[3307], &[], Vec::new()),
    )?;
    cluster.nodes[0].sql("SET GLOBAL wsrep_sst_donor_rejects_queries=OFF")?;
    soon(
        "and takes them again",
        &pools(&[3306, 3307, 3309], &[], roles(1, &[])),
    )?;
    fs::remove_file("/tmp/transfer/hold")?;
    cluster.nodes[1].wait_synced()?;
    soon(
        "the second has got its state from the first",
        &pools(ALL, ALL, roles(1, &[2])),
    )?;
    steps(&mut cluster, &is, &soon)?;
    let log = daemon.log();
    ensure!(!log.contains(PASSWORD), "the password is not in the log");
    for said in [
        "it is a donor",
        "it is desynced (wsrep_desync is ON)",
        "wsrep_cluster_status is `non-Primary`, not Primary",
    ] {
        ensure!(log.contains(said), "the log says {said:?}");
    }
    let moves: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("is the writer of"))
        .collect();
    let moved = ["2.11", "2.11", "2.12", "2.11", "2.12"]
        .map(|node| format!("[192.0.{node}]:tcp:3306 is the"));
    let as_told = moves
        .iter()
        .zip(&moved)
        .all(|(line, node)| line.contains(node));
    ensure!(
        as_told && moves.len() == moved.len(),
        "the writer moved so: {moves:?}"
    );
    let status = daemon.stop()?;
    ensure!(status.success(), "it stopped with {status}");
    Ok(())
}

type Is<'a> = &'a dyn Fn(&str, &[String]) -> Outcome;

fn steps(cluster: &mut Cluster<'_>, is: Is<'_>, soon: Is<'_>) -> Outcome {
    let [first, second] = &cluster.nodes;
    first.sql("SET GLOBAL wsrep_desync=ON")?;
    soon(
        "the first is desynced",
        &pools(&[3307, 3309], ALL, roles(2, &[])),
    )?;
    first.sql("SET GLOBAL wsrep_desync=OFF")?;
    soon(
        "it is synced, and the writer stays",
        &pools(ALL, ALL, roles(2, &[1])),
    )?;
    first.sql("SET GLOBAL read_only=ON")?;
    soon(
        "it is read only",
        &pools(&[3306, 3309, 3310], ALL, roles(2, &[1])),
    )?;
    first.sql("SET GLOBAL read_only=OFF")?;
    for node in [first, second] {
        node.sql(&format!("SET GLOBAL wsrep_provider_options='{IMPATIENT}'"))?;
    }
    second
        .host
        .sh("iptables-legacy -A INPUT -s 192.0.2.11 -j DROP")?;
    let alone = || second.says("wsrep_cluster_status", "non-Primary");
    wait_until("the second is not in the primary component", STARTED, alone)?;
    soon(
        "the two do not hear each other",
        &pools(&[3306, 3307, 3310], &[3307], roles(1, &[])),
    )?;
    second.host.sh("iptables-legacy -F INPUT")?;
    is("they do again", &pools(ALL, ALL, roles(1, &[2])))?;
    let [first, _] = &mut cluster.nodes;
    if let Some(process) = &mut first.process {
        process.signal(15)?;
    }
    is(
        "the first has stopped",
        &pools(&[], &[3306, 3307, 3310], roles(2, &[])),
    )
}
