//! What virtual servers ask of the packet filter.

use std::net::IpAddr;

use crate::config::Config;
use crate::config::model::{MasqueradeFor, VirtualServer, VirtualServerAddress};
use crate::net::{Cidr, ForwardingMethod, Masquerade, MasqueradedService, ServiceRules};

use super::{Here, virtual_addresses};

/// Marks of groups (`nftables_ipvs`), and whose clients are hidden (`masquerade`).
pub fn service_rules(config: &Config, here: &Here) -> ServiceRules {
    let mut rules = ServiceRules::default();
    for server in &config.virtual_servers {
        for marked in server.group.iter().flat_map(|group| &group.marked) {
            for endpoint in &marked.endpoints {
                // Of two groups that have an address the first has its packets, as with services of their own.
                let key = (marked.protocol, *endpoint);
                rules.marks.entry(key).or_insert(marked.mark);
            }
        }
        let within: Vec<Option<Cidr>> = match server.pool.masquerade {
            None => continue,
            // Behind a mark nothing tells what went to a server with DR or TUN.
            Some(_) if !is_all_nat(server) => continue,
            Some(MasqueradeFor::All) => vec![None],
            Some(MasqueradeFor::Neighbours) => {
                networks_of_servers(server, here).map(Some).collect()
            }
        };
        for to in ways_in(server) {
            let each = within.iter().map(|&within| Masquerade { to, within });
            rules.masquerades.extend(each);
        }
    }
    rules
}

/// Whether all its servers are behind NAT; others have no use for `masquerade`.
pub fn is_all_nat(server: &VirtualServer) -> bool {
    let servers = server.real_servers.iter().map(|rs| rs.forwarding);
    let mut all = servers.chain(server.sorry_server.iter().map(|sorry| sorry.forwarding));
    all.all(|forwarding| forwarding == ForwardingMethod::Masquerading)
}

/// Networks of this machine that have servers of it behind NAT, other than this machine itself.
pub(super) fn networks_of_servers<'a>(
    server: &'a VirtualServer,
    here: &'a Here,
) -> impl Iterator<Item = Cidr> + 'a {
    let has = |network: &Cidr| {
        server.real_servers.iter().any(|rs| {
            let address = rs.endpoint.addr;
            rs.forwarding == ForwardingMethod::Masquerading
                && network.contains(address)
                && !here.is_own(address)
        })
    };
    here.networks
        .iter()
        .copied()
        .filter(move |network| has(network))
}

/// How its connections are told from others behind IPVS.
fn ways_in(server: &VirtualServer) -> Vec<MasqueradedService> {
    let marks = server.addresses().filter_map(|address| match address {
        VirtualServerAddress::FwMark { family, mark } => {
            Some(MasqueradedService::FwMark(family, mark))
        }
        VirtualServerAddress::Endpoint { .. } => None,
    });
    let own = server.addresses().filter_map(|address| match address {
        VirtualServerAddress::Endpoint { endpoint, .. } => Some(endpoint.addr),
        VirtualServerAddress::FwMark { .. } => None,
    });
    let by_address = own.map(|address: IpAddr| MasqueradedService::Address(address));
    marks.chain(by_address).collect()
}

/// Whether clients in this network ask for it, as far as can be known: its address is there, or the network is a
/// bridge of this machine, whose containers ask for what they are.
pub(super) fn is_asked_from(server: &VirtualServer, network: Cidr, here: &Here) -> bool {
    let bridged = here.bridges.iter().any(|(_, bridged)| *bridged == network);
    bridged || virtual_addresses(server).any(|address| network.contains(address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lvs::service_keys;
    use crate::lvs::settings::tests::read;

    fn group(name: &str, addresses: &str) -> String {
        format!(
            "virtual_server_group {name} {{\n {addresses}\n}}\nvirtual_server group {name} {{\n lb_algo rr\n \
             lb_kind NAT\n protocol TCP\n real_server 10.1.0.1 80 {{\n }}\n}}\n"
        )
    }

    fn services(config: &Config) -> Vec<String> {
        let keys = config.virtual_servers.iter().flat_map(service_keys);
        keys.map(|key| key.to_string()).collect()
    }

    #[test]
    fn a_group_is_one_service_by_a_mark_that_stays_with_it() {
        let globals = "global_defs {\n nftables_ipvs\n}\n";
        let of = |groups: &[String]| read(&(globals.to_owned() + &groups.concat()));
        let web = group("web", "10.0.0.1-3 80\n fwmark 1001");
        let shop = group("shop", "10.0.0.9 443");
        let running = of(&[web.clone(), shop.clone()]).settled(&Config::default());
        let plain = read(&(web.clone() + &shop));
        assert_eq!(services(&plain).len(), 5, "without nftables_ipvs");
        // 1001 stands in the file.
        let now = services(&running);
        assert!(
            now[0].contains("1000") && now[1].contains("1001") && now[2].contains("1002"),
            "{now:?}"
        );
        let rules = service_rules(&running, &Here::default());
        let marks: Vec<u32> = rules.marks.values().map(|mark| mark.get()).collect();
        assert_eq!(marks, [1000, 1000, 1000, 1002]);

        // A start would count anew; a reload leaves each its own.
        let next = of(&[group("new", "10.0.0.8 80"), shop.clone(), web.clone()]);
        assert!(services(&next)[0].contains("1000"));
        let next = next.settled(&running);
        let marks: Vec<(String, u32)> = next
            .virtual_servers
            .iter()
            .filter_map(|vs| vs.group.as_ref())
            .map(|group| (group.name.clone(), group.marked[0].mark.get()))
            .collect();
        let expected = [("new", 1003), ("shop", 1002), ("web", 1000)];
        assert_eq!(marks, expected.map(|(name, mark)| (name.to_owned(), mark)));
        let keys: Vec<String> = services(&next);
        assert!(
            keys[0].contains("1003") && keys[1].contains("1002"),
            "{keys:?}"
        );
        // Without a group that leaves its marks are free again.
        let last = of(&[shop]).settled(&next);
        assert!(services(&last)[0].contains("1002"));
    }
}
