//! Links that are made: RTM_NEWLINK and RTM_DELLINK (include/uapi/linux/if_link.h).

use std::fmt;
use std::net::IpAddr;

use neli::consts::nl::NlmF;
use neli::consts::rtnl::Rtm;
use neli::types::Buffer;

use crate::ipvs::Attributes;
use crate::kernel::netlink::{Error, Request};
use crate::net::{Cidr, InterfaceIndex, InterfaceName, MacAddr, OwnLink, OwnLinkKind};

use super::Route;
use super::encode::{AF_INET6, family_number, put_ip};
use super::write::Payload;

/// IFLA_*.
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINK: u16 = 5;
const IFLA_LINKINFO: u16 = 18;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_GROUP: u16 = 27;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;

/// IN6_ADDR_GEN_MODE_NONE: no address but those that it is given.
const GEN_MODE_NONE: u8 = 1;

/// IFLA_MACVLAN_MODE and MACVLAN_MODE_PRIVATE.
const MACVLAN_MODE: u16 = 1;
const MACVLAN_PRIVATE: u32 = 1;

/// IFLA_IPVLAN_MODE, IPVLAN_MODE_L2 and IFLA_IPVLAN_FLAGS.
const IPVLAN_MODE: u16 = 1;
const IPVLAN_L2: u16 = 0;
const IPVLAN_FLAGS: u16 = 2;

/// IFF_UP.
const UP: u32 = 1;

/// IFA_CACHEINFO, IFA_F_NODAD.
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_CACHEINFO: u16 = 6;
const NODAD: u8 = 2;

/// What tells a link that we made from any other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkDetails {
    /// Its number.
    pub index: InterfaceIndex,
    /// Its hardware address.
    pub mac: MacAddr,
    /// What the kernel calls its kind; empty for a real one.
    pub kind: String,
    /// The interface that it is on.
    pub base: Option<InterfaceIndex>,
    /// Its group; 0 is the default one.
    pub group: u32,
    /// Whether it is set up.
    pub is_up: bool,
    /// Whether it gets no IPv6 address by itself.
    pub makes_no_address: bool,
}

/// For messages: what is done to which link.
struct Doing<'a>(&'static str, &'a InterfaceName);

impl fmt::Display for Doing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} interface {}", self.0, self.1)
    }
}

/// `struct ifinfomsg`.
fn header(index: u32, flags: u32, change: u32) -> Payload {
    Payload::new(&[
        &[0; 4],
        &index.to_ne_bytes(),
        &flags.to_ne_bytes(),
        &change.to_ne_bytes(),
    ])
}

impl Route {
    /// One link, by name; `None` when there is none.
    ///
    /// # Errors
    /// The kernel refuses, or does not answer.
    pub fn link_details(&mut self, name: &InterfaceName) -> Result<Option<LinkDetails>, Error> {
        let action = Doing("look at", name);
        let mut payload = header(0, 0, 0);
        payload.text(IFLA_IFNAME, name.as_str());
        let request = self.link_request(&action, Rtm::Getlink, NlmF::empty(), payload)?;
        let found = self.socket.ask(&action, request, |kind, payload| {
            (Rtm::from(kind) == Rtm::Newlink).then(|| details(payload))?
        });
        match found {
            Ok(found) => Ok(found.into_iter().next()),
            Err(error) if error.errno().is_some_and(|errno| errno.0 == libc::ENODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a link, down and without addresses.
    ///
    /// # Errors
    /// `EEXIST` when there is one of that name; `EOPNOTSUPP` when the kernel lacks its kind; `EBUSY` when
    /// the interface cannot have one on it.
    pub fn make_link(&mut self, link: &OwnLink, base: InterfaceIndex) -> Result<(), Error> {
        let mut payload = header(0, 0, 0);
        payload.text(IFLA_IFNAME, link.name.as_str());
        payload.u32(IFLA_LINK, base.get());
        if let Some(mac) = link.mac() {
            payload.bytes(IFLA_ADDRESS, &mac.0);
        }
        if let Some(group) = link.group {
            payload.u32(IFLA_GROUP, group);
        }
        payload.with(IFLA_LINKINFO, |info| {
            info.bytes(IFLA_INFO_KIND, link.kind_name().as_bytes());
            info.with(IFLA_INFO_DATA, |data| match link.kind {
                OwnLinkKind::Macvlan(_) => data.u32(MACVLAN_MODE, MACVLAN_PRIVATE),
                OwnLinkKind::Ipvlan { flags, .. } => {
                    data.bytes(IPVLAN_MODE, &IPVLAN_L2.to_ne_bytes());
                    data.bytes(IPVLAN_FLAGS, &flags.to_ne_bytes());
                }
            });
        });
        self.do_to_link(
            "make",
            &link.name,
            Rtm::Newlink,
            NlmF::CREATE | NlmF::EXCL,
            payload,
        )
    }

    /// It gets no IPv6 address by itself.
    ///
    /// # Errors
    /// `EAFNOSUPPORT` on a kernel without IPv6.
    pub fn stop_address_generation(
        &mut self,
        index: InterfaceIndex,
        name: &InterfaceName,
    ) -> Result<(), Error> {
        let mut payload = header(index.get(), 0, 0);
        payload.with(IFLA_AF_SPEC, |spec| {
            spec.with(AF_INET6.into(), |inet6| {
                inet6.u8(IFLA_INET6_ADDR_GEN_MODE, GEN_MODE_NONE);
            });
        });
        self.do_to_link("set", name, Rtm::Newlink, NlmF::empty(), payload)
    }

    /// Sets a link up.
    ///
    /// # Errors
    /// `ENETDOWN` when the interface that it is on is down.
    pub fn set_up(&mut self, index: InterfaceIndex, name: &InterfaceName) -> Result<(), Error> {
        let payload = header(index.get(), UP, UP);
        self.do_to_link("set up", name, Rtm::Newlink, NlmF::empty(), payload)
    }

    /// Makes the kernel tell everybody how a link is, by setting the group that it has: a link that
    /// cannot filter unicast addresses (a bridge) became promiscuous for a macvlan without a word.
    ///
    /// # Errors
    /// `ENODEV` when it is gone.
    pub fn tell_of(&mut self, link: &LinkDetails, name: &InterfaceName) -> Result<(), Error> {
        let mut payload = header(link.index.get(), 0, 0);
        payload.u32(IFLA_GROUP, link.group);
        self.do_to_link("tell of", name, Rtm::Newlink, NlmF::empty(), payload)
    }

    /// Removes a link with all that is on it.
    ///
    /// # Errors
    /// `ENODEV` when it is gone.
    pub fn remove_link(
        &mut self,
        index: InterfaceIndex,
        name: &InterfaceName,
    ) -> Result<(), Error> {
        let payload = header(index.get(), 0, 0);
        self.do_to_link("remove", name, Rtm::Dellink, NlmF::empty(), payload)
    }

    /// Gives a link an address of its own, without our tag: it is not a VIP and stays while the link
    /// does. Packets that name no source are not sent from it where it is `deprecated`.
    ///
    /// # Errors
    /// Those of RTM_NEWADDR.
    pub fn add_own_address(
        &mut self,
        index: InterfaceIndex,
        name: &InterfaceName,
        cidr: Cidr,
        deprecated: bool,
    ) -> Result<(), Error> {
        let scope = match cidr.addr() {
            IpAddr::V6(v6) if v6.is_unicast_link_local() => 253,
            _ => 0,
        };
        let mut payload = Payload::new(&[
            &[family_number(cidr.family()), cidr.prefix(), NODAD, scope],
            &index.get().to_ne_bytes(),
        ]);
        put_ip(&mut payload, IFA_LOCAL, cidr.addr());
        put_ip(&mut payload, IFA_ADDRESS, cidr.addr());
        if deprecated {
            // struct ifa_cacheinfo: preferred, valid, and two that only the kernel writes.
            let info = [0_u32, u32::MAX, 0, 0].map(u32::to_ne_bytes);
            payload.bytes(IFA_CACHEINFO, info.as_flattened());
        }
        let flags = NlmF::CREATE | NlmF::REPLACE;
        self.do_to_link("give an address to", name, Rtm::Newaddr, flags, payload)
    }

    fn do_to_link(
        &mut self,
        what: &'static str,
        name: &InterfaceName,
        kind: Rtm,
        flags: NlmF,
        payload: Payload,
    ) -> Result<(), Error> {
        let action = Doing(what, name);
        let request = self.link_request(&action, kind, flags, payload)?;
        self.socket.ask(&action, request, |_, _| None::<()>)?;
        Ok(())
    }

    fn link_request(
        &self,
        action: &Doing<'_>,
        kind: Rtm,
        flags: NlmF,
        payload: Payload,
    ) -> Result<Request<Buffer>, Error> {
        let payload = payload.finish().ok_or_else(|| Error::Message {
            action: action.to_string(),
            why: "an attribute is longer than 65535 bytes".to_owned(),
        })?;
        Ok(Request {
            kind: kind.into(),
            flags,
            payload,
        })
    }
}

fn details(payload: &[u8]) -> Option<LinkDetails> {
    let (header, attributes) = payload.split_first_chunk::<16>()?;
    let [_, _, _, _, i0, i1, i2, i3, f0, f1, f2, f3, ..] = *header;
    let mut details = LinkDetails {
        index: InterfaceIndex::new(u32::from_ne_bytes([i0, i1, i2, i3]))?,
        mac: MacAddr::default(),
        kind: String::new(),
        base: None,
        group: 0,
        is_up: u32::from_ne_bytes([f0, f1, f2, f3]) & UP != 0,
        makes_no_address: false,
    };
    for attribute in Attributes::new(attributes) {
        match attribute.kind {
            IFLA_ADDRESS => details.mac = attribute.bytes().map(MacAddr).unwrap_or_default(),
            IFLA_LINK => details.base = attribute.u32().and_then(InterfaceIndex::new),
            IFLA_GROUP => details.group = attribute.u32().unwrap_or(0),
            IFLA_AF_SPEC => {
                let inet6 = attribute
                    .nested()
                    .find(|family| family.kind == u16::from(AF_INET6));
                let mode = inet6.and_then(|inet6| {
                    let mut settings = inet6.nested();
                    settings.find(|setting| setting.kind == IFLA_INET6_ADDR_GEN_MODE)
                });
                details.makes_no_address = mode.and_then(|mode| mode.u8()) == Some(GEN_MODE_NONE);
            }
            IFLA_LINKINFO => {
                let mut info = attribute.nested();
                let kind = info.find(|inner| inner.kind == IFLA_INFO_KIND);
                details.kind = kind
                    .and_then(|kind| kind.text().map(str::to_owned))
                    .unwrap_or_default();
            }
            _ => {}
        }
    }
    Some(details)
}
