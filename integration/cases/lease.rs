//! Addresses that the kernel removes by itself when vipd does not run any more.

use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::daemon::only_vipd;
use super::scene::{Instance, Lan, Router, VIP, answered_by, owner_stays, wait_owner};
use crate::lab::check::{Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::Kind;
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "lease.killed_and_hung",
        proves: "with vip_lease the VIP of a vipd that stands still or was killed is gone when the lease \
                 is over, and the peer alone has it; one that runs keeps it, and it is not put back \
                 while another router is master",
        limit: Duration::from_secs(180),
        run: killed_and_hung,
    },
    Case {
        name: "lease.restart",
        proves: "a vipd that is started again before the lease is over goes on as master, without it no \
                 lifetime is set, and a reload changes it in place",
        limit: Duration::from_secs(120),
        run: restart,
    },
];

const LEASE: u64 = 6;
/// Addresses go up to a second late (the kernel counts whole seconds), and the guest is slow.
const LATE: Duration = Duration::from_millis(1500);
const LIMIT: Duration = Duration::from_secs(20);

fn leased(priority: u8) -> String {
    Instance {
        priority,
        lines: &format!("@vipd vip_lease {LEASE}"),
        unicast: None,
    }
    .text()
}

/// Seconds that the kernel still keeps the VIP; `None`: for ever, or it is not there.
fn lifetime(router: &Router) -> Outcome<Option<u64>> {
    let links: Vec<Value> = serde_json::from_str(&router.host.run(&["ip", "-j", "addr", "show"])?)?;
    let mut addresses = links
        .iter()
        .filter_map(|link| link.get("addr_info")?.as_array())
        .flatten();
    let vip = VIP.to_string();
    let found = addresses.find(|info| info.get("local").and_then(Value::as_str) == Some(&vip));
    let seconds = found.and_then(|info| info.get("valid_life_time")?.as_u64());
    Ok(seconds.filter(|seconds| *seconds != u64::from(u32::MAX)))
}

/// How long the VIP is there from now on: at most the lease, at least what a renewal leaves of it.
fn runs_out(router: &Router, how: &str) -> Outcome<Duration> {
    let since = Instant::now();
    wait_until(format!("the VIP of one that was {how} goes"), LIMIT, || {
        Ok(!router.has_vip()?)
    })?;
    let took = since.elapsed();
    let lease = Duration::from_secs(LEASE);
    ensure!(
        (lease / 2..lease + LATE).contains(&took),
        "the VIP went after {took:.1?}, its lease is {lease:?}"
    );
    Ok(took)
}

fn killed_and_hung(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let lan = Lan::new(lab)?;
    let mut a = lan.router("a", 1, lab.subject())?;
    let mut b = lan.router("b", 2, Kind::Keepalived)?;
    a.start(&leased(150))?;
    wait_owner(&a, &[])?;
    b.start(&Instance::plain(100))?;
    let pulse = lan.pulse(Duration::from_millis(50))?;
    owner_stays(&a, &[&b], Duration::from_secs(2 * LEASE))?;
    answered_by(&pulse, &a)?;
    let left = lifetime(&a)?;
    ensure!(
        left.is_some_and(|s| s > LEASE / 2 && s <= LEASE),
        "{left:?} s left"
    );

    a.daemon()?.freeze()?;
    let took = runs_out(&a, "stopped")?;
    lab.note(format!("hung: the VIP went after {took:.2?}"));
    wait_owner(&b, &[&a])?;
    answered_by(&pulse, &b)?;
    owner_stays(&b, &[&a], Duration::from_secs(5))?;
    a.daemon()?.thaw()?;
    wait_owner(&a, &[&b])?;
    answered_by(&pulse, &a)?;
    owner_stays(&a, &[&b], Duration::from_secs(LEASE))?;
    let daemon = a.daemon()?;
    daemon.wait_log("did not run for as long as vip_lease", 1, LIMIT)?;
    ensure_eq!(
        daemon.logged("by somebody else"),
        0,
        "times it blames others"
    );
    ensure_eq!(
        daemon.logged(" Entering MASTER STATE"),
        1,
        "times a became master"
    );

    a.daemon()?.kill()?;
    let took = runs_out(&a, "killed")?;
    lab.note(format!("killed: the VIP went after {took:.2?}"));
    wait_owner(&b, &[&a])?;
    answered_by(&pulse, &b)
}

fn restart(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let lan = Lan::new(lab)?;
    let mut a = lan.router("a", 1, lab.subject())?;
    let mut b = lan.router("b", 2, Kind::Keepalived)?;
    a.start(&leased(150))?;
    wait_owner(&a, &[])?;
    b.start(&Instance::plain(100))?;
    b.daemon()?
        .wait_log("(V) Entering BACKUP STATE", 1, LIMIT)?;
    a.daemon()?.kill()?;
    a.daemon()?.start_again()?;
    a.daemon()?
        .wait_log("it was master a moment ago", 1, LIMIT)?;
    owner_stays(&a, &[&b], Duration::from_secs(2 * LEASE))?;
    ensure_eq!(
        b.daemon()?.logged(" Entering MASTER STATE"),
        0,
        "times b was master"
    );

    a.daemon()?.reload(&Instance::plain(150))?;
    wait_until("the VIP lasts", LIMIT, || Ok(lifetime(&a)?.is_none()))?;
    ensure!(a.has_vip()?, "the VIP went with its lease");
    sleep(Duration::from_secs(LEASE));
    owner_stays(&a, &[&b], Duration::from_secs(3))?;
    a.daemon()?.reload(&leased(150))?;
    wait_until("the VIP has a lease", LIMIT, || Ok(lifetime(&a)?.is_some()))?;
    owner_stays(&a, &[&b], Duration::from_secs(LEASE + 3))?;
    let daemon = a.daemon()?;
    ensure_eq!(
        daemon.logged("by somebody else"),
        0,
        "times it blames others"
    );
    Ok(())
}
