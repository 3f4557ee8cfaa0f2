//! What of root's power a script has (capabilities(7)).

use serde::{Serialize, Serializer};

/// Their names without `CAP_`, by number (linux/capability.h).
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// A set of capabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities(u64);

impl Capabilities {
    /// Whatever there is.
    pub const ALL: Capabilities = Capabilities(u64::MAX);
    /// None.
    pub const NONE: Capabilities = Capabilities(0);

    /// With one more, by its name with or without `CAP_`; `None`: there is none of that name.
    pub fn with(self, name: &str) -> Option<Capabilities> {
        let upper = name.to_ascii_uppercase();
        let wanted = upper.strip_prefix("CAP_").unwrap_or(&upper);
        let number = NAMES.iter().position(|known| *known == wanted)?;
        Some(Capabilities(self.0 | 1 << number))
    }

    /// A bit each, by its number.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// What [`Capabilities::bits`] gave.
    pub fn from_bits(bits: u64) -> Capabilities {
        Capabilities(bits)
    }
}

impl Default for Capabilities {
    fn default() -> Capabilities {
        Capabilities::ALL
    }
}

impl Serialize for Capabilities {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if *self == Capabilities::ALL {
            return serializer.serialize_none();
        }
        let names = NAMES.iter().zip(0u32..);
        serializer.collect_seq(
            names
                .filter(|(_, number)| self.0 >> number & 1 == 1)
                .map(|(name, _)| format!("CAP_{name}")),
        )
    }
}
