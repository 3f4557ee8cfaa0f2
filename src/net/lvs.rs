//! Words of IPVS that the configuration and the kernel share.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// What a virtual server forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// IPPROTO_TCP.
    Tcp,
    /// IPPROTO_UDP.
    Udp,
    /// IPPROTO_SCTP.
    Sctp,
}

impl Protocol {
    /// The number in IP headers (IANA protocol numbers).
    pub const fn number(self) -> u8 {
        match self {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
            Protocol::Sctp => 132,
        }
    }

    /// The protocol of a number; `None` for one that IPVS does not forward.
    pub const fn from_number(number: u8) -> Option<Protocol> {
        match number {
            6 => Some(Protocol::Tcp),
            17 => Some(Protocol::Udp),
            132 => Some(Protocol::Sctp),
            _ => None,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        })
    }
}

/// A firewall mark that selects the packets of a virtual server; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct FwMark(std::num::NonZeroU32);

impl FwMark {
    /// `None` for 0.
    pub fn new(mark: u32) -> Option<FwMark> {
        std::num::NonZeroU32::new(mark).map(FwMark)
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for FwMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How packets reach a real server (`lb_kind`, `lvs_method`). Options of tunnels stand beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ForwardingMethod {
    /// NAT: addresses are rewritten, answers come back through the director.
    Masquerading,
    /// The server is on the director itself; the kernel sets it for addresses of its own.
    Local,
    /// TUN: packets are wrapped, answers go straight to the client.
    Tunnel,
    /// DR: only the hardware address changes, answers go straight to the client.
    DirectRoute,
}

/// Name of a scheduler as the kernel has it (`lb_algo`), 1 to 15 bytes. Any name is kept: which exist
/// is the kernel's to say, and it loads `ip_vs_NAME` by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Scheduler(String);

impl Scheduler {
    /// Those that Linux has had so far.
    pub const KNOWN: [&'static str; 14] = [
        "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "fo", "ovf",
        "twos",
    ];

    /// What an omitted `lb_algo` means.
    pub fn wlc() -> Scheduler {
        Scheduler("wlc".to_owned())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Scheduler {
    type Err = ();

    fn from_str(s: &str) -> Result<Scheduler, ()> {
        let fine = (1..=15).contains(&s.len())
            && s.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if fine {
            Ok(Scheduler(s.to_owned()))
        } else {
            Err(())
        }
    }
}

impl fmt::Display for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The three flags that schedulers read their own way: `flag-1` is `sh-fallback` and `mh-fallback`,
/// `flag-2` is `sh-port` and `mh-port` (include/uapi/linux/ip_vs.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SchedulerFlag {
    /// IP_VS_SVC_F_SCHED1.
    One,
    /// IP_VS_SVC_F_SCHED2.
    Two,
    /// IP_VS_SVC_F_SCHED3.
    Three,
}
