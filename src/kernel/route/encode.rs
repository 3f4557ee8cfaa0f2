//! Requests of route netlink (rtnetlink(7), include/uapi/linux/if_addr.h).

use std::fmt;
use std::net::IpAddr;

use neli::consts::nl::NlmF;
use neli::consts::rtnl::Rtm;
use neli::types::Buffer;

use crate::net::{
    ADDRESS_PROTOCOL, AddressCommand, AddressKey, AddressSpec, Family, LinkCommand, NetCommand,
};

use super::Request;
use super::encode_route::{route_command, rule_command};
use super::write::Payload;

/// IFA_* (include/uapi/linux/if_addr.h).
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;
const IFA_BROADCAST: u16 = 4;
/// IFA_PROTO (Linux 5.18): who set the address. Kernels before pass unknown attributes over.
pub(super) const IFA_PROTO: u16 = 11;

const IFA_CACHEINFO: u16 = 6;
const IFA_FLAGS: u16 = 8;

/// IFA_F_*; those that fit into the 8 bits of the header go there too, which every kernel reads.
pub(super) const NODAD: u32 = 0x2;
pub(super) const HOMEADDRESS: u32 = 0x10;
pub(super) const MANAGETEMPADDR: u32 = 0x100;
pub(super) const NOPREFIXROUTE: u32 = 0x200;
pub(super) const MCAUTOJOIN: u32 = 0x400;

/// INFINITY_LIFE_TIME.
pub(super) const FOR_EVER: u32 = u32::MAX;

/// IFLA_AF_SPEC, AF_INET in it, IFLA_INET_CONF in that, and in that IPV4_DEVCONF_PROMOTE_SECONDARIES
/// (include/uapi/linux/ip.h).
const IFLA_AF_SPEC: u16 = 26;
pub(super) const IFLA_INET_CONF: u16 = 1;
pub(super) const PROMOTE_SECONDARIES: u16 = 20;
/// NLA_F_NESTED.
pub(super) const NESTED: u16 = 1 << 15;

/// IFLA_EXT_MASK, and RTEXT_FILTER_SKIP_STATS in it: counters are not wanted.
const IFLA_EXT_MASK: u16 = 29;
const SKIP_STATS: u32 = 1 << 3;

/// AF_*.
pub(super) const AF_INET: u8 = 2;
pub(super) const AF_INET6: u8 = 10;

/// IFNAMSIZ, less the NUL.
const LABEL_LIMIT: usize = 15;

/// Why a command has no message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EncodeError {
    /// The kernel takes labels of at most 15 bytes.
    Label(String),
    /// An attribute is longer than 65535 bytes.
    TooLong,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EncodeError::Label(label) => {
                write!(f, "label {label:?} is longer than {LABEL_LIMIT} bytes")
            }
            EncodeError::TooLong => f.write_str("an attribute is longer than 65535 bytes"),
        }
    }
}

impl std::error::Error for EncodeError {}

/// The message that carries `command` out.
pub(super) fn command(command: &NetCommand) -> Result<Request<Buffer>, EncodeError> {
    match command {
        NetCommand::Address(command) => address_command(command),
        NetCommand::Link(command) => link_command(command),
        NetCommand::Route(command) => route_command(command),
        NetCommand::Rule(command) => rule_command(command),
    }
}

fn address_command(command: &AddressCommand) -> Result<Request<Buffer>, EncodeError> {
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

fn link_command(command: &LinkCommand) -> Result<Request<Buffer>, EncodeError> {
    let LinkCommand::PromoteSecondaries { interface, on } = command;
    // `struct ifinfomsg`: family, padding, type, index, flags, which of them change.
    let mut payload = Payload::new(&[&[0; 4], &interface.get().to_ne_bytes(), &[0; 8]]);
    payload.with(IFLA_AF_SPEC | NESTED, |families| {
        families.with(u16::from(AF_INET) | NESTED, |inet| {
            inet.with(IFLA_INET_CONF | NESTED, |settings| {
                settings.u32(PROMOTE_SECONDARIES, u32::from(*on));
            });
        });
    });
    Ok(Request {
        kind: Rtm::Setlink.into(),
        flags: NlmF::empty(),
        payload: payload.finish().ok_or(EncodeError::TooLong)?,
    })
}

/// RTM_GETLINK for all: `struct ifinfomsg`.
pub(super) fn link_question() -> Buffer {
    let mut payload = Payload::new(&[&[0; 16]]);
    payload.u32(IFLA_EXT_MASK, SKIP_STATS);
    payload.finish().unwrap_or_default()
}

/// RTM_GETADDR for all: `struct ifaddrmsg`.
pub(super) fn address_question() -> Buffer {
    Buffer::from(vec![0; 8])
}

/// AF_INET or AF_INET6.
pub(in crate::kernel) const fn family_number(family: Family) -> u8 {
    match family {
        Family::V4 => AF_INET,
        Family::V6 => AF_INET6,
    }
}

/// An attribute that is an address.
pub(super) fn put_ip(payload: &mut Payload, kind: u16, addr: IpAddr) {
    match addr {
        IpAddr::V4(v4) => payload.bytes(kind, &v4.octets()),
        IpAddr::V6(v6) => payload.bytes(kind, &v6.octets()),
    }
}

fn address(key: AddressKey, spec: Option<&AddressSpec>) -> Result<Buffer, EncodeError> {
    let flags = spec.map_or(0, flags);
    let mut payload = Payload::new(&[
        &[
            family_number(key.cidr.family()),
            key.cidr.prefix(),
            u8::try_from(flags & 0xff).unwrap_or_default(),
            spec.map_or(0, |spec| spec.scope),
        ],
        &key.interface.get().to_ne_bytes(),
    ]);
    put_ip(&mut payload, IFA_LOCAL, key.cidr.addr());
    put_ip(
        &mut payload,
        IFA_ADDRESS,
        key.peer.unwrap_or(key.cidr.addr()),
    );
    if let Some(spec) = spec {
        if let (Some(broadcast), Family::V4) = (spec.broadcast, key.cidr.family()) {
            payload.bytes(IFA_BROADCAST, &broadcast.octets());
        }
        if let Some(label) = &spec.label {
            if label.len() > LABEL_LIMIT {
                return Err(EncodeError::Label(label.clone()));
            }
            payload.text(IFA_LABEL, label);
        }
        if flags > 0xff {
            payload.u32(IFA_FLAGS, flags);
        }
        if spec.preferred_lifetime.is_some() || spec.valid_lifetime.is_some() {
            // `struct ifa_cacheinfo`: preferred, valid, and two times that only the kernel writes. It
            // refuses what is preferred for longer than it is there.
            let valid = spec.valid_lifetime.unwrap_or(FOR_EVER);
            let preferred = spec.preferred_lifetime.unwrap_or(valid).min(valid);
            let lifetimes = [preferred, valid, 0, 0].map(u32::to_ne_bytes);
            payload.bytes(IFA_CACHEINFO, lifetimes.as_flattened());
        }
        payload.u8(IFA_PROTO, ADDRESS_PROTOCOL);
    }
    payload.finish().ok_or(EncodeError::TooLong)
}

/// IFA_F_* of an address.
fn flags(spec: &AddressSpec) -> u32 {
    let all = [
        (spec.no_dad, NODAD),
        (spec.home, HOMEADDRESS),
        (spec.manage_temporary, MANAGETEMPADDR),
        (spec.no_prefix_route, NOPREFIXROUTE),
        (spec.auto_join, MCAUTOJOIN),
    ];
    all.into_iter()
        .filter_map(|(set, bit)| set.then_some(bit))
        .sum()
}
