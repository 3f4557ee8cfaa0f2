//! An end that comes while vipd starts.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use super::daemon::only_vipd;
use super::scene::Lan;
use crate::lab::check::{Outcome, ensure, ensure_eq, wait_until};
use crate::lab::net::Host;
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[Case {
    name: "end.while_starting",
    proves: "SIGTERM and SIGINT that come while links are made are obeyed in order, and no link stays; \
             one during startup_script ends it at once",
    limit: Duration::from_secs(90),
    run: while_starting,
}];

const LIMIT: Duration = Duration::from_secs(20);
/// Enough that making their links takes longer than seeing the first of them.
const INSTANCES: u8 = 100;

/// Links of VMACs that a host has.
fn links(host: &Host) -> Outcome<usize> {
    Ok(host.proc_net("dev")?.matches("vrrp.").count())
}

fn while_starting(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let lan = Lan::new(lab)?;
    let mut router = lan.router("router", 1, lab.subject())?;
    let host = router.host.clone();
    let mut many = String::new();
    for vrid in 1..=INSTANCES {
        let _ = writeln!(
            many,
            "vrrp_instance V{vrid} {{\n    interface eth0\n    virtual_router_id {vrid}\n    use_vmac\n    \
             virtual_ipaddress {{\n        203.0.113.{vrid}\n    }}\n}}"
        );
    }
    for signal in [libc::SIGTERM, libc::SIGINT] {
        router.start(&many)?;
        let begun = Instant::now();
        while links(&host)? == 0 {
            ensure!(begun.elapsed() < LIMIT, "no link is made");
            std::thread::sleep(Duration::from_millis(1));
        }
        router.daemon()?.signal(signal)?;
        let seen = links(&host)?;
        ensure!(
            seen < usize::from(INSTANCES),
            "all links were made before the signal: it came too late to prove anything"
        );
        wait_until("it has ended", LIMIT, || {
            Ok(router.daemon()?.ended()?.is_some())
        })?;
        let status = router.daemon()?.ended()?;
        lab.note(format!(
            "signal {signal} at {seen} of {INSTANCES} links: {status:?}"
        ));
        ensure_eq!(links(&host)?, 0, "links after signal {signal}");
        ensure!(status.is_some_and(|s| s.success()), "it ended: {status:?}");
    }

    let runs = lab.dir().join("runs");
    let script = lab.dir().join("long.sh");
    super::namespaces::executable(
        &script,
        &format!("#!/bin/sh\n: > {}\nexec sleep 60\n", runs.display()),
    )?;
    let globals = format!(
        "global_defs {{\n    script_user root\n    startup_script {}\n    startup_script_timeout 60\n}}\n",
        script.display()
    );
    for signal in [libc::SIGTERM, libc::SIGINT] {
        router.start(&format!("{globals}{many}"))?;
        wait_until("the script runs", LIMIT, || Ok(runs.exists()))?;
        fs::remove_file(&runs)?;
        router.daemon()?.signal(signal)?;
        let soon = Duration::from_secs(3);
        wait_until("it has ended", soon, || {
            Ok(router.daemon()?.ended()?.is_some())
        })?;
        let by = router.daemon()?.ended()?.and_then(|status| status.signal());
        ensure_eq!(by, Some(signal), "what ended it");
        ensure_eq!(links(&host)?, 0, "links");
    }
    Ok(())
}
