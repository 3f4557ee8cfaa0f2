//! What the daemon is asked to do; the command line fills it in.

use std::path::PathBuf;

use crate::config;

use super::logging;

/// The file that is read when none is named: the first that exists.
pub const DEFAULT_FILES: [&str; 2] = ["/etc/vipd/vipd.conf", "/etc/keepalived/keepalived.conf"];

/// The run directory where none is named.
pub const RUN_DIR: &str = "/run/vipd";

/// What the stand-in for keepalived is called by, and what it calls itself.
pub const STAND_IN: &str = "keepalived";

/// The file that it reads where none is named, and the pid file that it writes.
pub const STAND_IN_FILE: &str = "/etc/keepalived/keepalived.conf";
/// See [`STAND_IN_FILE`].
pub const STAND_IN_PID_FILE: &str = "/run/keepalived.pid";

/// The state directory where none is named.
pub const STATE_DIR: &str = "/var/lib/vipd";

/// Everything that a start may choose.
#[derive(Clone, Debug)]
pub struct Options {
    /// The configuration file; `None`: the first of [`DEFAULT_FILES`] that exists.
    pub file: Option<PathBuf>,
    /// How it is read.
    pub reading: config::Options,
    /// Stay in the foreground.
    pub foreground: bool,
    /// The run directory.
    pub run_dir: PathBuf,
    /// The state directory: what outlives a reboot.
    pub state_dir: PathBuf,
    /// It was named: `net_namespace` and `instance` do not move it.
    pub run_dir_named: bool,
    /// `-s`: the network namespace, whatever the configuration says.
    pub namespace: Option<String>,
    /// Called by the name `keepalived`: files and names of the process and the log are keepalived's.
    pub stand_in: bool,
    /// What runs.
    pub parts: Parts,
    /// `-B`: no BFD sessions; those that are tracked count as down.
    pub without_bfd: bool,
    /// Our pid file; `None`: `vipd.pid` in the run directory.
    pub pid_file: Option<PathBuf>,
    /// Further pid files with the same number.
    pub more_pid_files: Vec<PathBuf>,
    /// On stopping the VIPs stay, and no goodbye is said.
    pub keep_vips: bool,
    /// On stopping the IPVS table stays.
    pub keep_ipvs: bool,
    /// SIGINT does not stop.
    pub ignore_sigint: bool,
    /// `-u`: mode bits that dump files do not get, whatever `umask` says.
    pub umask: Option<u32>,
    /// Where log lines go.
    pub log: logging::Options,
    /// Flags that were given and have no effect.
    pub without_effect: Vec<&'static str>,
}

/// Which parts of a configuration run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parts {
    /// Everything.
    All,
    /// `-P`: no virtual servers.
    Vrrp,
    /// `-C`: no VRRP instances.
    Checks,
}
