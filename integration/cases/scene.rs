//! What many cases start from: a segment with a client and routers that share one virtual address.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::process::ExitStatus;
use std::time::Duration;

use crate::lab::Lab;
use crate::lab::check::{Failure, Outcome, ensure, holds_for, wait_until};
use crate::lab::daemon::{Daemon, Kind};
use crate::lab::net::{Host, Net, Port, Segment};
use crate::lab::traffic::{Pulse, Server};

/// The virtual address of every scene.
pub(crate) const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 100);
/// Long enough for an election at 1 s, twice over, in a slow guest.
pub(crate) const ELECTION: Duration = Duration::from_secs(15);

/// One segment, one client on it.
pub(crate) struct Lan<'a> {
    pub(crate) net: Net<'a>,
    pub(crate) segment: Segment,
    pub(crate) client: Host,
    /// Where the client's cable meets the switch: everything flooded or sent to it is seen here.
    pub(crate) client_port: Port,
}

impl<'a> Lan<'a> {
    /// A segment with the client 192.0.2.10.
    pub(crate) fn new(lab: &'a Lab) -> Outcome<Self> {
        let net = Net::new(lab)?;
        let segment = net.segment("lan")?;
        let client = net.host("client")?;
        let client_port = net.plug(&client, "eth0", &segment, &["192.0.2.10/24"])?;
        Ok(Self {
            net,
            segment,
            client,
            client_port,
        })
    }

    /// A router 192.0.2.`number` on the segment, its daemon not started yet.
    pub(crate) fn router(&self, name: &'static str, number: u8, kind: Kind) -> Outcome<Router> {
        let address = Ipv4Addr::new(192, 0, 2, number);
        let host = self.net.router(name)?;
        let port = self
            .net
            .plug(&host, "eth0", &self.segment, &[&format!("{address}/24")])?;
        let answers = Server::udp(&host, &format!("{VIP}:7"), name)?;
        Ok(Router {
            name,
            address,
            host,
            port,
            kind,
            daemon: None,
            _answers: answers,
        })
    }

    /// The client asks the virtual address who it is, again and again.
    pub(crate) fn pulse(&self, every: Duration) -> Outcome<Pulse> {
        Pulse::start(&self.client, &format!("{VIP}:7"), every)
    }
}

/// A router of a [`Lan`]: it answers for the virtual address whenever it has it.
pub(crate) struct Router {
    pub(crate) name: &'static str,
    pub(crate) address: Ipv4Addr,
    pub(crate) host: Host,
    pub(crate) port: Port,
    kind: Kind,
    daemon: Option<Daemon>,
    _answers: Server,
}

impl Router {
    /// Starts its daemon.
    pub(crate) fn start(&mut self, conf: &str) -> Outcome {
        self.daemon = Some(Daemon::start(self.kind, &self.host, conf)?);
        Ok(())
    }

    /// Its daemon, which must have been started.
    pub(crate) fn daemon(&mut self) -> Outcome<&mut Daemon> {
        let name = self.name;
        self.daemon
            .as_mut()
            .ok_or_else(|| Failure::from(format!("{name} has no daemon")))
    }

    /// Whether it has the virtual address.
    pub(crate) fn has_vip(&self) -> Outcome<bool> {
        self.host.owns(VIP)
    }

    /// The machine loses power: its link is gone and nothing on it runs, or cleans up.
    pub(crate) fn power_off(&mut self) -> Outcome {
        self.port.unplug()?;
        self.daemon()?.kill()
    }

    /// The machine comes back as it boots: with its own address, an empty IPVS table, its daemon.
    pub(crate) fn power_on(&mut self) -> Outcome {
        let address = self.address;
        self.host.ip(&format!(
            "addr flush dev eth0\naddr add {address}/24 dev eth0\n"
        ))?;
        self.host.run(&["ipvsadm", "-C"])?;
        self.port.plug_in()?;
        self.daemon()?.boot_again()
    }

    /// TERM, and the end of its daemon.
    pub(crate) fn stop(&mut self) -> Outcome<ExitStatus> {
        self.daemon()?.stop()
    }
}

/// A configuration with one instance on eth0 for [`VIP`].
pub(crate) struct Instance<'a> {
    pub(crate) priority: u8,
    /// Further lines inside the instance.
    pub(crate) lines: &'a str,
    /// Own address and that of the peer, when they speak unicast.
    pub(crate) unicast: Option<(Ipv4Addr, Ipv4Addr)>,
}

impl Instance<'_> {
    /// Multicast, nothing special.
    pub(crate) fn plain(priority: u8) -> String {
        Instance {
            priority,
            lines: "",
            unicast: None,
        }
        .text()
    }

    /// As keepalived.conf has it.
    pub(crate) fn text(&self) -> String {
        let mut text = String::from("vrrp_instance V {\n    interface eth0\n");
        let (priority, lines) = (self.priority, self.lines);
        let mut add = |line: String| writeln!(text, "    {line}").unwrap_or_default();
        add(format!(
            "virtual_router_id 51\n    priority {priority}\n    advert_int 1"
        ));
        add("authentication {\n        auth_type PASS\n        auth_pass letmein\n    }".into());
        if let Some((own, peer)) = self.unicast {
            add(format!(
                "unicast_src_ip {own}\n    unicast_peer {{\n        {peer}\n    }}"
            ));
        }
        add(lines.to_owned());
        add(format!("virtual_ipaddress {{\n        {VIP}\n    }}\n}}"));
        text
    }
}

/// Waits until `owner`, and none of `others`, has the virtual address; how long that took.
pub(crate) fn wait_owner(owner: &Router, others: &[&Router]) -> Outcome<Duration> {
    let name = owner.name;
    wait_until(format!("{name} alone has the VIP"), ELECTION, || {
        owns_alone(owner, others)
    })
}

/// For all of `period`, `owner`, and none of `others`, has the virtual address.
pub(crate) fn owner_stays(owner: &Router, others: &[&Router], period: Duration) -> Outcome {
    let name = owner.name;
    holds_for(format!("{name} alone has the VIP"), period, || {
        owns_alone(owner, others)
    })
}

fn owns_alone(owner: &Router, others: &[&Router]) -> Outcome<bool> {
    for other in others {
        if other.has_vip()? {
            return Ok(false);
        }
    }
    owner.has_vip()
}

/// The client gets its answers from `router`.
pub(crate) fn answered_by(pulse: &Pulse, router: &Router) -> Outcome {
    let limit = Duration::from_secs(10);
    let what = format!("the client is answered by {}", router.name);
    wait_until(what, limit, || {
        Ok(pulse.answered_by(Duration::from_millis(500)).as_deref() == Some(router.name))
    })?;
    ensure!(
        router.has_vip()?,
        "{} answers without having the VIP",
        router.name
    );
    Ok(())
}
