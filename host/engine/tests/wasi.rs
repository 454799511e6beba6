//! WASI where a tenant grants it: the time and the chance of the event, output into the log, and nothing else.

mod support;

use plugboard_calls::contract::LogLevel;
use plugboard_calls::logic::{Breakdown, Logic};
use plugboard_engine::{Engine, EngineLimits, Error, Grant, Version};
use std::sync::Arc;
use std::time::Duration;
use support::*;

fn engine() -> Engine {
    Engine::new(EngineLimits::default(), None).expect("the engine runs here")
}

fn granted(engine: &Engine) -> Arc<Version> {
    let grant = Grant { wasi: true, memory_bytes: 32 << 20, event_deadline: Duration::from_millis(50) };
    let checked = engine.check_with(component("wasi"), grant).expect("it imports what is granted");
    checked.compile().and_then(|compiled| compiled.try_out()).expect("it runs").version(&[0; 32], Arc::default())
}

/// Clocks, random bytes and seed, as the fixture saw them in an event.
fn moment(version: &Version, time_and_seed: (u64, u64)) -> String {
    let handled = get_at(version, None, "/callcontroller/moment", time_and_seed);
    assert_eq!(handled.breakdown(), None);
    format!("{:?}", handled.outcome)
}

#[test]
fn the_same_event_sees_the_same_time_and_chance() {
    let engine = engine();
    let (version, other) = (granted(&engine), granted(&engine));
    let first = moment(&version, (1_700_000_000_123, 7));
    // In the same instance after other events, and in a new one.
    moment(&version, (1_700_000_009_999, 8));
    assert_eq!(moment(&version, (1_700_000_000_123, 7)), first);
    assert_eq!(moment(&other, (1_700_000_000_123, 7)), first);
    assert_ne!(moment(&version, (1_700_000_000_123, 8)), first);
    assert_ne!(moment(&version, (1_700_000_000_124, 7)), first);
}

#[test]
fn clocks_stand_still_at_the_time_of_the_event() {
    let version = granted(&engine());
    let seen = get_at(&version, None, "/callcontroller/moment", (1_700_000_000_123, 7));
    let clocks = "1700000000.123000000 1700000000123000000";
    assert!(seen.says(&format!("{clocks} {clocks} [")), "{seen:?}");
}

#[test]
fn who_waits_is_stopped_and_told_why() {
    let version = granted(&engine());
    let slept = get(&version, None, "/callcontroller/sleep");
    let Some(Breakdown::Trap(cause)) = slept.breakdown() else { panic!("{slept:?}") };
    assert!(cause.contains("set a timer"), "{cause}");
    slept.in_time(&EngineLimits::default());
    assert!(get(&version, None, "/callcontroller/ping").says("pong"));
}

#[test]
fn output_goes_to_the_log_in_lines() {
    let version = granted(&engine());
    let printed = get(&version, None, "/callcontroller/print");
    assert!(printed.says("truetruetrue"), "{printed:?}");
    let expected =
        [(LogLevel::Info, "one"), (LogLevel::Warn, "oh no"), (LogLevel::Debug, "between"), (LogLevel::Info, "two")];
    assert_eq!(printed.log, expected.map(|(level, line)| (level, line.to_owned())));
}

#[test]
fn a_crash_without_a_log_repeats_standard_error() {
    let Err(Breakdown::Trap(cause)) = granted(&engine()).migrate(1, b"") else { panic!("it exits") };
    assert!(cause.ends_with("it said: oh no"), "{cause}");
}

#[test]
fn there_are_no_files_variables_or_sockets() {
    let version = granted(&engine());
    let seen = get(&version, None, "/callcontroller/surroundings");
    assert!(seen.says("0 files, 0 variables, access-denied, permanent-resolver-failure"), "{seen:?}");
}

#[test]
fn handles_are_bounded() {
    let version = granted(&engine());
    let flooded = get(&version, None, "/callcontroller/handles");
    assert!(matches!(flooded.breakdown(), Some(Breakdown::Trap(_))), "{flooded:?}");
    assert!(get(&version, None, "/callcontroller/ping").says("pong"));
}

#[test]
fn memory_is_what_the_tenant_grants() {
    let engine = engine();
    let tiny = Grant { wasi: true, memory_bytes: 64 << 10, event_deadline: Duration::from_millis(50) };
    let compiled = engine.check_with(component("wasi"), tiny).and_then(|checked| checked.compile());
    let Err(error) = compiled.and_then(|compiled| compiled.try_out()) else { panic!("it has no room to run") };
    assert!(matches!(error, Error::DescribeFailed(Breakdown::Limit("memory_bytes"))), "{error}");
}

#[test]
fn wasi_alone_is_granted() {
    let grant = Grant { wasi: true, memory_bytes: 32 << 20, event_deadline: Duration::from_millis(50) };
    let Err(error) = engine().check_with(component("foreign_import"), grant) else { panic!("it was let in") };
    assert!(matches!(&error, Error::ForeignImports { names } if names.len() == 1), "{error}");
    assert!(!error.to_string().contains("wasi = true"), "{error}");
}
