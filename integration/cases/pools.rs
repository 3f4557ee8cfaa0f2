//! Pools that shrink and grow, through keepalived and through vipd: the same servers fail, the same table
//! stands.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::lab::check::{Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::{Daemon, Kind};
use crate::lab::net::{Host, Net};
use crate::lab::traffic::Server;
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[Case {
    name: "pools.same_as_keepalived",
    proves: "quorum, hysteresis, sorry servers, alpha, inhibition, ha_suspend, groups, the sync daemon of \
             the node and timeouts give keepalived's table at each step",
    limit: Duration::from_secs(150),
    run: same_as_keepalived,
}];

const SETTLED: Duration = Duration::from_secs(20);
/// Longer than a check, its retry and what follows take.
const CALM: Duration = Duration::from_secs(3);

/// What differs between the virtual servers, each on a port of its own.
const POOLS: &[&str] = &[
    "quorum 2\n sorry_server 192.0.2.1 8009",
    "quorum 2\n hysteresis 1\n sorry_server 192.0.2.1 8009",
    "quorum 2\n inhibit_on_failure\n sorry_server 192.0.2.1 8009\n sorry_server_inhibit",
    "quorum 2\n alpha\n sorry_server 192.0.2.1 8009",
    "quorum 3\n hysteresis 2",
    "quorum 9\n sorry_server 192.0.2.1 8009",
    "ha_suspend\n sorry_server 192.0.2.1 8009",
    "sorry_server 192.0.2.1 8009\n sorry_server_lvs_method TUN",
];

/// One pool behind several addresses: with NAT, a range, a network and a mark; with DR, where each service
/// has its own port.
const GROUPS: &str = "
virtual_server_group wide {
 192.0.2.210 8200
 192.0.2.211-212 8201
 192.0.2.216/31 8202
 fwmark 5
}
virtual_server group wide {
 delay_loop 1
 warmup 0
 retry 0
 lb_algo wlc
 lb_kind NAT
 protocol TCP
 quorum 2
 sorry_server 192.0.2.1 8009
 real_server 192.0.2.1 8001 {
 TCP_CHECK {
 connect_timeout 2
 }
 }
 real_server 192.0.2.1 8002 {
 inhibit_on_failure
 TCP_CHECK {
 connect_timeout 2
 }
 }
 real_server 192.0.2.1 8003 {
 weight 2
 TCP_CHECK {
 connect_timeout 2
 }
 }
}
virtual_server_group direct {
 192.0.2.220 8300
 192.0.2.221 8301
}
virtual_server group direct {
 delay_loop 1
 warmup 0
 retry 0
 lb_algo rr
 lb_kind DR
 protocol TCP
 persistence_timeout 60
 real_server 192.0.2.1 8001 {
 TCP_CHECK {
 connect_timeout 2
 }
 }
}
";

fn conf() -> String {
    let mut text =
        "global_defs {\n lvs_sync_daemon eth0 id 9 maxlen 1200 port 9848 ttl 2 group 239.0.0.9\n \
         lvs_timeouts tcp 28800 tcpfin 60 udp 30\n}\n"
            .to_owned();
    for (number, special) in POOLS.iter().enumerate() {
        // The suspended pool has an address of its own, which comes and goes.
        let vip = if special.starts_with("ha_suspend") {
            "192.0.2.201"
        } else {
            "192.0.2.200"
        };
        text += &format!("virtual_server {vip} {} {{\n", 8100 + number);
        text += " delay_loop 1\n warmup 0\n retry 0\n lb_algo wlc\n lb_kind NAT\n protocol TCP\n ";
        text += special;
        text.push('\n');
        for port in 8001..8004 {
            text += &format!(
                " real_server 192.0.2.1 {port} {{\n TCP_CHECK {{\n connect_timeout 2\n }}\n }}\n"
            );
        }
        text += "}\n";
    }
    text + GROUPS
}

struct Site {
    host: Host,
    daemon: Daemon,
    servers: BTreeMap<u16, Server>,
}

impl Site {
    fn new(net: &Net<'_>, name: &str, kind: Kind) -> Outcome<Self> {
        let lan = net.segment(&format!("{name}-l"))?;
        let host = net.host(name)?;
        net.plug(&host, "eth0", &lan, &["192.0.2.1/24"])?;
        let mut site = Self {
            daemon: Daemon::start(kind, &host, &conf())?,
            host,
            servers: BTreeMap::new(),
        };
        site.up(&[1, 2, 3])?;
        Ok(site)
    }

    /// Lets exactly these servers answer.
    fn up(&mut self, numbers: &[u16]) -> Outcome {
        self.servers
            .retain(|port, _| numbers.contains(&(port - 8000)));
        for number in numbers {
            let port = 8000 + number;
            if !self.servers.contains_key(&port) {
                let at = format!("192.0.2.1:{port}");
                let server = Server::tcp(&self.host, &at, "server")?;
                self.servers.insert(port, server);
            }
        }
        Ok(())
    }

    /// The table once it has not changed for a while.
    fn settled(&self) -> Outcome<Vec<String>> {
        let mut last = self.host.ipvs()?;
        for _ in 0..5 {
            std::thread::sleep(CALM);
            let now = self.host.ipvs()?;
            if now == last {
                return Ok(now);
            }
            last = now;
        }
        Ok(last)
    }

    fn globals(&self) -> Outcome<(String, String)> {
        let mut daemons: Vec<String> = self
            .host
            .run(&["ipvsadm", "-ln", "--daemon"])?
            .lines()
            .map(str::to_owned)
            .collect();
        daemons.sort();
        Ok((
            daemons.join("; "),
            self.host.run(&["ipvsadm", "-l", "--timeout"])?,
        ))
    }
}

fn same_as_keepalived(lab: &Lab) -> Outcome {
    let net = Net::new(lab)?;
    let mut reference = Site::new(&net, "keepalived", Kind::Keepalived)?;
    let mut subject = Site::new(&net, "subject", lab.subject())?;
    let steps: [&[u16]; 8] = [
        &[1, 2, 3],
        &[2, 3],
        &[3],
        &[],
        &[2],
        &[1, 2],
        &[1, 2, 3],
        &[1],
    ];
    for (step, up) in steps.into_iter().enumerate() {
        reference.up(up)?;
        subject.up(up)?;
        if step == 5 {
            for site in [&reference, &subject] {
                site.host.ip("addr add 192.0.2.201/32 dev eth0\n")?;
            }
        }
        let expected = reference.settled()?;
        if step == 0 {
            let (daemons, timeouts) = reference.globals()?;
            ensure!(daemons.contains("eth0"), "keepalived's daemons: {daemons}");
            ensure_eq!(
                subject.globals()?,
                (daemons, timeouts),
                "daemons and timeouts"
            );
        }
        let same = || Ok(subject.host.ipvs()? == expected);
        if wait_until("the tables are equal", SETTLED, same).is_err() {
            ensure_eq!(
                subject.host.ipvs()?,
                expected,
                "the tables in step {step}, up: {up:?}"
            );
        }
    }
    for site in [&mut reference, &mut subject] {
        let status = site.daemon.stop()?;
        ensure!(status.success(), "it stopped with {status}");
        ensure_eq!(
            site.host.ipvs()?,
            Vec::<String>::new(),
            "what is left behind"
        );
    }
    Ok(())
}
