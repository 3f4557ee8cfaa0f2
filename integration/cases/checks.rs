//! Checks beside keepalived: the same servers, well, silent and wrong, and the same table.

mod from_where;
mod real;
mod sequence;
mod servers;

use std::time::Duration;

use crate::lab::check::{Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::{Daemon, Kind};
use crate::lab::net::Net;
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "checks.commands",
        proves: "MISC_CHECK takes servers out and, with misc_dynamic, weighs them as keepalived does",
        limit: Duration::from_secs(120),
        run: commands,
    },
    Case {
        name: "checks.same_sequence",
        proves: "with --compat keepalived TCP, HTTP, SMTP, DNS, UDP, PING and MISC checks of servers that are \
                 well, silent, wrong, gone and back have the same sequence of up and down as keepalived's, each \
                 change within one delay_loop of its",
        limit: Duration::from_secs(150),
        run: sequence::run,
    },
    Case {
        name: "checks.from_where",
        proves: "connect_ip, connect_port, bindto, bind_port, bind_if and fwmark choose whom a check asks and from \
                 where, as the server sees it from keepalived, too",
        limit: Duration::from_secs(90),
        run: from_where::run,
    },
    Case {
        name: "checks.real_servers",
        proves: "unbound and Exim are well, stopped, refuse, gone and back for DNS_CHECK and SMTP_CHECK as for \
                 keepalived's, and the log says why",
        limit: Duration::from_secs(150),
        run: real::run,
    },
];

const SETTLED: Duration = Duration::from_secs(20);
const CALM: Duration = Duration::from_secs(4);

/// Exit statuses of the command, one after the other: well, failed, and several weights.
const STATUSES: [u8; 8] = [0, 1, 0, 4, 0, 2, 255, 3];

fn commands(lab: &Lab) -> Outcome {
    let net = Net::new(lab)?;
    let mut sites = Vec::new();
    for (name, kind) in [("keepalived", Kind::Keepalived), ("subject", lab.subject())] {
        let lan = net.segment(&format!("{name}-l"))?;
        let host = net.host(name)?;
        net.plug(&host, "eth0", &lan, &["192.0.2.1/24"])?;
        let status = lab.dir().join(format!("{name}.status"));
        std::fs::write(&status, "0")?;
        let mut conf = "global_defs {\n script_user root\n}\n".to_owned();
        for (port, how) in [(8001, "misc_dynamic"), (8002, "")] {
            let read = format!("/bin/sh -c 'exit $(cat {})'", status.display());
            conf += &format!(
                "virtual_server 192.0.2.200 {port} {{\n delay_loop 1\n warmup 0\n lb_algo wlc\n \
                 lb_kind NAT\n protocol TCP\n real_server 192.0.2.1 {port} {{\n weight 5\n \
                 MISC_CHECK {{\n misc_path \"{read}\"\n misc_timeout 3\n {how}\n }}\n }}\n}}\n"
            );
        }
        sites.push((Daemon::start(kind, &host, &conf)?, host, status));
    }
    let mut seen = Vec::new();
    for code in STATUSES {
        for (_, _, status) in &sites {
            std::fs::write(status, code.to_string())?;
        }
        std::thread::sleep(CALM);
        let [(_, reference, _), (_, subject, _)] = &sites[..] else {
            return Err(crate::lab::check::Failure::failed("two sites"));
        };
        let expected = reference.ipvs()?;
        let same = || Ok(subject.ipvs()? == expected);
        if wait_until("the tables are equal", SETTLED, same).is_err() {
            ensure_eq!(
                subject.ipvs()?,
                expected,
                "the table with exit status {code}"
            );
        }
        let weights = expected.iter().filter_map(|line| line.split(" -w ").nth(1));
        seen.push(format!("{code}: {}", weights.collect::<Vec<_>>().join(" ")));
    }
    lab.note(seen.join(", "));
    ensure!(
        seen[1] == "1: ",
        "a failed command takes both out: {seen:?}"
    );
    for (mut daemon, _, _) in sites {
        daemon.stop()?;
    }
    Ok(())
}
