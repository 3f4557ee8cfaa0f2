//! Rules for virtual servers: marks by which IPVS finds groups, and connections that are masqueraded.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;

use crate::net::{Cidr, Family, MasqueradedService, ServiceRules};

use super::{IptablesTable, Ruleset};

impl Ruleset {
    /// Of one family, with our chains for marks and for what leaves; none where nothing is to be done.
    pub fn for_services(
        rules: &ServiceRules,
        family: Family,
        (marks, post): (&str, &str),
    ) -> Vec<Ruleset> {
        let mut all = Vec::new();
        if rules.marks_of(family).next().is_some() {
            let from = ["INPUT", "OUTPUT"].map(|from| (from.to_owned(), marks.to_owned()));
            all.push(Ruleset {
                family,
                table: IptablesTable::Mangle,
                links: from.into(),
                rules: mark_rules(rules, family, marks),
            });
        }
        if rules.masquerades_of(family).next().is_some() {
            all.push(Ruleset {
                family,
                table: IptablesTable::Nat,
                links: [("POSTROUTING".to_owned(), post.to_owned())].into(),
                rules: masquerade_rules(rules, family, post),
            });
        }
        all
    }
}

fn mark_rules(rules: &ServiceRules, family: Family, chain: &str) -> String {
    let mut text = format!("*mangle\n:{chain} - [0:0]\n");
    let one = |port: u16| match port {
        0 => String::new(),
        port => format!(" --dport {port}"),
    };
    // The last one holds, and that of a port comes after that of all.
    for (protocol, endpoint, mark) in rules.marks_of(family) {
        let (address, port) = (Cidr::host(endpoint.addr), one(endpoint.port));
        let _ = writeln!(
            text,
            "-A {chain} -d {address} -p {protocol}{port} -j MARK --set-mark {mark}"
        );
    }
    text.push_str("COMMIT\n");
    text
}

fn masquerade_rules(rules: &ServiceRules, family: Family, chain: &str) -> String {
    let mut text = format!("*nat\n:{chain} - [0:0]\n");
    let asked = rules.masquerades_of(family).filter_map(|m| match m.to {
        MasqueradedService::Address(address) => Some(address),
        MasqueradedService::FwMark(..) => None,
    });
    let asked: BTreeSet<IpAddr> = asked.collect();
    // What went there with DR or TUN still has that address.
    for address in asked {
        let _ = writeln!(text, "-A {chain} -d {} -j RETURN", Cidr::host(address));
    }
    for masquerade in rules.masquerades_of(family) {
        let within = match masquerade.within {
            None => String::new(),
            Some(network) => format!(" -s {network} -d {network}"),
        };
        let to = match masquerade.to {
            MasqueradedService::Address(address) => {
                format!("-m conntrack --ctdir ORIGINAL --ctorigdst {address}")
            }
            MasqueradedService::FwMark(_, mark) => format!("-m mark --mark {mark}"),
        };
        let _ = writeln!(text, "-A {chain}{within} {to} -j MASQUERADE");
    }
    text.push_str("COMMIT\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Endpoint, FwMark, Masquerade, Protocol};

    #[test]
    fn addresses_are_marked_and_neighbours_are_masqueraded() {
        let address: IpAddr = "10.0.0.1".parse().unwrap();
        let mark = FwMark::new(1000).unwrap();
        let other = FwMark::new(1001).unwrap();
        let key = |port| (Protocol::Tcp, Endpoint::new(address, port));
        let within = Some("172.18.0.0/16".parse().unwrap());
        let to = MasqueradedService::Address(address);
        let by_mark = MasqueradedService::FwMark(Family::V4, other);
        let rules = ServiceRules {
            marks: [(key(80), mark), (key(0), other)].into(),
            masquerades: [
                Masquerade { to, within },
                Masquerade {
                    to: by_mark,
                    within: None,
                },
            ]
            .into(),
        };
        let all = Ruleset::for_services(&rules, Family::V4, ("m", "p"));
        let [marks, post] = &all[..] else {
            panic!("{all:?}")
        };
        assert_eq!(
            marks.rules,
            "*mangle\n:m - [0:0]\n-A m -d 10.0.0.1/32 -p tcp -j MARK --set-mark 1001\n\
             -A m -d 10.0.0.1/32 -p tcp --dport 80 -j MARK --set-mark 1000\nCOMMIT\n"
        );
        assert_eq!(
            post.rules,
            "*nat\n:p - [0:0]\n-A p -d 10.0.0.1/32 -j RETURN\n\
             -A p -s 172.18.0.0/16 -d 172.18.0.0/16 -m conntrack --ctdir ORIGINAL --ctorigdst 10.0.0.1 \
             -j MASQUERADE\n-A p -m mark --mark 1001 -j MASQUERADE\nCOMMIT\n"
        );
        assert!(Ruleset::for_services(&rules, Family::V6, ("m", "p")).is_empty());
    }
}
