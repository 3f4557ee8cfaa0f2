//! In which order the two threads get a new configuration.
//!
//! A VIP must not be claimed before the services behind it are there, and services must not go before
//! their VIP has gone. So the balancer comes first, with what the configurations of before name beside what
//! the new one does; then the failover thread; and when what left there has let go of its VIPs, the balancer
//! again, with the new configuration alone. Each is waited for, but not for ever: that is the caller's.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::config::Config;
use crate::config::model::{MarkedAddresses, ServiceGroup, VirtualServer, VirtualServerAddress};

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The failover thread gets the configuration.
    Addresses,
    /// The balancer gets this one.
    Services(Arc<Config>),
}

/// How far a configuration is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    /// There.
    Nothing,
    /// Until the balancer has programmed what it was given.
    ForServices,
    /// Until nothing is held any more for instances that left.
    ForAddresses,
}

/// The configurations that the threads were given.
#[derive(Debug)]
pub(super) struct Sequence {
    /// The newest.
    config: Arc<Config>,
    /// What the balancer has: more, at times.
    programmed: Arc<Config>,
    /// Orders to use a configuration that the balancer got.
    orders: u64,
    /// The same, of the failover thread.
    reloads: u64,
    waits: Waits,
}

impl Sequence {
    /// Both threads begin with this one.
    pub(super) fn new(config: Arc<Config>) -> Sequence {
        Sequence {
            programmed: Arc::clone(&config),
            config,
            orders: 0,
            reloads: 0,
            waits: Waits::Nothing,
        }
    }

    /// Whether another one may begin: the failover thread has the last one.
    pub(super) fn takes_another(&self) -> bool {
        self.waits != Waits::ForServices
    }

    /// Whether something is waited for.
    pub(super) fn is_waiting(&self) -> bool {
        self.waits != Waits::Nothing
    }

    /// Another configuration comes; what the balancer is to get at once.
    pub(super) fn begin(&mut self, config: Arc<Config>) -> Arc<Config> {
        self.programmed = with_leaving(&config, &self.programmed);
        self.config = config;
        self.orders += 1;
        self.waits = Waits::ForServices;
        Arc::clone(&self.programmed)
    }

    /// What is to be done now that the balancer has programmed `programmed` orders, that the failover thread
    /// has carried out `reloaded` of them to the end, or that enough was waited (`late`).
    pub(super) fn next(&mut self, programmed: u64, reloaded: u64, late: bool) -> Option<Step> {
        match self.waits {
            Waits::ForServices if programmed >= self.orders || late => {
                self.reloads += 1;
                self.waits = if Arc::ptr_eq(&self.programmed, &self.config) {
                    Waits::Nothing
                } else {
                    Waits::ForAddresses
                };
                Some(Step::Addresses)
            }
            Waits::ForAddresses if reloaded >= self.reloads || late => {
                self.programmed = Arc::clone(&self.config);
                self.orders += 1;
                self.waits = Waits::Nothing;
                Some(Step::Services(Arc::clone(&self.config)))
            }
            _ => None,
        }
    }
}

/// The same configuration, and the services that only `before` names.
pub(super) fn with_leaving(config: &Arc<Config>, before: &Config) -> Arc<Config> {
    let named = config.virtual_servers.iter().flat_map(|vs| vs.addresses());
    let named: BTreeSet<VirtualServerAddress> = named.collect();
    let leaving = before.virtual_servers.iter().filter_map(|vs| {
        let gone = vs.addresses().filter(|address| !named.contains(address));
        let gone: Vec<VirtualServerAddress> = gone.collect();
        let (first, more) = gone.split_first()?;
        let group = vs.group.as_ref().map(|group| ServiceGroup {
            name: group.name.clone(),
            more: more.to_vec(),
            marked: marked_of(group, &gone),
        });
        let mut leaving = VirtualServer {
            address: *first,
            group,
            ..vs.clone()
        };
        if gone.len() < vs.addresses().count() {
            // Its servers stay, with other addresses: there is nothing to be told of them.
            say_nothing_of(&mut leaving);
        }
        Some(leaving)
    });
    let mut leaving = leaving.peekable();
    if leaving.peek().is_none() {
        return Arc::clone(config);
    }
    let mut both = Config::clone(config);
    both.virtual_servers.extend(leaving);
    Arc::new(both)
}

/// Of a group what is marked for these of its addresses.
fn marked_of(group: &ServiceGroup, gone: &[VirtualServerAddress]) -> Vec<MarkedAddresses> {
    let marked = group.marked.iter();
    let marked = marked.filter(|marked| gone.contains(&marked.address()));
    marked.cloned().collect()
}

fn say_nothing_of(server: &mut VirtualServer) {
    (server.pool.quorum_up, server.pool.quorum_down) = (None, None);
    server.pool.smtp_alert = Some(false);
    for real in &mut server.real_servers {
        (real.more.notify_up, real.more.notify_down) = (None, None);
        real.more.smtp_alert = Some(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::{SchedulerSpec, Shared};
    use crate::net::{Family, FwMark, Scheduler};

    fn config(marks: &[u32]) -> Arc<Config> {
        let server = |mark: &u32| VirtualServer {
            address: VirtualServerAddress::FwMark {
                family: Family::V4,
                mark: FwMark::new(*mark).unwrap(),
            },
            scheduler: SchedulerSpec {
                name: Scheduler::wlc(),
                flags: BTreeSet::new(),
            },
            persistence: None,
            one_packet: false,
            real_servers: Vec::new(),
            group: None,
            sorry_server: None,
            writers: None,
            pool: Shared::default(),
        };
        Arc::new(Config {
            virtual_servers: marks.iter().map(server).collect(),
            ..Config::default()
        })
    }

    fn marks(config: &Config) -> Vec<u32> {
        let address = |vs: &VirtualServer| match vs.address {
            VirtualServerAddress::FwMark { mark, .. } => mark.get(),
            VirtualServerAddress::Endpoint { .. } => 0,
        };
        config.virtual_servers.iter().map(address).collect()
    }

    #[test]
    fn new_services_come_before_vips_and_old_ones_go_after_them() {
        let mut sequence = Sequence::new(config(&[1, 2]));
        let first = sequence.begin(config(&[2, 3]));
        assert_eq!(marks(&first), [2, 3, 1]);
        assert_eq!(sequence.next(0, 0, false), None);
        assert!(!sequence.takes_another());
        assert_eq!(sequence.next(1, 0, false), Some(Step::Addresses));
        assert!(sequence.takes_another() && sequence.is_waiting());
        assert_eq!(sequence.next(1, 0, false), None, "VIPs are still held");
        let Some(Step::Services(last)) = sequence.next(1, 1, false) else {
            panic!("{sequence:?}")
        };
        assert_eq!(marks(&last), [2, 3]);
        assert!(!sequence.is_waiting());
        assert_eq!(sequence.next(2, 1, false), None);
    }

    #[test]
    fn without_old_services_nobody_gets_anything_twice() {
        let mut sequence = Sequence::new(config(&[1]));
        let same = config(&[1]);
        let first = sequence.begin(Arc::clone(&same));
        assert!(Arc::ptr_eq(&first, &same));
        assert_eq!(sequence.next(1, 0, false), Some(Step::Addresses));
        assert!(!sequence.is_waiting());
    }

    #[test]
    fn an_address_that_leaves_its_group_stays_as_long() {
        let mark = |mark: u32| VirtualServerAddress::FwMark {
            family: Family::V4,
            mark: FwMark::new(mark).unwrap(),
        };
        let group = |first: u32, more: &[u32]| {
            let mut group = config(&[first]);
            Arc::make_mut(&mut group).virtual_servers[0].group = Some(ServiceGroup {
                name: "G".to_owned(),
                more: more.iter().map(|more| mark(*more)).collect(),
                marked: Vec::new(),
            });
            group
        };
        let both = with_leaving(&group(1, &[3]), &group(1, &[2, 3, 4]));
        let addresses: Vec<Vec<_>> = both
            .virtual_servers
            .iter()
            .map(|vs| vs.addresses().collect())
            .collect();
        assert_eq!(addresses, [vec![mark(1), mark(3)], vec![mark(2), mark(4)]]);
    }

    #[test]
    fn nobody_is_waited_for_for_ever() {
        let mut sequence = Sequence::new(config(&[1]));
        sequence.begin(config(&[2]));
        assert_eq!(sequence.next(0, 0, true), Some(Step::Addresses));
        let last = sequence.next(0, 0, true);
        assert!(matches!(last, Some(Step::Services(_))), "{last:?}");
        assert_eq!(sequence.next(0, 0, true), None);
    }

    #[test]
    fn one_that_comes_while_vips_are_held_keeps_their_services() {
        let mut sequence = Sequence::new(config(&[1]));
        sequence.begin(config(&[2]));
        sequence.next(1, 0, false);
        assert_eq!(marks(&sequence.begin(config(&[3]))), [3, 2, 1]);
        // What was programmed for the one before does not count.
        assert_eq!(sequence.next(1, 1, false), None);
        assert_eq!(sequence.next(2, 1, false), Some(Step::Addresses));
        assert_eq!(sequence.next(2, 1, false), None);
        let Some(Step::Services(last)) = sequence.next(2, 2, false) else {
            panic!("{sequence:?}")
        };
        assert_eq!(marks(&last), [3]);
    }
}
