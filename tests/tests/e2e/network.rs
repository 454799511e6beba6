//! A network that repeats or loses what it carries, between the server and a soft phone.

use std::time::Duration;

use plugboard_tests::place::Place;
use plugboard_tests::relay::{Relay, Weather};
use plugboard_tests::server::{Domain, Server};
use plugboard_tests::status::summary;
use plugboard_tests::wait::until;

use crate::{hears, soft_phone};

const CALL: &str = "/callcontroller/alice/bob";

/// Places a REFER call to alice, who calls bob, and waits until the two talk. Returns the status lines.
fn call_in(weather: Weather, name: &str) -> (Vec<String>, f64) {
    let place = Place::new(name);
    let bob = soft_phone(&place, place.port(), "bob", "", 100);
    let alice = soft_phone(&place, bob.address(), "alice", "", 300);
    let relay = Relay::start(&place, alice.address(), weather);
    let server = Server::start(&place, &[Domain::example().proxy(relay.address())]);
    server.place_call(CALL);
    until("alice and bob to talk", Duration::from_secs(20), || (bob.calls() == 1 && alice.calls() == 1).then_some(()));
    server.await_end(CALL);
    assert_eq!(server.await_outcome(CALL), (202, "handed-over".to_owned()));
    hears(&alice, &["INVITE", "ACK", "REFER", "BYE"]);
    let repeated = server.metric("plugboard_sip_retransmissions_sent_total");
    (summary(&server.lines(CALL)), repeated)
}

#[test]
fn what_comes_three_times_counts_once() {
    let (mut lines, _) = call_in(Weather::Repeats(3), "repeats");
    // A provisional response that comes again is news each time (RFC 3261 §13.2.2.1).
    lines.dedup();
    assert_eq!(
        lines,
        [
            "INVITE SIP/2.0 180 Ringing",
            "INVITE SIP/2.0 200 OK",
            "REFER SIP/2.0 202 Accepted",
            "NOTIFY SIP/2.0 100 Trying",
            "NOTIFY SIP/2.0 180 Ringing",
        ]
    );
}

#[test]
fn what_is_lost_is_sent_again() {
    let (lines, repeated) = call_in(Weather::LosesFirst, "loses");
    assert!(lines.contains(&"INVITE SIP/2.0 200 OK".to_owned()), "{lines:?}");
    assert!(repeated >= 1.0, "the INVITE is lost once at least");
}
