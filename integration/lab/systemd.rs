//! systemd on a [`Machine`]. It starts nothing but its journal and what the case asks for.

use std::ops::Deref;
use std::path::Path;
use std::time::Duration;

use super::check::{Failure, Outcome, wait_until};
use super::machine::Machine;
use super::net::Host;

/// It takes 3 s on a quiet machine.
const BOOT_LIMIT: Duration = Duration::from_secs(120);

/// No unit but systemd's own is wanted by anything, and nothing is mounted.
const BOOT: &str = r"
mount -t cgroup2 cgroup2 sys/fs/cgroup
rm -rf lib/systemd/system/*.wants lib/systemd/system-generators/* etc/systemd/system/* etc/fstab
cat > etc/systemd/system/lab.target <<END
[Unit]
DefaultDependencies=no
Wants=systemd-journald.service
END
echo 0123456789abcdef0123456789abcdef > etc/machine-id
exec env -i container=lab PATH=$PATH /lib/systemd/systemd --system --unit=lab.target --log-target=journal --show-status=no
";

/// A machine with a running systemd.
pub(crate) struct Systemd(Machine);

impl Deref for Systemd {
    type Target = Machine;

    fn deref(&self) -> &Machine {
        &self.0
    }
}

impl Systemd {
    /// Boots it on `host`, with nothing installed.
    pub(crate) fn boot(host: &Host) -> Outcome<Self> {
        if !Path::new("/lib/systemd/systemd").exists() {
            return Err(Failure::skipped(
                "systemd is not installed; run scripts/lib/install systemd",
            ));
        }
        let systemd = Self(Machine::boot_with(host, &["--cgroup"], BOOT)?);
        wait_until("systemd has booted", BOOT_LIMIT, || {
            // Before it is there, there may be nothing to enter.
            let active = systemd.try_run(&["systemctl", "is-active", "lab.target"]);
            Ok(active.is_ok_and(|done| done.code == Some(0)))
        })?;
        Ok(systemd)
    }

    /// Installs a package, and systemd reads its units.
    pub(crate) fn install(&self, package: &str) -> Outcome {
        self.0.install(package)?;
        self.run(&["systemctl", "daemon-reload"]).map(drop)
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
