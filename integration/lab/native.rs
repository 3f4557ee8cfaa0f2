//! The native stage: cases on this machine's own kernel, in namespaces of their own.
//!
//! The guest's kernel ticks every 10 ms and is slow; what is about less than that is seen here.
//! `unshare` makes an init process with its own mounts, processes, network, host name and IPC; it runs
//! cases as a guest's init does, and every host of a case is a network namespace under it. Nothing of
//! the machine can be reached from inside but its files, its memory and its two cores. When the init
//! process ends, however it does, the kernel kills what runs under it, and the namespaces, whose names
//! lie in a private /run, are gone with the last process: an interrupted run leaves nothing to find.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use super::check::{Doing, Outcome};
use super::guest::{DIR_WORD, HOST_DIR};
use super::sys::{self, MountKind};

/// The variable that says which namespace of processes the host is in, and that this is the native stage.
const OUTSIDE_WORD: &str = "vipd_lab_outside";

/// The variable that says that the processes of the machine are seen.
const BESIDE_WORD: &str = "vipd_lab_beside";

/// A command that is the init process of a native stage; `runner` is this program.
pub(crate) fn command(runner: &Path, dir: &Path) -> Outcome<Command> {
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "--net",
        "--pid",
        "--ipc",
        "--uts",
        "--fork",
        "--kill-child=KILL",
        "--",
    ]);
    command.arg(runner);
    command.env(DIR_WORD, dir);
    command.env(OUTSIDE_WORD, process_namespace()?.to_string());
    Ok(command)
}

/// The same, but for the processes: they are the machine's, because the kernel tells nobody else of them. The
/// machine's network is there too, for a daemon to begin in; nothing there may be changed.
pub(crate) fn command_beside(runner: &Path, dir: &Path) -> Outcome<Command> {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--ipc", "--uts", "--"]);
    command.arg(runner).arg("--role=beside");
    command.env(DIR_WORD, dir);
    command.env(OUTSIDE_WORD, process_namespace()?.to_string());
    command.env(BESIDE_WORD, "1");
    Ok(command)
}

/// Whether this process is part of that stage.
pub(crate) fn is_beside() -> bool {
    std::env::var_os(BESIDE_WORD).is_some()
}

/// Whether this process is part of a native stage.
pub(crate) fn is_native() -> bool {
    std::env::var_os(OUTSIDE_WORD).is_some()
}

/// An error unless this process is in a namespace of processes of its own: whoever kills everything that
/// it sees must see nothing of the machine.
pub(crate) fn ensure_inside() -> Outcome {
    let outside = std::env::var(OUTSIDE_WORD).doing(OUTSIDE_WORD)?;
    if outside == process_namespace()?.to_string() {
        return Err("refusing to go on: this is the machine's own namespace of processes".into());
    }
    Ok(())
}

fn process_namespace() -> Outcome<u64> {
    Ok(fs::metadata("/proc/self/ns/pid")?.ino())
}

/// What the first process of a native stage does first: everything that cases write to becomes its own.
pub(crate) fn set_up() -> Outcome {
    let shared = std::env::var(DIR_WORD).doing("the host's directory")?;
    let at =
        |path: &str, fs, options| sys::mount("lab", Path::new(path), MountKind::Fs(fs, options));
    if is_beside() {
        sys::adopt_orphans()?;
    } else {
        at("/proc", "proc", "")?;
        ensure_inside()?;
    }
    at("/run", "tmpfs", "mode=0755")?;
    fs::create_dir_all(HOST_DIR)?;
    // Before /tmp is hidden: the directory may lie under it.
    sys::mount(&shared, Path::new(HOST_DIR), MountKind::Bind)?;
    at("/tmp", "tmpfs", "mode=1777")?;
    if !is_beside() {
        at("/sys", "sysfs", "ro")?;
    }
    for dir in ["/run/netns", "/run/lock", "/run/lab"] {
        fs::create_dir_all(dir).doing(dir)?;
    }
    fs::write("/proc/sys/kernel/hostname", "native")?;
    Ok(())
}
