//! `watch = true`: a controller file that is deployed when it changes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use plugboard_tests::place::Place;
use plugboard_tests::program::guest;
use plugboard_tests::server::{Domain, Server};
use plugboard_tests::wait::until;
use serde_json::Value;

use crate::swap::second_controller;

/// A look a second, two looks until a file is read, and a compilation.
const PATIENCE: Duration = Duration::from_secs(40);

/// Puts a file in the place of another as editors do.
fn rename_over(file: &Path, component: &[u8]) {
    let aside: PathBuf = file.with_extension("aside");
    fs::write(&aside, component).expect("written");
    fs::rename(aside, file).expect("renamed");
}

fn versions(server: &Server) -> Vec<Value> {
    server.admin("GET", "/v1/tenants/example.test/versions", &[]).json().as_array().cloned().unwrap_or_default()
}

fn live(server: &Server) -> String {
    server.admin("GET", "/v1/tenants/example.test/controller", &[]).json()["component"].to_string()
}

#[test]
fn a_changed_file_is_deployed_a_bad_one_is_not_and_a_restart_agrees() {
    let place = Place::new("watch");
    let first = fs::read(guest("controller")).expect("it is there");
    let second = fs::read(second_controller(&place)).expect("it is there");
    let file = place.write("mine.wasm", &first);
    let domain = Domain::example().controller(&file).set("watch", "true");
    let server = Server::start(&place, &[domain]);
    let before = live(&server);

    rename_over(&file, &second);
    let after = until("the second controller", PATIENCE, || Some(live(&server)).filter(|live| *live != before));
    assert_eq!(versions(&server).len(), 2);
    server.plugboard(&["rollback", "--domain", "example.test"]).succeeded();
    assert_eq!(live(&server), before, "what was watched is rolled back as what was deployed");

    fs::write(&file, "not a component").expect("written");
    until("the refusal in the log", PATIENCE, || server.log().contains("was not deployed").then_some(()));
    assert_eq!(live(&server), before);
    assert_eq!(server.plugboard(&["reload"]).code, 1, "a reload would have to start it");

    fs::write(&file, &first).expect("written");
    until("the first controller again, by name", PATIENCE, || (server.plugboard(&["reload"]).code == 0).then_some(()));
    assert_eq!(live(&server), before);
    rename_over(&file, &second);
    until("the second controller again", PATIENCE, || (live(&server) == after).then_some(()));
}
