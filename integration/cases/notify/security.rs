//! Scripts that must not be run, or cannot be.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::LIMIT;
use super::ears::{Teller, script};
use crate::cases::scene::{Lan, VIP};
use crate::lab::Lab;
use crate::lab::check::{Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::Kind;
use crate::lab::guest::vipd_path;

fn conf(dir: &Path, tell: &str, globals: &str) -> Outcome<String> {
    // Each may be replaced by others in another way; run, it would fail and keep the instance down.
    let open = script(&dir.join("open.sh"), "exit 1\n")?;
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777))?;
    let below = dir.join("below");
    fs::create_dir_all(&below)?;
    fs::set_permissions(&below, fs::Permissions::from_mode(0o777))?;
    let in_open = script(&below.join("in-open.sh"), "exit 1\n")?;
    let closed = script(&dir.join("closed.sh"), "exit 1\n")?;
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o644))?;
    let shown = dir.display();
    let scripts: String = [&open, &in_open, &closed, &format!("{shown}/gone.sh")]
        .iter()
        .enumerate()
        .map(|(n, path)| format!("vrrp_script s{n} {{\n    script {path}\n    interval 1\n}}\n"))
        .collect();
    Ok(format!(
        "global_defs {{\n    script_user root\n    {globals}\n}}\n{scripts}\
         vrrp_instance V {{\n    interface eth0\n    virtual_router_id 51\n    \
         notify_master \"{tell} master\"\n    notify_backup {open}\n    \
         track_script {{\n        s0\n        s1\n        s2\n        s3\n    }}\n    \
         virtual_ipaddress {{\n        {VIP}\n    }}\n}}\n"
    ))
}

/// Under both daemons the instance is master in spite of its scripts, and the good one was run.
pub(super) fn script_security(lab: &Lab) -> Outcome {
    for kind in [Kind::Keepalived, lab.subject()] {
        let dir = lab.dir().join(kind.name());
        let teller = Teller::new(&dir)?;
        let text = conf(&dir, &teller.script, "enable_script_security")?;
        let lan = Lan::new(lab)?;
        let mut router = lan.router("router", 2, kind)?;
        router.start(&text)?;
        wait_until("the VIP is there", LIMIT, || router.has_vip())?;
        let told = || Ok(teller.lines()?.len() == 1);
        wait_until("the good script was run", LIMIT, told)?;
        if kind == Kind::Vipd {
            let daemon = router.daemon()?;
            for said in [
                "open.sh (mode 0777)",
                "below (mode 0777)",
                "may not execute it (mode 0644",
                "gone.sh` cannot be run: no such file or directory",
            ] {
                ensure!(daemon.logged(said) >= 1, "it does not say {said:?}");
            }
            // Without it they are run, and what they say counts.
            daemon.reload(&text.replace("enable_script_security", ""))?;
            daemon.wait_log("Entering FAULT STATE", 1, LIMIT)?;
        }
        router.stop()?;
        lan.net.demolish()?;
    }
    let dir = lab.dir().join("test");
    let teller = Teller::new(&dir)?;
    let net = crate::lab::net::Net::new(lab)?;
    let host = net.host("checker")?;
    let file = dir.join("t.conf");
    for globals in ["", "enable_script_security"] {
        fs::write(&file, conf(&dir, &teller.script, globals)?)?;
        let shown = file.display().to_string();
        let ended = host.try_run(&[&vipd_path(), "-t", "-f", &shown])?;
        ensure_eq!(ended.code, Some(6), "{}", ended.describe());
    }
    Ok(())
}
