//! A configuration that stays: equal parts of it are one. While text became an instance or a check, its parts
//! came to lie between things that are gone by now: those are written anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{
    BackendCheck, Checker, CheckerKind, Config, HttpCheck, Instance, RealServer, Shared,
    VirtualAddress, VirtualServer,
};

impl Config {
    /// The same configuration in less memory: equal neighbours share what they have in common, and instances
    /// and checks that `running` has too are shared with it.
    #[must_use]
    pub fn settled(mut self, running: &Config) -> Config {
        let known = running.instances.iter().map(|i| (i.name.as_str(), i));
        let known: BTreeMap<&str, &Arc<Instance>> = known.collect();
        // What was read goes when all is written: holes that are filled at once would be as scattered as it was.
        let read = self.instances.clone();
        let mut before: Option<&Instance> = None;
        for instance in &mut self.instances {
            let same = known.get(instance.name.as_str());
            match same.filter(|same| **same == instance) {
                Some(same) => *instance = Arc::clone(same),
                None => *instance = Arc::new(settled_instance(instance, before)),
            }
            before = Some(instance);
        }
        drop(read);
        let known = running.virtual_servers.iter().map(|vs| (vs.address, vs));
        let known: BTreeMap<_, &VirtualServer> = known.collect();
        let mut servers = self.virtual_servers.iter().flat_map(|vs| &vs.real_servers);
        let checks = servers.any(|real| !real.checkers.is_empty());
        let read = checks.then(|| {
            let anew = self.virtual_servers.clone();
            std::mem::replace(&mut self.virtual_servers, anew)
        });
        let mut before: Option<&VirtualServer> = None;
        for server in &mut self.virtual_servers {
            let same = known.get(&server.address).copied();
            settle_server(server, before, same);
            before = Some(server);
        }
        drop(read);
        self.keep_marks_of(running);
        self
    }
}

fn settled_instance(instance: &Instance, before: Option<&Instance>) -> Instance {
    let mut instance = instance.clone();
    instance
        .adverts
        .settle_anew(before.map(|before| &before.adverts));
    instance.garp.settle_anew(before.map(|before| &before.garp));
    instance.more.settle_anew(before.map(|before| &before.more));
    let mut last = before.and_then(|before| before.all_vips().last());
    for vip in instance.vips.iter_mut().chain(&mut instance.vips_excluded) {
        vip.more
            .settle_anew(last.map(|last: &VirtualAddress| &last.more));
        last = Some(vip);
    }
    instance
}

fn settle_server(
    server: &mut VirtualServer,
    before: Option<&VirtualServer>,
    running: Option<&VirtualServer>,
) {
    server.pool.settle(before.map(|before| &before.pool));
    let running = running.map_or(&[][..], |vs| &vs.real_servers);
    // Most often they stand in the same order.
    let mut others: Option<BTreeMap<_, &RealServer>> = None;
    let mut last = before.and_then(|before| before.real_servers.last());
    for (at, real) in server.real_servers.iter_mut().enumerate() {
        let same = match running
            .get(at)
            .filter(|same| same.endpoint == real.endpoint)
        {
            Some(same) => Some(same),
            None => {
                let all = running.iter().map(|real| (real.endpoint, real));
                let others = others.get_or_insert_with(|| all.collect());
                others.get(&real.endpoint).copied()
            }
        };
        real.more.settle(last.map(|last| &last.more));
        settle_checkers(real, last, same);
        last = Some(real);
    }
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
            own.urls.settle_anew(before);
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
