//! What is likely not to work, though every setting is as it should be: told in words.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use crate::config::Config;
use crate::net::Cidr;

use super::rules::{is_all_nat, is_asked_from, networks_of_servers};
use super::settings::name;
use super::{Here, virtual_addresses};

/// Addresses that one message names.
const NAMED_MAX: usize = 5;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Clients in a network get answers from the servers themselves.
    Bypassed {
        /// The service.
        service: String,
        /// Where its servers are.
        network: Cidr,
        /// The bridge of this machine that the network is, if it is one.
        bridge: Option<String>,
    },
    /// Nobody gives these addresses to this machine.
    NotHere(Vec<IpAddr>),
    /// `masquerade` has nothing to do.
    NothingToMasquerade {
        /// The service.
        service: String,
        /// It has servers that are reached otherwise than by NAT.
        mixed: bool,
    },
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Doubt::Bypassed {
                service,
                network,
                bridge,
            } => {
                write!(f, "{service} has servers behind NAT in {network}, ")?;
                match bridge {
                    None => f.write_str("where its own address is: clients in that network")?,
                    Some(bridge) => write!(
                        f,
                        "which is {bridge}, a bridge of this machine: containers there"
                    )?,
                }
                f.write_str(
                    " get their answers from the servers themselves and drop them; write `@vipd masquerade` \
                     into it, or masquerade such connections yourself, with net.ipv4.vs.conntrack 1 \
                     (docs/lvs.md)",
                )
            }
            Doubt::NotHere(addresses) => {
                let (named, more) = addresses.split_at(addresses.len().min(NAMED_MAX));
                let named: Vec<String> = named.iter().map(ToString::to_string).collect();
                write!(f, "no interface of this machine has {}", named.join(", "))?;
                if !more.is_empty() {
                    write!(f, " and {} more", more.len())?;
                }
                f.write_str(
                    ", and no instance gives them: packets to virtual servers there reach IPVS only once one \
                     has (an address on lo or a dummy will do, or a local route)",
                )
            }
            Doubt::NothingToMasquerade { service, mixed } => {
                write!(f, "{service}: `masquerade` has no effect, ")?;
                f.write_str(match mixed {
                    true => "for it has servers that are not behind NAT",
                    false => "for none of its servers is in a network of this machine; `masquerade all` hides \
                              every client from them",
                })
            }
        }
    }
}

/// What is doubtful of these virtual servers on this machine.
pub fn doubts(config: &Config, here: &Here) -> Vec<Doubt> {
    let mut found = Vec::new();
    for server in &config.virtual_servers {
        let service = || name(server);
        if server.pool.masquerade.is_some() {
            let mixed = !is_all_nat(server);
            let all = server.pool.masquerade == Some(crate::config::model::MasqueradeFor::All);
            if mixed || !all && networks_of_servers(server, here).next().is_none() {
                let service = service();
                found.push(Doubt::NothingToMasquerade { service, mixed });
            }
            continue;
        }
        let networks = networks_of_servers(server, here);
        for network in networks.filter(|network| is_asked_from(server, *network, here)) {
            let mut bridges = here.bridges.iter();
            let bridge = bridges.find(|(_, bridged)| *bridged == network);
            found.push(Doubt::Bypassed {
                service: service(),
                network,
                bridge: bridge.map(|(name, _)| name.clone()),
            });
        }
    }
    let nowhere = nowhere(config, here);
    if !nowhere.is_empty() {
        found.push(Doubt::NotHere(nowhere));
    }
    found
}

/// Addresses of virtual servers that no interface has and no instance gives, in order. Whether a route makes them
/// local is to be asked, and to be put into [`Here::own`].
pub fn nowhere(config: &Config, here: &Here) -> Vec<IpAddr> {
    let instances = config.instances.iter().flat_map(|i| i.all_vips());
    let given = instances.chain(&config.statics.addresses);
    let given: BTreeSet<IpAddr> = given.map(|vip| vip.cidr.addr()).collect();
    let all: BTreeSet<IpAddr> = config
        .virtual_servers
        .iter()
        .flat_map(virtual_addresses)
        .collect();
    let lacks = |address: &IpAddr| !given.contains(address) && !here.is_own(*address);
    all.into_iter().filter(lacks).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lvs::settings::tests::read;
    use crate::lvs::{kernel_settings, needs, service_rules};
    use crate::net::{MasqueradedService, Sysctl};

    fn here() -> Here {
        let cidr = |text: &str| text.parse::<Cidr>().unwrap();
        Here {
            networks: [cidr("10.0.0.7/24"), cidr("172.18.0.1/16")].into(),
            own: ["10.0.0.7", "172.18.0.1", "127.0.0.1"]
                .map(|a| a.parse().unwrap())
                .into(),
            bridges: [("docker0".to_owned(), cidr("172.18.0.1/16"))].into(),
            loopback_networks: [cidr("127.0.0.1/8"), cidr("10.5.0.0/24")].into(),
            ..Here::default()
        }
    }

    fn service(vip: &str, kind: &str, server: &str, lines: &str) -> String {
        format!(
            "virtual_server {vip} 80 {{\n protocol TCP\n lb_algo rr\n lb_kind {kind}\n {lines}\n \
             real_server {server} 80 {{\n }}\n}}\n"
        )
    }

    #[test]
    fn clients_whose_answers_go_another_way_are_told_of_unless_they_are_masqueraded() {
        let told = |lines: &str| {
            let text = service("10.0.0.7", "NAT", "10.0.0.9", lines)
                + &service("10.5.0.1", "NAT", "172.18.0.2", lines)
                + &service("10.5.0.2", "NAT", "10.0.0.9", lines)
                + &service("10.5.0.3", "DR", "172.18.0.2", lines);
            let config = read(&text);
            let words = doubts(&config, &here())
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>();
            (words, service_rules(&config, &here()), config)
        };
        let (words, rules, config) = told("");
        assert_eq!(words.len(), 2, "{words:?}");
        assert!(words[0].starts_with(
            "10.0.0.7:80/tcp has servers behind NAT in 10.0.0.7/24, where its own address is"
        ));
        assert!(words[1].contains("10.5.0.1:80/tcp") && words[1].contains("docker0, a bridge"));
        assert!(rules.is_empty());
        let conntrack = Sysctl::of_ipvs("conntrack");
        assert!(!kernel_settings(&config, &here()).contains_key(&conntrack));
        let accept: Vec<String> = needs(&config, &here())
            .iter()
            .map(|n| n.key.to_string())
            .collect();
        assert!(
            accept.contains(&"net.ipv4.conf.docker0.accept_local".to_owned()),
            "{accept:?}"
        );

        let (words, rules, config) = told("@vipd masquerade");
        assert_eq!(words.len(), 1, "{words:?}");
        assert!(words[0].starts_with("10.5.0.3:80/tcp: `masquerade` has no effect"));
        let masqueraded: Vec<_> = rules
            .masquerades
            .iter()
            .map(|m| (m.to, m.within.map(|n| n.to_string())))
            .collect();
        let to = |text: &str| MasqueradedService::Address(text.parse().unwrap());
        let in_net = |text: &str| Some(text.to_owned());
        assert_eq!(
            masqueraded,
            [
                (to("10.0.0.7"), in_net("10.0.0.7/24")),
                (to("10.5.0.1"), in_net("172.18.0.1/16")),
                (to("10.5.0.2"), in_net("10.0.0.7/24")),
            ]
        );
        let asked = &kernel_settings(&config, &here())[&conntrack];
        assert_eq!((asked.value.as_str(), asked.whom.len()), ("1", 3));

        let (_, rules, _) = told("@vipd masquerade all");
        assert!(rules.masquerades.iter().all(|m| m.within.is_none()));
        assert_eq!(rules.masquerades.len(), 3);
    }

    #[test]
    fn addresses_that_nobody_has_are_told_of() {
        let vip = "vrrp_instance V {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n 10.0.0.8\n }\n}\n";
        let text = service("10.0.0.7", "DR", "10.9.0.9", "")
            + &service("10.0.0.8", "DR", "10.9.0.9", "")
            + &service("10.5.0.77", "DR", "10.9.0.9", "")
            + &service("10.0.0.99", "DR", "10.9.0.9", "")
            + vip;
        let config = read(&text);
        let found = doubts(&config, &here());
        assert_eq!(found, [Doubt::NotHere(vec!["10.0.0.99".parse().unwrap()])]);
        assert!(
            found[0]
                .to_string()
                .starts_with("no interface of this machine has 10.0.0.99, and")
        );
    }

    #[test]
    fn a_director_that_is_a_server_and_syncs_needs_backup_only() {
        let globals = "global_defs {\n lvs_sync_daemon eth0 V\n}\n";
        let instance = "vrrp_instance V {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n 10.0.0.8\n }\n}\n";
        let of = |globals: &str, server: &str| {
            let text = globals.to_owned() + instance + &service("10.0.0.8", "DR", server, "");
            let keys = needs(&read(&text), &here());
            keys.iter()
                .any(|need| need.key == Sysctl::of_ipvs("backup_only"))
        };
        assert!(of(globals, "10.0.0.7"));
        assert!(!of(globals, "10.0.0.9"), "it is no server itself");
        assert!(
            !of("", "10.0.0.7"),
            "the kernel looks at it in a backup daemon alone"
        );
    }
}
