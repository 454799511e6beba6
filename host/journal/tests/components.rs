//! Calls recorded of the built-in controller, run again with the components that `./just guests` built.

mod support;

use plugboard_engine::{Engine, EngineLimits, Version};
use plugboard_journal::{Kind, Options};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use support::{BYTE_FOR_BYTE, recorded, replay};

fn component(name: &str) -> Arc<Version> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/guests").join(format!("{name}.wasm"));
    let bytes = std::fs::read(&file).unwrap_or_else(|error| panic!("{name}: {error}; build it with ./just guests"));
    // A busy machine is no difference.
    let limits = EngineLimits { event_deadline: Duration::from_secs(5), ..EngineLimits::default() };
    let engine = Engine::new(limits, None).expect("the engine runs here");
    let compiled = engine.check(bytes).expect("the contract only").compile().expect("it compiles");
    compiled.try_out().expect("it describes itself").version(&[0; 32], Arc::default())
}

#[test]
fn the_component_does_byte_for_byte_what_its_source_did_ten_times_out_of_ten() {
    let folder = tempfile::tempdir().expect("a folder");
    let events = recorded(folder.path(), 100..120);
    let controller = component("controller");
    for _ in 0..10 {
        let report = replay(&events, &*controller, BYTE_FOR_BYTE);
        assert!(report.is_same(), "{}", report.text(3));
        assert_eq!(report.events, events.len() as u64);
    }
}

#[test]
fn another_component_is_told_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let events = recorded(folder.path(), 0..5);
    let report = replay(&events, &*component("version-two"), Options::default());
    assert!(report.calls > 3 && report.calls_different >= report.calls, "{}", report.summary());
    assert_eq!(report.failures, 0);
    let text = report.text(1);
    assert!(text.contains("- INVITE sip:p") || text.contains("the request goes elsewhere"), "{text}");
}

#[test]
fn a_component_that_crashes_fails_where_the_recorded_one_did_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let events = recorded(folder.path(), 0..2);
    let report = replay(&events, &*component("traps"), Options::default());
    let counts = |kind| report.differences.iter().filter(|difference| difference.kind == kind).count();
    assert!(counts(Kind::Failed) + counts(Kind::Elsewhere) == report.differences.len(), "{}", report.text(3));
    assert!(!report.is_same());
}
