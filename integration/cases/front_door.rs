//! The front door of a database: one file, through keepalived and through vipd.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::scene::ELECTION;
use crate::lab::check::{Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::{Daemon, Kind};
use crate::lab::net::{Address, Host, Net};
use crate::lab::traffic::{Conversation, Server};
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[Case {
    name: "front_door.same_as_keepalived",
    proves: "the PXC host file gives keepalived's IPVS table and addresses, and both ports answer",
    limit: Duration::from_secs(120),
    run: same_as_keepalived,
}];

const CONF: &str = include_str!("../fixtures/front_door.conf");
const VIP: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 156);

fn same_as_keepalived(lab: &Lab) -> Outcome {
    let net = Net::new(lab)?;
    let mut reference = Site::new(&net, "keepalived", Kind::Keepalived)?;
    let mut subject = Site::new(&net, "subject", lab.subject())?;
    reference.opens()?;
    subject.opens()?;
    let (expected, seen) = (reference.look()?, subject.look()?);
    ensure_eq!(
        seen.table,
        expected.table,
        "ipvsadm -Sn of {} and keepalived",
        lab.subject().name()
    );
    ensure_eq!(
        seen.addresses,
        expected.addresses,
        "addresses of the two hosts"
    );
    ensure_eq!(seen.table.len(), 4, "two services with one server each");
    reference.closes()?;
    subject.closes()?;
    ensure_eq!(
        subject.look()?.addresses,
        reference.look()?.addresses,
        "addresses after the stop"
    );
    Ok(())
}

/// A LAN with a client, the host, and behind it the network of the containers.
struct Site {
    name: &'static str,
    client: Host,
    host: Host,
    daemon: Daemon,
    _containers: Vec<Server>,
}

/// What the two daemons must agree on.
struct Look {
    table: Vec<String>,
    addresses: Vec<Address>,
}

impl Site {
    fn new(net: &Net<'_>, name: &'static str, kind: Kind) -> Outcome<Self> {
        let lan = net.segment(&format!("{name}-l"))?;
        let bridge = net.segment(&format!("{name}-c"))?;
        let client = net.host(&format!("{name}-client"))?;
        let host = net.router(&format!("{name}-host"))?;
        let container = net.host(&format!("{name}-container"))?;
        net.plug(&client, "eth0", &lan, &["192.168.1.10/24"])?;
        net.plug(&host, "eth1", &lan, &["192.168.1.5/24"])?;
        net.plug(&host, "docker0", &bridge, &["172.18.0.1/16"])?;
        net.plug(&container, "eth0", &bridge, &["172.18.0.201/16"])?;
        container.ip("route add default via 172.18.0.1\n")?;
        let containers = vec![
            Server::tcp(&container, "172.18.0.201:3306", "database")?,
            Server::tcp(&container, "172.18.0.201:8888", "page")?,
        ];
        let daemon = Daemon::start(kind, &host, CONF)?;
        Ok(Self {
            name,
            client,
            host,
            daemon,
            _containers: containers,
        })
    }

    fn opens(&self) -> Outcome {
        let name = self.name;
        self.daemon
            .wait_log("(VI_1) Entering MASTER STATE", 1, ELECTION)?;
        wait_until(format!("{name} has the VIP"), ELECTION, || {
            self.host.owns(VIP)
        })?;
        let full = || Ok(self.host.ipvs()?.len() == 4);
        wait_until(format!("{name} has its table"), ELECTION, full)?;
        for (port, server) in [(3306, "database"), (8888, "page")] {
            let to = format!("{VIP}:{port}");
            let mut talk = Conversation::open(&self.client, &to, Duration::from_secs(5))?;
            ensure_eq!(talk.server, server, "who answers at {to} of {name}");
            ensure_eq!(
                talk.say("hello")?,
                format!("{server}: hello"),
                "an answer at {to}"
            );
        }
        Ok(())
    }

    fn look(&self) -> Outcome<Look> {
        Ok(Look {
            table: self.host.ipvs()?,
            addresses: self.host.addresses()?,
        })
    }

    fn closes(&mut self) -> Outcome {
        let status = self.daemon.stop()?;
        ensure!(status.success(), "{} stopped with {status}", self.name);
        ensure!(!self.host.owns(VIP)?, "{} leaves the VIP behind", self.name);
        ensure_eq!(
            self.host.ipvs()?.len(),
            0,
            "services that {} leaves behind",
            self.name
        );
        Ok(())
    }
}
