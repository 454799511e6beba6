//! Phones in browsers (SIP over WebSocket, RFC 7118): behind Kamailio, which Plugboard reaches by WebSocket, too, and at
//! Plugboard's own sockets.

use plugboard_tests::by_hand::{ByHand, ORIGIN, TurnedAway, field, session};
use plugboard_tests::kamailio::{By, Hash, Kamailio};
use plugboard_tests::place::Place;
use plugboard_tests::server::{Domain, Server};

use crate::invite::Call;

const CALL: &str = "/callcontroller/alice/bob";

/// Kamailio, two phones in browsers that are registered there, and Plugboard.
fn registered(name: &str, by: By) -> (Place, Kamailio, [ByHand; 2], Server) {
    let place = Place::new(name);
    let kamailio = Kamailio::start_with(&place, by, Hash::Md5);
    let phones = [("alice", "wonderland"), ("bob", "builder")].map(|(user, password)| {
        let mut phone = ByHand::connect(user, by.name(), kamailio.web_address(), place.ip());
        phone.register("example.test", password);
        phone
    });
    let server = Server::start_by(&place, by.name(), &[kamailio.domain()], &kamailio.sip(&place));
    (place, kamailio, phones, server)
}

#[test]
fn invite_call_between_phones_in_browsers() {
    invite_call("web-invite", By::Ws);
}

#[test]
fn invite_call_between_phones_in_browsers_by_tls() {
    invite_call("web-invite-tls", By::Wss);
}

fn invite_call(name: &str, by: By) {
    let (_place, _kamailio, [mut alice, mut bob], server) = registered(name, by);
    server.place_call(&format!("{CALL}?sipMethod=INVITE"));
    let first = alice.request("INVITE");
    alice.answer(&first, "180 Ringing", "");
    alice.answer(&first, "200 OK", &session(None));
    alice.request("ACK");

    let second = bob.request("INVITE");
    bob.answer(&second, "180 Ringing", "");
    bob.answer(&second, "200 OK", &session(Some(7000)));
    let offer = alice.request("INVITE");
    assert!(offer.contains("m=audio 7000"), "{offer}");
    alice.answer(&offer, "200 OK", &session(Some(6000)));
    alice.request("ACK");
    let ack = bob.request("ACK");
    assert!(ack.contains("m=audio 6000"), "{ack}");
    server.await_json(CALL, "the call to be up", |json| json["phase"] == "up");

    bob.send(&second, "BYE", "", "");
    bob.response(200);
    let bye = alice.request("BYE");
    alice.answer(&bye, "200 OK", "");
    assert_eq!(server.await_outcome(CALL), (200, "called".to_owned()));
    server.await_end(CALL);
}

#[test]
fn refer_call_with_a_phone_in_a_browser_first() {
    refer_call("web-refer", By::Ws);
}

#[test]
fn refer_call_with_a_phone_in_a_browser_first_by_tls() {
    refer_call("web-refer-tls", By::Wss);
}

fn refer_call(name: &str, by: By) {
    let (_place, _kamailio, [mut alice, _], server) = registered(name, by);
    server.place_call(CALL);
    let invite = alice.request("INVITE");
    alice.answer(&invite, "200 OK", &session(Some(6000)));
    alice.request("ACK");
    let refer = alice.request("REFER");
    assert_eq!(field(&refer, "Refer-To"), "<sip:bob@example.test>");
    alice.answer(&refer, "202 Accepted", "");
    let active = "Event: refer\r\nSubscription-State: active;expires=60\r\n";
    alice.send(&invite, "NOTIFY", active, "SIP/2.0 180 Ringing\r\n");
    alice.response(200);
    let bye = alice.request("BYE");
    alice.answer(&bye, "200 OK", "");
    assert_eq!(server.await_outcome(CALL).1, "handed-over");
    server.await_end(CALL);
}

#[test]
fn a_phone_in_a_browser_takes_the_place_of_another() {
    takes_over("web-replaces", "ws");
}

#[test]
fn a_phone_in_a_browser_takes_the_place_of_another_by_tls() {
    takes_over("web-replaces-tls", "wss");
}

/// A phone that connects to Plugboard itself: everything goes by that connection, there is no other.
fn takes_over(name: &str, transport: &str) {
    let place = Place::new(name);
    let (calling, called) = (place.phone("calling_moved").start(), place.phone("called").start());
    let web = place.port();
    let sip = format!("{transport} = \"{web}\"\nws_origins = [{ORIGIN:?}]\n");
    let server = Server::start_with(&place, &[Domain::example()], &sip);
    let ip = place.ip();
    let call = Call::start_at(server, place, &calling, &called);
    call.await_talk();

    let stranger = ByHand::try_connect("eve", transport, web, ip, "https://evil.example");
    assert_eq!(stranger.err(), Some(TurnedAway(403)), "a page that is not welcome");
    let mut carol = ByHand::connect("carol", transport, web, ip);
    let fields = format!("Replaces: {}\r\nRequire: replaces\r\n", called.replaces());
    let answer = carol.call(&format!("sip:bob@{web};transport=ws"), &fields, &session(Some(8000)));
    assert!(answer.contains("m=audio 6000"), "{answer}");
    called.finish();
    call.await_talk();
    call.server.hang_up(&call.path);
    let bye = carol.request("BYE");
    carol.answer(&bye, "200 OK", "");
    calling.finish();
    call.ended(200, "request");
}
