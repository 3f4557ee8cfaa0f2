//! Who holds which virtual address, asked of the kernel of each machine 20 times a second.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use super::timeline::{Timeline, Who};
use crate::lab::net::Host;

const EVERY: Duration = Duration::from_millis(50);

/// Who held an address from a moment on.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) address: Ipv4Addr,
    pub(super) since: Instant,
    pub(super) by: BTreeSet<String>,
}

#[derive(Default)]
struct State {
    holders: BTreeMap<Ipv4Addr, BTreeSet<String>>,
    frozen: BTreeSet<String>,
    history: Vec<Held>,
}

/// The watch; ends when dropped.
pub(super) struct Watch {
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Watch {
    /// Watches each of these machines for its address.
    pub(super) fn start(whom: &[(&Host, Ipv4Addr)], timeline: Timeline) -> Self {
        let (state, stop) = (Arc::<Mutex<State>>::default(), Arc::<AtomicBool>::default());
        let watched = whom.iter().map(|(host, address)| {
            let (host, address) = ((*host).clone(), *address);
            let (state, stop) = (Arc::clone(&state), Arc::clone(&stop));
            thread::spawn(move || {
                let look = || follow(host.name(), address, &state, &stop, timeline);
                if let Err(e) = host.within(look) {
                    timeline.say(Who::Vip, format!("cannot look at {}: {e}", host.name()));
                }
            })
        });
        let threads = watched.collect();
        Self {
            state,
            stop,
            threads,
        }
    }

    /// The one that holds `address` and whose processes run, if there is exactly one.
    pub(super) fn working_holder(&self, address: Ipv4Addr) -> Option<String> {
        let state = lock(&self.state);
        let mut alive = state.holders.get(&address)?.difference(&state.frozen);
        let first = alive.next()?;
        alive.next().is_none().then(|| first.clone())
    }

    /// The one and only holder of `address`, if it has been that for `period`.
    pub(super) fn settled_holder(&self, address: Ipv4Addr, period: Duration) -> Option<String> {
        let state = lock(&self.state);
        let last = state
            .history
            .iter()
            .rev()
            .find(|held| held.address == address)?;
        let one = last.by.len() == 1 && last.since.elapsed() >= period;
        one.then(|| last.by.first().cloned()).flatten()
    }

    /// From now on the processes of `name` stand still: what it holds, its kernel holds for it.
    pub(super) fn frozen(&self, name: &str) {
        lock(&self.state).frozen.insert(name.to_owned());
    }

    /// Undoes [`Watch::frozen`].
    pub(super) fn thawed(&self, name: &str) {
        lock(&self.state).frozen.remove(name);
    }

    /// Everything that was seen.
    pub(super) fn history(&self) -> Vec<Held> {
        lock(&self.state).history.clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            // Its panic was printed; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// On a thread inside the namespace of `name`: an address that can be bound is held.
fn follow(
    name: &str,
    address: Ipv4Addr,
    state: &Mutex<State>,
    stop: &AtomicBool,
    timeline: Timeline,
) {
    let mut before = false;
    while !stop.load(Ordering::SeqCst) {
        let holds = UdpSocket::bind((address, 0)).is_ok();
        if holds != before {
            before = holds;
            let mut state = lock(state);
            let holders = state.holders.entry(address).or_default();
            if holds {
                holders.insert(name.to_owned())
            } else {
                holders.remove(name)
            };
            let by = holders.clone();
            timeline.say(Who::Vip, describe(address, &by, &state.frozen));
            state.history.push(Held {
                address,
                since: Instant::now(),
                by,
            });
        }
        sleep(EVERY);
    }
}

fn describe(address: Ipv4Addr, by: &BTreeSet<String>, frozen: &BTreeSet<String>) -> String {
    let alive: Vec<&str> = by.difference(frozen).map(String::as_str).collect();
    let asleep: Vec<&str> = by.intersection(frozen).map(String::as_str).collect();
    match (alive.as_slice(), asleep.as_slice()) {
        ([], []) => format!("{address} is held by nobody"),
        (_, []) => format!("{address} is held by {}", alive.join(" and by ")),
        ([], _) => format!("{address} is held by {} (frozen)", asleep.join(" and by ")),
        _ => format!(
            "{address} is held by {} (and by the kernel of {}, whose processes are frozen)",
            alive.join(" and by "),
            asleep.join(" and ")
        ),
    }
}
