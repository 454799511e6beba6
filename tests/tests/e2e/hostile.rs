//! Call logic that misbehaves, over real HTTP: it costs its own event, its caller gets a 5xx, and nobody else notices.

use std::time::{Duration, Instant};

use plugboard_tests::http::Connection;
use plugboard_tests::place::Place;
use plugboard_tests::program::guest;
use plugboard_tests::server::{Domain, Server};

/// The components that fail at every event but a good one.
const HOSTILE: [&str; 7] = ["loops", "traps", "panics", "grows", "recurses", "huge-state", "floods"];

const CALL: &str = "/callcontroller/alice/bob";

/// Twice the deadline of an event, and what the rest of the way takes on a machine that does other things too.
const BOUND: Duration = Duration::from_millis(2 * 50 + 900);

/// A component whose events succeed and leave their caller without an answer.
const SILENT: &str = "never-answers";

/// How long the server waits for call logic to answer, and some.
const ANSWER_BOUND: Duration = Duration::from_secs(32);

/// A tenant that runs this fixture, and answers to its name as Host.
fn tenant(name: &str) -> Domain {
    let host = format!("{name}.test");
    let domain = Domain::new(&host).set("hosts", format!("[\"{host}\"]")).controller(&guest(name));
    domain.user("alice", "pin = \"1\"").user("bob", "pin = \"1\"")
}

#[test]
fn misbehaving_call_logic_hurts_nobody_else() {
    let place = Place::new("hostile");
    let phone = place.phone("no_answer").start();
    let mut domains = vec![Domain::example().set("hosts", "[\"good.test\"]").proxy(phone.address())];
    domains.extend(HOSTILE.map(tenant));
    let server = Server::start(&place, &domains);
    server.place_call(CALL);
    server.await_lines(CALL, &["INVITE SIP/2.0 180 Ringing"]);

    for name in HOSTILE {
        let mut connection = Connection::https(server.https).expect("it listens").host(&format!("{name}.test"));
        for round in 0..3 {
            let begun = Instant::now();
            let answer = connection.send("POST", CALL, &[], &[]).expect("it answers");
            assert!((500..600).contains(&answer.status), "{name}, round {round}: {}", answer.status);
            assert!(begun.elapsed() < BOUND, "{name}, round {round}: {:?}", begun.elapsed());
        }
        let good = connection.send("GET", &format!("{CALL}?ok&agent=alice"), &[], &[]).expect("it answers");
        assert_eq!((good.status, good.text().as_str()), (200, "pong"), "{name} works again");
        server.await_lines(CALL, &["INVITE SIP/2.0 180 Ringing"]);
    }
    server.hang_up(CALL);
    phone.finish();
    assert_eq!(server.await_outcome(CALL).1, "request");
}

#[test]
fn call_logic_that_does_not_answer_is_answered_for() {
    let place = Place::new("silent");
    let server = Server::start(&place, &[tenant(SILENT)]);
    let mut connection = Connection::https(server.https).expect("it listens").host(&format!("{SILENT}.test"));
    let begun = Instant::now();
    let answer = connection.send("POST", CALL, &[], &[]).expect("it answers");
    assert!((500..600).contains(&answer.status), "{}", answer.status);
    assert!(begun.elapsed() < ANSWER_BOUND, "{:?}", begun.elapsed());
}
