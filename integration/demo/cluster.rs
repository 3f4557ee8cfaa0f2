//! Real MariaDB servers as one Galera cluster, each on a host of its own.
//!
//! The cluster is started the quick way: one data directory is made and copied, and the
//! servers find on disk what they would find after a power failure that hit all of them at once: the
//! same position of the data, and who the members were. They come up together, and none has to
//! send its data to another.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::timeline::{Timeline, Who};
use super::{DB_PASSWORD, DB_USER, must_run};
use crate::lab::Lab;
use crate::lab::check::{Doing, Failure, Outcome, wait_until};
use crate::lab::net::Host;
use crate::lab::process::Process;

const START_LIMIT: Duration = Duration::from_secs(120);
const STOP_LIMIT: Duration = Duration::from_secs(60);
const PROVIDER: &str = "/usr/lib/galera/libgalera_smm.so";
/// Small servers: the maximum keeps InnoDB from reserving the whole address space.
const SMALL: [&str; 5] = [
    "--user=mysql",
    "--innodb-buffer-pool-size=32M",
    "--innodb-buffer-pool-size-max=64M",
    "--innodb-log-file-size=8M",
    "--innodb-use-native-aio=0",
];
const REPLICATED: [&str; 5] = [
    "--binlog-format=ROW",
    "--innodb-autoinc-lock-mode=2",
    "--wsrep-on=ON",
    "--wsrep-cluster-name=pxc",
    "--skip-name-resolve",
];

/// A guest that stalls must not make the servers think each other dead.
const PATIENT: &str = "evs.suspect_timeout=PT30S;evs.inactive_timeout=PT60S";

/// A server that is asked through the socket in its data directory.
pub(crate) struct Server {
    /// `db1`, `db2`, ...
    pub(crate) name: String,
    host: Host,
    data: PathBuf,
}

/// One server of the cluster, on a host of its own.
pub(super) struct Node {
    pub(super) server: Server,
    process: Process,
}

/// Where and how a server is to run.
pub(super) struct Place<'a> {
    pub(super) host: &'a Host,
    pub(super) address: &'a str,
}

/// Starts all of them and waits until they are one cluster.
pub(super) fn start(lab: &Lab, places: &[Place<'_>], timeline: Timeline) -> Outcome<Vec<Node>> {
    timeline.say(Who::Stage, "making a database with one table, orders");
    let first = places.first().ok_or("a cluster without servers")?;
    let seed = make_seed(lab.dir(), first.host)?;
    timeline.say(
        Who::Stage,
        "starting three MariaDB servers as one Galera cluster",
    );
    let mut nodes = Vec::new();
    for (index, _) in places.iter().enumerate() {
        nodes.push(Node::start(lab, places, index, &seed)?);
    }
    let members = nodes.len();
    wait_for_all(members, timeline, || {
        let mut joined = 0;
        for node in &mut nodes {
            node.check()?;
            joined += usize::from(node.server.has_joined(members));
        }
        Ok(joined)
    })?;
    Ok(nodes)
}

/// A data directory, in `dir`, as a server of a cluster leaves it that was stopped in order. It is made on
/// `host`, which needs no network for it.
pub(crate) fn make_seed(dir: &Path, host: &Host) -> Outcome<PathBuf> {
    let (seed, sql) = (dir.join("seed"), dir.join("seed.sql"));
    let dir = seed.display().to_string();
    let data = format!("--datadir={dir}");
    host.run(&[
        "install", "-d", "-o", "mysql", "-g", "mysql", "-m", "0711", &dir,
    ])?;
    let text = format!(
        "FLUSH PRIVILEGES;\nCREATE DATABASE shop;\n\
         CREATE TABLE shop.orders (id BIGINT PRIMARY KEY, stored_by VARCHAR(40) NOT NULL);\n\
         CREATE USER '{DB_USER}'@'%' IDENTIFIED BY '{DB_PASSWORD}';\n\
         GRANT ALL ON shop.* TO '{DB_USER}'@'%';\n"
    );
    fs::write(&sql, text)?;
    let extra = format!("--extra-file={}", sql.display());
    let install = [
        "mariadb-install-db",
        "--no-defaults",
        &data,
        &extra,
        "--skip-test-db",
    ];
    let root = ["--auth-root-authentication-method=normal"];
    host.run(&[&install[..], &root, &SMALL].concat())?;
    let (provider, socket) = (
        format!("--wsrep-provider={PROVIDER}"),
        format!("{dir}/sock"),
    );
    let at = format!("--socket={socket}");
    let alone = [
        "--wsrep-new-cluster",
        "--wsrep-cluster-address=gcomm://",
        "--wsrep-node-address=127.0.0.1",
        "--wsrep-provider-options=gmcast.listen_addr=tcp://127.0.0.1:4567;gcache.size=8M",
        "--skip-networking",
    ];
    let server = ["mariadbd", "--no-defaults", &data, &at, &provider];
    let argv = [&server[..], &SMALL, &REPLICATED, &alone].concat();
    let mut process = host.spawn("seed", &argv)?;
    wait_until("the first database server answers", START_LIMIT, || {
        // A client that asks in vain takes the processor from the server.
        let ready = || query(host, &socket, "SHOW STATUS LIKE 'wsrep_ready'");
        Ok(Path::new(&socket).exists() && ready()?.ends_with("ON"))
    })?;
    query(host, &socket, "SHUTDOWN")?;
    process.wait(STOP_LIMIT)?;
    // The cache of write sets is worth nothing to a copy.
    fs::remove_file(seed.join("galera.cache")).doing("remove galera.cache")?;
    Ok(seed)
}

/// Copies the seed to `data`, for server `index` of this many.
pub(crate) fn plant(
    host: &Host,
    seed: &Path,
    data: &Path,
    (index, members): (usize, usize),
) -> Outcome {
    let words = [seed, data].map(|path| path.display().to_string());
    host.run(&["cp", "-a", &words[0], &words[1]])?;
    let view = data.join("gvwstate.dat");
    fs::write(&view, remembered_view(index, members))?;
    let view = view.display().to_string();
    host.run(&["chown", "mysql:mysql", &view]).map(drop)
}

/// The words that start the server `name` at `address`, one of `members`, on the data in `dir`.
pub(crate) fn command_line(dir: &str, name: &str, address: &str, members: &[&str]) -> Vec<String> {
    let own = [
        format!("--datadir={dir}"),
        format!("--socket={dir}/sock"),
        format!("--bind-address={address}"),
        format!("--wsrep-provider={PROVIDER}"),
        format!("--wsrep-node-name={name}"),
        format!("--wsrep-node-address={address}"),
        format!("--wsrep-cluster-address=gcomm://{}", members.join(",")),
        format!("--wsrep-provider-options=gcache.size=8M;{PATIENT}"),
    ];
    let same = [&["mariadbd", "--no-defaults"], &SMALL[..], &REPLICATED].concat();
    let same = same.into_iter().map(str::to_owned);
    same.chain(own).collect()
}

/// The identity of server `index` of a cluster; any will do that differs.
fn identity(index: usize) -> String {
    format!("{:08x}-e4df-11f1-a6f8-367b5db50565", index + 1)
}

/// What a server remembers of the members it was in touch with before a power failure.
fn remembered_view(own: usize, members: usize) -> String {
    let list: String = (0..members)
        .map(|n| format!("member: {} 0\n", identity(n)))
        .collect();
    let (own, first) = (identity(own), identity(0));
    format!("my_uuid: {own}\n#vwbeg\nview_id: 3 {first} 3\nbootstrap: 0\n{list}#vwend\n")
}

/// Waits until all servers have joined; `count` says how many have.
pub(crate) fn wait_for_all(
    all: usize,
    timeline: Timeline,
    mut count: impl FnMut() -> Outcome<usize>,
) -> Outcome {
    let (mut joined, begun) = (0, Instant::now());
    while joined < all {
        let now = count()?;
        if now != joined {
            joined = now;
            timeline.say(Who::Stage, format!("galera {joined}/{all} joined"));
        }
        if begun.elapsed() > START_LIMIT {
            let limit = START_LIMIT.as_secs();
            return Err(Failure::failed(format!(
                "galera: {joined}/{all} joined after {limit} s"
            )));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

impl Node {
    fn start(lab: &Lab, places: &[Place<'_>], index: usize, seed: &Path) -> Outcome<Self> {
        let place = places.get(index).ok_or("no such server")?;
        let (host, name) = (place.host.clone(), place.host.name().to_owned());
        let data = lab.dir().join(&name);
        plant(&host, seed, &data, (index, places.len()))?;
        let members: Vec<&str> = places.iter().map(|place| place.address).collect();
        let dir = data.display().to_string();
        let words = command_line(&dir, &name, place.address, &members);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let process = host.spawn("mariadbd", &words)?;
        let server = Server { name, host, data };
        Ok(Self { server, process })
    }

    /// An error if the server has ended.
    pub(super) fn check(&mut self) -> Outcome {
        must_run(
            &format!("MariaDB on {}", self.server.name),
            &mut self.process,
        )
    }
}

impl Server {
    /// One whose data directory is seen from here as `data`.
    pub(crate) fn new(name: String, host: &Host, data: PathBuf) -> Self {
        let host = host.clone();
        Self { name, host, data }
    }

    /// Whether it is one of a cluster of this many, and knows all that they know.
    pub(crate) fn has_joined(&self, members: usize) -> bool {
        let is = |variable: &str, value: &str| self.status(variable).is_ok_and(|s| s == value);
        let listens = self.data.join("sock").exists();
        listens
            && is("wsrep_local_state_comment", "Synced")
            && is("wsrep_cluster_size", &members.to_string())
    }

    /// One status variable.
    fn status(&self, variable: &str) -> Outcome<String> {
        let row = self.query(&format!("SHOW STATUS LIKE '{variable}'"))?;
        Ok(row.split_whitespace().nth(1).unwrap_or_default().to_owned())
    }

    /// Runs a statement on this very server, as root; its rows, the columns parted by tabs.
    fn query(&self, statement: &str) -> Outcome<String> {
        query(
            &self.host,
            &self.data.join("sock").display().to_string(),
            statement,
        )
    }

    /// Every row of the table on this server, after it has applied all that the cluster has.
    pub(crate) fn orders(&self) -> Outcome<Vec<(u64, String)>> {
        let select = "SELECT id, stored_by FROM shop.orders ORDER BY id";
        let rows = self.query(&format!("SET SESSION wsrep_sync_wait = 1; {select}"));
        let rows = rows.doing(format!("ask {}", self.name))?;
        let parse = |row: &str| {
            let (id, by) = row.split_once('\t')?;
            Some((id.parse().ok()?, by.to_owned()))
        };
        let parsed: Option<Vec<_>> = rows.lines().map(parse).collect();
        parsed.ok_or_else(|| format!("{} answers with strange rows: {rows}", self.name).into())
    }
}

fn query(host: &Host, socket: &str, statement: &str) -> Outcome<String> {
    let at = format!("--socket={socket}");
    let flags = ["--user=root", "--batch", "--skip-column-names"];
    let argv = [
        &["mariadb", "--no-defaults", &at],
        &flags[..],
        &["-e", statement],
    ]
    .concat();
    Ok(host.run(&argv)?.trim_end().to_owned())
}
