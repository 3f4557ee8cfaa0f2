//! What vipd promises beyond keepalived: order, and that nobody who is told can hold it up.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use super::LIMIT;
use super::ears::{Listener, script};
use crate::cases::daemon::only_vipd;
use crate::cases::scene::{ELECTION, Instance, Lan, wait_owner};
use crate::lab::Lab;
use crate::lab::check::{Doing as _, Outcome, ensure, ensure_eq, holds_for, wait_until};
use crate::lab::process;
use crate::lab::sys;
use crate::lab::wire::Capture;

const FLAPS: usize = 6;

fn with_lines(lines: &str) -> String {
    Instance {
        priority: 100,
        lines,
        unicast: None,
    }
    .text()
}

pub(super) fn order(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let dir = lab.dir();
    let told = dir.join("told");
    let path = told.display();
    let slow = script(
        &dir.join("slow.sh"),
        &format!("echo \"begin $*\" >> {path}\nsleep 0.4\necho \"end $*\" >> {path}\n"),
    )?;
    let lan = Lan::new(lab)?;
    let mut router = lan.router("router", 1, lab.subject())?;
    router.start(&with_lines(&format!(
        "notify_fault \"{slow} fault\"\n    notify_backup \"{slow} backup\"\n    notify \"{slow}\""
    )))?;
    let daemon = router.daemon()?;
    daemon.wait_log("Entering BACKUP STATE", 1, ELECTION)?;
    for flap in 1..=FLAPS {
        router.port.unplug()?;
        let daemon = router.daemon()?;
        daemon.wait_log("Entering FAULT STATE", flap, LIMIT)?;
        router.port.plug_in()?;
        let daemon = router.daemon()?;
        daemon.wait_log("Entering BACKUP STATE", flap + 1, LIMIT)?;
    }
    let mut expected = Vec::new();
    let mut tell = |word: &str, state: &str| {
        for run in [word.to_owned(), format!("INSTANCE V {state} 100")] {
            expected.extend([format!("begin {run}"), format!("end {run}")]);
        }
    };
    tell("backup", "BACKUP");
    for _ in 0..FLAPS {
        tell("fault", "FAULT");
        tell("backup", "BACKUP");
    }
    let lines = || -> Outcome<Vec<String>> {
        let text = fs::read_to_string(&told)?;
        Ok(text.lines().map(str::to_owned).collect())
    };
    wait_until("all scripts have run", Duration::from_secs(40), || {
        Ok(lines()?.len() >= expected.len())
    })?;
    let mut seen = lines()?;
    seen.truncate(expected.len());
    ensure_eq!(seen, expected, "what the scripts wrote");
    Ok(())
}

pub(super) fn hung_script(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let dir = lab.dir();
    let (pid, told, fifo) = (dir.join("pid"), dir.join("told"), dir.join("fifo"));
    let hangs = script(
        &dir.join("hangs.sh"),
        &format!("echo $$ > {}\nexec sleep 600\n", pid.display()),
    )?;
    let stop = script(
        &dir.join("stop.sh"),
        &format!("echo stopped >> {}\n", told.display()),
    )?;
    let lan = Lan::new(lab)?;
    let mut router = lan.router("router", 1, lab.subject())?;
    let wire = Capture::at(&lan.client_port)?;
    let globals = format!(
        "global_defs {{\n    vrrp_notify_fifo {}\n}}\n",
        fifo.display()
    );
    let lines = format!("notify_master \"{hangs}\"\n    notify_stop \"{stop}\"");
    router.start(&format!("{globals}{}", with_lines(&lines)))?;
    let mut listener = Listener::open(&fifo)?;
    wait_owner(&router, &[])?;
    wait_until("the script runs", LIMIT, || Ok(pid.exists()))?;
    let before = wire.adverts().len();
    holds_for("it is master", Duration::from_secs(5), || router.has_vip())?;
    let adverts = wire.adverts().len() - before;
    ensure!(adverts >= 4, "{adverts} adverts in 5 s");
    router.port.unplug()?;
    wait_until("the FIFO is told of the fault", LIMIT, || {
        Ok(listener.text()?.contains("FAULT"))
    })?;
    let begun = Instant::now();
    let status = router.stop()?;
    let took = begun.elapsed();
    lab.note(format!("the end took {took:.2?}"));
    ensure!(status.success(), "it ended with {status}");
    ensure!(took < Duration::from_secs(6), "the end took {took:?}");
    ensure_eq!(fs::read_to_string(&told)?, "stopped\n", "the last script");
    let pid: i32 = fs::read_to_string(&pid)?.trim().parse().doing("the pid")?;
    std::thread::sleep(Duration::from_secs(3));
    let runs = process::all().iter().any(|p| p.pid == pid && !p.is_dead);
    ensure!(runs, "what the script had become was killed");
    sys::kill(pid, libc::SIGKILL)?;
    Ok(())
}

pub(super) fn script_stops_daemon(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let dir = lab.dir();
    let told = dir.join("told");
    let lan = Lan::new(lab)?;
    let mut router = lan.router("router", 1, lab.subject())?;
    let stops = dir.join("stops.sh");
    let lines = format!("notify_master \"{}\"", stops.display());
    // As an init script does it: ask, wait, and go on when it is gone.
    let pid_file = router.host.dir().join("router.vipd/main.pid");
    script(
        &stops,
        &format!(
            "pid=$(cat {})\nkill $pid || exit 1\nwhile kill -0 $pid; do sleep 0.1; done\n\
             echo gone >> {}\n",
            pid_file.display(),
            told.display()
        ),
    )?;
    router.start(&with_lines(&lines))?;
    wait_until("the daemon has ended", LIMIT, || {
        Ok(router.daemon()?.ended()?.is_some())
    })?;
    let status = router.daemon()?.ended()?;
    ensure!(status.is_some_and(|s| s.success()), "it ended: {status:?}");
    ensure!(!router.has_vip()?, "the VIP stays behind");
    wait_until("the script has seen it", LIMIT, || Ok(told.exists()))?;
    Ok(())
}

pub(super) fn fifos(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let dir = lab.dir();
    let at = |name: &str| dir.join(name).display().to_string();
    // A link that leads to somebody's file, and a reader that dies after each line.
    let (link, precious) = (dir.join("link"), dir.join("precious"));
    fs::write(&precious, "data")?;
    symlink(&precious, &link)?;
    let reader = script(
        &dir.join("reader.sh"),
        &format!("read -r line < \"$1\"\necho \"$line\" >> {}\n", at("read")),
    )?;
    let globals = format!(
        "global_defs {{\n    notify_fifo {}\n    vrrp_notify_fifo {}\n    \
         vrrp_notify_fifo_script {reader}\n    lvs_notify_fifo {}\n    \
         vrrp_notify_priority_changes on\n    fifo_write_vrrp_states_on_reload\n}}\n",
        at("unread"),
        at("read-one"),
        link.display()
    );
    // Many instances that say their state at each reload fill 64 KiB soon.
    let many: String = (1..=200)
        .map(|n| {
            format!(
                "vrrp_instance WITH-A-LONG-NAME-{n} {{\n    interface eth0\n    \
                 virtual_router_id {n}\n    virtual_ipaddress {{\n        10.9.0.{n}\n    }}\n}}\n"
            )
        })
        .collect();
    let conf = format!("{globals}{many}");
    let lan = Lan::new(lab)?;
    let mut router = lan.router("router", 1, lab.subject())?;
    router.start(&conf)?;
    let daemon = router.daemon()?;
    daemon.wait_log("is a symbolic link: it is not followed", 1, LIMIT)?;
    daemon.wait_log("Entering MASTER STATE", 200, LIMIT)?;
    for reload in 1..=10 {
        daemon.reload(&conf)?;
        daemon.wait_log("reloaded ", reload, LIMIT)?;
    }
    daemon.wait_log("unread is full, as nobody reads it", 1, LIMIT)?;
    ensure_eq!(fs::read_to_string(&precious)?, "data", "the file");
    // It died after its first line, and was started again.
    wait_until("the reader was started again", LIMIT, || {
        let text = fs::read_to_string(dir.join("read")).unwrap_or_default();
        Ok(text.lines().count() >= 2)
    })?;
    let status = router.stop()?;
    ensure!(status.success(), "it ended with {status}");
    let log = router.daemon()?.log();
    ensure!(log.contains("lines were lost"), "no count of lost lines");
    for name in ["unread", "read-one"] {
        ensure!(!dir.join(name).exists(), "FIFO {name} stays behind");
    }
    ensure!(link.exists(), "the link is gone");
    Ok(())
}

pub(super) fn mute_mail_server(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let lan = Lan::new(lab)?;
    let mut router = lan.router("router", 1, lab.subject())?;
    // The kernel takes the connection; nobody ever says a word on it.
    let _mute = router
        .host
        .within(|| TcpListener::bind("192.0.2.1:25"))?
        .doing("listen")?;
    let fifo = lab.dir().join("fifo");
    let globals = format!(
        "global_defs {{\n    notification_email {{\n        a@x.example\n    }}\n    \
         smtp_server 192.0.2.1\n    notify_fifo {}\n    notify_fifo_script /bin/false\n}}\n",
        fifo.display()
    );
    router.start(&format!("{globals}{}", with_lines("smtp_alert")))?;
    wait_owner(&router, &[])?;
    let begun = Instant::now();
    let status = router.stop()?;
    let took = begun.elapsed();
    lab.note(format!("the end took {took:.2?}"));
    ensure!(status.success(), "it ended with {status}");
    ensure!(took < Duration::from_secs(9), "the end took {took:?}");
    let said = router.daemon()?.logged("mails were not sent in time");
    ensure_eq!(said, 1, "words about the mails");
    Ok(())
}
