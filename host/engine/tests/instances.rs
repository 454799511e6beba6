//! How long an instance lives, and how many there are.

mod support;

use plugboard_calls::logic::Breakdown;
use plugboard_engine::{Engine, EngineLimits, in_background};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;
use support::*;

#[test]
fn an_instance_is_replaced_when_it_has_served_its_time() {
    let limits = EngineLimits { events_per_instance: 3, ..EngineLimits::default() };
    let engine = Engine::new(limits, None).expect("the engine runs here");
    let version = tried(&engine, "echo").version(&[0; 32], Arc::default());
    for event in [1, 2, 3, 1, 2, 3, 1] {
        assert!(get(&version, None, "/a").says(&format!("events {event}")));
    }
    let stats = version.stats();
    assert_eq!((stats.events, stats.instances_made, stats.instances_dropped), (7, 3, 2));
}

#[test]
fn a_version_at_rest_holds_no_instance() {
    let engine = Engine::new(EngineLimits::default(), None).expect("the engine runs here");
    let version = tried(&engine, "echo").version(&[0; 32], Arc::default());
    get(&version, None, "/a");
    version.rest();
    assert_eq!(version.stats().instances_dropped, 1);
    assert!(get(&version, None, "/a").says("events 1"));
}

#[test]
fn a_version_has_so_many_instances_and_no_more() {
    let limits = EngineLimits { instances_per_version: 1, ..EngineLimits::default() };
    let engine = Engine::new(limits, None).expect("the engine runs here");
    let hostile = tried(&engine, "loops").version(&[0; 32], Arc::default());
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let looping = scope.spawn(|| {
            while !over.load(SeqCst) {
                // Busy itself while the other thread has the instance.
                let looped = get(&hostile, None, "/a");
                assert!(matches!(looped.breakdown(), Some(Breakdown::Deadline(50) | Breakdown::Busy(_))), "{looped:?}");
            }
        });
        let met = (0..1_000_000)
            .any(|_| get(&hostile, None, "/ping").breakdown() == Some(&Breakdown::Busy("instances_per_version")));
        over.store(true, SeqCst);
        looping.join().expect("each loop missed its deadline");
        assert!(met);
    });
    assert!(get(&hostile, None, "/ping").says("pong"));
}

#[test]
fn idle_instances_make_room_for_other_versions() {
    let limits = EngineLimits { instances: 1, ..EngineLimits::default() };
    let engine = Engine::new(limits, None).expect("the engine runs here");
    let versions = ["echo", "version_two"].map(|fixture| tried(&engine, fixture).version(&[0; 32], Arc::default()));
    for _ in 0..3 {
        for version in &versions {
            assert_eq!(get(version, None, "/a").breakdown(), None);
        }
    }
    assert_eq!(versions[0].stats().instances_dropped, 3);
}

#[test]
fn many_threads_share_a_version() {
    const THREADS: usize = 8;
    const EVENTS: usize = 200;
    let engine = Engine::new(EngineLimits::default(), None).expect("the engine runs here");
    let version = tried(&engine, "echo").version(&[0; 32], Arc::default());
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let version = &version;
            scope.spawn(move || {
                for event in 0..EVENTS {
                    let path = format!("/{thread}/{event}");
                    assert!(get(version, None, &path).says(&format!("path {path}\n")));
                }
            });
        }
    });
    let stats = version.stats();
    assert_eq!(stats.events, (THREADS * EVENTS) as u64);
    assert!(stats.instances_made <= THREADS as u64, "{stats:?}");
    assert_eq!(stats.instances_dropped, 0);
}

#[test]
fn a_guest_in_the_background_has_its_deadline_and_leaves_its_time_behind() {
    let engine = Engine::new(EngineLimits::default(), None).expect("the engine runs here");
    let [good, hostile] = ["echo", "loops"].map(|fixture| tried(&engine, fixture).version(&[0; 32], Arc::default()));
    let (looped, took) = in_background(|| get(&hostile, None, "/a"));
    assert_eq!(looped.breakdown(), Some(&Breakdown::Deadline(50)));
    assert!(took >= Duration::from_millis(50), "{took:?}");
    let (answered, _) = in_background(|| get(&good, None, "/a"));
    assert!(answered.says("events 1"), "{answered:?}");
}
