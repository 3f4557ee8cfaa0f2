//! vipd's own checks before real servers of each kind, and before wrong ones.

mod agent;
mod bad;
mod galera;
mod grpc;
mod pgsql;
mod redis;
mod writer;

use std::time::Duration;

use super::daemon::only_vipd;
use crate::lab::check::{Outcome, wait_until};
use crate::lab::daemon::Daemon;
use crate::lab::net::{Host, Net};
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "backends.redis",
        proves: "REDIS_CHECK follows a real master and its replica: password, role, link, TLS, a hang and an end",
        limit: Duration::from_secs(90),
        run: redis::run,
    },
    Case {
        name: "backends.agent",
        proves: "HAPROXY_CHECK makes of an agent's words the weights that a real HAProxy makes of them",
        limit: Duration::from_secs(90),
        run: agent::run,
    },
    Case {
        name: "backends.grpc",
        proves: "GRPC_CHECK follows a real gRPC server, itself and through nginx with TLS; method, header and HTTP/2 \
             of a page and the certificate of its server are as asked for",
        limit: Duration::from_secs(90),
        run: grpc::run,
    },
    Case {
        name: "backends.galera",
        proves: "MYSQL_CHECK takes a node of a real Galera cluster out that is joining, a donor, desynced, read only, \
             non-primary after a partition or stopped, within one delay_loop and only it; the writer moves \
             once each time, and never to two",
        limit: Duration::from_secs(300),
        run: galera::run,
    },
    Case {
        name: "backends.pgsql",
        proves: "PGSQL_CHECK logs in as PostgreSQL wants it, and follows a primary and its standby",
        limit: Duration::from_secs(180),
        run: pgsql::run,
    },
    Case {
        name: "backends.writer",
        proves: "of a pool with one_writer one server is in the table: it moves once, stays or fails back as asked, \
             goes on after a crash, and readers_of does without it while others are up",
        limit: Duration::from_secs(90),
        run: writer::run,
    },
    Case {
        name: "backends.bad_servers",
        proves: "half, wrong, endless, slow and reset answers fail each of vipd's own checks, and the log says why",
        limit: Duration::from_secs(90),
        run: bad::run,
    },
];

/// How long a change may take to be seen in the table.
const SETTLED: Duration = Duration::from_secs(15);

/// One host with servers and a director.
struct Site<'a> {
    host: Host,
    _net: Net<'a>,
}

impl<'a> Site<'a> {
    fn new(lab: &'a Lab) -> Outcome<Site<'a>> {
        only_vipd(lab)?;
        let net = Net::new(lab)?;
        let lan = net.segment("lan")?;
        let host = net.host("director")?;
        net.plug(&host, "eth0", &lan, &["192.0.2.1/24"])?;
        Ok(Site { host, _net: net })
    }

    fn start(&self, lab: &Lab, conf: &str) -> Outcome<Daemon> {
        Daemon::start(lab.subject(), &self.host, conf)
    }

    fn wait_pools(&self, lab: &Lab, what: &str, expected: &[&str]) -> Outcome {
        wait_pools(lab, &self.host, SETTLED, what, expected)
    }
}

/// Servers in the pools of a director, `PORT>SERVER*WEIGHT` each; a server of this host by its port, others
/// by the end of their address.
fn pools_of(host: &Host) -> Outcome<Vec<String>> {
    let mut pools = Vec::new();
    for line in host.ipvs()? {
        let words: Vec<&str> = line.split_whitespace().collect();
        let after = |flag: &str| {
            let at = words.iter().position(|word| *word == flag)?;
            words.get(at + 1).copied()
        };
        if words.first() != Some(&"-a") {
            continue;
        }
        let (service, server) = (after("-t").unwrap_or(""), after("-r").unwrap_or(""));
        let (_, service) = service.rsplit_once(':').unwrap_or(("", service));
        let (address, port) = server.rsplit_once(':').unwrap_or((server, ""));
        let end = address.rsplit_once('.').map_or(address, |(_, end)| end);
        let server = if end == "1" { port } else { end };
        let weight = after("-w").unwrap_or("1");
        pools.push(format!("{service}>{server}*{weight}"));
    }
    pools.sort();
    Ok(pools)
}

fn wait_pools(lab: &Lab, host: &Host, limit: Duration, what: &str, expected: &[&str]) -> Outcome {
    let so = || Ok(pools_of(host)? == expected);
    let took = match wait_until(format!("{what}: {expected:?}"), limit, so) {
        Ok(took) => took,
        Err(error) => return Err(format!("{error}; they are {:?}", pools_of(host)?).into()),
    };
    lab.note(format!("{what}: {expected:?} after {took:.1?}"));
    Ok(())
}

/// A virtual server on a port with these servers and the same check for each.
fn service(port: u16, servers: &[u16], check: &str) -> String {
    let mut text = format!(
        "virtual_server 192.0.2.200 {port} {{\n delay_loop 1\n delay_before_retry 1\n retry 0\n warmup 0\n \
         connect_timeout 1\n lb_algo wlc\n lb_kind NAT\n protocol TCP\n"
    );
    for server in servers {
        text += &format!(" real_server 192.0.2.1 {server} {{\n weight 100\n{check}\n }}\n");
    }
    text + "}\n"
}
