//! What the packet filter does for virtual servers, where IPVS is: values, whoever makes rules of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Cidr, Endpoint, Family, FwMark, Protocol};

/// Marks by which IPVS finds a service, and connections whose client is hidden from the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceRules {
    /// What packets to an address are marked with; port 0 stands for every port that has no line of its own.
    pub marks: BTreeMap<(Protocol, Endpoint), FwMark>,
    /// Whose source becomes an address of this machine.
    pub masquerades: BTreeSet<Masquerade>,
}

/// Connections that a server answers through this machine only if they seem to come from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Masquerade {
    /// What they went to.
    pub to: MasqueradedService,
    /// Of clients in this network to servers in it; of all where there is none.
    pub within: Option<Cidr>,
}

/// How a connection to a service is known behind IPVS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MasqueradedService {
    /// By the address that the client asked.
    Address(IpAddr),
    /// By the mark of its packets.
    FwMark(Family, FwMark),
}

impl Masquerade {
    /// Of the addresses that packets have behind IPVS.
    pub fn family(&self) -> Family {
        match self.to {
            MasqueradedService::Address(address) => Family::of(address),
            MasqueradedService::FwMark(family, _) => family,
        }
    }
}

impl ServiceRules {
    /// The marks of a family.
    pub fn marks_of(
        &self,
        family: Family,
    ) -> impl Iterator<Item = (Protocol, Endpoint, FwMark)> + '_ {
        let marks = self.marks.iter();
        let marks = marks.map(|((protocol, endpoint), mark)| (*protocol, *endpoint, *mark));
        marks.filter(move |(_, endpoint, _)| endpoint.family() == family)
    }

    /// What is masqueraded of a family.
    pub fn masquerades_of(&self, family: Family) -> impl Iterator<Item = &Masquerade> + '_ {
        self.masquerades
            .iter()
            .filter(move |m| m.family() == family)
    }

    /// Whether there is nothing to do for a family.
    pub fn is_empty_for(&self, family: Family) -> bool {
        self.marks_of(family).next().is_none() && self.masquerades_of(family).next().is_none()
    }

    /// Whether there is nothing to do at all.
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty() && self.masquerades.is_empty()
    }

    /// Both; where they differ about a mark this one holds.
    #[must_use]
    pub fn with(&self, other: &ServiceRules) -> ServiceRules {
        let mut both = other.clone();
        both.marks.extend(&self.marks);
        both.masquerades.extend(&self.masquerades);
        both
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_of_them_have_everything_and_the_newer_mark() {
        let rules = |list: &[(&str, u32)]| ServiceRules {
            marks: list
                .iter()
                .map(|(endpoint, mark)| {
                    let endpoint = endpoint.parse().unwrap();
                    let endpoint: std::net::SocketAddr = endpoint;
                    let endpoint = Endpoint::new(endpoint.ip(), endpoint.port());
                    ((Protocol::Tcp, endpoint), FwMark::new(*mark).unwrap())
                })
                .collect(),
            masquerades: BTreeSet::new(),
        };
        let new = rules(&[("10.0.0.1:80", 1), ("[fd00::1]:80", 2)]);
        let old = rules(&[("10.0.0.1:80", 5), ("10.0.0.2:80", 6)]);
        let both = new.with(&old);
        let expected = rules(&[("10.0.0.1:80", 1), ("10.0.0.2:80", 6), ("[fd00::1]:80", 2)]);
        assert_eq!(both, expected);
        assert_eq!(both.marks_of(Family::V4).count(), 2);
        assert!(!both.is_empty_for(Family::V6) && !both.is_empty());
        assert!(ServiceRules::default().is_empty());
    }
}
