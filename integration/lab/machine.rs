//! A whole machine on a host of the lab: the host's network, its own processes, and its own files over this
//! machine's, which stay as they are. Packages are installed in it, files lie where their users put them,
//! `killall` finds its processes and no others. It starts nothing by itself. /run/disk is still there when it is
//! booted again, the rest is new; all machines of a case have it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::check::{Outcome, wait_until};
use super::guest::{HOST_DIR, vipd_path};
use super::net::Host;
use super::process::{self, Finished, Process, Run};

#[path = "../../tests/packaging/manifest.rs"]
mod manifest;

/// The package, by its section of Cargo.toml.
pub(crate) const VIPD: &str = "package.metadata.deb";
/// The one that takes keepalived's place and name.
pub(crate) const STAND_IN: &str = "package.metadata.deb.variants.keepalived";

/// A command in it ends within this; a restart of a unit may take as long as the unit lets it.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);
/// Generous: other things may be starting beside it.
const BOOT_LIMIT: Duration = Duration::from_secs(90);

/// $1: where its files are put together, $2: where its logs go to, $3: what outlives it.
const ROOT: &str = r"
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
mount --bind /lib/modules lib/modules
mkdir -p run/host run/logs run/disk
mount --bind /run/host run/host
mount --bind $2 run/logs
mount --bind $3 run/disk
rm -rf var/lib/vipd etc/vipd etc/keepalived
mkdir -p etc/keepalived old
pivot_root . old
umount -l /old
";

/// Nothing runs but a shell that buries who is left behind.
const PLAIN: &str = r#"
touch /run/booted
exec env -i PATH=$PATH HOME=/root /bin/sh -c 'while :; do sleep 3600 & wait; done'
"#;

/// All of it is killed when this is dropped.
pub(crate) struct Machine {
    host: Host,
    process: Process,
}

impl Machine {
    /// Boots it on `host`.
    pub(crate) fn boot(host: &Host) -> Outcome<Self> {
        let machine = Self::boot_with(host, &[], PLAIN)?;
        wait_until("a machine has booted", BOOT_LIMIT, || {
            Ok(machine.exists("/run/booted").unwrap_or(false))
        })?;
        Ok(machine)
    }

    /// The same with more namespaces of its own (words for unshare), and what is done in it last.
    pub(super) fn boot_with(host: &Host, namespaces: &[&str], last: &str) -> Outcome<Self> {
        let base = format!("/run/machine-{}", host.name());
        let logs = host.dir().join("log").display().to_string();
        let disk = host.dir().join("disk");
        std::fs::create_dir_all(&disk)?;
        let disk = disk.display().to_string();
        let script = format!("{ROOT}{last}");
        let mut argv = vec!["unshare", "--mount", "--pid", "--uts", "--ipc"];
        argv.extend(namespaces);
        argv.extend(["--fork", "--kill-child", "/bin/sh", "-ec"]);
        argv.extend([script.as_str(), "boot", &base, &logs, &disk]);
        Ok(Self {
            host: host.clone(),
            process: host.spawn("machine", &argv)?,
        })
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
        self.sh(&script).map(drop)
    }

    /// Its first process, by the number that it has outside.
    fn init(&self) -> Outcome<i32> {
        let unshare = self.process.pid();
        let all = process::all();
        let init = all.iter().find(|process| process.parent == unshare);
        Ok(init.ok_or("the machine does not run")?.pid)
    }

    /// Runs a command in it to its end.
    pub(crate) fn try_run(&self, argv: &[&str]) -> Outcome<Finished> {
        let init = self.init()?.to_string();
        let words = [&enter(&init), argv].concat();
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

    /// Starts a process in it that is killed when dropped.
    pub(crate) fn spawn(&self, name: &str, argv: &[&str]) -> Outcome<Process> {
        let init = self.init()?.to_string();
        self.host.spawn(name, &[&enter(&init), argv].concat())
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

    /// Whether a file is there.
    pub(crate) fn exists(&self, path: &str) -> Outcome<bool> {
        Ok(self.path(path)?.exists())
    }

    /// Where this file of it is seen from outside.
    pub(crate) fn path(&self, path: &str) -> Outcome<PathBuf> {
        let seen = Path::new("/proc").join(self.init()?.to_string());
        Ok(seen.join("root").join(path.trim_start_matches('/')))
    }

    /// Everything in it is killed at once, as by a power failure.
    pub(crate) fn power_off(&mut self) -> Outcome {
        self.process.kill()
    }
}

/// The words before a command that make it run where the process `init` is.
fn enter(init: &str) -> [&str; 9] {
    let [mount, pid, uts, ipc] = ["--mount", "--pid", "--uts", "--ipc"];
    [
        "nsenter", "--target", init, "--root", "--wd", mount, pid, uts, ipc,
    ]
}
