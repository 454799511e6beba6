//! The journal of a running server: replayed by the command line, and put before a candidate by `deploy --trial`.

use std::fs;
use std::path::PathBuf;

use plugboard_tests::place::Place;
use plugboard_tests::program::guest;
use plugboard_tests::wait::{SOON, until};

use crate::invite::Call;
use crate::swap::second_controller;

const DOMAIN: &str = "example.test";

/// A call that was up and is over, and the journal of it.
fn recorded_call(name: &str) -> (Call, PathBuf) {
    let place = Place::new(name);
    let (calling, called) = (place.phone("calling").start(), place.phone("called").start());
    let call = Call::start(place, &calling, &called);
    call.await_talk();
    call.server.hang_up(&call.path);
    calling.finish();
    called.finish();
    call.ended(200, "request");
    let folder = call.place.folder().join(format!("state-{}", call.server.sip.port())).join("journal").join(DOMAIN);
    until("the journal to be written", SOON, || {
        let written = call.server.metric("plugboard_journal_events_total");
        let events = call.server.metric("plugboard_events_committed_total");
        (written >= events && events > 5.0).then_some(())
    });
    (call, folder)
}

/// The built-in controller, changed on purpose: it allows PUBLISH instead of MESSAGE in what it sends.
fn changed_controller(place: &Place) -> PathBuf {
    let (before, after) = (b"UPDATE, MESSAGE", b"UPDATE, PUBLISH");
    let mut component = fs::read(guest("controller")).expect("it is there");
    let at = component.windows(before.len()).position(|bytes| bytes == before).expect("it says what it allows");
    component[at..at + after.len()].copy_from_slice(after);
    place.write("changed.wasm", component)
}

fn text(path: &std::path::Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn recorded_calls_go_the_same_with_the_same_controller_and_otherwise_with_another() {
    let (call, folder) = recorded_call("journal-replay");
    let run = |guest: &std::path::Path, option: &str| {
        call.server.plugboard(&["replay", text(&folder), "--guest", text(guest), option])
    };
    for _ in 0..10 {
        run(&guest("controller"), "--state").succeeded();
    }
    run(&second_controller(&call.place), "--all").succeeded();
    let json: serde_json::Value =
        serde_json::from_str(&run(&guest("controller"), "--json").succeeded()).expect("it says JSON");
    assert_eq!((json["calls"].as_u64(), json["calls_different"].as_u64()), (Some(1), Some(0)), "{json:#}");

    let differs = run(&changed_controller(&call.place), "--state");
    assert_eq!(differs.code, 1, "{differs:?}");
    for part in ["POST /callcontroller/alice", "INVITE sip:alice", "UPDATE, MESSAGE", "UPDATE, PUBLISH"] {
        assert!(differs.out.contains(part), "{part} in {}", differs.out);
    }
    let differs = run(&guest("version-two"), "--all");
    assert_eq!(differs.code, 1, "{differs:?}");
    assert!(differs.out.contains("the request goes elsewhere"), "{}", differs.out);
    let nothing = call.server.plugboard(&["replay", "/nowhere", "--guest", text(&guest("controller"))]);
    assert_eq!(nothing.code, 2, "{nothing:?}");
    for file in fs::read_dir(&folder).expect("a folder") {
        let written = fs::read_to_string(file.expect("readable").path()).expect("text");
        assert!(written.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "JSON lines");
    }
}

#[test]
fn a_candidate_that_fails_its_trial_does_not_go_live_unless_forced() {
    let (call, _) = recorded_call("journal-trial");
    let server = &call.server;
    let live = || server.admin("GET", &format!("/v1/tenants/{DOMAIN}/controller"), &[]).json()["id"].clone();
    let deploy = |guest: &std::path::Path, options: &[&str]| {
        server.plugboard(&[&["deploy", text(guest), "--domain", DOMAIN], options].concat())
    };
    let first = live();
    let changed = changed_controller(&call.place);
    let refused = deploy(&changed, &["--trial"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains("would have gone differently") && refused.err.contains("PUBLISH"), "{refused:?}");
    assert_eq!(live(), first);

    let same = deploy(&second_controller(&call.place), &["--trial", "5"]).succeeded();
    assert!(same.contains("trial: 1 calls") && same.contains("0 would have gone differently"), "{same}");
    let second = live();
    assert_ne!(second, first);
    let forced = deploy(&changed, &["--trial", "--force"]).succeeded();
    assert!(forced.contains("would have gone differently"), "{forced}");
    assert_ne!(live(), second);
}
