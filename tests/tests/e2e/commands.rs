//! The command line against a running server: what it prints, and its exit codes.

use std::process::Command;

use plugboard_tests::place::Place;
use plugboard_tests::program::{guest, plugboard};
use plugboard_tests::server::{Domain, Server};

use crate::invite::Call;

#[test]
fn call_is_followed_and_hung_up() {
    let place = Place::new("commands");
    let (calling, called) = (place.phone("calling").start(), place.phone("called").start());
    let server = Server::start(&place, &[Domain::example()]);
    let (alice, bob) = (calling.user("alice"), called.user("bob"));
    server.plugboard(&["call", &alice, &bob, "--agent", "alice", "--method", "invite"]).succeeded();
    let call = Call { place, server, path: format!("/callcontroller/{alice}/{bob}?agent=alice") };
    call.await_talk();
    let run = |command: &[&str]| call.server.plugboard(command);

    let status = run(&["status", &alice, &bob, "--agent", "alice"]).succeeded();
    assert!(status.contains("up"), "{status}");
    let status = run(&["status", &alice, &bob, "--agent", "alice", "--json"]).succeeded();
    let status: serde_json::Value = serde_json::from_str(&status).expect("it says JSON");
    assert_eq!(status["phase"], "up");
    let calls = run(&["calls"]).succeeded();
    assert!(calls.contains("example.test"), "{calls}");
    let calls: serde_json::Value = serde_json::from_str(&run(&["calls", "--json"]).succeeded()).expect("it says JSON");
    assert_eq!(calls.as_array().map(Vec::len), Some(1), "{calls:#}");
    let ladder = run(&["ladder", &alice, &bob, "--agent", "alice"]).succeeded();
    assert!(ladder.matches("INVITE").count() >= 3 && ladder.contains("ACK") && !ladder.contains('\x1b'), "{ladder}");

    assert_eq!(run(&["call", &alice, &bob, "--agent", "alice", "--method", "invite"]).code, 1, "it is up already");
    run(&["hangup", &alice, &bob, "--agent", "alice"]).succeeded();
    calling.finish();
    called.finish();
    call.ended(200, "request");
    assert_eq!(run(&["hangup", "bob", "carol"]).code, 1, "no such call");
}

/// Runs `plugboard` in a folder: its exit code, and what it says on standard error.
fn run_in(place: &Place, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(plugboard()).args(arguments).current_dir(place.folder()).output().expect("it runs");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn exit_codes_tell_what_went_wrong() {
    let place = Place::new("exit-codes");
    let run = |arguments: &[&str]| run_in(&place, arguments);
    assert_eq!(run(&["no-such-command"]).0, Some(2));
    assert_eq!(run(&["call", "alice"]).0, Some(2));
    let (code, says) = run(&["serve", "--config", "missing.toml"]);
    assert!(code == Some(2) && says.contains("missing.toml"), "{code:?}: {says}");
    let wrong = place.write("wrong.toml", "[tenants.\"example.test\"]\noutbound_proxi = \"sip:127.0.0.1\"\n");
    let (code, says) = run(&["serve", "--config", &wrong.display().to_string()]);
    assert_eq!(code, Some(2), "{says}");
    assert!(says.contains("wrong.toml") && says.contains("outbound_proxi") && says.contains('2'), "{says}");
    let gone = place.port();
    place.write("token", "0123456789");
    let (code, says) = run(&["calls", "--admin", &format!("http://{gone}"), "--token-file", "token"]);
    assert_eq!(code, Some(3), "{says}");

    let controller = guest("controller").display().to_string();
    assert_eq!(run(&["check", &controller]).0, Some(0));
    let foreign = guest("foreign-import").display().to_string();
    let (code, says) = run(&["check", &foreign]);
    assert!(code == Some(1) && says.contains("import"), "{says}");
}

#[test]
fn a_component_is_checked_as_for_a_tenant() {
    let place = Place::new("check-domain");
    let run = |arguments: &[&str]| run_in(&place, arguments);
    let tenants = "[tenants.\"usual.test\"]\n\n[tenants.\"tight.test\".limits]\nmemory_bytes = 1048576\n";
    place.write("plugboard.toml", tenants);
    let controller = guest("controller").display().to_string();
    assert_eq!(run(&["check", &controller, "--domain", "Usual.test"]).0, Some(0));
    let (code, says) = run(&["check", &controller, "--domain", "tight.test"]);
    assert!(code == Some(1) && says.contains("memory"), "{says}");
    let (code, says) = run(&["check", &controller, "--domain", "other.test"]);
    assert!(code == Some(2) && says.contains("other.test") && says.contains("plugboard.toml"), "{says}");
}

#[test]
fn every_command_has_help_with_an_example() {
    let commands = [
        "serve", "demo", "check", "deploy", "rollback", "versions", "call", "status", "transfer", "hangup", "calls",
        "ladder",
    ];
    for command in commands {
        let output = Command::new(plugboard()).args([command, "--help"]).output().expect("it runs");
        let help = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && help.contains(&format!("plugboard {command}")), "{help}");
        assert!(help.to_lowercase().contains("example"), "{command} has no example:\n{help}");
    }
}

#[test]
fn demo_succeeds() {
    let output = Command::new(plugboard()).args(["demo", "--no-color"]).output().expect("it runs");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}{}", String::from_utf8_lossy(&output.stderr));
    assert!(shown.contains("checks passed") && !shown.contains('\x1b'), "{shown}");
}
