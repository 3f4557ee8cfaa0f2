//! What Docker would make: network namespaces on one bridge of the machine, the processes of each in
//! a control group of its own, so that all of them can be frozen at once.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::must_run;
use crate::lab::check::{Doing, Outcome, wait_until};
use crate::lab::net::Host;
use crate::lab::process::Process;
use crate::lab::{sys, sys::MountKind};

const FREEZER: &str = "/run/freezer";
const HOSTS: &str = "/run/hosts";
const LIMIT: Duration = Duration::from_secs(20);

/// The network that `docker network create --subnet 172.18.0.0/16 net1` would make.
pub(super) struct Bridge {
    machine: Host,
}

impl Bridge {
    /// A bridge on `machine`, which is the gateway of everything on it.
    pub(super) fn new(machine: &Host) -> Outcome<Self> {
        machine.ip("link add net1 type bridge\n\
             addr add 172.18.0.1/16 dev net1\n\
             link set net1 up\n")?;
        Ok(Self {
            machine: machine.clone(),
        })
    }

    /// Gives `host` an `eth0` with `address` on this network.
    pub(super) fn plug(&self, host: &Host, address: &str) -> Outcome {
        let name = host.name();
        self.machine.ip(&format!(
            "link add veth-{name} type veth peer name eth0 netns {name}\n\
             link set veth-{name} master net1 up\n"
        ))?;
        host.ip(&format!(
            "addr add {address}/16 dev eth0\n\
             link set eth0 up\n\
             route add default via 172.18.0.1\n"
        ))
    }

    /// Takes the `eth0` of `host` away, as the death of its container does.
    pub(super) fn unplug(&self, host: &Host) -> Outcome {
        self.machine.ip(&format!("link del veth-{}\n", host.name()))
    }
}

/// A container: its network, and a list of programs that run in it.
pub(super) struct Container {
    pub(super) host: Host,
    address: &'static str,
    group: PathBuf,
    programs: Vec<(String, Vec<String>)>,
    running: Vec<Process>,
}

impl Container {
    /// Made but not started; `programs` are a name and a command line each.
    pub(super) fn new(
        host: Host,
        address: &'static str,
        programs: Vec<(String, Vec<String>)>,
    ) -> Outcome<Self> {
        let group = Path::new(FREEZER).join(host.name());
        fs::create_dir_all(&group).doing(group.display())?;
        Ok(Self {
            host,
            address,
            group,
            programs,
            running: Vec::new(),
        })
    }

    /// `docker start`.
    pub(super) fn start(&mut self, bridge: &Bridge) -> Outcome {
        bridge.plug(&self.host, self.address)?;
        let group = self.group.join("cgroup.procs").display().to_string();
        for (name, command) in &self.programs {
            // The shell joins the group before it becomes the program: no child is ever outside.
            let join = ["/bin/sh", "-ec", "echo $$ >\"$0\"; exec \"$@\"", &group];
            let command: Vec<&str> = command.iter().map(String::as_str).collect();
            self.running
                .push(self.host.spawn(name, &[&join[..], &command].concat())?);
        }
        Ok(())
    }

    /// An error if one of its programs has ended.
    pub(super) fn check(&mut self) -> Outcome {
        for ((name, _), process) in self.programs.iter().zip(&mut self.running) {
            must_run(&format!("{name} on {}", self.host.name()), process)?;
        }
        Ok(())
    }

    /// `docker pause`: no process of it runs any more, its network stays.
    pub(super) fn pause(&self) -> Outcome {
        self.become_state("FROZEN")
    }

    /// `docker unpause`.
    pub(super) fn unpause(&self) -> Outcome {
        self.become_state("THAWED")
    }

    fn become_state(&self, state: &str) -> Outcome {
        let file = self.group.join("freezer.state");
        fs::write(&file, state).doing(format!("{state} to {}", file.display()))?;
        wait_until(format!("{} is {state}", self.host.name()), LIMIT, || {
            Ok(fs::read_to_string(&file)?.trim() == state)
        })
        .map(drop)
    }

    /// `docker kill`: every process dies at once, and its network is gone.
    pub(super) fn kill(&mut self, bridge: &Bridge) -> Outcome {
        // Signalled while frozen, none of them sees another die and acts on it.
        self.pause()?;
        for pid in fs::read_to_string(self.group.join("cgroup.procs"))?.lines() {
            let pid = pid.parse().doing(format!("the process id {pid}"))?;
            sys::kill(pid, libc::SIGKILL).doing(format!("kill {pid}"))?;
        }
        self.unpause()?;
        bridge.unplug(&self.host)?;
        for process in &mut self.running {
            process.wait(LIMIT)?;
        }
        self.running.clear();
        Ok(())
    }
}

/// Makes the freezer of this kernel usable, and the name of the machine known, as Docker does in
/// every container: keepalived asks for it when it starts, and would wait for a name server.
pub(super) fn prepare() -> Outcome {
    fs::create_dir_all(FREEZER)?;
    sys::mount(
        "freezer",
        Path::new(FREEZER),
        MountKind::Fs("cgroup", "freezer"),
    )?;
    let name = fs::read_to_string("/proc/sys/kernel/hostname")?;
    fs::write(HOSTS, format!("127.0.0.1 localhost {name}"))?;
    Ok(sys::mount(HOSTS, Path::new("/etc/hosts"), MountKind::Bind)?)
}
