//! VMACs and ipvlan interfaces, with what must be set around them so that the right interface answers.

use std::fmt;
use std::net::IpAddr;

use crate::net::{Cidr, InterfaceIndex, InterfaceName, ObservedAddress, OwnLink, OwnLinkKind};

use super::netlink::Error;
use super::route::{LinkDetails, Route};
use super::sysctl;

/// Why a link could not be made.
#[derive(Debug)]
pub enum OwnLinkError {
    /// The interface that it is to be on is not there.
    NoBase(InterfaceName, InterfaceName),
    /// There is another interface of its name.
    Taken(OwnLink),
    /// The kernel said no.
    Refused(Error, &'static str),
}

impl fmt::Display for OwnLinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OwnLinkError::NoBase(name, base) => {
                write!(f, "make interface {name}: interface {base} does not exist")
            }
            OwnLinkError::Taken(link) => write!(
                f,
                "make interface {}: there is another one of that name, which is no {} of {}; remove it, \
                 or give another name behind `use_vmac`",
                link.name,
                link.kind_name(),
                link.base
            ),
            OwnLinkError::Refused(error, kind) => {
                write!(f, "{error}")?;
                if error
                    .errno()
                    .is_some_and(|errno| errno.0 == libc::EOPNOTSUPP)
                {
                    write!(f, "; this kernel has no {kind}: load or enable that module")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for OwnLinkError {}

/// Makes a link, or takes over the one that a predecessor left, and sets it up. What could not be set
/// beside it is in the result, in words.
///
/// # Errors
/// Nothing is left behind then that was not there before.
pub fn make(route: &mut Route, link: &OwnLink) -> Result<(bool, Vec<String>), OwnLinkError> {
    let refused = |error| OwnLinkError::Refused(error, link.kind_name());
    let base = route.link_details(&link.base).map_err(refused)?;
    let under = base.ok_or_else(|| OwnLinkError::NoBase(link.name.clone(), link.base.clone()))?;
    let base = under.index;
    let made = match route.link_details(&link.name).map_err(refused)? {
        Some(there) if !is_ours(&there, link, base) => {
            return Err(OwnLinkError::Taken(link.clone()));
        }
        Some(_) => false,
        None => {
            route.make_link(link, base).map_err(refused)?;
            true
        }
    };
    match equip(route, link, base) {
        Ok(mut warnings) => {
            if made && link.tells_of_base {
                let told = route.tell_of(&under, &link.base);
                warnings.extend(told.err().map(|error| error.to_string()));
            }
            Ok((made, warnings))
        }
        Err(error) => {
            if made {
                let _ = remove(route, link);
            }
            Err(refused(error))
        }
    }
}

/// Removes a link, if it is there and the one that we made.
///
/// # Errors
/// The kernel refuses, or does not answer.
pub fn remove(route: &mut Route, link: &OwnLink) -> Result<(), Error> {
    let base = route.link_details(&link.base)?;
    let there = match route.link_details(&link.name)? {
        Some(there)
            if base
                .as_ref()
                .is_none_or(|base| is_ours(&there, link, base.index)) =>
        {
            there
        }
        _ => return Ok(()),
    };
    route.remove_link(there.index, &link.name)?;
    match base {
        Some(base) if link.tells_of_base => route.tell_of(&base, &link.base),
        _ => Ok(()),
    }
}

fn is_ours(there: &LinkDetails, link: &OwnLink, base: InterfaceIndex) -> bool {
    there.kind == link.kind_name()
        && there.base == Some(base)
        && link.mac().is_none_or(|mac| there.mac == mac)
}

/// Everything but the link itself; what is as it should be is not asked for again, so that a reload of the
/// same file asks for nothing.
fn equip(route: &mut Route, link: &OwnLink, base: InterfaceIndex) -> Result<Vec<String>, Error> {
    let Some(there) = route.link_details(&link.name)? else {
        return Ok(Vec::new());
    };
    let mut warnings = Vec::new();
    let mut set = |family, key, value| {
        if let Err(error) = sysctl::set(family, &link.name, key, value) {
            warnings.push(error);
        }
    };
    // Before it is up: it must not say anything of its own, and answer only for what it has.
    if link.v6 {
        set("ipv6", "disable_ipv6", "0");
    } else {
        set("ipv6", "disable_ipv6", "1");
    }
    if link.v4 {
        set("ipv4", "arp_ignore", "1");
        // keepalived has 1 here, and so its old master answers the announcement of the new one: with the
        // same hardware address, by which switches are led back to where the VIP has just left.
        set("ipv4", "accept_local", "0");
        set("ipv4", "rp_filter", "0");
        set("ipv4", "promote_secondaries", "1");
    }
    if !there.makes_no_address {
        match route.stop_address_generation(there.index, &link.name) {
            Err(error) if !link.v6 => drop(error),
            done => done?,
        }
    }
    if let OwnLinkKind::Ipvlan {
        address: Some(address),
        ..
    } = link.kind
        && !route.addresses()?.iter().any(is(there.index, address))
    {
        route.add_own_address(there.index, &link.name, address, false)?;
    }
    if !there.is_up {
        route.set_up(there.index, &link.name)?;
    }
    if link.v6 && link.mac().is_some() {
        // Adverts of IPv6 leave from the interface's own link-local address, which must be here for it.
        let addresses = route.addresses()?;
        if let Some(own) = link_local_of(&addresses, base)
            && !addresses.iter().any(is(there.index, own))
        {
            route.add_own_address(there.index, &link.name, own, true)?;
        }
    }
    Ok(warnings)
}

fn is(interface: InterfaceIndex, cidr: Cidr) -> impl Fn(&ObservedAddress) -> bool {
    move |address| address.key.interface == interface && address.key.cidr == cidr
}

fn link_local_of(addresses: &[ObservedAddress], base: InterfaceIndex) -> Option<Cidr> {
    let on_base = addresses.iter().map(|address| address.key);
    let mut on_base = on_base.filter(|key| key.interface == base);
    let own =
        on_base.find(|key| matches!(key.cidr.addr(), IpAddr::V6(v6) if v6.is_unicast_link_local()));
    own.map(|key| key.cidr)
}
