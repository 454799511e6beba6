//! Each fixture guest against a version: what its oddity costs, that its next good event is served, and that another
//! version in the same engine does not notice. A fixture without a test here fails [`every_fixture_has_a_test`].

mod support;

use plugboard_calls::contract::{CallKey, Fault};
use plugboard_calls::logic::{Breakdown, Logic, Routed};
use plugboard_engine::{Engine, EngineLimits, Error};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use support::*;

/// Names the tests, and does not compile when one is missing.
macro_rules! tested {
    ($($fixture:ident)*) => {
        &[$((stringify!($fixture), $fixture as fn())),*]
    };
}

const TESTED: &[(&str, fn())] = tested![
    answers_twice breaks_off echo floods foreign_import grows huge_headers huge_state leaves_legs lies loops mirror never_answers panics
    panics_in_migrate recurses refuses_migrate traps version_two wasi
];

#[test]
fn every_fixture_has_a_test() {
    let files = std::fs::read_dir(top().join("guest/fixtures/examples")).expect("the fixtures are in the checkout");
    let fixtures: BTreeSet<String> = files
        .map(|file| file.expect("a readable folder").path())
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    let tests: BTreeSet<String> = TESTED.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(fixtures, tests);
}

#[test]
fn answers_twice() {
    let bench = Bench::new("answers_twice");
    let handled = bench.get("/callcontroller/a");
    assert_eq!(handled.effects("HttpRespond"), 1);
    assert!(handled.says("once") && !handled.says("twice"));
    assert!(handled.logged("Unknown"), "{:?}", handled.log);
    bench.still_works();
}

/// What becomes of its call and its leg: `tests/tests/e2e/hostile.rs`.
#[test]
fn breaks_off() {
    let bench = Bench::new("breaks_off");
    assert_eq!(bench.get("/callcontroller/a").effects("Call"), 1);
    assert!(get(&bench.version, Some(b""), "/callcontroller/a").says("ended by the host: None"));
    bench.still_works();
}

#[test]
fn echo() {
    let bench = Bench::new("echo");
    let handled = bench.get("/callcontroller/a/b?find=alice&find=mallory&setting=tone&setting=volume");
    let lines = [
        "domain example.com\n",
        "key key\n",
        "path /callcontroller/a/b\n",
        "found sip:alice@example.com\n",
        "set dial\n",
    ];
    for line in lines {
        assert!(handled.says(line), "no {line:?}");
    }
    assert!(handled.says("events 1"));
    // The next call is served by the same instance; that is the point of reuse, and the limit of what it may show.
    assert!(bench.get("/callcontroller/c").says("events 2"));
    assert_eq!(bench.version.stats().instances_made, 1);
    bench.still_works();
}

#[test]
fn floods() {
    let bench = Bench::new("floods");
    let handled = bench.get("/callcontroller/a");
    // 64 effects are taken, and the guest knows; since it wanted more, none of them happens.
    assert_eq!(handled.breakdown(), Some(&Breakdown::Limit("effects_per_event")));
    assert!(handled.logged("64"), "{:?}", handled.log);
    handled.in_time(bench.engine.limits());
    let key = CallKey::new("Err(StageError::Denied)".to_owned()).expect("a short key");
    assert_eq!(route(&bench.version, "/callcontroller/a"), Ok(Routed::Call(key)));
    bench.still_works();
}

#[test]
fn foreign_import() {
    let engine = Engine::new(EngineLimits::default(), None).expect("the engine runs here");
    let Err(error) = engine.check(component("foreign_import")) else { panic!("a foreign import was let in") };
    assert!(matches!(&error, Error::ForeignImports { names } if *names == ["evil:corp/secrets@1.0.0"]), "{error}");
    assert!(error.to_string().contains("evil:corp/secrets@1.0.0"), "{error}");
    assert!(error.to_string().contains("plugboard:call-control/sip@0.1.0"), "{error}");
    assert!(error.is_guest_fault());
}

#[test]
fn grows() {
    // Time enough to reach the limit of memory on a busy machine.
    let limits = EngineLimits { event_deadline: Duration::from_secs(1), ..EngineLimits::default() };
    let bench = Bench::with("grows", limits);
    let handled = bench.get("/callcontroller/a");
    assert_eq!(handled.breakdown(), Some(&Breakdown::Limit("memory_bytes")));
    handled.in_time(bench.engine.limits());
    bench.still_works();
    // Grown, but within the limit: the event is good, the instance is not kept.
    let dropped = bench.version.stats().instances_dropped;
    assert!(bench.get("/callcontroller/keep").says("six MiB"));
    assert_eq!(bench.version.stats().instances_dropped, dropped + 1);
    bench.still_works();
}

#[test]
fn huge_headers() {
    let bench = Bench::new("huge_headers");
    assert_eq!(bench.get("/callcontroller/64").effects("Call"), 1);
    let over = bench.get("/callcontroller/65");
    assert_eq!((over.effects("Call"), over.effects("HttpRespond")), (0, 1));
    assert!(over.logged("Malformed") || over.logged("OverQuota"), "{:?}", over.log);
    // So many that the host does not even look at them.
    let most = bench.get("/callcontroller/100000");
    assert_eq!(most.breakdown(), Some(&Breakdown::Limit("transfer_bytes")));
    most.in_time(bench.engine.limits());
    bench.still_works();
}

#[test]
fn huge_state() {
    let bench = Bench::new("huge_state");
    assert_eq!(bench.get("/callcontroller/65536").breakdown(), None);
    assert_eq!(bench.get("/callcontroller/65537").breakdown(), Some(&Breakdown::Limit("state_bytes")));
    assert_eq!(bench.get("/callcontroller/2000000").breakdown(), Some(&Breakdown::Limit("transfer_bytes")));
    for path in ["/callcontroller/100000000", "/callcontroller/claim"] {
        let handled = bench.get(path);
        assert!(matches!(handled.breakdown(), Some(Breakdown::Limit(_) | Breakdown::Trap(_))), "{handled:?}");
        handled.in_time(bench.engine.limits());
    }
    bench.still_works();
}

#[test]
fn leaves_legs() {
    let bench = Bench::new("leaves_legs");
    assert_eq!(bench.get("/callcontroller/a").effects("Call"), 1);
    // Ending the call is no breakdown; releasing the leg is up to the calls core.
    let ended = get(&bench.version, Some(b""), "/callcontroller/a");
    assert!(ended.says("left") && ended.effects("Release") == 0, "{ended:?}");
    bench.still_works();
}

#[test]
fn lies() {
    let engine = Engine::new(EngineLimits::default(), None).expect("the engine runs here");
    let compiled = engine.check(component("lies")).expect("the contract only").compile().expect("it compiles");
    assert!(matches!(compiled.try_out(), Err(Error::DescribeUnstable)));
}

#[test]
fn loops() {
    let bench = Bench::new("loops");
    let handled = bench.get("/callcontroller/a");
    assert_eq!(handled.breakdown(), Some(&Breakdown::Deadline(50)));
    assert!(handled.took >= bench.engine.limits().event_deadline, "took {:?}", handled.took);
    handled.in_time(bench.engine.limits());
    bench.still_works();

    let begun = Instant::now();
    assert_eq!(route(&bench.version, "/callcontroller/loop-route"), Err(Breakdown::Deadline(50)));
    assert_eq!(bench.version.migrate(1, b"state"), Err(Breakdown::Deadline(50)));
    assert!(begun.elapsed().as_millis() < 4 * 50 + 400, "took {:?}", begun.elapsed());
    bench.still_works();
    assert_eq!(bench.version.stats().instances_dropped, 3);
}

/// What it gives back, for whatever it is told: `mirror.rs`.
#[test]
fn mirror() {
    let bench = Bench::new("mirror");
    assert!(bench.get("/callcontroller/a").says("3:GET17:/callcontroller/a"));
    bench.still_works();
}

#[test]
fn never_answers() {
    let bench = Bench::new("never_answers");
    let handled = bench.get("/callcontroller/a");
    assert_eq!((handled.breakdown(), handled.effects("HttpRespond")), (None, 0));
    bench.still_works();
}

#[test]
fn panics() {
    let bench = Bench::new("panics");
    let handled = bench.get("/callcontroller/a");
    assert!(matches!(handled.breakdown(), Some(Breakdown::Trap(_))), "{handled:?}");
    bench.still_works();
}

#[test]
fn panics_in_migrate() {
    let bench = Bench::new("panics_in_migrate");
    assert!(bench.get("/callcontroller/a").says("kept"));
    for _ in 0..3 {
        assert!(matches!(bench.version.migrate(1, b"state"), Err(Breakdown::Trap(_))));
    }
    assert_eq!(bench.version.stats().instances_dropped, 3);
    bench.still_works();
}

#[test]
fn recurses() {
    let bench = Bench::new("recurses");
    let handled = bench.get("/callcontroller/a");
    assert!(matches!(handled.breakdown(), Some(Breakdown::Trap(_))), "{handled:?}");
    handled.in_time(bench.engine.limits());
    bench.still_works();
}

#[test]
fn refuses_migrate() {
    let bench = Bench::new("refuses_migrate");
    let refused = Breakdown::Fault(Fault::Unsupported("schema 9".to_owned()));
    assert_eq!(bench.version.migrate(9, b"state"), Err(refused));
    let fault = get(&bench.version, Some(b"theirs"), "/callcontroller/a");
    assert_eq!(fault.breakdown(), Some(&Breakdown::Fault(Fault::BadState("not mine".to_owned()))));
    // To say no is not to break down: the instance is still the one that tried.
    assert_eq!(bench.version.stats().instances_dropped, 0);
    assert!(get(&bench.version, Some(b"mine"), "/callcontroller/a").says("mine"));
    bench.still_works();
}

#[test]
fn traps() {
    let bench = Bench::new("traps");
    for _ in 0..20 {
        let handled = bench.get("/callcontroller/a");
        assert!(
            matches!(handled.breakdown(), Some(Breakdown::Trap(text)) if text.contains("unreachable")),
            "{handled:?}"
        );
    }
    bench.still_works();
    let stats = bench.version.stats();
    assert_eq!((stats.events, stats.instances_made, stats.instances_dropped), (21, 21, 20));
    assert!(stats.breakdowns.contains(&("trap", 20)), "{stats:?}");
}

#[test]
fn version_two() {
    let bench = Bench::new("version_two");
    assert_eq!(bench.version.description().version, "2.0.0");
    assert!(bench.get("/callcontroller/a").says("version 2.0.0"));
    assert_eq!(bench.version.migrate(1, b"another's"), Ok(b"another's".to_vec()));
    let key = CallKey::new("a".to_owned()).expect("a short key");
    assert_eq!(route(&bench.version, "/callcontroller/a"), Ok(Routed::Call(key)));
    bench.still_works();
}

/// What it may do where it is granted: `tests/wasi.rs`.
#[test]
fn wasi() {
    let engine = Engine::new(EngineLimits::default(), None).expect("the engine runs here");
    let Err(error) = engine.check(component("wasi")) else { panic!("WASI was let in without being granted") };
    let Error::ForeignImports { names } = &error else { panic!("{error}") };
    assert!(names.contains(&"wasi:clocks/wall-clock@0.2.0".to_owned()), "{names:?}");
    assert!(names.iter().all(|name| name.starts_with("wasi:")), "{names:?}");
    assert!(error.to_string().contains("wasi = true"), "{error}");
}
