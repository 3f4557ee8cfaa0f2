//! How the threads are scheduled: priorities, processors, memory, names. Native, because the guest has one
//! processor.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use super::scene::{ELECTION, Lan, VIP};
use crate::lab::check::{Outcome, ensure, wait_until};
use crate::lab::daemon::Kind;
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "scheduling.keywords",
        proves: "each of vrrp_ and checker_ priority, rt_priority, rlimit_rttime, cpu_affinity, no_swap \
                 and process_name acts, and a reload undoes it",
        limit: Duration::from_secs(60),
        run: keywords,
    },
    Case {
        name: "scheduling.names",
        proves: "process_names calls the threads what keepalived calls its processes",
        limit: Duration::from_secs(60),
        run: names,
    },
    Case {
        name: "scheduling.bfd",
        proves: "bfd_priority, bfd_rt_priority, bfd_rlimit_rttime, bfd_no_swap and bfd_cpu_affinity act on the thread that BFD lives on",
        limit: Duration::from_secs(60),
        run: bfd,
    },
    Case {
        name: "scheduling.auto",
        proves: "max_auto_priority raises VRRP's priority, step by step, when its timers are late",
        limit: Duration::from_secs(60),
        run: auto,
    },
];

/// A thread as /proc/PID/task/TID shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Thread {
    nice: i64,
    real_time: u64,
    policy: u64,
    processors: String,
}

/// By name.
fn threads(pid: i32) -> Outcome<BTreeMap<String, Thread>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
        let read = |file: &str| fs::read_to_string(entry.path().join(file)).unwrap_or_default();
        let stat = read("stat");
        let fields: Vec<&str> = stat
            .rsplit_once(')')
            .map_or("", |(_, rest)| rest)
            .split_whitespace()
            .collect();
        // proc_pid_stat(5), counted from the third field on.
        let number = |field: usize| fields.get(field - 3).and_then(|f| f.parse::<i64>().ok());
        let status = read("status");
        let allowed = status
            .lines()
            .find_map(|l| l.strip_prefix("Cpus_allowed_list:"));
        let thread = Thread {
            nice: number(19).unwrap_or(i64::MAX),
            real_time: number(40).unwrap_or(0).unsigned_abs(),
            policy: number(41).unwrap_or(0).unsigned_abs(),
            processors: allowed.unwrap_or_default().trim().to_owned(),
        };
        found.insert(read("comm").trim().to_owned(), thread);
    }
    Ok(found)
}

fn conf(globals: &str) -> String {
    format!(
        "global_defs {{\n{globals}\n}}\nvrrp_instance V {{\n    interface eth0\n    \
         virtual_router_id 51\n    priority 150\n    virtual_ipaddress {{\n        {VIP}\n    }}\n}}\n"
    )
}

/// Waits until a thread is as `right` says.
fn wait_thread(pid: i32, name: &str, what: &str, right: impl Fn(&Thread) -> bool) -> Outcome {
    wait_until(format!("{name}: {what}"), ELECTION, || {
        let all = threads(pid)?;
        match all.get(name) {
            Some(thread) if right(thread) => Ok(true),
            other => Err(format!("{other:?} of {:?}", all.keys()).into()),
        }
    })
    .map(drop)
}

fn locked_kb(pid: i32) -> Outcome<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmLck:"));
    let number = line.and_then(|l| l.split_whitespace().next());
    Ok(number.and_then(|n| n.parse().ok()).unwrap_or(0))
}

/// The line of its limit on real time between two blocking calls.
fn rttime(pid: i32) -> Outcome<String> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let mut lines = limits.lines();
    let limit = lines.find(|line| line.starts_with("Max realtime timeout"));
    Ok(limit.unwrap_or_default().to_owned())
}

/// sched(7): the number of SCHED_RR, with or without SCHED_RESET_ON_FORK, which /proc does not show.
const ROUND_ROBIN: u64 = 2;

fn keywords(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut router = lan.router("router", 1, Kind::Vipd)?;
    router.start(&conf(
        "vrrp_priority -5\nvrrp_rt_priority 7\nvrrp_rlimit_rttime 20000\nvrrp_cpu_affinity 1\nvrrp_no_swap\n\
         vrrp_process_name elects\nchecker_priority 3\nchecker_cpu_affinity 0\n\
         checker_process_name asks\nprocess_name decides",
    ))?;
    let pid = router.daemon()?.pid();
    wait_thread(pid, "elects", "round robin 7 on processor 1", |t| {
        (t.policy, t.real_time, t.nice) == (ROUND_ROBIN, 7, -5) && t.processors == "1"
    })?;
    wait_thread(pid, "asks", "nice 3 on processor 0", |t| {
        (t.policy, t.nice) == (0, 3) && t.processors == "0"
    })?;
    let all = threads(pid)?;
    ensure!(all.contains_key("decides"), "threads: {:?}", all.keys());
    ensure!(locked_kb(pid)? > 0, "no memory is locked");
    let limit = rttime(pid)?;
    ensure!(limit.contains("20000"), "{limit}");
    // Scripts and whatever else it starts are not to run before everything else.
    let before = threads(pid)?;
    ensure!(
        before.values().filter(|t| t.policy == ROUND_ROBIN).count() == 1,
        "more than one thread has a real-time priority: {before:?}"
    );
    router.daemon()?.reload(&conf(
        "checker_rt_priority 4\nchecker_rlimit_rttime 15000\nchecker_no_swap",
    ))?;
    // As a thread is that nobody spoke of.
    let plain = threads(pid)?
        .get("log")
        .cloned()
        .ok_or("no thread writes the log")?;
    wait_thread(pid, "balancer", "round robin 4", |t| {
        (t.policy, t.real_time, t.nice) == (ROUND_ROBIN, 4, plain.nice)
            && t.processors == plain.processors
    })?;
    wait_thread(pid, "failover", "as it was", |t| *t == plain)?;
    ensure!(locked_kb(pid)? > 0, "no memory is locked for checks");
    let limit = rttime(pid)?;
    ensure!(limit.contains("15000"), "of checks: {limit}");
    router.daemon()?.reload(&conf("checker_rt_priority 4"))?;
    wait_until("no memory is locked after a reload", ELECTION, || {
        Ok(locked_kb(pid)? == 0)
    })?;
    router.stop().map(drop)
}

fn names(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut router = lan.router("router", 1, Kind::Vipd)?;
    router.start(&conf("process_names"))?;
    let pid = router.daemon()?.pid();
    wait_thread(pid, "keepalived_vrrp", "is there", |_| true)?;
    wait_thread(pid, "keepalived_lvs", "is there", |_| true)
}

fn bfd(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut router = lan.router("router", 1, Kind::Vipd)?;
    let session = "bfd_instance peer {\n    neighbor_ip 192.0.2.2\n    source_ip 192.0.2.1\n}\n";
    let globals = "bfd_priority -3\nbfd_rt_priority 5\nbfd_rlimit_rttime 30000\nbfd_cpu_affinity 0\nbfd_no_swap";
    router.start(&format!("{}{session}", conf(globals)))?;
    let pid = router.daemon()?.pid();
    wait_thread(pid, "failover", "round robin 5 on processor 0", |t| {
        (t.policy, t.real_time, t.nice) == (ROUND_ROBIN, 5, -3) && t.processors == "0"
    })?;
    ensure!(locked_kb(pid)? > 0, "no memory is locked");
    let limit = rttime(pid)?;
    ensure!(limit.contains("30000"), "{limit}");
    Ok(())
}

fn auto(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut router = lan.router("router", 1, Kind::Vipd)?;
    router.start(&conf("max_auto_priority 2\nmin_auto_priority_delay 300000"))?;
    router
        .daemon()?
        .wait_log("(V) Entering MASTER STATE", 1, ELECTION)?;
    let pid = router.daemon()?.pid();
    wait_thread(pid, "failover", "nothing yet", |t| t.policy == 0)?;
    for step in [1, 2, 2] {
        router.daemon()?.freeze()?;
        std::thread::sleep(Duration::from_millis(1_800));
        router.daemon()?.thaw()?;
        wait_thread(pid, "failover", "a step up", |t| t.real_time == step)?;
    }
    Ok(())
}
