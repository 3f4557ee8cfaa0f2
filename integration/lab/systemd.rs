//! systemd on a host of the lab: its own mounts over this machine's files, its own processes, the network
//! of the host. It starts nothing but its journal and what the case asks for.

use std::path::Path;
use std::time::Duration;

use super::check::{Failure, Outcome, wait_until};
use super::guest::{HOST_DIR, vipd_path};
use super::net::Host;
use super::process::{self, Finished, Process, Run};

#[path = "../../tests/packaging/manifest.rs"]
mod manifest;

/// A command in it ends within this; a restart of a unit may take as long as the unit lets it.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);
/// It takes 3 s on a quiet machine.
const BOOT_LIMIT: Duration = Duration::from_secs(120);

/// What is not of this machine: no unit but systemd's own is wanted by anything, and nothing is mounted.
const BOOT: &str = r"
mount --make-rprivate /
base=$1
mkdir -p $base
mount -t tmpfs none $base
mkdir $base/upper $base/beside $base/root
mount -t overlay overlay -o lowerdir=/,upperdir=$base/upper,workdir=$base/beside $base/root
cd $base/root
mount -t proc proc proc
mount -t sysfs sysfs sys
mount --rbind /dev dev
mount -t tmpfs -o mode=0755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount --bind /lib/modules lib/modules
mkdir -p run/host
mount --bind /run/host run/host
rm -rf lib/systemd/system/*.wants lib/systemd/system-generators/* etc/systemd/system/* etc/fstab
rm -rf var/lib/vipd etc/vipd etc/keepalived
cat > etc/systemd/system/lab.target <<END
[Unit]
DefaultDependencies=no
Wants=systemd-journald.service
END
mkdir -p etc/keepalived
echo 0123456789abcdef0123456789abcdef > etc/machine-id
mkdir -p old
pivot_root . old
umount -l /old
exec env -i container=lab PATH=$PATH /lib/systemd/systemd --system --unit=lab.target --log-target=journal --show-status=no
";

/// A running systemd; all of it is killed when this is dropped.
pub(crate) struct Systemd {
    host: Host,
    process: Process,
}

impl Systemd {
    /// Boots it on `host`, with nothing installed.
    pub(crate) fn boot(host: &Host) -> Outcome<Self> {
        if !Path::new("/lib/systemd/systemd").exists() {
            return Err(Failure::skipped(
                "systemd is not installed; run scripts/lib/install systemd",
            ));
        }
        let base = format!("/run/systemd-of-{}", host.name());
        let mut argv = vec!["unshare", "--mount", "--pid", "--cgroup", "--uts", "--ipc"];
        argv.extend([
            "--fork",
            "--kill-child",
            "/bin/sh",
            "-ec",
            BOOT,
            "boot",
            &base,
        ]);
        let systemd = Self {
            host: host.clone(),
            process: host.spawn("systemd", &argv)?,
        };
        wait_until("systemd has booted", BOOT_LIMIT, || {
            let active = systemd.try_run(&["systemctl", "is-active", "lab.target"])?;
            Ok(active.code == Some(0))
        })?;
        Ok(systemd)
    }

    /// Puts the files in place that the package of this section of Cargo.toml would, with the vipd under
    /// test as its program.
    pub(crate) fn install(&self, package: &str) -> Outcome {
        let mut script = String::new();
        for (source, dest) in manifest::assets(package) {
            if source.contains('*') || dest.starts_with("usr/share") {
                continue;
            }
            script.push_str(&format!("mkdir -p $(dirname /{dest})\n"));
            if source.starts_with("target/") {
                script.push_str(&format!(
                    "touch /{dest}; mount --bind {} /{dest}\n",
                    vipd_path()
                ));
            } else {
                script.push_str(&format!("cp -P {HOST_DIR}/{source} /{dest}\n"));
            }
        }
        script.push_str("systemctl daemon-reload\n");
        self.sh(&script).map(drop)
    }

    /// Runs a command in it to its end.
    pub(crate) fn try_run(&self, argv: &[&str]) -> Outcome<Finished> {
        let unshare = self.process.pid();
        let all = process::all();
        let init = all.iter().find(|process| process.parent == unshare);
        let init = init.ok_or("systemd does not run")?.pid.to_string();
        let mut words = vec!["nsenter", "--target", &init, "--root", "--wd"];
        words.extend(["--mount", "--pid", "--uts", "--ipc"]);
        words.extend(argv);
        self.host.try_run_with(&Run {
            argv: &words,
            stdin: "",
            limit: COMMAND_LIMIT,
        })
    }

    /// The same, and it must succeed; its standard output.
    pub(crate) fn run(&self, argv: &[&str]) -> Outcome<String> {
        self.try_run(argv)?.success().map(|done| done.stdout)
    }

    /// A script that must succeed; its standard output.
    pub(crate) fn sh(&self, script: &str) -> Outcome<String> {
        self.run(&["/bin/sh", "-ec", script])
    }

    /// Writes a file.
    pub(crate) fn write(&self, path: &str, text: &str) -> Outcome {
        let script = "mkdir -p $(dirname \"$0\"); printf %s \"$1\" > \"$0\"";
        self.run(&["/bin/sh", "-ec", script, path, text]).map(drop)
    }

    /// A property of a unit.
    pub(crate) fn show(&self, unit: &str, property: &str) -> Outcome<String> {
        let value = self.run(&["systemctl", "show", "--value", "-p", property, unit])?;
        Ok(value.trim().to_owned())
    }

    /// What the journal has of a unit.
    pub(crate) fn journal(&self, unit: &str) -> Outcome<String> {
        self.run(&["journalctl", "--no-pager", "-o", "cat", "-u", unit])
    }
}
