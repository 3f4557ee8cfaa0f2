//! The IPVS table of a large configuration: programmed from empty and removed at the stop, by vipd, keepalived,
//! `ipvsadm -R` and the same messages without a daemon; and what a reload of a still larger one takes. In the
//! guest, every run in a new network namespace.

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use vipd::config::{Config, Options, load};
use vipd::daemon::files::Disk;
use vipd::ipvs::{self, Command, DestinationKey, ServiceKey};
use vipd::kernel::ipvs::Ipvs;
use vipd::lvs::{self, Owned};
use vipd::net::{Endpoint, Protocol};

use super::{ms, number};
use crate::lab::check::{Doing, Outcome, ensure, ensure_eq};
use crate::lab::daemon::Kind;
use crate::lab::guest::vipd_path;
use crate::lab::net::{Host, Net};
use crate::lab::process::{Process, Run, all};
use crate::lab::{Case, Lab};

pub(super) const PROGRAM: Case = Case {
    name: "program",
    proves: "how long it takes to program a table from empty, and to remove it at the stop",
    limit: Duration::from_secs(2 * 3600),
    run: program,
};

pub(super) const RELOAD: Case = Case {
    name: "reload",
    proves: "how long a reload takes that changes nothing, one server, half of the servers",
    limit: Duration::from_secs(3 * 3600),
    run: reload,
};

const LIMIT: Duration = Duration::from_secs(900);
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Between two runs, for the kernel to clear away a namespace.
const PAUSE: Duration = Duration::from_secs(3);

/// So many services with so many servers each.
#[derive(Clone, Copy)]
struct Size {
    services: u32,
    servers: u32,
}

impl Size {
    fn service(number: u32) -> Endpoint {
        let address = Ipv4Addr::from_bits(u32::from_be_bytes([10, 0, 0, 0]) + number);
        Endpoint::new(IpAddr::V4(address), 80)
    }

    fn server(self, service: u32, number: u32) -> Endpoint {
        let first = u32::from_be_bytes([10, 128, 0, 0]);
        let address = Ipv4Addr::from_bits(first + service * self.servers + number);
        Endpoint::new(IpAddr::V4(address), 80)
    }

    /// Written with these weights.
    fn conf(self, weight: impl Fn(u32, u32) -> u32) -> String {
        let mut text = String::new();
        for service in 0..self.services {
            let address = Self::service(service).addr;
            let _ = writeln!(
                text,
                "virtual_server {address} 80 {{\n lb_algo wrr\n lb_kind NAT\n protocol TCP"
            );
            for number in 0..self.servers {
                let server = self.server(service, number).addr;
                let weight = weight(service, number);
                let _ = writeln!(text, " real_server {server} 80 {{\n  weight {weight}\n }}");
            }
            text.push_str("}\n");
        }
        text
    }

    /// The one that is written last.
    fn last(self) -> (ServiceKey, DestinationKey) {
        let service = self.services - 1;
        let key = ServiceKey::Endpoint {
            protocol: Protocol::Tcp,
            endpoint: Self::service(service),
        };
        let server = self.server(service, self.servers - 1);
        (key, DestinationKey(server))
    }
}

/// One machine with nothing on it.
struct Place<'a> {
    net: Net<'a>,
    host: Host,
    dir: PathBuf,
    ipvs: Ipvs,
}

impl<'a> Place<'a> {
    fn new(lab: &'a Lab) -> Outcome<Place<'a>> {
        let net = Net::new(lab)?;
        let host = net.host("director")?;
        let dir = lab.dir().join("daemon");
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir)?;
        let ipvs = host.within(Ipvs::open)?.doing("open IPVS")?;
        Ok(Place {
            net,
            host,
            dir,
            ipvs,
        })
    }

    fn file(&self) -> PathBuf {
        self.dir.join("daemon.conf")
    }

    /// Without a log of any kind.
    fn start(&self, kind: Kind) -> Outcome<Process> {
        let beside = |name: &str| self.dir.join(name).display().to_string();
        let mut words = match kind {
            Kind::Keepalived => vec!["keepalived".to_owned()],
            Kind::Vipd => vec![
                vipd_path(),
                "--run-dir".to_owned(),
                beside("run"),
                "--state-dir".to_owned(),
                beside("state"),
            ],
        };
        words.extend(["-n", "-G", "-f"].map(str::to_owned));
        words.push(self.file().display().to_string());
        for (flag, name) in [("-p", "main.pid"), ("-r", "v.pid"), ("-c", "c.pid")] {
            words.extend([flag.to_owned(), beside(name)]);
        }
        let argv: Vec<&str> = words.iter().map(String::as_str).collect();
        self.host.spawn(kind.name(), &argv)
    }

    /// The weight of a server.
    fn weight(&mut self, (service, server): (ServiceKey, DestinationKey)) -> Outcome<Option<u32>> {
        let found = self.ipvs.destinations(service).doing("list servers")?;
        let found = found.iter().find(|found| found.key == server);
        Ok(found.map(|found| found.spec.weight))
    }

    fn wait_weight(&mut self, which: (ServiceKey, DestinationKey), weight: Option<u32>) -> Outcome {
        let begun = Instant::now();
        while self.weight(which)? != weight {
            ensure!(
                begun.elapsed() < LIMIT,
                "the table is not there after {LIMIT:?}"
            );
            sleep(LOOK_EVERY);
        }
        Ok(())
    }

    fn count(&mut self) -> Outcome<usize> {
        let table = self.ipvs.table().doing("read the table")?;
        Ok(table
            .values()
            .map(|service| service.destinations.len())
            .sum())
    }

    fn end(self) -> Outcome {
        let Place { net, ipvs, .. } = self;
        drop(ipvs);
        net.demolish()?;
        sleep(PAUSE);
        Ok(())
    }
}

fn read(file: &Path) -> Outcome<Config> {
    let loaded = load(file, &Disk, &Options::default());
    loaded
        .config
        .ok_or_else(|| "the configuration is not taken".into())
}

fn program(lab: &Lab) -> Outcome {
    let rounds = number(lab, "rounds", 5)?;
    let most = number(lab, "services", 10_000)?;
    // One server shows what a start costs whatever it has to do.
    let sizes = [(1, 1), (1000, 4), (10_000, 4)];
    for (services, servers) in sizes.into_iter().filter(|(services, _)| *services <= most) {
        let size = Size { services, servers };
        let rounds = if services < 10_000 {
            rounds
        } else {
            rounds.div_ceil(2)
        };
        for round in 0..rounds {
            // The one that is first has the colder machine: they take turns.
            let mut order = [Kind::Vipd, Kind::Keepalived];
            if round % 2 == 1 {
                order.reverse();
            }
            for kind in order {
                one_daemon(lab, size, kind)?;
            }
            without_daemon(lab, size)?;
        }
    }
    Ok(())
}

fn one_daemon(lab: &Lab, size: Size, kind: Kind) -> Outcome {
    let row = |what: &str| format!("{what} {} x {}", size.services, size.servers);
    let mut place = Place::new(lab)?;
    fs::write(place.file(), size.conf(|_, _| 1))?;
    let begun = Instant::now();
    let mut process = place.start(kind)?;
    place.wait_weight(size.last(), Some(1))?;
    lab.sample(&row("program"), kind.name(), "ms", ms(begun.elapsed()));
    let all = usize::try_from(size.services * size.servers).unwrap_or(0);
    ensure_eq!(place.count()?, all, "servers in the table");
    // Whatever else a start does is over.
    sleep(PAUSE);
    let begun = Instant::now();
    process.signal(libc::SIGTERM)?;
    process.wait(LIMIT)?;
    lab.sample(&row("stop"), kind.name(), "ms", ms(begun.elapsed()));
    ensure_eq!(place.count()?, 0, "servers after the stop");
    place.end()
}

/// The same table by `ipvsadm -R`, and by the messages alone.
fn without_daemon(lab: &Lab, size: Size) -> Outcome {
    let row = format!("program {} x {}", size.services, size.servers);
    let place = Place::new(lab)?;
    fs::write(place.file(), size.conf(|_, _| 1))?;
    let config = read(&place.file())?;
    let table: ipvs::Table = config
        .virtual_servers
        .iter()
        .flat_map(lvs::before_checks)
        .collect();
    let text = ipvs::save(&table);
    let begun = Instant::now();
    place.host.run_with(&Run {
        argv: &["ipvsadm", "-R"],
        stdin: &text,
        limit: LIMIT,
    })?;
    lab.sample(&row, "ipvsadm -R", "ms", ms(begun.elapsed()));
    place.end()?;

    let mut place = Place::new(lab)?;
    let wanted = table.iter().map(|(key, service)| (*key, service)).collect();
    let nothing = std::collections::BTreeMap::new();
    let commands: Vec<Command> = lvs::table_commands(&wanted, &nothing, &Owned::default());
    let begun = Instant::now();
    let failed = place.ipvs.apply(&commands);
    lab.sample(&row, "messages alone", "ms", ms(begun.elapsed()));
    ensure!(failed.is_empty(), "{} messages failed", failed.len());
    place.end()
}

fn reload(lab: &Lab) -> Outcome {
    let rounds = number(lab, "rounds", 1)?;
    let size = Size {
        services: number(lab, "services", 2277)?,
        servers: 16,
    };
    for round in 0..rounds {
        let mut order = [Kind::Vipd, Kind::Keepalived];
        if round % 2 == 1 {
            order.reverse();
        }
        for kind in order {
            reloads(lab, size, kind)?;
        }
    }
    Ok(())
}

fn reloads(lab: &Lab, size: Size, kind: Kind) -> Outcome {
    let last = size.last();
    let of_last = |service, number| service == size.services - 1 && number == size.servers - 1;
    let mut place = Place::new(lab)?;
    fs::write(place.file(), size.conf(|_, _| 1))?;
    let mut process = place.start(kind)?;
    place.wait_weight(last, Some(1))?;
    settle(&process)?;
    let wall = |place: &mut Place<'_>, process: &Process, row: &str, conf: String, weight| {
        fs::write(place.file(), conf)?;
        let before = ticks(process);
        let begun = Instant::now();
        process.signal(libc::SIGHUP)?;
        if let Some(weight) = weight {
            place.wait_weight(last, Some(weight))?;
            lab.sample(
                &format!("{row}, until it is in the table"),
                kind.name(),
                "ms",
                ms(begun.elapsed()),
            );
        }
        settle(process)?;
        let used = ticks(process).saturating_sub(before);
        lab.sample(
            &format!("{row}, processor"),
            kind.name(),
            "ms",
            used as f64 * 10.0,
        );
        Ok::<(), crate::lab::check::Failure>(())
    };
    wall(&mut place, &process, "same file", size.conf(|_, _| 1), None)?;
    let one = size.conf(|service, number| if of_last(service, number) { 2 } else { 1 });
    wall(&mut place, &process, "one server", one, Some(2))?;
    let half = size.conf(|_, number| if number % 2 == 1 { 3 } else { 1 });
    wall(&mut place, &process, "half of the servers", half, Some(3))?;
    process.signal(libc::SIGTERM)?;
    process.wait(LIMIT)?;
    place.end()
}

/// Until its processes have used no processor for a while.
fn settle(process: &Process) -> Outcome {
    let begun = Instant::now();
    let (mut used, mut since) = (ticks(process), Instant::now());
    while since.elapsed() < Duration::from_secs(2) {
        ensure!(begun.elapsed() < LIMIT, "it does not come to rest");
        sleep(Duration::from_millis(100));
        let now = ticks(process);
        // A timer now and then is rest.
        if now > used + 1 {
            since = Instant::now();
        }
        used = now;
    }
    Ok(())
}

/// Hundredths of a second that a process and its children have run.
fn ticks(process: &Process) -> u64 {
    let entries = all();
    let mut tree = vec![process.pid()];
    let mut at = 0;
    while let Some(parent) = tree.get(at).copied() {
        tree.extend(entries.iter().filter(|e| e.parent == parent).map(|e| e.pid));
        at += 1;
    }
    let of = |pid: &i32| {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let rest = text.rsplit_once(") ").map(|(_, rest)| rest.to_owned());
        let rest = rest.unwrap_or_default();
        let fields: Vec<&str> = rest.split(' ').collect();
        let field = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok());
        field(11).unwrap_or(0) + field(12).unwrap_or(0)
    };
    tree.iter().map(of).sum()
}
