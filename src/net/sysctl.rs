//! Names of settings of the kernel that concern what this program does; no others can be named.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// Those of an interface, or of `all` and `default` (ip-sysctl.rst of the kernel).
const OF_INTERFACES: &[&str] = &[
    "accept_local",
    "arp_announce",
    "arp_filter",
    "arp_ignore",
    "arp_notify",
    "forwarding",
    "route_localnet",
    "rp_filter",
    "send_redirects",
];

/// A setting under /proc/sys, by its path there: `net/ipv4/ip_forward`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sysctl(String);

impl Sysctl {
    /// One of IPVS, by its name under net.ipv4.vs.
    pub fn of_ipvs(name: &str) -> Sysctl {
        Sysctl(format!("net/ipv4/vs/{name}"))
    }

    /// One of an IPv4 interface.
    pub fn of_interface(interface: &str, name: &str) -> Sysctl {
        Sysctl(format!("net/ipv4/conf/{interface}/{name}"))
    }

    /// net.ipv4.ip_forward.
    pub fn ip_forward() -> Sysctl {
        Sysctl("net/ipv4/ip_forward".to_owned())
    }

    /// net.ipv6.conf.all.forwarding.
    pub fn ipv6_forwarding() -> Sysctl {
        Sysctl("net/ipv6/conf/all/forwarding".to_owned())
    }

    /// Below /proc/sys.
    pub fn path(&self) -> &str {
        &self.0
    }

    /// The same setting of another interface, of one that is an IPv4 interface's.
    pub fn on(&self, other: &str) -> Option<Sysctl> {
        let (_, name) = self.0.strip_prefix("net/ipv4/conf/")?.split_once('/')?;
        Some(Sysctl::of_interface(other, name))
    }
}

/// With dots, as sysctl(8) has it; with slashes where a part has dots of its own.
impl fmt::Display for Sysctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.contains('.') {
            true => f.write_str(&self.0),
            false => f.write_str(&self.0.replace('/', ".")),
        }
    }
}

impl Serialize for Sysctl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// With dots or with slashes.
impl FromStr for Sysctl {
    type Err = String;

    fn from_str(text: &str) -> Result<Sysctl, String> {
        let path = match text.contains('/') {
            true => text.to_owned(),
            false => text.replace('.', "/"),
        };
        let parts: Vec<&str> = path.split('/').collect();
        let plain = |name: &str| {
            let mut bytes = name.bytes();
            !name.is_empty()
                && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        let known = match parts.as_slice() {
            ["net", "ipv4", "ip_forward"] | ["net", "ipv6", "conf", "all", "forwarding"] => true,
            ["net", "ipv4", "vs", name] => plain(name),
            ["net", "ipv4", "conf", interface, name] => {
                OF_INTERFACES.contains(name) && interface.parse::<super::InterfaceName>().is_ok()
            }
            _ => false,
        };
        known.then_some(Sysctl(path)).ok_or_else(|| {
            format!(
                "`{text}` is none of the settings that can be named: net.ipv4.ip_forward, \
                 net.ipv6.conf.all.forwarding, net.ipv4.vs.NAME, net.ipv4.conf.INTERFACE.NAME with {}",
                OF_INTERFACES.join(", ")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_settings_that_concern_it_can_be_named() {
        let path = |text: &str| text.parse().map(|s: Sysctl| s.path().to_owned());
        let same = [
            ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
            ("net.ipv4.vs.conn_reuse_mode", "net/ipv4/vs/conn_reuse_mode"),
            (
                "net/ipv4/conf/eth0.7/arp_ignore",
                "net/ipv4/conf/eth0.7/arp_ignore",
            ),
        ];
        for (text, expected) in same {
            assert_eq!(path(text).as_deref(), Ok(expected));
        }
        for text in [
            "",
            "kernel.core_pattern",
            "net.ipv4.vs.../../kernel/x",
            "net/ipv4/vs/../../../x",
            "net/ipv4/conf/../arp_ignore",
            "net.ipv4.conf.eth0.forward",
        ] {
            assert!(path(text).is_err(), "{text}");
        }
        let dotted: Sysctl = "net/ipv4/conf/eth0.7/arp_ignore".parse().unwrap();
        assert_eq!(dotted.to_string(), "net/ipv4/conf/eth0.7/arp_ignore");
        assert_eq!(Sysctl::ip_forward().to_string(), "net.ipv4.ip_forward");
        assert_eq!(
            dotted.on("all"),
            Some(Sysctl::of_interface("all", "arp_ignore"))
        );
    }
}
