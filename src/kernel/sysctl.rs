//! Settings of interfaces under /proc/sys/net, of the network namespace that the thread is in.

use std::path::PathBuf;

use crate::errno::Words;
use crate::net::{InterfaceName, Sysctl};

/// In place of an interface: a setting of the family. No interface can have this name.
pub const ALL_OF_FAMILY: &str = ".";

fn path(family: &str, interface: &str, key: &str) -> PathBuf {
    let mut path = PathBuf::from("/proc/sys/net");
    match interface {
        ALL_OF_FAMILY => path.extend([family, key]),
        _ => path.extend([family, "conf", interface, key]),
    }
    path
}

/// Reads a setting by its name; `None` where there is none.
pub fn read(key: &Sysctl) -> Option<String> {
    let text = std::fs::read_to_string(PathBuf::from("/proc/sys").join(key.path())).ok()?;
    Some(text.trim().to_owned())
}

/// Writes a setting by its name.
///
/// # Errors
/// In words.
pub fn write(key: &Sysctl, value: &str) -> Result<(), String> {
    std::fs::write(PathBuf::from("/proc/sys").join(key.path()), value)
        .map_err(|error| format!("set {key} to {value}: {}", Words(&error)))
}

/// Reads one; `None` where there is none.
pub fn get(family: &str, interface: &str, key: &str) -> Option<String> {
    let text = std::fs::read_to_string(path(family, interface, key)).ok()?;
    Some(text.trim().to_owned())
}

/// Writes one, even if it has that value: a value of `default` that is written later is copied to every
/// interface for which nobody has written one. A kernel without IPv6 has none of that family: no failure.
///
/// # Errors
/// In words.
pub fn set(family: &str, interface: &InterfaceName, key: &str, value: &str) -> Result<(), String> {
    set_of(family, interface.as_str(), key, value)
}

/// As [`set`], for `all` and `default` too.
///
/// # Errors
/// In words.
pub fn set_of(family: &str, interface: &str, key: &str, value: &str) -> Result<(), String> {
    if family == "ipv6" && get(family, interface, key).is_none() {
        return Ok(());
    }
    std::fs::write(path(family, interface, key), value).map_err(|error| {
        format!(
            "set {} to {value}: {}",
            path(family, interface, key).display(),
            Words(&error)
        )
    })
}
