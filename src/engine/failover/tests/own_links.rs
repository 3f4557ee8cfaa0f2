//! Links that instances make for themselves.

use super::*;
use crate::config::model::Vmac;
use crate::net::{Family, OwnLink, OwnLinkKind, virtual_router_mac};

impl Bench {
    /// As the thread does, with the kernel's events behind it.
    pub(super) fn obey_about_link(&mut self, action: Action) {
        match action {
            Action::MakeLink(own) => {
                let number = 10 + u32::try_from(self.links.len()).unwrap();
                let made = Link {
                    index: InterfaceIndex::new(number).unwrap(),
                    name: own.name.clone(),
                    mac: own.mac().unwrap(),
                    ..link(true)
                };
                self.links.push(made.clone());
                self.input(Input::Link(made));
            }
            Action::RemoveLink(own) => self.lose_link(own.name.as_str()),
            _ => {}
        }
    }

    fn lose_link(&mut self, name: &str) {
        let place = self.links.iter().position(|l| l.name.as_str() == name);
        let gone = self.links.remove(place.expect("it is there")).index;
        self.kernel.retain(|key, _| key.interface != gone);
        self.input(Input::LinkGone(gone));
    }

    /// Whether an address is on any link.
    fn holds(&self, address: &str) -> bool {
        let address: IpAddr = address.parse().unwrap();
        self.kernel.keys().any(|key| key.cidr.addr() == address)
    }

    fn link_names(&self) -> Vec<&str> {
        self.links.iter().map(|link| link.name.as_str()).collect()
    }
}

fn vmac(vrid: u8) -> OwnLink {
    OwnLink {
        name: format!("vrrp.{vrid}").parse().unwrap(),
        base: "eth0".parse().unwrap(),
        kind: OwnLinkKind::Macvlan(virtual_router_mac(Family::V4, vrid)),
        v4: true,
        v6: false,
        group: None,
        tells_of_base: false,
    }
}

/// Instances with VMACs, as lowering leaves them.
fn with_vmacs(instances: Vec<Instance>) -> Config {
    let mut config = config(instances);
    for instance in config.instances.iter_mut().map(std::sync::Arc::make_mut) {
        let own = vmac(instance.vrid.get());
        for vip in &mut instance.vips {
            vip.vmac = Some(own.name.clone());
        }
        instance.more.vmac = Some(Vmac {
            name: Some(own.name.clone()),
            ..Vmac::default()
        });
        config.own_links.push(own);
    }
    config
}

/// A master whose VMAC was made before it started.
fn master() -> Bench {
    let mut bench = Bench::new(with_vmacs(vec![instance("VI_1", 51, "10.0.0.100")]));
    bench.obey_about_link(Action::MakeLink(vmac(51)));
    bench.run(5);
    assert_eq!(bench.role("VI_1"), Role::Master, "{:?}", bench.events);
    bench
}

#[test]
fn the_vip_is_on_the_vmac_and_the_adverts_come_from_the_address_of_the_interface_under_it() {
    let mut bench = master();
    let on: Vec<u32> = bench
        .kernel
        .keys()
        .filter(|key| key.cidr.addr() == "10.0.0.100".parse::<IpAddr>().unwrap())
        .map(|key| key.interface.get())
        .collect();
    assert_eq!(on, [11]);
    bench.now += Duration::from_secs(1);
    let actions = bench.engine.handle(Input::Timer, bench.now);
    let sent = actions.iter().find_map(|action| match action {
        Action::Send {
            channel, source, ..
        } => Some((channel.interface, *source)),
        _ => None,
    });
    let from = (InterfaceIndex::new(11), "10.0.0.5".parse().unwrap());
    assert_eq!(sent, Some(from));
}

#[test]
fn a_vmac_that_somebody_deletes_is_made_again_and_so_is_its_vip() {
    let mut bench = master();
    bench.lose_link("vrrp.51");
    assert_eq!(bench.role("VI_1"), Role::Fault);
    bench.run(1);
    assert_eq!(bench.link_names(), ["eth0", "vrrp.51"]);
    bench.run(5);
    assert_eq!(bench.role("VI_1"), Role::Master);
    assert!(bench.holds("10.0.0.100"));
}

#[test]
fn without_the_interface_under_it_none_is_made() {
    let mut bench = master();
    bench.lose_link("vrrp.51");
    bench.lose_link("eth0");
    bench.run(70);
    assert!(bench.links.is_empty());
    bench.links.push(link(true));
    bench
        .kernel
        .insert(address("10.0.0.5/24", 0).key, address("10.0.0.5/24", 0));
    bench.input(Input::Link(link(true)));
    bench.run(10);
    assert_eq!(bench.link_names(), ["eth0", "vrrp.51"]);
    assert_eq!(bench.role("VI_1"), Role::Master);
}

#[test]
fn a_reload_removes_links_that_nobody_uses_and_a_stop_removes_all() {
    let both = || {
        vec![
            instance("A", 51, "10.0.0.100"),
            instance("B", 52, "10.0.0.101"),
        ]
    };
    let mut bench = Bench::new(with_vmacs(both()));
    for vrid in [51, 52] {
        bench.obey_about_link(Action::MakeLink(vmac(vrid)));
    }
    bench.run(5);
    let config = with_vmacs(vec![instance("A", 51, "10.0.0.100")]);
    bench.input(Input::Reload(Arc::new(config.clone())));
    bench.run(10);
    assert_eq!(bench.link_names(), ["eth0", "vrrp.51"]);
    assert!(bench.holds("10.0.0.100") && !bench.holds("10.0.0.101"));
    bench.input(Input::Reload(Arc::new(config)));
    assert_eq!(bench.link_names(), ["eth0", "vrrp.51"]);
    bench.input(Input::Stop(StopKind::Release));
    bench.run(10);
    assert!(bench.released);
    assert_eq!(bench.link_names(), ["eth0"]);
    assert_eq!(
        bench.said("vrrp.51 is gone"),
        0,
        "that they went is no news: {:?}",
        bench.events
    );
}

#[test]
fn a_stop_that_keeps_addresses_keeps_their_links() {
    let mut bench = master();
    bench.input(Input::Stop(StopKind::Keep));
    assert!(bench.released && bench.holds("10.0.0.100"));
    assert_eq!(bench.link_names(), ["eth0", "vrrp.51"]);
}
