//! Two machines and a client on one network, as the articles have them: nginx on both, the daemon in its
//! usual place, and files where their authors put them.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::client;
use super::steps::Steps;
use crate::lab::Lab;
use crate::lab::check::{Doing as _, Outcome, ensure, ensure_eq};
use crate::lab::daemon::Kind;
use crate::lab::docker;
use crate::lab::machine::{Machine, STAND_IN, VIPD};
use crate::lab::net::{Host, Net, Port};
use crate::lab::process::Process;

/// What runs on the first and on the second machine, and its name in the report.
pub(super) const PAIRS: [(&str, [Kind; 2]); 3] = [
    ("vipd", [Kind::Vipd, Kind::Vipd]),
    ("keepalived", [Kind::Keepalived, Kind::Keepalived]),
    ("mixed", [Kind::Vipd, Kind::Keepalived]),
];

/// The page of a machine is its name.
const NGINX: &str = "\
user www-data;
worker_processes 1;
pid /run/nginx.pid;
error_log /run/logs/nginx-error.log;
events { worker_connections 64; }
http { access_log off; server { listen 80; root /srv/www; } }
";

/// A machine as an article describes it.
pub(super) struct Plan {
    /// As the article calls it; its page says so.
    pub(super) name: &'static str,
    /// Its address with the length of the prefix.
    pub(super) address: &'static str,
    /// Paths and texts; those that end in `.sh` may be run.
    pub(super) files: Vec<(&'static str, String)>,
    /// Whether Docker is started at each boot, with what it had before.
    pub(super) has_docker: bool,
    /// What is done once after each boot, before anything else runs.
    pub(super) prepare: String,
}

/// One of the two machines.
pub(super) struct Node {
    pub(super) plan: Plan,
    pub(super) host: Host,
    pub(super) kind: Kind,
    port: Port,
    machine: Option<Machine>,
    docker: Option<Process>,
}

impl Node {
    fn new(
        net: &Net<'_>,
        segment: &crate::lab::net::Segment,
        pair: &str,
        plan: Plan,
        kind: Kind,
    ) -> Outcome<Self> {
        let host = net.router(&format!("{}-{pair}", plan.name))?;
        let port = net.plug(&host, "eth0", segment, &[plan.address])?;
        Ok(Self {
            plan,
            host,
            kind,
            port,
            machine: None,
            docker: None,
        })
    }

    /// The running machine.
    pub(super) fn machine(&self) -> Outcome<&Machine> {
        Ok(self.machine.as_ref().ok_or("the machine is off")?)
    }

    /// Boots it, with everything on its disk; nothing runs yet.
    pub(super) fn boot(&mut self) -> Outcome {
        let machine = Machine::boot(&self.host)?;
        if self.kind == Kind::Vipd {
            machine.install(VIPD)?;
            machine.install(STAND_IN)?;
        }
        let args = format!("DAEMON_ARGS=\"{}\"\n", daemon_args(self));
        machine.write("/etc/default/keepalived", &args)?;
        machine.write("/etc/nginx/nginx.conf", NGINX)?;
        machine.write("/srv/www/index.html", self.plan.name)?;
        for (path, text) in &self.plan.files {
            machine.write(path, text)?;
            if path.ends_with(".sh") {
                machine.run(&["chmod", "755", path])?;
            }
        }
        if self.plan.has_docker {
            machine.sh(&format!(
                "mkdir -p /run/disk/{0} /var/lib/docker; mount --bind /run/disk/{0} /var/lib/docker",
                self.host.name()
            ))?;
            self.docker = Some(docker::start_on(&machine, &[])?);
        }
        machine.sh(&self.plan.prepare)?;
        self.machine = Some(machine);
        Ok(())
    }

    /// Stops nginx as the article does, and waits until those processes are gone, whoever starts it again.
    pub(super) fn kill_nginx(&self) -> Outcome {
        let line = "pids=$(pidof nginx) || true; killall nginx || true; for pid in $pids; do \
                    while [ -d /proc/$pid ]; do sleep 0.01; done; done";
        self.sh(line).map(drop)
    }

    /// A shell's line on the machine, which must succeed.
    pub(super) fn sh(&self, line: &str) -> Outcome<String> {
        self.machine()?.sh(line)
    }

    /// The plug is pulled.
    pub(super) fn power_off(&mut self) -> Outcome {
        self.port.unplug()?;
        if let Some(mut machine) = self.machine.take() {
            machine.power_off()?;
        }
        self.docker = None;
        Ok(())
    }

    /// It boots again, with its own address and nothing else in its network.
    pub(super) fn power_on(&mut self) -> Outcome {
        self.host.ip(&format!(
            "addr flush dev eth0\naddr add {} dev eth0\n",
            self.plan.address
        ))?;
        if self.plan.has_docker {
            self.host.ip("link del docker0\n")?;
        }
        self.port.plug_in()?;
        self.boot()
    }

    fn log_file(&self) -> String {
        format!("/run/logs/{}.log", self.host.name())
    }

    /// What vipd has said so far.
    pub(super) fn log(&self) -> Outcome<String> {
        self.machine()?.run(&["cat", &self.log_file()])
    }
}

/// Words of the command line that say no more than where the log goes. Debian's keepalived has the machine's
/// log alone, and there is none.
pub(super) fn daemon_args(node: &Node) -> String {
    match node.kind {
        Kind::Keepalived => "-D".to_owned(),
        Kind::Vipd => format!("-D -G --log-file={}", node.log_file()),
    }
}

/// How the timeline names who has an address: nobody, one, or more than there should be.
pub(super) fn named(holders: &[&str]) -> String {
    match holders {
        [] => "-".to_owned(),
        holders => holders.join("+"),
    }
}

/// Both machines and the client.
pub(super) struct Site {
    pub(super) pair: &'static str,
    pub(super) nodes: [Node; 2],
    pub(super) client: Host,
}

impl Site {
    /// Machines that are booted, in a network of their own; the daemons are not started.
    pub(super) fn new<'a>(
        lab: &'a Lab,
        (pair, kinds): (&'static str, [Kind; 2]),
        client: &str,
        plans: [Plan; 2],
    ) -> Outcome<(Self, Net<'a>)> {
        let net = Net::with_switch(lab, &format!("switch-{pair}"))?;
        let segment = net.segment("lan")?;
        let host = net.host(&format!("client-{pair}"))?;
        net.plug(&host, "eth0", &segment, &[client])?;
        let [one, two] = plans;
        let nodes = [
            Node::new(&net, &segment, pair, one, kinds[0])?,
            Node::new(&net, &segment, pair, two, kinds[1])?,
        ];
        let site = Self {
            pair,
            nodes,
            client: host,
        };
        Ok((site, net))
    }

    /// Boots both.
    pub(super) fn boot(&mut self) -> Outcome {
        self.nodes.iter_mut().try_for_each(Node::boot)
    }

    /// The machines that have each of these addresses, of those that are on.
    fn holders(&self, vips: &[IpAddr]) -> Outcome<Vec<String>> {
        let on: Vec<&Node> = self.nodes.iter().filter(|n| n.machine.is_some()).collect();
        let holders = vips.iter().map(|vip| {
            let mut names = Vec::new();
            for node in &on {
                if node.host.owns(*vip)? {
                    names.push(node.plan.name);
                }
            }
            Ok(named(&names))
        });
        holders.collect()
    }

    /// Whether keepalived alone is at work, whose failures are told and not failed for.
    pub(super) fn is_reference(&self) -> bool {
        self.nodes.iter().all(|node| node.kind == Kind::Keepalived)
    }
}

/// A site while its story is played.
pub(super) struct Play<'a> {
    pub(super) site: &'a mut Site,
    pub(super) steps: Steps,
    vips: Vec<IpAddr>,
}

impl<'a> Play<'a> {
    /// The client begins to ask for pages from `vips`; a step may take up to `limit`.
    pub(super) fn begin(
        site: &'a mut Site,
        vips: &[&'static str],
        limit: Duration,
    ) -> Outcome<Self> {
        let steps = Steps::begin(&site.client, site.pair, vips, limit, site.is_reference())?;
        let address = |vip: &&str| vip.parse::<SocketAddr>().map(|to| to.ip()).doing(*vip);
        let vips = vips.iter().map(address).collect::<Outcome<_>>()?;
        Ok(Self { site, steps, vips })
    }

    /// Where vipd runs on this machine, it has said all of this.
    pub(super) fn told(&self, node: usize, phrases: &[&str]) -> Outcome {
        let node = &self.site.nodes[node];
        if node.kind == Kind::Vipd {
            let log = node.log()?;
            for phrase in phrases {
                let pair = self.site.pair;
                ensure!(log.contains(phrase), "{pair}: not told: {phrase}\n{log}");
            }
        }
        Ok(())
    }

    /// Does `action`; then each address of the client's list must be served by the machine of this number, which
    /// alone has it.
    pub(super) fn step(
        &mut self,
        what: &'static str,
        action: impl FnOnce(&mut Site) -> Outcome,
        served_by: &[usize],
    ) -> Outcome {
        let named = served_by.iter().filter_map(|n| self.site.nodes.get(*n));
        let names: Vec<&str> = named.map(|node| node.plan.name).collect();
        self.steps.step(what, || action(self.site), &names)?;
        let holders = self.site.holders(&self.vips)?;
        if !self.site.is_reference() {
            ensure_eq!(holders, names, "{}: {what}: ip addr", self.site.pair);
        }
        self.steps.held_by(holders);
        Ok(())
    }

    /// At its own address each machine serves its own page.
    pub(super) fn own_pages(&self) -> Outcome {
        for node in &self.site.nodes {
            let (address, _) = node.plan.address.split_once('/').ok_or("no prefix")?;
            let page = client::page_at(&self.site.client, &format!("{address}:80"))?;
            let name = node.plan.name;
            ensure_eq!(page.as_deref(), Some(name), "{}: {address}", self.site.pair);
        }
        Ok(())
    }

    /// Does `action`, after which everything must be where it was.
    pub(super) fn stays(
        &mut self,
        what: &'static str,
        action: impl FnOnce(&mut Site) -> Outcome,
    ) -> Outcome {
        let before = self.site.holders(&self.vips)?;
        self.steps.stays(what, || action(self.site))?;
        let after = self.site.holders(&self.vips)?;
        ensure_eq!(before, after, "{}: {what}", self.site.pair);
        self.steps.held_by(after);
        Ok(())
    }
}
