//! Network namespaces: `net_namespace`, `net_namespace_ipvs`, `instance`, and `-s`.

use std::path::Path;
use std::time::Duration;

use super::daemon::only_vipd;
use super::scene::{ELECTION, Lan, Router, VIP, answered_by, wait_owner};
use crate::lab::check::{Outcome, ensure, ensure_eq, holds_for, wait_until};
use crate::lab::daemon::{Daemon, Kind};
use crate::lab::guest::vipd_path;
use crate::lab::net::Host;
use crate::lab::process::Process;
use crate::lab::traffic::Server;
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "namespaces.as_keepalived",
        proves: "started elsewhere, addresses, adverts, checks and scripts are in net_namespace, and \
                 services in net_namespace_ipvs, as with keepalived",
        limit: Duration::from_secs(180),
        run: as_keepalived,
    },
    Case {
        name: "namespaces.life",
        proves: "in a namespace a crash is taken over from, a reload that would leave it is refused, \
                 and the end leaves nothing",
        limit: Duration::from_secs(120),
        run: life,
    },
    Case {
        name: "namespaces.option",
        proves: "-s counts more than the file, instances share a namespace with files of their own, \
                 and a name that is none is told with what to do",
        limit: Duration::from_secs(120),
        run: option,
    },
];

const LIMIT: Duration = Duration::from_secs(20);

/// One instance and one service; `head` stands outside all blocks.
fn conf(head: &str, vrid: u8, vip: &str, notify: &str) -> String {
    format!(
        "{head}\nglobal_defs {{\n    script_user root\n}}\nvrrp_instance V{vrid} {{\n    interface eth0\n    \
         virtual_router_id {vrid}\n    priority 100\n    {notify}\n    virtual_ipaddress {{\n        {vip}\n    \
         }}\n}}\n"
    )
}

fn service() -> String {
    "virtual_server 198.51.100.1 80 {\n    delay_loop 1\n    lb_algo rr\n    lb_kind NAT\n    protocol TCP\n    \
     real_server 192.0.2.10 80 {\n        TCP_CHECK {\n            connect_timeout 1\n            retry 0\n        \
     }\n    }\n}\n"
        .to_owned()
}

/// Where the thread of a shell that runs on the host is.
fn namespace_of(host: &Host) -> Outcome<String> {
    let shown = host.run(&["readlink", "/proc/self/ns/net"])?;
    Ok(shown.trim().to_owned())
}

fn has_server(host: &Host) -> Outcome<bool> {
    let table = host.ipvs()?;
    Ok(table.iter().any(|line| line.contains("-r 192.0.2.10:80")))
}

fn as_keepalived(lab: &Lab) -> Outcome {
    for kind in [Kind::Keepalived, lab.subject()] {
        let lan = Lan::new(lab)?;
        let router = lan.router("router", 1, kind)?;
        let (outside, lvs) = (lan.net.host("outside")?, lan.net.host("lvs")?);
        let told = lab.dir().join(format!("told.{}", kind.name()));
        let script = lab.dir().join(format!("tell.{}", kind.name()));
        let text = format!(
            "#!/bin/sh\nreadlink /proc/self/ns/net > {}\n",
            told.display()
        );
        executable(&script, &text)?;
        let notify = format!("notify_master {}", script.display());
        let head = "net_namespace router\nnet_namespace_ipvs lvs";
        let text = conf(head, 51, &VIP.to_string(), &notify) + &service();
        let web = Server::tcp(&lan.client, "192.0.2.10:80", "web")?;
        let mut daemon = Daemon::start(kind, &outside, &text)?;
        wait_owner(&router, &[])?;
        let pulse = lan.pulse(Duration::from_millis(50))?;
        answered_by(&pulse, &router)?;
        ensure!(!outside.owns(VIP)?, "{}: the VIP is outside", kind.name());
        // The server can be reached from the router's namespace alone.
        wait_until("the server is in the pool", LIMIT, || has_server(&lvs))?;
        holds_for("it is checked and stays", Duration::from_secs(3), || {
            has_server(&lvs)
        })?;
        for host in [&outside, &router.host] {
            ensure_eq!(host.ipvs()?.len(), 0, "services on {}", host.name());
        }
        drop(web);
        wait_until("a dead server leaves", LIMIT, || Ok(!has_server(&lvs)?))?;
        let said = || std::fs::read_to_string(&told).unwrap_or_default();
        wait_until("the script has run", LIMIT, || Ok(!said().is_empty()))?;
        ensure_eq!(
            said().trim().to_owned(),
            namespace_of(&router.host)?,
            "where scripts run"
        );
        ensure!(daemon.stop()?.success(), "{}: its end", kind.name());
        ensure!(!router.has_vip()?, "{}: the VIP is left", kind.name());
        ensure_eq!(lvs.ipvs()?.len(), 0, "services left by {}", kind.name());
        drop(pulse);
        lan.net.demolish()?;
    }
    Ok(())
}

pub(super) fn executable(path: &Path, text: &str) -> Outcome {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text)?;
    Ok(std::fs::set_permissions(
        path,
        std::fs::Permissions::from_mode(0o755),
    )?)
}

fn life(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let lan = Lan::new(lab)?;
    let router = lan.router("router", 1, lab.subject())?;
    let (outside, lvs) = (lan.net.host("outside")?, lan.net.host("lvs")?);
    let _web = Server::tcp(&lan.client, "192.0.2.10:80", "web")?;
    let head = "net_namespace router\nnet_namespace_ipvs lvs";
    let text = conf(head, 51, &VIP.to_string(), "") + &service();
    let mut daemon = Daemon::start(lab.subject(), &outside, &text)?;
    wait_owner(&router, &[])?;
    wait_until("the server is in the pool", LIMIT, || has_server(&lvs))?;
    daemon.kill()?;
    ensure!(
        router.has_vip()? && has_server(&lvs)?,
        "a crash took something"
    );
    daemon.start_again()?;
    holds_for("everything stays", Duration::from_secs(4), || {
        Ok(router.has_vip()? && has_server(&lvs)?)
    })?;
    daemon.wait_log("Entering MASTER STATE", 2, ELECTION)?;

    for (other, keyword) in [
        (
            text.replace("net_namespace router", "net_namespace outside"),
            "net_namespace",
        ),
        (
            text.replace("_ipvs lvs", "_ipvs outside"),
            "net_namespace_ipvs",
        ),
        (format!("instance one\n{text}"), "instance"),
    ] {
        daemon.reload(&other)?;
        let phrase = format!("{keyword} cannot change by a reload");
        daemon.wait_log(&phrase, 1, LIMIT)?;
        ensure!(router.has_vip()?, "{keyword}: the VIP went");
    }
    // A reload that stays may bring a service where there was none, and take it away.
    daemon.reload(&conf(head, 51, &VIP.to_string(), ""))?;
    wait_until("the service goes", LIMIT, || Ok(lvs.ipvs()?.is_empty()))?;
    daemon.reload(&text)?;
    wait_until("the service comes", LIMIT, || has_server(&lvs))?;
    ensure_eq!(daemon.logged("Entering MASTER STATE"), 2, "times master");
    ensure!(daemon.stop()?.success(), "its end");
    ensure!(!router.has_vip()?, "the VIP is left");
    ensure_eq!(lvs.ipvs()?.len(), 0, "services left");
    Ok(())
}

/// Starts vipd on `host` with the run directory that it chooses itself.
fn vipd(lab: &Lab, host: &Host, name: &str, conf: &str, more: &[&str]) -> Outcome<Process> {
    let file = lab.dir().join(format!("{name}.conf"));
    std::fs::write(&file, conf)?;
    let (program, file) = (vipd_path(), file.display().to_string());
    let mut argv = vec![program.as_str(), "-G", "-n", "-l", "-D", "-f", &file];
    argv.extend(more);
    host.spawn(name, &argv)
}

fn pid_in(file: &str) -> Outcome<i32> {
    let text = std::fs::read_to_string(file)?;
    Ok(text.trim().parse().unwrap_or_default())
}

fn ended(mut process: Process) -> Outcome {
    process.signal(libc::SIGTERM)?;
    ensure!(process.wait(LIMIT)?.success(), "its end");
    Ok(())
}

fn has(router: &Router, vip: &str) -> Outcome<bool> {
    let there = router.host.addresses()?;
    Ok(there.iter().any(|address| address.local == vip))
}

fn option(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let lan = Lan::new(lab)?;
    let router = lan.router("router", 1, lab.subject())?;
    let outside = lan.net.host("outside")?;
    let vips = ["192.0.2.101", "192.0.2.102", "192.0.2.103"];
    let first = conf("net_namespace nowhere", 51, vips[0], "");
    let first = vipd(lab, &outside, "first", &first, &["-s", "router"])?;
    let of_instance = |name: &str, vrid, vip| conf(&format!("instance {name}"), vrid, vip, "");
    let in_it = ["--namespace", "router"];
    let second = vipd(
        lab,
        &outside,
        "second",
        &of_instance("two", 52, vips[1]),
        &in_it,
    )?;
    let third = vipd(
        lab,
        &outside,
        "third",
        &of_instance("three", 53, vips[2]),
        &in_it,
    )?;
    for vip in vips {
        wait_until(format!("{vip} is there"), ELECTION, || has(&router, vip))?;
    }
    for (directory, process) in [
        ("namespace-router", &first),
        ("namespace-router-instance-two", &second),
        ("namespace-router-instance-three", &third),
    ] {
        let file = format!("/run/vipd/{directory}/vipd.pid");
        ensure_eq!(pid_in(&file)?, process.pid(), "{file}");
    }
    for process in [first, second, third] {
        ended(process)?;
    }
    for vip in vips {
        ensure!(!has(&router, vip)?, "{vip} is left");
    }

    let mut refused = vipd(
        lab,
        &outside,
        "refused",
        &conf("net_namespace nowhere", 51, vips[0], ""),
        &[],
    )?;
    ensure_eq!(refused.wait(LIMIT)?.code(), Some(1), "exit status");
    let said = refused.log();
    for words in [
        "network namespace nowhere does not exist",
        "ip netns add nowhere",
        "router",
    ] {
        ensure!(said.contains(words), "it says: {said}");
    }

    // Without a name IPVS is where process 1 is.
    let text = "net_namespace router\nnet_namespace_ipvs\n".to_owned() + &service();
    let _web = Server::tcp(&lan.client, "192.0.2.10:80", "web")?;
    let at_init = || -> Outcome<bool> {
        let init = ["nsenter", "-t", "1", "-n", "ipvsadm", "-Sn"];
        Ok(outside.run(&init)?.contains("-r 192.0.2.10:80"))
    };
    let fourth = vipd(lab, &outside, "fourth", &text, &[])?;
    wait_until("the service is where process 1 is", LIMIT, at_init)?;
    ended(fourth)?;
    ensure!(!at_init()?, "the service is left");
    Ok(())
}
