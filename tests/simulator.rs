//! A few routers on one link in virtual time, driven by the engine that the daemon runs: loss, delay,
//! copies, reordering, partitions in one direction and in both, links that go down, routers that stand
//! still with their clock or without it, clocks that jump, reloads, routers that crash and start again,
//! and somebody who deletes addresses. Each run follows from its seed, so a failure says all that is
//! needed to see it again: `VIPD_SEED=17 cargo test --test simulator`.
//!
//! Trouble and quiet take turns, and so do single acts of which the outcome is known to the moment
//! (`acts`). Some things hold always (`watch`): two masters that hear each other end within one advert;
//! whoever holds addresses is master, or leaves, or adopts. After quiet there is one master, it alone has
//! the addresses, and it is the best one where it may preempt.
//!
//! `scripts/simulate` runs more of them for longer, and tests the simulator itself (`mutations`).

#![expect(
    clippy::expect_used,
    reason = "a test that cannot be set up has failed"
)]

#[path = "simulator/acts.rs"]
mod acts;
#[path = "mutations/list.rs"]
mod mutations;
#[path = "simulator/news.rs"]
mod news;
#[path = "simulator/plan.rs"]
mod plan;
#[path = "simulator/rogue.rs"]
mod rogue;
#[path = "simulator/router.rs"]
mod router;
#[path = "simulator/seed.rs"]
mod seed;
#[path = "simulator/trouble.rs"]
mod trouble;
#[path = "simulator/watch.rs"]
mod watch;
#[path = "simulator/world.rs"]
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use world::World;

/// Seeds of a run that was asked for nothing else.
const SEEDS: u64 = 1_500;

/// Hours of one world that was asked for nothing else.
const HOURS: u64 = 1;

/// Turns of a run.
const TURNS: u32 = 6;

fn run(seed: u64) -> Result<(), String> {
    let mut world = World::new(seed);
    world.quiet()?;
    for _ in 0..TURNS {
        turn(&mut world)?;
    }
    Ok(())
}

fn turn(world: &mut World) -> Result<(), String> {
    if world.seed.one_in(2) {
        world.trouble()?;
        return world.quiet();
    }
    world.act()
}

/// One world for so many hours of its time.
fn run_for(seed: u64, hours: u64) -> Result<(), String> {
    let mut world = World::new(seed);
    let end = world.now + Duration::from_secs(3600 * hours);
    world.quiet()?;
    while world.now < end {
        turn(&mut world)?;
        // Of a failure the last turn tells enough.
        world.story.clear();
    }
    Ok(())
}

/// A number from the environment.
fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn one_master_whatever_happens() {
    let first = asked("VIPD_SEED");
    let begin = first.or(asked("VIPD_SEED_FROM")).unwrap_or(0);
    let count = first.map_or(asked("VIPD_SEEDS").unwrap_or(SEEDS), |_| 1);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (next, failed) = (AtomicU64::new(begin), AtomicBool::new(false));
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !failed.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= begin + count {
                        break;
                    }
                    let ran = std::panic::catch_unwind(|| run(seed));
                    let why = match ran {
                        Ok(Ok(())) => continue,
                        Ok(Err(why)) => why,
                        Err(_) => "it panicked".to_owned(),
                    };
                    failed.store(true, Ordering::Relaxed);
                    let mut failures = failures.lock().expect("no thread panics with it");
                    failures.push((seed, why));
                }
            });
        }
    });
    let mut failures = failures.into_inner().expect("no thread panics with it");
    failures.sort();
    if let Some((seed, why)) = failures.first() {
        panic!("VIPD_SEED={seed}: {why}");
    }
}

#[test]
fn one_master_for_hours() {
    let (seed, hours) = (asked("VIPD_SEED"), asked("VIPD_HOURS"));
    let seed = seed.unwrap_or(1);
    if let Err(why) = run_for(seed, hours.unwrap_or(HOURS)) {
        panic!("VIPD_SEED={seed}: {why}");
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    let traces: Vec<String> = (0..2)
        .map(|_| {
            let mut world = World::new(7);
            world.quiet().expect("quiet");
            world.trouble().expect("trouble");
            world.trace()
        })
        .collect();
    assert!(!traces[0].is_empty());
    assert_eq!(traces[0], traces[1]);
}

#[test]
fn what_is_checked_can_fail() {
    // Two routers that do not hear each other are two masters, and that is what is looked for.
    let mut world = World::new(1);
    world.network.loss = 1;
    assert!(world.quiet().is_err());
}

#[test]
fn every_mutation_can_still_be_planted() {
    for mutation in mutations::ALL {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(mutation.file);
        let text = std::fs::read_to_string(&path).expect("a file of the source");
        assert_ne!(mutation.text, mutation.instead, "{}", mutation.name);
        let found = text.matches(mutation.text).count();
        assert_eq!(
            found, 1,
            "{} ({}): bring tests/mutations/list.rs up to date, its text stands {found} times in {}",
            mutation.name, mutation.means, mutation.file
        );
    }
}
