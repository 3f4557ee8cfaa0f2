//! Real servers of names and mail beside keepalived.

use std::fs;
use std::net::TcpStream;
use std::time::Duration;

use super::SETTLED;
use crate::lab::Lab;
use crate::lab::check::{Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::{Daemon, Kind};
use crate::lab::net::{Host, Net};
use crate::lab::process::Process;

/// Port of the virtual server, and its check.
const CHECKS: &[(u16, &str)] = &[
    (
        8001,
        "DNS_CHECK {\n type A\n name www.example.org\n connect_port 53\n retry 0\n }",
    ),
    (
        8002,
        "DNS_CHECK {\n type A\n name none.example.org\n connect_port 53\n retry 0\n }",
    ),
    (
        8003,
        "DNS_CHECK {\n type A\n name www.example.net\n connect_port 53\n retry 0\n }",
    ),
    (8004, "SMTP_CHECK {\n connect_port 25\n retry 0\n }"),
];

fn conf() -> String {
    let services = CHECKS.iter().map(|(port, check)| {
        format!(
            "virtual_server 192.0.2.200 {port} {{\n delay_loop 1\n connect_timeout 3\n delay_before_retry 1\n \
             warmup 0\n lb_algo wlc\n lb_kind NAT\n protocol TCP\n real_server 192.0.2.1 {port} {{\n {check}\n \
             }}\n}}\n"
        )
    });
    services.collect()
}

/// It knows one name, knows that it does not know another, and refuses to talk of a third.
fn unbound_conf(dir: &str) -> String {
    format!(
        "server:\n interface: 192.0.2.1\n do-ip6: no\n do-daemonize: no\n chroot: \"\"\n username: \"\"\n \
         directory: \"{dir}\"\n pidfile: \"{dir}/unbound.pid\"\n use-syslog: no\n module-config: \"iterator\"\n \
         access-control: 192.0.2.0/24 allow\n local-zone: \"example.org.\" static\n \
         local-data: \"www.example.org. A 192.0.2.9\"\n local-zone: \"example.net.\" refuse\n\
         remote-control:\n control-enable: no\n"
    )
}

/// It takes nobody's connection while the file `refuse` is there.
fn exim_conf(dir: &str) -> String {
    format!(
        "primary_hostname = mail.example.org\nspool_directory = {dir}/spool\nlog_file_path = {dir}/%slog\n\
         pid_file_path = {dir}/exim.pid\nlocal_interfaces = 192.0.2.1\ndaemon_smtp_ports = 25\nhost_lookup =\n\
         rfc1413_query_timeout = 0s\nacl_smtp_connect = connect\nbegin acl\nconnect:\n \
         deny condition = ${{if exists{{{dir}/refuse}}}}\n accept\n"
    )
}

struct Site {
    host: Host,
    dir: String,
    servers: Vec<Process>,
}

impl Site {
    fn new(net: &Net<'_>, name: &str) -> Outcome<Self> {
        let lan = net.segment(&format!("{name}-l"))?;
        let host = net.host(name)?;
        net.plug(&host, "eth0", &lan, &["192.0.2.1/24"])?;
        // In the memory of the guest: Exim writes as a user of its own.
        let dir = format!("/run/real-{name}");
        host.sh(&format!(
            "mkdir -p {dir}/spool && chown -R Debian-exim {dir}"
        ))?;
        fs::write(format!("{dir}/unbound.conf"), unbound_conf(&dir))?;
        fs::write(format!("{dir}/exim.conf"), exim_conf(&dir))?;
        let mut site = Self {
            host,
            dir,
            servers: Vec::new(),
        };
        site.serve()?;
        Ok(site)
    }

    fn serve(&mut self) -> Outcome {
        let (names, mail) = (
            format!("{}/unbound.conf", self.dir),
            format!("{}/exim.conf", self.dir),
        );
        let unbound = ["unbound", "-d", "-c", &names];
        let exim = ["exim4", "-C", &mail, "-bdf"];
        self.servers = vec![
            self.host.spawn("unbound", &unbound)?,
            self.host.spawn("exim", &exim)?,
        ];
        // Both take connections on their port of UDP or TCP once they serve.
        for port in [25, 53] {
            let connect = move || TcpStream::connect(("192.0.2.1", port)).is_ok();
            wait_until(format!("somebody listens on {port}"), SETTLED, || {
                self.host.within(connect)
            })?;
        }
        Ok(())
    }

    fn signal(&self, signal: i32) -> Outcome {
        self.servers
            .iter()
            .try_for_each(|server| server.signal_tree(signal))
    }

    fn pools(&self) -> Outcome<Vec<u16>> {
        let table = self.host.proc_net("ip_vs")?;
        let servers = table.lines().filter_map(|line| {
            let address = line.trim_start().strip_prefix("-> C0000201:")?;
            u16::from_str_radix(address.split_whitespace().next()?, 16).ok()
        });
        let mut servers: Vec<u16> = servers.collect();
        servers.sort_unstable();
        Ok(servers)
    }
}

/// Something that is done to both sites, and the servers that are in their pools then.
type Step = (&'static str, fn(&mut Site) -> Outcome, &'static [u16]);

const STEPS: &[Step] = &[
    ("both serve", |_| Ok(()), &[8001, 8004]),
    ("both stand still", |site| site.signal(libc::SIGSTOP), &[]),
    (
        "both go on",
        |site| site.signal(libc::SIGCONT),
        &[8001, 8004],
    ),
    (
        "Exim refuses everybody",
        |site| Ok(fs::write(format!("{}/refuse", site.dir), "")?),
        &[8001],
    ),
    (
        "both are gone",
        |site| {
            site.servers.clear();
            Ok(fs::remove_file(format!("{}/refuse", site.dir))?)
        },
        &[],
    ),
    ("both are back", Site::serve, &[8001, 8004]),
];

pub(super) fn run(lab: &Lab) -> Outcome {
    let net = Net::new(lab)?;
    let kinds = [Kind::Keepalived, lab.subject()];
    let mut sites = [Site::new(&net, "keepalived")?, Site::new(&net, "subject")?];
    let mut daemons = Vec::new();
    for (site, kind) in sites.iter().zip(kinds) {
        daemons.push(Daemon::start(kind, &site.host, &conf())?);
    }
    for (what, act, expected) in STEPS {
        sites.iter_mut().try_for_each(act)?;
        for (site, daemon) in sites.iter().zip(&daemons) {
            let kind = daemon.kind().name();
            let same = || Ok(site.pools()? == *expected);
            if wait_until("the pools are as expected", SETTLED, same).is_err() {
                ensure_eq!(site.pools()?, *expected, "pools of {kind} when {what}");
            }
        }
        // What has not changed for two checks stays.
        std::thread::sleep(Duration::from_millis(2200));
        for (site, daemon) in sites.iter().zip(&daemons) {
            let kind = daemon.kind().name();
            ensure_eq!(
                site.pools()?,
                *expected,
                "pools of {kind} still, when {what}"
            );
        }
    }
    let subject = daemons.last().ok_or("no daemon")?;
    for said in [
        "the answer is NXDOMAIN (3)",
        "the answer is REFUSED (5)",
        "the greeting is 550, not 220",
        "no answer within 3s",
        "ECONNREFUSED",
    ] {
        ensure!(subject.logged(said) > 0, "vipd does not say {said:?}");
    }
    for daemon in &mut daemons {
        daemon.stop()?;
    }
    Ok(())
}
