//! Networks of namespaces: [`Net`] makes [`Host`]s and [`Segment`]s and plugs them together.
//!
//! Each host is a network namespace, under its own name in /run/netns, so that `ip -n NAME` works.
//! Each segment is a bridge inside one further namespace, the switch. IPVS tables, addresses,
//! routes and sysctls are all per namespace: hosts never meet except on segments.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::Read as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::check::{Doing, Failure, Outcome};
use super::process::{Finished, Process, Run, run};
use super::{Lab, sys};

/// Commands end within this, or are killed; generous, because the guest is slow.
pub(super) const COMMAND_LIMIT: Duration = Duration::from_secs(30);

/// A machine: a network namespace with its interfaces, and processes that were started in it.
#[derive(Clone)]
pub(crate) struct Host(Arc<Namespace>);

struct Namespace {
    name: String,
    ns: File,
    dir: PathBuf,
}

/// One address as `ip -j addr` shows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Address {
    pub(crate) dev: String,
    pub(crate) local: String,
    pub(crate) prefixlen: u64,
    pub(crate) scope: String,
    pub(crate) label: String,
    /// `deprecated`, `nodad`, `tentative`, ... as ip spells them; not `proto`.
    pub(crate) flags: Vec<String>,
}

impl Host {
    fn new(lab: &Lab, name: &str) -> Outcome<Self> {
        let path = Path::new("/run/netns").join(name);
        let target = path.clone();
        let made = thread::spawn(move || {
            let ns = sys::new_net_namespace()?;
            File::create(&target)?;
            sys::mount("/proc/thread-self/ns/net", &target, sys::MountKind::Bind)?;
            Ok::<_, std::io::Error>(ns)
        });
        let ns = made
            .join()
            .map_err(|_| "the thread that makes a namespace panicked")?;
        let ns = ns.doing(format!("make the namespace {name}"))?;
        let host = Self(Arc::new(Namespace {
            name: name.to_owned(),
            ns,
            dir: lab.dir().into(),
        }));
        // Addresses are usable at once, and nothing but the test makes IPv6 addresses.
        host.sysctl("net.ipv6.conf.default.accept_dad", "0")?;
        host.sysctl("net.ipv6.conf.all.accept_dad", "0")?;
        host.run(&["ip", "link", "set", "lo", "up"])?;
        Ok(host)
    }

    /// Where this process is: the machine itself, in a stage among its processes. For a daemon to begin in that
    /// leaves it at once; nothing may be changed here.
    pub(crate) fn here(lab: &Lab) -> Outcome<Self> {
        Self::behind(lab, "here", Path::new("/proc/self/ns/net"))
    }

    /// A namespace that something else made: its file under /proc, and what the case calls it.
    pub(crate) fn behind(lab: &Lab, name: &str, path: &Path) -> Outcome<Self> {
        Ok(Self(Arc::new(Namespace {
            name: name.to_owned(),
            ns: File::open(path).doing(path.display())?,
            dir: lab.dir().into(),
        })))
    }

    /// Its name: that of the namespace, too.
    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    /// The private directory of the case.
    pub(crate) fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// Runs `work` on a thread inside the namespace; sockets made there stay there.
    pub(crate) fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Outcome<T> {
        let done = thread::scope(|scope| {
            let work = scope.spawn(|| sys::enter_net_namespace(&self.0.ns).map(|()| work()));
            work.join()
        });
        match done {
            Ok(value) => value.doing(format!("enter the namespace {}", self.name())),
            Err(_) => Err(format!("work inside {} panicked", self.name()).into()),
        }
    }

    /// Runs a command to its end; its exit code is the caller's business.
    pub(crate) fn try_run(&self, argv: &[&str]) -> Outcome<Finished> {
        self.try_run_with(&Run {
            argv,
            stdin: "",
            limit: COMMAND_LIMIT,
        })
    }

    /// The same with `stdin` and its own limit.
    pub(crate) fn try_run_with(&self, how: &Run<'_>) -> Outcome<Finished> {
        run(Some(&self.0.ns), how).doing(format!("[{}]", self.name()))
    }

    /// Runs a command that must succeed; its standard output.
    pub(crate) fn run(&self, argv: &[&str]) -> Outcome<String> {
        self.try_run(argv)?
            .success()
            .map(|f| f.stdout)
            .doing(format!("[{}]", self.name()))
    }

    /// Runs a command with `stdin` and its own limit; it must succeed; its standard output.
    pub(crate) fn run_with(&self, how: &Run<'_>) -> Outcome<String> {
        let done = run(Some(&self.0.ns), how).and_then(Finished::success);
        done.map(|f| f.stdout).doing(format!("[{}]", self.name()))
    }

    /// Runs a line of shell that must succeed; its standard output.
    pub(crate) fn sh(&self, script: &str) -> Outcome<String> {
        self.run(&["/bin/sh", "-ec", script])
    }

    /// Several `ip` commands (without the word ip), one a line, in one process.
    pub(crate) fn ip(&self, lines: &str) -> Outcome {
        let argv = ["ip", "-batch", "-"];
        self.run_with(&Run {
            argv: &argv,
            stdin: lines,
            limit: COMMAND_LIMIT,
        })?;
        Ok(())
    }

    /// Starts a process that is killed when dropped; its output goes to `log/HOST.NAME.log`.
    pub(crate) fn spawn(&self, name: &str, argv: &[&str]) -> Outcome<Process> {
        let log = self
            .dir()
            .join("log")
            .join(format!("{}.{name}.log", self.name()));
        Process::start(&self.0.ns, &format!("{name} on {}", self.name()), argv, log)
    }

    /// Writes a sysctl of this namespace, `net.ipv4.ip_forward` for instance.
    pub(crate) fn sysctl(&self, key: &str, value: &str) -> Outcome {
        let path = Path::new("/proc/sys").join(key.replace('.', "/"));
        self.within(|| fs::write(&path, value))?
            .doing(format!("set {key}"))
    }

    /// A file under /proc/net as this namespace sees it (`ip_vs`, `ip_vs_conn`, ...).
    pub(crate) fn proc_net(&self, file: &str) -> Outcome<String> {
        let path = Path::new("/proc/thread-self/net").join(file);
        // In pieces as large as can be: where the list of IPVS is taken up again, the kernel (6.1) passes over
        // as many services as other namespaces have had in between. std begins with 32 bytes.
        let read = || {
            let (mut open, mut piece) = (File::open(&path)?, vec![0; 1 << 16]);
            let mut bytes = Vec::new();
            loop {
                match open.read(&mut piece)? {
                    0 => return String::from_utf8(bytes).map_err(std::io::Error::other),
                    length => bytes.extend(piece.iter().take(length)),
                }
            }
        };
        self.within(read)?.doing(format!("read /proc/net/{file}"))
    }

    /// Every address of every interface, sorted; without the link-local ones of IPv6, which come
    /// from random MACs.
    pub(crate) fn addresses(&self) -> Outcome<Vec<Address>> {
        let links: Vec<Value> = serde_json::from_str(&self.run(&["ip", "-j", "addr", "show"])?)?;
        let mut found = Vec::new();
        for link in &links {
            let infos = link.get("addr_info").and_then(Value::as_array);
            found.extend(infos.into_iter().flatten().map(|info| address(link, info)));
        }
        found.retain(|address: &Address| !address.local.starts_with("fe80:"));
        found.sort();
        Ok(found)
    }

    /// Whether this host would take packets for `address`: asked of the kernel without a command.
    pub(crate) fn owns(&self, address: impl Into<IpAddr>) -> Outcome<bool> {
        let address = address.into();
        let bound = self.within(|| std::net::UdpSocket::bind((address, 0)))?;
        match bound {
            Ok(_) => Ok(true),
            Err(e) if e.kind() == std::io::ErrorKind::AddrNotAvailable => Ok(false),
            Err(e) => Err(Failure::failed(format!("bind to {address}: {e}"))),
        }
    }

    /// The IPVS table as `ipvsadm -Sn` saves it, sorted; empty without IPVS in use.
    pub(crate) fn ipvs(&self) -> Outcome<Vec<String>> {
        let saved = self.run(&["ipvsadm", "-Sn"])?;
        let mut lines: Vec<String> = saved.lines().map(|l| l.trim_end().to_owned()).collect();
        lines.sort();
        Ok(lines)
    }
}

fn address(link: &Value, info: &Value) -> Address {
    let text = |v: &Value, key: &str| v.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
    let set = |(key, v): (&String, &Value)| (v.as_bool() == Some(true)).then(|| key.clone());
    let mut flags: Vec<String> = info
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(set)
        .collect();
    flags.sort();
    Address {
        dev: text(link, "ifname"),
        local: text(info, "local"),
        prefixlen: info
            .get("prefixlen")
            .and_then(Value::as_u64)
            .unwrap_or_default(),
        scope: text(info, "scope"),
        label: text(info, "label"),
        flags,
    }
}

/// A broadcast domain: one bridge of the switch.
#[derive(Clone)]
pub(crate) struct Segment {
    switch: Host,
    bridge: String,
}

/// One end of a cable in a host, the other in a segment.
#[derive(Clone)]
pub(crate) struct Port {
    switch: Host,
    /// Name of the port in the switch, where the segment's traffic of this host can be captured.
    pub(crate) name: String,
}

impl Port {
    /// Takes the carrier away: the host sees its link go down.
    pub(crate) fn unplug(&self) -> Outcome {
        self.switch
            .run(&["ip", "link", "set", &self.name, "down"])
            .map(drop)
    }

    /// Gives the carrier back.
    pub(crate) fn plug_in(&self) -> Outcome {
        self.switch
            .run(&["ip", "link", "set", &self.name, "up"])
            .map(drop)
    }

    /// The segment forwards nothing from or to this host any more, whose link stays up.
    pub(crate) fn black_hole(&self) -> Outcome {
        self.switch
            .run(&["bridge", "link", "set", "dev", &self.name, "state", "0"])
            .map(drop)
    }

    /// Undoes [`Port::black_hole`].
    pub(crate) fn forward(&self) -> Outcome {
        self.switch
            .run(&["bridge", "link", "set", "dev", &self.name, "state", "3"])
            .map(drop)
    }

    /// The switch, for a capture of what really went over the cable.
    pub(crate) fn switch(&self) -> &Host {
        &self.switch
    }
}

/// Builds hosts and segments, all in one switch.
pub(crate) struct Net<'a> {
    lab: &'a Lab,
    switch: Host,
    ports: RefCell<u32>,
}

impl<'a> Net<'a> {
    /// An empty network.
    pub(crate) fn new(lab: &'a Lab) -> Outcome<Self> {
        Self::with_switch(lab, "switch")
    }

    /// An empty network beside others: the name of its switch tells them apart.
    pub(crate) fn with_switch(lab: &'a Lab, switch: &str) -> Outcome<Self> {
        Ok(Self {
            lab,
            switch: Host::new(lab, switch)?,
            ports: RefCell::new(0),
        })
    }

    /// A new machine with nothing but `lo`.
    pub(crate) fn host(&self, name: &str) -> Outcome<Host> {
        Host::new(self.lab, name)
    }

    /// A new machine that forwards, as every director of IPVS NAT must.
    pub(crate) fn router(&self, name: &str) -> Outcome<Host> {
        let host = self.host(name)?;
        host.sysctl("net.ipv4.ip_forward", "1")?;
        host.sysctl("net.ipv6.conf.all.forwarding", "1")?;
        Ok(host)
    }

    /// Takes the names of all its hosts away, so that the next network can use them; the
    /// namespaces go when their last process and socket does.
    pub(crate) fn demolish(self) -> Outcome {
        for entry in fs::read_dir("/run/netns")?.flatten() {
            sys::unmount(&entry.path()).doing(entry.path().display())?;
            fs::remove_file(entry.path())?;
        }
        Ok(())
    }

    /// A new segment.
    pub(crate) fn segment(&self, name: &str) -> Outcome<Segment> {
        self.switch.ip(&format!(
            "link add {name} type bridge forward_delay 0 stp_state 0 mcast_snooping 0\n\
             link set {name} up\n"
        ))?;
        Ok(Segment {
            switch: self.switch.clone(),
            bridge: name.to_owned(),
        })
    }

    /// A cable from the interface `dev` of `host`, which gets these addresses (CIDR), to `segment`.
    pub(crate) fn plug(
        &self,
        host: &Host,
        dev: &str,
        segment: &Segment,
        addresses: &[&str],
    ) -> Outcome<Port> {
        self.ports.replace_with(|n| *n + 1);
        let name = format!("port{}", self.ports.borrow());
        let (bridge, ns) = (&segment.bridge, host.name());
        self.switch.ip(&format!(
            "link add {name} type veth peer name {dev} netns {ns}\n\
             link set {name} master {bridge} up\n"
        ))?;
        let mut lines = format!("link set {dev} up\n");
        for address in addresses {
            let nodad = if address.contains(':') { " nodad" } else { "" };
            lines.push_str(&format!("addr add {address} dev {dev}{nodad}\n"));
        }
        host.ip(&lines)?;
        let switch = segment.switch.clone();
        Ok(Port { switch, name })
    }
}
