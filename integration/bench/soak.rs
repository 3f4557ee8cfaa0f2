//! Whether a daemon grows: for many minutes it is master, is read anew again and again, and checks servers of
//! which some come and go. What it takes of memory and files, and how late its adverts are, in the first quarter
//! of that time and in the last. vipd and keepalived at the same time, in a guest with IPVS.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::connects::{Listener, PORT, address};
use super::{Late, memory, number};
use crate::lab::check::{Doing as _, Outcome, ensure, wait_until};
use crate::lab::daemon::{Daemon, Kind};
use crate::lab::net::{Host, Net, Port};
use crate::lab::process::tree;
use crate::lab::wire::Capture;
use crate::lab::{Case, Lab};

pub(super) const CASE: Case = Case {
    name: "soak",
    proves: "that neither memory nor open files nor lateness grow with time",
    limit: Duration::from_secs(3 * 3600),
    run,
};

const INTERVAL: Duration = Duration::from_millis(100);
const SERVICES: usize = 50;
const SERVERS: usize = 8;
const CHECKED_EVERY: u64 = 2;
/// Where the servers listen that come and go; every fourth one.
const DOOR: u16 = PORT + 1;
const DOOR_STAYS: Duration = Duration::from_secs(10);
const RELOAD_EVERY: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_millis(20);
/// How often memory is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);
const QUARTERS: [&str; 4] = ["1st quarter", "2nd quarter", "3rd quarter", "last quarter"];

/// One daemon, alone on its segment.
struct Subject {
    kind: Kind,
    host: Host,
    port: Port,
    daemon: Daemon,
    _servers: Listener,
    /// While the servers that come and go are there.
    door: Option<TcpListener>,
    memory: Vec<f64>,
    files: Vec<f64>,
}

/// `stamp` makes a file another one: the weights of every second server.
fn conf(stamp: usize) -> String {
    let mut text = format!(
        "vrrp_instance V {{\n interface eth0\n virtual_router_id 51\n version 3\n priority 150\n advert_int {}\n \
         virtual_ipaddress {{\n 192.0.2.100\n }}\n}}\n",
        INTERVAL.as_secs_f64()
    );
    for service in 0..SERVICES {
        let _ = writeln!(
            text,
            "virtual_server 10.0.{service}.1 80 {{\n delay_loop {CHECKED_EVERY}\n lb_algo wlc\n lb_kind NAT\n \
             protocol TCP"
        );
        for server in 0..SERVERS {
            let number = service * SERVERS + server;
            let port = if number.is_multiple_of(4) { DOOR } else { PORT };
            let weight = if number.is_multiple_of(2) {
                1
            } else {
                1 + stamp % 50
            };
            let _ = writeln!(
                text,
                " real_server {} {port} {{\n weight {weight}\n TCP_CHECK {{\n connect_timeout 1\n retry 0\n }}\n }}",
                address(number)
            );
        }
        text.push_str("}\n");
    }
    text
}

impl Subject {
    fn start(net: &Net<'_>, kind: Kind) -> Outcome<Subject> {
        let lan = net.segment(&format!("lan-{}", kind.name()))?;
        let host = net.host(kind.name())?;
        let port = net.plug(&host, "eth0", &lan, &["192.0.2.1/24"])?;
        let servers = Listener::open(&host, false)?;
        let daemon = Daemon::start(kind, &host, &conf(0))?;
        let vip: std::net::Ipv4Addr = "192.0.2.100".parse().doing("an address")?;
        wait_until("it is master", Duration::from_secs(30), || host.owns(vip))?;
        Ok(Subject {
            kind,
            host,
            port,
            daemon,
            _servers: servers,
            door: None,
            memory: Vec::new(),
            files: Vec::new(),
        })
    }

    /// The servers that come and go do so.
    fn swing(&mut self) -> Outcome {
        self.door = match self.door.take() {
            Some(_) => None,
            None => {
                let open = || TcpListener::bind(("0.0.0.0", DOOR));
                let door = self.host.within(open)?.doing("listen")?;
                door.set_nonblocking(true)?;
                Some(door)
            }
        };
        Ok(())
    }

    fn take(&self) {
        while let Some(Ok(_)) = self.door.as_ref().map(TcpListener::accept) {}
    }

    fn look(&mut self) {
        let pids = tree(self.daemon.pid());
        let open = |pid| std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        let open: usize = pids.into_iter().map(open).sum();
        self.files.push(f64::from(u32::try_from(open).unwrap_or(0)));
        self.memory.push(memory::memory(self.daemon.pid(), "Pss:"));
    }
}

fn run(lab: &Lab) -> Outcome {
    let lasts = Duration::from_secs(60) * number(lab, "minutes", 20)?;
    let net = Net::new(lab)?;
    let mut subjects = Vec::new();
    for kind in [Kind::Vipd, Kind::Keepalived] {
        subjects.push(Subject::start(&net, kind)?);
    }
    let mut stamp = 0;
    for quarter in QUARTERS {
        let mut captures = Vec::new();
        for subject in &mut subjects {
            captures.push(Capture::at(&subject.port)?);
            subject.memory.clear();
            subject.files.clear();
        }
        spend(&mut subjects, lasts / 4, &mut stamp)?;
        for (subject, capture) in subjects.iter_mut().zip(captures) {
            let adverts = capture.adverts().into_iter();
            let times: Vec<Duration> = adverts.map(|(frame, _)| frame.at).collect();
            ensure!(times.len() > 10, "{} sent no adverts", subject.kind.name());
            let who = subject.kind.name();
            let late = format!("adverts late, {quarter}");
            Late::beyond(INTERVAL, &times).sample(lab, &late, who);
            let memory = format!("memory, {quarter}");
            lab.sample(&memory, who, "MB", median(&mut subject.memory));
            // Sockets of checks come and go.
            let least = subject.files.iter().copied().fold(f64::MAX, f64::min);
            lab.sample(&format!("open files, {quarter}"), who, "files", least);
        }
    }
    for mut subject in subjects {
        subject.daemon.stop()?;
    }
    net.demolish()
}

/// Reloads, and servers that come and go, for so long.
fn spend(subjects: &mut [Subject], lasts: Duration, stamp: &mut usize) -> Outcome {
    let began = Instant::now();
    let (mut reload, mut swing, mut look) = (RELOAD_EVERY, DOOR_STAYS, LOOK_EVERY);
    while began.elapsed() < lasts {
        sleep(TICK);
        for subject in subjects.iter() {
            subject.take();
        }
        if began.elapsed() >= reload {
            reload += RELOAD_EVERY;
            *stamp += 1;
            for subject in subjects.iter() {
                subject.daemon.reload(&conf(*stamp))?;
            }
        }
        if began.elapsed() >= swing {
            swing += DOOR_STAYS;
            for subject in subjects.iter_mut() {
                subject.swing()?;
            }
        }
        if began.elapsed() >= look {
            look += LOOK_EVERY;
            subjects.iter_mut().for_each(Subject::look);
        }
    }
    Ok(())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
