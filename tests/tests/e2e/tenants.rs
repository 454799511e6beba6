//! Two domains in one process: each has its own users and calls, and neither sees the other's.

use plugboard_tests::http::Connection;
use plugboard_tests::place::Place;
use plugboard_tests::server::{Domain, Server};

const CALL: &str = "/callcontroller/alice/bob";

fn ask(server: &Server, host: &str, method: &str, path: &str) -> (u16, String) {
    let mut connection = Connection::https(server.https).expect("it listens").host(host);
    let answer = connection.send(method, path, &[("Connection", "close")], &[]).expect("it answers");
    (answer.status, answer.text())
}

#[test]
fn calls_and_users_are_the_tenants_own() {
    let place = Place::new("tenants");
    let (red, blue) = (place.phone("no_answer").start(), place.phone("no_answer").start());
    let domain = |name: &str, proxy| {
        let domain = Domain::new(name).set("hosts", format!("[\"pbx.{name}\"]")).proxy(proxy);
        domain.user("alice", "pin = \"123\"").user("bob", "pin = \"456\"")
    };
    let domains =
        [domain("red.test", red.address()), domain("blue.test", blue.address()).user("only-blue", "pin = \"1\"")];
    let server = Server::start(&place, &domains);

    assert_eq!(ask(&server, "pbx.blue.test", "POST", CALL).0, 200);
    blue.saw("INVITE sip:alice@blue.test SIP/2.0");
    assert_eq!(ask(&server, "PBX.red.test:6666", "DELETE", CALL).0, 404, "red does not know blue's call");
    assert!(!ask(&server, "pbx.red.test", "GET", CALL).1.contains("<status>"));
    assert_eq!(ask(&server, "pbx.red.test", "POST", CALL).0, 200, "the same users, another tenant: another call");
    red.saw("INVITE sip:alice@red.test SIP/2.0");
    assert_eq!(ask(&server, "pbx.red.test", "POST", &format!("{CALL}?agent=only-blue")).0, 404);
    for name in ["red.test", "blue.test"] {
        let calls = server.admin("GET", &format!("/v1/calls?domain={name}"), &[]).json();
        assert_eq!(calls.as_array().map(Vec::len), Some(1), "{calls:#}");
        assert_eq!(calls[0]["domain"], name);
    }

    assert_eq!(ask(&server, "unheard.of", "DELETE", CALL).0, 200, "the first tenant answers for any other name");
    red.finish();
    assert!(ask(&server, "pbx.blue.test", "GET", CALL).1.contains("180 Ringing"), "blue's call goes on");
    assert_eq!(ask(&server, "pbx.blue.test", "DELETE", CALL).0, 200);
    blue.finish();
}
