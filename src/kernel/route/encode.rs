//! Requests of route netlink (rtnetlink(7), include/uapi/linux/if_addr.h).

use std::fmt;
use std::net::IpAddr;

use neli::consts::nl::NlmF;
use neli::consts::rtnl::{Ifa, IfaF, Ifla, RtAddrFamily, RtScope, Rtm};
use neli::rtnl::{Ifaddrmsg, IfaddrmsgBuilder, Ifinfomsg, IfinfomsgBuilder, Rtattr, RtattrBuilder};
use neli::types::{Buffer, RtBuffer};
use neli::{Size, ToBytes};

use crate::net::{ADDRESS_PROTOCOL, AddressCommand, AddressKey, AddressSpec, Family};

use super::Request;

/// IFA_PROTO (Linux 5.18): who set the address. Kernels before pass unknown attributes over.
pub(super) const IFA_PROTO: u16 = 11;

/// RTEXT_FILTER_SKIP_STATS: counters are not wanted.
const SKIP_STATS: u32 = 1 << 3;

/// IFNAMSIZ, less the NUL.
const LABEL_LIMIT: usize = 15;

/// Why a command has no message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EncodeError {
    /// The kernel takes labels of at most 15 bytes.
    Label(String),
    /// neli could not write it.
    Netlink(String),
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EncodeError::Label(label) => {
                write!(f, "label {label:?} is longer than {LABEL_LIMIT} bytes")
            }
            EncodeError::Netlink(why) => write!(f, "cannot write the message: {why}"),
        }
    }
}

impl std::error::Error for EncodeError {}

/// The message that carries `command` out.
pub(super) fn command(command: &AddressCommand) -> Result<Request<Ifaddrmsg>, EncodeError> {
    match command {
        AddressCommand::Add(key, spec) => Ok(Request {
            kind: Rtm::Newaddr.into(),
            flags: NlmF::CREATE | NlmF::REPLACE,
            payload: address(*key, Some(spec))?,
        }),
        AddressCommand::Delete(key) => Ok(Request {
            kind: Rtm::Deladdr.into(),
            flags: NlmF::empty(),
            payload: address(*key, None)?,
        }),
    }
}

/// RTM_GETLINK for all.
pub(super) fn link_question() -> Result<Ifinfomsg, EncodeError> {
    let mut attributes = RtBuffer::new();
    attributes.push(attribute(Ifla::ExtMask, SKIP_STATS)?);
    IfinfomsgBuilder::default()
        .ifi_family(RtAddrFamily::Unspecified)
        .rtattrs(attributes)
        .build()
        .map_err(|e| EncodeError::Netlink(e.to_string()))
}

/// RTM_GETADDR for all.
pub(super) fn address_question() -> Result<Ifaddrmsg, EncodeError> {
    IfaddrmsgBuilder::default()
        .ifa_family(RtAddrFamily::Unspecified)
        .ifa_prefixlen(0)
        .ifa_scope(RtScope::Universe)
        .ifa_index(0)
        .build()
        .map_err(|e| EncodeError::Netlink(e.to_string()))
}

fn address(key: AddressKey, spec: Option<&AddressSpec>) -> Result<Ifaddrmsg, EncodeError> {
    let mut attributes = RtBuffer::new();
    match key.cidr.addr() {
        IpAddr::V4(v4) => {
            attributes.push(attribute(Ifa::Local, v4.octets())?);
            attributes.push(attribute(Ifa::Address, v4.octets())?);
        }
        IpAddr::V6(v6) => {
            attributes.push(attribute(Ifa::Local, v6.octets())?);
            attributes.push(attribute(Ifa::Address, v6.octets())?);
        }
    }
    let mut flags = IfaF::empty();
    if let Some(spec) = spec {
        if let (Some(broadcast), Family::V4) = (spec.broadcast, key.cidr.family()) {
            attributes.push(attribute(Ifa::Broadcast, broadcast.octets())?);
        }
        if let Some(label) = &spec.label {
            if label.len() > LABEL_LIMIT {
                return Err(EncodeError::Label(label.clone()));
            }
            attributes.push(attribute(Ifa::Label, label.as_str())?);
        }
        if spec.no_dad {
            // It fits into the 8 bits of the header, which every kernel reads.
            flags = IfaF::NODAD;
        }
        attributes.push(attribute(Ifa::from(IFA_PROTO), ADDRESS_PROTOCOL)?);
    }
    IfaddrmsgBuilder::default()
        .ifa_family(match key.cidr.family() {
            Family::V4 => RtAddrFamily::Inet,
            Family::V6 => RtAddrFamily::Inet6,
        })
        .ifa_prefixlen(key.cidr.prefix())
        .ifa_flags(flags)
        .ifa_scope(RtScope::from(spec.map_or(0, |s| s.scope)))
        .ifa_index(key.interface.get())
        .rtattrs(attributes)
        .build()
        .map_err(|e| EncodeError::Netlink(e.to_string()))
}

fn attribute<T, P>(kind: T, payload: P) -> Result<Rtattr<T, Buffer>, EncodeError>
where
    T: neli::consts::rtnl::RtaType,
    P: Size + ToBytes,
{
    RtattrBuilder::default()
        .rta_type(kind)
        .rta_payload(payload)
        .build()
        .map_err(|e| EncodeError::Netlink(e.to_string()))
}
