//! What vipd says and leaves undone when it cannot do its job.
//!
//! keepalived is no reference here: it goes on with much of this, or says nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use super::scene::{Instance, VIP};
use crate::lab::check::{Failure, Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::{Daemon, Kind};
use crate::lab::net::{Address, Host, Net};
use crate::lab::process::Finished;
use crate::lab::{Case, Lab};

/// The kernel has no IPVS: runs before any case that loads it.
pub(crate) const WITHOUT_IPVS: &[Case] = &[Case {
    name: "bad_input.no_ipvs",
    proves: "without IPVS in the kernel vipd says so and what to do, and claims no VIP",
    limit: Duration::from_secs(60),
    run: no_ipvs,
}];

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "bad_input.no_file",
        proves: "a configuration file that does not exist is named, and nothing is changed",
        limit: LIMIT,
        run: |lab| refused(lab, &Input::Absent, &["absent.conf", "no such file"]),
    },
    Case {
        name: "bad_input.directory",
        proves: "a directory in place of the file is named, and nothing is changed",
        limit: LIMIT,
        run: |lab| refused(lab, &Input::Directory, &["daemon.conf", "directory"]),
    },
    Case {
        name: "bad_input.unreadable",
        proves: "a file that may not be read is named, and nothing is changed",
        limit: LIMIT,
        run: |lab| {
            refused(
                lab,
                &Input::Unreadable,
                &["daemon.conf", "permission denied"],
            )
        },
    },
    Case {
        name: "bad_input.missing_brace",
        proves: "a block that is not closed is refused with its line, and nothing is changed",
        limit: LIMIT,
        run: |lab| {
            refused(
                lab,
                &Input::Text(missing_brace()),
                &["daemon.conf:1", "brace|}|closed"],
            )
        },
    },
    Case {
        name: "bad_input.bad_address",
        proves: "an address that is none is refused with its line, and nothing is changed",
        limit: LIMIT,
        run: |lab| {
            refused(
                lab,
                &Input::Text(bad_address()),
                &["daemon.conf:12", "192.0.2.999"],
            )
        },
    },
    Case {
        name: "bad_input.missing_interface",
        proves: "an interface that does not exist is named, and nothing is changed",
        limit: LIMIT,
        run: |lab| {
            refused(
                lab,
                &Input::Text(missing_interface()),
                &["nosuch0", "interface"],
            )
        },
    },
    Case {
        name: "bad_input.no_capability",
        proves: "without CAP_NET_ADMIN vipd names it, and nothing is changed",
        limit: LIMIT,
        run: |lab| refused(lab, &Input::NoCapability, &["CAP_NET_ADMIN"]),
    },
    Case {
        name: "bad_input.unknown_keyword",
        proves: "an unknown keyword is a warning with its line and a suggestion; the rest works",
        limit: LIMIT,
        run: unknown_keyword,
    },
    Case {
        name: "bad_input.reload",
        proves: "a reload with a broken file says where and changes nothing; a good one works then",
        limit: LIMIT,
        run: bad_reload,
    },
];

const LIMIT: Duration = Duration::from_secs(60);

/// What vipd is given.
enum Input {
    /// A path where nothing is.
    Absent,
    /// A path where a directory is.
    Directory,
    /// A good file that only root may read, and vipd is not root.
    Unreadable,
    /// A good file, and vipd without the right to change the network.
    NoCapability,
    /// This text.
    Text(String),
}

fn good() -> String {
    let service = "virtual_server 192.0.2.100 80 {\n    lb_algo rr\n    lb_kind NAT\n    protocol TCP\n    \
                   real_server 198.51.100.10 80 {\n        weight 1\n    }\n}\n";
    Instance::plain(255) + service
}

fn missing_brace() -> String {
    let whole = good();
    let at = whole.find("}\nvirtual_server").unwrap_or(whole.len());
    whole.get(..at).unwrap_or_default().to_owned() + whole.get(at + 2..).unwrap_or_default()
}

fn bad_address() -> String {
    good().replacen(&VIP.to_string(), "192.0.2.999", 1)
}

fn missing_interface() -> String {
    good().replacen("eth0", "nosuch0", 1)
}

/// What must not change.
#[derive(Debug, PartialEq, Eq)]
struct State {
    addresses: Vec<Address>,
    table: Vec<String>,
}

fn state(host: &Host) -> Outcome<State> {
    Ok(State {
        addresses: host.addresses()?,
        table: host.ipvs()?,
    })
}

fn router(lab: &Lab) -> Outcome<Host> {
    if lab.subject() != Kind::Vipd {
        return Err(Failure::skipped(
            "vipd's own promises; keepalived makes no such ones",
        ));
    }
    let net = Net::new(lab)?;
    let lan = net.segment("lan")?;
    let host = net.router("router")?;
    net.plug(&host, "eth0", &lan, &["192.0.2.1/24"])?;
    Ok(host)
}

/// Runs vipd to its end with the file `conf`, through the words of `wrapper`.
fn run_vipd(host: &Host, wrapper: &[&str], conf: &Path) -> Outcome<Finished> {
    let words = Daemon::command_line(Kind::Vipd, conf);
    let argv: Vec<&str> = wrapper
        .iter()
        .copied()
        .chain(words.iter().map(String::as_str))
        .collect();
    host.try_run(&argv)
}

/// vipd ends by itself, not with 0, and says one thing that has every one of `words` in it (each
/// may be several, with bars between: one of them is enough); nothing has changed.
fn refused(lab: &Lab, input: &Input, words: &[&str]) -> Outcome {
    let host = router(lab)?;
    host.sh("ipvsadm -A -t 203.0.113.9:99 -s rr; ipvsadm -a -t 203.0.113.9:99 -r 203.0.113.10 -m")?;
    let before = state(&host)?;
    let conf = lab.dir().join("daemon.conf");
    let (wrapper, path): (&[&str], _) = match input {
        Input::Absent => (&[], lab.dir().join("absent.conf")),
        Input::Directory => {
            fs::create_dir(&conf)?;
            (&[], conf)
        }
        Input::Unreadable => {
            fs::write(&conf, good())?;
            fs::set_permissions(&conf, fs::Permissions::from_mode(0o600))?;
            (
                &[
                    "setpriv",
                    "--reuid=65534",
                    "--regid=65534",
                    "--clear-groups",
                ],
                conf,
            )
        }
        Input::NoCapability => {
            fs::write(&conf, good())?;
            (
                &[
                    "setpriv",
                    "--bounding-set=-net_admin",
                    "--inh-caps=-net_admin",
                ],
                conf,
            )
        }
        Input::Text(text) => {
            fs::write(&conf, text)?;
            (&[], conf)
        }
    };
    let ended = run_vipd(&host, wrapper, &path)?;
    says_one_thing(lab, &ended, words)?;
    ensure_eq!(
        state(&host)?,
        before,
        "addresses and IPVS table before and after"
    );
    Ok(())
}

fn says_one_thing(lab: &Lab, ended: &Finished, words: &[&str]) -> Outcome {
    let said = ended.stderr.trim();
    for line in said.lines() {
        lab.note(line);
    }
    ensure!(
        ended.code.is_some_and(|code| code != 0),
        "exit status: {}",
        ended.describe()
    );
    let lowered = said.to_lowercase();
    for word in words {
        let found = word
            .split('|')
            .any(|word| lowered.contains(&word.to_lowercase()));
        ensure!(found, "{word:?} is not in: {said}");
    }
    ensure!(!said.contains("panicked"), "a panic: {said}");
    let errors = said.lines().filter(|line| is_error(line)).count();
    ensure_eq!(errors, 1, "errors in: {said}");
    Ok(())
}

/// The first line of an error, as the log or as a diagnostic shows it.
fn is_error(line: &str) -> bool {
    let line = line.trim_start().to_lowercase();
    line.starts_with("error") || line.starts_with("vipd: ") || line.contains(" error ")
}

fn unknown_keyword(lab: &Lab) -> Outcome {
    let host = router(lab)?;
    let conf = good().replacen("advert_int 1", "advert_int 1\n    priorty 250", 1);
    let mut daemon = Daemon::start(Kind::Vipd, &host, &conf)?;
    daemon.wait_log("(V) Entering MASTER STATE", 1, Duration::from_secs(15))?;
    wait_until("the VIP is there", Duration::from_secs(10), || {
        host.owns(VIP)
    })?;
    let log = daemon.log();
    let about = log.lines().position(|line| line.contains("`priorty`"));
    let about = about.ok_or_else(|| format!("the unknown keyword is not in the log:\n{log}"))?;
    let lines: Vec<&str> = log.lines().skip(about).take(8).collect();
    lines.iter().for_each(|line| lab.note(line));
    let text = lines.join("\n");
    ensure!(
        text.contains("daemon.conf:6"),
        "the place is not in: {text}"
    );
    ensure!(text.contains("`priority`"), "no suggestion in: {text}");
    ensure!(daemon.stop()?.success(), "it did not stop cleanly");
    Ok(())
}

fn bad_reload(lab: &Lab) -> Outcome {
    let host = router(lab)?;
    let mut daemon = Daemon::start(Kind::Vipd, &host, &good())?;
    let done = || Ok(host.owns(VIP)? && host.ipvs()?.len() == 2);
    wait_until("VIP and table are there", Duration::from_secs(15), done)?;
    let before = state(&host)?;
    for (broken, words) in [
        (missing_brace(), "daemon.conf:1"),
        (bad_address(), "192.0.2.999"),
        (missing_interface(), "nosuch0"),
    ] {
        daemon.reload(&broken)?;
        daemon.wait_log(words, 1, Duration::from_secs(10))?;
        std::thread::sleep(Duration::from_millis(500));
        ensure!(
            daemon.ended()?.is_none(),
            "it ended at a reload with a broken file"
        );
        ensure_eq!(state(&host)?, before, "after a reload with a broken file");
    }
    daemon.reload(&good().replacen("weight 1", "weight 4", 1))?;
    wait_until("the new weight", Duration::from_secs(10), || {
        Ok(host.ipvs()?.iter().any(|line| line.ends_with("-w 4")))
    })?;
    ensure!(host.owns(VIP)?, "the VIP is gone after the good reload");
    Ok(())
}

fn no_ipvs(lab: &Lab) -> Outcome {
    let host = router(lab)?;
    // Nobody can load it: not the kernel, and not vipd through modprobe.
    fs::write("/proc/sys/kernel/modprobe", "/bin/false")?;
    let empty = lab.dir().join("modules");
    fs::create_dir(&empty)?;
    let hide = format!(
        "mount --bind {} /lib/modules && exec \"$@\"",
        empty.display()
    );
    let loaded = fs::read_to_string("/proc/modules")?;
    ensure!(
        !loaded.contains("ip_vs"),
        "IPVS is loaded already: {loaded}"
    );
    let before = host.addresses()?;
    let conf = lab.dir().join("daemon.conf");
    fs::write(&conf, good())?;
    let wrapper = ["unshare", "--mount", "/bin/sh", "-ec", &hide, "sh"];
    let ended = run_vipd(&host, &wrapper, &conf);
    fs::write("/proc/sys/kernel/modprobe", "/sbin/modprobe")?;
    says_one_thing(lab, &ended?, &["IPVS", "modprobe|module", "ip_vs"])?;
    ensure_eq!(host.addresses()?, before, "addresses before and after");
    let loaded = fs::read_to_string("/proc/modules")?;
    ensure!(!loaded.contains("ip_vs"), "IPVS was loaded after all");
    Ok(())
}
