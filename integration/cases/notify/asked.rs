//! Who asked for which mails and lines: keywords that turn them on and off, both daemons on one segment.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Duration;

use super::LIMIT;
use super::ears::script;
use super::mails::{PostOffice, subjects};
use crate::cases::scene::{ELECTION, Lan};
use crate::lab::Lab;
use crate::lab::check::{Doing as _, Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::Kind;

/// What both get: an instance that tracks eth1, and a service whose only server has two checks that fail.
struct Conf<'a> {
    number: u8,
    globals: &'a str,
}

impl Conf<'_> {
    fn text(&self) -> String {
        let Conf { number, globals } = self;
        let check = |port: u16| {
            format!(
                "        TCP_CHECK {{\n            connect_port {port}\n            connect_timeout 1\n            \
                 retry 2\n            delay_before_retry 1\n        }}\n"
            )
        };
        format!(
            "global_defs {{\n    router_id NODE\n    notification_email {{\n        one@x.example\n    }}\n    \
             notification_email_from here@x.example\n    smtp_server 192.0.2.{number} 25\n    \
             smtp_connect_timeout 5\n{globals}}}\n\
             vrrp_instance V {{\n    interface eth0\n    virtual_router_id 5{number}\n    priority 100\n    \
             track_interface {{\n        eth1\n    }}\n    \
             virtual_ipaddress {{\n        192.0.2.10{number}\n    }}\n}}\n\
             virtual_server 192.0.2.200 8000 {{\n    delay_loop 1\n    warmup 0\n    lb_algo rr\n    \
             lb_kind NAT\n    protocol TCP\n    quorum_down /bin/true\n    \
             real_server 192.0.2.{number} 8001 {{\n{}{}    }}\n}}\n",
            check(8001),
            check(8002)
        )
    }
}

/// What one daemon wrote to mailboxes.
type Subjects = Vec<String>;

/// Both daemons, with these globals, from the start over a link that fails to the end.
fn story(
    lab: &Lab,
    globals: impl Fn(Kind) -> String,
    end: impl Fn(Kind, &str) -> Outcome,
) -> Outcome<Vec<Subjects>> {
    let lan = Lan::new(lab)?;
    let (mut sites, mut servers) = (Vec::new(), Vec::new());
    for (name, number, kind) in [("theirs", 1, Kind::Keepalived), ("ours", 2, lab.subject())] {
        let mut router = lan.router(name, number, kind)?;
        router
            .host
            .ip("link add eth1 type veth peer name peer1\nlink set eth1 up\nlink set peer1 up")?;
        let listen = |port: u16| {
            router
                .host
                .within(|| TcpListener::bind((Ipv4Addr::new(192, 0, 2, number), port)))?
                .doing("listen")
        };
        let listens = [listen(8001)?, listen(8002)?];
        let office = PostOffice::open(&router.host, &format!("192.0.2.{number}:25"))?;
        let globals = globals(kind);
        let globals = globals.as_str();
        router.start(&Conf { number, globals }.text())?;
        sites.push((router, office));
        servers.push(listens);
    }
    for (number, (router, _)) in (1..).zip(&sites) {
        let vip = Ipv4Addr::new(192, 0, 2, 100 + number);
        wait_until(format!("{vip} is there"), ELECTION, || {
            router.host.owns(vip)
        })?;
    }
    // The server's checks fail three times each.
    drop(servers);
    std::thread::sleep(Duration::from_millis(1500));
    for (router, _) in &mut sites {
        router.host.ip("link set peer1 down")?;
        let daemon = router.daemon()?;
        daemon.wait_log("(V) Entering FAULT STATE", 1, LIMIT)?;
    }
    std::thread::sleep(Duration::from_millis(4000));
    let mut told = Vec::new();
    for (router, office) in &mut sites {
        let daemon = router.daemon()?;
        let (kind, log) = (daemon.kind(), daemon.log());
        let of = subjects(office).into_iter();
        let server =
            |subject: String| subject.replace("192.0.2.1]:tcp:8001", "192.0.2.2]:tcp:8001");
        let mut of: Vec<String> = of.map(server).collect();
        of.sort();
        told.push(of);
        end(kind, &log)?;
        router.stop()?;
    }
    lan.net.demolish()?;
    Ok(told)
}

fn same(what: &str, told: &[Subjects]) -> Outcome<Subjects> {
    ensure_eq!(
        told.first(),
        told.last(),
        "{what}: of keepalived and of vipd"
    );
    Ok(told.last().cloned().unwrap_or_default())
}

pub(super) fn mails(lab: &Lab) -> Outcome {
    let without_faults =
        "    smtp_alert_vrrp on\n    smtp_alert_checker off\n    no_email_faults\n";
    let told = story(lab, |_| without_faults.to_owned(), |_, _| Ok(()))?;
    let of_instance = |state: &str| format!("[NODE] VRRP Instance V - Entering {state} state");
    ensure_eq!(
        same("smtp_alert_vrrp", &told)?,
        ["BACKUP", "MASTER"].map(of_instance),
        "mails"
    );
    let of_checker = "    smtp_alert_vrrp off\n    smtp_alert_checker on\n    no_checker_emails\n";
    let told = story(lab, |_| of_checker.to_owned(), |_, _| Ok(()))?;
    let told = same("smtp_alert_checker", &told)?;
    let down = |told: &[String]| {
        let of_server = told.iter().filter(|subject| subject.contains("Realserver"));
        of_server
            .filter(|subject| subject.ends_with("DOWN"))
            .count()
    };
    ensure!(
        down(&told) == 1 && told.iter().all(|subject| !subject.contains("Instance")),
        "{told:?}"
    );
    Ok(())
}

pub(super) fn readers(lab: &Lab) -> Outcome {
    let dir = |kind: Kind| lab.dir().join(kind.name());
    let mut readers = Vec::new();
    for kind in [Kind::Keepalived, lab.subject()] {
        let dir = dir(kind);
        std::fs::create_dir_all(&dir)?;
        let text = format!(
            "trap '' TERM\nexec < \"$2\"\nwhile read -r line; do echo \"$1 $line\" >> {}; done\n",
            dir.join("read").display()
        );
        readers.push((kind, script(&dir.join("reader.sh"), &text)?));
    }
    let globals = |kind: Kind| {
        let reader = readers.iter().find(|(of, _)| *of == kind);
        let reader = reader.map_or("", |(_, path)| path.as_str());
        format!(
            "    script_user root\n    smtp_alert_checker on\n    checker_log_all_failures on\n    \
             lvs_notify_fifo {}\n    lvs_notify_fifo_script \"{reader} word\"\n",
            dir(kind).join("fifo").display()
        )
    };
    let told = story(lab, globals, |kind, log| {
        let tries = log
            .lines()
            .filter(|line| line.contains("TCP connection to"));
        let failed = tries.filter(|line| line.contains("failed.")).count();
        // Two checks, each tried again twice.
        ensure!(
            failed >= 4,
            "{}: {failed} failed tries are logged",
            kind.name()
        );
        Ok(())
    })?;
    // Each check speaks for itself where nobody forbids it.
    let told = same("without no_checker_emails", &told)?;
    let down = told.iter().filter(|subject| subject.contains("Realserver"));
    ensure_eq!(down.count(), 2, "mails about the server: {told:?}");
    let lines = |path: &Path| -> Outcome<Vec<String>> {
        // Newer versions of keepalived write a zero byte behind each of these lines.
        let text = std::fs::read_to_string(path)?.replace('\0', "");
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        Ok(lines
            .iter()
            .map(|line| line.replace("192.0.2.1]:tcp:8001", "192.0.2.2]:tcp:8001"))
            .collect())
    };
    let [reference, subject] =
        [Kind::Keepalived, lab.subject()].map(|kind| lines(&dir(kind).join("read")));
    let (reference, subject) = (reference?, subject?);
    ensure_eq!(subject, reference, "lines that the script read");
    let down = "word RS [192.0.2.2]:tcp:8001 [192.0.2.200]:tcp:8000 DOWN";
    ensure!(subject.iter().any(|line| line == down), "{subject:?}");
    Ok(())
}
