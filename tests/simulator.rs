//! A few routers on one link in virtual time, driven by the engine that the daemon runs: loss, delay,
//! partitions, links that go down, routers that stand still, that crash and start again, and somebody
//! who deletes addresses. Each run follows from its seed, so a failure says all that is needed to see
//! it again: `VIPD_SEED=17 cargo test --test simulator`.
//!
//! Trouble and quiet take turns. Always: two masters that hear each other end within one advert. After
//! quiet: there is one master, it alone has the VIP, and it is the best one where it may preempt.

#![expect(
    clippy::expect_used,
    reason = "a test that cannot be set up has failed"
)]

#[path = "simulator/router.rs"]
mod router;
#[path = "simulator/seed.rs"]
mod seed;
#[path = "simulator/world.rs"]
mod world;

use world::World;

const SEEDS: std::ops::Range<u64> = 0..300;

/// Turns of trouble and quiet in a run.
const TURNS: u32 = 6;

fn run(seed: u64) -> Result<(), String> {
    let mut world = World::new(seed);
    world.quiet()?;
    for _ in 0..TURNS {
        world.trouble()?;
        world.quiet()?;
    }
    Ok(())
}

#[test]
fn one_master_whatever_happens() {
    let named = std::env::var("VIPD_SEED").ok();
    let seeds = match named.and_then(|seed| seed.parse().ok()) {
        Some(seed) => seed..seed + 1,
        None => SEEDS,
    };
    for seed in seeds {
        if let Err(why) = run(seed) {
            panic!("seed {seed}: {why}");
        }
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
    world.deafen();
    assert!(world.quiet().is_err());
}
