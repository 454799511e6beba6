//! Seed after seed: every leg is released, every request is answered once, every call has one terminal status.

use plugboard_calls::contract::{Event, FailureReason};
use plugboard_simulation::network::Weather;
use plugboard_simulation::world::World;
use std::cell::Cell;
use std::rc::Rc;

const CLEAR: Weather = Weather { loss: 0, repeat: 0, delay_ms: 20 };
const STORM: Weather = Weather { loss: 30, repeat: 10, delay_ms: 400 };

/// Of a hundred events, how many break down on troubled call logic.
const TROUBLE: u64 = 10;

fn run(seed: u64, weather: Weather, trouble: u64) -> World {
    finish(seed, weather, World::new(seed, weather, trouble))
}

fn finish(seed: u64, weather: Weather, mut world: World) -> World {
    if let Err(wrong) = world.run() {
        let trace = world.trace.join("\n");
        panic!(
            "seed {seed} in {weather:?}: {wrong}\n{trace}\nto run it again: SEED={seed} cargo test -p plugboard-simulation one_seed"
        );
    }
    world
}

/// Runs the seeds from 0 to 999, or as many as `SEEDS` says; at least two phones must ring for each.
fn run_all(weather: Weather, trouble: u64) {
    let seeds = std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(1_000);
    let calls: usize = (0..seeds).map(|seed| run(seed, weather, trouble).calls_received()).sum();
    assert!(calls > 2 * seeds as usize, "only {calls} phones rang");
}

#[test]
fn a_thousand_seeds_in_clear_weather() {
    run_all(CLEAR, 0);
}

#[test]
fn a_thousand_seeds_in_a_storm() {
    run_all(STORM, 0);
}

/// The guest crashes, is swapped, migrated and rolled back at any step.
#[test]
fn a_thousand_seeds_with_a_guest_that_crashes() {
    run_all(CLEAR, TROUBLE);
}

#[test]
fn a_thousand_seeds_with_a_guest_that_crashes_in_a_storm() {
    run_all(STORM, TROUBLE);
}

/// Every phone has a name with two servers, one of which is dead: what meets it goes to the other.
#[test]
fn seeds_with_a_dead_server_among_the_targets() {
    const SEEDS: u64 = 200;
    let worlds = (0..SEEDS).map(|seed| finish(seed, STORM, World::with_names(seed, STORM, TROUBLE)));
    let (mut elsewhere, mut calls) = (0, 0);
    for world in worlds {
        elsewhere += world.sent_elsewhere();
        calls += world.calls_received() as u64;
    }
    assert!(elsewhere > SEEDS / 4 && calls > SEEDS, "{elsewhere} requests went elsewhere, {calls} phones rang");
}

#[test]
fn one_seed_gives_one_trace() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7);
    for (weather, trouble) in [(CLEAR, 0), (STORM, 0), (STORM, TROUBLE)] {
        assert_eq!(run(seed, weather, trouble).trace, run(seed, weather, trouble).trace);
    }
}

/// A run proves nothing of what no phone asked for.
#[test]
fn reliable_responses_refreshes_and_ends_of_sessions_happen() {
    let (mut acknowledged, mut refreshed, ended) = (0, 0, Rc::new(Cell::new(0)));
    for seed in 0..300 {
        let mut world = World::new(seed, CLEAR, 0);
        let counter = ended.clone();
        world.watch(Box::new(move |record, _| {
            let expired = matches!(*record.event, Event::Failure { reason: FailureReason::SessionExpired, .. });
            counter.set(counter.get() + u32::from(expired));
        }));
        world.run().unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
        let sent = |method: &str| world.trace.iter().filter(|line| line.contains(method)).count();
        acknowledged += sent(" 127.0.0.1:5060 -> 127.0.0.1:6000 PRACK ");
        refreshed += sent(" 127.0.0.1:5060 -> 127.0.0.1:6001 UPDATE ");
    }
    let seen = (acknowledged, refreshed, ended.get());
    assert!(seen.0 > 20 && seen.1 > 2 && seen.2 > 2, "{seen:?}");
}
