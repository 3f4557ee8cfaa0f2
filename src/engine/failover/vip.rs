//! What a line of addresses asks of the kernel.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::config::model::{Broadcast, Lifetime, VirtualAddress};
use crate::net::{AddressKey, AddressSpec, Cidr, Family, InterfaceIndex};

/// Networks longer than this have no broadcast address (RFC 3021).
const BROADCAST_PREFIX_MAX: u8 = 30;

/// Which address it is, on this interface.
pub(super) fn address_key(interface: InterfaceIndex, vip: &VirtualAddress) -> AddressKey {
    AddressKey {
        interface,
        cidr: vip.cidr,
        peer: vip.more.peer,
    }
}

/// What it should be, for as long as `lease` says (`vip_lease`; the kernel counts whole seconds). IPv6 VIPs are used at once, without asking whether somebody has them: that is what
/// the election is for. One that is a network of its own (/128) is deprecated from the start, so that
/// this host's own connections do not leave from it.
pub(super) fn address_spec(vip: &VirtualAddress, lease: Option<Duration>) -> AddressSpec {
    let options = &vip.more;
    let v6 = vip.cidr.family() == Family::V6;
    let preferred_lifetime = match options.preferred_lifetime {
        Some(Lifetime::Forever) => None,
        Some(Lifetime::For(time)) => Some(u32::try_from(time.as_secs()).unwrap_or(u32::MAX - 1)),
        None => (vip.cidr == Cidr::host(vip.cidr.addr())).then_some(0),
    };
    let lease = lease.map(|lease| u32::try_from(lease.as_secs()).unwrap_or(u32::MAX - 1));
    let preferred_lifetime = preferred_lifetime.filter(|_| v6);
    AddressSpec {
        broadcast: vip
            .broadcast
            .and_then(|broadcast| broadcast_address(vip.cidr, broadcast)),
        scope: vip.scope,
        label: vip.label.clone(),
        no_dad: v6 && !options.duplicate_address_detection,
        home: options.home,
        manage_temporary: options.manage_temporary,
        no_prefix_route: options.no_prefix_route,
        auto_join: options.auto_join,
        preferred_lifetime: match lease {
            Some(lease) => Some(preferred_lifetime.map_or(lease, |time| time.min(lease))),
            None => preferred_lifetime,
        },
        valid_lifetime: lease,
    }
}

fn broadcast_address(cidr: Cidr, broadcast: Broadcast) -> Option<Ipv4Addr> {
    let IpAddr::V4(addr) = cidr.addr() else {
        return None;
    };
    let host_bits = u32::MAX.checked_shr(u32::from(cidr.prefix())).unwrap_or(0);
    let has_one = cidr.prefix() <= BROADCAST_PREFIX_MAX;
    match broadcast {
        Broadcast::Address(addr) => Some(addr),
        Broadcast::AllOnes => has_one.then(|| Ipv4Addr::from_bits(addr.to_bits() | host_bits)),
        Broadcast::AllZeros => has_one.then(|| Ipv4Addr::from_bits(addr.to_bits() & !host_bits)),
    }
}

/// Whether it can be made as it should be without taking it away: the kernel changes lifetimes in place.
pub(super) fn differs_in_lifetime_only(desired: &AddressSpec, observed: &AddressSpec) -> bool {
    let lasting = AddressSpec {
        preferred_lifetime: desired.preferred_lifetime,
        valid_lifetime: desired.valid_lifetime,
        ..observed.clone()
    };
    same_address(desired, &lasting)
}

/// Whether an address is as it should be; what was not asked for is the kernel's to choose, and a
/// lifetime runs down.
pub(super) fn same_address(desired: &AddressSpec, observed: &AddressSpec) -> bool {
    let lifetime = match (desired.preferred_lifetime, observed.preferred_lifetime) {
        (Some(0), seen) => seen == Some(0),
        (wanted, seen) => wanted.is_some() == seen.is_some(),
    } && desired.valid_lifetime.is_some() == observed.valid_lifetime.is_some();
    let flags = |spec: &AddressSpec| {
        [
            spec.home,
            spec.manage_temporary,
            spec.no_prefix_route,
            spec.auto_join,
        ]
    };
    lifetime
        && desired.scope == observed.scope
        && flags(desired) == flags(observed)
        && (desired.label.is_none() || desired.label == observed.label)
        && (desired.broadcast.is_none() || desired.broadcast == observed.broadcast)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vip(cidr: &str) -> VirtualAddress {
        VirtualAddress::new(cidr.parse().unwrap())
    }

    #[test]
    fn a_network_of_one_ipv6_address_is_deprecated_unless_it_is_said_otherwise() {
        let preferred = |vip: &VirtualAddress| address_spec(vip, None).preferred_lifetime;
        assert_eq!(preferred(&vip("2001:db8::1")), Some(0));
        assert_eq!(preferred(&vip("2001:db8::1/64")), None);
        assert_eq!(preferred(&vip("10.0.0.1")), None);
        let mut said = vip("2001:db8::1");
        said.more.preferred_lifetime = Some(Lifetime::Forever);
        assert_eq!(preferred(&said), None);
        said.more.preferred_lifetime = Some(Lifetime::For(Duration::from_secs(60)));
        assert_eq!(preferred(&said), Some(60));
        said.cidr = "10.0.0.1".parse().unwrap();
        assert_eq!(preferred(&said), None, "as in keepalived");
    }

    #[test]
    fn what_runs_down_is_as_it_should_be_and_what_is_over_is_not() {
        let lifetime = |preferred_lifetime| AddressSpec {
            preferred_lifetime,
            ..AddressSpec::default()
        };
        let same = |a, b| same_address(&lifetime(a), &lifetime(b));
        assert!(same(Some(600), Some(3)) && same(None, None) && same(Some(0), Some(0)));
        assert!(!same(Some(0), Some(5)) && !same(Some(0), None) && !same(None, Some(0)));
    }

    #[test]
    fn a_leased_address_is_there_and_preferred_until_its_lease_ends_and_is_changed_in_place() {
        let lease = Some(Duration::from_secs(10));
        let times = |spec: &AddressSpec| (spec.preferred_lifetime, spec.valid_lifetime);
        let v4 = address_spec(&vip("10.0.0.1"), lease);
        assert_eq!(times(&v4), (Some(10), Some(10)));
        let v6 = address_spec(&vip("2001:db8::1"), lease);
        assert_eq!(times(&v6), (Some(0), Some(10)), "deprecated all the same");
        let mut short = vip("2001:db8::1/64");
        short.more.preferred_lifetime = Some(Lifetime::For(Duration::from_secs(3)));
        assert_eq!(times(&address_spec(&short, lease)), (Some(3), Some(10)));
        let running = AddressSpec {
            preferred_lifetime: Some(2),
            valid_lifetime: Some(2),
            ..v4.clone()
        };
        assert!(same_address(&v4, &running), "it runs down");
        let lasting = address_spec(&vip("10.0.0.1"), None);
        assert!(!same_address(&v4, &lasting) && !same_address(&lasting, &running));
        assert!(differs_in_lifetime_only(&v4, &lasting));
        let labelled = AddressSpec {
            scope: 254,
            ..lasting
        };
        assert!(!differs_in_lifetime_only(&v4, &labelled));
    }

    #[test]
    fn duplicates_are_looked_for_where_it_was_asked_for_and_in_ipv6_alone() {
        let mut asked = vip("2001:db8::1/64");
        assert!(
            address_spec(&asked, None).no_dad && !address_spec(&vip("10.0.0.1/24"), None).no_dad
        );
        asked.more.duplicate_address_detection = true;
        assert!(!address_spec(&asked, None).no_dad);
    }

    #[test]
    fn broadcast_addresses_follow_the_prefix() {
        let broadcast = |cidr: &str, what| {
            let mut vip = vip(cidr);
            vip.broadcast = Some(what);
            address_spec(&vip, None)
                .broadcast
                .map(|addr| addr.to_string())
        };
        let (ones, zeros) = (Broadcast::AllOnes, Broadcast::AllZeros);
        assert_eq!(broadcast("10.1.2.3/16", ones).unwrap(), "10.1.255.255");
        assert_eq!(broadcast("10.1.2.3/16", zeros).unwrap(), "10.1.0.0");
        assert_eq!(broadcast("10.1.2.3/31", ones), None);
        assert_eq!(broadcast("10.1.2.3/32", zeros), None);
        let said = Broadcast::Address(Ipv4Addr::new(10, 9, 9, 9));
        assert_eq!(broadcast("10.1.2.3/32", said).unwrap(), "10.9.9.9");
    }
}
