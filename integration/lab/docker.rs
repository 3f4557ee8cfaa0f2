//! Docker on a [`Machine`]: Debian's own, with images that are made of this machine's programs, for there is no
//! registry to ask.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::Lab;
use super::check::{Failure, Outcome, wait_until};
use super::guest::vipd_path;
use super::machine::Machine;
use super::net::Host;
use super::process::Process;

/// It takes 15 s on a quiet machine.
const START_LIMIT: Duration = Duration::from_secs(180);

/// From when it listens to when it answers.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// Control groups as Docker of Debian 12 finds them in the guest, and the iptables that its kernel has.
const PREPARE: &str = r"
mount -t tmpfs none /sys/fs/cgroup
for name in cpu cpuacct devices freezer memory pids; do
    mkdir /sys/fs/cgroup/$name
    mount -t cgroup -o $name cgroup /sys/fs/cgroup/$name || rmdir /sys/fs/cgroup/$name
done
mkdir -p /usr/local/sbin /var/lib/docker
ln -sf /usr/sbin/iptables-legacy /usr/local/sbin/iptables
ln -sf /usr/sbin/ip6tables-legacy /usr/local/sbin/ip6tables
";
/// What Docker keeps is forgotten with the machine.
const FORGETFUL: &str = "mount -t tmpfs none /var/lib/docker";

/// $1: a directory; the rest are files, programs for the most part. Puts them there, with the libraries that
/// they need.
const ROOT_FILES: &str = r#"
root=$1; shift
mkdir -p $root/run $root/etc/keepalived $root/var/log/nginx $root/var/lib/nginx $root/dev $root/proc $root/sys
mkdir -m 1777 $root/tmp
ln -s ../run $root/var/run
for dir in bin sbin lib lib64; do mkdir -p $root/usr/$dir; ln -s usr/$dir $root/$dir; done
# ldd says `FILE:`, then, after a tab, `NAME => PATH (ADDRESS)`; of a script, that it is none.
for file in $(ldd "$@" 2>/dev/null | grep -o '[[:blank:]]/[^ ]*' | sort -u) "$@"; do
    mkdir -p $root${file%/*}
    cp -L $file $root$file
done
cp /etc/passwd /etc/group /etc/nsswitch.conf $root/etc
cp -n /lib/x86_64-linux-gnu/libnss_files.so.2 $root/lib/ 2>/dev/null || true
"#;

/// A script that puts these files of wherever it runs into a new directory, with the libraries that they need.
pub(crate) fn root_files(dir: &str, files: &[&str]) -> String {
    format!("set -- {dir} {}\n{ROOT_FILES}\n", files.join(" "))
}

/// Starts Docker on a machine, with these words more on its command line. What it keeps lies in
/// /var/lib/docker, which must not be a part of the machine's root.
pub(crate) fn start_on(machine: &Machine, more: &[&str]) -> Outcome<Process> {
    if !Path::new("/usr/sbin/dockerd").exists() {
        return Err(Failure::skipped(
            "Docker is not installed; run scripts/lib/install docker.io docker-compose",
        ));
    }
    machine.sh(PREPARE)?;
    let words = [&["/usr/sbin/dockerd", "-s", "overlay2"], more].concat();
    let daemon = machine.spawn("dockerd", &words)?;
    let socket = machine.path("/run/docker.sock")?;
    wait_until("Docker answers", START_LIMIT, || Ok(is_ready(&socket)))?;
    Ok(daemon)
}

/// Whether it does what it is asked; it listens before that. Without its own program, which takes as long to start as
/// many others.
fn is_ready(socket: &Path) -> bool {
    let ask = || {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, io::Error>(answer.contains(" 200 "))
    };
    ask().unwrap_or(false)
}

/// A machine on which Docker runs.
pub(crate) struct Docker {
    machine: Machine,
    _daemon: Process,
}

impl Docker {
    /// Boots a machine on `host` and starts Docker there.
    pub(crate) fn start(host: &Host) -> Outcome<Self> {
        let machine = Machine::boot(host)?;
        machine.sh(&format!("mkdir -p /var/lib/docker; {FORGETFUL}"))?;
        let daemon = start_on(&machine, &["--bridge=none"])?;
        Ok(Self {
            machine,
            _daemon: daemon,
        })
    }

    /// The machine.
    pub(crate) fn machine(&self) -> &Machine {
        &self.machine
    }

    /// `docker WORDS`, as a shell reads them; its output.
    pub(crate) fn docker(&self, words: &str) -> Outcome<String> {
        self.machine.sh(&format!("/usr/bin/docker {words}"))
    }

    /// Makes an image that holds these files of this machine, its programs for the most part, and nothing else.
    /// A container of it runs a shell.
    pub(crate) fn image(&self, name: &str, files: &[&str]) -> Outcome {
        let dir = "/tmp/image";
        let files = root_files(dir, files);
        self.machine.sh(&format!(
            "{files}tar -C {dir} -c . | /usr/bin/docker import -c 'CMD [\"/bin/sh\"]' - {name}\nrm -r {dir}\n"
        ))?;
        Ok(())
    }

    /// The network of a running container, and the name that it has there.
    pub(crate) fn container(&self, lab: &Lab, name: &str) -> Outcome<(Host, String)> {
        let said = self.docker(&format!(
            "inspect -f '{{{{.State.Pid}}}} {{{{.Config.Hostname}}}}' {name}"
        ))?;
        let (pid, hostname) = said.trim().split_once(' ').ok_or("docker inspect")?;
        let path = self.machine.path(&format!("/proc/{pid}/ns/net"))?;
        Ok((Host::behind(lab, name, &path)?, hostname.to_owned()))
    }

    /// Puts the vipd under test at `path` of the machine.
    pub(crate) fn copy_vipd(&self, path: &str) -> Outcome {
        self.machine
            .sh(&format!("cp {} {path}", vipd_path()))
            .map(drop)
    }
}
