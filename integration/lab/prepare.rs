//! What this machine must have before a guest boots or a native stage begins.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

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
        ("nginx", "nginx-light"),
        ("exim4", "exim4-daemon-light"),
        ("unbound", "unbound"),
        ("mariadbd", "mariadb-server"),
        ("rsync", "rsync"),
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
    remove_leftovers(target)?;
    build_xstate(target)
}

/// The library that the guest's kernel is started with on processors with AMX; see `xstate.rs`.
const XSTATE: &str = "xstate.so";

fn build_xstate(target: &Path) -> Outcome {
    if !fs::read_to_string("/proc/cpuinfo")?.contains(" amx_tile") {
        return Ok(());
    }
    let source = target.join("xstate.rs");
    fs::write(&source, include_str!("xstate.rs"))?;
    let library = target.join(XSTATE);
    // Not in its place before it is whole: another run may be starting its guests.
    let made = target.join(format!("{XSTATE}.{}", std::process::id()));
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let mut command = Command::new(&rustc);
    command.args(["--edition", "2024", "--crate-type", "cdylib", "-O"]);
    command.args(["-C", "panic=abort", "-C", "strip=symbols", "-o"]);
    let built = command.arg(&made).arg(&source).output().doing(&rustc)?;
    if !built.status.success() {
        let why = String::from_utf8_lossy(&built.stderr).into_owned();
        return Err(format!("{command:?}: {why}").into());
    }
    Ok(fs::rename(&made, &library)?)
}

/// What the guest's kernel is to be started with beside the C library, if anything.
pub(crate) fn preload(target: &Path) -> Option<PathBuf> {
    Some(target.join(XSTATE)).filter(|library| library.is_file())
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
