//! vipd and keepalived side by side: every pairing of who is master, both versions of the protocol, both
//! families, multicast and unicast, with and without a VMAC. Native, because intervals below a second are part of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::lab::check::{Failure, Outcome, ensure, holds_for, wait_until};
use crate::lab::daemon::{Daemon, Kind};
use crate::lab::net::{Host, Net, Port, Segment};
use crate::lab::traffic::{Pulse, Server};
use crate::lab::{Case, Lab};

/// What the routers speak.
#[derive(Clone, Copy)]
struct Speech {
    version: u8,
    ipv6: bool,
    unicast: bool,
    /// Lines of an instance, for what goes beyond this.
    lines: &'static str,
}

const V2: Speech = Speech {
    version: 2,
    ipv6: false,
    unicast: false,
    lines: "",
};
const V2_UNICAST: Speech = Speech {
    unicast: true,
    ..V2
};
const V3: Speech = Speech { version: 3, ..V2 };
const V3_UNICAST: Speech = Speech {
    unicast: true,
    ..V3
};
const V3_IPV6: Speech = Speech { ipv6: true, ..V3 };
const V3_IPV6_UNICAST: Speech = Speech {
    unicast: true,
    ..V3_IPV6
};

const V2_VMAC: Speech = Speech {
    lines: USE_VMAC,
    ..V2
};
const V3_IPV6_VMAC: Speech = Speech {
    lines: USE_VMAC,
    ..V3_IPV6
};
const USE_VMAC: &str = "use_vmac vrrp.51";

/// One case for each pairing; the last one, keepalived with itself, says what is expected.
macro_rules! pairings {
    ($($name:literal, $speech:expr;)+) => {
        &[$(
            case(concat!("matrix.", $name, ".vipd_keepalived"), |lab| takeover(lab, $speech, lab.subject(), Kind::Keepalived)),
            case(concat!("matrix.", $name, ".keepalived_vipd"), |lab| takeover(lab, $speech, Kind::Keepalived, lab.subject())),
            case(concat!("matrix.", $name, ".vipd_vipd"), |lab| takeover(lab, $speech, lab.subject(), lab.subject())),
            case(concat!("matrix.", $name, ".keepalived_keepalived"), |lab| takeover(lab, $speech, Kind::Keepalived, Kind::Keepalived)),
        )+]
    };
}

const fn case(name: &'static str, run: fn(&Lab) -> Outcome) -> Case {
    Case {
        name,
        proves: "the better router has the VIP, through start, stop, power cut and return of either",
        limit: Duration::from_secs(150),
        run,
    }
}

/// Each pairing through a life of starts, stops and power cuts.
pub(crate) const TAKEOVERS: &[Case] = pairings! {
    "v2", V2;
    "v2_unicast", V2_UNICAST;
    "v3", V3;
    "v3_unicast", V3_UNICAST;
    "v3_ipv6", V3_IPV6;
    "v3_ipv6_unicast", V3_IPV6_UNICAST;
    "v2_vmac", V2_VMAC;
    "v3_ipv6_vmac", V3_IPV6_VMAC;
};

/// What a router that may not take over does, and what equal ones do.
pub(crate) const ELECTIONS: &[Case] = &[
    Case {
        name: "matrix.nopreempt.vipd_waits",
        proves: "with nopreempt, vipd leaves the VIP at a lower keepalived until that dies",
        limit: Duration::from_secs(90),
        run: |lab| nopreempt(lab, lab.subject(), Kind::Keepalived),
    },
    Case {
        name: "matrix.nopreempt.keepalived_waits",
        proves: "with nopreempt, keepalived leaves the VIP at a lower vipd until that dies",
        limit: Duration::from_secs(90),
        run: |lab| nopreempt(lab, Kind::Keepalived, lab.subject()),
    },
    Case {
        name: "matrix.equal.vipd_higher",
        proves: "of equal masters after a split, vipd stays where its address is the higher one",
        limit: Duration::from_secs(90),
        run: |lab| equal(lab, Kind::Keepalived, lab.subject()),
    },
    Case {
        name: "matrix.equal.keepalived_higher",
        proves: "of equal masters after a split, vipd yields where its address is the lower one",
        limit: Duration::from_secs(90),
        run: |lab| equal(lab, lab.subject(), Kind::Keepalived),
    },
    Case {
        name: "matrix.preempt_delay.vipd_waits",
        proves: "vipd takes the VIP from a lower keepalived when preempt_delay is over, not before",
        limit: Duration::from_secs(90),
        run: |lab| preempt_delay(lab, lab.subject(), Kind::Keepalived),
    },
    Case {
        name: "matrix.preempt_delay.keepalived_waits",
        proves: "keepalived takes the VIP from a lower vipd when preempt_delay is over, not before",
        limit: Duration::from_secs(90),
        run: |lab| preempt_delay(lab, Kind::Keepalived, lab.subject()),
    },
];

/// Long enough for the slowest election here, twice over.
const ELECTION: Duration = Duration::from_secs(12);

impl Speech {
    fn vip(self) -> IpAddr {
        if self.ipv6 {
            Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x100).into()
        } else {
            Ipv4Addr::new(192, 0, 2, 100).into()
        }
    }

    /// Where a router with this number speaks from.
    fn address(self, number: u8) -> IpAddr {
        if self.ipv6 {
            Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, number.into()).into()
        } else {
            Ipv4Addr::new(192, 0, 2, number).into()
        }
    }

    /// Addresses of an interface, as `ip` takes them.
    fn plugged(self, number: u8) -> Vec<String> {
        let mut all = vec![format!("192.0.2.{number}/24")];
        if self.ipv6 {
            all.push(format!("fe80::{number:x}/64"));
            all.push(format!("2001:db8::{number:x}/64"));
        }
        all
    }

    /// The end of the path from the client to the virtual address.
    fn asked(self) -> String {
        match self.vip() {
            IpAddr::V4(vip) => format!("{vip}:7"),
            IpAddr::V6(vip) => format!("[{vip}]:7"),
        }
    }

    fn config(self, priority: u8, own: u8, peer: u8, lines: &str) -> String {
        let version = self.version;
        // Version 2 knows whole seconds.
        let interval = if version == 2 { "1" } else { "0.3" };
        let mut transport = String::new();
        if self.unicast {
            let (own, peer) = (self.address(own), self.address(peer));
            transport =
                format!("unicast_src_ip {own}\n    unicast_peer {{\n        {peer}\n    }}");
        }
        let vips = if self.ipv6 {
            "fe80::100/64\n        2001:db8::100/64"
        } else {
            "192.0.2.100/24"
        };
        let more = self.lines;
        format!(
            "vrrp_instance V {{\n    interface eth0\n    version {version}\n    \
             virtual_router_id 51\n    priority {priority}\n    advert_int {interval}\n    \
             {transport}\n    {more}\n    {lines}\n    virtual_ipaddress {{\n        {vips}\n    }}\n}}\n"
        )
    }
}

struct Pair<'a> {
    net: Net<'a>,
    segment: Segment,
    client: Host,
    speech: Speech,
}

struct Node {
    name: &'static str,
    number: u8,
    speech: Speech,
    host: Host,
    port: Port,
    kind: Kind,
    daemon: Option<Daemon>,
    _answers: Server,
}

impl<'a> Pair<'a> {
    fn new(lab: &'a Lab, speech: Speech) -> Outcome<Self> {
        let net = Net::new(lab)?;
        let segment = net.segment("lan")?;
        let client = net.host("client")?;
        let pair = Self {
            net,
            segment,
            client,
            speech,
        };
        pair.plug(&pair.client, 10)?;
        Ok(pair)
    }

    fn plug(&self, host: &Host, number: u8) -> Outcome<Port> {
        let addresses = self.speech.plugged(number);
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        self.net.plug(host, "eth0", &self.segment, &addresses)
    }

    fn node(&self, name: &'static str, number: u8, kind: Kind) -> Outcome<Node> {
        let host = self.net.router(name)?;
        // One link-local address, by which the order of addresses is known.
        host.sysctl("net.ipv6.conf.default.addr_gen_mode", "1")?;
        let port = self.plug(&host, number)?;
        let answers = Server::udp(&host, &self.speech.asked(), name)?;
        Ok(Node {
            name,
            number,
            speech: self.speech,
            host,
            port,
            kind,
            daemon: None,
            _answers: answers,
        })
    }

    fn pulse(&self) -> Outcome<Pulse> {
        Pulse::start(&self.client, &self.speech.asked(), Duration::from_millis(5))
    }
}

impl Node {
    fn start(&mut self, conf: &str) -> Outcome {
        self.daemon = Some(Daemon::start(self.kind, &self.host, conf)?);
        Ok(())
    }

    fn daemon(&mut self) -> Outcome<&mut Daemon> {
        let name = self.name;
        self.daemon
            .as_mut()
            .ok_or_else(|| Failure::from(format!("{name} has no daemon")))
    }

    fn has_vip(&self) -> Outcome<bool> {
        self.host.owns(self.speech.vip())
    }

    fn power_off(&mut self) -> Outcome {
        self.port.unplug()?;
        self.daemon()?.kill()
    }

    /// It boots: with its own addresses, and nothing else.
    fn power_on(&mut self) -> Outcome {
        let mut lines = "addr flush dev eth0\n".to_owned();
        if self.speech.lines == USE_VMAC {
            lines.push_str("link del vrrp.51\n");
        }
        for address in self.speech.plugged(self.number) {
            let nodad = if address.contains(':') { " nodad" } else { "" };
            lines.push_str(&format!("addr add {address} dev eth0{nodad}\n"));
        }
        self.host.ip(&lines)?;
        self.port.plug_in()?;
        self.daemon()?.boot_again()
    }
}

fn alone(owner: &Node, other: &Node) -> Outcome<bool> {
    Ok(owner.has_vip()? && !other.has_vip()?)
}

fn wait_alone(owner: &Node, other: &Node, when: &str) -> Outcome<Duration> {
    let what = format!("{when}: {} alone has the VIP", owner.name);
    wait_until(what, ELECTION, || alone(owner, other))
}

fn stays(owner: &Node, other: &Node, period: Duration, when: &str) -> Outcome {
    let what = format!("{when}: {} alone has the VIP", owner.name);
    holds_for(what, period, || alone(owner, other))
}

fn answered_by(pulse: &Pulse, node: &Node) -> Outcome {
    let what = format!("the client is answered by {}", node.name);
    wait_until(what, ELECTION, || {
        Ok(pulse.answered_by(Duration::from_millis(300)).as_deref() == Some(node.name))
    })
    .map(drop)
}

fn takeover(lab: &Lab, speech: Speech, better: Kind, other: Kind) -> Outcome {
    let pair = Pair::new(lab, speech)?;
    let mut high = pair.node("high", 1, better)?;
    let mut low = pair.node("low", 2, other)?;
    let high_conf = speech.config(150, 1, 2, "");
    low.start(&speech.config(100, 2, 1, ""))?;
    wait_alone(&low, &high, "low alone")?;
    high.start(&high_conf)?;
    wait_alone(&high, &low, "high started")?;
    let pulse = pair.pulse()?;
    answered_by(&pulse, &high)?;
    let status = high.daemon()?.stop()?;
    ensure!(status.success(), "high ended with {status}");
    wait_alone(&low, &high, "high stopped")?;
    answered_by(&pulse, &low)?;
    let (gap, _) = pulse.stop();
    lab.note(format!("client without an answer at the stop: {gap:.1?}"));
    high.daemon()?.start_again()?;
    wait_alone(&high, &low, "high started again")?;
    low.daemon()?.stop()?;
    stays(&high, &low, Duration::from_secs(1), "low stopped")?;
    low.daemon()?.start_again()?;
    // Longer than its master-down time, so that it has heard high or would be master.
    stays(&high, &low, Duration::from_secs(4), "low started again")?;
    let pulse = pair.pulse()?;
    answered_by(&pulse, &high)?;
    high.power_off()?;
    wait_until("low has the VIP", ELECTION, || low.has_vip())?;
    answered_by(&pulse, &low)?;
    let (gap, _) = pulse.stop();
    lab.note(format!(
        "client without an answer at the power cut: {gap:.1?}"
    ));
    high.power_on()?;
    wait_alone(&high, &low, "high has power again")?;
    stays(&high, &low, Duration::from_secs(1), "at the end")
}

fn nopreempt(lab: &Lab, waits: Kind, other: Kind) -> Outcome {
    let pair = Pair::new(lab, V2)?;
    let mut high = pair.node("high", 1, waits)?;
    let mut low = pair.node("low", 2, other)?;
    low.start(&V2.config(100, 2, 1, ""))?;
    wait_alone(&low, &high, "low alone")?;
    high.start(&V2.config(150, 1, 2, "state BACKUP\n    nopreempt"))?;
    stays(&low, &high, Duration::from_secs(6), "high started")?;
    low.power_off()?;
    wait_until("high has the VIP", ELECTION, || high.has_vip())?;
    low.power_on()?;
    stays(&high, &low, Duration::from_secs(5), "low is back")
}

fn equal(lab: &Lab, lower: Kind, higher: Kind) -> Outcome {
    let pair = Pair::new(lab, V2)?;
    let mut lower = pair.node("lower", 1, lower)?;
    let mut higher = pair.node("higher", 2, higher)?;
    lower.port.black_hole()?;
    lower.start(&V2.config(100, 1, 2, ""))?;
    higher.start(&V2.config(100, 2, 1, ""))?;
    let both = || Ok(lower.has_vip()? && higher.has_vip()?);
    wait_until("each of the parted routers is master", ELECTION, both)?;
    lower.port.forward()?;
    wait_alone(&higher, &lower, "together again")?;
    stays(&higher, &lower, Duration::from_secs(4), "together again")?;
    let masters = higher.daemon()?.logged("(V) Entering MASTER STATE");
    ensure!(
        masters == 1,
        "the higher address became master {masters} times"
    );
    Ok(())
}

fn preempt_delay(lab: &Lab, waits: Kind, other: Kind) -> Outcome {
    let pair = Pair::new(lab, V2)?;
    let mut high = pair.node("high", 1, waits)?;
    let mut low = pair.node("low", 2, other)?;
    low.start(&V2.config(100, 2, 1, ""))?;
    wait_alone(&low, &high, "low alone")?;
    high.start(&V2.config(150, 1, 2, "state BACKUP\n    preempt_delay 8"))?;
    // The delay begins with the first advert that is heard.
    stays(
        &low,
        &high,
        Duration::from_millis(7_500),
        "within the delay",
    )?;
    wait_alone(&high, &low, "after the delay")?;
    stays(&high, &low, Duration::from_secs(2), "after the delay")
}
