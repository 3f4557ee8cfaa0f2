//! Settings of interfaces under /proc/sys/net, of the network namespace that the thread is in.

use std::path::PathBuf;

use crate::errno::Words;
use crate::net::InterfaceName;

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

fn vs_path(key: &str) -> PathBuf {
    PathBuf::from("/proc/sys/net/ipv4/vs").join(key)
}

/// Reads a setting of IPVS, by its name under net.ipv4.vs; `None` where there is none.
pub fn get_vs(key: &str) -> Option<String> {
    let text = std::fs::read_to_string(vs_path(key)).ok()?;
    Some(text.trim().to_owned())
}

/// Writes a setting of IPVS.
///
/// # Errors
/// In words.
pub fn set_vs(key: &str, value: &str) -> Result<(), String> {
    std::fs::write(vs_path(key), value)
        .map_err(|error| format!("set net.ipv4.vs.{key} to {value}: {}", Words(&error)))
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
