//! The examples of `guest/examples` on loopback: built as their READMEs say, deployed, and asked to place a call.

use std::path::{Path, PathBuf};
use std::process::Command;

use plugboard_tests::place::Place;
use plugboard_tests::program::guest;
use plugboard_tests::server::{Domain, Server};
use plugboard_tests::wait::{SOON, until};

const CALL: &str = "/callcontroller/alice/bob";

/// `guest/examples/python`, built by its own script, which fetches componentize-py from PyPI the first time.
fn python() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest/examples/python/build.sh");
    let built = Command::new(&script).output().expect("the script runs");
    assert!(
        built.status.success(),
        "{} failed; it needs python3 with venv, and PyPI:\n{}",
        script.display(),
        String::from_utf8_lossy(&built.stderr)
    );
    guest("python")
}

#[test]
fn python_controller_places_a_call() {
    let place = Place::new("python");
    let component = python();
    let component = component.to_str().expect("UTF-8");
    let address = place.port();
    let allowed = Domain::example().proxy(address).set("wasi", "true");
    let server = Server::start(&place, &[allowed, Domain::new("other.test")]);

    for arguments in [&["check", component][..], &["deploy", component, "--domain", "other.test"]] {
        let refused = server.plugboard(arguments);
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(refused.err.contains("wasi:clocks/wall-clock@0.2"), "{refused:?}");
        assert!(refused.err.contains("wasi = true"), "{refused:?}");
    }

    let deployed = server.plugboard(&["deploy", component, "--domain", "example.test"]).succeeded();
    assert!(deployed.contains("python-example 1.0.0"), "{deployed}");
    // Not before: 18 MB take their time to compile, and the phone waits for its call for so long only.
    let phone = place.phone("refer_answered").at(address).start();
    server.place_call(CALL);
    phone.finish();
    let expected = serde_json::json!([
        "INVITE 180 Ringing",
        "INVITE 200 OK",
        "REFER 202 Accepted",
        "NOTIFY SIP/2.0 100 Trying",
        "NOTIFY SIP/2.0 180 Ringing",
        "over: 180 Ringing",
    ]);
    server.await_json(CALL, "the end of the call", |story| *story == expected);
    // print() reaches the log of the tenant.
    until("the last line of the controller", SOON, || server.log().contains("is over: 180 Ringing").then_some(()));
    assert_eq!(server.send("GET", "/callcontroller/bob/alice").status, 404);
}

/// The clock of this test is the real one, so it may be told either; `host/engine/tests/examples.rs` jumps it.
#[test]
fn office_hours_answers_by_the_clock() {
    let place = Place::new("office-hours");
    let phone = place.phone("refer_answered").start();
    let office = Domain::example().proxy(phone.address()).controller(&guest("office-hours"));
    let server = Server::start(&place, &[office]);
    let answer = server.send("POST", "/office/alice/bob");
    match answer.status {
        200 => phone.finish(),
        status => assert_eq!((status, answer.text().contains("Monday to Friday")), (403, true), "{}", answer.text()),
    }
}
