//! What keepalived writes when a signal asks for it, in its shapes, for programs that read those files:
//! SIGUSR1 the state, SIGUSR2 the counters, SIGRTMIN+2 both as JSON.

mod json;
mod state;
mod stats;

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::config::model::VirtualAddress;
use crate::engine::failover::{InstanceView, View};

use super::desk::epoch;

/// SIGRTMIN+2 where the C library is glibc's; others count their own signals differently, and whoever
/// sends it has the number.
pub const SIGNAL_JSON: i32 = 36;
/// SIGRTMAX-1.
pub const SIGNAL_STATS_CLEAR: i32 = 63;

/// Which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dump {
    /// `keepalived.data`.
    State,
    /// `keepalived.stats`.
    Stats,
    /// The same, and its counters begin at 0 again.
    StatsClear,
    /// `keepalived.json`.
    Json,
}

/// Names of functions, as `--signum` takes them, and their signals.
pub const SIGNUMS: [(&str, i32); 6] = [
    ("STOP", 15),
    ("RELOAD", 1),
    ("DATA", 10),
    ("STATS", 12),
    ("STATS_CLEAR", SIGNAL_STATS_CLEAR),
    ("JSON", SIGNAL_JSON),
];

/// Where they are unless the configuration says otherwise.
const DIRECTORY: &str = "/tmp";

/// Where a dump goes, and with which mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    path: PathBuf,
    mode: u32,
}

impl Place {
    /// By `state_dump_file` and the like, `data_use_instance` and `umask`.
    pub fn of(dump: Dump, config: &Config) -> Place {
        let outputs = &config.globals.outputs;
        let instance = config.globals.node.instance.as_ref();
        let instance = instance.filter(|_| outputs.data_use_instance);
        let (said, default) = match (dump, instance) {
            (Dump::State, Some(name)) => {
                (&outputs.state_dump_file, format!("keepalived.{name}.data"))
            }
            (Dump::State, None) => (&outputs.state_dump_file, "keepalived.data".to_owned()),
            (Dump::Stats | Dump::StatsClear, _) => {
                (&outputs.stats_dump_file, "keepalived.stats".to_owned())
            }
            (Dump::Json, _) => (&outputs.json_dump_file, "keepalived.json".to_owned()),
        };
        let default = || Path::new(DIRECTORY).join(default);
        Place {
            path: said.as_ref().map_or_else(default, PathBuf::from),
            mode: 0o666 & !outputs.umask.unwrap_or(0o177),
        }
    }

    /// A file of its own.
    pub fn at(path: PathBuf, mode: u32) -> Place {
        Place { path, mode }
    }

    /// Writes it so that nobody reads half of it: beside its place, in a file that nobody else has made, and
    /// renamed. A link in its place is replaced, not followed. Others may write where it is (/tmp): what
    /// they put there beforehand is not opened.
    ///
    /// # Errors
    /// What was tried and why it failed.
    pub fn write(&self, text: &str) -> Result<(), String> {
        let mut beside = self.path.as_os_str().to_owned();
        beside.push(format!(".{}", std::process::id()));
        let beside = PathBuf::from(beside);
        // Removing a link removes the link.
        let _ = std::fs::remove_file(&beside);
        let written = self.write_beside(&beside, text);
        let placed = written.and_then(|()| std::fs::rename(&beside, &self.path));
        placed.map_err(|error| {
            let _ = std::fs::remove_file(&beside);
            format!(
                "write {}: {}",
                self.path.display(),
                crate::errno::Words(&error)
            )
        })
    }

    fn write_beside(&self, beside: &Path, text: &str) -> io::Result<()> {
        // O_EXCL: it is ours, and no link.
        let mut file: File = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(beside)?;
        file.set_permissions(std::fs::Permissions::from_mode(self.mode))?;
        file.write_all(text.as_bytes())
    }
}

/// The text of a dump.
pub fn text(dump: Dump, config: &Config, view: &View) -> String {
    match dump {
        Dump::State => state::text(view),
        Dump::Stats | Dump::StatsClear => stats::text(view),
        Dump::Json => json::text(config, view),
    }
}

/// Those that keepalived would show.
fn instances(view: &View) -> impl Iterator<Item = &InstanceView> {
    view.instances.iter().filter(|instance| !instance.departed)
}

/// keepalived's words for an address: `192.0.2.100/24 dev eth0 scope global label eth0:v set`.
fn address(instance: &InstanceView, vip: &VirtualAddress, held: bool) -> String {
    let cidr = vip.cidr.to_string();
    let host = cidr.strip_suffix("/32").or(cidr.strip_suffix("/128"));
    let mut text = host.unwrap_or(&cidr).to_owned();
    let on = vip
        .vmac
        .as_ref()
        .or(vip.dev.as_ref())
        .or(instance.config.interface.as_ref());
    if let Some(on) = on {
        text += &format!(" dev {on}");
    }
    text += " scope ";
    text += match vip.scope {
        0 => "global",
        200 => "site",
        253 => "link",
        254 => "host",
        _ => "nowhere",
    };
    if let Some(label) = &vip.label {
        text += &format!(" label {label}");
    }
    if held {
        text += " set";
    }
    text
}

/// The addresses of adverts, then the others.
fn addresses(instance: &InstanceView) -> (Vec<String>, Vec<String>) {
    let vips = instance.config.all_vips().zip(&instance.held);
    let mut vips: Vec<String> = vips
        .map(|(vip, held)| address(instance, vip, *held))
        .collect();
    let others = vips.split_off(instance.config.vips.len().min(vips.len()));
    (vips, others)
}

/// When it entered its state, in seconds since 1970; 0 before its first change.
fn last_transition(instance: &InstanceView) -> f64 {
    let at = instance.entered.as_ref().map(|entered| epoch(entered.at));
    at.map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests;
