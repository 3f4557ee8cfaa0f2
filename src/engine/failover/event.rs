//! What the failover engine tells the log. Phrases that monitors look for are keepalived's.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::fact::{FactKind, FactName, FactValue};
use crate::net::{Channel, Cidr, InterfaceName, MacAddr};
use crate::track::ScriptEnd;
use crate::vrrp::{Note, Reason, Rejection, State};

use super::SessionEvent;

/// One line for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An instance changed its state.
    State {
        /// Its name.
        instance: String,
        /// The state left.
        from: State,
        /// The state entered.
        to: State,
        /// Why.
        reason: Reason,
    },
    /// Something about an instance.
    Note {
        /// Its name.
        instance: String,
        /// What.
        note: Note,
    },
    /// An advert was dropped, for the first time in this state.
    Rejected {
        /// Whose.
        instance: String,
        /// Who sent it.
        source: IpAddr,
        /// Why.
        rejection: Rejection,
    },
    /// A packet of protocol 112 is malformed; told once for each interface.
    BadPacket {
        /// Where it came in.
        channel: Channel,
        /// Who sent it.
        source: IpAddr,
    },
    /// An advert of a VRID that no instance here has; told once for each.
    UnknownVrid {
        /// Where it came in.
        channel: Channel,
        /// Which.
        vrid: u8,
        /// Who sent it.
        source: IpAddr,
    },
    /// A master names other addresses than we have.
    OtherAddresses {
        /// The instance.
        instance: String,
        /// The master.
        source: IpAddr,
        /// How many different ones we have.
        ours: usize,
        /// How many it names.
        theirs: usize,
    },
    /// A script's fact changed.
    Script {
        /// Its name.
        name: String,
        /// What holds now.
        to: FactValue,
        /// The run that decided it.
        by: ScriptEnd,
    },
    /// What a tracker outside the engine knows changed.
    Fact {
        /// Which tracker.
        name: FactName,
        /// What holds now.
        value: FactValue,
    },
    /// A tracker did not say anything in time, and counts as failing.
    FactMissing {
        /// Which.
        name: FactName,
    },
    /// A sync group changed its state: all its members are in it now.
    Group {
        /// Its name.
        group: String,
        /// The state left.
        from: State,
        /// The state entered.
        to: State,
    },
    /// A link went up or down.
    Link {
        /// Its name.
        name: InterfaceName,
        /// Which.
        up: bool,
    },
    /// A link of ours could not be made.
    LinkFailed {
        /// Which, and why.
        error: String,
    },
    /// A link disappeared.
    LinkGone {
        /// Its name.
        name: InterfaceName,
    },
    /// An address could not be set or removed.
    AddressFailed {
        /// The operation and why it failed.
        error: String,
    },
    /// Somebody else removed an address that we hold.
    AddressTaken {
        /// Whose.
        instance: String,
        /// Which.
        cidr: Cidr,
        /// It is not put back any more.
        too_often: bool,
    },
    /// An address of a master went because vipd did not run for as long as `vip_lease`.
    LeaseOver {
        /// Whose.
        instance: String,
        /// Which.
        cidr: Cidr,
    },
    /// Another host has an address that was claimed because nobody was heard.
    HeldElsewhere {
        /// Whose address it is here.
        instance: String,
        /// Which.
        address: IpAddr,
        /// Where the other one is.
        mac: MacAddr,
        /// On which link.
        interface: Option<InterfaceName>,
    },
    /// Somebody else removed a route or a rule.
    RoutingTaken {
        /// Whose; nobody's when it is static.
        instance: Option<String>,
        /// Which.
        what: String,
        /// It is not put back at once.
        too_often: bool,
    },
    /// An instance left with a reload.
    InstanceGone {
        /// Its name.
        instance: String,
    },
    /// About a BFD session.
    Session(SessionEvent),
    /// VIPs are claimed although IPVS is not programmed.
    IpvsNotReady,
    /// The election begins later here.
    StartDelayed(Duration),
}

impl Event {
    /// Whether a person should look at it.
    pub fn is_warning(&self) -> bool {
        match self {
            Event::Rejected { .. }
            | Event::BadPacket { .. }
            | Event::UnknownVrid { .. }
            | Event::OtherAddresses { .. }
            | Event::LinkGone { .. }
            | Event::LinkFailed { .. }
            | Event::AddressFailed { .. }
            | Event::AddressTaken { .. }
            | Event::LeaseOver { .. }
            | Event::HeldElsewhere { .. }
            | Event::RoutingTaken { .. }
            | Event::FactMissing { .. }
            | Event::IpvsNotReady => true,
            Event::Session(event) => event.is_warning(),
            Event::State { to, .. } | Event::Group { to, .. } => *to == State::Fault,
            Event::Fact { value, .. } => *value == FactValue::Down,
            Event::Script { to, .. } => *to == FactValue::Down,
            Event::Link { up, .. } => !up,
            Event::Note { .. } | Event::InstanceGone { .. } | Event::StartDelayed(_) => false,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::State {
                instance,
                from: State::Init,
                to: State::Backup,
                reason,
            } => {
                write!(f, "({instance}) Entering BACKUP STATE (init): {reason}")
            }
            Event::State {
                instance,
                to,
                reason,
                ..
            } => {
                write!(f, "({instance}) Entering {to} STATE: {reason}")
            }
            Event::Note { instance, note } => write!(f, "({instance}) {note}"),
            Event::Rejected {
                instance,
                source,
                rejection,
            } => {
                write!(
                    f,
                    "({instance}) advert from {source} is ignored: {rejection}"
                )
            }
            Event::BadPacket { channel, source } => {
                write!(f, "packet from {source}")?;
                if let Some(interface) = channel.interface {
                    write!(f, " on interface {interface}")?;
                }
                f.write_str(" is ignored: it is no VRRP message of any virtual router")
            }
            Event::UnknownVrid {
                channel,
                vrid,
                source,
            } => {
                write!(f, "Unknown VRID({vrid}) received from {source}")?;
                match channel.interface {
                    Some(interface) => write!(f, " on interface {interface}. ignoring..."),
                    None => f.write_str(". ignoring..."),
                }
            }
            Event::OtherAddresses {
                instance,
                source,
                ours,
                theirs,
            } => write!(
                f,
                "({instance}) {source} advertises {theirs} addresses, we have {ours}, and they are not the \
                 same: make virtual_ipaddress the same on both"
            ),
            Event::Script {
                name,
                to: FactValue::Up,
                ..
            } => {
                write!(f, "VRRP_Script({name}) succeeded")
            }
            Event::Script { name, by, .. } => write!(f, "VRRP_Script({name}) failed ({by})"),
            Event::Fact { name, value } => fact(f, name, *value),
            Event::FactMissing { name } => write!(
                f,
                "nothing is known of {name} after {} s: it is not waited for",
                super::FACTS_WAIT_MAX.as_secs()
            ),
            Event::Group { group, to, .. } => {
                write!(f, "VRRP_Group({group}) Syncing instances to {to} state")
            }
            Event::Link { name, up: true } => write!(f, "interface {name} is up"),
            Event::Link { name, up: false } => write!(f, "interface {name} is down"),
            Event::LinkGone { name } => write!(f, "interface {name} is gone"),
            Event::LinkFailed { error } => write!(f, "{error}; it is tried again"),
            Event::AddressFailed { error } => f.write_str(error),
            Event::AddressTaken {
                instance,
                cidr,
                too_often: false,
            } => {
                write!(
                    f,
                    "({instance}) address {cidr} was removed by somebody else: it is put back"
                )
            }
            Event::AddressTaken {
                instance,
                cidr,
                too_often: true,
            } => write!(
                f,
                "({instance}) address {cidr} was removed by somebody else again and again: \
                 find out who manages addresses on this host beside vipd"
            ),
            Event::HeldElsewhere {
                instance,
                address,
                mac,
                interface,
            } => {
                write!(
                    f,
                    "({instance}) another host has {address}, too: it is at {mac}"
                )?;
                if let Some(interface) = interface {
                    write!(f, " on interface {interface}")?;
                }
                f.write_str(
                    ", and no advert of it is heard: find that host and take the address away there, or let \
                     VRRP through",
                )
            }
            Event::LeaseOver { instance, cidr } => write!(
                f,
                "({instance}) vipd did not run for as long as vip_lease, and the kernel has removed {cidr}: \
                 it is set again unless somebody else is master now"
            ),
            Event::RoutingTaken {
                instance,
                what,
                too_often,
            } => {
                let whose = instance.as_deref().unwrap_or("static");
                write!(f, "({whose}) {what} was removed by somebody else")?;
                f.write_str(if *too_often {
                    " again and again: find out who manages routes on this host beside vipd"
                } else {
                    ": it is put back"
                })
            }
            Event::InstanceGone { instance } => write!(f, "({instance}) left the configuration"),
            Event::Session(event) => event.fmt(f),
            Event::StartDelayed(delay) => write!(
                f,
                "Delaying startup for {:.3} s: nobody is listened to, nothing is sent",
                delay.as_secs_f64()
            ),
            Event::IpvsNotReady => write!(
                f,
                "IPVS is not programmed after {} s: VIPs are claimed without it",
                super::IPVS_WAIT_MAX.as_secs()
            ),
        }
    }
}

fn fact(f: &mut fmt::Formatter<'_>, name: &FactName, value: FactValue) -> fmt::Result {
    let up = value == FactValue::Up;
    match (name.kind, value) {
        (_, FactValue::Unknown) => write!(f, "nothing is known of {name} any more"),
        (FactKind::Linkbeat, _) => {
            let state = if up { "up" } else { "down" };
            write!(f, "Linkbeat reports {} {state}", name.name)
        }
        (FactKind::Process, _) => {
            let verb = if up { "gained" } else { "lost" };
            write!(f, "Quorum {verb} for tracked process {}", name.name)
        }
        (_, FactValue::Number(number)) => write!(f, "{name} says {number}"),
        (_, FactValue::Up) => write!(f, "{name} is up"),
        (_, FactValue::Down) => write!(f, "{name} is down"),
    }
}
