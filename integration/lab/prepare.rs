//! What this machine must have before a guest boots or a native stage begins.

use std::fs;
use std::path::{Path, PathBuf};

use super::check::{Doing, Outcome};
use super::sys;

/// What a guest needs of this machine, or what to do about it.
pub(crate) fn prepare(target: &Path) -> Outcome {
    let tools = [
        ("linux.uml", "user-mode-linux"),
        ("modprobe", "kmod"),
        ("ip", "iproute2"),
        ("ipvsadm", "ipvsadm"),
        ("keepalived", "keepalived"),
        ("ping", "iputils-ping"),
        ("unshare", "util-linux"),
    ];
    let absent: Vec<&str> = tools
        .iter()
        .filter(|(tool, _)| which(tool).is_none())
        .map(|(_, package)| *package)
        .collect();
    if !absent.is_empty() {
        let list = absent.join(" ");
        return Err(format!("not installed: {list}; run scripts/lib/install {list}").into());
    }
    // The guest mounts its modules there, and cannot make a directory on a read-only root.
    fs::create_dir_all("/lib/modules")
        .doing("make /lib/modules (as root: mkdir -p /lib/modules)")?;
    fs::create_dir_all(target).doing(target.display())?;
    let awkward = |c: char| c.is_whitespace() || c == ',' || c == '"';
    if target.display().to_string().contains(awkward) {
        let target = target.display();
        return Err(format!("the kernel's command line cannot hold the path {target}").into());
    }
    remove_leftovers(target)
}

/// Where a program is.
pub(crate) fn which(tool: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let dirs = path
        .split(':')
        .chain(["/usr/sbin", "/sbin", "/usr/bin"])
        .map(Path::new);
    dirs.map(|dir| dir.join(tool)).find(|file| file.is_file())
}

/// Removes the directories of runs whose process is gone.
fn remove_leftovers(target: &Path) -> Outcome {
    for entry in fs::read_dir(target)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name
            .strip_prefix("guest-")
            .and_then(|rest| rest.split('-').next());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            fs::remove_dir_all(entry.path()).doing(entry.path().display())?;
        }
    }
    Ok(())
}

/// Where the guest's memory file fits and may be executed; containers often have a tiny /dev/shm.
pub(crate) fn memory_dir(memory_mb: u32, dir: &Path) -> PathBuf {
    let wanted = u64::from(memory_mb) << 20;
    let fits =
        |path: &&Path| sys::free_executable_space(path).is_ok_and(|free| free >= Some(wanted));
    let places = ["/dev/shm", "/tmp", "/var/tmp"].map(Path::new);
    places
        .iter()
        .copied()
        .find(|place| fits(place))
        .unwrap_or(dir)
        .to_owned()
}
