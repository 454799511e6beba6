//! Call logic that misbehaves, over real HTTP: it costs its own event, its caller gets a 5xx, and nobody else notices.

use plugboard_tests::http::{Answer, Connection};
use plugboard_tests::place::Place;
use plugboard_tests::program::guest;
use plugboard_tests::server::{Domain, Server};
use plugboard_tests::wait::{SOON, until};

/// The components that fail at every event but a good one.
const HOSTILE: [&str; 7] = ["loops", "traps", "panics", "grows", "recurses", "huge-state", "floods"];

const CALL: &str = "/callcontroller/alice/bob";

/// A component whose events succeed and leave their caller without an answer.
const SILENT: &str = "never-answers";

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
            let answer = connection.send("POST", CALL, &[], &[]).expect("it answers");
            assert!((500..600).contains(&answer.status), "{name}, round {round}: {}", answer.status);
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
    let answer = connection.send("POST", CALL, &[], &[]).expect("it answers");
    assert!((500..600).contains(&answer.status), "{}", answer.status);
}

/// Asks a tenant by its name.
fn ask(server: &Server, name: &str, method: &str, path: &str) -> Answer {
    let mut connection = Connection::https(server.https).expect("it listens").host(&format!("{name}.test"));
    connection.send(method, path, &[("Connection", "close")], &[]).expect("it answers")
}

/// How often this tenant met this limit.
fn met(server: &Server, name: &str, limit: &str) -> f64 {
    server.metric(&format!("plugboard_limit_reached_total{{tenant=\"{name}.test\",limit=\"{limit}\"}}"))
}

#[test]
fn a_leg_that_call_logic_leaves_ringing_is_cancelled() {
    let place = Place::new("leaves-legs");
    let phone = place.phone("no_answer").start();
    let server = Server::start(&place, &[tenant("leaves-legs").proxy(phone.address())]);
    assert_eq!(ask(&server, "leaves-legs", "POST", CALL).text(), "started");
    // The next event, the 180, ends the call.
    phone.finish();
    until("the call to be gone", SOON, || (server.metric("plugboard_calls_up") == 0.0).then_some(()));
}

#[test]
fn a_call_whose_logic_crashes_again_and_again_is_hung_up_and_says_so() {
    let place = Place::new("breaks-off");
    let (phone, other) = (place.phone("left_up").start(), place.phone("no_answer").start());
    let example = Domain::example().set("hosts", "[\"example.test\"]").proxy(other.address());
    let server = Server::start(&place, &[tenant("breaks-off").proxy(phone.address()), example]);
    assert_eq!(ask(&server, "example", "POST", CALL).status, 200);
    assert_eq!(ask(&server, "breaks-off", "POST", CALL).text(), "started");
    phone.finish();
    let said = ask(&server, "breaks-off", "GET", CALL).text();
    assert!(said.contains("Faulty"), "its record says how it ended: {said}");
    assert_eq!(met(&server, "breaks-off", "breakdowns_in_a_row"), 1.0);
    assert_eq!(server.metric("plugboard_calls_ended_by_host_total"), 1.0);
    assert!(ask(&server, "example", "GET", CALL).text().contains("180 Ringing"), "the neighbour's call rings on");
    assert_eq!(ask(&server, "example", "DELETE", CALL).status, 200);
    other.finish();
}

#[test]
fn a_tenant_over_its_limits_hears_which_and_when_to_ask_again() {
    let place = Place::new("limits");
    let phone = place.phone("no_answer").start();
    let silent = tenant(SILENT).set("limits", "{ exchanges_waiting = 2 }");
    let quick = Domain::example().set("hosts", "[\"example.test\"]").proxy(phone.address());
    let server = Server::start(&place, &[silent, quick.set("limits", "{ calls_per_second = 1, body_bytes_max = 10 }")]);
    let refused = |answer: Answer, status: u16, limit: &str| {
        assert_eq!((answer.status, answer.header("retry-after")), (status, Some("1")), "{}", answer.text());
        assert!(answer.text().contains(limit) && answer.text().lines().count() == 1, "{}", answer.text());
    };

    let waiting = [1, 2].map(|n| {
        let (https, path) = (server.https, format!("{CALL}{n}"));
        std::thread::spawn(move || {
            let mut connection = Connection::https(https).expect("it listens").host(&format!("{SILENT}.test"));
            connection.send("POST", &path, &[("Connection", "close")], &[]).expect("it answers").status
        })
    });
    until("both to wait", SOON, || (server.metric("plugboard_exchanges_waiting") == 2.0).then_some(()));
    refused(ask(&server, SILENT, "POST", CALL), 503, "exchanges_waiting");
    assert_eq!(met(&server, SILENT, "exchanges_waiting"), 1.0);

    assert_eq!(ask(&server, "example", "POST", CALL).status, 200, "the neighbour is served meanwhile");
    let mut connection = Connection::https(server.https).expect("it listens").host("example.test");
    let large = connection.send("POST", CALL, &[], &[b'x'; 11]).expect("it answers");
    assert_eq!(large.status, 413);
    assert!(large.text().contains("body_bytes_max"), "{}", large.text());
    let too_fast = until("a call too many in its second", SOON, || {
        let answer = ask(&server, "example", "POST", "/callcontroller/bob/carol");
        (answer.status != 200).then_some(answer)
    });
    refused(too_fast, 429, "calls_per_second");
    assert_eq!(ask(&server, "example", "DELETE", CALL).status, 200);
    drop(phone);
    for thread in waiting {
        assert!((500..600).contains(&thread.join().expect("no panic")));
    }
}
