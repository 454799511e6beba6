//! Call logic that is replaced under a call.

use std::fs;
use std::path::PathBuf;

use plugboard_tests::http::Connection;
use plugboard_tests::place::Place;
use plugboard_tests::program::guest;
use plugboard_tests::server::{Domain, Server};
use plugboard_tests::wait::{SOON, until};
use serde_json::Value;

use crate::invite::Call;

const DOMAIN: &str = "example.test";

/// The built-in controller with a custom section added: another component with the same behaviour.
pub fn second_controller(place: &Place) -> PathBuf {
    let section: &[u8] = b"\x00\x0f\x04testthe second";
    place.write("second.wasm", [fs::read(guest("controller")).expect("it is there").as_slice(), section].concat())
}

/// The versions of the tenant by `plugboard versions --json`.
fn versions(server: &Server) -> Vec<Value> {
    let listed = server.plugboard(&["versions", "--domain", DOMAIN, "--json"]).succeeded();
    serde_json::from_str(&listed).expect("it says JSON")
}

fn version<'v>(versions: &'v [Value], id: &Value) -> &'v Value {
    versions.iter().find(|version| version["id"] == *id).unwrap_or_else(|| panic!("{id} is not in {versions:#?}"))
}

fn live(server: &Server) -> Value {
    server.admin("GET", &format!("/v1/tenants/{DOMAIN}/controller"), &[]).json()["id"].clone()
}

#[test]
fn call_stays_on_its_version_and_no_connection_closes() {
    let place = Place::new("swap");
    let (calling, called) = (place.phone("calling").start(), place.phone("transferred").start());
    let (target, next) = (place.phone("target").start(), place.phone("refer_pending").start());
    let call = Call::start(place, &calling, &called);
    call.await_talk();
    let server = &call.server;
    let mut connections: Vec<Connection> =
        (0..4).map(|_| Connection::https(server.https).expect("it listens")).collect();
    let mut ask = |path: &str| {
        for connection in &mut connections {
            assert_eq!(connection.send("GET", path, &[], &[]).expect("the connection is open").status, 200);
        }
    };
    ask(&call.path);

    let first = live(server);
    let second = second_controller(&call.place);
    server.plugboard(&["deploy", second.to_str().expect("UTF-8"), "--domain", DOMAIN]).succeeded();
    let second = live(server);
    assert_ne!(first, second);
    ask(&call.path);

    let other = format!("/callcontroller/{}/bob?agent=alice", next.user("alice"));
    server.place_call(&other);
    server.await_json(&other, "the NOTIFY", |json| json["lines"].to_string().contains("NOTIFY"));
    let listed = versions(server);
    assert_eq!(version(&listed, &first)["state"], "draining");
    assert_eq!(version(&listed, &second)["state"], "live");
    assert_eq!([&first, &second].map(|id| version(&listed, id)["calls"].as_u64()), [Some(1), Some(1)]);
    let events = version(&listed, &second)["events"].as_u64();
    assert!(events > Some(3), "the second call is run by the second version: {listed:#?}");

    let before = version(&listed, &first)["events"].as_u64();
    call.transfer(&target.user("carol"));
    calling.finish();
    server.await_json(&call.path, "the transfer", |json| json["transfers"][0]["outcome"]["code"] == 200);
    assert!(
        version(&versions(server), &first)["events"].as_u64() > before,
        "the first call is run by the first version"
    );
    server.hang_up(&call.path);
    called.finish();
    target.finish();
    server.hang_up(&other);
    next.finish();
    call.ended(200, "request");
    until("the first version to retire", SOON, || {
        (version(&versions(server), &first)["state"] == "retired").then_some(())
    });
    ask(&call.path);
    let accepted = server.metric("plugboard_http_cut_off_total");
    assert_eq!(accepted, 0.0);
}

#[test]
fn bad_component_changes_nothing_and_says_why() {
    let place = Place::new("swap-bad");
    let server = Server::start(&place, &[Domain::example()]);
    let before = live(&server);
    let rubbish = place.write("rubbish.wasm", b"not a component");
    let deployed = server.plugboard(&["deploy", rubbish.to_str().expect("UTF-8"), "--domain", DOMAIN]);
    assert_eq!(deployed.code, 1, "{deployed:?}");
    let foreign = guest("foreign-import");
    let deployed = server.plugboard(&["deploy", foreign.to_str().expect("UTF-8"), "--domain", DOMAIN]);
    assert_eq!(deployed.code, 1, "{deployed:?}");
    assert!(deployed.err.contains("import"), "{deployed:?}");
    assert_eq!(live(&server), before);
    assert_eq!(versions(&server).len(), 1);
    assert_eq!(
        server.plugboard(&["rollback", "--domain", DOMAIN]).code,
        1,
        "there is nothing before the first version"
    );

    let second = second_controller(&place);
    server.plugboard(&["deploy", second.to_str().expect("UTF-8"), "--domain", DOMAIN]).succeeded();
    assert_ne!(live(&server), before);
    server.plugboard(&["rollback", "--domain", DOMAIN]).succeeded();
    assert_eq!(live(&server), before);
}
