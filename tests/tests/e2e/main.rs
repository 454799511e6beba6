//! The whole thing on loopback: the real program, its built-in controller, and real peers.

mod baresip;
mod commands;
mod dialogs;
mod drain;
mod fallback;
mod flood;
mod hostile;
mod inside;
mod invite;
mod journal;
mod kamailio;
#[path = "../../../host/net/tests/name_server/mod.rs"]
mod name_server;
mod network;
mod next_hop;
mod outside;
mod refer;
mod referral;
mod reload;
mod replaces;
mod seed;
mod swap;
mod tcp;
mod tenants;
mod versions;
mod watch;
mod web_socket;

use std::net::SocketAddr;
use std::time::Duration;

use plugboard_server::demo::phone::{Phone, PhoneConfig};
use plugboard_tests::place::Place;
use plugboard_tests::wait::{SOON, until};

/// A soft phone of this source tree that rings for this long, in milliseconds.
fn soft_phone(place: &Place, proxy: SocketAddr, user: &str, password: &str, ring: u64) -> Phone {
    let config = PhoneConfig {
        user: user.to_owned(),
        domain: "example.test".to_owned(),
        password: password.to_owned(),
        proxy,
        bind: place.ip(),
        ring: Duration::from_millis(ring),
    };
    Phone::start(config).expect("loopback has a socket")
}

/// Waits for the requests that a soft phone has to hear, and asserts that it hears no others.
fn hears(phone: &Phone, expected: &[&str]) {
    let mut heard = Vec::new();
    until(&format!("{expected:?} at {}'s phone", phone.user()), SOON, || {
        heard.extend(phone.heard());
        (heard.len() >= expected.len()).then_some(())
    });
    assert_eq!(heard, expected, "each request once, at {}'s phone", phone.user());
}

/// A scenario that no test plays would rot unseen.
#[test]
fn every_scenario_is_played() {
    let folder = |name: &str| std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let list =
        |name: &str| std::fs::read_dir(folder(name)).expect("it is there").map(|entry| entry.expect("readable").path());
    let sources = list("tests/e2e").chain(list("src")).map(|path| std::fs::read_to_string(path).expect("UTF-8"));
    let sources: String = sources.collect();
    for scenario in list("sipp") {
        let name = scenario.file_stem().and_then(|name| name.to_str()).expect("UTF-8").to_owned();
        assert!(sources.contains(&format!("\"{name}\"")), "no test plays {name}.xml");
    }
}
