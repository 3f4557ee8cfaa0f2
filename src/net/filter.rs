//! What a packet filter is to drop: values, whoever makes rules of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Family, InterfaceName};

/// Traffic of virtual addresses that their master does not accept (RFC 9568 section 6.4.3), and
/// traffic by which a VMAC would teach switches where it is although it is not master.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Addresses that are neither answered nor spoken from.
    pub v4: BTreeSet<Ipv4Addr>,
    /// The same of IPv6, but for neighbour discovery.
    pub v6: BTreeSet<Ipv6Addr>,
    /// Link-local ones, each on its link.
    pub link_local: BTreeSet<(Ipv6Addr, InterfaceName)>,
    /// VMACs and the interface that each is on: their reports of multicast groups leave there instead.
    pub vmacs: BTreeMap<InterfaceName, (Family, InterfaceName)>,
}

impl Filter {
    /// Whether there is nothing to do for a family.
    pub fn is_empty_for(&self, family: Family) -> bool {
        let addresses = match family {
            Family::V4 => self.v4.is_empty(),
            Family::V6 => self.v6.is_empty() && self.link_local.is_empty(),
        };
        addresses && self.vmacs.values().all(|(of, _)| *of != family)
    }

    /// Whether there is nothing to do at all.
    pub fn is_empty(&self) -> bool {
        self.is_empty_for(Family::V4) && self.is_empty_for(Family::V6)
    }

    /// The VMACs of a family with their interfaces.
    pub fn vmacs_of(
        &self,
        family: Family,
    ) -> impl Iterator<Item = (&InterfaceName, &InterfaceName)> {
        let of_family = move |(of, _): &&(Family, InterfaceName)| *of == family;
        self.vmacs
            .iter()
            .filter(move |(_, on)| of_family(on))
            .map(|(vmac, (_, base))| (vmac, base))
    }
}
