//! What must hold at every moment, whatever happens.

use std::collections::BTreeMap;
use std::time::Duration;

use vipd::time::Time;

use crate::router::Router;
use crate::world::World;

/// What is waited for a successor's announcement, after its advert (promise 4).
const ANNOUNCED_WITHIN: Duration = Duration::from_millis(50);
/// What a leaving router waits longer than the worst skew, when nobody follows it (promise 4).
const HOLD_MARGIN: Duration = Duration::from_millis(200);
/// And the longest that it waits.
const HOLD_MAX: Duration = Duration::from_secs(5);
/// An address that somebody removed is back within this (promise 5).
const BACK_WITHIN: Duration = Duration::from_millis(100);
/// What a router listens longer than an interval after a stall (promise 6).
const LISTEN_MARGIN: Duration = Duration::from_millis(100);
/// Removals in a minute that are answered.
const REMOVALS_MAX: usize = 3;

/// Since when something is so that may not be so for long.
#[derive(Default)]
pub(crate) struct Watch {
    /// The first hears the second, who outranks it, and both are master.
    two_masters: BTreeMap<(usize, usize), Time>,
    /// Holds addresses without being master.
    holds: BTreeMap<usize, Time>,
    /// Is master without all of its addresses.
    lacks: BTreeMap<usize, Time>,
}

impl Watch {
    /// This router stands still from now on: what lasted up to now begins anew when it goes on, even when
    /// nobody has looked meanwhile.
    pub(crate) fn stands_still(&mut self, number: usize) {
        self.holds.remove(&number);
        self.lacks.remove(&number);
    }

    pub(crate) fn look(&mut self, world: &World) -> Result<(), String> {
        self.two_masters(world)?;
        let holds = |router: &Router| router.runs() && router.has_every_vip();
        if world.covered && !world.routers.iter().any(holds) {
            return Err("nobody has the addresses, in the middle of a hand-over".to_owned());
        }
        for (number, router) in world.routers.iter().enumerate() {
            if let Some(wrong) = &router.wrong {
                return Err(format!("{number} {wrong}"));
            }
            if !router.runs() || router.frozen.is_some() {
                self.stands_still(number);
                continue;
            }
            self.holder(world, number, router)?;
            self.master(world, number, router)?;
        }
        Ok(())
    }

    /// Two masters, of which one hears the other: within an advert of the better one it yields.
    fn two_masters(&mut self, world: &World) -> Result<(), String> {
        for (a, b) in pairs(world.routers.len()) {
            let (low, high) = (&world.routers[a], &world.routers[b]);
            let network = &world.network;
            let late = world.plan.interval * 2;
            let hears = network.is_well()
                && world.now.since(network.well_since) > late
                && !network.deaf.contains(&(b, a));
            let masters = low.is_master(0) && high.is_master(0) && low.is_well() && high.is_well();
            if !hears || !masters || low.rank() >= high.rank() {
                self.two_masters.remove(&(a, b));
                continue;
            }
            let since = *self.two_masters.entry((a, b)).or_insert(world.now);
            // It may have stood still before, and listen.
            let most = high.node.interval + LISTEN_MARGIN + allowance(world);
            if world.now.since(since) > most {
                return Err(format!(
                    "{a} and {b} are master since {since}, and {a} hears {b}"
                ));
            }
        }
        Ok(())
    }

    /// Who holds addresses is master, or leaves within the hold time, or took them over from a
    /// predecessor and has heard nobody.
    fn holder(&mut self, world: &World, number: usize, router: &Router) -> Result<(), String> {
        let adopts = router.keeps && router.link_up;
        if !router.has_vip() || router.is_master(0) || adopts {
            self.holds.remove(&number);
            return Ok(());
        }
        let since = *self.holds.entry(number).or_insert(world.now);
        // Who is not told to leave yields on its own when its addresses are taken again and again, or
        // with the other member of its group.
        let alone = router.stopping.is_some()
            || router.yielded
            || world.plan.grouped
            || router.taken_within_a_minute(world.now) > REMOVALS_MAX;
        let most = if alone {
            let worst = world.plan.skew(0, router.node.interval);
            (worst + HOLD_MARGIN).min(HOLD_MAX) + ANNOUNCED_WITHIN
        } else {
            ANNOUNCED_WITHIN
        };
        if world.now.since(since) > most + allowance(world) {
            return Err(format!(
                "{number} is not master and holds addresses since {since}"
            ));
        }
        Ok(())
    }

    fn master(&mut self, world: &World, number: usize, router: &Router) -> Result<(), String> {
        if !router.is_master(0) || router.stopping.is_some() {
            self.lacks.remove(&number);
            return Ok(());
        }
        if router.ipvs_at.is_some_and(|at| world.now < at) {
            return Err(format!("{number} is master before IPVS is programmed"));
        }
        if !router.link_up && world.now.since(router.started) > allowance(world) && router.is_idle()
        {
            return Err(format!("{number} is master without a link"));
        }
        if world.plan.grouped && !router.is_master(1) && router.is_idle() {
            return Err(format!("{number} is master with a part of its sync group"));
        }
        // One that stood still adds nothing before it has listened.
        let listening = router.node.interval + LISTEN_MARGIN;
        let listens = router.may_listen_since;
        let listens = listens.is_some_and(|since| world.now.since(since) <= listening);
        if router.has_every_vip() || listens {
            self.lacks.remove(&number);
            return Ok(());
        }
        let since = *self.lacks.entry(number).or_insert(world.now);
        if world.now.since(since) > BACK_WITHIN + allowance(world) {
            let taken = router.taken_within_a_minute(world.now);
            return Err(format!(
                "{number} is master and lacks addresses since {since}; {taken} of {REMOVALS_MAX} removals"
            ));
        }
        Ok(())
    }
}

/// What timers and packets may be late in all.
fn allowance(world: &World) -> Duration {
    world.plan.lag_max() * 2 + world.plan.delay_max() * 2
}

fn pairs(count: usize) -> impl Iterator<Item = (usize, usize)> {
    let all = (0..count).flat_map(move |a| (0..count).map(move |b| (a, b)));
    all.filter(|(a, b)| a != b)
}
