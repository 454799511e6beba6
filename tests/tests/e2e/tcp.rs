//! Phones of sipp that speak TCP.

use plugboard_tests::place::Place;
use plugboard_tests::server::{Domain, Server};

fn server(place: &Place) -> Server {
    Server::start_by(place, "tcp", &[Domain::example()], "")
}

#[test]
fn refer_call_goes_by_one_connection() {
    let place = Place::new("tcp-refer");
    let phone = place.phone("refer_finished").by_tcp().start();
    let server = server(&place);
    let path = format!("/callcontroller/{}/bob?agent=alice", phone.user("alice"));
    server.place_call(&path);
    phone.finish();
    server.await_end(&path);
    assert_eq!(server.metric("plugboard_sip_connections_total"), 1.0, "requests both ways went by the first one");
}

#[test]
fn invite_call_is_joined_and_hung_up() {
    let place = Place::new("tcp-invite");
    let (calling, called) = (place.phone("calling").by_tcp().start(), place.phone("called").by_tcp().start());
    let server = server(&place);
    let path = format!("/callcontroller/{}/{}?agent=alice", calling.user("alice"), called.user("bob"));
    server.place_call(&format!("{path}&sipMethod=invite"));
    server.await_json(&path, "the call to be up", |json| json["phase"] == "up");
    server.hang_up(&path);
    calling.finish();
    called.finish();
    assert_eq!(server.await_outcome(&path), (200, "request".to_owned()));
}
