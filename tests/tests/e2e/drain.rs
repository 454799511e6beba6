//! SIGTERM.

use std::net::TcpStream;
use std::time::Duration;

use plugboard_tests::http::Connection;
use plugboard_tests::place::Place;
use plugboard_tests::server::{Domain, Server};
use plugboard_tests::wait::{SOON, until};

use crate::invite::Call;

#[test]
fn idle_server_goes_at_once() {
    let place = Place::new("drain-idle");
    let mut server = Server::start(&place, &[Domain::example()]);
    let mut idle = Connection::https(server.https).expect("it listens");
    assert_eq!(idle.send("GET", "/callcontroller/alice/bob", &[], &[]).expect("it answers").status, 200);
    let _silent = [server.https, server.digest, server.admin].map(|at| TcpStream::connect(at).expect("it listens"));
    server.process().terminate();
    let code = until("the server to go", Duration::from_secs(5), || server.process().ended());
    assert_eq!(code, 0, "{}", server.log());
}

#[test]
fn calls_that_are_up_are_ended_at_the_deadline() {
    let place = Place::new("drain");
    let (calling, called) = (place.phone("calling").start(), place.phone("called").start());
    let server = Server::start(&place, &[Domain::example()]);
    let path = format!("/callcontroller/{}/{}?agent=alice", calling.user("alice"), called.user("bob"));
    server.place_call(&format!("{path}&sipMethod=invite"));
    let mut call = Call { place, server, path };
    call.await_talk();
    call.server.process().terminate();
    until("the listener to close", SOON, || Connection::https(call.server.https).is_err().then_some(()));
    let ready = Connection::http(call.server.admin).and_then(|mut admin| admin.send("GET", "/readyz", &[], &[]));
    assert_eq!(ready.expect("the admin listener goes last").status, 503);
    let ask =
        |method, path: &str| call.server.admin(method, &format!("/v1/tenants/example.test/api{path}"), &[]).status;
    assert_eq!(ask("POST", "/callcontroller/alice/nobody"), 503, "no new calls");
    assert_eq!(ask("GET", "/callcontroller/alice/nobody"), 200);
    assert_eq!(ask("GET", &call.path), 200);
    calling.finish();
    called.finish();
    let code = until("the server to go", SOON, || call.server.process().ended());
    assert_eq!(code, 0, "{}", call.server.log());
}
