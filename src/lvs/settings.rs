//! Settings of the kernel that virtual servers need, each with those that need it. They hold for the whole
//! network namespace, so none is touched unless somebody asks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::config::Config;
use crate::config::model::{RealServer, VirtualServer};
use crate::net::{Cidr, Family, ForwardingMethod, Protocol, Sysctl};

use super::{is_all_nat, service_key, virtual_addresses};

/// A value, and who asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The value.
    pub value: String,
    /// Who.
    pub whom: Vec<String>,
}

/// What is to be set, and for whom.
pub type KernelSettings = BTreeMap<Sysctl, Asked>;

/// A setting without which something does not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Which.
    pub key: Sysctl,
    /// Values that will do; the first is the one to set.
    pub values: &'static [&'static str],
    /// What does not work otherwise.
    pub why: &'static str,
    /// Which virtual servers.
    pub whom: Vec<String>,
}

/// What is known of this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Here {
    /// Addresses on its loopback interface.
    pub on_loopback: BTreeSet<IpAddr>,
    /// Their networks: every address of these is local.
    pub loopback_networks: BTreeSet<Cidr>,
    /// Addresses that it has anywhere, or that a route makes local.
    pub own: BTreeSet<IpAddr>,
    /// Networks that it is in.
    pub networks: BTreeSet<Cidr>,
    /// Those of its bridges, and their names.
    pub bridges: BTreeSet<(String, Cidr)>,
    /// It has an interface tunl0.
    pub has_tunnel: bool,
    /// Its kernel is older than 5.9, where a reused port costs a second with conntrack.
    pub old_kernel: bool,
}

impl Here {
    /// Whether packets to an address are for this machine.
    pub fn is_own(&self, address: IpAddr) -> bool {
        let mut local = self.loopback_networks.iter();
        self.own.contains(&address) || local.any(|network| network.contains(address))
    }
}

/// Behind IPVS the packet filter sees connections.
const CONNTRACK: &str = "conntrack";
/// A reset for connections whose server was deleted; without it they hang.
const EXPIRE_NODEST: &str = "expire_nodest_conn";
/// A persistent client's new connections leave a server of weight 0; without it they go there still.
const EXPIRE_TEMPLATE: &str = "expire_quiescent_template";

/// What this configuration asks for: by name (`sysctl`), by what becomes of connections (`on_down`,
/// `on_remove`), and with `set_kernel_settings` all that its virtual servers need.
pub fn kernel_settings(config: &Config, here: &Here) -> KernelSettings {
    let mut settings = KernelSettings::new();
    for (key, value) in &config.globals.lvs.sysctl.0 {
        let (value, whom) = (value.clone(), vec!["`sysctl`".to_owned()]);
        settings.insert(key.clone(), Asked { value, whom });
    }
    let mut ask = |key: Sysctl, value: &str, whom: String| {
        let none = || Asked {
            value: value.to_owned(),
            whom: Vec::new(),
        };
        settings.entry(key).or_insert_with(none).whom.push(whom);
    };
    for server in &config.virtual_servers {
        if server.pool.masquerade.is_some() && is_all_nat(server) {
            ask(Sysctl::of_ipvs(CONNTRACK), "1", name(server));
        }
        if !asks(server) {
            continue;
        }
        if server.persistence.is_some() {
            ask(Sysctl::of_ipvs(EXPIRE_TEMPLATE), "1", name(server));
        }
        ask(Sysctl::of_ipvs(EXPIRE_NODEST), "1", name(server));
    }
    if config.globals.lvs.set_kernel_settings {
        let named = &config.globals.lvs.sysctl.0;
        // Who named a value knows why.
        for need in needs(config, here)
            .into_iter()
            .filter(|n| !named.contains_key(&n.key))
        {
            for whom in need.whom {
                ask(need.key.clone(), need.values.first().unwrap_or(&"1"), whom);
            }
        }
    }
    settings
}

/// What the virtual servers of a configuration need on this machine.
pub fn needs(config: &Config, here: &Here) -> Vec<Need> {
    let all = &config.virtual_servers;
    let nat = |family| {
        move |vs: &VirtualServer| {
            has_server(vs, |rs| {
                rs.forwarding == ForwardingMethod::Masquerading
                    && Family::of(rs.endpoint.addr) == family
            })
        }
    };
    let direct_on_loopback = |vs: &VirtualServer| {
        has_server(vs, |rs| rs.forwarding == ForwardingMethod::DirectRoute)
            && virtual_addresses(vs).any(|a| here.on_loopback.contains(&a) && a.is_ipv4())
    };
    let tunnel = |vs: &VirtualServer| {
        here.has_tunnel && has_server(vs, |rs| rs.forwarding == ForwardingMethod::Tunnel)
    };
    let quiet =
        |vs: &VirtualServer| vs.persistence.is_some() && has_server(vs, |rs| rs.inhibit_on_failure);
    let reuses = |vs: &VirtualServer| !here.old_kernel && protocol(vs) == Some(Protocol::Tcp);
    let all_of = |name| Sysctl::of_interface("all", name);
    let own_server = |vs: &VirtualServer| {
        syncs_by_role(config)
            && has_server(vs, |rs| {
                is_direct(rs.forwarding) && here.is_own(rs.endpoint.addr)
            })
    };
    let mut list: Vec<(Sysctl, &'static [&'static str], &'static str, Vec<String>)> = vec![
        (
            Sysctl::ip_forward(),
            &["1"],
            "answers of servers behind NAT are not forwarded to clients",
            named(all, nat(Family::V4)),
        ),
        (
            Sysctl::ipv6_forwarding(),
            &["1", "2"],
            "answers of servers behind NAT are not forwarded to clients",
            named(all, nat(Family::V6)),
        ),
        (
            all_of("arp_ignore"),
            &["1", "2", "3", "8"],
            "this machine has the address on its loopback and answers ARP for it, though another one may \
             be its director",
            named(all, direct_on_loopback),
        ),
        (
            all_of("arp_announce"),
            &["2"],
            "this machine has the address on its loopback and makes it known by its own ARP requests",
            named(all, direct_on_loopback),
        ),
        (
            Sysctl::of_interface("tunl0", "rp_filter"),
            &["2", "0"],
            "packets that come out of the tunnel are dropped",
            named(all, tunnel),
        ),
        (
            Sysctl::of_ipvs(EXPIRE_TEMPLATE),
            &["1"],
            "persistent clients are sent to servers that failed and have weight 0",
            named(all, quiet),
        ),
        (
            Sysctl::of_ipvs("conn_reuse_mode"),
            &["1"],
            "clients that use a port again are sent to servers that have gone",
            named(all, reuses),
        ),
        (
            Sysctl::of_ipvs("backup_only"),
            &["1"],
            "this machine is one of the servers, and while it is backup it would send on what the master sent \
             it, in circles",
            named(all, own_server),
        ),
    ];
    list.extend(here.bridges.iter().map(|(bridge, network)| {
        let behind = |vs: &VirtualServer| {
            has_server(vs, |rs| {
                let address = rs.endpoint.addr;
                is_direct(rs.forwarding) && network.contains(address) && !here.is_own(address)
            })
        };
        let whom = match network.family() {
            Family::V4 => named(all, behind),
            Family::V6 => Vec::new(),
        };
        let key = Sysctl::of_interface(bridge, "accept_local");
        let why = "answers of servers behind that bridge have an address of this machine, and are dropped";
        let values: &'static [&'static str] = &["1"];
        (key, values, why, whom)
    }));
    let list = list.into_iter().filter(|(.., whom)| !whom.is_empty());
    list.map(|(key, values, why, whom)| Need {
        key,
        values,
        why,
        whom,
    })
    .collect()
}

/// DR and TUN leave the address of the service in the packet.
fn is_direct(forwarding: ForwardingMethod) -> bool {
    matches!(
        forwarding,
        ForwardingMethod::DirectRoute | ForwardingMethod::Tunnel
    )
}

/// Whether a sync daemon hears while this machine is backup and not otherwise: the kernel looks at backup_only
/// only while one hears.
fn syncs_by_role(config: &Config) -> bool {
    let by_instance = config.globals.lvs_sync_daemon.as_ref();
    let mut instances = config.instances.iter();
    by_instance.is_some_and(|sync| sync.instance.is_some())
        || instances.any(|i| i.more.lvs_sync_daemon_interface.is_some())
}

fn named(all: &[VirtualServer], which: impl Fn(&VirtualServer) -> bool) -> Vec<String> {
    all.iter().filter(|vs| which(vs)).map(name).collect()
}

fn has_server(vs: &VirtualServer, which: impl Fn(&RealServer) -> bool) -> bool {
    vs.real_servers.iter().any(which)
}

fn protocol(vs: &VirtualServer) -> Option<Protocol> {
    match service_key(&vs.address) {
        crate::ipvs::ServiceKey::Endpoint { protocol, .. } => Some(protocol),
        crate::ipvs::ServiceKey::FwMark { .. } => None,
    }
}

pub(super) fn name(server: &VirtualServer) -> String {
    match &server.group {
        Some(group) => format!("group {}", group.name),
        None => service_key(&server.address).to_string(),
    }
}

fn asks(server: &VirtualServer) -> bool {
    let mut said = server.real_servers.iter();
    said.any(|rs| {
        let said = rs.connections.as_deref();
        let gone = said.filter(|c| c.on_down.is_some() || c.on_remove.is_some());
        gone.is_some_and(|c| !c.spared)
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::config::{Options, load};

    struct One(&'static str);

    impl crate::config::Files for One {
        fn read(&self, _: &std::path::Path) -> std::io::Result<Vec<u8>> {
            Ok(self.0.as_bytes().to_vec())
        }

        fn exists(&self, _: &std::path::Path) -> bool {
            false
        }

        fn glob(&self, _: &std::path::Path) -> std::io::Result<Vec<std::path::PathBuf>> {
            Ok(Vec::new())
        }
    }

    /// A configuration of this text.
    pub(in crate::lvs) fn read(text: &str) -> Config {
        let text: &'static str = Box::leak(text.to_owned().into_boxed_str());
        let path = std::path::Path::new("s.conf");
        let loaded = load(path, &One(text), &Options::default());
        loaded
            .config
            .unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
    }

    #[test]
    fn nothing_is_touched_unless_somebody_asks_and_persistence_needs_one_more() {
        let plain = "virtual_server 10.0.0.1 80 {\n protocol TCP\n lb_algo rr\n lb_kind NAT\n \
                     persistence_timeout 60\n real_server 10.1.0.1 80 {\n }\n}\n";
        let settings = |config: &Config| kernel_settings(config, &Here::default());
        assert_eq!(settings(&read(plain)), KernelSettings::new());
        let asked = "virtual_server 10.0.0.1 80 {\n protocol TCP\n lb_algo rr\n lb_kind NAT\n \
                     real_server 10.1.0.1 80 {\n @vipd on_down kill\n }\n}\n\
                     virtual_server 10.0.0.2 80 {\n protocol TCP\n lb_algo rr\n lb_kind NAT\n \
                     persistence_timeout 60\n @vipd on_remove drain 9\n \
                     real_server 10.1.0.1 80 {\n }\n}\n\
                     virtual_server 10.0.0.3 80 {\n protocol TCP\n lb_algo rr\n lb_kind NAT\n \
                     persistence_timeout 60\n real_server 10.1.0.1 80 {\n }\n}\n";
        let found = settings(&read(asked));
        let both = ["10.0.0.1:80/tcp", "10.0.0.2:80/tcp"].map(str::to_owned);
        let asked = |key, whom: &[String]| {
            let (value, whom) = ("1".to_owned(), whom.to_vec());
            (Sysctl::of_ipvs(key), Asked { value, whom })
        };
        let expected = [
            asked(EXPIRE_NODEST, &both),
            asked(EXPIRE_TEMPLATE, &both[1..]),
        ];
        assert_eq!(found, expected.into());
    }

    #[test]
    fn what_virtual_servers_need_is_set_when_it_is_asked_for_and_a_named_value_counts_more() {
        let text = |globals: &str| {
            format!(
                "global_defs {{\n{globals}\n}}\nvirtual_server 10.0.0.1 80 {{\n protocol TCP\n \
                 lb_algo rr\n lb_kind NAT\n persistence_timeout 60\n inhibit_on_failure\n \
                 real_server 10.0.0.9 80 {{\n }}\n}}\nvirtual_server 10.0.0.2 80 {{\n protocol UDP\n \
                 lb_algo rr\n lb_kind DR\n real_server 10.1.0.1 80 {{\n }}\n}}\n"
            )
        };
        let read = |globals| read(&text(globals));
        let here = Here {
            on_loopback: ["10.0.0.2".parse().unwrap()].into(),
            networks: ["10.0.0.7/24".parse().unwrap()].into(),
            ..Here::default()
        };
        let plain = read("");
        let keys: Vec<String> = needs(&plain, &here)
            .iter()
            .map(|n| n.key.to_string())
            .collect();
        let expected = [
            "net.ipv4.ip_forward",
            "net.ipv4.conf.all.arp_ignore",
            "net.ipv4.conf.all.arp_announce",
            "net.ipv4.vs.expire_quiescent_template",
            "net.ipv4.vs.conn_reuse_mode",
        ];
        assert_eq!(keys, expected);
        assert_eq!(kernel_settings(&plain, &here), KernelSettings::new());
        let set = kernel_settings(
            &read("@vipd set_kernel_settings\n@vipd sysctl net.ipv4.vs.conn_reuse_mode 0"),
            &here,
        );
        assert_eq!(set.len(), 5);
        assert_eq!(set[&Sysctl::of_ipvs("conn_reuse_mode")].value, "0");
        assert_eq!(set[&Sysctl::ip_forward()].value, "1");
    }
}
