//! What the packet filter is to drop. It depends on the configuration alone: a backup has none of these
//! addresses, so that nothing is dropped there that would otherwise arrive, and a failover has no rule
//! to change.

use std::net::IpAddr;

use crate::config::Config;
use crate::net::{Family, Filter};

use super::slot::device;

/// What is to be dropped for this configuration.
pub fn filter_of(config: &Config) -> Filter {
    let mut filter = Filter::default();
    for instance in config.instances.iter().filter(|instance| !instance.accept) {
        for vip in instance.all_vips() {
            match vip.cidr.addr() {
                IpAddr::V4(v4) => drop(filter.v4.insert(v4)),
                IpAddr::V6(v6) if v6.is_unicast_link_local() => {
                    if let Some(on) = device(instance, vip) {
                        filter.link_local.insert((v6, on.clone()));
                    }
                }
                IpAddr::V6(v6) => drop(filter.v6.insert(v6)),
            }
        }
    }
    for link in &config.own_links {
        // An ipvlan interface has the hardware address of the interface that it is on.
        if link.mac().is_some() {
            let family = if link.v4 { Family::V4 } else { Family::V6 };
            // Without reports of IPv4 there are none to move.
            if family == Family::V4 && config.globals.vrrp.disable_local_igmp {
                continue;
            }
            filter
                .vmacs
                .insert(link.name.clone(), (family, link.base.clone()));
        }
    }
    filter
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::{Instance, VirtualAddress};
    use crate::units::Vrid;

    #[test]
    fn only_what_its_master_does_not_accept_is_dropped_link_local_addresses_on_their_links() {
        let instance = |vrid: u8, accept: bool, vips: &[&str]| Instance {
            accept,
            vips: vips
                .iter()
                .map(|vip| VirtualAddress::new(vip.parse().unwrap()))
                .collect(),
            ..Instance::new("V", "eth0".parse().unwrap(), Vrid::new(vrid).unwrap())
        };
        let config = Config {
            instances: vec![
                instance(1, true, &["10.0.0.1/24"]).into(),
                instance(2, false, &["10.0.0.2/24"]).into(),
                instance(3, false, &["fe80::3", "fd00::3/64"]).into(),
            ],
            ..Config::default()
        };
        let filter = filter_of(&config);
        assert_eq!(filter.v4, ["10.0.0.2".parse().unwrap()].into());
        assert_eq!(filter.v6, ["fd00::3".parse().unwrap()].into());
        let link_local = ("fe80::3".parse().unwrap(), "eth0".parse().unwrap());
        assert_eq!(filter.link_local, [link_local].into());
    }
}
