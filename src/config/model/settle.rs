//! A configuration that stays: while text became a configuration, its parts came to lie between things
//! that are gone by now, in lists with room for more.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{
    BackendCheck, Checker, CheckerKind, Config, HttpCheck, Instance, RealServer, Shared,
    VirtualAddress, VirtualServer,
};

impl Config {
    /// The same configuration in as little memory as it needs, written anew from end to end: equal
    /// neighbours share what they have in common, and instances and checks that `running` has too are
    /// shared with it. The caller drops what it was made from.
    pub fn settled(mut self, running: &Config) -> Config {
        let instances = std::mem::take(&mut self.instances);
        let servers = std::mem::take(&mut self.virtual_servers);
        let mut settled = self.clone();
        let known = running.instances.iter().map(|i| (i.name.as_str(), i));
        let known: BTreeMap<&str, &Arc<Instance>> = known.collect();
        settled.instances.reserve_exact(instances.len());
        for instance in &instances {
            let same = known.get(instance.name.as_str());
            let instance = match same.filter(|same| **same == instance) {
                Some(same) => Arc::clone(same),
                None => {
                    let before = settled.instances.last();
                    Arc::new(settled_instance(instance, before.map(|before| &**before)))
                }
            };
            settled.instances.push(instance);
        }
        settled.virtual_servers.reserve_exact(servers.len());
        let known = running.virtual_servers.iter().map(|vs| (vs.address, vs));
        let known: BTreeMap<_, &VirtualServer> = known.collect();
        for server in &servers {
            let same = known.get(&server.address).copied();
            let server = settled_server(server, settled.virtual_servers.last(), same);
            settled.virtual_servers.push(server);
        }
        settled.keep_marks_of(running);
        settled
    }
}

fn settled_instance(instance: &Instance, before: Option<&Instance>) -> Instance {
    let mut instance = instance.clone();
    instance
        .adverts
        .settle(before.map(|before| &before.adverts));
    instance.garp.settle(before.map(|before| &before.garp));
    instance.more.settle(before.map(|before| &before.more));
    let mut last = before.and_then(|before| before.all_vips().last());
    for vip in instance.vips.iter_mut().chain(&mut instance.vips_excluded) {
        vip.more
            .settle(last.map(|last: &VirtualAddress| &last.more));
        last = Some(vip);
    }
    instance
}

fn settled_server(
    server: &VirtualServer,
    before: Option<&VirtualServer>,
    running: Option<&VirtualServer>,
) -> VirtualServer {
    let mut server = server.clone();
    server.pool.settle(before.map(|before| &before.pool));
    let mut last = before.and_then(|before| before.real_servers.last());
    let known = running.into_iter().flat_map(|vs| &vs.real_servers);
    let known: BTreeMap<_, &RealServer> = known.map(|real| (real.endpoint, real)).collect();
    for real in &mut server.real_servers {
        real.more.settle(last.map(|last| &last.more));
        settle_checkers(real, last, known.get(&real.endpoint).copied());
        last = Some(real);
    }
    server
}

/// As `running` has them, or anew.
fn settle_checkers(real: &mut RealServer, last: Option<&RealServer>, running: Option<&RealServer>) {
    for (at, checker) in real.checkers.iter_mut().enumerate() {
        let same = running.and_then(|running| running.checkers.get(at));
        *checker = match same.filter(|same| *same == checker) {
            Some(same) => same.clone(),
            None => settled_checker(checker, last.and_then(|last| last.checkers.get(at))),
        };
    }
}

fn settled_checker(checker: &Checker, before: Option<&Shared<Checker>>) -> Shared<Checker> {
    let mut checker = checker.clone();
    match &mut checker.kind {
        CheckerKind::Http(check) => {
            let mut own = HttpCheck::clone(check);
            let before = match before.map(|before| &before.kind) {
                Some(CheckerKind::Http(before)) => Some(&before.urls),
                _ => None,
            };
            own.urls.settle(before);
            *check = Arc::new(own);
        }
        CheckerKind::Backend(check) => *check = Arc::new(BackendCheck::clone(check)),
        _ => {}
    }
    checker.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::InterfaceName;
    use crate::units::Vrid;

    fn config(names: &[&str]) -> Config {
        let instance = |(name, vrid)| {
            let vrid = Vrid::new(vrid).unwrap();
            let mut instance = Instance::new(name, InterfaceName::eth0(), vrid);
            let vip = VirtualAddress::new(format!("10.0.0.{}", vrid.get()).parse().unwrap());
            instance.vips.push(vip);
            Arc::new(instance)
        };
        Config {
            instances: names.iter().copied().zip(1..).map(instance).collect(),
            ..Config::default()
        }
    }

    #[test]
    fn it_says_the_same_and_shares_what_is_the_same() {
        let before = config(&["a", "b", "c"]);
        let running = before.clone().settled(&Config::default());
        assert_eq!(running, before);
        let shared = |a: &Instance, b: &Instance| {
            let same = [
                std::ptr::eq(&*a.more, &*b.more),
                std::ptr::eq(&*a.garp, &*b.garp),
                std::ptr::eq(&*a.adverts, &*b.adverts),
                std::ptr::eq(&*a.vips[0].more, &*b.vips[0].more),
            ];
            same == [true; 4]
        };
        let [a, b, _] = &running.instances[..] else {
            panic!("{running:?}")
        };
        assert!(shared(a, b));
        assert_eq!(a.vips.capacity(), 1);

        // A reload of which one instance differs.
        let mut next = config(&["a", "b", "c"]);
        let other = Arc::make_mut(&mut next.instances[1]);
        other.more.settings.notify = Some(Default::default());
        let told = next.clone();
        let next = next.settled(&running);
        assert_eq!(next, told);
        let kept: Vec<bool> = next
            .instances
            .iter()
            .zip(&running.instances)
            .map(|(new, old)| Arc::ptr_eq(new, old))
            .collect();
        assert_eq!(kept, [true, false, true]);
        assert_eq!(running.instances[1].more.settings.notify, None);
    }
}
